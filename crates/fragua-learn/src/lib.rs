#![doc = include_str!("../README.md")]

mod calibrate;
pub mod card;
mod codec;
pub mod config;
mod csv_file;
pub mod drift;
mod error;
mod explain;
mod feature;
pub mod files;
mod foreign;
pub mod judge;
mod label;
mod linear;
pub mod metrics;
pub mod mlflow_model;
mod model;
mod naive_bayes;
mod onnx;
mod params;
pub mod picture;
mod pipeline;
mod pipeline_file;
mod prepare;
pub mod profile;
mod progress;
mod random;
mod report;
mod resample;
mod row;
mod scored;
mod search;
mod space;
pub mod split;
mod svc;
pub mod table;
mod target;
mod train;
mod tree;

pub use card::ModelCard;
pub use config::{Task, TrainConfig};
pub use csv_file::{read_csv, read_csv_typed, write_csv};
pub use error::Error;
pub use explain::Explanations;
pub use feature::{Feature, FeatureKind};
pub use files::{
    Format, OnBadCell, ReadOptions, ReadReport, columns_of, read_bytes, read_table, write_parquet,
};
pub use foreign::{ForeignFile, ForeignModel, ModelFormat, Predictor, foreign_file};
pub use judge::{Judgement, judge, judge_pipeline};
pub use label::Label;
pub use metrics::ConfusionMatrix;
pub use params::{
    GradientBoostingParams, LinearRegressionParams, LinearSvmParams, LogisticRegressionParams, ModelParams,
    NaiveBayesParams, RandomForestParams, SvcParams,
};
pub use pipeline::{Evaluation, Pipeline, Predictions};
pub use profile::TrainingProfile;
pub use progress::{Event, NoProgress, Progress};
pub use report::{CandidateResult, Comparison, FeatureImportance, FoldFigures, Stopped, TrainReport};
pub use row::{RowAnswer, RowScratch};
pub use space::Space;
pub use table::{Categorical, Cell, Column, ColumnKind, MISSING_CODE, Table, TableBuilder};
pub use train::{compare, compare_from, fit, train, train_from};
