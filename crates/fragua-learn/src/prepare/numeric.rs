use crate::config::NumericImputer;

/// A fitted column of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NumericColumn {
    /// What stands in for a missing number; `None` leaves it missing, for neighbours or trees.
    pub(crate) fill: Option<f32>,
    /// Whether trees can meet missing numbers.
    pub(crate) may_be_missing: bool,
    pub(crate) mean: f64,
    /// One over the standard deviation.
    pub(crate) scale: f64,
}

impl NumericColumn {
    pub(crate) fn fit(values: &[f64], imputer: NumericImputer) -> Self {
        let mut present: Vec<f32> = values
            .iter()
            .filter(|value| !value.is_nan())
            .map(|&value| value as f32)
            .collect();
        present.sort_unstable_by(f32::total_cmp);
        // A column without a single value is filled with zeros: constant, so no model can use it.
        let fill = match imputer {
            NumericImputer::Median => Some(median(&present).unwrap_or(0.0)),
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

    pub(crate) fn fit_scale(&mut self, values: impl Iterator<Item = f32> + Clone) {
        let present = values.filter(|value| !value.is_nan()).map(f64::from);
        let count = present.clone().count().max(1) as f64;
        self.mean = present.clone().sum::<f64>() / count;
        let deviation = (present.map(|value| (value - self.mean).powi(2)).sum::<f64>() / count).sqrt();
        self.scale = if deviation > 0.0 { 1.0 / deviation } else { 1.0 };
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
