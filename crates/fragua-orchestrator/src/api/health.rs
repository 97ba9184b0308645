//! Whether it lives.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fragua_base::Timestamp;
use serde_json::{Value, json};

use super::{Failure, date_or_null};
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
