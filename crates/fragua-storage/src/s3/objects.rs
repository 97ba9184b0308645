//! Operations on objects.

use std::collections::BTreeMap;

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::convert::{
    body, body_checksum, body_size, byte_range, content_md5, etag_condition, expires, from_dto_time,
    object_headers, place, refuse_unsupported, set_checksum, strong, to_dto_time, write_condition,
};
use super::error::{invalid_argument, not_implemented};
use super::tagging::{self, tag_count};
use super::versioning::{shown_version, version};
use crate::{
    BucketName, CopyOptions, DeleteTarget, Deletion, GetOptions, ObjectKey, ObjectMeta, PutOptions,
    ReadConditions, Storage, VersionId,
};

/// The most keys of one batch.
const MAX_DELETES: usize = 1000;

pub(super) fn user_metadata(metadata: Option<Metadata>) -> BTreeMap<String, String> {
    let lower = |(name, value): (String, String)| (name.to_ascii_lowercase(), value);
    metadata.unwrap_or_default().into_iter().map(lower).collect()
}

fn to_dto_metadata(metadata: &BTreeMap<String, String>) -> Option<Metadata> {
    (!metadata.is_empty()).then(|| metadata.clone().into_iter().collect())
}

/// A composite checksum is over parts, any other over the whole object.
pub(super) fn checksum_type(meta: &ObjectMeta) -> Option<ChecksumType> {
    let checksum = meta.checksum.as_ref()?;
    let text = if checksum.is_composite() {
        ChecksumType::COMPOSITE
    } else {
        ChecksumType::FULL_OBJECT
    };
    Some(ChecksumType::from_static(text))
}

pub(super) async fn put_object(
    storage: &Storage,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    refuse_unsupported(&request.headers)?;
    let checksum = body_checksum(&request.headers, request.trailing_headers.clone())?;
    let expected_size = body_size(&request.headers, request.input.content_length);
    let input = request.input;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let options = PutOptions {
        content_type: input.content_type,
        headers: object_headers(
            input.cache_control,
            input.content_disposition,
            input.content_encoding,
            input.content_language,
            input.expires.as_ref(),
        ),
        user_metadata: user_metadata(input.metadata),
        expected_size,
        expected_md5: content_md5(input.content_md5.as_deref())?,
        checksum,
        tags: tagging::from_header(input.tagging.as_deref())?,
        any_etag: false,
        condition: write_condition(input.if_match, input.if_none_match)?,
    };
    let meta = storage.put(&bucket, &key, options, body(input.body)).await?;
    let mut output = PutObjectOutput {
        e_tag: Some(strong(&meta.etag)),
        checksum_type: checksum_type(&meta),
        version_id: shown_version(storage, &bucket, &meta).await,
        ..PutObjectOutput::default()
    };
    set_checksum!(output, &meta.checksum);
    Ok(S3Response::new(output))
}

pub(super) async fn get_object(
    storage: &Storage,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let input = request.input;
    refuse_part_number(input.part_number)?;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let options = GetOptions {
        version: version(input.version_id.as_deref())?,
        range: input.range.map(byte_range),
        conditions: ReadConditions {
            if_match: input.if_match.map(etag_condition),
            if_unmodified_since: input.if_unmodified_since.as_ref().and_then(from_dto_time),
            if_none_match: input.if_none_match.map(etag_condition),
            if_modified_since: input.if_modified_since.as_ref().and_then(from_dto_time),
        },
    };
    let is_part = options.range.is_some();
    let (meta, stream) = storage.get_with(&bucket, &key, options).await?;
    let range = stream.range();
    let mut output = GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: meta.headers.cache_control.clone(),
        content_disposition: meta.headers.content_disposition.clone(),
        content_encoding: meta.headers.content_encoding.clone(),
        content_language: meta.headers.content_language.clone(),
        content_length: i64::try_from(stream.size_bytes()).ok(),
        content_range: is_part.then(|| {
            format!(
                "bytes {}-{}/{}",
                range.start,
                range.end.saturating_sub(1),
                meta.size_bytes
            )
        }),
        content_type: Some(meta.content_type.clone()),
        e_tag: Some(strong(&meta.etag)),
        expires: expires(&meta.headers),
        last_modified: Some(to_dto_time(meta.modified_at)),
        metadata: to_dto_metadata(&meta.user_metadata),
        body: Some(StreamingBlob::wrap(stream)),
        tag_count: tag_count(&meta.tags),
        version_id: shown_version(storage, &bucket, &meta).await,
        ..GetObjectOutput::default()
    };
    // A checksum is of the whole object; beside a part of it clients would compare the wrong thing.
    if input.checksum_mode.is_some() && !is_part {
        set_checksum!(output, &meta.checksum);
        output.checksum_type = checksum_type(&meta);
    }
    Ok(S3Response::new(output))
}

