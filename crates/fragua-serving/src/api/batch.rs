//! `POST /batch`: a file in, the scored file out; or an object of the store in, and another one out.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use fragua_learn::{Format, OnBadCell};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Refusal;
use super::access::Access;
use super::admission::read_body;
use crate::model::ServedModel;
use crate::objects::ObjectUri;
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
    let form = form_of(request.headers())?;
    let to = match query.get("format").map(String::as_str) {
        None if form == Form::File(Format::Parquet) => Format::Parquet,
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
    match form {
        Form::File(from) => {
            let scored = serving.score_file(version, body, (from, to), on_bad_cell).await?;
            Ok(answer(scored, to))
        }
        Form::Objects => score_object(&serving, version, &body, on_bad_cell).await,
    }
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The rows themselves.
    File(Format),
    /// Where the rows are, and where the answers go.
    Objects,
}

/// The object with the rows, and the one that the scored rows are written to; their names say what they are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectsBody {
    object: String,
    output: String,
}

/// What `application/json` is here.
const OBJECTS: &str = r#"{"object": "s3://bucket/rows.csv", "output": "s3://bucket/scored.csv"}"#;

/// Where rows in JSON go.
const ROWS_IN_JSON: &str = "send rows in JSON to /invocations as {\"dataframe_records\": [{…}, …]}, or here as \
                            application/x-ndjson, an object a line";

async fn score_object(
    serving: &Serving,
    version: Arc<ServedModel>,
    body: &[u8],
    on_bad_cell: OnBadCell,
) -> Result<Response, Refusal> {
    let body: ObjectsBody = serde_json::from_slice(body).map_err(|error| {
        let is_rows = matches!(serde_json::from_slice(body), Ok(Value::Array(_)))
            || matches!(serde_json::from_slice(body), Ok(Value::Object(body)) if !body.contains_key("object"));
        let message = match is_rows {
            true => format!("application/json names objects here, {OBJECTS}; {ROWS_IN_JSON}"),
            false => format!("send {OBJECTS}: {error}"),
        };
        Refusal::new(StatusCode::BAD_REQUEST, message)
    })?;
    let objects = serving.objects()?;
    let from = objects.find("object", &body.object)?;
    let into = objects.find("output", &body.output)?;
    let format = |object: &ObjectUri| Format::of(Path::new(object.key.as_str()));
    let (from_format, to) = (format(&from), format(&into));
    if !matches!(body.output.rsplit_once('.'), Some((_, "csv" | "parquet"))) {
        return Err(invalid(
            "output",
            &body.output,
            "a name that ends in .csv or .parquet",
        ));
    }
    let bytes = objects.read(&from, serving.settings().max_body_bytes).await?;
    let scored = serving
        .score_file(version, bytes, (from_format, to), on_bad_cell)
        .await?;
    objects.write(&into, content_type(to), scored.bytes).await?;
    let problems = scored
        .report
        .first
        .iter()
        .map(|cell| json!({ "row": cell.row, "column": cell.column, "message": cell.message }));
    let report = json!({
        "object": body.object,
        "output": body.output,
        "model": scored.model.name,
        "version": scored.model.version,
        "rows": scored.report.rows,
        "skipped_rows": scored.report.skipped_rows,
        "bad_cells": scored.report.bad_cells,
        "problems": problems.collect::<Vec<_>>(),
    });
    Ok(axum::Json(report).into_response())
}

fn invalid(field: &'static str, found: &str, expected: &str) -> Refusal {
    let found: String = found.chars().take(40).collect();
    let reason = format!("expected {expected}, got {found:?}");
    Error::InvalidField { field, reason }.into()
}

fn form_of(headers: &HeaderMap) -> Result<Form, Refusal> {
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
        "text/csv" => Ok(Form::File(Format::Csv)),
        "application/vnd.apache.parquet" => Ok(Form::File(Format::Parquet)),
        "application/jsonl" | "application/x-ndjson" | "application/x-jsonlines" => {
            Ok(Form::File(Format::JsonLines))
        }
        "application/json" => Ok(Form::Objects),
        _ => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!(
                "send text/csv, application/vnd.apache.parquet or application/x-ndjson, or application/json that \
                 names objects, {OBJECTS}; {ROWS_IN_JSON}"
            ),
        )),
    }
}

fn content_type(format: Format) -> &'static str {
    match format {
        Format::Parquet => "application/vnd.apache.parquet",
        Format::Csv | Format::JsonLines => "text/csv; charset=utf-8",
    }
}

fn answer(scored: Scored, format: Format) -> Response {
    let file = match format {
        Format::Parquet => "scored.parquet",
        Format::Csv | Format::JsonLines => "scored.csv",
    };
    let report = &scored.report;
    let mut response = scored.bytes.into_response();
    let headers = response.headers_mut();
    let disposition = format!("attachment; filename=\"{file}\"");
    let values = [
        (header::CONTENT_TYPE.as_str(), content_type(format).to_owned()),
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
