//! Where models come from: the registry of this program, or one behind HTTP.

#[cfg(test)]
pub(crate) mod memory;

use std::collections::BTreeMap;

use fragua_base::{ErrorKind, Timestamp};
use fragua_tracking::client::{ClientError, MlflowClient};
use fragua_tracking::{Change, ModelVersion, Query, Run, Tracking};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::model_ref::{ModelRef, Selector};

/// The alias by which registries answer the newest version.
const LATEST: &str = "latest";

/// How much of a registry is listed for people to choose from.
const LISTED_MODELS: u32 = 200;
const LISTED_VERSIONS: u32 = 2_000;

/// Where models come from.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// The registry of this program: in this process, or one that shares its database.
    Local(Tracking),
    /// The registry of another MLflow server, with its artifact proxy.
    Remote(MlflowClient),
    /// A registry in memory, for tests.
    #[cfg(test)]
    Memory(memory::Registry),
}

/// Where a version lies.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    /// The version, as the registry numbers it.
    pub(crate) version: String,
    pub(crate) run_id: Option<String>,
    pub(crate) created_at: Timestamp,
    /// URI of its folder.
    pub(crate) folder: String,
    /// Tells this version from any other, one of the same number that was made anew too.
    pub(crate) identity: String,
}

/// What the registry has under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredModel {
    /// The name.
    pub name: String,
    /// Each alias and the version it names.
    pub aliases: Vec<(String, i32)>,
    /// The newest versions, newest first.
    pub versions: Vec<i32>,
}

/// Why something could not be read from the registry or its artifacts.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum SourceError {
    /// The thing named is not there.
    #[error("there is no {0}")]
    NotFound(String),
    /// A file is larger than it may be.
    #[error("its file {file} is larger than {limit} bytes")]
    TooLarge { file: String, limit: u64 },
    /// Its files are in a store that is not read from here.
    #[error("{0}")]
    Foreign(String),
    /// No answer; the same request may succeed later.
    #[error("{0}")]
    Unreachable(String),
}

impl ModelSource {
    /// Finds a version.
    pub(crate) async fn locate(&self, model: &ModelRef) -> Result<Located, SourceError> {
        match self {
            Self::Local(tracking) => locate(tracking, model).await,
            Self::Remote(client) => locate_remote(client, model).await,
            #[cfg(test)]
            Self::Memory(registry) => registry.locate(model),
        }
    }

    /// Returns the registered models with their aliases and newest versions, by name.
    pub(crate) async fn models(&self) -> Result<Vec<RegisteredModel>, SourceError> {
        let (models, versions) = match self {
            Self::Local(tracking) => {
                let most = |most: u32, order: &str| Query {
                    max_results: Some(most.into()),
                    order_by: vec![order.to_owned()],
                    ..Query::default()
                };
                let models = tracking.search_models(&most(LISTED_MODELS, "name ASC")).await;
                let newest = most(LISTED_VERSIONS, "creation_timestamp DESC");
                let versions = tracking.search_versions(&newest).await;
                (
                    models.map_err(unreachable)?.items,
                    versions.map_err(unreachable)?.items,
                )
            }
            Self::Remote(client) => (
                client.models(LISTED_MODELS).await.map_err(unreachable)?,
                client.versions(LISTED_VERSIONS).await.map_err(unreachable)?,
            ),
            #[cfg(test)]
            Self::Memory(registry) => return Ok(registry.models()),
        };
        let listed = models.into_iter().map(|model| {
            let mut own: Vec<i32> = versions
                .iter()
                .filter(|version| version.name == model.name)
                .map(|version| version.version)
                .collect();
            own.sort_unstable_by(|a, b| b.cmp(a));
            let aliases = model.aliases.into_iter();
            RegisteredModel {
                aliases: aliases.map(|alias| (alias.alias, alias.version)).collect(),
                versions: own,
                name: model.name,
            }
        });
        Ok(listed.collect())
    }

    /// Moves an alias.
    pub(crate) async fn set_alias(&self, model: &str, alias: &str, version: i32) -> Result<(), SourceError> {
        match self {
            Self::Local(tracking) => {
                let moved = tracking.set_alias(model, alias, version).await;
                moved.map_err(|error| missing_or_unreachable(model, error.kind(), error))
            }
            Self::Remote(client) => {
                let moved = client.set_alias(model, alias, version).await;
                moved.map_err(|error| missing_or_unreachable(model, error.kind(), error))
            }
            #[cfg(test)]
            Self::Memory(registry) => registry.set_alias(model, alias, version),
        }
    }

    /// Reads a file of a version's folder whole; serving keeps it in memory anyway.
    pub(crate) async fn read(
        &self,
        located: &Located,
        file: &str,
        limit: u64,
    ) -> Result<Vec<u8>, SourceError> {
        match self {
            Self::Local(tracking) => read(tracking, located, file, limit).await,
            Self::Remote(client) => read_remote(client, located, file, limit).await,
            #[cfg(test)]
            Self::Memory(registry) => registry.read(located, file, limit),
        }
    }

    /// Returns the last value of each metric of a run.
    pub(crate) async fn run_metrics(&self, run_id: &str) -> Result<BTreeMap<String, f64>, SourceError> {
        let run = self.run(run_id).await?;
        let metrics = run.metrics.into_iter();
        Ok(metrics.map(|metric| (metric.key, metric.value)).collect())
    }

