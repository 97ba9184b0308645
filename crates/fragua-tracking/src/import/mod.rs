//! Takes a file store, the folder `mlruns/` that MLflow wrote before it had databases, into the database.
//!
//! Reading blocks its task: imports are made by a command that does nothing else.
//!
//! A run is one transaction, and so is a logged model and a registered model with its versions: an import that was cut
//! short is finished by the next one. What is there already stays as it is and gets what it lacks: what could not be
//! read the last time, or came to the folder since. Files are copied before the rows that name them.

mod artifacts;
mod read;
mod registry;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use fragua_base::Timestamp;
use sea_orm::DatabaseTransaction;

pub use self::artifacts::{ArtifactImportReport, ArtifactImportRequest};
use self::read::{ExperimentMeta, FileLoggedModel, FileRun, Reader};
use crate::experiments::{Experiment, ExperimentId, LifecycleStage};
use crate::logged_models::{LoggedModel, LoggedModelStatus};
use crate::metrics::Metric;
use crate::runs::{Param, RUN_NAME_TAG, RunInfo, RunStatus, Tag};
use crate::{Error, Tracking, store, validation};

/// What to import, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRequest {
    /// The file store.
    pub folder: PathBuf,
    /// Whether files are copied into the object store; otherwise the runs go on naming them where they are.
    pub copy_artifacts: bool,
    /// Whether everything is read and nothing written.
    pub dry_run: bool,
}

/// What an import did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// How many experiments were made.
    pub experiments: u64,
    /// How many runs were added.
    pub runs: u64,
    /// How many values of metrics were added, to runs that were there too.
    pub metrics: u64,
    /// How many parameters.
    pub params: u64,
    /// How many tags.
    pub tags: u64,
    /// How many logged models were added.
    pub logged_models: u64,
    /// How many registered models were added.
    pub models: u64,
    /// How many versions, of models that were there too.
    pub versions: u64,
    /// How many aliases.
    pub aliases: u64,
    /// How many files were copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many runs and models were there before.
    pub already_there: u64,
    /// What was passed over.
    pub skipped: Vec<Skipped>,
}

/// Something that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file, from the imported folder on.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
    /// Why.
    pub reason: String,
}

impl Tracking {
    /// Imports a file store. `progress` is told of each run and model: how many of how many are done.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when the folder is no file store; those of the database and the object store. What
    /// was imported before an error stays, and another import goes on from there.
    pub async fn import(
        &self,
        request: &ImportRequest,
        progress: impl FnMut(usize, usize) + Send,
    ) -> Result<ImportReport, Error> {
        let mut reader = Reader::new(&request.folder);
        let experiments = reader.experiments();
        let models = reader.models(&request.folder);
        if experiments.is_empty() && models.is_empty() {
            return Err(Error::invalid(format!(
                "{} is no file store of MLflow: none of its folders has a meta.yaml. Name the folder `mlruns` itself",
                request.folder.display()
            )));
        }
        // Counting notes again what reading notes.
        let noted = reader.skipped.len();
        let total = experiments
            .iter()
            .map(|folder| reader.runs(folder).len() + reader.models(folder).len())
            .sum::<usize>();
        reader.skipped.truncate(noted);
        let mut import = Import {
            tracking: self,
            request,
            reader,
            report: ImportReport::default(),
            moved: HashMap::new(),
            progress,
            done: 0,
            total: total + models.len(),
        };
        for folder in experiments {
            import.experiment(&folder).await?;
        }
        for folder in models {
            import.model(&folder).await?;
            import.step();
        }
        Ok(ImportReport {
            skipped: import.reader.skipped,
            ..import.report
        })
    }
}

struct Import<'a, P> {
    tracking: &'a Tracking,
    request: &'a ImportRequest,
    reader: Reader,
    report: ImportReport,
    /// Artifact URIs of before and after, for the versions that name them.
    moved: HashMap<String, String>,
    progress: P,
    done: usize,
    total: usize,
}

