//! The page of one DAG: its graph, its runs, what its file says.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_orchestrator::{Dag, DagRun, DagRunQuery, DagSummary, Orchestrator, RunType, Task, TaskInstance};

use super::dags::{self, DagView, run_address};
use super::grid::{self, Grid};
use super::picture::{self, GraphView, Look};
use crate::error::{Error, render};
use crate::filters;
use crate::format;
use crate::page::{Page, encode};
use crate::schedule;
use crate::state::StateView;
use crate::view::{Crumb, Tab};

const GRID_RUNS: u64 = 25;
const RUNS_PER_PAGE: u64 = 50;

#[derive(Template)]
#[template(path = "orchestrator/dag.html")]
struct DagPage<'a> {
    page: &'a Page,
    dag: DagView,
    crumbs: Vec<Crumb>,
    tabs: Vec<Tab>,
    tab: DagTab,
}

enum DagTab {
    Overview(Overview),
    Runs(Runs),
    Details(Details),
    Code(Code),
}

struct Overview {
    graph: GraphView,
    graph_caption: String,
    grid: Grid,
}

struct Runs {
    rows: Vec<RunRow>,
    first: Option<String>,
    next: Option<String>,
}

struct RunRow {
    id: String,
    address: String,
    view: StateView,
    kind: String,
    note: String,
    logical_date: Option<Timestamp>,
    started_at: Option<Timestamp>,
    duration: String,
}

struct Details {
    facts: Vec<(String, String)>,
    tasks: Vec<TaskRow>,
}

struct TaskRow {
    id: String,
    operator: String,
    needs: String,
}

struct Code {
    path: String,
    text: String,
}

pub(super) async fn show(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    Path(dag_id): Path<String>,
) -> Result<Response, Error> {
    let summary = orchestrator.dag(&dag_id).await?;
    let current = Tab::current(&page, &["overview", "runs", "details", "code"]);
    let tab = match current {
        "runs" => DagTab::Runs(runs(&orchestrator, &page, &dag_id).await?),
        "details" => DagTab::Details(details(&page, &summary)),
        "code" => DagTab::Code(code(&orchestrator, &summary).await?),
        _ => DagTab::Overview(overview(&orchestrator, &page, &summary.dag).await?),
    };
    let tabs = Tab::all(
        &page,
        current,
        &[
            ("overview", "overview", None),
            ("runs", "runs", None),
            ("details", "details", None),
            ("code", "code", None),
        ],
    );
    render(&DagPage {
        page: &page,
        dag: dags::view(&page, &summary),
        crumbs: vec![
            Crumb::link(page.t("dags-title"), "/"),
            Crumb::here(dag_id.clone()),
        ],
        tabs,
        tab,
    })
}

async fn overview(orchestrator: &Orchestrator, page: &Page, dag: &Dag) -> Result<Overview, Error> {
    let query = DagRunQuery {
        dag_id: Some(dag.dag_id.clone()),
        limit: GRID_RUNS,
        ..DagRunQuery::default()
    };
    let mut runs = orchestrator.dag_runs(query).await?;
    runs.reverse();
    let run_ids: Vec<String> = runs.iter().map(|run| run.run_id.clone()).collect();
    let instances = orchestrator.task_instances_of(&dag.dag_id, &run_ids).await?;
    let newest = runs.last();
    let graph = picture::draw(page, &dag.tasks, |task| look(newest, &instances, task));
    let caption = newest.map_or_else(String::new, |run| {
        format!("{}: {}", page.t("last-run"), run.run_id)
    });
    Ok(Overview {
        graph,
        graph_caption: caption,
        grid: grid::grid(page, &dag.tasks, &runs, &instances),
    })
}

/// A task of the graph looks as it does in the newest run.
fn look(newest: Option<&DagRun>, instances: &[TaskInstance], task: &Task) -> Look {
    let Some(run) = newest else {
        return Look {
            view: StateView::of(""),
            note: task.operator.clone(),
            address: String::new(),
            is_selected: false,
        };
    };
    let instance = instances
        .iter()
        .find(|instance| instance.run_id == run.run_id && instance.task_id == task.task_id);
    let address = run_address(&run.dag_id, &run.run_id);
    Look {
        view: StateView::of(instance.map_or("", |instance| instance.state.as_str())),
        note: task.operator.clone(),
        address: format!("{address}?task={}", encode(&task.task_id)),
        is_selected: false,
    }
}

