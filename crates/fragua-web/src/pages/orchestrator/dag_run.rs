//! The page of one run: its tasks, why they wait, and all about the one chosen.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_orchestrator::{
    Dag, DagRun, DagRunState, Orchestrator, RunType, TaskInstance, TaskState, TaskTally, Waiting,
};

use super::assets;
use super::dag::{self, run_type};
use super::dags::run_address;
use super::grid;
use super::picture::{self, GraphView};
use super::task::{self, Part, TaskPanel};
use super::waiting;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::format;
use crate::page::{Page, encode, parse_query};
use crate::schedule;
use crate::state::StateView;
use crate::view::{Choice, Crumb, SelectOption, Tab};

/// How many instances of one task the list shows at once.
const INSTANCES_PER_PAGE: usize = 100;
/// For how many tasks the list says why they wait; each takes a few queries.
const MOST_REASONS: usize = 30;

#[derive(Template)]
#[template(path = "orchestrator/dag_run.html")]
struct DagRunPage<'a> {
    page: &'a Page,
    dag_id: String,
    run_id: String,
    address: String,
    crumbs: Vec<Crumb>,
    view: StateView,
    kind: String,
    logical_date: Option<Timestamp>,
    covers: String,
    started_at: Option<Timestamp>,
    duration: String,
    note: String,
    is_editing_note: bool,
    /// The assets whose updates started it, with their addresses.
    started_by: Vec<(String, String)>,
    params: Vec<(String, String)>,
    version: String,
    backfill: Option<String>,
    tracking_address: Option<String>,
    progress: String,
    shows: Vec<Tab>,
    show: Show,
    panel: Option<TaskPanel>,
}

enum Show {
    Tasks(Vec<TaskView>),
    Gantt(Vec<GanttRow>),
    Graph(GraphView),
}

pub(super) struct TaskView {
    id: String,
    /// What one of several instances is called.
    map_label: String,
    operator: String,
    address: String,
    view: StateView,
    duration: String,
    attempts: String,
    started_at: Option<Timestamp>,
    /// An attempt runs, so its duration grows.
    is_timed: bool,
    waiting: String,
    error: String,
    is_selected: bool,
    /// How many instances stand in which state, where this row stands for several.
    counts: Vec<(StateView, u32)>,
    /// It is one of several that are listed below their task.
    is_instance: bool,
}

/// The bar of a task, from 0 to 1000.
pub(super) struct GanttRow {
    id: String,
    map_label: String,
    address: String,
    view: StateView,
    queued_x: f64,
    queued_width: f64,
    x: f64,
    width: f64,
    duration: String,
    title: String,
    is_selected: bool,
}

