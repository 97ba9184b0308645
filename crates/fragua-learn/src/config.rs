//! What to train, as written in a DAG.

use crate::Error;
use crate::space::Space;
use crate::table::ColumnKind;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Describes one training: target, split, preparation, models to try, search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The column to predict: classes (texts or whole numbers), or numbers.
    pub target: String,
    /// Whether classes or numbers are predicted. When absent: what the models and the figure of the search imply, else
    /// classes for texts and for at most 256 different whole numbers, numbers for all other targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// A column with the weight of each row, at least 0; only the proportions count. Models learn by it; figures count
    /// rows alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// The columns to predict from, by name, type or pattern; all but the target when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<ColumnSelector>>,
    /// Columns to leave out, such as ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<ColumnSelector>,
    /// How rows are held out for the final figures.
    #[serde(default)]
    pub split: SplitConfig,
    /// What happens to the columns before the model.
    #[serde(default)]
    pub preparation: PreparationConfig,
    /// Steps, one after the other, that give small classes more of the rows that are learned from, or large ones fewer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resampling: Vec<Resampling>,
    /// The models to try, each with fixed or searched parameters.
    #[serde(default = "default_candidates")]
    pub candidates: Vec<Candidate>,
    /// How candidates are drawn and compared.
    #[serde(default)]
    pub search: SearchConfig,
    /// How sure the final figures are.
    #[serde(default)]
    pub intervals: IntervalConfig,
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

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of some classes.
    Classification,
    /// A number.
    Regression,
}

impl Task {
    /// Returns the name used in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Task::Classification => "classification",
            Task::Regression => "regression",
        }
    }
}

/// Confidence intervals of the final figures, from the held-out rows drawn again and again with replacement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IntervalConfig {
    /// How often the rows are drawn; 0 gives no intervals.
    pub resamples: usize,
    /// How often an interval should hold the true figure, above 0 and below 1.
    pub level: f64,
}

impl Default for IntervalConfig {
    fn default() -> Self {
        Self {
            resamples: 200,
            level: 0.95,
        }
    }
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

/// Names columns: one by its name, or all of a type, all whose name fits a pattern, or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a column, or a map with type (number or text), pattern, or both"
)]
pub enum ColumnSelector {
    /// The column of this name; it must be there.
    Name(String),
    /// All columns that fit; there may be none.
    Fitting(ColumnFilter),
}

/// What columns must be like; everything that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnFilter {
    /// Type of the values.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ColumnType>,
    /// The name, with `*` for any characters and `?` for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// Type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Numbers.
    Number,
    /// Texts.
    Text,
}

impl From<&str> for ColumnSelector {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl ColumnSelector {
    pub(crate) fn fits(&self, name: &str, kind: ColumnKind) -> bool {
        match self {
            Self::Name(known) => known == name,
            Self::Fitting(filter) => {
                let kind_fits = match filter.kind {
                    Some(ColumnType::Number) => kind == ColumnKind::Numeric,
                    Some(ColumnType::Text) => kind == ColumnKind::Categorical,
                    None => true,
                };
                let pattern = filter.pattern.as_deref().unwrap_or("*");
                kind_fits && fits_pattern(&name.chars().collect::<Vec<_>>(), pattern)
            }
        }
    }
}

/// Tells whether a whole name fits a pattern.
fn fits_pattern(name: &[char], pattern: &str) -> bool {
    // The lengths of the name's beginnings that the pattern up to here fits.
    let mut fitting = vec![false; name.len() + 1];
    fitting[0] = true;
    for wanted in pattern.chars() {
        let mut next = vec![false; name.len() + 1];
        for length in 0..=name.len() {
            next[length] = match wanted {
                '*' => fitting[..=length].contains(&true),
                _ => length > 0 && fitting[length - 1] && (wanted == '?' || wanted == name[length - 1]),
            };
        }
        fitting = next;
    }
    fitting[name.len()]
}

/// What happens to the columns before the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PreparationConfig {
    /// Columns of numbers.
    pub numeric: NumericConfig,
    /// Columns of texts.
    pub categorical: CategoricalConfig,
    /// Other preparation for some columns; the first entry that names a column holds for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnPreparation>,
}

