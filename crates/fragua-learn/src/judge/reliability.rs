use crate::config::Scoring;
use crate::metrics::Outcome;
use crate::{Error, Label, Pipeline};
use serde::Serialize;

/// Whether the probabilities of held-out rows come true as often as they say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reliability {
    /// The mean gap between the probability of the predicted class and how often it is right, weighted by the rows of each
    /// range; 0 is best.
    pub expected_calibration_error: f64,
    /// The mean squared error of the probabilities; 0 is best.
    pub brier_score: f64,
    /// Ranges of the predicted class's probability.
    pub predicted: Vec<ReliabilityBin>,
    /// The same for each class against the rest; of two classes for the second one alone.
    pub classes: Vec<ReliabilityCurve>,
}

/// How the probability of one class comes true.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReliabilityCurve {
    /// The class.
    pub label: Label,
    /// The mean gap, as in [`Reliability::expected_calibration_error`].
    pub expected_calibration_error: f64,
    /// Ranges that have rows, in rising order.
    pub bins: Vec<ReliabilityBin>,
}

/// Rows whose probability is in one range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Where the range begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// Rows in it.
    pub rows: usize,
    /// Their mean probability.
    pub probability: f64,
    /// Share of them that came true.
    pub share: f64,
}

pub(super) fn of(
    pipeline: &Pipeline,
    truth: &[u16],
    predicted: &[u16],
    probabilities: &[f32],
    bins: usize,
) -> Result<Option<Reliability>, Error> {
    if bins == 0 {
        return Ok(None);
    }
    let class_count = pipeline.labels().len();
    let share = |row: usize, class: u16| f64::from(probabilities[row * class_count + usize::from(class)]);
    let of_predicted = curve(
        bins,
        (0..truth.len()).map(|row| (share(row, predicted[row]), predicted[row] == truth[row])),
    );
    let first = u16::from(class_count == 2);
    let classes = (first..class_count as u16).map(|class| {
        let bins = curve(
            bins,
            (0..truth.len()).map(|row| (share(row, class), truth[row] == class)),
        );
        ReliabilityCurve {
            label: pipeline.labels()[usize::from(class)].clone(),
            expected_calibration_error: gap(&bins),
            bins,
        }
    });
    let outcome = Outcome::new(truth, predicted, probabilities, class_count)?;
    Ok(Some(Reliability {
        expected_calibration_error: gap(&of_predicted),
        brier_score: -outcome.score(Scoring::NegBrierScore),
        predicted: of_predicted,
        classes: classes.collect(),
    }))
}

fn curve(bins: usize, rows: impl Iterator<Item = (f64, bool)>) -> Vec<ReliabilityBin> {
    let mut sums = vec![(0usize, 0.0, 0usize); bins];
    for (probability, is_hit) in rows {
        let bin = ((probability * bins as f64) as usize).min(bins - 1);
        sums[bin].0 += 1;
        sums[bin].1 += probability;
        sums[bin].2 += usize::from(is_hit);
    }
    let edge = |bin: usize| bin as f64 / bins as f64;
    sums.into_iter()
        .enumerate()
        .filter(|(_, (rows, ..))| *rows > 0)
        .map(|(bin, (rows, sum, hits))| ReliabilityBin {
            low: edge(bin),
            high: edge(bin + 1),
            rows,
            probability: sum / rows as f64,
            share: hits as f64 / rows as f64,
        })
        .collect()
}

fn gap(bins: &[ReliabilityBin]) -> f64 {
    let rows: usize = bins.iter().map(|bin| bin.rows).sum();
    let gaps = bins
        .iter()
        .map(|bin| bin.rows as f64 * (bin.probability - bin.share).abs());
    gaps.sum::<f64>() / rows.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_is_that_computed_by_hand() {
        let rows = [(0.1, false), (0.15, true), (0.9, true), (1.0, true)];
        let bins = curve(10, rows.into_iter());
        assert_eq!(bins.len(), 2);
        assert_eq!((bins[0].low, bins[0].rows, bins[0].share), (0.1, 2, 0.5));
        assert_eq!((bins[1].high, bins[1].rows, bins[1].probability), (1.0, 2, 0.95));
        assert!((gap(&bins) - (2.0 * 0.375 + 2.0 * 0.05) / 4.0).abs() < 1e-12);
    }
}
