//! The workers. Airflow has no such list in `/api/v2`; its form is that of the lists beside it.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::{Failure, date};
use crate::Orchestrator;

pub(super) async fn list(State(orchestrator): State<Orchestrator>) -> Result<Json<Value>, Failure> {
    let workers = orchestrator.workers().await?;
    let entries: Vec<Value> = workers
        .iter()
        .map(|worker| {
            json!({
                "worker_id": worker.id,
                "name": worker.name,
                "hostname": worker.host,
                "version": worker.version,
                "pid": worker.process_id,
                "remote": worker.is_remote,
                "slots": worker.slots,
                "queues": worker.queues,
                "running": worker.running,
                "start_date": date(worker.started_at),
                "latest_heartbeat": date(worker.heard_at),
                "state": if worker.is_alive { "alive" } else { "silent" },
            })
        })
        .collect();
    Ok(Json(
        json!({ "total_entries": entries.len(), "workers": entries }),
    ))
}
