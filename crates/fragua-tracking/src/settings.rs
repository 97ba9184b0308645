//! What the owner of the process decides.

use serde::Deserialize;

/// Settings of tracking.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The bucket that holds the artifacts of runs and models.
    pub artifact_bucket: String,
    /// The most points one metric history or chart answers with when the request names no smaller number.
    pub metric_history_limit: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            artifact_bucket: "mlflows3".to_owned(),
            metric_history_limit: 100_000,
        }
    }
}
