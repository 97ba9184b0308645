//! Versions of objects.

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::buckets::owner;
use super::convert::{TextEncoding, count, strong, to_dto_time};
use super::error::not_implemented;
use crate::listing::MAX_PAGE;
use crate::{BucketName, ObjectMeta, Storage, VersionId, VersionQuery, Versioning};

/// Reads the version that a client asks for.
pub(super) fn version(text: Option<&str>) -> S3Result<Option<VersionId>> {
    Ok(text.map(VersionId::parse).transpose()?)
}

/// Returns the version that an answer names: none in a bucket that never made any.
pub(super) async fn shown_version(
    storage: &Storage,
    bucket: &BucketName,
    meta: &ObjectMeta,
) -> Option<String> {
    let version = meta.version_id.as_ref()?;
    if version.is_null() {
        let settings = storage.bucket_settings(bucket).await.ok()?;
        if settings.versioning == Versioning::Never {
            return None;
        }
    }
    Some(version.to_string())
}

/// No status says that versioning was never turned on.
pub(super) async fn get_bucket_versioning(
    storage: &Storage,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let versioning = match storage.current_bucket_settings(&bucket).await {
        Ok(settings) => settings.versioning,
        Err(crate::Error::NotSupported(_)) => {
            storage.head_bucket(&bucket).await?;
            Versioning::Never
        }
        Err(error) => return Err(error.into()),
    };
    let status =
        (versioning != Versioning::Never).then(|| BucketVersioningStatus::from_static(versioning.as_str()));
    Ok(S3Response::new(GetBucketVersioningOutput {
        status,
        ..GetBucketVersioningOutput::default()
    }))
}

pub(super) async fn put_bucket_versioning(
    storage: &Storage,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let input = request.input;
    let configuration = input.versioning_configuration;
    let versioning = match configuration.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        _ => {
            let message = "The Status of a versioning configuration must be Enabled or Suspended.";
            return Err(S3Error::with_message(S3ErrorCode::MalformedXML, message));
        }
    };
    let mfa_delete = configuration.mfa_delete.as_ref().map(MFADelete::as_str);
    if mfa_delete == Some(MFADelete::ENABLED) {
        return Err(not_implemented("MFA delete is not offered."));
    }
    storage
        .set_versioning(&BucketName::parse(&input.bucket)?, versioning)
        .await?;
    Ok(S3Response::new(PutBucketVersioningOutput::default()))
}

pub(super) async fn list_object_versions(
    storage: &Storage,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = request.input;
    let encoding = TextEncoding::parse(input.encoding_type.as_ref())?;
    let limit = count(input.max_keys, "max-keys", MAX_PAGE)?.min(MAX_PAGE);
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (key_marker, version_marker) = (given(&input.key_marker), given(&input.version_id_marker));
    if key_marker.is_none() && version_marker.is_some() {
        let message = "A version-id marker cannot be specified without a key marker.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
    }
    let version_marker = version(version_marker.as_deref())?;
    let query = VersionQuery {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        start_after: key_marker.map(|key| (key, version_marker)),
        limit: Some(limit),
    };
    let page = storage
        .list_versions(&BucketName::parse(&input.bucket)?, query)
        .await?;
    let is_truncated = page.next.is_some();
    let (next_key, next_version) = page.next.unzip();
    let (mut versions, mut delete_markers) = (Vec::new(), Vec::new());
    for version in page.versions {
        let key = Some(encoding.encode(version.key.as_str()));
        let (is_latest, last_modified) = (Some(version.is_latest), Some(to_dto_time(version.modified_at)));
        let version_id = Some(version.id.to_string());
        match version.content {
            Some(content) => versions.push(ObjectVersion {
                key,
                version_id,
                is_latest,
                last_modified,
                e_tag: Some(strong(&content.etag)),
                size: i64::try_from(content.size_bytes).ok(),
                owner: Some(owner()),
                storage_class: Some(ObjectVersionStorageClass::from_static(
                    ObjectVersionStorageClass::STANDARD,
                )),
                ..ObjectVersion::default()
            }),
            None => delete_markers.push(DeleteMarkerEntry {
                key,
                version_id,
                is_latest,
                last_modified,
                owner: Some(owner()),
            }),
        }
    }
    let prefixes = page.prefixes.into_iter().map(|prefix| CommonPrefix {
        prefix: Some(encoding.encode(prefix)),
    });
    Ok(S3Response::new(ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.encode(input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|text| encoding.encode(text)),
        key_marker: Some(encoding.encode(input.key_marker.unwrap_or_default())),
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        encoding_type: input.encoding_type,
        max_keys: i32::try_from(limit).ok(),
        is_truncated: Some(is_truncated),
        next_key_marker: next_key.map(|key| encoding.encode(key)),
        next_version_id_marker: next_version.flatten().map(|id| id.to_string()),
        versions: Some(versions),
        delete_markers: Some(delete_markers),
        common_prefixes: Some(prefixes.collect()),
        request_charged: None,
    }))
}
