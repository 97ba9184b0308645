//! Deletes for good what was marked deleted.
//!
//! Artifacts go first, rows after them, one run, model or experiment a transaction. Whatever ends a purge in between,
//! the rows that are left are still marked and the next purge finds them; a file that is gone already is no fault.

use std::time::Duration;

use fragua_base::Timestamp;

use crate::experiments::{ExperimentId, LifecycleStage};
use crate::store::purge::Scope;
use crate::{Change, Error, Tracking, store};

/// Which of what was marked deleted is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PurgeRequest {
    /// What was deleted less long ago stays.
    pub older_than: Option<Duration>,
    /// Only this experiment and what is in it.
    pub experiment: Option<ExperimentId>,
}

/// What a purge would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgePlan {
    /// The experiments.
    pub experiments: Vec<DeletedExperiment>,
    /// The runs, those of the experiments among them.
    pub runs: Vec<DeletedRun>,
    /// The logged models, those of the experiments among them.
    pub logged_models: Vec<DeletedModel>,
    /// What was marked deleted and stays, and why.
    pub kept: Vec<Kept>,
}

/// An experiment that was marked deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedExperiment {
    /// Its number.
    pub id: ExperimentId,
    /// Its name, which is free after the purge.
    pub name: String,
}

/// A run that was marked deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedRun {
    /// Its id.
    pub run_id: String,
    /// Its name.
    pub name: String,
    /// Its experiment.
    pub experiment_id: ExperimentId,
    /// Where its artifacts are.
    pub artifact_uri: String,
}

/// A logged model that was marked deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedModel {
    /// Its id.
    pub model_id: String,
    /// Its name.
    pub name: String,
    /// Its experiment.
    pub experiment_id: ExperimentId,
    /// Where its files are.
    pub artifact_uri: String,
}

/// Something that a purge leaves alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is, such as `run 0123…`.
    pub what: String,
    /// Why it stays.
    pub reason: String,
}

/// What a purge has deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// How many experiments.
    pub experiments: u64,
    /// How many runs.
    pub runs: u64,
    /// How many logged models.
    pub logged_models: u64,
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What stays, and why.
    pub kept: Vec<Kept>,
}

impl PurgePlan {
    /// Returns how many runs, logged models and experiments there are to delete.
    pub fn len(&self) -> usize {
        self.experiments.len() + self.runs.len() + self.logged_models.len()
    }

