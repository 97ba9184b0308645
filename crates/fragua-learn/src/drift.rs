//! How far values have moved from those that a model was learned from.

use crate::profile::{CategoryProfile, ColumnProfile, NumberProfile, ValueProfile, count_up_to};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A share of rows is taken for at least this: without it one empty part would make the index infinite.
const LEAST_SHARE: f64 = 1e-4;

/// The values of a column that were seen later.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// Numbers; NaN where one is missing.
    Numbers(Vec<f64>),
    /// Rows by text, and rows without one.
    Texts {
        /// Rows of each text.
        counts: BTreeMap<String, u64>,
        /// Rows without a text.
        missing: u64,
    },
}

/// How far a column has moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The population stability index, over tenths of the training rows or over categories: the sum over all parts of
    /// (share now − share then) · ln(share now / share then), shares being at least 0.0001. Below 0.1 is taken for no drift,
    /// above 0.2 for a large one.
    pub psi: f64,
    /// Which test.
    pub test: Test,
    /// The statistic of the test.
    pub statistic: f64,
    /// How likely a statistic of this size or more is when nothing has moved.
    pub p_value: f64,
    /// Rows that were seen with a value.
    pub rows: u64,
    /// Share of the rows that had no value in training.
    pub missing_then: f64,
    /// Share of the rows that have none now.
    pub missing_now: f64,
}

/// A test of whether two samples come from the same distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Kolmogorov and Smirnov's, of the numbers seen against the percentiles of training. These are known at 101 points, so
    /// the statistic is exact to 0.01; the p-value is that of one sample against a known distribution, in Kolmogorov's limit
    /// with Stephens' correction.
    KolmogorovSmirnov,
    /// Pearson's chi-squared, of the categories seen and those of training as two samples.
    ChiSquared,
}

/// Compares a column with what was seen later. `None` when nothing was seen with a value, nothing was learned from, or one
/// is numbers where the other is texts.
pub fn drift(then: &ColumnProfile, now: &Observed) -> Option<Drift> {
    let share = |part: u64, whole: u64| part as f64 / (whole.max(1)) as f64;
    let missing_then = share(then.missing, then.missing + then.present());
    match (&then.values, now) {
        (ValueProfile::Number(then), Observed::Numbers(now)) => {
            let mut present: Vec<f64> = now.iter().copied().filter(|number| number.is_finite()).collect();
            present.sort_unstable_by(f64::total_cmp);
            if present.is_empty() || then.percentiles.is_empty() {
                return None;
            }
            let counts = count_up_to(&present, &then.tenth_bounds);
            let statistic = distance(then, &present);
            Some(Drift {
                psi: stability_index(then.tenth_counts.iter().copied().zip(counts)),
                test: Test::KolmogorovSmirnov,
                statistic,
                p_value: kolmogorov(statistic, present.len()),
                rows: present.len() as u64,
                missing_then,
                missing_now: share((now.len() - present.len()) as u64, now.len() as u64),
            })
        }
        (ValueProfile::Category(then), Observed::Texts { counts, missing }) => {
            let rows: u64 = counts.values().sum();
            let pairs = paired(then, counts);
            if rows == 0 || pairs.iter().all(|(then, _)| *then == 0) {
                return None;
            }
            let (statistic, freedom) = chi_squared(&pairs);
            Some(Drift {
                psi: stability_index(pairs.iter().copied()),
                test: Test::ChiSquared,
                statistic,
                p_value: chi_squared_tail(statistic, freedom),
                rows,
                missing_then,
                missing_now: share(*missing, missing + rows),
            })
        }
        (ValueProfile::Number(_), Observed::Texts { .. })
        | (ValueProfile::Category(_), Observed::Numbers(_)) => None,
    }
}

/// Rows of each category then and now. Those not listed in training are one category with those that were summed up.
fn paired(then: &CategoryProfile, now: &BTreeMap<String, u64>) -> Vec<(u64, u64)> {
    let known = then.by_text();
    let mut pairs: Vec<(u64, u64)> = then
        .counts
        .iter()
        .map(|(text, count)| (*count, now.get(text).copied().unwrap_or(0)))
        .collect();
    let unknown: u64 = now
        .iter()
        .filter(|(text, _)| !known.contains_key(text.as_str()))
        .map(|(_, count)| count)
        .sum();
    pairs.push((then.other, unknown));
    pairs.retain(|pair| *pair != (0, 0));
    pairs
}

