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
    /// Numbers in rising order with the share of the rows below, for the quantile scaler; empty for all others.
    pub(crate) knots: Vec<(f64, f64)>,
}

/// Steps between quantiles.
const QUANTILE_STEPS: usize = 255;

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
            knots: Vec::new(),
        }
    }

    pub(crate) fn fit_scale(&mut self, scaler: Scaler, values: impl Iterator<Item = f32> + Clone) {
        let present = values.filter(|value| !value.is_nan()).map(f64::from);
        let (centre, width) = match scaler {
            Scaler::None => return,
            Scaler::Quantile => {
                let mut sorted: Vec<f64> = present.collect();
                sorted.sort_unstable_by(f64::total_cmp);
                self.knots = knots(&sorted);
                return;
            }
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
            *slot = self.value(value);
        }
    }

    /// The prepared form of one number.
    pub(crate) fn value(&self, value: f64) -> f32 {
        match self.fill {
            Some(fill) if value.is_nan() => fill,
            _ => value as f32,
        }
    }

    pub(crate) fn scaled(&self, value: f32) -> f64 {
        let value = f64::from(value);
        if self.knots.is_empty() {
            return (value - self.mean) * self.scale;
        }
        let above = self.knots.partition_point(|(number, _)| *number <= value);
        match (
            above.checked_sub(1).map(|below| self.knots[below]),
            self.knots.get(above),
        ) {
            (Some((low, share)), Some((high, next))) => share + (value - low) / (high - low) * (next - share),
            (Some((_, share)), None) | (None, Some(&(_, share))) => share,
            (None, None) => 0.0,
        }
    }
}

/// The quantiles of sorted numbers; equal ones are one knot, midway between their shares.
fn knots(sorted: &[f64]) -> Vec<(f64, f64)> {
    if sorted.is_empty() {
        return vec![(0.0, 0.5)];
    }
    let share = |step: usize| step as f64 / QUANTILE_STEPS as f64;
    let all: Vec<(f64, f64)> = (0..=QUANTILE_STEPS)
        .map(|step| (quantile(sorted, share(step)), share(step)))
        .collect();
    all.chunk_by(|one, two| one.0 == two.0)
        .map(|equal| (equal[0].0, (equal[0].1 + equal[equal.len() - 1].1) / 2.0))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[f32]) -> NumericColumn {
        let mut column = NumericColumn::fit(&[], &NumericConfig::default());
        column.fit_scale(Scaler::Quantile, values.iter().copied());
        column
    }

    #[test]
    fn a_number_becomes_the_share_of_numbers_below() {
        let column = column(&[10.0, 0.0, 1000.0, 20.0, 30.0]);
        for (value, share) in [
            (0.0, 0.0),
            (10.0, 0.25),
            (20.0, 0.5),
            (1000.0, 1.0),
            (-5.0, 0.0),
            (9e9, 1.0),
        ] {
            assert!(
                (column.scaled(value) - share).abs() < 0.01,
                "{value}: {}",
                column.scaled(value)
            );
        }
        assert!((column.scaled(515.0) - 0.875).abs() < 0.01);
    }

    #[test]
    fn equal_numbers_lie_midway() {
        // Half of the numbers are 0.
        let column = column(&[0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
        assert!((column.scaled(0.0) - 0.2).abs() < 0.03, "{}", column.scaled(0.0));
        assert_eq!(column.scaled(4.0), 1.0);
        assert_eq!(self::column(&[7.0; 3]).scaled(7.0), 0.5);
    }
}