    /// Returns whether there is nothing to delete.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Tracking {
    /// Returns what [`Tracking::purge`] would delete. A run or model that a version of a registered model refers to
    /// stays, and the experiment it is in; so does the experiment 0, which always exists.
    ///
    /// # Errors
    /// The database's own.
    pub async fn purge_plan(&self, request: &PurgeRequest) -> Result<PurgePlan, Error> {
        let age = i64::try_from(request.older_than.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
        let scope = Scope {
            deleted_until: Timestamp::from_millis(self.now().as_millis().saturating_sub(age)),
            experiment: request.experiment,
        };
        let reader = self.database().reader();
        let mut experiments = store::purge::experiments(reader, scope).await?;
        let gone: Vec<ExperimentId> = experiments.iter().map(|one| one.id).collect();
        let mut runs = store::purge::runs(reader, scope, &gone).await?;
        let mut models = store::purge::logged_models(&self.family().on(reader), scope, &gone).await?;
        let mut kept = Vec::new();
        let mut used_in = Vec::new();
        for version in store::purge::versions(reader).await? {
            let reason = format!(
                "version {} of the registered model `{}` is made of it",
                version.version, version.name
            );
            let refers = |id: &str, uri: &str| {
                let within = |place: &str| !uri.is_empty() && place.starts_with(uri);
                version.run_id.as_deref() == Some(id)
                    || version.source.as_deref().is_some_and(|source| {
                        within(source) || source.split(['/', ':']).any(|part| part == id)
                    })
                    || version.storage_location.as_deref().is_some_and(within)
            };
            runs.retain(|run| {
                let stays = refers(&run.run_id, &run.artifact_uri);
                if stays {
                    used_in.push(run.experiment_id);
                    kept.push(Kept::new(format!("run {}", run.run_id), reason.clone()));
                }
                !stays
            });
            models.retain(|model| {
                let stays = refers(&model.model_id, &model.artifact_uri);
                if stays {
                    used_in.push(model.experiment_id);
                    kept.push(Kept::new(
                        format!("logged model {}", model.model_id),
                        reason.clone(),
                    ));
                }
                !stays
            });
        }
        experiments.retain(|experiment| {
            let reason = if experiment.id == ExperimentId(0) {
                "it is the default experiment, which always exists"
            } else if used_in.contains(&experiment.id) {
                "something in it stays"
            } else {
                return true;
            };
            kept.push(Kept::new(format!("experiment {}", experiment.id), reason));
            false
        });
        Ok(PurgePlan {
            experiments,
            runs,
            logged_models: models,
            kept,
        })
    }

    /// Deletes what a plan names, if it is still marked deleted. `progress` is told how many are done.
    ///
    /// # Errors
    /// Those of the database and the object store; what was not reached stays marked, and another purge finds it.
    pub async fn purge(
        &self,
        plan: &PurgePlan,
        mut progress: impl FnMut(usize) + Send,
    ) -> Result<PurgeReport, Error> {
        let mut report = PurgeReport {
            kept: plan.kept.clone(),
            ..PurgeReport::default()
        };
        let mut done = 0;
        let mut step = || {
            done += 1;
            progress(done);
        };
        for model in &plan.logged_models {
            if self.purge_logged_model(model, plan, &mut report).await? {
                report.logged_models += 1;
            }
            step();
        }
        for run in &plan.runs {
            if self.purge_run(run, &mut report).await? {
                report.runs += 1;
            }
            step();
        }
        for experiment in &plan.experiments {
            if self.purge_experiment(experiment, &mut report).await? {
                report.experiments += 1;
            }
            step();
        }
        Ok(report)
    }

    async fn purge_logged_model(
        &self,
        model: &DeletedModel,
        plan: &PurgePlan,
        report: &mut PurgeReport,
    ) -> Result<bool, Error> {
        // A model has no mark of its own when its experiment was deleted.
        let goes_with_experiment = plan.experiments.iter().any(|one| one.id == model.experiment_id);
        let what = format!("logged model {}", model.model_id);
        if goes_with_experiment {
            if !self.is_experiment_deleted(model.experiment_id).await? {
                return Ok(report.restored(what));
            }
        } else {
            let beside = self.family().on(self.database().reader());
            if !store::purge::is_model_deleted(&beside, &model.model_id).await? {
                return Ok(report.restored(what));
            }
        }
        self.purge_artifacts(&model.artifact_uri, &model.model_id, &what, report)
            .await?;
        let transaction = self.database().begin().await?;
        store::purge::delete_logged_model(&self.family().on(&transaction), &model.model_id).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn purge_run(&self, run: &DeletedRun, report: &mut PurgeReport) -> Result<bool, Error> {
        let what = format!("run {}", run.run_id);
        let found = store::runs::find(self.database().reader(), &run.run_id).await?;
        if !found.is_some_and(|found| found.lifecycle_stage == LifecycleStage::Deleted) {
            return Ok(report.restored(what));
        }
        self.purge_artifacts(&run.artifact_uri, &run.run_id, &what, report)
            .await?;
        let transaction = self.database().begin().await?;
        let found = store::runs::lock(&transaction, &run.run_id).await?;
        if !found.is_some_and(|found| found.lifecycle_stage == LifecycleStage::Deleted) {
            return Ok(report.restored(what));
        }
        store::purge::delete_run(&transaction, self.family(), &run.run_id).await?;
        transaction.commit().await?;
        self.tell(Change::RunChanged {
            run_id: run.run_id.clone(),
        });
        Ok(true)
    }

    async fn purge_experiment(
        &self,
        experiment: &DeletedExperiment,
        report: &mut PurgeReport,
    ) -> Result<bool, Error> {
        let what = format!("experiment {}", experiment.id);
        let transaction = self.database().begin().await?;
        let found = store::experiments::find(&transaction, experiment.id).await?;
        if !found.is_some_and(|found| found.lifecycle_stage == LifecycleStage::Deleted) {
            return Ok(report.restored(what));
        }
        if !store::purge::is_experiment_empty(&transaction, self.family(), experiment.id).await? {
            report.kept.push(Kept::new(what, "something in it stays"));
            return Ok(false);
        }
        store::purge::delete_experiment(&transaction, experiment.id).await?;
        transaction.commit().await?;
        self.tell(Change::ExperimentChanged {
            experiment_id: experiment.id,
        });
        Ok(true)
    }

    async fn is_experiment_deleted(&self, id: ExperimentId) -> Result<bool, Error> {
        let found = store::experiments::find(self.database().reader(), id).await?;
        Ok(found.is_some_and(|found| found.lifecycle_stage == LifecycleStage::Deleted))
    }

    /// Deletes the files of a run or model. A place that is not its own, or not on this server, is left alone.
    async fn purge_artifacts(
        &self,
        uri: &str,
        id: &str,
        what: &str,
        report: &mut PurgeReport,
    ) -> Result<(), Error> {
        let place = match self.artifact_at(uri) {
            Ok(place) if place.as_str().split('/').any(|name| name == id) => place,
            Ok(_) => {
                let reason = format!("they are in {uri}, which is not a place of its own");
                report.kept.push(Kept::new(format!("files of {what}"), reason));
                return Ok(());
            }
            Err(_) if uri.is_empty() => return Ok(()),
            Err(_) => {
                let reason = format!("they are in {uri}, which is not in this object store");
                report.kept.push(Kept::new(format!("files of {what}"), reason));
                return Ok(());
            }
        };
        let (files, bytes) = self.delete_artifact(&place).await?;
        report.files += files;
        report.bytes += bytes;
        Ok(())
    }
}

impl PurgeReport {
    /// Notes that something was restored, or is gone, since the plan was made. Always false: nothing was deleted.
    fn restored(&mut self, what: String) -> bool {
        self.kept.push(Kept::new(
            what,
            "it was restored or is gone since the plan was made",
        ));
        false
    }
}

impl Kept {
    fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            reason: reason.into(),
        }
    }
}