pub(super) async fn show(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Response, Error> {
    let run = orchestrator.dag_run(&dag_id, &run_id).await?;
    let dag = orchestrator.dag_of_run(&run).await?;
    let instances = orchestrator.task_instances(&dag_id, &run_id).await?;
    let selected = selected(page.parameter("task"), &instances);
    let address = run_address(&dag_id, &run_id);
    let done = instances
        .iter()
        .filter(|instance| instance.state.is_finished())
        .count();
    let view = StateView::of(run.state.as_str());
    let current = match page.parameter("show") {
        Some("gantt") => "gantt",
        Some("graph") => "graph",
        _ => "tasks",
    };
    let show = match current {
        "gantt" => Show::Gantt(gantt(&page, &run, &instances, selected)),
        "graph" => Show::Graph(graph(&page, &dag, &instances, selected)),
        _ => Show::Tasks(task_views(&orchestrator, &page, &instances, selected).await?),
    };
    let panel = match selected {
        Some(instance) => {
            Some(task::panel(&orchestrator, &page, &dag, &address, instance, &instances).await?)
        }
        None => None,
    };
    render(&DagRunPage {
        page: &page,
        crumbs: vec![
            Crumb::link(page.t("dags-title"), "/"),
            Crumb::link(dag_id.clone(), format!("/dags/{}", encode(&dag_id))),
            Crumb::here(run_id.clone()),
        ],
        view,
        kind: run_type(&page, run.run_type),
        logical_date: run.logical_date,
        covers: covers(&page, &run),
        started_at: run.started_at,
        duration: grid::millis(&page, &run).map_or_else(|| "–".to_owned(), format::duration),
        note: run.note.clone().unwrap_or_default(),
        is_editing_note: page.parameter("edit") == Some("note"),
        started_by: started_by(&orchestrator, &run).await?,
        params: run
            .params
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect(),
        version: run.version.clone(),
        backfill: run.backfill_id.clone(),
        tracking_address: page.at_tracking(&tracking_path(&dag_id, &run_id)),
        progress: page.text_with(
            "progress",
            &[("done", &done.to_string()), ("all", &instances.len().to_string())],
        ),
        shows: [("tasks", "tasks"), ("gantt", "gantt"), ("graph", "graph")]
            .into_iter()
            .map(|(name, word)| Tab {
                label: page.t(word),
                address: page.with("show", if name == "tasks" { "" } else { name }),
                is_current: name == current,
                count: None,
            })
            .collect(),
        show,
        panel,
        address,
        dag_id,
        run_id,
    })
}

async fn started_by(orchestrator: &Orchestrator, run: &DagRun) -> Result<Vec<(String, String)>, Error> {
    if run.run_type != RunType::AssetTriggered {
        return Ok(Vec::new());
    }
    let events = orchestrator
        .triggering_asset_events(&run.dag_id, &run.run_id)
        .await?;
    let names: BTreeSet<String> = events.into_iter().map(|event| event.asset).collect();
    let link = |name: String| {
        let address = assets::address(&name);
        (name, address)
    };
    Ok(names.into_iter().map(link).collect())
}

/// Says which stretch of time a run covers, where it covers one.
fn covers(page: &Page, run: &DagRun) -> String {
    let (start, end) = (run.data_interval_start, run.data_interval_end);
    if start == end {
        return String::new();
    }
    let covered = schedule::covered(start, end, page.language());
    page.t1("run-covers", "what", &covered)
}

/// Finds the tracking runs that a DAG run made, in whatever experiment they are.
fn tracking_path(dag_id: &str, run_id: &str) -> String {
    format!("/dag-runs?dag={}&run={}", encode(dag_id), encode(run_id))
}

/// Chooses the task that people want to see: the one they named, else one that runs, else one that failed, else the
/// last that started.
fn selected<'a>(named: Option<&str>, instances: &'a [TaskInstance]) -> Option<&'a TaskInstance> {
    if let Some(named) = named {
        return instances
            .iter()
            .find(|instance| instance.instance_id().to_string() == named)
            // The name of a task that is made several instances of stands for the one that deserves most notice.
            .or_else(|| {
                let of_task = instances.iter().filter(|instance| instance.task_id == named);
                of_task.rev().max_by_key(|instance| grid::notice(instance.state))
            });
    }
    let of_state = |wanted: TaskState| instances.iter().find(|instance| instance.state == wanted);
    of_state(TaskState::Running)
        .or_else(|| of_state(TaskState::Failed))
        .or_else(|| of_state(TaskState::UpForRetry))
        .or_else(|| {
            let started = instances.iter().filter(|instance| instance.attempt > 0);
            started.max_by_key(|instance| instance.started_at)
        })
}

/// Returns the address of this page with another task chosen, which has other attempts and another log to search.
pub(super) fn task_address(page: &Page, id: &str) -> String {
    let kept = page
        .all_parameters()
        .filter(|(name, _)| matches!(*name, "show" | "view" | "fold"));
    let pairs: Vec<(&str, &str)> = kept.chain([("task", id)]).collect();
    page.at(&pairs)
}

