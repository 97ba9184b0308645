//! Deletes for good what was marked deleted.
//!
//! Rows go first, in one transaction with a note of the files that belong to them, and the files after it. Nothing can
//! be restored whose files are gone already, and whatever ends a purge in between, the next one finds the notes and
//! goes on; a file that is gone already is no fault.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use fragua_base::Timestamp;

use crate::artifacts::{ArtifactPath, FolderSize};
use crate::experiments::{ExperimentId, LifecycleStage};
use crate::{Change, Error, Tracking, store};

/// How many runs or models go in one transaction.
const AT_ONCE: usize = 100;

/// Which of what was marked deleted is meant: everything, or what one of the lists names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeRequest {
    /// What was deleted less long ago stays.
    pub older_than: Option<Duration>,
    /// These experiments, and what is in them.
    pub experiments: Vec<ExperimentId>,
    /// These runs.
    pub runs: Vec<String>,
    /// These logged models.
    pub logged_models: Vec<String>,
}

/// What a purge would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgePlan {
    /// The experiments.
    pub experiments: Vec<DeletedExperiment>,
    /// The runs, those of the experiments among them.
    pub runs: Vec<Deleted>,
    /// The logged models, those of the experiments among them.
    pub logged_models: Vec<Deleted>,
    /// What was marked deleted or asked for and stays, and why.
    pub kept: Vec<Kept>,
}

/// An experiment that was marked deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedExperiment {
    /// Its number.
    pub id: ExperimentId,
    /// Its name, which is free after the purge.
    pub name: String,
    /// When it was deleted; not every MLflow noted it.
    pub deleted_at: Option<Timestamp>,
}

/// A run or logged model that was marked deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its experiment.
    pub experiment_id: ExperimentId,
    /// Where its files are.
    pub artifact_uri: String,
    /// When it was deleted; not every MLflow noted it.
    pub deleted_at: Option<Timestamp>,
}

/// What can be marked deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeletedKind {
    /// An experiment.
    Experiment,
    /// A run.
    Run,
    /// A logged model.
    LoggedModel,
}

/// Something that a purge leaves alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub kind: DeletedKind,
    /// Its id.
    pub id: String,
    /// Why it stays.
    pub reason: KeptReason,
}

/// Why something stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptReason {
    /// A version of a registered model is made of it.
    Registered {
        /// The registered model.
        name: String,
        /// The version.
        version: i32,
    },
    /// The experiment 0 always exists.
    IsDefault,
    /// Something in the experiment stays.
    NotEmpty,
    /// It was asked for and is active.
    NotDeleted,
    /// It was asked for and was deleted less long ago than asked for.
    DeletedTooRecently,
    /// It was asked for and is not there.
    NotFound,
    /// It was restored, or is gone, since the plan was made.
    Restored,
    /// It goes, but not its files: they are in a place that is not its own.
    FilesShared {
        /// The place.
        uri: String,
    },
    /// It goes, but not its files: they are not in this object store.
    FilesElsewhere {
        /// The place.
        uri: String,
    },
}

/// What a purge has deleted, or would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// How many experiments.
    pub experiments: u64,
    /// How many runs.
    pub runs: u64,
    /// How many logged models.
    pub logged_models: u64,
    /// How many files with how many bytes.
    pub size: FolderSize,
    /// What stays, and why.
    pub kept: Vec<Kept>,
}

impl PurgePlan {
    /// Returns what would go, each with its id and name.
    pub fn items(&self) -> impl Iterator<Item = (DeletedKind, String, &str)> {
        let experiments = self.experiments.iter();
        experiments
            .map(|one| (DeletedKind::Experiment, one.id.to_string(), one.name.as_str()))
            .chain(named(DeletedKind::Run, &self.runs))
            .chain(named(DeletedKind::LoggedModel, &self.logged_models))
    }

    /// Returns how many runs, logged models and experiments there are to delete.
    pub fn len(&self) -> usize {
        self.experiments.len() + self.runs.len() + self.logged_models.len()
    }

