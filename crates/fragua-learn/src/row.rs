//! One row through a pipeline, without a table: its cells become the numbers of the model right away.
//!
//! The buffers are the caller's, so that rows one after the other through trees allocate nothing; models of another kind
//! and calibration still do. The answer is that of [`Pipeline::predict`], bit for bit.

use crate::model::{Answers, Model, greatest};
use crate::pipeline::Pipeline;
use crate::prepare::{Matrix, PreparedColumn};
use crate::progress::NoProgress;
use crate::table::{Cell, ColumnKind};
use crate::tree::ensemble::softmax;
use crate::tree::one_row::RowBuffers;
use crate::{Error, Feature};

/// Buffers for one row; the same may serve rows of different pipelines.
#[derive(Clone, Debug, Default)]
pub struct RowScratch {
    matrix: Matrix,
    trees: RowBuffers,
    scores: Vec<f32>,
}

/// What is predicted for one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowAnswer<'a> {
    /// The most probable class.
    Class {
        /// Its position in [`Pipeline::labels`].
        class: u16,
        /// One probability for each of [`Pipeline::labels`].
        probabilities: &'a [f32],
    },
    /// The number of a regression.
    Number(f64),
}

impl Pipeline {
    /// Predicts one row from its cells, in the order of [`Pipeline::features`]; unknown categories are allowed.
    ///
    /// # Errors
    /// There are fewer or more cells than features, or a cell is a text where training saw numbers or the other way round.
    pub fn predict_row<'a, 'cells>(
        &self,
        cells: impl IntoIterator<Item = Cell<'cells>>,
        scratch: &'a mut RowScratch,
    ) -> Result<RowAnswer<'a>, Error> {
        let RowScratch {
            matrix,
            trees,
            scores,
        } = scratch;
        self.prepare_row(cells, matrix)?;
        let class = match &self.model {
            Model::TreeNumbers { ensemble, span } => {
                ensemble.score_row(&matrix.values, trees, scores);
                return Ok(RowAnswer::Number(span.outward(scores[0])));
            }
            Model::Trees(ensemble) => {
                ensemble.score_row(&matrix.values, trees, scores);
                let class = greatest(scores);
                if ensemble.softmax {
                    softmax(scores);
                }
                match &self.calibration {
                    Some(calibration) => calibration.apply(scores, self.labels.len())[0],
                    None => class,
                }
            }
            Model::Linear { .. }
            | Model::Svc { .. }
            | Model::NaiveBayes { .. }
            | Model::LinearNumbers { .. } => match self.answers_of(matrix) {
                Answers::Numbers(numbers) => return Ok(RowAnswer::Number(numbers[0])),
                Answers::Classes {
                    classes,
                    probabilities,
                } => {
                    *scores = probabilities;
                    classes[0]
                }
            },
        };
        Ok(RowAnswer::Class {
            class,
            probabilities: scores,
        })
    }

    /// Writes the prepared row over what `matrix` holds.
    fn prepare_row<'cells>(
        &self,
        cells: impl IntoIterator<Item = Cell<'cells>>,
        matrix: &mut Matrix,
    ) -> Result<(), Error> {
        let preparation = &self.preparation;
        matrix.row_count = 1;
        matrix.width = preparation.columns.len();
        matrix.values.clear();
        let mut count = 0;
        let mut columns = preparation.columns.iter().zip(&preparation.sources).peekable();
        for cell in cells {
            if let Some(feature) = self.features.get(count) {
                feature.check(&cell)?;
            }
            while let Some((column, _)) = columns.next_if(|(_, source)| **source == count) {
                matrix.values.push(column.value(&cell));
            }
            count += 1;
        }
        if count != self.features.len() {
            let message = format!("{count} cells, expected {}", self.features.len());
            return Err(Error::Row { row: 1, message });
        }
        match &preparation.knn {
            Some(imputer) => imputer.fill(matrix, &NoProgress),
            None => Ok(()),
        }
    }
}

impl Feature {
    fn check(&self, cell: &Cell<'_>) -> Result<(), Error> {
        let message = match (self.column_kind(), cell) {
            (ColumnKind::Numeric, Cell::Text(text)) if !text.is_empty() => "expected a number, got a text",
            (ColumnKind::Categorical, Cell::Number(number)) if !number.is_nan() => {
                "expected a text, got a number"
            }
            _ => return Ok(()),
        };
        Err(Error::Cell {
            row: 1,
            column: self.name.clone(),
            message: message.to_owned(),
        })
    }
}

impl PreparedColumn {
    /// What models see of a cell of the right kind.
    fn value(&self, cell: &Cell<'_>) -> f32 {
        let text = match cell {
            Cell::Text(text) if !text.is_empty() => Some(text.as_ref()),
            _ => None,
        };
        match self {
            Self::Numeric(column) => column.value(match cell {
                Cell::Number(number) => *number,
                Cell::Text(_) | Cell::Missing => f64::NAN,
            }),
            Self::Categorical(column) => f32::from(column.code(text)),
            Self::Encoded(column) => column.value(column.texts.code(text)),
            Self::Date(column) => column.value(text),
        }
    }
}
