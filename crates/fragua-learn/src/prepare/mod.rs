//! From table cells to the 32-bit numbers that models calculate with.

pub(crate) mod categorical;
pub(crate) mod knn;
pub(crate) mod numeric;

use crate::config::{NumericImputer, PreparationConfig, Scaler};
use crate::table::{Column, ColumnKind, Table};
use crate::{Error, Progress};
use categorical::CategoricalColumn;
use knn::KnnImputer;
use numeric::NumericColumn;

/// Rows of 32-bit numbers, one after the other: numbers as they are, categories as codes.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) row_count: usize,
    pub(crate) width: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = f32> + Clone + '_ {
        self.values
            .iter()
            .skip(column)
            .step_by(self.width.max(1))
            .copied()
    }
}

/// One fitted column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PreparedColumn {
    Numeric(NumericColumn),
    Categorical(CategoricalColumn),
}

/// The fitted preparation of all columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Preparation {
    pub(crate) columns: Vec<PreparedColumn>,
    pub(crate) knn: Option<KnnImputer>,
}

impl Preparation {
    /// Learns from all rows of `table` and returns them prepared.
    pub(crate) fn fit(
        table: &Table,
        config: &PreparationConfig,
        progress: &dyn Progress,
    ) -> Result<(Self, Matrix), Error> {
        let fit_column = |column: &Column| match column {
            Column::Numeric(values) => {
                PreparedColumn::Numeric(NumericColumn::fit(values, config.numeric.imputer))
            }
            Column::Categorical(values) => {
                PreparedColumn::Categorical(CategoricalColumn::fit(values, &config.categorical))
            }
        };
        let mut preparation = Self {
            columns: table.columns().iter().map(fit_column).collect(),
            knn: None,
        };
        let columns: Vec<&Column> = table.columns().iter().collect();
        let mut matrix = preparation.encode_without_neighbors(&columns, table.row_count());
        if config.numeric.imputer == NumericImputer::Knn {
            let numeric = preparation.numeric_positions();
            let neighbors = config.numeric.n_neighbors.unwrap_or(5);
            let imputer = KnnImputer::fit(
                &matrix,
                numeric,
                neighbors,
                config.numeric.weights.unwrap_or_default(),
            );
            imputer.fill(&mut matrix, progress)?;
            preparation.knn = Some(imputer);
        }
        if config.numeric.scaler == Scaler::Standard {
            for (position, column) in preparation.columns.iter_mut().enumerate() {
                if let PreparedColumn::Numeric(column) = column {
                    column.fit_scale(matrix.column(position));
                }
            }
        }
        Ok((preparation, matrix))
    }

    /// Prepares rows; the columns must be those of the fit, in its order and kinds.
    pub(crate) fn encode(
        &self,
        columns: &[&Column],
        row_count: usize,
        progress: &dyn Progress,
    ) -> Result<Matrix, Error> {
        let mut matrix = self.encode_without_neighbors(columns, row_count);
        if let Some(imputer) = &self.knn {
            imputer.fill(&mut matrix, progress)?;
        }
        Ok(matrix)
    }

    fn encode_without_neighbors(&self, columns: &[&Column], row_count: usize) -> Matrix {
        let width = self.columns.len();
        let mut values = vec![0.0f32; row_count * width];
        for (position, (prepared, column)) in self.columns.iter().zip(columns).enumerate() {
            let target = values.iter_mut().skip(position).step_by(width);
            match (prepared, column) {
                (PreparedColumn::Numeric(prepared), Column::Numeric(source)) => {
                    prepared.encode(source, target)
                }
                (PreparedColumn::Categorical(prepared), Column::Categorical(source)) => {
                    prepared.encode(source, target);
                }
                _ => unreachable!("the caller has checked the kinds of the columns"),
            }
        }
        Matrix {
            row_count,
            width,
            values,
        }
    }

    fn numeric_positions(&self) -> Vec<usize> {
        let is_numeric = |position: &usize| matches!(self.columns[*position], PreparedColumn::Numeric(_));
        (0..self.columns.len()).filter(is_numeric).collect()
    }
}

impl PreparedColumn {
    pub(crate) fn kind(&self) -> ColumnKind {
        match self {
            PreparedColumn::Numeric(_) => ColumnKind::Numeric,
            PreparedColumn::Categorical(_) => ColumnKind::Categorical,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoProgress;
    use crate::config::{CategoricalImputer, NumericConfig};
    use crate::table::{Categorical, MISSING_CODE};

    fn table(numbers: &[f64], words: &[&str]) -> Table {
        let mut dictionary: Vec<String> = Vec::new();
        let codes = words
            .iter()
            .map(|word| match dictionary.iter().position(|known| known == word) {
                _ if word.is_empty() => MISSING_CODE,
                Some(code) => code as u32,
                None => {
                    dictionary.push((*word).to_owned());
                    dictionary.len() as u32 - 1
                }
            });
        let codes = codes.collect();
        let words = Categorical::new(dictionary, codes).unwrap();
        let columns = vec![
            ("n".to_owned(), Column::Numeric(numbers.to_vec())),
            ("w".to_owned(), Column::Categorical(words)),
        ];
        Table::new(columns).unwrap()
    }

    fn encode(preparation: &Preparation, table: &Table) -> Vec<f32> {
        let columns: Vec<&Column> = table.columns().iter().collect();
        preparation
            .encode(&columns, table.row_count(), &NoProgress)
            .unwrap()
            .values
    }

    const NAN: f64 = f64::NAN;

    #[test]
    fn gaps_are_filled_with_what_was_learned() {
        let learned = table(&[1.0, 5.0, 5.0, NAN, 9.0, 2.0], &["b", "a", "b", "", "a", "c"]);
        let check = |imputer, number: f32| {
            let numeric = NumericConfig {
                imputer,
                ..NumericConfig::default()
            };
            let config = PreparationConfig {
                numeric,
                ..PreparationConfig::default()
            };
            let (preparation, matrix) = Preparation::fit(&learned, &config, &NoProgress).unwrap();
            assert_eq!(matrix.row(3), [number, 0.0], "{imputer:?}");
            // Categories are numbered in order; "a" and "b" are equally frequent; "z" was never seen.
            assert_eq!(
                encode(&preparation, &table(&[NAN, 7.0], &["", "z"])),
                [number, 0.0, 7.0, 254.0]
            );
        };
        check(NumericImputer::Median, 5.0);
        check(NumericImputer::MostFrequent, 5.0);
    }

    #[test]
    fn gaps_that_are_kept_stay_visible_to_the_trees() {
        let mut config = PreparationConfig::default();
        config.numeric.imputer = NumericImputer::None;
        config.categorical.imputer = CategoricalImputer::None;
        let (_, matrix) = Preparation::fit(&table(&[1.0, NAN], &["a", ""]), &config, &NoProgress).unwrap();
        assert!(matrix.row(1)[0].is_nan());
        assert_eq!(matrix.row(1)[1], 255.0);
    }

    #[test]
    fn scaling_gives_mean_zero_and_deviation_one() {
        let (preparation, matrix) = Preparation::fit(
            &table(&[1.0, 3.0], &["a", "a"]),
            &PreparationConfig::default(),
            &NoProgress,
        )
        .unwrap();
        let PreparedColumn::Numeric(column) = &preparation.columns[0] else {
            panic!("numeric")
        };
        let scaled: Vec<f64> = matrix.column(0).map(|value| column.scaled(value)).collect();
        assert_eq!(scaled, [-1.0, 1.0]);
    }
}
