//! A fitted model of any kind.

use crate::config::{ClassWeight, Scoring};
use crate::linear::{self, Design, Linear, Link};
use crate::metrics::{NumberOutcome, Outcome};
use crate::naive_bayes::NaiveBayes;
use crate::params::{GradientBoostingParams, ModelParams, RandomForestParams};
use crate::prepare::{Matrix, Preparation, PreparedColumn};
use crate::svc::Svc;
use crate::target::{Target, Truth};
use crate::tree::bins::Binned;
use crate::tree::boosting::{self, Goal, Lesson};
use crate::tree::ensemble::{Ensemble, softmax};
use crate::tree::forest::{self, Cutting, Sample};
use crate::tree::weighed::{self, Amounts, Weighed};
use crate::{Error, Label, Progress};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Model {
    /// Trees for classes.
    Trees(Ensemble),
    /// Coefficients for classes.
    Linear {
        linear: Linear,
        design: Design,
        link: Link,
    },
    /// Machines with a kernel for classes.
    Svc { svc: Svc, design: Design },
    /// Normal distributions for classes.
    NaiveBayes { bayes: NaiveBayes, design: Design },
    /// Trees for numbers.
    TreeNumbers { ensemble: Ensemble, span: Span },
    /// Coefficients for numbers.
    LinearNumbers { linear: Linear, design: Design },
}

/// From the scores of trees to the numbers of the target: trees calculate in 32 bits, with scores around 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) scale: f64,
    pub(crate) offset: f64,
}

impl Span {
    /// The mean, and the power of two next to the standard deviation.
    fn of(numbers: &[f64]) -> Self {
        let count = numbers.len().max(1) as f64;
        let offset = numbers.iter().sum::<f64>() / count;
        let variance = numbers
            .iter()
            .map(|number| (number - offset).powi(2))
            .sum::<f64>()
            / count;
        let power = (variance.log2() / 2.0).round();
        let scale = if variance > 0.0 { power.exp2() } else { 1.0 };
        Self { scale, offset }
    }

    fn inward(self, number: f64) -> f64 {
        (number - self.offset) / self.scale
    }

    pub(crate) fn outward(self, score: f32) -> f64 {
        f64::from(score) * self.scale + self.offset
    }
}

/// What a model says about some rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answers {
    /// The class of each row, and the probabilities row by row.
    Classes {
        classes: Vec<u16>,
        probabilities: Vec<f32>,
    },
    Numbers(Vec<f64>),
}

/// Prepared rows with their truth.
#[derive(Debug)]
pub(crate) struct TrainingSet {
    names: Vec<String>,
    pub(crate) preparation: Preparation,
    pub(crate) matrix: Matrix,
    pub(crate) binned: Binned,
    pub(crate) target: Target,
}

impl TrainingSet {
    pub(crate) fn new(names: &[String], preparation: Preparation, matrix: Matrix, target: Target) -> Self {
        let binned = Binned::new(&matrix, &preparation);
        Self {
            names: names.to_vec(),
            preparation,
            matrix,
            binned,
            target,
        }
    }

    /// The direction of each column, 0 where none is asked for.
    fn directions(&self, params: &GradientBoostingParams) -> Result<Vec<i8>, Error> {
        let mut directions = vec![0; self.preparation.columns.len()];
        for (name, &direction) in &params.monotonic_cst {
            let refuse = |message: String| Error::config(format!("monotonic_cst.{name}"), message);
            let class_count = self.target.labels.len();
            if class_count > 2 {
                let message = format!("only two classes have an order, the target has {class_count}");
                return Err(refuse(message));
            }
            let source = self.names.iter().position(|known| known == name);
            let column = source.and_then(|source| {
                let of = |own: &usize| *own == source;
                self.preparation.sources.iter().position(of)
            });
            match column.filter(|&column| {
                let is_date = matches!(self.preparation.columns[column], PreparedColumn::Date(_));
                !self.binned.columns[column].categorical && !is_date
            }) {
                Some(column) => directions[column] = direction,
                None => {
                    return Err(refuse(
                        "expected a column of numbers that is learned from".to_owned(),
                    ));
                }
            }
        }
        Ok(directions)
    }

