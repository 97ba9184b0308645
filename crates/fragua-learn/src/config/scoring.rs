//! How candidates are drawn and compared.

use super::{Task, within};
use crate::Error;
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
    /// Other figures to have of each candidate; they decide nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Scoring>,
    /// How candidates come about.
    #[serde(skip_serializing_if = "is_default")]
    pub method: SearchMethod,
    /// For the `halving` method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halving: Option<HalvingConfig>,
    /// How rows are held out, in each fold and for the final figures: `stratified`, `{time: COLUMN}` or `{group: COLUMN}`.
    #[serde(skip_serializing_if = "is_default")]
    pub folds: Folds,
    /// Whether a candidate is given up after two folds or more when it is behind the best one on each of them, and by more
    /// than three standard errors of the gap on average. The folds come one after the other then.
    #[serde(skip_serializing_if = "is_default")]
    pub drop_hopeless: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How candidates come about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchMethod {
    /// At random, the models in turn.
    #[default]
    Random,
    /// At random, the models in turn; successive halving scores all with a part of the rows or rounds, and goes on with
    /// the best ones and more of them until few are left for the whole.
    Halving,
    /// A third of them (but 4 to 10) at random, the rest one by one where good ones were dense so far: the tree-structured
    /// Parzen estimator, a Bayesian search that looks at each parameter by itself.
    Tpe,
}

/// Successive halving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HalvingConfig {
    /// One candidate in so many goes on, and gets so many times as much.
    pub factor: usize,
    /// What candidates get more of.
    pub resource: HalvingResource,
}

impl Default for HalvingConfig {
    fn default() -> Self {
        Self {
            factor: 3,
            resource: HalvingResource::default(),
        }
    }
}

/// What candidates get more of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HalvingResource {
    /// Rows of each fold to learn from, the share of each class kept; 100 at least.
    #[default]
    Rows,
    /// Trees or rounds of boosting: `n_estimators`.
    Rounds,
}

/// How rows are held out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Folds {
    /// At random, with the share of each class kept.
    #[default]
    Stratified,
    /// Rows later than all that are learned from, by a column of numbers or of texts whose order is that of time, such as
    /// ISO dates. Of `cv` folds each learns from all rows before its own; the final figures are those of the latest rows.
    Time(String),
    /// Whole groups of rows that have the same in a column, such as one person's; that column is not learned from.
    Group(String),
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            n_iter: 6,
            cv: 3,
            scoring: None,
            also: Vec::new(),
            method: SearchMethod::default(),
            halving: None,
            folds: Folds::default(),
            drop_hopeless: false,
        }
    }
}

impl SearchConfig {
    pub(super) fn check(&self) -> Result<(), Error> {
        within("search.n_iter", self.n_iter, 1, 1_000)?;
        within("search.cv", self.cv, 2, 50)?;
        if let Some(halving) = &self.halving {
            within("search.halving.factor", halving.factor, 2, 100)?;
            if self.method != SearchMethod::Halving {
                return Err(Error::config(
                    "search.halving",
                    "only `method: halving` has these settings",
                ));
            }
        }
        if self.drop_hopeless && self.method == SearchMethod::Halving {
            let message = "halving gives candidates up in its own way; leave this out";
            return Err(Error::config("search.drop_hopeless", message));
        }
        Ok(())
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
    /// All figures.
    pub const ALL: [Self; 21] = [
        Self::Accuracy,
        Self::BalancedAccuracy,
        Self::PrecisionMacro,
        Self::PrecisionWeighted,
        Self::RecallMacro,
        Self::RecallWeighted,
        Self::F1Macro,
        Self::F1Weighted,
        Self::NegLogLoss,
        Self::NegBrierScore,
        Self::RocAucOvr,
        Self::AveragePrecision,
        Self::MatthewsCorrcoef,
        Self::CohenKappa,
        Self::R2,
        Self::ExplainedVariance,
        Self::NegMeanSquaredError,
        Self::NegRootMeanSquaredError,
        Self::NegMeanAbsoluteError,
        Self::NegMedianAbsoluteError,
        Self::NegMeanAbsolutePercentageError,
    ];

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
