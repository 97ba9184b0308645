//! What to train, as written in a DAG.

use crate::Error;
use crate::space::Space;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Describes one training: target, split, preparation, models to try, search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The column to predict: whole numbers or texts.
    pub target: String,
    /// The columns to predict from; all but the target when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<String>>,
    /// Columns to leave out when `features` is absent, such as ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How rows are held out for the final figures.
    #[serde(default)]
    pub split: SplitConfig,
    /// What happens to the columns before the model.
    #[serde(default)]
    pub preparation: PreparationConfig,
    /// The models to try, each with fixed or searched parameters.
    #[serde(default = "default_candidates")]
    pub candidates: Vec<Candidate>,
    /// How candidates are drawn and compared.
    #[serde(default)]
    pub search: SearchConfig,
    /// Seed of folds, draws and models; the same seed gives the same model on any number of threads.
    #[serde(default = "default_seed")]
    pub seed: u64,
}

fn default_seed() -> u64 {
    42
}

fn default_candidates() -> Vec<Candidate> {
    vec![Candidate::RandomForest(RandomForestSpace::default())]
}

/// How rows are held out; the share of each class is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SplitConfig {
    /// Share of the rows that is held out, above 0 and below 1.
    pub test_size: f64,
    /// Seed of the split.
    pub seed: u64,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self {
            test_size: 0.3,
            seed: 42,
        }
    }
}

/// What happens to the columns before the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PreparationConfig {
    /// Columns of numbers.
    pub numeric: NumericConfig,
    /// Columns of texts.
    pub categorical: CategoricalConfig,
}

/// Preparation of numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NumericConfig {
    /// How missing numbers are filled.
    pub imputer: NumericImputer,
    /// How the linear model's numbers are scaled; trees do not depend on scale and split the raw numbers.
    pub scaler: Scaler,
    /// Neighbours of the `knn` imputer.
    pub n_neighbors: Option<usize>,
    /// Weights of the `knn` imputer's neighbours.
    pub weights: Option<NeighborWeights>,
}

/// How missing numbers are filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumericImputer {
    /// With the column's median.
    #[default]
    Median,
    /// With the column's most frequent value, the smallest of equals.
    MostFrequent,
    /// With the mean of the nearest rows by nan-Euclidean distance over the numeric columns.
    Knn,
    /// Not at all: trees learn where missing values go. Not for logistic regression.
    None,
}

/// How numbers are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scaler {
    /// Mean 0 and standard deviation 1 on the training rows.
    #[default]
    Standard,
    /// As they are.
    None,
}

/// Weights of neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeighborWeights {
    /// All alike.
    #[default]
    Uniform,
    /// By the inverse of the distance.
    Distance,
}

/// Preparation of texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CategoricalConfig {
    /// How missing texts are filled.
    pub imputer: CategoricalImputer,
    /// Which one-hot column the linear model leaves out; trees split on the categories themselves.
    pub drop: OneHotDrop,
}

/// How missing texts are filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CategoricalImputer {
    /// With the column's most frequent text, the first in order of equals.
    #[default]
    MostFrequent,
    /// Not at all: missing is a category of its own.
    None,
}

/// Which one-hot column is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OneHotDrop {
    /// That of the first category in order; an unknown category then counts as the first.
    #[default]
    First,
    /// None; an unknown category is all zeros.
    None,
}

/// One kind of model with its parameters or their distributions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Candidate {
    /// Many deep trees on random samples.
    RandomForest(RandomForestSpace),
    /// Many deep trees, cut at random.
    ExtraTrees(ExtraTreesSpace),
    /// Small trees, each correcting those before.
    GradientBoosting(Box<GradientBoostingSpace>),
    /// Multinomial logistic regression with an L2 penalty.
    LogisticRegression(LogisticRegressionSpace),
}

