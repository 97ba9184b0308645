//! The prediction log: what was asked, what was answered, and what turned out to be true.

mod accuracy;
mod bucket;
mod drift;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fragua_base::{Page, SharedClock, Timestamp};
use fragua_database::Database;
use fragua_learn::Label;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use self::bucket::Bucket;
use crate::Error;
use crate::endpoint::lot_of;
use crate::model::ServedModel;
use crate::request_id::RequestId;
use crate::role::Role;
use crate::row::Row;
use crate::store::predictions as store;

pub(crate) use accuracy::Judged;

pub use accuracy::{Accuracy, ClassFigures, DayFigures, Figures};
pub use drift::{DriftAlarm, DriftReport, FeatureDrift, Severity};

/// Of one request no more rows are kept, evenly spread over it.
const ROWS_A_REQUEST: usize = 20;

/// Requests that wait to be written; the next one is dropped.
const QUEUE: usize = 4_096;

/// Rows of a page.
const ROWS_A_PAGE: u64 = 50;
const MOST_ROWS_A_PAGE: u64 = 500;

/// How much is kept, and when to raise an alarm.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// The share of the requests that is kept, 0 to 1.
    pub sample: f64,
    /// Most requests a second that are kept on average; five times as many at once.
    pub requests_per_second: f64,
    /// Most rows that are kept; the oldest go.
    pub keep_rows: u64,
    /// How long rows are kept.
    pub keep: Duration,
    /// Rows that drift is looked for in: the last ones of a version.
    pub drift_rows: u64,
    /// Fewer rows are called too few, whatever their drift, and are no reason for an alarm.
    pub drift_minimum_rows: u64,
    /// From this population stability index on a column has drifted.
    pub drift_threshold: f64,
    /// How often drift is looked for.
    pub drift_every: Duration,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            sample: 1.0,
            requests_per_second: 200.0,
            keep_rows: 1_000_000,
            keep: Duration::from_secs(90 * 24 * 60 * 60),
            drift_rows: 2_000,
            drift_minimum_rows: 200,
            drift_threshold: 0.2,
            drift_every: Duration::from_secs(300),
        }
    }
}

/// Keeps predictions in the database without delaying them, and tells about them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PredictionLog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    settings: LogSettings,
    clock: SharedClock,
    queue: mpsc::Sender<Waiting>,
    /// Taken by the one task that writes.
    waiting: tokio::sync::Mutex<mpsc::Receiver<Waiting>>,
    /// Whether the task that writes waits for its database.
    is_stuck: watch::Sender<bool>,
    bucket: Bucket,
    counters: Counters,
    alarms: broadcast::Sender<DriftAlarm>,
}

/// What became of predictions.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    logged: AtomicU64,
    left_out: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    /// Rows by what became of them.
    pub(crate) fn by_outcome(&self) -> [(&'static str, u64); 4] {
        [
            ("logged", self.logged.load(Relaxed)),
            ("left_out", self.left_out.load(Relaxed)),
            ("dropped", self.dropped.load(Relaxed)),
            ("failed", self.failed.load(Relaxed)),
        ]
    }
}

/// What the task that writes is handed.
#[derive(Debug)]
enum Waiting {
    /// To be written.
    Request(Recorded),
    /// Somebody waits until all that came before is written, or cannot be: dropped then.
    Reader(oneshot::Sender<()>),
}

/// One answered request on its way into the log.
#[derive(Debug)]
struct Recorded {
    request_id: RequestId,
    at: Timestamp,
    role: Role,
    source: &'static str,
    took: Duration,
    model: Arc<ServedModel>,
    /// Number in the request, the row, its answer.
    rows: Vec<(u32, Row, Label, Vec<f32>)>,
}

/// An answered request, as it is given to the log.
pub(crate) struct Answered<'a> {
    pub(crate) request_id: &'a RequestId,
    pub(crate) role: Role,
    pub(crate) source: &'static str,
    pub(crate) took: Duration,
    pub(crate) rows: &'a [Row],
    pub(crate) predictions: &'a crate::Predictions,
    /// Kept whatever the sample.
    pub(crate) always: bool,
}

