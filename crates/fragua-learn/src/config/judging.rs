//! What is found out about a model once it is fitted.

use super::columns::ColumnSelector;
use super::scoring::Scoring;
use super::{Task, within};
use crate::Error;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the model card tells beside the figures. All of it is found on rows that were held out; a count of 0 leaves a part
/// out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeConfig {
    /// Language of the model card.
    pub language: Language,
    /// How much worse the model gets when a column is shuffled.
    pub permutation: PermutationConfig,
    /// What the model says on average for each value of a column.
    pub partial_dependence: PartialDependenceConfig,
    /// What each column adds to predictions: exact Shapley values of the trees.
    pub contributions: ContributionConfig,
    /// Whether probabilities come true as often as they say.
    pub reliability: ReliabilityConfig,
    /// Figures of parts of the rows.
    pub slices: SliceConfig,
    /// Scores with fewer rows to learn from.
    pub learning_curve: LearningCurveConfig,
}

/// A language of the model card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// Spanish.
    #[serde(rename = "es")]
    Spanish,
}

/// Permutation importance. Its time is that of predicting `rows` × `columns` × `repeats` rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PermutationConfig {
    /// How often each column is shuffled; 0 leaves the part out.
    pub repeats: usize,
    /// Most held-out rows that are used.
    pub rows: usize,
    /// Most columns, those that the model decides most by.
    pub columns: usize,
    /// The figure that gets worse; that of the search when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
}

impl Default for PermutationConfig {
    fn default() -> Self {
        Self {
            repeats: 5,
            rows: 1_000,
            columns: 30,
            scoring: None,
        }
    }
}

/// Partial dependence. Its time is that of predicting `rows` × `columns` × `points` rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PartialDependenceConfig {
    /// Most columns, the most important ones; 0 leaves the part out.
    pub columns: usize,
    /// Most values of a column: quantiles of numbers, the most frequent texts.
    pub points: usize,
    /// Most held-out rows that are used.
    pub rows: usize,
}

impl Default for PartialDependenceConfig {
    fn default() -> Self {
        Self {
            columns: 6,
            points: 20,
            rows: 200,
        }
    }
}

/// Contributions of columns. Their time grows with `rows` × the leaves of all trees; of large forests fewer rows are used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ContributionConfig {
    /// Most held-out rows that are explained; 0 leaves the part out.
    pub rows: usize,
}

impl Default for ContributionConfig {
    fn default() -> Self {
        Self { rows: 200 }
    }
}

/// Reliability of probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReliabilityConfig {
    /// Ranges of probabilities, equally wide; 0 leaves the part out.
    pub bins: usize,
}

impl Default for ReliabilityConfig {
    fn default() -> Self {
        Self { bins: 10 }
    }
}

/// Figures of parts of the held-out rows, with intervals as in `intervals`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SliceConfig {
    /// The columns whose values part the rows, also ones that are not learned from; the most important ones when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<ColumnSelector>>,
    /// Most columns; 0 leaves the part out.
    pub most: usize,
    /// Ranges of a column of numbers, with as many rows each; at most 12 different numbers are told apart.
    pub ranges: usize,
    /// Texts in fewer rows are put together; what is still smaller is marked.
    pub min_rows: usize,
    /// The figure; when absent `accuracy` for classes and `neg_mean_absolute_error` for numbers, whose means over the slices
    /// are those of all rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
}

impl Default for SliceConfig {
    fn default() -> Self {
        Self {
            columns: None,
            most: 4,
            ranges: 4,
            min_rows: 30,
            scoring: None,
        }
    }
}

/// The learning curve. Each share takes the time of one candidate of the search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LearningCurveConfig {
    /// Shares of the rows that the folds of the search learn from, rising, such as `[0.1, 0.3, 1.0]`; none leaves the part
    /// out.
    pub shares: Vec<f64>,
}

impl JudgeConfig {
    pub(super) fn check(&self) -> Result<(), Error> {
        let permutation = &self.permutation;
        within("judge.permutation.repeats", permutation.repeats, 0, 1_000)?;
        within("judge.permutation.rows", permutation.rows, 1, usize::MAX)?;
        within("judge.permutation.columns", permutation.columns, 1, usize::MAX)?;
        let dependence = &self.partial_dependence;
        within("judge.partial_dependence.columns", dependence.columns, 0, 100)?;
        within("judge.partial_dependence.points", dependence.points, 2, 1_000)?;
        within("judge.partial_dependence.rows", dependence.rows, 1, usize::MAX)?;
        let bins = self.reliability.bins;
        if bins == 1 {
            return Err(Error::config(
                "judge.reliability.bins",
                "expected 0 or at least 2, got 1",
            ));
        }
        within("judge.reliability.bins", bins, 0, 100)?;
        within("judge.slices.most", self.slices.most, 0, 100)?;
        within("judge.slices.ranges", self.slices.ranges, 1, 50)?;
        within("judge.slices.min_rows", self.slices.min_rows, 1, usize::MAX)?;
        let shares = &self.learning_curve.shares;
        let is_share = |share: &f64| *share > 0.0 && *share <= 1.0;
        if !shares.iter().all(is_share) || !shares.is_sorted_by(|one, two| one < two) {
            let message = "expected rising shares above 0 and up to 1, such as [0.1, 0.3, 1.0]";
            return Err(Error::config("judge.learning_curve.shares", message));
        }
        Ok(())
    }

    /// The figures that are named, with their keys.
    pub(super) fn scorings(&self) -> impl Iterator<Item = (Task, String, &'static str)> {
        let named = [
            ("judge.permutation.scoring", self.permutation.scoring),
            ("judge.slices.scoring", self.slices.scoring),
        ];
        named.into_iter().filter_map(|(key, scoring)| {
            scoring.map(|scoring| (scoring.task(), key.to_owned(), scoring.name()))
        })
    }
}
