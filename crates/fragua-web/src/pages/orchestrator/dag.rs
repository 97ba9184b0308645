//! The page of one DAG: its grid, its graph, how its runs went, what its file says.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_orchestrator::{
    Dag, DagRun, DagRunQuery, DagRunState, DagSummary, Orchestrator, RunType, Task, TaskTally,
};

use super::assets;
use super::calendar::{self, Calendar};
use super::charts::{self, Charts};
use super::code::{self, Code};
use super::dags::{self, DagView, run_address};
use super::grid::{self, Grid};
use super::picture::{self, GraphView, Look};
use crate::error::{Error, render};
use crate::filters;
use crate::format;
use crate::markdown;
use crate::markup::Markup;
use crate::page::{Page, encode};
use crate::schedule;
use crate::state::StateView;
use crate::view::{Choice, Crumb, SelectOption, Tab};

/// How many runs the grid and the charts may show; the first is shown when nobody chooses.
const SPANS: [u64; 4] = [25, 50, 100, 200];
const RUNS_PER_PAGE: u64 = 50;
/// How many runs are told ahead.
const NEXT_RUNS: usize = 5;

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
    Grid(Overview),
    Graph(GraphTab),
    Charts(Charts, Vec<Choice>),
    Calendar(Calendar),
    Runs(Runs),
    Code(Code),
    Details(Details),
}

struct Overview {
    grid: Grid,
    spans: Vec<Choice>,
    next_runs: Vec<String>,
    /// The assets that start a run when they were updated.
    waited: Vec<Waited>,
    /// Why there is no next run.
    no_next_run: &'static str,
}

/// An asset that a DAG waits for.
struct Waited {
    name: String,
    address: String,
    /// It was, since the last run that it started.
    is_updated: bool,
}

struct GraphTab {
    graph: GraphView,
    runs: Vec<SelectOption>,
}

struct Runs {
    rows: Vec<RunRow>,
    states: Vec<Choice>,
    day: String,
    without_day: String,
    first: Option<String>,
    next: Option<String>,
}

pub(super) struct RunRow {
    pub(super) dag_id: String,
    pub(super) dag_address: String,
    pub(super) id: String,
    pub(super) address: String,
    pub(super) view: StateView,
    pub(super) kind: String,
    pub(super) note: String,
    pub(super) logical_date: Option<Timestamp>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) duration: String,
}

struct Details {
    documentation: Markup,
    facts: Vec<(String, String)>,
    params: Vec<ParamRow>,
    tasks: Vec<TaskRow>,
}

struct ParamRow {
    name: String,
    title: String,
    kind: String,
    default: String,
    description: String,
}

struct TaskRow {
    id: String,
    operator: String,
    description: String,
    needs: String,
    rule: String,
    retries: String,
    pool: String,
    queue: String,
    timeout: String,
}

const TABS: [(&str, &str, Option<usize>); 7] = [
    ("grid", "grid", None),
    ("graph", "graph", None),
    ("charts", "charts", None),
    ("calendar", "calendar", None),
    ("runs", "runs", None),
    ("code", "code", None),
    ("details", "details", None),
];

pub(super) async fn show(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    Path(dag_id): Path<String>,
) -> Result<Response, Error> {
    let summary = orchestrator.dag(&dag_id).await?;
    let current = Tab::current(&page, &TABS.map(|(name, ..)| name));
    let tab = match current {
        "graph" => DagTab::Graph(graph(&orchestrator, &page, &summary.dag).await?),
        "charts" => {
            let runs = newest(&orchestrator, &dag_id, span(&page)).await?;
            let charts = charts::charts(&orchestrator, &page, &dag_id, &runs).await?;
            DagTab::Charts(charts, spans(&page))
        }
        "calendar" => DagTab::Calendar(calendar::calendar(&orchestrator, &page, &summary).await?),
        "runs" => DagTab::Runs(runs(&orchestrator, &page, &dag_id).await?),
        "code" => DagTab::Code(code::code(&orchestrator, &page, &summary).await?),
        "details" => DagTab::Details(details(&page, &summary)),
        _ => DagTab::Grid(overview(&orchestrator, &page, &summary).await?),
    };
    render(&DagPage {
        page: &page,
        dag: dags::view(&page, &summary),
        crumbs: vec![
            Crumb::link(page.t("dags-title"), "/"),
            Crumb::here(dag_id.clone()),
        ],
        tabs: Tab::all(&page, current, &TABS),
        tab,
    })
}