fn stage(text: &str) -> LifecycleStage {
    LifecycleStage::from_stored(Some(text))
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn run_status(number: u8) -> Option<RunStatus> {
    Some(match number {
        1 => RunStatus::Running,
        2 => RunStatus::Scheduled,
        3 => RunStatus::Finished,
        4 => RunStatus::Failed,
        5 => RunStatus::Killed,
        _ => return None,
    })
}

/// What makes two values of one metric the same, in a form that can be hashed.
fn point(metric: &Metric) -> (i64, i64, u64) {
    // Databases keep one of the many ways to write that there is no number, and may drop the sign of zero.
    let value = match metric.value.is_nan() {
        true => f64::NAN,
        false => metric.value + 0.0,
    };
    (metric.timestamp.as_millis(), metric.step, value.to_bits())
}

async fn add_values(
    transaction: &DatabaseTransaction,
    run_id: &str,
    params: &[Param],
    metrics: impl IntoIterator<Item = &Metric>,
    tags: &[Tag],
) -> Result<(), Error> {
    for some in params.chunks(validation::limits::PARAMS_PER_BATCH) {
        store::params::insert(transaction, run_id, some).await?;
    }
    let metrics: Vec<_> = metrics.into_iter().map(|metric| (run_id, metric)).collect();
    store::metrics::insert(transaction, &metrics).await?;
    for some in tags.chunks(validation::limits::TAGS_PER_BATCH) {
        store::runs::upsert_tags(transaction, run_id, some).await?;
    }
    Ok(())
}

impl<P: FnMut(usize, usize) + Send> Import<'_, P> {
    fn step(&mut self) {
        self.done += 1;
        (self.progress)(self.done, self.total);
    }

    async fn experiment(&mut self, folder: &Path) -> Result<(), Error> {
        let (runs, models) = (self.reader.runs(folder), self.reader.models(folder));
        let Some((meta, tags)) = self.reader.experiment(folder) else {
            for _ in runs.iter().chain(&models) {
                self.step();
            }
            return Ok(());
        };
        let experiment = self.find_or_make(&meta, tags).await?;
        for folder in runs {
            if let Some(run) = self.reader.run(&folder) {
                self.run(&experiment, run).await?;
            }
            self.step();
        }
        // After the runs that they name.
        for folder in models {
            if let Some(model) = self.reader.logged_model(&folder) {
                self.logged_model(&experiment, model).await?;
            }
            self.step();
        }
        Ok(())
    }

    /// Experiments are the same by name: the numbers of a file store are longer than those of a database.
    async fn find_or_make(&mut self, meta: &ExperimentMeta, tags: Vec<Tag>) -> Result<Experiment, Error> {
        let database = self.tracking.database();
        let created = meta.creation_time.map_or_else(|| self.tracking.now(), time);
        if let Some(found) = store::experiments::find_by_name(database.reader(), &meta.name).await? {
            return Ok(found);
        }
        self.report.experiments += 1;
        self.report.tags += tags.len() as u64;
        let mut made = Experiment {
            id: ExperimentId(-1),
            name: meta.name.clone(),
            artifact_location: "mlflow-artifacts:/new".to_owned(),
            lifecycle_stage: stage(&meta.lifecycle_stage),
            created_at: created,
            updated_at: meta.last_update_time.map_or(created, time),
            tags,
        };
        if self.request.dry_run {
            return Ok(made);
        }
        let transaction = database.begin().await?;
        made.id = store::experiments::insert(&transaction, &made.name, created).await?;
        made.artifact_location = format!("mlflow-artifacts:/{}", made.id);
        store::experiments::set_location(&transaction, made.id, &made.artifact_location).await?;
        store::experiments::upsert_tags(&transaction, made.id, &made.tags).await?;
        store::experiments::set_lifecycle(&transaction, made.id, made.lifecycle_stage, made.updated_at)
            .await?;
        transaction.commit().await?;
        Ok(made)
    }

    async fn run(&mut self, experiment: &Experiment, run: FileRun) -> Result<(), Error> {
        let database = self.tracking.database();
        let meta = &run.meta;
        if let Some(found) = store::runs::find(database.reader(), &meta.run_id).await? {
            self.report.already_there += 1;
            self.moved
                .insert(meta.artifact_uri.clone(), found.artifact_uri.clone());
            return self.complete(found, &run).await;
        }
        let own = format!(
            "{}/{}/artifacts",
            experiment.artifact_location.trim_end_matches('/'),
            meta.run_id
        );
        let files = run.folder.join("artifacts");
        let artifact_uri = self.copy(&files, &meta.artifact_uri, own, 200).await?;
        let name = run.tags.iter().find(|tag| tag.key == RUN_NAME_TAG);
        let name = name.map(|tag| tag.value.clone());
        let mut tags = run.tags.clone();
        let run_name = name
            .or_else(|| meta.run_name.clone())
            .or_else(|| meta.name.clone())
            .unwrap_or_default();
        if !run_name.is_empty() && !tags.iter().any(|tag| tag.key == RUN_NAME_TAG) {
            tags.push(Tag::new(RUN_NAME_TAG, run_name.as_str()));
        }
        let Some(status) = run_status(meta.status) else {
            let path = run.folder.join("meta.yaml");
            self.reader
                .skip(&path, None, "the status is none that MLflow has");
            return Ok(());
        };
        let info = RunInfo {
            run_id: meta.run_id.clone(),
            run_name: run_name.chars().take(250).collect(),
            experiment_id: experiment.id,
            user_id: meta.user_id.clone().unwrap_or_default(),
            status,
            start_time: meta.start_time.map(time),
            end_time: meta.end_time.map(time),
            lifecycle_stage: stage(&meta.lifecycle_stage),
            artifact_uri,
        };
        self.report.runs += 1;
        self.report.metrics += run.metrics.len() as u64;
        self.report.params += run.params.len() as u64;
        self.report.tags += tags.len() as u64;
        if self.request.dry_run {
            return Ok(());
        }
        let family = self.tracking.family();
        let transaction = database.begin().await?;
        store::runs::insert(&transaction, &info).await?;
        add_values(&transaction, &info.run_id, &run.params, &run.metrics, &tags).await?;
        store::inputs::insert_datasets(&transaction, &info, &run.datasets).await?;
        for model_id in &run.models {
            store::inputs::insert_model_input(&family.on(&transaction), &info.run_id, model_id).await?;
        }
        store::inputs::insert_outputs(&family.on(&transaction), &info.run_id, &run.outputs).await?;
        if info.lifecycle_stage == LifecycleStage::Deleted {
            let deleted = meta.deleted_time.map_or_else(|| self.tracking.now(), time);
            store::runs::set_lifecycle(&transaction, &[&info.run_id], LifecycleStage::Deleted, deleted)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Brings the metric values, parameters and tags that a run lacks. Those that it has stay as they are.
    async fn complete(&mut self, info: RunInfo, run: &FileRun) -> Result<(), Error> {
        let (database, family) = (self.tracking.database(), self.tracking.family());
        let reader = database.reader();
        let mut metrics = Vec::new();
        for key in run
            .metrics
            .iter()
            .map(|metric| &metric.key)
            .collect::<BTreeSet<_>>()
        {
            let there = store::metrics::history(reader, &info.run_id, key, u64::from(u32::MAX), 0).await?;
            let there: HashSet<_> = there.items.iter().map(point).collect();
            let of_key = run.metrics.iter().filter(|metric| metric.key == *key);
            metrics.extend(of_key.filter(|metric| !there.contains(&point(metric))));
        }
        let Some(there) = store::runs::with_data(reader, family, vec![info]).await?.pop() else {
            return Ok(());
        };
        let lacks_param = |param: &&Param| there.param(&param.key).is_none();
        let lacks_tag = |tag: &&Tag| there.tag(&tag.key).is_none();
        let params: Vec<_> = run.params.iter().filter(lacks_param).cloned().collect();
        let tags: Vec<_> = run.tags.iter().filter(lacks_tag).cloned().collect();
        self.report.metrics += metrics.len() as u64;
        self.report.params += params.len() as u64;
        self.report.tags += tags.len() as u64;
        if self.request.dry_run || (metrics.is_empty() && params.is_empty() && tags.is_empty()) {
            return Ok(());
        }
        let run_id = there.info.run_id.as_str();
        let transaction = database.begin().await?;
        store::runs::lock(&transaction, run_id).await?;
        add_values(&transaction, run_id, &params, metrics, &tags).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn logged_model(&mut self, experiment: &Experiment, model: FileLoggedModel) -> Result<(), Error> {
        let (database, family) = (self.tracking.database(), self.tracking.family());
        let meta = &model.meta;
        let beside = family.on(database.reader());
        if let Some(found) = store::logged_models::find_even_deleted(&beside, &meta.model_id).await? {
            self.report.already_there += 1;
            self.moved
                .insert(meta.artifact_location.clone(), found.artifact_uri.clone());
            return self.complete_logged_model(found, model).await;
        }
        let own = format!(
            "{}/models/{}/artifacts",
            experiment.artifact_location.trim_end_matches('/'),
            meta.model_id
        );
        let files = model.folder.join("artifacts");
        let artifact_uri = self.copy(&files, &meta.artifact_location, own, 1_000).await?;
        let new = LoggedModel {
            model_id: meta.model_id.clone(),
            experiment_id: experiment.id,
            name: meta.name.clone(),
            artifact_uri,
            created_at: time(meta.creation_timestamp),
            updated_at: time(meta.last_updated_timestamp),
            status: LoggedModelStatus::from_number(meta.status),
            status_message: meta.status_message.clone(),
            model_type: meta.model_type.clone().unwrap_or_default(),
            source_run_id: meta.source_run_id.clone(),
            tags: model.tags.clone(),
            params: model.params.clone(),
            metrics: Vec::new(),
        };
        self.report.logged_models += 1;
        self.report.params += new.params.len() as u64;
        self.report.tags += new.tags.len() as u64;
        if self.request.dry_run {
            return Ok(());
        }
        let transaction = database.begin().await?;
        store::logged_models::insert(&family.on(&transaction), &new).await?;
        self.measured(&transaction, &model).await?;
        if meta.lifecycle_stage.as_deref() == Some(LifecycleStage::Deleted.as_str()) {
            let beside = family.on(&transaction);
            store::logged_models::mark_deleted(&beside, &new.model_id, new.updated_at).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Brings the parameters, tags and metric values that a logged model lacks. Those that it has stay as they are.
    async fn complete_logged_model(
        &mut self,
        found: LoggedModel,
        mut model: FileLoggedModel,
    ) -> Result<(), Error> {
        let (database, family) = (self.tracking.database(), self.tracking.family());
        let there = store::logged_models::with_data(&family.on(database.reader()), vec![found]).await?;
        let Some(there) = there.first() else {
            return Ok(());
        };
        model
            .params
            .retain(|param| !there.params.iter().any(|known| known.key == param.key));
        model
            .tags
            .retain(|tag| !there.tags.iter().any(|known| known.key == tag.key));
        self.report.params += model.params.len() as u64;
        self.report.tags += model.tags.len() as u64;
        if self.request.dry_run {
            return Ok(());
        }
        let transaction = database.begin().await?;
        let beside = family.on(&transaction);
        store::logged_models::insert_params(&beside, there, &model.params).await?;
        store::logged_models::upsert_tags(&beside, there, &model.tags).await?;
        self.measured(&transaction, &model).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes what was measured on a logged model, as far as it is not there.
    async fn measured(
        &mut self,
        transaction: &DatabaseTransaction,
        model: &FileLoggedModel,
    ) -> Result<(), Error> {
        let beside = self.tracking.family().on(transaction);
        for (run_id, metric) in &model.metrics {
            let Some(run) = store::runs::find(transaction, run_id).await? else {
                let reason = format!(
                    "the metric {} names the run {run_id}, which is not there",
                    metric.key
                );
                self.reader.skip(&model.folder.join("metrics"), None, reason);
                continue;
            };
            store::logged_models::insert_metrics(&beside, &run, std::slice::from_ref(metric)).await?;
        }
        Ok(())
    }

    /// Returns where something is now that was below an artifact URI of the file store.
    fn moved(&self, uri: &str) -> String {
        let moved = self.moved.iter().find_map(|(before, after)| {
            let rest = uri.strip_prefix(before.as_str()).filter(|_| !before.is_empty())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{after}{rest}"))
        });
        moved.unwrap_or_else(|| uri.to_owned())
    }

    /// Copies the files of a run or model to `own`. Returns where they are now: where they were, when they are to stay
    /// or are not in the file store.
    async fn copy(
        &mut self,
        files: &Path,
        before: &str,
        own: String,
        most_chars: usize,
    ) -> Result<String, Error> {
        let is_local = !before.contains("://") || before.starts_with("file:");
        let is_below = files.is_dir() || (is_local && before.ends_with(&artifacts_below(files)));
        if !self.request.copy_artifacts || !is_below {
            if before.chars().count() <= most_chars {
                return Ok(before.to_owned());
            }
            let reason = format!("its files are in {before}, which is too long to be kept");
            self.reader.skip(files, None, reason);
            return Ok(own);
        }
        let Ok(place) = self.tracking.artifact_in_bucket(&own) else {
            let reason = format!("files cannot be copied to {own}, which is not in this object store");
            self.reader.skip(files, None, reason);
            return Ok(before.chars().take(most_chars).collect());
        };
        for path in self.reader.files(files) {
            let name = path.strip_prefix(files).ok().and_then(Path::to_str);
            let Some(place) = name.and_then(|name| place.join(name).ok()) else {
                self.reader.skip(&path, None, artifacts::BAD_NAME);
                continue;
            };
            let Some(size) = self.reader.size(&path) else {
                continue;
            };
            if self.request.dry_run
                || artifacts::copy(self.tracking, &mut self.reader, &path, &place, size).await?
            {
                self.report.files += 1;
                self.report.bytes += size;
            }
        }
        self.moved.insert(before.to_owned(), own.clone());
        Ok(own)
    }
}

/// The end of an artifact URI that names the folder of the file store itself: `/RUN/artifacts`.
fn artifacts_below(files: &Path) -> String {
    let owner = files.parent().and_then(Path::file_name).unwrap_or_default();
    format!("/{}/artifacts", owner.to_string_lossy())
}
