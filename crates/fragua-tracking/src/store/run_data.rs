//! What was logged to the runs of a page, in a fixed number of queries.
//!
//! A page of 1,000 runs has tens of thousands of keys, and a row costs more on its way than its content: SQLite and
//! PostgreSQL send the texts of a run as one JSON object. MySQL and MariaDB may cut such an object at
//! `group_concat_max_len`, so there each key is a row; so it is for metrics, as SQLite's JSON loses digits of a number.

use std::collections::{BTreeMap, HashMap};

use fragua_database::Engine;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ConnectionTrait, DbErr, entity::prelude::*};

use super::entities::runs::{param, tag};
use super::metrics;
use crate::metrics::Metric;

/// The values of each run by key.
type Texts = HashMap<String, BTreeMap<String, Option<String>>>;

/// Returns the latest value of each metric of each run, by key.
pub(super) async fn metrics_of(
    connection: &impl ConnectionTrait,
    run_ids: &[&str],
) -> Result<HashMap<String, Vec<Metric>>, DbErr> {
    let mut metrics_of: HashMap<String, Vec<Metric>> = HashMap::new();
    for (run_id, metric) in metrics::latest_of_runs(connection, run_ids).await? {
        metrics_of.entry(run_id).or_default().push(metric);
    }
    for metrics in metrics_of.values_mut() {
        metrics.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    }
    Ok(metrics_of)
}

/// Returns the parameters of each run.
pub(super) async fn params_of(connection: &impl ConnectionTrait, run_ids: &[&str]) -> Result<Texts, DbErr> {
    if let Some(aggregate) = pairs(connection) {
        return texts_of("params", aggregate, connection, run_ids).await;
    }
    let rows = param::Entity::find()
        .filter(param::Column::RunUuid.is_in(run_ids.iter().copied()))
        .all(connection)
        .await?;
    Ok(by_run(
        rows.into_iter()
            .map(|row| (row.run_uuid, row.key, Some(row.value))),
    ))
}

/// Returns the tags of each run.
pub(super) async fn tags_of(connection: &impl ConnectionTrait, run_ids: &[&str]) -> Result<Texts, DbErr> {
    if let Some(aggregate) = pairs(connection) {
        return texts_of("tags", aggregate, connection, run_ids).await;
    }
    let rows = tag::Entity::find()
        .filter(tag::Column::RunUuid.is_in(run_ids.iter().copied()))
        .all(connection)
        .await?;
    Ok(by_run(
        rows.into_iter().map(|row| (row.run_uuid, row.key, row.value)),
    ))
}

fn by_run(rows: impl Iterator<Item = (String, String, Option<String>)>) -> Texts {
    let mut texts = Texts::new();
    for (run_id, key, value) in rows {
        texts.entry(run_id).or_default().insert(key, value);
    }
    texts
}

/// Returns the expression that makes one object of keys and values, where it is safe.
fn pairs(connection: &impl ConnectionTrait) -> Option<&'static str> {
    match Engine::from(connection.get_database_backend()) {
        Engine::Sqlite => Some("json_group_object(\"key\", value)"),
        Engine::Postgres => Some("CAST(json_object_agg(\"key\", value) AS text)"),
        Engine::MySql => None,
    }
}

async fn texts_of(
    table: &'static str,
    aggregate: &'static str,
    connection: &impl ConnectionTrait,
    run_ids: &[&str],
) -> Result<Texts, DbErr> {
    let select = Query::select()
        .column("run_uuid")
        .expr(Expr::cust(aggregate))
        .from(table)
        .and_where(Expr::col("run_uuid").is_in(run_ids.iter().copied()))
        .group_by_col("run_uuid")
        .take();
    let rows = connection.query_all(&select).await?;
    rows.iter()
        .map(|row| {
            let (run_id, json): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let texts = serde_json::from_str(&json)
                .map_err(|_| DbErr::Type(format!("the {table} of the run {run_id} cannot be read")))?;
            Ok((run_id, texts))
        })
        .collect()
}
