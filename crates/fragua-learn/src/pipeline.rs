use crate::feature::{Feature, FeatureKind};
use crate::metrics::Outcome;
use crate::model::Model;
use crate::prepare::Preparation;
use crate::progress::NoProgress;
use crate::report::FeatureImportance;
use crate::table::{Categorical, Column, ColumnKind, MISSING_CODE, Table, TableBuilder};
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
}

/// Labels and class probabilities of some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// The most probable label of each row.
    pub labels: Vec<Label>,
    /// The same as positions in [`Pipeline::labels`].
    pub classes: Vec<u16>,
    /// One probability for each of [`Pipeline::labels`], row after row.
    pub probabilities: Vec<f32>,
    /// Number of labels, and so of probabilities a row.
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
}

/// Figures of a pipeline on rows whose truth is known.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Figures by name, as in [`crate::TrainReport::metrics`].
    pub metrics: BTreeMap<String, f64>,
    /// Rows by true and predicted class.
    pub confusion_matrix: ConfusionMatrix,
}

impl Pipeline {
    /// Returns the columns that predictions are made from, in order.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Returns the name of the column that is predicted.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the kind of model as in configuration.
    pub fn model_name(&self) -> &str {
        &self.model_name
    }

    /// Returns the classes, in order.
    pub fn labels(&self) -> &[Label] {
        &self.labels
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
        let columns = self
            .features
            .iter()
            .map(|feature| feature.column_of(table))
            .collect::<Result<Vec<_>, _>>()?;
        let columns: Vec<&Column> = columns.iter().map(|column| column.as_ref()).collect();
        let matrix = self
            .preparation
            .encode(&columns, table.row_count(), &NoProgress)?;
        let (classes, probabilities) = self.model.predict(&matrix, &self.preparation);
        let labels = classes
            .iter()
            .map(|&class| self.labels[usize::from(class)].clone())
            .collect();
        Ok(Predictions {
            labels,
            classes,
            probabilities,
            class_count: self.labels.len(),
        })
    }

    /// Compares predictions for all rows with the target column.
    ///
    /// # Errors
    /// As [`Pipeline::predict`]; also a target that is missing or holds a class the pipeline does not know.
    pub fn evaluate(&self, table: &Table) -> Result<Evaluation, Error> {
        let truth = self.classes_of(table)?;
        let predictions = self.predict(table)?;
        let outcome = Outcome::new(
            &truth,
            &predictions.classes,
            &predictions.probabilities,
            self.labels.len(),
        )?;
        Ok(Evaluation {
            metrics: outcome.metrics().to_map(),
            confusion_matrix: ConfusionMatrix {
                labels: self.labels.clone(),
                counts: outcome.confusion(),
            },
        })
    }

    fn classes_of(&self, table: &Table) -> Result<Vec<u16>, Error> {
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

impl Feature {
    pub(crate) fn column_kind(&self) -> ColumnKind {
        match self.kind {
            FeatureKind::Integer | FeatureKind::Number => ColumnKind::Numeric,
            FeatureKind::Category => ColumnKind::Categorical,
        }
    }

    /// Finds the feature's column; one without any value fits either kind.
    fn column_of<'a>(&self, table: &'a Table) -> Result<Cow<'a, Column>, Error> {
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
