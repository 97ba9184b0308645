use crate::calibrate::Calibration;
use crate::config::{CalibrationMethod, IntervalConfig, Task};
use crate::feature::{Feature, FeatureKind};
use crate::metrics::{self, ClassMetrics, Interval, NumberOutcome, Outcome};
use crate::model::{Answers, Model};
use crate::prepare::{Matrix, Preparation, PreparedColumn};
use crate::progress::NoProgress;
use crate::report::FeatureImportance;
use crate::table::{Categorical, Column, ColumnKind, MISSING_CODE, Table, TableBuilder};
use crate::target::Truth;
use crate::{Cell, ConfusionMatrix, Error, Label};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// A fitted preparation and model: everything from a table's cells to labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    pub(crate) target: String,
    pub(crate) model_name: String,
    pub(crate) features: Vec<Feature>,
    pub(crate) labels: Vec<Label>,
    pub(crate) importance: Vec<f64>,
    pub(crate) preparation: Preparation,
    pub(crate) model: Model,
    /// What the probabilities go through behind the model.
    pub(crate) calibration: Option<Calibration>,
}

/// Labels of some rows, with the probabilities of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// The most probable class of each row, or its number.
    pub labels: Vec<Label>,
    /// The classes as positions in [`Pipeline::labels`]; empty for numbers.
    pub classes: Vec<u16>,
    /// One probability for each of [`Pipeline::labels`], row after row; empty for numbers.
    pub probabilities: Vec<f32>,
    /// Number of classes, and so of probabilities a row; 0 for numbers.
    pub class_count: usize,
}

impl Predictions {
    /// Returns the probabilities of one row, in the order of [`Pipeline::labels`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn probabilities_of(&self, row: usize) -> &[f32] {
        &self.probabilities[row * self.class_count..(row + 1) * self.class_count]
    }

    /// Returns the predicted numbers; of classes there are none.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        let number = |label: &Label| match label {
            Label::Number(number) => Some(*number),
            Label::Integer(_) | Label::Text(_) => None,
        };
        self.labels.iter().filter_map(number).collect()
    }
}

/// Figures of a pipeline on rows whose truth is known.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Figures by name, as in [`crate::TrainReport::metrics`].
    pub metrics: BTreeMap<String, f64>,
    /// Where each of them lies, were other rows given; empty when no intervals are asked for.
    pub intervals: BTreeMap<String, Interval>,
    /// The same figures for always answering the most frequent class, or the mean, of these rows.
    pub baseline: BTreeMap<String, f64>,
    /// Figures of each class in the order of [`Pipeline::labels`]; empty for numbers.
    pub classes: Vec<ClassMetrics>,
    /// Rows by true and predicted class; `None` for numbers.
    pub confusion_matrix: Option<ConfusionMatrix>,
}

impl Pipeline {
    /// Returns the columns that predictions are made from, in order.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Tells whether the texts of a column, by its place in [`Self::features`], are read as dates.
    pub(crate) fn reads_dates(&self, feature: usize) -> bool {
        let mut columns = self.preparation.columns.iter().zip(&self.preparation.sources);
        columns.any(|(column, source)| *source == feature && matches!(column, PreparedColumn::Date(_)))
    }

    /// Returns the name of the column that is predicted.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the kind of model as in configuration.
    pub fn model_name(&self) -> &str {
        &self.model_name
    }

    /// Tells whether scores are sums of coefficients.
    pub(crate) fn is_linear(&self) -> bool {
        matches!(self.model, Model::Linear { .. } | Model::LinearNumbers { .. })
    }

    /// Tells whether the model compares rows by a kernel.
    pub(crate) fn has_kernel(&self) -> bool {
        matches!(self.model, Model::Svc { .. })
    }

    /// Tells whether the model is of trees.
    pub(crate) fn has_trees(&self) -> bool {
        matches!(self.model, Model::Trees(_) | Model::TreeNumbers { .. })
    }

    /// Returns what is predicted.
    pub fn task(&self) -> Task {
        match self.model {
            Model::Trees(_) | Model::Linear { .. } | Model::Svc { .. } | Model::NaiveBayes { .. } => {
                Task::Classification
            }
            Model::TreeNumbers { .. } | Model::LinearNumbers { .. } => Task::Regression,
        }
    }

    /// Returns the classes, in order; none for a regression.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Returns how the probabilities are calibrated; `None` when they are the model's own.
    pub fn calibration(&self) -> Option<CalibrationMethod> {
        self.calibration.as_ref().map(Calibration::method)
    }

