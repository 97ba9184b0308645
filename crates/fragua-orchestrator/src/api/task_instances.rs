//! Task instances and their attempts.

use axum::Json;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::dag_runs::as_query;
use super::endpoint::{Endpoint, get, patch, post};
use super::failure::Failure;
use super::request::{Body, EVERY, Instant, Path, Query};
use super::shown::{Versions, date, date_or_null, seconds};
use crate::listing::{Column, Listing, Test};
use crate::{
    Attempt, AttemptState, Clearing, DagRun, Error, InstanceId, Marking, Orchestrator, TaskInstance,
    TaskState,
};

const DAG_ID: Column = Column::text("dag_id", "instances.dag_id");
const RUN_ID: Column = Column::text("run_id", "instances.run_id");
const TASK_ID: Column = Column::text("task_id", "instances.task_id");

const COLUMNS: &[Column] = &[
    DAG_ID,
    RUN_ID,
    Column::text("dag_run_id", "instances.run_id"),
    TASK_ID,
    Column::text("task_display_name", "instances.task_id"),
    Column::choice("state", "instances.state", is_task_state),
    Column::text("pool", "instances.pool"),
    Column::text("pool_name", "instances.pool"),
    Column::text("queue", "instances.queue"),
    Column::text("queue_name", "instances.queue"),
    Column::text("operator", "instances.operator"),
    Column::text("operator_name", "instances.operator"),
    Column::number("map_index", "instances.map_index"),
    Column::number("try_number", "instances.attempt"),
    Column::number("priority_weight", "instances.priority_weight"),
    Column::instant("start_date", "instances.started_at"),
    Column::instant("end_date", "instances.ended_at"),
    Column::instant("queued_when", "instances.queued_at"),
    Column::seconds("duration", "instances"),
    Column::instant("logical_date", "dag_runs.logical_date"),
    Column::instant("run_after", "dag_runs.run_after"),
    Column::instant("data_interval_start", "dag_runs.interval_start"),
    Column::instant("data_interval_end", "dag_runs.interval_end"),
    Column::text("id", "instances.id"),
];

/// A task that may start at once is `queued` here, so none is ever `scheduled`; those are still names.
fn is_task_state(name: &str) -> bool {
    TaskState::parse(name).is_some() || matches!(name, "scheduled" | "awaiting_input" | "no_status")
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances";
    const ONE: &str = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}";
    const MAPPED: &str = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}";
    vec![
        get(
            ALL,
            "Lists the task instances of a run; ~ is all runs, and all DAGs",
            list,
        )
        .list(COLUMNS)
        .query(&["cursor", "task_group_id"]),
        post(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/list",
            "Lists task instances by a body",
            list_by_body,
        )
        .body::<ListBody>(),
        get(ONE, "Returns a task instance", get_one),
        get(MAPPED, "Returns one of several instances of a task", get_mapped),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/listMapped",
            "Lists the instances of a mapped task",
            list_mapped,
        )
        .list(COLUMNS),
        patch(ONE, "Says how task instances ended", patch_one).body::<Patch>(),
        patch(MAPPED, "Says how one of several instances ended", patch_mapped).body::<Patch>(),
        patch(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dry_run",
            "Returns the task instances that would be concerned",
            patch_one_dry,
        )
        .body::<Patch>(),
        patch(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/dry_run",
            "Returns the task instances that would be concerned",
            patch_mapped_dry,
        )
        .body::<Patch>(),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries",
            "Lists the attempts of a task instance",
            tries,
        ),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries",
            "Lists the attempts of one of several instances",
            tries_of_mapped,
        ),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries/{task_try_number}",
            "Returns an attempt",
            try_of,
        ),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries/{task_try_number}",
            "Returns an attempt of one of several instances",
            try_of_mapped,
        ),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dependencies",
            "Says why a task instance waits",
            dependencies,
        ),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/dependencies",
            "Says why one of several instances waits",
            dependencies_of_mapped,
        ),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/links",
            "Lists links of an operator: there are none",
            links,
        ),
        post(
            "/api/v2/dags/{dag_id}/clearTaskInstances",
            "Lets tasks start over",
            clear,
        )
        .body::<Clear>(),
    ]
}

