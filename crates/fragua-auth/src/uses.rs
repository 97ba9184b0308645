//! When keys were used, noted in memory so that no request waits for it to be written.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fragua_base::Timestamp;

use crate::Error;

/// The last use of each key, as far as it is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<HashMap<String, Timestamp>>);

impl Uses {
    /// Takes note that a key was used.
    pub(crate) fn note(&self, id: &str, now: Timestamp) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.get_mut(id) {
            Some(at) => *at = now,
            None => {
                uses.insert(id.to_owned(), now);
            }
        }
    }

    /// Hands what was noted to `write`. What cannot be written now is kept for the next time.
    pub(crate) async fn write(
        &self,
        write: impl AsyncFnOnce(&HashMap<String, Timestamp>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let uses = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if uses.is_empty() {
            return Ok(());
        }
        write(&uses).await?;
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|id, at| uses.get(id) != Some(at));
        Ok(())
    }
}
