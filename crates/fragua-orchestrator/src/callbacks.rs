//! Callbacks: what happened, and who is to be told of it. Each is written with the change of state it tells of, and
//! delivered afterwards, once at least.

use std::fmt;

use fragua_base::Timestamp;
use serde_json::{Value, json};

use crate::audit::About;
use crate::dag::Notifier;
use crate::store::{callbacks, count, instant, millis};
use crate::{Error, Orchestrator};

/// What is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackEvent {
    /// A task failed for good.
    TaskFailed,
    /// An attempt of a task failed, and another one comes.
    TaskRetry,
    /// A task succeeded.
    TaskSucceeded,
    /// A task was skipped.
    TaskSkipped,
    /// A task is not over, and was to be by now.
    TaskLate,
    /// A run failed.
    DagRunFailed,
    /// A run succeeded.
    DagRunSucceeded,
    /// A run is not over, and was to be by now.
    DagRunLate,
}

impl CallbackEvent {
    /// Each event.
    pub const ALL: [Self; 8] = [
        Self::TaskFailed,
        Self::TaskRetry,
        Self::TaskSucceeded,
        Self::TaskSkipped,
        Self::TaskLate,
        Self::DagRunFailed,
        Self::DagRunSucceeded,
        Self::DagRunLate,
    ];

    /// Returns the name that the database and the messages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TaskFailed => "task_failed",
            Self::TaskRetry => "task_retry",
            Self::TaskSucceeded => "task_success",
            Self::TaskSkipped => "task_skipped",
            Self::TaskLate => "task_late",
            Self::DagRunFailed => "dag_run_failed",
            Self::DagRunSucceeded => "dag_run_success",
            Self::DagRunLate => "dag_run_late",
        }
    }

    /// Returns the event of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == name)
    }

    /// Returns what it says of a task or a run.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::TaskFailed | Self::DagRunFailed => "failed",
            Self::TaskRetry => "failed and is tried again",
            Self::TaskSucceeded | Self::DagRunSucceeded => "succeeded",
            Self::TaskSkipped => "was skipped",
            Self::TaskLate | Self::DagRunLate => "is late",
        }
    }
}

impl fmt::Display for CallbackEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Where a callback stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackState {
    /// It is told as soon as can be, or again after a while.
    Pending,
    /// It was told.
    Delivered,
    /// It was refused, or tried too often.
    Failed,
}

impl CallbackState {
    /// Each state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// Returns the name that the database uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// Returns the state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for CallbackState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Something that somebody is to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Callback {
    /// Its id, which a receiver sees too.
    pub id: String,
    /// What is told of.
    pub event: CallbackEvent,
    /// The DAG.
    pub dag_id: String,
    /// The run.
    pub run_id: String,
    /// The task, with the number of the instance where it has several.
    pub task_id: Option<String>,
    /// Who is told, as people read it: never more of an address than its host.
    pub notifier: String,
    /// What is told.
    pub body: Value,
    /// Where it stands.
    pub state: CallbackState,
    /// How often it was tried.
    pub tries: u32,
    /// When it happened.
    pub created_at: Timestamp,
    /// When it is tried next; nothing once that is over.
    pub next_try_at: Option<Timestamp>,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
    /// What went wrong at the last try.
    pub message: Option<String>,
}

/// Which callbacks to list, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallbackQuery {
    /// Only those of this DAG.
    pub dag_id: Option<String>,
    /// Only those in this state.
    pub state: Option<CallbackState>,
    /// How many at most; zero means 50, and 1,000 is the most.
    pub limit: u64,
    /// How many to pass over.
    pub offset: u64,
}

impl TryFrom<callbacks::Model> for Callback {
    type Error = Error;

    fn try_from(row: callbacks::Model) -> Result<Self, Error> {
        let corrupt = |what: &str| Error::corrupt("callback", format!("{what} is unknown"));
        let notifier: Notifier =
            serde_json::from_str(&row.notifier).map_err(|error| Error::corrupt("callback", error))?;
        Ok(Self {
            event: CallbackEvent::parse(&row.event).ok_or_else(|| corrupt(&row.event))?,
            state: CallbackState::parse(&row.state).ok_or_else(|| corrupt(&row.state))?,
            body: serde_json::from_str(&row.body).map_err(|error| Error::corrupt("callback", error))?,
            notifier: notifier.to_string(),
            id: row.id,
            dag_id: row.dag_id,
            run_id: row.run_id,
            task_id: row.task_id,
            tries: count(row.tries),
            created_at: Timestamp::from_millis(row.created_at),
            next_try_at: instant(row.next_try_at),
            ended_at: instant(row.ended_at),
            message: row.message,
        })
    }
}

impl Orchestrator {
    /// Returns callbacks with where they stand, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn callbacks(&self, query: &CallbackQuery) -> Result<Vec<Callback>, Error> {
        let limit = match query.limit {
            0 => 50,
            limit => limit.min(1000),
        };
        let state = query.state.map(CallbackState::as_str);
        let reader = self.core.database.reader();
        let rows = callbacks::list(reader, query.dag_id.as_deref(), state, (limit, query.offset)).await?;
        rows.into_iter().map(Callback::try_from).collect()
    }

    /// Tries a callback again at once, delivered or not.
    ///
    /// # Errors
    /// [`Error::CallbackNotFound`], and when the database fails.
    pub async fn retry_callback(&self, id: &str) -> Result<(), Error> {
        let row = callbacks::find(self.core.database.reader(), id).await?;
        let mut row = row.ok_or_else(|| Error::CallbackNotFound { id: id.to_owned() })?;
        let (dag_id, run_id) = (row.dag_id.clone(), row.run_id.clone());
        row.state = CallbackState::Pending.as_str().to_owned();
        row.tries = 0;
        row.next_try_at = Some(millis(self.core.now()));
        row.ended_at = None;
        callbacks::update(self.core.database.writer(), row).await?;
        self.note(
            "retry_callback",
            About::run(&dag_id, &run_id),
            json!({ "callback_id": id }),
        )
        .await?;
        self.core.bells.callbacks.ring();
        Ok(())
    }
}
