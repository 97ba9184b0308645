//! Metrics that many clients log one by one, written together.
//!
//! A training loop logs a value a step, and many loops run at once. What arrives while the database is busy with the
//! commit before stands in line, and is then written by the same few statements. Each client is answered when its own
//! values are durable, or with what is wrong with its own run.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fragua_database::{Connection, Duty, Error as DatabaseError};
use tokio::sync::oneshot;

use crate::experiments::LifecycleStage;
use crate::metrics::Metric;
use crate::runs::{run_deleted, run_missing};
use crate::{Change, Error, Tracking, store};

/// Values of one client.
struct Entry {
    run_id: String,
    metrics: Vec<Metric>,
    answer: oneshot::Sender<Result<(), Error>>,
}

/// The values that wait for the next write. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct MetricLine {
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl MetricLine {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Entry> {
        mem::take(&mut self.entries())
    }
}

impl Tracking {
    /// Writes values of one run together with those that other clients log at the same time.
    pub(crate) async fn log_in_line(&self, run_id: &str, metrics: Vec<Metric>) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut entries = self.metric_line().entries();
            entries.push(Entry {
                run_id: run_id.to_owned(),
                metrics,
                answer,
            });
            entries.len() == 1
        };
        if is_first && let Some(duty) = self.write_line() {
            duty.serve().await;
        }
        // Only a runtime that ends drops the answer.
        answered
            .await
            .unwrap_or(Err(Error::Database(DatabaseError::Busy)))
    }

    /// Has what is in line written. It waits for its turn like any other write, and there is one at a time.
    fn write_line(&self) -> Option<Duty> {
        let line = self.metric_line().clone();
        let writing = MetricLine::default();
        let (taken, tracking) = (writing.clone(), self.clone());
        let answer = move |written: Result<_, DatabaseError>| {
            let mut entries = writing.take();
            if written.is_err() {
                // When there was no transaction, the line was not taken, and nobody else will.
                entries.extend(tracking.metric_line().take());
            }
            for entry in entries {
                tracking.answer(entry, &written);
            }
        };
        self.database().write_then(
            move |connection| {
                Box::pin(async move {
                    // Not before the turn to write has come: what arrives until then goes along.
                    let entries = line.take();
                    let written = write_entries(connection, &entries).await;
                    *taken.entries() = entries;
                    written
                })
            },
            answer,
        )
    }

    fn answer(&self, entry: Entry, written: &Result<HashMap<String, LifecycleStage>, DatabaseError>) {
        let result = match written {
            Ok(stages) => outcome(stages, &entry.run_id),
            Err(error) => Err(Error::Database(error.clone())),
        };
        if result.is_ok() {
            self.tell(Change::RunChanged { run_id: entry.run_id });
        }
        // A client that went away wants no answer.
        let _ = entry.answer.send(result);
    }
}

/// Writes the values of the runs that are active. Returns the stage of every run that exists.
async fn write_entries(
    connection: &Connection<'_>,
    entries: &[Entry],
) -> Result<HashMap<String, LifecycleStage>, DatabaseError> {
    // In one order everywhere, so that two processes never wait for each other's runs in a circle.
    let run_ids: BTreeSet<&str> = entries.iter().map(|entry| entry.run_id.as_str()).collect();
    let run_ids: Vec<&str> = run_ids.into_iter().collect();
    let stages = store::runs::lock_stages(connection, &run_ids).await?;
    let is_active = |entry: &&Entry| stages.get(&entry.run_id) == Some(&LifecycleStage::Active);
    let values: Vec<(&str, &Metric)> = entries
        .iter()
        .filter(is_active)
        .flat_map(|entry| entry.metrics.iter().map(|metric| (entry.run_id.as_str(), metric)))
        .collect();
    store::metrics::insert(connection, &values).await?;
    Ok(stages)
}

fn outcome(stages: &HashMap<String, LifecycleStage>, run_id: &str) -> Result<(), Error> {
    match stages.get(run_id) {
        Some(LifecycleStage::Active) => Ok(()),
        Some(LifecycleStage::Deleted) => Err(run_deleted(run_id)),
        None => Err(run_missing(run_id)),
    }
}
