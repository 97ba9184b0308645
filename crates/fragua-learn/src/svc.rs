//! Support vector machines with kernels, one class against one, on scaled numbers and one-hot categories.
//!
//! Each pair of classes has a machine of its own, solved by sequential minimal optimisation with second-order selection (Fan,
//! Chen, Lin 2005), as libsvm does. What the pairs decide is put together as scikit-learn does: votes, and between equal
//! votes the sum of the decisions.

mod smo;

use crate::config::{Gamma, GammaRule, KernelKind};
use crate::linear::{Design, Link, Rows};
use crate::params::SvcParams;
use crate::prepare::{Matrix, Preparation};
use crate::{Error, Progress};
use rayon::prelude::*;

/// How alike two rows are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kernel {
    pub(crate) kind: KernelKind,
    pub(crate) gamma: f64,
    pub(crate) degree: u32,
    pub(crate) coef0: f64,
}

impl Kernel {
    fn of(&self, one: &[f64], two: &[f64]) -> f64 {
        let pairs = one.iter().zip(two);
        let product = || pairs.clone().map(|(one, two)| one * two).sum::<f64>();
        match self.kind {
            KernelKind::Linear => product(),
            KernelKind::Poly => (self.gamma * product() + self.coef0).powi(self.degree as i32),
            KernelKind::Rbf => {
                let squares: f64 = pairs.clone().map(|(one, two)| (one - two).powi(2)).sum();
                (-self.gamma * squares).exp()
            }
        }
    }
}

/// The machines of all pairs of classes, the first against the second, the first against the third, and so on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Svc {
    pub(crate) class_count: usize,
    pub(crate) kernel: Kernel,
    /// Rows that any machine needs, one after the other.
    pub(crate) vectors: Vec<f64>,
    /// Vector after vector, one for each pair: above 0 speaks for the first class of the pair.
    pub(crate) coefficients: Vec<f64>,
    /// One for each pair.
    pub(crate) intercepts: Vec<f64>,
}

/// The pairs in their order.
pub(crate) fn pairs(class_count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..class_count).flat_map(move |first| (first + 1..class_count).map(move |second| (first, second)))
}

impl Svc {
    /// Fits all machines; `weights` holds the weight of each row, that of its class among them.
    pub(crate) fn fit(
        rows: &Rows,
        classes: &[u16],
        class_count: usize,
        weights: &[f64],
        params: &SvcParams,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        if rows.len() > params.max_rows {
            let message = format!(
                "svc learns from at most {} rows here, there are {}, and its time grows faster than their square: learn from \
                 fewer rows, use linear_svm, or raise this limit",
                params.max_rows,
                rows.len()
            );
            return Err(Error::config("candidates.max_rows", message));
        }
        let width = rows.design.width;
        let mut dense = vec![0.0; rows.len() * width];
        for (row, dense) in dense.chunks_exact_mut(width.max(1)).enumerate() {
            rows.fill(row, dense);
        }
        let kernel = Kernel {
            kind: params.kernel,
            gamma: gamma(params.gamma, &dense, width),
            degree: params.degree,
            coef0: params.coef0,
        };
        let machine = |(first, second): (usize, usize)| {
            let of_pair: Vec<usize> = (0..classes.len())
                .filter(|&row| [first, second].contains(&usize::from(classes[row])))
                .collect();
            let problem = smo::Problem {
                rows: of_pair
                    .iter()
                    .map(|&row| &dense[row * width..(row + 1) * width])
                    .collect(),
                signs: of_pair
                    .iter()
                    .map(|&row| {
                        if usize::from(classes[row]) == first {
                            1.0
                        } else {
                            -1.0
                        }
                    })
                    .collect(),
                limits: of_pair.iter().map(|&row| params.c * weights[row]).collect(),
                kernel: &kernel,
                // Machines beside each other are enough to do; one alone shares its rows out.
                part: if class_count == 2 { 1_024 } else { usize::MAX },
            };
            let (amounts, intercept) = problem.solve(params.tol, params.max_iter, progress)?;
            let needed = of_pair
                .into_iter()
                .zip(amounts)
                .filter(|(_, amount)| *amount != 0.0);
            Ok((needed.collect::<Vec<(usize, f64)>>(), intercept))
        };
        let pairs: Vec<(usize, usize)> = pairs(class_count).collect();
        let machines: Vec<(Vec<(usize, f64)>, f64)> =
            pairs.into_par_iter().map(machine).collect::<Result<_, Error>>()?;
        let mut place = vec![None; rows.len()];
        machines
            .iter()
            .flat_map(|(needed, _)| needed)
            .for_each(|&(row, _)| place[row] = Some(0));
        let mut vectors = Vec::new();
        let mut count = 0;
        for (row, place) in place.iter_mut().enumerate().filter(|(_, place)| place.is_some()) {
            *place = Some(count);
            count += 1;
            vectors.extend_from_slice(&dense[row * width..(row + 1) * width]);
        }
        let mut coefficients = vec![0.0; count * machines.len()];
        for (pair, (needed, _)) in machines.iter().enumerate() {
            for &(row, amount) in needed {
                if let Some(place) = place[row] {
                    coefficients[place * machines.len() + pair] = amount;
                }
            }
        }
        Ok(Self {
            class_count,
            kernel,
            vectors,
            coefficients,
            intercepts: machines.into_iter().map(|(_, intercept)| intercept).collect(),
        })
    }

