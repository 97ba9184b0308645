//! Multinomial logistic regression.

use super::{Linear, Rows, lbfgs, proximal, softmax, sum_of_blocks};
use crate::params::LogisticRegressionParams;
use crate::{Error, Progress};

/// Rows whose losses are summed by one thread.
const BLOCK: usize = 512;

struct Problem<'a> {
    rows: &'a Rows,
    classes: &'a [u16],
    class_count: usize,
    /// Weight of each row.
    weights: &'a [f64],
    total_weight: f64,
    /// Half of it times the squared coefficients is added to the mean loss.
    penalty: f64,
}

/// Fits the coefficients.
pub(crate) fn fit(
    rows: &Rows,
    classes: &[u16],
    class_count: usize,
    weights: &[f64],
    params: &LogisticRegressionParams,
    progress: &dyn Progress,
) -> Result<Linear, Error> {
    let total_weight: f64 = weights.iter().sum();
    let penalty = 1.0 / (params.c * total_weight);
    // scikit-learn gives two classes one set of coefficients. Ours are two, each the other with the sign turned and half as
    // large, so that their squares sum to half of its and their sizes to the same.
    let both = if class_count == 2 { 2.0 } else { 1.0 };
    let problem = Problem {
        rows,
        classes,
        class_count,
        weights,
        total_weight,
        penalty: penalty * both * (1.0 - params.l1_ratio),
    };
    let penalised = rows.design.width * class_count;
    let start = vec![0.0; penalised + class_count];
    let loss = |point: &[f64]| problem.loss(point);
    let coefficients = if params.l1_ratio > 0.0 {
        let absolute = proximal::Penalty {
            strength: penalty * params.l1_ratio,
            penalised,
        };
        proximal::minimise(loss, absolute, start, params.max_iter, params.tol, progress)?
    } else {
        lbfgs::minimise(loss, start, params.max_iter, params.tol, progress)?
    };
    Ok(Linear {
        output_count: class_count,
        coefficients,
        means: rows.means(),
    })
}

impl Problem<'_> {
    /// Returns the penalised mean loss and its gradient.
    fn loss(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let of_rows = |rows| self.loss_of_rows(point, rows);
        let (mut loss, mut gradient) = sum_of_blocks(self.rows.len(), BLOCK, point.len(), of_rows);
        loss /= self.total_weight;
        gradient.iter_mut().for_each(|value| *value /= self.total_weight);
        // The intercepts, which come last, are not penalised.
        for (value, coefficient) in gradient
            .iter_mut()
            .zip(point)
            .take(self.rows.design.width * self.class_count)
        {
            loss += self.penalty / 2.0 * coefficient * coefficient;
            *value += self.penalty * coefficient;
        }
        (loss, gradient)
    }

    fn loss_of_rows(&self, point: &[f64], rows: std::ops::Range<usize>) -> (f64, Vec<f64>) {
        let class_count = self.class_count;
        let mut gradient = vec![0.0; point.len()];
        let mut shares = vec![0.0; class_count];
        let mut loss = 0.0;
        for row in rows {
            shares.copy_from_slice(&point[self.rows.design.width * class_count..]);
            for &(position, value) in self.rows.row(row) {
                let coefficients = &point[position as usize * class_count..][..class_count];
                shares
                    .iter_mut()
                    .zip(coefficients)
                    .for_each(|(share, coefficient)| *share += coefficient * value);
            }
            let truth = usize::from(self.classes[row]);
            let weight = self.weights[row];
            let score = shares[truth];
            let (largest, sum) = softmax(&mut shares);
            loss += weight * (largest + sum.ln() - score);
            shares[truth] -= 1.0;
            shares.iter_mut().for_each(|share| *share *= weight);
            for &(position, value) in self.rows.row(row) {
                let slots = &mut gradient[position as usize * class_count..][..class_count];
                slots
                    .iter_mut()
                    .zip(&shares)
                    .for_each(|(slot, share)| *slot += share * value);
            }
            let intercepts = &mut gradient[self.rows.design.width * class_count..];
            intercepts
                .iter_mut()
                .zip(&shares)
                .for_each(|(slot, share)| *slot += share);
        }
        (loss, gradient)
    }
}
