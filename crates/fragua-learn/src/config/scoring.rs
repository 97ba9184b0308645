//! How candidates are drawn and compared.

use super::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How candidates are drawn and compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Parameter sets to try in all, drawn in turn from the candidates.
    pub n_iter: usize,
    /// Folds of the cross-validation.
    pub cv: usize,
    /// The figure that decides; when absent, `f1_macro` for classes and `r2` for numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            n_iter: 6,
            cv: 3,
            scoring: None,
        }
    }
}

/// A figure to compare models by; greater is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// Share of right answers.
    Accuracy,
    /// Mean recall of the classes that occur.
    BalancedAccuracy,
    /// Mean precision of the classes.
    PrecisionMacro,
    /// Precision weighted by class size.
    PrecisionWeighted,
    /// Mean recall of the classes.
    RecallMacro,
    /// Recall weighted by class size.
    RecallWeighted,
    /// Mean F1 of the classes.
    F1Macro,
    /// F1 weighted by class size.
    F1Weighted,
    /// Log loss with the sign turned.
    NegLogLoss,
    /// Brier score with the sign turned.
    NegBrierScore,
    /// Mean area under the ROC curve, one class against the rest.
    RocAucOvr,
    /// Mean average precision, one class against the rest.
    AveragePrecision,
    /// Matthews' correlation.
    MatthewsCorrcoef,
    /// Cohen's kappa.
    CohenKappa,
    /// Share of the variance that is explained, with the mean error counted against it.
    R2,
    /// Share of the variance that is explained.
    ExplainedVariance,
    /// Mean squared error with the sign turned.
    NegMeanSquaredError,
    /// Its root with the sign turned.
    NegRootMeanSquaredError,
    /// Mean absolute error with the sign turned.
    NegMeanAbsoluteError,
    /// Median absolute error with the sign turned.
    NegMedianAbsoluteError,
    /// Mean absolute error as a share of the truth, with the sign turned.
    NegMeanAbsolutePercentageError,
}

impl Scoring {
    /// Returns the figure that decides when none is named.
    pub fn of_task(task: Task) -> Self {
        match task {
            Task::Classification => Self::F1Macro,
            Task::Regression => Self::R2,
        }
    }

    /// Returns what the figure is for.
    pub fn task(self) -> Task {
        match self {
            Self::R2
            | Self::ExplainedVariance
            | Self::NegMeanSquaredError
            | Self::NegRootMeanSquaredError
            | Self::NegMeanAbsoluteError
            | Self::NegMedianAbsoluteError
            | Self::NegMeanAbsolutePercentageError => Task::Regression,
            _ => Task::Classification,
        }
    }

    /// Returns the name used in configuration, which is scikit-learn's.
    pub fn name(self) -> &'static str {
        match self {
            Scoring::Accuracy => "accuracy",
            Scoring::BalancedAccuracy => "balanced_accuracy",
            Scoring::PrecisionMacro => "precision_macro",
            Scoring::PrecisionWeighted => "precision_weighted",
            Scoring::RecallMacro => "recall_macro",
            Scoring::RecallWeighted => "recall_weighted",
            Scoring::F1Macro => "f1_macro",
            Scoring::F1Weighted => "f1_weighted",
            Scoring::NegLogLoss => "neg_log_loss",
            Scoring::NegBrierScore => "neg_brier_score",
            Scoring::RocAucOvr => "roc_auc_ovr",
            Scoring::AveragePrecision => "average_precision",
            Scoring::MatthewsCorrcoef => "matthews_corrcoef",
            Scoring::CohenKappa => "cohen_kappa",
            Scoring::R2 => "r2",
            Scoring::ExplainedVariance => "explained_variance",
            Scoring::NegMeanSquaredError => "neg_mean_squared_error",
            Scoring::NegRootMeanSquaredError => "neg_root_mean_squared_error",
            Scoring::NegMeanAbsoluteError => "neg_mean_absolute_error",
            Scoring::NegMedianAbsoluteError => "neg_median_absolute_error",
            Scoring::NegMeanAbsolutePercentageError => "neg_mean_absolute_percentage_error",
        }
    }

    /// Returns this figure out of all figures by name, greater being better; `None` when it is not among them.
    pub fn of(self, metrics: &BTreeMap<String, f64>) -> Option<f64> {
        match self.name().strip_prefix("neg_") {
            Some(name) => metrics.get(name).map(|figure| -figure),
            None => metrics.get(self.name()).copied(),
        }
    }
}
