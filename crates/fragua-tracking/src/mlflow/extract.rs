//! Requests to types: query strings for GET, JSON bodies for everything else.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;
use crate::validation::limits;

/// The fields of a request, wherever they are. Fields nobody knows are passed over, as MLflow does.
pub(crate) struct Fields<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Fields<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            let fields = query_fields(request.uri().query().unwrap_or(""));
            return parse(Value::Object(fields)).map(Self);
        }
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let media_type = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::invalid(format!(
                "Bad Request. Content-Type must be one of ['application/json']. Got '{}'.",
                crate::validation::shorten(media_type)
            )));
        }
        let bytes = to_bytes(request.into_body(), limits::JSON_BODY_BYTES)
            .await
            .map_err(|_| ApiError::too_large(limits::JSON_BODY_BYTES))?;
        let value = if bytes.is_empty() {
            Value::Object(Map::new())
        } else {
            parse_json(&bytes)?
        };
        if !value.is_object() {
            return Err(ApiError::invalid("The body must be a JSON object"));
        }
        parse(value).map(Self)
    }
}

fn parse_json(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).or_else(|error| {
        let quoted = quote_bare_numbers(bytes).and_then(|quoted| serde_json::from_slice(&quoted).ok());
        quoted.ok_or_else(|| ApiError::invalid(format!("Malformed JSON in the body: {error}")))
    })
}

/// Python writes `NaN`, `Infinity` and `-Infinity` without quotes, which is not JSON. Returns the text with quotes
/// around them, or `None` when there are none.
fn quote_bare_numbers(bytes: &[u8]) -> Option<Vec<u8>> {
    const NAMES: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut quoted = Vec::with_capacity(bytes.len() + 16);
    let (mut at, mut found) = (0, false);
    let mut in_text = false;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = match (in_text, rest[0]) {
            // A backslash takes the next byte with it.
            (true, b'\\') => 2.min(rest.len()),
            (_, b'"') => {
                in_text = !in_text;
                1
            }
            (true, _) => 1,
            (false, _) => match NAMES.iter().find(|name| rest.starts_with(name)) {
                Some(name) => {
                    quoted.push(b'"');
                    quoted.extend_from_slice(name);
                    quoted.push(b'"');
                    at += name.len();
                    found = true;
                    continue;
                }
                None => 1,
            },
        };
        quoted.extend_from_slice(&rest[..length]);
        at += length;
    }
    found.then_some(quoted)
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_json::from_value(value)
        .map_err(|error| ApiError::invalid(format!("Invalid value for a parameter supplied: {error}")))
}

/// A key that comes more than once becomes a list.
fn query_fields(query: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let value = Value::String(value.into_owned());
        match fields.get_mut(key.as_ref()) {
            None => {
                fields.insert(key.into_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    fields
}

/// Returns a field that has to be there and not empty.
pub(crate) fn required(value: Option<String>, field: &str) -> Result<String, ApiError> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ApiError::missing(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_keys_become_lists() {
        let fields = query_fields("a=1&b=x%20y&a=2&a=3&c=");
        let expected = serde_json::json!({"a": ["1", "2", "3"], "b": "x y", "c": ""});
        assert_eq!(Value::Object(fields), expected);
    }

    #[test]
    fn bare_numbers_of_python_are_read() {
        for (text, expected) in [
            (r#"{"v": NaN}"#, Some(r#"{"v":"NaN"}"#)),
            (
                r#"{"v": [-Infinity, Infinity]}"#,
                Some(r#"{"v":["-Infinity","Infinity"]}"#),
            ),
            (r#"{"NaN \" NaN": NaN}"#, Some(r#"{"NaN \" NaN":"NaN"}"#)),
            (r#"{"v": nan}"#, None),
            (r#"{"v": NaN"#, None),
            (r#"{"v\"#, None),
            ("{", None),
        ] {
            let value = parse_json(text.as_bytes()).ok().map(|value| value.to_string());
            assert_eq!(value.as_deref(), expected, "{text}");
        }
    }
}
