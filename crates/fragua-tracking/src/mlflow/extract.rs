//! Requests to types: query strings for GET, JSON bodies for everything else.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::endpoint::Declared;
use super::error::ApiError;
use super::field::{Field, Kind, check};
use crate::validation::{limits, shorten, texts};

/// The fields of a request, wherever they are, checked against what its endpoint declares. Fields nobody knows are
/// passed over, as MLflow does.
pub(crate) struct Fields<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Fields<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let declared = declared(request.extensions())?;
        let given = if matches!(*request.method(), Method::GET | Method::HEAD) {
            query_fields(declared.fields, request.uri().query().unwrap_or(""))?
        } else {
            body_fields(request, declared.body_bytes).await?
        };
        check(declared.fields, &given, None)?;
        parse(given).map(Self)
    }
}

/// The fields of a request whose body is a file.
pub(crate) struct QueryFields<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryFields<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let declared = declared(&parts.extensions)?;
        let given = query_fields(declared.fields, parts.uri.query().unwrap_or(""))?;
        check(declared.fields, &given, None)?;
        parse(given).map(Self)
    }
}

/// Every endpoint is in the table and declares its fields.
fn declared(extensions: &Extensions) -> Result<Declared, ApiError> {
    extensions.get().copied().ok_or_else(|| ApiError::no_endpoint(""))
}

async fn body_fields(request: Request, most_bytes: usize) -> Result<Map<String, Value>, ApiError> {
    check_content_type(request.headers())?;
    let bytes = to_bytes(request.into_body(), limits::JSON_BODY_BYTES)
        .await
        .map_err(|_| ApiError::too_large(limits::JSON_BODY_BYTES))?;
    if bytes.len() > most_bytes {
        return Err(ApiError::invalid(texts::batch_too_large(most_bytes, bytes.len())));
    }
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    let value = match parse_json(&bytes)? {
        // Old clients send the object as JSON in a JSON text.
        Value::String(text) => parse_json(text.as_bytes())?,
        value => value,
    };
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        _ => Err(ApiError::invalid("The body must be a JSON object")),
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        return Err(ApiError::invalid("Bad Request. Content-Type header is missing."));
    };
    let media_type = content_type
        .to_str()
        .unwrap_or("")
        .split(';')
        .next()
        .unwrap_or("")
        .trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::invalid(
        "Bad Request. Content-Type must be one of ['application/json'].",
    ))
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

fn parse<T: DeserializeOwned>(given: Map<String, Value>) -> Result<T, ApiError> {
    let mut given = Value::Object(given);
    remove_nulls(&mut given);
    serde_json::from_value(given)
        .map_err(|error| ApiError::invalid(format!("Invalid value for a parameter supplied: {error}")))
}

/// A field that is `null` counts as one that is not there.
fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// Reads the fields that an endpoint knows. Of one that comes more than once all count if it is a list, else the
/// first.
fn query_fields(fields: &[Field], query: &str) -> Result<Map<String, Value>, ApiError> {
    let mut given = Map::new();
    for (name, text) in url::form_urlencoded::parse(query.as_bytes()) {
        let kind = fields
            .iter()
            .find(|field| field.name == name)
            .map(|field| field.kind);
        let text = text.into_owned();
        match (kind, given.get_mut(name.as_ref())) {
            (Some(Kind::Texts), Some(Value::Array(items))) => items.push(text.into()),
            (_, Some(_)) => {}
            (Some(Kind::Texts), None) => {
                given.insert(name.into_owned(), Value::Array(vec![text.into()]));
            }
            (Some(Kind::Truth), None) => {
                let truth = text.to_ascii_lowercase().parse::<bool>().map_err(|_| {
                    ApiError::invalid(format!(
                        "Invalid boolean value: {}, must be 'true' or 'false'.",
                        shorten(&text)
                    ))
                })?;
                given.insert(name.into_owned(), truth.into());
            }
            (_, None) => {
                given.insert(name.into_owned(), text.into());
            }
        }
    }
    Ok(given)
}

/// Returns a field that has to be there and not empty.
pub(crate) fn required(value: Option<String>, field: &str) -> Result<String, ApiError> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ApiError::missing(field))
}

#[cfg(test)]
mod tests {
    use super::super::field::{text, texts, truth};
    use super::*;

    #[test]
    fn repeated_keys_become_lists_where_a_list_is_meant() {
        let fields = [texts("a"), text("b"), truth("c")];
        let given = query_fields(&fields, "a=1&b=x%20y&a=2&b=z&c=TRUE&d=").unwrap();
        let expected = serde_json::json!({"a": ["1", "2"], "b": "x y", "c": true, "d": ""});
        assert_eq!(Value::Object(given), expected);
        assert!(query_fields(&fields, "c=maybe").is_err());
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
