#![doc = include_str!("../README.md")]

mod error;
mod label;
pub mod table;
mod csv_file;
pub mod config;
mod space;
mod params;
mod random;
pub mod split;
mod prepare;
mod tree;
mod linear;
mod model;
pub mod metrics;
mod feature;
mod pipeline;
mod progress;
mod report;
mod search;
mod train;

pub use config::TrainConfig;
pub use csv_file::{read_csv, read_csv_typed};
pub use error::Error;
pub use feature::{Feature, FeatureKind};
pub use label::Label;
pub use metrics::ConfusionMatrix;
pub use params::{GradientBoostingParams, LogisticRegressionParams, ModelParams, RandomForestParams};
pub use pipeline::{Evaluation, Pipeline, Predictions};
pub use progress::{Event, NoProgress, Progress};
pub use report::{CandidateResult, FeatureImportance, TrainReport};
pub use space::Space;
pub use table::{Categorical, Cell, Column, ColumnKind, MISSING_CODE, Table, TableBuilder};
pub use train::train;
