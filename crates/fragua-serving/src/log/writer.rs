//! The one task that writes: what came in together goes into one transaction.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use fragua_base::ErrorKind;
use serde_json::{Map, Value};
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{PredictionLog, Recorded, Waiting};
use crate::row::{Cell, Row};
use crate::signature::{DataType, Feature};
use crate::store::predictions as store;

/// Requests of one transaction.
const BATCH: usize = 256;
/// How long the first of a transaction waits for others.
const GATHER: Duration = Duration::from_millis(100);
/// The first wait after a failure, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often old rows are removed.
const PURGE_EVERY: Duration = Duration::from_secs(60 * 60);
/// MySQL keeps no longer texts.
const MOST_BYTES: usize = 60_000;

impl PredictionLog {
    /// Writes what is recorded and removes what is too old, until `shutdown`; what waits then is written first.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut waiting = self.inner.waiting.lock().await;
        let mut purge = tokio::time::interval(PURGE_EVERY);
        purge.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Outside of what is waited for: what was gathered so far outlives a purge and the end.
        let mut batch = Batch::default();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = batch.gather(&mut waiting, &shutdown) => {
                    self.write_until_done(std::mem::take(&mut batch), &shutdown).await;
                }
                _ = purge.tick() => self.purge().await,
            }
        }
        while let Ok(more) = waiting.try_recv() {
            batch.take(more);
        }
        let mut rest = batch.requests;
        while !rest.is_empty() {
            let requests = rest.drain(..rest.len().min(BATCH)).collect();
            let batch = Batch {
                requests,
                readers: Vec::new(),
            };
            self.write_until_done(batch, &shutdown).await;
        }
    }

    /// Lets everything be written that was recorded so far, and waits for it; not for a database that does not answer.
    pub(crate) async fn flush(&self) {
        let mut is_stuck = self.inner.is_stuck.subscribe();
        let (reader, written) = oneshot::channel();
        let written = async {
            if self.inner.queue.send(Waiting::Reader(reader)).await.is_ok() {
                // The sender is dropped, not used.
                let _ = written.await;
            }
        };
        // Where no task writes, or none does any more, whoever reads does.
        let mut waiting = tokio::select! {
            biased;
            waiting = self.inner.waiting.lock() => waiting,
            () = written => return,
            _ = is_stuck.wait_for(|is_stuck| *is_stuck) => return,
        };
        let mut batch = Batch::default();
        while let Ok(more) = waiting.try_recv() {
            batch.take(more);
        }
        let at_once = CancellationToken::new();
        at_once.cancel();
        self.write_until_done(batch, &at_once).await;
    }

    async fn write_until_done(&self, batch: Batch, shutdown: &CancellationToken) {
        let mut wait = RETRY.0;
        let is_stuck = |is_stuck: bool| {
            self.inner
                .is_stuck
                .send_if_modified(|was| std::mem::replace(was, is_stuck) != is_stuck)
        };
        let mut parts = vec![batch.requests];
        while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
            let Err(error) = self.write(&part).await else {
                is_stuck(false);
                wait = RETRY.0;
                continue;
            };
            if error.kind() != ErrorKind::Unavailable {
                parts.extend(self.without_what_is_refused(part, &error));
            } else if shutdown.is_cancelled() {
                tracing::error!(%error, requests = part.len(), "predictions are not in the log");
            } else {
                tracing::warn!(%error, "the prediction log waits for its database");
                is_stuck(true);
                parts.push(part);
                // At the end of the process comes one more try.
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(RETRY.1),
                }
            }
        }
    }

    /// Halves what the database refuses, until the one request that it is about is alone and left out.
    fn without_what_is_refused(
        &self,
        mut part: Vec<Recorded>,
        error: &fragua_database::Error,
    ) -> Vec<Vec<Recorded>> {
        if let [recorded] = &part[..] {
            tracing::error!(%error, request_id = recorded.request_id.as_str(), "a prediction is not in the log");
            let rows = recorded.rows.len() as u64;
            self.inner.counters.failed.fetch_add(rows, Relaxed);
            return Vec::new();
        }
        let second = part.split_off(part.len() / 2);
        vec![second, part]
    }

    async fn write(&self, batch: &[Recorded]) -> Result<(), fragua_database::Error> {
        let counters = &self.inner.counters;
        let rows: Vec<store::ActiveModel> = batch.iter().flat_map(rows_of).collect();
        let asked: usize = batch.iter().map(|recorded| recorded.rows.len()).sum();
        let count = rows.len();
        store::insert(&self.inner.database, rows).await?;
        counters.logged.fetch_add(count as u64, Relaxed);
        counters.failed.fetch_add((asked - count) as u64, Relaxed);
        Ok(())
    }

    pub(crate) async fn purge(&self) {
        let (settings, now) = (&self.inner.settings, self.inner.clock.now());
        let keep = i64::try_from(settings.keep.as_millis()).unwrap_or(i64::MAX);
        let before = now.as_millis().saturating_sub(keep);
        match store::purge(&self.inner.database, before, settings.keep_rows).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "old predictions were removed from the log"),
            Err(error) => tracing::warn!(%error, "old predictions stay in the log for now"),
        }
    }
}

/// What is written together, and who waits for it.
#[derive(Default)]
struct Batch {
    requests: Vec<Recorded>,
    readers: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn take(&mut self, waiting: Waiting) {
        match waiting {
            Waiting::Request(recorded) => self.requests.push(recorded),
            Waiting::Reader(reader) => self.readers.push(reader),
        }
    }

    /// Waits for the first request, then a moment for others; not as soon as somebody waits for what is there.
    async fn gather(&mut self, waiting: &mut Receiver<Waiting>, shutdown: &CancellationToken) {
        if self.requests.is_empty() && self.readers.is_empty() {
            let Some(first) = waiting.recv().await else {
                // The sender lives as long as the log.
                return std::future::pending().await;
            };
            self.take(first);
        }
        let deadline = tokio::time::Instant::now() + GATHER;
        while self.requests.len() < BATCH && self.readers.is_empty() {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep_until(deadline) => break,
                more = waiting.recv() => match more {
                    Some(more) => self.take(more),
                    None => break,
                },
            }
        }
    }
}

fn rows_of(recorded: &Recorded) -> impl Iterator<Item = store::ActiveModel> + '_ {
    recorded
        .rows
        .iter()
        .filter_map(|(index, row, label, probabilities)| {
            let inputs = Value::Object(record(&recorded.model.features, row)).to_string();
            (inputs.len() <= MOST_BYTES).then(|| {
                store::row(store::NewRow {
                    request_id: recorded.request_id.as_str(),
                    row: *index,
                    role: recorded.role,
                    source: recorded.source,
                    at: recorded.at,
                    took: recorded.took,
                    model: &recorded.model,
                    inputs,
                    label,
                    probabilities,
                })
            })
        })
}

/// Returns a row as a record again.
pub(crate) fn record(features: &[Feature], row: &Row) -> Map<String, Value> {
    let values = row.0.iter().zip(features).map(|(cell, feature)| match cell {
        Cell::Missing => Value::Null,
        Cell::Text(text) => Value::from(text.as_str()),
        Cell::Number(number) => match feature.data_type {
            DataType::Boolean => Value::from(*number != 0.0),
            // Whole numbers up to 2^53 are exact.
            DataType::Integer | DataType::Long if number.abs() < 9e15 => Value::from(*number as i64),
            _ => Value::from(*number),
        },
    });
    let names = features.iter().map(|feature| feature.name.clone());
    names.zip(values).collect()
}