/// Narrows a list to what a path names.
fn within(listing: &mut Listing, dag_id: String, run_id: String) {
    let tests = [(DAG_ID, dag_id), (RUN_ID, run_id)];
    let named = tests.into_iter().filter(|(_, name)| name != EVERY);
    listing
        .tests
        .extend(named.map(|(column, name)| Test::one_of(column, [name])));
}

/// The state of what has not begun has the name `none` in the database.
fn stored_states(mut listing: Listing) -> Listing {
    for test in &mut listing.tests {
        if let crate::listing::Comparison::OneOf(values) = &mut test.comparison
            && test.column.name == "state"
        {
            values
                .iter_mut()
                .filter(|value| *value == "no_status")
                .for_each(|value| *value = "none".to_owned());
        }
    }
    listing
}

async fn page(orchestrator: &Orchestrator, listing: Listing, query: &Query) -> Result<Json<Value>, Failure> {
    let listing = stored_states(listing);
    let (pairs, total) = orchestrator.list_instances(&listing).await?;
    let mut page = json!({ "task_instances": shown(orchestrator, &pairs).await?, "total_entries": total });
    if let Some(cursor) = query.next_cursor(&listing, total) {
        page["next_cursor"] = cursor.into();
    }
    Ok(Json(page))
}

async fn shown(orchestrator: &Orchestrator, pairs: &[(TaskInstance, DagRun)]) -> Result<Vec<Value>, Error> {
    let versions = Versions::of(orchestrator, pairs.iter().map(|(_, run)| run.dag_id.as_str())).await?;
    let shown = pairs
        .iter()
        .map(|(instance, run)| task_instance_json(run, instance, &versions));
    Ok(shown.collect())
}

/// Shows instances that were changed, each with its run.
pub(super) async fn collection(
    orchestrator: &Orchestrator,
    instances: Vec<TaskInstance>,
) -> Result<Json<Value>, Failure> {
    let mut pairs: Vec<(TaskInstance, DagRun)> = Vec::with_capacity(instances.len());
    for instance in instances {
        let known = pairs
            .iter()
            .map(|(_, run)| run)
            .find(|run| run.run_id == instance.run_id);
        let run = match known {
            Some(run) => run.clone(),
            None => orchestrator.dag_run(&instance.dag_id, &instance.run_id).await?,
        };
        pairs.push((instance, run));
    }
    let total = pairs.len();
    Ok(Json(
        json!({ "task_instances": shown(orchestrator, &pairs).await?, "total_entries": total }),
    ))
}

pub(super) async fn list(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let mut listing = query.listing(COLUMNS, &[])?;
    match (dag_id.as_str(), run_id.as_str()) {
        (EVERY, _) => {}
        (dag_id, EVERY) => drop(orchestrator.dag(dag_id).await?),
        (dag_id, run_id) => drop(orchestrator.dag_run(dag_id, run_id).await?),
    }
    if let Some(group) = query.text("task_group_id") {
        let dag = orchestrator.dag(&dag_id).await?.dag;
        listing
            .tests
            .push(Test::one_of(TASK_ID, dag.tasks_in(group).map(str::to_owned)));
    }
    within(&mut listing, dag_id, run_id);
    page(&orchestrator, listing, &query).await
}

/// Which task instances, in a body: as the parameters of the list, with other names for some.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct ListBody {
    dag_ids: Option<Vec<String>>,
    dag_run_ids: Option<Vec<String>>,
    task_ids: Option<Vec<String>>,
    state: Option<Vec<Option<String>>>,
    pool: Option<Vec<String>>,
    queue: Option<Vec<String>>,
    order_by: Option<String>,
    page_limit: Option<u64>,
    page_offset: Option<u64>,
    #[serde(flatten)]
    bounds: Map<String, Value>,
}