/// Parameters of a random forest; the names are scikit-learn's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RandomForestSpace {
    /// Number of trees.
    pub n_estimators: Space<usize>,
    /// Deepest level; `null` is no limit.
    pub max_depth: Space<Option<usize>>,
    /// Columns tried at a split.
    pub max_features: Space<MaxFeatures>,
    /// Fewest rows that are still split.
    pub min_samples_split: Space<usize>,
    /// Fewest rows in a leaf.
    pub min_samples_leaf: Space<usize>,
    /// Whether each tree sees a sample with replacement.
    pub bootstrap: Space<bool>,
    /// Weights of the classes.
    pub class_weight: Space<ClassWeight>,
}

impl Default for RandomForestSpace {
    fn default() -> Self {
        Self {
            n_estimators: Space::Fixed(100),
            max_depth: Space::Fixed(None),
            max_features: Space::Fixed(MaxFeatures::default()),
            min_samples_split: Space::Fixed(2),
            min_samples_leaf: Space::Fixed(1),
            bootstrap: Space::Fixed(true),
            class_weight: Space::Fixed(ClassWeight::None),
        }
    }
}

/// Parameters of extra trees: those of a random forest, but each tree sees every row unless `bootstrap` says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ExtraTreesSpace(pub RandomForestSpace);

impl Default for ExtraTreesSpace {
    fn default() -> Self {
        Self(RandomForestSpace {
            bootstrap: Space::Fixed(false),
            ..RandomForestSpace::default()
        })
    }
}

impl<'de> Deserialize<'de> for ExtraTreesSpace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = serde_json::Map::deserialize(deserializer)?;
        fields.entry("bootstrap").or_insert(false.into());
        let space = serde_json::from_value(fields.into()).map_err(D::Error::custom)?;
        Ok(Self(space))
    }
}

/// Parameters of gradient boosting; the names are those of scikit-learn, LightGBM and XGBoost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GradientBoostingSpace {
    /// Rounds; each adds one tree a class (one in all for two classes).
    pub n_estimators: Space<usize>,
    /// Shrinkage of each tree.
    pub learning_rate: Space<f64>,
    /// Most leaves of a tree.
    pub max_leaf_nodes: Space<usize>,
    /// Deepest level; `null` is no limit.
    pub max_depth: Space<Option<usize>>,
    /// Fewest rows in a leaf.
    pub min_samples_leaf: Space<usize>,
    /// L2 penalty of leaf values.
    pub l2_regularization: Space<f64>,
    /// Which leaf is split next.
    pub grow_policy: Space<GrowPolicy>,
    /// Share of the rows that each round sees.
    pub subsample: Space<f64>,
    /// Share of the columns that the trees of each round see.
    pub colsample_bytree: Space<f64>,
    /// Most categories of a column in a leaf that are split one against the rest; more are split in two groups.
    pub max_cat_to_onehot: Space<usize>,
    /// Rounds without a better loss on rows held out after which the fit stops, and goes back to the best round;
    /// `null` runs all rounds.
    pub n_iter_no_change: Space<Option<usize>>,
    /// Share of the training rows that are held out to tell when to stop.
    pub validation_fraction: Space<f64>,
    /// Columns of numbers that the chance of the second of two classes must rise with (1) or fall with (-1).
    pub monotonic_cst: BTreeMap<String, i8>,
    /// Weights of the classes.
    pub class_weight: Space<ClassWeight>,
}

/// Which leaf of a boosted tree is split next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrowPolicy {
    /// The one that gains most.
    #[default]
    LeafWise,
    /// The one nearest the root; among those, the one that gains most.
    DepthWise,
}

impl Default for GradientBoostingSpace {
    fn default() -> Self {
        Self {
            n_estimators: Space::Fixed(100),
            learning_rate: Space::Fixed(0.1),
            max_leaf_nodes: Space::Fixed(31),
            max_depth: Space::Fixed(None),
            min_samples_leaf: Space::Fixed(20),
            l2_regularization: Space::Fixed(0.0),
            grow_policy: Space::Fixed(GrowPolicy::default()),
            subsample: Space::Fixed(1.0),
            colsample_bytree: Space::Fixed(1.0),
            max_cat_to_onehot: Space::Fixed(4),
            n_iter_no_change: Space::Fixed(None),
            validation_fraction: Space::Fixed(0.1),
            monotonic_cst: BTreeMap::new(),
            class_weight: Space::Fixed(ClassWeight::None),
        }
    }
}

