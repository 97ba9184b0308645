//! Objects of our own: rows in a database, bytes in files.

mod abandoned;
mod blobs;
mod check;
mod chores;
mod copy;
mod deliver;
mod encryption;
mod expire;
mod folders;
mod key_ring;
mod list;
mod multipart;
mod quota;
mod roots;
mod sealed;
mod settings;
mod sink;
mod verify;
mod versions;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use fragua_base::{SharedClock, Timestamp, random_hex};
use fragua_database::Database;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use self::blobs::{Blobs, Keeping};
use self::copy::{AskedOfCopy, Copied};
use self::encryption::{NewEncryption, segment_key};
use self::key_ring::KeyRing;
use self::list::Keys;
use self::multipart::Completing;
use self::quota::Quotas;
use self::settings::Remembered;
use self::sink::NewBlob;
use self::verify::Depth;
use super::{Backend, Place};
use crate::bucket::BucketUsage;
use crate::bucket_settings::{BucketSetting, BucketSettings};
use crate::checksum::{ChecksumAlgorithm, Expected, ExpectedChecksum};
use crate::encryption::Encrypt;
use crate::events::{ObjectEvent, ObjectEventKind, Telling, Webhooks};
use crate::listing::{ListQuery, Listing};
use crate::multipart::{
    CompleteUpload, CompletedPart, CreateUpload, Part, PartList, PartOptions, UploadId, UploadList,
    UploadQuery,
};
use crate::object::{
    CopyOptions, DEFAULT_CONTENT_TYPE, GetOptions, ObjectHeaders, ObjectKey, ObjectMeta, PutOptions,
    WriteCondition,
};
use crate::store::objects::{Attributes, NewRow};
use crate::store::{bucket_settings, buckets, garbage, objects, small, uploads, usage};
use crate::stream::{BodyStream, ObjectStream};
use crate::upkeep::{CheckReport, DiskSpace, ExpiryReport, RepairReport, ScrubState, Upkeep};
use crate::version::{DeleteTarget, Deletion, VersionId, VersionList, VersionQuery, Versioning};
use crate::{Bucket, BucketName, Error, Settings, Tags};

/// Rows of the garbage table whose files are gone are deleted this many at a time.
const FORGET_AT: usize = 64;

/// How many blobs one start removes at most; the next one goes on.
const SWEEP_LIMIT: usize = 20_000;

/// How often a read looks again for an object that is replaced between its row and its file.
const READ_ATTEMPTS: usize = 5;

/// How many events who follows them may lag behind.
const KEPT_EVENTS: usize = 4096;

/// The longest content type kept.
const MAX_CONTENT_TYPE_BYTES: usize = 255;

/// The backend. Cheap to clone: writes go on in a task of their own when the client leaves.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    blobs: Blobs,
    key_ring: KeyRing,
    clock: SharedClock,
    settings: Settings,
    /// Names this process to others that do the same work.
    instance: String,
    remembered: Remembered,
    quotas: Quotas,
    completing: Completing,
    /// Blobs whose files are gone and whose rows of garbage are still there.
    removed: Mutex<Vec<String>>,
    webhooks: Arc<Webhooks>,
    /// What happens to objects in this process.
    events: broadcast::Sender<ObjectEvent>,
    /// Says that there may be something to send.
    to_send: watch::Sender<()>,
}

/// A row to be, once its blob is in place.
struct NewObject {
    content_type: String,
    attributes: Attributes,
    condition: Option<WriteCondition>,
    finished_upload: Option<UploadId>,
    kind: ObjectEventKind,
}

