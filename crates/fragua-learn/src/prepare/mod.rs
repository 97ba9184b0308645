//! From table cells to the 32-bit numbers that models calculate with.

pub(crate) mod categorical;
pub(crate) mod dates;
pub(crate) mod encoded;
pub(crate) mod knn;
pub(crate) mod numeric;
pub(crate) mod pca;

use crate::config::{NumericImputer, PreparationConfig, TextEncoding};
use crate::random::Random;
use crate::table::{Column, ColumnKind, Table};
use crate::target::Target;
use crate::{Error, Progress};
use categorical::CategoricalColumn;
use dates::DateColumn;
use encoded::EncodedColumn;
use knn::KnnImputer;
use numeric::NumericColumn;
use pca::Pca;

/// Rows of 32-bit numbers, one after the other: numbers as they are, categories as codes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matrix {
    pub(crate) row_count: usize,
    pub(crate) width: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// Copies the given rows, in the given order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        Self {
            row_count: rows.len(),
            width: self.width,
            values: rows.iter().flat_map(|&row| self.row(row)).copied().collect(),
        }
    }

    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = f32> + Clone + '_ {
        self.values
            .iter()
            .skip(column)
            .step_by(self.width.max(1))
            .copied()
    }
}

/// Most columns; trees keep a column's position in 16 bits.
pub(crate) const MAX_COLUMNS: usize = 10_000;

/// One fitted column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PreparedColumn {
    Numeric(NumericColumn),
    Categorical(CategoricalColumn),
    /// Texts that models see as numbers.
    Encoded(EncodedColumn),
    /// Dates that models see a part of as a number.
    Date(DateColumn),
}

/// The fitted preparation of all columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Preparation {
    pub(crate) columns: Vec<PreparedColumn>,
    /// The column of the table that each is made of; rising.
    pub(crate) sources: Vec<usize>,
    /// Columns of the table.
    pub(crate) source_count: usize,
    pub(crate) knn: Option<KnnImputer>,
    /// What models that are not of trees see instead of the scaled numbers.
    pub(crate) pca: Option<Pca>,
}

impl Preparation {
    /// Learns from all rows of `table` and returns them prepared.
    pub(crate) fn fit(
        table: &Table,
        target: &Target,
        config: &PreparationConfig,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<(Self, Matrix), Error> {
        // Numbers for texts that come from the target, as the rows of `table` see them.
        let mut learned: Vec<(usize, Vec<f32>)> = Vec::new();
        let (mut prepared, mut sources) = (Vec::new(), Vec::new());
        for (source, (name, column)) in table.names().iter().zip(table.columns()).enumerate() {
            match column {
                Column::Numeric(values) => {
                    let column = NumericColumn::fit(values, config.numeric_of(name));
                    prepared.push(PreparedColumn::Numeric(column));
                }
                Column::Categorical(values) => {
                    let numbers = &config.numeric;
                    let config = config.categorical_of(name);
                    match config.encoding {
                        TextEncoding::Category => {
                            let column = CategoricalColumn::fit(values, config);
                            prepared.push(PreparedColumn::Categorical(column));
                        }
                        TextEncoding::Date => {
                            let parts = DateColumn::fit(name, values, config, numbers)?;
                            prepared.extend(parts.into_iter().map(PreparedColumn::Date));
                        }
                        TextEncoding::Ordinal | TextEncoding::Target => {
                            let seed = Random::derive(seed, &[source as u64]).next_u64();
                            for (column, numbers) in EncodedColumn::fit(values, config, target, seed) {
                                learned.push((prepared.len(), numbers));
                                prepared.push(PreparedColumn::Encoded(column));
                            }
                        }
                    }
                }
            }
            sources.resize(prepared.len(), source);
        }
        if prepared.len() > MAX_COLUMNS {
            let message = format!(
                "target and date give {} columns, one a class or part, more than {MAX_COLUMNS}; use another encoding for some columns",
                prepared.len()
            );
            return Err(Error::config("preparation.categorical.encoding", message));
        }
        let mut preparation = Self {
            columns: prepared,
            sources,
            source_count: table.names().len(),
            knn: None,
            pca: None,
        };
        let columns: Vec<&Column> = table.columns().iter().collect();
        let mut matrix = preparation.encode_without_neighbors(&columns, table.row_count());
        for (position, numbers) in learned {
            let slots = matrix.values.iter_mut().skip(position).step_by(matrix.width);
            slots.zip(numbers).for_each(|(slot, number)| *slot = number);
        }
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
        for (position, column) in preparation.columns.iter_mut().enumerate() {
            let name = &table.names()[preparation.sources[position]];
            let scaler = config.numeric_of(name).scaler;
            match column {
                PreparedColumn::Numeric(column) => column.fit_scale(scaler, matrix.column(position)),
                PreparedColumn::Encoded(EncodedColumn { numeric, .. })
                | PreparedColumn::Date(DateColumn { numeric, .. }) => {
                    numeric.fit_scale(config.numeric.scaler, matrix.column(position));
                }
                PreparedColumn::Categorical(_) => {}
            }
        }
        if let Some(pca) = &config.pca {
            let width = preparation.numbers().count();
            let fill = |row: usize, values: &mut [f64]| preparation.fill_numbers(matrix.row(row), values);
            let fitted = Pca::fit(matrix.row_count, width, fill, pca.n_components, progress)?;
            preparation.pca = Some(fitted);
        }
        Ok((preparation, matrix))
    }

    /// The columns that models see as numbers, with their positions.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (usize, &NumericColumn)> {
        self.columns
            .iter()
            .enumerate()
            .filter_map(|(position, column)| Some((position, column.number()?)))
    }

