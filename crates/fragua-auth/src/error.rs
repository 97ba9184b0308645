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
    /// The database failed.
    #[error(transparent)]
    Database(#[from] fragua_database::Error),
}

impl Error {
    /// Returns the kind of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidAccessKey { .. } => ErrorKind::InvalidInput,
            Self::Database(error) => error.kind(),
        }
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}
