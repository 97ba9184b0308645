//! Linear models on scaled numbers and one-hot categories.

mod lbfgs;
pub(crate) mod logistic;
pub(crate) mod numbers;
mod proximal;
pub(crate) mod svm;

use std::ops::Range;

use rayon::prelude::*;

use crate::prepare::pca::Pca;
use crate::prepare::{Matrix, Preparation, PreparedColumn};

/// Sums the loss and the gradient of blocks of rows, several at a time. The sums of the blocks are added in order, so that
/// the result does not depend on the number of threads.
fn sum_of_blocks(
    row_count: usize,
    block: usize,
    width: usize,
    of_rows: impl Fn(Range<usize>) -> (f64, Vec<f64>) + Sync,
) -> (f64, Vec<f64>) {
    let parts: Vec<(f64, Vec<f64>)> = (0..row_count.div_ceil(block))
        .into_par_iter()
        .map(|at| of_rows(at * block..row_count.min((at + 1) * block)))
        .collect();
    let mut sum = (0.0, vec![0.0; width]);
    for (loss, gradient) in parts {
        sum.0 += loss;
        sum.1
            .iter_mut()
            .zip(gradient)
            .for_each(|(sum, part)| *sum += part);
    }
    sum
}

/// Where the numbers of a prepared row meet their coefficients.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Encoding {
    /// One coefficient, times the scaled number.
    Scaled {
        /// Position of the coefficient.
        position: usize,
    },
    /// Part of the principal components, which have the first coefficients.
    Rotated {
        /// Place among the numbers that the components are made of.
        place: usize,
    },
    /// One coefficient for each code that has a one-hot column.
    OneHot {
        /// Position of the coefficient of each of the 256 codes; `None` adds nothing.
        positions: Vec<Option<usize>>,
    },
}

/// The layout of the coefficients of one class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Design {
    pub(crate) encodings: Vec<Encoding>,
    /// Number of coefficients, without the intercept.
    pub(crate) width: usize,
}

impl Design {
    pub(crate) fn new(preparation: &Preparation) -> Self {
        let mut width = preparation.pca.as_ref().map_or(0, Pca::count);
        let mut rotated = 0;
        let encode = |column: &PreparedColumn| match column {
            PreparedColumn::Numeric(_) | PreparedColumn::Encoded(_) | PreparedColumn::Date(_)
                if preparation.pca.is_some() =>
            {
                rotated += 1;
                Encoding::Rotated { place: rotated - 1 }
            }
            PreparedColumn::Numeric(_) | PreparedColumn::Encoded(_) | PreparedColumn::Date(_) => {
                width += 1;
                Encoding::Scaled { position: width - 1 }
            }
            PreparedColumn::Categorical(column) => {
                let mut positions = vec![None; 256];
                for code in column.one_hot_codes(column.drop_first) {
                    positions[usize::from(code)] = Some(width);
                    width += 1;
                }
                Encoding::OneHot { positions }
            }
        };
        let encodings = preparation.columns.iter().map(encode).collect();
        Self { encodings, width }
    }

    /// Calls `visit` with position and value of each number of a row that is not zero.
    fn each_value(&self, preparation: &Preparation, row: &[f32], mut visit: impl FnMut(usize, f64)) {
        if let Some(pca) = &preparation.pca {
            let mut numbers = vec![0.0; pca.means.len()];
            preparation.fill_numbers(row, &mut numbers);
            pca.each_component(&mut numbers, &mut visit);
        }
        for ((encoding, column), &value) in self.encodings.iter().zip(&preparation.columns).zip(row) {
            match (encoding, column.number()) {
                (Encoding::Scaled { position }, Some(column)) => visit(*position, column.scaled(value)),
                (Encoding::Rotated { .. }, _) => {}
                (Encoding::OneHot { positions }, _) => {
                    if let Some(position) = positions[usize::from(value as u8)] {
                        visit(position, 1.0);
                    }
                }
                (Encoding::Scaled { .. }, None) => unreachable!("the design was made from these columns"),
            }
        }
    }
}

