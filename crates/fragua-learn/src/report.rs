use crate::metrics::{ClassMetrics, ConfusionMatrix};
use crate::{Label, ModelParams, Pipeline};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a training found.
#[derive(Debug)]
pub struct TrainReport {
    /// Index of the best candidate.
    pub best: usize,
    /// All candidates, in the order they were drawn.
    pub candidates: Vec<CandidateResult>,
    /// Figures of the best model on the held-out rows, by name.
    pub metrics: BTreeMap<String, f64>,
    /// The same figures for always answering the most frequent class of the training rows.
    pub baseline: BTreeMap<String, f64>,
    /// Figures of each class on the held-out rows, in the order of `labels`.
    pub classes: Vec<ClassMetrics>,
    /// Held-out rows by true and predicted class.
    pub confusion_matrix: ConfusionMatrix,
    /// The classes, in order.
    pub labels: Vec<Label>,
    /// Share of each column in what the model decides, greatest first; the shares sum to 1.
    pub feature_importance: Vec<FeatureImportance>,
    /// The fitted model with its preparation.
    pub pipeline: Pipeline,
    /// Rows of the table that were trained on.
    pub train_rows: Vec<usize>,
    /// Rows of the table that were held out.
    pub test_rows: Vec<usize>,
}

impl TrainReport {
    /// Returns the best candidate.
    pub fn best_candidate(&self) -> &CandidateResult {
        &self.candidates[self.best]
    }
}

/// How one set of parameters did in cross-validation.
#[derive(Clone, Debug, Serialize)]
pub struct CandidateResult {
    /// Position in the order the candidates were drawn.
    pub index: usize,
    /// Model and parameters.
    pub params: ModelParams,
    /// Score of each fold.
    pub fold_scores: Vec<f64>,
    /// Mean of the fold scores.
    pub mean: f64,
    /// Standard deviation of the fold scores (divided by the number of folds, as scikit-learn's).
    pub std: f64,
    /// Time spent in fitting and scoring, summed over the folds.
    pub seconds: f64,
}

/// Share of one column in what the model decides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureImportance {
    /// Name of the column.
    pub feature: String,
    /// Its share: gain of its splits for trees, size of its standardised coefficients for logistic regression.
    pub importance: f64,
}
