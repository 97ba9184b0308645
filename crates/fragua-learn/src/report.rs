use crate::config::{Scoring, Task};
use crate::metrics::{ClassMetrics, ConfusionMatrix, Interval};
use crate::{Label, ModelParams, Pipeline, TrainingProfile};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

/// What a training found.
#[derive(Debug)]
pub struct TrainReport {
    /// What is predicted.
    pub task: Task,
    /// What that was found from.
    pub task_reason: String,
    /// Index of the best candidate.
    pub best: usize,
    /// All candidates, in the order they were drawn.
    pub candidates: Vec<CandidateResult>,
    /// Figures of the best model on the held-out rows, by name.
    pub metrics: BTreeMap<String, f64>,
    /// Where each of them lies, were other rows held out; empty when no intervals are asked for.
    pub intervals: BTreeMap<String, Interval>,
    /// The same figures for always answering the most frequent class, or the mean, of the training rows.
    pub baseline: BTreeMap<String, f64>,
    /// Figures of each class on the held-out rows, in the order of `labels`; empty for numbers.
    pub classes: Vec<ClassMetrics>,
    /// Held-out rows by true and predicted class; `None` for numbers.
    pub confusion_matrix: Option<ConfusionMatrix>,
    /// The classes, in order; none for numbers.
    pub labels: Vec<Label>,
    /// Share of each column in what the model decides, greatest first; the shares sum to 1.
    pub feature_importance: Vec<FeatureImportance>,
    /// The fitted model with its preparation.
    pub pipeline: Pipeline,
    /// What the rows were like that were trained on.
    pub profile: TrainingProfile,
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

/// How the candidates of a configuration did in cross-validation.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What is predicted.
    pub task: Task,
    /// What that was found from.
    pub task_reason: String,
    /// The figure that was compared; greater is better.
    pub scoring: Scoring,
    /// Index of the best candidate.
    pub best: usize,
    /// All candidates, in the order they were drawn.
    pub candidates: Vec<CandidateResult>,
}

/// How one set of parameters did in cross-validation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CandidateResult {
    /// Position in the order the candidates were drawn.
    pub index: usize,
    /// Model and parameters.
    pub params: ModelParams,
    /// The figure that the scores are of.
    pub scoring: Scoring,
    /// Score of each fold.
    pub fold_scores: Vec<f64>,
    /// Mean of the fold scores.
    pub mean: f64,
    /// Standard deviation of the fold scores (divided by the number of folds, as scikit-learn's).
    pub std: f64,
    /// The other figures of `search.also`, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub also: BTreeMap<String, FoldFigures>,
    /// Why the candidate was not scored to the end; it cannot be the best one then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// Time spent in fitting and scoring, summed over the folds.
    pub seconds: f64,
}

/// One figure of a candidate on all folds that were scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldFigures {
    /// The figure of each fold; greater is better.
    pub folds: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (divided by the number of folds).
    pub std: f64,
}

/// Why a candidate was not scored to the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// Others did better with a part of the rows or rounds.
    Halved {
        /// That part.
        share: f64,
    },
    /// It was surely behind another one.
    Hopeless {
        /// Folds that were scored.
        folds: usize,
    },
    /// The search was ended, see [`crate::Progress::is_enough`].
    Ended {
        /// Folds that were scored; of none the scores are NaN.
        folds: usize,
    },
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Halved { share } => write!(f, "halved at a share of {share:.3}"),
            Self::Hopeless { folds } => write!(f, "hopeless after {folds} folds"),
            Self::Ended { folds } => write!(f, "ended after {folds} folds"),
        }
    }
}

impl CandidateResult {
    /// Orders candidates from the best one down; those that were not scored to the end come last.
    pub fn by_rank(&self, other: &Self) -> Ordering {
        let is_stopped = |result: &Self| result.stopped.is_some();
        is_stopped(self)
            .cmp(&is_stopped(other))
            .then(other.mean.total_cmp(&self.mean))
    }
}

/// Share of one column in what the model decides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureImportance {
    /// Name of the column.
    pub feature: String,
    /// Its share: gain of its splits for trees, size of its standardised coefficients for linear models.
    pub importance: f64,
}