fn stability_index(pairs: impl Iterator<Item = (u64, u64)>) -> f64 {
    let pairs: Vec<(u64, u64)> = pairs.collect();
    let sum = |side: fn(&(u64, u64)) -> u64| pairs.iter().map(side).sum::<u64>().max(1) as f64;
    let (then, now) = (sum(|pair| pair.0), sum(|pair| pair.1));
    pairs
        .iter()
        .map(|pair| {
            let before = (pair.0 as f64 / then).max(LEAST_SHARE);
            let after = (pair.1 as f64 / now).max(LEAST_SHARE);
            (after - before) * (after / before).ln()
        })
        .sum()
}

/// The greatest distance between the shares of numbers up to a point, looked for at the percentiles.
fn distance(then: &NumberProfile, sorted: &[f64]) -> f64 {
    let points = &then.percentiles;
    let count = sorted.len() as f64;
    let mut greatest: f64 = 0.0;
    for (index, point) in points.iter().enumerate() {
        // Of equal points the first begins where the share of what is below ends, the last ends where it is all in.
        let first = points.partition_point(|other| other < point);
        let last = points.partition_point(|other| other <= point) - 1;
        let below = sorted.partition_point(|number| number < point) as f64 / count;
        let up_to = sorted.partition_point(|number| number <= point) as f64 / count;
        let (then_below, then_up_to) = (first as f64 / 100.0, last as f64 / 100.0);
        if index == first {
            greatest = greatest.max(then_below - up_to).max(below - then_below);
        }
        if index == last {
            greatest = greatest.max(up_to - then_up_to).max(then_up_to - up_to);
        }
    }
    greatest.clamp(0.0, 1.0)
}

/// The tail of Kolmogorov's distribution.
fn kolmogorov(statistic: f64, rows: usize) -> f64 {
    let root = (rows as f64).sqrt();
    let x = (root + 0.12 + 0.11 / root) * statistic;
    if x < 0.2 {
        return 1.0;
    }
    let terms = (1..=100).map(|term| {
        let term = f64::from(term);
        let sign = if term % 2.0 == 0.0 { -1.0 } else { 1.0 };
        sign * (-2.0 * term * term * x * x).exp()
    });
    (2.0 * terms.sum::<f64>()).clamp(0.0, 1.0)
}

/// Pearson's statistic of a table with two rows, and its degrees of freedom.
fn chi_squared(pairs: &[(u64, u64)]) -> (f64, usize) {
    let then: u64 = pairs.iter().map(|pair| pair.0).sum();
    let now: u64 = pairs.iter().map(|pair| pair.1).sum();
    let all = (then + now) as f64;
    let statistic = pairs
        .iter()
        .map(|pair| {
            let column = (pair.0 + pair.1) as f64;
            let part = |count: u64, row: u64| {
                let expected = column * row as f64 / all;
                match expected > 0.0 {
                    true => (count as f64 - expected).powi(2) / expected,
                    false => 0.0,
                }
            };
            part(pair.0, then) + part(pair.1, now)
        })
        .sum();
    (statistic, pairs.len() - 1)
}

