//! What scripts of Airflow 2 use of version 1: the answers of version 2 with the names and the errors of then.

use axum::Json;
use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::connections::Connections;
use super::endpoint::{Endpoint, delete, get, patch, post};
use super::failure::Failure;
use super::kept::{self, Kept};
use super::pools::Pools;
use super::request::{Body, Instant, Path, Query, read};
use super::task_instances::instance_id;
use super::variables::Variables;
use super::{dag_runs, dags, health, import_errors, logs, task_instances, xcoms};
use crate::{DagRun, InstanceId, Marking, Orchestrator, TaskState};

/// The largest body that is rewritten: an error.
const LARGEST_ERROR: usize = 1024 * 1024;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const RUN: &str = "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}";
    const TASK: &str = "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}";
    const PAGE: &[&str] = &["limit", "offset", "order_by"];
    vec![
        get("/api/v1/health", "Says which parts live", health::monitor),
        get("/api/v1/version", "Returns the version", health::version),
        get("/api/v1/dags", "Lists the DAGs", list_dags).query(&[
            "limit",
            "offset",
            "order_by",
            "tags",
            "dag_id_pattern",
            "paused",
            "only_active",
        ]),
        get("/api/v1/dags/{dag_id}", "Returns a DAG", get_dag),
        patch("/api/v1/dags/{dag_id}", "Pauses or unpauses a DAG", patch_dag)
            .query(&["update_mask"])
            .body::<dags::Patch>(),
        delete(
            "/api/v1/dags/{dag_id}",
            "Forgets a DAG with its runs",
            dags::delete_one,
        ),
        get(
            "/api/v1/dags/{dag_id}/details",
            "Returns a DAG with all that its file says of it",
            details,
        ),
        get(
            "/api/v1/dags/{dag_id}/tasks",
            "Lists the tasks of a DAG",
            dags::tasks,
        )
        .query(&["order_by"]),
        get(
            "/api/v1/dags/{dag_id}/tasks/{task_id}",
            "Returns a task",
            dags::task,
        ),
        get(
            "/api/v1/dagSources/{file_token}",
            "Returns the text of a DAG's file",
            source,
        ),
        get(
            "/api/v1/dags/{dag_id}/dagRuns",
            "Lists the runs of a DAG; ~ is all DAGs",
            list_runs,
        )
        .query(&[
            "limit",
            "offset",
            "order_by",
            "state",
            "execution_date_gte",
            "execution_date_lte",
            "start_date_gte",
            "start_date_lte",
            "end_date_gte",
            "end_date_lte",
        ]),
        post("/api/v1/dags/{dag_id}/dagRuns", "Makes a run", trigger).body::<Trigger>(),
        get(RUN, "Returns a run", get_run),
        patch(RUN, "Says how a run ended", patch_run).body::<dag_runs::Patch>(),
        delete(RUN, "Forgets a run", dag_runs::delete_one),
        patch(
            "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/setNote",
            "Changes the note of a run",
            patch_run,
        )
        .body::<dag_runs::Patch>(),
        post(
            "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/clear",
            "Lets the tasks of a run start over",
            clear_run,
        )
        .body::<dag_runs::Clear>(),
        get(
            "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances",
            "Lists the task instances of a run",
            list_tasks,
        )
        .query(&["limit", "offset", "order_by", "state", "pool", "queue"]),
        get(TASK, "Returns a task instance", get_task),
        patch(TASK, "Says how a task instance ended", patch_task).body::<PatchTask>(),
        get(
            "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}",
            "Returns one of several instances of a task",
            get_mapped,
        ),
        get(
            "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/listMapped",
            "Lists the instances of a mapped task",
            list_mapped,
        )
        .query(PAGE),
        get(
            "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{task_try_number}",
            "Returns the log of an attempt, as JSON or text",
            log,
        )
        .query(&["full_content", "map_index", "token"]),
        get(
            "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries",
            "Lists what a task handed on",
            list_xcoms,
        )
        .query(PAGE),
        get(
            "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/{xcom_key}",
            "Returns a value that a task handed on",
            get_xcom,
        )
        .query(&["map_index", "deserialize"]),
        post(
            "/api/v1/dags/{dag_id}/clearTaskInstances",
            "Lets tasks start over",
            clear_tasks,
        )
        .body::<task_instances::Clear>(),
        post(
            "/api/v1/dags/{dag_id}/updateTaskInstancesState",
            "Says how tasks ended",
            mark_tasks,
        )
        .body::<Mark>(),
        get(
            "/api/v1/importErrors",
            "Lists what is wrong with DAG files",
            import_errors::list,
        )
        .query(PAGE),
        get("/api/v1/variables", "Lists the variables", list::<Variables>).query(PAGE),
        post("/api/v1/variables", "Keeps a new variable", create::<Variables>)
            .body::<<Variables as Kept>::Body>(),
        get(
            "/api/v1/variables/{variable_key}",
            "Returns a variable",
            kept::get_one::<Variables>,
        ),
        patch(
            "/api/v1/variables/{variable_key}",
            "Changes a variable",
            kept::patch_one::<Variables>,
        )
        .body::<<Variables as Kept>::Body>(),
        delete(
            "/api/v1/variables/{variable_key}",
            "Removes a variable",
            kept::delete_one::<Variables>,
        ),
        get(
            "/api/v1/connections",
            "Lists the connections",
            list::<Connections>,
        )
        .query(PAGE),
        post(
            "/api/v1/connections",
            "Keeps a new connection",
            create::<Connections>,
        )
        .body::<<Connections as Kept>::Body>(),
        get(
            "/api/v1/connections/{connection_id}",
            "Returns a connection",
            kept::get_one::<Connections>,
        ),
        patch(
            "/api/v1/connections/{connection_id}",
            "Changes a connection",
            kept::patch_one::<Connections>,
        )
        .query(&["update_mask"])
        .body::<<Connections as Kept>::Body>(),
        delete(
            "/api/v1/connections/{connection_id}",
            "Removes a connection",
            kept::delete_one::<Connections>,
        ),
        get("/api/v1/pools", "Lists the pools", list::<Pools>).query(PAGE),
        post("/api/v1/pools", "Makes a pool", create::<Pools>).body::<<Pools as Kept>::Body>(),
        get(
            "/api/v1/pools/{pool_name}",
            "Returns a pool",
            kept::get_one::<Pools>,
        ),
        patch(
            "/api/v1/pools/{pool_name}",
            "Changes a pool",
            kept::patch_one::<Pools>,
        )
        .query(&["update_mask"])
        .body::<<Pools as Kept>::Body>(),
        delete(
            "/api/v1/pools/{pool_name}",
            "Removes a pool",
            kept::delete_one::<Pools>,
        ),
    ]
}

