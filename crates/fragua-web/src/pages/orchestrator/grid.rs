//! Runs by tasks: one column a run, one row a task.

use std::collections::HashMap;

use fragua_orchestrator::{DagRun, Task, TaskInstance, TaskState};

use super::dags::{Mark, run_address};
use crate::format;
use crate::page::{Page, encode};
use crate::state::StateView;

/// The height of the box in which a bar of the longest run stands.
const BAR_HEIGHT: f64 = 40.0;
/// The shortest bar that can be seen and hit.
const LEAST_BAR: f64 = 3.0;

pub(super) struct Grid {
    pub(super) runs: Vec<GridRun>,
    pub(super) rows: Vec<GridRow>,
    pub(super) legend: Vec<StateView>,
}

/// The head of a column: a bar as long as the run took.
pub(super) struct GridRun {
    pub(super) address: String,
    pub(super) label: String,
    pub(super) view: StateView,
    pub(super) top: f64,
    pub(super) height: f64,
}

pub(super) struct GridRow {
    pub(super) task_id: String,
    pub(super) cells: Vec<Option<Mark>>,
}

/// Makes the grid of some runs, oldest first.
pub(super) fn grid(page: &Page, tasks: &[Task], runs: &[DagRun], instances: &[TaskInstance]) -> Grid {
    let mut by_place: HashMap<(&str, &str), &TaskInstance> = HashMap::new();
    for instance in instances {
        let place = (instance.run_id.as_str(), instance.task_id.as_str());
        let shown = by_place.entry(place).or_insert(instance);
        if notice(instance.state) > notice(shown.state) {
            *shown = instance;
        }
    }
    let longest = runs
        .iter()
        .filter_map(|run| millis(page, run))
        .max()
        .unwrap_or(0)
        .max(1);
    let mut legend: Vec<StateView> = Vec::new();
    let rows = tasks
        .iter()
        .map(|task| GridRow {
            task_id: task.task_id.clone(),
            cells: runs
                .iter()
                .map(|run| {
                    let instance = by_place.get(&(run.run_id.as_str(), task.task_id.as_str()))?;
                    let mark = cell(page, run, instance);
                    if !legend.contains(&mark.view) {
                        legend.push(mark.view);
                    }
                    Some(mark)
                })
                .collect(),
        })
        .collect();
    Grid {
        runs: runs.iter().map(|run| head(page, run, longest)).collect(),
        rows,
        legend,
    }
}

/// Of the instances of one task that is shown which deserves most notice.
const fn notice(state: TaskState) -> u8 {
    match state {
        TaskState::Removed => 0,
        TaskState::Skipped => 1,
        TaskState::Success => 2,
        TaskState::None => 3,
        TaskState::Queued | TaskState::Deferred | TaskState::UpForReschedule => 4,
        TaskState::Restarting | TaskState::UpForRetry => 5,
        TaskState::Running => 6,
        TaskState::UpstreamFailed => 7,
        TaskState::Failed => 8,
    }
}

/// Returns how long a run took, or has taken so far.
pub(super) fn millis(page: &Page, run: &DagRun) -> Option<i64> {
    let end = run.ended_at.unwrap_or(page.now());
    Some(end.as_millis().saturating_sub(run.started_at?.as_millis()).max(0))
}

fn head(page: &Page, run: &DagRun, longest: i64) -> GridRun {
    let view = StateView::of(run.state.as_str());
    let took = millis(page, run);
    let height = took.map_or(0.0, |took| took as f64 / longest as f64 * BAR_HEIGHT);
    let height = (height.max(LEAST_BAR) * 10.0).round() / 10.0;
    let took = took.map_or_else(|| "–".to_owned(), format::duration);
    GridRun {
        address: run_address(&run.dag_id, &run.run_id),
        label: format!("{} · {} · {took}", run.run_id, page.t(view.text_key())),
        view,
        top: BAR_HEIGHT - height,
        height,
    }
}

fn cell(page: &Page, run: &DagRun, instance: &TaskInstance) -> Mark {
    let view = StateView::of(instance.state.as_str());
    let address = run_address(&run.dag_id, &run.run_id);
    Mark {
        address: format!("{address}?task={}", encode(&instance.task_id)),
        label: format!(
            "{} · {} · {}",
            instance.task_id,
            run.run_id,
            page.t(view.text_key())
        ),
        view,
    }
}
