//! The façade.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use fragua_base::{SharedClock, Timestamp};
use fragua_database::Database;
use futures::{Stream, StreamExt};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::backend::local::Local;
use crate::backend::remote::Remote;
use crate::backend::{Backend, Place};
use crate::listing::{ListQuery, Listing};
use crate::multipart::{
    CompleteUpload, CompletedPart, CreateUpload, MAX_PART_NUMBER, Part, PartList, PartOptions, UploadId,
    UploadList, UploadQuery,
};
use crate::object::{
    ByteRange, CopyOptions, GetOptions, ObjectKey, ObjectMeta, PutOptions, check_user_metadata,
};
use crate::stream::ObjectStream;
use crate::traffic::{OperationTraffic, Traffic};
use crate::upkeep::{CheckReport, DiskSpace, ExpiryReport, RepairReport, ScrubState, Upkeep};
use crate::version::{DeleteTarget, Deletion, VersionId, VersionList, VersionQuery, Versioning};
use crate::{
    Bucket, BucketName, BucketSetting, BucketSettings, BucketUsage, Error, ObjectEvent, RemoteSettings,
    Settings, Tags,
};

/// Buckets and objects. Cheap to clone.
///
/// Functions that take a bucket fail with [`Error::BucketNotFound`] when there is none of that name, those that
/// read an object with [`Error::ObjectNotFound`].
#[derive(Clone)]
pub struct Storage {
    backend: Arc<dyn Backend>,
    pub(crate) traffic: Arc<Traffic>,
}

impl Storage {
    /// Opens the store that keeps metadata in `database` and bytes below `settings.root`, and removes what a
    /// crash left over.
    ///
    /// Several processes may open one store at the same time.
    ///
    /// # Errors
    /// When the folder or the database cannot be used.
    pub async fn open(database: Database, settings: Settings, clock: SharedClock) -> Result<Self, Error> {
        let local = Local::open(database, settings, clock).await?;
        Ok(Self {
            backend: Arc::new(local),
            traffic: Arc::default(),
        })
    }

    /// Speaks to another S3. Nothing is sent before the first use.
    ///
    /// Keys with an empty segment (`a//b`, `/a`, `a/`) or with the segments `.` and `..` cannot be addressed
    /// there, and lists of parts and of uploads are not offered.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the endpoint is not an address.
    pub fn remote(settings: RemoteSettings, clock: SharedClock) -> Result<Self, Error> {
        let remote = Remote::new(settings, clock)?;
        Ok(Self {
            backend: Arc::new(remote),
            traffic: Arc::default(),
        })
    }

    /// Returns what the S3 API of this process answered, by the name of the operation.
    pub fn traffic(&self) -> Vec<OperationTraffic> {
        self.traffic.all()
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// [`Error::BucketExists`].
    pub async fn create_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        self.backend.create_bucket(bucket).await
    }

