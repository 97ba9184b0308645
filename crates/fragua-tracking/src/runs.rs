//! Runs: what one training did, with what, and how well.

use std::collections::{HashMap, HashSet};
use std::fmt;

use fragua_base::{Page, Timestamp, random_hex};
use fragua_database::Connection;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::experiments::{ExperimentId, LifecycleStage, active};
use crate::metrics::Metric;
use crate::validation::{self, limits};
use crate::{Change, Error, Query, Tracking, names, search, store};

pub(crate) const RUN_NAME_TAG: &str = "mlflow.runName";
pub(crate) const PARENT_RUN_TAG: &str = "mlflow.parentRunId";
const MODEL_HISTORY_TAG: &str = "mlflow.log-model.history";

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// At work.
    Running,
    /// Waiting to start.
    Scheduled,
    /// Ended well.
    Finished,
    /// Ended badly.
    Failed,
    /// Stopped from outside.
    Killed,
}

impl RunStatus {
    /// Returns the name in the protocol, such as `RUNNING`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    /// Returns the status with this name, or `None`.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Running,
            Self::Scheduled,
            Self::Finished,
            Self::Failed,
            Self::Killed,
        ]
        .into_iter()
        .find(|status| status.as_str() == name)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A key with a text that can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Tag {
    /// Makes a tag.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

/// A key with a text that never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Param {
    /// Makes a parameter.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

/// What is known of a run besides its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInfo {
    /// 32 hexadecimal digits.
    pub run_id: String,
    /// Its name; not unique.
    pub run_name: String,
    /// The experiment it belongs to.
    pub experiment_id: ExperimentId,
    /// Who made it, as the client said.
    pub user_id: String,
    /// Its state.
    pub status: RunStatus,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Whether it is deleted.
    pub lifecycle_stage: LifecycleStage,
    /// Where its artifacts are, for example `mlflow-artifacts:/3/RUN/artifacts`.
    pub artifact_uri: String,
}

/// Rows that a run read: identified by experiment, name and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// A digest of its content.
    pub digest: String,
    /// The kind of source, such as `http` or `code`.
    pub source_type: String,
    /// Where it came from; for most types a JSON text.
    pub source: String,
    /// Its columns as JSON.
    pub schema: Option<String>,
    /// Its figures as JSON, such as the number of rows.
    pub profile: Option<String>,
}

/// A data set as an input of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetInput {
    /// The data set.
    pub dataset: Dataset,
    /// Its role: `mlflow.data.context` is `training`, `testing`, ….
    pub tags: Vec<Tag>,
}

/// A model that a run made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOutput {
    /// The logged model.
    pub model_id: String,
    /// The step of training.
    pub step: i64,
}

/// A run with its data: the latest value of each metric, parameters, tags, inputs and outputs, each by key.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What it is.
    pub info: RunInfo,
    /// The latest value of each metric.
    pub metrics: Vec<Metric>,
    /// Parameters.
    pub params: Vec<Param>,
    /// Tags.
    pub tags: Vec<Tag>,
    /// The data sets it read.
    pub dataset_inputs: Vec<DatasetInput>,
    /// The logged models it read.
    pub model_inputs: Vec<String>,
    /// The models it made.
    pub model_outputs: Vec<ModelOutput>,
}

impl Run {
    /// Returns the value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags
            .iter()
            .find(|tag| tag.key == key)
            .map(|tag| tag.value.as_str())
    }

    /// Returns the value of a parameter.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|param| param.key == key)
            .map(|param| param.value.as_str())
    }

    /// Returns the latest value of a metric.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.metrics
            .iter()
            .find(|metric| metric.key == key)
            .map(|metric| metric.value)
    }

    /// Returns the id of the run this one is a part of.
    pub fn parent_run_id(&self) -> Option<&str> {
        self.tag(PARENT_RUN_TAG)
    }
}

/// A run to make.
#[derive(Debug, Clone, Default)]
pub struct NewRun {
    /// The experiment; `None` for the default one.
    pub experiment_id: Option<ExperimentId>,
    /// Its name; one is invented when there is none.
    pub run_name: Option<String>,
    /// Who makes it.
    pub user_id: Option<String>,
    /// When it started; `None` for now.
    pub start_time: Option<Timestamp>,
    /// Its first tags.
    pub tags: Vec<Tag>,
}

