//! Objects of the store, as far as batches may read and write them.

use std::collections::BTreeSet;

use bytes::Bytes;
use fragua_base::ErrorKind;
use fragua_storage::{BucketName, ObjectKey, PutOptions, Storage};

use crate::Error;

/// The store, and the buckets that batches may use: whoever may ask for predictions then reads and writes there.
#[derive(Clone)]
pub struct Objects {
    storage: Storage,
    buckets: BTreeSet<BucketName>,
}

/// An object of a bucket that batches may use.
pub(crate) struct ObjectUri {
    bucket: BucketName,
    pub(crate) key: ObjectKey,
}

impl Objects {
    /// Opens these buckets to batches.
    pub fn new(storage: Storage, buckets: impl IntoIterator<Item = BucketName>) -> Self {
        Self {
            storage,
            buckets: buckets.into_iter().collect(),
        }
    }

    /// Reads `s3://bucket/key`; `field` is where it was given.
    ///
    /// # Errors
    /// `InvalidField` when it is no such address, `BucketClosed` for a bucket that batches may not use.
    pub(crate) fn find(&self, field: &'static str, uri: &str) -> Result<ObjectUri, Error> {
        let parts = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let Some((bucket, key)) = parts else {
            return Err(Error::InvalidField {
                field,
                reason: "expected s3://bucket/key".to_owned(),
            });
        };
        let invalid = |error: fragua_storage::Error| Error::InvalidField {
            field,
            reason: error.to_string(),
        };
        let bucket = BucketName::parse(bucket).map_err(invalid)?;
        if !self.buckets.contains(&bucket) {
            return Err(Error::BucketClosed {
                field,
                bucket: bucket.to_string(),
            });
        }
        let key = ObjectKey::parse(key).map_err(invalid)?;
        Ok(ObjectUri { bucket, key })
    }

    /// Reads an object whole.
    pub(crate) async fn read(&self, object: &ObjectUri, limit: usize) -> Result<Bytes, Error> {
        let read = async {
            let (_, stream) = self.storage.get(&object.bucket, &object.key, None).await?;
            stream.into_bytes(limit as u64).await
        };
        read.await.map_err(|error| match error.kind() {
            ErrorKind::TooLarge => Error::ObjectTooLarge { limit },
            _ => of_storage(error),
        })
    }

    /// Writes an object whole, in the place of the one that is there.
    pub(crate) async fn write(
        &self,
        object: &ObjectUri,
        content_type: &str,
        bytes: Bytes,
    ) -> Result<(), Error> {
        let options = PutOptions {
            content_type: Some(content_type.to_owned()),
            ..PutOptions::default()
        };
        let written = self
            .storage
            .put_bytes(&object.bucket, &object.key, options, bytes);
        written.await.map(drop).map_err(of_storage)
    }
}

fn of_storage(error: fragua_storage::Error) -> Error {
    let reason = error.to_string();
    match error.kind() {
        ErrorKind::NotFound => Error::NoObject { reason },
        ErrorKind::Internal => Error::Internal(reason),
        ErrorKind::Unavailable => Error::Unreachable { reason },
        // A full quota, or an object that only its owner's key opens: asking again does not help.
        _ => Error::Conflict { reason },
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Objects")
            .field("buckets", &self.buckets)
            .finish_non_exhaustive()
    }
}
