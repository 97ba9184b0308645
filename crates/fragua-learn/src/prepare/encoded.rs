//! Texts as numbers: by the order of their category, or by what the target is on average there.

use super::categorical::{CategoricalColumn, MISSING, UNKNOWN};
use super::numeric::NumericColumn;
use crate::config::{CategoricalConfig, TextEncoding};
use crate::random::Random;
use crate::table::Categorical;
use crate::target::{Target, Truth};

/// Parts of the rows; each is encoded by the means of the others.
const FOLDS: usize = 5;
const DEFAULT_SMOOTHING: f64 = 10.0;

/// A fitted column of texts that models see as numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EncodedColumn {
    pub(crate) texts: CategoricalColumn,
    /// The number of each category, then that of an unknown and that of a missing text.
    pub(crate) values: Vec<f32>,
    /// How the linear model's numbers are scaled.
    pub(crate) numeric: NumericColumn,
}

impl EncodedColumn {
    /// Learns from all rows and returns their numbers; those by the target come from other rows than their own. By a target
    /// of more than two classes there is one column a class, in their order.
    pub(crate) fn fit(
        column: &Categorical,
        config: &CategoricalConfig,
        target: &Target,
        seed: u64,
    ) -> Vec<(Self, Vec<f32>)> {
        let texts = CategoricalColumn::fit(column, config);
        let mut codes = vec![0.0f32; column.codes().len()];
        texts.encode(column, codes.iter_mut());
        let slots: Vec<usize> = codes.into_iter().map(|code| slot(&texts, code as u8)).collect();
        let slot_count = texts.categories.len() + 2;
        let encodings: Vec<(Vec<f32>, Vec<f32>)> = match config.encoding {
            TextEncoding::Category | TextEncoding::Ordinal => {
                let mut values: Vec<f32> = (0..texts.categories.len()).map(|code| code as f32).collect();
                values.extend([-1.0; 2]);
                let numbers = slots.iter().map(|&slot| values[slot]).collect();
                vec![(values, numbers)]
            }
            TextEncoding::Date => unreachable!("dates have columns of their own"),
            TextEncoding::Target => {
                let smoothing = config.smoothing.unwrap_or(DEFAULT_SMOOTHING);
                let weight = |row: usize| target.weights.as_ref().map_or(1.0, |weights| weights[row]);
                let means = |truth: &[f64], is_used: &dyn Fn(usize) -> bool| {
                    let mut sums = vec![(0.0, 0.0); slot_count];
                    let (mut sum, mut total) = (0.0, 0.0);
                    for row in (0..slots.len()).filter(|&row| is_used(row)) {
                        let slot = &mut sums[slots[row]];
                        slot.0 += weight(row) * truth[row];
                        slot.1 += weight(row);
                        sum += weight(row) * truth[row];
                        total += weight(row);
                    }
                    let mean = if total > 0.0 { sum / total } else { 0.0 };
                    let smoothed = |(sum, total): (f64, f64)| {
                        if total > 0.0 {
                            ((sum + smoothing * mean) / (total + smoothing)) as f32
                        } else {
                            mean as f32
                        }
                    };
                    sums.into_iter().map(smoothed).collect::<Vec<f32>>()
                };
                let mut order: Vec<usize> = (0..slots.len()).collect();
                Random::derive(seed, &[]).shuffle(&mut order);
                let mut fold_of = vec![0; slots.len()];
                for (dealt, &row) in order.iter().enumerate() {
                    fold_of[row] = dealt % FOLDS;
                }
                let encode = |truth: Vec<f64>| {
                    let by_fold: Vec<Vec<f32>> = (0..FOLDS)
                        .map(|fold| means(&truth, &|row| fold_of[row] != fold))
                        .collect();
                    let numbers = (0..slots.len())
                        .map(|row| by_fold[fold_of[row]][slots[row]])
                        .collect();
                    (means(&truth, &|_| true), numbers)
                };
                truths(target).into_iter().map(encode).collect()
            }
        };
        let encoded = |(values, numbers): (Vec<f32>, Vec<f32>)| {
            let encoded = Self {
                texts: texts.clone(),
                values,
                numeric: NumericColumn {
                    fill: None,
                    may_be_missing: false,
                    mean: 0.0,
                    scale: 1.0,
                    knots: Vec::new(),
                },
            };
            (encoded, numbers)
        };
        encodings.into_iter().map(encoded).collect()
    }

    pub(crate) fn encode<'a>(&self, source: &Categorical, target: impl Iterator<Item = &'a mut f32>) {
        let mut codes = vec![0.0f32; source.codes().len()];
        self.texts.encode(source, codes.iter_mut());
        for (target, code) in target.zip(codes) {
            *target = self.value(code as u8);
        }
    }

    pub(crate) fn value(&self, code: u8) -> f32 {
        self.values[slot(&self.texts, code)]
    }
}

