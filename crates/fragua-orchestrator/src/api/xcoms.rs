//! What tasks hand on.

use axum::Json;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::endpoint::{Endpoint, delete, get, patch, post};
use super::failure::Failure;
use super::request::{Body, EVERY, Path, Query};
use super::shown::{date, date_or_null};
use super::task_instances::instance_id;
use crate::listing::{Column, Test};
use crate::{DagRun, InstanceId, Orchestrator, Xcom};

const DAG_ID: Column = Column::text("dag_id", "xcoms.dag_id");
const RUN_ID: Column = Column::text("run_id", "xcoms.run_id");
const TASK_ID: Column = Column::text("task_id", "xcoms.task_id");
const KEY: Column = Column::text("xcom_key", "xcoms.xcom_key");
const MAP_INDEX: Column = Column::number("map_index", "xcoms.map_index");

const COLUMNS: &[Column] = &[
    DAG_ID,
    Column::text("dag_display_name", "xcoms.dag_id"),
    RUN_ID,
    TASK_ID,
    KEY,
    Column::text("key", "xcoms.xcom_key"),
    MAP_INDEX,
    Column::instant("timestamp", "xcoms.created_at"),
    Column::instant("logical_date", "dag_runs.logical_date"),
    Column::instant("run_after", "dag_runs.run_after"),
];

type OfTask = Path<(String, String, String)>;
type OfKey = Path<(String, String, String, String)>;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries";
    const ONE: &str =
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/{xcom_key}";
    vec![
        get(
            ALL,
            "Lists what a task handed on; ~ is all tasks, runs and DAGs",
            list,
        )
        .list(COLUMNS),
        post(ALL, "Hands on a value in the name of a task", create).body::<New>(),
        get(ONE, "Returns a value that a task handed on", get_one).query(&[
            "map_index",
            "deserialize",
            "stringify",
        ]),
        patch(ONE, "Changes a value that a task handed on", update).body::<Changed>(),
        delete(ONE, "Takes back a value that a task handed on", delete_one).query(&["map_index"]),
    ]
}

pub(super) async fn list(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id)): OfTask,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let mut listing = query.listing(COLUMNS, &[])?;
    if dag_id != EVERY && run_id != EVERY {
        orchestrator.dag_run(&dag_id, &run_id).await?;
    }
    let named = [(DAG_ID, dag_id), (RUN_ID, run_id), (TASK_ID, task_id)];
    let named = named.into_iter().filter(|(_, name)| name != EVERY);
    listing
        .tests
        .extend(named.map(|(column, name)| Test::one_of(column, [name])));
    let (pairs, total) = orchestrator.list_xcoms(&listing).await?;
    let entries: Vec<Value> = pairs.iter().map(|(xcom, run)| xcom_json(xcom, run)).collect();
    Ok(Json(json!({ "xcom_entries": entries, "total_entries": total })))
}

pub(super) async fn get_one(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, key)): OfKey,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let id = instance_id(&task_id, query.number("map_index")?.unwrap_or(-1));
    let (xcom, run) = find(&orchestrator, (&dag_id, &run_id), &id, &key).await?;
    let mut shown = with_value(&xcom, &run);
    if query.truth("stringify")? == Some(true) && !xcom.value.is_string() {
        shown["value"] = xcom.value.to_string().into();
    }
    Ok(Json(shown))
}

async fn find(
    orchestrator: &Orchestrator,
    (dag_id, run_id): (&str, &str),
    id: &InstanceId,
    key: &str,
) -> Result<(Xcom, DagRun), Failure> {
    let run = orchestrator.dag_run(dag_id, run_id).await?;
    let xcoms = orchestrator.xcoms_of_run(dag_id, run_id).await?;
    let mut xcoms = xcoms.into_iter();
    let found =
        xcoms.find(|xcom| xcom.task_id == id.task_id && xcom.map_index == id.map_index && xcom.key == key);
    let missing = || Failure::not_found(format!("XCom entry with key: `{key}` not found"));
    Ok((found.ok_or_else(missing)?, run))
}

/// A value to hand on.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct New {
    key: String,
    value: Value,
    #[serde(default = "none")]
    map_index: i64,
}

const fn none() -> i64 {
    -1
}

async fn create(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id)): OfTask,
    Body(body): Body<New>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let id = instance_id(&task_id, body.map_index);
    if find(&orchestrator, (&dag_id, &run_id), &id, &body.key)
        .await
        .is_ok()
    {
        let detail = format!(
            "The XCom with key: `{}` with mentioned task instance already exists.",
            body.key
        );
        return Err(Failure::conflict(detail));
    }
    orchestrator
        .put_xcom((&dag_id, &run_id), &id, &body.key, &body.value)
        .await?;
    let (xcom, run) = find(&orchestrator, (&dag_id, &run_id), &id, &body.key).await?;
    Ok((StatusCode::CREATED, Json(with_value(&xcom, &run))))
}

/// Another value.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Changed {
    value: Value,
    #[serde(default = "none")]
    map_index: i64,
}

async fn update(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, key)): OfKey,
    Body(body): Body<Changed>,
) -> Result<Json<Value>, Failure> {
    let id = instance_id(&task_id, body.map_index);
    find(&orchestrator, (&dag_id, &run_id), &id, &key).await?;
    orchestrator
        .put_xcom((&dag_id, &run_id), &id, &key, &body.value)
        .await?;
    let (xcom, run) = find(&orchestrator, (&dag_id, &run_id), &id, &key).await?;
    Ok(Json(with_value(&xcom, &run)))
}

async fn delete_one(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, key)): OfKey,
    query: Query,
) -> Result<StatusCode, Failure> {
    let id = instance_id(&task_id, query.number("map_index")?.unwrap_or(-1));
    orchestrator.delete_xcom((&dag_id, &run_id), &id, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn with_value(xcom: &Xcom, run: &DagRun) -> Value {
    let mut shown = xcom_json(xcom, run);
    shown["value"] = xcom.value.clone();
    shown
}

fn xcom_json(xcom: &Xcom, run: &DagRun) -> Value {
    json!({
        "key": xcom.key,
        "timestamp": date(xcom.at),
        "logical_date": date_or_null(run.logical_date),
        "run_after": date(run.run_after),
        "map_index": xcom.map_index.map_or(-1, i64::from),
        "task_id": xcom.task_id,
        "task_display_name": xcom.task_id,
        "dag_id": run.dag_id,
        "dag_display_name": run.dag_id,
        "run_id": run.run_id,
    })
}
