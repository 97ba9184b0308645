//! Keeps the version in memory that the alias names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::loader::{self, LoadError};
use crate::model::ServedModel;
use crate::serving::{Problem, ProblemKind, Serving};
use crate::source::{Changes, Located, SourceError};

/// How often a registry behind HTTP is asked, unless the settings say otherwise.
const REMOTE_POLL: Duration = Duration::from_secs(5);

/// The first wait after a failure that may pass, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How following the alias once ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// What the registry names is served, or it names nothing that can be; only a change there helps.
    Settled,
    /// Something did not answer; worth another try.
    TryAgain,
}

impl Serving {
    /// Loads the version that the alias names and follows the alias until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        // Registered before the first look, so that no change falls between the two.
        let mut changes = self.inner.source.changes();
        let poll = self
            .settings()
            .poll_every
            .or_else(|| changes.is_none().then_some(REMOTE_POLL));
        let mut retry = RETRY.0;
        loop {
            let followed = tokio::select! {
                () = shutdown.cancelled() => return,
                followed = self.follow_alias() => followed,
            };
            let wait = match followed {
                Followed::Settled => {
                    retry = RETRY.0;
                    poll
                }
                Followed::TryAgain => {
                    let wait = retry;
                    retry = (retry * 2).min(RETRY.1);
                    Some(poll.map_or(wait, |poll| poll.min(wait)))
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.announced(&mut changes) => {}
                () = sleep_or_forever(wait) => {}
            }
        }
    }

    async fn announced(&self, changes: &mut Option<Changes>) {
        let settings = self.settings();
        match changes {
            Some(changes) => {
                changes
                    .alias_may_have_moved(&settings.model, &settings.alias)
                    .await
            }
            None => std::future::pending().await,
        }
    }

    /// Asks the registry once which version the alias names, and serves it unless it is served already.
    pub async fn follow_alias(&self) -> Followed {
        let mut unservable = self.inner.following.lock().await;
        let settings = self.settings();
        let located = match self.inner.source.locate(&settings.model, &settings.alias).await {
            Ok(located) => located,
            Err(SourceError::NotFound(_)) => {
                *unservable = None;
                self.withdraw();
                return Followed::Settled;
            }
            Err(error) => {
                let message = format!(
                    "the registry does not answer for {}: {error}",
                    settings.model_uri()
                );
                self.tell(ProblemKind::Unreachable, None, message);
                return Followed::TryAgain;
            }
        };
        if self
            .current()
            .is_some_and(|model| model.identity == located.identity)
        {
            *unservable = None;
            self.clear_problem();
            return Followed::Settled;
        }
        if unservable.as_ref() == Some(&located.identity) {
            return Followed::Settled;
        }
        let started = Instant::now();
        let outcome = self.load(&located).await;
        self.inner.metrics.count_load(outcome.is_ok());
        match outcome {
            Ok(model) => {
                *unservable = None;
                tracing::info!(
                    model.name = model.name,
                    model.version = model.version,
                    duration_ms = started.elapsed().as_millis() as u64,
                    "serving a model version"
                );
                self.serve(Arc::new(model));
                Followed::Settled
            }
            Err(LoadError::Unservable(reason)) => {
                *unservable = Some(located.identity);
                let message = format!(
                    "version {} of {} cannot be served: {reason}",
                    located.version, settings.model
                );
                self.tell(ProblemKind::Unservable, Some(located.version), message);
                Followed::Settled
            }
            Err(LoadError::Source(error)) => {
                let message = format!(
                    "version {} of {} cannot be read: {error}",
                    located.version, settings.model
                );
                self.tell(ProblemKind::Unreachable, Some(located.version), message);
                Followed::TryAgain
            }
        }
    }

    async fn load(&self, located: &Located) -> Result<ServedModel, LoadError> {
        let source = &self.inner.source;
        let folder = loader::read_folder(source, located, self.settings().max_model_bytes).await?;
        let metrics = match &located.run_id {
            // Figures are shown beside the model; a run that is gone does not keep it from serving.
            Some(run_id) => source.run_metrics(run_id).await.unwrap_or_else(|error| {
                tracing::warn!(run.id = run_id, error = %error, "the run's figures cannot be read");
                BTreeMap::new()
            }),
            None => BTreeMap::new(),
        };
        let counters = self
            .inner
            .metrics
            .version(&self.settings().model, &located.version);
        let build = loader::Build {
            name: self.settings().model.clone(),
            alias: self.settings().alias.clone(),
            located: located.clone(),
            loaded_at: self.inner.clock.now(),
            metrics,
            counters,
        };
        // Reading the trees and the first prediction are work for a computing thread, beside the old version.
        let built = tokio::task::spawn_blocking(move || build.finish(folder)).await;
        built.unwrap_or_else(|_| {
            Err(LoadError::Unservable(
                "reading its pipeline failed; the log tells more".to_owned(),
            ))
        })
    }

    /// Says why the named version does not answer, and which one does in its place.
    fn tell(&self, kind: ProblemKind, version: Option<String>, mut message: String) {
        if let Some(current) = self.current() {
            message.push_str(&format!("; version {} keeps serving", current.version));
        }
        let before = self.state();
        let known = before
            .problem
            .as_ref()
            .filter(|problem| problem.message == message);
        if known.is_some() {
            return;
        }
        tracing::warn!(model.name = self.settings().model, "{message}");
        let since = self.inner.clock.now();
        self.report(
            Problem {
                kind,
                version,
                message,
                since,
            },
            true,
        );
    }

    /// Ends serving: the registry names no version any more.
    fn withdraw(&self) {
        let settings = self.settings();
        let message = format!(
            "the registry has no model {} with the alias {}; train one, then set the alias",
            settings.model, settings.alias
        );
        let state = self.state();
        let known = state
            .problem
            .as_ref()
            .is_some_and(|problem| problem.message == message);
        if known && state.model.is_none() {
            return;
        }
        tracing::info!(model.name = settings.model, "{message}");
        let since = self.inner.clock.now();
        let problem = Problem {
            kind: ProblemKind::NotRegistered,
            version: None,
            message,
            since,
        };
        self.report(problem, false);
    }
}

async fn sleep_or_forever(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