impl Design {
    /// Lays out all numbers of a row, zeros among them.
    pub(crate) fn fill(&self, preparation: &Preparation, row: &[f32], dense: &mut [f64]) {
        dense.fill(0.0);
        self.each_value(preparation, row, |position, value| dense[position] = value);
    }
}

/// How the scores of classes become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// The exponentials, made to sum to 1.
    Softmax,
    /// The logistic function of each, made to sum to 1: what a machine decides of one class against the rest.
    OneAgainstRest,
}

/// Logistic functions below this count as this: a row that every class refuses still has probabilities.
pub(crate) const LEAST_LOGISTIC: f64 = 1e-300;

impl Link {
    /// Turns the scores of a row into probabilities.
    pub(crate) fn apply(self, scores: &mut [f64]) {
        match self {
            Link::Softmax => {
                softmax(scores);
            }
            Link::OneAgainstRest => {
                let logistic = |score: f64| (1.0 / (1.0 + (-score).exp())).max(LEAST_LOGISTIC);
                scores.iter_mut().for_each(|score| *score = logistic(*score));
                let sum: f64 = scores.iter().sum();
                scores.iter_mut().for_each(|score| *score /= sum);
            }
        }
    }
}

/// Coefficients, `output_count` numbers for each position; the intercepts come last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Linear {
    /// Classes; 1 when a number is predicted.
    pub(crate) output_count: usize,
    pub(crate) coefficients: Vec<f64>,
    /// The mean of what each coefficient multiplies, over the rows that were learned from; empty in models that older
    /// versions saved.
    pub(crate) means: Vec<f64>,
}

impl Linear {
    pub(crate) fn scores(&self, matrix: &Matrix, preparation: &Preparation, design: &Design) -> Vec<f64> {
        let mut scores = vec![0.0; matrix.row_count * self.output_count];
        for (row, scores) in scores.chunks_exact_mut(self.output_count).enumerate() {
            self.score_row(matrix.row(row), preparation, design, scores);
        }
        scores
    }

    fn score_row(&self, row: &[f32], preparation: &Preparation, design: &Design, scores: &mut [f64]) {
        scores.copy_from_slice(self.of_position(design.width));
        design.each_value(preparation, row, |position, value| {
            scores
                .iter_mut()
                .zip(self.of_position(position))
                .for_each(|(score, coefficient)| *score += coefficient * value);
        });
    }
}

impl Linear {
    /// The scores of a row of means; its principal components are 0.
    pub(crate) fn base(&self, preparation: &Preparation) -> Vec<f64> {
        let rotated = preparation.pca.as_ref().map_or(0, Pca::count);
        let mut base = self.of_position(self.means.len()).to_vec();
        for (position, mean) in self.means.iter().enumerate().skip(rotated) {
            let slots = base.iter_mut().zip(self.of_position(position));
            slots.for_each(|(slot, coefficient)| *slot += coefficient * mean);
        }
        base
    }

    /// Adds to `parts`, one number for each source of each output, what a row's values add to its base: each coefficient
    /// times the distance of its value from the mean.
    pub(crate) fn contribute(
        &self,
        row: &[f32],
        preparation: &Preparation,
        design: &Design,
        parts: &mut [f64],
    ) {
        let sources = preparation.source_count;
        let mut add = |source: usize, position: usize, amount: f64| {
            let slots = parts.iter_mut().skip(source).step_by(sources);
            slots
                .zip(self.of_position(position))
                .for_each(|(slot, coefficient)| *slot += coefficient * amount);
        };
        for (column, encoding) in design.encodings.iter().enumerate() {
            let source = preparation.sources[column];
            match (encoding, preparation.columns[column].number(), &preparation.pca) {
                (Encoding::Scaled { position }, Some(number), _) => {
                    add(
                        source,
                        *position,
                        number.scaled(row[column]) - self.means[*position],
                    );
                }
                (Encoding::Rotated { place }, Some(number), Some(pca)) => {
                    let centred = number.scaled(row[column]) - pca.means[*place];
                    for component in 0..pca.count() {
                        add(source, component, pca.loading(component, *place) * centred);
                    }
                }
                (Encoding::OneHot { positions }, _, _) => {
                    for (code, position) in positions.iter().enumerate() {
                        if let Some(position) = *position {
                            let value = f64::from(u8::from(usize::from(row[column] as u8) == code));
                            add(source, position, value - self.means[position]);
                        }
                    }
                }
                _ => unreachable!("the design was made from these columns"),
            }
        }
    }

