//! The request to the source, and what its answer must look like.

use std::error::Error as StdError;

use futures::StreamExt as _;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::Arguments;
use crate::operator::{ArgumentError, TaskContext, TaskError};

const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;

/// How much of an error's body is shown.
const SHOWN_BYTES: usize = 300;

/// What the source answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) rows: Vec<Value>,
    /// The plain values beside the rows, such as a batch number.
    pub(super) fields: Map<String, Value>,
    /// SHA-256 of the rows as JSON.
    pub(super) digest: String,
    /// The address without credentials.
    pub(super) source_url: String,
}

pub(super) async fn ask(context: &TaskContext, arguments: &Arguments) -> Result<Answer, TaskError> {
    let url = parse_url(arguments.url.as_str())?;
    let source_url = without_secrets(&url, context);
    let fault = |reason: String| TaskError::Failed(format!("the source {source_url} {reason}"));
    // The provider is this process's; a second call finds it in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(arguments.timeout()?)
        .redirect(reqwest::redirect::Policy::limited(5))
        .user_agent(concat!("fragua/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| fault(format!("cannot be asked: {}", causes(&error))))?;
    let key = format!("{}/{}/{}", context.dag_id, context.dag_run_id, context.task_id);
    let request = client
        .get(url)
        .header("Accept", "application/json")
        .header("Idempotency-Key", header_safe(&key));
    let response = request
        .send()
        .await
        .map_err(|error| fault(format!("cannot be reached: {}", causes(&error))))?;
    let status = response.status();
    let limit = arguments.max_body_bytes.unwrap_or(MAX_BODY_BYTES);
    let body = read_body(response, limit).await.map_err(&fault)?;
    if !status.is_success() {
        return Err(fault(format!("answered {status}: {}", shown(&body))));
    }
    let mut answer: Value = serde_json::from_slice(&body)
        .map_err(|error| fault(format!("answered what is not JSON: {error}: {}", shown(&body))))?;
    let fields = plain_fields(&answer);
    let rows = take_rows(&mut answer, arguments.rows.as_str()).map_err(&fault)?;
    let text = serde_json::to_vec(&rows).map_err(TaskError::failed)?;
    Ok(Answer {
        rows,
        fields,
        digest: hex::encode(Sha256::digest(text)),
        source_url,
    })
}

fn parse_url(text: &str) -> Result<Url, TaskError> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let message = "the address does not begin with http:// or https:// and a host";
    url.ok_or_else(|| ArgumentError::at("/url", message).into())
}

/// Credentials in the address, and secrets of connections that a template put into it, are not kept.
fn without_secrets(url: &Url, context: &TaskContext) -> String {
    let mut url = url.clone();
    // Both fail only for addresses without a host, which are refused before.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let mut text = url.to_string();
    for secret in context
        .connections
        .values()
        .flat_map(super::super::Connection::secrets)
    {
        text = text.replace(&secret, "***");
    }
    text
}

/// Percent-encodes what a header cannot hold.
fn header_safe(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::CONTROLS).to_string()
}

async fn read_body(response: reqwest::Response, limit: u64) -> Result<Vec<u8>, String> {
    let too_large =
        || format!("answered with more than {limit} bytes; raise max_body_bytes, or ask for less");
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| format!("broke off its answer: {}", causes(&error)))?;
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause says what happened; the address is named already.
fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut cause: &dyn StdError = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]);
    let more = if body.len() > SHOWN_BYTES { "…" } else { "" };
    format!("{}{more}", text.trim().replace(char::is_control, " "))
}

fn plain_fields(answer: &Value) -> Map<String, Value> {
    let fields = answer.as_object().into_iter().flatten();
    let plain = fields.filter(|(_, value)| !value.is_array() && !value.is_object());
    plain.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn take_rows(answer: &mut Value, place: &str) -> Result<Vec<Value>, String> {
    let found = if place.is_empty() || place.starts_with('/') {
        answer.pointer_mut(place)
    } else {
        answer.get_mut(place)
    };
    match found.map(Value::take) {
        Some(Value::Array(rows)) => Ok(rows),
        Some(other) => Err(format!(
            "has no list of rows at {place:?}, but {}",
            super::rows::words(&other)
        )),
        None => Err(format!("answered without {place:?}, where the rows belong")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operator::Connection;
    use crate::operator::testing::context;

    #[test]
    fn rows_are_found_by_key_or_pointer() {
        let check = |place: &str, expected: Result<usize, &str>| {
            let mut answer = json!({"data": [[1], [2]], "deep": {"rows": [[1]]}, "text": "x"});
            let found = take_rows(&mut answer, place).map(|rows| rows.len());
            assert_eq!(found, expected.map_err(str::to_owned), "{place}");
        };
        check("data", Ok(2));
        check("/deep/rows", Ok(1));
        check("text", Err("has no list of rows at \"text\", but a text"));
        check(
            "nothing",
            Err("answered without \"nothing\", where the rows belong"),
        );
        assert_eq!(take_rows(&mut json!([[1]]), ""), Ok(vec![json!([1])]));
    }

    #[test]
    fn an_address_is_kept_without_its_secrets() {
        let mut context = context("a", "b");
        context
            .connections
            .insert("c".to_owned(), Connection::new("http://user:hunter2@host"));
        let url = Url::parse("http://me:pass@host/data?key=hunter2&n=1").unwrap();
        assert_eq!(without_secrets(&url, &context), "http://host/data?key=***&n=1");
    }
}