/// Parameters of logistic regression; the names are scikit-learn's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogisticRegressionSpace {
    /// Inverse of the penalty's strength.
    #[serde(rename = "C")]
    pub c: Space<f64>,
    /// Most L-BFGS iterations.
    pub max_iter: Space<usize>,
    /// Largest gradient at which the fit counts as converged.
    pub tol: Space<f64>,
    /// Weights of the classes.
    pub class_weight: Space<ClassWeight>,
}

impl Default for LogisticRegressionSpace {
    fn default() -> Self {
        Self {
            c: Space::Fixed(1.0),
            max_iter: Space::Fixed(100),
            tol: Space::Fixed(1e-4),
            class_weight: Space::Fixed(ClassWeight::None),
        }
    }
}

/// Columns tried at a split: `sqrt`, `log2`, `null` for all, a count, or a share such as 0.5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum MaxFeatures {
    /// A rule by name.
    Rule(FeatureRule),
    /// A count of columns.
    Count(usize),
    /// A share of the columns, above 0 and at most 1.
    Share(f64),
    /// All columns.
    All,
}

/// Rules for the number of columns tried at a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeatureRule {
    /// The square root of the number of columns.
    Sqrt,
    /// The binary logarithm of the number of columns.
    Log2,
}

impl Default for MaxFeatures {
    fn default() -> Self {
        Self::Rule(FeatureRule::Sqrt)
    }
}

impl MaxFeatures {
    pub(crate) fn count(self, columns: usize) -> usize {
        let count = match self {
            Self::Rule(FeatureRule::Sqrt) => (columns as f64).sqrt() as usize,
            Self::Rule(FeatureRule::Log2) => (columns as f64).log2() as usize,
            Self::Count(count) => count,
            Self::Share(share) => (columns as f64 * share) as usize,
            Self::All => columns,
        };
        count.clamp(1, columns.max(1))
    }
}

impl<'de> Deserialize<'de> for MaxFeatures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_json::Value;
        let value = Value::deserialize(deserializer)?;
        let read = match &value {
            Value::Null => Some(Self::All),
            Value::String(name) if name == "sqrt" => Some(Self::Rule(FeatureRule::Sqrt)),
            Value::String(name) if name == "log2" => Some(Self::Rule(FeatureRule::Log2)),
            Value::Number(number) => match number.as_u64() {
                Some(count) => usize::try_from(count)
                    .ok()
                    .filter(|&count| count > 0)
                    .map(Self::Count),
                None => number
                    .as_f64()
                    .filter(|&share| share > 0.0 && share <= 1.0)
                    .map(Self::Share),
            },
            _ => None,
        };
        read.ok_or_else(|| {
            D::Error::custom(format!(
                "expected sqrt, log2, null, a count or a share above 0 and up to 1.0, got {value}"
            ))
        })
    }
}

/// Weights of the classes: `none`, `balanced`, or a map from class to weight (others weigh 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// All rows weigh the same.
    #[default]
    None,
    /// Classes weigh the same: rows weigh rows / (classes × rows of the class).
    Balanced,
    /// Weights by class; classes that are not named weigh 1.
    #[serde(untagged)]
    Map(BTreeMap<String, f64>),
}

impl<'de> Deserialize<'de> for ClassWeight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_json::Value;
        let value = Value::deserialize(deserializer)?;
        let expected = "expected none, balanced, or a map from class to a weight above 0";
        match &value {
            Value::Null => Ok(Self::None),
            Value::String(name) if name == "none" => Ok(Self::None),
            Value::String(name) if name == "balanced" => Ok(Self::Balanced),
            Value::Object(_) => {
                let weights: BTreeMap<String, f64> = serde_json::from_value(value)
                    .map_err(|error| D::Error::custom(format!("{expected}: {error}")))?;
                match weights
                    .iter()
                    .find(|(_, weight)| !(weight.is_finite() && **weight > 0.0))
                {
                    Some((class, weight)) => {
                        Err(D::Error::custom(format!("{expected}, got {weight} for {class}")))
                    }
                    None => Ok(Self::Map(weights)),
                }
            }
            other => Err(D::Error::custom(format!("{expected}, got {other}"))),
        }
    }
}

