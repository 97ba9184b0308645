//! What is to be predicted, row by row.

use crate::config::{Task, TrainConfig};
use crate::table::{Categorical, Column, Table};
use crate::{Error, Label};
use std::collections::BTreeMap;

/// Most classes a target may have; whole numbers of more kinds are numbers.
const MAX_CLASSES: usize = 256;

/// The truth of some rows, and how much each counts.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The classes, in order; none when numbers are predicted.
    pub(crate) labels: Vec<Label>,
    pub(crate) truth: Truth,
    /// Weights with a mean of 1 over the table; `None` when all rows count alike.
    pub(crate) weights: Option<Vec<f64>>,
}

/// One value a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Truth {
    /// Positions in the list of labels.
    Classes(Vec<u16>),
    Numbers(Vec<f64>),
}

impl Target {
    /// Returns the truth as a column: classes as texts, or numbers.
    pub(crate) fn as_column(&self) -> Result<Column, Error> {
        Ok(match &self.truth {
            Truth::Classes(classes) => {
                let words = self.labels.iter().map(Label::to_string).collect();
                let codes = classes.iter().map(|&class| u32::from(class)).collect();
                Column::Categorical(Categorical::new(words, codes)?)
            }
            Truth::Numbers(numbers) => Column::Numeric(numbers.clone()),
        })
    }

    /// Reads the target and weight columns; also tells why the target is taken for classes or numbers.
    pub(crate) fn new(table: &Table, config: &TrainConfig) -> Result<(Self, String), Error> {
        let name = &config.target;
        let column = table.column(name)?;
        if let Some(row) = (0..column.len()).find(|&row| column.is_missing(row)) {
            return Err(Error::Cell {
                row: row + 1,
                column: name.clone(),
                message: "the target is missing; leave such rows out of the table".to_owned(),
            });
        }
        let (inferred, found) = infer(name, column);
        let (task, reason) = match config.implied_task()? {
            None => (inferred, found),
            Some(implied) => {
                // Few whole numbers may be meant as numbers.
                let is_text = matches!(column, Column::Categorical(_));
                if implied.task != inferred && (implied.task == Task::Classification || is_text) {
                    return Err(implied.refused(&found));
                }
                (implied.task, format!("`{}` says so", implied.field))
            }
        };
        let (labels, truth) = match task {
            Task::Classification => classes(name, column)?,
            Task::Regression => (Vec::new(), Truth::Numbers(numbers(name, column)?)),
        };
        let weights = match &config.weight {
            Some(name) => Some(weights(name, table.column(name)?)?),
            None => None,
        };
        let target = Self {
            labels,
            truth,
            weights,
        };
        Ok((target, reason))
    }

    pub(crate) fn task(&self) -> Task {
        match self.truth {
            Truth::Classes(_) => Task::Classification,
            Truth::Numbers(_) => Task::Regression,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.truth {
            Truth::Classes(classes) => classes.len(),
            Truth::Numbers(numbers) => numbers.len(),
        }
    }

    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let pick = |numbers: &Vec<f64>| rows.iter().map(|&row| numbers[row]).collect();
        Self {
            labels: self.labels.clone(),
            truth: match &self.truth {
                Truth::Classes(classes) => Truth::Classes(rows.iter().map(|&row| classes[row]).collect()),
                Truth::Numbers(numbers) => Truth::Numbers(pick(numbers)),
            },
            weights: self.weights.as_ref().map(pick),
        }
    }

    /// Returns what rows are parted by so that each side has its share, as indices below the count: the classes; numbers
    /// are all alike.
    pub(crate) fn strata(&self) -> (Vec<u16>, usize) {
        match &self.truth {
            Truth::Classes(classes) => (classes.clone(), self.labels.len()),
            Truth::Numbers(numbers) => (vec![0; numbers.len()], 1),
        }
    }
}

fn infer(name: &str, column: &Column) -> (Task, String) {
    let Column::Numeric(values) = column else {
        return (Task::Classification, format!("`{name}` holds texts"));
    };
    if !values.iter().all(|&value| is_whole(value)) {
        return (Task::Regression, format!("`{name}` holds numbers with fractions"));
    }
    let mut distinct = values.clone();
    distinct.sort_unstable_by(f64::total_cmp);
    distinct.dedup();
    let count = distinct.len();
    let found = format!("`{name}` holds {count} different whole numbers");
    match count > MAX_CLASSES {
        true => (
            Task::Regression,
            format!("{found}, more than the {MAX_CLASSES} that classes may be"),
        ),
        false => (Task::Classification, found),
    }
}

/// Beyond 2^53 a 64-bit float no longer holds every whole number.
fn is_whole(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() < 9e15
}

fn classes(name: &str, column: &Column) -> Result<(Vec<Label>, Truth), Error> {
    let mut labels: BTreeMap<Label, u16> = BTreeMap::new();
    let mut rows: Vec<Label> = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        let label = match column {
            Column::Numeric(values) => Label::Integer(values[row] as i64),
            Column::Categorical(values) => Label::Text(values.text(row).unwrap_or_default().to_owned()),
        };
        if !labels.contains_key(&label) {
            labels.insert(label.clone(), 0);
            if labels.len() > MAX_CLASSES {
                return Err(Error::Data(format!(
                    "target `{name}` has more than {MAX_CLASSES} classes"
                )));
            }
        }
        rows.push(label);
    }
    if labels.len() < 2 {
        let message = format!(
            "target `{name}` has {} classes in {} rows; expected at least 2",
            labels.len(),
            rows.len()
        );
        return Err(Error::Data(message));
    }
    labels
        .values_mut()
        .enumerate()
        .for_each(|(class, slot)| *slot = class as u16);
    let classes = rows.iter().map(|label| labels[label]).collect();
    Ok((labels.into_keys().collect(), Truth::Classes(classes)))
}

fn numbers(name: &str, column: &Column) -> Result<Vec<f64>, Error> {
    let Column::Numeric(values) = column else {
        let message = format!("target `{name}` holds texts; a regression predicts numbers");
        return Err(Error::Data(message));
    };
    match values.first() {
        Some(first) if values.iter().any(|value| value != first) => Ok(values.clone()),
        _ => Err(Error::Data(format!(
            "target `{name}` holds one number in all {} rows; expected at least 2",
            values.len()
        ))),
    }
}

fn weights(name: &str, column: &Column) -> Result<Vec<f64>, Error> {
    let refuse = |row: usize, found: String| Error::Cell {
        row: row + 1,
        column: name.to_owned(),
        message: format!("expected a weight of at least 0, got {found}"),
    };
    let Column::Numeric(values) = column else {
        return Err(refuse(0, "a text".to_owned()));
    };
    // A missing weight is refused, too.
    if let Some(row) = values
        .iter()
        .position(|weight| !(*weight >= 0.0 && weight.is_finite()))
    {
        return Err(refuse(row, values[row].to_string()));
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    if mean == 0.0 {
        return Err(Error::Data(format!("all weights in `{name}` are 0")));
    }
    Ok(values.iter().map(|weight| weight / mean).collect())
}