impl Local {
    pub(crate) async fn open(
        database: Database,
        settings: Settings,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        let webhooks = Arc::new(Webhooks::new(settings.webhooks.clone())?);
        database.migrate("storage", crate::store::migrations()).await?;
        let key_ring = match &settings.secret_key {
            None => KeyRing::default(),
            Some(keys) => KeyRing::new(keys).ok_or_else(|| Error::InvalidInput {
                field: "secret_key",
                reason: "must be 32 bytes in URL-safe base64, or several of these with commas between them"
                    .to_owned(),
            })?,
        };
        if settings.small_object_bytes > Settings::MAX_SMALL_OBJECT_BYTES {
            return Err(Error::InvalidSetting {
                setting: "small_object_bytes",
                reason: format!("must be {} at most", Settings::MAX_SMALL_OBJECT_BYTES),
            });
        }
        let roots = (settings.root.as_path(), settings.more_roots.as_slice());
        let blobs = Blobs::open(roots, database.clone(), clock.clone()).await?;
        let inner = Inner {
            database,
            blobs,
            key_ring,
            clock,
            settings,
            instance: random_hex(16),
            remembered: Remembered::default(),
            quotas: Quotas::default(),
            completing: Completing::default(),
            removed: Mutex::default(),
            webhooks,
            events: broadcast::channel(KEPT_EVENTS).0,
            to_send: watch::Sender::default(),
        };
        let local = Self {
            inner: Arc::new(inner),
        };
        local.recover().await?;
        Ok(local)
    }

    /// Removes what a crash left: blobs without a row, blobs whose row was replaced or deleted, and uploads that nobody
    /// goes on with. Others may do the same meanwhile.
    async fn recover(&self) -> Result<(), Error> {
        let Inner {
            database,
            blobs,
            clock,
            settings,
            ..
        } = &*self.inner;
        let mut removed = 0;
        for abandoned in blobs.abandoned().await? {
            let needed = garbage::needed(database, &abandoned.blobs).await?;
            removed += abandoned.tidy(&needed).await;
        }
        while removed < SWEEP_LIMIT {
            let useless = garbage::some(database).await?;
            if useless.is_empty() {
                break;
            }
            let gone = blobs.remove(useless).await;
            if gone.is_empty() {
                break;
            }
            removed += gone.len();
            garbage::remove(database, &gone).await?;
        }
        let lifetime = i64::try_from(settings.upload_lifetime.as_millis()).unwrap_or(i64::MAX);
        let limit = Timestamp::from_millis(clock.now().as_millis().saturating_sub(lifetime));
        loop {
            let old = uploads::begun_before(database, limit).await?;
            if old.is_empty() {
                break;
            }
            for upload in old {
                match self.drop_upload(&upload).await {
                    Err(Error::UploadNotFound { .. }) => {}
                    other => other?,
                }
            }
        }
        if removed > 0 {
            tracing::info!(blobs = removed, "removed blobs that an earlier end left behind");
        }
        Ok(())
    }

    fn database(&self) -> &Database {
        &self.inner.database
    }

    /// Removes the files of blobs that are noted as garbage. A failure is left to the next start.
    async fn discard(&self, mut useless: Vec<String>) {
        useless.retain(|blob| !small::is_small(blob));
        if useless.is_empty() {
            return;
        }
        let gone = self.inner.blobs.remove(useless).await;
        let forget = {
            let mut removed = self
                .inner
                .removed
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            removed.extend(gone);
            if removed.len() < FORGET_AT {
                Vec::new()
            } else {
                std::mem::take(&mut *removed)
            }
        };
        if let Err(error) = garbage::remove(self.database(), &forget).await {
            tracing::warn!(%error, "cannot forget removed blobs; the next start does");
        }
    }

    /// Returns what a change of objects of a bucket needs to be told.
    async fn telling(&self, bucket: &BucketName) -> Result<Telling, Error> {
        let settings = self.remembered_settings(bucket).await?;
        Ok(Telling::new(
            settings,
            self.inner.webhooks.clone(),
            self.inner.clock.now(),
        ))
    }

    /// Tells those who follow what has happened. What is to be sent was noted with the change.
    fn announce(&self, telling: &Telling, events: Vec<ObjectEvent>) {
        if events
            .iter()
            .any(|event| telling.receivers(event).next().is_some())
        {
            self.inner.to_send.send_replace(());
        }
        for event in events {
            // Nobody may be following.
            let _ = self.inner.events.send(event);
        }
    }

