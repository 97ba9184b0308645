//! How long the runs of a DAG took, when they landed, and which tasks took the time.

use std::collections::BTreeMap;

use fragua_orchestrator::{DagRun, Orchestrator, TaskTally};

use super::dags::run_address;
use super::grid::millis;
use crate::chart;
use crate::error::Error;
use crate::format;
use crate::page::Page;
use crate::state::StateView;

/// How many of the slowest tasks are shown.
const MOST_TASKS: usize = 15;

pub(super) struct Charts {
    pub(super) durations: Chart,
    pub(super) landings: Chart,
    pub(super) tasks: Vec<TaskTime>,
}

/// Bars that stand for runs, oldest first, in a box of 1000 by 200.
pub(super) struct Chart {
    pub(super) bars: Vec<RunBar>,
    /// What the horizontal lines stand for, from the top down.
    pub(super) values: Vec<String>,
    pub(super) first: String,
    pub(super) last: String,
    /// The middle of all values.
    pub(super) median: String,
    pub(super) longest: String,
}

pub(super) struct RunBar {
    pub(super) address: String,
    pub(super) label: String,
    pub(super) date: String,
    pub(super) value: String,
    pub(super) view: StateView,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// How long a task took in the runs that are shown.
pub(super) struct TaskTime {
    pub(super) task_id: String,
    pub(super) median: String,
    pub(super) longest: String,
    pub(super) runs: usize,
    /// From 0 to 100, of the slowest task's median.
    pub(super) length: f64,
}

/// Makes the charts of some runs, oldest first.
pub(super) async fn charts(
    orchestrator: &Orchestrator,
    page: &Page,
    dag_id: &str,
    runs: &[DagRun],
) -> Result<Charts, Error> {
    let run_ids: Vec<String> = runs.iter().map(|run| run.run_id.clone()).collect();
    let tallies = orchestrator.task_tallies(dag_id, &run_ids).await?;
    // A run lands when it is over; what it is late by is counted from the instant it was due.
    let landing = |run: &DagRun| {
        let ended = run.ended_at?;
        Some((ended.as_millis() - run.run_after.as_millis()).max(0))
    };
    Ok(Charts {
        durations: chart_of(page, runs, |run| millis(page, run)),
        landings: chart_of(page, runs, landing),
        tasks: slowest(&tallies),
    })
}

fn chart_of(page: &Page, runs: &[DagRun], value: impl Fn(&DagRun) -> Option<i64>) -> Chart {
    let values: Vec<(&DagRun, i64)> = runs.iter().filter_map(|run| Some((run, value(run)?))).collect();
    let mut sorted: Vec<i64> = values.iter().map(|(_, value)| *value).collect();
    sorted.sort_unstable();
    let longest = sorted.last().copied().unwrap_or(0);
    let (unit, ticks) = ticks(longest);
    let top = ticks.last().copied().unwrap_or(1.0) * unit;
    let width = 1000.0 / values.len().max(1) as f64;
    let date = |run: &DagRun| {
        run.logical_date
            .map_or_else(|| run.run_id.clone(), format::instant)
    };
    Chart {
        bars: values
            .iter()
            .enumerate()
            .map(|(index, (run, value))| {
                let view = StateView::of(run.state.as_str());
                let height = tenth((*value as f64 / top * 200.0).max(1.5));
                let written = format::duration(*value);
                RunBar {
                    address: run_address(&run.dag_id, &run.run_id),
                    label: format!("{} · {} · {written}", date(run), page.t(view.text_key())),
                    date: date(run),
                    value: written,
                    view,
                    x: tenth(index as f64 * width + width * 0.1),
                    y: 200.0 - height,
                    width: tenth((width * 0.8).min(60.0)),
                    height,
                }
            })
            .collect(),
        values: ticks
            .iter()
            .rev()
            .map(|tick| match *tick {
                0.0 => "0".to_owned(),
                tick => format::duration((tick * unit) as i64),
            })
            .collect(),
        first: values.first().map_or_else(String::new, |(run, _)| date(run)),
        last: values.last().map_or_else(String::new, |(run, _)| date(run)),
        median: middle(&sorted),
        longest: format::duration(longest),
    }
}

/// Returns a unit in milliseconds and round numbers of it from zero to at least `longest`.
fn ticks(longest: i64) -> (f64, Vec<f64>) {
    let unit = match longest {
        ..1_000 => 1.0,
        1_000..120_000 => 1_000.0,
        120_000..7_200_000 => 60_000.0,
        7_200_000..172_800_000 => 3_600_000.0,
        _ => 86_400_000.0,
    };
    (unit, chart::ticks(0.0, (longest as f64 / unit).max(1.0)))
}

fn middle(sorted: &[i64]) -> String {
    sorted
        .get(sorted.len() / 2)
        .map_or_else(|| "–".to_owned(), |value| format::duration(*value))
}

fn slowest(tallies: &[TaskTally]) -> Vec<TaskTime> {
    // The instances of a task in one run are taken together, from the first start to the last end.
    let mut spans: BTreeMap<(&str, &str), (i64, i64)> = BTreeMap::new();
    for tally in tallies {
        let (Some(start), Some(end)) = (tally.started_at, tally.ended_at) else {
            continue;
        };
        let (start, end) = (start.as_millis(), end.as_millis());
        let span = spans
            .entry((&tally.task_id, &tally.run_id))
            .or_insert((start, end));
        *span = (span.0.min(start), span.1.max(end));
    }
    let mut times: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for ((task_id, _), (start, end)) in spans {
        times.entry(task_id).or_default().push((end - start).max(0));
    }
    let mut tasks: Vec<(&str, Vec<i64>)> = times.into_iter().collect();
    for (_, times) in &mut tasks {
        times.sort_unstable();
    }
    let median = |times: &[i64]| times.get(times.len() / 2).copied().unwrap_or(0);
    tasks.sort_by_key(|(_, times)| std::cmp::Reverse(median(times)));
    let most = tasks.first().map_or(1, |(_, times)| median(times)).max(1);
    tasks
        .into_iter()
        .take(MOST_TASKS)
        .map(|(task_id, times)| TaskTime {
            task_id: task_id.to_owned(),
            median: middle(&times),
            longest: format::duration(times.last().copied().unwrap_or(0)),
            runs: times.len(),
            length: tenth(median(&times) as f64 / most as f64 * 100.0),
        })
        .collect()
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_of_time_has_round_ends() {
        for (longest, unit, last) in [
            (0, 1.0, 1.0),
            (740, 1.0, 800.0),
            (6_200, 1_000.0, 8.0),
            (600_000, 60_000.0, 10.0),
            (10_000_000, 3_600_000.0, 3.0),
        ] {
            let (found, ticks) = ticks(longest);
            assert_eq!((found, ticks.last().copied()), (unit, Some(last)), "{longest}");
        }
    }
}
