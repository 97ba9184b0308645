//! Airflow's REST API, as far as it goes here: paths, required fields and error bodies are Airflow's.

mod dag_runs;
mod dags;
mod health;
mod import_errors;
mod logs;
mod task_instances;
mod workers;

use axum::Json;
use axum::Router;
use axum::extract::FromRequest;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use fragua_base::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Error, Orchestrator};

/// The largest body of a request.
const LARGEST_BODY: usize = 1024 * 1024;

/// Returns `/health` and the paths below `/api/v2`.
pub fn router(orchestrator: Orchestrator) -> Router {
    let run = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}";
    let task = format!("{run}/taskInstances/{{task_id}}");
    Router::new()
        .route("/health", get(health::health))
        .route("/api/v2/version", get(health::version))
        .route("/api/v2/monitor/health", get(health::monitor))
        .route("/api/v2/fragua/wake", post(health::wake))
        .route("/api/v2/dags", get(dags::list))
        .route("/api/v2/dags/{dag_id}", get(dags::get_one).patch(dags::patch))
        .route(
            "/api/v2/dags/{dag_id}/dagRuns",
            get(dag_runs::list).post(dag_runs::trigger),
        )
        .route(
            "/api/v2/dags/{dag_id}/clearTaskInstances",
            post(task_instances::clear),
        )
        .route(run, get(dag_runs::get_one))
        .route(&format!("{run}/taskInstances"), get(task_instances::list))
        .route(&task, get(task_instances::get_one))
        .route(&format!("{task}/logs/{{try_number}}"), get(logs::get_log))
        .route("/api/v2/workers", get(workers::list))
        .route("/api/v2/importErrors", get(import_errors::list))
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(orchestrator)
}

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    detail: Value,
}

impl Failure {
    fn new(status: StatusCode, detail: impl Into<Value>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }

    /// A field of the body that is missing or wrong, in the form of Airflow's validation errors.
    fn invalid_field(field: &str, kind: &str, message: &str) -> Self {
        let detail = json!([{ "type": kind, "loc": ["body", field], "msg": message }]);
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status =
            StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(%error, "a request failed");
        }
        match status {
            StatusCode::INTERNAL_SERVER_ERROR => Self::new(status, "Internal Server Error"),
            _ => Self::new(status, error.to_string()),
        }
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        let status = match rejection.status() {
            StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE => StatusCode::UNPROCESSABLE_ENTITY,
            status => status,
        };
        Self::new(status, rejection.body_text())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, rejection.body_text())
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        Self::new(StatusCode::NOT_FOUND, rejection.body_text())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "detail": self.detail }))).into_response()
    }
}

/// A body of JSON.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Failure))]
struct Body<T>(T);

/// The parts of a path.
#[derive(axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Failure))]
struct Path<T>(T);

/// The parameters after the question mark.
#[derive(axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Failure))]
struct Query<T>(T);

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Slice {
    #[serde(default = "Slice::usual_limit")]
    limit: u64,
    #[serde(default)]
    offset: u64,
}

impl Slice {
    const fn usual_limit() -> u64 {
        50
    }

    fn limit(self) -> u64 {
        self.limit.clamp(1, 100)
    }

    fn of<T>(self, items: Vec<T>) -> Vec<T> {
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(self.limit()).unwrap_or(usize::MAX);
        items.into_iter().skip(offset).take(limit).collect()
    }
}

fn date(at: Timestamp) -> Value {
    at.to_rfc3339().into()
}

fn date_or_null(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, date)
}

/// The seconds between two instants, where both are known.
fn seconds(from: Option<Timestamp>, to: Option<Timestamp>) -> Value {
    match (from, to) {
        (Some(from), Some(to)) => to.since(from).as_secs_f64().into(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests;
