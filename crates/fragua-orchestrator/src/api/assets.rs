//! Assets, and what happened to them.

use axum::Json;
use axum::http::StatusCode;
use fragua_base::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::caller::Caller;
use super::endpoint::{Endpoint, delete, get, post};
use super::failure::Failure;
use super::request::{Body, Path, Query};
use super::shown::{date, date_or_null};
use crate::listing::Column;
use crate::{Asset, AssetEvent, AssetEventQuery, DagRun, Orchestrator};

const COLUMNS: &[Column] = &[
    Column::number("id", "id"),
    Column::text("name", "name"),
    Column::text("uri", "uri"),
    Column::instant("updated_at", "updated_at"),
    Column::instant("created_at", "created_at"),
];

const EVENT_COLUMNS: &[Column] = &[
    Column::number("id", "id"),
    Column::number("asset_id", "asset_id"),
    Column::text("name", "name"),
    Column::text("source_dag_id", "source_dag_id"),
    Column::text("source_task_id", "source_task_id"),
    Column::text("source_run_id", "source_run_id"),
    Column::number("source_map_index", "source_map_index"),
    Column::instant("timestamp", "timestamp"),
];

/// How many events are looked through: the newest.
const MOST_EVENTS: u64 = 1000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const QUEUED: &str = "/api/v2/dags/{dag_id}/assets/queuedEvents";
    vec![
        get("/api/v2/assets", "Lists the assets", list)
            .list(COLUMNS)
            .query(&["dag_ids"]),
        get(
            "/api/v2/assets/aliases",
            "Lists aliases of assets: there are none",
            aliases,
        ),
        get(
            "/api/v2/assets/events",
            "Lists what happened to assets, of the newest thousand",
            events,
        )
        .list(EVENT_COLUMNS),
        post(
            "/api/v2/assets/events",
            "Says that something happened to an asset",
            create,
        )
        .body::<New>(),
        get("/api/v2/assets/{asset_id}", "Returns an asset", get_one),
        get(
            QUEUED,
            "Lists the events that a DAG waits to start a run with",
            queued,
        ),
        delete(
            QUEUED,
            "Forgets the events that a DAG waits to start a run with",
            forget,
        ),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/upstreamAssetEvents",
            "Lists the events that made a run",
            upstream,
        ),
    ]
}

