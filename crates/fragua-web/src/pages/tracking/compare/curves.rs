//! How the metrics of the runs went, one picture for each metric with a line for each run.

use std::collections::BTreeSet;

use fragua_tracking::{Metric, MetricSeries, Run, Tracking};

use super::address;
use crate::error::Error;
use crate::format;
use crate::headline;
use crate::line_plot::{Axis, smooth};
use crate::page::Page;
use crate::plot::{self, Lines};
use crate::view::SelectOption;

const CHARTS_AT_FIRST: usize = 6;
/// More pictures than this are not drawn on one page.
const MOST_CHARTS: usize = 24;
/// A line is as wide as the picture: more points than pixels add nothing. The server takes this many of any number.
const POINTS_OF_ALL_RUNS: usize = 8_000;
const FEWEST_POINTS: usize = 80;
const MOST_POINTS: usize = 500;
/// How many places along the steps the table beside a picture has.
const TABLE_ROWS: usize = 12;

pub(super) struct Curves {
    pub(super) charts: Vec<Chart>,
    pub(super) metrics: Vec<SelectOption>,
    pub(super) axes: Vec<SelectOption>,
    pub(super) smoothings: Vec<SelectOption>,
    pub(super) is_log: bool,
    pub(super) from: String,
    pub(super) to: String,
    /// The page with all steps.
    pub(super) whole: Option<String>,
}

pub(super) struct Chart {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) lines: Option<Lines>,
    pub(super) x_labels: Vec<String>,
    pub(super) x_word: String,
    /// The first column is the place, then a value for each run.
    pub(super) rows: Vec<(String, Vec<String>)>,
}

impl Curves {
    pub(super) async fn of(tracking: &Tracking, page: &Page, runs: &[Run]) -> Result<Self, Error> {
        let ids: Vec<String> = runs.iter().map(|run| run.info.run_id.clone()).collect();
        let known = curve_keys(runs);
        let mut chosen: Vec<String> = page
            .parameters("metric")
            .filter(|key| !key.is_empty())
            .map(str::to_owned)
            .collect();
        if chosen.is_empty() {
            chosen = known.iter().take(CHARTS_AT_FIRST).cloned().collect();
        }
        chosen.truncate(MOST_CHARTS);
        let x = Axis::from_name(page.parameter("x").unwrap_or_default());
        let is_log = page.parameter("log") == Some("1");
        let weight: f64 = page
            .parameter("smooth")
            .and_then(|weight| weight.parse().ok())
            .filter(|weight| (0.0..1.0).contains(weight))
            .unwrap_or(0.0);
        let step = |name: &str| {
            page.parameter(name)
                .and_then(|step| step.trim().parse::<i64>().ok())
        };
        let (from, to) = (step("from"), step("to"));
        let steps = (from.is_some() || to.is_some())
            .then(|| (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX)))
            .filter(|(from, to)| from < to);
        let points = (POINTS_OF_ALL_RUNS / runs.len()).clamp(FEWEST_POINTS, MOST_POINTS) as u64;
        let mut charts = Vec::with_capacity(chosen.len());
        for (index, key) in chosen.iter().enumerate() {
            let found = tracking.metric_chart(&ids, key, points, steps).await?;
            let series: Vec<_> = series_of(&ids, &found, x)
                .iter()
                .map(|points| smooth(points, weight))
                .collect();
            let lines = plot::lines(&series, is_log);
            charts.push(Chart {
                id: format!("chart-{index}"),
                key: key.clone(),
                x_labels: lines.as_ref().map_or_else(Vec::new, |lines| x_labels(x, lines.x)),
                x_word: page.t(axis_word(x)),
                rows: lines
                    .as_ref()
                    .map_or_else(Vec::new, |lines| table(x, lines, &series)),
                lines,
            });
        }
        let mut keys = known;
        keys.extend(
            chosen
                .iter()
                .filter(|key| !keys.contains(key))
                .cloned()
                .collect::<Vec<_>>(),
        );
        let text = |step: Option<i64>| step.map_or_else(String::new, |step| step.to_string());
        Ok(Self {
            charts,
            metrics: keys
                .iter()
                .map(|key| SelectOption::new(key, key, chosen.contains(key)))
                .collect(),
            axes: Axis::ALL
                .into_iter()
                .map(|axis| SelectOption::new(page.t(axis_word(axis)), axis.name(), axis == x))
                .collect(),
            smoothings: smoothings(page, weight),
            is_log,
            whole: steps.map(|_| address(page, &ids, true, &[("from", ""), ("to", "")])),
            from: text(from),
            to: text(to),
        })
    }
}

