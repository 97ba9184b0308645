//! Linear support vector machines, one class against the rest.

use super::{Linear, Rows, lbfgs, sum_of_blocks};
use crate::params::LinearSvmParams;
use crate::{Error, Progress};
use rayon::prelude::*;

/// Rows whose losses are summed by one thread.
const BLOCK: usize = 2_048;

/// One class against the rest, in liblinear's objective over `C` times the sum of the weights: the mean squared hinge plus
/// half the penalty times the squared coefficients. The intercept, which comes last, is penalised with them.
struct Problem<'a> {
    rows: &'a Rows,
    /// 1 for the class, -1 for the rest.
    signs: Vec<f64>,
    weights: Vec<f64>,
    total_weight: f64,
    penalty: f64,
}

/// Fits the coefficients; `weights` holds the weight of each row, `class_weights` that of each class. As in liblinear the
/// weight of a class counts for its own rows where it stands against the rest, which weighs 1; of two classes each has its
/// own.
pub(crate) fn fit(
    rows: &Rows,
    classes: &[u16],
    weights: &[f64],
    class_weights: &[f64],
    params: &LinearSvmParams,
    progress: &dyn Progress,
) -> Result<Linear, Error> {
    let class_count = class_weights.len();
    let first = usize::from(class_count == 2);
    let of_class = |class: usize| {
        let is_own = |&row_class: &u16| usize::from(row_class) == class;
        let signs = classes
            .iter()
            .map(|row_class| if is_own(row_class) { 1.0 } else { -1.0 });
        let weigh = |(row_class, weight): (&u16, &f64)| match class_count {
            2 => weight * class_weights[usize::from(*row_class)],
            _ if is_own(row_class) => weight * class_weights[class],
            _ => *weight,
        };
        let weights: Vec<f64> = classes.iter().zip(weights).map(weigh).collect();
        let total_weight: f64 = weights.iter().sum();
        let problem = Problem {
            rows,
            signs: signs.collect(),
            weights,
            total_weight,
            penalty: 1.0 / (params.c * total_weight),
        };
        let start = vec![0.0; rows.design.width + 1];
        lbfgs::minimise(
            |point| problem.loss(point),
            start,
            params.max_iter,
            params.tol,
            progress,
        )
    };
    let fitted: Vec<Vec<f64>> = (first..class_count)
        .into_par_iter()
        .map(of_class)
        .collect::<Result<_, Error>>()?;
    let at = |position: usize| {
        let turned = (class_count == 2).then(|| -fitted[0][position]);
        turned
            .into_iter()
            .chain(fitted.iter().map(move |own| own[position]))
    };
    Ok(Linear {
        output_count: class_count,
        coefficients: (0..=rows.design.width).flat_map(at).collect(),
        means: rows.means(),
    })
}

impl Problem<'_> {
    /// Returns the penalised mean loss and its gradient.
    fn loss(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let of_rows = |rows| self.loss_of_rows(point, rows);
        let (mut loss, mut gradient) = sum_of_blocks(self.rows.len(), BLOCK, point.len(), of_rows);
        loss /= self.total_weight;
        for (slope, coefficient) in gradient.iter_mut().zip(point) {
            loss += self.penalty / 2.0 * coefficient * coefficient;
            *slope = *slope / self.total_weight + self.penalty * coefficient;
        }
        (loss, gradient)
    }

    fn loss_of_rows(&self, point: &[f64], rows: std::ops::Range<usize>) -> (f64, Vec<f64>) {
        let width = self.rows.design.width;
        let mut gradient = vec![0.0; point.len()];
        let mut loss = 0.0;
        for row in rows {
            let values = self.rows.row(row);
            let product: f64 = values
                .iter()
                .map(|&(position, value)| point[position as usize] * value)
                .sum();
            let short = 1.0 - self.signs[row] * (product + point[width]);
            if short <= 0.0 {
                continue;
            }
            loss += self.weights[row] * short * short;
            let slope = -2.0 * self.weights[row] * self.signs[row] * short;
            for &(position, value) in values {
                gradient[position as usize] += slope * value;
            }
            gradient[width] += slope;
        }
        (loss, gradient)
    }
}