/// A prediction as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoggedPrediction {
    /// The request.
    pub request_id: String,
    /// Number of the row in the request, from 0.
    pub row: u32,
    /// Name of the registered model.
    pub model: String,
    /// The version that answered.
    pub version: String,
    /// The run that trained it.
    pub run_id: Option<String>,
    /// As what it answered: `live`, `canary` or `shadow`.
    pub role: String,
    /// The way the request came: `predict`, `invocations`, `infer`, `batch` or `app`.
    pub source: String,
    /// When it was answered.
    pub at: Timestamp,
    /// How long the whole request took, in microseconds.
    pub took_microseconds: i64,
    /// The row, by column.
    pub inputs: Map<String, Value>,
    /// The answer.
    pub prediction: Value,
    /// The probability of each class in the order of the model's labels; empty where it answers numbers.
    pub probabilities: Vec<f32>,
    /// What turned out to be true.
    pub feedback: Option<Feedback>,
}

/// What turned out to be true of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Feedback {
    /// The true answer.
    pub label: Value,
    /// A remark.
    pub note: Option<String>,
    /// When it was told.
    pub at: Timestamp,
}

/// Which predictions are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Of this registered model.
    pub model: Option<String>,
    /// Of one of these registered models.
    pub models: Option<BTreeSet<String>>,
    /// Of this version.
    pub version: Option<String>,
    /// That came this way.
    pub source: Option<String>,
    /// Those of these requests.
    pub request_ids: Vec<String>,
    /// Only those of which the truth is known, or is not.
    pub has_feedback: Option<bool>,
    /// How many; 50 by default, no more than 500.
    pub limit: Option<u64>,
    /// Where the page begins: the token of the page before.
    pub page_token: Option<String>,
}