pub(super) async fn head_object(
    storage: &Storage,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = request.input;
    refuse_part_number(input.part_number)?;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let conditions = ReadConditions {
        if_match: input.if_match.map(etag_condition),
        if_unmodified_since: input.if_unmodified_since.as_ref().and_then(from_dto_time),
        if_none_match: input.if_none_match.map(etag_condition),
        if_modified_since: input.if_modified_since.as_ref().and_then(from_dto_time),
    };
    let meta = match version(input.version_id.as_deref())? {
        None => storage.head(&bucket, &key).await?,
        Some(version) => storage.head_version(&bucket, &key, &version).await?,
    };
    conditions.check(&meta)?;
    let range = input
        .range
        .map(|range| byte_range(range).resolve(meta.size_bytes))
        .transpose()?;
    let length = range
        .as_ref()
        .map_or(meta.size_bytes, |range| range.end - range.start);
    let is_part = range.is_some();
    let mut output = HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: meta.headers.cache_control.clone(),
        content_disposition: meta.headers.content_disposition.clone(),
        content_encoding: meta.headers.content_encoding.clone(),
        content_language: meta.headers.content_language.clone(),
        content_length: i64::try_from(length).ok(),
        content_range: range
            .map(|range| format!("bytes {}-{}/{}", range.start, range.end - 1, meta.size_bytes)),
        content_type: Some(meta.content_type.clone()),
        e_tag: Some(strong(&meta.etag)),
        expires: expires(&meta.headers),
        last_modified: Some(to_dto_time(meta.modified_at)),
        metadata: to_dto_metadata(&meta.user_metadata),
        version_id: shown_version(storage, &bucket, &meta).await,
        ..HeadObjectOutput::default()
    };
    if input.checksum_mode.is_some() && !is_part {
        set_checksum!(output, &meta.checksum);
        output.checksum_type = checksum_type(&meta);
    }
    let mut response = S3Response::new(output);
    // The answer's own type has no field for it.
    if let Some(count) = tag_count(&meta.tags) {
        response.headers.insert("x-amz-tagging-count", count.into());
    }
    Ok(response)
}

/// Objects do not remember the parts they were made of.
fn refuse_part_number(number: Option<i32>) -> S3Result<()> {
    match number {
        None => Ok(()),
        Some(_) => Err(not_implemented(
            "Reads by part number are not offered; use a range.",
        )),
    }
}

pub(super) async fn delete_object(
    storage: &Storage,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let input = request.input;
    if input.if_match.is_some() {
        return Err(not_implemented("Conditional deletes are not offered."));
    }
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let target = DeleteTarget {
        version: version(input.version_id.as_deref())?,
        ..DeleteTarget::current(key)
    };
    let deletions = storage.delete_targets(&bucket, &[target]).await?;
    let output = deletions.into_iter().next().map(|deletion| DeleteObjectOutput {
        delete_marker: deletion.marker.as_ref().map(|_| true),
        version_id: deletion.version.or(deletion.marker).map(|id| id.to_string()),
        ..DeleteObjectOutput::default()
    });
    Ok(S3Response::new(output.unwrap_or_default()))
}

