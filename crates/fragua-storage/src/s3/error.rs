//! Our failures in the words of S3.

use axum::http::header::{ALLOW, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use fragua_base::{ErrorKind, Timestamp};
use s3s::dto::TimestampFormat;
use s3s::{S3Error, S3ErrorCode};

use super::convert::{format_time, to_dto_time};
use crate::{Error, VersionId};

/// What clients are told of a fault of ours; the log says more.
pub(super) const INTERNAL: &str = "We encountered an internal error. Please try again.";

pub(super) fn unavailable() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::ServiceUnavailable,
        "Please reduce your request rate or try again later.",
    )
}

pub(super) fn invalid_argument(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message.into())
}

pub(super) fn invalid_request(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message.into())
}

pub(super) fn not_implemented(what: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::NotImplemented, what)
}

impl From<Error> for S3Error {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::InvalidBucketName { .. } => S3ErrorCode::InvalidBucketName,
            Error::InvalidKey { .. } | Error::InvalidInput { .. } => S3ErrorCode::InvalidArgument,
            Error::KeyTooLong => S3ErrorCode::KeyTooLongError,
            Error::BucketNotFound { .. } => S3ErrorCode::NoSuchBucket,
            Error::BucketExists { .. } => S3ErrorCode::BucketAlreadyOwnedByYou,
            Error::BucketNotEmpty { .. } => S3ErrorCode::BucketNotEmpty,
            Error::ObjectNotFound { delete_marker, .. } => {
                return no_such_key(delete_marker.as_ref(), &error);
            }
            Error::VersionNotFound { .. } => S3ErrorCode::NoSuchVersion,
            Error::IsDeleteMarker {
                version_id,
                modified_at,
                ..
            } => return is_delete_marker(version_id, *modified_at, &error),
            Error::InvalidTag { .. } => S3ErrorCode::InvalidTag,
            Error::InvalidSetting { setting, .. } => invalid_setting(setting),
            Error::CustomerKeyMissing | Error::CustomerKeyUnneeded => S3ErrorCode::InvalidRequest,
            Error::CustomerKeyDiffers => S3ErrorCode::AccessDenied,
            Error::QuotaExceeded { .. } => return quota_exceeded(&error),
            Error::UploadNotFound { .. } => S3ErrorCode::NoSuchUpload,
            Error::InvalidPart { .. } => S3ErrorCode::InvalidPart,
            Error::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
            Error::UploadMismatch { .. } => S3ErrorCode::InvalidRequest,
            Error::NoSuchPart { .. } => return invalid_part_number(&error),
            Error::PartTooSmall { .. } => S3ErrorCode::EntityTooSmall,
            Error::PreconditionFailed { .. } => S3ErrorCode::PreconditionFailed,
            Error::NotModified { etag } => return not_modified(etag),
            Error::RangeNotSatisfiable { size_bytes } => return invalid_range(*size_bytes, &error),
            Error::TooLarge { .. } => S3ErrorCode::EntityTooLarge,
            Error::MetadataTooLarge { .. } => S3ErrorCode::MetadataTooLarge,
            Error::IncompleteBody { .. } => S3ErrorCode::IncompleteBody,
            Error::ChecksumMismatch { .. } => S3ErrorCode::BadDigest,
            Error::Body(cause) => return body_error(cause),
            Error::StorageFull => return cannot_store("StorageFull", &error),
            Error::ReadOnly => return cannot_store("StorageReadOnly", &error),
            Error::NotSupported(_) => S3ErrorCode::NotImplemented,
            Error::Database(_)
            | Error::Disk { .. }
            | Error::EncryptionKeyMissing { .. }
            | Error::Remote { .. }
            | Error::RemoteForbidden { .. } => {
                tracing::error!(%error, "an S3 request failed");
                return match error.kind() {
                    ErrorKind::Unavailable | ErrorKind::Overloaded => unavailable(),
                    _ => Self::with_message(S3ErrorCode::InternalError, INTERNAL),
                };
            }
        };
        Self::with_message(code, sentence(&error))
    }
}

/// Our messages are lower-case and without a stop; S3's are sentences.
pub(super) fn sentence(error: &Error) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|character| character.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

fn not_modified(etag: &str) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    let mut headers = HeaderMap::new();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        headers.insert(ETAG, etag);
    }
    error.set_headers(headers);
    error
}

fn invalid_range(size_bytes: u64, cause: &Error) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::InvalidRange, sentence(cause));
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/xml"))]);
    if let Ok(range) = HeaderValue::from_str(&format!("bytes */{size_bytes}")) {
        headers.insert(CONTENT_RANGE, range);
    }
    error.set_headers(headers);
    error
}

fn invalid_part_number(cause: &Error) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom("InvalidPartNumber".into()), sentence(cause));
    error.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
    error
}

fn cannot_store(code: &'static str, cause: &Error) -> S3Error {
    tracing::error!(error = %cause, "the object store cannot be written");
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), sentence(cause));
    error.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
    error
}

/// Ceph's words; S3 itself has no quotas.
fn quota_exceeded(cause: &Error) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom("QuotaExceeded".into()), sentence(cause));
    error.set_status_code(StatusCode::FORBIDDEN);
    error
}

fn invalid_setting(setting: &str) -> S3ErrorCode {
    match setting {
        "policy" => S3ErrorCode::MalformedPolicy,
        "CORS" => S3ErrorCode::InvalidRequest,
        _ => S3ErrorCode::InvalidArgument,
    }
}

fn marker_headers(version: &VersionId) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/xml")),
        (
            HeaderName::from_static("x-amz-delete-marker"),
            HeaderValue::from_static("true"),
        ),
    ]);
    if let Ok(version) = HeaderValue::from_str(version.as_str()) {
        headers.insert("x-amz-version-id", version);
    }
    headers
}

fn no_such_key(marker: Option<&VersionId>, cause: &Error) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::NoSuchKey, sentence(cause));
    if let Some(marker) = marker {
        error.set_headers(marker_headers(marker));
    }
    error
}

/// Of a delete marker one can learn when it was made, and delete it.
fn is_delete_marker(version: &VersionId, modified_at: Timestamp, cause: &Error) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::MethodNotAllowed, sentence(cause));
    let mut headers = marker_headers(version);
    headers.insert(ALLOW, HeaderValue::from_static("DELETE"));
    let modified_at = format_time(&to_dto_time(modified_at), TimestampFormat::HttpDate);
    if let Some(modified_at) = modified_at.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(LAST_MODIFIED, modified_at);
    }
    error.set_headers(headers);
    error
}

/// `s3s` checks signatures and hashes while a body is read, with errors that it does not export: their names are
/// in their texts.
fn body_error(cause: &std::io::Error) -> S3Error {
    let text = cause.to_string();
    if text.contains("Sha256Mismatch") {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        let mut error =
            S3Error::with_message(S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()), message);
        error.set_status_code(StatusCode::BAD_REQUEST);
        return error;
    }
    if text.contains("SignatureMismatch") {
        return S3Error::with_message(
            S3ErrorCode::SignatureDoesNotMatch,
            "The signature of a chunk does not match the one computed.",
        );
    }
    S3Error::with_message(
        S3ErrorCode::IncompleteBody,
        "The request body ended before it was complete or was not well formed.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_takes_no_more_has_its_own_codes() {
        for (error, code) in [
            (Error::StorageFull, "StorageFull"),
            (Error::ReadOnly, "StorageReadOnly"),
        ] {
            let error = S3Error::from(error);
            assert_eq!(error.code().as_str(), code);
            assert_eq!(error.status_code(), Some(StatusCode::INSUFFICIENT_STORAGE));
        }
    }
}
