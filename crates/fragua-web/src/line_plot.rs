//! Curves of measured values: one or several in a box, over steps or time, straight or logarithmic, smoothed or not.
//!
//! As in [`crate::chart`] the SVG carries shapes only; words and numbers stay in HTML around it. The points travel along
//! as data, so that a script can say what lies under the pointer.

use std::fmt::Write;

use serde_json::json;

use crate::{chart, format};

/// What the horizontal axis counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Axis {
    /// Steps of training.
    #[default]
    Step,
    /// Instants, in milliseconds.
    Time,
    /// Milliseconds since the first value.
    Relative,
}

impl Axis {
    pub(crate) const ALL: [Self; 3] = [Self::Step, Self::Time, Self::Relative];

    /// Returns the name in an address; `axis-` before it is the key of its word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Time => "time",
            Self::Relative => "relative",
        }
    }

    pub(crate) fn from_name(name: &str) -> Self {
        let named = Self::ALL.into_iter().find(|axis| axis.name() == name);
        named.unwrap_or_default()
    }

    /// Returns where a value stands that was logged at a step and at an instant; instants are milliseconds.
    pub(crate) fn place(self, step: i64, at: i64, start: i64) -> f64 {
        match self {
            Self::Step => step as f64,
            Self::Time => at as f64,
            Self::Relative => (at - start) as f64,
        }
    }

    /// Writes a place on an axis of this length.
    pub(crate) fn write(self, x: f64, span: f64) -> String {
        const DAY: f64 = 86_400_000.0;
        match self {
            Self::Step => format::number(x.round()),
            Self::Relative => format::duration(x as i64),
            Self::Time => {
                let written = format::instant(fragua_base::Timestamp::from_millis(x as i64));
                match written.split_once(' ') {
                    Some((day, _)) if span > 3.0 * DAY => day.to_owned(),
                    Some((_, clock)) if span < DAY => clock.to_owned(),
                    _ => written,
                }
            }
        }
    }
}

/// A row of values with a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) label: String,
    /// Place on the axis and value.
    pub(crate) points: Vec<(f64, f64)>,
}

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Look {
    pub(crate) axis: Axis,
    pub(crate) is_logarithmic: bool,
    /// From 0, each value as it is, to just below 1.
    pub(crate) smoothing: f64,
}

/// A drawn box of curves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plot {
    pub(crate) lines: Vec<Line>,
    /// What the horizontal lines stand for, from the top down.
    pub(crate) values: Vec<String>,
    /// What lies at the left end, the middle and the right end.
    pub(crate) places: Vec<String>,
    /// The points for the script that reads them out.
    pub(crate) data: String,
    /// Each point of each series for the table beside the picture: series, place, value.
    pub(crate) rows: Vec<(String, String, String)>,
}

/// One curve in a box of 1000 by 300.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) label: String,
    /// Names one of the colours, from 0.
    pub(crate) color: usize,
    /// The `d` of the line.
    pub(crate) line: String,
    /// The `d` of the values as they are, where the line is smoothed.
    pub(crate) raw: String,
    /// The `d` of the dots; empty when there are too many to tell apart.
    pub(crate) dots: String,
    /// The last value.
    pub(crate) last: String,
}

impl Plot {
    /// Says in one line what the picture shows, for those who do not see it.
    pub(crate) fn summary(&self) -> String {
        let lines = self.lines.iter();
        let words: Vec<String> = lines
            .map(|line| format!("{}: {}", line.label, line.last))
            .collect();
        words.join(", ")
    }
}

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 300.0;
const MOST_DOTS: usize = 60;
const MOST_ROWS: usize = 200;
/// How many colours the style sheet has.
pub(crate) const COLORS: usize = 8;

