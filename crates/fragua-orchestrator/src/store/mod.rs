//! What is remembered: rows of SQL tables, and the queries on them. No rule lives here.

pub(crate) mod attempts;
pub(crate) mod audit_log;
pub(crate) mod backfills;
pub(crate) mod dag_runs;
pub(crate) mod dags;
pub(crate) mod import_errors;
mod migrations;
pub(crate) mod pools;
pub(crate) mod processes;
pub(crate) mod task_instances;
pub(crate) mod transitions;
pub(crate) mod vault;
pub(crate) mod xcoms;

use fragua_base::Timestamp;
use fragua_database::{Engine, dialect};
use sea_orm::{ConnectionTrait, EntityTrait, QuerySelect, Select};

pub(crate) use migrations::migrations;

/// Locks the rows of a selection until the transaction ends, where the engine has such locks.
pub(crate) fn locked<E: EntityTrait>(connection: &impl ConnectionTrait, mut select: Select<E>) -> Select<E> {
    dialect::lock_for_update(
        Engine::from(connection.get_database_backend()),
        QuerySelect::query(&mut select),
    );
    select
}

/// As [`locked`], without those that another transaction holds.
pub(crate) fn claimed<E: EntityTrait>(connection: &impl ConnectionTrait, mut select: Select<E>) -> Select<E> {
    dialect::claim_for_update(
        Engine::from(connection.get_database_backend()),
        QuerySelect::query(&mut select),
    );
    select
}

pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_millis()
}

pub(crate) fn instant(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

/// The number in the column of an instance that has none.
const UNMAPPED: i64 = -1;

pub(crate) fn map_column(map_index: Option<u32>) -> i64 {
    map_index.map_or(UNMAPPED, i64::from)
}

pub(crate) fn map_index(column: i64) -> Option<u32> {
    u32::try_from(column).ok()
}

pub(crate) fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}
