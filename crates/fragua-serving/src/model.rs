//! A model version in memory, and what it answers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use fragua_base::Timestamp;
use fragua_learn::{
    Categorical, Column, Label, MISSING_CODE, Pipeline, Predictor, RowAnswer, RowScratch, Table,
    TrainingProfile,
};
use serde_json::{Map, Value};

use crate::metrics::VersionCounters;
use crate::row::{Cell, FieldError, Row, check_record};
use crate::signature::Feature;
use crate::{Error, row};

/// Most rows that are answered one by one; more of them pay for a table.
const MOST_SINGLE_ROWS: usize = 8;

/// A model version that is in memory and answers.
pub struct ServedModel {
    /// Name of the registered model.
    pub name: String,
    /// Version, as the registry numbers it.
    pub version: String,
    /// Run that trained it, where the registry knows.
    pub run_id: Option<String>,
    /// Columns it takes, in the order of its signature.
    pub features: Vec<Feature>,
    /// Classes it answers, in the order of the probabilities.
    pub labels: Vec<Label>,
    /// When the version was registered.
    pub created_at: Timestamp,
    /// When it was read into memory.
    pub loaded_at: Timestamp,
    /// Figures of the run that trained it, by name.
    pub metrics: BTreeMap<String, f64>,
    /// What the rows were like that it was trained on, where its folder tells.
    pub profile: Option<Arc<TrainingProfile>>,
    /// Names under which a data frame gives the class and then the probabilities.
    pub(crate) outputs: Vec<String>,
    pub(crate) predictor: Predictor,
    /// Where in a row each column is that the predictor takes.
    pub(crate) positions: Vec<usize>,
    pub(crate) counters: Arc<VersionCounters>,
    /// Where the registry says the version lives; tells a version from one that was made anew.
    pub(crate) identity: String,
}

/// A text that training has not seen in its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownCategory {
    column: String,
    value: String,
    rows: usize,
}

impl fmt::Display for UnknownCategory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value: String = self.value.chars().take(100).collect();
        write!(
            formatter,
            "{}: training has not seen {value:?}, which counts as unknown",
            self.column
        )?;
        if self.rows > 1 {
            write!(formatter, " ({} rows)", self.rows)?;
        }
        Ok(())
    }
}

/// The categories of a column: a list for few rows, for which a set is not worth its making.
enum Known<'a> {
    List(&'a [String]),
    Set(HashSet<&'a str>),
}

impl<'a> Known<'a> {
    fn of(categories: &'a [String], rows: usize) -> Self {
        match rows <= MOST_SINGLE_ROWS {
            true => Self::List(categories),
            false => Self::Set(categories.iter().map(String::as_str).collect()),
        }
    }

    fn has(&self, text: &str) -> bool {
        match self {
            Self::List(categories) => categories.iter().any(|known| known == text),
            Self::Set(categories) => categories.contains(text),
        }
    }
}

/// Answers for some rows.
#[derive(Debug, Clone)]
pub struct Predictions {
    /// The version that answered.
    pub model: Arc<ServedModel>,
    /// One class a row.
    pub labels: Vec<Label>,
    /// Row after row, one probability a class in the order of [`ServedModel::labels`].
    probabilities: Vec<f32>,
}

impl Predictions {
    /// Returns the probabilities of a row, in the order of [`ServedModel::labels`].
    pub fn probabilities(&self, row: usize) -> &[f32] {
        let classes = self.model.labels.len();
        self.probabilities
            .get(row * classes..(row + 1) * classes)
            .unwrap_or_default()
    }
}

/// Why a row got its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The class that is explained: the one that was answered. `None` where the model answers numbers.
    pub label: Option<Label>,
    /// The score when nothing is known of the row: the mean over the rows of training.
    pub base: f64,
    /// What each column adds to the base, by name, in the order of the pipeline's columns. The sum is the score: a
    /// probability or a number, or for gradient boosting the margin of the class.
    pub contributions: Vec<(String, f64)>,
}

impl fmt::Debug for ServedModel {
    /// The trees of a pipeline are left out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServedModel")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl ServedModel {
    /// Returns the version as a number where it is one, as the old stack's API answered it.
    pub fn version_value(&self) -> Value {
        match self.version.parse::<u64>() {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(self.version.as_str()),
        }
    }

    /// Returns the texts that training has not seen in their columns, which count as unknown: each once, the first twenty.
    pub(crate) fn unknown_categories(&self, rows: &[Row]) -> Vec<UnknownCategory> {
        const MOST: usize = 20;
        let mut unknown: Vec<UnknownCategory> = Vec::new();
        let columns = self.predictor.features().iter().zip(&self.positions).enumerate();
        for (place, (feature, position)) in columns {
            if feature.categories.is_empty() || self.predictor.reads_dates(place) {
                continue;
            }
            let known = Known::of(&feature.categories, rows.len());
            for text in rows.iter().filter_map(|row| row.0.get(*position)?.text()) {
                if text.is_empty() || known.has(text) {
                    continue;
                }
                let is_this = |told: &UnknownCategory| told.column == feature.name && told.value == text;
                match unknown.iter().position(is_this) {
                    Some(told) => unknown[told].rows += 1,
                    None if unknown.len() < MOST => unknown.push(UnknownCategory {
                        column: feature.name.clone(),
                        value: text.to_owned(),
                        rows: 1,
                    }),
                    None => {}
                }
            }
        }
        unknown
    }

