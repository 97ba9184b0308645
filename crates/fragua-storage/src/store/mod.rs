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
pub(crate) mod uploads;
pub(crate) mod usage;
pub(crate) mod versions;

pub(crate) use migrations::migrations;

use std::future::Future;

use fragua_database::Error;

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
