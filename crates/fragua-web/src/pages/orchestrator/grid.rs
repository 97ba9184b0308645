//! Runs by tasks: one column a run, one row a task or group. The cells are written as small as they can be, because
//! there are many: a class, a sign, and what a pointer tells of them as a list on their row.

use std::collections::HashMap;
use std::fmt::Write as _;

use fragua_base::Timestamp;
use fragua_orchestrator::{Dag, DagRun, TaskState, TaskTally};

use super::dags::run_address;
use super::fold::Folds;
use crate::format;
use crate::markup::{Markup, escape};
use crate::page::Page;
use crate::schedule;
use crate::state::StateView;

/// The height of the box in which a bar of the longest run stands.
const BAR_HEIGHT: f64 = 40.0;
/// How many columns the date of a run takes.
const COLUMNS_PER_DATE: usize = 5;
/// Dates of runs that are nearer to each other than this are told by the hour.
const MANY_DAYS: i64 = 3 * 86_400_000;
/// The shortest bar that can be seen and hit.
const LEAST_BAR: f64 = 3.0;

pub(super) struct Grid {
    pub(super) runs: Vec<GridRun>,
    /// How long the run with the longest bar took.
    pub(super) longest: String,
    pub(super) rows: Vec<GridRow>,
    pub(super) legend: Vec<(StateView, &'static str)>,
    /// The words of states and of what a pointer tells, for the script.
    pub(super) words: String,
}

/// The head of a column: a bar as long as the run took.
pub(super) struct GridRun {
    pub(super) id: String,
    pub(super) address: String,
    pub(super) label: String,
    /// The day or hour it stands for, where there is place for it.
    pub(super) date: String,
    pub(super) view: StateView,
    pub(super) top: f64,
    pub(super) height: f64,
}

pub(super) struct GridRow {
    pub(super) id: String,
    pub(super) label: String,
    /// How many groups are around it.
    pub(super) depth: usize,
    /// The address that folds or unfolds it, where it is a group.
    pub(super) toggle: Option<String>,
    pub(super) is_folded: bool,
    pub(super) is_mapped: bool,
    /// One cell for each run.
    pub(super) cells: Markup,
    /// Duration in milliseconds and attempts of each cell, in base 36.
    pub(super) figures: String,
}

/// What one cell stands for.
#[derive(Debug, Clone, Default)]
struct Cell {
    /// How many instances are in which state.
    counts: Vec<(TaskState, u32)>,
    is_mapped: bool,
    attempts: u32,
    started_at: Option<i64>,
    ended_at: Option<i64>,
}

impl Cell {
    fn add(&mut self, tally: &TaskTally) {
        match self.counts.iter_mut().find(|(state, _)| *state == tally.state) {
            Some((_, count)) => *count += tally.instances,
            None => self.counts.push((tally.state, tally.instances)),
        }
        self.is_mapped |= tally.is_mapped;
        self.attempts = self.attempts.max(tally.attempts);
        let (started, ended) = (
            tally.started_at.map(|at| at.as_millis()),
            tally.ended_at.map(|at| at.as_millis()),
        );
        self.started_at = [self.started_at, started].into_iter().flatten().min();
        self.ended_at = self.ended_at.max(ended);
    }

    /// Returns the state that deserves most notice.
    fn state(&self) -> Option<TaskState> {
        self.counts
            .iter()
            .map(|(state, _)| *state)
            .max_by_key(|state| notice(*state))
    }

    fn took(&self, now: i64) -> Option<i64> {
        let is_over = self.counts.iter().all(|(state, _)| state.is_finished());
        let end = if is_over { self.ended_at? } else { now };
        Some((end - self.started_at?).max(0))
    }
}

/// Makes the grid of some runs, oldest first.
pub(super) fn grid(page: &Page, dag: &Dag, runs: &[DagRun], tallies: &[TaskTally]) -> Grid {
    let folds = Folds::of(page, dag);
    let column: HashMap<&str, usize> = runs
        .iter()
        .enumerate()
        .map(|(index, run)| (run.run_id.as_str(), index))
        .collect();
    let rows = rows(dag, &folds);
    // A task counts for its own row and for those of the groups around it.
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, row) in rows.iter().enumerate() {
        let (id, is_group) = row;
        if *is_group {
            for task in dag.tasks_in(id) {
                places.entry(task).or_default().push(index);
            }
        } else {
            places.entry(id).or_default().push(index);
        }
    }
    let mut cells = vec![vec![Cell::default(); runs.len()]; rows.len()];
    for tally in tallies {
        let Some(&run) = column.get(tally.run_id.as_str()) else {
            continue;
        };
        for row in places.get(tally.task_id.as_str()).into_iter().flatten() {
            cells[*row][run].add(tally);
        }
    }
    let longest = runs.iter().filter_map(|run| millis(page, run)).max().unwrap_or(0);
    let days = runs.iter().map(|run| date_of(run).as_millis());
    let is_of_days = days.clone().max() > days.min().map(|first| first + MANY_DAYS);
    let mut legend: Vec<(StateView, &'static str)> = Vec::new();
    for state in cells.iter().flatten().filter_map(Cell::state) {
        let entry = (StateView::of(state.as_str()), sign(state));
        if !legend.contains(&entry) {
            legend.push(entry);
        }
    }
    Grid {
        runs: runs
            .iter()
            .enumerate()
            .map(|(index, run)| GridRun {
                date: match index % COLUMNS_PER_DATE {
                    0 if is_of_days => schedule::short_day(date_of(run), page.language()),
                    0 => schedule::clock(date_of(run)),
                    _ => String::new(),
                },
                ..head(page, run, longest.max(1))
            })
            .collect(),
        longest: format::duration(longest),
        words: words(page, &legend),
        rows: rows
            .into_iter()
            .zip(&cells)
            .map(|((id, is_group), cells)| row(page, &folds, id, is_group, cells))
            .collect(),
        legend,
    }
}

/// Returns what has a row: the groups and tasks that are not within a folded group, and whether each is a group.
fn rows<'a>(dag: &'a Dag, folds: &Folds<'a>) -> Vec<(&'a str, bool)> {
    let mut rows: Vec<(&str, bool)> = Vec::new();
    for task in &dag.tasks {
        for group in folds.around(&task.task_id) {
            let id = group.group_id.as_str();
            if folds.shown(id) == id && !rows.contains(&(id, true)) {
                rows.push((id, true));
            }
        }
        if folds.shown(&task.task_id) == task.task_id {
            rows.push((&task.task_id, false));
        }
    }
    rows
}