pub(super) async fn delete_objects(
    storage: &Storage,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let input = request.input;
    let bucket = BucketName::parse(&input.bucket)?;
    if input.delete.objects.len() > MAX_DELETES {
        let message = "The list of objects to delete must not be longer than 1000.";
        return Err(S3Error::with_message(S3ErrorCode::MalformedXML, message));
    }
    let mut targets = Vec::new();
    let mut errors = Vec::new();
    for object in input.delete.objects {
        let parsed = ObjectKey::parse(object.key.clone()).map_err(S3Error::from);
        let target = parsed.and_then(|key| {
            Ok(DeleteTarget {
                version: version(object.version_id.as_deref())?,
                ..DeleteTarget::current(key)
            })
        });
        match target {
            Ok(target) => targets.push(target),
            Err(error) => errors.push(Error {
                code: Some(error.code().as_str().to_owned()),
                message: error.message().map(str::to_owned),
                key: Some(object.key),
                version_id: object.version_id,
            }),
        }
    }
    let deletions = storage.delete_targets(&bucket, &targets).await?;
    let text = |id: VersionId| id.to_string();
    let deleted = |deletion: Deletion| DeletedObject {
        key: Some(deletion.key.to_string()),
        version_id: deletion.version.map(text),
        delete_marker: deletion.marker.as_ref().map(|_| true),
        delete_marker_version_id: deletion.marker.map(text),
    };
    let is_quiet = input.delete.quiet.unwrap_or(false);
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: (!is_quiet).then(|| deletions.into_iter().map(deleted).collect()),
        errors: (!errors.is_empty()).then_some(errors),
        request_charged: None,
    }))
}

/// Reads `x-amz-copy-source`.
pub(super) fn copy_source(source: &CopySource) -> S3Result<(BucketName, ObjectKey, Option<VersionId>)> {
    let CopySource::Bucket {
        bucket,
        key,
        version_id,
    } = source
    else {
        return Err(not_implemented("Copies from access points are not offered."));
    };
    let (bucket, key) = place(bucket, key)?;
    Ok((bucket, key, version(version_id.as_deref())?))
}

pub(super) async fn copy_object(
    storage: &Storage,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    refuse_unsupported(&request.headers)?;
    let input = request.input;
    let (source_bucket, source_key, source_version) = copy_source(&input.copy_source)?;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let replaces = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => false,
        Some(MetadataDirective::REPLACE) => true,
        Some(_) => return Err(invalid_argument("Unknown metadata directive.")),
    };
    if !replaces && source_version.is_none() && (&source_bucket, &source_key) == (&bucket, &key) {
        let message = "This copy request is illegal because it is trying to copy an object to itself without \
                       changing the object's metadata.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    let replace = replaces.then(|| PutOptions {
        content_type: input.content_type,
        headers: object_headers(
            input.cache_control,
            input.content_disposition,
            input.content_encoding,
            input.content_language,
            input.expires.as_ref(),
        ),
        user_metadata: user_metadata(input.metadata),
        ..PutOptions::default()
    });
    let options = CopyOptions {
        source_version: source_version.clone(),
        tags: tagging::of_copy(input.tagging_directive.as_ref(), input.tagging.as_deref())?,
        replace,
        source_conditions: ReadConditions {
            if_match: input.copy_source_if_match.map(etag_condition),
            if_unmodified_since: input
                .copy_source_if_unmodified_since
                .as_ref()
                .and_then(from_dto_time),
            if_none_match: input.copy_source_if_none_match.map(etag_condition),
            if_modified_since: input
                .copy_source_if_modified_since
                .as_ref()
                .and_then(from_dto_time),
        },
        condition: None,
    };
    let meta = storage
        .copy((&source_bucket, &source_key), (&bucket, &key), options)
        .await?;
    let mut result = CopyObjectResult {
        e_tag: Some(strong(&meta.etag)),
        last_modified: Some(to_dto_time(meta.modified_at)),
        checksum_type: checksum_type(&meta),
        ..CopyObjectResult::default()
    };
    set_checksum!(result, &meta.checksum);
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: source_version.map(|id| id.to_string()),
        version_id: shown_version(storage, &bucket, &meta).await,
        ..CopyObjectOutput::default()
    }))
}
