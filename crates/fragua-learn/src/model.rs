//! A fitted model of any kind.

use crate::config::ClassWeight;
use crate::linear::{self, Design, Logistic};
use crate::params::{GradientBoostingParams, ModelParams};
use crate::prepare::{Matrix, Preparation};
use crate::tree::bins::Binned;
use crate::tree::ensemble::{Ensemble, softmax};
use crate::tree::forest::{Cutting, Sample};
use crate::tree::{boosting, forest};
use crate::{Error, Label, Progress};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Model {
    Trees(Ensemble),
    Linear { logistic: Logistic, design: Design },
}

/// Prepared rows with their classes.
#[derive(Debug)]
pub(crate) struct TrainingSet {
    names: Vec<String>,
    pub(crate) preparation: Preparation,
    pub(crate) matrix: Matrix,
    pub(crate) binned: Binned,
    pub(crate) classes: Vec<u16>,
}

impl TrainingSet {
    pub(crate) fn new(names: &[String], preparation: Preparation, matrix: Matrix, classes: Vec<u16>) -> Self {
        let binned = Binned::new(&matrix, &preparation);
        Self {
            names: names.to_vec(),
            preparation,
            matrix,
            binned,
            classes,
        }
    }

    /// The direction of each column, 0 where none is asked for.
    fn directions(&self, params: &GradientBoostingParams, class_count: usize) -> Result<Vec<i8>, Error> {
        let mut directions = vec![0; self.names.len()];
        for (name, &direction) in &params.monotonic_cst {
            let refuse = |message: String| Error::config(format!("monotonic_cst.{name}"), message);
            if class_count != 2 {
                let message = format!("only two classes have an order, the target has {class_count}");
                return Err(refuse(message));
            }
            let column = self.names.iter().position(|known| known == name);
            match column.filter(|&column| !self.binned.columns[column].categorical) {
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
        labels: &[Label],
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<(Model, Vec<f64>), Error> {
        let weights = class_weights(params.class_weight(), labels, &self.classes)?;
        let sample = Sample {
            binned: &self.binned,
            classes: &self.classes,
            weights: &weights,
        };
        let (model, mut importance) = match params {
            ModelParams::RandomForest(params) => {
                let (ensemble, importance) = forest::fit(sample, params, Cutting::Best, seed, progress)?;
                (Model::Trees(ensemble), importance)
            }
            ModelParams::ExtraTrees(params) => {
                let (ensemble, importance) = forest::fit(sample, params, Cutting::Random, seed, progress)?;
                (Model::Trees(ensemble), importance)
            }
            ModelParams::GradientBoosting(params) => {
                let directions = self.directions(params, labels.len())?;
                let (ensemble, importance) = boosting::fit(sample, params, &directions, seed, progress)?;
                (Model::Trees(ensemble), importance)
            }
            ModelParams::LogisticRegression(params) => {
                let (logistic, design, importance) = linear::fit(
                    &self.matrix,
                    &self.preparation,
                    &self.classes,
                    &weights,
                    params,
                    progress,
                )?;
                (Model::Linear { logistic, design }, importance)
            }
        };
        let total: f64 = importance.iter().sum();
        // A model that never splits decides nothing by any column; all share alike then.
        let even = 1.0 / importance.len() as f64;
        importance
            .iter_mut()
            .for_each(|value| *value = if total > 0.0 { *value / total } else { even });
        Ok((model, importance))
    }
}

impl Model {
    /// Returns the class of each row, and the probabilities row by row.
    pub(crate) fn predict(&self, matrix: &Matrix, preparation: &Preparation) -> (Vec<u16>, Vec<f32>) {
        match self {
            Model::Trees(ensemble) => {
                let mut scores = ensemble.scores(matrix);
                let classes = scores.chunks_exact(ensemble.class_count).map(greatest).collect();
                if ensemble.softmax {
                    scores.chunks_exact_mut(ensemble.class_count).for_each(softmax);
                }
                (classes, scores)
            }
            Model::Linear { logistic, design } => {
                let mut scores = logistic.scores(matrix, preparation, design);
                let classes = scores.chunks_exact(logistic.class_count).map(greatest).collect();
                scores.chunks_exact_mut(logistic.class_count).for_each(|scores| {
                    linear::softmax(scores);
                });
                (classes, scores.into_iter().map(|score| score as f32).collect())
            }
        }
    }
}

/// Position of the greatest number, the first of equals.
fn greatest<T: PartialOrd>(scores: &[T]) -> u16 {
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
