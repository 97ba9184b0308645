//! The two places where objects live. What only our own does is refused by default.

pub(crate) mod local;
pub(crate) mod remote;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::bucket::BucketUsage;
use crate::bucket_settings::{BucketSetting, BucketSettings};
use crate::events::ObjectEvent;
use crate::listing::{ListQuery, Listing};
use crate::multipart::{
    CompleteUpload, CompletedPart, CreateUpload, Part, PartList, PartOptions, UploadId, UploadList,
    UploadQuery,
};
use crate::object::{CopyOptions, GetOptions, ObjectKey, ObjectMeta, PutOptions};
use crate::stream::{BodyStream, ObjectStream};
use crate::upkeep::{CheckReport, DiskSpace, ExpiryReport, RepairReport, ScrubState, Upkeep};
use crate::version::{DeleteTarget, Deletion, VersionId, VersionList, VersionQuery, Versioning};
use crate::{Bucket, BucketName, Error, Tags};

/// An object with the bucket it lives in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) bucket: &'a BucketName,
    pub(crate) key: &'a ObjectKey,
}

impl Place<'_> {
    pub(crate) fn not_found(self) -> Error {
        Error::ObjectNotFound {
            object: self.describe(),
            delete_marker: None,
        }
    }

    /// Names the object in messages: `bucket/key`.
    pub(crate) fn describe(self) -> String {
        format!("{}/{}", self.bucket, self.key)
    }
}

/// What [`crate::Storage`] asks of a backend; it says what each function promises.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), Error>;
    async fn head_bucket(&self, bucket: &BucketName) -> Result<(), Error>;
    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), Error>;
    async fn bucket_names(&self) -> Result<Vec<(BucketName, fragua_base::Timestamp)>, Error>;
    async fn list_buckets(&self) -> Result<Vec<Bucket>, Error>;

    async fn put(
        &self,
        place: Place<'_>,
        options: PutOptions,
        body: BodyStream<'_>,
    ) -> Result<ObjectMeta, Error>;
    async fn get(&self, place: Place<'_>, options: GetOptions) -> Result<(ObjectMeta, ObjectStream), Error>;
    async fn head(&self, place: Place<'_>, version: Option<&VersionId>) -> Result<ObjectMeta, Error>;
    async fn delete_many(
        &self,
        bucket: &BucketName,
        targets: &[DeleteTarget],
    ) -> Result<Vec<Deletion>, Error>;
    async fn copy(
        &self,
        source: Place<'_>,
        target: Place<'_>,
        options: CopyOptions,
    ) -> Result<ObjectMeta, Error>;
    async fn list(&self, bucket: &BucketName, query: &ListQuery) -> Result<Listing, Error>;

    async fn create_upload(&self, place: Place<'_>, options: CreateUpload) -> Result<UploadId, Error>;
    async fn upload_part(
        &self,
        place: Place<'_>,
        upload: &UploadId,
        number: u32,
        options: PartOptions,
        body: BodyStream<'_>,
    ) -> Result<Part, Error>;
    async fn complete_upload(
        &self,
        place: Place<'_>,
        upload: &UploadId,
        parts: &[CompletedPart],
        options: CompleteUpload,
    ) -> Result<ObjectMeta, Error>;
    async fn abort_upload(&self, place: Place<'_>, upload: &UploadId) -> Result<(), Error>;
    async fn list_parts(
        &self,
        place: Place<'_>,
        upload: &UploadId,
        after: u32,
        limit: usize,
    ) -> Result<PartList, Error>;
    async fn list_uploads(&self, bucket: &BucketName, query: &UploadQuery) -> Result<UploadList, Error>;

    async fn list_versions(&self, _bucket: &BucketName, _query: &VersionQuery) -> Result<VersionList, Error> {
        Err(Error::NotSupported("the list of versions"))
    }
    async fn list_deleted(&self, _bucket: &BucketName, _query: &ListQuery) -> Result<Listing, Error> {
        Err(Error::NotSupported("the list of what is deleted"))
    }
    async fn set_tags(
        &self,
        _place: Place<'_>,
        _version: Option<&VersionId>,
        _tags: &Tags,
    ) -> Result<VersionId, Error> {
        Err(Error::NotSupported("a change of tags"))
    }
    /// `is_exact` asks for what is set now rather than some seconds ago.
    async fn bucket_settings(
        &self,
        _bucket: &BucketName,
        _is_exact: bool,
    ) -> Result<Arc<BucketSettings>, Error> {
        Err(Error::NotSupported("the settings of buckets"))
    }
    async fn settings_of_all(&self) -> Result<BTreeMap<BucketName, BucketSettings>, Error> {
        Err(Error::NotSupported("the settings of buckets"))
    }
    async fn set_bucket(&self, _bucket: &BucketName, _setting: &BucketSetting) -> Result<(), Error> {
        Err(Error::NotSupported("a change of a bucket's settings"))
    }
    async fn set_versioning(&self, _bucket: &BucketName, _versioning: Versioning) -> Result<(), Error> {
        Err(Error::NotSupported("a change of a bucket's versioning"))
    }
    async fn usage(&self, _bucket: &BucketName) -> Result<BucketUsage, Error> {
        Err(Error::NotSupported("the usage of a bucket"))
    }

    /// Without events of its own the channel is closed.
    fn events(&self) -> broadcast::Receiver<ObjectEvent> {
        broadcast::channel(1).1
    }
    fn webhook_arns(&self) -> Vec<String> {
        Vec::new()
    }
    /// Does what is due in the background until `shutdown`; elsewhere nothing is.
    async fn run_chores(&self, _shutdown: CancellationToken) {}
    async fn apply_lifecycle(&self) -> Result<ExpiryReport, Error> {
        Err(Error::NotSupported("the lifecycle of objects"))
    }
    async fn rewrap_keys(&self) -> Result<u64, Error> {
        Err(Error::NotSupported("a change of keys"))
    }
    async fn scrub_state(&self) -> Result<ScrubState, Error> {
        Err(Error::NotSupported("the scrubber"))
    }
    async fn upkeep(&self) -> Result<Upkeep, Error> {
        Err(Error::NotSupported("the scrubber"))
    }
    async fn ask_for_pass(&self) -> Result<(), Error> {
        Err(Error::NotSupported("the scrubber"))
    }
    async fn disk(&self) -> Result<DiskSpace, Error> {
        Err(Error::NotSupported("the room on the disk"))
    }
    async fn check(&self, _compares_bytes: bool) -> Result<CheckReport, Error> {
        Err(Error::NotSupported("a check of all objects"))
    }
    async fn repair(&self, _compares_bytes: bool, _removes_objects: bool) -> Result<RepairReport, Error> {
        Err(Error::NotSupported("a repair"))
    }

    async fn check_ready(&self) -> Result<(), Error>;
    async fn check_writable(&self) -> Result<(), Error>;
}
