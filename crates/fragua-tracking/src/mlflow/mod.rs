//! MLflow's REST protocol: routes, checks of requests, error bodies.
//!
//! Every path is served under `/api` and under `/ajax-api`. What this server does not offer of MLflow 3 answers 501 in
//! MLflow's error shape, anything else 404.

mod artifacts;
mod error;
mod experiments;
mod extract;
mod logged_models;
mod metrics;
mod models;
mod runs;
mod server;
mod uploads;
mod versions;
mod webhooks;

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::routing::get;
use serde_json::{Value, json};

use crate::Tracking;
use error::ApiError;

/// The answer of a handler.
type Answer = Result<Json<Value>, ApiError>;

/// Returns the routes of the protocol, without those of pages.
pub fn router(tracking: Tracking) -> Router {
    let api = Router::new()
        .nest(
            "/2.0/mlflow",
            Router::new()
                .merge(experiments::routes())
                .merge(runs::routes())
                .merge(metrics::routes())
                .merge(logged_models::routes())
                .merge(models::routes())
                .merge(versions::routes())
                .merge(webhooks::routes())
                .merge(artifacts::routes()),
        )
        .nest(
            "/2.0/mlflow-artifacts",
            artifacts::proxy_routes().merge(uploads::routes()),
        )
        .route("/3.0/mlflow/server-info", get(server::info))
        .fallback(unknown)
        .method_not_allowed_fallback(|| async { ApiError::no_method() });
    Router::new()
        .nest("/api", api.clone())
        .nest("/ajax-api", api)
        .merge(artifacts::download_routes())
        .merge(server::routes())
        // Bodies are bounded where they are read: JSON by its own limit, artifacts by the object store's.
        .layer(DefaultBodyLimit::disable())
        .with_state(tracking)
}

/// MLflow 3's parts for language models and its platform, by the first name below the version.
const NOT_OFFERED: &[&str] = &[
    "traces",
    "datasets",
    "scorers",
    "scorer",
    "issues",
    "label-schemas",
    "review-queues",
    "prompt-optimization",
    "gateway",
    "gateway-proxy",
    "genai",
    "jobs",
    "assistant",
    "demo",
    "mcp-servers",
    "skills",
    "workspaces",
    "users",
    "roles",
];

async fn unknown(uri: Uri) -> ApiError {
    let mut names = uri.path().split('/').filter(|name| !name.is_empty());
    // Below /api: the version, `mlflow`, the part.
    let part = names.find(|name| *name == "mlflow").and_then(|_| names.next());
    match part.filter(|part| NOT_OFFERED.contains(part)) {
        Some(part) => ApiError::not_offered(part),
        None => ApiError::no_endpoint(uri.path()),
    }
}

/// Answers with a list, or with nothing when it is empty, and with the token of the next page when there is one.
fn listed<T: serde::Serialize>(name: &str, items: Vec<T>, next: Option<String>) -> Result<Value, ApiError> {
    let mut answer = json!({});
    if !items.is_empty() {
        answer[name] = to_value(items)?;
    }
    if let Some(next) = next {
        answer["next_page_token"] = Value::String(next);
    }
    Ok(answer)
}

fn to_value(value: impl serde::Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(value).map_err(|_| ApiError::invalid("The answer cannot be written as JSON"))
}

/// The answer to what changes something and tells nothing.
fn done() -> Answer {
    Ok(Json(json!({})))
}
