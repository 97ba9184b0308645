//! The routes of the source.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{Error, PARTS, Source};

const MAXIMUM_KEY_BYTES: usize = 1_024;

/// Returns the routes: `/`, which tells the others, `/data`, `/restart_data_generation` and `/health`.
pub(crate) fn router(source: Source) -> Router {
    Router::new()
        .route("/", get(told))
        .route("/data", get(data))
        .route("/restart_data_generation", get(restart))
        .route("/health", get(|| async { Json(json!({ "status": "ok" })) }))
        .with_state(source)
}

/// Tells what can be asked.
async fn told() -> Response {
    let told = json!({
        "about": "the data API of the example: rows of the Covertype data set, batch by batch",
        "routes": {
            "GET /data?group_number=N": format!("the next batch of group N, 1 to {PARTS}; 400 after its {PARTS} batches"),
            "GET /restart_data_generation?group_number=N": "puts group N back before its first batch",
            "GET /health": "whether it answers",
        },
    });
    Json(told).into_response()
}

#[derive(Deserialize)]
struct Parameters {
    group_number: Option<String>,
}

async fn data(
    State(source): State<Source>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let group = match group_number(parameters) {
        Ok(group) => group,
        Err(detail) => return refusal(StatusCode::BAD_REQUEST, &detail),
    };
    let key = match headers.get("idempotency-key").map(|value| value.to_str()) {
        None => None,
        Some(Ok(key)) if (1..=MAXIMUM_KEY_BYTES).contains(&key.len()) => Some(key.to_owned()),
        Some(_) => {
            let detail =
                format!("Idempotency-Key must be 1 to {MAXIMUM_KEY_BYTES} printable ASCII characters");
            return refusal(StatusCode::BAD_REQUEST, &detail);
        }
    };
    answer(tokio::task::spawn_blocking(move || source.batch(group, key.as_deref())).await)
}

async fn restart(
    State(source): State<Source>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    let group = match group_number(parameters) {
        Ok(group) => group,
        Err(detail) => return refusal(StatusCode::BAD_REQUEST, &detail),
    };
    let restarted = tokio::task::spawn_blocking(move || source.restart(group)).await;
    answer(restarted.map(|result| result.map(|()| json!({ "ok": true }))))
}

fn group_number(parameters: Result<Query<Parameters>, QueryRejection>) -> Result<usize, String> {
    let given = parameters
        .ok()
        .and_then(|Query(parameters)| parameters.group_number);
    let group = given.as_deref().and_then(|text| text.parse().ok());
    group.filter(|group| (1..=PARTS).contains(group)).ok_or_else(|| {
        let given = given.map_or_else(|| "missing".to_owned(), |text| format!("{text:.20?}"));
        format!("group_number must be a whole number from 1 to {PARTS}, it is {given}")
    })
}

fn answer(result: Result<Result<impl serde::Serialize, Error>, tokio::task::JoinError>) -> Response {
    let error = match result {
        Ok(Ok(body)) => return Json(body).into_response(),
        Ok(Err(error)) => error,
        Err(error) => Error::Internal(error.into()),
    };
    let status = match &error {
        Error::Exhausted { .. } => StatusCode::BAD_REQUEST,
        Error::Internal(cause) => {
            tracing::error!(error = format!("{cause:#}"), "the source failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    refusal(status, &error.to_string())
}

fn refusal(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({ "detail": detail }))).into_response()
}
