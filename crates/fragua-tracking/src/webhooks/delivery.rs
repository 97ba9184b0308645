//! Sends webhooks: one request a webhook and event, signed, tried again when it fails for now.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fragua_base::Timestamp;
use futures::StreamExt as _;
use hmac::{Hmac, Mac};
use rand::Rng as _;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use sha2::Sha256;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::guard::{Guard, NameFailure};
use super::{Occurrence, Webhook, WebhookEvent, WebhookSettings};
use crate::{Error, Tracking};

/// No wait between two tries is longer.
const MAX_DELAY: Duration = Duration::from_secs(60);
/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How long requests that are under way may take to end at shutdown.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookReply {
    /// The status.
    pub status: u16,
    /// The beginning of the body.
    pub body: String,
}

impl WebhookReply {
    /// Returns whether the receiver took the message.
    pub fn is_success(&self) -> bool {
        self.status < 400
    }
}

/// Why a request could not be sent or was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// The address is not allowed.
    #[error("{0}")]
    Refused(String),
    /// The secret was encrypted with another key.
    #[error(
        "its secret cannot be read, because it was stored under another key; give the server that key \
         (tracking.secret_key or MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY), or set the secret of this webhook again"
    )]
    UnreadableSecret,
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

/// A request to send. Every try of it is the same to the last byte, so that a receiver can tell by the id of the
/// delivery what it has seen before.
#[derive(Debug)]
pub(super) struct Message {
    webhook: Webhook,
    event: WebhookEvent,
    delivery_id: String,
    seconds: String,
    signature: Option<String>,
    body: String,
}

impl Message {
    pub(super) fn new(
        webhook: Webhook,
        secret: Option<String>,
        event: WebhookEvent,
        body: String,
        now: Timestamp,
    ) -> Self {
        let delivery_id = Uuid::new_v4().to_string();
        let seconds = now.as_millis().div_euclid(1000).to_string();
        let signature = secret.map(|secret| sign(&secret, &delivery_id, &seconds, &body));
        Self {
            webhook,
            event,
            delivery_id,
            seconds,
            signature,
            body,
        }
    }
}