/// What to change of a run; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default)]
pub struct RunUpdate {
    /// The state.
    pub status: Option<RunStatus>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Its name.
    pub run_name: Option<String>,
}

/// What is logged to a run in one go, in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Values of metrics.
    pub metrics: Vec<Metric>,
    /// Parameters; one that exists with another value refuses the whole batch.
    pub params: Vec<Param>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// What counts as a few: more than a step of a training logs, less than what fills a statement.
const A_FEW: usize = 50;

impl Batch {
    /// Whether writing this takes a while.
    fn is_long(&self) -> bool {
        self.metrics.len() + self.params.len() + self.tags.len() > A_FEW
    }

    /// Whether this is what a training loop logs at each step, and nothing that has to be checked against the run.
    fn is_a_few_metrics(&self) -> bool {
        let has_no_model = |metric: &Metric| metric.model_id.is_none();
        self.params.is_empty()
            && self.tags.is_empty()
            && (1..=A_FEW).contains(&self.metrics.len())
            && self.metrics.iter().all(has_no_model)
    }
}

impl Tracking {
    /// Makes a run that is running.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the experiment; [`Error::InvalidParameter`] when it is deleted, for a bad tag, or
    /// for a name that contradicts the tag `mlflow.runName`.
    pub async fn create_run(&self, new: NewRun) -> Result<Run, Error> {
        let experiment_id = new.experiment_id.unwrap_or(ExperimentId(0));
        let mut tags = Vec::with_capacity(new.tags.len() + 1);
        for tag in new.tags {
            tags.push(validation::run_tag(tag)?);
        }
        let named = tags
            .iter()
            .find(|tag| tag.key == RUN_NAME_TAG)
            .map(|tag| tag.value.clone());
        let given = new.run_name.filter(|name| !name.is_empty());
        let run_name = match (given, named.clone()) {
            (Some(given), Some(named)) if given != named => {
                return Err(Error::invalid(format!(
                    "Both 'run_name' argument and '{RUN_NAME_TAG}' tag are specified, but with different values \
                     (run_name='{}', {RUN_NAME_TAG}='{}').",
                    validation::shorten(&given),
                    validation::shorten(&named)
                )));
            }
            (Some(given), _) => given,
            (None, Some(named)) => named,
            (None, None) => names::invent(),
        };
        validation::run_name(&run_name)?;
        if named.is_none() {
            tags.push(Tag::new(RUN_NAME_TAG, run_name.clone()));
        }
        if let Some(start_time) = new.start_time {
            validation::timestamp("start_time", start_time)?;
        }
        let now = self.now();
        let write = self.database().write_briefly(move |connection| {
            Box::pin(async move {
                let experiment = store::experiments::find_without_tags(connection, experiment_id)
                    .await?
                    .ok_or_else(|| {
                        Error::not_found(format!("No Experiment with id={experiment_id} exists"))
                    })?;
                let experiment = active(experiment)?;
                let run_id = random_hex(16);
                let info = RunInfo {
                    artifact_uri: format!(
                        "{}/{run_id}/artifacts",
                        experiment.artifact_location.trim_end_matches('/')
                    ),
                    run_id,
                    run_name,
                    experiment_id,
                    user_id: new.user_id.unwrap_or_default(),
                    status: RunStatus::Running,
                    start_time: Some(new.start_time.unwrap_or(now)),
                    end_time: None,
                    lifecycle_stage: LifecycleStage::Active,
                };
                store::runs::insert(connection, &info).await?;
                store::runs::upsert_tags(connection, &info.run_id, &tags).await?;
                Ok::<_, Error>((info, tags))
            })
        });
        let (info, mut tags) = write.await?;
        self.tell_of_run(&info.run_id);
        tags.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(Run {
            info,
            metrics: Vec::new(),
            params: Vec::new(),
            tags,
            dataset_inputs: Vec::new(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        })
    }

    /// Returns a run with its data, deleted ones too.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn run(&self, run_id: &str) -> Result<Run, Error> {
        let (id, family) = (run_id.to_owned(), self.family());
        let read = self.database().read(move |connection| {
            Box::pin(async move {
                let found = store::runs::find(connection, &id).await?;
                let mut runs =
                    store::runs::with_data(connection, family, found.into_iter().collect()).await?;
                runs.pop().ok_or_else(|| run_missing(&id))
            })
        });
        read.await
    }

