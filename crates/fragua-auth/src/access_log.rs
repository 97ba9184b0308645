//! What was done in the object store, and what was refused.

use std::sync::{Mutex, PoisonError};

use fragua_base::{Page, Timestamp};
use tokio::sync::Notify;

use crate::store::access_log as store;
use crate::{Auth, Error};

/// How many entries the database keeps.
const KEEP: i64 = 100_000;

/// While the database fails, entries beyond this are lost, the oldest first.
const MOST_PENDING: usize = 2_048;

/// The most entries of one page.
const MAX_PAGE: usize = 200;

/// One request to the object store that wrote something or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAccess {
    /// When it was answered.
    pub happened_at: Timestamp,
    /// What the client was given as `x-amz-request-id`.
    pub request_id: String,
    /// The key that the request names, also where its signature was wrong; nothing for one without a signature.
    pub access_key_id: Option<String>,
    /// Whom the key belongs to, once its signature was checked.
    pub key_name: Option<String>,
    /// Such as `PutObject`; the method where the request was refused before its operation was known.
    pub operation: String,
    /// The bucket that it was about.
    pub bucket: Option<String>,
    /// The object that it was about.
    pub object_key: Option<String>,
    /// The status that it was answered with.
    pub status: u16,
}

/// What was noted and is not written.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    entries: Mutex<Vec<LoggedAccess>>,
    noted: Notify,
}

impl Pending {
    fn push(&self, entry: LoggedAccess) {
        self.add(|entries| entries.push(entry));
        self.noted.notify_one();
    }

    fn take(&self) -> Vec<LoggedAccess> {
        std::mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts entries back that could not be written.
    fn put_back(&self, older: Vec<LoggedAccess>) {
        self.add(|entries| drop(entries.splice(0..0, older)));
    }

    fn add(&self, add: impl FnOnce(&mut Vec<LoggedAccess>)) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut entries);
        let lost = entries.len().saturating_sub(MOST_PENDING);
        if lost > 0 {
            tracing::warn!(lost, "entries of the access log of the object store are lost");
            entries.drain(..lost);
        }
    }
}

impl Auth {
    /// Takes note of a request to the object store. It is kept in memory until [`Auth::write_access_log`] is called.
    pub fn log_access(&self, entry: LoggedAccess) {
        self.accesses.push(entry);
    }

    /// Waits until something is noted that is not written.
    pub async fn access_noted(&self) {
        self.accesses.noted.notified().await;
    }

    /// Writes what was noted and is not written, and removes the oldest entries over 100,000: to be called once something
    /// was noted, and in the end.
    ///
    /// # Errors
    /// When the database fails; it is written the next time then.
    pub async fn write_access_log(&self) -> Result<(), Error> {
        let entries = self.accesses.take();
        if entries.is_empty() {
            return Ok(());
        }
        let written = store::add(&self.database, &entries, KEEP).await;
        if written.is_err() {
            self.accesses.put_back(entries);
        }
        written
    }

    /// Returns a page of the access log, newest first; `after` is what the page before told.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn access_log(&self, after: Option<&str>, limit: usize) -> Result<Page<LoggedAccess>, Error> {
        let limit = limit.clamp(1, MAX_PAGE);
        // What cannot be the end of a page is the end of none.
        let before = after.map(|text| text.parse().unwrap_or(0));
        let mut rows = store::page(&self.database, before, limit as u64 + 1).await?;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(|(id, _)| id.to_string());
        let items = rows.into_iter().map(|(_, entry)| entry).collect();
        Ok(Page { items, next })
    }
}