    /// Runs `write` to its end even when the caller is dropped, as it is when a client leaves.
    async fn to_the_end<T: Send + 'static>(
        write: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        match tokio::spawn(write).await {
            Ok(result) => result,
            Err(error) => Err(Error::disk("a write ended early")(io::Error::other(error))),
        }
    }

    /// Puts the row of a stored blob in place, or removes the blob.
    async fn commit(
        self,
        (bucket, key): (BucketName, ObjectKey),
        (blob, size_bytes, etag): (NewBlob, u64, String),
        mut new: NewObject,
    ) -> Result<ObjectMeta, Error> {
        // Copies and uploads bring a key that was wrapped before, and who rewraps all of them may just have passed by. One
        // that cannot be unwrapped here stays as it is.
        drop(self.rewrap(&mut new.attributes));
        let reservation = match new.finished_upload {
            None => self.reserve(&bucket, size_bytes).await?,
            Some(_) => None,
        };
        let telling = self.telling(&bucket).await?;
        // From here on there may be a row.
        let (blob_id, small) = blob.keep();
        let is_file = small.is_none();
        let row = objects::Model {
            bucket: bucket.as_str().to_owned(),
            object_key: key.as_str().as_bytes().to_vec(),
            blob_id: blob_id.clone(),
            size_bytes: i64::try_from(size_bytes).unwrap_or(i64::MAX),
            etag,
            content_type: new.content_type,
            attributes: new.attributes.to_json(),
            modified_at: self.inner.clock.now().as_millis(),
            version_id: VersionId::null().to_string(),
            version_rank: 0,
        };
        let place = Place {
            bucket: &bucket,
            key: &key,
        };
        let new = NewRow {
            row,
            small,
            condition: new.condition,
            finished_upload: new.finished_upload.map(|upload| upload.as_str().to_owned()),
            kind: new.kind,
        };
        match objects::put(self.database(), place, &new, &telling).await {
            Ok(put) => {
                self.announce(&telling, vec![put.event]);
                if let Some(reservation) = reservation {
                    reservation.fill();
                }
                if new.finished_upload.is_some() {
                    self.inner.quotas.forget(&bucket);
                }
                if is_file {
                    self.inner.blobs.settle(vec![blob_id]).await;
                }
                self.discard(put.useless).await;
                put.row.into_meta()
            }
            Err(error) if is_file => Err(self.undo(blob_id, error).await),
            Err(error) => Err(error),
        }
    }

    /// Says how the body of an object is kept.
    fn keeping(&self, encryption: Option<&NewEncryption>) -> Keeping {
        Keeping {
            key: segment_key(encryption),
            max_bytes: self.inner.settings.max_object_bytes,
            small_bytes: self.inner.settings.small_object_bytes,
        }
    }

    /// Removes a blob that got no row. When the database broke off, the row may be there all the same: then
    /// the blob stays for the next start to judge.
    async fn undo(&self, blob_id: String, error: Error) -> Error {
        if !matches!(error, Error::Database(_)) {
            self.inner.blobs.remove(vec![blob_id]).await;
        }
        error
    }

    async fn find(&self, place: Place<'_>, version: Option<&VersionId>) -> Result<objects::Model, Error> {
        match version {
            None => objects::find(self.database(), place).await,
            Some(version) => objects::find_version(self.database(), place, version).await,
        }
    }

    /// Hands the row of an object, with its bytes where they are at hand, to `read` and, when its blob vanished meanwhile,
    /// the row that came after.
    async fn with_row<T, F>(
        &self,
        place: Place<'_>,
        version: Option<&VersionId>,
        mut read: impl FnMut(objects::Model, Option<Bytes>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<io::Result<T>, Error>>,
    {
        let (mut row, mut bytes) = match version {
            None => objects::find_with_bytes(self.database(), place).await?,
            Some(version) => (self.find(place, Some(version)).await?, None),
        };
        for _ in 1..READ_ATTEMPTS {
            let blob = row.blob_id.clone();
            match read(row, bytes.take()).await? {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => return other.map_err(Error::disk(missing(place))),
            }
            row = self.find(place, version).await?;
            if row.blob_id == blob {
                break;
            }
        }
        read(row, None).await?.map_err(Error::disk(missing(place)))
    }
}

fn missing(place: Place<'_>) -> String {
    format!("cannot read the bytes of {}", place.describe())
}

/// A content type that is too long is refused; none is S3's default.
fn content_type(given: Option<String>) -> Result<String, Error> {
    let content_type = given
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned());
    if content_type.len() > MAX_CONTENT_TYPE_BYTES {
        let reason = format!("must not be longer than {MAX_CONTENT_TYPE_BYTES} bytes");
        return Err(Error::InvalidInput {
            field: "Content-Type",
            reason,
        });
    }
    Ok(content_type)
}

