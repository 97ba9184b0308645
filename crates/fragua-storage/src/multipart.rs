//! Uploads in parts.

use std::collections::BTreeMap;
use std::fmt;

use fragua_base::Timestamp;

use crate::checksum::{Checksum, ChecksumAlgorithm, ExpectedChecksum};
use crate::object::{ObjectHeaders, ObjectKey, WriteCondition};
use crate::{CustomerKey, Encrypt, Encryption, Error, Tags};

/// Parts are numbered from 1 to this.
pub(crate) const MAX_PART_NUMBER: u32 = 10_000;

/// Every part but the last has at least this many bytes.
pub(crate) const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;

/// Names an upload in progress.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(String);

impl UploadId {
    /// Wraps the text that a client sent; one that names no upload is answered with
    /// [`crate::Error::UploadNotFound`].
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What the object will carry once its parts are put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateUpload {
    /// The media type; `None` keeps S3's `binary/octet-stream`.
    pub content_type: Option<String>,
    /// Other headers to keep.
    pub headers: ObjectHeaders,
    /// The writer's own names and values, at most 2 KiB together.
    pub user_metadata: BTreeMap<String, String>,
    /// Tags to keep.
    pub tags: Tags,
    /// Which checksum each part is given.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// Whether the object's checksum is over all bytes rather than over the parts' checksums.
    pub full_object_checksum: bool,
    /// How its bytes are to be encrypted.
    pub encryption: Encrypt,
}

/// An upload in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its name.
    pub id: UploadId,
    /// The key that the object will have.
    pub key: ObjectKey,
    /// When it was begun.
    pub created_at: Timestamp,
    /// Which checksum its parts are given.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// Whether the object's checksum will be over all bytes.
    pub full_object_checksum: bool,
    /// How its parts are encrypted; `None` when they are not.
    pub encryption: Option<Encryption>,
}

/// How to write a part.
#[derive(Debug, Default)]
pub struct PartOptions {
    /// The size in bytes that the body must have.
    pub expected_size: Option<u64>,
    /// The MD5 that the body must have.
    pub expected_md5: Option<[u8; 16]>,
    /// A checksum to compute, to compare and to keep.
    pub checksum: Option<ExpectedChecksum>,
    /// The key of the upload where the client holds it.
    pub customer_key: Option<CustomerKey>,
}

/// A part that has been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number, 1 to 10,000.
    pub number: u32,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its entity tag without quotes.
    pub etag: String,
    /// Its checksum, when one was sent or asked for.
    pub checksum: Option<Checksum>,
    /// When it was written.
    pub modified_at: Timestamp,
    /// How it is encrypted; lists do not tell.
    pub encryption: Option<Encryption>,
}

/// A part as the client names it to put the object together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    /// Its number.
    pub number: u32,
    /// The entity tag without quotes that the client was given.
    pub etag: String,
    /// The checksums that the client expects; one of another algorithm than the part's own is not compared.
    pub checksums: Vec<Checksum>,
}

/// What must hold for the parts of an upload to become an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompleteUpload {
    /// What must hold of the object that is replaced.
    pub condition: Option<WriteCondition>,
    /// The checksum of the object: over all bytes, or over the parts' checksums where the upload is of that kind.
    pub checksum: Option<Checksum>,
    /// Whether the client takes the object's checksum to be over all bytes.
    pub full_object_checksum: Option<bool>,
    /// The size in bytes that the object must have.
    pub size_bytes: Option<u64>,
    /// The key of the upload where the client holds it. It is needed for a checksum over all bytes alone.
    pub customer_key: Option<CustomerKey>,
}

impl CompleteUpload {
    /// Refuses a size that the parts do not have.
    pub(crate) fn check_size(&self, size_bytes: u64) -> Result<(), Error> {
        match self.size_bytes {
            Some(wanted) if wanted != size_bytes => Err(Error::UploadMismatch {
                reason: format!("the parts have {size_bytes} bytes where the object was to have {wanted}"),
            }),
            _ => Ok(()),
        }
    }
}

/// One page of an upload's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartList {
    /// The upload.
    pub upload: Upload,
    /// Parts by number.
    pub parts: Vec<Part>,
    /// Ask for parts after this number; `None` at the end.
    pub next: Option<u32>,
}

/// Which uploads to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadQuery {
    /// What the keys begin with.
    pub prefix: String,
    /// Leaves out uploads up to and including this key, or this upload of the key.
    pub start_after: Option<(String, Option<UploadId>)>,
    /// How many; `None` and more than 1000 are 1000.
    pub limit: Option<usize>,
}

/// One page of a bucket's uploads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadList {
    /// Uploads by key, then by id.
    pub uploads: Vec<Upload>,
    /// Whether more follow the last one.
    pub is_truncated: bool,
}
