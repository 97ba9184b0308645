//! From a request back to the rows that its answer was learned from.

use fragua_tracking::{Run, Tag};
use serde::Serialize;
use serde_json::Value;

use crate::source::SourceError;
use crate::{Error, RequestId, Serving};

/// Where an answer comes from. A part is missing where nobody noted it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lineage {
    /// The request.
    pub request_id: String,
    /// The registered model that answered.
    pub model: String,
    /// Its version.
    pub version: String,
    /// The run that trained it.
    pub run_id: Option<String>,
    /// The task that made the run.
    pub dag_run: Option<DagRunOrigin>,
    /// The data sets that the run read.
    pub datasets: Vec<DatasetOrigin>,
}

/// A task of a DAG run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DagRunOrigin {
    /// The DAG.
    pub dag_id: String,
    /// The DAG run.
    pub dag_run_id: String,
    /// The task.
    pub task_id: Option<String>,
}

/// A data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetOrigin {
    /// Its name.
    pub name: String,
    /// A digest of its content.
    pub digest: String,
    /// What it was read for, such as `training`.
    pub context: Option<String>,
    /// Its size and other figures.
    pub profile: Value,
    /// Where it is: for tables that a DAG loaded with each batch, the DAG run that loaded it and what its source said.
    pub source: Value,
}

impl Serving {
    /// Returns where the answer of a request comes from.
    ///
    /// # Errors
    /// `UnknownModel` when the request is not in the log; `Unreachable` when database or registry do not answer.
    pub async fn lineage(&self, request_id: &RequestId) -> Result<Lineage, Error> {
        let log = self.kept_log()?;
        let rows = log.prediction(request_id).await?;
        let Some(answered) = rows.into_iter().find(|logged| logged.role != "shadow") else {
            let reason = format!(
                "the request {request_id} is not in the log: it was left out of the sample, is too old, or was answered \
                 by another process less than a second ago"
            );
            return Err(Error::UnknownModel { reason });
        };
        let run = match &answered.run_id {
            None => None,
            Some(run_id) => match self.inner.source.run(run_id).await {
                Ok(run) => Some(run),
                // A run that was deleted for good leaves the rest.
                Err(SourceError::NotFound(_)) => None,
                Err(error) => {
                    return Err(Error::Unreachable {
                        reason: format!("the registry does not tell about the run {run_id}: {error}"),
                    });
                }
            },
        };
        Ok(Lineage {
            request_id: answered.request_id,
            model: answered.model,
            version: answered.version,
            run_id: answered.run_id,
            dag_run: run.as_ref().and_then(dag_run),
            datasets: run.map(datasets).unwrap_or_default(),
        })
    }
}

fn dag_run(run: &Run) -> Option<DagRunOrigin> {
    let tag = |key: &str| run.tag(key).map(str::to_owned);
    Some(DagRunOrigin {
        dag_id: tag("fragua.dag_id")?,
        dag_run_id: tag("fragua.dag_run_id")?,
        task_id: tag("fragua.task_id"),
    })
}

fn datasets(run: Run) -> Vec<DatasetOrigin> {
    let parsed = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
    let context = |tags: Vec<Tag>| tags.into_iter().find(|tag| tag.key == "mlflow.data.context");
    let inputs = run.dataset_inputs.into_iter().map(|input| DatasetOrigin {
        name: input.dataset.name,
        digest: input.dataset.digest,
        context: context(input.tags).map(|tag| tag.value),
        profile: input.dataset.profile.map_or(Value::Null, parsed),
        source: parsed(input.dataset.source),
    });
    inputs.collect()
}