/// How candidates are drawn and compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Parameter sets to try in all, drawn in turn from the candidates.
    pub n_iter: usize,
    /// Folds of the cross-validation.
    pub cv: usize,
    /// The figure that decides.
    pub scoring: Scoring,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            n_iter: 6,
            cv: 3,
            scoring: Scoring::F1Macro,
        }
    }
}

/// A figure to compare models by; greater is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// Share of right answers.
    Accuracy,
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
    /// Mean area under the ROC curve, one class against the rest.
    RocAucOvr,
}

impl Scoring {
    /// Returns the name used in configuration, which is scikit-learn's.
    pub fn name(self) -> &'static str {
        match self {
            Scoring::Accuracy => "accuracy",
            Scoring::PrecisionMacro => "precision_macro",
            Scoring::PrecisionWeighted => "precision_weighted",
            Scoring::RecallMacro => "recall_macro",
            Scoring::RecallWeighted => "recall_weighted",
            Scoring::F1Macro => "f1_macro",
            Scoring::F1Weighted => "f1_weighted",
            Scoring::NegLogLoss => "neg_log_loss",
            Scoring::RocAucOvr => "roc_auc_ovr",
        }
    }
}

impl TrainConfig {
    /// Returns the configuration with all defaults for a target column.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            features: None,
            exclude: Vec::new(),
            split: SplitConfig::default(),
            preparation: PreparationConfig::default(),
            candidates: default_candidates(),
            search: SearchConfig::default(),
            seed: default_seed(),
        }
    }

    /// Checks everything that can be checked without the rows.
    ///
    /// # Errors
    /// [`Error::Config`] with the key and what would be right.
    pub fn check(&self) -> Result<(), Error> {
        if self.target.is_empty() {
            return Err(Error::config("target", "expected the name of a column"));
        }
        if self
            .features
            .as_ref()
            .is_some_and(|names| names.contains(&self.target))
        {
            return Err(Error::config(
                "features",
                format!("`{}` is the target", self.target),
            ));
        }
        if self.features.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::config("features", "expected at least one column"));
        }
        if !(self.split.test_size > 0.0 && self.split.test_size < 1.0) {
            return Err(Error::config(
                "split.test_size",
                format!(
                    "expected a share above 0 and below 1, got {}",
                    self.split.test_size
                ),
            ));
        }
        self.preparation.check()?;
        within("search.n_iter", self.search.n_iter, 1, 1_000)?;
        within("search.cv", self.search.cv, 2, 50)?;
        if self.candidates.is_empty() {
            return Err(Error::config("candidates", "expected at least one model"));
        }
        let unfilled = self.preparation.numeric.imputer == NumericImputer::None;
        for (index, candidate) in self.candidates.iter().enumerate() {
            candidate.check(&format!("candidates[{index}]"))?;
            if unfilled && matches!(candidate, Candidate::LogisticRegression(_)) {
                let message =
                    "logistic_regression cannot see missing values; use median, most_frequent or knn";
                return Err(Error::config("preparation.numeric.imputer", message));
            }
        }
        Ok(())
    }
}

impl PreparationConfig {
    fn check(&self) -> Result<(), Error> {
        let numeric = &self.numeric;
        if let Some(count) = numeric.n_neighbors {
            within("preparation.numeric.n_neighbors", count, 1, 1_000)?;
        }
        let named = [
            ("n_neighbors", numeric.n_neighbors.is_some()),
            ("weights", numeric.weights.is_some()),
        ];
        for (name, given) in named {
            if given && numeric.imputer != NumericImputer::Knn {
                return Err(Error::config(
                    format!("preparation.numeric.{name}"),
                    "only the knn imputer has neighbours",
                ));
            }
        }
        Ok(())
    }
}