    /// Fits a model and returns it with the importance of each column; the importances sum to 1.
    pub(crate) fn fit(
        &self,
        params: &ModelParams,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<(Model, Vec<f64>), Error> {
        let (model, importance) = match &self.target.truth {
            Truth::Classes(classes) => self.fit_classes(params, classes, seed, progress)?,
            Truth::Numbers(numbers) => self.fit_numbers(params, numbers, seed, progress)?,
        };
        let mut importance = self.preparation.by_source(&importance);
        let total: f64 = importance.iter().sum();
        // A model that never splits decides nothing by any column; all share alike then.
        let even = 1.0 / importance.len() as f64;
        importance
            .iter_mut()
            .for_each(|value| *value = if total > 0.0 { *value / total } else { even });
        Ok((model, importance))
    }

    fn fit_classes(
        &self,
        params: &ModelParams,
        classes: &[u16],
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<(Model, Vec<f64>), Error> {
        let labels = &self.target.labels;
        let weights = class_weights(params.class_weight(), labels, classes)?;
        let row_weights = self.target.weights.as_deref();
        let forest = |params: &RandomForestParams, cutting| {
            let (ensemble, importance) = if row_weights.is_none() {
                let sample = Sample {
                    binned: &self.binned,
                    classes,
                    weights: &weights,
                };
                forest::fit(sample, params, cutting, seed, progress)?
            } else {
                let sample = Weighed {
                    binned: &self.binned,
                    amounts: Amounts::Classes(classes, labels.len()),
                    weights: &self.row_weights(|row| weights[usize::from(classes[row])]),
                };
                weighed::fit(sample, params, cutting, seed, progress)?
            };
            Ok((Model::Trees(ensemble), importance))
        };
        match params {
            ModelParams::RandomForest(params) => forest(params, Cutting::Best),
            ModelParams::ExtraTrees(params) => forest(params, Cutting::Random),
            ModelParams::GradientBoosting(params) => {
                let lesson = Lesson {
                    binned: &self.binned,
                    goal: Goal::Classes {
                        classes,
                        weights: &weights,
                    },
                    row_weights,
                };
                let directions = self.directions(params)?;
                let (ensemble, importance) = boosting::fit(lesson, params, &directions, seed, progress)?;
                Ok((Model::Trees(ensemble), importance))
            }
            ModelParams::LogisticRegression(params) => {
                let rows = linear::Rows::new(&self.matrix, &self.preparation);
                let weights = self.row_weights(|row| weights[usize::from(classes[row])]);
                let linear = linear::logistic::fit(&rows, classes, labels.len(), &weights, params, progress)?;
                let importance = rows.importance(&linear, self.preparation.pca.as_ref());
                let model = Model::Linear {
                    linear,
                    design: rows.design,
                    link: Link::Softmax,
                };
                Ok((model, importance))
            }
            ModelParams::LinearSvm(params) => {
                let rows = linear::Rows::new(&self.matrix, &self.preparation);
                let of_rows = self.row_weights(|_| 1.0);
                let linear = linear::svm::fit(&rows, classes, &of_rows, &weights, params, progress)?;
                let importance = rows.importance(&linear, self.preparation.pca.as_ref());
                let model = Model::Linear {
                    linear,
                    design: rows.design,
                    link: Link::OneAgainstRest,
                };
                Ok((model, importance))
            }
            ModelParams::Svc(params) => {
                let rows = linear::Rows::new(&self.matrix, &self.preparation);
                let of_rows = self.row_weights(|row| weights[usize::from(classes[row])]);
                let svc = Svc::fit(&rows, classes, labels.len(), &of_rows, params, progress)?;
                // A kernel mixes the columns: none has a share of its own.
                let importance = vec![0.0; self.preparation.columns.len()];
                let design = rows.design;
                Ok((Model::Svc { svc, design }, importance))
            }
            ModelParams::NaiveBayes(params) => {
                let rows = linear::Rows::new(&self.matrix, &self.preparation);
                let of_rows = self.row_weights(|_| 1.0);
                let (bayes, importance) = NaiveBayes::fit(
                    &rows,
                    classes,
                    labels.len(),
                    &of_rows,
                    params,
                    self.preparation.pca.as_ref(),
                );
                let design = rows.design;
                Ok((Model::NaiveBayes { bayes, design }, importance))
            }
            ModelParams::LinearRegression(_) => {
                Err(Error::config("model", "linear_regression cannot predict classes"))
            }
        }
    }

    fn fit_numbers(
        &self,
        params: &ModelParams,
        numbers: &[f64],
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<(Model, Vec<f64>), Error> {
        if *params.class_weight() != ClassWeight::None {
            return Err(Error::config("class_weight", "numbers have no classes to weigh"));
        }
        let span = Span::of(numbers);
        let scores = || numbers.iter().map(|&number| span.inward(number));
        let forest = |params: &RandomForestParams, cutting| {
            let scores: Vec<f64> = scores().collect();
            let sample = Weighed {
                binned: &self.binned,
                amounts: Amounts::Numbers(&scores),
                weights: &self.row_weights(|_| 1.0),
            };
            let (ensemble, importance) = weighed::fit(sample, params, cutting, seed, progress)?;
            Ok((Model::TreeNumbers { ensemble, span }, importance))
        };
        match params {
            ModelParams::RandomForest(params) => forest(params, Cutting::Best),
            ModelParams::ExtraTrees(params) => forest(params, Cutting::Random),
            ModelParams::GradientBoosting(params) => {
                let scores: Vec<f32> = scores().map(|score| score as f32).collect();
                let lesson = Lesson {
                    binned: &self.binned,
                    goal: Goal::Numbers {
                        truth: &scores,
                        loss: params.loss.unwrap_or_default(),
                    },
                    row_weights: self.target.weights.as_deref(),
                };
                let directions = self.directions(params)?;
                let (ensemble, importance) = boosting::fit(lesson, params, &directions, seed, progress)?;
                Ok((Model::TreeNumbers { ensemble, span }, importance))
            }
            ModelParams::LinearRegression(params) => {
                let rows = linear::Rows::new(&self.matrix, &self.preparation);
                let linear =
                    linear::numbers::fit(&rows, numbers, &self.row_weights(|_| 1.0), params, progress)?;
                let importance = rows.importance(&linear, self.preparation.pca.as_ref());
                let design = rows.design;
                Ok((Model::LinearNumbers { linear, design }, importance))
            }
            ModelParams::LogisticRegression(_)
            | ModelParams::LinearSvm(_)
            | ModelParams::Svc(_)
            | ModelParams::NaiveBayes(_) => {
                let message = format!("{} cannot predict numbers", params.model_name());
                Err(Error::config("model", message))
            }
        }
    }

    /// The weight of each row, times what `also` says.
    fn row_weights(&self, also: impl Fn(usize) -> f64) -> Vec<f64> {
        match &self.target.weights {
            Some(weights) => (weights.iter().enumerate())
                .map(|(row, weight)| weight * also(row))
                .collect(),
            None => (0..self.target.len()).map(also).collect(),
        }
    }
}

impl Model {
    pub(crate) fn predict(&self, matrix: &Matrix, preparation: &Preparation) -> Answers {
        match self {
            Model::Trees(ensemble) => {
                let mut scores = ensemble.scores(matrix);
                let classes = scores.chunks_exact(ensemble.class_count).map(greatest).collect();
                if ensemble.softmax {
                    scores.chunks_exact_mut(ensemble.class_count).for_each(softmax);
                }
                Answers::Classes {
                    classes,
                    probabilities: scores,
                }
            }
            Model::Linear { linear, design, link } => {
                let scores = linear.scores(matrix, preparation, design);
                Answers::of_scores(scores, linear.output_count, *link)
            }
            Model::Svc { svc, design } => {
                let scores = svc.scores(matrix, preparation, design);
                Answers::of_scores(scores, svc.class_count, svc.link())
            }
            Model::NaiveBayes { bayes, design } => {
                let scores = bayes.scores(matrix, preparation, design);
                Answers::of_scores(scores, bayes.constants.len(), Link::Softmax)
            }
            Model::TreeNumbers { ensemble, span } => {
                let scores = ensemble.scores(matrix);
                Answers::Numbers(scores.into_iter().map(|score| span.outward(score)).collect())
            }
            Model::LinearNumbers { linear, design } => {
                Answers::Numbers(linear.scores(matrix, preparation, design))
            }
        }
    }
}

impl Answers {
    /// The class of the greatest score of each row, and the probabilities.
    fn of_scores(mut scores: Vec<f64>, class_count: usize, link: Link) -> Self {
        let classes = scores.chunks_exact(class_count).map(greatest).collect();
        scores
            .chunks_exact_mut(class_count)
            .for_each(|scores| link.apply(scores));
        Answers::Classes {
            classes,
            probabilities: scores.into_iter().map(|score| score as f32).collect(),
        }
    }

    pub(crate) fn score(&self, truth: &Truth, class_count: usize, scoring: Scoring) -> Result<f64, Error> {
        match (self, truth) {
            (
                Answers::Classes {
                    classes,
                    probabilities,
                },
                Truth::Classes(truth),
            ) => Ok(Outcome::new(truth, classes, probabilities, class_count)?.score(scoring)),
            (Answers::Numbers(numbers), Truth::Numbers(truth)) => {
                Ok(NumberOutcome::new(truth, numbers)?.score(scoring))
            }
            _ => unreachable!("a model answers what it was fitted to"),
        }
    }
}

/// Position of the greatest number, the first of equals.
pub(crate) fn greatest<T: PartialOrd>(scores: &[T]) -> u16 {
    let mut best = 0;
    for position in 1..scores.len() {
        if scores[position] > scores[best] {
            best = position;
        }
    }
    best as u16
}

fn class_weights(weight: &ClassWeight, labels: &[Label], classes: &[u16]) -> Result<Vec<f64>, Error> {
    match weight {
        ClassWeight::None => Ok(vec![1.0; labels.len()]),
        ClassWeight::Balanced => {
            let mut counts = vec![0usize; labels.len()];
            classes.iter().for_each(|&class| counts[usize::from(class)] += 1);
            let even = classes.len() as f64 / labels.len() as f64;
            Ok(counts
                .into_iter()
                .map(|count| even / count.max(1) as f64)
                .collect())
        }
        ClassWeight::Map(named) => {
            let names: Vec<String> = labels.iter().map(ToString::to_string).collect();
            if let Some(unknown) = named.keys().find(|name| !names.contains(name)) {
                let message = format!("`{unknown}` is not a class; there are: {}", names.join(", "));
                return Err(Error::config("class_weight", message));
            }
            Ok(names
                .iter()
                .map(|name| named.get(name).copied().unwrap_or(1.0))
                .collect())
        }
    }
}
