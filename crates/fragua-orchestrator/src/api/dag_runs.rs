//! DAG runs.

use std::time::Duration;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::dags::is_run_state;
use super::endpoint::{Endpoint, delete, get, patch, post};
use super::failure::Failure;
use super::request::{Body, EVERY, Instant, Path, Query, present, read};
use super::shown::{Versions, date, date_or_null, seconds};
use super::task_instances::collection;
use crate::listing::{Column, Listing, Test};
use crate::{Clearing, DagRun, DagRunState, Error, Orchestrator, RunType, TriggerRequest};

/// The longest note, as in Airflow.
const LONGEST_NOTE: usize = 1000;

const DAG_ID: Column = Column::text("dag_id", "dag_runs.dag_id");

const COLUMNS: &[Column] = &[
    DAG_ID,
    Column::text("run_id", "dag_runs.run_id"),
    Column::text("dag_run_id", "dag_runs.run_id"),
    Column::choice("state", "dag_runs.state", is_run_state),
    Column::choice("run_type", "dag_runs.run_type", is_run_type),
    Column::instant("logical_date", "dag_runs.logical_date"),
    Column::instant("run_after", "dag_runs.run_after"),
    Column::instant("start_date", "dag_runs.started_at"),
    Column::instant("end_date", "dag_runs.ended_at"),
    Column::instant("queued_at", "dag_runs.queued_at"),
    Column::seconds("duration", "dag_runs"),
    Column::text("conf", "dag_runs.params"),
    Column::instant("id", "dag_runs.queued_at"),
];

fn is_run_type(name: &str) -> bool {
    // Those that none here can have are still names.
    RunType::parse(name).is_some() || name.starts_with("asset_")
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const RUN: &str = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}";
    vec![
        get(
            "/api/v2/dags/{dag_id}/dagRuns",
            "Lists the runs of a DAG; ~ is all DAGs",
            list,
        )
        .list(COLUMNS)
        .query(&["cursor", "conf_contains"]),
        post("/api/v2/dags/{dag_id}/dagRuns", "Makes a run", trigger).body::<Trigger>(),
        post(
            "/api/v2/dags/{dag_id}/dagRuns/list",
            "Lists runs of DAGs by a body",
            list_by_body,
        )
        .body::<ListBody>(),
        get(RUN, "Returns a run", get_one),
        patch(RUN, "Says how a run ended, or changes its note", patch_one)
            .query(&["update_mask"])
            .body::<Patch>(),
        delete(RUN, "Forgets a run", delete_one),
        post(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/clear",
            "Lets the tasks of a run start over",
            clear,
        )
        .body::<Clear>(),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/wait",
            "Says how a run stands until it is over",
            wait,
        )
        .query(&["interval", "result"]),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/upstreamAssetEvents",
            "Lists the events of assets that made a run: runs are not made by them",
            upstream_asset_events,
        ),
    ]
}

async fn shown(orchestrator: &Orchestrator, runs: &[DagRun]) -> Result<Vec<Value>, Error> {
    let versions = Versions::of(orchestrator, runs.iter().map(|run| run.dag_id.as_str())).await?;
    Ok(runs.iter().map(|run| dag_run_json(run, &versions)).collect())
}

pub(super) async fn shown_one(orchestrator: &Orchestrator, run: &DagRun) -> Result<Json<Value>, Failure> {
    let versions = Versions::of(orchestrator, [run.dag_id.as_str()]).await?;
    Ok(Json(dag_run_json(run, &versions)))
}

async fn page(orchestrator: &Orchestrator, listing: &Listing, query: &Query) -> Result<Json<Value>, Failure> {
    let (runs, total) = orchestrator.list_runs(listing).await?;
    let mut page = json!({
        "dag_runs": shown(orchestrator, &runs).await?,
        "total_entries": total,
    });
    if let Some(cursor) = query.next_cursor(listing, total) {
        page["next_cursor"] = cursor.into();
    }
    Ok(Json(page))
}

