//! Keeps the versions in memory that the registry names.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::deployment::Deployment;
use crate::endpoint::{Challenger, Endpoint, Problem, ProblemKind};
use crate::loader::{self, LoadError};
use crate::model::ServedModel;
use crate::model_ref::{ModelRef, Selector};
use crate::serving::Serving;
use crate::source::{Changes, Located, SourceError};

/// How often a registry behind HTTP is asked, unless the settings say otherwise.
const REMOTE_POLL: Duration = Duration::from_secs(5);

/// The first wait after a failure that may pass, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How following the registry once ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// What the registry names is served, or it names nothing that can be; only a change there helps.
    Settled,
    /// Something did not answer; worth another try.
    TryAgain,
}

impl Followed {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Settled, Self::Settled) => Self::Settled,
            _ => Self::TryAgain,
        }
    }
}

/// What an endpoint remembers from one look at the registry to the next.
#[derive(Debug, Default)]
pub(crate) struct Following {
    /// Versions that cannot be served, which are not read a second time.
    unservable: HashSet<String>,
    /// Those of the look that goes on.
    seen: HashSet<String>,
}

/// A version that should answer: in memory, or why not.
enum Fetched {
    Ready(Arc<ServedModel>),
    /// It cannot be served, which is told already.
    Known,
    Problem(ProblemKind, Option<String>, String),
}