/// Draws the series. Values that are not finite, and on a logarithmic scale those that are not positive, are gaps in the
/// lines. Returns nothing when fewer than two places are left.
pub(crate) fn draw(series: &[Series], look: Look) -> Option<Plot> {
    let shown: Vec<Series> = series
        .iter()
        .map(|one| Series {
            label: one.label.clone(),
            points: in_order(&one.points, look.is_logarithmic),
        })
        .collect();
    let frame = Frame::around(shown.iter().flat_map(|one| &one.points), look.is_logarithmic)?;
    let lines = shown
        .iter()
        .enumerate()
        .map(|(index, one)| {
            let smoothed = smooth(&one.points, look.smoothing);
            let mut dots: Vec<_> = values(&smoothed).collect();
            if dots.len() > MOST_DOTS {
                dots.clear();
            }
            Line {
                label: one.label.clone(),
                color: index % COLORS,
                line: frame.path(&smoothed),
                raw: if look.smoothing > 0.0 {
                    frame.path(&one.points)
                } else {
                    String::new()
                },
                dots: dots.into_iter().map(|point| frame.place(point)).fold(
                    String::new(),
                    |mut path, (x, y)| {
                        // A line of no length with round ends stays round however the box is stretched.
                        let _ = write!(path, "M{x} {y}h0");
                        path
                    },
                ),
                last: values(&one.points)
                    .last()
                    .map_or_else(String::new, |(_, y)| format::number(y)),
            }
        })
        .collect();
    let written: Vec<_> = shown
        .iter()
        .map(|one| {
            let points = smooth(&one.points, look.smoothing);
            json!({ "label": one.label, "points": values(&points).collect::<Vec<_>>() })
        })
        .collect();
    let ((first, last), (bottom, top)) = (frame.x, frame.y);
    let data = json!({
        "axis": look.axis.name(), "first": first, "last": last,
        "bottom": bottom, "top": top, "logarithmic": look.is_logarithmic, "series": written,
    });
    let span = last - first;
    let mut ends: Vec<String> = [first, first + span / 2.0, last]
        .into_iter()
        .map(|x| look.axis.write(x, span))
        .collect();
    if look.axis == Axis::Step && span < 2.0 {
        ends.remove(1);
    }
    let rows = series.iter().flat_map(|one| {
        thin(&one.points, MOST_ROWS / series.len().max(1) + 2)
            .into_iter()
            .map(|(x, y)| (one.label.clone(), look.axis.write(x, span), format::number(y)))
    });
    Some(Plot {
        lines,
        values: frame.labels(),
        places: ends,
        data: data.to_string(),
        rows: rows.collect(),
    })
}

/// A box of 1000 by 300 that some points fill.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    /// What lies at the left and at the right edge.
    pub(crate) x: (f64, f64),
    /// What lies at the bottom and at the top; powers of ten where the scale is logarithmic.
    pub(crate) y: (f64, f64),
    /// What the horizontal lines stand for, from the bottom up, at even distances.
    ticks: Vec<f64>,
    is_logarithmic: bool,
}

impl Frame {
    /// Returns the box around points, gaps left out; nothing where they do not lie at two places.
    pub(crate) fn around<'points>(
        points: impl Iterator<Item = &'points (f64, f64)> + Clone,
        is_logarithmic: bool,
    ) -> Option<Self> {
        let points = points.filter(|point| !is_gap(point));
        let x = range(points.clone().map(|(x, _)| *x))?;
        let (lowest, highest) = range(points.map(|(_, y)| *y))?;
        if x.0 >= x.1 {
            return None;
        }
        let (ticks, scale): (_, fn(f64) -> f64) = if is_logarithmic {
            (powers(lowest, highest), f64::log10)
        } else {
            (chart::ticks(lowest, highest), |value| value)
        };
        Some(Self {
            x,
            y: (scale(ticks[0]), scale(ticks[ticks.len() - 1])),
            ticks,
            is_logarithmic,
        })
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let ((left, right), (bottom, top)) = (self.x, self.y);
        let y = if self.is_logarithmic { y.log10() } else { y };
        (
            tenth((x - left) / (right - left) * WIDTH),
            tenth((top - y) / (top - bottom) * HEIGHT),
        )
    }

    /// Returns the `d` of the line through some points. Gaps break it; a point between two gaps is a dot.
    pub(crate) fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        for part in points.split(is_gap) {
            for (index, point) in part.iter().enumerate() {
                let (x, y) = self.place(*point);
                let _ = write!(path, "{}{x} {y}", if index == 0 { "M" } else { "L" });
            }
            if part.len() == 1 {
                path.push_str("h0");
            }
        }
        path
    }

    /// Returns what the horizontal lines stand for, from the top down.
    pub(crate) fn labels(&self) -> Vec<String> {
        let ticks = self.ticks.iter().rev();
        ticks.map(|value| format::number(*value)).collect()
    }
}