fn slot(texts: &CategoricalColumn, code: u8) -> usize {
    match code {
        UNKNOWN => texts.categories.len(),
        MISSING => texts.categories.len() + 1,
        code => usize::from(code),
    }
}

/// What means are taken of: the numbers, being the second of two classes, or being each of more.
fn truths(target: &Target) -> Vec<Vec<f64>> {
    match &target.truth {
        Truth::Numbers(numbers) => vec![numbers.clone()],
        Truth::Classes(classes) => {
            let class_count = target.labels.len();
            let is = |class: usize| {
                classes
                    .iter()
                    .map(move |&own| f64::from(u8::from(usize::from(own) == class)))
            };
            (usize::from(class_count == 2)..class_count)
                .map(|class| is(class).collect())
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Label;

    fn texts(codes: &[u32]) -> Categorical {
        Categorical::new(["a", "b", "z"].map(str::to_owned).to_vec(), codes.to_vec()).unwrap()
    }

    fn numbers(numbers: &[f64]) -> Target {
        Target {
            labels: Vec::new(),
            truth: Truth::Numbers(numbers.to_vec()),
            weights: None,
        }
    }

    fn config(encoding: TextEncoding, smoothing: f64) -> CategoricalConfig {
        CategoricalConfig {
            encoding,
            smoothing: Some(smoothing),
            ..CategoricalConfig::default()
        }
    }

    /// The only column.
    fn fit(column: &Categorical, config: &CategoricalConfig, target: &Target) -> (EncodedColumn, Vec<f32>) {
        let mut fitted = EncodedColumn::fit(column, config, target, 1);
        assert_eq!(fitted.len(), 1);
        fitted.remove(0)
    }

    fn encode(column: &EncodedColumn, codes: &[u32]) -> Vec<f32> {
        let mut values = vec![0.0; codes.len()];
        column.encode(&texts(codes), values.iter_mut());
        values
    }

    #[test]
    fn the_mean_of_a_category_is_mixed_with_that_of_all() {
        let target = numbers(&[1.0, 3.0, 10.0, 10.0]);
        let (column, _) = fit(&texts(&[0, 0, 1, 1]), &config(TextEncoding::Target, 2.0), &target);
        // The mean is 6: (4 + 2 × 6) / 4 and (20 + 2 × 6) / 4; a text never seen has the mean of all.
        assert_eq!(encode(&column, &[0, 1, 2]), [4.0, 8.0, 6.0]);
    }

    #[test]
    fn a_row_that_is_learned_from_does_not_see_its_own_number() {
        // Only one row of each category is not 0: its own code must not tell.
        let codes: Vec<u32> = (0..40).map(|row| row % 2).collect();
        let mut truth = vec![0.0; 40];
        (truth[0], truth[1]) = (100.0, 100.0);
        let target = numbers(&truth);
        let (column, learned) = fit(&texts(&codes), &config(TextEncoding::Target, 0.0), &target);
        assert_eq!((learned[0], learned[1]), (0.0, 0.0));
        assert!(learned[2..].iter().any(|&value| value > 0.0));
        assert_eq!(encode(&column, &[0, 1]), [5.0, 5.0]);
    }

    #[test]
    fn ordinal_codes_follow_the_order_of_the_texts() {
        let (column, learned) = fit(
            &texts(&[1, 0]),
            &config(TextEncoding::Ordinal, 0.0),
            &numbers(&[1.0, 2.0]),
        );
        assert_eq!(learned, [1.0, 0.0]);
        assert_eq!(encode(&column, &[1, 2, 0]), [1.0, -1.0, 0.0]);
    }

    /// The values are those of scikit-learn's `TargetEncoder(smooth=2.0)`.
    #[test]
    fn of_more_than_two_classes_each_has_a_column() {
        let target = Target {
            labels: (0..3).map(Label::Integer).collect(),
            truth: Truth::Classes(vec![0, 1, 2, 0, 0, 1]),
            weights: None,
        };
        let fitted = EncodedColumn::fit(
            &texts(&[0, 0, 0, 1, 1, 1]),
            &config(TextEncoding::Target, 2.0),
            &target,
            1,
        );
        // Of the rows 1/2, 1/3 and 1/6 are of each class: (1 + 2 × 1/2) / 5, (1 + 2 × 1/3) / 5, …
        let expected = [
            [2.0 / 5.0, 3.0 / 5.0, 1.0 / 2.0],
            [1.0 / 3.0; 3],
            [4.0 / 15.0, 1.0 / 15.0, 1.0 / 6.0],
        ];
        assert_eq!(fitted.len(), 3);
        for ((column, _), expected) in fitted.iter().zip(expected) {
            for (value, expected) in encode(column, &[0, 1, 2]).into_iter().zip(expected) {
                assert!(
                    (f64::from(value) - expected).abs() < 1e-6,
                    "{value} and {expected}"
                );
            }
        }
    }
}
