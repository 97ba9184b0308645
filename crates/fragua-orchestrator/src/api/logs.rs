//! Logs of attempts.

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::caller::Caller;
use super::endpoint::{Endpoint, get};
use super::failure::Failure;
use super::request::{Path, Query};
use super::task_instances::instance_id;
use crate::{InstanceId, Orchestrator};

/// The most that one answer holds; the rest is asked for with the token.
const MOST_BYTES: usize = 4 * 1024 * 1024;

const NDJSON: &str = "application/x-ndjson";
const TEXT: &str = "text/plain";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{try_number}",
            "Returns the log of an attempt, as JSON, lines of JSON or text",
            get_log,
        )
        .query(&["full_content", "map_index", "token"]),
        get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/externalLogUrl/{try_number}",
            "Returns where else a log is kept: nowhere",
            external_log_url,
        ),
    ]
}

/// A piece of a log.
pub(super) struct Piece {
    pub(super) text: String,
    /// What to go on with; nothing at the end.
    pub(super) token: Option<String>,
}

/// Reads a log from where a token says.
pub(super) async fn read(
    orchestrator: &Orchestrator,
    (dag_id, run_id): (&str, &str),
    id: InstanceId,
    attempt: u32,
    token: Option<&str>,
) -> Result<Piece, Failure> {
    let invalid =
        |_| Failure::bad_request("token is none of those that this server gives as continuation_token");
    let mut offset = token.map_or(Ok(0), str::parse::<u64>).map_err(invalid)?;
    let mut text = Vec::new();
    let finished = loop {
        let chunk = orchestrator
            .read_log(dag_id, run_id, id.clone(), attempt, offset)
            .await?;
        offset = chunk.next_offset;
        text.extend_from_slice(&chunk.bytes);
        if chunk.finished || chunk.bytes.is_empty() || text.len() >= MOST_BYTES {
            break chunk.finished;
        }
    };
    Ok(Piece {
        text: String::from_utf8_lossy(&text).into_owned(),
        token: (!finished).then(|| offset.to_string()),
    })
}

async fn get_log(
    Caller(orchestrator): Caller,
    Path((dag_id, run_id, task_id, try_number)): Path<(String, String, String, u32)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let id = match query.number::<i64>("map_index")? {
        Some(map_index) => instance_id(&task_id, map_index),
        None => InstanceId::from(&task_id),
    };
    let token = query.text("token").filter(|token| !token.is_empty());
    let piece = read(&orchestrator, (&dag_id, &run_id), id, try_number, token).await?;
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let accepts = |kind: &str| accept.is_some_and(|accept| accept.starts_with(kind));
    if accepts(TEXT) {
        return Ok(([(header::CONTENT_TYPE, TEXT)], piece.text).into_response());
    }
    let lines = piece.text.lines().map(line_json);
    if accepts(NDJSON) {
        let body: String = lines.map(|line| format!("{line}\n")).collect();
        return Ok(([(header::CONTENT_TYPE, NDJSON)], body).into_response());
    }
    let content: Vec<Value> = lines.collect();
    Ok(Json(json!({ "content": content, "continuation_token": piece.token })).into_response())
}

async fn external_log_url(_: Caller, Path(_): Path<(String, String, String, u32)>) -> Failure {
    Failure::new(
        StatusCode::BAD_REQUEST,
        "Task log handler does not support external logs.",
    )
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
