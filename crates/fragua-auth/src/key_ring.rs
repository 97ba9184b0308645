//! Keys in memory, so that a request costs no query.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use fragua_base::Timestamp;

use crate::Error;
use crate::uses::Uses;

/// How long a key counts as what it was when the keys were read: the longest that a revocation by another process takes.
const KNOWN_FOR: Duration = Duration::from_secs(3);

/// How long an id that was not among the keys counts as unknown: one that another process made just now is found soon,
/// and guessing makes no more queries than this lets through.
const UNKNOWN_FOR: Duration = Duration::from_millis(200);

/// The keys of one kind, with what is known of each.
#[derive(Debug)]
pub(crate) struct KeyRing<K> {
    seen: RwLock<Seen<K>>,
    /// Held while keys are read or changed: one reads for all, and nobody puts back what was revoked meanwhile.
    changing: tokio::sync::Mutex<()>,
    pub(crate) uses: Uses,
}

impl<K> Default for KeyRing<K> {
    fn default() -> Self {
        Self {
            seen: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            uses: Uses::default(),
        }
    }
}

/// Every key by its id, as the database had them at an instant.
#[derive(Debug)]
struct Seen<K> {
    at: Option<Timestamp>,
    keys: HashMap<String, Arc<K>>,
}

impl<K> Default for Seen<K> {
    fn default() -> Self {
        Self {
            at: None,
            keys: HashMap::new(),
        }
    }
}

impl<K> Seen<K> {
    /// Returns the key, `Some(None)` when it is known that there is none, nothing when the database is to be asked.
    fn find(&self, id: &str, now: Timestamp) -> Option<Option<Arc<K>>> {
        // A clock that was set back makes what was seen old, not new for ever.
        let age = now.as_millis().checked_sub(self.at?.as_millis())?;
        let age = Duration::from_millis(u64::try_from(age).ok()?);
        let kept = self.keys.get(id).cloned();
        let holds = if kept.is_some() { KNOWN_FOR } else { UNKNOWN_FOR };
        (age < holds).then_some(kept)
    }
}

impl<K> KeyRing<K> {
    /// Returns a key by its id; `load` reads them all where they are not known well enough.
    pub(crate) async fn find(
        &self,
        id: &str,
        now: impl Fn() -> Timestamp,
        load: impl Future<Output = Result<Vec<(String, K)>, Error>>,
    ) -> Result<Option<Arc<K>>, Error> {
        if let Some(known) = self.seen(id, now()) {
            return Ok(known);
        }
        let _reading = self.changing.lock().await;
        let now = now();
        // Whoever had the lock before may have read them.
        if let Some(known) = self.seen(id, now) {
            return Ok(known);
        }
        let keys = load.await?.into_iter().map(|(id, key)| (id, Arc::new(key)));
        let keys: HashMap<String, Arc<K>> = keys.collect();
        let found = keys.get(id).cloned();
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Seen { at: Some(now), keys };
        Ok(found)
    }

    fn seen(&self, id: &str, now: Timestamp) -> Option<Option<Arc<K>>> {
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
}