fn sign(secret: &str, delivery_id: &str, seconds: &str, body: &str) -> String {
    let mac: Hmac<Sha256> = Mac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    let mac = mac.chain_update(format!("{delivery_id}.{seconds}.{body}"));
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sender {
    http: reqwest::Client,
    guard: Guard,
    timeout: Duration,
    max_retries: u32,
    retry_delay: Duration,
    workers: usize,
}

impl Sender {
    pub(super) fn new(guard: Guard, settings: &WebhookSettings) -> Result<Self, Error> {
        crate::client::install_tls_provider();
        let http = reqwest::Client::builder()
            .user_agent(concat!("fragua/", env!("CARGO_PKG_VERSION")))
            .timeout(settings.timeout)
            .dns_resolver(Arc::new(guard.clone()))
            // Where a receiver sends on to, and what a proxy reaches, is not checked.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| Error::invalid(format!("webhooks cannot be sent from here: {error}")))?;
        Ok(Self {
            http,
            guard,
            timeout: settings.timeout,
            max_retries: settings.max_retries,
            retry_delay: settings.retry_delay,
            workers: settings.workers.max(1),
        })
    }

    /// Sends a message and reads the answer.
    pub(super) async fn send_once(&self, message: &Message) -> Result<WebhookReply, SendFailure> {
        Ok(read(self.post(message).await?).await)
    }

    /// Sends a message until it is taken, refused for good, or has been tried too often, or until there is no time left
    /// to try again.
    async fn send(
        &self,
        message: &Message,
        shutdown: &CancellationToken,
    ) -> Result<WebhookReply, SendFailure> {
        let mut tries = 0;
        loop {
            let result = self.post(message).await;
            let wait = match &result {
                Ok(response) if is_for_now(response.status()) => Some(retry_after(response)),
                Err(SendFailure::TimedOut { .. } | SendFailure::Unreachable(_)) => Some(None),
                _ => None,
            };
            let Some(asked) = wait.filter(|_| tries < self.max_retries) else {
                return Ok(read(result?).await);
            };
            let wait = asked.unwrap_or_else(|| self.delay(tries)).min(MAX_DELAY);
            let waited = shutdown.run_until_cancelled(tokio::time::sleep(wait)).await;
            if waited.is_none() {
                return Ok(read(result?).await);
            }
            tries += 1;
        }
    }

    /// Twice as long each time, and up to one delay more, so that those who failed together do not come back together.
    fn delay(&self, tries: u32) -> Duration {
        let jitter = self.retry_delay.mul_f64(rand::rng().random());
        self.retry_delay.saturating_mul(2_u32.saturating_pow(tries)) + jitter
    }

    async fn post(&self, message: &Message) -> Result<Response, SendFailure> {
        // The settings may be others than when the webhook was made. Names are checked as they are resolved.
        let url = self.guard.check(&message.webhook.url);
        let url = url.map_err(|error| SendFailure::Refused(error.to_string()))?;
        let mut request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("X-MLflow-Delivery-Id", &message.delivery_id)
            .header("X-MLflow-Timestamp", &message.seconds)
            .body(message.body.clone());
        if let Some(signature) = &message.signature {
            request = request.header("X-MLflow-Signature", signature);
        }
        request.send().await.map_err(|error| self.failure(&error))
    }

    /// Tells the innermost cause: the outer ones say "error sending request" and name the address, which may hold a
    /// password.
    fn failure(&self, error: &reqwest::Error) -> SendFailure {
        if error.is_timeout() {
            return SendFailure::TimedOut {
                timeout: self.timeout,
            };
        }
        let mut cause = error.source();
        while let Some(inner) = cause.and_then(std::error::Error::source) {
            cause = Some(inner);
        }
        let Some(cause) = cause else {
            return SendFailure::Unreachable("the request failed".to_owned());
        };
        match cause.downcast_ref::<NameFailure>() {
            Some(NameFailure::NotPublic(refusal)) => SendFailure::Refused(refusal.clone()),
            _ => SendFailure::Unreachable(cause.to_string()),
        }
    }
}

/// Returns whether the same request may succeed later.
fn is_for_now(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

/// Returns how long the receiver asks to wait, where it says so in seconds.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// Reads the beginning of an answer. What is cut short on the way counts as far as it came.
async fn read(response: Response) -> WebhookReply {
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        bytes.extend_from_slice(&chunk[..chunk.len().min(MAX_ANSWER_BYTES - bytes.len())]);
        if bytes.len() == MAX_ANSWER_BYTES {
            break;
        }
    }
    WebhookReply {
        status,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Sends what occurs, a bounded number of requests at once, until the token is cancelled; then waits for all of them.
pub(super) async fn run(
    tracking: Tracking,
    mut occurrences: broadcast::Receiver<Occurrence>,
    shutdown: CancellationToken,
) {
    let sender = &tracking.webhooks_inner().sender;
    let mut sending = JoinSet::new();
    let until_shutdown = async {
        loop {
            let occurrence = match occurrences.recv().await {
                Ok(occurrence) => occurrence,
                Err(RecvError::Lagged(lost)) => {
                    tracing::error!(
                        lost,
                        "receivers of webhooks are too slow: the oldest events are not sent"
                    );
                    continue;
                }
                Err(RecvError::Closed) => return,
            };
            let messages = tracking.messages(&occurrence).await.unwrap_or_else(|error| {
                tracing::error!(error = %error, "webhooks cannot be looked up; an event is not sent");
                Vec::new()
            });
            for message in messages {
                while sending.len() >= sender.workers {
                    sending.join_next().await;
                }
                sending.spawn(deliver(sender.clone(), message, shutdown.clone()));
                while sending.try_join_next().is_some() {}
            }
        }
    };
    shutdown.run_until_cancelled(until_shutdown).await;
    let at_the_end = async { while sending.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_MOMENT, at_the_end).await.is_err() {
        tracing::warn!(
            lost = sending.len(),
            "webhooks were under way when the server stopped"
        );
        sending.shutdown().await;
    }
}

/// The address is not logged: those of chat services hold a password.
async fn deliver(sender: Sender, message: Message, shutdown: CancellationToken) {
    let webhook = &message.webhook;
    let (entity, action) = (message.event.entity(), message.event.action());
    match sender.send(&message, &shutdown).await {
        Ok(reply) if reply.is_success() => {
            tracing::debug!(webhook.id, entity, action, status = reply.status, "webhook sent");
        }
        Ok(reply) => {
            tracing::error!(
                webhook.id,
                webhook.name,
                entity,
                action,
                status = reply.status,
                "webhook refused"
            );
        }
        Err(failure) => {
            tracing::error!(webhook.id, webhook.name, entity, action, error = %failure, "webhook not sent");
        }
    }
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

    #[test]
    fn waits_double() {
        let settings = WebhookSettings::default();
        let sender = Sender::new(Guard::new(&settings), &settings).unwrap();
        for (tries, least) in [(0, 1), (1, 2), (2, 4), (3, 8)] {
            let delay = sender.delay(tries);
            let (least, most) = (Duration::from_secs(least), Duration::from_secs(least + 1));
            assert!((least..=most).contains(&delay), "{tries}: {delay:?}");
        }
        assert!(sender.delay(u32::MAX) > MAX_DELAY);
    }
}
