//! Uploads in parts.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use super::buckets::owner;
use super::convert::{
    TextEncoding, algorithm, body, body_checksum, body_size, content_md5, count, etag_condition,
    from_dto_time, named_checksums, object_headers, place, refuse_unsupported, set_checksum, strong,
    to_dto_time, write_condition,
};
use super::encryption::{self, customer_key, refuse_choice, source_key};
use super::error::{invalid_argument, invalid_request, not_implemented};
use super::objects::{checksum_type, copy_source, user_metadata};
use crate::listing::MAX_PAGE;
use crate::{
    BucketName, ByteRange, CompleteUpload, CreateUpload, GetOptions, PartOptions, ReadConditions, Storage,
    UploadId, UploadQuery,
};

/// Reads whether a checksum is asked for over all bytes.
fn asks_full_object(asked: Option<&ChecksumType>) -> S3Result<Option<bool>> {
    match asked.map(ChecksumType::as_str) {
        None => Ok(None),
        Some(ChecksumType::COMPOSITE) => Ok(Some(false)),
        Some(ChecksumType::FULL_OBJECT) => Ok(Some(true)),
        Some(_) => Err(invalid_argument(
            "The checksum type must be COMPOSITE or FULL_OBJECT.",
        )),
    }
}

/// CRC-64 exists over whole objects only and the SHA family over parts only; the others are over the parts unless
/// asked otherwise.
fn is_full_object(
    algorithm: Option<crate::ChecksumAlgorithm>,
    asked: Option<&ChecksumType>,
) -> S3Result<bool> {
    use crate::ChecksumAlgorithm::{Crc64Nvme, Sha1, Sha256};
    match (algorithm, asks_full_object(asked)?) {
        (None, None) => Ok(false),
        (None, Some(_)) => Err(invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        )),
        (Some(Crc64Nvme), Some(false)) => Err(invalid_request(
            "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.",
        )),
        (Some(Sha1 | Sha256), Some(true)) => Err(invalid_request(
            "The FULL_OBJECT checksum type cannot be used with the SHA checksum algorithms.",
        )),
        (Some(algorithm), asked) => Ok(asked.unwrap_or(algorithm == Crc64Nvme)),
    }
}

fn type_of(upload_algorithm: Option<crate::ChecksumAlgorithm>, is_full: bool) -> Option<ChecksumType> {
    upload_algorithm?;
    let text = if is_full {
        ChecksumType::FULL_OBJECT
    } else {
        ChecksumType::COMPOSITE
    };
    Some(ChecksumType::from_static(text))
}

fn dto_algorithm(algorithm: Option<crate::ChecksumAlgorithm>) -> Option<ChecksumAlgorithm> {
    algorithm.map(|algorithm| ChecksumAlgorithm::from_static(algorithm.as_str()))
}

pub(super) async fn create_multipart_upload(
    storage: &Storage,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    refuse_unsupported(&request.headers)?;
    let encryption = encryption::asked(&request.headers)?;
    let customer_key = encryption.customer_key().cloned();
    let input = request.input;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let asked = input
        .checksum_algorithm
        .as_ref()
        .map(|name| algorithm(name.as_str()))
        .transpose()?;
    let full_object_checksum = is_full_object(asked, input.checksum_type.as_ref())?;
    let options = CreateUpload {
        content_type: input.content_type,
        headers: object_headers(
            input.cache_control,
            input.content_disposition,
            input.content_encoding,
            input.content_language,
            input.expires.as_ref(),
        ),
        user_metadata: user_metadata(input.metadata),
        tags: super::tagging::from_header(input.tagging.as_deref())?,
        checksum_algorithm: asked,
        full_object_checksum,
        encryption,
    };
    let upload = storage.create_upload(&bucket, &key, options).await?;
    // Another S3 says nothing of what was begun.
    let encryption = match storage.list_parts((&bucket, &key), &upload, 0, 0).await {
        Err(crate::Error::NotSupported(_)) => None,
        list => list?.upload.encryption,
    };
    let mut response = S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.to_string()),
        checksum_algorithm: dto_algorithm(asked),
        checksum_type: type_of(asked, full_object_checksum),
        ..CreateMultipartUploadOutput::default()
    });
    encryption::tell(&mut response.headers, encryption.as_ref(), customer_key.as_ref());
    Ok(response)
}

fn part_number(number: i32) -> S3Result<u32> {
    u32::try_from(number).map_err(|_| invalid_argument("Part number must be an integer between 1 and 10000"))
}

