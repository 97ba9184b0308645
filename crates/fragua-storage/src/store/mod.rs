//! SQL of this crate.

pub(crate) mod bucket_settings;
pub(crate) mod buckets;
pub(crate) mod chores;
pub(crate) mod deleted;
pub(crate) mod events;
pub(crate) mod garbage;
mod migrations;
pub(crate) mod objects;
pub(crate) mod parts;
pub(crate) mod small;
pub(crate) mod uploads;
pub(crate) mod usage;
pub(crate) mod versions;

pub(crate) use migrations::migrations;

use std::future::Future;
use std::ops::Bound;

use fragua_database::Error;
use sea_orm::{ColumnTrait, Condition};

/// How often a write is tried again after it lost a race for a row.
const ATTEMPTS: usize = 8;

/// Runs a write again when another one won the row it was after, so that only real conflicts are told.
pub(crate) async fn retry_races<T, F>(mut write: impl FnMut() -> F) -> Result<T, crate::Error>
where
    F: Future<Output = Result<T, crate::Error>>,
{
    for _ in 1..ATTEMPTS {
        match write().await {
            Err(crate::Error::Database(Error::Unique { .. } | Error::Busy)) => {}
            other => return other,
        }
    }
    write().await
}

/// Says that a key lies between two, of which the second is excluded.
pub(crate) fn key_range(key: impl ColumnTrait, start: &Bound<Vec<u8>>, end: Option<&[u8]>) -> Condition {
    let from = match start {
        Bound::Included(first) => Some(key.gte(first.clone())),
        Bound::Excluded(before) => Some(key.gt(before.clone())),
        Bound::Unbounded => None,
    };
    let to = end.map(|end| key.lt(end.to_vec()));
    Condition::all().add_option(from).add_option(to)
}
