#![doc = include_str!("../README.md")]

mod error;
mod model_ref;
mod request_id;
mod role;
mod settings;

mod frame;
mod model;
mod python_json;
mod row;
mod signature;
mod tensors;

mod endpoint;
mod follow;
mod loader;
mod manifest;
mod source;

mod aftermath;
mod deployment;
mod lineage;
mod log;
mod metrics;
mod score;
mod serving;
mod store;

pub mod api;

pub use deployment::{Canary, Deployment, Trial};
pub use endpoint::{Challenger, Endpoint, Problem, ProblemKind, State};
pub use error::Error;
pub use follow::Followed;
pub use fragua_learn::{Format, Label, OnBadCell, TrainingProfile, drift, profile};
pub use lineage::{DagRunOrigin, DatasetOrigin, Lineage};
pub use log::{
    Accuracy, ClassFigures, DayFigures, DriftAlarm, DriftReport, FeatureDrift, Feedback, Figures, LogQuery,
    LogSettings, LoggedPrediction, PredictionLog, Severity,
};
pub use model::{Explanation, Predictions, ServedModel};
pub use model_ref::{ModelRef, Selector};
pub use request_id::RequestId;
pub use role::Role;
pub use row::{Cell, FieldError, FieldErrorKind, Row};
pub use score::Scored;
pub use serving::Serving;
pub use settings::Settings;
pub use signature::{DataType, Feature, Range};
pub use source::{ModelSource, RegisteredModel};

#[cfg(test)]
mod tests;