impl Candidate {
    /// Returns the name of the model as in configuration.
    pub fn model_name(&self) -> &'static str {
        match self {
            Candidate::RandomForest(_) => "random_forest",
            Candidate::ExtraTrees(_) => "extra_trees",
            Candidate::GradientBoosting(_) => "gradient_boosting",
            Candidate::LogisticRegression(_) => "logistic_regression",
        }
    }

    fn check(&self, at: &str) -> Result<(), Error> {
        let key = |name: &str| format!("{at}.{name}");
        match self {
            Candidate::RandomForest(space) | Candidate::ExtraTrees(ExtraTreesSpace(space)) => {
                each(&space.n_estimators, |&v| {
                    within(&key("n_estimators"), v, 1, 5_000)
                })?;
                each(&space.max_depth, |&v| {
                    within(&key("max_depth"), v.unwrap_or(1), 1, 10_000)
                })?;
                each(&space.min_samples_split, |&v| {
                    within(&key("min_samples_split"), v, 2, usize::MAX)
                })?;
                each(&space.min_samples_leaf, |&v| {
                    within(&key("min_samples_leaf"), v, 1, usize::MAX)
                })
            }
            Candidate::GradientBoosting(space) => {
                each(&space.n_estimators, |&v| {
                    within(&key("n_estimators"), v, 1, 5_000)
                })?;
                each(&space.learning_rate, |&v| {
                    between(&key("learning_rate"), v, 1e-6, 10.0)
                })?;
                each(&space.max_leaf_nodes, |&v| {
                    within(&key("max_leaf_nodes"), v, 2, 10_000)
                })?;
                each(&space.max_depth, |&v| {
                    within(&key("max_depth"), v.unwrap_or(1), 1, 10_000)
                })?;
                each(&space.min_samples_leaf, |&v| {
                    within(&key("min_samples_leaf"), v, 1, usize::MAX)
                })?;
                each(&space.l2_regularization, |&v| {
                    between(&key("l2_regularization"), v, 0.0, 1e9)
                })?;
                each(&space.subsample, |&v| between(&key("subsample"), v, 1e-6, 1.0))?;
                each(&space.colsample_bytree, |&v| {
                    between(&key("colsample_bytree"), v, 1e-6, 1.0)
                })?;
                each(&space.n_iter_no_change, |&v| {
                    within(&key("n_iter_no_change"), v.unwrap_or(1), 1, 5_000)
                })?;
                each(&space.validation_fraction, |&v| {
                    between(&key("validation_fraction"), v, 1e-6, 0.9)
                })?;
                let unknown = space
                    .monotonic_cst
                    .iter()
                    .find(|(_, direction)| direction.abs() > 1);
                unknown.map_or(Ok(()), |(column, direction)| {
                    let message = format!("expected 1, -1 or 0, got {direction}");
                    Err(Error::config(key(&format!("monotonic_cst.{column}")), message))
                })
            }
            Candidate::LogisticRegression(space) => {
                each(&space.c, |&v| between(&key("C"), v, 1e-9, 1e9))?;
                each(&space.max_iter, |&v| within(&key("max_iter"), v, 1, 100_000))?;
                each(&space.tol, |&v| between(&key("tol"), v, 1e-15, 1.0))
            }
        }
    }
}

fn each<T: Clone + DeserializeOwned>(
    space: &Space<T>,
    check: impl Fn(&T) -> Result<(), Error>,
) -> Result<(), Error> {
    space.corners().iter().try_for_each(check)
}

fn within(field: &str, value: usize, low: usize, high: usize) -> Result<(), Error> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let range = if high == usize::MAX {
        format!("at least {low}")
    } else {
        format!("{low} to {high}")
    };
    Err(Error::config(field, format!("expected {range}, got {value}")))
}