async fn task_views(
    orchestrator: &Orchestrator,
    page: &Page,
    instances: &[TaskInstance],
    selected: Option<&TaskInstance>,
) -> Result<Vec<TaskView>, Error> {
    let mut views = Vec::new();
    let mut reasons = 0;
    let is_selected = |instance: &TaskInstance| selected.is_some_and(|selected| selected.id == instance.id);
    for of_task in instances.chunk_by(|one, other| one.task_id == other.task_id) {
        let is_open = selected.is_some_and(|selected| selected.task_id == of_task[0].task_id);
        if of_task.len() > 1 {
            views.push(summary_view(page, of_task));
            if !is_open {
                continue;
            }
        }
        let chosen = of_task.iter().position(is_selected).unwrap_or(0);
        let from = chosen / INSTANCES_PER_PAGE * INSTANCES_PER_PAGE;
        for instance in of_task.iter().skip(from).take(INSTANCES_PER_PAGE) {
            let wants_reason = !instance.state.is_finished() && instance.state != TaskState::Running;
            let waiting = match wants_reason && reasons < MOST_REASONS {
                true => {
                    reasons += 1;
                    orchestrator.waiting(instance).await?
                }
                false => None,
            };
            let mut view = task_view(page, instance, waiting.as_ref(), is_selected(instance));
            view.is_instance = of_task.len() > 1;
            views.push(view);
        }
    }
    Ok(views)
}

/// Returns the row that stands for all instances of a task.
fn summary_view(page: &Page, of_task: &[TaskInstance]) -> TaskView {
    let mut counts: BTreeMap<TaskState, u32> = BTreeMap::new();
    for instance in of_task {
        *counts.entry(instance.state).or_default() += 1;
    }
    let first = &of_task[0];
    let state = counts.keys().copied().max_by_key(|state| grid::notice(*state));
    TaskView {
        id: format!("{} [{}]", first.task_id, of_task.len()),
        map_label: String::new(),
        operator: first.operator.clone(),
        address: task_address(page, &first.task_id),
        view: StateView::of(state.map_or("", TaskState::as_str)),
        duration: String::new(),
        attempts: String::new(),
        started_at: of_task.iter().filter_map(|instance| instance.started_at).min(),
        is_timed: false,
        waiting: String::new(),
        error: String::new(),
        is_selected: false,
        counts: counts
            .into_iter()
            .map(|(state, count)| (StateView::of(state.as_str()), count))
            .collect(),
        is_instance: false,
    }
}

/// Returns how long the newest attempt took, or has taken so far.
pub(super) fn took(page: &Page, instance: &TaskInstance) -> Option<i64> {
    let end = instance
        .ended_at
        .or_else(|| instance.state.is_leased().then_some(page.now()));
    let (start, end) = (instance.started_at?.as_millis(), end?.as_millis());
    Some(end.saturating_sub(start).max(0))
}

fn task_view(page: &Page, instance: &TaskInstance, waiting: Option<&Waiting>, is_selected: bool) -> TaskView {
    let message = instance.message.clone().unwrap_or_default();
    let most = instance.retries + 1;
    let attempts = if instance.attempt == 0 || (instance.attempt == 1 && most == 1) {
        String::new()
    } else if instance.attempt <= most {
        page.text_with(
            "attempts-of",
            &[
                ("number", &instance.attempt.to_string()),
                ("most", &most.to_string()),
            ],
        )
    } else {
        page.t1("attempt-number", "number", &instance.attempt.to_string())
    };
    let id = instance.instance_id().to_string();
    TaskView {
        map_label: instance.map_label.clone().unwrap_or_default(),
        operator: instance.operator.clone(),
        address: task_address(page, &id),
        view: StateView::of(instance.state.as_str()),
        duration: took(page, instance).map_or_else(String::new, format::duration),
        attempts,
        started_at: instance.started_at,
        error: if instance.state.is_failure() {
            message
        } else {
            String::new()
        },
        is_timed: instance.state.is_leased(),
        waiting: waiting.map_or_else(String::new, |waiting| waiting::words(page, waiting)),
        is_selected,
        counts: Vec::new(),
        is_instance: false,
        id,
    }
}

