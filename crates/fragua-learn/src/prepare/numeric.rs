use crate::config::{NumericConfig, NumericImputer, Scaler};
use crate::metrics::quantile;

/// A fitted column of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NumericColumn {
    /// What stands in for a missing number; `None` leaves it missing, for neighbours or trees.
    pub(crate) fill: Option<f32>,
    /// Whether trees can meet missing numbers.
    pub(crate) may_be_missing: bool,
    /// What becomes 0: the mean, unless another scaler is asked for.
    pub(crate) mean: f64,
    /// One over what becomes 1: the standard deviation, unless another scaler is asked for.
    pub(crate) scale: f64,
}

impl NumericColumn {
    pub(crate) fn fit(values: &[f64], config: &NumericConfig) -> Self {
        let imputer = config.imputer;
        let mut present: Vec<f32> = values
            .iter()
            .filter(|value| !value.is_nan())
            .map(|&value| value as f32)
            .collect();
        present.sort_unstable_by(f32::total_cmp);
        // A column without a single value is filled with zeros: constant, so no model can use it.
        let fill = match imputer {
            NumericImputer::Median => Some(median(&present).unwrap_or(0.0)),
            NumericImputer::Mean => Some(mean(&present)),
            NumericImputer::Constant => Some(config.fill_value.unwrap_or(0.0) as f32),
            NumericImputer::MostFrequent => Some(most_frequent(&present).unwrap_or(0.0)),
            NumericImputer::Knn | NumericImputer::None => None,
        };
        Self {
            fill,
            may_be_missing: imputer == NumericImputer::None,
            mean: 0.0,
            scale: 1.0,
        }
    }

    pub(crate) fn fit_scale(&mut self, scaler: Scaler, values: impl Iterator<Item = f32> + Clone) {
        let present = values.filter(|value| !value.is_nan()).map(f64::from);
        let (centre, width) = match scaler {
            Scaler::None => return,
            Scaler::Standard => {
                let count = present.clone().count().max(1) as f64;
                let mean = present.clone().sum::<f64>() / count;
                let variance = present.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
                (mean, variance.sqrt())
            }
            Scaler::MinMax => {
                let least = present.clone().reduce(f64::min).unwrap_or(0.0);
                (least, present.reduce(f64::max).unwrap_or(0.0) - least)
            }
            Scaler::Robust => {
                let mut sorted: Vec<f64> = present.collect();
                sorted.sort_unstable_by(f64::total_cmp);
                let at = |share: f64| {
                    if sorted.is_empty() {
                        0.0
                    } else {
                        quantile(&sorted, share)
                    }
                };
                (at(0.5), at(0.75) - at(0.25))
            }
        };
        self.mean = centre;
        self.scale = if width > 0.0 { 1.0 / width } else { 1.0 };
    }

    pub(crate) fn encode<'a>(&self, source: &[f64], target: impl Iterator<Item = &'a mut f32>) {
        for (slot, &value) in target.zip(source) {
            *slot = match self.fill {
                Some(fill) if value.is_nan() => fill,
                _ => value as f32,
            };
        }
    }

    pub(crate) fn scaled(&self, value: f32) -> f64 {
        (f64::from(value) - self.mean) * self.scale
    }
}

/// 0 of none.
fn mean(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    (sum / values.len().max(1) as f64) as f32
}

/// The middle of sorted values; between the two middle ones when their number is even.
pub(crate) fn median(sorted: &[f32]) -> Option<f32> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(((f64::from(sorted[sorted.len() / 2 - 1]) + f64::from(upper)) / 2.0) as f32)
}

fn most_frequent(sorted: &[f32]) -> Option<f32> {
    let mut best: Option<&[f32]> = None;
    for equal in sorted.chunk_by(|a, b| a == b) {
        if best.is_none_or(|best| equal.len() > best.len()) {
            best = Some(equal);
        }
    }
    best.map(|equal| equal[0])
}
