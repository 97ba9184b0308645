//! Logs of attempts.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, Path, Query};
use crate::Orchestrator;

/// The most that one answer holds; the rest is asked for with the token.
const MOST_BYTES: usize = 4 * 1024 * 1024;

const NDJSON: &str = "application/x-ndjson";

#[derive(Debug, Deserialize)]
pub(super) struct LogQuery {
    /// Where to go on: what the answer before gave as `continuation_token`.
    token: Option<String>,
}

pub(super) async fn get_log(
    State(orchestrator): State<Orchestrator>,
    Path((dag_id, run_id, task_id, try_number)): Path<(String, String, String, u32)>,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let invalid = || Failure::new(StatusCode::BAD_REQUEST, "token is not one of ours");
    let mut offset = query
        .token
        .as_deref()
        .map_or(Ok(0), |token| token.parse::<u64>().map_err(|_| invalid()))?;
    let mut text = Vec::new();
    let finished = loop {
        let chunk = orchestrator
            .read_log(&dag_id, &run_id, &task_id, try_number, offset)
            .await?;
        offset = chunk.next_offset;
        text.extend_from_slice(&chunk.bytes);
        if chunk.finished || chunk.bytes.is_empty() || text.len() >= MOST_BYTES {
            break chunk.finished;
        }
    };
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(line_json);
    let wants_ndjson = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains(NDJSON));
    if wants_ndjson {
        let body: String = lines.map(|line| format!("{line}\n")).collect();
        return Ok(([(header::CONTENT_TYPE, NDJSON)], body).into_response());
    }
    let token = if finished {
        Value::Null
    } else {
        offset.to_string().into()
    };
    let content: Vec<Value> = lines.collect();
    Ok(Json(json!({ "content": content, "continuation_token": token })).into_response())
}

/// A line is `TIME SOURCE TEXT`.
fn line_json(line: &str) -> Value {
    let mut parts = line.splitn(3, ' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(timestamp), Some(source), Some(event)) => {
            let level = if source == "err" { "error" } else { "info" };
            json!({ "timestamp": timestamp, "event": event, "level": level, "logger": source })
        }
        _ => json!({ "timestamp": null, "event": line }),
    }
}