    /// Lays out the scaled numbers of a row.
    pub(crate) fn fill_numbers(&self, row: &[f32], values: &mut [f64]) {
        for (slot, (position, column)) in values.iter_mut().zip(self.numbers()) {
            *slot = column.scaled(row[position]);
        }
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
        for (position, (prepared, &source)) in self.columns.iter().zip(&self.sources).enumerate() {
            let column = columns[source];
            let target = values.iter_mut().skip(position).step_by(width);
            match (prepared, column) {
                (PreparedColumn::Numeric(prepared), Column::Numeric(source)) => {
                    prepared.encode(source, target)
                }
                (PreparedColumn::Categorical(prepared), Column::Categorical(source)) => {
                    prepared.encode(source, target);
                }
                (PreparedColumn::Encoded(prepared), Column::Categorical(source)) => {
                    prepared.encode(source, target);
                }
                (PreparedColumn::Date(prepared), Column::Categorical(source)) => {
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

    /// Adds up what is said of each prepared column for the column of the table it is made of.
    pub(crate) fn by_source(&self, values: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.source_count];
        for (value, &source) in values.iter().zip(&self.sources) {
            sums[source] += value;
        }
        sums
    }

    /// Tells whether models see parts of dates.
    pub(crate) fn has_dates(&self) -> bool {
        self.columns
            .iter()
            .any(|column| matches!(column, PreparedColumn::Date(_)))
    }

    pub(crate) fn numeric_positions(&self) -> Vec<usize> {
        let is_numeric = |position: &usize| matches!(self.columns[*position], PreparedColumn::Numeric(_));
        (0..self.columns.len()).filter(is_numeric).collect()
    }
}

impl PreparedColumn {
    /// What models see: numbers, or codes of categories.
    pub(crate) fn kind(&self) -> ColumnKind {
        match self {
            PreparedColumn::Numeric(_) | PreparedColumn::Encoded(_) | PreparedColumn::Date(_) => {
                ColumnKind::Numeric
            }
            PreparedColumn::Categorical(_) => ColumnKind::Categorical,
        }
    }

    /// How the numbers of the column are scaled; `None` when models see categories.
    pub(crate) fn number(&self) -> Option<&NumericColumn> {
        match self {
            PreparedColumn::Numeric(column) => Some(column),
            PreparedColumn::Encoded(column) => Some(&column.numeric),
            PreparedColumn::Date(column) => Some(&column.numeric),
            PreparedColumn::Categorical(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoProgress;
    use crate::config::{CategoricalImputer, Frequency, NumericConfig, Scaler};
    use crate::table::{Categorical, MISSING_CODE};
    use crate::target::Truth;

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

    fn fit(
        table: &Table,
        config: &PreparationConfig,
        progress: &dyn Progress,
    ) -> Result<(Preparation, Matrix), Error> {
        let target = Target {
            labels: Vec::new(),
            truth: Truth::Numbers(vec![0.0; table.row_count()]),
            weights: None,
        };
        Preparation::fit(table, &target, config, 0, progress)
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
            let (preparation, matrix) = fit(&learned, &config, &NoProgress).unwrap();
            assert_eq!(matrix.row(3), [number, 0.0], "{imputer:?}");
            // Categories are numbered in order; "a" and "b" are equally frequent; "z" was never seen.
            assert_eq!(
                encode(&preparation, &table(&[NAN, 7.0], &["", "z"])),
                [number, 0.0, 7.0, 254.0]
            );
        };
        check(NumericImputer::Median, 5.0);
        check(NumericImputer::Mean, 4.4);
        check(NumericImputer::Constant, 0.0);
        check(NumericImputer::MostFrequent, 5.0);
    }

    #[test]
    fn gaps_that_are_kept_stay_visible_to_the_trees() {
        let mut config = PreparationConfig::default();
        config.numeric.imputer = NumericImputer::None;
        config.categorical.imputer = CategoricalImputer::None;
        let (_, matrix) = fit(&table(&[1.0, NAN], &["a", ""]), &config, &NoProgress).unwrap();
        assert!(matrix.row(1)[0].is_nan());
        assert_eq!(matrix.row(1)[1], 255.0);
    }

    #[test]
    fn scaling_gives_mean_zero_and_deviation_one() {
        let (preparation, matrix) = fit(
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

    #[test]
    fn scalers_move_and_stretch_as_their_names_say() {
        let scaled = |scaler: Scaler| -> Vec<f64> {
            let mut config = PreparationConfig::default();
            config.numeric.scaler = scaler;
            let table = table(&[1.0, 2.0, 3.0, 5.0, 109.0], &["a"; 5]);
            let (preparation, matrix) = fit(&table, &config, &NoProgress).unwrap();
            let PreparedColumn::Numeric(column) = &preparation.columns[0] else {
                panic!("numeric")
            };
            matrix.column(0).map(|value| column.scaled(value)).collect()
        };
        assert_eq!(scaled(Scaler::None), [1.0, 2.0, 3.0, 5.0, 109.0]);
        assert_eq!(scaled(Scaler::MinMax)[3], 4.0 / 108.0);
        assert_eq!((scaled(Scaler::MinMax)[0], scaled(Scaler::MinMax)[4]), (0.0, 1.0));
        // The median is 3, the quartiles are 2 and 5.
        assert_eq!(scaled(Scaler::Robust)[2..4], [0.0, 2.0 / 3.0]);
    }

    #[test]
    fn rare_categories_become_one_which_unknown_ones_belong_to() {
        let mut config = PreparationConfig::default();
        config.categorical.min_frequency = Some(Frequency::Rows(2));
        let learned = table(&[1.0; 6], &["a", "b", "a", "c", "b", "d"]);
        let (preparation, matrix) = fit(&learned, &config, &NoProgress).unwrap();
        let codes: Vec<f32> = matrix.column(1).collect();
        assert_eq!(codes, [0.0, 1.0, 0.0, 254.0, 1.0, 254.0]);
        assert_eq!(encode(&preparation, &table(&[1.0], &["never seen"]))[1], 254.0);
        let PreparedColumn::Categorical(column) = &preparation.columns[1] else {
            panic!("categorical")
        };
        assert_eq!(column.one_hot_codes(false), [0, 1, 254]);
        config.categorical.min_frequency = Some(Frequency::Share(0.1));
        let (preparation, _) = fit(&learned, &config, &NoProgress).unwrap();
        let PreparedColumn::Categorical(column) = &preparation.columns[1] else {
            panic!("categorical")
        };
        assert_eq!(column.one_hot_codes(true), [1, 2, 3], "nothing is rare");
    }

    #[test]
    fn a_constant_for_missing_texts_is_a_category() {
        let mut config = PreparationConfig::default();
        config.categorical.imputer = CategoricalImputer::Constant;
        let (preparation, matrix) = fit(&table(&[1.0; 3], &["a", "", "z"]), &config, &NoProgress).unwrap();
        let PreparedColumn::Categorical(column) = &preparation.columns[1] else {
            panic!("categorical")
        };
        assert_eq!(column.categories, ["a", "missing", "z"]);
        assert_eq!(matrix.column(1).collect::<Vec<_>>(), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn some_columns_can_be_prepared_in_their_own_way() {
        let config: PreparationConfig = serde_json::from_value(serde_json::json!({
            "numeric": { "imputer": "mean" },
            "columns": [
                { "columns": [{ "type": "number", "pattern": "x*" }], "numeric": { "imputer": "constant", "fill_value": -1.0 } },
                { "columns": ["w"], "categorical": { "imputer": "none" } },
            ],
        }))
        .unwrap();
        let whole = table(&[2.0, NAN], &["a", ""]);
        let columns = vec![
            ("x1".to_owned(), whole.columns()[0].clone()),
            ("n".to_owned(), whole.columns()[0].clone()),
            ("w".to_owned(), whole.columns()[1].clone()),
            ("v".to_owned(), whole.columns()[1].clone()),
        ];
        let (_, matrix) = fit(&Table::new(columns).unwrap(), &config, &NoProgress).unwrap();
        assert_eq!(matrix.row(1), [-1.0, 2.0, 255.0, 0.0]);
    }
}