pub(super) async fn list_by_body(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id)): Path<(String, String)>,
    Body(body): Body<ListBody>,
) -> Result<Json<Value>, Failure> {
    let states = body.state.map(|states| {
        let name = |state: Option<String>| state.unwrap_or_else(|| TaskState::None.as_str().to_owned());
        states.into_iter().map(name).collect()
    });
    let lists = [
        ("dag_id", &body.dag_ids),
        ("run_id", &body.dag_run_ids),
        ("task_id", &body.task_ids),
        ("state", &states),
        ("pool", &body.pool),
        ("queue", &body.queue),
    ];
    let page_of = (body.order_by, body.page_limit, body.page_offset);
    let query = as_query(&lists, page_of, &body.bounds);
    let mut listing = query.listing(COLUMNS, &[])?;
    within(&mut listing, dag_id, run_id);
    page(&orchestrator, listing, &query).await
}

pub(super) async fn list_mapped(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let mut listing = query.listing(COLUMNS, &[])?;
    let run = orchestrator.dag_run(&dag_id, &run_id).await?;
    let dag = orchestrator.dag_of_run(&run).await?;
    if dag.task(&task_id).is_none() {
        return Err(Failure::not_found(format!(
            "DAG {dag_id:?} has no task {task_id:?}"
        )));
    }
    within(&mut listing, dag_id, run_id);
    listing.tests.push(Test::one_of(TASK_ID, [task_id]));
    page(&orchestrator, listing, &query).await
}

pub(super) async fn get_one(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
) -> Result<Json<Value>, Failure> {
    one(&orchestrator, &dag_id, &run_id, InstanceId::from(&task_id)).await
}

pub(super) async fn get_mapped(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, map_index)): Path<(String, String, String, i64)>,
) -> Result<Json<Value>, Failure> {
    one(&orchestrator, &dag_id, &run_id, instance_id(&task_id, map_index)).await
}

/// Reads a number as Airflow writes it: -1 is no number.
pub(super) fn instance_id(task_id: &str, map_index: i64) -> InstanceId {
    InstanceId {
        task_id: task_id.to_owned(),
        map_index: u32::try_from(map_index).ok(),
    }
}

async fn one(
    orchestrator: &Orchestrator,
    dag_id: &str,
    run_id: &str,
    id: InstanceId,
) -> Result<Json<Value>, Failure> {
    let run = orchestrator.dag_run(dag_id, run_id).await?;
    let instance = orchestrator.task_instance(dag_id, run_id, id).await?;
    let versions = Versions::of(orchestrator, [dag_id]).await?;
    let attempts = orchestrator.attempts(&instance).await?;
    let mut shown = task_instance_json(&run, &instance, &versions);
    shown["pid"] = attempts.last().and_then(|attempt| attempt.process_id).into();
    // What cannot be rendered is told by the task's failure.
    if let Ok(rendered) = orchestrator.rendered(&instance).await? {
        shown["rendered_fields"] = match rendered {
            Value::Object(_) => rendered,
            short => json!({ &instance.operator: short }),
        };
    }
    Ok(Json(shown))
}

/// How task instances ended.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Patch {
    #[serde(default)]
    new_state: Option<String>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    include_upstream: bool,
    #[serde(default)]
    include_downstream: bool,
    #[serde(default)]
    include_past: bool,
    #[serde(default)]
    include_future: bool,
}

async fn patch_one(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    Body(body): Body<Patch>,
) -> Result<Json<Value>, Failure> {
    mark(&orchestrator, (&dag_id, &run_id), task_id, body, false).await
}

async fn patch_one_dry(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    Body(body): Body<Patch>,
) -> Result<Json<Value>, Failure> {
    mark(&orchestrator, (&dag_id, &run_id), task_id, body, true).await
}

async fn patch_mapped(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, map_index)): Path<(String, String, String, i64)>,
    Body(body): Body<Patch>,
) -> Result<Json<Value>, Failure> {
    let name = instance_id(&task_id, map_index).to_string();
    mark(&orchestrator, (&dag_id, &run_id), name, body, false).await
}

