//! The models to try and the values of their parameters.

use super::parameters::{ClassWeight, Gamma, GammaRule, GrowPolicy, KernelKind, MaxFeatures, NumberLoss};
use super::{Task, between, within};
use crate::Error;
use crate::space::Space;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

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
    /// Linear support vector machines, one class against the rest, with the squared hinge and an L2 penalty as in
    /// scikit-learn's `LinearSVC`; for classes. What it decides becomes a probability by `calibrate` only: without, the
    /// logistic function of each class's decision, made to sum to 1, keeps the order and no more.
    LinearSvm(LinearSvmSpace),
    /// Support vector machines with a kernel, one class against one, as scikit-learn's `SVC`; for classes of up to `max_rows`
    /// rows. `calibrate: sigmoid` makes probabilities of what they decide: with two classes that is Platt's scaling. Without,
    /// probabilities keep the order and no more: the logistic function of the decision with two classes, and with more the
    /// softmax of votes and decisions.
    Svc(SvcSpace),
    /// Gaussian naive Bayes on scaled numbers and one-hot categories; for classes.
    NaiveBayes(NaiveBayesSpace),
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
    /// Inverse of the penalty's strength, as scikit-learn counts it for two classes and for more.
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

/// Parameters of linear support vector machines; the names are those of scikit-learn's `LinearSVC`. The intercept is
/// penalised with the coefficients, as by liblinear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LinearSvmSpace {
    /// Inverse of the penalty's strength.
    #[serde(rename = "C")]
    pub c: Space<f64>,
    /// Most iterations.
    pub max_iter: Space<usize>,
    /// Largest gradient at which the fit counts as converged.
    pub tol: Space<f64>,
    /// Weights of the classes; where a class stands against the rest, the rest weighs 1.
    pub class_weight: Space<ClassWeight>,
}

impl Default for LinearSvmSpace {
    fn default() -> Self {
        Self {
            c: Space::Fixed(1.0),
            max_iter: Space::Fixed(1_000),
            tol: Space::Fixed(1e-4),
            class_weight: Space::Fixed(ClassWeight::None),
        }
    }
}

/// Parameters of support vector machines with a kernel; the names but `max_rows` are those of scikit-learn's `SVC`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SvcSpace {
    /// Most that a row may count; less is a stronger penalty.
    #[serde(rename = "C")]
    pub c: Space<f64>,
    /// How alike two rows are.
    pub kernel: Space<KernelKind>,
    /// The factor in the `rbf` and `poly` kernels.
    pub gamma: Space<Gamma>,
    /// The power of the `poly` kernel.
    pub degree: Space<u32>,
    /// What the `poly` kernel adds to the product.
    pub coef0: Space<f64>,
    /// Most steps of each machine, each of which changes two rows.
    pub max_iter: Space<usize>,
    /// How far the conditions of the optimum may be violated.
    pub tol: Space<f64>,
    /// Weights of the classes.
    pub class_weight: Space<ClassWeight>,
    /// Most rows to learn from: more are refused, as the time grows faster than their square.
    pub max_rows: usize,
}

impl Default for SvcSpace {
    fn default() -> Self {
        Self {
            c: Space::Fixed(1.0),
            kernel: Space::Fixed(KernelKind::default()),
            gamma: Space::Fixed(Gamma::Rule(GammaRule::Scale)),
            degree: Space::Fixed(3),
            coef0: Space::Fixed(0.0),
            max_iter: Space::Fixed(10_000_000),
            tol: Space::Fixed(1e-3),
            class_weight: Space::Fixed(ClassWeight::None),
            max_rows: 20_000,
        }
    }
}

/// Parameters of naive Bayes; the name is that of scikit-learn's `GaussianNB`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NaiveBayesSpace {
    /// Share of the widest column's variance that is added to all variances.
    pub var_smoothing: Space<f64>,
}

impl Default for NaiveBayesSpace {
    fn default() -> Self {
        Self {
            var_smoothing: Space::Fixed(1e-9),
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

impl Candidate {
    /// Returns the name of the model as in configuration.
    pub fn model_name(&self) -> &'static str {
        match self {
            Candidate::RandomForest(_) => "random_forest",
            Candidate::ExtraTrees(_) => "extra_trees",
            Candidate::GradientBoosting(_) => "gradient_boosting",
            Candidate::LogisticRegression(_) => "logistic_regression",
            Candidate::LinearSvm(_) => "linear_svm",
            Candidate::Svc(_) => "svc",
            Candidate::NaiveBayes(_) => "naive_bayes",
            Candidate::LinearRegression(_) => "linear_regression",
        }
    }

    /// What the model is for, when it is for one thing only.
    pub(super) fn task(&self) -> Option<Task> {
        match self {
            Candidate::LogisticRegression(_)
            | Candidate::LinearSvm(_)
            | Candidate::Svc(_)
            | Candidate::NaiveBayes(_) => Some(Task::Classification),
            Candidate::LinearRegression(_) => Some(Task::Regression),
            _ => None,
        }
    }

    /// Whether `n_estimators` says how many trees or rounds there are.
    pub(super) fn has_rounds(&self) -> bool {
        self.is_of_trees()
    }

    /// Whether the model can do without numbers for what is missing.
    pub(super) fn sees_missing(&self) -> bool {
        self.is_of_trees()
    }

    fn is_of_trees(&self) -> bool {
        matches!(
            self,
            Candidate::RandomForest(_) | Candidate::ExtraTrees(_) | Candidate::GradientBoosting(_)
        )
    }

    pub(super) fn check(&self, at: &str) -> Result<(), Error> {
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
            Candidate::LinearSvm(space) => {
                each(&space.c, |&v| between(&key("C"), v, 1e-9, 1e9))?;
                each(&space.max_iter, |&v| within(&key("max_iter"), v, 1, 100_000))?;
                each(&space.tol, |&v| between(&key("tol"), v, 1e-15, 1.0))
            }
            Candidate::Svc(space) => {
                each(&space.c, |&v| between(&key("C"), v, 1e-9, 1e9))?;
                each(&space.gamma, |&v| match v {
                    Gamma::Value(value) => between(&key("gamma"), value, 1e-12, 1e12),
                    Gamma::Rule(_) => Ok(()),
                })?;
                each(&space.degree, |&v| within(&key("degree"), v as usize, 1, 20))?;
                each(&space.coef0, |&v| between(&key("coef0"), v, -1e9, 1e9))?;
                each(&space.max_iter, |&v| {
                    within(&key("max_iter"), v, 1, 1_000_000_000)
                })?;
                each(&space.tol, |&v| between(&key("tol"), v, 1e-15, 1.0))?;
                within(&key("max_rows"), space.max_rows, 2, 1_000_000)
            }
            Candidate::NaiveBayes(space) => each(&space.var_smoothing, |&v| {
                between(&key("var_smoothing"), v, 1e-15, 1e3)
            }),
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
