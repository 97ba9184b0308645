//! What can go wrong.

use std::io;
use std::path::PathBuf;

use fragua_base::ErrorKind;
use sea_orm::DbErr;

use crate::TaskState;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No active DAG of this name.
    #[error("there is no DAG {dag_id:?}")]
    DagNotFound {
        /// The name asked for.
        dag_id: String,
    },
    /// No such run of this DAG.
    #[error("DAG {dag_id:?} has no run {run_id:?}")]
    DagRunNotFound {
        /// The DAG.
        dag_id: String,
        /// The name asked for.
        run_id: String,
    },
    /// No such task in this run.
    #[error("run {run_id:?} of DAG {dag_id:?} has no task {task_id:?}")]
    TaskNotFound {
        /// The DAG.
        dag_id: String,
        /// The run.
        run_id: String,
        /// The name asked for.
        task_id: String,
    },
    /// Nothing of this name is kept in the database.
    #[error("the database keeps no {kind} {name:?}; those of the settings are changed there")]
    NotKept {
        /// Variable or connection.
        kind: &'static str,
        /// The name asked for.
        name: String,
    },
    /// There is no key to keep secrets with.
    #[error(
        "variables and connections cannot be kept in the database without a secret key: 32 bytes in URL-safe base64"
    )]
    NoSecretKey,
    /// What is kept was encrypted with another key.
    #[error("{kind} {name:?} was encrypted with another secret key")]
    WrongSecretKey {
        /// Variable or connection.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// No such backfill.
    #[error("there is no backfill {id:?}")]
    BackfillNotFound {
        /// The id asked for.
        id: String,
    },
    /// No such pool.
    #[error("there is no pool {name:?}")]
    PoolNotFound {
        /// The name asked for.
        name: String,
    },
    /// The attempt has no log, or there is no such attempt.
    #[error("task {task_id:?} has no log of attempt {attempt}")]
    LogNotFound {
        /// The task.
        task_id: String,
        /// The attempt asked for.
        attempt: u32,
    },
    /// A parameter given at a trigger does not fit the DAG.
    #[error("parameter {name:?} {reason}")]
    InvalidParam {
        /// The parameter.
        name: String,
        /// What is wrong, to follow the name.
        reason: String,
    },
    /// A value of a request that cannot be used.
    #[error("{field} {reason}")]
    InvalidRequest {
        /// The field.
        field: &'static str,
        /// What is wrong, to follow the field.
        reason: String,
    },
    /// A run of this name, or of this logical date, exists already.
    #[error("DAG {dag_id:?} has a run {run_id:?} already")]
    DagRunExists {
        /// The DAG.
        dag_id: String,
        /// The run.
        run_id: String,
    },
    /// The attempt's lease is no longer its own: its result is refused.
    #[error("the attempt no longer holds the lease of its task{}", .state.map(|state| format!(", which is {state}")).unwrap_or_default())]
    StaleToken {
        /// Where the task stands now, where it still exists.
        state: Option<TaskState>,
    },
    /// Another process works in this folder.
    #[error("another process runs the tasks of this project: it holds {}", .lock.display())]
    WorkerRunning {
        /// The lock file.
        lock: PathBuf,
    },
    /// A folder or file could not be used.
    #[error("{action} {}: {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// What the database holds cannot be read by this version.
    #[error("the database holds a {what} that cannot be read: {reason}")]
    Corrupt {
        /// The kind of thing.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] fragua_database::Error),
}

impl Error {
    /// Returns the kind of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::DagNotFound { .. }
            | Self::DagRunNotFound { .. }
            | Self::TaskNotFound { .. }
            | Self::BackfillNotFound { .. }
            | Self::NotKept { .. }
            | Self::PoolNotFound { .. }
            | Self::LogNotFound { .. } => ErrorKind::NotFound,
            Self::InvalidParam { .. } | Self::InvalidRequest { .. } => ErrorKind::InvalidInput,
            Self::DagRunExists { .. } | Self::StaleToken { .. } | Self::WorkerRunning { .. } => {
                ErrorKind::Conflict
            }
            Self::File { .. } | Self::Corrupt { .. } | Self::NoSecretKey | Self::WrongSecretKey { .. } => {
                ErrorKind::Internal
            }
            Self::Database(error) => error.kind(),
        }
    }

    pub(crate) fn corrupt(what: &'static str, reason: impl ToString) -> Self {
        Self::Corrupt {
            what,
            reason: reason.to_string(),
        }
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}
