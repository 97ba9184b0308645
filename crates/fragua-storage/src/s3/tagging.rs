//! Tags of objects and buckets.

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::convert::place;
use super::error::invalid_argument;
use super::versioning::{shown_version, version};
use crate::{BucketName, BucketSetting, Storage, Tags};

/// Reads the header `x-amz-tagging`.
pub(super) fn from_header(header: Option<&str>) -> S3Result<Tags> {
    Ok(header.map(Tags::parse_query).transpose()?.unwrap_or_default())
}

/// Tells a reader how many tags an object has, when it has some.
pub(super) fn tag_count(tags: &Tags) -> Option<i32> {
    (!tags.is_empty())
        .then(|| i32::try_from(tags.len()).ok())
        .flatten()
}

/// Reads what a copy is to have in place of the tags of its source.
pub(super) fn of_copy(directive: Option<&TaggingDirective>, header: Option<&str>) -> S3Result<Option<Tags>> {
    match directive.map(TaggingDirective::as_str) {
        None | Some(TaggingDirective::COPY) => Ok(None),
        Some(TaggingDirective::REPLACE) => from_header(header).map(Some),
        Some(_) => Err(invalid_argument("Unknown tagging directive.")),
    }
}

pub(super) fn pairs(set: TagSet) -> S3Result<Vec<(String, String)>> {
    let pair = |tag: Tag| match (tag.key, tag.value) {
        (Some(key), Some(value)) => Ok((key, value)),
        _ => Err(S3Error::with_message(
            S3ErrorCode::MalformedXML,
            "Each Tag needs a Key and a Value.",
        )),
    };
    set.into_iter().map(pair).collect()
}

pub(super) fn to_dto(tags: &Tags) -> TagSet {
    let tag = |(key, value): (&str, &str)| Tag {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    };
    tags.iter().map(tag).collect()
}

pub(super) async fn put_object_tagging(
    storage: &Storage,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let input = request.input;
    let tags = Tags::of_object(pairs(input.tagging.tag_set)?)?;
    let version_id = set(
        storage,
        &input.bucket,
        &input.key,
        input.version_id.as_deref(),
        &tags,
    )
    .await?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
}

pub(super) async fn delete_object_tagging(
    storage: &Storage,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let input = request.input;
    let none = Tags::default();
    let version_id = set(
        storage,
        &input.bucket,
        &input.key,
        input.version_id.as_deref(),
        &none,
    )
    .await?;
    Ok(S3Response::new(DeleteObjectTaggingOutput { version_id }))
}

async fn set(
    storage: &Storage,
    bucket: &str,
    key: &str,
    version_id: Option<&str>,
    tags: &Tags,
) -> S3Result<Option<String>> {
    let (bucket, key) = place(bucket, key)?;
    let version = version(version_id)?;
    let changed = storage.set_tags(&bucket, &key, version.as_ref(), tags).await?;
    Ok((!changed.is_null()).then(|| changed.to_string()))
}

pub(super) async fn get_object_tagging(
    storage: &Storage,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = request.input;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let meta = match version(input.version_id.as_deref())? {
        None => storage.head(&bucket, &key).await?,
        Some(version) => storage.head_version(&bucket, &key, &version).await?,
    };
    Ok(S3Response::new(GetObjectTaggingOutput {
        tag_set: to_dto(&meta.tags),
        version_id: shown_version(storage, &bucket, &meta).await,
    }))
}

pub(super) async fn put_bucket_tagging(
    storage: &Storage,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let tags = Tags::of_bucket(pairs(request.input.tagging.tag_set)?)?;
    storage
        .set_bucket(&bucket, BucketSetting::Tags(Some(tags)))
        .await?;
    Ok(S3Response::new(PutBucketTaggingOutput::default()))
}

pub(super) async fn get_bucket_tagging(
    storage: &Storage,
    request: S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let settings = storage.current_bucket_settings(&bucket).await?;
    match &settings.tags {
        Some(tags) => Ok(S3Response::new(GetBucketTaggingOutput {
            tag_set: to_dto(tags),
        })),
        None => Err(S3Error::with_message(
            S3ErrorCode::NoSuchTagSet,
            "The TagSet does not exist.",
        )),
    }
}

pub(super) async fn delete_bucket_tagging(
    storage: &Storage,
    request: S3Request<DeleteBucketTaggingInput>,
) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    storage.set_bucket(&bucket, BucketSetting::Tags(None)).await?;
    Ok(S3Response::new(DeleteBucketTaggingOutput::default()))
}
