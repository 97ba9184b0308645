#![doc = include_str!("../README.md")]

mod error;
mod frame;
mod metrics;
mod python_json;
mod row;
mod settings;
mod signature;

pub use error::Error;
pub use row::{Cell, FieldError, FieldErrorKind, Row};
pub use settings::Settings;
pub use signature::{DataType, Feature, Range};
