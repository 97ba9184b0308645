//! Where the roles answer.

use serde::{Deserialize, Serialize};

/// The base address of each role that runs, such as `http://127.0.0.1:8084`, without a slash at the end.
/// It is the content of `.fragua/endpoints.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoints {
    /// DAGs: pages and REST API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orchestrator: Option<String>,
    /// Experiments and models: pages and MLflow's REST API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// Objects: the S3 API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Objects: the pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// The inference API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<String>,
    /// The form that predicts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The example's source of rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Endpoints {
    /// Returns each role that has an address, in the order of the fields, with its key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("orchestrator", &self.orchestrator),
            ("tracking", &self.tracking),
            ("storage", &self.storage),
            ("console", &self.console),
            ("serving", &self.serving),
            ("app", &self.app),
            ("source", &self.source),
        ]
        .into_iter()
        .filter_map(|(role, address)| Some((role, address.as_deref()?)))
    }
}
