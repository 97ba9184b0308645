//! The loops behind the ports.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::{App, tasks};
use crate::settings::{Executor, Loaded, Role};

/// A loop that ends when the shutdown token is cancelled.
pub(crate) type Job = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

impl App {
    /// Returns the loops of the roles.
    pub(crate) fn jobs(
        &self,
        loaded: &Loaded,
        roles: &BTreeSet<Role>,
        shutdown: &CancellationToken,
    ) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        if let Some(orchestrator) = &self.orchestrator {
            if roles.contains(&Role::Orchestrator) {
                let (scheduler, shutdown) = (orchestrator.clone(), shutdown.clone());
                jobs.push(Box::pin(async move {
                    scheduler
                        .run_scheduler(shutdown)
                        .await
                        .context("the scheduler stopped")
                }));
            }
            if runs_tasks(loaded, roles) {
                let (worker, shutdown) = (orchestrator.clone(), shutdown.clone());
                let slots = tasks::slots(loaded);
                jobs.push(Box::pin(async move {
                    worker
                        .run_worker(shutdown, slots)
                        .await
                        .context("the worker stopped")
                }));
            }
        }
        if let Some(tracking) = &self.tracking
            && roles.contains(&Role::Tracking)
        {
            let webhooks = tracking.deliver_webhooks(shutdown.clone());
            jobs.push(Box::pin(async move {
                webhooks.await;
                Ok(())
            }));
        }
        if let Some(serving) = &self.serving {
            let (serving, shutdown) = (serving.clone(), shutdown.clone());
            jobs.push(Box::pin(async move {
                serving.run(shutdown).await;
                Ok(())
            }));
        }
        jobs
    }
}

/// Whether tasks run in this process: as a worker, or beside the scheduler.
fn runs_tasks(loaded: &Loaded, roles: &BTreeSet<Role>) -> bool {
    let beside_scheduler = loaded.settings.orchestrator.executor == Executor::Local;
    roles.contains(&Role::Worker) || (beside_scheduler && roles.contains(&Role::Orchestrator))
}