pub(super) async fn list(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let query = query.renamed("conf_contains", "conf_pattern");
    let mut listing = query.listing(COLUMNS, &[])?;
    if dag_id != EVERY {
        orchestrator.dag(&dag_id).await?;
        listing.tests.push(Test::one_of(DAG_ID, [dag_id]));
    }
    page(&orchestrator, &listing, &query).await
}

/// Which runs, in a body: as the parameters of the list, with other names for some.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct ListBody {
    dag_ids: Option<Vec<String>>,
    states: Option<Vec<Option<String>>>,
    order_by: Option<String>,
    page_limit: Option<u64>,
    page_offset: Option<u64>,
    #[serde(flatten)]
    bounds: Map<String, Value>,
}

/// Makes parameters of a list out of a body.
pub(super) fn as_query(
    lists: &[(&str, &Option<Vec<String>>)],
    (order_by, page_limit, page_offset): (Option<String>, Option<u64>, Option<u64>),
    bounds: &Map<String, Value>,
) -> Query {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, values) in lists {
        let values = values.iter().flatten();
        pairs.extend(values.map(|value| ((*name).to_owned(), value.clone())));
    }
    pairs.extend(order_by.map(|order_by| ("order_by".to_owned(), order_by)));
    // A body is not held to a hundred, but no more is given than one answer should hold.
    pairs.push(("limit".to_owned(), page_limit.unwrap_or(100).to_string()));
    pairs.push(("offset".to_owned(), page_offset.unwrap_or(0).to_string()));
    for (name, value) in bounds {
        match value {
            Value::String(text) => pairs.push((name.clone(), text.clone())),
            Value::Number(number) => pairs.push((name.clone(), number.to_string())),
            _ => {}
        }
    }
    Query::new(pairs)
}

async fn list_by_body(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
    Body(body): Body<ListBody>,
) -> Result<Json<Value>, Failure> {
    let states = body.states.map(|states| states.into_iter().flatten().collect());
    let page_of = (body.order_by, body.page_limit, body.page_offset);
    let query = as_query(
        &[("dag_id", &body.dag_ids), ("state", &states)],
        page_of,
        &body.bounds,
    );
    let query = query.renamed("conf_contains", "conf_pattern");
    let mut listing = query.listing(COLUMNS, &[])?;
    if dag_id != EVERY {
        listing.tests.push(Test::one_of(DAG_ID, [dag_id]));
    }
    page(&orchestrator, &listing, &query).await
}

pub(super) async fn get_one(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    let run = orchestrator.dag_run(&dag_id, &run_id).await?;
    shown_one(&orchestrator, &run).await
}

/// What a run is made with. The key `logical_date` must be there, and may be null.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Trigger {
    #[serde(deserialize_with = "Option::deserialize")]
    #[schemars(required)]
    logical_date: Option<Instant>,
    #[serde(default)]
    dag_run_id: Option<String>,
    #[serde(default)]
    conf: Option<Map<String, Value>>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    data_interval_start: Option<Instant>,
    #[serde(default)]
    data_interval_end: Option<Instant>,
    #[serde(default)]
    run_after: Option<Instant>,
    #[serde(default)]
    partition_key: Option<String>,
}

pub(super) async fn trigger(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
    Body(body): Body<Map<String, Value>>,
) -> Result<Json<Value>, Failure> {
    let run = make(&orchestrator, &dag_id, read(Value::Object(body))?).await?;
    shown_one(&orchestrator, &run).await
}

