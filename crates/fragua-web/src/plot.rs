//! Pictures that compare many runs: lines over steps or time, and axes on which each run has a place. Pure: values in,
//! places out.

use std::collections::BTreeSet;

use crate::line_plot::{Frame, in_order, range, values};
use crate::{chart, format};

/// Colours differ for this many things; dashes tell the next ones apart.
const COLOURS: usize = 10;
const DASHES: usize = 4;
/// A numeric axis over more than this ratio is logarithmic, as a learning rate is.
const WIDE: f64 = 500.0;
/// More words than this on one axis are thinned out.
const MOST_WORDS: usize = 14;

/// Returns the style classes of the thing at a place of a list.
pub(crate) fn series_class(index: usize) -> String {
    format!("series-{} dash-{}", index % COLOURS, index / COLOURS % DASHES)
}

/// Lines in a box of 1000 by 300, with what the edges mean.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lines {
    pub(crate) lines: Vec<Line>,
    pub(crate) x: (f64, f64),
    /// Bottom and top; their powers of ten where the scale is logarithmic.
    pub(crate) y: (f64, f64),
    /// From top to bottom, at even distances.
    pub(crate) y_labels: Vec<String>,
    pub(crate) is_log: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Which of the series this is.
    pub(crate) index: usize,
    pub(crate) class: String,
    pub(crate) path: String,
    /// Whether it is one value that did not change over steps.
    pub(crate) is_dot: bool,
}

/// Draws series of points. What has no place on the scale is a gap; nothing is drawn without two places in all.
pub(crate) fn lines(series: &[Vec<(f64, f64)>], is_log: bool) -> Option<Lines> {
    let drawn: Vec<Vec<(f64, f64)>> = series.iter().map(|points| in_order(points, is_log)).collect();
    let frame = Frame::around(drawn.iter().flatten(), is_log)?;
    let lines = drawn
        .iter()
        .enumerate()
        .map(|(index, points)| Line {
            index,
            class: series_class(index),
            path: frame.path(points),
            is_dot: values(points).count() == 1,
        })
        .filter(|line| !line.path.is_empty())
        .collect();
    Some(Lines {
        lines,
        y_labels: frame.labels(),
        x: frame.x,
        y: frame.y,
        is_log,
    })
}

/// An axis on which each run has a place from 0 to 1, or none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub(crate) places: Vec<Option<f64>>,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) is_log: bool,
    /// Whether the places are words and not numbers.
    pub(crate) is_words: bool,
    /// What the places 0 and 1 mean, of numbers.
    pub(crate) ends: (f64, f64),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) place: f64,
    pub(crate) label: String,
}

impl Axis {
    /// Makes an axis of texts: of numbers where all of them are, of words otherwise.
    pub(crate) fn of(values: &[Option<String>]) -> Self {
        let numbers: Vec<Option<f64>> = values
            .iter()
            .map(|value| value.as_deref().and_then(|value| value.trim().parse().ok()))
            .collect();
        let are_numbers = values
            .iter()
            .zip(&numbers)
            .all(|(value, number)| value.is_none() == number.is_none());
        if are_numbers {
            Self::of_numbers(&numbers)
        } else {
            Self::of_words(values)
        }
    }

    /// Makes an axis of numbers; what is not finite has no place.
    pub(crate) fn of_numbers(values: &[Option<f64>]) -> Self {
        let finite = |value: &Option<f64>| value.filter(|value| format::is_finite(*value));
        let (lowest, highest) = range(values.iter().filter_map(finite)).unwrap_or((0.0, 1.0));
        let is_log = lowest > 0.0 && highest / lowest > WIDE;
        let scaled = |value: f64| if is_log { value.log10() } else { value };
        let (low, high) = if is_log {
            (lowest.log10().floor(), highest.log10().ceil())
        } else {
            let ticks = chart::ticks(lowest, highest);
            (ticks[0], ticks[ticks.len() - 1])
        };
        let ticks: Vec<f64> = if is_log {
            (low as i32..=high as i32).map(f64::from).collect()
        } else {
            chart::ticks(lowest, highest)
        };
        let place = |value: f64| (value - low) / (high - low);
        Self {
            places: values
                .iter()
                .map(|value| finite(value).map(|value| place(scaled(value))))
                .collect(),
            ticks: ticks
                .into_iter()
                .map(|tick| Tick {
                    place: place(tick),
                    label: format::number(if is_log { 10_f64.powf(tick) } else { tick }),
                })
                .collect(),
            is_log,
            is_words: false,
            ends: (low, high),
        }
    }