/// Returns how many runs are shown.
fn span(page: &Page) -> u64 {
    let wanted = page.parameter("span").and_then(|span| span.parse().ok());
    wanted.filter(|span| SPANS.contains(span)).unwrap_or(SPANS[0])
}

fn spans(page: &Page) -> Vec<Choice> {
    let current = span(page);
    SPANS
        .into_iter()
        .map(|span| Choice {
            label: span.to_string(),
            address: page.with(
                "span",
                &if span == SPANS[0] {
                    String::new()
                } else {
                    span.to_string()
                },
            ),
            is_current: span == current,
            count: String::new(),
        })
        .collect()
}

/// Returns the newest runs, oldest first.
async fn newest(orchestrator: &Orchestrator, dag_id: &str, limit: u64) -> Result<Vec<DagRun>, Error> {
    let query = DagRunQuery {
        dag_id: Some(dag_id.to_owned()),
        limit,
        ..DagRunQuery::default()
    };
    let mut runs = orchestrator.dag_runs(query).await?;
    runs.reverse();
    Ok(runs)
}

async fn overview(orchestrator: &Orchestrator, page: &Page, summary: &DagSummary) -> Result<Overview, Error> {
    let dag = &summary.dag;
    let runs = newest(orchestrator, &dag.dag_id, span(page)).await?;
    let run_ids: Vec<String> = runs.iter().map(|run| run.run_id.clone()).collect();
    let tallies = orchestrator.task_tallies(&dag.dag_id, &run_ids).await?;
    let next_runs = match summary.is_active {
        true => orchestrator.next_runs(&dag.dag_id, NEXT_RUNS).await?,
        false => Vec::new(),
    };
    Ok(Overview {
        grid: grid::grid(page, dag, &runs, &tallies),
        spans: spans(page),
        next_runs: next_runs
            .iter()
            .map(|run| schedule::next_run(run, page.language()))
            .collect(),
        waited: waited(orchestrator, dag).await?,
        no_next_run: if summary.is_active {
            "next-runs-none"
        } else {
            "dag-gone"
        },
    })
}

async fn waited(orchestrator: &Orchestrator, dag: &Dag) -> Result<Vec<Waited>, Error> {
    let Some(condition) = &dag.assets else {
        return Ok(Vec::new());
    };
    let queued = orchestrator.queued_asset_events(&dag.dag_id).await?;
    let waited = condition.assets().into_iter().map(|name| Waited {
        address: assets::address(name),
        is_updated: queued.iter().any(|event| event.asset == name),
        name: name.to_owned(),
    });
    Ok(waited.collect())
}

async fn graph(orchestrator: &Orchestrator, page: &Page, dag: &Dag) -> Result<GraphTab, Error> {
    let runs = newest(orchestrator, &dag.dag_id, SPANS[0]).await?;
    let named = page.parameter("run").unwrap_or_default();
    let run = match runs.iter().find(|run| run.run_id == named) {
        // An older run is shown as well when the address names it.
        None if !named.is_empty() => Some(orchestrator.dag_run(&dag.dag_id, named).await?),
        found => found.or(runs.last()).cloned(),
    };
    let (dag_of_run, tallies) = match &run {
        Some(run) => (
            Some(orchestrator.dag_of_run(run).await?),
            orchestrator
                .task_tallies(&dag.dag_id, std::slice::from_ref(&run.run_id))
                .await?,
        ),
        None => (None, Vec::new()),
    };
    let shown = run
        .iter()
        .filter(|run| runs.iter().all(|known| known.run_id != run.run_id));
    let choices = shown.chain(runs.iter().rev()).map(|choice| {
        let word = page.t(StateView::of(choice.state.as_str()).text_key());
        let date = choice
            .logical_date
            .map_or_else(|| choice.run_id.clone(), format::instant);
        let is_chosen = run.as_ref().is_some_and(|run| run.run_id == choice.run_id);
        SelectOption::new(format!("{date} · {word}"), &choice.run_id, is_chosen)
    });
    let address = run.as_ref().map(|run| run_address(&run.dag_id, &run.run_id));
    Ok(GraphTab {
        runs: choices.collect(),
        graph: picture::draw(page, dag_of_run.as_deref().unwrap_or(dag), |id, members| {
            look(address.as_deref(), &tallies, id, members)
        }),
    })
}

