//! Sends webhooks: one request a webhook and event, signed, tried again when it fails for now.

use std::time::Duration;

use fragua_base::Timestamp;
use fragua_webhook::{Client, Failure, Guard, is_for_now, retry_after, sign};
use rand::Rng as _;
use reqwest::Response;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Occurrence, Webhook, WebhookEvent, WebhookReply, WebhookSettings};
use crate::{Error, Tracking};

/// No wait between two tries is longer.
const MAX_DELAY: Duration = Duration::from_secs(60);
/// How long requests that are under way may take to end at shutdown.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// Why a request could not be sent or was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// The secret was encrypted with another key.
    #[error(
        "its secret cannot be read, because it was stored under another key; give the server that key \
         (tracking.secret_key or MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY), or set the secret of this webhook again"
    )]
    UnreadableSecret,
    /// It was not sent, or not answered.
    #[error(transparent)]
    Failed(#[from] Failure),
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

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sender {
    client: Client,
    max_retries: u32,
    retry_delay: Duration,
    workers: usize,
}

impl Sender {
    pub(super) fn new(guard: Guard, settings: &WebhookSettings) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(guard, settings.timeout).map_err(Error::invalid)?,
            max_retries: settings.max_retries,
            retry_delay: settings.retry_delay,
            workers: settings.workers.max(1),
        })
    }

    /// Sends a message and reads the answer.
    pub(super) async fn send_once(&self, message: &Message) -> Result<WebhookReply, SendFailure> {
        Ok(WebhookReply::read(self.post(message).await?).await)
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
                Err(Failure::TimedOut { .. } | Failure::Unreachable(_)) => Some(None),
                _ => None,
            };
            let Some(asked) = wait.filter(|_| tries < self.max_retries) else {
                return Ok(WebhookReply::read(result?).await);
            };
            let wait = asked.unwrap_or_else(|| self.delay(tries)).min(MAX_DELAY);
            let waited = shutdown.run_until_cancelled(tokio::time::sleep(wait)).await;
            if waited.is_none() {
                return Ok(WebhookReply::read(result?).await);
            }
            tries += 1;
        }
    }

    /// Twice as long each time, and up to one delay more, so that those who failed together do not come back together.
    fn delay(&self, tries: u32) -> Duration {
        let jitter = self.retry_delay.mul_f64(rand::rng().random());
        self.retry_delay.saturating_mul(2_u32.saturating_pow(tries)) + jitter
    }

    async fn post(&self, message: &Message) -> Result<Response, Failure> {
        let mut headers = vec![
            ("X-MLflow-Delivery-Id", message.delivery_id.as_str()),
            ("X-MLflow-Timestamp", &message.seconds),
        ];
        headers.extend(
            message
                .signature
                .as_deref()
                .map(|signature| ("X-MLflow-Signature", signature)),
        );
        self.client
            .post(&message.webhook.url, &headers, message.body.clone())
            .await
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

    #[test]
    fn waits_double() {
        let settings = WebhookSettings::default();
        let sender = Sender::new(settings.guard(), &settings).unwrap();
        for (tries, least) in [(0, 1), (1, 2), (2, 4), (3, 8)] {
            let delay = sender.delay(tries);
            let (least, most) = (Duration::from_secs(least), Duration::from_secs(least + 1));
            assert!((least..=most).contains(&delay), "{tries}: {delay:?}");
        }
        assert!(sender.delay(u32::MAX) > MAX_DELAY);
    }
}
