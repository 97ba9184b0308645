//! FastAPI's 422 bodies.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::detail;
use crate::model::ServedModel;
use crate::python_json::find_fault;
use crate::row::{FieldError, FieldErrorKind, Row};

/// Why a request is not answered with a prediction.
#[derive(Debug)]
pub(super) enum Unprocessable {
    /// The body is no text.
    Unreadable,
    /// 422, with an entry for each fault.
    Fields(Vec<Value>),
}

impl IntoResponse for Unprocessable {
    fn into_response(self) -> Response {
        match self {
            Self::Unreadable => {
                let text = "There was an error parsing the body";
                detail(StatusCode::BAD_REQUEST, text.into())
            }
            Self::Fields(entries) => detail(StatusCode::UNPROCESSABLE_ENTITY, entries.into()),
        }
    }
}

/// Says what is wrong with a body that the fast reading refused, or returns its row after all.
pub(super) fn check_body(model: &ServedModel, is_json: bool, body: &[u8]) -> Result<Row, Unprocessable> {
    if body.is_empty() {
        let missing = entry(FieldErrorKind::Missing, json!(["body"]), Value::Null);
        return Err(Unprocessable::Fields(vec![missing]));
    }
    if !is_json {
        let text = String::from_utf8_lossy(body).into_owned();
        return Err(Unprocessable::Fields(vec![not_a_record(text.into())]));
    }
    let text = std::str::from_utf8(body).map_err(|_| Unprocessable::Unreadable)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(record)) => check_record(model, &record),
        Ok(other) => Err(Unprocessable::Fields(vec![not_a_record(other)])),
        Err(_) => Err(Unprocessable::Fields(vec![invalid_json(text)])),
    }
}

fn check_record(model: &ServedModel, record: &Map<String, Value>) -> Result<Row, Unprocessable> {
    model.check_record(record).map_err(|errors| {
        let surplus: Vec<&String> = record
            .keys()
            .filter(|name| model.features.iter().all(|feature| feature.name != **name))
            .take(20)
            .collect();
        let entries = errors.into_iter().map(|error| {
            let is_missing = error.kind == FieldErrorKind::Missing;
            let mut entry = field_entry(error);
            // One of them may be the missing field, misspelt.
            if is_missing && !surplus.is_empty() {
                entry["ctx"] = json!({ "not_taken": surplus });
            }
            entry
        });
        Unprocessable::Fields(entries.collect())
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
pub(super) fn bad_flag(name: &str, value: &str) -> Unprocessable {
    let kind = FieldErrorKind::BoolParsing;
    Unprocessable::Fields(vec![entry(kind, json!(["query", name]), value.into())])
}