pub(super) async fn make(
    orchestrator: &Orchestrator,
    dag_id: &str,
    trigger: Trigger,
) -> Result<DagRun, Failure> {
    let follows = "follows from the DAG's schedule and the logical date here: leave it out";
    if trigger.data_interval_start.is_some() || trigger.data_interval_end.is_some() {
        return Err(Failure::not_offered("data_interval_start", follows));
    }
    if trigger.run_after.is_some_and(|at| at.0 > orchestrator.now()) {
        return Err(Failure::not_offered(
            "run_after",
            "a run that is asked for starts at once here: leave it out",
        ));
    }
    if trigger.partition_key.is_some() {
        return Err(Failure::not_offered(
            "partition_key",
            "there are no partitions here: leave it out",
        ));
    }
    let request = TriggerRequest {
        params: trigger.conf.unwrap_or_default(),
        logical_date: trigger.logical_date.map(|at| at.0),
        run_id: trigger.dag_run_id.filter(|run_id| !run_id.is_empty()),
        note: trigger.note,
    };
    Ok(orchestrator.trigger(dag_id, request).await?)
}

/// How a run ended, or what to remember about it.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Patch {
    #[serde(default)]
    state: Option<String>,
    #[serde(default, deserialize_with = "present")]
    note: Option<Option<String>>,
}

pub(super) async fn patch_one(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id)): Path<(String, String)>,
    query: Query,
    Body(patch): Body<Patch>,
) -> Result<Json<Value>, Failure> {
    let mask: Vec<&str> = query
        .all("update_mask")
        .flat_map(|names| names.split(','))
        .collect();
    let is_meant = |name: &str| mask.is_empty() || mask.contains(&name);
    orchestrator.dag_run(&dag_id, &run_id).await?;
    if let Some(name) = patch.state.filter(|_| is_meant("state")) {
        match DagRunState::parse(&name) {
            // As in Airflow: what failed starts over.
            Some(DagRunState::Queued) => {
                let failed = Clearing {
                    only_failed: true,
                    ..Clearing::default()
                };
                let cleared = orchestrator.clear_tasks(&dag_id, &run_id, &failed).await?;
                if cleared.is_empty() {
                    orchestrator.requeue(&dag_id, &run_id).await?;
                }
            }
            Some(state) if state.is_finished() => orchestrator.mark_run(&dag_id, &run_id, state).await?,
            _ => {
                let message = format!("Input should be 'queued', 'success' or 'failed', not {name:?}");
                return Err(Failure::invalid("body", "state", "enum", &message));
            }
        }
    }
    if let Some(note) = patch.note.filter(|_| is_meant("note")) {
        set_note(&orchestrator, (&dag_id, &run_id), note).await?;
    }
    let run = orchestrator.dag_run(&dag_id, &run_id).await?;
    shown_one(&orchestrator, &run).await
}

async fn set_note(
    orchestrator: &Orchestrator,
    (dag_id, run_id): (&str, &str),
    note: Option<String>,
) -> Result<(), Failure> {
    let note = note.filter(|note| !note.is_empty());
    if note
        .as_ref()
        .is_some_and(|note| note.chars().count() > LONGEST_NOTE)
    {
        let message = format!("a note has at most {LONGEST_NOTE} characters");
        return Err(Failure::invalid("body", "note", "string_too_long", &message));
    }
    Ok(orchestrator.set_note(dag_id, run_id, note.as_deref()).await?)
}

pub(super) async fn delete_one(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    orchestrator.delete_dag_run(&dag_id, &run_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which tasks of a run start over.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Clear {
    #[serde(default = "super::task_instances::yes")]
    dry_run: bool,
    #[serde(default)]
    only_failed: bool,
    #[serde(default)]
    only_new: bool,
    #[serde(default)]
    run_on_latest_version: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    note: Option<Option<String>>,
}

/// A dry run says which tasks; else the run is returned.
pub(super) async fn clear(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id)): Path<(String, String)>,
    Body(body): Body<Clear>,
) -> Result<Json<Value>, Failure> {
    if body.only_new || body.run_on_latest_version == Some(true) {
        let field = if body.only_new {
            "only_new"
        } else {
            "run_on_latest_version"
        };
        return Err(Failure::not_offered(
            field,
            "a run keeps the version of its DAG here: leave it out",
        ));
    }
    let clearing = Clearing {
        only_failed: body.only_failed,
        dry_run: body.dry_run,
        ..Clearing::default()
    };
    let cleared = orchestrator.clear_tasks(&dag_id, &run_id, &clearing).await?;
    if body.dry_run {
        return collection(&orchestrator, cleared).await;
    }
    if let Some(note) = body.note {
        set_note(&orchestrator, (&dag_id, &run_id), note).await?;
    }
    let run = orchestrator.dag_run(&dag_id, &run_id).await?;
    shown_one(&orchestrator, &run).await
}