    /// Returns the stored example row as a record.
    pub fn example(&self) -> Map<String, Value> {
        self.features
            .iter()
            .map(|feature| (feature.name.clone(), feature.example.clone()))
            .collect()
    }

    /// Checks a record by the rules of `POST /predict` and returns its row. Numbers may come as text.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the features.
    pub fn check_record(&self, record: &Map<String, Value>) -> Result<Row, Vec<FieldError>> {
        check_record(&self.features, record)
    }

    /// Reads a record straight from its JSON text, `None` when anything is wrong with it.
    pub(crate) fn read_record(&self, json: &[u8]) -> Option<Row> {
        row::read_record(&self.features, json)
    }

    /// Predicts on the calling thread.
    ///
    /// # Errors
    /// `RowShape` when a row was made for another version.
    pub(crate) fn predict(self: &Arc<Self>, rows: &[Row]) -> Result<Predictions, Error> {
        let wrong = rows.iter().position(|row| row.0.len() != self.features.len());
        if let Some(row) = wrong {
            return Err(Error::RowShape {
                row,
                found: rows[row].0.len(),
                expected: self.features.len(),
            });
        }
        if rows.is_empty() {
            return Ok(Predictions {
                model: Arc::clone(self),
                labels: Vec::new(),
                probabilities: Vec::new(),
            });
        }
        let answered = match &self.predictor {
            Predictor::Pipeline(pipeline) if rows.len() <= MOST_SINGLE_ROWS => {
                self.one_by_one(pipeline, rows)
            }
            predictor => self
                .table(rows)
                .and_then(|table| predictor.predict(&table))
                .map(|predictions| (predictions.labels, predictions.probabilities)),
        };
        let (labels, probabilities) = answered.map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Predictions {
            model: Arc::clone(self),
            labels,
            probabilities,
        })
    }

    /// Predicts without a table: the labels, and the probabilities row after row.
    fn one_by_one(
        &self,
        pipeline: &Pipeline,
        rows: &[Row],
    ) -> Result<(Vec<Label>, Vec<f32>), fragua_learn::Error> {
        let mut scratch = RowScratch::default();
        let mut labels = Vec::with_capacity(rows.len());
        let mut all = Vec::with_capacity(rows.len() * self.labels.len());
        for row in rows {
            let cells = self.positions.iter().map(|&position| match &row.0[position] {
                Cell::Missing => fragua_learn::Cell::Missing,
                Cell::Number(number) => fragua_learn::Cell::Number(*number),
                Cell::Text(text) => fragua_learn::Cell::Text(text.into()),
            });
            match pipeline.predict_row(cells, &mut scratch)? {
                RowAnswer::Class { class, probabilities } => {
                    labels.push(pipeline.labels()[usize::from(class)].clone());
                    all.extend_from_slice(probabilities);
                }
                RowAnswer::Number(number) => labels.push(Label::Number(number)),
            }
        }
        Ok((labels, all))
    }

    /// Explains the answers for `rows` on the calling thread.
    ///
    /// # Errors
    /// `Conflict` when the model cannot be explained; as [`ServedModel::predict`].
    pub(crate) fn explain(self: &Arc<Self>, rows: &[Row]) -> Result<Vec<Explanation>, Error> {
        let answered = self.predict(rows)?;
        let table = self
            .table(rows)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let explanations = self.predictor.explain(&table).map_err(|error| Error::Conflict {
            reason: format!(
                "version {} of {} cannot be explained: {error}",
                self.version, self.name
            ),
        })?;
        let names = || {
            self.predictor
                .features()
                .iter()
                .map(|feature| feature.name.clone())
        };
        let explained = answered.labels.into_iter().enumerate().map(|(row, label)| {
            let class = self.labels.iter().position(|known| *known == label);
            let output = class.unwrap_or_default();
            Explanation {
                label: class.map(|_| label),
                base: explanations.base[output],
                contributions: names()
                    .zip(explanations.of(row, output).iter().copied())
                    .collect(),
            }
        });
        Ok(explained.collect())
    }

    fn table(&self, rows: &[Row]) -> Result<Table, fragua_learn::Error> {
        let mut columns = Vec::with_capacity(self.features.len());
        for (index, feature) in self.features.iter().enumerate() {
            let cells = rows.iter().map(|row| &row.0[index]);
            let column = if feature.is_text() {
                texts(cells)?
            } else {
                Column::Numeric(cells.map(Cell::number).collect())
            };
            columns.push((feature.name.clone(), column));
        }
        Table::new(columns)
    }
}

fn texts<'a>(cells: impl Iterator<Item = &'a Cell>) -> Result<Column, fragua_learn::Error> {
    let mut dictionary = Vec::new();
    let mut codes_by_text: HashMap<&str, u32> = HashMap::new();
    let mut codes = Vec::new();
    for cell in cells {
        // An empty text is a missing value in training too.
        let Some(text) = cell.text().filter(|text| !text.is_empty()) else {
            codes.push(MISSING_CODE);
            continue;
        };
        let code = *codes_by_text.entry(text).or_insert_with(|| {
            dictionary.push(text.to_owned());
            // Rows are limited far below 2^32, so a code always fits.
            (dictionary.len() - 1) as u32
        });
        codes.push(code);
    }
    Categorical::new(dictionary, codes).map(Column::Categorical)
}
