//! Models that were trained elsewhere: ONNX graphs, LightGBM's text files and XGBoost's JSON and UBJSON files.
//!
//! Their bytes may come from anybody. Every length, index and size is checked while a file is read, and no file makes
//! this code allocate more than a small multiple of its own size before it has been refused or accepted.

mod boosted;
mod columns;
mod folder;
mod lightgbm;
mod one_row;
mod onnx;
mod predictor;
mod trees;
mod value;
mod xgboost;

pub use folder::{ForeignFile, foreign_file};
pub use predictor::Predictor;

use crate::config::Task;
use crate::{Error, Feature, Label, Predictions, Table};
use boosted::Boosted;

/// The kinds of files that hold a model from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelFormat {
    /// An ONNX graph of the operators that converters of scikit-learn, LightGBM and XGBoost write.
    Onnx,
    /// What `Booster.save_model` of LightGBM writes.
    LightGbm,
    /// What `save_model` of XGBoost writes, as JSON or UBJSON.
    XgBoost,
}

impl ModelFormat {
    /// Returns the name, as in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Onnx => "ONNX",
            Self::LightGbm => "LightGBM",
            Self::XgBoost => "XGBoost",
        }
    }
}

/// A model that was trained elsewhere.
#[derive(Clone, Debug)]
pub struct ForeignModel {
    format: ModelFormat,
    features: Vec<Feature>,
    labels: Vec<Label>,
    outputs: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Boosted(Box<Boosted>),
    Graph(Box<onnx::Session>),
}

/// What a reader of files hands out.
struct Loaded {
    features: Vec<Feature>,
    /// The classes; none for a regression.
    labels: Vec<Label>,
    outputs: Vec<String>,
    kind: Kind,
}

impl ForeignModel {
    /// Reads a model.
    ///
    /// `columns` are the names of the columns in the order in which the model takes them, as the signature of a model folder
    /// has them. They are needed where the file has no names of its own; where it has the same names, the file's order holds.
    /// Empty when nothing is known: features are then called as in the file, or by their positions.
    ///
    /// An ONNX graph is run once with made-up rows, so one that cannot work is refused here.
    ///
    /// # Errors
    /// [`Error::ModelFile`]: the file is damaged, holds what is not supported (the message says what, and what to convert
    /// differently), or takes another number of columns.
    pub fn load(format: ModelFormat, bytes: &[u8], columns: &[String]) -> Result<Self, Error> {
        let loaded = match format {
            ModelFormat::Onnx => onnx::load(bytes, columns),
            ModelFormat::LightGbm => lightgbm::load(bytes, columns),
            ModelFormat::XgBoost => xgboost::load(bytes, columns),
        };
        let loaded = loaded.map_err(|message| Error::ModelFile {
            format: format.name(),
            message,
        })?;
        Ok(Self {
            format,
            features: loaded.features,
            labels: loaded.labels,
            outputs: loaded.outputs,
            kind: loaded.kind,
        })
    }

    /// Returns the kind of file it came from.
    pub fn format(&self) -> ModelFormat {
        self.format
    }

    /// Returns the columns that predictions are made from, in order, with what the file says of their values.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Returns the classes, in order; none for a regression. LightGBM and XGBoost keep the numbers of classes only.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Returns the names of what comes out: the label, then the probability of each class; or the number.
    pub fn output_names(&self) -> &[String] {
        &self.outputs
    }

    /// Returns what is predicted.
    pub fn task(&self) -> Task {
        if self.labels.is_empty() {
            Task::Regression
        } else {
            Task::Classification
        }
    }

    /// Predicts all rows, each by itself; columns that are not features are ignored, unknown categories are allowed.
    ///
    /// # Errors
    /// A feature is not in the table, is text where the model takes numbers or the other way round, or has a value that the
    /// model cannot take.
    pub fn predict(&self, table: &Table) -> Result<Predictions, Error> {
        match &self.kind {
            Kind::Boosted(boosted) => boosted.predict(&self.features, &self.labels, table),
            Kind::Graph(session) => session.predict(&self.features, &self.labels, table),
        }
    }
}

/// Names of what comes out, as our own models name it.
fn output_names(labels: &[Label]) -> Vec<String> {
    let first = if labels.is_empty() { "prediction" } else { "label" };
    std::iter::once(first.to_owned())
        .chain(labels.iter().map(|label| format!("proba_{label}")))
        .collect()
}

#[cfg(test)]
mod fuzz;
