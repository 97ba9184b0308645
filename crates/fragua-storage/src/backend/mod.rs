//! The two places where objects live.

pub(crate) mod local;
pub(crate) mod remote;

use async_trait::async_trait;

use crate::listing::{ListQuery, Listing};
use crate::multipart::{
    CompletedPart, CreateUpload, Part, PartList, PartOptions, UploadId, UploadList, UploadQuery,
};
use crate::object::{CopyOptions, GetOptions, ObjectKey, ObjectMeta, PutOptions, WriteCondition};
use crate::stream::{BodyStream, ObjectStream};
use crate::{Bucket, BucketName, Error};

/// An object with the bucket it lives in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) bucket: &'a BucketName,
    pub(crate) key: &'a ObjectKey,
}

impl Place<'_> {
    pub(crate) fn not_found(self) -> Error {
        Error::ObjectNotFound {
            object: crate::object::describe(self.bucket, self.key),
        }
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
    async fn head(&self, place: Place<'_>) -> Result<ObjectMeta, Error>;
    async fn delete_many(&self, bucket: &BucketName, keys: &[ObjectKey]) -> Result<(), Error>;
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
        condition: Option<WriteCondition>,
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

    async fn check_ready(&self) -> Result<(), Error>;
    async fn check_writable(&self) -> Result<(), Error>;
}
