//! The loops behind the ports.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context as _;
use fragua_auth::Auth;
use fragua_orchestrator::{Orchestrator, TriggerRequest};
use fragua_serving::{DriftAlarm, Serving};
use fragua_storage::ObjectEvent;
use serde_json::{Map, json};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::{App, tasks};
use crate::settings::{Executor, Loaded, Role};

/// How often it is written when keys of the inference API were last used.
const KEY_USES_EVERY: Duration = Duration::from_secs(60);

/// How long the first entry of the object store's access log waits for others.
const STORAGE_LOG_GATHERS: Duration = Duration::from_secs(2);

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
        if let Some(storage) = &self.storage
            && roles.contains(&Role::Storage)
        {
            let (storage, shutdown) = (storage.clone(), shutdown.clone());
            jobs.push(Box::pin(async move {
                storage.run_chores(shutdown).await;
                Ok(())
            }));
        }
        if let (Some(storage), Some(orchestrator)) = (&self.storage, &self.orchestrator) {
            let (events, orchestrator) = (storage.events(), orchestrator.clone());
            jobs.push(Box::pin(wake_sensors(events, orchestrator, shutdown.clone())));
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
        if self.storage.is_some() && roles.contains(&Role::Storage) {
            jobs.push(Box::pin(write_storage_log(self.auth.clone(), shutdown.clone())));
        }
        if self.serving.as_ref().is_some_and(Serving::requires_keys) && roles.contains(&Role::Serving) {
            jobs.push(Box::pin(watch_keys(self.auth.clone(), shutdown.clone())));
        }
        if let (Some(serving), Some(orchestrator), Some(dag_id)) = (
            &self.serving,
            &self.orchestrator,
            &loaded.settings.serving.drift_dag,
        ) && let Some(log) = serving.log()
        {
            let alarms = log.alarms();
            let (orchestrator, dag_id) = (orchestrator.clone(), dag_id.clone());
            jobs.push(Box::pin(retrain(alarms, orchestrator, dag_id, shutdown.clone())));
        }
        jobs
    }
}

/// Lets sensors look at once for an object that came. Those that are not told, because too many came, look at their time.
async fn wake_sensors(
    mut events: broadcast::Receiver<ObjectEvent>,
    orchestrator: Orchestrator,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let event = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            event = events.recv() => event,
        };
        let first = match event {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => continue,
            // Another S3 tells nothing.
            Err(RecvError::Closed) => return Ok(()),
        };
        let rest = std::iter::from_fn(|| events.try_recv().ok());
        let created = std::iter::once(first)
            .chain(rest)
            .filter(|event| event.kind.is_creation());
        let objects: Vec<(String, String)> = created
            .map(|event| (event.bucket.to_string(), event.key.to_string()))
            .collect();
        if objects.is_empty() {
            continue;
        }
        if let Err(error) = orchestrator.objects_came(objects).await {
            tracing::warn!(%error, "sensors cannot be told that objects came; they look at their time");
        }
    }
}

/// Tells when nobody can have a key, then notes now and then when keys were used, so that no answer waits for it.
async fn watch_keys(auth: Auth, shutdown: CancellationToken) -> anyhow::Result<()> {
    match auth.has_valid_serving_key().await {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            "serving.require_api_key is true and no API key is valid, so nobody can ask for predictions: make one with \
             `fragua serving-keys create --name NAME`"
        ),
        Err(error) => tracing::warn!(%error, "API keys cannot be read"),
    }
    let mut ticks = tokio::time::interval(KEY_USES_EVERY);
    loop {
        let is_over = tokio::select! {
            () = shutdown.cancelled() => true,
            _ = ticks.tick() => false,
        };
        if let Err(error) = auth.write_serving_key_uses().await {
            tracing::warn!(%error, "when API keys were last used cannot be written now");
        }
        if is_over {
            return Ok(());
        }
    }
}

/// Writes what was done in the object store and when its keys were used, so that no answer waits for it. What requests
/// that are still answered at the end do is written when the parts close.
async fn write_storage_log(auth: Auth, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(KEY_USES_EVERY);
    loop {
        let is_noted = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = auth.access_noted() => true,
            _ = ticks.tick() => false,
        };
        if is_noted {
            // What comes together goes into one transaction.
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(STORAGE_LOG_GATHERS) => {}
            }
            tell(auth.write_access_log().await);
        } else {
            tell(auth.write_storage_key_uses().await);
        }
    }
}

fn tell(written: Result<(), fragua_auth::Error>) {
    if let Err(error) = written {
        tracing::warn!(%error, "what was done in the object store cannot be written now");
    }
}

/// Writes what is left to write of the object store.
pub(super) async fn write_rest(auth: &Auth) {
    tell(auth.write_access_log().await);
    tell(auth.write_storage_key_uses().await);
}

/// Triggers a DAG for each alarm of drift, once: an alarm that comes again, here or in another process, names the same run.
async fn retrain(
    mut alarms: broadcast::Receiver<DriftAlarm>,
    orchestrator: Orchestrator,
    dag_id: String,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let alarm = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            alarm = alarms.recv() => alarm,
        };
        let alarm = match alarm {
            Ok(alarm) => alarm,
            // Those that were missed come again.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return Ok(()),
        };
        let params = json!({
            "model": alarm.model,
            "version": alarm.version,
            "drifted": alarm.features.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        });
        let request = TriggerRequest {
            params: params.as_object().cloned().unwrap_or_default(),
            run_id: Some(format!(
                "drift__{}__{}__{}",
                alarm.model,
                alarm.version,
                alarm.at.to_rfc3339()
            )),
            note: Some(format!(
                "version {} of {} is asked for rows unlike those it was trained on: {}",
                alarm.version,
                alarm.model,
                alarm
                    .features
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
            ..TriggerRequest::default()
        };
        let plain = TriggerRequest {
            params: Map::new(),
            ..request.clone()
        };
        let triggered = match orchestrator.trigger(&dag_id, request).await {
            // A DAG need not declare them; the note tells the same.
            Err(fragua_orchestrator::Error::InvalidParam { .. }) => {
                orchestrator.trigger(&dag_id, plain).await
            }
            other => other,
        };
        match triggered {
            Ok(run) => tracing::info!(
                dag.id = dag_id,
                dag_run.id = run.run_id,
                "triggered because of drift"
            ),
            Err(fragua_orchestrator::Error::DagRunExists { .. }) => {}
            Err(error) => {
                tracing::error!(dag.id = dag_id, %error, "the DAG of serving.drift_dag cannot be triggered");
            }
        }
    }
}

/// Whether tasks run in this process: as a worker, or beside the scheduler.
fn runs_tasks(loaded: &Loaded, roles: &BTreeSet<Role>) -> bool {
    let beside_scheduler = loaded.settings.orchestrator.executor == Executor::Local;
    roles.contains(&Role::Worker) || (beside_scheduler && roles.contains(&Role::Orchestrator))
}
