//! The keys that runs use, for a completion and for choosing columns.

use crate::validation::limits;
use crate::{Error, ExperimentId, Tracking, store};

/// The keys in use, each list by bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownKeys {
    /// Of metrics.
    pub metrics: Vec<String>,
    /// Of parameters.
    pub params: Vec<String>,
    /// Of tags.
    pub tags: Vec<String>,
}

impl Tracking {
    /// Returns the keys that the newest 500 active runs of some experiments use, at most 1,000 of each sort.
    ///
    /// # Errors
    /// The database's own.
    pub async fn known_keys(&self, experiments: &[ExperimentId]) -> Result<KnownKeys, Error> {
        if experiments.is_empty() {
            return Ok(KnownKeys::default());
        }
        let keys_in = async |table| {
            let most = (limits::RUNS_FOR_KEYS, limits::KNOWN_KEYS);
            store::keys::of_newest_runs(self.database().reader(), table, experiments, most).await
        };
        Ok(KnownKeys {
            metrics: keys_in("latest_metrics").await?,
            params: keys_in("params").await?,
            tags: keys_in("tags").await?,
        })
    }
}
