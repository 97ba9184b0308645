//! Experiments on the wire.

use fragua_base::Timestamp;
use serde::{Deserialize, Serialize};

use super::{KeyValue, all, millis, number};
use crate::Error;
use crate::experiments::{DatasetSummary, Experiment, LifecycleStage};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ExperimentWire {
    pub(crate) experiment_id: String,
    pub(crate) name: String,
    pub(crate) artifact_location: String,
    pub(crate) lifecycle_stage: String,
    #[serde(deserialize_with = "number::integer")]
    pub(crate) last_update_time: Option<i64>,
    #[serde(deserialize_with = "number::integer")]
    pub(crate) creation_time: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<KeyValue>,
    pub(crate) workspace: String,
}

impl From<Experiment> for ExperimentWire {
    fn from(experiment: Experiment) -> Self {
        Self {
            experiment_id: experiment.id.to_string(),
            name: experiment.name,
            artifact_location: experiment.artifact_location,
            lifecycle_stage: experiment.lifecycle_stage.as_str().to_owned(),
            last_update_time: Some(experiment.updated_at.as_millis()),
            creation_time: Some(experiment.created_at.as_millis()),
            tags: all(experiment.tags),
            workspace: "default".to_owned(),
        }
    }
}

impl TryFrom<ExperimentWire> for Experiment {
    type Error = Error;

    fn try_from(wire: ExperimentWire) -> Result<Self, Error> {
        let created_at: Timestamp = millis(wire.creation_time);
        Ok(Self {
            id: wire.experiment_id.parse()?,
            name: wire.name,
            artifact_location: wire.artifact_location,
            lifecycle_stage: LifecycleStage::from_stored(Some(&wire.lifecycle_stage)),
            created_at,
            updated_at: wire.last_update_time.map_or(created_at, Timestamp::from_millis),
            tags: all(wire.tags),
        })
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct DatasetSummaryWire {
    experiment_id: String,
    name: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
}

impl From<DatasetSummary> for DatasetSummaryWire {
    fn from(dataset: DatasetSummary) -> Self {
        Self {
            experiment_id: dataset.experiment_id.to_string(),
            name: dataset.name,
            digest: dataset.digest,
            context: dataset.context,
        }
    }
}
