#![doc = include_str!("../README.md")]

mod error;
mod settings;

mod frame;
mod model;
mod python_json;
mod row;
mod signature;

mod follow;
mod loader;
mod manifest;
mod source;

mod metrics;
mod serving;

pub mod api;

pub use error::Error;
pub use follow::Followed;
pub use fragua_learn::Label;
pub use model::{Predictions, ServedModel};
pub use row::{Cell, FieldError, FieldErrorKind, Row};
pub use serving::{Problem, ProblemKind, Serving, State};
pub use settings::Settings;
pub use signature::{DataType, Feature, Range};
pub use source::ModelSource;

#[cfg(test)]
mod tests;