async fn patch_mapped_dry(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, map_index)): Path<(String, String, String, i64)>,
    Body(body): Body<Patch>,
) -> Result<Json<Value>, Failure> {
    let name = instance_id(&task_id, map_index).to_string();
    mark(&orchestrator, (&dag_id, &run_id), name, body, true).await
}

async fn mark(
    orchestrator: &Orchestrator,
    (dag_id, run_id): (&str, &str),
    name: String,
    body: Patch,
    dry_run: bool,
) -> Result<Json<Value>, Failure> {
    if body.note.is_some() {
        return Err(Failure::not_offered(
            "note",
            "runs have notes here, task instances have none",
        ));
    }
    let state = body.new_state.as_deref().and_then(TaskState::parse);
    let missing = || {
        Failure::invalid(
            "body",
            "new_state",
            "enum",
            "Input should be 'success', 'failed' or 'skipped'",
        )
    };
    let marking = Marking {
        task_ids: vec![name],
        state: state.ok_or_else(missing)?,
        upstream: body.include_upstream,
        downstream: body.include_downstream,
        past: body.include_past,
        future: body.include_future,
        dry_run,
    };
    let before = orchestrator.mark(dag_id, run_id, &marking).await?;
    if dry_run {
        return collection(orchestrator, before).await;
    }
    let mut after = Vec::with_capacity(before.len());
    for instance in before {
        let id = instance.instance_id();
        after.push(
            orchestrator
                .task_instance(&instance.dag_id, &instance.run_id, id)
                .await?,
        );
    }
    collection(orchestrator, after).await
}

/// Which tasks start over, in which runs.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Clear {
    #[serde(default)]
    dag_run_id: Option<String>,
    #[serde(default = "yes")]
    dry_run: bool,
    #[serde(default = "yes")]
    only_failed: bool,
    #[serde(default)]
    only_running: bool,
    /// Runs that are over always go on again here.
    #[serde(default = "yes")]
    reset_dag_runs: bool,
    #[serde(default)]
    include_downstream: bool,
    #[serde(default)]
    include_upstream: bool,
    #[serde(default)]
    include_past: bool,
    #[serde(default)]
    include_future: bool,
    #[serde(default)]
    start_date: Option<Instant>,
    #[serde(default)]
    end_date: Option<Instant>,
    #[serde(default)]
    task_ids: Option<Vec<TaskName>>,
    #[serde(default)]
    run_on_latest_version: Option<bool>,
    #[serde(default)]
    note: Option<String>,
}

pub(super) const fn yes() -> bool {
    true
}

/// A task, or one of several instances of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum TaskName {
    /// A task, a group, or an instance written `load[3]`.
    Plain(String),
    /// A task with the number of an instance.
    Mapped(String, i64),
}

pub(super) async fn clear(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
    Body(body): Body<Clear>,
) -> Result<Json<Value>, Failure> {
    for (field, is_asked, why) in [
        (
            "only_running",
            body.only_running,
            "tasks that run are cleared with the others here: leave it out",
        ),
        (
            "reset_dag_runs",
            !body.reset_dag_runs,
            "a run goes on when its tasks start over here: leave it out",
        ),
        (
            "run_on_latest_version",
            body.run_on_latest_version == Some(true),
            "a run keeps the version of its DAG here: leave it out",
        ),
        (
            "note",
            body.note.is_some(),
            "runs have notes here, task instances have none",
        ),
    ] {
        if is_asked {
            return Err(Failure::not_offered(field, why));
        }
    }
    let names = body
        .task_ids
        .unwrap_or_default()
        .into_iter()
        .map(|name| match name {
            TaskName::Plain(task_id) => task_id,
            TaskName::Mapped(task_id, map_index) => instance_id(&task_id, map_index).to_string(),
        });
    let clearing = Clearing {
        task_ids: names.collect(),
        upstream: body.include_upstream,
        downstream: body.include_downstream,
        past: body.include_past,
        future: body.include_future,
        only_failed: body.only_failed,
        dry_run: body.dry_run,
    };
    let run_ids = match body.dag_run_id {
        Some(run_id) => vec![run_id],
        None => runs_of_dates(&orchestrator, &dag_id, body.start_date, body.end_date).await?,
    };
    let mut cleared = Vec::new();
    for run_id in run_ids {
        cleared.extend(orchestrator.clear_tasks(&dag_id, &run_id, &clearing).await?);
    }
    collection(&orchestrator, cleared).await
}