/// Returns how a task looks in a run, or a folded group: as the task in it that deserves most notice.
pub(super) fn look(run_address: Option<&str>, tallies: &[TaskTally], id: &str, members: &[&Task]) -> Look {
    let of_members = tallies
        .iter()
        .filter(|tally| members.iter().any(|task| task.task_id == tally.task_id));
    let state = of_members
        .map(|tally| tally.state)
        .max_by_key(|state| grid::notice(*state));
    let operator = members.first().map(|task| task.operator.clone());
    Look {
        view: StateView::of(state.map_or("", |state| state.as_str())),
        note: operator.unwrap_or_default(),
        address: run_address.map_or_else(String::new, |address| format!("{address}?task={}", encode(id))),
        is_selected: false,
    }
}

async fn runs(orchestrator: &Orchestrator, page: &Page, dag_id: &str) -> Result<Runs, Error> {
    let day = page.parameter("day").unwrap_or_default();
    if let Ok(start) = Timestamp::parse_rfc3339(&format!("{day}T00:00:00Z")) {
        let end = start.plus(std::time::Duration::from_secs(86_400));
        let runs = orchestrator.runs_between(dag_id, start, end).await?;
        return Ok(Runs {
            rows: runs.iter().map(|run| run_row(page, run)).collect(),
            states: Vec::new(),
            day: schedule::day(start, page.language()),
            without_day: page.with("day", ""),
            first: None,
            next: None,
        });
    }
    let query = DagRunQuery {
        dag_id: Some(dag_id.to_owned()),
        ..DagRunQuery::default()
    };
    let (rows, first, next) = run_rows(orchestrator, page, query).await?;
    Ok(Runs {
        rows,
        states: states(page),
        day: String::new(),
        without_day: String::new(),
        first,
        next,
    })
}

/// Returns a page of the runs that a query and the address ask for, with the addresses of the first and the next page.
pub(super) async fn run_rows(
    orchestrator: &Orchestrator,
    page: &Page,
    query: DagRunQuery,
) -> Result<(Vec<RunRow>, Option<String>, Option<String>), Error> {
    let offset = page.offset() as u64;
    let query = DagRunQuery {
        state: page.parameter("state").and_then(DagRunState::parse),
        // One more tells whether there is a next page.
        limit: RUNS_PER_PAGE + 1,
        offset,
        ..query
    };
    let runs = orchestrator.dag_runs(query).await?;
    let next = (runs.len() as u64 > RUNS_PER_PAGE)
        .then(|| page.with("offset", &(offset + RUNS_PER_PAGE).to_string()));
    let shown = runs.iter().take(RUNS_PER_PAGE as usize);
    Ok((
        shown.map(|run| run_row(page, run)).collect(),
        (offset > 0).then(|| page.with("offset", "")),
        next,
    ))
}

/// Returns the choice of runs by state.
pub(super) fn states(page: &Page) -> Vec<Choice> {
    let current = page.parameter("state").and_then(DagRunState::parse);
    let choice = |label: String, name: &str, is_current: bool| Choice {
        label,
        address: page.with2("state", name, "offset", ""),
        is_current,
        count: String::new(),
    };
    let all = choice(page.t("runs-all"), "", current.is_none());
    let each = DagRunState::ALL.into_iter().map(|state| {
        let word = page.t(StateView::of(state.as_str()).text_key());
        choice(word, state.as_str(), current == Some(state))
    });
    [all].into_iter().chain(each).collect()
}

