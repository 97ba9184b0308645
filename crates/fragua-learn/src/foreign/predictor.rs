use crate::config::Task;
use crate::{Error, Explanations, Feature, ForeignModel, Label, Pipeline, Predictions, Table};

/// Anything that predicts: a pipeline of ours, or a model that was trained elsewhere.
#[derive(Clone, Debug)]
pub enum Predictor {
    /// Trained here.
    Pipeline(Box<Pipeline>),
    /// Trained elsewhere.
    Foreign(Box<ForeignModel>),
}

impl Predictor {
    /// Returns the columns that predictions are made from, in order.
    pub fn features(&self) -> &[Feature] {
        match self {
            Self::Pipeline(pipeline) => pipeline.features(),
            Self::Foreign(model) => model.features(),
        }
    }

    /// Returns the classes, in order; none for a regression.
    pub fn labels(&self) -> &[Label] {
        match self {
            Self::Pipeline(pipeline) => pipeline.labels(),
            Self::Foreign(model) => model.labels(),
        }
    }

    /// Tells whether the texts of a column, by its place in [`Self::features`], are read as dates: training need not have
    /// seen them.
    pub fn reads_dates(&self, feature: usize) -> bool {
        match self {
            Self::Pipeline(pipeline) => pipeline.reads_dates(feature),
            Self::Foreign(_) => false,
        }
    }

    /// Returns what is predicted.
    pub fn task(&self) -> Task {
        match self {
            Self::Pipeline(pipeline) => pipeline.task(),
            Self::Foreign(model) => model.task(),
        }
    }

    /// Returns the names of what comes out: the label, then the probability of each class; or the number.
    pub fn output_names(&self) -> Vec<String> {
        match self {
            Self::Pipeline(pipeline) => crate::mlflow_model::output_names(pipeline),
            Self::Foreign(model) => model.output_names().to_vec(),
        }
    }

    /// Predicts all rows.
    ///
    /// # Errors
    /// As [`Pipeline::predict`] and [`ForeignModel::predict`].
    pub fn predict(&self, table: &Table) -> Result<Predictions, Error> {
        match self {
            Self::Pipeline(pipeline) => pipeline.predict(table),
            Self::Foreign(model) => model.predict(table),
        }
    }

    /// Explains the predictions for all rows.
    ///
    /// # Errors
    /// As [`Pipeline::explain`]; also for every model that was trained elsewhere.
    pub fn explain(&self, table: &Table) -> Result<Explanations, Error> {
        match self {
            Self::Pipeline(pipeline) => pipeline.explain(table),
            Self::Foreign(model) => Err(Error::Data(format!(
                "only models that were trained here are explained, this one is from {}",
                model.format().name()
            ))),
        }
    }
}

impl From<Pipeline> for Predictor {
    fn from(pipeline: Pipeline) -> Self {
        Self::Pipeline(Box::new(pipeline))
    }
}

impl From<ForeignModel> for Predictor {
    fn from(model: ForeignModel) -> Self {
        Self::Foreign(Box::new(model))
    }
}
