//! Linear regression: least squares, ridge, lasso and elastic net.
//!
//! All are solved on the covariances of the values, so that the number of rows matters only once: directly without an L1
//! penalty, by coordinate descent with one.

use super::{Encoding, Linear, Rows};
use crate::params::LinearRegressionParams;
use crate::progress::check_cancelled;
use crate::{Error, Progress};
use rayon::prelude::*;

/// Most coefficients; their covariances take 8 bytes a pair.
const MAX_WIDTH: usize = 5_000;
/// Fewest rows that one thread sums.
const BLOCK: usize = 4_096;
/// Most numbers in the partial sums, which are added in order whatever the number of threads.
const MAX_PARTIAL_SUMS: usize = 1 << 24;
/// A value of which less than this share of its variance is new is left out: others say the same.
const DEPENDENT: f64 = 1e-12;

/// Weighted means over the rows, of values moved near their means.
struct Moments {
    width: usize,
    /// Covariances, row after row.
    covariance: Vec<f64>,
    /// Covariances with the target.
    with_target: Vec<f64>,
    means: Vec<f64>,
    target_mean: f64,
    target_deviation: f64,
}

/// Fits the coefficients; `weights` holds the weight of each row.
pub(crate) fn fit(
    rows: &Rows,
    numbers: &[f64],
    weights: &[f64],
    params: &LinearRegressionParams,
    progress: &dyn Progress,
) -> Result<Linear, Error> {
    let width = rows.design.width;
    if width > MAX_WIDTH {
        let message = format!(
            "linear_regression has {width} coefficients, more than {MAX_WIDTH}: learn from fewer columns or categories"
        );
        return Err(Error::Data(message));
    }
    let moments = Moments::new(rows, numbers, weights, progress)?;
    let mut coefficients = if params.alpha * params.l1_ratio > 0.0 {
        moments.descend(params, progress)?
    } else {
        moments.solve(params.alpha * (1.0 - params.l1_ratio))
    };
    let at_means: f64 = coefficients
        .iter()
        .zip(&moments.means)
        .map(|(coefficient, mean)| coefficient * mean)
        .sum();
    coefficients.push(moments.target_mean - at_means);
    Ok(Linear {
        output_count: 1,
        coefficients,
        means: rows.means(),
    })
}

impl Moments {
    fn new(rows: &Rows, numbers: &[f64], weights: &[f64], progress: &dyn Progress) -> Result<Self, Error> {
        let width = rows.design.width;
        let total: f64 = weights.iter().sum();
        let target_mean = numbers
            .iter()
            .zip(weights)
            .map(|(number, weight)| number * weight)
            .sum::<f64>()
            / total;
        let mut means = vec![0.0; width];
        let mut variance = 0.0;
        for row in 0..rows.len() {
            for &(position, value) in rows.row(row) {
                means[position as usize] += weights[row] * value;
            }
            variance += weights[row] * (numbers[row] - target_mean).powi(2);
        }
        means.iter_mut().for_each(|mean| *mean /= total);
        // Numbers, which each row has, are moved to their mean before they are multiplied; categories stay 0 or 1.
        let mut shifts = vec![0.0; width];
        for encoding in &rows.design.encodings {
            if let Encoding::Scaled { position } = encoding {
                shifts[*position] = means[*position];
            }
        }

        let most_blocks = (MAX_PARTIAL_SUMS / (width * width).max(1)).clamp(1, 64);
        let block = rows.len().div_ceil(most_blocks).max(BLOCK);
        let sum = |number: usize| {
            check_cancelled(progress)?;
            let mut covariance = vec![0.0; width * width];
            let mut with_target = vec![0.0; width];
            let mut shifted: Vec<(usize, f64)> = Vec::new();
            for row in number * block..rows.len().min((number + 1) * block) {
                let moved =
                    |&(position, value): &(u32, f64)| (position as usize, value - shifts[position as usize]);
                shifted.clear();
                shifted.extend(rows.row(row).iter().map(moved));
                let target = numbers[row] - target_mean;
                for (index, &(position, value)) in shifted.iter().enumerate() {
                    let weighted = weights[row] * value;
                    with_target[position] += weighted * target;
                    for &(other, other_value) in &shifted[index..] {
                        covariance[position * width + other] += weighted * other_value;
                    }
                }
            }
            Ok((covariance, with_target))
        };
        let parts: Vec<(Vec<f64>, Vec<f64>)> = (0..rows.len().div_ceil(block))
            .into_par_iter()
            .map(sum)
            .collect::<Result<_, Error>>()?;
        let mut covariance = vec![0.0; width * width];
        let mut with_target = vec![0.0; width];
        for (part, part_with_target) in parts {
            covariance
                .iter_mut()
                .zip(part)
                .for_each(|(sum, part)| *sum += part);
            with_target
                .iter_mut()
                .zip(part_with_target)
                .for_each(|(sum, part)| *sum += part);
        }
        with_target.iter_mut().for_each(|sum| *sum /= total);
        for one in 0..width {
            for two in one..width {
                // The values of a row come in rising order of their positions, so the upper half is filled.
                let product = (means[one] - shifts[one]) * (means[two] - shifts[two]);
                let value = covariance[one * width + two] / total - product;
                covariance[one * width + two] = value;
                covariance[two * width + one] = value;
            }
        }
        Ok(Self {
            width,
            covariance,
            with_target,
            means,
            target_mean,
            target_deviation: (variance / total).sqrt(),
        })
    }