/// Returns the runs of a stretch of logical dates. One that has no bound at all is refused: it would be every run.
async fn runs_of_dates(
    orchestrator: &Orchestrator,
    dag_id: &str,
    from: Option<Instant>,
    to: Option<Instant>,
) -> Result<Vec<String>, Failure> {
    if from.is_none() && to.is_none() {
        return Err(Failure::bad_request(
            "dag_run_id, or start_date and end_date, must say which runs",
        ));
    }
    orchestrator.dag(dag_id).await?;
    let bound = |name: &str, at: Option<Instant>| at.map(|at| (name.to_owned(), at.0.to_rfc3339()));
    let pairs = [
        Some(("dag_id".to_owned(), dag_id.to_owned())),
        bound("logical_date_gte", from),
        bound("logical_date_lte", to),
    ];
    let query = Query::new(pairs.into_iter().flatten().collect());
    const DATES: &[Column] = &[
        Column::text("dag_id", "dag_runs.dag_id"),
        Column::instant("logical_date", "dag_runs.logical_date"),
    ];
    let mut listing = query.listing(DATES, &[("logical_date", false)])?;
    listing.limit = 10_000;
    let (runs, _) = orchestrator.list_runs(&listing).await?;
    Ok(runs.into_iter().map(|run| run.run_id).collect())
}

async fn tries(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
) -> Result<Json<Value>, Failure> {
    history(&orchestrator, &dag_id, &run_id, InstanceId::from(&task_id)).await
}

async fn tries_of_mapped(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, map_index)): Path<(String, String, String, i64)>,
) -> Result<Json<Value>, Failure> {
    history(&orchestrator, &dag_id, &run_id, instance_id(&task_id, map_index)).await
}

async fn try_of(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, number)): Path<(String, String, String, u32)>,
) -> Result<Json<Value>, Failure> {
    attempt(
        &orchestrator,
        &dag_id,
        &run_id,
        InstanceId::from(&task_id),
        number,
    )
    .await
}

async fn try_of_mapped(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, map_index, number)): Path<(String, String, String, i64, u32)>,
) -> Result<Json<Value>, Failure> {
    attempt(
        &orchestrator,
        &dag_id,
        &run_id,
        instance_id(&task_id, map_index),
        number,
    )
    .await
}

async fn attempts_json(
    orchestrator: &Orchestrator,
    dag_id: &str,
    run_id: &str,
    id: InstanceId,
) -> Result<Vec<Value>, Failure> {
    let run = orchestrator.dag_run(dag_id, run_id).await?;
    let instance = orchestrator.task_instance(dag_id, run_id, id).await?;
    let versions = Versions::of(orchestrator, [dag_id]).await?;
    let attempts = orchestrator.attempts(&instance).await?;
    let shown = task_instance_json(&run, &instance, &versions);
    Ok(attempts
        .iter()
        .map(|attempt| attempt_json(&shown, attempt))
        .collect())
}

async fn history(
    orchestrator: &Orchestrator,
    dag_id: &str,
    run_id: &str,
    id: InstanceId,
) -> Result<Json<Value>, Failure> {
    let attempts = attempts_json(orchestrator, dag_id, run_id, id).await?;
    Ok(Json(
        json!({ "total_entries": attempts.len(), "task_instances": attempts }),
    ))
}

async fn attempt(
    orchestrator: &Orchestrator,
    dag_id: &str,
    run_id: &str,
    id: InstanceId,
    number: u32,
) -> Result<Json<Value>, Failure> {
    let missing = Failure::not_found(format!("task {id} of run {run_id:?} has no attempt {number}"));
    let attempts = attempts_json(orchestrator, dag_id, run_id, id).await?;
    let found = attempts
        .into_iter()
        .find(|attempt| attempt["try_number"] == number);
    found.map(Json).ok_or(missing)
}