/// Lines of JSON: how the run stands, each interval until it is over.
async fn wait(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id)): Path<(String, String)>,
    query: Query,
) -> Result<Response, Failure> {
    let interval: f64 = query.number("interval")?.unwrap_or(1.0);
    if !(0.05..=3600.0).contains(&interval) {
        return Err(Failure::invalid(
            "query",
            "interval",
            "greater_than",
            "interval must be from 0.05 to 3600 seconds",
        ));
    }
    let results: Vec<String> = query.all("result").map(str::to_owned).collect();
    orchestrator.dag_run(&dag_id, &run_id).await?;
    let look = move |is_first: bool| {
        let (orchestrator, dag_id, run_id) = (orchestrator.clone(), dag_id.clone(), run_id.clone());
        let results = results.clone();
        async move {
            if !is_first {
                tokio::time::sleep(Duration::from_secs_f64(interval)).await;
            }
            let run = orchestrator.dag_run(&dag_id, &run_id).await?;
            let mut line = json!({ "state": run.state.as_str() });
            if run.state.is_finished() && !results.is_empty() {
                let xcoms = orchestrator.xcoms_of_run(&dag_id, &run_id).await?;
                let wanted = xcoms
                    .into_iter()
                    .filter(|xcom| xcom.key == crate::RETURN_VALUE && results.contains(&xcom.task_id));
                line["results"] = wanted
                    .map(|xcom| (xcom.task_id, xcom.value))
                    .collect::<Map<_, _>>()
                    .into();
            }
            Ok::<_, Error>((Bytes::from(format!("{line}\n")), run.state.is_finished()))
        }
    };
    let lines = stream::try_unfold(Some(true), move |next| {
        let look = look.clone();
        async move {
            let Some(is_first) = next else {
                return Ok::<_, Error>(None);
            };
            let (line, is_over) = look(is_first).await?;
            Ok(Some((line, (!is_over).then_some(false))))
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, HttpBody::from_stream(lines)).into_response())
}

async fn upstream_asset_events(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    orchestrator.dag_run(&dag_id, &run_id).await?;
    Ok(Json(json!({ "asset_events": [], "total_entries": 0 })))
}

fn dag_run_json(run: &DagRun, versions: &Versions) -> Value {
    let triggered_by = match run.run_type {
        RunType::Manual => "rest_api",
        RunType::Backfill => "backfill",
        RunType::OperatorTriggered => "operator",
        _ => "timetable",
    };
    json!({
        "dag_id": run.dag_id,
        "dag_display_name": run.dag_id,
        "dag_run_id": run.run_id,
        "run_type": run.run_type.as_str(),
        "state": run.state.as_str(),
        "logical_date": date_or_null(run.logical_date),
        "data_interval_start": date(run.data_interval_start),
        "data_interval_end": date(run.data_interval_end),
        "run_after": date(run.run_after),
        "queued_at": date(run.queued_at),
        "start_date": date_or_null(run.started_at),
        "end_date": date_or_null(run.ended_at),
        "duration": seconds(run.started_at, run.ended_at),
        "last_scheduling_decision": null,
        "conf": run.params,
        "note": run.note,
        "triggered_by": triggered_by,
        "triggering_user_name": null,
        "bundle_version": null,
        "partition_key": null,
        "partition_date": null,
        "dag_versions": [versions.shown(&run.dag_id, &run.version)],
    })
}