fn attributes(headers: ObjectHeaders, user_metadata: BTreeMap<String, String>, tags: Tags) -> Attributes {
    Attributes {
        headers,
        user_metadata,
        tags,
        ..Attributes::default()
    }
}

#[async_trait]
impl Backend for Local {
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        buckets::insert(self.database(), bucket, self.inner.clock.now()).await
    }

    async fn head_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        buckets::check(self.database().reader(), bucket).await
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        let useless = buckets::delete(self.database(), bucket).await?;
        self.inner.remembered.forget(bucket);
        self.discard(useless).await;
        Ok(())
    }

    async fn bucket_names(&self) -> Result<Vec<(BucketName, Timestamp)>, Error> {
        buckets::names(self.database()).await
    }

    async fn list_buckets(&self) -> Result<Vec<Bucket>, Error> {
        buckets::usage(self.database()).await
    }

    async fn put(
        &self,
        place: Place<'_>,
        options: PutOptions,
        body: BodyStream<'_>,
    ) -> Result<ObjectMeta, Error> {
        let content_type = content_type(options.content_type)?;
        self.remembered_settings(place.bucket).await?;
        objects::check_condition(self.database(), place, options.condition.as_ref()).await?;
        self.expect_room(place.bucket, options.expected_size).await?;
        let wanted = self.wanted_encryption(place.bucket, &options.encryption).await?;
        let encryption = self.new_encryption(wanted.as_ref())?;
        // Who reads the row is not to learn the MD5 of what only the client can read.
        let hides_md5 = matches!(wanted, Some(Encrypt::CustomerKey(_)));
        let expected = Expected {
            size: options.expected_size,
            md5: options.expected_md5,
            // Who goes without the MD5 is to learn of a changed byte all the same; this sum costs next to nothing.
            checksum: options.checksum.or_else(|| {
                let algorithm = ChecksumAlgorithm::Crc64Nvme;
                options.any_etag.then(|| ExpectedChecksum::compute(algorithm))
            }),
            wants_md5: !options.any_etag && !hides_md5,
        };
        let stored = self
            .inner
            .blobs
            .store(body, expected, self.keeping(encryption.as_ref()))
            .await?;
        let etag = if hides_md5 { random_hex(16) } else { stored.etag() };
        let digest = stored.digest;
        let mut attributes = attributes(options.headers, options.user_metadata, options.tags);
        attributes.checksum = digest.checksum;
        attributes.encryption = encryption.map(|(encryption, _)| encryption);
        let new = NewObject {
            content_type,
            attributes,
            condition: options.condition,
            finished_upload: None,
            kind: match options.is_form {
                true => ObjectEventKind::Post,
                false => ObjectEventKind::Put,
            },
        };
        let blob = (stored.blob, digest.size_bytes, etag);
        let place = (place.bucket.clone(), place.key.clone());
        Self::to_the_end(self.clone().commit(place, blob, new)).await
    }

    async fn get(&self, place: Place<'_>, options: GetOptions) -> Result<(ObjectMeta, ObjectStream), Error> {
        let options = &options;
        self.with_row(place, options.version.as_ref(), |row, bytes| async move {
            let blob = row.blob_id.clone();
            let meta = row.into_meta()?;
            meta.check_customer_key(options.customer_key.as_ref())?;
            options.conditions.check(&meta)?;
            let range = options.resolve(&meta)?;
            let seal = self.seal(&meta, options.customer_key.as_ref())?;
            Ok(self
                .inner
                .blobs
                .read((&blob, bytes), seal, range)
                .await
                .map(|stream| (meta, stream)))
        })
        .await
    }

    async fn head(&self, place: Place<'_>, version: Option<&VersionId>) -> Result<ObjectMeta, Error> {
        self.find(place, version).await?.into_meta()
    }

    async fn delete_many(
        &self,
        bucket: &BucketName,
        targets: &[DeleteTarget],
    ) -> Result<Vec<Deletion>, Error> {
        let telling = self.telling(bucket).await?;
        let deleted = objects::delete_many(self.database(), bucket, targets, &telling).await?;
        self.inner.quotas.forget(bucket);
        self.announce(&telling, deleted.events);
        self.discard(deleted.useless).await;
        Ok(deleted.deletions)
    }

    async fn copy(
        &self,
        source: Place<'_>,
        target: Place<'_>,
        options: CopyOptions,
    ) -> Result<ObjectMeta, Error> {
        self.remembered_settings(target.bucket).await?;
        objects::check_condition(self.database(), target, options.condition.as_ref()).await?;
        let conditions = &options.source_conditions;
        let asked = &AskedOfCopy {
            checksum: options.checksum,
            source_key: options.source_key.as_ref(),
            encryption: options.encryption.as_ref(),
        };
        let (meta, copied) = self
            .with_row(source, options.source_version.as_ref(), |row, _| async move {
                let blob = row.blob_id.clone();
                let meta = row.into_meta()?;
                // A copy has no body to leave out: what is "not modified" to a reader fails here.
                conditions.check(&meta).map_err(|error| match error {
                    Error::NotModified { .. } => Error::PreconditionFailed {
                        condition: "x-amz-copy-source-if-none-match",
                    },
                    other => other,
                })?;
                let copied = self.copy_bytes((blob, &meta), target.bucket, asked).await?;
                Ok(copied.map(|copied| (meta, copied)))
            })
            .await?;
        let Copied {
            blob,
            etag,
            checksum,
            encryption,
            parts,
        } = copied;
        let (given_type, headers, user_metadata) = match options.replace {
            None => (Some(meta.content_type), meta.headers, meta.user_metadata),
            Some(replace) => (replace.content_type, replace.headers, replace.user_metadata),
        };
        let tags = options.tags.unwrap_or(meta.tags);
        let mut attributes = attributes(headers, user_metadata, tags);
        attributes.checksum = checksum;
        attributes.parts = parts;
        attributes.encryption = encryption;
        let new = NewObject {
            content_type: content_type(given_type)?,
            attributes,
            condition: options.condition,
            finished_upload: None,
            kind: ObjectEventKind::Copy,
        };
        let place = (target.bucket.clone(), target.key.clone());
        Self::to_the_end(self.clone().commit(place, (blob, meta.size_bytes, etag), new)).await
    }

    async fn list(&self, bucket: &BucketName, query: &ListQuery) -> Result<Listing, Error> {
        list::list(self.database(), bucket, query, Keys::Present).await
    }

    async fn list_deleted(&self, bucket: &BucketName, query: &ListQuery) -> Result<Listing, Error> {
        list::list(self.database(), bucket, query, Keys::Deleted).await
    }

    async fn create_upload(&self, place: Place<'_>, options: CreateUpload) -> Result<UploadId, Error> {
        self.begin_upload(place, options).await
    }

    async fn upload_part(
        &self,
        place: Place<'_>,
        upload: &UploadId,
        number: u32,
        options: PartOptions,
        body: BodyStream<'_>,
    ) -> Result<Part, Error> {
        self.write_part(place, upload, number, options, body).await
    }

    async fn complete_upload(
        &self,
        place: Place<'_>,
        upload: &UploadId,
        parts: &[CompletedPart],
        options: CompleteUpload,
    ) -> Result<ObjectMeta, Error> {
        let (bucket, key) = (place.bucket.clone(), place.key.clone());
        let (local, upload, parts) = (self.clone(), upload.clone(), parts.to_vec());
        Self::to_the_end(async move {
            local
                .assemble(
                    Place {
                        bucket: &bucket,
                        key: &key,
                    },
                    &upload,
                    &parts,
                    options,
                )
                .await
        })
        .await
    }

    async fn abort_upload(&self, place: Place<'_>, upload: &UploadId) -> Result<(), Error> {
        uploads::find(self.database(), place, upload).await?;
        self.drop_upload(upload.as_str()).await?;
        self.inner.quotas.forget(place.bucket);
        Ok(())
    }

    async fn list_parts(
        &self,
        place: Place<'_>,
        upload: &UploadId,
        after: u32,
        limit: usize,
    ) -> Result<PartList, Error> {
        self.parts_of(place, upload, after, limit).await
    }

    async fn list_uploads(&self, bucket: &BucketName, query: &UploadQuery) -> Result<UploadList, Error> {
        self.uploads_of(bucket, query).await
    }

    async fn list_versions(&self, bucket: &BucketName, query: &VersionQuery) -> Result<VersionList, Error> {
        versions::list(self.database(), bucket, query).await
    }

    async fn set_tags(
        &self,
        place: Place<'_>,
        version: Option<&VersionId>,
        tags: &Tags,
    ) -> Result<VersionId, Error> {
        let telling = self.telling(place.bucket).await?;
        let event = objects::set_tags(self.database(), place, version, tags, &telling).await?;
        let changed = event.version_id.clone();
        self.announce(&telling, vec![event]);
        Ok(changed)
    }

    async fn bucket_settings(
        &self,
        bucket: &BucketName,
        is_exact: bool,
    ) -> Result<Arc<BucketSettings>, Error> {
        if is_exact {
            self.current_settings(bucket).await
        } else {
            self.remembered_settings(bucket).await
        }
    }

    async fn settings_of_all(&self) -> Result<BTreeMap<BucketName, BucketSettings>, Error> {
        bucket_settings::read_all(self.database()).await
    }

    async fn set_bucket(&self, bucket: &BucketName, setting: &BucketSetting) -> Result<(), Error> {
        self.change_setting(bucket, setting).await
    }

    async fn set_versioning(&self, bucket: &BucketName, versioning: Versioning) -> Result<(), Error> {
        self.change_versioning(bucket, versioning).await
    }

    async fn usage(&self, bucket: &BucketName) -> Result<BucketUsage, Error> {
        usage::of_bucket(self.database(), bucket).await
    }

    fn events(&self) -> broadcast::Receiver<ObjectEvent> {
        self.inner.events.subscribe()
    }

    fn webhook_arns(&self) -> Vec<String> {
        self.inner.webhooks.arns()
    }

    async fn run_chores(&self, shutdown: CancellationToken) {
        Box::pin(self.do_chores_until(shutdown)).await;
    }

    async fn apply_lifecycle(&self) -> Result<ExpiryReport, Error> {
        match self.expire(self.inner.clock.now()).await? {
            (report, None) => Ok(report),
            (_, Some(error)) => Err(error),
        }
    }

    async fn rewrap_keys(&self) -> Result<u64, Error> {
        self.rewrap_all().await
    }

    async fn scrub_state(&self) -> Result<ScrubState, Error> {
        self.state_of_scrub().await
    }

    async fn upkeep(&self) -> Result<Upkeep, Error> {
        self.upkeep_state().await
    }

    async fn ask_for_pass(&self) -> Result<(), Error> {
        self.ask_for_scrub().await
    }

    async fn disk(&self) -> Result<DiskSpace, Error> {
        self.inner.blobs.disk().await
    }

    async fn check(&self, compares_bytes: bool) -> Result<CheckReport, Error> {
        let started_at = self.inner.clock.now();
        let report = self.check_all(Depth::of_check(compares_bytes)).await?;
        let found = (report.verified.clone(), report.orphans.len() as u64);
        self.note_check(started_at, compares_bytes, found).await;
        Ok(report)
    }

    async fn repair(&self, compares_bytes: bool, removes_objects: bool) -> Result<RepairReport, Error> {
        let started_at = self.inner.clock.now();
        let report = self
            .repair_all(Depth::of_check(compares_bytes), removes_objects)
            .await?;
        self.note_check(started_at, compares_bytes, report.left()).await;
        Ok(report)
    }

    async fn check_ready(&self) -> Result<(), Error> {
        self.inner.blobs.check_ready().await?;
        buckets::exists(self.database().reader(), &BucketName::parse("readiness-probe")?)
            .await
            .map(drop)
    }

    async fn check_writable(&self) -> Result<(), Error> {
        self.inner.blobs.check_writable().await?;
        Ok(self.database().ping_write().await?)
    }
}