    /// The coefficients at a position, one for each output.
    fn of_position(&self, position: usize) -> &[f64] {
        &self.coefficients[position * self.output_count..][..self.output_count]
    }
}

/// The rows to learn from, with the values of each row laid out once.
pub(crate) struct Rows {
    pub(crate) design: Design,
    /// Where each row's values begin.
    begins: Vec<usize>,
    values: Vec<(u32, f64)>,
}

impl Rows {
    pub(crate) fn new(matrix: &Matrix, preparation: &Preparation) -> Self {
        let design = Design::new(preparation);
        let mut begins = vec![0];
        let mut values = Vec::with_capacity(matrix.row_count * matrix.width);
        for row in 0..matrix.row_count {
            design.each_value(preparation, matrix.row(row), |position, value| {
                values.push((position as u32, value))
            });
            begins.push(values.len());
        }
        Self {
            design,
            begins,
            values,
        }
    }

    /// Lays out all numbers of a row, zeros among them.
    pub(crate) fn fill(&self, row: usize, dense: &mut [f64]) {
        dense.fill(0.0);
        for &(position, value) in self.row(row) {
            dense[position as usize] = value;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.begins.len() - 1
    }

    /// The mean of the values at each position.
    fn means(&self) -> Vec<f64> {
        let mut means = vec![0.0; self.design.width];
        self.values
            .iter()
            .for_each(|&(position, value)| means[position as usize] += value);
        means
            .iter_mut()
            .for_each(|mean| *mean /= self.len().max(1) as f64);
        means
    }

    fn row(&self, row: usize) -> &[(u32, f64)] {
        &self.values[self.begins[row]..self.begins[row + 1]]
    }

    /// The size of a column's coefficients, each times the standard deviation of what it multiplies. A number that is part of
    /// components has the coefficients that they come down to for it, and the deviation that they keep of it.
    pub(crate) fn importance(&self, linear: &Linear, pca: Option<&Pca>) -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); self.design.width];
        for &(position, value) in &self.values {
            let (sum, squares) = &mut sums[position as usize];
            *sum += value;
            *squares += value * value;
        }
        let rows = self.len() as f64;
        let variance = |position: usize| {
            let (sum, squares): (f64, f64) = sums[position];
            (squares / rows - (sum / rows).powi(2)).max(0.0)
        };
        let size = |position: usize| {
            variance(position).sqrt()
                * linear
                    .of_position(position)
                    .iter()
                    .map(|coefficient| coefficient.abs())
                    .sum::<f64>()
        };
        let of_column = |encoding: &Encoding| match encoding {
            Encoding::Scaled { position } => size(*position),
            Encoding::Rotated { place } => pca.map_or(0.0, |pca| {
                let (mut kept, mut coefficients) = (0.0, vec![0.0; linear.output_count]);
                for component in 0..pca.count() {
                    let loading = pca.loading(component, *place);
                    kept += loading * loading * variance(component);
                    for (sum, coefficient) in coefficients.iter_mut().zip(linear.of_position(component)) {
                        *sum += loading * coefficient;
                    }
                }
                kept.sqrt()
                    * coefficients
                        .iter()
                        .map(|coefficient| coefficient.abs())
                        .sum::<f64>()
            }),
            Encoding::OneHot { positions } => {
                positions.iter().flatten().map(|&position| size(position)).sum()
            }
        };
        self.design.encodings.iter().map(of_column).collect()
    }
}

/// Turns scores into probabilities; returns the largest score and the sum of the exponentials above it.
pub(crate) fn softmax(scores: &mut [f64]) -> (f64, f64) {
    let largest = scores.iter().copied().fold(f64::MIN, f64::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - largest).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
    (largest, sum)
}