/// Writes errors as Airflow 2 does: problem JSON.
pub(super) async fn problems(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let bytes = to_bytes(response.into_body(), LARGEST_ERROR)
        .await
        .unwrap_or_default();
    let said: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let detail = match &said["detail"] {
        Value::String(text) => text.clone(),
        Value::Array(faults) => faults.iter().map(fault_words).collect::<Vec<_>>().join("; "),
        _ => status.canonical_reason().unwrap_or_default().to_owned(),
    };
    // What was unprocessable later was a bad request then.
    let status = match status {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        status => status,
    };
    let problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    let mut answer = (status, kind, HttpBody::from(problem.to_string())).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let basic = header::HeaderValue::from_static("Basic");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    }
    answer
}

fn fault_words(fault: &Value) -> String {
    let field = fault["loc"][1].as_str().unwrap_or_default();
    format!("{field}: {}", fault["msg"].as_str().unwrap_or_default())
}

/// Reads parameters with the names of then. A page has a hundred items where nothing is said.
fn query_of_then(query: Query) -> Query {
    query
        .renamed("execution_date", "logical_date")
        .with_usual("limit", "100")
}

/// Rewrites each item of a page.
fn each(mut page: Value, list: &str, rewrite: impl Fn(&Value) -> Value) -> Json<Value> {
    if let Some(items) = page[list].as_array() {
        page[list] = items.iter().map(rewrite).collect();
    }
    Json(page)
}

fn dag_of_then(dag: &Value) -> Value {
    let mut shown = dag.clone();
    let schedule = &dag["timetable_summary"];
    shown["schedule_interval"] = match schedule.as_str() {
        None | Some("none") => Value::Null,
        _ => json!({ "__type": "CronExpression", "value": schedule }),
    };
    shown["is_active"] = (dag["is_stale"] == false).into();
    shown["is_subdag"] = false.into();
    shown["root_dag_id"] = Value::Null;
    shown["next_dagrun"] = dag["next_dagrun_logical_date"].clone();
    shown["next_dagrun_create_after"] = dag["next_dagrun_run_after"].clone();
    shown
}

fn run_of_then(run: &Value) -> Value {
    let mut shown = run.clone();
    shown["execution_date"] = run["logical_date"].clone();
    let by_hand = !matches!(run["run_type"].as_str(), Some("scheduled" | "backfill"));
    shown["external_trigger"] = by_hand.into();
    for gone in [
        "dag_versions",
        "bundle_version",
        "run_after",
        "queued_at",
        "duration",
        "triggered_by",
    ] {
        shown.as_object_mut().map(|fields| fields.remove(gone));
    }
    if shown["run_type"] == "operator_triggered" {
        shown["run_type"] = "manual".into();
    }
    shown
}

