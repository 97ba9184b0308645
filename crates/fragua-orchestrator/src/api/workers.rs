//! The workers. Airflow has no such list in `/api/v2`; its form is that of the lists beside it.

use axum::Json;
use serde_json::{Value, json};

use super::caller::Caller;
use super::endpoint::{Endpoint, get};
use super::failure::Failure;
use super::shown::date;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![get("/api/v2/workers", "Lists the workers", list)]
}

async fn list(Caller(orchestrator): Caller) -> Result<Json<Value>, Failure> {
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
