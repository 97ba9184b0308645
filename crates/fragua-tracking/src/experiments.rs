//! Experiments: named groups of runs.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use fragua_base::{Page, Timestamp};

use crate::artifacts::ArtifactLocation;
use crate::runs::Tag;
use crate::validation::{self, limits};
use crate::{Change, Error, Query, Tracking, search, store};

/// The number of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExperimentId(pub i32);

impl fmt::Display for ExperimentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for ExperimentId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(Self).map_err(|_| {
            Error::invalid(format!(
                "Invalid experiment ID '{}'. Experiment ID must be a valid integer.",
                validation::shorten(text)
            ))
        })
    }
}

/// Whether something counts as deleted. Deleted things stay and can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleStage {
    /// In use.
    Active,
    /// Deleted, restorable.
    Deleted,
}

impl LifecycleStage {
    /// Returns the stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }

    pub(crate) fn from_stored(text: Option<&str>) -> Self {
        if text == Some("deleted") {
            Self::Deleted
        } else {
            Self::Active
        }
    }
}

/// Which lifecycle stages a search looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ViewType {
    /// What is not deleted.
    #[default]
    ActiveOnly,
    /// What is deleted.
    DeletedOnly,
    /// Both.
    All,
}

impl ViewType {
    /// Returns the name in the protocol.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ActiveOnly => "ACTIVE_ONLY",
            Self::DeletedOnly => "DELETED_ONLY",
            Self::All => "ALL",
        }
    }

    pub(crate) const fn stages(self) -> &'static [&'static str] {
        match self {
            Self::ActiveOnly => &["active"],
            Self::DeletedOnly => &["deleted"],
            Self::All => &["active", "deleted"],
        }
    }
}

/// A named group of runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Its number.
    pub id: ExperimentId,
    /// Its name, unique also among the deleted ones.
    pub name: String,
    /// Where new runs put their artifacts, for example `mlflow-artifacts:/3`.
    pub artifact_location: String,
    /// Whether it is deleted.
    pub lifecycle_stage: LifecycleStage,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Its tags by key.
    pub tags: Vec<Tag>,
}

/// An experiment to make.
#[derive(Debug, Clone, Default)]
pub struct NewExperiment {
    /// Its name.
    pub name: String,
    /// Where its runs put their artifacts; `None` for the bucket of this server.
    pub artifact_location: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// A data set that runs of an experiment read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetSummary {
    /// The experiment.
    pub experiment_id: ExperimentId,
    /// Its name.
    pub name: String,
    /// A digest of its content.
    pub digest: String,
    /// Its role, such as `training`.
    pub context: Option<String>,
}

impl Tracking {
    /// Makes an experiment and returns its number.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the name is taken, by a deleted experiment too; [`Error::InvalidParameter`] for
    /// a bad name, tag or location.
    pub async fn create_experiment(&self, new: NewExperiment) -> Result<ExperimentId, Error> {
        validation::experiment_name(&new.name)?;
        for tag in &new.tags {
            validation::experiment_tag(tag)?;
        }
        let location = match new.artifact_location.as_deref() {
            None | Some("") => None,
            Some(location) => Some(ArtifactLocation::parse(location)?),
        };
        let transaction = self.database().begin().await?;
        if let Some(found) = store::experiments::find_by_name(&transaction, &new.name).await? {
            return Err(name_taken(&found));
        }
        let id = store::experiments::insert(&transaction, &new.name, self.now()).await?;
        let location = location.map_or_else(
            || format!("mlflow-artifacts:/{id}"),
            |location| location.to_string(),
        );
        store::experiments::set_location(&transaction, id, &location).await?;
        store::experiments::upsert_tags(&transaction, id, &new.tags).await?;
        transaction.commit().await?;
        self.tell(Change::ExperimentChanged { experiment_id: id });
        Ok(id)
    }

    /// Checks a place for artifacts as [`Tracking::create_experiment`] does.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a place that nothing may be written to.
    pub fn check_artifact_location(&self, location: &str) -> Result<(), Error> {
        ArtifactLocation::parse(location).map(drop)
    }

