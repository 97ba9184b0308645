//! Runs and what is logged to them, on the wire.

use fragua_base::Timestamp;
use serde::{Deserialize, Serialize};

use super::{KeyValue, all, millis, number};
use crate::Error;
use crate::experiments::LifecycleStage;
use crate::metrics::Metric;
use crate::runs::{Dataset, DatasetInput, ModelOutput, Run, RunInfo, RunStatus};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct MetricWire {
    pub(crate) key: String,
    #[serde(deserialize_with = "number::float", serialize_with = "number::write_float")]
    pub(crate) value: Option<f64>,
    #[serde(deserialize_with = "number::integer")]
    pub(crate) timestamp: Option<i64>,
    #[serde(deserialize_with = "number::integer")]
    pub(crate) step: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dataset_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dataset_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_id: Option<String>,
}

impl From<Metric> for MetricWire {
    fn from(metric: Metric) -> Self {
        Self {
            key: metric.key,
            value: Some(metric.value),
            timestamp: Some(metric.timestamp.as_millis()),
            step: Some(metric.step),
            dataset_name: metric.dataset_name,
            dataset_digest: metric.dataset_digest,
            model_id: metric.model_id,
            run_id: None,
        }
    }
}

impl TryFrom<MetricWire> for Metric {
    type Error = Error;

    fn try_from(wire: MetricWire) -> Result<Self, Error> {
        let missing = |field| Error::invalid(format!("Missing value for required parameter '{field}'."));
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            key: wire.key,
            value: wire.value.ok_or_else(|| missing("value"))?,
            timestamp: Timestamp::from_millis(wire.timestamp.ok_or_else(|| missing("timestamp"))?),
            step: wire.step.unwrap_or(0),
            model_id: present(wire.model_id),
            dataset_name: present(wire.dataset_name),
            dataset_digest: present(wire.dataset_digest),
        })
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunInfoWire {
    pub(crate) run_uuid: String,
    pub(crate) experiment_id: String,
    pub(crate) run_name: String,
    pub(crate) user_id: String,
    pub(crate) status: String,
    #[serde(deserialize_with = "number::integer", skip_serializing_if = "Option::is_none")]
    pub(crate) start_time: Option<i64>,
    #[serde(deserialize_with = "number::integer", skip_serializing_if = "Option::is_none")]
    pub(crate) end_time: Option<i64>,
    pub(crate) artifact_uri: String,
    pub(crate) lifecycle_stage: String,
    pub(crate) run_id: String,
}

impl From<RunInfo> for RunInfoWire {
    fn from(info: RunInfo) -> Self {
        Self {
            run_uuid: info.run_id.clone(),
            experiment_id: info.experiment_id.to_string(),
            run_name: info.run_name,
            user_id: info.user_id,
            status: info.status.as_str().to_owned(),
            start_time: info.start_time.map(Timestamp::as_millis),
            end_time: info.end_time.map(Timestamp::as_millis),
            artifact_uri: info.artifact_uri,
            lifecycle_stage: info.lifecycle_stage.as_str().to_owned(),
            run_id: info.run_id,
        }
    }
}

impl TryFrom<RunInfoWire> for RunInfo {
    type Error = Error;

    fn try_from(wire: RunInfoWire) -> Result<Self, Error> {
        Ok(Self {
            experiment_id: wire.experiment_id.parse()?,
            run_id: if wire.run_id.is_empty() {
                wire.run_uuid
            } else {
                wire.run_id
            },
            run_name: wire.run_name,
            user_id: wire.user_id,
            status: RunStatus::from_name(&wire.status).unwrap_or(RunStatus::Running),
            start_time: wire.start_time.map(Timestamp::from_millis),
            end_time: wire.end_time.filter(|end| *end != 0).map(Timestamp::from_millis),
            lifecycle_stage: LifecycleStage::from_stored(Some(&wire.lifecycle_stage)),
            artifact_uri: wire.artifact_uri,
        })
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunDataWire {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) metrics: Vec<MetricWire>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) params: Vec<KeyValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<KeyValue>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DatasetWire {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) source_type: String,
    pub(crate) source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DatasetInputWire {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<KeyValue>,
    pub(crate) dataset: DatasetWire,
}

impl From<DatasetInput> for DatasetInputWire {
    fn from(input: DatasetInput) -> Self {
        let Dataset {
            name,
            digest,
            source_type,
            source,
            schema,
            profile,
        } = input.dataset;
        Self {
            tags: all(input.tags),
            dataset: DatasetWire {
                name,
                digest,
                source_type,
                source,
                schema,
                profile,
            },
        }
    }
}

impl From<DatasetInputWire> for DatasetInput {
    fn from(wire: DatasetInputWire) -> Self {
        let DatasetWire {
            name,
            digest,
            source_type,
            source,
            schema,
            profile,
        } = wire.dataset;
        Self {
            tags: all(wire.tags),
            dataset: Dataset {
                name,
                digest,
                source_type,
                source,
                schema,
                profile,
            },
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ModelInputWire {
    pub(crate) model_id: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunInputsWire {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dataset_inputs: Vec<DatasetInputWire>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) model_inputs: Vec<ModelInputWire>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ModelOutputWire {
    pub(crate) model_id: String,
    #[serde(deserialize_with = "number::integer")]
    pub(crate) step: Option<i64>,
}

impl From<ModelOutput> for ModelOutputWire {
    fn from(output: ModelOutput) -> Self {
        Self {
            model_id: output.model_id,
            step: Some(output.step),
        }
    }
}

impl From<ModelOutputWire> for ModelOutput {
    fn from(wire: ModelOutputWire) -> Self {
        Self {
            model_id: wire.model_id,
            step: wire.step.unwrap_or(0),
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunOutputsWire {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) model_outputs: Vec<ModelOutputWire>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunWire {
    pub(crate) info: RunInfoWire,
    pub(crate) data: RunDataWire,
    pub(crate) inputs: RunInputsWire,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outputs: Option<RunOutputsWire>,
}

impl From<Run> for RunWire {
    fn from(run: Run) -> Self {
        let outputs = RunOutputsWire {
            model_outputs: all(run.model_outputs),
        };
        Self {
            info: run.info.into(),
            data: RunDataWire {
                metrics: all(run.metrics),
                params: all(run.params),
                tags: all(run.tags),
            },
            inputs: RunInputsWire {
                dataset_inputs: all(run.dataset_inputs),
                model_inputs: run
                    .model_inputs
                    .into_iter()
                    .map(|model_id| ModelInputWire { model_id })
                    .collect(),
            },
            outputs: Some(outputs),
        }
    }
}

impl TryFrom<RunWire> for Run {
    type Error = Error;

    fn try_from(wire: RunWire) -> Result<Self, Error> {
        let metrics = wire.data.metrics.into_iter().map(|metric| Metric {
            key: metric.key,
            value: metric.value.unwrap_or(0.0),
            timestamp: millis(metric.timestamp),
            step: metric.step.unwrap_or(0),
            model_id: metric.model_id,
            dataset_name: metric.dataset_name,
            dataset_digest: metric.dataset_digest,
        });
        Ok(Self {
            info: wire.info.try_into()?,
            metrics: metrics.collect(),
            params: all(wire.data.params),
            tags: all(wire.data.tags),
            dataset_inputs: all(wire.inputs.dataset_inputs),
            model_inputs: wire
                .inputs
                .model_inputs
                .into_iter()
                .map(|input| input.model_id)
                .collect(),
            model_outputs: all(wire.outputs.unwrap_or_default().model_outputs),
        })
    }
}
