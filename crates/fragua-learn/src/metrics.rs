//! Figures that compare predictions with the truth, with scikit-learn's meaning.

use crate::config::Scoring;
use crate::{Error, Label};
use serde::Serialize;
use std::collections::BTreeMap;

/// Predictions beside the truth, as indices into a list of classes.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    truth: &'a [u16],
    predicted: &'a [u16],
    probabilities: &'a [f32],
    class_count: usize,
}

impl<'a> Outcome<'a> {
    /// Puts predictions beside the truth; `probabilities` holds `class_count` numbers a row.
    ///
    /// # Errors
    /// The lengths do not fit, there are no rows, or an index is not below `class_count`.
    pub fn new(
        truth: &'a [u16],
        predicted: &'a [u16],
        probabilities: &'a [f32],
        class_count: usize,
    ) -> Result<Self, Error> {
        let rows = truth.len();
        if rows == 0 || predicted.len() != rows || probabilities.len() != rows * class_count {
            let message = format!(
                "{rows} true classes, {} predicted ones and {} probabilities of {class_count} classes do not fit",
                predicted.len(),
                probabilities.len()
            );
            return Err(Error::Data(message));
        }
        if truth
            .iter()
            .chain(predicted)
            .any(|&class| usize::from(class) >= class_count)
        {
            return Err(Error::Data(format!("a class index is not below {class_count}")));
        }
        Ok(Self {
            truth,
            predicted,
            probabilities,
            class_count,
        })
    }

    /// Counts rows by true class (first index) and predicted class (second index).
    pub fn confusion(&self) -> Vec<Vec<u64>> {
        let mut counts = vec![vec![0; self.class_count]; self.class_count];
        for (&truth, &predicted) in self.truth.iter().zip(self.predicted) {
            counts[usize::from(truth)][usize::from(predicted)] += 1;
        }
        counts
    }

    /// Returns precision, recall, F1 and number of rows of each class.
    ///
    /// A share of nothing counts as 0.
    pub fn per_class(&self) -> Vec<ClassMetrics> {
        let confusion = self.confusion();
        let of_class = |class: usize| {
            let hits = confusion[class][class];
            let support: u64 = confusion[class].iter().sum();
            let predicted: u64 = confusion.iter().map(|row| row[class]).sum();
            ClassMetrics {
                precision: share(hits, predicted),
                recall: share(hits, support),
                f1: share(2 * hits, support + predicted),
                support,
                predicted,
            }
        };
        (0..self.class_count).map(of_class).collect()
    }

    /// Returns the figure that a search compares; greater is better.
    ///
    /// The area under the curve is NaN when the rows hold fewer than all classes.
    pub fn score(&self, scoring: Scoring) -> f64 {
        match scoring {
            Scoring::Accuracy => self.accuracy(),
            Scoring::PrecisionMacro => self.averages().precision_macro,
            Scoring::PrecisionWeighted => self.averages().precision_weighted,
            Scoring::RecallMacro => self.averages().recall_macro,
            Scoring::RecallWeighted => self.averages().recall_weighted,
            Scoring::F1Macro => self.averages().f1_macro,
            Scoring::F1Weighted => self.averages().f1_weighted,
            Scoring::NegLogLoss => -self.log_loss(),
            Scoring::RocAucOvr => self.roc_auc_ovr().unwrap_or(f64::NAN),
        }
    }

    /// Returns all figures.
    pub fn metrics(&self) -> Metrics {
        Metrics {
            accuracy: self.accuracy(),
            averages: self.averages(),
            log_loss: self.log_loss(),
            roc_auc_ovr: self.roc_auc_ovr(),
        }
    }

    fn accuracy(&self) -> f64 {
        let hits = self
            .truth
            .iter()
            .zip(self.predicted)
            .filter(|(truth, predicted)| truth == predicted)
            .count();
        hits as f64 / self.truth.len() as f64
    }

    fn averages(&self) -> Averages {
        let mut averages = Averages::default();
        // As in scikit-learn, a class that neither occurs nor is predicted does not count.
        let classes: Vec<ClassMetrics> = self
            .per_class()
            .into_iter()
            .filter(|class| class.support + class.predicted > 0)
            .collect();
        for class in &classes {
            let even = 1.0 / classes.len() as f64;
            let by_size = class.support as f64 / self.truth.len() as f64;
            averages.precision_macro += class.precision * even;
            averages.precision_weighted += class.precision * by_size;
            averages.recall_macro += class.recall * even;
            averages.recall_weighted += class.recall * by_size;
            averages.f1_macro += class.f1 * even;
            averages.f1_weighted += class.f1 * by_size;
        }
        averages
    }

    fn log_loss(&self) -> f64 {
        let loss = |(row, &class): (usize, &u16)| {
            let probability = f64::from(self.probabilities[row * self.class_count + usize::from(class)]);
            -probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
        };
        self.truth.iter().enumerate().map(loss).sum::<f64>() / self.truth.len() as f64
    }