fn task_of_then(task: &Value) -> Value {
    let mut shown = task.clone();
    shown["execution_date"] = task["logical_date"].clone();
    shown["hostname"] = "".into();
    shown["unixname"] = "".into();
    shown["sla_miss"] = Value::Null;
    for gone in ["dag_version", "id", "scheduled_when", "run_after", "logical_date"] {
        shown.as_object_mut().map(|fields| fields.remove(gone));
    }
    shown
}

/// What a change of tasks answered with.
fn reference(task: &Value) -> Value {
    json!({
        "dag_id": task["dag_id"],
        "dag_run_id": task["dag_run_id"],
        "execution_date": task["logical_date"],
        "task_id": task["task_id"],
    })
}

fn xcom_of_then(xcom: &Value) -> Value {
    let mut shown = xcom.clone();
    shown["execution_date"] = xcom["logical_date"].clone();
    if let Some(value) = xcom.get("value").filter(|value| !value.is_string()) {
        shown["value"] = value.to_string().into();
    }
    shown
}

async fn list_dags(caller: Caller, query: Query) -> Result<Json<Value>, Failure> {
    let Json(page) = dags::list(caller, query_of_then(query)).await?;
    Ok(each(page, "dags", dag_of_then))
}

async fn get_dag(caller: Caller, path: Path<String>) -> Result<Json<Value>, Failure> {
    let Json(dag) = dags::get_one(caller, path).await?;
    Ok(Json(dag_of_then(&dag)))
}

async fn patch_dag(
    caller: Caller,
    path: Path<String>,
    body: Body<dags::Patch>,
) -> Result<Json<Value>, Failure> {
    let Json(dag) = dags::patch_one(caller, path, body).await?;
    Ok(Json(dag_of_then(&dag)))
}

async fn details(caller: Caller, path: Path<String>) -> Result<Json<Value>, Failure> {
    let Json(dag) = dags::details(caller, path).await?;
    Ok(Json(dag_of_then(&dag)))
}

/// Finds a DAG by the token that stands for its file.
async fn source(caller: Caller, Path(token): Path<String>, headers: HeaderMap) -> Result<Response, Failure> {
    let dags = caller.0.list_dags().await?;
    let found = dags.iter().find(|summary| summary.version == token);
    let missing = || Failure::not_found("file_token is that of no DAG: take it from the answer about one");
    let dag_id = found.ok_or_else(missing)?.dag.dag_id.clone();
    dags::source(caller, Path(dag_id), Query::new(Vec::new()), headers).await
}

async fn list_runs(caller: Caller, path: Path<String>, query: Query) -> Result<Json<Value>, Failure> {
    let Json(page) = dag_runs::list(caller, path, query_of_then(query)).await?;
    Ok(each(page, "dag_runs", run_of_then))
}

async fn get_run(caller: Caller, path: Path<(String, String)>) -> Result<Json<Value>, Failure> {
    let Json(run) = dag_runs::get_one(caller, path).await?;
    Ok(Json(run_of_then(&run)))
}

/// What a run is made with; all of it may be left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "describes the body, which is read as that of version 2")]
struct Trigger {
    dag_run_id: Option<String>,
    logical_date: Option<Instant>,
    execution_date: Option<Instant>,
    conf: Option<Map<String, Value>>,
    note: Option<String>,
}

async fn trigger(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
    Body(mut body): Body<Map<String, Value>>,
) -> Result<Json<Value>, Failure> {
    let older = body.remove("execution_date").unwrap_or(Value::Null);
    let date = body.entry("logical_date").or_insert(Value::Null);
    if date.is_null() {
        *date = older;
    }
    let run = dag_runs::make(&orchestrator, &dag_id, read(Value::Object(body))?).await?;
    shown_run(&orchestrator, &run).await
}

async fn shown_run(orchestrator: &Orchestrator, run: &DagRun) -> Result<Json<Value>, Failure> {
    let Json(run) = dag_runs::shown_one(orchestrator, run).await?;
    Ok(Json(run_of_then(&run)))
}

async fn patch_run(
    caller: Caller,
    path: Path<(String, String)>,
    body: Body<dag_runs::Patch>,
) -> Result<Json<Value>, Failure> {
    let Json(run) = dag_runs::patch_one(caller, path, Query::new(Vec::new()), body).await?;
    Ok(Json(run_of_then(&run)))
}

async fn clear_run(
    caller: Caller,
    path: Path<(String, String)>,
    body: Body<dag_runs::Clear>,
) -> Result<Json<Value>, Failure> {
    let Json(answer) = dag_runs::clear(caller, path, body).await?;
    Ok(match answer.get("task_instances") {
        Some(_) => each(answer, "task_instances", task_of_then),
        None => Json(run_of_then(&answer)),
    })
}

