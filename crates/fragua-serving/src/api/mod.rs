//! HTTP: the old stack's `/predict`, MLflow's scoring protocol, documents, health and metrics.

mod access;
mod admission;
mod batch;
mod deployments;
mod docs;
mod fixed_routes;
mod health;
mod invocations;
mod log;
mod models;
mod openapi;
mod predict;
mod v2;
mod validation;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use fragua_base::ErrorKind;
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{Error, Serving};

/// Returns every route of the serving role. Where the façade requires keys, all of them do but those that say how the
/// server is and how it is asked.
pub fn router(serving: Serving) -> Router {
    let mut of_models = Router::new()
        .route("/predict", post(predict::predict))
        .route("/invocations", post(invocations::invocations))
        .merge(models::routes())
        .merge(deployments::routes())
        .merge(v2::routes_of_models())
        .merge(log::routes())
        .merge(batch::routes());
    // Not laid over the routes where it would do nothing: each layer costs each request.
    if serving.requires_keys() {
        of_models = of_models.route_layer(from_fn_with_state(serving.clone(), access::check_key));
    }
    Router::new()
        .merge(of_models)
        .merge(v2::routes_of_server())
        .route("/predict/", any(without_slash))
        .route("/openapi.json", get(openapi::openapi))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .route("/ping", get(health::ping))
        .route("/version", get(health::version))
        .route("/health", get(health::health))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(|_| internal_error()))
        .with_state(serving)
}

/// FastAPI sends clients that add a slash to the address without one, method and body kept.
async fn without_slash() -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/predict")]).into_response()
}

async fn not_found() -> Response {
    detail(StatusCode::NOT_FOUND, "Not Found".into())
}

async fn method_not_allowed() -> Response {
    detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".into())
}

fn internal_error() -> Response {
    detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error".into())
}

/// Renders `{"detail": …}`, the one form of FastAPI's error bodies.
fn detail(status: StatusCode, detail: Value) -> Response {
    (status, axum::Json(json!({ "detail": detail }))).into_response()
}

/// Why a request is not answered, before it is known how its protocol says so.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    message: String,
    /// Whether the same request may succeed in a moment.
    passes: bool,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            passes: false,
        }
    }

    /// Renders the refusal with `body`, with the time after which the request may be sent again.
    fn with_body(self, body: impl FnOnce(String) -> Value) -> Response {
        let mut response = (self.status, axum::Json(body(self.message))).into_response();
        if self.passes {
            let seconds = header::HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        if kind == ErrorKind::Internal {
            tracing::error!(%error, "a prediction failed");
            return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
        }
        Self {
            status: StatusCode::from_u16(kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            message: error.to_string(),
            passes: matches!(kind, ErrorKind::Overloaded | ErrorKind::Unavailable),
        }
    }
}

/// FastAPI's form.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.with_body(|message| json!({ "detail": message }))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Refusal::from(self).into_response()
    }
}
