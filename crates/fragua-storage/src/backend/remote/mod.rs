//! Another S3, spoken to with `object_store`.

mod chunks;
mod convert;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fragua_auth::AccessKey;
use fragua_base::{SharedClock, Timestamp};
use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId};
use object_store::{
    GetResult, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutPayload, RetryConfig,
    UpdateVersion,
};
use reqwest::{Method, StatusCode};

use self::chunks::{Chunks, MAX_OBJECT_BYTES, PART_BYTES};
use self::convert::{
    attributes, get_range, no_encryption, no_key, no_version, object_meta, path, says, tag_set, unquoted,
};
use super::{Backend, Place};
use crate::checksum::{BodyDigest, BodyHasher, Expected, ExpectedChecksum};
use crate::listing::{ListQuery, Listing, ObjectSummary};
use crate::multipart::{
    CompleteUpload, CompletedPart, CreateUpload, Part, PartList, PartOptions, UploadId, UploadList,
    UploadQuery,
};
use crate::object::{
    ByteRange, CopyOptions, DEFAULT_CONTENT_TYPE, GetOptions, ObjectKey, ObjectMeta, PartSizes, PutOptions,
    WriteCondition,
};
use crate::presign::{PresignedRequest, endpoint_and_host, presigned_url};
use crate::stream::{BodyStream, ObjectStream};
use crate::version::{DeleteTarget, Deletion, VersionId};
use crate::{Bucket, BucketName, Encrypt, Error, RemoteSettings};

/// The largest part of [`Backend::upload_part`], which is held in memory to be sent again on failure.
const MAX_PART_BYTES: u64 = 64 << 20;

/// How long a signed request of our own may be under way.
const REQUEST_LIFETIME: Duration = Duration::from_secs(60);

/// Sorts after all that follows a common prefix in practice.
const LAST_CHARACTER: char = '\u{10ffff}';

pub(crate) struct Remote {
    settings: RemoteSettings,
    access_key: AccessKey,
    clock: SharedClock,
    http: reqwest::Client,
    buckets: Mutex<HashMap<BucketName, Arc<AmazonS3>>>,
}

