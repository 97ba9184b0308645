//! What can go wrong.

use fragua_base::ErrorKind;
use sea_orm::DbErr;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An access key id or secret that S3 clients could not use.
    #[error("{part} of the access key {reason}")]
    InvalidAccessKey {
        /// `id` or `secret`.
        part: &'static str,
        /// What is wrong with it, to follow the name of the part.
        reason: &'static str,
    },
    /// A name that no worker token can have.
    #[error("the name of a worker token has 1 to 200 characters, none of them a control character")]
    InvalidWorkerToken,
    /// There is a worker token of this name already.
    #[error("there is a worker token {name:?} already: revoke it first, or take another name")]
    WorkerTokenExists {
        /// The name.
        name: String,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] fragua_database::Error),
}

impl Error {
    /// Returns the kind of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidAccessKey { .. } | Self::InvalidWorkerToken => ErrorKind::InvalidInput,
            Self::WorkerTokenExists { .. } => ErrorKind::Conflict,
            Self::Database(error) => error.kind(),
        }
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}