fn axis_word(axis: Axis) -> String {
    format!("axis-{}", axis.name())
}

fn smoothings(page: &Page, weight: f64) -> Vec<SelectOption> {
    let mut weights = vec![0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99];
    if !weights.contains(&weight) {
        weights.push(weight);
    }
    weights
        .into_iter()
        .map(|choice| {
            let value = if choice == 0.0 {
                String::new()
            } else {
                choice.to_string()
            };
            let label = if choice == 0.0 {
                page.t("smooth-none")
            } else {
                page.t1("smooth-weight", "weight", &value)
            };
            SelectOption::new(label, value, choice == weight)
        })
        .collect()
}

/// Returns the metrics that some run logged at more than its first step, those that matter most first; all metrics
/// where none did.
fn curve_keys(runs: &[Run]) -> Vec<String> {
    let keys = |is_wanted: fn(i64) -> bool| -> Vec<String> {
        let metrics = runs.iter().flat_map(|run| &run.metrics);
        let keys: BTreeSet<&String> = metrics
            .filter(|metric| is_wanted(metric.step))
            .map(|metric| &metric.key)
            .collect();
        keys.into_iter().cloned().collect()
    };
    let mut found = keys(|step| step != 0);
    if found.is_empty() {
        found = keys(|_| true);
    }
    found.sort_by_key(|key| headline::rank(key));
    found
}

/// Returns the points of each run in the order of the runs.
fn series_of(ids: &[String], found: &[MetricSeries], x: Axis) -> Vec<Vec<(f64, f64)>> {
    ids.iter()
        .map(|id| {
            let Some(series) = found.iter().find(|series| series.run_id == *id) else {
                return Vec::new();
            };
            let at = |point: &Metric| point.timestamp.as_millis();
            let start = series.points.iter().map(at).min().unwrap_or(0);
            let points = series.points.iter();
            points
                .map(|point| (x.place(point.step, at(point), start), point.value))
                .collect()
        })
        .collect()
}

fn x_labels(x: Axis, (left, right): (f64, f64)) -> Vec<String> {
    // Labels of steps stand where a whole step is.
    let parts =
        match x {
            Axis::Time => 2,
            Axis::Step if right - left < 4.0 || (right - left) % 4.0 != 0.0 => {
                if (right - left) % 2.0 == 0.0 { 2 } else { 1 }
            }
            _ => 4,
        };
    let at = |part: usize| left + (right - left) * part as f64 / parts as f64;
    (0..=parts).map(|part| x.write(at(part), right - left)).collect()
}

/// Returns values at even distances for those who do not see the picture.
fn table(x: Axis, lines: &Lines, series: &[Vec<(f64, f64)>]) -> Vec<(String, Vec<String>)> {
    let (left, right) = lines.x;
    let rows = if x == Axis::Step {
        TABLE_ROWS.min((right - left) as usize + 1).max(2)
    } else {
        TABLE_ROWS
    };
    (0..rows)
        .map(|row| {
            let at = left + (right - left) * row as f64 / (rows - 1) as f64;
            let at = if x == Axis::Step { at.round() } else { at };
            let values = series.iter().map(|points| {
                let until = points.iter().rev().find(|(place, _)| *place <= at);
                let is_over = points.last().is_none_or(|(place, _)| *place < at) && row + 1 < rows;
                until
                    .filter(|_| !is_over)
                    .map_or_else(|| "–".to_owned(), |(_, value)| format::number(*value))
            });
            (x.write(at, right - left), values.collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_steps_are_whole_steps() {
        assert_eq!(x_labels(Axis::Step, (0.0, 4.0)), ["0", "1", "2", "3", "4"]);
        assert_eq!(x_labels(Axis::Step, (0.0, 9.0)), ["0", "9"]);
        assert_eq!(x_labels(Axis::Step, (0.0, 10.0)), ["0", "5", "10"]);
        assert_eq!(x_labels(Axis::Relative, (0.0, 8_000.0))[4], "8.0 s");
    }

    #[test]
    fn the_table_says_what_the_lines_show() {
        let series = vec![vec![(0.0, 1.0), (2.0, 3.0)], vec![(0.0, 5.0)]];
        let lines = plot::lines(&series, false).unwrap();
        let rows = table(Axis::Step, &lines, &series);
        let owned = |texts: [&str; 2]| texts.map(str::to_owned).to_vec();
        assert_eq!(rows[0], ("0".to_owned(), owned(["1", "5"])));
        assert_eq!(rows[1], ("1".to_owned(), owned(["1", "–"])));
        assert_eq!(rows[2].1[0], "3");
    }
}
