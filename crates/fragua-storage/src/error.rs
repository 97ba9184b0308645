//! What can go wrong.

use std::io;

use fragua_base::{ErrorKind, Timestamp};
use sea_orm::DbErr;

use crate::VersionId;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A bucket name that breaks a rule.
    #[error("bucket name {name:?} {reason}")]
    InvalidBucketName {
        /// The name, shortened.
        name: String,
        /// The rule, to follow the name.
        reason: &'static str,
    },
    /// A key that cannot be kept.
    #[error("object key {reason}")]
    InvalidKey {
        /// The rule, to follow "object key".
        reason: &'static str,
    },
    /// A key over 1024 bytes.
    #[error("object key must not be longer than 1024 bytes of UTF-8")]
    KeyTooLong,
    /// Another part of a request that is wrong.
    #[error("{field} {reason}")]
    InvalidInput {
        /// The part.
        field: &'static str,
        /// What is wrong, to follow the name of the part.
        reason: String,
    },
    /// The object is encrypted with a key that its readers send, and none was sent.
    #[error(
        "the object was stored using a form of server side encryption; the correct parameters must be provided to \
         retrieve it"
    )]
    CustomerKeyMissing,
    /// The key that was sent is not the one that the object is encrypted with.
    #[error("the key is not the one that the object is encrypted with")]
    CustomerKeyDiffers,
    /// A key was sent for an object that is not encrypted with one of its readers.
    #[error("the encryption parameters are not applicable to this object")]
    CustomerKeyUnneeded,
    /// The store does not have the key that opens an object.
    #[error("an object is encrypted with the key {key_id}, which is not among the keys of the store")]
    EncryptionKeyMissing {
        /// Names the key.
        key_id: String,
    },
    /// No such bucket.
    #[error("bucket {bucket} does not exist")]
    BucketNotFound {
        /// Its name.
        bucket: String,
    },
    /// The bucket is there already.
    #[error("bucket {bucket} exists already")]
    BucketExists {
        /// Its name.
        bucket: String,
    },
    /// A bucket that holds objects cannot be deleted.
    #[error("bucket {bucket} is not empty; delete its objects first")]
    BucketNotEmpty {
        /// Its name.
        bucket: String,
    },
    /// No such object.
    #[error("object {object} does not exist")]
    ObjectNotFound {
        /// Bucket and key.
        object: String,
        /// The delete marker that says so, in a bucket that makes versions.
        delete_marker: Option<VersionId>,
    },
    /// No such version of an object.
    #[error("object {object} has no version {version_id}")]
    VersionNotFound {
        /// Bucket and key.
        object: String,
        /// The version.
        version_id: VersionId,
    },
    /// A delete marker has no bytes and no tags.
    #[error("version {version_id} of object {object} is a delete marker; it can only be deleted")]
    IsDeleteMarker {
        /// Bucket and key.
        object: String,
        /// The marker.
        version_id: VersionId,
        /// When it was made.
        modified_at: Timestamp,
    },
    /// Tags that break a rule.
    #[error("tags {reason}")]
    InvalidTag {
        /// The rule, to follow "tags".
        reason: String,
    },
    /// A setting of a bucket that breaks a rule.
    #[error("the {setting} configuration {reason}")]
    InvalidSetting {
        /// Which one.
        setting: &'static str,
        /// What is wrong, to follow its name.
        reason: String,
    },
    /// The bucket may not hold that much.
    #[error(
        "bucket {bucket} may hold {quota_bytes} bytes, and this write would go beyond; delete objects or raise its quota"
    )]
    QuotaExceeded {
        /// Its name.
        bucket: String,
        /// What it may hold.
        quota_bytes: u64,
    },
    /// No such upload: never begun, completed or aborted.
    #[error("upload {upload_id} does not exist; it may have been completed or aborted")]
    UploadNotFound {
        /// What the client sent.
        upload_id: String,
    },
    /// A part that was not uploaded, or not with this entity tag or checksum.
    #[error("part {part_number} was not uploaded, or its entity tag or checksum differs")]
    InvalidPart {
        /// Its number.
        part_number: u32,
    },
    /// What is said of an upload in parts is not what it was begun with or consists of.
    #[error("{reason}")]
    UploadMismatch {
        /// What differs.
        reason: String,
    },
    /// The object has no part of this number.
    #[error("the object has no part {part_number}; it has {count}")]
    NoSuchPart {
        /// What was asked for.
        part_number: u32,
        /// How many parts there are.
        count: u32,
    },
    /// Parts must be named in ascending order.
    #[error("the parts must be named in ascending order of their numbers, each once")]
    InvalidPartOrder,
    /// A part other than the last one is too small.
    #[error("part {part_number} has {size_bytes} bytes; every part but the last needs at least 5 MiB")]
    PartTooSmall {
        /// Its number.
        part_number: u32,
        /// Its size.
        size_bytes: u64,
    },
    /// A condition of the request does not hold.
    #[error("the condition {condition} does not hold")]
    PreconditionFailed {
        /// The header that says the condition.
        condition: &'static str,
    },
    /// The reader's copy is current.
    #[error("the object has not changed")]
    NotModified {
        /// The object's entity tag.
        etag: String,
    },
    /// No byte of the object lies in the range.
    #[error("the range lies outside of the object's {size_bytes} bytes")]
    RangeNotSatisfiable {
        /// The object's size.
        size_bytes: u64,
    },
    /// An object or a part over the limit.
    #[error("the object is larger than the {limit_bytes} bytes allowed")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// User metadata over the limit.
    #[error("names and values of user metadata are larger than {limit_bytes} bytes")]
    MetadataTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The body ended early or went on too long.
    #[error("the body has {received} bytes where {expected} were announced")]
    IncompleteBody {
        /// Bytes announced.
        expected: u64,
        /// Bytes received.
        received: u64,
    },
    /// The body is not the one that the client hashed.
    #[error("the body does not have the {algorithm} that was sent with it")]
    ChecksumMismatch {
        /// `MD5` or the name of a checksum.
        algorithm: &'static str,
    },
    /// The stream of a body failed; its own error says why.
    #[error("the body could not be read: {0}")]
    Body(#[source] io::Error),
    /// The disk or the database has no room left.
    #[error("no space left to store the object")]
    StorageFull,
    /// The disk or the database cannot be written.
    #[error("the object store is read-only")]
    ReadOnly,
    /// The folder of the store failed.
    #[error("{action}: {source}")]
    Disk {
        /// What was being done.
        action: String,
        /// The system's error.
        source: io::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Database(fragua_database::Error),
    /// The other S3 failed or refused.
    #[error("the object store at {endpoint} failed: {reason}")]
    Remote {
        /// Its base address.
        endpoint: String,
        /// What it said.
        reason: String,
    },
    /// The other S3 did not accept the access key.
    #[error("the object store at {endpoint} refused the access key")]
    RemoteForbidden {
        /// Its base address.
        endpoint: String,
    },
    /// This backend does not offer that.
    #[error("{0} is not offered by this object store")]
    NotSupported(&'static str),
}

impl Error {
    /// Returns the kind of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidBucketName { .. }
            | Self::InvalidKey { .. }
            | Self::KeyTooLong
            | Self::InvalidInput { .. }
            | Self::InvalidPart { .. }
            | Self::InvalidPartOrder
            | Self::UploadMismatch { .. }
            | Self::NoSuchPart { .. }
            | Self::PartTooSmall { .. }
            | Self::RangeNotSatisfiable { .. }
            | Self::MetadataTooLarge { .. }
            | Self::IncompleteBody { .. }
            | Self::ChecksumMismatch { .. }
            | Self::InvalidTag { .. }
            | Self::InvalidSetting { .. }
            | Self::CustomerKeyMissing
            | Self::CustomerKeyUnneeded
            | Self::Body(_) => ErrorKind::InvalidInput,
            Self::BucketNotFound { .. }
            | Self::ObjectNotFound { .. }
            | Self::VersionNotFound { .. }
            | Self::UploadNotFound { .. } => ErrorKind::NotFound,
            Self::BucketExists { .. } | Self::BucketNotEmpty { .. } | Self::IsDeleteMarker { .. } => {
                ErrorKind::Conflict
            }
            Self::QuotaExceeded { .. } | Self::CustomerKeyDiffers => ErrorKind::Forbidden,
            Self::PreconditionFailed { .. } | Self::NotModified { .. } => ErrorKind::PreconditionFailed,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::StorageFull | Self::ReadOnly | Self::Remote { .. } | Self::RemoteForbidden { .. } => {
                ErrorKind::Unavailable
            }
            Self::NotSupported(_) => ErrorKind::NotImplemented,
            Self::Disk { .. } | Self::EncryptionKeyMissing { .. } => ErrorKind::Internal,
            Self::Database(error) => error.kind(),
        }
    }

    /// Wraps an error of the store's folder; a full disk is told apart.
    pub(crate) fn disk(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            // A file over the process's limit of a file's size meets a full disk of its own.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::StorageFull
            }
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Disk {
                action: action.into(),
                source,
            },
        }
    }
}

impl From<fragua_database::Error> for Error {
    fn from(error: fragua_database::Error) -> Self {
        match error {
            fragua_database::Error::Full { .. } => Self::StorageFull,
            fragua_database::Error::ReadOnly { .. } => Self::ReadOnly,
            other => Self::Database(other),
        }
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        fragua_database::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_takes_no_more_is_told_apart() {
        let wrapped = |kind: io::ErrorKind| Error::disk("write")(kind.into());
        for kind in [
            io::ErrorKind::StorageFull,
            io::ErrorKind::QuotaExceeded,
            io::ErrorKind::FileTooLarge,
        ] {
            assert!(matches!(wrapped(kind), Error::StorageFull), "{kind}");
        }
        assert!(matches!(
            wrapped(io::ErrorKind::ReadOnlyFilesystem),
            Error::ReadOnly
        ));
        assert!(matches!(wrapped(io::ErrorKind::Other), Error::Disk { .. }));
    }
}
