//! Operations on objects.

use std::collections::BTreeMap;

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::convert::{
    algorithm, body, body_checksum, body_size, byte_range, content_md5, etag_condition, expires,
    from_dto_time, object_headers, place, refuse_unsupported, set_checksum, strong, to_dto_time,
    write_condition, write_condition_of,
};
use super::encryption::{self, customer_key, refuse_choice, source_key};
use super::error::{invalid_argument, invalid_request, not_implemented};
use super::tagging::{self, tag_count};
use super::versioning::{shown_version, version};
use crate::multipart::MAX_PART_NUMBER;
use crate::{
    BucketName, CopyOptions, Encrypt, GetOptions, ObjectKey, ObjectMeta, PutOptions, ReadConditions, Storage,
    VersionId,
};

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
    let encryption = encryption::asked(&request.headers)?;
    let customer_key = encryption.customer_key().cloned();
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
        is_form: false,
        encryption,
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
    let mut response = S3Response::new(output);
    encryption::tell(
        &mut response.headers,
        meta.encryption.as_ref(),
        customer_key.as_ref(),
    );
    Ok(response)
}

pub(super) async fn get_object(
    storage: &Storage,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    refuse_choice(&request.headers)?;
    let customer_key = customer_key(&request.headers)?;
    let input = request.input;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let options = GetOptions {
        version: version(input.version_id.as_deref())?,
        part_number: part_number(input.part_number, input.range.is_some())?,
        range: input.range.map(byte_range),
        conditions: ReadConditions {
            if_match: input.if_match.map(etag_condition),
            if_unmodified_since: input.if_unmodified_since.as_ref().and_then(from_dto_time),
            if_none_match: input.if_none_match.map(etag_condition),
            if_modified_since: input.if_modified_since.as_ref().and_then(from_dto_time),
        },
        customer_key: customer_key.clone(),
    };
    let (is_part, by_number) = (is_part(&options), options.part_number.is_some());
    let (meta, stream) = storage.get_with(&bucket, &key, options).await?;
    let range = stream.range();
    let mut output = GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: meta.headers.cache_control.clone(),
        content_disposition: meta.headers.content_disposition.clone(),
        content_encoding: meta.headers.content_encoding.clone(),
        content_language: meta.headers.content_language.clone(),
        content_length: i64::try_from(stream.size_bytes()).ok(),
        content_range: content_range(is_part, &range, &meta),
        content_type: Some(meta.content_type.clone()),
        e_tag: Some(strong(&meta.etag)),
        expires: expires(&meta.headers),
        last_modified: Some(to_dto_time(meta.modified_at)),
        metadata: to_dto_metadata(&meta.user_metadata),
        parts_count: parts_count(&meta, by_number),
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
    let mut response = S3Response::new(output);
    encryption::tell(
        &mut response.headers,
        meta.encryption.as_ref(),
        customer_key.as_ref(),
    );
    Ok(response)
}

/// Returns what is known of an object, or of a version of it.
pub(super) async fn head(
    storage: &Storage,
    (bucket, key): (&BucketName, &ObjectKey),
    version_id: Option<&str>,
) -> S3Result<ObjectMeta> {
    Ok(match version(version_id)? {
        None => storage.head(bucket, key).await?,
        Some(version) => storage.head_version(bucket, key, &version).await?,
    })
}

