//! Gaussian naive Bayes on scaled numbers and one-hot categories, each taken for a normal distribution in each class.

use crate::linear::{Design, Encoding, Rows};
use crate::params::NaiveBayesParams;
use crate::prepare::pca::Pca;
use crate::prepare::{Matrix, Preparation};
use std::f64::consts::TAU;

/// The score of a class that no row was learned of: far below every other, and finite.
const NEVER: f64 = -1e300;

/// The logarithm of a class's share times its densities is `constant - Σ half_precision × (value - mean)²`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NaiveBayes {
    /// One a class.
    pub(crate) constants: Vec<f64>,
    /// Class after class, one for each position of the design.
    pub(crate) means: Vec<f64>,
    /// One over twice the variance, as the means.
    pub(crate) half_precisions: Vec<f64>,
}

impl NaiveBayes {
    /// Fits the distributions as scikit-learn's `GaussianNB`; returns the importance of each column, too: the share of the
    /// variance of its values that lies between the classes.
    pub(crate) fn fit(
        rows: &Rows,
        classes: &[u16],
        class_count: usize,
        weights: &[f64],
        params: &NaiveBayesParams,
        pca: Option<&Pca>,
    ) -> (Self, Vec<f64>) {
        let width = rows.design.width;
        let mut dense = vec![0.0; width];
        let mut of_class = vec![0.0; class_count];
        let mut means = vec![0.0; class_count * width];
        let mut whole_means = vec![0.0; width];
        for (row, &class) in classes.iter().enumerate() {
            rows.fill(row, &mut dense);
            let class = usize::from(class);
            of_class[class] += weights[row];
            for (position, value) in dense.iter().enumerate() {
                means[class * width + position] += weights[row] * value;
                whole_means[position] += value;
            }
        }
        let total: f64 = of_class.iter().sum();
        for (means, &weight) in means.chunks_exact_mut(width.max(1)).zip(&of_class) {
            means
                .iter_mut()
                .for_each(|mean| *mean /= if weight > 0.0 { weight } else { 1.0 });
        }
        let count = classes.len().max(1) as f64;
        whole_means.iter_mut().for_each(|mean| *mean /= count);

        let mut variances = vec![0.0; class_count * width];
        let mut whole_variances = vec![0.0; width];
        for (row, &class) in classes.iter().enumerate() {
            rows.fill(row, &mut dense);
            let begin = usize::from(class) * width;
            for (position, value) in dense.iter().enumerate() {
                variances[begin + position] += weights[row] * (value - means[begin + position]).powi(2);
                whole_variances[position] += (value - whole_means[position]).powi(2) / count;
            }
        }
        // Like scikit-learn's, what is added to each variance does not know of weights.
        let widest = whole_variances.iter().copied().fold(0.0, f64::max);
        let least = params.var_smoothing * if widest > 0.0 { widest } else { 1.0 };
        let mut constants = vec![NEVER; class_count];
        let mut half_precisions = vec![0.0; class_count * width];
        for class in (0..class_count).filter(|&class| of_class[class] > 0.0) {
            let own = class * width..(class + 1) * width;
            let mut constant = (of_class[class] / total).ln();
            for (variance, half) in variances[own.clone()].iter_mut().zip(&mut half_precisions[own]) {
                *variance = *variance / of_class[class] + least;
                constant -= 0.5 * (TAU * *variance).ln();
                *half = 0.5 / *variance;
            }
            constants[class] = constant;
        }

        let between_classes = |position: usize| {
            let share = |class: usize| of_class[class] / total;
            let at = |values: &[f64], class: usize| values[class * width + position];
            let sum = |figure: &dyn Fn(usize) -> f64| {
                (0..class_count)
                    .map(|class| share(class) * figure(class))
                    .sum::<f64>()
            };
            let mean = sum(&|class| at(&means, class));
            let between = sum(&|class| (at(&means, class) - mean).powi(2));
            between / (between + sum(&|class| at(&variances, class)))
        };
        let importance = rows.design.encodings.iter().map(|encoding| match encoding {
            Encoding::Scaled { position } => between_classes(*position),
            Encoding::Rotated { place } => pca.map_or(0.0, |pca| {
                let part = |component| pca.loading(component, *place).powi(2) * between_classes(component);
                (0..pca.count()).map(part).sum()
            }),
            Encoding::OneHot { positions } => positions
                .iter()
                .flatten()
                .map(|&position| between_classes(position))
                .sum(),
        });
        let importance = importance.collect();
        let fitted = Self {
            constants,
            means,
            half_precisions,
        };
        (fitted, importance)
    }

    /// The logarithm of each class's share times its densities, row after row.
    pub(crate) fn scores(&self, matrix: &Matrix, preparation: &Preparation, design: &Design) -> Vec<f64> {
        let class_count = self.constants.len();
        let mut dense = vec![0.0; design.width];
        let mut scores = vec![0.0; matrix.row_count * class_count];
        for (row, scores) in scores.chunks_exact_mut(class_count).enumerate() {
            design.fill(preparation, matrix.row(row), &mut dense);
            for (class, score) in scores.iter_mut().enumerate() {
                let own = class * design.width..(class + 1) * design.width;
                let spread = self.means[own.clone()].iter().zip(&self.half_precisions[own]);
                let far: f64 = dense
                    .iter()
                    .zip(spread)
                    .map(|(value, (mean, half))| half * (value - mean).powi(2))
                    .sum();
                *score = self.constants[class] - far;
            }
        }
        scores
    }
}
