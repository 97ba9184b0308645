//! MLflow's REST protocol: routes, checks of requests, error bodies.
//!
//! Every path is served under `/api` and under `/ajax-api`. What this server does not offer of MLflow 3 answers 501 in
//! MLflow's error shape, anything else below those paths 404.

mod answer;
mod artifacts;
mod endpoint;
mod error;
mod experiments;
mod extract;
mod field;
mod logged_models;
mod metrics;
mod models;
mod openapi;
mod runs;
mod server;
mod uploads;
mod versions;
mod webhooks;

use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri, Request};
use axum::http::Uri;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;

use crate::Tracking;
use endpoint::Endpoint;
use error::ApiError;

/// Everything below `/api` and `/ajax-api`, by the path of its group.
fn api_groups() -> Vec<(&'static str, Vec<Endpoint>)> {
    let core = [
        experiments::endpoints(),
        runs::endpoints(),
        metrics::endpoints(),
        logged_models::endpoints(),
        models::endpoints(),
        versions::endpoints(),
        webhooks::endpoints(),
        artifacts::endpoints(),
    ];
    let files = [artifacts::proxy_endpoints(), uploads::endpoints()];
    vec![
        ("/2.0/mlflow", core.into_iter().flatten().collect()),
        ("/2.0/mlflow-artifacts", files.into_iter().flatten().collect()),
        ("/3.0/mlflow", server::info_endpoints()),
    ]
}

/// Everything at the root of the server.
fn root_endpoints() -> Vec<Endpoint> {
    [artifacts::download_endpoints(), server::endpoints()]
        .into_iter()
        .flatten()
        .collect()
}

/// Returns method and path of every endpoint, those below the prefixes under both of them.
#[cfg(test)]
pub(crate) fn addresses() -> Vec<(String, String)> {
    let address = |prefix: &str, endpoint: &Endpoint| {
        (endpoint.method.to_string(), format!("{prefix}{}", endpoint.path))
    };
    let below = api_groups().into_iter().flat_map(|(group, endpoints)| {
        endpoints.into_iter().flat_map(move |endpoint| {
            ["/api", "/ajax-api"].map(|prefix| address(&format!("{prefix}{group}"), &endpoint))
        })
    });
    below
        .chain(root_endpoints().iter().map(|endpoint| address("", endpoint)))
        .collect()
}

/// Returns the routes of the protocol, without those of pages.
pub fn router(tracking: Tracking) -> Router {
    let api = api_groups()
        .into_iter()
        .fold(Router::new(), |router, (path, endpoints)| {
            router.nest(path, endpoint::router(endpoints))
        })
        .fallback(unknown)
        .method_not_allowed_fallback(|| async { ApiError::no_method() });
    let not_offered = NOT_OFFERED_AT_ROOT.iter().fold(Router::new(), |router, path| {
        router.route(
            path,
            any(|uri: Uri| async move { ApiError::not_offered(uri.path()) }),
        )
    });
    Router::new()
        .nest("/api", api.clone())
        .nest("/ajax-api", api)
        .merge(endpoint::router(root_endpoints()))
        .merge(not_offered)
        // Bodies are bounded where they are read: JSON by its own limit, artifacts by the object store's.
        .layer((DefaultBodyLimit::disable(), from_fn(no_nul)))
        .with_state(tracking)
}

/// Says in MLflow's shape why a request was refused before it reached the protocol; nothing for an address outside of it.
pub fn refusal(uri: &Uri, message: &str) -> Option<Response> {
    const PREFIXES: [&str; 7] = [
        "/api/",
        "/ajax-api/",
        "/v1/",
        "/graphql",
        "/gateway/",
        "/get-artifact",
        "/model-versions/get-artifact",
    ];
    let path = uri.path();
    let is_spoken = PREFIXES.iter().any(|prefix| path.starts_with(prefix));
    is_spoken.then(|| ApiError::forbidden(message).into_response())
}

/// Neither names nor files have a NUL character, and no database is asked for one.
async fn no_nul(request: Request, next: Next) -> Response {
    let uri = request.uri();
    if uri.path().contains("%00") || uri.query().is_some_and(|query| query.contains("%00")) {
        return ApiError::invalid("The address must not hold a NUL character").into_response();
    }
    next.run(request).await
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
    "get-trace-artifact",
    "ui-telemetry",
];

/// The same, outside of the two prefixes.
const NOT_OFFERED_AT_ROOT: &[&str] = &["/v1/traces", "/graphql", "/gateway/{*path}", "/signup"];

async fn unknown(OriginalUri(uri): OriginalUri) -> ApiError {
    let path = uri.path();
    let mut names = path.split('/').filter(|name| !name.is_empty());
    // Below /api: the version, `mlflow`, the part.
    let part = names.find(|name| *name == "mlflow").and_then(|_| names.next());
    match part.filter(|part| NOT_OFFERED.contains(part)) {
        Some(part) => ApiError::not_offered(part),
        None => ApiError::no_endpoint(path),
    }
}
