//! What the owner of the process decides.

use std::path::Path;
use std::sync::Arc;

use fragua_base::Secret;
use serde::Deserialize;

use crate::WebhookSettings;

/// Settings of tracking.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The bucket that holds the artifacts of runs and models.
    pub artifact_bucket: String,
    /// Folders of this machine, absolute, in which the files of runs may be shown: those that an MLflow without a proxy
    /// wrote. Nothing is written there.
    pub local_artifacts: Vec<Arc<Path>>,
    /// The most points one metric history or chart answers with when the request names no smaller number.
    pub metric_history_limit: u64,
    /// The secrets of webhooks are encrypted with it, and addresses for uploads signed: 32 bytes in URL-safe base64, as
    /// MLflow's `MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY`. Processes that share a database share it too; one without it
    /// makes its own and cannot read those secrets again after its end.
    pub secret_key: Option<Secret>,
    /// How webhooks are sent.
    pub webhooks: WebhookSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            artifact_bucket: "mlflows3".to_owned(),
            local_artifacts: Vec::new(),
            metric_history_limit: 100_000,
            secret_key: None,
            webhooks: WebhookSettings::default(),
        }
    }
}