fn gantt(
    page: &Page,
    run: &DagRun,
    instances: &[TaskInstance],
    selected: Option<&TaskInstance>,
) -> Vec<GanttRow> {
    let now = page.now().as_millis();
    let starts = instances
        .iter()
        .filter_map(|instance| instance.queued_at.or(instance.started_at));
    let first = starts
        .chain(run.started_at)
        .map(|at| at.as_millis())
        .min()
        .unwrap_or(now);
    let end_of = |instance: &TaskInstance| instance.ended_at.map_or(now, |at| at.as_millis());
    let begun = instances
        .iter()
        .filter(|instance| instance.started_at.is_some() || instance.queued_at.is_some());
    let last = begun.clone().map(end_of).max().unwrap_or(now).max(first + 1);
    let place = |at: i64| ((at - first) as f64 / (last - first) as f64 * 10_000.0).round() / 10.0;
    begun
        .take(INSTANCES_PER_PAGE)
        .map(|instance| {
            let id = instance.instance_id().to_string();
            let start = instance.started_at.map(|at| at.as_millis());
            let queued = instance
                .queued_at
                .map_or(start.unwrap_or(now), |at| at.as_millis());
            let (from, to) = (start.unwrap_or(now), end_of(instance));
            let queued = queued.min(from);
            let view = StateView::of(instance.state.as_str());
            let duration = took(page, instance).map_or_else(|| "–".to_owned(), format::duration);
            let waited = page.t1("gantt-waited", "time", &format::duration(from - queued));
            GanttRow {
                map_label: instance.map_label.clone().unwrap_or_default(),
                address: task_address(page, &id),
                view,
                queued_x: place(queued),
                queued_width: place(from) - place(queued),
                x: place(from),
                width: match start {
                    Some(_) => (place(to) - place(from)).max(2.0),
                    None => 0.0,
                },
                title: format!("{id} · {} · {duration} · {waited}", page.t(view.text_key())),
                duration,
                is_selected: selected.is_some_and(|selected| selected.id == instance.id),
                id,
            }
        })
        .collect()
}

fn graph(page: &Page, dag: &Dag, instances: &[TaskInstance], selected: Option<&TaskInstance>) -> GraphView {
    let tallies: Vec<TaskTally> = instances
        .iter()
        .map(|instance| TaskTally {
            run_id: instance.run_id.clone(),
            task_id: instance.task_id.clone(),
            state: instance.state,
            instances: 1,
            is_mapped: instance.map_index.is_some(),
            attempts: instance.attempt,
            started_at: instance.started_at,
            ended_at: instance.ended_at,
        })
        .collect();
    picture::draw(page, dag, |id, members| {
        let mut look = dag::look(None, &tallies, id, members);
        look.address = task_address(page, id);
        look.is_selected = selected.is_some_and(|selected| selected.task_id == id);
        look
    })
}

/// Writes a note about a run.
pub(super) async fn note(
    State(orchestrator): State<Orchestrator>,
    Path((dag_id, run_id)): Path<(String, String)>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let note = form::value(&form, "note").unwrap_or_default().trim();
    if note.chars().count() > 1000 {
        return Err(Error::Invalid(
            "note must have at most 1,000 characters".to_owned(),
        ));
    }
    let note = Some(note).filter(|note| !note.is_empty());
    orchestrator.set_note(&dag_id, &run_id, note).await?;
    Ok(see_other(&run_address(&dag_id, &run_id)))
}

#[derive(Template)]
#[template(path = "orchestrator/dag_runs.html")]
struct DagRunsPage<'a> {
    page: &'a Page,
    states: Vec<Choice>,
    dags: Vec<SelectOption>,
    state: String,
    rows: Vec<dag::RunRow>,
    first: Option<String>,
    next: Option<String>,
}

/// Lists the runs of all DAGs.
pub(super) async fn list(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let dag_id = page.parameter("dag").filter(|dag_id| !dag_id.is_empty());
    let query = fragua_orchestrator::DagRunQuery {
        dag_id: dag_id.map(str::to_owned),
        ..Default::default()
    };
    let (rows, first, next) = dag::run_rows(&orchestrator, &page, query).await?;
    let known = orchestrator.dag_overviews().await?;
    let all = SelectOption::new(page.t("runs-of-all"), "", dag_id.is_none());
    let each = known.iter().map(|dag| {
        let known = &dag.header.dag_id;
        SelectOption::new(known.clone(), known.clone(), dag_id == Some(known.as_str()))
    });
    let state = page.parameter("state").and_then(DagRunState::parse);
    render(&DagRunsPage {
        page: &page,
        states: dag::states(&page),
        dags: [all].into_iter().chain(each).collect(),
        state: state.map_or_else(String::new, |state| state.to_string()),
        rows,
        first,
        next,
    })
}
