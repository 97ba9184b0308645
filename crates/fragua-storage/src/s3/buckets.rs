//! Operations on buckets.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use super::REGION;
use super::access::caller_of;
use super::convert::{count, from_token, refuse_acl, to_dto_time, to_token};
use super::error::not_implemented;
use crate::{BucketName, Storage};

/// The most buckets of one page; also what a client gets that asks for no number.
const MAX_BUCKETS: usize = 10_000;

/// Everything belongs to one owner.
pub(super) fn owner() -> Owner {
    Owner {
        id: Some("fragua".to_owned()),
        display_name: Some("fragua".to_owned()),
    }
}

pub(super) async fn create_bucket(
    storage: &Storage,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    refuse_acl(&request.headers)?;
    let input = request.input;
    if input.object_lock_enabled_for_bucket == Some(true) {
        return Err(not_implemented("Object lock is not offered."));
    }
    let bucket = BucketName::parse(&input.bucket)?;
    // As in us-east-1: whoever owns the bucket may make it again, and tools do before they write.
    storage.ensure_bucket(&bucket).await?;
    Ok(S3Response::new(CreateBucketOutput {
        location: Some(format!("/{bucket}")),
    }))
}

pub(super) async fn delete_bucket(
    storage: &Storage,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    storage
        .delete_bucket(&BucketName::parse(&request.input.bucket)?)
        .await?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

pub(super) async fn head_bucket(
    storage: &Storage,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    storage
        .head_bucket(&BucketName::parse(&request.input.bucket)?)
        .await?;
    let bucket_region = Some(REGION.to_owned());
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region,
        ..HeadBucketOutput::default()
    }))
}

/// An empty location is `us-east-1`.
pub(super) async fn get_bucket_location(
    storage: &Storage,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    storage
        .head_bucket(&BucketName::parse(&request.input.bucket)?)
        .await?;
    Ok(S3Response::new(GetBucketLocationOutput::default()))
}

pub(super) async fn list_buckets(
    storage: &Storage,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let caller = caller_of(&request.extensions)?;
    let input = request.input;
    let limit = count(input.max_buckets, "max-buckets", MAX_BUCKETS)?.min(MAX_BUCKETS);
    let after = input.continuation_token.as_deref().map(from_token).transpose()?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let wanted = |name: &str| {
        name.starts_with(&prefix) && after.as_deref().is_none_or(|after| name > after) && caller.sees(name)
    };
    let all = storage.bucket_names().await?;
    let mut rest = all.into_iter().filter(|(name, _)| wanted(name.as_str()));
    let buckets: Vec<Bucket> = rest
        .by_ref()
        .take(limit)
        .map(|(name, created_at)| Bucket {
            name: Some(name.to_string()),
            creation_date: Some(to_dto_time(created_at)),
            bucket_region: Some(REGION.to_owned()),
        })
        .collect();
    let last = buckets.last().and_then(|bucket| bucket.name.as_deref());
    let continuation_token = rest.next().and(last).map(to_token);
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets),
        owner: Some(owner()),
        continuation_token,
        prefix: input.prefix,
    }))
}
