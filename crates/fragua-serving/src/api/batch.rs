//! `POST /batch`: a file in, the scored file out.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use fragua_learn::{Format, OnBadCell};

use super::Refusal;
use super::access::Access;
use super::admission::read_body;
use crate::{Error, ModelRef, Scored, Serving};

/// Returns the routes.
pub(super) fn routes() -> Router<Serving> {
    Router::new().route("/batch", post(batch))
}

async fn batch(
    State(serving): State<Serving>,
    access: Access,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response {
    match score(serving, &access, &query, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn score(
    serving: Serving,
    access: &Access,
    query: &HashMap<String, String>,
    request: Request,
) -> Result<Response, Refusal> {
    let settings = serving.settings();
    let model = match query.get("model").filter(|model| !model.is_empty()) {
        Some(model) => ModelRef::parse(model, &settings.alias)?,
        None => settings.model_ref(),
    };
    access.check(&model.name)?;
    let from = form_of(request.headers())?;
    let to = match query.get("format").map(String::as_str) {
        None if from == Format::Parquet => Format::Parquet,
        None | Some("csv") => Format::Csv,
        Some("parquet") => Format::Parquet,
        Some(other) => return Err(invalid("format", other, "csv or parquet")),
    };
    let on_bad_cell = match query.get("on_bad_cell").map(String::as_str) {
        None | Some("refuse") => OnBadCell::Refuse,
        Some("null") => OnBadCell::Null,
        Some("skip") => OnBadCell::Skip,
        Some(other) => return Err(invalid("on_bad_cell", other, "refuse, null or skip")),
    };
    let endpoint = serving.endpoint(&model).await?;
    let version = endpoint.current().ok_or_else(|| endpoint.no_model())?;
    let (parts, body) = request.into_parts();
    let reading = read_body(&parts, body, settings.max_body_bytes);
    let body = tokio::time::timeout(settings.body_timeout, reading).await;
    let body = body.map_err(|_| {
        Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time; send it faster or in parts",
        )
    })??;
    let scored = serving.score_file(version, body, (from, to), on_bad_cell).await?;
    Ok(answer(scored, to))
}

fn invalid(field: &'static str, found: &str, expected: &str) -> Refusal {
    let found: String = found.chars().take(40).collect();
    let reason = format!("expected {expected}, got {found:?}");
    Error::InvalidModel { field, reason }.into()
}

fn form_of(headers: &HeaderMap) -> Result<Format, Refusal> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    match essence.to_ascii_lowercase().as_str() {
        "text/csv" => Ok(Format::Csv),
        "application/vnd.apache.parquet" => Ok(Format::Parquet),
        "application/jsonl" | "application/x-ndjson" | "application/x-jsonlines" => Ok(Format::JsonLines),
        _ => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send text/csv, application/vnd.apache.parquet or application/x-ndjson",
        )),
    }
}

fn answer(scored: Scored, format: Format) -> Response {
    let (content_type, file) = match format {
        Format::Parquet => ("application/vnd.apache.parquet", "scored.parquet"),
        Format::Csv | Format::JsonLines => ("text/csv; charset=utf-8", "scored.csv"),
    };
    let report = &scored.report;
    let mut response = scored.bytes.into_response();
    let headers = response.headers_mut();
    let disposition = format!("attachment; filename=\"{file}\"");
    let values = [
        (header::CONTENT_TYPE.as_str(), content_type.to_owned()),
        (header::CONTENT_DISPOSITION.as_str(), disposition),
        ("x-model-version", scored.model.version.clone()),
        ("x-rows", report.rows.to_string()),
        ("x-skipped-rows", report.skipped_rows.to_string()),
        ("x-bad-cells", report.bad_cells.to_string()),
    ];
    for (name, value) in values {
        if let (Ok(name), Ok(value)) = (
            header::HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(&value),
        ) {
            headers.insert(name, value);
        }
    }
    response
}
