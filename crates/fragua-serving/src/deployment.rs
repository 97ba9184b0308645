//! Canary and shadow: a version is tried out on real requests, then promoted or rolled back.

use fragua_base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::endpoint::ProblemKind;
use crate::model_ref::{ModelRef, Selector};
use crate::source::SourceError;
use crate::store::deployments as store;
use crate::{Error, Serving};

/// Which versions are tried out beside the one that an alias names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Deployment {
    /// Answers a share of the requests.
    pub canary: Option<Canary>,
    /// Predicts each row too and never answers; its answers are counted and logged beside the real ones.
    pub shadow: Option<i32>,
    /// The version that the last promotion replaced.
    pub previous: Option<i32>,
    /// When this was last changed.
    pub updated_at: Option<Timestamp>,
}

/// A version that answers a share of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The version.
    pub version: i32,
    /// Its share of the requests, 1 to 100 percent.
    pub percent: u8,
}

/// What a trial should be: each part that is not given ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Which version answers a share of the requests.
    #[serde(default)]
    pub canary: Option<Canary>,
    /// Which version predicts each row too.
    #[serde(default)]
    pub shadow: Option<i32>,
}

impl Serving {
    /// Returns what is tried out beside the version that an alias names.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when the database does not answer.
    pub async fn deployment_of(&self, model: &ModelRef) -> Result<Deployment, Error> {
        let (Some(database), Some(alias)) = (&self.inner.database, model.alias_name()) else {
            return Ok(Deployment::default());
        };
        let found = store::find(database, &model.name, alias).await.map_err(failed)?;
        Ok(found.unwrap_or_default())
    }

    /// Tries versions out beside the one that an alias names. They are in memory when this returns.
    ///
    /// # Errors
    /// [`Error::InvalidField`] names the field that is wrong; [`Error::UnknownModel`]; [`Error::Conflict`] when a version
    /// cannot be served: nothing changes then.
    pub async fn try_out(&self, model: &ModelRef, trial: Trial) -> Result<Deployment, Error> {
        let alias = alias_of(model)?;
        if let Some(canary) = trial.canary.filter(|canary| !(1..=100).contains(&canary.percent)) {
            return Err(Error::InvalidField {
                field: "canary.percent",
                reason: format!("{} is not between 1 and 100", canary.percent),
            });
        }
        let versions = [
            ("canary.version", trial.canary.map(|canary| canary.version)),
            ("shadow", trial.shadow),
        ];
        let endpoint = self.endpoint(model).await?;
        let live = endpoint.current().map(|model| model.version.clone());
        for (field, version) in versions {
            let Some(version) = version else { continue };
            if live == Some(version.to_string()) {
                let reason = format!("version {version} is the one that {model} names already");
                return Err(Error::InvalidField { field, reason });
            }
            self.servable(&model.name, version).await?;
        }
        let database = self.kept()?;
        let before = self.deployment_of(model).await?;
        let deployment = Deployment {
            canary: trial.canary,
            shadow: trial.shadow,
            previous: before.previous,
            updated_at: Some(self.inner.clock.now()),
        };
        store::put(database, &model.name, alias, &deployment)
            .await
            .map_err(failed)?;
        tracing::info!(model = %model, canary = ?trial.canary, shadow = ?trial.shadow, "a trial was set");
        self.follow(&endpoint).await;
        Ok(deployment)
    }