    /// The decision for each class, row after row: of two classes the machine's and its opposite, of more the votes with a
    /// part of the sum of the decisions that is too small to outvote.
    pub(crate) fn scores(&self, matrix: &Matrix, preparation: &Preparation, design: &Design) -> Vec<f64> {
        let mut scores = vec![0.0; matrix.row_count * self.class_count];
        scores
            .par_chunks_exact_mut(self.class_count)
            .enumerate()
            .for_each_init(
                || (vec![0.0; design.width], vec![0.0; self.intercepts.len()]),
                |(dense, decisions), (row, scores)| {
                    design.fill(preparation, matrix.row(row), dense);
                    self.decide(dense, decisions);
                    self.put_together(decisions, scores);
                },
            );
        scores
    }

    /// How the decisions become probabilities.
    pub(crate) fn link(&self) -> Link {
        if self.class_count == 2 {
            Link::OneAgainstRest
        } else {
            Link::Softmax
        }
    }

    fn decide(&self, row: &[f64], decisions: &mut [f64]) {
        decisions.copy_from_slice(&self.intercepts);
        let coefficients = self.coefficients.chunks_exact(decisions.len());
        for (vector, coefficients) in self.vectors.chunks_exact(row.len().max(1)).zip(coefficients) {
            let alike = self.kernel.of(vector, row);
            decisions
                .iter_mut()
                .zip(coefficients)
                .for_each(|(decision, coefficient)| *decision += coefficient * alike);
        }
    }

    fn put_together(&self, decisions: &[f64], scores: &mut [f64]) {
        if let [decision] = decisions {
            scores.copy_from_slice(&[*decision, -decision]);
            return;
        }
        let mut sums = vec![0.0; self.class_count];
        scores.fill(0.0);
        for ((first, second), decision) in pairs(self.class_count).zip(decisions) {
            scores[if *decision < 0.0 { second } else { first }] += 1.0;
            sums[first] += decision;
            sums[second] -= decision;
        }
        for (score, sum) in scores.iter_mut().zip(sums) {
            *score += sum / (3.0 * (sum.abs() + 1.0));
        }
    }
}

/// scikit-learn's: one over the number of columns, and over the variance of all numbers for `scale`.
fn gamma(gamma: Gamma, dense: &[f64], width: usize) -> f64 {
    match gamma {
        Gamma::Value(value) => value,
        Gamma::Rule(GammaRule::Auto) => 1.0 / width.max(1) as f64,
        Gamma::Rule(GammaRule::Scale) => {
            let count = dense.len().max(1) as f64;
            let mean = dense.iter().sum::<f64>() / count;
            let variance = dense.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            let variance = if variance > 0.0 { variance } else { 1.0 };
            1.0 / (width.max(1) as f64 * variance)
        }
    }
}
