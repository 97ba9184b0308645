//! Charts as SVG that the server draws. Words and numbers stay in HTML around it, so that they keep their size on every
//! screen and can be read aloud; the SVG holds shapes only and stretches.

use std::fmt::Write;

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

/// A curve of a measured value over steps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    /// The `d` of the line in a box of 1000 by 300.
    pub(crate) line: String,
    /// The `d` of the dots; empty when there are too many to tell apart.
    pub(crate) dots: String,
    /// What the horizontal lines stand for, from the top down.
    pub(crate) values: Vec<String>,
    /// What the vertical lines stand for, from the left.
    pub(crate) steps: Vec<String>,
    /// Each point for the table beside the picture.
    pub(crate) rows: Vec<(String, String)>,
}

impl Curve {
    /// Says in one line what the picture shows, for those who do not see it.
    pub(crate) fn summary(&self) -> String {
        let (first, last) = (self.rows.first(), self.rows.last());
        let word = |row: Option<&(String, String)>| {
            row.map_or_else(String::new, |(step, value)| format!("{step}: {value}"))
        };
        format!("{} → {}", word(first), word(last))
    }
}

/// The width of the box that lines are drawn in.
const WIDTH: f64 = 1000.0;
/// The height of the box that lines are drawn in.
const HEIGHT: f64 = 300.0;
/// More points than the picture has pixels only make it slower.
const MOST_POINTS: usize = 500;
const MOST_DOTS: usize = 60;
const MOST_ROWS: usize = 200;

/// Draws a curve through points of (step, value) in the order of the steps. Values that are not finite make a gap.
/// Returns nothing when fewer than two points can be drawn.
pub(crate) fn curve(points: &[(i64, f64)]) -> Option<Curve> {
    let finite: Vec<(i64, f64)> = points
        .iter()
        .copied()
        .filter(|(_, value)| value.is_finite())
        .collect();
    let (first, last) = (finite.first()?.0, finite.last()?.0);
    if finite.len() < 2 || first == last {
        return None;
    }
    let lowest = finite
        .iter()
        .map(|(_, value)| *value)
        .fold(f64::INFINITY, f64::min);
    let highest = finite
        .iter()
        .map(|(_, value)| *value)
        .fold(f64::NEG_INFINITY, f64::max);
    let ticks = ticks(lowest, highest);
    let (bottom, top) = (ticks[0], ticks[ticks.len() - 1]);
    let span = last.saturating_sub(first) as f64;
    let place = |(step, value): (i64, f64)| {
        (
            tenth(step.saturating_sub(first) as f64 / span * WIDTH),
            tenth((top - value) / (top - bottom) * HEIGHT),
        )
    };
    let mut line = String::new();
    let mut dots = String::new();
    for (index, point) in thin(&finite, MOST_POINTS).into_iter().enumerate() {
        let (x, y) = place(point);
        let _ = write!(line, "{}{x} {y}", if index == 0 { "M" } else { "L" });
        // A line of no length with round ends stays round however the box is stretched.
        let _ = write!(dots, "M{x} {y}h0");
    }
    if finite.len() > MOST_DOTS {
        dots.clear();
    }
    let middle = first + (last - first) / 2;
    let mut steps = vec![first.to_string(), middle.to_string(), last.to_string()];
    steps.dedup();
    if last - first == 1 {
        steps = vec![first.to_string(), last.to_string()];
    }
    Some(Curve {
        line,
        dots,
        values: ticks.iter().rev().map(|value| format::number(*value)).collect(),
        steps,
        rows: thin(points, MOST_ROWS)
            .into_iter()
            .map(|(step, value)| (step.to_string(), format::number(value)))
            .collect(),
    })
}

/// Returns at most `limit` of the points, evenly chosen, with the first and the last.
fn thin(points: &[(i64, f64)], limit: usize) -> Vec<(i64, f64)> {
    if points.len() <= limit {
        return points.to_vec();
    }
    let last = points.len() - 1;
    (0..limit).map(|i| points[i * last / (limit - 1)]).collect()
}

/// Returns three to seven round values, at even distances, that enclose the range.
fn ticks(lowest: f64, highest: f64) -> Vec<f64> {
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

    #[test]
    fn a_curve_needs_two_steps() {
        assert_eq!(curve(&[]), None);
        assert_eq!(curve(&[(1, 0.5)]), None);
        assert_eq!(curve(&[(1, 0.5), (1, 0.7)]), None);
        assert_eq!(curve(&[(1, f64::NAN), (2, 0.7)]), None);
        let drawn = curve(&[(0, 0.0), (10, 1.0)]).unwrap();
        assert_eq!(drawn.line, "M0 300L1000 0");
        assert_eq!(drawn.values, ["1", "0.75", "0.5", "0.25", "0"]);
        assert_eq!(drawn.steps, ["0", "5", "10"]);
    }

    #[test]
    fn a_long_curve_keeps_its_ends_and_stays_small() {
        let points: Vec<_> = (0..10_000).map(|i| (i, (i as f64 / 500.0).sin())).collect();
        let drawn = curve(&points).unwrap();
        assert!(drawn.line.len() < 10_000, "{}", drawn.line.len());
        assert!(drawn.dots.is_empty());
        assert_eq!(drawn.rows.len(), MOST_ROWS);
        assert_eq!(drawn.rows.last().unwrap().0, "9999");
    }
}