pub(super) async fn upload_part(
    storage: &Storage,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    refuse_unsupported(&request.headers)?;
    refuse_choice(&request.headers)?;
    let key_of_part = customer_key(&request.headers)?;
    let options = PartOptions {
        customer_key: key_of_part.clone(),
        expected_size: body_size(&request.headers, request.input.content_length),
        expected_md5: content_md5(request.input.content_md5.as_deref())?,
        checksum: body_checksum(&request.headers, request.trailing_headers.clone())?,
    };
    let input = request.input;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let (upload, number) = (UploadId::new(input.upload_id), part_number(input.part_number)?);
    let part = storage
        .upload_part((&bucket, &key), &upload, number, options, body(input.body))
        .await?;
    let mut output = UploadPartOutput {
        e_tag: Some(strong(&part.etag)),
        ..UploadPartOutput::default()
    };
    set_checksum!(output, &part.checksum);
    let mut response = S3Response::new(output);
    encryption::tell(
        &mut response.headers,
        part.encryption.as_ref(),
        key_of_part.as_ref(),
    );
    Ok(response)
}

pub(super) async fn upload_part_copy(
    storage: &Storage,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    refuse_unsupported(&request.headers)?;
    refuse_choice(&request.headers)?;
    let (key_of_part, key_of_source) = (customer_key(&request.headers)?, source_key(&request.headers)?);
    let input = request.input;
    let (source_bucket, source_key, source_version) = copy_source(&input.copy_source)?;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let (upload, number) = (UploadId::new(input.upload_id), part_number(input.part_number)?);
    let invalid_range =
        || invalid_argument("The x-amz-copy-source-range value must be of the form bytes=first-last");
    // Unlike a reader's, this range names both ends, and both lie within the source: a part is never shorter than asked for.
    let range = match input.copy_source_range.as_deref().map(Range::parse) {
        None => None,
        Some(Ok(Range::Int {
            first,
            last: Some(last),
        })) => Some((first, last)),
        Some(_) => return Err(invalid_range()),
    };
    let options = GetOptions {
        version: source_version.clone(),
        range: range.map(|(first, last)| ByteRange::Between { first, last }),
        part_number: None,
        conditions: ReadConditions {
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
        customer_key: key_of_source,
    };
    let opened = storage.get_with(&source_bucket, &source_key, options).await;
    let (source, stream) = opened.map_err(|error| match error {
        // A copy has no body to leave out.
        crate::Error::NotModified { .. } => crate::Error::PreconditionFailed {
            condition: "x-amz-copy-source-if-none-match",
        },
        other => other,
    })?;
    if range.is_some_and(|(_, last)| last >= source.size_bytes) {
        let size_bytes = source.size_bytes;
        return Err(crate::Error::RangeNotSatisfiable { size_bytes }.into());
    }
    let expected_size = Some(stream.size_bytes());
    let options = PartOptions {
        expected_size,
        customer_key: key_of_part.clone(),
        ..PartOptions::default()
    };
    let part = storage
        .upload_part((&bucket, &key), &upload, number, options, stream)
        .await?;
    let mut result = CopyPartResult {
        e_tag: Some(strong(&part.etag)),
        last_modified: Some(to_dto_time(part.modified_at)),
        ..CopyPartResult::default()
    };
    set_checksum!(result, &part.checksum);
    let output = UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: source_version.map(|id| id.to_string()),
        ..UploadPartCopyOutput::default()
    };
    let mut response = S3Response::new(output);
    encryption::tell(
        &mut response.headers,
        part.encryption.as_ref(),
        key_of_part.as_ref(),
    );
    Ok(response)
}

fn completed_part(part: CompletedPart) -> S3Result<crate::CompletedPart> {
    let checksums = named_checksums!(part);
    let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else {
        return Err(invalid_argument("Each part needs its PartNumber and ETag."));
    };
    Ok(crate::CompletedPart {
        number: part_number(number)?,
        etag: etag.into_value(),
        checksums,
    })
}