/// An attempt has the fields of its instance, with its own times and end.
fn attempt_json(instance: &Value, attempt: &Attempt) -> Value {
    let state = match attempt.state {
        AttemptState::Running => "running",
        AttemptState::Success => "success",
        AttemptState::Skipped => "skipped",
        AttemptState::Rescheduled => "up_for_reschedule",
        AttemptState::Failed | AttemptState::Lost | AttemptState::Stopped => "failed",
    };
    let mut shown = instance.clone();
    shown["try_number"] = attempt.number.into();
    shown["state"] = state.into();
    shown["start_date"] = date(attempt.started_at);
    shown["end_date"] = date_or_null(attempt.ended_at);
    shown["duration"] = seconds(Some(attempt.started_at), attempt.ended_at);
    shown["pid"] = attempt.process_id.into();
    shown["message"] = attempt.message.clone().into();
    shown["peak_memory_bytes"] = attempt.peak_memory_bytes.into();
    shown
}

async fn dependencies(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
) -> Result<Json<Value>, Failure> {
    reasons(&orchestrator, &dag_id, &run_id, InstanceId::from(&task_id)).await
}

async fn dependencies_of_mapped(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, map_index)): Path<(String, String, String, i64)>,
) -> Result<Json<Value>, Failure> {
    reasons(&orchestrator, &dag_id, &run_id, instance_id(&task_id, map_index)).await
}

async fn reasons(
    orchestrator: &Orchestrator,
    dag_id: &str,
    run_id: &str,
    id: InstanceId,
) -> Result<Json<Value>, Failure> {
    let instance = orchestrator.task_instance(dag_id, run_id, id).await?;
    let waiting = orchestrator.waiting(&instance).await?;
    let reasons: Vec<Value> = waiting
        .iter()
        .map(|waiting| json!({ "name": waiting.name(), "reason": waiting.to_string() }))
        .collect();
    Ok(Json(json!({ "dependencies": reasons })))
}

async fn links(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
) -> Result<Json<Value>, Failure> {
    orchestrator.task_instance(&dag_id, &run_id, &task_id).await?;
    Ok(Json(json!({ "extra_links": {}, "total_entries": 0 })))
}

fn task_instance_json(run: &DagRun, instance: &TaskInstance, versions: &Versions) -> Value {
    let state = match instance.state {
        TaskState::None => Value::Null,
        state => state.as_str().into(),
    };
    json!({
        "id": instance.id,
        "task_id": instance.task_id,
        "dag_id": instance.dag_id,
        "dag_run_id": instance.run_id,
        "map_index": instance.map_index.map_or(-1, i64::from),
        "logical_date": date_or_null(run.logical_date),
        "run_after": date(run.run_after),
        "start_date": date_or_null(instance.started_at),
        "end_date": date_or_null(instance.ended_at),
        "duration": seconds(instance.started_at, instance.ended_at),
        "state": state,
        "try_number": instance.attempt,
        "max_tries": instance.retries,
        "task_display_name": instance.task_id,
        "dag_display_name": instance.dag_id,
        "hostname": null,
        "unixname": null,
        "pool": instance.pool,
        "pool_slots": instance.pool_slots,
        "queue": instance.queue,
        "priority_weight": instance.priority_weight,
        "operator": instance.operator,
        "operator_name": instance.operator,
        "queued_when": date_or_null(instance.queued_at),
        "scheduled_when": date_or_null(instance.queued_at),
        "pid": null,
        "executor": null,
        "executor_config": "{}",
        "note": null,
        "message": instance.message,
        "rendered_map_index": instance.map_label,
        // Rendered where one is asked for: a page of a thousand would take a thousand looks.
        "rendered_fields": {},
        "trigger": null,
        "triggerer_job": null,
        "dag_version": versions.shown(&run.dag_id, &run.version),
    })
}