pub(super) async fn head_object(
    storage: &Storage,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    refuse_choice(&request.headers)?;
    let customer_key = customer_key(&request.headers)?;
    let input = request.input;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let options = GetOptions {
        version: None,
        part_number: part_number(input.part_number, input.range.is_some())?,
        range: input.range.map(byte_range),
        conditions: ReadConditions {
            if_match: input.if_match.map(etag_condition),
            if_unmodified_since: input.if_unmodified_since.as_ref().and_then(from_dto_time),
            if_none_match: input.if_none_match.map(etag_condition),
            if_modified_since: input.if_modified_since.as_ref().and_then(from_dto_time),
        },
        customer_key,
    };
    let meta = head(storage, (&bucket, &key), input.version_id.as_deref()).await?;
    meta.check_customer_key(options.customer_key.as_ref())?;
    options.conditions.check(&meta)?;
    let (is_part, range) = (is_part(&options), options.resolve(&meta)?);
    let mut output = HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: meta.headers.cache_control.clone(),
        content_disposition: meta.headers.content_disposition.clone(),
        content_encoding: meta.headers.content_encoding.clone(),
        content_language: meta.headers.content_language.clone(),
        content_length: i64::try_from(range.end - range.start).ok(),
        content_range: content_range(is_part, &range, &meta),
        content_type: Some(meta.content_type.clone()),
        e_tag: Some(strong(&meta.etag)),
        expires: expires(&meta.headers),
        last_modified: Some(to_dto_time(meta.modified_at)),
        metadata: to_dto_metadata(&meta.user_metadata),
        version_id: shown_version(storage, &bucket, &meta).await,
        parts_count: parts_count(&meta, options.part_number.is_some()),
        ..HeadObjectOutput::default()
    };
    if input.checksum_mode.is_some() && !is_part {
        set_checksum!(output, &meta.checksum);
        output.checksum_type = checksum_type(&meta);
    }
    let mut response = S3Response::new(output);
    encryption::tell(
        &mut response.headers,
        meta.encryption.as_ref(),
        options.customer_key.as_ref(),
    );
    // The answer's own type has no field for it.
    if let Some(count) = tag_count(&meta.tags) {
        response.headers.insert("x-amz-tagging-count", count.into());
    }
    Ok(response)
}

fn part_number(number: Option<i32>, has_range: bool) -> S3Result<Option<u32>> {
    let Some(number) = number else { return Ok(None) };
    if has_range {
        return Err(invalid_request(
            "Cannot specify both Range header and partNumber query parameter",
        ));
    }
    match u32::try_from(number) {
        Ok(number @ 1..=MAX_PART_NUMBER) => Ok(Some(number)),
        _ => Err(invalid_argument(
            "Part number must be an integer between 1 and 10000, inclusive",
        )),
    }
}

fn is_part(options: &GetOptions) -> bool {
    options.range.is_some() || options.part_number.is_some()
}

/// An empty object, which is its own part 1, has no range to tell and is answered with 200.
fn content_range(is_part: bool, range: &std::ops::Range<u64>, meta: &ObjectMeta) -> Option<String> {
    let is_told = is_part && !range.is_empty();
    is_told.then(|| format!("bytes {}-{}/{}", range.start, range.end - 1, meta.size_bytes))
}

/// Clients that read by part numbers learn from the first part how many there are.
fn parts_count(meta: &ObjectMeta, by_number: bool) -> Option<i32> {
    let is_told = by_number && !meta.parts.is_empty();
    is_told.then(|| i32::try_from(meta.parts.count()).unwrap_or(i32::MAX))
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
    let condition = write_condition_of(&request.headers)?;
    let (encryption, key_of_source) = (
        encryption::asked(&request.headers)?,
        source_key(&request.headers)?,
    );
    let customer_key = encryption.customer_key().cloned();
    let input = request.input;
    let asked = input.checksum_algorithm.as_ref();
    let checksum = asked.map(|name| algorithm(name.as_str())).transpose()?;
    let (source_bucket, source_key, source_version) = copy_source(&input.copy_source)?;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let replaces = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => false,
        Some(MetadataDirective::REPLACE) => true,
        Some(_) => return Err(invalid_argument("Unknown metadata directive.")),
    };
    let changes = replaces || encryption != Encrypt::AsBucket;
    if !changes && source_version.is_none() && (&source_bucket, &source_key) == (&bucket, &key) {
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
        condition,
        checksum,
        source_key: key_of_source,
        encryption: Some(encryption),
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
    let mut response = S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: source_version.map(|id| id.to_string()),
        version_id: shown_version(storage, &bucket, &meta).await,
        ..CopyObjectOutput::default()
    });
    encryption::tell(
        &mut response.headers,
        meta.encryption.as_ref(),
        customer_key.as_ref(),
    );
    Ok(response)
}
