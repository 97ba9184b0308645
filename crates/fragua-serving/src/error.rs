//! What can go wrong, as far as a caller can act on it.

use fragua_base::ErrorKind;

/// A failure of serving.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A setting cannot be used.
    #[error("{key}: {reason}")]
    InvalidSetting {
        /// The key as it is written in the settings file.
        key: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A field of a request, or a part of its address, is not what it must be.
    #[error("{field}: {reason}")]
    InvalidField {
        /// The part: `model`, `alias` or `version`.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The registry has no such model, alias or version.
    #[error("{reason}")]
    UnknownModel {
        /// Which one, in words for people.
        reason: String,
    },
    /// A file is no table that the model can answer.
    #[error("{reason}")]
    BadTable {
        /// Where and why.
        reason: String,
    },
    /// The store has no such object or bucket.
    #[error("{reason}")]
    NoObject {
        /// Which one, in words for people.
        reason: String,
    },
    /// Batches may not use a bucket.
    #[error("{field}: the bucket {bucket} is not open to batches; name it in serving.batch_buckets")]
    BucketClosed {
        /// Where it was named.
        field: &'static str,
        /// Its name.
        bucket: String,
    },
    /// An object is larger than one request may be.
    #[error(
        "the object is larger than the {limit} bytes of serving.max_body_bytes; the operator `predict` takes 2 GiB"
    )]
    ObjectTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// What is asked for does not fit what is there.
    #[error("{reason}")]
    Conflict {
        /// Why, and what to do.
        reason: String,
    },
    /// The registry or the database does not answer; the same request may succeed later.
    #[error("{reason}")]
    Unreachable {
        /// Which one, in words for people.
        reason: String,
    },
    /// No model version is in memory.
    #[error("{reason}")]
    NoModel {
        /// Why, in words for people.
        reason: String,
    },
    /// A request asks for more rows than one request may.
    #[error("{rows} rows are more than the {limit} that one request may hold; send them in parts")]
    TooManyRows {
        /// Rows asked for.
        rows: usize,
        /// The limit `serving.max_rows`.
        limit: usize,
    },
    /// A row was made for another version of the model.
    #[error("row {row} has {found} values where the model takes {expected}")]
    RowShape {
        /// Number of the row, from 0.
        row: usize,
        /// Values in the row.
        found: usize,
        /// Features of the model.
        expected: usize,
    },
    /// As many requests are in work as may be.
    #[error("{limit} prediction requests are in work already; try again in a moment")]
    Overloaded {
        /// The limit `serving.max_in_flight`.
        limit: usize,
    },
    /// A fault of ours; the text is for the log only.
    #[error("the prediction failed: {0}")]
    Internal(String),
}

impl Error {
    /// Returns the kind of the failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidSetting { .. }
            | Self::InvalidField { .. }
            | Self::BadTable { .. }
            | Self::RowShape { .. } => ErrorKind::InvalidInput,
            Self::UnknownModel { .. } | Self::NoObject { .. } => ErrorKind::NotFound,
            Self::BucketClosed { .. } => ErrorKind::Forbidden,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::NoModel { .. } | Self::Unreachable { .. } => ErrorKind::Unavailable,
            Self::TooManyRows { .. } | Self::ObjectTooLarge { .. } => ErrorKind::TooLarge,
            Self::Overloaded { .. } => ErrorKind::Overloaded,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }
}
