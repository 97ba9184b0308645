use crate::Error;
use crate::config::IntervalConfig;
use crate::random::Random;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;

/// Between which numbers a figure lies, were other rows held out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// As many resamples are below as above the other end.
    pub low: f64,
    /// The other end.
    pub high: f64,
}

/// Draws as many rows as there are with replacement, again and again, and returns where the figures mostly lie.
///
/// `metrics` gets how often each row was drawn. A figure that a resample does not have is left out of it. The same seed
/// gives the same intervals on any number of threads.
///
/// # Errors
/// Those of `metrics`.
pub fn intervals(
    rows: usize,
    config: &IntervalConfig,
    seed: u64,
    metrics: impl Fn(&[f64]) -> Result<BTreeMap<String, f64>, Error> + Sync,
) -> Result<BTreeMap<String, Interval>, Error> {
    let resample = |number: usize| {
        let mut random = Random::derive(seed, &[number as u64]);
        let mut draws = vec![0.0; rows];
        (0..rows).for_each(|_| draws[random.below(rows)] += 1.0);
        metrics(&draws)
    };
    let resampled: Vec<BTreeMap<String, f64>> = (0..config.resamples)
        .into_par_iter()
        .map(resample)
        .collect::<Result<_, _>>()?;
    let mut figures: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in resampled.into_iter().flatten() {
        figures.entry(name).or_default().push(value);
    }
    let outside = (1.0 - config.level) / 2.0;
    let interval = |(name, mut values): (String, Vec<f64>)| {
        values.sort_unstable_by(f64::total_cmp);
        let interval = Interval {
            low: quantile(&values, outside),
            high: quantile(&values, 1.0 - outside),
        };
        (name, interval)
    };
    Ok(figures.into_iter().map(interval).collect())
}

/// The quantile of sorted values, between the two nearest ones in proportion, as NumPy's; NaN of none.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = share * last as f64;
    let below = position.floor() as usize;
    let (low, high) = (sorted[below.min(last)], sorted[(below + 1).min(last)]);
    low + (high - low) * (position - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_about_what_theory_says() {
        // The mean of 400 numbers with a deviation of 1 has a deviation of 0.05: 1.96 of them are 95 %.
        let values: Vec<f64> = (0..400)
            .map(|row| if row % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        let mean = |draws: &[f64]| {
            let sum: f64 = draws
                .iter()
                .zip(&values)
                .map(|(draws, value)| draws * value)
                .sum();
            Ok(BTreeMap::from([("mean".to_owned(), sum / 400.0)]))
        };
        let config = IntervalConfig {
            resamples: 2_000,
            level: 0.95,
        };
        let interval = intervals(400, &config, 7, mean).unwrap()["mean"];
        assert!(
            (interval.low + 0.098).abs() < 0.01 && (interval.high - 0.098).abs() < 0.01,
            "{interval:?}"
        );
        assert_eq!(intervals(400, &config, 7, mean).unwrap()["mean"], interval);
        assert_ne!(intervals(400, &config, 8, mean).unwrap()["mean"], interval);
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.25), 1.5);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 1.0), 4.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
