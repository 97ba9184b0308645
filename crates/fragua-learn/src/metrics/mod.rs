//! Figures that compare predictions with the truth, with scikit-learn's meaning.

mod intervals;
mod numbers;

pub(crate) use intervals::quantile;
pub use intervals::{Interval, intervals};
pub use numbers::NumberOutcome;
pub(crate) use numbers::weighted_median;

use crate::config::Scoring;
use crate::{Error, Label};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// For how many of the most probable classes the share of rows with the true class among them is told.
const TOPS: [usize; 3] = [2, 3, 5];

/// Predictions beside the truth, as indices into a list of classes.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    truth: &'a [u16],
    predicted: &'a [u16],
    probabilities: &'a [f32],
    class_count: usize,
    /// How much each row counts; empty when all count alike.
    weights: &'a [f64],
    /// The rows by rising probability of each class, which all weightings share.
    orders: Arc<OnceLock<Vec<Vec<u32>>>>,
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
            weights: &[],
            orders: Arc::default(),
        })
    }

    /// Returns the same rows, each counting as much as its weight says.
    ///
    /// # Errors
    /// There is not one weight a row, one is negative or not finite, or all are 0.
    pub fn weighted<'b>(&self, weights: &'b [f64]) -> Result<Outcome<'b>, Error>
    where
        'a: 'b,
    {
        check_weights(weights, self.truth.len())?;
        Ok(Outcome {
            weights,
            ..self.clone()
        })
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.get(row).copied().unwrap_or(1.0)
    }

    fn total_weight(&self) -> f64 {
        if self.weights.is_empty() {
            self.truth.len() as f64
        } else {
            self.weights.iter().sum()
        }
    }

    /// Counts rows by true class (first index) and predicted class (second index), whatever their weights.
    pub fn confusion(&self) -> Vec<Vec<u64>> {
        let mut counts = vec![vec![0; self.class_count]; self.class_count];
        for (&truth, &predicted) in self.truth.iter().zip(self.predicted) {
            counts[usize::from(truth)][usize::from(predicted)] += 1;
        }
        counts
    }

    /// Returns precision, recall, F1 and number of rows of each class, whatever the rows' weights.
    ///
    /// A share of nothing counts as 0.
    pub fn per_class(&self) -> Vec<ClassMetrics> {
        let unweighted = Outcome {
            weights: &[],
            ..self.clone()
        };
        let of_class = |class: &ClassShares| ClassMetrics {
            precision: class.precision,
            recall: class.recall,
            f1: class.f1,
            support: class.support as u64,
            predicted: class.predicted as u64,
        };
        unweighted.weigh().classes().iter().map(of_class).collect()
    }

    /// Adds up weights by true and predicted class.
    fn weigh(&self) -> WeighedConfusion {
        let mut sums = vec![vec![0.0; self.class_count]; self.class_count];
        for (row, (&truth, &predicted)) in self.truth.iter().zip(self.predicted).enumerate() {
            sums[usize::from(truth)][usize::from(predicted)] += self.weight(row);
        }
        WeighedConfusion(sums)
    }

    /// Returns the figure that a search compares; greater is better.
    ///
    /// It is NaN where it is undefined: areas under curves when the rows hold fewer than all classes, figures of numbers
    /// always.
    pub fn score(&self, scoring: Scoring) -> f64 {
        let undefined = f64::NAN;
        match scoring {
            Scoring::Accuracy => self.weigh().accuracy(),
            Scoring::BalancedAccuracy => self.weigh().balanced_accuracy(),
            Scoring::PrecisionMacro => self.weigh().averages().precision_macro,
            Scoring::PrecisionWeighted => self.weigh().averages().precision_weighted,
            Scoring::RecallMacro => self.weigh().averages().recall_macro,
            Scoring::RecallWeighted => self.weigh().averages().recall_weighted,
            Scoring::F1Macro => self.weigh().averages().f1_macro,
            Scoring::F1Weighted => self.weigh().averages().f1_weighted,
            Scoring::MatthewsCorrcoef => self.weigh().matthews(),
            Scoring::CohenKappa => self.weigh().kappa().unwrap_or(undefined),
            Scoring::NegLogLoss => -self.log_loss(),
            Scoring::NegBrierScore => -self.brier_score(),
            Scoring::RocAucOvr => self.mean_of_curves(Self::area_under_curve).unwrap_or(undefined),
            Scoring::AveragePrecision => self.mean_of_curves(Self::average_precision).unwrap_or(undefined),
            Scoring::R2
            | Scoring::ExplainedVariance
            | Scoring::NegMeanSquaredError
            | Scoring::NegRootMeanSquaredError
            | Scoring::NegMeanAbsoluteError
            | Scoring::NegMedianAbsoluteError
            | Scoring::NegMeanAbsolutePercentageError => undefined,
        }
    }

    /// Returns all figures by the names scikit-learn users know; an undefined one is absent.
    ///
    /// `macro` counts classes alike, `weighted` by their rows. `roc_auc_ovr` and `average_precision` are means over the
    /// classes, one against the rest; with two classes they are those of the second one.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let confusion = self.weigh();
        let averages = confusion.averages();
        let named = [
            ("accuracy", Some(confusion.accuracy())),
            ("balanced_accuracy", Some(confusion.balanced_accuracy())),
            ("precision_macro", Some(averages.precision_macro)),
            ("precision_weighted", Some(averages.precision_weighted)),
            ("recall_macro", Some(averages.recall_macro)),
            ("recall_weighted", Some(averages.recall_weighted)),
            ("f1_macro", Some(averages.f1_macro)),
            ("f1_weighted", Some(averages.f1_weighted)),
            ("matthews_corrcoef", Some(confusion.matthews())),
            ("cohen_kappa", confusion.kappa()),
            ("log_loss", Some(self.log_loss())),
            ("brier_score", Some(self.brier_score())),
            ("roc_auc_ovr", self.mean_of_curves(Self::area_under_curve)),
            ("average_precision", self.mean_of_curves(Self::average_precision)),
        ];
        let mut metrics: BTreeMap<String, f64> = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect();
        for count in TOPS.into_iter().filter(|&count| count < self.class_count) {
            metrics.insert(format!("top_{count}_accuracy"), self.top_accuracy(count));
        }
        metrics
    }

    fn shares(&self, row: usize) -> &[f32] {
        &self.probabilities[row * self.class_count..(row + 1) * self.class_count]
    }

    /// The weighted mean of a figure of each row.
    fn mean(&self, figure: impl Fn(usize) -> f64) -> f64 {
        let sum: f64 = (0..self.truth.len())
            .map(|row| self.weight(row) * figure(row))
            .sum();
        sum / self.total_weight()
    }

    fn log_loss(&self) -> f64 {
        self.mean(|row| {
            let probability = f64::from(self.shares(row)[usize::from(self.truth[row])]);
            -probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
        })
    }

    /// The mean squared distance of the probabilities from the truth, half of it for two classes.
    fn brier_score(&self) -> f64 {
        let distance = |row: usize| {
            let square = |(class, &share): (usize, &f32)| {
                let truth = f64::from(u8::from(class == usize::from(self.truth[row])));
                (f64::from(share) - truth).powi(2)
            };
            self.shares(row).iter().enumerate().map(square).sum::<f64>()
        };
        self.mean(distance) * if self.class_count == 2 { 0.5 } else { 1.0 }
    }

    /// The share of rows whose class is among the most probable ones; of equally probable classes the last ones are.
    fn top_accuracy(&self, count: usize) -> f64 {
        self.mean(|row| {
            let truth = usize::from(self.truth[row]);
            let shares = self.shares(row);
            let is_above = |(class, share): &(usize, &f32)| {
                **share > shares[truth] || (**share == shares[truth] && *class > truth)
            };
            let above = shares.iter().enumerate().filter(is_above).count();
            f64::from(u8::from(above < count))
        })
    }

    /// `None` when a class has no row, or all rows.
    fn mean_of_curves(&self, figure: impl Fn(&Self, usize) -> Option<f64>) -> Option<f64> {
        // With two classes the second one is what is looked for.
        let first = usize::from(self.class_count == 2);
        let figures: Option<Vec<f64>> = (first..self.class_count)
            .map(|class| figure(self, class))
            .collect();
        let figures = figures.filter(|figures| !figures.is_empty())?;
        Some(figures.iter().sum::<f64>() / figures.len() as f64)
    }

    fn order(&self, class: usize) -> &[u32] {
        let orders = self.orders.get_or_init(|| {
            let order = |class: usize| {
                let share = |row: u32| self.shares(row as usize)[class];
                let mut rows: Vec<u32> = (0..self.truth.len() as u32).collect();
                rows.sort_unstable_by(|&a, &b| share(a).total_cmp(&share(b)).then(a.cmp(&b)));
                rows
            };
            (0..self.class_count).map(order).collect()
        });
        &orders[class]
    }

    /// Weights of the rows of a class and of the others, tie by tie of rising probability; and the sums of both.
    fn ties(&self, class: usize) -> (Vec<(f64, f64)>, f64, f64) {
        let share = |row: u32| self.shares(row as usize)[class];
        let (mut all_hits, mut all_misses) = (0.0, 0.0);
        let mut ties = Vec::new();
        for tied in self.order(class).chunk_by(|&a, &b| share(a) == share(b)) {
            let (mut hits, mut misses) = (0.0, 0.0);
            for &row in tied {
                let weight = self.weight(row as usize);
                if usize::from(self.truth[row as usize]) == class {
                    hits += weight;
                } else {
                    misses += weight;
                }
            }
            all_hits += hits;
            all_misses += misses;
            ties.push((hits, misses));
        }
        (ties, all_hits, all_misses)
    }

    /// The chance that a row of the class scores above another row; ties count half.
    fn area_under_curve(&self, class: usize) -> Option<f64> {
        let (ties, all_hits, all_misses) = self.ties(class);
        if all_hits == 0.0 || all_misses == 0.0 {
            return None;
        }
        let (mut below, mut won) = (0.0, 0.0);
        for (hits, misses) in ties {
            won += hits * (below + misses / 2.0);
            below += misses;
        }
        Some(won / (all_hits * all_misses))
    }

    /// The precision at each probability, weighted by the recall gained there.
    fn average_precision(&self, class: usize) -> Option<f64> {
        let (ties, all_hits, _) = self.ties(class);
        if all_hits == 0.0 {
            return None;
        }
        let (mut above, mut hits_above, mut sum) = (0.0, 0.0, 0.0);
        for (hits, misses) in ties
            .into_iter()
            .rev()
            .filter(|(hits, misses)| hits + misses > 0.0)
        {
            hits_above += hits;
            above += hits + misses;
            sum += hits / all_hits * (hits_above / above);
        }
        Some(sum)
    }
}