    /// Returns an experiment, deleted ones too.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn experiment(&self, id: ExperimentId) -> Result<Experiment, Error> {
        store::experiments::find(self.database().reader(), id)
            .await?
            .ok_or_else(|| missing(id))
    }

    /// Returns the data sets that runs of some experiments read, each with its role; the first thousand.
    ///
    /// # Errors
    /// The database's own.
    pub async fn datasets(&self, experiments: &[ExperimentId]) -> Result<Vec<DatasetSummary>, Error> {
        Ok(store::inputs::datasets(self.database().reader(), experiments).await?)
    }

    /// Returns the experiment with this name, deleted ones too, or `None`.
    ///
    /// # Errors
    /// The database's own.
    pub async fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, Error> {
        Ok(store::experiments::find_by_name(self.database().reader(), name).await?)
    }

    /// Returns the experiment with this name and makes it when it does not exist.
    ///
    /// # Errors
    /// As [`Tracking::create_experiment`], and [`Error::InvalidParameter`] when it is deleted.
    pub async fn get_or_create_experiment(&self, name: &str) -> Result<Experiment, Error> {
        if let Some(found) = self.experiment_by_name(name).await? {
            return active(found);
        }
        match self
            .create_experiment(NewExperiment {
                name: name.to_owned(),
                ..NewExperiment::default()
            })
            .await
        {
            Ok(id) => self.experiment(id).await,
            // Somebody else was faster.
            Err(Error::AlreadyExists(message)) => active(
                self.experiment_by_name(name)
                    .await?
                    .ok_or(Error::AlreadyExists(message))?,
            ),
            Err(error) => Err(error),
        }
    }

    /// Returns the experiments that match.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a filter, order or page token that cannot be read.
    pub async fn search_experiments(&self, query: &Query) -> Result<Page<Experiment>, Error> {
        let plan = search::plan(&search::targets::EXPERIMENTS, query, limits::EXPERIMENTS_PER_PAGE)?;
        Ok(store::experiments::search(
            self.database().reader(),
            self.database().engine(),
            &plan,
            query.view,
        )
        .await?)
    }

    /// Returns how many active runs each of these experiments has; those without any are left out.
    ///
    /// # Errors
    /// The database's own.
    pub async fn run_counts(&self, ids: &[ExperimentId]) -> Result<HashMap<ExperimentId, u64>, Error> {
        Ok(store::runs::count_by_experiment(self.database().reader(), ids).await?)
    }

    /// Gives an experiment another name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::AlreadyExists`], [`Error::InvalidParameter`] when it is deleted.
    pub async fn rename_experiment(&self, id: ExperimentId, name: &str) -> Result<(), Error> {
        validation::experiment_name(name)?;
        let transaction = self.database().begin().await?;
        active(found(store::experiments::find(&transaction, id).await?, id)?)?;
        if let Some(other) = store::experiments::find_by_name(&transaction, name).await?
            && other.id != id
        {
            return Err(name_taken(&other));
        }
        store::experiments::rename(&transaction, id, name, self.now()).await?;
        transaction.commit().await?;
        self.tell(Change::ExperimentChanged { experiment_id: id });
        Ok(())
    }

    /// Deletes an experiment and with it its runs. Nothing is removed; see [`Tracking::restore_experiment`].
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such active experiment.
    pub async fn delete_experiment(&self, id: ExperimentId) -> Result<(), Error> {
        self.move_experiment(id, LifecycleStage::Active, LifecycleStage::Deleted)
            .await
    }

    /// Restores a deleted experiment and all its runs, also those that were deleted one by one before.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such deleted experiment.
    pub async fn restore_experiment(&self, id: ExperimentId) -> Result<(), Error> {
        self.move_experiment(id, LifecycleStage::Deleted, LifecycleStage::Active)
            .await
    }

    async fn move_experiment(
        &self,
        id: ExperimentId,
        from: LifecycleStage,
        to: LifecycleStage,
    ) -> Result<(), Error> {
        let transaction = self.database().begin().await?;
        let experiment = found(store::experiments::find(&transaction, id).await?, id)?;
        if experiment.lifecycle_stage != from {
            return Err(missing(id));
        }
        store::experiments::set_lifecycle(&transaction, id, to, self.now()).await?;
        store::runs::set_lifecycle_of_experiment(&transaction, id, to, self.now()).await?;
        transaction.commit().await?;
        self.tell(Change::ExperimentChanged { experiment_id: id });
        Ok(())
    }

    /// Sets a tag of an experiment.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidParameter`] for a bad tag or a deleted experiment.
    pub async fn set_experiment_tag(&self, id: ExperimentId, tag: Tag) -> Result<(), Error> {
        validation::experiment_tag(&tag)?;
        let transaction = self.database().begin().await?;
        active(found(store::experiments::find(&transaction, id).await?, id)?)?;
        store::experiments::upsert_tags(&transaction, id, &[tag]).await?;
        transaction.commit().await?;
        self.tell(Change::ExperimentChanged { experiment_id: id });
        Ok(())
    }

    /// Removes a tag of an experiment.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the experiment or its tag does not exist.
    pub async fn delete_experiment_tag(&self, id: ExperimentId, key: &str) -> Result<(), Error> {
        let transaction = self.database().begin().await?;
        active(found(store::experiments::find(&transaction, id).await?, id)?)?;
        if !store::experiments::delete_tag(&transaction, id, key).await? {
            return Err(Error::not_found(format!(
                "No tag with name: {} in experiment with id {id}",
                validation::shorten(key)
            )));
        }
        transaction.commit().await?;
        self.tell(Change::ExperimentChanged { experiment_id: id });
        Ok(())
    }
}

fn found(experiment: Option<Experiment>, id: ExperimentId) -> Result<Experiment, Error> {
    experiment.ok_or_else(|| missing(id))
}

pub(crate) fn missing(id: ExperimentId) -> Error {
    Error::not_found(format!("No Experiment with id={id} exists"))
}

pub(crate) fn active(experiment: Experiment) -> Result<Experiment, Error> {
    if experiment.lifecycle_stage == LifecycleStage::Active {
        return Ok(experiment);
    }
    Err(Error::invalid(format!(
        "The experiment {} must be in the 'active' state. Current state is deleted.",
        experiment.id
    )))
}

fn name_taken(experiment: &Experiment) -> Error {
    let deleted = match experiment.lifecycle_stage {
        LifecycleStage::Active => "",
        LifecycleStage::Deleted => " It is deleted: restore it, or choose another name.",
    };
    Error::AlreadyExists(format!(
        "Experiment(name={}) already exists.{deleted}",
        experiment.name
    ))
}
