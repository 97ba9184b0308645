//! The curves of a run: which metrics, over what, on which scale. All of it is in the address.

use fragua_tracking::{Metric, Run, Tracking};

use crate::error::Error;
use crate::format;
use crate::headline;
use crate::line_plot::{self, Axis, Look, Plot, Series};
use crate::page::Page;

/// Points of a curve that are fetched and drawn: about as many as the picture has room for.
const POINTS: u64 = 400;
const CURVES_PER_PAGE: usize = 24;
const SMOOTHINGS: [&str; 6] = ["0.3", "0.6", "0.8", "0.9", "0.95", "0.99"];

pub(super) struct Curves {
    pub(super) search: String,
    /// The one metric that is shown large.
    pub(super) only: String,
    pub(super) axis: Axis,
    pub(super) is_logarithmic: bool,
    /// As in the address; empty for none.
    pub(super) smoothing: String,
    pub(super) is_together: bool,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) cards: Vec<Card>,
    /// Metrics that have no curve to draw, with their value.
    pub(super) singles: Vec<(String, String)>,
    pub(super) first: Option<String>,
    pub(super) next: Option<String>,
}

pub(super) struct Card {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) last: String,
    pub(super) plot: Plot,
    /// Where the metric is shown alone and large.
    pub(super) address: String,
}

impl Curves {
    pub(super) fn axes(&self) -> [Axis; 3] {
        Axis::ALL
    }

    pub(super) fn smoothings(&self) -> [&'static str; 6] {
        SMOOTHINGS
    }
}

pub(super) async fn show(tracking: &Tracking, page: &Page, run: &Run) -> Result<Curves, Error> {
    let chosen = |name| page.parameter(name).unwrap_or_default().trim().to_owned();
    let (search, only) = (chosen("metric"), chosen("only"));
    let axis = Axis::from_name(&chosen("axis"));
    let smoothing = chosen("smooth");
    let look = Look {
        axis,
        is_logarithmic: !chosen("log").is_empty(),
        smoothing: smoothing
            .parse()
            .ok()
            .filter(|weight| (0.0..0.999).contains(weight))
            .unwrap_or(0.0),
    };
    let (from, to) = (chosen("from"), chosen("to"));
    let steps = steps(&from, &to);
    let skipped = chosen("skip").parse().unwrap_or(0);
    let is_together = !chosen("together").is_empty() && only.is_empty();

    let wanted = search.to_lowercase();
    let mut keys: Vec<&str> = run
        .metrics
        .iter()
        .map(|metric| metric.key.as_str())
        .filter(|key| {
            if only.is_empty() {
                key.to_lowercase().contains(&wanted)
            } else {
                *key == only
            }
        })
        .collect();
    keys.sort_by_key(|key| (headline::rank(key), *key));
    keys.dedup();
    let is_more = keys.len() > skipped + CURVES_PER_PAGE;
    let mut all = Vec::new();
    for key in keys.into_iter().skip(skipped).take(CURVES_PER_PAGE) {
        let ids = [run.info.run_id.clone()];
        let found = tracking.metric_chart(&ids, key, POINTS, steps).await?;
        let points = found
            .into_iter()
            .next()
            .map_or_else(Vec::new, |series| series.points);
        all.push(Series {
            label: key.to_owned(),
            points: places(&points, axis, run),
        });
    }
    let mut cards = Vec::new();
    let mut singles = Vec::new();
    let last = |key: &str| run.metric(key).map_or_else(String::new, format::number);
    let groups: Vec<&[Series]> = if is_together {
        all.chunks(line_plot::COLORS).collect()
    } else {
        all.chunks(1).collect()
    };
    for group in groups {
        let Some(plot) = line_plot::draw(group, look) else {
            singles.extend(
                group
                    .iter()
                    .map(|series| (series.label.clone(), last(&series.label))),
            );
            continue;
        };
        let names: Vec<&str> = group.iter().map(|series| series.label.as_str()).collect();
        cards.push(Card {
            id: format!("curve-{}", cards.len()),
            title: names.join(", "),
            last: if group.len() == 1 {
                last(names[0])
            } else {
                String::new()
            },
            plot,
            address: if group.len() == 1 && only.is_empty() {
                page.with2("only", names[0], "skip", "")
            } else {
                String::new()
            },
        });
    }
    Ok(Curves {
        axis,
        is_logarithmic: look.is_logarithmic,
        is_together,
        cards,
        singles,
        first: (skipped > 0).then(|| page.with("skip", "")),
        next: is_more.then(|| page.with("skip", &(skipped + CURVES_PER_PAGE).to_string())),
        search,
        only,
        smoothing,
        from,
        to,
    })
}

/// Returns the steps that the address names; an end that is not a number is open.
fn steps(from: &str, to: &str) -> Option<(i64, i64)> {
    let (from, to) = (from.parse(), to.parse());
    if from.is_err() && to.is_err() {
        return None;
    }
    Some((from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX)))
}

fn places(points: &[Metric], axis: Axis, run: &Run) -> Vec<(f64, f64)> {
    let earliest = points.iter().map(|point| point.timestamp.as_millis()).min();
    let start = run.info.start_time.map_or(i64::MAX, |at| at.as_millis());
    // A client may log values of a time before it made the run.
    let start = earliest.map_or(start, |earliest| earliest.min(start));
    let place = |point: &Metric| axis.place(point.step, point.timestamp.as_millis(), start);
    points.iter().map(|point| (place(point), point.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_steps_may_be_open() {
        for (from, to, expected) in [
            ("", "", None),
            ("x", "", None),
            ("5", "", Some((5, i64::MAX))),
            ("", "-3", Some((i64::MIN, -3))),
            ("1", "9", Some((1, 9))),
        ] {
            assert_eq!(steps(from, to), expected, "{from}..{to}");
        }
    }
}
