//! Why a model says what it says of a row.

use crate::model::Model;
use crate::table::Table;
use crate::{Error, Pipeline};

/// What each column of the table adds to the scores of some rows.
///
/// For every row and output, `base` plus the contributions of all columns is the score: the probability of a class for a
/// random forest or extra trees, the raw margin of a class for gradient boosting (its softmax is the probability; with two
/// classes a margin is half the log odds), the predicted number for a regression. Probabilities are those before
/// calibration.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanations {
    /// The score of each output when nothing is known about a row: the mean over the rows of training.
    pub base: Vec<f64>,
    /// Row after row, output after output: one number for each of [`Pipeline::features`].
    contributions: Vec<f64>,
    /// Number of columns.
    feature_count: usize,
}

impl Explanations {
    /// Returns what each column adds to one output of a row, in the order of [`Pipeline::features`]. Outputs are the
    /// classes in the order of [`Pipeline::labels`]; a regression has the output 0 alone.
    ///
    /// # Panics
    /// When there is no such row or output.
    pub fn of(&self, row: usize, output: usize) -> &[f64] {
        assert!(output < self.base.len(), "there is no output {output}");
        let begin = (row * self.base.len() + output) * self.feature_count;
        &self.contributions[begin..begin + self.feature_count]
    }

    /// Returns the score of one output of a row: the base and all contributions.
    ///
    /// # Panics
    /// When there is no such row or output.
    pub fn score(&self, row: usize, output: usize) -> f64 {
        self.base[output] + self.of(row, output).iter().sum::<f64>()
    }

    /// Returns the number of rows.
    pub fn row_count(&self) -> usize {
        self.contributions.len() / (self.base.len() * self.feature_count).max(1)
    }
}