/// How some columns are prepared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnPreparation {
    /// The columns.
    pub columns: Vec<ColumnSelector>,
    /// For those with numbers; as all others when absent. The `knn` imputer is for all columns or for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric: Option<NumericConfig>,
    /// For those with texts; as all others when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categorical: Option<CategoricalConfig>,
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
    /// The number of the `constant` imputer; 0 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill_value: Option<f64>,
}

/// How missing numbers are filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumericImputer {
    /// With the column's median.
    #[default]
    Median,
    /// With the column's mean.
    Mean,
    /// With `fill_value`.
    Constant,
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
    /// From 0 to 1 on the training rows.
    MinMax,
    /// Median 0, and 1 between the quartiles, on the training rows; outliers hardly count.
    Robust,
    /// The share of the training rows that are below, between 256 quantiles in proportion.
    Quantile,
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
    /// What models are given for a text.
    pub encoding: TextEncoding,
    /// With how many rows of the mean of all a category's own mean is mixed for the `target` encoding; 10 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothing: Option<f64>,
    /// The text of the `constant` imputer; `missing` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill_value: Option<String>,
    /// Categories in fewer training rows (a count, or a share such as 0.01) become one category, which those never seen
    /// belong to, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_frequency: Option<Frequency>,
}

/// A count of rows, or a share of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a count of rows or a share of them")]
pub enum Frequency {
    /// A count.
    Rows(usize),
    /// A share, above 0 and below 1.
    Share(f64),
}

impl Frequency {
    /// Returns the least number of rows that is frequent.
    pub(crate) fn of(self, rows: usize) -> f64 {
        match self {
            Self::Rows(count) => count as f64,
            Self::Share(share) => share * rows as f64,
        }
    }
}

/// How missing texts are filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CategoricalImputer {
    /// With the column's most frequent text, the first in order of equals.
    #[default]
    MostFrequent,
    /// With `fill_value`, a category of its own unless it is one already.
    Constant,
    /// Not at all: missing is a category of its own.
    None,
}

/// What models are given for a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextEncoding {
    /// The category: trees split on it, linear models see it as one-hot columns.
    #[default]
    Category,
    /// The position of the category in order, as a number; one never seen is -1.
    Ordinal,
    /// The mean of the target in the category: of the number, or of being the second of two classes. For the rows that
    /// are learned from it is the mean of other rows.
    Target,
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

/// One step that changes how many rows of each class are learned from; rows that models are measured on stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resampling {
    /// What the step does.
    pub method: ResamplingMethod,
    /// How large classes should become, as a share of the largest one; large ones become at most the smallest over it.
    #[serde(default = "one")]
    pub ratio: f64,
    /// Neighbours of its own class that a row is made between.
    #[serde(default = "five")]
    pub k_neighbors: usize,
    /// Neighbours that tell `borderline_smote` whether a row is at the border.
    #[serde(default = "ten")]
    pub m_neighbors: usize,
    /// Neighbours that `edited_neighbours` asks.
    #[serde(default = "three")]
    pub n_neighbors: usize,
}

fn one() -> f64 {
    1.0
}

fn three() -> usize {
    3
}

fn five() -> usize {
    5
}

fn ten() -> usize {
    10
}

/// What a step of resampling does; the definitions are imbalanced-learn's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResamplingMethod {
    /// Rows of small classes are repeated at random.
    RandomOver,
    /// Rows of large classes are left out at random.
    RandomUnder,
    /// Rows are made between those of small classes and their neighbours; with columns of texts it is `smote_nc`.
    Smote,
    /// The same with texts: those that most neighbours have.
    SmoteNc,
    /// SMOTE from rows only whose neighbours are half or more, but not all, of other classes.
    BorderlineSmote,
    /// SMOTE with more rows where more neighbours are of other classes.
    Adasyn,
    /// Rows of larger classes are left out that are mutual nearest neighbours of a row of another class.
    TomekLinks,
    /// Rows of larger classes are left out that have a neighbour of another class.
    EditedNeighbours,
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
    /// Multinomial logistic regression with an L2, L1 or mixed penalty; for classes.
    LogisticRegression(LogisticRegressionSpace),
    /// Linear regression with an L2, L1 or mixed penalty, or none; for numbers.
    LinearRegression(LinearRegressionSpace),
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
    /// Columns of numbers that the predicted number, or the chance of the second of two classes, must rise with (1) or
    /// fall with (-1).
    pub monotonic_cst: BTreeMap<String, i8>,
    /// Weights of the classes.
    pub class_weight: Space<ClassWeight>,
    /// What a regression makes small; classes always have the log loss.
    pub loss: Space<NumberLoss>,
}

