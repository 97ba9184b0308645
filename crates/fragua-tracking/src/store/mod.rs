//! SQL of tracking, over MLflow's tables. Stores insert what they are given.

pub(crate) mod experiments;
pub(crate) mod inputs;
pub(crate) mod keys;
pub(crate) mod logged_models;
pub(crate) mod metrics;
pub(crate) mod models;
pub(crate) mod overview;
pub(crate) mod params;
pub(crate) mod purge;
pub(crate) mod runs;
pub(crate) mod versions;
pub(crate) mod webhooks;

mod beside;
mod entities;
mod migrations;
mod revision;
mod run_data;

pub(crate) use revision::Family;

use std::collections::HashMap;

use fragua_base::{Page, Timestamp};
use fragua_database::{Database, Row};
use sea_orm::DbErr;
use sea_orm_migration::SchemaManager;

use crate::Error;
use crate::experiments::ExperimentId;
use crate::search::{Plan, token};

/// How many keys one `IN (…)` names at most, below every engine's limit of bound values.
const KEYS_PER_QUERY: usize = 5_000;

/// How many rows one `INSERT` writes at most; the widest table that is written in bulk has 10 columns.
const ROWS_PER_INSERT: usize = 500;

/// Brings the schema up to date and makes the default experiment. Returns what the database lacks.
pub(crate) async fn prepare(database: &Database, now: impl FnOnce() -> Timestamp) -> Result<Family, Error> {
    let lacks = revision::lacks(database).await?;
    database.migrate("tracking", migrations::migrations()).await?;
    beside::move_home(database, lacks).await?;
    experiments::ensure_default(database, now()).await?;
    Ok(Family::opened(lacks))
}

/// Changes nothing. Returns what the database lacks; nothing for one in which nothing is.
pub(crate) async fn prepare_to_read(database: &Database) -> Result<Option<Family>, Error> {
    let lacks = revision::lacks(database).await?;
    if !SchemaManager::new(database.reader())
        .has_table("experiments")
        .await?
    {
        return Ok(None);
    }
    Family::as_it_is(database, lacks).await.map(Some)
}

/// Cuts the one row too many that tells whether there is a next page.
fn page<T>(plan: &Plan, items: Vec<T>) -> Page<T> {
    page_at(plan.offset, plan.limit, items)
}

fn page_at<T>(offset: u64, limit: u64, mut items: Vec<T>) -> Page<T> {
    let limit_items = usize::try_from(limit).unwrap_or(usize::MAX);
    let next = (items.len() > limit_items).then(|| token::encode(offset + limit));
    items.truncate(limit_items);
    Page { items, next }
}

/// Returns a text of a row; an empty field is an empty text.
fn text(row: &Row<'_>, at: usize) -> Result<String, DbErr> {
    Ok(row.text(at)?.unwrap_or_default().into_owned())
}

/// Returns the experiment that a row is about; MLflow's own is 0.
fn id(row: &Row<'_>, at: usize) -> Result<ExperimentId, DbErr> {
    let number = row.integer(at)?.unwrap_or_default();
    let number = i32::try_from(number).map_err(|error| DbErr::Type(error.to_string()))?;
    Ok(ExperimentId(number))
}

fn time(millis: Option<i64>) -> Timestamp {
    Timestamp::from_millis(millis.unwrap_or(0))
}

/// Returns the last item of each key: one statement may not write one row twice.
fn last_of_each<'items, T>(items: &'items [T], key: impl Fn(&T) -> &String) -> Vec<&'items T> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        places.insert(key(item), at);
    }
    let is_last = |(at, item): &(usize, &'items T)| places.get(key(item).as_str()) == Some(at);
    items
        .iter()
        .enumerate()
        .filter(is_last)
        .map(|(_, item)| item)
        .collect()
}