pub(crate) fn check_weights(weights: &[f64], rows: usize) -> Result<(), Error> {
    let is_fine = weights.iter().all(|weight| *weight >= 0.0 && weight.is_finite());
    if weights.len() != rows || !is_fine || weights.iter().all(|&weight| weight == 0.0) {
        let message = format!("expected {rows} weights of at least 0 that are not all 0");
        return Err(Error::Data(message));
    }
    Ok(())
}

/// Weights of rows by true class (first index) and predicted class (second index).
struct WeighedConfusion(Vec<Vec<f64>>);

/// Figures of one class against the rest.
struct ClassShares {
    precision: f64,
    recall: f64,
    f1: f64,
    support: f64,
    predicted: f64,
}

/// Figures over all classes: `macro` counts classes alike, `weighted` by their rows.
#[derive(Default)]
struct Averages {
    precision_macro: f64,
    precision_weighted: f64,
    recall_macro: f64,
    recall_weighted: f64,
    f1_macro: f64,
    f1_weighted: f64,
}

impl WeighedConfusion {
    fn total(&self) -> f64 {
        self.0.iter().flatten().sum()
    }

    fn hits(&self) -> f64 {
        self.0.iter().enumerate().map(|(class, row)| row[class]).sum()
    }

    /// Returns the weights of the rows of each class, and of those given it.
    fn margins(&self) -> (Vec<f64>, Vec<f64>) {
        let support = self.0.iter().map(|row| row.iter().sum()).collect();
        let predicted = (0..self.0.len())
            .map(|class| self.0.iter().map(|row| row[class]).sum())
            .collect();
        (support, predicted)
    }

