//! HTTP: the old stack's `/predict`, MLflow's scoring protocol, documents, health and metrics.

mod admission;
mod docs;
mod health;
mod invocations;
mod openapi;
mod predict;
mod validation;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use fragua_base::ErrorKind;
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{Error, Serving};

/// Returns every route of the serving role.
pub fn router(serving: Serving) -> Router {
    Router::new()
        .route("/predict", post(predict::predict))
        .route("/predict/", any(without_slash))
        .route("/invocations", post(invocations::invocations))
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

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let kind = self.kind();
        if kind == ErrorKind::Internal {
            tracing::error!(error = %self, "a prediction failed");
            return internal_error();
        }
        let status = StatusCode::from_u16(kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = detail(status, self.to_string().into());
        if matches!(kind, ErrorKind::Overloaded | ErrorKind::Unavailable) {
            let seconds = header::HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
