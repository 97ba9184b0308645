use crate::config::{
    Candidate, ClassWeight, ExtraTreesSpace, Gamma, GradientBoostingSpace, GrowPolicy, KernelKind,
    LinearRegressionSpace, LinearSvmSpace, LogisticRegressionSpace, MaxFeatures, NaiveBayesSpace, NumberLoss,
    RandomForestSpace, SvcSpace, Task,
};
use crate::search::Draw;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A model with one value for each parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum ModelParams {
    /// See [`RandomForestSpace`].
    RandomForest(RandomForestParams),
    /// See [`ExtraTreesSpace`].
    ExtraTrees(RandomForestParams),
    /// See [`GradientBoostingSpace`].
    GradientBoosting(GradientBoostingParams),
    /// See [`LogisticRegressionSpace`].
    LogisticRegression(LogisticRegressionParams),
    /// See [`LinearSvmSpace`].
    LinearSvm(LinearSvmParams),
    /// See [`SvcSpace`].
    Svc(SvcParams),
    /// See [`NaiveBayesSpace`].
    NaiveBayes(NaiveBayesParams),
    /// See [`LinearRegressionSpace`].
    LinearRegression(LinearRegressionParams),
}

/// See [`RandomForestSpace`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is described at the space it is drawn from"
)]
pub struct RandomForestParams {
    pub n_estimators: usize,
    pub max_depth: Option<usize>,
    pub max_features: MaxFeatures,
    pub min_samples_split: usize,
    pub min_samples_leaf: usize,
    pub bootstrap: bool,
    pub class_weight: ClassWeight,
}

/// See [`GradientBoostingSpace`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is described at the space it is drawn from"
)]
pub struct GradientBoostingParams {
    pub n_estimators: usize,
    pub learning_rate: f64,
    pub max_leaf_nodes: usize,
    pub max_depth: Option<usize>,
    pub min_samples_leaf: usize,
    pub l2_regularization: f64,
    pub grow_policy: GrowPolicy,
    pub subsample: f64,
    pub colsample_bytree: f64,
    pub max_cat_to_onehot: usize,
    pub n_iter_no_change: Option<usize>,
    pub validation_fraction: f64,
    pub monotonic_cst: BTreeMap<String, i8>,
    pub class_weight: ClassWeight,
    /// None for classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<NumberLoss>,
}

/// See [`LinearRegressionSpace`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is described at the space it is drawn from"
)]
pub struct LinearRegressionParams {
    pub alpha: f64,
    pub l1_ratio: f64,
    pub max_iter: usize,
    pub tol: f64,
}

/// See [`LogisticRegressionSpace`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is described at the space it is drawn from"
)]
pub struct LogisticRegressionParams {
    #[serde(rename = "C")]
    pub c: f64,
    pub l1_ratio: f64,
    pub max_iter: usize,
    pub tol: f64,
    pub class_weight: ClassWeight,
}

/// See [`LinearSvmSpace`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is described at the space it is drawn from"
)]
pub struct LinearSvmParams {
    #[serde(rename = "C")]
    pub c: f64,
    pub max_iter: usize,
    pub tol: f64,
    pub class_weight: ClassWeight,
}

/// See [`SvcSpace`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is described at the space it is drawn from"
)]
pub struct SvcParams {
    #[serde(rename = "C")]
    pub c: f64,
    pub kernel: KernelKind,
    pub gamma: Gamma,
    pub degree: u32,
    pub coef0: f64,
    pub max_iter: usize,
    pub tol: f64,
    pub class_weight: ClassWeight,
    pub max_rows: usize,
}

/// See [`NaiveBayesSpace`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is described at the space it is drawn from"
)]
pub struct NaiveBayesParams {
    pub var_smoothing: f64,
}

impl ModelParams {
    /// Returns model and parameters as texts, the way they are logged; no limit is `None` as in scikit-learn.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let value = serde_json::to_value(self).expect("plain numbers, texts and maps");
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::Null => "None".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let object = value.as_object().expect("a struct");
        object
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    /// Returns the name of the model as in configuration.
    pub fn model_name(&self) -> &'static str {
        match self {
            ModelParams::RandomForest(_) => "random_forest",
            ModelParams::ExtraTrees(_) => "extra_trees",
            ModelParams::GradientBoosting(_) => "gradient_boosting",
            ModelParams::LogisticRegression(_) => "logistic_regression",
            ModelParams::LinearSvm(_) => "linear_svm",
            ModelParams::Svc(_) => "svc",
            ModelParams::NaiveBayes(_) => "naive_bayes",
            ModelParams::LinearRegression(_) => "linear_regression",
        }
    }

    /// The same model with a share of its rounds or trees, at least one.
    pub(crate) fn with_rounds(&self, share: f64) -> Self {
        let mut part = self.clone();
        let rounds = match &mut part {
            ModelParams::RandomForest(params) | ModelParams::ExtraTrees(params) => &mut params.n_estimators,
            ModelParams::GradientBoosting(params) => &mut params.n_estimators,
            _ => return part,
        };
        *rounds = ((*rounds as f64 * share).ceil() as usize).max(1);
        part
    }

    pub(crate) fn class_weight(&self) -> &ClassWeight {
        match self {
            ModelParams::RandomForest(params) | ModelParams::ExtraTrees(params) => &params.class_weight,
            ModelParams::GradientBoosting(params) => &params.class_weight,
            ModelParams::LogisticRegression(params) => &params.class_weight,
            ModelParams::LinearSvm(params) => &params.class_weight,
            ModelParams::Svc(params) => &params.class_weight,
            ModelParams::NaiveBayes(_) | ModelParams::LinearRegression(_) => &ClassWeight::None,
        }
    }
}

