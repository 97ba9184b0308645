//! A client of the routes for workers.

use std::time::Duration;

use bytes::Bytes;
use fragua_base::Secret;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::wire::{PREFIX, Received};
use crate::Error;

/// How long an answer may take beyond what was asked to be waited for.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Remote {
    client: reqwest::Client,
    /// Without a slash at the end.
    base: String,
    token: Secret,
}

impl Remote {
    pub(super) fn new(server: &Url, token: Secret) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(3))
            .tcp_keepalive(Duration::from_secs(15))
            .build()
            .map_err(|error| away(&error))?;
        Ok(Self {
            client,
            base: format!("{}{PREFIX}", server.as_str().trim_end_matches('/')),
            token,
        })
    }

    pub(super) async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        wait: Duration,
    ) -> Result<A, Error> {
        let request = self.client.post(format!("{}/{path}", self.base)).json(body);
        self.send(request.timeout(wait + PATIENCE)).await
    }

    /// Sends a piece of a log. Returns the offset that is asked for next.
    pub(super) async fn log(&self, token: &str, offset: u64, piece: Bytes) -> Result<u64, Error> {
        let request = self
            .client
            .post(format!("{}/attempts/{token}/log?offset={offset}", self.base))
            .body(piece)
            .timeout(PATIENCE);
        let received: Received = self.send(request).await?;
        Ok(received.next_offset)
    }

    async fn send<A: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<A, Error> {
        let answer = request
            .bearer_auth(self.token.expose())
            .send()
            .await
            .map_err(|error| away(&error))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| away(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| Error::ServerAway {
                reason: format!("its answer is not understood: {error}"),
            });
        }
        let detail = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let detail = detail.and_then(|detail| Some(detail.get("detail")?.as_str()?.to_owned()));
        let reason = detail.unwrap_or_else(|| String::from_utf8_lossy(&body).trim().to_owned());
        Err(match status {
            StatusCode::CONFLICT => Error::StaleToken { state: None },
            StatusCode::GONE => Error::WorkerNotFound { id: reason },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::WorkerRefused { reason },
            StatusCode::PAYLOAD_TOO_LARGE => Error::InvalidRequest {
                field: "the attempt",
                reason: "hands on more than the server takes at once".to_owned(),
            },
            status if status.is_client_error() => Error::InvalidRequest {
                field: "the request",
                reason: format!("is refused with {status}: {reason}"),
            },
            status => Error::ServerAway {
                reason: format!("it answers {status}: {reason}"),
            },
        })
    }
}

/// The innermost cause: "connection refused" rather than "error sending request".
fn away(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::ServerAway {
            reason: "no answer in time".to_owned(),
        };
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Error::ServerAway {
        reason: cause.to_string(),
    }
}
