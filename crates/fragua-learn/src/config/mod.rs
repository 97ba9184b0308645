//! What to train, as written in a DAG.

mod calibration;
mod candidates;
mod columns;
mod judging;
mod parameters;
mod preparation;
mod resampling;
mod scoring;

pub use calibration::CalibrationMethod;
pub use candidates::{
    Candidate, ExtraTreesSpace, GradientBoostingSpace, LinearRegressionSpace, LinearSvmSpace,
    LogisticRegressionSpace, NaiveBayesSpace, RandomForestSpace, SvcSpace,
};
pub use columns::{ColumnFilter, ColumnSelector, ColumnType};
pub use judging::{
    ContributionConfig, JudgeConfig, Language, LearningCurveConfig, PartialDependenceConfig,
    PermutationConfig, ReliabilityConfig, SliceConfig,
};
pub use parameters::{
    ClassWeight, FeatureRule, Gamma, GammaRule, GrowPolicy, KernelKind, MaxFeatures, NumberLoss,
};
pub use preparation::{
    CategoricalConfig, CategoricalImputer, ColumnPreparation, Components, DatePart, Frequency,
    NeighborWeights, NumericConfig, NumericImputer, OneHotDrop, PcaConfig, PreparationConfig, Scaler,
    TextEncoding,
};
pub use resampling::{Resampling, ResamplingMethod};
pub use scoring::{Folds, HalvingConfig, HalvingResource, Scoring, SearchConfig, SearchMethod};

use crate::Error;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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
    /// What columns hold where their cells do not say it, such as `{ZIP: text}`; those of a text file that are not named are
    /// numbers when their cells are, but for a few bad ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, ColumnType>,
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
    /// Makes the probabilities of classes come true as often as they say: `sigmoid` or `isotonic`. The curve is fitted on
    /// predictions for rows left out of a fold, `search.cv` times, and saved with the model. The search compares without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrate: Option<CalibrationMethod>,
    /// How sure the final figures are.
    #[serde(default)]
    pub intervals: IntervalConfig,
    /// What else is found out about the best model, for its card.
    #[serde(default)]
    pub judge: JudgeConfig,
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

impl TrainConfig {
    /// Returns the configuration with all defaults for a target column.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            task: None,
            weight: None,
            features: None,
            types: BTreeMap::new(),
            exclude: Vec::new(),
            split: SplitConfig::default(),
            preparation: PreparationConfig::default(),
            resampling: Vec::new(),
            candidates: default_candidates(),
            search: SearchConfig::default(),
            calibrate: None,
            intervals: IntervalConfig::default(),
            judge: JudgeConfig::default(),
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
        self.judge.check()?;
        self.preparation.check()?;
        for (index, step) in self.resampling.iter().enumerate() {
            step.check(&format!("resampling[{index}]"))?;
        }
        self.search.check()?;
        let by_rounds = |halving: &HalvingConfig| halving.resource == HalvingResource::Rounds;
        if self.search.halving.as_ref().is_some_and(by_rounds)
            && let Some(candidate) = self.candidates.iter().find(|candidate| !candidate.has_rounds())
        {
            let message = format!("{} has no rounds; use rows", candidate.model_name());
            return Err(Error::config("search.halving.resource", message));
        }
        if let Folds::Time(column) | Folds::Group(column) = &self.search.folds
            && *column == self.target
        {
            return Err(Error::config(
                "search.folds",
                "expected another column than the target",
            ));
        }
        if self.candidates.is_empty() {
            return Err(Error::config("candidates", "expected at least one model"));
        }
        if self.preparation.pca.is_some() && self.candidates.iter().all(Candidate::sees_missing) {
            let message = "trees split the numbers as they are; leave this out or add another model";
            return Err(Error::config("preparation.pca", message));
        }
        let unfilled = self
            .preparation
            .numerics()
            .any(|numeric| numeric.imputer == NumericImputer::None);
        for (index, candidate) in self.candidates.iter().enumerate() {
            candidate.check(&format!("candidates[{index}]"))?;
            if unfilled && !candidate.sees_missing() {
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
    pub(crate) fn implied_task(&self) -> Result<Option<Implied>, Error> {
        let mut implied = self.task.map(|task| Implied {
            task,
            field: "task".to_owned(),
            name: task.name(),
        });
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
        let also = (self.search.also.iter().enumerate())
            .map(|(index, scoring)| (scoring.task(), format!("search.also[{index}]"), scoring.name()));
        let calibrate = self
            .calibrate
            .map(|method| (Task::Classification, "calibrate".to_owned(), method.name()));
        for (task, field, name) in models
            .chain(scoring)
            .chain(also)
            .chain(calibrate)
            .chain(self.judge.scorings())
        {
            let found = Implied { task, field, name };
            match &implied {
                Some(known) if known.task != task => {
                    return Err(found.refused(&format!("`{}` asks for {}", known.field, known.task.name())));
                }
                Some(_) => {}
                None => implied = Some(found),
            }
        }
        Ok(implied)
    }
}

/// What is predicted, and what says so.
pub(crate) struct Implied {
    pub(crate) task: Task,
    /// The key that says so.
    pub(crate) field: String,
    /// What stands there.
    name: &'static str,
}

impl Implied {
    /// Says that the key asks for what cannot be, and what could stand there instead.
    pub(crate) fn refused(&self, why: &str) -> Error {
        let (task, other) = match self.task {
            Task::Classification => (self.task.name(), Task::Regression),
            Task::Regression => (self.task.name(), Task::Classification),
        };
        let mut message = match self.name == task {
            true => format!("expected {}: {why}", other.name()),
            false => format!("{} is for {task}, but {why}", self.name),
        };
        if Scoring::ALL.iter().any(|scoring| scoring.name() == self.name) {
            let fitting = Scoring::ALL.iter().filter(|scoring| scoring.task() == other);
            let fitting: Vec<&str> = fitting.map(|scoring| scoring.name()).collect();
            message += &format!("; for {} there are {}", other.name(), fitting.join(", "));
        }
        Error::config(&self.field, message)
    }
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
    use crate::Space;
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
            json!({ "task": "regression", "search": { "scoring": "f1_macro" } }),
            "search.scoring: f1_macro is for classification, but `task` asks for regression; for regression there are r2, \
             explained_variance, neg_mean_squared_error, ",
        );
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
            json!({ "preparation": { "numeric": { "imputer": "none" } }, "candidates": [{ "model": "naive_bayes" }] }),
            "preparation.numeric.imputer: naive_bayes cannot see missing values",
        );
        check(
            json!({ "preparation": { "pca": { "n_components": 3 } } }),
            "preparation.pca: trees split the numbers as they are",
        );
        check(
            json!({ "preparation": { "pca": { "n_components": 1.0 } }, "candidates": [{ "model": "linear_svm" }] }),
            "preparation.pca.n_components: expected a count from 1 or a share above 0 and below 1, got 1",
        );
        check(
            candidate(json!({ "model": "naive_bayes", "var_smoothing": 0.0 })),
            "candidates[0].var_smoothing: expected 0.000000000000001 to 1000, got 0",
        );
        check(
            candidate(json!({ "model": "svc", "gamma": 0.0 })),
            "candidates[0].gamma: expected 0.000000000001 to 1000000000000, got 0",
        );
        check(
            candidate(json!({ "model": "svc", "gamma": "sclae" })),
            "expected scale, auto, or a number above 0",
        );
        check(
            candidate(json!({ "model": "linear_svm", "penalty": "l1" })),
            "unknown field `penalty`, expected one of `C`",
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