/// What boosting makes small when it learns numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumberLoss {
    /// Squared errors: predicts means.
    #[default]
    SquaredError,
    /// Absolute errors: predicts medians.
    AbsoluteError,
    /// Squared errors up to the 90 % quantile of their sizes, absolute ones above.
    Huber,
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
            loss: Space::Fixed(NumberLoss::default()),
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
    /// Share of the L1 penalty, 0 to 1; what is left is L2.
    pub l1_ratio: Space<f64>,
    /// Most iterations.
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
            l1_ratio: Space::Fixed(0.0),
            max_iter: Space::Fixed(100),
            tol: Space::Fixed(1e-4),
            class_weight: Space::Fixed(ClassWeight::None),
        }
    }
}

/// Parameters of linear regression; the names and the penalty are those of scikit-learn's `ElasticNet`: half the mean
/// squared error plus `alpha` × (`l1_ratio` × sum of sizes + (1 − `l1_ratio`) / 2 × sum of squares) of the coefficients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LinearRegressionSpace {
    /// Strength of the penalty; 0 is ordinary least squares.
    pub alpha: Space<f64>,
    /// Share of the L1 penalty: 1 is lasso, 0 is ridge.
    pub l1_ratio: Space<f64>,
    /// Most rounds of coordinate descent, which only an L1 penalty needs.
    pub max_iter: Space<usize>,
    /// Largest move of a prediction in the last round, in standard deviations of the target.
    pub tol: Space<f64>,
}

impl Default for LinearRegressionSpace {
    fn default() -> Self {
        Self {
            alpha: Space::Fixed(0.0),
            l1_ratio: Space::Fixed(0.0),
            max_iter: Space::Fixed(1_000),
            tol: Space::Fixed(1e-6),
        }
    }
}

/// Columns tried at a split: `auto` (`sqrt` for classes, all for numbers), `sqrt`, `log2`, `null` for all, a count, or a
/// share such as 0.5.
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
    /// The square root of the number of columns for classes, all for numbers.
    Auto,
    /// The square root of the number of columns.
    Sqrt,
    /// The binary logarithm of the number of columns.
    Log2,
}

impl Default for MaxFeatures {
    fn default() -> Self {
        Self::Rule(FeatureRule::Auto)
    }
}

impl MaxFeatures {
    /// Returns what `auto` means for a task; everything else as it is.
    pub(crate) fn resolve(self, task: Task) -> Self {
        match (self, task) {
            (Self::Rule(FeatureRule::Auto), Task::Classification) => Self::Rule(FeatureRule::Sqrt),
            (Self::Rule(FeatureRule::Auto), Task::Regression) => Self::All,
            _ => self,
        }
    }