/// Airflow's assets have numbers, and ours have names: the number is made of the name.
fn number(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    digest
        .iter()
        .take(6)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

async fn list(Caller(orchestrator): Caller, query: Query) -> Result<Json<Value>, Failure> {
    let listing = query.listing(COLUMNS, &[("name", false)])?;
    let dag_ids: Vec<&str> = query.all("dag_ids").flat_map(|names| names.split(',')).collect();
    let concerns = |asset: &Asset| {
        let producers = asset.producers.iter().map(|(dag_id, _)| dag_id);
        let mut all = producers.chain(&asset.consumers);
        dag_ids.is_empty() || all.any(|dag_id| dag_ids.contains(&dag_id.as_str()))
    };
    let assets = orchestrator.assets().await?;
    let shown = assets.iter().filter(|asset| concerns(asset)).map(asset_json);
    let (assets, total) = listing.of(shown.collect());
    Ok(Json(json!({ "assets": assets, "total_entries": total })))
}

async fn find(orchestrator: &Orchestrator, id: u64) -> Result<Asset, Failure> {
    let mut assets = orchestrator.assets().await?.into_iter();
    let missing = || Failure::not_found(format!("The Asset with ID: `{id}` was not found"));
    assets.find(|asset| number(&asset.name) == id).ok_or_else(missing)
}

async fn get_one(Caller(orchestrator): Caller, Path(id): Path<u64>) -> Result<Json<Value>, Failure> {
    Ok(Json(asset_json(&find(&orchestrator, id).await?)))
}

async fn aliases(_: Caller) -> Json<Value> {
    Json(json!({ "asset_aliases": [], "total_entries": 0 }))
}

async fn events(Caller(orchestrator): Caller, query: Query) -> Result<Json<Value>, Failure> {
    let listing = query.listing(EVENT_COLUMNS, &[("timestamp", false)])?;
    let newest = AssetEventQuery {
        limit: MOST_EVENTS,
        ..AssetEventQuery::default()
    };
    let events = orchestrator.asset_events(&newest).await?;
    let (events, total) = listing.of(events_json(&orchestrator, &events).await?);
    Ok(Json(json!({ "asset_events": events, "total_entries": total })))
}

/// What happened to an asset.
#[derive(Debug, Deserialize, JsonSchema)]
struct New {
    asset_id: u64,
    #[serde(default)]
    extra: Option<Map<String, Value>>,
    #[serde(default)]
    partition_key: Option<String>,
}

async fn create(Caller(orchestrator): Caller, Body(new): Body<New>) -> Result<Json<Value>, Failure> {
    if new.partition_key.is_some() {
        return Err(Failure::not_offered(
            "partition_key",
            "there are no partitions here: leave it out",
        ));
    }
    let asset = find(&orchestrator, new.asset_id).await?;
    let event = orchestrator
        .create_asset_event(&asset.name, new.extra.unwrap_or_default())
        .await?;
    let mut shown = events_json(&orchestrator, &[event]).await?;
    Ok(Json(shown.pop().unwrap_or_default()))
}

async fn queued(Caller(orchestrator): Caller, Path(dag_id): Path<String>) -> Result<Json<Value>, Failure> {
    orchestrator.dag(&dag_id).await?;
    let events = orchestrator.queued_asset_events(&dag_id).await?;
    let shown = events.iter().map(|event| {
        json!({
            "asset_id": number(&event.asset),
            "dag_id": dag_id,
            "dag_display_name": dag_id,
            "created_at": date(event.at),
        })
    });
    let shown: Vec<Value> = shown.collect();
    Ok(Json(
        json!({ "total_entries": shown.len(), "queued_events": shown }),
    ))
}

async fn forget(Caller(orchestrator): Caller, Path(dag_id): Path<String>) -> Result<StatusCode, Failure> {
    orchestrator.dag(&dag_id).await?;
    orchestrator.delete_queued_asset_events(&dag_id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn upstream(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    orchestrator.dag_run(&dag_id, &run_id).await?;
    let events = orchestrator.triggering_asset_events(&dag_id, &run_id).await?;
    let shown = events_json(&orchestrator, &events).await?;
    Ok(Json(
        json!({ "total_entries": shown.len(), "asset_events": shown }),
    ))
}

fn asset_json(asset: &Asset) -> Value {
    // When a DAG first named it is not kept.
    let at = date(asset.last_event_at.unwrap_or(Timestamp::from_millis(0)));
    let producers = asset.producers.iter().map(
        |(dag_id, task_id)| json!({ "dag_id": dag_id, "task_id": task_id, "created_at": at, "updated_at": at }),
    );
    let consumers = asset
        .consumers
        .iter()
        .map(|dag_id| json!({ "dag_id": dag_id, "created_at": at, "updated_at": at }));
    json!({
        "id": number(&asset.name),
        "name": asset.name,
        "uri": asset.name,
        "group": "asset",
        "extra": {},
        "created_at": at,
        "updated_at": at,
        "producing_tasks": producers.collect::<Vec<_>>(),
        "scheduled_dags": consumers.collect::<Vec<_>>(),
        "consuming_tasks": [],
        "aliases": [],
        "watchers": [],
        "last_asset_event": asset.last_event_at.map(|at| json!({ "id": null, "timestamp": date(at) })),
    })
}

/// Shows updates with the runs that they started.
async fn events_json(orchestrator: &Orchestrator, events: &[AssetEvent]) -> Result<Vec<Value>, Failure> {
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    let started = orchestrator.runs_of_asset_events(&ids).await?;
    let runs = |event: &AssetEvent| started.get(&event.id).map(Vec::as_slice).unwrap_or_default();
    Ok(events
        .iter()
        .map(|event| event_json(event, runs(event)))
        .collect())
}

fn event_json(event: &AssetEvent, started: &[DagRun]) -> Value {
    let source = event.source.as_ref();
    json!({
        "id": event.id,
        "asset_id": number(&event.asset),
        "name": event.asset,
        "uri": event.asset,
        "group": "asset",
        "extra": event.extra,
        "source_dag_id": source.map(|source| &source.dag_id),
        "source_task_id": source.map(|source| &source.task_id),
        "source_run_id": source.map(|source| &source.run_id),
        "source_map_index": source.and_then(|source| source.map_index).map_or(-1, i64::from),
        "created_dagruns": started.iter().map(started_json).collect::<Vec<_>>(),
        "partition_key": null,
        "timestamp": date(event.at),
    })
}

fn started_json(run: &DagRun) -> Value {
    json!({
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "logical_date": date_or_null(run.logical_date),
        "start_date": date_or_null(run.started_at),
        "end_date": date_or_null(run.ended_at),
        "state": run.state.as_str(),
        "data_interval_start": date(run.data_interval_start),
        "data_interval_end": date(run.data_interval_end),
        "partition_key": null,
    })
}
