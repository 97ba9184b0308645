//! Logged models on the wire.

use serde::{Deserialize, Serialize};

use super::runs::MetricWire;
use super::{KeyValue, all, millis, number};
use crate::Error;
use crate::logged_models::{LoggedModel, LoggedModelStatus};
use crate::metrics::Metric;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LoggedModelInfoWire {
    pub(crate) model_id: String,
    pub(crate) experiment_id: String,
    pub(crate) name: String,
    #[serde(deserialize_with = "number::integer")]
    pub(crate) creation_timestamp_ms: Option<i64>,
    #[serde(deserialize_with = "number::integer")]
    pub(crate) last_updated_timestamp_ms: Option<i64>,
    pub(crate) artifact_uri: String,
    pub(crate) status: String,
    pub(crate) model_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status_message: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<KeyValue>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LoggedModelDataWire {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) params: Vec<KeyValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) metrics: Vec<MetricWire>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LoggedModelWire {
    pub(crate) info: LoggedModelInfoWire,
    pub(crate) data: LoggedModelDataWire,
}

impl From<LoggedModel> for LoggedModelWire {
    fn from(model: LoggedModel) -> Self {
        let run_id = model.source_run_id.clone();
        let metric = |metric: Metric| MetricWire {
            run_id: run_id.clone(),
            ..metric.into()
        };
        Self {
            data: LoggedModelDataWire {
                params: all(model.params),
                metrics: model.metrics.into_iter().map(metric).collect(),
            },
            info: LoggedModelInfoWire {
                model_id: model.model_id,
                experiment_id: model.experiment_id.to_string(),
                name: model.name,
                creation_timestamp_ms: Some(model.created_at.as_millis()),
                last_updated_timestamp_ms: Some(model.updated_at.as_millis()),
                artifact_uri: model.artifact_uri,
                status: model.status.as_str().to_owned(),
                model_type: model.model_type,
                // MLflow says "" where there is none.
                source_run_id: Some(model.source_run_id.unwrap_or_default()),
                status_message: model.status_message,
                tags: all(model.tags),
            },
        }
    }
}

impl TryFrom<LoggedModelWire> for LoggedModel {
    type Error = Error;

    fn try_from(wire: LoggedModelWire) -> Result<Self, Error> {
        let info = wire.info;
        Ok(Self {
            experiment_id: info.experiment_id.parse()?,
            model_id: info.model_id,
            name: info.name,
            artifact_uri: info.artifact_uri,
            created_at: millis(info.creation_timestamp_ms),
            updated_at: millis(info.last_updated_timestamp_ms),
            status: LoggedModelStatus::from_name(&info.status).unwrap_or(LoggedModelStatus::Pending),
            status_message: info.status_message,
            model_type: info.model_type,
            source_run_id: info.source_run_id.filter(|run_id| !run_id.is_empty()),
            tags: all(info.tags),
            params: all(wire.data.params),
            metrics: wire
                .data
                .metrics
                .into_iter()
                .map(Metric::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}