fn run_row(page: &Page, run: &DagRun) -> RunRow {
    RunRow {
        dag_id: run.dag_id.clone(),
        dag_address: format!("/dags/{}", encode(&run.dag_id)),
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
        RunType::AssetTriggered => "run-type-asset-triggered",
    })
}

pub(super) fn span_of(duration: std::time::Duration) -> String {
    format::duration(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

fn details(page: &Page, summary: &DagSummary) -> Details {
    let dag = &summary.dag;
    let instant = |at: Option<Timestamp>| {
        at.map_or_else(|| "–".to_owned(), |at| format!("{} UTC", format::instant(at)))
    };
    let (schedule, words) = dags::schedule_of(page, &dag.timetable.schedule, dag.assets.as_ref());
    let schedule = if words == schedule {
        schedule
    } else {
        format!("{words} ({schedule})")
    };
    let timeout = dag.dagrun_timeout.map(span_of);
    let or_none = |text: String| if text.is_empty() { page.t("none") } else { text };
    let facts = [
        ("fact-file", summary.path.display().to_string()),
        ("owner", or_none(dag.owner.clone().unwrap_or_default())),
        ("tags", or_none(dag.tags.join(", "))),
        ("fact-schedule", schedule),
        ("fact-timezone", dag.timetable.timezone.clone()),
        ("fact-start-date", instant(dag.timetable.start_date)),
        ("fact-end-date", instant(dag.timetable.end_date)),
        ("fact-catchup", page.t(if dag.catchup { "yes" } else { "no" })),
        ("fact-max-active", dag.max_active_runs.to_string()),
        ("fact-max-tasks", dag.max_active_tasks.to_string()),
        ("fact-timeout", timeout.unwrap_or_else(|| page.t("none"))),
        ("fact-version", format::shorten(&summary.version, 13)),
        (
            "fact-parsed",
            format!("{} UTC", format::instant(summary.parsed_at)),
        ),
    ];
    Details {
        documentation: markdown::render(dag.description.as_deref().unwrap_or_default()),
        facts: facts
            .into_iter()
            .map(|(key, value)| (page.t(key), value))
            .collect(),
        params: dag
            .params
            .iter()
            .map(|(name, param)| param_row(name, param))
            .collect(),
        tasks: dag.tasks.iter().map(|task| task_row(page, task)).collect(),
    }
}

fn param_row(name: &str, param: &fragua_orchestrator::Param) -> ParamRow {
    let kind = param.param_type.map(|types| {
        let of_value = serde_json::json!(types.of_value);
        let or_null = if types.or_null { " | null" } else { "" };
        format!("{}{or_null}", of_value.as_str().unwrap_or_default())
    });
    ParamRow {
        name: name.to_owned(),
        title: param.title.clone().unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        default: param
            .default
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        description: param.description.clone().unwrap_or_default(),
    }
}

fn task_row(page: &Page, task: &Task) -> TaskRow {
    let placement = &task.placement;
    let slots = match placement.pool_slots {
        1 => String::new(),
        slots => format!(" × {slots}"),
    };
    let rule = serde_json::json!(task.trigger_rule);
    let retries = match task.retries {
        0 => "0".to_owned(),
        count => page.text_with(
            "retries-after",
            &[
                ("count", &count.to_string()),
                ("delay", &span_of(task.retry_delay)),
            ],
        ),
    };
    TaskRow {
        id: task.task_id.clone(),
        operator: task.operator.clone(),
        description: task.description.clone().unwrap_or_default(),
        needs: task.needs.join(", "),
        rule: rule.as_str().unwrap_or_default().to_owned(),
        retries,
        pool: format!("{}{slots}", placement.pool),
        queue: placement.queue.clone(),
        timeout: task.execution_timeout.map_or_else(|| "–".to_owned(), span_of),
    }
}
