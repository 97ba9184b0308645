//! The page of one run: its tasks, why they wait, and the log of the one chosen.

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_orchestrator::{Dag, Orchestrator, TaskInstance, TaskState, Waiting};

use super::dag::run_type;
use super::dags::run_address;
use super::grid;
use super::log::{self, LogView};
use super::picture::{self, GraphView, Look};
use super::waiting;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::format;
use crate::page::{Page, encode, parse_query};
use crate::state::StateView;
use crate::view::Crumb;

#[derive(Template)]
#[template(path = "orchestrator/dag_run.html")]
struct DagRunPage<'a> {
    page: &'a Page,
    dag_id: String,
    run_id: String,
    crumbs: Vec<Crumb>,
    view: StateView,
    kind: String,
    logical_date: Option<Timestamp>,
    started_at: Option<Timestamp>,
    duration: String,
    note: String,
    params: String,
    tracking_address: Option<String>,
    clear_address: String,
    progress: String,
    graph: GraphView,
    tasks: Vec<TaskView>,
    log: Option<LogView>,
}

struct TaskView {
    id: String,
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
    let mut tasks = Vec::with_capacity(instances.len());
    for instance in &instances {
        let is_selected = selected.is_some_and(|selected| selected.instance_id() == instance.instance_id());
        let waiting = orchestrator.waiting(instance).await?;
        tasks.push(task_view(&page, instance, waiting.as_ref(), is_selected));
    }
    let address = run_address(&dag_id, &run_id);
    let log = match selected {
        Some(instance) => log::view(&orchestrator, &page, &address, instance).await?,
        None => None,
    };
    let done = instances
        .iter()
        .filter(|instance| instance.state.is_finished())
        .count();
    let view = StateView::of(run.state.as_str());
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
        started_at: run.started_at,
        duration: grid::millis(&page, &run).map_or_else(|| "–".to_owned(), format::duration),
        note: run.note.clone().unwrap_or_default(),
        params: params(&run.params),
        tracking_address: page.at_tracking(&tracking_path(&dag_id, &run_id)),
        clear_address: format!("{address}/clear"),
        progress: page.text_with(
            "progress",
            &[("done", &done.to_string()), ("all", &instances.len().to_string())],
        ),
        graph: graph(&page, &dag, &instances, selected),
        tasks,
        log,
        dag_id,
        run_id,
    })
}

/// Finds the tracking runs that a DAG run made, in whatever experiment they are.
fn tracking_path(dag_id: &str, run_id: &str) -> String {
    format!("/dag-runs?dag={}&run={}", encode(dag_id), encode(run_id))
}

fn params(params: &serde_json::Map<String, serde_json::Value>) -> String {
    let pairs: Vec<String> = params
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    pairs.join(", ")
}

/// Chooses the task that people want to see: the one they named, else one that runs, else one that failed, else the
/// last that started.
fn selected<'a>(named: Option<&str>, instances: &'a [TaskInstance]) -> Option<&'a TaskInstance> {
    if let Some(named) = named {
        return instances
            .iter()
            .find(|instance| instance.instance_id().to_string() == named);
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

fn task_view(page: &Page, instance: &TaskInstance, waiting: Option<&Waiting>, is_selected: bool) -> TaskView {
    let end = instance
        .ended_at
        .or_else(|| instance.state.is_leased().then_some(page.now()));
    let took = instance
        .started_at
        .zip(end)
        .map(|(start, end)| end.as_millis().saturating_sub(start.as_millis()));
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
    TaskView {
        id: instance.instance_id().to_string(),
        operator: instance.operator.clone(),
        // Another task has other attempts and another log to search.
        address: page.only("task", &instance.instance_id().to_string()),
        view: StateView::of(instance.state.as_str()),
        duration: took.map_or_else(String::new, format::duration),
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
    }
}

fn graph(page: &Page, dag: &Dag, instances: &[TaskInstance], selected: Option<&TaskInstance>) -> GraphView {
    picture::draw(page, &dag.tasks, |task| {
        let instance = instances.iter().find(|instance| instance.task_id == task.task_id);
        Look {
            view: StateView::of(instance.map_or("", |instance| instance.state.as_str())),
            note: task.operator.clone(),
            address: page.only("task", &task.task_id),
            is_selected: selected.is_some_and(|selected| selected.task_id == task.task_id),
        }
    })
}

/// Lets one task and what comes after it start over, or all of them.
pub(super) async fn clear(
    State(orchestrator): State<Orchestrator>,
    Path((dag_id, run_id)): Path<(String, String)>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let task = form::value(&form, "task");
    let task_ids: Vec<String> = task.map(str::to_owned).into_iter().collect();
    orchestrator.clear(&dag_id, &run_id, &task_ids).await?;
    let address = run_address(&dag_id, &run_id);
    Ok(see_other(&match task {
        Some(task) => format!("{address}?task={}", encode(task)),
        None => address,
    }))
}
