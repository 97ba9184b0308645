//! Multinomial logistic regression on scaled numbers and one-hot categories.

mod lbfgs;

use crate::params::LogisticRegressionParams;
use crate::prepare::{Matrix, Preparation, PreparedColumn};
use crate::{Error, Progress};
use rayon::prelude::*;

/// Rows whose losses are summed by one thread; the partial sums are added in order, so that the result does
/// not depend on the number of threads.
const BLOCK: usize = 512;

/// Where the numbers of a prepared row meet their coefficients.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Encoding {
    /// One coefficient, times the scaled number.
    Scaled {
        /// Position of the coefficient.
        position: usize,
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
        let mut width = 0;
        let encode = |column: &PreparedColumn| match column {
            PreparedColumn::Numeric(_) => {
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
        for ((encoding, column), &value) in self.encodings.iter().zip(&preparation.columns).zip(row) {
            match (encoding, column) {
                (Encoding::Scaled { position }, PreparedColumn::Numeric(column)) => {
                    visit(*position, column.scaled(value))
                }
                (Encoding::OneHot { positions }, _) => {
                    if let Some(position) = positions[usize::from(value as u8)] {
                        visit(position, 1.0);
                    }
                }
                (Encoding::Scaled { .. }, PreparedColumn::Categorical(_)) => {
                    unreachable!("the design was made from these columns")
                }
            }
        }
    }
}

/// Coefficients, `classes` numbers for each position; the intercepts come last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Logistic {
    pub(crate) class_count: usize,
    pub(crate) coefficients: Vec<f64>,
}

impl Logistic {
    pub(crate) fn scores(&self, matrix: &Matrix, preparation: &Preparation, design: &Design) -> Vec<f64> {
        let mut scores = vec![0.0; matrix.row_count * self.class_count];
        for (row, scores) in scores.chunks_exact_mut(self.class_count).enumerate() {
            self.score_row(matrix.row(row), preparation, design, scores);
        }
        scores
    }

    fn score_row(&self, row: &[f32], preparation: &Preparation, design: &Design, scores: &mut [f64]) {
        let coefficients =
            |position: usize| &self.coefficients[position * self.class_count..][..self.class_count];
        scores.copy_from_slice(coefficients(design.width));
        design.each_value(preparation, row, |position, value| {
            scores
                .iter_mut()
                .zip(coefficients(position))
                .for_each(|(score, coefficient)| *score += coefficient * value);
        });
    }
}

/// The rows to learn from, with the values of each row laid out once.
struct Problem<'a> {
    classes: &'a [u16],
    weights: &'a [f64],
    width: usize,
    /// Where each row's values begin.
    begins: Vec<usize>,
    values: Vec<(u32, f64)>,
    total_weight: f64,
    /// Half of it times the squared coefficients is added to the mean loss.
    penalty: f64,
}

/// Fits the coefficients and returns them with the importance of each column.
pub(crate) fn fit(
    matrix: &Matrix,
    preparation: &Preparation,
    classes: &[u16],
    weights: &[f64],
    params: &LogisticRegressionParams,
    progress: &dyn Progress,
) -> Result<(Logistic, Design, Vec<f64>), Error> {
    let design = Design::new(preparation);
    let mut begins = vec![0];
    let mut values = Vec::with_capacity(matrix.row_count * matrix.width);
    for row in 0..matrix.row_count {
        design.each_value(preparation, matrix.row(row), |position, value| {
            values.push((position as u32, value))
        });
        begins.push(values.len());
    }
    let total_weight: f64 = classes.iter().map(|&class| weights[usize::from(class)]).sum();
    let penalty = 1.0 / (params.c * total_weight);
    let problem = Problem {
        classes,
        weights,
        width: design.width,
        begins,
        values,
        total_weight,
        penalty,
    };
    let start = vec![0.0; (design.width + 1) * weights.len()];
    let coefficients = lbfgs::minimise(
        |point| problem.loss(point),
        start,
        params.max_iter,
        params.tol,
        progress,
    )?;
    let logistic = Logistic {
        class_count: weights.len(),
        coefficients,
    };
    let importance = importance(&logistic, &design, &problem);
    Ok((logistic, design, importance))
}