impl Candidate {
    pub(crate) fn sample(&self, task: Task, random: &mut impl Draw) -> ModelParams {
        match self {
            Candidate::RandomForest(space) => ModelParams::RandomForest(space.sample(task, random)),
            Candidate::ExtraTrees(ExtraTreesSpace(space)) => {
                ModelParams::ExtraTrees(space.sample(task, random))
            }
            Candidate::GradientBoosting(space) => ModelParams::GradientBoosting(space.sample(task, random)),
            Candidate::LogisticRegression(space) => ModelParams::LogisticRegression(space.sample(random)),
            Candidate::LinearSvm(space) => ModelParams::LinearSvm(space.sample(random)),
            Candidate::Svc(space) => ModelParams::Svc(space.sample(random)),
            Candidate::NaiveBayes(space) => ModelParams::NaiveBayes(space.sample(random)),
            Candidate::LinearRegression(space) => ModelParams::LinearRegression(space.sample(random)),
        }
    }
}

impl RandomForestSpace {
    fn sample(&self, task: Task, random: &mut impl Draw) -> RandomForestParams {
        RandomForestParams {
            n_estimators: self.n_estimators.sample(random),
            max_depth: self.max_depth.sample(random),
            max_features: self.max_features.sample(random).resolve(task),
            min_samples_split: self.min_samples_split.sample(random),
            min_samples_leaf: self.min_samples_leaf.sample(random),
            bootstrap: self.bootstrap.sample(random),
            class_weight: self.class_weight.sample(random),
        }
    }
}

impl GradientBoostingSpace {
    fn sample(&self, task: Task, random: &mut impl Draw) -> GradientBoostingParams {
        GradientBoostingParams {
            n_estimators: self.n_estimators.sample(random),
            learning_rate: self.learning_rate.sample(random),
            max_leaf_nodes: self.max_leaf_nodes.sample(random),
            max_depth: self.max_depth.sample(random),
            min_samples_leaf: self.min_samples_leaf.sample(random),
            l2_regularization: self.l2_regularization.sample(random),
            grow_policy: self.grow_policy.sample(random),
            subsample: self.subsample.sample(random),
            colsample_bytree: self.colsample_bytree.sample(random),
            max_cat_to_onehot: self.max_cat_to_onehot.sample(random),
            n_iter_no_change: self.n_iter_no_change.sample(random),
            validation_fraction: self.validation_fraction.sample(random),
            monotonic_cst: self.monotonic_cst.clone(),
            class_weight: self.class_weight.sample(random),
            loss: (task == Task::Regression).then(|| self.loss.sample(random)),
        }
    }
}

impl LinearRegressionSpace {
    fn sample(&self, random: &mut impl Draw) -> LinearRegressionParams {
        LinearRegressionParams {
            alpha: self.alpha.sample(random),
            l1_ratio: self.l1_ratio.sample(random),
            max_iter: self.max_iter.sample(random),
            tol: self.tol.sample(random),
        }
    }
}

impl LinearSvmSpace {
    fn sample(&self, random: &mut impl Draw) -> LinearSvmParams {
        LinearSvmParams {
            c: self.c.sample(random),
            max_iter: self.max_iter.sample(random),
            tol: self.tol.sample(random),
            class_weight: self.class_weight.sample(random),
        }
    }
}

impl SvcSpace {
    fn sample(&self, random: &mut impl Draw) -> SvcParams {
        SvcParams {
            c: self.c.sample(random),
            kernel: self.kernel.sample(random),
            gamma: self.gamma.sample(random),
            degree: self.degree.sample(random),
            coef0: self.coef0.sample(random),
            max_iter: self.max_iter.sample(random),
            tol: self.tol.sample(random),
            class_weight: self.class_weight.sample(random),
            max_rows: self.max_rows,
        }
    }
}

impl NaiveBayesSpace {
    fn sample(&self, random: &mut impl Draw) -> NaiveBayesParams {
        NaiveBayesParams {
            var_smoothing: self.var_smoothing.sample(random),
        }
    }
}

impl LogisticRegressionSpace {
    fn sample(&self, random: &mut impl Draw) -> LogisticRegressionParams {
        LogisticRegressionParams {
            c: self.c.sample(random),
            l1_ratio: self.l1_ratio.sample(random),
            max_iter: self.max_iter.sample(random),
            tol: self.tol.sample(random),
            class_weight: self.class_weight.sample(random),
        }
    }
}
