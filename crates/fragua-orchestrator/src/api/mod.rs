//! Airflow's REST API: paths, fields, statuses and error bodies are Airflow's, of version 2 (Airflow 3) and, as far
//! as scripts use it, of version 1 (Airflow 2).

mod caller;
mod docs;
mod endpoint;
mod failure;
mod request;
mod shown;

mod backfills;
mod connections;
mod dag_runs;
mod dags;
mod event_logs;
mod health;
mod import_errors;
mod kept;
mod logs;
mod pools;
mod task_instances;
mod v1;
mod variables;
mod workers;
mod xcoms;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::get;

use crate::Orchestrator;
use endpoint::Endpoint;

/// The largest body of a request.
const LARGEST_BODY: usize = 2 * 1024 * 1024;

/// Returns `/health`, the paths below `/api/v2`, `/api/v1` and `/auth`, and the documents about them.
pub fn router(orchestrator: Orchestrator) -> Router {
    let version_1 = endpoint::router(v1::endpoints()).layer(from_fn(v1::problems));
    endpoint::router(version_2())
        .merge(version_1)
        .route("/openapi.json", get(docs::openapi))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(orchestrator)
}

fn version_2() -> impl Iterator<Item = Endpoint> {
    [
        health::endpoints(),
        caller::endpoints(),
        dags::endpoints(),
        dag_runs::endpoints(),
        task_instances::endpoints(),
        logs::endpoints(),
        xcoms::endpoints(),
        variables::endpoints(),
        connections::endpoints(),
        pools::endpoints(),
        backfills::endpoints(),
        import_errors::endpoints(),
        event_logs::endpoints(),
        workers::endpoints(),
    ]
    .into_iter()
    .flatten()
}

/// Returns all that the documents tell about.
fn endpoints() -> impl Iterator<Item = Endpoint> {
    version_2().chain(v1::endpoints())
}

#[cfg(test)]
mod tests;