    /// Moves the alias to its canary. Returns the version that it names now.
    ///
    /// # Errors
    /// [`Error::Conflict`] without a canary that answers.
    pub async fn promote(&self, model: &ModelRef) -> Result<i32, Error> {
        let alias = alias_of(model)?;
        let before = self.deployment_of(model).await?;
        let Some(canary) = before.canary else {
            let reason = format!("{model} has no canary to promote; give one a share of the requests first");
            return Err(Error::Conflict { reason });
        };
        let endpoint = self.endpoint(model).await?;
        self.servable(&model.name, canary.version).await?;
        let database = self.kept()?;
        let live = endpoint.current().and_then(|model| model.version.parse().ok());
        // The replaced version is known before the alias moves, and the canary answers until it has: a crash between two
        // steps leaves a state that the same request finishes.
        let promoted = Deployment {
            previous: live.filter(|live| *live != canary.version).or(before.previous),
            updated_at: Some(self.inner.clock.now()),
            ..before
        };
        let put = async |deployment: &Deployment| {
            let stored = store::put(database, &model.name, alias, deployment).await;
            stored.map_err(failed)
        };
        put(&promoted).await?;
        self.move_alias(model, alias, canary.version).await?;
        let promoted = Deployment {
            canary: None,
            shadow: promoted.shadow.filter(|shadow| *shadow != canary.version),
            ..promoted
        };
        put(&promoted).await?;
        tracing::info!(model = %model, version = canary.version, "the canary was promoted");
        self.follow(&endpoint).await;
        Ok(canary.version)
    }

    /// Ends a canary; without one, moves the alias back to the version that the last promotion replaced. Returns the
    /// version that answers now, where one does.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is nothing to take back.
    pub async fn roll_back(&self, model: &ModelRef) -> Result<Option<i32>, Error> {
        let alias = alias_of(model)?;
        let before = self.deployment_of(model).await?;
        let endpoint = self.endpoint(model).await?;
        let database = self.kept()?;
        let mut after = Deployment {
            canary: None,
            updated_at: Some(self.inner.clock.now()),
            ..before
        };
        if before.canary.is_none() {
            let Some(previous) = before.previous else {
                let reason = format!("{model} has neither a canary nor an earlier promotion to take back");
                return Err(Error::Conflict { reason });
            };
            self.servable(&model.name, previous).await?;
            self.move_alias(model, alias, previous).await?;
            after.previous = None;
        }
        store::put(database, &model.name, alias, &after)
            .await
            .map_err(failed)?;
        tracing::info!(model = %model, "the last trial was rolled back");
        self.follow(&endpoint).await;
        Ok(endpoint.current().and_then(|model| model.version.parse().ok()))
    }

    async fn move_alias(&self, model: &ModelRef, alias: &str, version: i32) -> Result<(), Error> {
        let moved = self.inner.source.set_alias(&model.name, alias, version).await;
        moved.map_err(|error| match error {
            SourceError::NotFound(what) => Error::UnknownModel {
                reason: format!("the registry has no version {version} of {what}"),
            },
            other => Error::Unreachable {
                reason: format!("the registry cannot move {model}: {other}"),
            },
        })
    }

    /// Loads a version, so that what cannot answer is never given requests.
    async fn servable(&self, name: &str, version: i32) -> Result<(), Error> {
        let reference = ModelRef {
            name: name.to_owned(),
            selector: Selector::Version(version),
        };
        let endpoint = self.endpoint(&reference).await?;
        let state = endpoint.state();
        match (&state.model, &state.problem) {
            (Some(_), _) => Ok(()),
            (None, Some(problem)) if problem.kind == ProblemKind::Unreachable => Err(Error::Unreachable {
                reason: problem.message.clone(),
            }),
            (None, _) => Err(Error::Conflict {
                reason: state
                    .explanation()
                    .unwrap_or("it is being loaded; try again in a moment")
                    .to_owned(),
            }),
        }
    }

    fn kept(&self) -> Result<&fragua_database::Database, Error> {
        self.inner.database.as_ref().ok_or_else(|| Error::Conflict {
            reason: "this process keeps no deployments: it was opened without a database".to_owned(),
        })
    }
}

fn alias_of(model: &ModelRef) -> Result<&str, Error> {
    model.alias_name().ok_or_else(|| Error::InvalidField {
        field: "model",
        reason: format!("{model} is always the same version; name it by an alias, as in NAME@ALIAS"),
    })
}

fn failed(error: fragua_database::Error) -> Error {
    tracing::error!(%error, "the database of serving does not answer");
    Error::Unreachable {
        reason: "the database of serving does not answer; try again in a moment".to_owned(),
    }
}