    fn classes(&self) -> Vec<ClassShares> {
        let (support, predicted) = self.margins();
        let of_class = |class: usize| {
            let (hits, support, predicted) = (self.0[class][class], support[class], predicted[class]);
            ClassShares {
                precision: share(hits, predicted),
                recall: share(hits, support),
                f1: share(2.0 * hits, support + predicted),
                support,
                predicted,
            }
        };
        (0..self.0.len()).map(of_class).collect()
    }

    fn accuracy(&self) -> f64 {
        self.hits() / self.total()
    }

    fn balanced_accuracy(&self) -> f64 {
        let recalls: Vec<f64> = self
            .classes()
            .into_iter()
            .filter(|class| class.support > 0.0)
            .map(|class| class.recall)
            .collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }

    fn averages(&self) -> Averages {
        let mut averages = Averages::default();
        let total = self.total();
        // As in scikit-learn, a class that neither occurs nor is predicted does not count.
        let mut classes = self.classes();
        classes.retain(|class| class.support + class.predicted > 0.0);
        for class in &classes {
            let even = 1.0 / classes.len() as f64;
            let by_size = class.support / total;
            averages.precision_macro += class.precision * even;
            averages.precision_weighted += class.precision * by_size;
            averages.recall_macro += class.recall * even;
            averages.recall_weighted += class.recall * by_size;
            averages.f1_macro += class.f1 * even;
            averages.f1_weighted += class.f1 * by_size;
        }
        averages
    }

