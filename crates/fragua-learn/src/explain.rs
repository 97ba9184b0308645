//! Why a model says what it says of a row.

use crate::linear::{Design, Linear};
use crate::model::{Answers, Model};
use crate::prepare::Matrix;
use crate::random::Random;
use crate::table::Table;
use crate::{Error, Pipeline};
use rayon::prelude::*;

/// What each column of the table adds to the scores of some rows.
///
/// For every row and output, `base` plus the contributions of all columns is the score: the probability of a class for a
/// random forest or extra trees, the raw margin of a class for gradient boosting (its softmax is the probability; with two
/// classes a margin is half the log odds), the logit of a class for logistic regression, its decision for a linear support
/// vector machine, the predicted number for a regression. Probabilities are those before calibration.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanations {
    /// The score of each output when nothing is known about a row: the mean over the rows of training, or over the rows that
    /// are given to [`Pipeline::explain_against`].
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
    /// Explains the predictions of trees for all rows by their exact Shapley values, path-dependent as in TreeSHAP: a column
    /// that is not known is averaged over by the rows of training. The time of a row grows with the number of the trees'
    /// leaves.
    ///
    /// Linear models are explained exactly, too: a column adds each of its coefficients times the distance of the prepared
    /// value from its mean over the rows that were learned from. These are the Shapley values with columns taken for
    /// independent. The base is the score of a row of means; for least squares that is the mean of the target.
    ///
    /// A text column is one column, however it is encoded; where the `knn` imputer fills a gap, that number counts as the
    /// column's own. The result is the same on any number of threads.
    ///
    /// # Errors
    /// As [`Pipeline::predict`]; also when the model is neither of trees nor linear, see [`Pipeline::explain_against`], or comes from a file of an older version that did not
    /// keep what is needed.
    pub fn explain(&self, table: &Table) -> Result<Explanations, Error> {
        let (ensemble, scale, offset) = match &self.model {
            Model::Trees(ensemble) => (ensemble, 1.0, 0.0),
            Model::TreeNumbers { ensemble, span } => (ensemble, span.scale, span.offset),
            Model::Linear { linear, design, .. } | Model::LinearNumbers { linear, design } => {
                return self.explain_linear(linear, design, table);
            }
            Model::Svc { .. } | Model::NaiveBayes { .. } => {
                let message = format!(
                    "{} is neither of trees nor linear; it can be explained against rows of its training only",
                    self.model_name
                );
                return Err(Error::Data(message));
            }
        };
        if !ensemble.can_explain() {
            return Err(too_old());
        }
        let matrix = self.prepared(table)?;
        let explained = ensemble.explain(&matrix, &self.preparation.sources, self.features.len());
        Ok(Explanations {
            base: explained.base.iter().map(|base| base * scale + offset).collect(),
            contributions: explained.parts.iter().map(|part| part * scale).collect(),
            feature_count: self.features.len(),
        })
    }

    fn explain_linear(&self, linear: &Linear, design: &Design, table: &Table) -> Result<Explanations, Error> {
        if linear.means.len() != design.width {
            return Err(too_old());
        }
        let matrix = self.prepared(table)?;
        let feature_count = self.features.len();
        let mut contributions = vec![0.0; matrix.row_count * linear.output_count * feature_count];
        let parts = contributions.par_chunks_exact_mut(linear.output_count * feature_count);
        parts.enumerate().for_each(|(row, parts)| {
            linear.contribute(matrix.row(row), &self.preparation, design, parts);
        });
        Ok(Explanations {
            base: linear.base(&self.preparation),
            contributions,
            feature_count,
        })
    }

    /// Explains the predictions of any model for all rows by sampled Shapley values: as many times as `permutations` says, a
    /// row is drawn from `background` and its columns become those of the explained row one after the other, in an order
    /// drawn at random; a column adds what its turn changes, on average. Scores are the probabilities before calibration, or
    /// the predicted number.
    ///
    /// The same draws serve all rows, so the base is the mean score of the rows drawn. Base and contributions are the score,
    /// to rounding; each contribution has an error that falls with the root of `permutations`. The sample of
    /// [`crate::TrainingProfile`] makes a background. A row takes `permutations` times one more prediction than there are
    /// columns. The same seed gives the same result on any number of threads.
    ///
    /// # Errors
    /// As [`Pipeline::predict`], for either table; also when `background` has no rows or `permutations` is 0.
    pub fn explain_against(
        &self,
        table: &Table,
        background: &Table,
        permutations: usize,
        seed: u64,
    ) -> Result<Explanations, Error> {
        let (rows, known) = (self.prepared(table)?, self.prepared(background)?);
        if known.row_count == 0 || permutations == 0 {
            let message = "expected at least one row to explain against, and one permutation";
            return Err(Error::Data(message.to_owned()));
        }
        let (feature_count, width) = (self.features.len(), rows.width);
        let draw = |number: usize| {
            let mut random = Random::derive(seed, &[number as u64]);
            let mut order: Vec<usize> = (0..feature_count).collect();
            random.shuffle(&mut order);
            (random.below(known.row_count), order)
        };
        let draws: Vec<(usize, Vec<usize>)> = (0..permutations).map(draw).collect();
        let outputs = self.labels.len().max(1);
        let scores = |values: Vec<f32>| -> Vec<f64> {
            let matrix = Matrix {
                row_count: values.len() / width,
                width,
                values,
            };
            match self.model.predict(&matrix, &self.preparation) {
                Answers::Classes { probabilities, .. } => probabilities.into_iter().map(f64::from).collect(),
                Answers::Numbers(numbers) => numbers,
            }
        };
        let drawn = draws.iter().flat_map(|(row, _)| known.row(*row)).copied();
        let mut base = vec![0.0; outputs];
        for scores in scores(drawn.collect()).chunks_exact(outputs) {
            let slots = base.iter_mut().zip(scores);
            slots.for_each(|(slot, score)| *slot += score / permutations as f64);
        }
        let explain = |row: usize| {
            let mut parts = vec![0.0; outputs * feature_count];
            for (from, order) in &draws {
                let mut now = known.row(*from).to_vec();
                let mut steps = now.clone();
                for &source in order {
                    for (column, _) in columns_of(&self.preparation.sources, source) {
                        now[column] = rows.row(row)[column];
                    }
                    steps.extend(&now);
                }
                let scores = scores(steps);
                for (step, &source) in order.iter().enumerate() {
                    for output in 0..outputs {
                        let gain = scores[(step + 1) * outputs + output] - scores[step * outputs + output];
                        parts[output * feature_count + source] += gain / permutations as f64;
                    }
                }
            }
            parts
        };
        let parts: Vec<Vec<f64>> = (0..rows.row_count).into_par_iter().map(explain).collect();
        Ok(Explanations {
            base,
            contributions: parts.concat(),
            feature_count,
        })
    }
}

