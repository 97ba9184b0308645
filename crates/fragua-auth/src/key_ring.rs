//! The serving keys in memory, so that a request costs no query.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use fragua_base::{Secret, Timestamp};
use fragua_database::Database;

use crate::store::serving_keys as store;
use crate::uses::Uses;
use crate::{Error, ServingKey};

/// How long a key counts as what it was when the keys were read: the longest that a revocation by another process takes.
const KNOWN_FOR: Duration = Duration::from_secs(3);

/// How long an id that was not among the keys counts as unknown: one that another process made just now is found soon,
/// and guessing makes no more queries than this lets through.
const UNKNOWN_FOR: Duration = Duration::from_millis(200);

/// A key and what its bearer is known by.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) key: Arc<ServingKey>,
    pub(crate) hash: Secret,
}

#[derive(Debug, Default)]
pub(crate) struct KeyRing {
    seen: RwLock<Seen>,
    /// Held while keys are read or changed: one reads for all, and nobody puts back what was revoked meanwhile.
    changing: tokio::sync::Mutex<()>,
    uses: Uses,
}

/// Every key, as the database had them at an instant.
#[derive(Debug, Default)]
struct Seen {
    at: Option<Timestamp>,
    keys: HashMap<String, Arc<Kept>>,
}

impl Seen {
    /// Returns the key, `Some(None)` when it is known that there is none, nothing when the database is to be asked.
    fn find(&self, id: &str, now: Timestamp) -> Option<Option<Arc<Kept>>> {
        // A clock that was set back makes what was seen old, not new for ever.
        let age = now.as_millis().checked_sub(self.at?.as_millis())?;
        let age = Duration::from_millis(u64::try_from(age).ok()?);
        let kept = self.keys.get(id).cloned();
        let holds = if kept.is_some() { KNOWN_FOR } else { UNKNOWN_FOR };
        (age < holds).then_some(kept)
    }
}

impl KeyRing {
    /// Returns a key by its id.
    pub(crate) async fn find(
        &self,
        database: &Database,
        id: &str,
        now: impl Fn() -> Timestamp,
    ) -> Result<Option<Arc<Kept>>, Error> {
        if let Some(known) = self.seen(id, now()) {
            return Ok(known);
        }
        let _reading = self.changing.lock().await;
        let now = now();
        // Whoever had the lock before may have read them.
        if let Some(known) = self.seen(id, now) {
            return Ok(known);
        }
        let keys = store::all(database).await?;
        let keys: HashMap<String, Arc<Kept>> = keys
            .into_iter()
            .map(|kept| (kept.key.id.clone(), Arc::new(kept)))
            .collect();
        let found = keys.get(id).cloned();
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Seen { at: Some(now), keys };
        Ok(found)
    }

    fn seen(&self, id: &str, now: Timestamp) -> Option<Option<Arc<Kept>>> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.find(id, now)
    }

    /// Does something that changes keys, and forgets what was known of them.
    pub(crate) async fn change<T>(&self, change: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let _changing = self.changing.lock().await;
        let changed = change.await;
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Seen::default();
        changed
    }

    /// Takes note that a key was used.
    pub(crate) fn used(&self, id: &str, now: Timestamp) {
        self.uses.note(id, now);
    }

    /// Writes when keys were used. What cannot be written now is kept for the next time.
    pub(crate) async fn write_uses(&self, database: &Database) -> Result<(), Error> {
        let writing = async |uses: &HashMap<String, Timestamp>| store::note_uses(database, uses).await;
        self.uses.write(writing).await
    }
}