    /// The correlation of truth and prediction; 0 when either holds one class only.
    fn matthews(&self) -> f64 {
        let (support, predicted) = self.margins();
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let squared = self.total().powi(2);
        let together = self.hits() * self.total() - product(&support, &predicted);
        let apart = (squared - product(&support, &support)) * (squared - product(&predicted, &predicted));
        if apart > 0.0 { together / apart.sqrt() } else { 0.0 }
    }

    /// The agreement beyond chance; `None` when truth and prediction hold the same one class only.
    fn kappa(&self) -> Option<f64> {
        let (support, predicted) = self.margins();
        let by_chance: f64 = support.iter().zip(&predicted).map(|(a, b)| a * b).sum();
        let chance_of_difference = self.total() - by_chance / self.total();
        let kappa = 1.0 - (self.total() - self.hits()) / chance_of_difference;
        Some(kappa).filter(|_| chance_of_difference > 0.0)
    }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
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
        assert!((metrics["accuracy"] - 2.0 / 3.0).abs() < 1e-12);
        assert!((metrics["f1_macro"] - 0.4).abs() < 1e-12);
        assert_eq!(metrics["roc_auc_ovr"], 1.0);
    }

    #[test]
    fn tied_scores_count_half_and_an_absent_class_has_no_area() {
        let tied = [0.5f32; 8];
        let outcome = Outcome::new(&[0, 1, 0, 1], &[0; 4], &tied, 2).unwrap();
        assert_eq!(outcome.metrics()["roc_auc_ovr"], 0.5);
        let outcome = Outcome::new(&[0, 0, 0, 0], &[0; 4], &tied, 2).unwrap();
        let metrics = outcome.metrics();
        assert!(!metrics.contains_key("roc_auc_ovr") && !metrics.contains_key("cohen_kappa"));
        assert!(outcome.score(Scoring::RocAucOvr).is_nan());
    }

    #[test]
    fn a_row_of_weight_two_counts_as_two_rows() {
        let probabilities = [0.9, 0.1, 0.6, 0.4, 0.7, 0.3, 0.2, 0.8];
        let outcome = Outcome::new(&[0, 1, 0, 1], &[0, 0, 0, 1], &probabilities, 2).unwrap();
        let weighted = outcome.weighted(&[1.0, 2.0, 0.0, 1.0]).unwrap().metrics();
        let twice = [0.9, 0.1, 0.6, 0.4, 0.6, 0.4, 0.2, 0.8];
        let repeated = Outcome::new(&[0, 1, 1, 1], &[0, 0, 0, 1], &twice, 2)
            .unwrap()
            .metrics();
        assert_eq!(weighted, repeated);
        assert!(outcome.weighted(&[1.0]).is_err());
        assert!(outcome.weighted(&[0.0; 4]).is_err());
        assert!(outcome.weighted(&[1.0, -1.0, 1.0, 1.0]).is_err());
    }

    #[test]
    fn lengths_and_indices_are_checked() {
        assert!(Outcome::new(&[], &[], &[], 2).is_err());
        assert!(Outcome::new(&[0], &[0, 1], &[0.5, 0.5], 2).is_err());
        assert!(Outcome::new(&[0], &[0], &[0.5], 2).is_err());
        assert!(Outcome::new(&[0], &[2], &[0.5, 0.5], 2).is_err());
    }
}