impl PredictionLog {
    pub(crate) fn new(database: Database, settings: LogSettings, clock: SharedClock) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let inner = Inner {
            bucket: Bucket::new(settings.requests_per_second, clock.now()),
            database,
            settings,
            clock,
            queue,
            waiting: tokio::sync::Mutex::new(waiting),
            is_stuck: watch::Sender::new(false),
            counters: Counters::default(),
            alarms: broadcast::Sender::new(16),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Takes note of an answered request: at once, or not at all.
    pub(crate) fn record(&self, answered: &Answered<'_>) {
        let inner = &self.inner;
        let count = |counter: &AtomicU64, rows: usize| counter.fetch_add(rows as u64, Relaxed);
        let asked = answered.rows.len();
        let now = inner.clock.now();
        let lot = lot_of(answered.request_id.as_str().as_bytes()) as f64 / u64::MAX as f64;
        let is_kept = answered.always || (lot < inner.settings.sample && inner.bucket.take(now));
        if asked == 0 || !is_kept {
            count(&inner.counters.left_out, asked);
            return;
        }
        let kept = asked.min(ROWS_A_REQUEST);
        count(&inner.counters.left_out, asked - kept);
        let chosen = (0..kept).map(|place| place * asked / kept);
        let rows = chosen.map(|row| {
            (
                u32::try_from(row).unwrap_or(u32::MAX),
                answered.rows[row].clone(),
                answered.predictions.labels[row].clone(),
                answered.predictions.probabilities(row).to_vec(),
            )
        });
        let recorded = Recorded {
            request_id: answered.request_id.clone(),
            at: now,
            role: answered.role,
            source: answered.source,
            took: answered.took,
            model: Arc::clone(&answered.predictions.model),
            rows: rows.collect(),
        };
        if inner.queue.try_send(Waiting::Request(recorded)).is_err() {
            count(&inner.counters.dropped, kept);
        }
    }

    /// Returns what became of predictions.
    pub(crate) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Returns the settings.
    pub fn settings(&self) -> &LogSettings {
        &self.inner.settings
    }

    /// Returns the rows that are kept of a request; none where it was not sampled or is too old.
    ///
    /// # Errors
    /// `Unreachable` when the database does not answer.
    pub async fn prediction(&self, request_id: &RequestId) -> Result<Vec<LoggedPrediction>, Error> {
        let query = LogQuery {
            request_ids: vec![request_id.to_string()],
            limit: Some(MOST_ROWS_A_PAGE),
            ..LogQuery::default()
        };
        let mut rows = self.search(&query).await?.items;
        if rows.is_empty() {
            // It may be answered, but not written yet.
            self.flush().await;
            rows = self.search(&query).await?.items;
        }
        rows.sort_by(|one, two| (&one.role, one.row).cmp(&(&two.role, two.row)));
        Ok(rows)
    }

    /// Returns the predictions that match, newest first.
    ///
    /// # Errors
    /// `InvalidField` for a page token that was not given here; `Unreachable` when the database does not answer.
    pub async fn predictions(&self, query: &LogQuery) -> Result<Page<LoggedPrediction>, Error> {
        if query.page_token.is_none() {
            self.flush().await;
        }
        self.search(query).await
    }

    async fn search(&self, query: &LogQuery) -> Result<Page<LoggedPrediction>, Error> {
        let before = match &query.page_token {
            None => None,
            Some(token) => Some(token.parse::<i64>().map_err(|_| Error::InvalidField {
                field: "page_token",
                reason: "this is no token of an earlier page".to_owned(),
            })?),
        };
        let limit = query.limit.unwrap_or(ROWS_A_PAGE).clamp(1, MOST_ROWS_A_PAGE);
        let found = store::search(&self.inner.database, query, before, limit).await;
        found.map_err(unreachable)
    }

    /// Tells what turned out to be true of a row; what was told before is replaced.
    ///
    /// # Errors
    /// `UnknownModel` when the row is not in the log; `InvalidField` when the label is no scalar, or no number where the
    /// model answers numbers; `Unreachable` when the database does not answer.
    pub async fn give_feedback(
        &self,
        request_id: &RequestId,
        row: u32,
        label: Value,
        note: Option<String>,
    ) -> Result<LoggedPrediction, Error> {
        let rows = self.prediction(request_id).await?;
        let answered = rows
            .into_iter()
            .find(|logged| logged.row == row && logged.role != Role::Shadow.name());
        let Some(mut answered) = answered else {
            let reason = format!(
                "row {row} of the request {request_id} is not in the log: it was left out of the sample or is too old"
            );
            return Err(Error::UnknownModel { reason });
        };
        let invalid = |field: &'static str, reason: &str| Error::InvalidField {
            field,
            reason: reason.to_owned(),
        };
        let fits = matches!(
            (&label, &answered.prediction),
            (Value::Number(_), Value::Number(_))
                | (Value::String(_), Value::String(_))
                | (Value::Bool(_), Value::Bool(_))
        );
        if !fits {
            let reason = format!("expected a value like the prediction {}", answered.prediction);
            return Err(invalid("label", &reason));
        }
        if label.to_string().len() > 4_096 || note.as_ref().is_some_and(|note| note.len() > 4_096) {
            return Err(invalid(
                "note",
                "label and note have no more than 4,096 bytes each",
            ));
        }
        let feedback = Feedback {
            label,
            note: note.filter(|note| !note.is_empty()),
            at: self.inner.clock.now(),
        };
        store::put_feedback(&self.inner.database, request_id.as_str(), row, &feedback)
            .await
            .map_err(unreachable)?;
        answered.feedback = Some(feedback);
        Ok(answered)
    }

    /// Returns how right a version was on the rows whose truth was told, the newest 10,000 of them; `None` where there are
    /// none.
    ///
    /// # Errors
    /// `Unreachable` when the database does not answer.
    pub async fn accuracy(&self, model: &str, version: &str) -> Result<Option<Accuracy>, Error> {
        let judged = store::judged(&self.inner.database, model, version).await;
        Ok(Accuracy::of(&judged.map_err(unreachable)?))
    }

    /// Returns how many rows are kept of each version of a model.
    ///
    /// # Errors
    /// `Unreachable` when the database does not answer.
    pub async fn rows_by_version(&self, model: &str) -> Result<BTreeMap<String, u64>, Error> {
        let counted = store::count_by_version(&self.inner.database, model).await;
        counted.map_err(unreachable)
    }
}

fn unreachable(error: fragua_database::Error) -> Error {
    tracing::error!(%error, "the database of serving does not answer");
    Error::Unreachable {
        reason: "the database of serving does not answer; try again in a moment".to_owned(),
    }
}