impl Problem<'_> {
    fn row(&self, row: usize) -> &[(u32, f64)] {
        &self.values[self.begins[row]..self.begins[row + 1]]
    }

    /// Returns the penalised mean loss and its gradient.
    fn loss(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let row_count = self.classes.len();
        let block =
            |block: usize| self.loss_of_rows(point, block * BLOCK..row_count.min((block + 1) * BLOCK));
        let parts: Vec<(f64, Vec<f64>)> = (0..row_count.div_ceil(BLOCK))
            .into_par_iter()
            .map(block)
            .collect();
        let mut loss = 0.0;
        let mut gradient = vec![0.0; point.len()];
        for (part_loss, part) in parts {
            loss += part_loss;
            gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        loss /= self.total_weight;
        gradient.iter_mut().for_each(|value| *value /= self.total_weight);
        // The intercepts, which come last, are not penalised.
        for (value, coefficient) in gradient
            .iter_mut()
            .zip(point)
            .take(self.width * self.weights.len())
        {
            loss += self.penalty / 2.0 * coefficient * coefficient;
            *value += self.penalty * coefficient;
        }
        (loss, gradient)
    }

    fn loss_of_rows(&self, point: &[f64], rows: std::ops::Range<usize>) -> (f64, Vec<f64>) {
        let class_count = self.weights.len();
        let mut gradient = vec![0.0; point.len()];
        let mut shares = vec![0.0; class_count];
        let mut loss = 0.0;
        for row in rows {
            shares.copy_from_slice(&point[self.width * class_count..]);
            for &(position, value) in self.row(row) {
                let coefficients = &point[position as usize * class_count..][..class_count];
                shares
                    .iter_mut()
                    .zip(coefficients)
                    .for_each(|(share, coefficient)| *share += coefficient * value);
            }
            let truth = usize::from(self.classes[row]);
            let weight = self.weights[truth];
            let score = shares[truth];
            let (largest, sum) = softmax(&mut shares);
            loss += weight * (largest + sum.ln() - score);
            shares[truth] -= 1.0;
            shares.iter_mut().for_each(|share| *share *= weight);
            for &(position, value) in self.row(row) {
                let slots = &mut gradient[position as usize * class_count..][..class_count];
                slots
                    .iter_mut()
                    .zip(&shares)
                    .for_each(|(slot, share)| *slot += share * value);
            }
            let intercepts = &mut gradient[self.width * class_count..];
            intercepts
                .iter_mut()
                .zip(&shares)
                .for_each(|(slot, share)| *slot += share);
        }
        (loss, gradient)
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

/// The size of a column's coefficients, each times the standard deviation of what it multiplies.
fn importance(logistic: &Logistic, design: &Design, problem: &Problem<'_>) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); design.width];
    for &(position, value) in &problem.values {
        let (sum, squares) = &mut sums[position as usize];
        *sum += value;
        *squares += value * value;
    }
    let rows = problem.classes.len() as f64;
    let size = |position: usize| {
        let (sum, squares) = sums[position];
        let deviation = (squares / rows - (sum / rows).powi(2)).max(0.0).sqrt();
        let coefficients = &logistic.coefficients[position * logistic.class_count..][..logistic.class_count];
        deviation
            * coefficients
                .iter()
                .map(|coefficient| coefficient.abs())
                .sum::<f64>()
    };
    let of_column = |encoding: &Encoding| match encoding {
        Encoding::Scaled { position } => size(*position),
        Encoding::OneHot { positions } => positions.iter().flatten().map(|&position| size(position)).sum(),
    };
    design.encodings.iter().map(of_column).collect()
}