fn row(page: &Page, folds: &Folds<'_>, id: &str, is_group: bool, cells: &[Cell]) -> GridRow {
    let depth = folds.around(id).count();
    let label = match folds.around(id).last() {
        Some(group) => id[group.group_id.len() + 1..].to_owned(),
        None => id.to_owned(),
    };
    let now = page.now().as_millis();
    let (mut written, mut figures) = (String::new(), String::new());
    for cell in cells {
        write_cell(page, cell, is_group, &mut written);
        let took = cell.took(now).map_or_else(String::new, base36);
        let attempts = if is_group { 0 } else { cell.attempts };
        let _ = write!(figures, "{took}.{} ", base36(i64::from(attempts)));
    }
    GridRow {
        label,
        depth,
        toggle: is_group.then(|| folds.toggle(id)),
        is_folded: is_group && folds.is_folded(id),
        is_mapped: !is_group && cells.iter().any(|cell| cell.is_mapped),
        cells: Markup::trusted(written),
        figures: figures.trim_end().to_owned(),
        id: id.to_owned(),
    }
}

/// Writes a cell without its end, which HTML does not ask for. What is mapped shows how many instances there are.
fn write_cell(page: &Page, cell: &Cell, is_group: bool, into: &mut String) {
    let Some(state) = cell.state() else {
        into.push_str("<td>");
        return;
    };
    let view = StateView::of(state.as_str());
    let _ = write!(into, "<td class=\"{}\"", view.class());
    let instances: u32 = cell.counts.iter().map(|(_, count)| count).sum();
    if cell.counts.len() > 1 || is_group || instances > 1 {
        let counts: Vec<String> = cell
            .counts
            .iter()
            .map(|(state, count)| {
                let word = page.t(StateView::of(state.as_str()).text_key());
                format!("{word}: {count}")
            })
            .collect();
        into.push_str(" data-counts=\"");
        escape(&counts.join(", "), into);
        into.push('"');
    }
    into.push('>');
    match instances {
        2..=99 if cell.is_mapped && !is_group => {
            let _ = write!(into, "{instances}");
        }
        100.. if cell.is_mapped && !is_group => into.push_str("99+"),
        _ => into.push_str(sign(state)),
    }
}

/// The shape that stands for a state where there is no place for more.
const fn sign(state: TaskState) -> &'static str {
    match state {
        TaskState::None => "·",
        TaskState::Queued => "≡",
        TaskState::Running => "▸",
        TaskState::Deferred | TaskState::UpForReschedule => "⧗",
        TaskState::UpForRetry | TaskState::Restarting => "↻",
        TaskState::Success => "✓",
        TaskState::Failed => "✕",
        TaskState::Skipped => "»",
        TaskState::UpstreamFailed => "⊘",
        TaskState::Removed => "−",
    }
}

fn base36(number: i64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rest = number.unsigned_abs();
    let mut written = Vec::new();
    loop {
        written.push(DIGITS[(rest % 36) as usize]);
        rest /= 36;
        if rest == 0 {
            break;
        }
    }
    written.reverse();
    String::from_utf8(written).unwrap_or_default()
}

fn words(page: &Page, legend: &[(StateView, &'static str)]) -> String {
    let mut words = serde_json::Map::new();
    for (view, _) in legend {
        words.insert(format!("state-{}", view.key), page.t(view.text_key()).into());
    }
    for key in ["duration", "attempts", "none-yet"] {
        words.insert(key.to_owned(), page.t(format!("grid-{key}")).into());
    }
    serde_json::Value::Object(words).to_string()
}

/// Of the instances of one task that is shown which deserves most notice.
pub(super) const fn notice(state: TaskState) -> u8 {
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

/// Returns the instant that a run stands for.
fn date_of(run: &DagRun) -> Timestamp {
    run.logical_date.unwrap_or(run.run_after)
}

fn head(page: &Page, run: &DagRun, longest: i64) -> GridRun {
    let view = StateView::of(run.state.as_str());
    let took = millis(page, run);
    let height = took.map_or(0.0, |took| took as f64 / longest as f64 * BAR_HEIGHT);
    let height = (height.max(LEAST_BAR) * 10.0).round() / 10.0;
    let took = took.map_or_else(|| "–".to_owned(), format::duration);
    GridRun {
        id: run.run_id.clone(),
        address: run_address(&run.dag_id, &run.run_id),
        label: format!("{} · {} · {took}", run.run_id, page.t(view.text_key())),
        date: String::new(),
        view,
        top: BAR_HEIGHT - height,
        height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_scripts_read_them() {
        for (number, expected) in [(0, "0"), (35, "z"), (36, "10"), (1_000_000, "lfls")] {
            assert_eq!(base36(number), expected);
        }
    }
}
