//! What can go wrong.

use fragua_base::{ErrorKind, Timestamp};
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
    /// A name or a scope that no serving key can have.
    #[error("{reason}")]
    InvalidServingKey {
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A policy of the object store that is not understood as a whole.
    #[error("{reason}")]
    InvalidPolicy {
        /// The first thing that is not understood.
        reason: String,
    },
    /// A name or a lifetime that no key of the object store can have.
    #[error("{reason}")]
    InvalidStorageKey {
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A key of the object store that is good no more, or not now.
    #[error("the access key {id} {state}: ask the owner of the store for another one")]
    StorageKeyUnusable {
        /// Its public half.
        id: String,
        /// What happened to it, and when.
        state: String,
    },
    /// No serving key is like this.
    #[error("the API key is not known here: check that all of it was sent, or ask for a new one")]
    UnknownServingKey,
    /// The time of a serving key is over.
    #[error("the API key {id} expired at {at}: ask for a new one")]
    ServingKeyExpired {
        /// Its public part.
        id: String,
        /// When its time was over.
        at: Timestamp,
    },
    /// A serving key was taken back.
    #[error("the API key {id} was revoked at {at}: ask for a new one")]
    ServingKeyRevoked {
        /// Its public part.
        id: String,
        /// When it was taken back.
        at: Timestamp,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] fragua_database::Error),
}

impl Error {
    /// Returns the kind of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidAccessKey { .. }
            | Self::InvalidWorkerToken
            | Self::InvalidServingKey { .. }
            | Self::InvalidPolicy { .. }
            | Self::InvalidStorageKey { .. } => ErrorKind::InvalidInput,
            Self::UnknownServingKey
            | Self::ServingKeyExpired { .. }
            | Self::ServingKeyRevoked { .. }
            | Self::StorageKeyUnusable { .. } => ErrorKind::Unauthenticated,
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
