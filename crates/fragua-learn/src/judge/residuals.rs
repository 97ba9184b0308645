use super::sample;
use crate::metrics::quantile;
use serde::Serialize;

const MAX_POINTS: usize = 400;
const RANGES: usize = 24;

/// How predicted numbers miss the true ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Residuals {
    /// The mean of predicted less true.
    pub mean_error: f64,
    /// The 5 %, 50 % and 95 % quantile of predicted less true.
    pub quantiles: [f64; 3],
    /// True and predicted number of some rows.
    pub points: Vec<(f64, f64)>,
    /// Rows by predicted less true; the outermost ranges hold all beyond.
    pub errors: Vec<ErrorRange>,
}

/// Rows whose error is in one range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ErrorRange {
    /// Where the range begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// Rows in it.
    pub rows: usize,
}

pub(super) fn of(truth: &[f64], predicted: &[f64], seed: u64) -> Residuals {
    let mut errors: Vec<f64> = truth
        .iter()
        .zip(predicted)
        .map(|(truth, predicted)| predicted - truth)
        .collect();
    let points = sample(truth.len(), MAX_POINTS, seed);
    let mean_error = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
    errors.sort_unstable_by(f64::total_cmp);
    // Around 0, as far as all but one row of a hundred lies.
    let reach = quantile(&errors, 0.005).abs().max(quantile(&errors, 0.995).abs());
    let reach = if reach > 0.0 { reach } else { 1.0 };
    let width = 2.0 * reach / RANGES as f64;
    let mut counts = [0usize; RANGES];
    for error in &errors {
        let range = ((error + reach) / width).floor().clamp(0.0, RANGES as f64 - 1.0);
        counts[range as usize] += 1;
    }
    Residuals {
        mean_error,
        quantiles: [0.05, 0.5, 0.95].map(|share| quantile(&errors, share)),
        points: points
            .into_iter()
            .map(|row| (truth[row], predicted[row]))
            .collect(),
        errors: counts
            .into_iter()
            .enumerate()
            .map(|(range, rows)| ErrorRange {
                low: range as f64 * width - reach,
                high: (range + 1) as f64 * width - reach,
                rows,
            })
            .collect(),
    }
}
