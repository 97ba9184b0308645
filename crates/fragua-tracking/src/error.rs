//! What can go wrong.

use std::ops::Range;

use fragua_base::ErrorKind;
use sea_orm::DbErr;

use crate::SearchProblem;

/// A failure of tracking. The texts are meant for the one who asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is wrong: a bad name, key, filter, or a state that forbids it.
    #[error("{0}")]
    InvalidParameter(String),
    /// A filter cannot be read, or asks for what is not offered.
    #[error("{message}")]
    Filter {
        /// What is wrong, with the place quoted.
        message: String,
        /// The place in the filter, in bytes, on the borders of characters; empty at the end of the text when
        /// something is missing there.
        span: Range<usize>,
        /// What is wrong, without the place.
        problem: SearchProblem,
    },
    /// The name is taken.
    #[error("{0}")]
    AlreadyExists(String),
    /// The thing named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request is understood and not offered.
    #[error("{0}")]
    NotImplemented(String),
    /// The body is over a limit.
    #[error("{0}")]
    TooLarge(String),
    /// The database has a revision of MLflow's schema that is not known.
    #[error(
        "the database has the revision {revision} of MLflow's schema, which is not known; those of {known} are: bring \
         an older database up to one of them with that MLflow's `mlflow db upgrade`, open a newer one with a newer \
         Fragua. Nothing was changed"
    )]
    UnknownRevision {
        /// The revision found in `alembic_version`.
        revision: String,
        /// The known range.
        known: String,
    },
    /// The database is shared by workspaces of MLflow.
    #[error(
        "the table {table} has rows of MLflow's workspace `{workspace}`; there are no workspaces here, so open a \
         database in which everything is in the workspace `default`. Nothing was changed"
    )]
    OtherWorkspaces {
        /// The table.
        table: &'static str,
        /// The first other workspace found.
        workspace: String,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] fragua_database::Error),
    /// The object store failed.
    #[error(transparent)]
    Storage(#[from] fragua_storage::Error),
}

impl Error {
    /// Returns the kind of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidParameter(_) | Self::Filter { .. } => ErrorKind::InvalidInput,
            Self::AlreadyExists(_) => ErrorKind::Conflict,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::NotImplemented(_) => ErrorKind::NotImplemented,
            Self::TooLarge(_) => ErrorKind::TooLarge,
            Self::UnknownRevision { .. } | Self::OtherWorkspaces { .. } => ErrorKind::Internal,
            Self::Database(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidParameter(message.into())
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound(message.into())
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}