    /// Returns the share of each column in what the model decides, greatest first.
    pub fn feature_importance(&self) -> Vec<FeatureImportance> {
        let name = |(feature, &importance): (&Feature, &f64)| FeatureImportance {
            feature: feature.name.clone(),
            importance,
        };
        let mut named: Vec<FeatureImportance> =
            self.features.iter().zip(&self.importance).map(name).collect();
        named.sort_by(|a, b| b.importance.total_cmp(&a.importance));
        named
    }

    /// Starts a table of this pipeline's columns, to be filled row by row.
    pub fn table_builder(&self) -> TableBuilder {
        TableBuilder::typed(
            self.features
                .iter()
                .map(|feature| (feature.name.clone(), feature.column_kind())),
        )
    }

    /// Predicts all rows; columns that are not features are ignored, unknown categories are allowed.
    ///
    /// # Errors
    /// A feature is not in the table, or is text where training saw numbers or the other way round.
    pub fn predict(&self, table: &Table) -> Result<Predictions, Error> {
        Ok(match self.answers(table)? {
            Answers::Classes {
                classes,
                probabilities,
            } => Predictions {
                labels: classes
                    .iter()
                    .map(|&class| self.labels[usize::from(class)].clone())
                    .collect(),
                classes,
                probabilities,
                class_count: self.labels.len(),
            },
            Answers::Numbers(numbers) => Predictions {
                labels: numbers.into_iter().map(Label::Number).collect(),
                classes: Vec::new(),
                probabilities: Vec::new(),
                class_count: 0,
            },
        })
    }

    /// Predicts all rows; probabilities are calibrated.
    pub(crate) fn answers(&self, table: &Table) -> Result<Answers, Error> {
        Ok(self.answers_of(&self.prepared(table)?))
    }

    /// As [`Pipeline::answers`], for rows that are prepared already.
    pub(crate) fn answers_of(&self, matrix: &Matrix) -> Answers {
        let mut answers = self.model.predict(matrix, &self.preparation);
        if let (
            Answers::Classes {
                classes,
                probabilities,
            },
            Some(calibration),
        ) = (&mut answers, &self.calibration)
        {
            *classes = calibration.apply(probabilities, self.labels.len());
        }
        answers
    }

    /// Prepares the features of all rows.
    pub(crate) fn prepared(&self, table: &Table) -> Result<Matrix, Error> {
        let columns = self
            .features
            .iter()
            .map(|feature| feature.column_of(table))
            .collect::<Result<Vec<_>, _>>()?;
        let columns: Vec<&Column> = columns.iter().map(|column| column.as_ref()).collect();
        self.preparation.encode(&columns, table.row_count(), &NoProgress)
    }

    /// Compares predictions for all rows with the target column.
    ///
    /// # Errors
    /// As [`Pipeline::predict`]; also a target that is missing, holds a class the pipeline does not know, or a text where
    /// it predicts numbers.
    pub fn evaluate(&self, table: &Table) -> Result<Evaluation, Error> {
        let without = IntervalConfig {
            resamples: 0,
            ..IntervalConfig::default()
        };
        self.evaluate_with_intervals(table, &without, 0)
    }

    /// Compares predictions for all rows with the target column, and tells how sure the figures are; the same seed gives the
    /// same intervals.
    ///
    /// # Errors
    /// As [`Pipeline::evaluate`].
    pub fn evaluate_with_intervals(
        &self,
        table: &Table,
        config: &IntervalConfig,
        seed: u64,
    ) -> Result<Evaluation, Error> {
        let truth = match self.task() {
            Task::Classification => Truth::Classes(self.classes_of(table)?),
            Task::Regression => Truth::Numbers(self.numbers_of(table)?.to_vec()),
        };
        measure(&truth, &truth, &self.predict(table)?, &self.labels, config, seed)
    }

    pub(crate) fn numbers_of<'a>(&self, table: &'a Table) -> Result<&'a [f64], Error> {
        let refuse = |row: usize, message: &str| Error::Cell {
            row: row + 1,
            column: self.target.clone(),
            message: message.to_owned(),
        };
        match table.column(&self.target)? {
            Column::Numeric(values) => match values.iter().position(|value| value.is_nan()) {
                Some(row) => Err(refuse(row, "the true number is missing")),
                None => Ok(values),
            },
            Column::Categorical(_) => Err(refuse(0, "expected a number, got a text")),
        }
    }

    pub(crate) fn classes_of(&self, table: &Table) -> Result<Vec<u16>, Error> {
        let column = table.names().iter().position(|name| *name == self.target);
        let column = column.ok_or_else(|| Error::MissingColumn {
            name: self.target.clone(),
            present: table.names().to_vec(),
        })?;
        let known: HashMap<String, u16> = self
            .labels
            .iter()
            .enumerate()
            .map(|(class, label)| (label.to_string(), class as u16))
            .collect();
        let class = |row: usize| {
            let text = match table.cell(row, column) {
                Cell::Missing => "a missing value".to_owned(),
                Cell::Number(number) => number.to_string(),
                Cell::Text(text) => text.into_owned(),
            };
            known.get(&text).copied().ok_or_else(|| Error::Cell {
                row: row + 1,
                column: self.target.clone(),
                message: format!("{text} is not a class of this model"),
            })
        };
        (0..table.row_count()).map(class).collect()
    }
}