    /// `None` when a class has no row, or all rows.
    fn roc_auc_ovr(&self) -> Option<f64> {
        // With two classes one curve is the other one turned round.
        let first = usize::from(self.class_count == 2);
        let areas: Option<Vec<f64>> = (first..self.class_count)
            .map(|class| self.area_under_curve(class))
            .collect();
        let areas = areas.filter(|areas| !areas.is_empty())?;
        Some(areas.iter().sum::<f64>() / areas.len() as f64)
    }

    /// The chance that a row of the class scores above another row; ties count half.
    fn area_under_curve(&self, class: usize) -> Option<f64> {
        let mut scored: Vec<(f32, bool)> = (self.truth.iter().enumerate())
            .map(|(row, &truth)| {
                (
                    self.probabilities[row * self.class_count + class],
                    usize::from(truth) == class,
                )
            })
            .collect();
        scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let positives = scored.iter().filter(|(_, positive)| *positive).count();
        let negatives = scored.len() - positives;
        if positives == 0 || negatives == 0 {
            return None;
        }
        let (mut below, mut won) = (0usize, 0.0);
        for tied in scored.chunk_by(|a, b| a.0 == b.0) {
            let hits = tied.iter().filter(|(_, positive)| *positive).count();
            let misses = tied.len() - hits;
            won += hits as f64 * (below as f64 + misses as f64 / 2.0);
            below += misses;
        }
        Some(won / (positives as f64 * negatives as f64))
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Figures of one class against the rest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassMetrics {
    /// Share of the rows given this class that are of it.
    pub precision: f64,
    /// Share of the rows of this class that were given it.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Rows of this class.
    pub support: u64,
    /// Rows given this class.
    pub predicted: u64,
}

/// Figures over all classes: `macro` counts classes alike, `weighted` by their rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are the field's own words")]
pub struct Averages {
    pub precision_macro: f64,
    pub precision_weighted: f64,
    pub recall_macro: f64,
    pub recall_weighted: f64,
    pub f1_macro: f64,
    pub f1_weighted: f64,
}

/// All figures of one evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// Share of right answers.
    pub accuracy: f64,
    /// Precision, recall and F1.
    pub averages: Averages,
    /// Mean negative logarithm of the true class's probability.
    pub log_loss: f64,
    /// Mean area under the ROC curve, one class against the rest; `None` when a class has no row.
    pub roc_auc_ovr: Option<f64>,
}

impl Metrics {
    /// Returns the figures by the names scikit-learn users know; an undefined one is absent.
    pub fn to_map(&self) -> BTreeMap<String, f64> {
        let averages = &self.averages;
        let named = [
            ("accuracy", Some(self.accuracy)),
            ("precision_macro", Some(averages.precision_macro)),
            ("precision_weighted", Some(averages.precision_weighted)),
            ("recall_macro", Some(averages.recall_macro)),
            ("recall_weighted", Some(averages.recall_weighted)),
            ("f1_macro", Some(averages.f1_macro)),
            ("f1_weighted", Some(averages.f1_weighted)),
            ("log_loss", Some(self.log_loss)),
            ("roc_auc_ovr", self.roc_auc_ovr),
        ];
        named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// Rows counted by true class (first index) and predicted class (second index).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    /// The classes, in the order of both indices.
    pub labels: Vec<Label>,
    /// Counts; `counts[truth][predicted]`.
    pub counts: Vec<Vec<u64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_is_never_predicted_has_precision_zero() {
        let probabilities = [0.9, 0.1, 0.6, 0.4, 0.7, 0.3];
        let outcome = Outcome::new(&[0, 1, 0], &[0, 0, 0], &probabilities, 2).unwrap();
        let classes = outcome.per_class();
        assert_eq!(
            (classes[1].precision, classes[1].recall, classes[1].f1),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(outcome.confusion(), [[2, 0], [1, 0]]);
        let metrics = outcome.metrics();
        assert!((metrics.accuracy - 2.0 / 3.0).abs() < 1e-12);
        assert!((metrics.averages.f1_macro - 0.4).abs() < 1e-12);
        assert_eq!(metrics.roc_auc_ovr, Some(1.0));
    }

    #[test]
    fn tied_scores_count_half_and_an_absent_class_has_no_area() {
        let tied = [0.5f32; 8];
        let outcome = Outcome::new(&[0, 1, 0, 1], &[0; 4], &tied, 2).unwrap();
        assert_eq!(outcome.metrics().roc_auc_ovr, Some(0.5));
        let outcome = Outcome::new(&[0, 0, 0, 0], &[0; 4], &tied, 2).unwrap();
        assert_eq!(outcome.metrics().roc_auc_ovr, None);
        assert!(!outcome.metrics().to_map().contains_key("roc_auc_ovr"));
    }

    #[test]
    fn lengths_and_indices_are_checked() {
        assert!(Outcome::new(&[], &[], &[], 2).is_err());
        assert!(Outcome::new(&[0], &[0, 1], &[0.5, 0.5], 2).is_err());
        assert!(Outcome::new(&[0], &[0], &[0.5], 2).is_err());
        assert!(Outcome::new(&[0], &[2], &[0.5, 0.5], 2).is_err());
    }
}