    fn of_words(values: &[Option<String>]) -> Self {
        let words: Vec<&String> = values
            .iter()
            .flatten()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let last = words.len().saturating_sub(1).max(1) as f64;
        let place = |index: usize| {
            if words.len() == 1 {
                0.5
            } else {
                index as f64 / last
            }
        };
        let every = words.len().div_ceil(MOST_WORDS).max(1);
        Self {
            places: values
                .iter()
                .map(|value| {
                    value
                        .as_ref()
                        .and_then(|value| words.binary_search(&value).ok())
                        .map(place)
                })
                .collect(),
            ticks: words
                .iter()
                .enumerate()
                .step_by(every)
                .map(|(index, word)| Tick {
                    place: place(index),
                    label: format::shorten(word, 18),
                })
                .collect(),
            is_log: false,
            is_words: true,
            ends: (0.0, last),
        }
    }

    /// Returns the style class of the shade of a run: ten from low to high, or the one of no value.
    pub(crate) fn shade(&self, run: usize) -> String {
        match self.places.get(run).copied().flatten() {
            None => "shade-none".to_owned(),
            Some(place) => format!("shade-{}", (place * 9.0).round().clamp(0.0, 9.0)),
        }
    }
}

/// Five numbers that stand for many: least, quarter, half, three quarters, greatest.
pub(crate) fn quartiles(values: &mut [f64]) -> Option<[f64; 5]> {
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let last = (values.len() - 1) as f64;
    let at = |share: f64| {
        let place = share * last;
        let below = place.floor() as usize;
        let above = place.ceil() as usize;
        values[below] + (values[above] - values[below]) * place.fract()
    };
    Some([0.0, 0.25, 0.5, 0.75, 1.0].map(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<Option<String>> {
        values
            .iter()
            .map(|value| (!value.is_empty()).then(|| (*value).to_owned()))
            .collect()
    }

    #[test]
    fn lines_fill_the_box_they_share() {
        let drawn = lines(&[vec![(0.0, 0.0), (10.0, 1.0)], vec![], vec![(5.0, 0.5)]], false).unwrap();
        assert_eq!(drawn.lines[0].path, "M0 300L1000 0");
        assert_eq!(
            (drawn.lines[1].index, drawn.lines[1].path.as_str()),
            (2, "M500 150h0")
        );
        assert!(drawn.lines[1].is_dot);
        assert_eq!(drawn.y_labels, ["1", "0.75", "0.5", "0.25", "0"]);
        assert_eq!(lines(&[vec![(1.0, 1.0)]], false), None);
        assert_eq!(lines(&[], false), None);
    }

    #[test]
    fn a_logarithmic_scale_leaves_out_what_it_cannot_show() {
        let drawn = lines(
            &[vec![(0.0, 0.0), (1.0, 0.01), (2.0, f64::NAN), (3.0, 1.0)]],
            true,
        )
        .unwrap();
        assert_eq!(drawn.lines[0].path, "M0 300h0M1000 0h0");
        assert!(!drawn.lines[0].is_dot);
        assert_eq!(drawn.y_labels, ["1", "0.1", "0.01"]);
        assert_eq!(drawn.y, (-2.0, 0.0));
    }

    #[test]
    fn an_axis_is_of_numbers_when_all_are() {
        let axis = Axis::of(&texts(&["0", "10", "", "5"]));
        assert_eq!(axis.places, [Some(0.0), Some(1.0), None, Some(0.5)]);
        assert!(!axis.is_words && !axis.is_log);
        let axis = Axis::of(&texts(&["0.0001", "0.1"]));
        assert!(axis.is_log);
        assert_eq!(axis.places, [Some(0.0), Some(1.0)]);
        assert_eq!(axis.ticks.len(), 4);
        let axis = Axis::of(&texts(&["gini", "7", "entropy"]));
        assert!(axis.is_words);
        assert_eq!(axis.places, [Some(1.0), Some(0.0), Some(0.5)]);
        assert_eq!(axis.shade(1), "shade-0");
        assert_eq!(axis.shade(9), "shade-none");
        let axis = Axis::of(&texts(&["", ""]));
        assert_eq!(axis.places, [None, None]);
    }

    #[test]
    fn quartiles_are_interpolated() {
        assert_eq!(
            quartiles(&mut [4.0, 1.0, 2.0, 3.0, 5.0]),
            Some([1.0, 2.0, 3.0, 4.0, 5.0])
        );
        assert_eq!(quartiles(&mut [1.0, 2.0]), Some([1.0, 1.25, 1.5, 1.75, 2.0]));
        assert_eq!(quartiles(&mut []), None);
    }
}
