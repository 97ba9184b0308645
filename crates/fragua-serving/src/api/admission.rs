//! What every prediction request passes: a place among the requests in work, a model, a whole body, a count.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use serde_json::json;

use super::Refusal;
use crate::aftermath::Predicted;
use crate::endpoint::lot_of;
use crate::metrics::Route;
use crate::model::{Predictions, ServedModel};
use crate::model_ref::ModelRef;
use crate::request_id::RequestId;
use crate::row::Row;
use crate::{Error, Serving};

/// A body of up to this many bytes is worked on where it was read; a larger one on a thread for computing.
const INLINE_BYTES: usize = 4096;

/// Requests with the same value get the same version while a canary answers a share.
const STICKY_KEY: &str = "x-sticky-key";

/// What is to be known of an answer that was given all the same.
const WARNINGS: &str = "x-model-warnings";

/// Writes texts as JSON that a header can carry.
fn ascii_json(texts: &[String]) -> String {
    let mut written = String::new();
    for character in json!(texts).to_string().chars() {
        match character {
            ' '..='~' => written.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    written.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    written
}

/// A response and what it predicts.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) predicted: Option<Predicted>,
}

impl Answer {
    /// The answer for some rows of a protocol whose bodies have no place for warnings: those go into a header, a list of
    /// texts in JSON.
    pub(super) fn warned(mut response: Response, rows: Vec<Row>, predictions: Predictions) -> Self {
        let unknown = predictions.model.unknown_categories(&rows);
        if !unknown.is_empty() {
            let warnings: Vec<String> = unknown.iter().map(ToString::to_string).collect();
            if let Ok(value) = HeaderValue::from_str(&ascii_json(&warnings)) {
                response.headers_mut().insert(WARNINGS, value);
            }
        }
        Self {
            response,
            predicted: Some(Predicted { rows, predictions }),
        }
    }

    /// An answer that predicts nothing.
    pub(super) fn refusal(response: Response) -> Self {
        Self {
            response,
            predicted: None,
        }
    }
}

/// A request with its body, and the version that answers it from its first byte to its last.
pub(super) struct Admitted {
    pub(super) serving: Serving,
    pub(super) model: Arc<ServedModel>,
    pub(super) parts: Parts,
    pub(super) body: Bytes,
}

/// How a route answers: under which name it is counted, what its bodies may weigh, how it says no.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) route: Route,
    pub(super) body_limit: usize,
    pub(super) refuse: fn(Refusal) -> Response,
}

/// Admits a request, has `work` answer it, counts, logs, and lets the shadow predict.
///
/// `model` is what the address names; `None` is the model of the settings.
pub(super) async fn answer(
    serving: Serving,
    model: Option<Result<ModelRef, Error>>,
    manner: Manner,
    request: Request,
    work: impl FnOnce(Admitted) -> Answer + Send + 'static,
) -> Response {
    let started = Instant::now();
    let request_id = RequestId::of(request.headers());
    let chosen = match model {
        None => Ok(serving.default_endpoint().clone()),
        Some(Ok(model)) => serving.endpoint(&model).await,
        Some(Err(error)) => Err(error),
    };
    let chosen = chosen.and_then(|endpoint| {
        let lot = lot_of(sticky_key(request.headers()).unwrap_or(request_id.as_str().as_bytes()));
        match endpoint.state().choose(lot) {
            Some((model, role)) => Ok((endpoint, model, role)),
            None => Err(endpoint.no_model()),
        }
    });
    let (answer, counters, answered_by) = match chosen {
        Ok((endpoint, model, role)) => {
            let counters = Arc::clone(&model.counters);
            let version = Arc::clone(&model);
            let answer = admitted(&serving, model, manner, request, work).await;
            (answer, counters, Some((endpoint, version, role)))
        }
        Err(error) => {
            let answer = Answer::refusal((manner.refuse)(error.into()));
            (answer, Arc::clone(&serving.inner.metrics.without_model), None)
        }
    };
    let Answer {
        mut response,
        predicted,
    } = answer;
    let took = started.elapsed();
    let rows = predicted.as_ref().map_or(0, |predicted| predicted.rows.len());
    counters.count(manner.route, response.status().as_u16(), rows, took);
    request_id.put_into(response.headers_mut());
    if let Some((endpoint, version, role)) = answered_by {
        if let Ok(version) = HeaderValue::from_str(&version.version) {
            response.headers_mut().insert("x-model-version", version);
        }
        if let Some(predicted) = predicted {
            serving.predicted(&endpoint, role, manner.route, request_id, predicted, took);
        }
    }
    response
}

fn sticky_key(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(STICKY_KEY).map(HeaderValue::as_bytes)
}

async fn admitted(
    serving: &Serving,
    model: Arc<ServedModel>,
    manner: Manner,
    request: Request,
    work: impl FnOnce(Admitted) -> Answer + Send + 'static,
) -> Answer {
    let refused = |refusal: Refusal| Answer::refusal((manner.refuse)(refusal));
    // Taken before the body is read, so that the memory for bodies has a bound.
    let permit = match serving.admit() {
        Ok(permit) => permit,
        Err(error) => return refused(error.into()),
    };
    let (parts, body) = request.into_parts();
    let reading = read_body(&parts, body, manner.body_limit);
    let body = match tokio::time::timeout(serving.settings().body_timeout, reading).await {
        Ok(Ok(body)) => body,
        Ok(Err(refusal)) => return refused(refusal),
        Err(_) => {
            return refused(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive in time; send it faster or in parts",
            ));
        }
    };
    let inline = body.len() <= INLINE_BYTES;
    let admitted = Admitted {
        serving: serving.clone(),
        model,
        parts,
        body,
    };
    if inline {
        return work(admitted);
    }
    // The permit goes along: a client that hangs up does not end the computing it asked for.
    let computed = serving.compute(move || {
        let answer = work(admitted);
        drop(permit);
        answer
    });
    computed
        .await
        .unwrap_or_else(|error: Error| refused(error.into()))
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read_body(parts: &Parts, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        let text = format!("the body is larger than {limit} bytes; send it in parts");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    let announced = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced > limit as u64) {
        return Err(too_large());
    }
    let mut chunks = body.into_data_stream();
    let mut collected: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            let text = "the body ended before it was complete";
            Refusal::new(StatusCode::BAD_REQUEST, text)
        })?;
        if joined.len() + collected.as_ref().map_or(0, Bytes::len) + chunk.len() > limit {
            return Err(too_large());
        }
        // One chunk, the usual case, is taken as it is.
        match collected.take() {
            None if joined.is_empty() => collected = Some(chunk),
            first => {
                joined.extend_from_slice(&first.unwrap_or_default());
                joined.extend_from_slice(&chunk);
            }
        }
    }
    Ok(collected.unwrap_or_else(|| joined.freeze()))
}