    /// Returns whether there is nothing to delete.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn named(kind: DeletedKind, found: &[Deleted]) -> impl Iterator<Item = (DeletedKind, String, &str)> {
    found
        .iter()
        .map(move |one| (kind, one.id.clone(), one.name.as_str()))
}

impl PurgeRequest {
    fn takes(&self, experiment: ExperimentId, id: &str, listed: &[String]) -> bool {
        let is_everything =
            self.experiments.is_empty() && self.runs.is_empty() && self.logged_models.is_empty();
        is_everything || self.experiments.contains(&experiment) || listed.iter().any(|one| one == id)
    }
}

impl Tracking {
    /// Returns what [`Tracking::purge`] would delete. A run or model that a version of a registered model is made of
    /// stays, and the experiment it is in; so does the experiment 0, which always exists.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an experiment that is not there; the database's own.
    pub async fn purge_plan(&self, request: &PurgeRequest) -> Result<PurgePlan, Error> {
        for id in &request.experiments {
            self.experiment(*id).await?;
        }
        let age = i64::try_from(request.older_than.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
        let until = Timestamp::from_millis(self.now().as_millis().saturating_sub(age));
        let reader = self.database().reader();
        let mut plan = PurgePlan {
            experiments: store::purge::experiments(reader, until).await?,
            runs: store::purge::runs(reader, until).await?,
            logged_models: store::purge::logged_models(&self.family().on(reader), until).await?,
            kept: Vec::new(),
        };
        plan.experiments
            .retain(|experiment| request.takes(experiment.id, "", &[]));
        for (kind, found, listed) in [
            (DeletedKind::Run, &mut plan.runs, &request.runs),
            (
                DeletedKind::LoggedModel,
                &mut plan.logged_models,
                &request.logged_models,
            ),
        ] {
            found.retain(|one| request.takes(one.experiment_id, &one.id, listed));
            for id in listed.iter().filter(|id| !found.iter().any(|one| one.id == **id)) {
                plan.kept.push(Kept::new(kind, id, self.why_not(kind, id).await?));
            }
        }
        self.keep_what_is_used(&mut plan).await?;
        Ok(plan)
    }

    /// Returns why a run or logged model that was asked for is not among those to delete.
    async fn why_not(&self, kind: DeletedKind, id: &str) -> Result<KeptReason, Error> {
        let (reader, now) = (self.database().reader(), self.now());
        let beside = self.family().on(reader);
        let (deleted, is_active) = match kind {
            DeletedKind::LoggedModel => (
                store::purge::logged_models(&beside, now).await?,
                store::logged_models::find(&beside, id).await?.is_some(),
            ),
            _ => (
                store::purge::runs(reader, now).await?,
                store::runs::find(reader, id).await?.is_some(),
            ),
        };
        Ok(match deleted.iter().any(|one| one.id == id) {
            true => KeptReason::DeletedTooRecently,
            false if is_active => KeptReason::NotDeleted,
            false => KeptReason::NotFound,
        })
    }

    async fn keep_what_is_used(&self, plan: &mut PurgePlan) -> Result<(), Error> {
        let mut used = HashMap::new();
        for version in store::purge::versions(self.database().reader()).await? {
            let places = [version.source.as_deref(), version.storage_location.as_deref()];
            let parts = places.into_iter().flatten().flat_map(|uri| uri.split(['/', ':']));
            for id in parts.chain(version.run_id.as_deref()) {
                used.insert(id.to_owned(), (version.name.clone(), version.version));
            }
        }
        let mut used_in = HashSet::new();
        for (kind, found) in [
            (DeletedKind::Run, &mut plan.runs),
            (DeletedKind::LoggedModel, &mut plan.logged_models),
        ] {
            found.retain(|one| {
                let Some((name, version)) = used.get(&one.id).cloned() else {
                    return true;
                };
                used_in.insert(one.experiment_id);
                let reason = KeptReason::Registered { name, version };
                plan.kept.push(Kept::new(kind, &one.id, reason));
                false
            });
        }
        plan.experiments.retain(|experiment| {
            let reason = match experiment.id {
                ExperimentId(0) => KeptReason::IsDefault,
                id if used_in.contains(&id) => KeptReason::NotEmpty,
                _ => return true,
            };
            let id = experiment.id.to_string();
            plan.kept.push(Kept::new(DeletedKind::Experiment, id, reason));
            false
        });
        Ok(())
    }

    /// Returns what a purge of this plan would report.
    ///
    /// # Errors
    /// Those of the database and the object store.
    pub async fn purge_preview(&self, plan: &PurgePlan) -> Result<PurgeReport, Error> {
        let mut report = PurgeReport {
            experiments: plan.experiments.len() as u64,
            runs: plan.runs.len() as u64,
            logged_models: plan.logged_models.len() as u64,
            kept: plan.kept.clone(),
            ..PurgeReport::default()
        };
        let mut folders = store::purge::noted_files(self.database().reader()).await?;
        folders.extend(self.files_of(DeletedKind::Run, &plan.runs, &mut report));
        folders.extend(self.files_of(DeletedKind::LoggedModel, &plan.logged_models, &mut report));
        for (_, place) in folders {
            report.size += self.folder_size(&ArtifactPath::parse(&place)?).await?;
        }
        Ok(report)
    }

    /// Deletes what a plan names, if it is still marked deleted. `progress` is told how many are done.
    ///
    /// # Errors
    /// Those of the database and the object store; another purge goes on from there.
    pub async fn purge(
        &self,
        plan: &PurgePlan,
        mut progress: impl FnMut(usize) + Send,
    ) -> Result<PurgeReport, Error> {
        let mut report = PurgeReport {
            kept: plan.kept.clone(),
            ..PurgeReport::default()
        };
        // What a purge that was cut short has left.
        let left = store::purge::noted_files(self.database().reader()).await?;
        self.delete_files(left, &mut report).await?;
        let mut done = 0;
        for some in plan.logged_models.chunks(AT_ONCE) {
            report.logged_models += self
                .purge_some(DeletedKind::LoggedModel, some, &mut report)
                .await?;
            done += some.len();
            progress(done);
        }
        for some in plan.runs.chunks(AT_ONCE) {
            report.runs += self.purge_some(DeletedKind::Run, some, &mut report).await?;
            done += some.len();
            progress(done);
        }
        for experiment in &plan.experiments {
            match self.purge_experiment(experiment.id).await? {
                None => report.experiments += 1,
                Some(reason) => {
                    let id = experiment.id.to_string();
                    report.kept.push(Kept::new(DeletedKind::Experiment, id, reason));
                }
            }
            done += 1;
            progress(done);
        }
        Ok(report)
    }

    /// Returns how many of them are gone now.
    async fn purge_some(
        &self,
        kind: DeletedKind,
        some: &[Deleted],
        report: &mut PurgeReport,
    ) -> Result<u64, Error> {
        let transaction = self.database().begin().await?;
        let ids: Vec<&str> = some.iter().map(|one| one.id.as_str()).collect();
        let held = store::purge::lock_deleted(&transaction, self.family(), kind, &ids).await?;
        let (going, restored): (Vec<_>, Vec<_>) =
            some.iter().cloned().partition(|one| held.contains(&one.id));
        let restored = restored
            .iter()
            .map(|one| Kept::new(kind, &one.id, KeptReason::Restored));
        report.kept.extend(restored);
        let files = self.files_of(kind, &going, report);
        store::purge::note_files(&transaction, &files).await?;
        store::purge::delete(&transaction, self.family(), kind, &held).await?;
        transaction.commit().await?;
        if kind == DeletedKind::Run {
            for run_id in &held {
                self.tell(Change::RunChanged {
                    run_id: run_id.clone(),
                });
            }
        }
        self.delete_files(files, report).await?;
        Ok(held.len() as u64)
    }

    /// Returns why the experiment stays, if it does.
    async fn purge_experiment(&self, id: ExperimentId) -> Result<Option<KeptReason>, Error> {
        let transaction = self.database().begin().await?;
        let found = store::experiments::find(&transaction, id).await?;
        if !found.is_some_and(|found| found.lifecycle_stage == LifecycleStage::Deleted) {
            return Ok(Some(KeptReason::Restored));
        }
        if !store::purge::is_experiment_empty(&transaction, self.family(), id).await? {
            return Ok(Some(KeptReason::NotEmpty));
        }
        store::purge::delete_experiment(&transaction, id).await?;
        transaction.commit().await?;
        self.tell(Change::ExperimentChanged { experiment_id: id });
        Ok(None)
    }

    /// Returns the folders of runs or models, each with its owner. A place that is not the owner's alone, or not in
    /// this object store, is left alone, which the report tells.
    fn files_of(
        &self,
        kind: DeletedKind,
        owners: &[Deleted],
        report: &mut PurgeReport,
    ) -> Vec<(String, String)> {
        let mut folders = Vec::new();
        for owner in owners.iter().filter(|owner| !owner.artifact_uri.is_empty()) {
            let uri = owner.artifact_uri.clone();
            let reason = match self.artifact_in_bucket(&uri) {
                Ok(place) if place.as_str().split('/').any(|name| name == owner.id) => {
                    folders.push((owner.id.clone(), place.as_str().to_owned()));
                    continue;
                }
                Ok(_) => KeptReason::FilesShared { uri },
                Err(_) => KeptReason::FilesElsewhere { uri },
            };
            report.kept.push(Kept::new(kind, &owner.id, reason));
        }
        folders
    }

    async fn delete_files(
        &self,
        folders: Vec<(String, String)>,
        report: &mut PurgeReport,
    ) -> Result<(), Error> {
        for (_, place) in &folders {
            report.size += self.delete_artifact(&ArtifactPath::parse(place)?).await?;
        }
        let owners = folders.into_iter().map(|(owner, _)| owner);
        Ok(store::purge::forget_files(self.database().writer(), owners).await?)
    }
}

impl Kept {
    fn new(kind: DeletedKind, id: impl Into<String>, reason: KeptReason) -> Self {
        let id = id.into();
        Self { kind, id, reason }
    }

