//! FastAPI's 422 bodies.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::detail;
use crate::model::ServedModel;
use crate::python_json::find_fault;
use crate::row::{FieldError, FieldErrorKind, Row};

/// Says what is wrong with a body that the fast reading refused, or returns its row after all.
pub(super) fn check_body(model: &ServedModel, is_json: bool, body: &[u8]) -> Result<Row, Response> {
    if body.is_empty() {
        let missing = entry(FieldErrorKind::Missing, json!(["body"]), Value::Null);
        return Err(unprocessable(vec![missing]));
    }
    if !is_json {
        let text = String::from_utf8_lossy(body).into_owned();
        return Err(unprocessable(vec![not_a_record(text.into())]));
    }
    let Ok(text) = std::str::from_utf8(body) else {
        let text = "There was an error parsing the body";
        return Err(detail(StatusCode::BAD_REQUEST, text.into()));
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(record)) => check_record(model, &record),
        Ok(other) => Err(unprocessable(vec![not_a_record(other)])),
        Err(_) => Err(unprocessable(vec![invalid_json(text)])),
    }
}

fn check_record(model: &ServedModel, record: &Map<String, Value>) -> Result<Row, Response> {
    model.check_record(record).map_err(|errors| {
        let entries = errors.into_iter().map(field_entry).collect();
        unprocessable(entries)
    })
}

fn field_entry(error: FieldError) -> Value {
    entry(error.kind, json!(["body", error.field]), error.input)
}

fn entry(kind: FieldErrorKind, location: Value, input: Value) -> Value {
    json!({ "type": kind.code(), "loc": location, "msg": kind.message(), "input": input })
}

fn not_a_record(input: Value) -> Value {
    json!({
        "type": "model_attributes_type",
        "loc": ["body"],
        "msg": "Input should be a valid dictionary or object to extract fields from",
        "input": input,
    })
}

fn invalid_json(text: &str) -> Value {
    // Python reads NaN, numbers beyond a double and half surrogate pairs; we do not, and have our own words.
    let (message, position) = match find_fault(text) {
        Some(fault) => (fault.message, fault.position),
        None => ("Not a number or text that JSON can carry", 0),
    };
    json!({
        "type": "json_invalid",
        "loc": ["body", position],
        "msg": "JSON decode error",
        "input": {},
        "ctx": { "error": message },
    })
}

/// The answer to a query parameter that stands for no boolean.
pub(super) fn bad_flag(name: &str, value: &str) -> Response {
    let kind = FieldErrorKind::BoolParsing;
    unprocessable(vec![entry(kind, json!(["query", name]), value.into())])
}

fn unprocessable(entries: Vec<Value>) -> Response {
    detail(StatusCode::UNPROCESSABLE_ENTITY, Value::Array(entries))
}
