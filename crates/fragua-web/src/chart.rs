//! Charts as SVG that the server draws. Words and numbers stay in HTML around it, so that they keep their size on every
//! screen and can be read aloud; the SVG holds shapes only and stretches.

use crate::format;

/// A horizontal bar of a ranked list. Its length is a share of the longest possible bar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub(crate) label: String,
    /// The value as people read it.
    pub(crate) value: String,
    /// From 0 to 100.
    pub(crate) length: f64,
    pub(crate) is_first: bool,
}

/// Returns the bars of shares of one, greatest first; equal shares keep their order.
pub(crate) fn shares(values: &[(String, f64)]) -> Vec<Bar> {
    let mut sorted: Vec<&(String, f64)> = values.iter().collect();
    sorted.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    sorted
        .into_iter()
        .enumerate()
        .map(|(rank, (label, share))| Bar {
            label: label.clone(),
            value: format::percent(*share),
            length: length(*share),
            is_first: rank == 0,
        })
        .collect()
}

fn length(share: f64) -> f64 {
    if share.is_nan() {
        return 0.0;
    }
    tenth(share.clamp(0.0, 1.0) * 100.0)
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Returns three to seven round values, at even distances, that enclose the range.
pub(crate) fn ticks(lowest: f64, highest: f64) -> Vec<f64> {
    let range = if highest > lowest {
        highest - lowest
    } else {
        lowest.abs().max(1.0)
    };
    let rough = range / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999_999)
        .unwrap_or(power * 10.0);
    let start = (lowest / step).floor();
    let mut end = (highest / step).ceil();
    if end <= start {
        end = start + 2.0;
    }
    let count = ((end - start).round() as usize).clamp(1, 8);
    (0..=count)
        .map(|i| clean((start + i as f64) * step, step))
        .collect()
}

/// Removes the noise that multiplying adds in the last digits.
fn clean(value: f64, step: f64) -> f64 {
    let digits = (-step.log10().floor()).max(0.0) as usize + 2;
    format!("{value:.*}", digits.min(15)).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_ranked() {
        let bars = shares(&[
            ("a".to_owned(), 0.2),
            ("b".to_owned(), 0.75),
            ("c".to_owned(), f64::NAN),
            ("d".to_owned(), 0.05),
        ]);
        let seen: Vec<_> = bars
            .iter()
            .filter(|bar| bar.length > 0.0)
            .map(|bar| (bar.label.as_str(), bar.length, bar.value.as_str()))
            .collect();
        assert_eq!(
            seen,
            [("b", 75.0, "75.0 %"), ("a", 20.0, "20.0 %"), ("d", 5.0, "5.0 %")]
        );
    }

    #[test]
    fn ticks_are_round_and_enclose_the_range() {
        for (lowest, highest, expected) in [
            (0.0, 1.0, vec![0.0, 0.25, 0.5, 0.75, 1.0]),
            (0.81, 0.93, vec![0.78, 0.81, 0.84, 0.87, 0.9, 0.93]),
            (3.0, 3.0, vec![3.0, 4.0, 5.0]),
        ] {
            let ticks = ticks(lowest, highest);
            assert!(
                ticks[0] <= lowest && *ticks.last().unwrap() >= highest,
                "{ticks:?}"
            );
            assert!((3..=7).contains(&ticks.len()), "{ticks:?} {expected:?}");
        }
        assert_eq!(ticks(0.0, 1.0), [0.0, 0.25, 0.5, 0.75, 1.0]);
        for exponent in -9..9 {
            for factor in [1.0, 1.7, 3.3, 8.9] {
                let highest = factor * 10_f64.powi(exponent);
                let ticks = ticks(-highest / 3.0, highest);
                assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{ticks:?}");
                assert!(*ticks.last().unwrap() >= highest * 0.999, "{ticks:?}");
            }
        }
    }
}