    /// Returns whether it goes and only its files stay.
    pub fn is_only_files(&self) -> bool {
        matches!(
            self.reason,
            KeptReason::FilesShared { .. } | KeptReason::FilesElsewhere { .. }
        )
    }

    /// Names what stays, such as `run 0123…`.
    pub fn what(&self) -> String {
        let files = if self.is_only_files() { "files of " } else { "" };
        format!("{files}{} {}", self.kind, self.id)
    }
}

impl fmt::Display for DeletedKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Experiment => "experiment",
            Self::Run => "run",
            Self::LoggedModel => "logged model",
        })
    }
}

impl fmt::Display for KeptReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { name, version } => write!(
                formatter,
                "version {version} of the registered model `{name}` is made of it"
            ),
            Self::IsDefault => formatter.write_str("it is the default experiment, which always exists"),
            Self::NotEmpty => formatter.write_str("something in it stays"),
            Self::NotDeleted => formatter.write_str("it is active; only what was deleted is purged"),
            Self::DeletedTooRecently => formatter.write_str("it was not deleted that long ago"),
            Self::NotFound => formatter.write_str("it is not there"),
            Self::Restored => formatter.write_str("it was restored or is gone since the plan was made"),
            Self::FilesShared { uri } => {
                write!(formatter, "they are in {uri}, which is not a place of its own")
            }
            Self::FilesElsewhere { uri } => {
                write!(formatter, "they are in {uri}, which is not in this object store")
            }
        }
    }
}
