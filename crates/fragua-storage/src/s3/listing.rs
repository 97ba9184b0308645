//! Lists of objects.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use super::buckets::owner;
use super::convert::{TextEncoding, count, from_token, strong, to_dto_time, to_token};
use crate::listing::MAX_PAGE;
use crate::{BucketName, ListQuery, Listing, ObjectSummary, Storage};

fn objects(found: Vec<ObjectSummary>, encoding: TextEncoding, with_owner: bool) -> Vec<Object> {
    let convert = |object: ObjectSummary| Object {
        key: Some(encoding.encode(object.key.as_str())),
        size: i64::try_from(object.size_bytes).ok(),
        e_tag: Some(strong(&object.etag)),
        last_modified: Some(to_dto_time(object.modified_at)),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        owner: with_owner.then(owner),
        ..Object::default()
    };
    found.into_iter().map(convert).collect()
}

fn prefixes(found: &[String], encoding: TextEncoding) -> Option<Vec<CommonPrefix>> {
    let convert = |prefix: &String| CommonPrefix {
        prefix: Some(encoding.encode(prefix)),
    };
    (!found.is_empty()).then(|| found.iter().map(convert).collect())
}

fn max_keys(asked: Option<i32>) -> S3Result<usize> {
    Ok(count(asked, "max-keys", MAX_PAGE)?.min(MAX_PAGE))
}

fn to_i32(value: usize) -> Option<i32> {
    i32::try_from(value).ok()
}

pub(super) async fn list_objects_v2(
    storage: &Storage,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let encoding = TextEncoding::parse(input.encoding_type.as_ref())?;
    let limit = max_keys(input.max_keys)?;
    let resumed = input.continuation_token.as_deref().map(from_token).transpose()?;
    let query = ListQuery {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        start_after: resumed.or_else(|| input.start_after.clone()),
        limit: Some(limit),
    };
    let Listing {
        objects: found,
        prefixes: folded,
        next,
    } = storage.list(&BucketName::parse(&input.bucket)?, query).await?;
    let output = ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoding.encode(input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|text| encoding.encode(text)),
        start_after: input.start_after.map(|text| encoding.encode(text)),
        encoding_type: input.encoding_type,
        max_keys: to_i32(limit),
        key_count: to_i32(found.len() + folded.len()),
        continuation_token: input.continuation_token,
        is_truncated: Some(next.is_some()),
        next_continuation_token: next.as_deref().map(to_token),
        common_prefixes: prefixes(&folded, encoding),
        contents: Some(objects(found, encoding, input.fetch_owner.unwrap_or(false))),
        request_charged: None,
    };
    Ok(S3Response::new(output))
}

pub(super) async fn list_objects(
    storage: &Storage,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = request.input;
    let encoding = TextEncoding::parse(input.encoding_type.as_ref())?;
    let limit = max_keys(input.max_keys)?;
    let query = ListQuery {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        start_after: input.marker.clone(),
        limit: Some(limit),
    };
    let Listing {
        objects: found,
        prefixes: folded,
        next,
    } = storage.list(&BucketName::parse(&input.bucket)?, query).await?;
    let output = ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.encode(input.prefix.unwrap_or_default())),
        marker: Some(encoding.encode(input.marker.unwrap_or_default())),
        delimiter: input.delimiter.map(|text| encoding.encode(text)),
        encoding_type: input.encoding_type,
        max_keys: to_i32(limit),
        is_truncated: Some(next.is_some()),
        next_marker: next.map(|text| encoding.encode(text)),
        common_prefixes: prefixes(&folded, encoding),
        contents: Some(objects(found, encoding, true)),
        request_charged: None,
    };
    Ok(S3Response::new(output))
}