    /// Makes a bucket unless it is there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ensure_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        match self.create_bucket(bucket).await {
            Err(Error::BucketExists { .. }) => Ok(()),
            other => other,
        }
    }

    /// Succeeds when the bucket exists.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`].
    pub async fn head_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        self.backend.head_bucket(bucket).await
    }

    /// Deletes an empty bucket; uploads in progress are aborted.
    ///
    /// # Errors
    /// [`Error::BucketNotEmpty`].
    pub async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        self.backend.delete_bucket(bucket).await
    }

    /// Returns every bucket by name with what it holds. It counts objects: use [`Storage::bucket_names`] where
    /// the names are enough.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn list_buckets(&self) -> Result<Vec<Bucket>, Error> {
        self.backend.list_buckets().await
    }

    /// Returns every bucket's name and when it was made, by name.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn bucket_names(&self) -> Result<Vec<(BucketName, Timestamp)>, Error> {
        self.backend.bucket_names().await
    }

    /// Writes an object from a stream, replacing the one of that key. Memory stays bounded.
    ///
    /// The object is durable once this returns; when it fails the old object is untouched.
    ///
    /// # Errors
    /// [`Error::Body`] when the stream fails, [`Error::IncompleteBody`] and [`Error::ChecksumMismatch`] when it
    /// is not what `options` announce, [`Error::PreconditionFailed`], [`Error::TooLarge`],
    /// [`Error::StorageFull`].
    pub async fn put(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: PutOptions,
        body: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
    ) -> Result<ObjectMeta, Error> {
        check_user_metadata(&options.user_metadata)?;
        self.backend
            .put(Place { bucket, key }, options, body.boxed())
            .await
    }

    /// Writes an object from memory, as [`Storage::put`] does.
    ///
    /// # Errors
    /// Those of [`Storage::put`].
    pub async fn put_bytes(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: PutOptions,
        bytes: impl Into<Bytes> + Send,
    ) -> Result<ObjectMeta, Error> {
        let bytes = bytes.into();
        self.put(bucket, key, options, futures::stream::iter([Ok(bytes)]))
            .await
    }

    /// Opens an object, or a part of it, for reading. What is read is one version of the object, even while
    /// others replace or delete it.
    ///
    /// # Errors
    /// [`Error::RangeNotSatisfiable`].
    pub async fn get(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<(ObjectMeta, ObjectStream), Error> {
        self.get_with(bucket, key, range.into()).await
    }

    /// Opens an object as [`Storage::get`] does, under conditions.
    ///
    /// # Errors
    /// Those of [`Storage::get`], [`Error::PreconditionFailed`], [`Error::NotModified`].
    pub async fn get_with(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: GetOptions,
    ) -> Result<(ObjectMeta, ObjectStream), Error> {
        self.backend.get(Place { bucket, key }, options).await
    }

    /// Returns what is known of an object.
    ///
    /// # Errors
    /// [`Error::ObjectNotFound`].
    pub async fn head(&self, bucket: &BucketName, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        self.backend.head(Place { bucket, key }, None).await
    }

    /// Returns what is known of a version of an object.
    ///
    /// # Errors
    /// [`Error::VersionNotFound`], [`Error::IsDeleteMarker`].
    pub async fn head_version(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: &VersionId,
    ) -> Result<ObjectMeta, Error> {
        self.backend.head(Place { bucket, key }, Some(version)).await
    }

    /// Deletes an object; succeeds when there is none. In a bucket that makes versions it leaves a delete marker.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, bucket: &BucketName, key: &ObjectKey) -> Result<(), Error> {
        self.delete_many(bucket, std::slice::from_ref(key)).await
    }

    /// Deletes objects, all or none, as [`Storage::delete`] deletes one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_many(&self, bucket: &BucketName, keys: &[ObjectKey]) -> Result<(), Error> {
        let targets: Vec<DeleteTarget> = keys.iter().cloned().map(DeleteTarget::current).collect();
        self.delete_targets(bucket, &targets).await.map(drop)
    }

    /// Deletes objects, or versions of them for good, all or none. Returns what was done, in the same order; what is
    /// not there is passed over. When the version that a key stands for is deleted, it stands for the one before.
    ///
    /// # Errors
    /// When the store fails; [`Error::NotSupported`] for versions over another S3.
    pub async fn delete_targets(
        &self,
        bucket: &BucketName,
        targets: &[DeleteTarget],
    ) -> Result<Vec<Deletion>, Error> {
        self.backend.delete_many(bucket, targets).await
    }

    /// Lists a page of versions and delete markers by key, the newest of each key first.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn list_versions(
        &self,
        bucket: &BucketName,
        query: VersionQuery,
    ) -> Result<VersionList, Error> {
        self.backend.list_versions(bucket, &query).await
    }

    /// Lists a page of keys that stand for a delete marker, as [`Storage::list`] lists objects: each with when it was
    /// deleted, and no bytes.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn list_deleted(&self, bucket: &BucketName, query: ListQuery) -> Result<Listing, Error> {
        self.backend.list_deleted(bucket, &query).await
    }

    /// Makes an old version the current one again, as a new version of the same bytes, metadata and tags.
    ///
    /// # Errors
    /// [`Error::VersionNotFound`], [`Error::IsDeleteMarker`].
    pub async fn restore(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: &VersionId,
    ) -> Result<ObjectMeta, Error> {
        let options = CopyOptions {
            source_version: Some(version.clone()),
            ..CopyOptions::default()
        };
        self.copy((bucket, key), (bucket, key), options).await
    }

    /// Replaces the tags of an object, or of a version of it, and returns which version that was. Read them with
    /// [`Storage::head`].
    ///
    /// # Errors
    /// [`Error::VersionNotFound`], [`Error::IsDeleteMarker`]; [`Error::NotSupported`] over another S3.
    pub async fn set_tags(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<&VersionId>,
        tags: &Tags,
    ) -> Result<VersionId, Error> {
        self.backend.set_tags(Place { bucket, key }, version, tags).await
    }

    /// Copies an object within the store, without moving its bytes where the file system allows.
    ///
    /// # Errors
    /// [`Error::ObjectNotFound`] for the source, [`Error::PreconditionFailed`].
    pub async fn copy(
        &self,
        source: (&BucketName, &ObjectKey),
        target: (&BucketName, &ObjectKey),
        options: CopyOptions,
    ) -> Result<ObjectMeta, Error> {
        if let Some(replace) = &options.replace {
            check_user_metadata(&replace.user_metadata)?;
        }
        let source = Place {
            bucket: source.0,
            key: source.1,
        };
        let target = Place {
            bucket: target.0,
            key: target.1,
        };
        self.backend.copy(source, target, options).await
    }

    /// Lists a page of objects and common prefixes in the order of their keys' bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, bucket: &BucketName, query: ListQuery) -> Result<Listing, Error> {
        self.backend.list(bucket, &query).await
    }

    /// Begins an upload in parts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: CreateUpload,
    ) -> Result<UploadId, Error> {
        check_user_metadata(&options.user_metadata)?;
        self.backend.create_upload(Place { bucket, key }, options).await
    }

    /// Writes a part, replacing the one of that number.
    ///
    /// # Errors
    /// [`Error::UploadNotFound`] and those of [`Storage::put`].
    pub async fn upload_part(
        &self,
        (bucket, key): (&BucketName, &ObjectKey),
        upload: &UploadId,
        number: u32,
        options: PartOptions,
        body: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
    ) -> Result<Part, Error> {
        if !(1..=MAX_PART_NUMBER).contains(&number) {
            let reason = format!("must be 1 to {MAX_PART_NUMBER}");
            return Err(Error::InvalidInput {
                field: "partNumber",
                reason,
            });
        }
        self.backend
            .upload_part(Place { bucket, key }, upload, number, options, body.boxed())
            .await
    }

    /// Puts the object together from the parts named; others are dropped.
    ///
    /// # Errors
    /// [`Error::UploadNotFound`], [`Error::InvalidPart`], [`Error::InvalidPartOrder`], [`Error::PartTooSmall`],
    /// [`Error::UploadMismatch`], [`Error::ChecksumMismatch`], [`Error::PreconditionFailed`].
    pub async fn complete_upload(
        &self,
        (bucket, key): (&BucketName, &ObjectKey),
        upload: &UploadId,
        parts: &[CompletedPart],
        options: CompleteUpload,
    ) -> Result<ObjectMeta, Error> {
        if parts.is_empty() {
            let reason = "must name at least one part".to_owned();
            return Err(Error::InvalidInput {
                field: "CompleteMultipartUpload",
                reason,
            });
        }
        if !parts.is_sorted_by(|one, next| one.number < next.number) {
            return Err(Error::InvalidPartOrder);
        }
        self.backend
            .complete_upload(Place { bucket, key }, upload, parts, options)
            .await
    }

    /// Gives an upload up and drops its parts.
    ///
    /// # Errors
    /// [`Error::UploadNotFound`].
    pub async fn abort_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &UploadId,
    ) -> Result<(), Error> {
        self.backend.abort_upload(Place { bucket, key }, upload).await
    }

    /// Lists the parts written so far whose number is over `after`, at most `limit` (and 1000) of them.
    ///
    /// # Errors
    /// [`Error::UploadNotFound`]; [`Error::NotSupported`] over another S3.
    pub async fn list_parts(
        &self,
        (bucket, key): (&BucketName, &ObjectKey),
        upload: &UploadId,
        after: u32,
        limit: usize,
    ) -> Result<PartList, Error> {
        self.backend
            .list_parts(
                Place { bucket, key },
                upload,
                after,
                limit.min(crate::listing::MAX_PAGE),
            )
            .await
    }

    /// Lists the uploads in progress of a bucket.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn list_uploads(&self, bucket: &BucketName, query: UploadQuery) -> Result<UploadList, Error> {
        self.backend.list_uploads(bucket, &query).await
    }

    /// Encrypts the keys of all encrypted objects with the first of the store's keys, so that the others can go. The bytes
    /// stay as they are. Returns how many keys there were.
    ///
    /// # Errors
    /// [`Error::EncryptionKeyMissing`] when one was encrypted with none of the store's keys; [`Error::NotSupported`]
    /// without any, and over another S3.
    pub async fn rewrap_keys(&self) -> Result<u64, Error> {
        self.backend.rewrap_keys().await
    }

    /// Returns everything that is set for a bucket. It is for each request: a change that another process made may go
    /// unseen for some seconds.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn bucket_settings(&self, bucket: &BucketName) -> Result<Arc<BucketSettings>, Error> {
        self.backend.bucket_settings(bucket, false).await
    }

    /// Returns everything that is set for a bucket, as it is now.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn current_bucket_settings(&self, bucket: &BucketName) -> Result<Arc<BucketSettings>, Error> {
        self.backend.bucket_settings(bucket, true).await
    }

    /// Returns everything that is set for all buckets, as it is now.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn settings_of_all(&self) -> Result<BTreeMap<BucketName, BucketSettings>, Error> {
        self.backend.settings_of_all().await
    }

    /// Sets or removes something for a bucket.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`]; [`Error::NotSupported`] over another S3.
    pub async fn set_bucket(&self, bucket: &BucketName, setting: BucketSetting) -> Result<(), Error> {
        setting.check(bucket)?;
        self.backend.set_bucket(bucket, &setting).await
    }

    /// Lets a bucket make versions, or suspends that. Versions that there are stay.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for [`Versioning::Never`], to which there is no way back; [`Error::NotSupported`] over
    /// another S3.
    pub async fn set_versioning(&self, bucket: &BucketName, versioning: Versioning) -> Result<(), Error> {
        if versioning == Versioning::Never {
            let reason = "can be enabled and suspended; what has been made is kept".to_owned();
            return Err(Error::InvalidInput {
                field: "versioning",
                reason,
            });
        }
        self.backend.set_versioning(bucket, versioning).await
    }

    /// Counts what a bucket holds, with its versions.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn usage(&self, bucket: &BucketName) -> Result<BucketUsage, Error> {
        self.backend.usage(bucket).await
    }

    /// Returns what happens to objects from now on, as far as this process does it; nothing over another S3.
    pub fn events(&self) -> broadcast::Receiver<ObjectEvent> {
        self.backend.events()
    }

    /// Returns an ARN of each webhook that notifications of buckets may name; none over another S3.
    pub fn webhook_arns(&self) -> Vec<String> {
        self.backend.webhook_arns()
    }

    /// Applies the lifecycle rules of buckets, verifies bytes and sends events to webhooks in the background until
    /// `shutdown`. Of the processes that do this for one store, one at a time does each of the first two, and all share
    /// the events. Over another S3 there is nothing to do.
    pub async fn run_chores(&self, shutdown: CancellationToken) {
        self.backend.run_chores(shutdown).await;
    }

    /// Does at once what the lifecycle rules of all buckets say.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn apply_lifecycle(&self) -> Result<ExpiryReport, Error> {
        self.backend.apply_lifecycle().await
    }

    /// Returns what the scrubber has found.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn scrub_state(&self) -> Result<ScrubState, Error> {
        self.backend.scrub_state().await
    }

    /// Returns what is known of all bytes: what the scrubber and the last check found, how much there is, and how much of it
    /// neither has read.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn upkeep(&self) -> Result<Upkeep, Error> {
        self.backend.upkeep().await
    }

    /// Makes the next pass of the scrubber due: the process that runs the chores begins it within a minute.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn ask_for_pass(&self) -> Result<(), Error> {
        self.backend.ask_for_pass().await
    }

    /// Returns how much room is on the disk that holds the bytes.
    ///
    /// # Errors
    /// When the disk does not tell; [`Error::NotSupported`] over another S3.
    pub async fn disk(&self) -> Result<DiskSpace, Error> {
        self.backend.disk().await
    }

    /// Compares each object, version and part with its bytes, and finds files that nothing refers to.
    /// `compares_bytes` reads all bytes; else only their number is looked at.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn check(&self, compares_bytes: bool) -> Result<CheckReport, Error> {
        self.backend.check(compares_bytes).await
    }

    /// Removes what [`Storage::check`] finds and nobody misses: files that nothing refers to. `removes_objects` also
    /// removes objects and versions whose bytes are gone.
    ///
    /// # Errors
    /// [`Error::NotSupported`] over another S3.
    pub async fn repair(&self, compares_bytes: bool, removes_objects: bool) -> Result<RepairReport, Error> {
        self.backend.repair(compares_bytes, removes_objects).await
    }

    /// Succeeds when the store can answer.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn check_ready(&self) -> Result<(), Error> {
        self.backend.check_ready().await
    }

    /// Succeeds when objects can be written: it writes, reads and removes a file of its own and tries the
    /// database. Over another S3 it only asks whether the store answers.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn check_writable(&self) -> Result<(), Error> {
        self.backend.check_writable().await
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Storage").finish_non_exhaustive()
    }
}