/// Returns the least and the greatest of some values.
pub(crate) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |found, value| match found {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Returns the points from left to right. A value that has no place on the scale becomes a gap: NaN.
pub(crate) fn in_order(points: &[(f64, f64)], is_logarithmic: bool) -> Vec<(f64, f64)> {
    let has_place = |y: f64| format::is_finite(y) && (!is_logarithmic || y > 0.0);
    let mut points: Vec<(f64, f64)> = points
        .iter()
        .map(|(x, y)| (*x, if has_place(*y) { *y } else { f64::NAN }))
        .collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    points
}

fn is_gap((_, y): &(f64, f64)) -> bool {
    y.is_nan()
}

/// Returns the points that are no gaps.
pub(crate) fn values(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    points.iter().copied().filter(|point| !is_gap(point))
}

/// Returns the exponential moving average, corrected for its start, so that the first value weighs no more than others.
/// It goes on behind what is no finite number, which stays as it is.
pub(crate) fn smooth(points: &[(f64, f64)], weight: f64) -> Vec<(f64, f64)> {
    let (mut sum, mut norm) = (0.0, 0.0);
    let next = |(x, y): &(f64, f64)| {
        if !format::is_finite(*y) {
            return (*x, *y);
        }
        sum = sum * weight + (1.0 - weight) * y;
        norm = norm * weight + (1.0 - weight);
        (*x, sum / norm)
    };
    if weight > 0.0 {
        points.iter().map(next).collect()
    } else {
        points.to_vec()
    }
}

/// Returns at most `limit` of the points, evenly chosen, with the first and the last.
fn thin(points: &[(f64, f64)], limit: usize) -> Vec<(f64, f64)> {
    if points.len() <= limit {
        return points.to_vec();
    }
    let last = points.len() - 1;
    (0..limit).map(|i| points[i * last / (limit - 1)]).collect()
}

/// Returns three to seven values, at even distances on a logarithmic scale, that enclose a positive range.
fn powers(lowest: f64, highest: f64) -> Vec<f64> {
    let bottom = lowest.log10().floor();
    let mut top = highest.log10().ceil();
    if top <= bottom {
        top = bottom + 1.0;
    }
    let decades = top - bottom;
    let step = if decades < 2.0 {
        0.5
    } else {
        (decades / 6.0).ceil()
    };
    let count = (decades / step).ceil() as i32;
    (0..=count)
        .map(|i| 10_f64.powf(bottom + f64::from(i) * step))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64)]) -> Vec<Series> {
        vec![Series {
            label: "loss".to_owned(),
            points: points.to_vec(),
        }]
    }

    #[test]
    fn a_curve_needs_two_places() {
        let look = Look::default();
        for points in [
            &[][..],
            &[(1.0, 0.5)],
            &[(1.0, 0.5), (1.0, 0.7)],
            &[(1.0, f64::NAN), (2.0, 0.7)],
        ] {
            assert_eq!(draw(&series(points), look), None, "{points:?}");
        }
        let drawn = draw(&series(&[(10.0, 1.0), (0.0, 0.0)]), look).unwrap();
        assert_eq!(drawn.lines[0].line, "M0 300L1000 0");
        assert_eq!(drawn.values, ["1", "0.75", "0.5", "0.25", "0"]);
        assert_eq!(drawn.places, ["0", "5", "10"]);
        assert_eq!(drawn.lines[0].last, "1");
    }

    #[test]
    fn a_logarithmic_scale_leaves_out_what_is_not_positive() {
        let look = Look {
            is_logarithmic: true,
            ..Look::default()
        };
        let drawn = draw(&series(&[(0.0, 0.01), (1.0, 0.0), (2.0, 1.0)]), look).unwrap();
        assert_eq!(drawn.values, ["1", "0.1", "0.01"]);
        assert_eq!(drawn.lines[0].line, "M0 300h0M1000 0h0");
        assert_eq!(draw(&series(&[(0.0, -1.0), (1.0, -2.0)]), look), None);
        for exponent in -9..9 {
            for factor in [1.0, 1.7, 9.9] {
                let highest = factor * 10_f64.powi(exponent);
                for lowest in [highest, highest / 3.0, highest / 1e9] {
                    let ticks = powers(lowest, highest);
                    assert!((3..=7).contains(&ticks.len()), "{lowest} {highest}: {ticks:?}");
                    assert!(ticks[0] <= lowest * 1.000_001 && ticks[ticks.len() - 1] >= highest * 0.999_999);
                }
            }
        }
    }

    #[test]
    fn the_points_around_a_nan_were_joined() {
        let points = [
            (0.0, 0.0),
            (1.0, 1.0),
            (2.0, f64::NAN),
            (3.0, 0.5),
            (4.0, f64::MAX),
            (5.0, 1.0),
            (10.0, 0.0),
        ];
        let drawn = draw(&series(&points), Look::default()).unwrap();
        let line = &drawn.lines[0];
        assert_eq!(line.line, "M0 300L100 0M300 150h0M500 0L1000 300");
        assert_eq!(line.dots, "M0 300h0M100 0h0M300 150h0M500 0h0M1000 300h0");
        // What is read out are values; the table says where there were none.
        assert!(
            drawn
                .data
                .contains("[[0.0,0.0],[1.0,1.0],[3.0,0.5],[5.0,1.0],[10.0,0.0]]")
        );
        assert_eq!(drawn.rows[2].2, "nan");
        let look = Look {
            smoothing: 0.5,
            ..Look::default()
        };
        let smoothed = draw(&series(&points), look).unwrap();
        assert_eq!(smoothed.lines[0].line.matches('M').count(), 3);
        assert_eq!(smoothed.lines[0].raw, line.line);
    }

    #[test]
    fn smoothing_calms_and_keeps_the_level() {
        let steady = smooth(&[(0.0, 2.0), (1.0, 2.0), (2.0, 2.0)], 0.9);
        assert!(steady.iter().all(|(_, y)| (y - 2.0).abs() < 1e-12), "{steady:?}");
        let jump = smooth(&[(0.0, 0.0), (1.0, 1.0)], 0.5);
        assert!((jump[1].1 - 2.0 / 3.0).abs() < 1e-12, "{jump:?}");
        let raw = [(0.0, 0.3), (1.0, 0.1)];
        assert_eq!(smooth(&raw, 0.0), raw);
    }

    #[test]
    fn an_axis_is_written_for_people() {
        for (axis, x, span, expected) in [
            (Axis::Step, 1_000.0, 2_000.0, "1000"),
            (Axis::Relative, 185_000.0, 300_000.0, "3 m 05 s"),
            (Axis::Time, 1_743_573_600_000.0, 60_000.0, "06:00:00"),
            (Axis::Time, 1_743_573_600_000.0, 1e9, "2025-04-02"),
        ] {
            assert_eq!(axis.write(x, span), expected);
        }
    }
}
