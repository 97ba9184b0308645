//! A purge that goes on by itself, while whoever asked for it is told how far it is.

use tokio::sync::watch;

use crate::purge::{PurgePlan, PurgeReport};
use crate::{Error, Tracking};

/// How far the last purge is that this process was asked to do by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purging {
    /// Which of them it is, from 1; 0 while there was none.
    pub number: u64,
    /// How many runs, logged models and experiments are done.
    pub done: usize,
    /// Of how many.
    pub total: usize,
    /// Whether it goes on.
    pub is_running: bool,
    /// What it has deleted, or why it could not go on, once it has ended.
    pub outcome: Option<Result<PurgeReport, String>>,
}

impl Tracking {
    /// Returns how far the last purge is, and what tells when it goes on.
    pub fn purging(&self) -> watch::Receiver<Purging> {
        self.purging_sender().subscribe()
    }

    /// Does [`Tracking::purge`] by itself. What is left of it when the process ends is done by the next purge.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] while another one is on its way.
    pub fn start_purge(&self, plan: PurgePlan) -> Result<watch::Receiver<Purging>, Error> {
        let is_started = self.purging_sender().send_if_modified(|purging| {
            let is_free = !purging.is_running;
            if is_free {
                *purging = Purging {
                    number: purging.number + 1,
                    total: plan.len(),
                    is_running: true,
                    ..Purging::default()
                };
            }
            is_free
        });
        if !is_started {
            return Err(Error::invalid(
                "Something is being deleted for good at this moment. Wait until it is done.",
            ));
        }
        let tracking = self.clone();
        tokio::spawn(async move {
            let worker = tracking.clone();
            // In a task of its own, so that even a panic ends it.
            let work = tokio::spawn(async move {
                let told = worker.purging_sender();
                worker
                    .purge(&plan, |done| told.send_modify(|purging| purging.done = done))
                    .await
            });
            let outcome = match work.await {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = &outcome {
                tracing::error!("deleting for good ended early: {error}");
            }
            tracking.purging_sender().send_modify(|purging| {
                purging.is_running = false;
                purging.outcome = Some(outcome);
            });
        });
        Ok(self.purging())
    }
}