impl Serving {
    /// Loads what the endpoints name and follows the registry, writes the prediction log and looks for drift, until
    /// `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::join!(
            self.follow_registry(shutdown.clone()),
            self.keep_log(shutdown.clone()),
            self.watch_drift(shutdown),
        );
    }

    async fn keep_log(&self, shutdown: CancellationToken) {
        if let Some(log) = self.log() {
            log.run(shutdown).await;
        }
    }

    /// Looks for drift in every version that answers.
    async fn watch_drift(&self, shutdown: CancellationToken) {
        let Some(log) = self.log() else { return };
        let mut ticks = tokio::time::interval(log.settings().drift_every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick comes at once, before anything was asked.
        ticks.tick().await;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let mut versions: Vec<Arc<ServedModel>> = Vec::new();
            for model in self.endpoints().iter().filter_map(Endpoint::current) {
                if !versions.iter().any(|known| Arc::ptr_eq(known, &model)) {
                    versions.push(model);
                }
            }
            for model in versions {
                if let Err(error) = log.watch_drift(&model).await {
                    tracing::warn!(model.name = model.name, %error, "drift could not be looked for");
                }
            }
        }
    }

    async fn follow_registry(&self, shutdown: CancellationToken) {
        // Registered before the first look, so that no change falls between the two.
        let mut changes = self.inner.source.changes();
        let poll = self
            .settings()
            .poll_every
            .or_else(|| changes.is_none().then_some(REMOTE_POLL));
        let mut retry = RETRY.0;
        let mut changed = None;
        loop {
            let followed = tokio::select! {
                () = shutdown.cancelled() => return,
                followed = self.follow_all(changed.as_deref()) => followed,
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
            changed = tokio::select! {
                () = shutdown.cancelled() => return,
                changed = announced(&mut changes) => changed,
                () = sleep_or_forever(wait) => None,
            };
        }
    }

    /// Follows every endpoint, or those of one registered model.
    async fn follow_all(&self, name: Option<&str>) -> Followed {
        let mut outcome = Followed::Settled;
        for endpoint in self.endpoints() {
            if name.is_none_or(|name| endpoint.model_ref().name == name) {
                outcome = outcome.and(self.follow(&endpoint).await);
            }
        }
        outcome
    }

    /// Asks the registry once which version the alias of the settings names, and serves it unless it is served already.
    pub async fn follow_alias(&self) -> Followed {
        self.follow(&self.inner.default).await
    }

    /// Asks the registry once for the versions of an endpoint, and loads those that are not in memory.
    pub(crate) async fn follow(&self, endpoint: &Endpoint) -> Followed {
        let mut following = endpoint.inner.following.lock().await;
        let model = endpoint.model_ref();
        let mut followed = Followed::Settled;
        match self.fetch(model, &mut following).await {
            Fetched::Ready(model) => self.serve(endpoint, model),
            Fetched::Known => {}
            Fetched::Problem(ProblemKind::NotRegistered, ..) => self.withdraw(endpoint),
            Fetched::Problem(kind, version, message) => {
                if kind == ProblemKind::Unreachable {
                    followed = Followed::TryAgain;
                }
                self.tell(endpoint, kind, version, message);
            }
        }
        match self.deployment_of(model).await {
            Ok(deployment) => {
                followed = followed.and(self.challenge(endpoint, &deployment, &mut following).await);
            }
            Err(error) => {
                tracing::warn!(model = %model, %error, "canary and shadow stay as they are");
                followed = Followed::TryAgain;
            }
        }
        let following = &mut *following;
        following.unservable = std::mem::take(&mut following.seen);
        followed
    }

    /// Brings canary and shadow into memory.
    async fn challenge(
        &self,
        endpoint: &Endpoint,
        deployment: &Deployment,
        following: &mut Following,
    ) -> Followed {
        let name = &endpoint.model_ref().name;
        let state = endpoint.state();
        let canary = deployment.canary.map(|canary| (canary.version, canary.percent));
        let canary = self
            .challenger(name, canary, state.canary.as_ref(), following)
            .await;
        let shadow = deployment.shadow.map(|version| (version, 0));
        let shadow = self
            .challenger(name, shadow, state.shadow.as_ref(), following)
            .await;
        let waits = |challenger: &Option<Challenger>| {
            let problem = challenger
                .as_ref()
                .and_then(|challenger| challenger.problem.as_ref());
            problem.is_some_and(|problem| problem.kind == ProblemKind::Unreachable)
        };
        let followed = match waits(&canary) || waits(&shadow) {
            true => Followed::TryAgain,
            false => Followed::Settled,
        };
        let is_same = |old: &Option<Challenger>, new: &Option<Challenger>| match (old, new) {
            (None, None) => true,
            (Some(old), Some(new)) => {
                let identity = |model: &Option<Arc<ServedModel>>| model.as_ref().map(Arc::as_ptr);
                (old.version, old.percent, &old.problem) == (new.version, new.percent, &new.problem)
                    && identity(&old.model) == identity(&new.model)
            }
            _ => false,
        };
        if !is_same(&state.canary, &canary) || !is_same(&state.shadow, &shadow) {
            endpoint.change(|state| {
                state.canary = canary;
                state.shadow = shadow;
            });
        }
        followed
    }

    async fn challenger(
        &self,
        name: &str,
        wanted: Option<(i32, u8)>,
        old: Option<&Challenger>,
        following: &mut Following,
    ) -> Option<Challenger> {
        let (version, percent) = wanted?;
        let old = old.filter(|old| old.version == version);
        let reference = ModelRef {
            name: name.to_owned(),
            selector: Selector::Version(version),
        };
        let (model, problem) = match self.fetch(&reference, following).await {
            Fetched::Ready(model) => (Some(model), None),
            Fetched::Known => (None, old.and_then(|old| old.problem.clone())),
            Fetched::Problem(kind, version, message) => {
                let known = old
                    .and_then(|old| old.problem.clone())
                    .filter(|problem| problem.message == message);
                let problem = known.unwrap_or_else(|| {
                    tracing::warn!(model.name = name, "{message}");
                    self.problem(kind, version, message)
                });
                // What is in memory stays of use while the registry does not answer.
                let kept = old.and_then(|old| old.model.clone());
                (kept.filter(|_| kind == ProblemKind::Unreachable), Some(problem))
            }
        };
        Some(Challenger {
            version,
            percent,
            model,
            problem,
        })
    }

    /// Finds a version and brings it into memory, unless it is there already.
    async fn fetch(&self, model: &ModelRef, following: &mut Following) -> Fetched {
        let located = match self.inner.source.locate(model).await {
            Ok(located) => located,
            Err(SourceError::NotFound(_)) => {
                let message = format!("the registry has no {model}");
                return Fetched::Problem(ProblemKind::NotRegistered, None, message);
            }
            Err(error) => {
                let message = format!("the registry does not answer for {model}: {error}");
                return Fetched::Problem(ProblemKind::Unreachable, None, message);
            }
        };
        if let Some(loaded) = self.inner.loaded.get(&model.name, &located.identity) {
            return Fetched::Ready(loaded);
        }
        if following.unservable.contains(&located.identity) {
            following.seen.insert(located.identity);
            return Fetched::Known;
        }
        let (name, version) = (&model.name, &located.version);
        let started = Instant::now();
        let outcome = self.load(name, &located).await;
        self.inner.metrics.count_load(outcome.is_ok());
        match outcome {
            Ok(loaded) => {
                tracing::info!(
                    model.name = name,
                    model.version = version,
                    duration_ms = started.elapsed().as_millis() as u64,
                    "a model version is in memory"
                );
                let loaded = Arc::new(loaded);
                self.inner.loaded.put(&loaded);
                Fetched::Ready(loaded)
            }
            Err(LoadError::Unservable(reason)) => {
                following.seen.insert(located.identity.clone());
                let message = format!("version {version} of {name} cannot be served: {reason}");
                Fetched::Problem(ProblemKind::Unservable, Some(located.version), message)
            }
            Err(LoadError::Source(error)) => {
                let message = format!("version {version} of {name} cannot be read: {error}");
                Fetched::Problem(ProblemKind::Unreachable, Some(located.version), message)
            }
        }
    }

    async fn load(&self, name: &str, located: &Located) -> Result<ServedModel, LoadError> {
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
        let build = loader::Build {
            name: name.to_owned(),
            located: located.clone(),
            loaded_at: self.inner.clock.now(),
            metrics,
            counters: self.inner.metrics.version(name, &located.version),
        };
        // Reading the trees and the first prediction are work for a computing thread, beside the old version.
        let built = tokio::task::spawn_blocking(move || build.finish(folder)).await;
        built.unwrap_or_else(|_| {
            Err(LoadError::Unservable(
                "reading its pipeline failed; the log tells more".to_owned(),
            ))
        })
    }

    /// Puts a version in the place of the one that answers.
    fn serve(&self, endpoint: &Endpoint, model: Arc<ServedModel>) {
        let state = endpoint.state();
        let is_served = state.model.as_ref().is_some_and(|old| Arc::ptr_eq(old, &model));
        if is_served && state.problem.is_none() {
            return;
        }
        if !is_served {
            tracing::info!(
                model.version = model.version,
                "{} is answered by another version",
                endpoint.model_ref()
            );
        }
        endpoint.change(|state| {
            state.model = Some(model);
            state.problem = None;
        });
    }

    /// Says why the named version does not answer, and which one does in its place.
    fn tell(&self, endpoint: &Endpoint, kind: ProblemKind, version: Option<String>, mut message: String) {
        if let Some(current) = endpoint.current() {
            message.push_str(&format!("; version {} keeps serving", current.version));
        }
        if endpoint.state().explanation() == Some(message.as_str()) {
            return;
        }
        tracing::warn!(model.name = endpoint.model_ref().name, "{message}");
        let problem = self.problem(kind, version, message);
        endpoint.change(|state| state.problem = Some(problem));
    }

    /// Ends answering: the registry names no version any more.
    fn withdraw(&self, endpoint: &Endpoint) {
        let model = endpoint.model_ref();
        let name = &model.name;
        let message = match &model.selector {
            Selector::Alias(alias) => format!(
                "the registry has no model {name} with the alias {alias}; train one, then set the alias"
            ),
            Selector::Version(version) => format!("the registry has no version {version} of a model {name}"),
            Selector::Latest => format!("the registry has no version of a model {name}"),
        };
        let state = endpoint.state();
        if state.explanation() == Some(message.as_str()) && state.model.is_none() {
            return;
        }
        tracing::info!(model.name = name, "{message}");
        let problem = self.problem(ProblemKind::NotRegistered, None, message);
        endpoint.change(|state| {
            state.model = None;
            state.problem = Some(problem);
        });
    }

    fn problem(&self, kind: ProblemKind, version: Option<String>, message: String) -> Problem {
        Problem {
            kind,
            version,
            message,
            since: self.inner.clock.now(),
        }
    }
}

async fn announced(changes: &mut Option<Changes>) -> Option<String> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_or_forever(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