impl Pipeline {
    /// Explains the predictions for all rows by the exact Shapley values of the trees, path-dependent as in TreeSHAP: a
    /// column that is not known is averaged over by the rows of training. The time of a row grows with the number of the
    /// trees' leaves.
    ///
    /// A text column is one column, however it is encoded; where the `knn` imputer fills a gap, that number counts as the
    /// column's own. The result is the same on any number of threads.
    ///
    /// # Errors
    /// As [`Pipeline::predict`]; also when the model has no trees, or comes from a file of an older version that did not
    /// keep what is needed.
    pub fn explain(&self, table: &Table) -> Result<Explanations, Error> {
        let (ensemble, scale, offset) = match &self.model {
            Model::Trees(ensemble) => (ensemble, 1.0, 0.0),
            Model::TreeNumbers { ensemble, span } => (ensemble, span.scale, span.offset),
            Model::Linear { .. } | Model::LinearNumbers { .. } => {
                return Err(Error::Data(format!(
                    "{} has no trees to explain; its coefficients say what each column adds",
                    self.model_name
                )));
            }
            Model::Svc { .. } | Model::NaiveBayes { .. } => {
                let message = format!(
                    "{} has no trees to explain; judge.permutation says what each column is worth",
                    self.model_name
                );
                return Err(Error::Data(message));
            }
        };
        if !ensemble.can_explain() {
            let message =
                "this model was saved by an older version, without what explaining needs; train it again";
            return Err(Error::Data(message.to_owned()));
        }
        let matrix = self.prepared(table)?;
        let explained = ensemble.explain(&matrix, &self.preparation.sources, self.features.len());
        Ok(Explanations {
            base: explained.base.iter().map(|base| base * scale + offset).collect(),
            contributions: explained.parts.iter().map(|part| part * scale).collect(),
            feature_count: self.features.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::explain::said_by_known;
    use crate::{Categorical, Column, NoProgress, TrainConfig, fit};
    use serde_json::{Value, json};

    /// Numbers with gaps, texts with gaps and a rare one, and a text that many splits group.
    fn table(rows: usize) -> Table {
        let gap = |row: usize, number: f64| if row % 7 == 3 { f64::NAN } else { number };
        let noise = |row: usize, step: usize| ((row * step) % 97) as f64 / 97.0;
        let numbers = |step: usize| -> Vec<f64> { (0..rows).map(|row| noise(row, step)).collect() };
        let words = |count: usize, step: usize| {
            let dictionary = (0..count).map(|word| format!("w{word}")).collect();
            let code = |row: usize| match row % 11 {
                5 => crate::MISSING_CODE,
                _ => ((row * step) % 89 % count) as u32,
            };
            Column::Categorical(Categorical::new(dictionary, (0..rows).map(code).collect()).unwrap())
        };
        let (first, second) = (numbers(31), numbers(53));
        let number = |row: usize| first[row] * 3.0 + ((row * 17) % 89 % 9) as f64 + second[row] * first[row];
        Table::new(vec![
            (
                "first".into(),
                Column::Numeric((0..rows).map(|row| gap(row, first[row])).collect()),
            ),
            ("second".into(), Column::Numeric(second.clone())),
            ("few".into(), words(3, 5)),
            ("many".into(), words(9, 17)),
            ("number".into(), Column::Numeric((0..rows).map(number).collect())),
            (
                "class".into(),
                Column::Numeric((0..rows).map(|row| (number(row) / 4.0).floor()).collect()),
            ),
            (
                "half".into(),
                Column::Numeric(
                    (0..rows)
                        .map(|row| f64::from(u8::from(number(row) > 6.0)))
                        .collect(),
                ),
            ),
        ])
        .unwrap()
    }

    fn fitted(target: &str, candidate: &Value) -> Pipeline {
        fitted_with(target, candidate, "category")
    }

    fn fitted_with(target: &str, candidate: &Value, encoding: &str) -> Pipeline {
        let config: TrainConfig = serde_json::from_value(json!({
            "target": target, "candidates": [candidate], "features": ["first", "second", "few", "many"],
            "preparation": { "numeric": { "imputer": "none" }, "categorical": { "imputer": "none", "encoding": encoding } },
        }))
        .unwrap();
        fit(&table(400), &config, &NoProgress).unwrap()
    }

    fn models() -> Vec<(&'static str, Value)> {
        vec![
            ("class", json!({ "model": "random_forest", "n_estimators": 5 })),
            (
                "half",
                json!({ "model": "extra_trees", "n_estimators": 5, "max_depth": 6 }),
            ),
            (
                "class",
                json!({ "model": "gradient_boosting", "n_estimators": 6, "max_cat_to_onehot": 1 }),
            ),
            ("half", json!({ "model": "gradient_boosting", "n_estimators": 6 })),
            (
                "number",
                json!({ "model": "gradient_boosting", "n_estimators": 6, "subsample": 0.5 }),
            ),
            ("number", json!({ "model": "random_forest", "n_estimators": 5 })),
        ]
    }

    /// The scores themselves, without softmax.
    fn scores(pipeline: &Pipeline, table: &Table) -> Vec<f64> {
        let matrix = pipeline.prepared(table).unwrap();
        match &pipeline.model {
            Model::Trees(ensemble) => ensemble.scores(&matrix).into_iter().map(f64::from).collect(),
            Model::TreeNumbers { ensemble, span } => {
                let outward = |score: f32| f64::from(score) * span.scale + span.offset;
                ensemble.scores(&matrix).into_iter().map(outward).collect()
            }
            _ => unreachable!("the models are trees"),
        }
    }

    #[test]
    fn base_and_contributions_add_up_to_the_score() {
        for (target, candidate) in models() {
            let pipeline = fitted(target, &candidate);
            let table = table(60);
            let explained = pipeline.explain(&table).unwrap();
            let outputs = explained.base.len();
            assert_eq!(explained.row_count(), 60);
            for (position, score) in scores(&pipeline, &table).into_iter().enumerate() {
                let sum = explained.score(position / outputs, position % outputs);
                assert!((sum - score).abs() < 1e-9, "{candidate}: {sum} and {score}");
            }
        }
    }

    /// Shapley's own formula over all subsets of the columns.
    #[test]
    fn contributions_are_shapley_values() {
        const COLUMNS: usize = 4;
        let weights = [1.0 / 4.0, 1.0 / 12.0, 1.0 / 12.0, 1.0 / 4.0];
        // By the share of each class a text is several numbers, which are known together.
        let by_classes = (
            "class",
            json!({ "model": "random_forest", "n_estimators": 3 }),
            "target",
        );
        let models = models()
            .into_iter()
            .map(|(target, candidate)| (target, candidate, "category"));
        for (target, candidate, encoding) in models.chain([by_classes]) {
            let pipeline = fitted_with(target, &candidate, encoding);
            let table = table(25);
            let explained = pipeline.explain(&table).unwrap();
            let (Model::Trees(ensemble) | Model::TreeNumbers { ensemble, .. }) = &pipeline.model else {
                unreachable!("the models are trees")
            };
            let scale = match &pipeline.model {
                Model::TreeNumbers { span, .. } => span.scale,
                _ => 1.0,
            };
            let matrix = pipeline.prepared(&table).unwrap();
            for row in 0..table.row_count() {
                let said: Vec<Vec<f64>> = (0..1usize << COLUMNS)
                    .map(|set| {
                        let sources = &pipeline.preparation.sources;
                        let known: Vec<bool> = sources.iter().map(|column| set >> column & 1 == 1).collect();
                        said_by_known(ensemble, matrix.row(row), &known)
                    })
                    .collect();
                for output in 0..explained.base.len() {
                    for column in 0..COLUMNS {
                        let others = (0..said.len()).filter(|set| set >> column & 1 == 0);
                        let expected: f64 = others
                            .map(|set| {
                                let gain = said[set | 1 << column][output] - said[set][output];
                                weights[set.count_ones() as usize] * gain
                            })
                            .sum();
                        let ours = explained.of(row, output)[column] / scale;
                        assert!(
                            (ours - expected).abs() < 1e-9,
                            "{candidate}: {ours} and {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let pipeline = fitted("class", &json!({ "model": "random_forest", "n_estimators": 7 }));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| pipeline.explain(&table(50)).unwrap())
        };
        assert_eq!(on(1), on(2));
    }

    #[test]
    fn a_model_read_back_explains_the_same_and_others_say_why_not() {
        let pipeline = fitted("number", &json!({ "model": "extra_trees", "n_estimators": 3 }));
        let read = Pipeline::load(&pipeline.to_bytes()).unwrap();
        assert_eq!(
            read.explain(&table(9)).unwrap(),
            pipeline.explain(&table(9)).unwrap()
        );
        let config: TrainConfig = serde_json::from_value(json!({
            "target": "number", "features": ["second"], "candidates": [{ "model": "linear_regression" }],
        }))
        .unwrap();
        let linear = fit(&table(50), &config, &NoProgress).unwrap();
        let error = linear.explain(&table(5)).unwrap_err().to_string();
        assert!(
            error.starts_with("linear_regression has no trees to explain"),
            "{error}"
        );
    }
}
