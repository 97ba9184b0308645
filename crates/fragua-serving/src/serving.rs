//! The façade: one registered model, the version in memory, and the requests in work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fragua_base::{SharedClock, Timestamp};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};

use crate::metrics::{Gauges, Metrics, Route};
use crate::model::{Predictions, ServedModel};
use crate::row::Row;
use crate::source::ModelSource;
use crate::{Error, Settings};

/// Up to this many rows are predicted on the thread that asks: moving them to another one takes longer.
const INLINE_ROWS: usize = 32;

/// Serves the version of one registered model that an alias names. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Serving {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) source: ModelSource,
    pub(crate) settings: Settings,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    state: watch::Sender<Arc<State>>,
    /// Held while the alias is followed, so that two changes are followed one after the other.
    /// It keeps the identity of a version that cannot be served, which is not read a second time.
    pub(crate) following: Mutex<Option<String>>,
    in_flight: Arc<Semaphore>,
    /// Batches that compute at the same time: one a core. The others wait, no more than `max_in_flight`.
    batches: Semaphore,
}

/// What is served, and what stands in the way.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The version that answers.
    pub model: Option<Arc<ServedModel>>,
    /// Why the version that the alias names does not answer.
    pub problem: Option<Problem>,
}

/// Why the version that the alias names does not answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// The version that should answer, where it is known.
    pub version: Option<String>,
    /// One sentence for people: the thing, the cause, the next step.
    pub message: String,
    /// When it was first seen.
    pub since: Timestamp,
}

/// What kind of problem stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The registry has no such model or alias.
    NotRegistered,
    /// The version is there and cannot be served; it stays so until the alias moves.
    Unservable,
    /// The registry or its artifacts do not answer; tried again.
    Unreachable,
}

impl State {
    /// Returns one sentence on why nothing answers or another version than the named one does.
    pub fn explanation(&self) -> Option<&str> {
        self.problem.as_ref().map(|problem| problem.message.as_str())
    }
}

impl Serving {
    /// Makes the façade. Nothing is loaded before [`Serving::run`] or [`Serving::follow_alias`].
    ///
    /// # Errors
    /// `InvalidSetting` names the key.
    pub fn open(source: ModelSource, settings: Settings, clock: SharedClock) -> Result<Self, Error> {
        settings.check()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let inner = Inner {
            source,
            metrics: Metrics::new(&settings.model),
            in_flight: Arc::new(Semaphore::new(settings.max_in_flight)),
            settings,
            clock,
            state: watch::Sender::new(Arc::default()),
            following: Mutex::default(),
            batches: Semaphore::new(cores),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Returns the version that answers now.
    pub fn current(&self) -> Option<Arc<ServedModel>> {
        self.inner.state.borrow().model.clone()
    }

    /// Returns what is served and what stands in the way.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.inner.state.borrow())
    }

    /// Returns a receiver that wakes each time another version answers or a problem comes or goes.
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.inner.state.subscribe()
    }

    /// Waits until a version answers or it is known why none does.
    pub async fn settled(&self) {
        let is_settled = |state: &Arc<State>| state.model.is_some() || state.problem.is_some();
        // The sender lives as long as `self`.
        let _ = self.watch().wait_for(is_settled).await;
    }

    /// Predicts `rows` with the version that answers now; many rows leave the calling thread free.
    ///
    /// # Errors
    /// `NoModel`, `TooManyRows`, `RowShape` when the rows were checked against another version,
    /// `Overloaded` when too many requests are in work.
    pub async fn predict(&self, rows: Vec<Row>) -> Result<Predictions, Error> {
        match self.model() {
            Ok(model) => self.predict_with(model, rows).await,
            Err(error) => {
                let status = error.kind().http_status();
                self.inner
                    .metrics
                    .without_model
                    .count(Route::App, status, 0, Duration::ZERO);
                Err(error)
            }
        }
    }

    /// Predicts `rows` with the version they were checked against, though another one may answer by now.
    ///
    /// # Errors
    /// As [`Serving::predict`].
    pub async fn predict_with(&self, model: Arc<ServedModel>, rows: Vec<Row>) -> Result<Predictions, Error> {
        let started = Instant::now();
        let counters = Arc::clone(&model.counters);
        let outcome = self.admit_rows(model, rows).await;
        let (status, rows) = match &outcome {
            Ok(predictions) => (200, predictions.labels.len()),
            Err(error) => (error.kind().http_status(), 0),
        };
        counters.count(Route::App, status, rows, started.elapsed());
        outcome
    }

    async fn admit_rows(&self, model: Arc<ServedModel>, rows: Vec<Row>) -> Result<Predictions, Error> {
        let permit = self.admit()?;
        self.check_row_count(rows.len())?;
        if rows.len() <= INLINE_ROWS {
            return model.predict(&rows);
        }
        // The permit goes along: who asked may leave, the computing stays.
        self.compute(move || {
            let predictions = model.predict(&rows);
            drop(permit);
            predictions
        })
        .await?
    }

    /// Returns the version that answers now, or why there is none.
    pub(crate) fn model(&self) -> Result<Arc<ServedModel>, Error> {
        let state = self.state();
        let explanation = || match state.explanation() {
            Some(explanation) => explanation.to_owned(),
            None => format!("{} is being loaded", self.settings().model_uri()),
        };
        state.model.clone().ok_or_else(|| Error::NoModel {
            reason: explanation(),
        })
    }

    pub(crate) fn check_row_count(&self, rows: usize) -> Result<(), Error> {
        let limit = self.settings().max_rows;
        if rows > limit {
            return Err(Error::TooManyRows { rows, limit });
        }
        Ok(())
    }

    /// Takes one of the places for requests in work, at once or not at all.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permit = Arc::clone(&self.inner.in_flight).try_acquire_owned();
        permit.map_err(|_| Error::Overloaded {
            limit: self.settings().max_in_flight,
        })
    }

    /// Runs `work` on a thread for computing, as many at a time as there are cores.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _slot = self
            .inner
            .batches
            .acquire()
            .await
            .map_err(|closed| Error::Internal(closed.to_string()))?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|panicked| Error::Internal(panicked.to_string()))
    }

    /// Puts a version in the place of the one that answers. Requests in work keep the old one until they end.
    pub(crate) fn serve(&self, model: Arc<ServedModel>) {
        self.inner.state.send_replace(Arc::new(State {
            model: Some(model),
            problem: None,
        }));
    }

    /// Says what stands in the way. `keep` leaves the old version answering.
    pub(crate) fn report(&self, problem: Problem, keep: bool) {
        self.inner.state.send_modify(|state| {
            let model = if keep { state.model.clone() } else { None };
            *state = Arc::new(State {
                model,
                problem: Some(problem),
            });
        });
    }

    /// Forgets a problem that is over, where the version that answers is the right one.
    pub(crate) fn clear_problem(&self) {
        self.inner.state.send_if_modified(|state| {
            if state.problem.is_none() {
                return false;
            }
            *state = Arc::new(State {
                model: state.model.clone(),
                problem: None,
            });
            true
        });
    }

    /// Returns the metrics page in Prometheus' text format.
    pub fn metrics_page(&self) -> String {
        let state = self.state();
        let settings = self.settings();
        self.inner.metrics.render(&Gauges {
            in_flight: settings.max_in_flight - self.inner.in_flight.available_permits(),
            alias: &settings.alias,
            served: state
                .model
                .as_ref()
                .map(|model| (model.name.as_str(), model.version.as_str())),
        })
    }
}