pub(super) async fn complete_multipart_upload(
    storage: &Storage,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    refuse_choice(&request.headers)?;
    let customer_key = customer_key(&request.headers)?;
    let input = request.input;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let mut checksums = named_checksums!(input);
    if checksums.len() > 1 {
        return Err(invalid_request("Expecting a single x-amz-checksum- header."));
    }
    let negative = |_| invalid_argument("The x-amz-mp-object-size header must not be negative.");
    let options = CompleteUpload {
        customer_key,
        condition: write_condition(input.if_match, input.if_none_match)?,
        checksum: checksums.pop(),
        full_object_checksum: asks_full_object(input.checksum_type.as_ref())?,
        size_bytes: input
            .mpu_object_size
            .map(u64::try_from)
            .transpose()
            .map_err(negative)?,
    };
    let named = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default();
    let parts: Vec<_> = named.into_iter().map(completed_part).collect::<S3Result<_>>()?;
    let upload = UploadId::new(input.upload_id);
    let meta = storage
        .complete_upload((&bucket, &key), &upload, &parts, options)
        .await?;
    let mut output = CompleteMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        location: Some(format!("/{bucket}/{key}")),
        e_tag: Some(strong(&meta.etag)),
        checksum_type: checksum_type(&meta),
        version_id: super::versioning::shown_version(storage, &bucket, &meta).await,
        ..CompleteMultipartUploadOutput::default()
    };
    set_checksum!(output, &meta.checksum);
    let mut response = S3Response::new(output);
    // A client's key is not told of here, as in S3.
    encryption::tell(&mut response.headers, meta.encryption.as_ref(), None);
    Ok(response)
}

pub(super) async fn abort_multipart_upload(
    storage: &Storage,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    storage
        .abort_upload(&bucket, &key, &UploadId::new(input.upload_id))
        .await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(super) async fn list_parts(
    storage: &Storage,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let limit = count(input.max_parts, "max-parts", MAX_PAGE)?.min(MAX_PAGE);
    let marker = input.part_number_marker.unwrap_or(0);
    let after =
        u32::try_from(marker).map_err(|_| invalid_argument("part-number-marker must not be negative"))?;
    let upload = UploadId::new(input.upload_id.clone());
    let list = storage.list_parts((&bucket, &key), &upload, after, limit).await?;
    let convert = |part: crate::Part| {
        let mut converted = Part {
            part_number: i32::try_from(part.number).ok(),
            size: i64::try_from(part.size_bytes).ok(),
            e_tag: Some(strong(&part.etag)),
            last_modified: Some(to_dto_time(part.modified_at)),
            ..Part::default()
        };
        set_checksum!(converted, &part.checksum);
        converted
    };
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: i32::try_from(limit).ok(),
        part_number_marker: Some(marker),
        is_truncated: Some(list.next.is_some()),
        next_part_number_marker: list.next.and_then(|number| i32::try_from(number).ok()),
        checksum_algorithm: dto_algorithm(list.upload.checksum_algorithm),
        checksum_type: type_of(list.upload.checksum_algorithm, list.upload.full_object_checksum),
        parts: Some(list.parts.into_iter().map(convert).collect()),
        owner: Some(owner()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        ..ListPartsOutput::default()
    }))
}

pub(super) async fn list_multipart_uploads(
    storage: &Storage,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    if input
        .delimiter
        .as_deref()
        .is_some_and(|delimiter| !delimiter.is_empty())
    {
        return Err(not_implemented(
            "Lists of uploads with a delimiter are not offered.",
        ));
    }
    let encoding = TextEncoding::parse(input.encoding_type.as_ref())?;
    let limit = count(input.max_uploads, "max-uploads", MAX_PAGE)?.min(MAX_PAGE);
    let key_marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
    let upload_marker = input.upload_id_marker.clone().filter(|marker| !marker.is_empty());
    let query = UploadQuery {
        prefix: input.prefix.clone().unwrap_or_default(),
        start_after: key_marker.map(|key| (key, upload_marker.map(UploadId::new))),
        limit: Some(limit),
    };
    let list = storage
        .list_uploads(&BucketName::parse(&input.bucket)?, query)
        .await?;
    let last = list.uploads.last().filter(|_| list.is_truncated);
    let (next_key, next_upload) = (
        last.map(|upload| encoding.encode(upload.key.as_str())),
        last.map(|upload| upload.id.to_string()),
    );
    let convert = |upload: crate::Upload| MultipartUpload {
        key: Some(encoding.encode(upload.key.as_str())),
        upload_id: Some(upload.id.to_string()),
        initiated: Some(to_dto_time(upload.created_at)),
        checksum_algorithm: dto_algorithm(upload.checksum_algorithm),
        checksum_type: type_of(upload.checksum_algorithm, upload.full_object_checksum),
        owner: Some(owner()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        ..MultipartUpload::default()
    };
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: Some(encoding.encode(input.prefix.unwrap_or_default())),
        key_marker: Some(encoding.encode(input.key_marker.unwrap_or_default())),
        upload_id_marker: input.upload_id_marker,
        encoding_type: input.encoding_type,
        max_uploads: i32::try_from(limit).ok(),
        is_truncated: Some(list.is_truncated),
        next_key_marker: next_key,
        next_upload_id_marker: next_upload,
        uploads: Some(list.uploads.into_iter().map(convert).collect()),
        ..ListMultipartUploadsOutput::default()
    }))
}