impl Remote {
    pub(crate) fn new(settings: RemoteSettings, clock: SharedClock) -> Result<Self, Error> {
        let (endpoint, _) = endpoint_and_host(&settings.endpoint)?;
        let settings = RemoteSettings {
            endpoint: endpoint.to_owned(),
            ..settings
        };
        let access_key =
            AccessKey::new(settings.access_key.clone(), settings.secret.expose()).map_err(|error| {
                Error::InvalidInput {
                    field: "access key",
                    reason: error.to_string(),
                }
            })?;
        // Clients of TLS ask for the process's provider; an error says that there is one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .timeout(REQUEST_LIFETIME)
            .build()
            .map_err(|error| Error::Remote {
                endpoint: settings.endpoint.clone(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            settings,
            access_key,
            clock,
            http,
            buckets: Mutex::default(),
        })
    }

    fn failed(&self, reason: impl ToString) -> Error {
        Error::Remote {
            endpoint: self.settings.endpoint.clone(),
            reason: reason.to_string(),
        }
    }

    /// Returns the client of a bucket, made once.
    fn bucket(&self, bucket: &BucketName) -> Result<Arc<AmazonS3>, Error> {
        let mut buckets = self
            .buckets
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = buckets.get(bucket) {
            return Ok(Arc::clone(client));
        }
        let settings = &self.settings;
        let retry = RetryConfig {
            max_retries: 3,
            retry_timeout: REQUEST_LIFETIME,
            ..RetryConfig::default()
        };
        let client = AmazonS3Builder::new()
            .with_endpoint(&settings.endpoint)
            .with_allow_http(settings.endpoint.starts_with("http:"))
            .with_virtual_hosted_style_request(false)
            .with_region(&settings.region)
            .with_bucket_name(bucket.as_str())
            .with_access_key_id(&settings.access_key)
            .with_secret_access_key(settings.secret.expose())
            .with_retry(retry)
            .build()
            .map_err(|error| self.failed(error))?;
        let client = Arc::new(client);
        buckets.insert(bucket.clone(), Arc::clone(&client));
        Ok(client)
    }

    /// Sends a request that concerns a bucket itself, or all of them.
    async fn send(&self, method: Method, bucket: Option<&BucketName>) -> Result<StatusCode, Error> {
        let request = PresignedRequest {
            endpoint: &self.settings.endpoint,
            region: &self.settings.region,
            method: method.as_str(),
            bucket,
            key: None,
            query: &[],
            lifetime: REQUEST_LIFETIME,
            now: self.clock.now(),
        };
        let url = presigned_url(&self.access_key, request)?;
        // The address holds a signature: it stays out of messages.
        let answer = self.http.request(method, url).send().await;
        let status = answer.map_err(|error| self.failed(error.without_url()))?.status();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::RemoteForbidden {
                endpoint: self.settings.endpoint.clone(),
            }),
            other => Ok(other),
        }
    }

    fn unexpected(&self, status: StatusCode) -> Error {
        self.failed(format!("unexpected status {status}"))
    }

    /// Says what an error of the client means for an object.
    fn object_error(&self, place: Place<'_>, error: object_store::Error) -> Error {
        match error {
            object_store::Error::NotFound { source, .. } if says(&*source, "NoSuchBucket") => {
                Error::BucketNotFound {
                    bucket: place.bucket.to_string(),
                }
            }
            object_store::Error::NotFound { .. } => place.not_found(),
            object_store::Error::AlreadyExists { .. } => Error::PreconditionFailed {
                condition: "If-None-Match",
            },
            object_store::Error::Precondition { .. } => Error::PreconditionFailed {
                condition: "If-Match",
            },
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                Error::RemoteForbidden {
                    endpoint: self.settings.endpoint.clone(),
                }
            }
            other => self.failed(other),
        }
    }

    /// Opens an object; an error is looked into when a range could be its reason.
    async fn open(&self, place: Place<'_>, range: Option<ByteRange>) -> Result<GetResult, Error> {
        let path = path(place.key)?;
        let options = object_store::GetOptions {
            range: range.map(get_range),
            ..Default::default()
        };
        match self.bucket(place.bucket)?.get_opts(&path, options).await {
            Ok(result) => Ok(result),
            Err(error @ object_store::Error::NotFound { .. }) => Err(self.object_error(place, error)),
            Err(error) => {
                if let Some(range) = range {
                    range.resolve(self.head(place, None).await?.size_bytes)?;
                }
                Err(self.object_error(place, error))
            }
        }
    }

    /// Sends a body that does not fit one request. The store is told that it is complete only when it is the one
    /// that was announced.
    async fn put_in_parts(
        &self,
        place: Place<'_>,
        options: PutMultipartOptions,
        first: Bytes,
        mut chunks: Chunks<'_>,
    ) -> Result<(Option<String>, BodyDigest), Error> {
        let path = path(place.key)?;
        let client = self.bucket(place.bucket)?;
        let begun = client.put_multipart_opts(&path, options).await;
        let mut upload = begun.map_err(|error| self.object_error(place, error))?;
        let sent = async {
            let mut part = first;
            while !part.is_empty() {
                upload
                    .put_part(part.into())
                    .await
                    .map_err(|error| self.object_error(place, error))?;
                part = chunks.next().await?;
            }
            chunks.finish()
        };
        match sent.await {
            Ok(digest) => {
                let result = upload
                    .complete()
                    .await
                    .map_err(|error| self.object_error(place, error))?;
                Ok((result.e_tag, digest))
            }
            Err(error) => {
                if let Err(problem) = upload.abort().await {
                    tracing::warn!(%problem, "cannot abort an upload in parts at the object store");
                }
                Err(error)
            }
        }
    }

    /// Copies through this process, where the store cannot do what is asked by itself.
    async fn copy_through(
        &self,
        source: Place<'_>,
        target: Place<'_>,
        options: CopyOptions,
    ) -> Result<ObjectMeta, Error> {
        let conditions = options.source_conditions;
        let (meta, stream) = self
            .get(
                source,
                GetOptions {
                    conditions,
                    ..GetOptions::default()
                },
            )
            .await?;
        let mut put = options.replace.unwrap_or(PutOptions {
            content_type: Some(meta.content_type),
            headers: meta.headers,
            user_metadata: meta.user_metadata,
            ..PutOptions::default()
        });
        put.expected_size = Some(meta.size_bytes);
        put.condition = options.condition;
        // The tags of the source cannot be read with this client.
        put.tags = options.tags.unwrap_or_default();
        put.checksum = options.checksum.map(ExpectedChecksum::compute);
        self.put(target, put, stream.boxed()).await
    }
}