async fn list_tasks(
    caller: Caller,
    path: Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let Json(page) = task_instances::list(caller, path, query_of_then(query)).await?;
    Ok(each(page, "task_instances", task_of_then))
}

async fn list_mapped(
    caller: Caller,
    path: Path<(String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let Json(page) = task_instances::list_mapped(caller, path, query_of_then(query)).await?;
    Ok(each(page, "task_instances", task_of_then))
}

async fn get_task(caller: Caller, path: Path<(String, String, String)>) -> Result<Json<Value>, Failure> {
    let Json(task) = task_instances::get_one(caller, path).await?;
    Ok(Json(task_of_then(&task)))
}

async fn get_mapped(
    caller: Caller,
    path: Path<(String, String, String, i64)>,
) -> Result<Json<Value>, Failure> {
    let Json(task) = task_instances::get_mapped(caller, path).await?;
    Ok(Json(task_of_then(&task)))
}

/// How a task instance ended.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PatchTask {
    #[serde(default = "task_instances::yes")]
    dry_run: bool,
    new_state: String,
}

async fn patch_task(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    Body(body): Body<PatchTask>,
) -> Result<Json<Value>, Failure> {
    let marking = Marking {
        dry_run: body.dry_run,
        ..Marking::one(&InstanceId::from(&task_id), state(&body.new_state)?)
    };
    let marked = orchestrator.mark(&dag_id, &run_id, &marking).await?;
    let Json(page) = task_instances::collection(&orchestrator, marked).await?;
    Ok(Json(reference(&page["task_instances"][0])))
}

fn state(name: &str) -> Result<TaskState, Failure> {
    let unknown = || {
        Failure::invalid(
            "body",
            "new_state",
            "enum",
            &format!("{name:?} is no state of a task"),
        )
    };
    TaskState::parse(name).ok_or_else(unknown)
}

/// Which tasks of a run ended, and how.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Mark {
    #[serde(default = "task_instances::yes")]
    dry_run: bool,
    task_id: String,
    dag_run_id: String,
    #[serde(default)]
    include_upstream: bool,
    #[serde(default)]
    include_downstream: bool,
    #[serde(default)]
    include_future: bool,
    #[serde(default)]
    include_past: bool,
    new_state: String,
}

async fn mark_tasks(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
    Body(body): Body<Mark>,
) -> Result<Json<Value>, Failure> {
    let marking = Marking {
        task_ids: vec![body.task_id],
        state: state(&body.new_state)?,
        upstream: body.include_upstream,
        downstream: body.include_downstream,
        past: body.include_past,
        future: body.include_future,
        dry_run: body.dry_run,
    };
    let marked = orchestrator.mark(&dag_id, &body.dag_run_id, &marking).await?;
    let Json(page) = task_instances::collection(&orchestrator, marked).await?;
    Ok(each(page, "task_instances", reference))
}

async fn clear_tasks(
    caller: Caller,
    path: Path<String>,
    body: Body<task_instances::Clear>,
) -> Result<Json<Value>, Failure> {
    let Json(page) = task_instances::clear(caller, path, body).await?;
    Ok(each(page, "task_instances", reference))
}

/// As JSON the content is what Python shows of a list of pairs of a host and a text.
async fn log(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, number)): Path<(String, String, String, u32)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let id = instance_id(&task_id, query.number("map_index")?.unwrap_or(-1));
    let token = query.text("token").filter(|token| !token.is_empty());
    let piece = logs::read(&orchestrator, (&dag_id, &run_id), id, number, token).await?;
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("application/json")) {
        let text = Value::from(piece.text);
        let content = format!("[('', {text})]");
        return Ok(Json(json!({ "content": content, "continuation_token": piece.token })).into_response());
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], piece.text).into_response())
}

async fn list_xcoms(
    caller: Caller,
    path: Path<(String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let Json(page) = xcoms::list(caller, path, query_of_then(query)).await?;
    Ok(each(page, "xcom_entries", xcom_of_then))
}

async fn get_xcom(
    caller: Caller,
    path: Path<(String, String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let Json(xcom) = xcoms::get_one(caller, path, query).await?;
    Ok(Json(xcom_of_then(&xcom)))
}

async fn list<K: Kept>(caller: Caller, query: Query) -> Result<Json<Value>, Failure> {
    kept::list::<K>(caller, query_of_then(query)).await
}

/// What is new was answered with 200 then.
async fn create<K: Kept>(caller: Caller, body: Body<Map<String, Value>>) -> Result<Json<Value>, Failure> {
    let (_, made) = kept::create::<K>(caller, body).await?;
    Ok(made)
}