async fn runs(orchestrator: &Orchestrator, page: &Page, dag_id: &str) -> Result<Runs, Error> {
    let offset: u64 = page
        .parameter("offset")
        .and_then(|offset| offset.parse().ok())
        .unwrap_or(0);
    let query = DagRunQuery {
        dag_id: Some(dag_id.to_owned()),
        limit: RUNS_PER_PAGE,
        offset,
        ..DagRunQuery::default()
    };
    let total = orchestrator.count_dag_runs(&query).await?;
    let runs = orchestrator.dag_runs(query).await?;
    let next = offset + RUNS_PER_PAGE;
    Ok(Runs {
        rows: runs.iter().map(|run| run_row(page, run)).collect(),
        first: (offset > 0).then(|| page.with("offset", "")),
        next: (next < total).then(|| page.with("offset", &next.to_string())),
    })
}

fn run_row(page: &Page, run: &DagRun) -> RunRow {
    RunRow {
        address: run_address(&run.dag_id, &run.run_id),
        view: StateView::of(run.state.as_str()),
        kind: run_type(page, run.run_type),
        note: run.note.clone().unwrap_or_default(),
        logical_date: run.logical_date,
        started_at: run.started_at,
        duration: grid::millis(page, run).map_or_else(|| "–".to_owned(), format::duration),
        id: run.run_id.clone(),
    }
}

pub(super) fn run_type(page: &Page, run_type: RunType) -> String {
    page.t(match run_type {
        RunType::Scheduled => "run-type-scheduled",
        RunType::Manual => "run-type-manual",
        RunType::Backfill => "run-type-backfill",
        RunType::OperatorTriggered => "run-type-operator-triggered",
    })
}

fn details(page: &Page, summary: &DagSummary) -> Details {
    let dag = &summary.dag;
    let instant = |at: Option<Timestamp>| {
        at.map_or_else(|| "–".to_owned(), |at| format!("{} UTC", format::instant(at)))
    };
    let schedule = dag.timetable.schedule.to_string();
    let words = schedule::words(&schedule, page.language());
    let schedule = if words == schedule {
        schedule
    } else {
        format!("{words} ({schedule})")
    };
    let timeout = dag.dagrun_timeout.map(|timeout| {
        let millis = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        format::duration(millis)
    });
    let params: Vec<&str> = dag.params.keys().map(String::as_str).collect();
    let facts = [
        ("fact-file", summary.path.display().to_string()),
        ("fact-schedule", schedule),
        ("fact-timezone", dag.timetable.timezone.clone()),
        ("fact-start-date", instant(dag.timetable.start_date)),
        ("fact-end-date", instant(dag.timetable.end_date)),
        ("fact-catchup", page.t(if dag.catchup { "yes" } else { "no" })),
        ("fact-max-active", dag.max_active_runs.to_string()),
        ("fact-version", format::shorten(&summary.version, 13)),
        ("fact-timeout", timeout.unwrap_or_else(|| page.t("none"))),
        (
            "fact-params",
            if params.is_empty() {
                page.t("none")
            } else {
                params.join(", ")
            },
        ),
    ];
    Details {
        facts: facts
            .into_iter()
            .map(|(key, value)| (page.t(key), value))
            .collect(),
        tasks: dag
            .tasks
            .iter()
            .map(|task| TaskRow {
                id: task.task_id.clone(),
                operator: task.operator.clone(),
                needs: task.needs.join(", "),
            })
            .collect(),
    }
}

async fn code(orchestrator: &Orchestrator, summary: &DagSummary) -> Result<Code, Error> {
    let text = orchestrator.dag_source(&summary.dag.dag_id).await?;
    Ok(Code {
        path: summary.path.display().to_string(),
        text: text.unwrap_or_default(),
    })
}
