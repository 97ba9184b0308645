//! The façade: the endpoints, the versions in memory, and the requests in work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use fragua_auth::Auth;
use fragua_base::SharedClock;
use fragua_database::Database;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::aftermath::Predicted;
use crate::endpoint::{Endpoint, ProblemKind, State};
use crate::log::PredictionLog;
use crate::metrics::{Gauges, Metrics, Route};
use crate::model::{Explanation, Predictions, ServedModel};
use crate::model_ref::ModelRef;
use crate::objects::Objects;
use crate::request_id::RequestId;
use crate::role::Role;
use crate::row::Row;
use crate::source::{ModelSource, RegisteredModel};
use crate::{Error, Settings, store};

/// Up to this many rows are predicted on the thread that asks: moving them to another one takes longer.
const INLINE_ROWS: usize = 32;

/// Requests that wait for a shadow or are predicted by one.
const SHADOWS_PER_CORE: usize = 16;

/// Serves versions of registered models: the one that the settings name from the start, others when they are asked for.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Serving {
    pub(crate) inner: Arc<Inner>,
    /// Who may ask over HTTP; everybody where there is nothing.
    pub(crate) keys: Option<Arc<Auth>>,
    /// What batches may read and write besides what they are sent.
    objects: Option<Arc<Objects>>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) source: ModelSource,
    pub(crate) settings: Settings,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    /// Where deployments and predictions are kept; nowhere when a test opened the façade.
    pub(crate) database: Option<Database>,
    log: Option<PredictionLog>,
    pub(crate) default: Endpoint,
    /// Every endpoint but the default one.
    others: Mutex<BTreeMap<ModelRef, Endpoint>>,
    uses: AtomicU64,
    pub(crate) loaded: Loaded,
    in_flight: Arc<Semaphore>,
    /// Requests that shadows predict at the same time.
    pub(crate) shadows: Arc<Semaphore>,
    /// Batches that compute at the same time: one a core. The others wait, no more than `max_in_flight`.
    batches: Semaphore,
}

impl Serving {
    /// Makes the façade. Nothing is loaded before [`Serving::run`] or [`Serving::follow_alias`].
    ///
    /// # Errors
    /// `InvalidSetting` names the key.
    pub fn open(source: ModelSource, settings: Settings, clock: SharedClock) -> Result<Self, Error> {
        Self::make(source, None, settings, clock)
    }

    /// As [`Serving::open`], with a database for what outlives the process; its tables are made where they are missing.
    ///
    /// # Errors
    /// `InvalidSetting` names the key; `Unreachable` when the database cannot be reached or migrated.
    pub async fn open_with(
        source: ModelSource,
        database: Database,
        settings: Settings,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        let migrated = database.migrate("serving", store::migrations()).await;
        migrated.map_err(|error| Error::Unreachable {
            reason: error.to_string(),
        })?;
        Self::make(source, Some(database), settings, clock)
    }

    fn make(
        source: ModelSource,
        database: Option<Database>,
        settings: Settings,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        settings.check()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let inner = Inner {
            source,
            metrics: Metrics::new(&settings.model),
            log: database
                .clone()
                .map(|database| PredictionLog::new(database, settings.log.clone(), clock.clone())),
            database,
            default: Endpoint::new(settings.model_ref()),
            others: Mutex::default(),
            uses: AtomicU64::new(0),
            loaded: Loaded::default(),
            in_flight: Arc::new(Semaphore::new(settings.max_in_flight)),
            shadows: Arc::new(Semaphore::new(cores * SHADOWS_PER_CORE)),
            settings,
            clock,
            batches: Semaphore::new(cores),
        };
        Ok(Self {
            inner: Arc::new(inner),
            keys: None,
            objects: None,
        })
    }

    /// Lets batches read and write objects.
    #[must_use]
    pub fn with_objects(self, objects: Objects) -> Self {
        Self {
            objects: Some(Arc::new(objects)),
            ..self
        }
    }

    /// Returns the objects of batches.
    pub(crate) fn objects(&self) -> Result<&Objects, Error> {
        self.objects.as_deref().ok_or_else(|| Error::Conflict {
            reason: "this process has no object store".to_owned(),
        })
    }