    /// Returns a run.
    pub(crate) async fn run(&self, run_id: &str) -> Result<Run, SourceError> {
        match self {
            Self::Local(tracking) => {
                let run = tracking.run(run_id).await;
                run.map_err(|error| missing_or_unreachable(run_id, error.kind(), error))
            }
            Self::Remote(client) => {
                let run = client.run(run_id).await;
                run.map_err(|error| missing_or_unreachable(run_id, error.kind(), error))
            }
            #[cfg(test)]
            Self::Memory(registry) => registry.run(run_id),
        }
    }

    /// Returns the changes the registry announces; `None` where it announces none.
    pub(crate) fn changes(&self) -> Option<Changes> {
        match self {
            Self::Local(tracking) => Some(Changes::Tracking(tracking.changes())),
            Self::Remote(_) => None,
            #[cfg(test)]
            Self::Memory(registry) => registry.changes().map(Changes::Memory),
        }
    }
}

async fn locate(tracking: &Tracking, model: &ModelRef) -> Result<Located, SourceError> {
    let version = match &model.selector {
        Selector::Alias(alias) => tracking.version_by_alias(&model.name, alias).await,
        Selector::Latest => tracking.version_by_alias(&model.name, LATEST).await,
        Selector::Version(version) => tracking.version(&model.name, *version).await,
    };
    let version = version.map_err(|error| missing_or_unreachable(model, error.kind(), error))?;
    let folder = version.download_uri().to_owned();
    Ok(located(version, folder))
}

/// MLflow calls an alias that is not there an invalid parameter.
fn missing_or_unreachable(
    what: impl std::fmt::Display,
    kind: ErrorKind,
    error: impl std::error::Error,
) -> SourceError {
    match kind {
        ErrorKind::NotFound | ErrorKind::InvalidInput => SourceError::NotFound(what.to_string()),
        _ => unreachable(error),
    }
}

async fn read(
    tracking: &Tracking,
    located: &Located,
    file: &str,
    limit: u64,
) -> Result<Vec<u8>, SourceError> {
    let folder = tracking.artifact_at(&located.folder);
    let path = folder
        .and_then(|folder| folder.join(file))
        .map_err(|error| SourceError::Foreign(error.to_string()))?;
    let bytes = tracking.read_artifact(&path, limit).await;
    let bytes = bytes.map_err(|error| match error.kind() {
        ErrorKind::NotFound => SourceError::NotFound(file.to_owned()),
        ErrorKind::TooLarge => too_large(file, limit),
        _ => unreachable(error),
    })?;
    Ok(bytes.into())
}

async fn locate_remote(client: &MlflowClient, model: &ModelRef) -> Result<Located, SourceError> {
    let name = &model.name;
    let version = match &model.selector {
        Selector::Alias(alias) => client.resolve_alias(name, alias).await,
        Selector::Latest => client.resolve_alias(name, LATEST).await,
        Selector::Version(version) => client.version(name, *version).await,
    };
    let version = version
        .map_err(unreachable)?
        .ok_or_else(|| SourceError::NotFound(model.to_string()))?;
    let folder = match version.download_uri() {
        // The source of a logged model names the model; where its files are, the server tells.
        uri if uri.starts_with("models:/") => client
            .download_uri(name, version.version)
            .await
            .map_err(unreachable)?,
        uri => uri.to_owned(),
    };
    Ok(located(version, folder))
}

async fn read_remote(
    client: &MlflowClient,
    located: &Located,
    file: &str,
    limit: u64,
) -> Result<Vec<u8>, SourceError> {
    let limit_bytes = usize::try_from(limit).unwrap_or(usize::MAX);
    let bytes = client.read_artifact(&located.folder, file, limit_bytes).await;
    bytes.map_err(|error| match (error.kind(), &error) {
        (ErrorKind::NotFound, _) => SourceError::NotFound(file.to_owned()),
        (ErrorKind::TooLarge, _) => too_large(file, limit),
        (ErrorKind::InvalidInput, ClientError::Invalid(reason)) => SourceError::Foreign(reason.to_string()),
        _ => unreachable(error),
    })
}

fn located(version: ModelVersion, folder: String) -> Located {
    Located {
        identity: format!("{} {} {folder}", version.version, version.created_at.as_millis()),
        version: version.version.to_string(),
        run_id: version.run_id.filter(|run_id| !run_id.is_empty()),
        created_at: version.created_at,
        folder,
    }
}

fn too_large(file: &str, limit: u64) -> SourceError {
    SourceError::TooLarge {
        file: file.to_owned(),
        limit,
    }
}

fn unreachable(error: impl std::error::Error) -> SourceError {
    SourceError::Unreachable(error.to_string())
}

/// Announcements of a registry.
pub(crate) enum Changes {
    Tracking(broadcast::Receiver<Change>),
    #[cfg(test)]
    Memory(broadcast::Receiver<()>),
}

impl Changes {
    /// Waits for a change and returns the registered model that it is of; `None` when it may be any. Never returns once
    /// the registry is closed.
    pub(crate) async fn next(&mut self) -> Option<String> {
        let receiver = match self {
            Self::Tracking(receiver) => receiver,
            #[cfg(test)]
            Self::Memory(receiver) => {
                if receiver.recv().await.is_err() {
                    std::future::pending().await
                }
                return None;
            }
        };
        loop {
            match receiver.recv().await {
                Ok(Change::Alias { name, .. } | Change::ModelChanged { name }) => return Some(name),
                Ok(_) => {}
                // Some announcements were missed; ours may be among them.
                Err(RecvError::Lagged(_)) => return None,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