/// Puts predictions beside the truth; the baseline answers what is most frequent, or the mean, in `learned`.
pub(crate) fn measure(
    truth: &Truth,
    learned: &Truth,
    predictions: &Predictions,
    labels: &[Label],
    intervals: &IntervalConfig,
    seed: u64,
) -> Result<Evaluation, Error> {
    match (truth, learned) {
        (Truth::Classes(truth), Truth::Classes(learned)) => {
            let outcome = Outcome::new(
                truth,
                &predictions.classes,
                &predictions.probabilities,
                labels.len(),
            )?;
            let confusion_matrix = ConfusionMatrix {
                labels: labels.to_vec(),
                counts: outcome.confusion(),
            };
            Ok(Evaluation {
                metrics: outcome.metrics(),
                intervals: metrics::intervals(truth.len(), intervals, seed, |draws| {
                    Ok(outcome.weighted(draws)?.metrics())
                })?,
                baseline: always(truth, most_frequent(learned, labels.len()), labels.len())?,
                classes: outcome.per_class(),
                confusion_matrix: Some(confusion_matrix),
            })
        }
        (Truth::Numbers(truth), Truth::Numbers(learned)) => {
            let numbers = predictions.numbers();
            let outcome = NumberOutcome::new(truth, &numbers)?;
            let mean = learned.iter().sum::<f64>() / learned.len() as f64;
            Ok(Evaluation {
                metrics: outcome.metrics(),
                intervals: metrics::intervals(truth.len(), intervals, seed, |draws| {
                    Ok(outcome.weighted(draws)?.metrics())
                })?,
                baseline: NumberOutcome::new(truth, &vec![mean; truth.len()])?.metrics(),
                classes: Vec::new(),
                confusion_matrix: None,
            })
        }
        _ => unreachable!("both are parts of one target"),
    }
}

fn most_frequent(classes: &[u16], class_count: usize) -> u16 {
    let mut counts = vec![0usize; class_count];
    classes.iter().for_each(|&class| counts[usize::from(class)] += 1);
    let greatest = counts.iter().max().copied().unwrap_or(0);
    counts.iter().position(|&count| count == greatest).unwrap_or(0) as u16
}

/// Figures for always answering one class.
fn always(truth: &[u16], class: u16, class_count: usize) -> Result<BTreeMap<String, f64>, Error> {
    let predicted = vec![class; truth.len()];
    let mut probabilities = vec![0.0; truth.len() * class_count];
    probabilities
        .iter_mut()
        .skip(usize::from(class))
        .step_by(class_count)
        .for_each(|slot| *slot = 1.0);
    Ok(Outcome::new(truth, &predicted, &probabilities, class_count)?.metrics())
}

impl Feature {
    pub(crate) fn column_kind(&self) -> ColumnKind {
        match self.kind {
            FeatureKind::Integer | FeatureKind::Number => ColumnKind::Numeric,
            FeatureKind::Category => ColumnKind::Categorical,
        }
    }

    /// Finds the feature's column; one without any value fits either kind.
    pub(crate) fn column_of<'a>(&self, table: &'a Table) -> Result<Cow<'a, Column>, Error> {
        let column = table.column(&self.name)?;
        if column.kind() == self.column_kind() {
            return Ok(Cow::Borrowed(column));
        }
        let rows = column.len();
        let (first, replacement, message) = match column {
            Column::Numeric(values) => {
                let codes = Categorical::new(Vec::new(), vec![MISSING_CODE; rows])?;
                let first = values.iter().position(|value| !value.is_nan());
                (first, Column::Categorical(codes), "expected a text, got a number")
            }
            Column::Categorical(values) => {
                let first = (0..rows).find(|&row| values.text(row).is_some());
                (
                    first,
                    Column::Numeric(vec![f64::NAN; rows]),
                    "expected a number, got a text",
                )
            }
        };
        match first {
            None => Ok(Cow::Owned(replacement)),
            Some(row) => Err(Error::Cell {
                row: row + 1,
                column: self.name.clone(),
                message: message.to_owned(),
            }),
        }
    }
}