    /// Makes the HTTP routes of [`crate::api::router`] ask for a serving key. Whoever holds the façade, such as the pages
    /// of the app, is not asked.
    #[must_use]
    pub fn requiring_keys(self, auth: Auth) -> Self {
        Self {
            keys: Some(Arc::new(auth)),
            ..self
        }
    }

    /// Returns whether the HTTP routes ask for a serving key.
    pub fn requires_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Returns the prediction log; there is none where the façade was opened without a database.
    pub fn log(&self) -> Option<&PredictionLog> {
        self.inner.log.as_ref()
    }

    /// Returns the prediction log, or that there is none.
    pub(crate) fn kept_log(&self) -> Result<&PredictionLog, Error> {
        self.log().ok_or_else(|| Error::Conflict {
            reason: "this process keeps no predictions: it was opened without a database".to_owned(),
        })
    }

    /// Returns the endpoint of the model and alias that the settings name.
    pub fn default_endpoint(&self) -> &Endpoint {
        &self.inner.default
    }

    /// Returns every endpoint, the default one first, the others by name.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let others = self.inner.others.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::once(&self.inner.default)
            .chain(others.values())
            .cloned()
            .collect()
    }

    /// Returns the version that answers for a model, which is loaded now where no task of the role does it.
    ///
    /// # Errors
    /// As [`Serving::endpoint`]; `NoModel` says why the version cannot be served.
    pub async fn loaded(&self, model: &ModelRef) -> Result<Arc<ServedModel>, Error> {
        let endpoint = self.endpoint(model).await?;
        if endpoint.current().is_none() {
            self.follow(&endpoint).await;
        }
        endpoint.current().ok_or_else(|| endpoint.no_model())
    }

    /// Returns the endpoint of a model, which it brings into memory when it is asked for the first time. Where there are
    /// more than `max_models`, the one that was not used for the longest time goes.
    ///
    /// # Errors
    /// `UnknownModel` when the registry has no such model, alias or version; `Unreachable` when it does not answer.
    /// A version that cannot be served is an endpoint whose state says so.
    pub async fn endpoint(&self, model: &ModelRef) -> Result<Endpoint, Error> {
        let endpoint = match self.known(model) {
            Some(endpoint) => return Ok(endpoint),
            None => self.keep(Endpoint::new(model.clone())),
        };
        self.follow(&endpoint).await;
        let state = endpoint.state();
        let gone = state.problem.as_ref().filter(|_| state.model.is_none());
        match gone.map(|problem| (problem.kind, problem.message.clone())) {
            Some((ProblemKind::NotRegistered, reason)) => {
                self.forget(model);
                Err(Error::UnknownModel { reason })
            }
            Some((ProblemKind::Unreachable, reason)) => {
                self.forget(model);
                Err(Error::Unreachable { reason })
            }
            _ => Ok(endpoint),
        }
    }

    /// Returns what the registry has to choose from, by name.
    ///
    /// # Errors
    /// `Unreachable` when it does not answer.
    pub async fn registered_models(&self) -> Result<Vec<RegisteredModel>, Error> {
        let models = self.inner.source.models().await;
        models.map_err(|error| Error::Unreachable {
            reason: format!("the registry does not answer: {error}"),
        })
    }

    /// Predicts `rows` for a person, with the version they were checked against, and keeps them in the log under the id
    /// that is returned.
    ///
    /// # Errors
    /// As [`Serving::predict`].
    pub async fn predict_for_app(
        &self,
        endpoint: &Endpoint,
        model: Arc<ServedModel>,
        rows: Vec<Row>,
    ) -> Result<(RequestId, Predictions), Error> {
        let started = Instant::now();
        let request_id = RequestId::random();
        let predictions = self.predict_with(model, rows.clone()).await?;
        let predicted = Predicted {
            rows,
            predictions: predictions.clone(),
        };
        let took = started.elapsed();
        self.predicted(
            endpoint,
            Role::Live,
            Route::App,
            request_id.clone(),
            predicted,
            took,
        );
        Ok((request_id, predictions))
    }

    /// Returns an endpoint that is in memory.
    pub(crate) fn known(&self, model: &ModelRef) -> Option<Endpoint> {
        let default = &self.inner.default;
        if default.model_ref() == model {
            return Some(default.clone());
        }
        let others = self.inner.others.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = others.get(model)?;
        endpoint.used(self.inner.uses.fetch_add(1, Relaxed));
        // One that was put there a moment ago is still being loaded by whom asked first.
        let state = endpoint.state();
        (state.model.is_some() || state.problem.is_some()).then(|| endpoint.clone())
    }

    /// Takes an endpoint out of memory. The default one stays. Returns whether it was there.
    pub(crate) fn forget(&self, model: &ModelRef) -> bool {
        let mut others = self.inner.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.remove(model).is_some()
    }

    /// Puts an endpoint into memory unless there is one by now, and returns the one that is.
    fn keep(&self, endpoint: Endpoint) -> Endpoint {
        endpoint.used(self.inner.uses.fetch_add(1, Relaxed));
        let mut others = self.inner.others.lock().unwrap_or_else(PoisonError::into_inner);
        if others.len() + 1 >= self.settings().max_models && !others.contains_key(endpoint.model_ref()) {
            let oldest = others
                .values()
                .min_by_key(|endpoint| endpoint.inner.last_used.load(Relaxed))
                .map(|endpoint| endpoint.model_ref().clone());
            if let Some(oldest) = oldest {
                tracing::info!(model = %oldest, "not used for the longest time, so it makes room in memory");
                others.remove(&oldest);
            }
        }
        others
            .entry(endpoint.model_ref().clone())
            .or_insert(endpoint)
            .clone()
    }

    /// Returns the version that the default endpoint answers with.
    pub fn current(&self) -> Option<Arc<ServedModel>> {
        self.inner.default.current()
    }

    /// Returns what the default endpoint answers with and what stands in the way.
    pub fn state(&self) -> Arc<State> {
        self.inner.default.state()
    }

    /// Returns a receiver that wakes each time the state of the default endpoint changes.
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.inner.default.watch()
    }

    /// Waits until the default endpoint answers or it is known why it does not.
    pub async fn settled(&self) {
        self.inner.default.settled().await;
    }

    /// Predicts `rows` with the version that the default endpoint answers with; many rows leave the calling thread free.
    ///
    /// # Errors
    /// `NoModel`, `TooManyRows`, `RowShape` when the rows were checked against another version,
    /// `Overloaded` when too many requests are in work.
    pub async fn predict(&self, rows: Vec<Row>) -> Result<Predictions, Error> {
        match self.current() {
            Some(model) => self.predict_with(model, rows).await,
            None => {
                let error = self.inner.default.no_model();
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

    /// Explains the answers for `rows` with the version they were checked against.
    ///
    /// # Errors
    /// `Conflict` when the model cannot be explained; as [`Serving::predict`].
    pub async fn explain_with(
        &self,
        model: Arc<ServedModel>,
        rows: Vec<Row>,
    ) -> Result<Vec<Explanation>, Error> {
        let permit = self.admit()?;
        self.check_row_count(rows.len())?;
        self.compute(move || {
            let explanations = model.explain(&rows);
            drop(permit);
            explanations
        })
        .await?
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

    /// Returns the metrics page in Prometheus' text format.
    pub fn metrics_page(&self) -> String {
        self.inner.metrics.render(&Gauges {
            in_flight: self.settings().max_in_flight - self.inner.in_flight.available_permits(),
            ready: self.current().is_some(),
            log: self.log().map(PredictionLog::counters),
            endpoints: &self.endpoints(),
        })
    }
}

/// The versions in memory, each one once however many endpoints answer with it.
#[derive(Debug, Default)]
pub(crate) struct Loaded(Mutex<Vec<Weak<ServedModel>>>);

impl Loaded {
    pub(crate) fn get(&self, name: &str, identity: &str) -> Option<Arc<ServedModel>> {
        let loaded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loaded
            .iter()
            .filter_map(Weak::upgrade)
            .find(|model| model.name == name && model.identity == identity)
    }

    pub(crate) fn put(&self, model: &Arc<ServedModel>) {
        let mut loaded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|model| model.strong_count() > 0);
        loaded.push(Arc::downgrade(model));
    }
}
