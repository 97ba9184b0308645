//! Whether it lives.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fragua_base::Timestamp;
use serde_json::{Value, json};

use super::endpoint::{Endpoint, get, post};
use super::failure::Failure;
use super::shown::{date, date_or_null};
use crate::Orchestrator;

/// Heard of within this many seconds counts as alive.
const ALIVE_SECONDS: u64 = 90;

pub(super) async fn health(State(orchestrator): State<Orchestrator>) -> Response {
    match orchestrator.ping().await {
        Ok(()) => Json(json!({ "status": "healthy" })).into_response(),
        Err(error) => {
            tracing::error!(%error, "the database does not answer");
            let body = json!({ "status": "unhealthy", "detail": "the database does not answer" });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/health", "Says whether it lives", health),
        get("/api/v2/version", "Returns the version", version),
        get("/api/v2/monitor/health", "Says which parts live", monitor),
        get("/api/v2/jobs", "Lists the scheduler, as far as it lives", jobs),
        get("/api/v2/providers", "Lists providers: there are none", providers),
        get("/api/v2/plugins", "Lists plugins: there are none", plugins),
        get(
            "/api/v2/plugins/importErrors",
            "Lists faults of plugins: there are none",
            plugin_errors,
        ),
        post("/api/v2/fragua/wake", "Looks at the database at once", wake),
    ]
}

pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION"), "git_version": null }))
}

pub(super) async fn monitor(State(orchestrator): State<Orchestrator>) -> Json<Value> {
    let heartbeats = orchestrator.heartbeats().await;
    let status = |is_healthy: bool| if is_healthy { "healthy" } else { "unhealthy" };
    let database = status(heartbeats.is_ok());
    let heartbeats = heartbeats.unwrap_or_default();
    let now = orchestrator.now();
    let alive = |at: Option<Timestamp>| status(at.is_some_and(|at| now.since(at).as_secs() < ALIVE_SECONDS));
    let scheduler = heartbeats.scheduler;
    Json(json!({
        "metadatabase": { "status": database },
        "scheduler": { "status": alive(scheduler), "latest_scheduler_heartbeat": date_or_null(scheduler) },
        "triggerer": { "status": null, "latest_triggerer_heartbeat": null },
        "dag_processor": { "status": alive(scheduler), "latest_dag_processor_heartbeat": date_or_null(scheduler) },
    }))
}

/// Another process of this project wrote to the database: look at it now.
pub(super) async fn wake(State(orchestrator): State<Orchestrator>) -> Result<Json<Value>, Failure> {
    orchestrator.wake();
    Ok(Json(json!({ "woken": true })))
}

async fn providers() -> Json<Value> {
    Json(json!({ "providers": [], "total_entries": 0 }))
}

async fn plugins() -> Json<Value> {
    Json(json!({ "plugins": [], "total_entries": 0 }))
}

async fn plugin_errors() -> Json<Value> {
    Json(json!({ "import_errors": [], "total_entries": 0 }))
}

/// The scheduler as a job of Airflow's. What a DAG's tasks do are no jobs there either.
async fn jobs(State(orchestrator): State<Orchestrator>) -> Result<Json<Value>, Failure> {
    let heartbeats = orchestrator.heartbeats().await?;
    let now = orchestrator.now();
    let alive = heartbeats
        .scheduler
        .filter(|at| now.since(*at).as_secs() < ALIVE_SECONDS);
    let jobs: Vec<Value> = alive
        .map(|at| {
            json!({
                "id": 1,
                "dag_id": null,
                "dag_display_name": null,
                "state": "running",
                "job_type": "SchedulerJob",
                "start_date": null,
                "end_date": null,
                "latest_heartbeat": date(at),
                "executor_class": null,
                "hostname": null,
                "unixname": null,
            })
        })
        .into_iter()
        .collect();
    Ok(Json(json!({ "total_entries": jobs.len(), "jobs": jobs })))
}
