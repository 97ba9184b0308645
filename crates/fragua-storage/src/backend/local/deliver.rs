//! Sends what was noted to webhooks, again and again until it is taken.
//!
//! An event is taken at least once: who is to send it owns it for as long as one request may take, and whoever looks after
//! that sends it again. Receivers tell by its id what they have seen. Of one object, a process sends one event after the
//! other.

use std::collections::BTreeMap;
use std::time::Duration;

use fragua_base::Timestamp;
use fragua_webhook::{Failure, sign};
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio_util::sync::CancellationToken;

use super::Local;
use crate::Error;
use crate::events::{Webhook, message, object_of};
use crate::store::events;

/// How often it is looked whether another process has noted something.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Events of one read.
const BATCH: u64 = 100;

/// How much longer than a request an event is owned.
const MARGIN: Duration = Duration::from_secs(30);

/// The waits between two tries: each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// An event that nobody takes is given up after this time.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Of more events than these for one webhook, the oldest are given up.
const MOST_WAITING: u64 = 100_000;

impl Local {
    /// Sends events until `shutdown`. A receiver that is slow holds up no other.
    pub(super) async fn deliver_until(&self, shutdown: &CancellationToken) {
        let webhooks = &self.inner.webhooks.settings.webhooks;
        let loops = webhooks
            .iter()
            .map(|(name, webhook)| self.deliver_to(name, webhook));
        shutdown.run_until_cancelled(join_all(loops)).await;
    }

    async fn deliver_to(&self, name: &str, webhook: &Webhook) {
        let mut to_send = self.inner.to_send.subscribe();
        loop {
            let wait = match self.deliver_due(name, webhook).await {
                Ok(next) => next.map_or(LOOK_EVERY, |next| next.since(self.inner.clock.now())),
                Err(error) => {
                    tracing::warn!(%error, webhook = name, "events of objects cannot be sent now; it is tried again");
                    LOOK_EVERY
                }
            };
            // Whether the wait ended or something was noted, it is time to look again.
            let _ = tokio::time::timeout(wait.min(LOOK_EVERY), to_send.changed()).await;
        }
    }

    /// Sends what may be sent to a webhook now. Returns when something may be sent next.
    pub(crate) async fn deliver_due(
        &self,
        name: &str,
        webhook: &Webhook,
    ) -> Result<Option<Timestamp>, Error> {
        loop {
            let due = events::due(self.database(), name, self.inner.clock.now(), BATCH).await?;
            if due.is_empty() {
                return events::next_due(self.database(), name).await;
            }
            let sent = futures::stream::iter(by_object(due))
                .map(|rows| self.deliver_in_order(webhook, rows))
                .buffer_unordered(self.inner.webhooks.settings.workers.max(1));
            let failures: Vec<Option<String>> = sent.try_collect().await?;
            // Once for all: there may be very many.
            if let Some(failure) = failures.into_iter().flatten().next() {
                tracing::warn!(
                    webhook = name,
                    failure,
                    "events of objects were not taken; they are sent again"
                );
            }
        }
    }

    /// Sends events of one object. One that is not taken puts those after it off; returns why, when it is the first time.
    async fn deliver_in_order(
        &self,
        webhook: &Webhook,
        rows: Vec<events::Model>,
    ) -> Result<Option<String>, Error> {
        let mut rest = rows.as_slice();
        while let Some((row, later)) = rest.split_first() {
            if let Some(failure) = self.deliver(webhook, row).await? {
                let again = self.inner.clock.now().plus(wait_after(row.tries));
                events::put_off(self.database(), row, later, again).await?;
                return Ok((row.tries == 0).then_some(failure));
            }
            rest = later;
        }
        Ok(None)
    }

    /// Sends an event, unless another process does. Returns why it was not taken.
    async fn deliver(&self, webhook: &Webhook, row: &events::Model) -> Result<Option<String>, Error> {
        let owned_for = self.inner.webhooks.settings.timeout + MARGIN;
        let now = self.inner.clock.now();
        if !events::claim(self.database(), row, now.plus(owned_for)).await? {
            return Ok(None);
        }
        match self.send(webhook, row, now).await {
            Ok(status) if status < 300 => {
                events::remove(self.database(), row.id).await?;
                Ok(None)
            }
            Ok(status) => Ok(Some(format!("it answered with status {status}"))),
            Err(failure) => Ok(Some(failure.to_string())),
        }
    }

    /// Sends an event and returns the status of the answer. The signature is made anew each time: receivers refuse old ones.
    async fn send(&self, webhook: &Webhook, row: &events::Model, now: Timestamp) -> Result<u16, Failure> {
        let body = message(&row.record, row.id).map_err(|error| Failure::Refused(error.to_string()))?;
        let seconds = now.as_millis().div_euclid(1000).to_string();
        let secret = webhook.secret.as_ref();
        let signature = secret.map(|secret| sign(secret.expose(), &row.delivery_id, &seconds, &body));
        let mut headers = vec![
            ("X-Fragua-Delivery-Id", row.delivery_id.as_str()),
            ("X-Fragua-Timestamp", &seconds),
        ];
        headers.extend(
            signature
                .as_deref()
                .map(|signature| ("X-Fragua-Signature", signature)),
        );
        let client = &self.inner.webhooks.client;
        let answer = client.post(webhook.url.expose(), &headers, body).await?;
        Ok(answer.status().as_u16())
    }

    /// Forgets what nobody takes.
    pub(super) async fn give_up_events(&self) -> Result<(), Error> {
        let mut lost = events::give_up_old(self.database(), self.inner.clock.now(), LIFETIME).await?;
        for name in self.inner.webhooks.settings.webhooks.keys() {
            lost += events::give_up_beyond(self.database(), name, MOST_WAITING).await?;
        }
        if lost > 0 {
            tracing::error!(
                events = lost,
                "events of objects were given up: their receivers did not take them"
            );
        }
        Ok(())
    }
}

/// Returns the events of each object, oldest first.
fn by_object(mut rows: Vec<events::Model>) -> Vec<Vec<events::Model>> {
    rows.sort_by_key(|row| row.id);
    let mut objects: BTreeMap<String, Vec<events::Model>> = BTreeMap::new();
    for row in rows {
        objects.entry(object_of(&row.record)).or_default().push(row);
    }
    objects.into_values().collect()
}

fn wait_after(tries: i32) -> Duration {
    let doublings = u32::try_from(tries).unwrap_or(0).min(30);
    FIRST_WAIT
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit() {
        let seconds: Vec<u64> = [0, 1, 2, 9, 10, 100]
            .map(|tries| wait_after(tries).as_secs())
            .to_vec();
        assert_eq!(seconds, [1, 2, 4, 512, 600, 600]);
    }
}