    /// Solves by Cholesky's decomposition; `ridge` is added to the diagonal.
    fn solve(&self, ridge: f64) -> Vec<f64> {
        let width = self.width;
        let mut lower = vec![0.0; width * width];
        let mut is_used = vec![false; width];
        for column in 0..width {
            let own = self.covariance[column * width + column] + ridge;
            let known: f64 = lower[column * width..column * width + column]
                .iter()
                .map(|value| value * value)
                .sum();
            let new = own - known;
            if new <= DEPENDENT * own || own <= 0.0 {
                continue;
            }
            is_used[column] = true;
            let pivot = new.sqrt();
            lower[column * width + column] = pivot;
            for row in column + 1..width {
                let (above, below) = lower.split_at(row * width);
                let product: f64 = above[column * width..column * width + column]
                    .iter()
                    .zip(&below[..column])
                    .map(|(one, two)| one * two)
                    .sum();
                let value = (self.covariance[row * width + column] - product) / pivot;
                lower[row * width + column] = value;
            }
        }
        let mut solution = vec![0.0; width];
        for row in (0..width).filter(|&row| is_used[row]) {
            let known: f64 = (0..row)
                .map(|other| lower[row * width + other] * solution[other])
                .sum();
            solution[row] = (self.with_target[row] - known) / lower[row * width + row];
        }
        for row in (0..width).rev().filter(|&row| is_used[row]) {
            let known: f64 = (row + 1..width)
                .filter(|&other| is_used[other])
                .map(|other| lower[other * width + row] * solution[other])
                .sum();
            solution[row] = (solution[row] - known) / lower[row * width + row];
        }
        solution
    }

    /// Improves one coefficient after the other until none moves the predictions any more.
    fn descend(&self, params: &LinearRegressionParams, progress: &dyn Progress) -> Result<Vec<f64>, Error> {
        let absolute = params.alpha * params.l1_ratio;
        let square = params.alpha * (1.0 - params.l1_ratio);
        let mut coefficients = vec![0.0; self.width];
        // What the coefficients say already, as covariances with each value.
        let mut said = vec![0.0; self.width];
        for _ in 0..params.max_iter {
            check_cancelled(progress)?;
            let mut farthest = 0.0f64;
            for position in 0..self.width {
                let row = &self.covariance[position * self.width..][..self.width];
                let own = row[position];
                if own <= 0.0 {
                    continue;
                }
                let old: f64 = coefficients[position];
                let open = self.with_target[position] - said[position] + own * old;
                let new = open.signum() * (open.abs() - absolute).max(0.0) / (own + square);
                let step = new - old;
                if step != 0.0 {
                    coefficients[position] = new;
                    said.iter_mut()
                        .zip(row)
                        .for_each(|(said, row)| *said += step * row);
                    farthest = farthest.max(step.abs() * own.sqrt());
                }
            }
            if farthest <= params.tol * self.target_deviation {
                break;
            }
        }
        Ok(coefficients)
    }
}