fn between(field: &str, value: f64, low: f64, high: f64) -> Result<(), Error> {
    if value >= low && value <= high {
        return Ok(());
    }
    Err(Error::config(
        field,
        format!("expected {low} to {high}, got {value}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<TrainConfig, String> {
        let config: TrainConfig = serde_json::from_value(value).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_full_configuration_survives_a_round_trip() {
        let full = json!({
            "target": "Cover_Type",
            "exclude": ["id"],
            "split": { "test_size": 0.25, "seed": 1 },
            "preparation": {
                "numeric": { "imputer": "knn", "n_neighbors": 3, "weights": "distance", "scaler": "none" },
                "categorical": { "imputer": "none", "drop": "none" },
            },
            "candidates": [
                { "model": "random_forest", "n_estimators": [50, 100], "max_depth": { "choice": [null, 20] },
                  "max_features": ["sqrt", "log2", 4, 0.5, null], "class_weight": ["none", "balanced", { "1": 2.0 }] },
                { "model": "gradient_boosting", "learning_rate": { "log_uniform": [0.01, 0.3] },
                  "max_leaf_nodes": { "int": [15, 63] } },
                { "model": "logistic_regression", "C": 0.5 },
            ],
            "search": { "n_iter": 6, "cv": 3, "scoring": "f1_macro" },
            "seed": 7,
        });
        let config = read(full).unwrap();
        let Candidate::RandomForest(forest) = &config.candidates[0] else {
            panic!("{config:?}")
        };
        let Space::Choice(choices) = &forest.max_features else {
            panic!("{forest:?}")
        };
        assert_eq!(
            choices[2..],
            [MaxFeatures::Count(4), MaxFeatures::Share(0.5), MaxFeatures::All]
        );
        assert_eq!(read(serde_json::to_value(&config).unwrap()).unwrap(), config);
        assert_eq!(read(json!({ "target": "t" })).unwrap(), TrainConfig::new("t"));
    }

    #[test]
    fn mistakes_name_the_key_and_what_would_be_right() {
        let check = |extra: Value, expected: &str| {
            let mut config = json!({ "target": "t" });
            for (key, value) in extra.as_object().unwrap() {
                config[key] = value.clone();
            }
            let error = read(config).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        let candidate = |value: Value| json!({ "candidates": [value] });
        check(
            json!({ "targt": 1 }),
            "unknown field `targt`, expected one of `target`",
        );
        check(
            json!({ "split": { "test_size": 1.0 } }),
            "split.test_size: expected a share above 0 and below 1, got 1",
        );
        check(json!({ "features": ["t"] }), "features: `t` is the target");
        check(
            json!({ "search": { "cv": 1 } }),
            "search.cv: expected 2 to 50, got 1",
        );
        check(
            json!({ "search": { "scoring": "f1" } }),
            "unknown variant `f1`, expected one of `accuracy`",
        );
        check(
            candidate(json!({ "model": "svm" })),
            "unknown variant `svm`, expected one of `random_forest`",
        );
        check(
            candidate(json!({ "model": "random_forest", "n_estimator": 3 })),
            "unknown field `n_estimator`, expected one of `n_estimators`",
        );
        check(
            candidate(json!({ "model": "random_forest", "n_estimators": { "int": [0, 5] } })),
            "candidates[0].n_estimators: expected 1 to 5000, got 0",
        );
        check(
            candidate(json!({ "model": "random_forest", "max_features": 1.5 })),
            "a share above 0 and up to 1.0, got 1.5",
        );
        check(
            candidate(json!({ "model": "random_forest", "class_weight": { "1": -1.0 } })),
            "a weight above 0, got -1 for 1",
        );
        check(
            json!({ "preparation": { "numeric": { "imputer": "none" } }, "candidates": [{ "model": "logistic_regression" }] }),
            "preparation.numeric.imputer: logistic_regression cannot see missing values",
        );
        check(
            json!({ "preparation": { "numeric": { "n_neighbors": 3 } } }),
            "preparation.numeric.n_neighbors: only the knn imputer has neighbours",
        );
    }
}
