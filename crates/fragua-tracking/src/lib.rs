#![doc = include_str!("../README.md")]

mod changes;
mod error;
mod settings;
mod tracking;
mod validation;

mod artifacts;
mod experiments;
mod import;
mod keys;
mod local_artifacts;
mod logged_models;
mod metric_line;
mod metrics;
mod model_uri;
mod models;
mod names;
mod overview;
mod permit;
mod purge;
mod purging;
mod runs;
mod uploads;
mod versions;
mod webhooks;

mod search;
mod store;
mod wire;

pub mod client;
pub mod mlflow;

#[cfg(test)]
mod tests;

pub use artifacts::{ArtifactEntry, ArtifactPath, FolderSize};
pub use changes::Change;
pub use client::{ClientError, MlflowClient};
pub use error::Error;
pub use experiments::{DatasetSummary, Experiment, ExperimentId, LifecycleStage, NewExperiment, ViewType};
pub use import::{ArtifactImportReport, ArtifactImportRequest, ImportReport, ImportRequest, Skipped};
pub use keys::KnownKeys;
pub use logged_models::{LoggedModel, LoggedModelOrder, LoggedModelQuery, LoggedModelStatus, NewLoggedModel};
pub use metrics::{Metric, MetricSeries};
pub use model_uri::{ModelUri, ResolvedModel};
pub use models::{ModelAlias, RegisteredModel};
pub use purge::{
    Deleted, DeletedExperiment, DeletedKind, Kept, KeptReason, PurgePlan, PurgeReport, PurgeRequest,
};
pub use purging::Purging;
pub use runs::{
    Batch, Dataset, DatasetInput, ModelOutput, NewRun, Param, Run, RunInfo, RunStatus, RunUpdate, Tag,
};
pub use search::{Expected, Query, SearchProblem, Searchable, Term, vocabulary};
pub use settings::Settings;
pub use tracking::Tracking;
pub use versions::{ModelVersion, NewVersion, Stage};
pub use webhooks::{
    NewWebhook, SendFailure, Webhook, WebhookEvent, WebhookReply, WebhookSettings, WebhookStatus,
    WebhookUpdate, new_secret_key,
};