    /// Returns a run without its data, deleted ones too.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn run_info(&self, run_id: &str) -> Result<RunInfo, Error> {
        store::runs::find(self.database().reader(), run_id)
            .await?
            .ok_or_else(|| run_missing(run_id))
    }

    /// Returns the runs of some experiments that match, with their data.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a filter, order or page token that cannot be read.
    pub async fn search_runs(&self, experiments: &[ExperimentId], query: &Query) -> Result<Page<Run>, Error> {
        let plan = search::plan(&search::targets::RUNS, query, limits::RUNS_PER_PAGE)?;
        if experiments.is_empty() {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        let (engine, family) = (self.database().engine(), self.family());
        let (experiments, view) = (experiments.to_vec(), query.view);
        let read = self.database().read(move |connection| {
            Box::pin(async move {
                let page = store::runs::search(connection, engine, &experiments, &plan, view).await?;
                Ok(Page {
                    items: store::runs::with_data(connection, family, page.items).await?,
                    next: page.next,
                })
            })
        });
        read.await
    }

    /// Returns the active runs that name this one as their parent, oldest first, with their data.
    ///
    /// # Errors
    /// The database's own.
    pub async fn child_runs(&self, run_id: &str) -> Result<Vec<Run>, Error> {
        let (id, family) = (run_id.to_owned(), self.family());
        let read = self.database().read(move |connection| {
            Box::pin(async move {
                let children = store::runs::find_children(connection, &id, limits::CHILD_RUNS).await?;
                Ok(store::runs::with_data(connection, family, children).await?)
            })
        });
        read.await
    }

    /// Changes state, end or name of a run.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidParameter`] when it is deleted.
    pub async fn update_run(&self, run_id: &str, update: RunUpdate) -> Result<RunInfo, Error> {
        if let Some(name) = &update.run_name {
            validation::run_name(name)?;
        }
        self.write_run(run_id, move |connection, mut info| {
            Box::pin(async move {
                if let Some(status) = update.status {
                    info.status = status;
                }
                if update.end_time.is_some() {
                    info.end_time = update.end_time;
                }
                if let Some(name) = update.run_name.filter(|name| !name.is_empty()) {
                    let tag = Tag::new(RUN_NAME_TAG, name.clone());
                    store::runs::upsert_tags(connection, &info.run_id, &[tag]).await?;
                    info.run_name = name;
                }
                store::runs::update(connection, &info).await?;
                Ok(info)
            })
        })
        .await
    }

    /// Deletes a run; it can be restored. Deleting a deleted run changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_run(&self, run_id: &str) -> Result<(), Error> {
        self.delete_runs(&[run_id]).await
    }

    /// Deletes runs: all of them or none. They can be restored.
    ///
    /// # Errors
    /// [`Error::NotFound`] when one does not exist.
    pub async fn delete_runs(&self, run_ids: &[&str]) -> Result<(), Error> {
        self.set_lifecycle_of_runs(run_ids, LifecycleStage::Deleted).await
    }

    /// Restores a deleted run. Restoring an active run changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn restore_run(&self, run_id: &str) -> Result<(), Error> {
        self.restore_runs(&[run_id]).await
    }

    /// Restores deleted runs: all of them or none.
    ///
    /// # Errors
    /// [`Error::NotFound`] when one does not exist.
    pub async fn restore_runs(&self, run_ids: &[&str]) -> Result<(), Error> {
        self.set_lifecycle_of_runs(run_ids, LifecycleStage::Active).await
    }

    async fn set_lifecycle_of_runs(&self, run_ids: &[&str], to: LifecycleStage) -> Result<(), Error> {
        let now = self.now();
        self.write_runs(run_ids, move |connection, stages| {
            Box::pin(async move {
                let others = stages.iter().filter(|(_, stage)| **stage != to);
                let ids: Vec<&str> = others.map(|(run_id, _)| run_id.as_str()).collect();
                Ok(store::runs::set_lifecycle(connection, &ids, to, now).await?)
            })
        })
        .await
    }

    /// Sets a tag of runs: of all of them or of none.
    ///
    /// # Errors
    /// [`Error::NotFound`] when one does not exist; [`Error::InvalidParameter`] when one is deleted, for a bad tag, and
    /// for the name of a run, which [`Tracking::update_run`] changes.
    pub async fn tag_runs(&self, run_ids: &[&str], tag: Tag) -> Result<(), Error> {
        let tag = validation::run_tag(tag)?;
        if tag.key == RUN_NAME_TAG {
            return Err(Error::invalid(format!(
                "The tag {RUN_NAME_TAG} is the name of one run"
            )));
        }
        self.write_runs(run_ids, move |connection, stages| {
            Box::pin(async move {
                if let Some((run_id, _)) = stages
                    .iter()
                    .find(|(_, stage)| **stage == LifecycleStage::Deleted)
                {
                    return Err(run_deleted(run_id));
                }
                let ids: Vec<&str> = stages.keys().map(String::as_str).collect();
                Ok(store::runs::tag_all(connection, &ids, &tag).await?)
            })
        })
        .await
    }

    /// Logs metrics, parameters and tags in one transaction: all of it or nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidParameter`] when the run is deleted, a key or value is bad, the batch is
    /// over its limits, or a parameter exists with another value.
    pub async fn log_batch(&self, run_id: &str, batch: Batch) -> Result<(), Error> {
        let batch = validation::batch(batch)?;
        if batch.is_a_few_metrics() {
            return self.log_in_line(run_id, batch.metrics).await;
        }
        let (family, is_long) = (self.family(), batch.is_long());
        let write = of_active_run(run_id, move |connection, info| {
            Box::pin(async move {
                let run_id = &info.run_id;
                store::params::insert(connection, run_id, &batch.params).await?;
                let metrics: Vec<_> = batch
                    .metrics
                    .iter()
                    .map(|metric| (run_id.as_str(), metric))
                    .collect();
                store::metrics::insert(connection, &metrics).await?;
                store::logged_models::insert_metrics(&family.on(connection), &info, &batch.metrics).await?;
                store::runs::upsert_tags(connection, run_id, &batch.tags).await?;
                if let Some(tag) = batch.tags.iter().rev().find(|tag| tag.key == RUN_NAME_TAG) {
                    validation::run_name(&tag.value)?;
                    let run_name = tag.value.clone();
                    store::runs::update(connection, &RunInfo { run_name, ..info }).await?;
                }
                Ok(())
            })
        });
        if is_long {
            self.database().write(write).await?;
        } else {
            self.database().write_briefly(write).await?;
        }
        self.tell_of_run(run_id);
        Ok(())
    }

    /// Notes a model in the history that clients before 3.0 keep in a tag of the run. A tag holds so much: where the
    /// history outgrows it, the oldest models leave.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidParameter`] when the run is deleted, or for a model too large for a tag.
    pub(crate) async fn note_model(&self, run_id: &str, model: Value) -> Result<(), Error> {
        self.write_run(run_id, move |connection, info| {
            Box::pin(async move {
                let before = store::runs::tag_value(connection, &info.run_id, MODEL_HISTORY_TAG).await?;
                let history = model_history(before.as_deref(), model)?;
                let tag = Tag::new(MODEL_HISTORY_TAG, history);
                Ok(store::runs::upsert_tags(connection, &info.run_id, &[tag]).await?)
            })
        })
        .await
    }

    /// Removes a tag of a run.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the run or the tag does not exist.
    pub async fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), Error> {
        let key = key.to_owned();
        self.write_run(run_id, move |connection, info| {
            Box::pin(async move {
                if store::runs::delete_tag(connection, &info.run_id, &key).await? {
                    return Ok(());
                }
                Err(Error::not_found(format!(
                    "No tag with name: {} in run with id {}",
                    validation::shorten(&key),
                    info.run_id
                )))
            })
        })
        .await
    }

    /// Records what a run read: data sets with their role, and logged models.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidParameter`] for a deleted run or a data set over the limits.
    pub async fn log_inputs(
        &self,
        run_id: &str,
        datasets: Vec<DatasetInput>,
        models: Vec<String>,
    ) -> Result<(), Error> {
        validation::dataset_inputs(&datasets)?;
        let family = self.family();
        self.write_run(run_id, move |connection, info| {
            Box::pin(async move {
                store::inputs::insert_datasets(connection, &info, &datasets).await?;
                let mut seen = HashSet::new();
                for model_id in models.iter().filter(|model_id| seen.insert(model_id.as_str())) {
                    store::inputs::insert_model_input(&family.on(connection), &info.run_id, model_id).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Records the models that a run made.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidParameter`] for a deleted run.
    pub async fn log_outputs(&self, run_id: &str, outputs: &[ModelOutput]) -> Result<(), Error> {
        let (family, outputs) = (self.family(), outputs.to_vec());
        self.write_run(run_id, move |connection, info| {
            Box::pin(async move {
                Ok(store::inputs::insert_outputs(&family.on(connection), &info.run_id, &outputs).await?)
            })
        })
        .await
    }

    /// Changes runs that exist, in one transaction that holds their rows, and tells of them.
    async fn write_runs<W>(&self, run_ids: &[&str], work: W) -> Result<(), Error>
    where
        W: for<'t> FnOnce(
                &'t Connection<'t>,
                HashMap<String, LifecycleStage>,
            ) -> BoxFuture<'t, Result<(), Error>>
            + Send
            + 'static,
    {
        let ids: Vec<String> = run_ids.iter().map(|id| (*id).to_owned()).collect();
        let write = self.database().write(move |connection| {
            Box::pin(async move {
                let wanted: Vec<&str> = ids.iter().map(String::as_str).collect();
                let stages = store::runs::lock_stages(connection, &wanted).await?;
                if let Some(missing) = wanted.into_iter().find(|id| !stages.contains_key(*id)) {
                    return Err(run_missing(missing));
                }
                work(connection, stages).await
            })
        });
        write.await?;
        for run_id in run_ids {
            self.tell_of_run(run_id);
        }
        Ok(())
    }

    /// Changes a few rows of an active run and tells of it.
    async fn write_run<T, W>(&self, run_id: &str, work: W) -> Result<T, Error>
    where
        W: for<'c> FnOnce(&'c Connection<'c>, RunInfo) -> BoxFuture<'c, Result<T, Error>> + Send + 'static,
        T: Send + 'static,
    {
        let write = of_active_run(run_id, work);
        let value = self.database().write_briefly(write).await?;
        self.tell_of_run(run_id);
        Ok(value)
    }

    fn tell_of_run(&self, run_id: &str) {
        self.tell(Change::RunChanged {
            run_id: run_id.to_owned(),
        });
    }
}

/// Returns work on an active run. The run's row is held meanwhile, so that what is logged to one run happens one after
/// the other and no two writers wait for each other in a circle.
fn of_active_run<T, W>(
    run_id: &str,
    work: W,
) -> impl for<'c> FnOnce(&'c Connection<'c>) -> BoxFuture<'c, Result<T, Error>> + Send + 'static
where
    W: for<'c> FnOnce(&'c Connection<'c>, RunInfo) -> BoxFuture<'c, Result<T, Error>> + Send + 'static,
    T: Send + 'static,
{
    let id = run_id.to_owned();
    move |connection| {
        Box::pin(async move {
            let info = store::runs::lock(connection, &id)
                .await?
                .ok_or_else(|| run_missing(&id))?;
            if info.lifecycle_stage == LifecycleStage::Deleted {
                return Err(run_deleted(&id));
            }
            work(connection, info).await
        })
    }
}

/// Returns a history of models with one more. What of a model is kept is what MLflow keeps: where and when it was logged
/// and its flavors without their configuration.
fn model_history(before: Option<&str>, model: Value) -> Result<String, Error> {
    let mut history: Vec<Value> = before
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    history.push(model_in_history(model));
    while !history.is_empty() {
        let text = serde_json::json!(history).to_string();
        if text.chars().count() <= limits::RUN_TAG_VALUE {
            return Ok(text);
        }
        history.remove(0);
    }
    Err(Error::invalid(format!(
        "The model is too large for the tag {MODEL_HISTORY_TAG}, which holds {} characters",
        limits::RUN_TAG_VALUE
    )))
}

fn model_in_history(model: Value) -> Value {
    let Value::Object(mut model) = model else {
        return model;
    };
    model.retain(|key, _| {
        [
            "run_id",
            "utc_time_created",
            "artifact_path",
            "model_uuid",
            "flavors",
        ]
        .contains(&key.as_str())
    });
    if let Some(Value::Object(flavors)) = model.get_mut("flavors") {
        for flavor in flavors.values_mut().filter_map(Value::as_object_mut) {
            flavor.remove("config");
        }
    }
    Value::Object(model)
}

pub(crate) fn run_deleted(run_id: &str) -> Error {
    Error::invalid(format!(
        "The run {run_id} must be in the 'active' state. Current state is deleted."
    ))
}

pub(crate) fn run_missing(run_id: &str) -> Error {
    Error::not_found(format!("Run with id={} not found", validation::shorten(run_id)))
}