/// How likely a chi-squared statistic of this size or more is: the upper regularised gamma function of half of both.
fn chi_squared_tail(statistic: f64, freedom: usize) -> f64 {
    if freedom == 0 || statistic <= 0.0 {
        return 1.0;
    }
    let (shape, x) = (freedom as f64 / 2.0, statistic / 2.0);
    let scale = (shape * x.ln() - x - log_gamma(shape)).exp();
    if x < shape + 1.0 {
        // The series of the lower function.
        let mut term = 1.0 / shape;
        let mut sum = term;
        for step in 1..10_000 {
            term *= x / (shape + f64::from(step));
            sum += term;
            if term < sum * 1e-16 {
                break;
            }
        }
        return (1.0 - scale * sum).clamp(0.0, 1.0);
    }
    // The continued fraction of the upper function, by Lentz's method.
    let tiny = 1e-300;
    let mut b = x + 1.0 - shape;
    let mut c = 1.0 / tiny;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for step in 1..10_000 {
        let step = f64::from(step);
        let a = -step * (step - shape);
        b += 2.0;
        let guarded = |value: f64| if value.abs() < tiny { tiny } else { value };
        d = 1.0 / guarded(a * d + b);
        c = guarded(b + a / c);
        let factor = d * c;
        fraction *= factor;
        if (factor - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (scale * fraction).clamp(0.0, 1.0)
}

/// The logarithm of the gamma function, for halves and whole numbers from one half on: what degrees of freedom need.
fn log_gamma(half: f64) -> f64 {
    let is_whole = half.fract() == 0.0;
    let (mut at, mut sum) = match is_whole {
        true => (1.0, 0.0),
        false => (0.5, 0.5 * std::f64::consts::PI.ln()),
    };
    while at < half {
        sum += f64::ln(at);
        at += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(one: f64, two: f64) {
        assert!(
            (one - two).abs() < 1e-9 * two.abs().max(1.0),
            "{one} is not {two}"
        );
    }

    /// Values of `scipy.stats`.
    #[test]
    fn tails_are_those_of_scipy() {
        close(chi_squared_tail(3.841_458_820_694_124, 1), 0.05);
        close(chi_squared_tail(18.307_038_053_275_146, 10), 0.05);
        close(chi_squared_tail(0.5, 4), 0.973_500_978_839_256_1);
        close(chi_squared_tail(100.0, 3), 1.554_159_431_389_604_8e-21);
        close(chi_squared_tail(0.0, 3), 1.0);
        // kstwobign.sf(1.0), at a size where the correction is none.
        assert!((kolmogorov(1.0 / 1e6, 1_000_000_000_000) - 0.269_999_671_677_354_56).abs() < 1e-6);
    }

    #[test]
    fn chi_squared_is_that_of_a_contingency_table() {
        // scipy.stats.chi2_contingency([[10, 20, 30], [6, 9, 17]])
        let (statistic, freedom) = chi_squared(&[(10, 6), (20, 9), (30, 17)]);
        close(statistic, 0.271_574_651_504_035_2);
        assert_eq!(freedom, 2);
    }

    fn numbers(values: impl Iterator<Item = f64>) -> ColumnProfile {
        let mut values: Vec<f64> = values.collect();
        ColumnProfile {
            name: "x".to_owned(),
            missing: 0,
            values: ValueProfile::Number(NumberProfile::of(&mut values)),
        }
    }

    #[test]
    fn numbers_that_stay_do_not_drift_and_those_that_move_do() {
        let then = numbers((0..10_000).map(f64::from));
        let same = drift(
            &then,
            &Observed::Numbers((0..1_000).map(|n| f64::from(n * 10 + 5)).collect()),
        )
        .unwrap();
        assert!(
            same.psi < 0.001 && same.statistic < 0.02 && same.p_value > 0.5,
            "{same:?}"
        );
        let moved = Observed::Numbers((0..1_000).map(|n| f64::from(n * 10 + 3_000)).collect());
        let moved = drift(&then, &moved).unwrap();
        assert!(
            moved.psi > 0.2 && (moved.statistic - 0.3).abs() < 0.02 && moved.p_value < 1e-9,
            "{moved:?}"
        );
        let gaps = Observed::Numbers(vec![f64::NAN, 5_000.0]);
        assert_eq!(drift(&then, &gaps).unwrap().missing_now, 0.5);
        assert_eq!(drift(&then, &Observed::Numbers(vec![f64::NAN])), None);
    }

    #[test]
    fn many_equal_numbers_are_no_drift() {
        let then = numbers((0..1_000).map(|n| f64::from(n % 10 / 8)));
        let now = Observed::Numbers((0..500).map(|n| f64::from(n % 10 / 8)).collect());
        let same = drift(&then, &now).unwrap();
        assert!(same.psi < 1e-9 && same.statistic < 0.011, "{same:?}");
    }

    #[test]
    fn texts_drift_by_their_shares() {
        let counts = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
            pairs
                .iter()
                .map(|(text, count)| ((*text).to_owned(), *count))
                .collect()
        };
        let then = ColumnProfile {
            name: "t".to_owned(),
            missing: 10,
            values: ValueProfile::Category(CategoryProfile::of(vec![
                ("a".to_owned(), 60),
                ("b".to_owned(), 30),
            ])),
        };
        let seen = |pairs: &[(&str, u64)]| {
            let counts = counts(pairs);
            drift(&then, &Observed::Texts { counts, missing: 0 })
        };
        let same = seen(&[("a", 600), ("b", 300)]).unwrap();
        assert!(same.psi < 1e-9 && same.p_value > 0.99, "{same:?}");
        assert_eq!((same.missing_then, same.missing_now), (0.1, 0.0));
        let unseen = seen(&[("a", 60), ("c", 60)]).unwrap();
        assert!(unseen.psi > 1.0 && unseen.p_value < 1e-9, "{unseen:?}");
        assert_eq!(seen(&[]), None);
    }
}