    pub(crate) fn count(self, columns: usize) -> usize {
        let count = match self {
            Self::Rule(FeatureRule::Auto | FeatureRule::Sqrt) => (columns as f64).sqrt() as usize,
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
            Value::String(name) if name == "auto" => Some(Self::Rule(FeatureRule::Auto)),
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
                "expected auto, sqrt, log2, null, a count or a share above 0 and up to 1.0, got {value}"
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

impl TrainConfig {
    /// Returns the configuration with all defaults for a target column.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            task: None,
            weight: None,
            features: None,
            exclude: Vec::new(),
            split: SplitConfig::default(),
            preparation: PreparationConfig::default(),
            resampling: Vec::new(),
            candidates: default_candidates(),
            search: SearchConfig::default(),
            intervals: IntervalConfig::default(),
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
            .is_some_and(|names| names.contains(&ColumnSelector::Name(self.target.clone())))
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
        if self.weight.as_ref() == Some(&self.target) {
            return Err(Error::config("weight", "expected another column than the target"));
        }
        within("intervals.resamples", self.intervals.resamples, 0, 100_000)?;
        if !(self.intervals.level > 0.0 && self.intervals.level < 1.0) {
            let message = format!(
                "expected a share above 0 and below 1, got {}",
                self.intervals.level
            );
            return Err(Error::config("intervals.level", message));
        }
        self.implied_task()?;
        self.preparation.check()?;
        for (index, step) in self.resampling.iter().enumerate() {
            let key = |name: &str| format!("resampling[{index}].{name}");
            between(&key("ratio"), step.ratio, 1e-6, 1.0)?;
            within(&key("k_neighbors"), step.k_neighbors, 1, 1_000)?;
            within(&key("m_neighbors"), step.m_neighbors, 1, 1_000)?;
            within(&key("n_neighbors"), step.n_neighbors, 1, 1_000)?;
        }
        within("search.n_iter", self.search.n_iter, 1, 1_000)?;
        within("search.cv", self.search.cv, 2, 50)?;
        if self.candidates.is_empty() {
            return Err(Error::config("candidates", "expected at least one model"));
        }
        let unfilled = self
            .preparation
            .numerics()
            .any(|numeric| numeric.imputer == NumericImputer::None);
        for (index, candidate) in self.candidates.iter().enumerate() {
            candidate.check(&format!("candidates[{index}]"))?;
            let is_linear = matches!(
                candidate,
                Candidate::LogisticRegression(_) | Candidate::LinearRegression(_)
            );
            if unfilled && is_linear {
                let message = format!(
                    "{} cannot see missing values; use median, most_frequent or knn",
                    candidate.model_name()
                );
                return Err(Error::config("preparation.numeric.imputer", message));
            }
        }
        Ok(())
    }

    /// Returns what is predicted as far as the configuration says, with the key that says so.
    pub(crate) fn implied_task(&self) -> Result<Option<(Task, String)>, Error> {
        let mut implied = self.task.map(|task| (task, "task".to_owned()));
        let models = self
            .candidates
            .iter()
            .enumerate()
            .filter_map(|(index, candidate)| {
                let task = candidate.task()?;
                Some((task, format!("candidates[{index}].model"), candidate.model_name()))
            });
        let scoring = self
            .search
            .scoring
            .map(|scoring| (scoring.task(), "search.scoring".to_owned(), scoring.name()));
        for (task, field, name) in models.chain(scoring) {
            match &implied {
                Some((known, by)) if *known != task => {
                    let message = format!(
                        "{name} is for {}, but `{by}` asks for {}",
                        task.name(),
                        known.name()
                    );
                    return Err(Error::config(field, message));
                }
                Some(_) => {}
                None => implied = Some((task, field)),
            }
        }
        Ok(implied)
    }
}

impl PreparationConfig {
    fn numerics(&self) -> impl Iterator<Item = &NumericConfig> {
        let others = self.columns.iter().filter_map(|columns| columns.numeric.as_ref());
        std::iter::once(&self.numeric).chain(others)
    }

    fn categoricals(&self) -> impl Iterator<Item = &CategoricalConfig> {
        let others = self
            .columns
            .iter()
            .filter_map(|columns| columns.categorical.as_ref());
        std::iter::once(&self.categorical).chain(others)
    }

    fn for_column(&self, name: &str, kind: ColumnKind) -> Option<&ColumnPreparation> {
        let names_it =
            |columns: &&ColumnPreparation| columns.columns.iter().any(|selector| selector.fits(name, kind));
        self.columns.iter().find(names_it)
    }

    /// Returns how a column of numbers is prepared.
    pub(crate) fn numeric_of(&self, name: &str) -> &NumericConfig {
        let own = self.for_column(name, ColumnKind::Numeric);
        own.and_then(|columns| columns.numeric.as_ref())
            .unwrap_or(&self.numeric)
    }

    /// Returns how a column of texts is prepared.
    pub(crate) fn categorical_of(&self, name: &str) -> &CategoricalConfig {
        let own = self.for_column(name, ColumnKind::Categorical);
        own.and_then(|columns| columns.categorical.as_ref())
            .unwrap_or(&self.categorical)
    }

    fn check(&self) -> Result<(), Error> {
        for (index, columns) in self.columns.iter().enumerate() {
            let at = format!("preparation.columns[{index}]");
            if columns.columns.is_empty() {
                return Err(Error::config(
                    format!("{at}.columns"),
                    "expected at least one column",
                ));
            }
            let knn = |numeric: &NumericConfig| numeric.imputer == NumericImputer::Knn;
            if columns.numeric.as_ref().is_some_and(knn) || (columns.numeric.is_some() && knn(&self.numeric))
            {
                let message =
                    "the knn imputer looks at all columns of numbers at once, so it is for all or none";
                return Err(Error::config(format!("{at}.numeric.imputer"), message));
            }
        }
        for numeric in self.numerics() {
            let value = numeric.fill_value;
            if value.is_some_and(|value| value.is_nan() || value.abs() > f64::from(f32::MAX)) {
                return Err(Error::config(
                    "preparation.numeric.fill_value",
                    "expected a finite 32-bit number",
                ));
            }
            if value.is_some() && numeric.imputer != NumericImputer::Constant {
                let message = "only the constant imputer has a value of its own";
                return Err(Error::config("preparation.numeric.fill_value", message));
            }
        }
        for categorical in self.categoricals() {
            if let Some(smoothing) = categorical.smoothing {
                between("preparation.categorical.smoothing", smoothing, 0.0, 1e9)?;
                if categorical.encoding != TextEncoding::Target {
                    let message = "only the target encoding has means to smooth";
                    return Err(Error::config("preparation.categorical.smoothing", message));
                }
            }
            let value = &categorical.fill_value;
            if value.is_some() && categorical.imputer != CategoricalImputer::Constant {
                let message = "only the constant imputer has a value of its own";
                return Err(Error::config("preparation.categorical.fill_value", message));
            }
            if value.as_ref().is_some_and(String::is_empty) {
                let message = "expected a text that is not empty: an empty one is missing";
                return Err(Error::config("preparation.categorical.fill_value", message));
            }
            if let Some(Frequency::Share(share)) = categorical.min_frequency
                && !(share > 0.0 && share < 1.0)
            {
                let message = format!("expected a count or a share above 0 and below 1, got {share}");
                return Err(Error::config("preparation.categorical.min_frequency", message));
            }
        }
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
            Candidate::LinearRegression(_) => "linear_regression",
        }
    }

    /// What the model is for, when it is for one thing only.
    fn task(&self) -> Option<Task> {
        match self {
            Candidate::LogisticRegression(_) => Some(Task::Classification),
            Candidate::LinearRegression(_) => Some(Task::Regression),
            _ => None,
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
                each(&space.l1_ratio, |&v| between(&key("l1_ratio"), v, 0.0, 1.0))?;
                each(&space.max_iter, |&v| within(&key("max_iter"), v, 1, 100_000))?;
                each(&space.tol, |&v| between(&key("tol"), v, 1e-15, 1.0))
            }
            Candidate::LinearRegression(space) => {
                each(&space.alpha, |&v| between(&key("alpha"), v, 0.0, 1e9))?;
                each(&space.l1_ratio, |&v| between(&key("l1_ratio"), v, 0.0, 1.0))?;
                each(&space.max_iter, |&v| within(&key("max_iter"), v, 1, 1_000_000))?;
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
    fn patterns_fit_whole_names() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("Soil_*", "Soil_Type", true),
            ("Soil_*", "A_Soil_Type", false),
            ("*Type", "Soil_Type", true),
            ("S?il*e", "Soil_Type", true),
            ("?", "é", true),
            ("??", "é", false),
            ("a*b*c", "a_b_b_c", true),
            ("a*b*c", "a_c_b", false),
        ] {
            let name: Vec<char> = name.chars().collect();
            assert_eq!(fits_pattern(&name, pattern), expected, "{pattern} and {name:?}");
        }
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
            json!({ "preparation": { "numeric": { "fill_value": 3.0 } } }),
            "preparation.numeric.fill_value: only the constant imputer has a value of its own",
        );
        check(
            json!({ "preparation": { "categorical": { "min_frequency": 1.5 } } }),
            "preparation.categorical.min_frequency: expected a count or a share above 0 and below 1, got 1.5",
        );
        check(
            json!({ "preparation": { "columns": [{ "columns": ["a"], "numeric": { "imputer": "knn" } }] } }),
            "preparation.columns[0].numeric.imputer: the knn imputer looks at all columns of numbers at once",
        );
        check(
            json!({ "preparation": { "columns": [{ "columns": ["a"], "numeric": { "imputer": "none" } }] },
                    "candidates": [{ "model": "linear_regression" }] }),
            "preparation.numeric.imputer: linear_regression cannot see missing values",
        );
        check(
            json!({ "preparation": { "numeric": { "n_neighbors": 3 } } }),
            "preparation.numeric.n_neighbors: only the knn imputer has neighbours",
        );
    }
}
