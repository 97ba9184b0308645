use super::check_weights;
use crate::Error;
use crate::config::Scoring;
use std::collections::BTreeMap;

/// Predicted numbers beside the true ones.
#[derive(Clone, Copy, Debug)]
pub struct NumberOutcome<'a> {
    truth: &'a [f64],
    predicted: &'a [f64],
    /// How much each row counts; empty when all count alike.
    weights: &'a [f64],
}

impl<'a> NumberOutcome<'a> {
    /// Puts predictions beside the truth.
    ///
    /// # Errors
    /// The lengths do not fit, there are no rows, or a number is not finite.
    pub fn new(truth: &'a [f64], predicted: &'a [f64]) -> Result<Self, Error> {
        let is_finite = truth.iter().chain(predicted).all(|number| number.is_finite());
        if truth.is_empty() || predicted.len() != truth.len() || !is_finite {
            let message = format!(
                "{} true numbers and {} predicted ones do not fit, or are not all finite",
                truth.len(),
                predicted.len()
            );
            return Err(Error::Data(message));
        }
        Ok(Self {
            truth,
            predicted,
            weights: &[],
        })
    }

    /// Returns the same rows, each counting as much as its weight says.
    ///
    /// # Errors
    /// There is not one weight a row, one is negative or not finite, or all are 0.
    pub fn weighted<'b>(&self, weights: &'b [f64]) -> Result<NumberOutcome<'b>, Error>
    where
        'a: 'b,
    {
        check_weights(weights, self.truth.len())?;
        Ok(NumberOutcome { weights, ..*self })
    }

    /// Returns the figure that a search compares; greater is better. A figure of classes is NaN.
    pub fn score(&self, scoring: Scoring) -> f64 {
        scoring.of(&self.metrics()).unwrap_or(f64::NAN)
    }

    /// Returns all figures by the names scikit-learn users know.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let error = |row: usize| self.truth[row] - self.predicted[row];
        let squared_error = self.mean(|row| error(row).powi(2));
        let (mean, mean_error) = (self.mean(|row| self.truth[row]), self.mean(error));
        let variance = self.mean(|row| (self.truth[row] - mean).powi(2));
        let error_variance = self.mean(|row| (error(row) - mean_error).powi(2));
        let relative = |row: usize| error(row).abs() / self.truth[row].abs().max(f64::EPSILON);
        [
            ("r2", explained(squared_error, variance)),
            ("explained_variance", explained(error_variance, variance)),
            ("mean_squared_error", squared_error),
            ("root_mean_squared_error", squared_error.sqrt()),
            ("mean_absolute_error", self.mean(|row| error(row).abs())),
            ("median_absolute_error", self.median(|row| error(row).abs())),
            ("mean_absolute_percentage_error", self.mean(relative)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.get(row).copied().unwrap_or(1.0)
    }

    fn mean(&self, figure: impl Fn(usize) -> f64) -> f64 {
        let (mut sum, mut total) = (0.0, 0.0);
        for row in 0..self.truth.len() {
            sum += self.weight(row) * figure(row);
            total += self.weight(row);
        }
        sum / total
    }

    fn median(&self, figure: impl Fn(usize) -> f64) -> f64 {
        weighted_median(
            (0..self.truth.len())
                .map(|row| (figure(row), self.weight(row)))
                .collect(),
        )
    }
}

/// The number that half of the weight lies below, midway between two where the halves meet; 0 without any weight.
pub(crate) fn weighted_median(mut weighted: Vec<(f64, f64)>) -> f64 {
    weighted.retain(|(_, weight)| *weight > 0.0);
    weighted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let half = weighted.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    for (position, (value, weight)) in weighted.iter().enumerate() {
        below += weight;
        if below > half {
            return *value;
        }
        if below == half {
            let next = weighted.get(position + 1).map_or(*value, |(next, _)| *next);
            return (value + next) / 2.0;
        }
    }
    weighted.last().map_or(0.0, |(value, _)| *value)
}

/// The share of a variance that is not left; as in scikit-learn, 1 when there was none and none is left, else 0.
fn explained(left: f64, whole: f64) -> f64 {
    match (whole > 0.0, left > 0.0) {
        (true, _) => 1.0 - left / whole,
        (false, false) => 1.0,
        (false, true) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_small_table_are_those_computed_by_hand() {
        let metrics = NumberOutcome::new(&[1.0, 2.0, 4.0, 5.0], &[1.0, 3.0, 4.0, 3.0])
            .unwrap()
            .metrics();
        let expected = [
            ("explained_variance", 1.0 - 1.1875 / 2.5),
            ("mean_absolute_error", 0.75),
            ("mean_absolute_percentage_error", 0.225),
            ("mean_squared_error", 1.25),
            ("median_absolute_error", 0.5),
            ("r2", 0.5),
            ("root_mean_squared_error", 1.25f64.sqrt()),
        ];
        for (name, value) in expected {
            assert!((metrics[name] - value).abs() < 1e-12, "{name}: {}", metrics[name]);
        }
        assert_eq!(metrics.len(), expected.len());
    }

    #[test]
    fn a_constant_truth_is_explained_fully_or_not_at_all() {
        let r2 = |predicted: &[f64]| NumberOutcome::new(&[2.0, 2.0], predicted).unwrap().metrics()["r2"];
        assert_eq!((r2(&[2.0, 2.0]), r2(&[2.0, 3.0])), (1.0, 0.0));
    }

    #[test]
    fn lengths_and_numbers_are_checked() {
        assert!(NumberOutcome::new(&[], &[]).is_err());
        assert!(NumberOutcome::new(&[1.0], &[1.0, 2.0]).is_err());
        assert!(NumberOutcome::new(&[1.0], &[f64::NAN]).is_err());
    }

    #[test]
    fn weights_move_the_median() {
        assert_eq!(weighted_median(vec![(3.0, 1.0), (1.0, 1.0)]), 2.0);
        assert_eq!(weighted_median(vec![(3.0, 1.0), (1.0, 1.0), (2.0, 3.0)]), 2.0);
        assert_eq!(weighted_median(vec![(9.0, 0.0), (1.0, 2.0)]), 1.0);
    }
}
