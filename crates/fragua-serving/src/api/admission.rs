//! What every prediction request passes: a place among the requests in work, a model, a whole body, a count.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use super::detail;
use crate::metrics::Route;
use crate::model::ServedModel;
use crate::{Error, Serving};

/// A body of up to this many bytes is worked on where it was read; a larger one on a thread for computing.
const INLINE_BYTES: usize = 4096;

/// A response and how many rows it answers.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) rows: usize,
}

impl Answer {
    /// An answer that predicts nothing.
    pub(super) fn refusal(response: Response) -> Self {
        Self { response, rows: 0 }
    }
}

/// A request with its body, and the version that answers it from its first byte to its last.
pub(super) struct Admitted {
    pub(super) serving: Serving,
    pub(super) model: Arc<ServedModel>,
    pub(super) parts: Parts,
    pub(super) body: Bytes,
}

/// Admits a request, has `work` answer it, and counts the answer.
pub(super) async fn answer(
    serving: Serving,
    route: Route,
    request: Request,
    body_limit: usize,
    work: impl FnOnce(Admitted) -> Answer + Send + 'static,
) -> Response {
    let started = Instant::now();
    let model = serving.model();
    let counters = match &model {
        Ok(model) => Arc::clone(&model.counters),
        Err(_) => Arc::clone(&serving.inner.metrics.without_model),
    };
    let answer = match model {
        Ok(model) => admitted(serving, model, request, body_limit, work).await,
        Err(error) => Answer::refusal(error.into_response()),
    };
    let status = answer.response.status().as_u16();
    counters.count(route, status, answer.rows, started.elapsed());
    answer.response
}

async fn admitted(
    serving: Serving,
    model: Arc<ServedModel>,
    request: Request,
    body_limit: usize,
    work: impl FnOnce(Admitted) -> Answer + Send + 'static,
) -> Answer {
    // Taken before the body is read, so that the memory for bodies has a bound.
    let permit = match serving.admit() {
        Ok(permit) => permit,
        Err(error) => return Answer::refusal(error.into_response()),
    };
    let (parts, body) = request.into_parts();
    let reading = read_body(&parts, body, body_limit);
    let body = match tokio::time::timeout(serving.settings().body_timeout, reading).await {
        Ok(Ok(body)) => body,
        Ok(Err(refusal)) => return Answer::refusal(refusal),
        Err(_) => {
            let text = "the body did not arrive in time; send it faster or in parts";
            return Answer::refusal(detail(StatusCode::REQUEST_TIMEOUT, text.into()));
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
        .unwrap_or_else(|error: Error| Answer::refusal(error.into_response()))
}

async fn read_body(parts: &Parts, body: Body, limit: usize) -> Result<Bytes, Response> {
    let too_large = || {
        let text = format!("the body is larger than {limit} bytes; send it in parts");
        detail(StatusCode::PAYLOAD_TOO_LARGE, text.into())
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
            detail(StatusCode::BAD_REQUEST, text.into())
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
