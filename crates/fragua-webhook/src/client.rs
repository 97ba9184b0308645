//! Posts messages and reads what is answered.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use hmac::{Hmac, Mac};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use sha2::Sha256;

use crate::guard::{Guard, NameFailure};

/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The beginning of the body.
    pub body: String,
}

impl Reply {
    /// Reads the beginning of an answer. What is cut short on the way counts as far as it came.
    pub async fn read(response: Response) -> Self {
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(Ok(chunk)) = chunks.next().await {
            bytes.extend_from_slice(&chunk[..chunk.len().min(MAX_ANSWER_BYTES - bytes.len())]);
            if bytes.len() == MAX_ANSWER_BYTES {
                break;
            }
        }
        Self {
            status,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// Returns whether the receiver took the message.
    pub fn is_success(&self) -> bool {
        self.status < 400
    }
}

/// Why a message could not be sent or was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The address is not allowed.
    #[error("{0}")]
    Refused(String),
    /// There was no answer in time.
    #[error("no answer within {} s", timeout.as_secs_f64())]
    TimedOut {
        /// How long was waited.
        timeout: Duration,
    },
    /// The receiver cannot be reached, or does not speak HTTP.
    #[error("{0}")]
    Unreachable(String),
}

/// Posts messages to addresses that a guard lets through. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    guard: Guard,
    timeout: Duration,
}

impl Client {
    /// Makes a client that waits for an answer as long as `timeout`.
    ///
    /// # Errors
    /// Why this machine cannot make one.
    pub fn new(guard: Guard, timeout: Duration) -> Result<Self, String> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing the race to another thread is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("fragua/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .dns_resolver(Arc::new(guard.clone()))
            // Where a receiver sends on to, and what a proxy reaches, is not checked.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| format!("webhooks cannot be sent from here: {error}"))?;
        Ok(Self { http, guard, timeout })
    }

    /// Posts a JSON text with some headers.
    ///
    /// # Errors
    /// [`Failure`]. Any answer is a success.
    pub async fn post(&self, url: &str, headers: &[(&str, &str)], body: String) -> Result<Response, Failure> {
        // The settings may be others than when the address was given. Names are checked as they are resolved.
        let url = self
            .guard
            .check(url)
            .map_err(|refusal| Failure::Refused(refusal.to_string()))?;
        let mut request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.map_err(|error| self.failure(&error))
    }

    /// Tells the innermost cause: the outer ones say "error sending request" and name the address, which may hold a
    /// password.
    fn failure(&self, error: &reqwest::Error) -> Failure {
        if error.is_timeout() {
            return Failure::TimedOut {
                timeout: self.timeout,
            };
        }
        let mut cause = error.source();
        while let Some(inner) = cause.and_then(std::error::Error::source) {
            cause = Some(inner);
        }
        let Some(cause) = cause else {
            return Failure::Unreachable("the request failed".to_owned());
        };
        match cause.downcast_ref::<NameFailure>() {
            Some(NameFailure::NotPublic(refusal)) => Failure::Refused(refusal.clone()),
            _ => Failure::Unreachable(cause.to_string()),
        }
    }
}

/// Returns the signature of a message: `v1,` and the HMAC-SHA256 of `ID.SECONDS.BODY` in base64.
pub fn sign(secret: &str, delivery_id: &str, seconds: &str, body: &str) -> String {
    let mac: Hmac<Sha256> = Mac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    let mac = mac.chain_update(format!("{delivery_id}.{seconds}.{body}"));
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Returns whether the same message may be taken later.
pub fn is_for_now(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

/// Returns how long the receiver asks to wait, where it says so in seconds.
pub fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python: `base64.b64encode(hmac.new(b"secret", b"id.1700000000.{}", "sha256").digest())`.
    #[test]
    fn signatures_are_mlflows() {
        assert_eq!(
            sign("secret", "id", "1700000000", "{}"),
            "v1,GBemBzTgbKoVEGKycqyY3615LbdJbhFLE1oQk+zZ+lo="
        );
    }
}
