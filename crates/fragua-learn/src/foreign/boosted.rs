//! Scores that are sums over trees, or of coefficients, and the way from them to answers.

use super::columns::{Codes, matrix};
use super::trees::{Real, Trees};
use crate::table::Table;
use crate::{Error, Feature, Label, Predictions};
use rayon::prelude::*;

/// Rows that go through the trees together.
const BLOCK: usize = 256;

/// A model of LightGBM or XGBoost.
#[derive(Clone, Debug)]
pub(super) struct Boosted {
    pub(super) scorer: Scorer,
    /// What each score begins with.
    pub(super) base: Vec<f64>,
    /// What the sums over the trees are multiplied by.
    pub(super) factor: f64,
    pub(super) link: Link,
    /// For each feature, the numbers of its categories.
    pub(super) codes: Vec<Option<Codes>>,
}

#[derive(Clone, Debug)]
pub(super) enum Scorer {
    /// Trees that compare numbers of 32 bits.
    Single(Trees<f32>),
    /// Trees that compare numbers of 64 bits.
    Double(Trees<f64>),
    /// For each feature, one coefficient a score; missing values add nothing.
    Linear(Vec<f32>),
}

/// From scores to answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Link {
    /// The score is the number.
    Identity,
    /// The number is the exponential of the score.
    Exponential,
    /// The number is the square of the score, with its sign.
    SignedSquare,
    /// The number is the logarithm of 1 and the exponential of the score.
    SoftPlus,
    /// The number is the logistic function of the score.
    Logistic,
    /// The score, times this factor, is the log odds of the second class.
    Odds(f64),
    /// The second class is certain where the score is above 0.
    Sign,
    /// Probabilities are the softmax of the scores.
    Softmax,
    /// Each score, times this factor, is the log odds of its class against all others.
    OddsOfEach(f64),
}

impl Link {
    /// Returns how many classes so many scores tell apart; none for a regression.
    pub(super) fn class_count(self, scores: usize) -> usize {
        match self {
            Self::Odds(_) | Self::Sign => 2,
            Self::Softmax | Self::OddsOfEach(_) => scores,
            Self::Identity | Self::Exponential | Self::SignedSquare | Self::SoftPlus | Self::Logistic => 0,
        }
    }

    fn number(self, score: f64) -> f64 {
        match self {
            Self::Exponential => score.exp(),
            Self::SignedSquare => score * score.abs(),
            Self::SoftPlus => score.exp().ln_1p(),
            Self::Logistic => logistic(score),
            _ => score,
        }
    }

    fn probabilities(self, scores: &mut [f64], probabilities: &mut [f32]) {
        match self {
            Self::Odds(factor) => {
                let second = logistic(scores[0] * factor);
                probabilities.copy_from_slice(&[(1.0 - second) as f32, second as f32]);
            }
            Self::Sign => {
                let second = f32::from(u8::from(scores[0] > 0.0));
                probabilities.copy_from_slice(&[1.0 - second, second]);
            }
            Self::OddsOfEach(factor) => {
                for (probability, score) in probabilities.iter_mut().zip(scores) {
                    *probability = logistic(*score * factor) as f32;
                }
            }
            _ => {
                let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                scores
                    .iter_mut()
                    .for_each(|score| *score = (*score - greatest).exp());
                let sum: f64 = scores.iter().sum();
                for (probability, score) in probabilities.iter_mut().zip(scores) {
                    *probability = (*score / sum) as f32;
                }
            }
        }
    }
}

fn logistic(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

impl Boosted {
    pub(super) fn predict(
        &self,
        features: &[Feature],
        labels: &[Label],
        table: &Table,
    ) -> Result<Predictions, Error> {
        let mut scores = match &self.scorer {
            Scorer::Single(trees) => self.scores(trees, &matrix(features, &self.codes, table)?, table),
            Scorer::Double(trees) => self.scores(trees, &matrix(features, &self.codes, table)?, table),
            Scorer::Linear(coefficients) => {
                self.linear_scores(coefficients, &matrix(features, &self.codes, table)?)
            }
        };
        let width = self.base.len();
        let class_count = labels.len();
        if class_count == 0 {
            let number = |score: &f64| Label::Number(self.link.number(*score));
            return Ok(Predictions {
                labels: scores.iter().map(number).collect(),
                classes: Vec::new(),
                probabilities: Vec::new(),
                class_count: 0,
            });
        }
        let mut probabilities = vec![0.0; table.row_count() * class_count];
        let mut classes = Vec::with_capacity(table.row_count());
        for (scores, probabilities) in scores
            .chunks_exact_mut(width)
            .zip(probabilities.chunks_exact_mut(class_count))
        {
            self.link.probabilities(scores, probabilities);
            classes.push(greatest(probabilities));
        }
        Ok(Predictions {
            labels: classes
                .iter()
                .map(|&class| labels[usize::from(class)].clone())
                .collect(),
            classes,
            probabilities,
            class_count,
        })
    }

    /// Returns the scores of all rows, one row after the other.
    fn scores<T: Real>(&self, trees: &Trees<T>, rows: &[T], table: &Table) -> Vec<f64> {
        let outputs = self.base.len();
        let width = self.codes.len();
        let mut sums = vec![T::default(); table.row_count() * outputs];
        if table.row_count() <= BLOCK {
            trees.add_to(rows, width, &mut sums);
        } else {
            rows.par_chunks(BLOCK * width)
                .zip(sums.par_chunks_mut(BLOCK * outputs))
                .for_each(|(rows, sums)| trees.add_to(rows, width, sums));
        }
        let base = self.base.iter().cycle();
        sums.iter()
            .zip(base)
            .map(|(sum, base)| sum.double() * self.factor + base)
            .collect()
    }

    fn linear_scores(&self, coefficients: &[f32], rows: &[f32]) -> Vec<f64> {
        let mut scores = Vec::new();
        for row in rows.chunks_exact(self.codes.len()) {
            for (output, base) in self.base.iter().enumerate() {
                let of_output = coefficients.iter().skip(output).step_by(self.base.len());
                let parts = row.iter().zip(of_output).filter(|(value, _)| !value.is_nan());
                let sum: f64 = parts
                    .map(|(value, factor)| f64::from(*value) * f64::from(*factor))
                    .sum();
                scores.push(base + sum);
            }
        }
        scores
    }
}

/// Returns the position of the greatest number, the first of equal ones.
fn greatest(numbers: &[f32]) -> u16 {
    let mut best = 0;
    for (position, number) in numbers.iter().enumerate() {
        if *number > numbers[best] {
            best = position;
        }
    }
    best as u16
}