/// The prepared columns that one column of the table became.
fn columns_of(sources: &[usize], source: usize) -> impl Iterator<Item = (usize, &usize)> {
    let of_source = move |(_, own): &(usize, &usize)| **own == source;
    sources.iter().enumerate().filter(of_source)
}

fn too_old() -> Error {
    let message = "this model was saved by an older version, without what explaining needs; train it again";
    Error::Data(message.to_owned())
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
    fn a_model_read_back_explains_the_same() {
        let pipeline = fitted("number", &json!({ "model": "extra_trees", "n_estimators": 3 }));
        let read = Pipeline::load(&pipeline.to_bytes()).unwrap();
        assert_eq!(
            read.explain(&table(9)).unwrap(),
            pipeline.explain(&table(9)).unwrap()
        );
    }

    /// Linear models, by components too, with the scores that their classes are chosen by.
    fn linear_models() -> Vec<(&'static str, Value, Value)> {
        let plain = json!({ "categorical": { "drop": "first" } });
        let components = json!({ "pca": { "n_components": 2 }, "categorical": { "encoding": "target" } });
        let models = [
            ("number", json!({ "model": "linear_regression" })),
            ("class", json!({ "model": "logistic_regression" })),
            ("half", json!({ "model": "linear_svm" })),
        ];
        let of = |preparation: Value| {
            models
                .clone()
                .map(|(target, model)| (target, model, preparation.clone()))
        };
        [of(plain), of(components), of(json!({}))].concat()
    }

    fn fitted_on(table: &Table, target: &str, candidate: &Value, preparation: &Value) -> Pipeline {
        let config: TrainConfig = serde_json::from_value(json!({
            "target": target, "candidates": [candidate], "features": ["first", "second", "few", "many"],
            "preparation": preparation,
        }))
        .unwrap();
        fit(table, &config, &NoProgress).unwrap()
    }

    #[test]
    fn linear_models_add_up_to_the_score_and_to_the_base_on_average() {
        for (target, candidate, preparation) in linear_models() {
            let table = table(400);
            let pipeline = fitted_on(&table, target, &candidate, &preparation);
            let explained = pipeline.explain(&table).unwrap();
            let (Model::Linear { linear, design, .. } | Model::LinearNumbers { linear, design }) =
                &pipeline.model
            else {
                unreachable!("the models are linear")
            };
            let matrix = pipeline.prepared(&table).unwrap();
            let scores = linear.scores(&matrix, &pipeline.preparation, design);
            let outputs = linear.output_count;
            for (position, score) in scores.iter().enumerate() {
                let sum = explained.score(position / outputs, position % outputs);
                assert!(
                    (sum - score).abs() < 1e-9 * score.abs().max(1.0),
                    "{candidate}: {sum} and {score}"
                );
            }
            // Encoding by the target shows the model other numbers of the rows it learns from than of rows to come.
            if preparation["categorical"]["encoding"] == "target" {
                continue;
            }
            for output in 0..outputs {
                let mean = scores.iter().skip(output).step_by(outputs).sum::<f64>() / 400.0;
                assert!(
                    (mean - explained.base[output]).abs() < 1e-6 * mean.abs().max(1.0),
                    "{candidate}"
                );
            }
            let read = Pipeline::load(&pipeline.to_bytes()).unwrap();
            assert_eq!(read.explain(&table).unwrap(), explained);
        }
    }

    /// Of a linear model every order of the columns says the same, so that sampling over all rows is exact.
    #[test]
    fn sampled_contributions_of_a_linear_model_are_the_exact_ones() {
        let table = table(300);
        let pipeline = fitted_on(
            &table,
            "number",
            &json!({ "model": "linear_regression" }),
            &json!({}),
        );
        let rows = table.select_rows(&(0..20).collect::<Vec<_>>());
        let one = table.select_rows(&[7]);
        let sampled = pipeline.explain_against(&rows, &one, 3, 1).unwrap();
        let (exact, of_one) = (pipeline.explain(&rows).unwrap(), pipeline.explain(&one).unwrap());
        for row in 0..20 {
            let expected = exact
                .of(row, 0)
                .iter()
                .zip(of_one.of(0, 0))
                .map(|(row, one)| row - one);
            for (ours, expected) in sampled.of(row, 0).iter().zip(expected) {
                assert!((ours - expected).abs() < 1e-9, "{ours} and {expected}");
            }
        }
    }

    #[test]
    fn any_model_is_explained_against_rows_of_its_training() {
        let table = table(300);
        for model in ["svc", "naive_bayes", "random_forest"] {
            let pipeline = fitted_on(&table, "class", &json!({ "model": model }), &json!({}));
            let rows = table.select_rows(&[3, 1, 4]);
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                pool.install(|| pipeline.explain_against(&rows, &table, 20, 5).unwrap())
            };
            let explained = on(2);
            assert_eq!(explained, on(1));
            let predictions = pipeline.predict(&rows).unwrap();
            for row in 0..3 {
                for (output, &probability) in predictions.probabilities_of(row).iter().enumerate() {
                    let sum = explained.score(row, output);
                    assert!(
                        (sum - f64::from(probability)).abs() < 1e-6,
                        "{model}: {sum} and {probability}"
                    );
                }
                let moved: f64 = explained.of(row, 0).iter().map(|part| part.abs()).sum();
                assert!(moved > 0.0, "{model}");
            }
            let none = table.select_rows(&[]);
            assert!(pipeline.explain_against(&rows, &none, 20, 5).is_err());
        }
        let pipeline = fitted_on(&table, "class", &json!({ "model": "svc" }), &json!({}));
        let error = pipeline.explain(&table).unwrap_err().to_string();
        assert!(error.starts_with("svc is neither of trees nor linear"), "{error}");
    }
}