#[async_trait]
impl Backend for Remote {
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        // Some stores answer 200 for a bucket that is the caller's own already.
        if self.head_bucket(bucket).await.is_ok() {
            return Err(Error::BucketExists {
                bucket: bucket.to_string(),
            });
        }
        match self.send(Method::PUT, Some(bucket)).await? {
            status if status.is_success() => Ok(()),
            StatusCode::CONFLICT => Err(Error::BucketExists {
                bucket: bucket.to_string(),
            }),
            status => Err(self.unexpected(status)),
        }
    }

    async fn head_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        match self.send(Method::HEAD, Some(bucket)).await? {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err(Error::BucketNotFound {
                bucket: bucket.to_string(),
            }),
            status => Err(self.unexpected(status)),
        }
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        match self.send(Method::DELETE, Some(bucket)).await? {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err(Error::BucketNotFound {
                bucket: bucket.to_string(),
            }),
            StatusCode::CONFLICT => Err(Error::BucketNotEmpty {
                bucket: bucket.to_string(),
            }),
            status => Err(self.unexpected(status)),
        }
    }

    async fn bucket_names(&self) -> Result<Vec<(BucketName, Timestamp)>, Error> {
        Err(Error::NotSupported("the list of buckets"))
    }

    async fn list_buckets(&self) -> Result<Vec<Bucket>, Error> {
        Err(Error::NotSupported("the list of buckets"))
    }

    async fn put(
        &self,
        place: Place<'_>,
        options: PutOptions,
        body: BodyStream<'_>,
    ) -> Result<ObjectMeta, Error> {
        no_encryption(&options.encryption)?;
        let path = path(place.key)?;
        let expected = Expected {
            size: options.expected_size,
            md5: options.expected_md5,
            checksum: options.checksum,
            wants_md5: false,
        };
        let sent = attributes(
            options.content_type.clone(),
            options.headers.clone(),
            options.user_metadata.clone(),
        );
        let tags = tag_set(&options.tags);
        let mut chunks = Chunks::new(body, expected, MAX_OBJECT_BYTES);
        let first = chunks.next().await?;
        let (etag, digest) = if first.len() < PART_BYTES {
            let digest = chunks.finish()?;
            let mode = match options.condition {
                None => PutMode::Overwrite,
                Some(WriteCondition::Absent) => PutMode::Create,
                Some(WriteCondition::Etag(etag)) => PutMode::Update(UpdateVersion {
                    e_tag: Some(format!("\"{etag}\"")),
                    version: None,
                }),
            };
            let put = object_store::PutOptions {
                mode,
                attributes: sent,
                tags,
                ..Default::default()
            };
            let result = self
                .bucket(place.bucket)?
                .put_opts(&path, first.into(), put)
                .await;
            (
                result.map_err(|error| self.object_error(place, error))?.e_tag,
                digest,
            )
        } else if options.condition.is_some() {
            return Err(Error::NotSupported(
                "a conditional write of an object over 16 MiB",
            ));
        } else {
            let sent = PutMultipartOptions {
                attributes: sent,
                tags,
                ..PutMultipartOptions::default()
            };
            self.put_in_parts(place, sent, first, chunks).await?
        };
        Ok(ObjectMeta {
            key: place.key.clone(),
            size_bytes: digest.size_bytes,
            etag: unquoted(etag),
            content_type: options
                .content_type
                .unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned()),
            headers: options.headers,
            modified_at: self.clock.now(),
            user_metadata: options.user_metadata,
            checksum: digest.checksum,
            tags: options.tags,
            version_id: None,
            parts: PartSizes::default(),
            encryption: None,
        })
    }

    async fn get(&self, place: Place<'_>, options: GetOptions) -> Result<(ObjectMeta, ObjectStream), Error> {
        no_version(options.version.as_ref())?;
        no_key(options.customer_key.as_ref())?;
        if options.part_number.is_some() {
            return Err(Error::NotSupported("reading a part of an upload"));
        }
        let result = self.open(place, options.range).await?;
        let meta = object_meta(place.key, &result);
        options.conditions.check(&meta)?;
        let range = result.range.clone();
        let stream = result.into_stream().map_err(std::io::Error::other);
        Ok((meta, ObjectStream::new(range, stream)))
    }

    async fn head(&self, place: Place<'_>, version: Option<&VersionId>) -> Result<ObjectMeta, Error> {
        no_version(version)?;
        let path = path(place.key)?;
        let options = object_store::GetOptions {
            head: true,
            ..Default::default()
        };
        match self.bucket(place.bucket)?.get_opts(&path, options).await {
            Ok(result) => Ok(object_meta(place.key, &result)),
            Err(error @ object_store::Error::NotFound { .. }) => {
                // The answer to a HEAD has no body that tells a missing bucket from a missing object.
                self.head_bucket(place.bucket).await?;
                Err(self.object_error(place, error))
            }
            Err(error) => Err(self.object_error(place, error)),
        }
    }

    async fn delete_many(
        &self,
        bucket: &BucketName,
        targets: &[DeleteTarget],
    ) -> Result<Vec<Deletion>, Error> {
        let Some(first) = targets.first() else {
            return Ok(Vec::new());
        };
        let paths: Vec<_> = targets
            .iter()
            .map(|target| {
                no_version(target.version.as_ref())?;
                if target.if_match.is_some() {
                    return Err(Error::NotSupported("a condition of a delete"));
                }
                path(&target.key).map(Ok)
            })
            .collect::<Result<_, Error>>()?;
        let first = &first.key;
        let mut deleted = self
            .bucket(bucket)?
            .delete_stream(futures::stream::iter(paths).boxed());
        while let Some(result) = deleted.next().await {
            match result.map_err(|error| self.object_error(Place { bucket, key: first }, error)) {
                Ok(_) | Err(Error::ObjectNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let deletion = |target: &DeleteTarget| Deletion {
            key: target.key.clone(),
            version: None,
            marker: None,
            refused: None,
        };
        Ok(targets.iter().map(deletion).collect())
    }

    async fn copy(
        &self,
        source: Place<'_>,
        target: Place<'_>,
        options: CopyOptions,
    ) -> Result<ObjectMeta, Error> {
        no_version(options.source_version.as_ref())?;
        no_key(options.source_key.as_ref())?;
        no_encryption(options.encryption.as_ref().unwrap_or(&Encrypt::AsBucket))?;
        let is_plain = options.replace.is_none()
            && options.tags.is_none()
            && options.condition.is_none()
            && options.checksum.is_none();
        if source.bucket != target.bucket || !is_plain || options.source_conditions != Default::default() {
            return self.copy_through(source, target, options).await;
        }
        let (from, to) = (path(source.key)?, path(target.key)?);
        let copied = self.bucket(source.bucket)?.copy(&from, &to).await;
        copied.map_err(|error| self.object_error(source, error))?;
        self.head(target, None).await
    }

    async fn list(&self, bucket: &BucketName, query: &ListQuery) -> Result<Listing, Error> {
        let page_size = query.page_size();
        if page_size == 0 {
            return Ok(Listing::default());
        }
        let delimiter = query.delimiter().map(|delimiter| delimiter.to_owned());
        if delimiter.as_deref().is_some_and(|delimiter| delimiter != "/") {
            return Err(Error::NotSupported("a list with a delimiter other than /"));
        }
        // Stores differ on whether a common prefix is told again after itself; behind its keys they agree.
        let offset = query.start_after.as_ref().map(|after| {
            let is_prefix = delimiter.is_some() && after.ends_with('/') && *after != query.prefix;
            if is_prefix {
                format!("{after}{LAST_CHARACTER}")
            } else {
                after.clone()
            }
        });
        let options = PaginatedListOptions {
            offset,
            delimiter: delimiter.map(Into::into),
            max_keys: Some(page_size),
            ..PaginatedListOptions::default()
        };
        let prefix = (!query.prefix.is_empty()).then_some(query.prefix.as_str());
        let page = self
            .bucket(bucket)?
            .list_paginated(prefix, options)
            .await
            .map_err(|error| match error {
                object_store::Error::NotFound { .. } => Error::BucketNotFound {
                    bucket: bucket.to_string(),
                },
                other if says(&other, "NoSuchBucket") => Error::BucketNotFound {
                    bucket: bucket.to_string(),
                },
                other => self.failed(other),
            })?;
        let mut listing = Listing::default();
        for object in page.result.objects {
            listing.objects.push(ObjectSummary {
                key: ObjectKey::parse(object.location.as_ref())?,
                size_bytes: object.size,
                etag: unquoted(object.e_tag),
                modified_at: Timestamp::from_millis(object.last_modified.timestamp_millis()),
            });
        }
        listing.prefixes = page
            .result
            .common_prefixes
            .iter()
            .map(|prefix| format!("{prefix}/"))
            .collect();
        if page.page_token.is_some() {
            let last_key = listing
                .objects
                .last()
                .map(|object| object.key.as_str().to_owned());
            listing.next = last_key.max(listing.prefixes.last().cloned());
        }
        Ok(listing)
    }

    async fn create_upload(&self, place: Place<'_>, options: CreateUpload) -> Result<UploadId, Error> {
        no_encryption(&options.encryption)?;
        let attributes = attributes(options.content_type, options.headers, options.user_metadata);
        let put = PutMultipartOptions {
            attributes,
            ..PutMultipartOptions::default()
        };
        let begun = self
            .bucket(place.bucket)?
            .create_multipart_opts(&path(place.key)?, put)
            .await;
        begun
            .map(UploadId::new)
            .map_err(|error| self.object_error(place, error))
    }

    async fn upload_part(
        &self,
        place: Place<'_>,
        upload: &UploadId,
        number: u32,
        options: PartOptions,
        mut body: BodyStream<'_>,
    ) -> Result<Part, Error> {
        no_key(options.customer_key.as_ref())?;
        let expected = Expected {
            size: options.expected_size,
            md5: options.expected_md5,
            checksum: options.checksum,
            wants_md5: false,
        };
        let mut hasher = BodyHasher::new(expected.sums());
        let (mut chunks, mut received) = (Vec::new(), 0);
        while let Some(chunk) = body.try_next().await.map_err(Error::Body)? {
            received += chunk.len() as u64;
            if received > MAX_PART_BYTES {
                return Err(Error::TooLarge {
                    limit_bytes: MAX_PART_BYTES,
                });
            }
            hasher.update(&chunk);
            chunks.push(chunk);
        }
        let digest = hasher.finish(expected)?;
        let (path, id) = (path(place.key)?, upload.as_str().to_owned());
        let index = number.saturating_sub(1) as usize;
        let payload: PutPayload = chunks.into_iter().collect();
        let put = self
            .bucket(place.bucket)?
            .put_part(&path, &id, index, payload)
            .await;
        let part = put.map_err(|error| upload_error(upload, self.object_error(place, error)))?;
        Ok(Part {
            number,
            size_bytes: digest.size_bytes,
            etag: unquoted(Some(part.content_id)),
            checksum: digest.checksum,
            modified_at: self.clock.now(),
            encryption: None,
        })
    }

    async fn complete_upload(
        &self,
        place: Place<'_>,
        upload: &UploadId,
        parts: &[CompletedPart],
        options: CompleteUpload,
    ) -> Result<ObjectMeta, Error> {
        if options != CompleteUpload::default() {
            return Err(Error::NotSupported(
                "a condition, size or checksum of an upload in parts",
            ));
        }
        if parts.iter().zip(1..).any(|(part, number)| part.number != number) {
            return Err(Error::NotSupported(
                "an upload whose parts are not numbered 1, 2, 3 and so on",
            ));
        }
        let ids = parts
            .iter()
            .map(|part| PartId {
                content_id: format!("\"{}\"", part.etag),
            })
            .collect();
        let (path, id) = (path(place.key)?, upload.as_str().to_owned());
        let completed = self
            .bucket(place.bucket)?
            .complete_multipart(&path, &id, ids)
            .await;
        completed.map_err(|error| upload_error(upload, self.object_error(place, error)))?;
        self.head(place, None).await
    }

    async fn abort_upload(&self, place: Place<'_>, upload: &UploadId) -> Result<(), Error> {
        let (path, id) = (path(place.key)?, upload.as_str().to_owned());
        let aborted = self.bucket(place.bucket)?.abort_multipart(&path, &id).await;
        aborted.map_err(|error| upload_error(upload, self.object_error(place, error)))
    }

    async fn list_parts(
        &self,
        _place: Place<'_>,
        _upload: &UploadId,
        _after: u32,
        _limit: usize,
    ) -> Result<PartList, Error> {
        Err(Error::NotSupported("the list of an upload's parts"))
    }

    async fn list_uploads(&self, _bucket: &BucketName, _query: &UploadQuery) -> Result<UploadList, Error> {
        Err(Error::NotSupported("the list of uploads"))
    }

    async fn check_ready(&self) -> Result<(), Error> {
        match self.send(Method::GET, None).await? {
            status if status.is_success() => Ok(()),
            status => Err(self.unexpected(status)),
        }
    }

    async fn check_writable(&self) -> Result<(), Error> {
        self.check_ready().await
    }
}

/// What is not found while an upload is spoken of is the upload.
fn upload_error(upload: &UploadId, error: Error) -> Error {
    match error {
        Error::ObjectNotFound { .. } => Error::UploadNotFound {
            upload_id: upload.to_string(),
        },
        other => other,
    }
}
