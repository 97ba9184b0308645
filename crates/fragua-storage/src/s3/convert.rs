//! Values of the protocol and ours.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fragua_base::Timestamp;
use futures::{Stream, StreamExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{ETag, ETagCondition, StreamingBlob, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders};

use super::error::{invalid_argument, invalid_request, not_implemented};
use crate::{
    BucketName, ByteRange, ChecksumAlgorithm, EtagCondition, ExpectedChecksum, ObjectHeaders, ObjectKey,
    WriteCondition,
};

/// What `encoding-type=url` leaves as it is.
const URL_ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Lists the checksums that an input or a part names, of whatever algorithm.
macro_rules! named_checksums {
    ($input:expr) => {
        [
            ($crate::ChecksumAlgorithm::Crc32, &$input.checksum_crc32),
            ($crate::ChecksumAlgorithm::Crc32c, &$input.checksum_crc32c),
            ($crate::ChecksumAlgorithm::Crc64Nvme, &$input.checksum_crc64nvme),
            ($crate::ChecksumAlgorithm::Sha1, &$input.checksum_sha1),
            ($crate::ChecksumAlgorithm::Sha256, &$input.checksum_sha256),
        ]
        .into_iter()
        .filter_map(|(algorithm, value)| {
            let value = value.clone()?;
            Some($crate::Checksum { algorithm, value })
        })
        .collect::<Vec<$crate::Checksum>>()
    };
}
pub(super) use named_checksums;

/// Writes a [`crate::Checksum`] into whichever field of an output is its own.
macro_rules! set_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            let value = Some(checksum.value.clone());
            match checksum.algorithm {
                $crate::ChecksumAlgorithm::Crc32 => $output.checksum_crc32 = value,
                $crate::ChecksumAlgorithm::Crc32c => $output.checksum_crc32c = value,
                $crate::ChecksumAlgorithm::Crc64Nvme => $output.checksum_crc64nvme = value,
                $crate::ChecksumAlgorithm::Sha1 => $output.checksum_sha1 = value,
                $crate::ChecksumAlgorithm::Sha256 => $output.checksum_sha256 = value,
            }
        }
    };
}
pub(super) use set_checksum;

pub(super) fn place(bucket: &str, key: &str) -> S3Result<(BucketName, ObjectKey)> {
    Ok((BucketName::parse(bucket)?, ObjectKey::parse(key)?))
}

pub(super) fn to_dto_time(time: Timestamp) -> s3s::dto::Timestamp {
    let millis = Duration::from_millis(time.as_millis().unsigned_abs());
    let time = if time.as_millis() < 0 {
        SystemTime::UNIX_EPOCH - millis
    } else {
        SystemTime::UNIX_EPOCH + millis
    };
    time.into()
}

pub(super) fn format_time(time: &s3s::dto::Timestamp, format: TimestampFormat) -> Option<String> {
    let mut text = Vec::new();
    time.format(format, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// A time that cannot be read is passed over, as RFC 9110 asks for in conditions.
pub(super) fn from_dto_time(time: &s3s::dto::Timestamp) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(&format_time(time, TimestampFormat::DateTime)?).ok()
}

pub(super) fn strong(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

pub(super) fn etag_condition(condition: ETagCondition) -> EtagCondition {
    match condition {
        ETagCondition::Any => EtagCondition::Any,
        ETagCondition::ETag(etag) => EtagCondition::Is(etag.into_value()),
    }
}

/// Reads the two headers that make a write conditional.
pub(super) fn write_condition(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Option<WriteCondition>> {
    match (if_match, if_none_match) {
        (None, None) => Ok(None),
        (None, Some(ETagCondition::Any)) => Ok(Some(WriteCondition::Absent)),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Some(WriteCondition::Etag(etag.into_value()))),
        _ => Err(not_implemented(
            "Writes take either If-None-Match with * or If-Match with an entity tag.",
        )),
    }
}

pub(super) fn byte_range(range: s3s::dto::Range) -> ByteRange {
    match range {
        s3s::dto::Range::Int { first, last: None } => ByteRange::From { first },
        s3s::dto::Range::Int {
            first,
            last: Some(last),
        } => ByteRange::Between { first, last },
        s3s::dto::Range::Suffix { length } => ByteRange::Last { length },
    }
}

/// Reads a condition of a write from its headers, where the operation's input has no room for it.
pub(super) fn write_condition_of(headers: &HeaderMap) -> S3Result<Option<WriteCondition>> {
    let condition = |name: &str| {
        let Some(value) = headers.get(name) else {
            return Ok(None);
        };
        let parsed = ETagCondition::parse_http_header(value.as_bytes());
        parsed
            .map(Some)
            .map_err(|_| invalid_argument(format!("The header {name} is no entity tag.")))
    };
    write_condition(condition("if-match")?, condition("if-none-match")?)
}

/// Gathers the headers that are kept with an object. `aws-chunked` is about the transfer alone.
pub(super) fn object_headers(
    cache_control: Option<String>,
    content_disposition: Option<String>,
    content_encoding: Option<String>,
    content_language: Option<String>,
    expires: Option<&s3s::dto::Timestamp>,
) -> ObjectHeaders {
    let content_encoding = content_encoding.and_then(|text| {
        let lasting: Vec<&str> = text
            .split(',')
            .map(str::trim)
            .filter(|name| !matches!(*name, "" | "aws-chunked"))
            .collect();
        (!lasting.is_empty()).then(|| lasting.join(","))
    });
    ObjectHeaders {
        cache_control,
        content_disposition,
        content_encoding,
        content_language,
        expires: expires.and_then(|time| format_time(time, TimestampFormat::HttpDate)),
    }
}

pub(super) fn expires(headers: &ObjectHeaders) -> Option<s3s::dto::Timestamp> {
    s3s::dto::Timestamp::parse(TimestampFormat::HttpDate, headers.expires.as_deref()?).ok()
}

fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the size that the body will have, without the frames of `aws-chunked`.
pub(super) fn body_size(headers: &HeaderMap, content_length: Option<i64>) -> Option<u64> {
    let decoded = text(headers, "x-amz-decoded-content-length").and_then(|text| text.parse().ok());
    decoded.or_else(|| content_length.and_then(|length| u64::try_from(length).ok()))
}

pub(super) fn content_md5(text: Option<&str>) -> S3Result<Option<[u8; 16]>> {
    let Some(text) = text else { return Ok(None) };
    let invalid = || {
        S3Error::with_message(
            S3ErrorCode::InvalidDigest,
            "The Content-MD5 you specified is not valid.",
        )
    };
    let bytes = STANDARD.decode(text).map_err(|_| invalid())?;
    bytes.try_into().map(Some).map_err(|_| invalid())
}

fn header_of(algorithm: ChecksumAlgorithm) -> HeaderName {
    HeaderName::from_static(match algorithm {
        ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
        ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
        ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumAlgorithm::Sha1 => "x-amz-checksum-sha1",
        ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
    })
}

/// Finds the checksum of a body: in a header, in a trailer that a header announces, or only asked for.
pub(super) fn body_checksum(
    headers: &HeaderMap,
    trailers: Option<TrailingHeaders>,
) -> S3Result<Option<ExpectedChecksum>> {
    let sent = |algorithm| Some((algorithm, text(headers, header_of(algorithm).as_str())?));
    let mut sent = ChecksumAlgorithm::ALL.into_iter().filter_map(sent);
    match (sent.next(), sent.next()) {
        (Some((algorithm, value)), None) => {
            return Ok(Some(ExpectedChecksum::equal_to(algorithm, value)));
        }
        (Some(_), Some(_)) => {
            return Err(invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
        (None, _) => {}
    }
    let announced = text(headers, "x-amz-trailer").unwrap_or_default();
    if let Some(trailers) = trailers {
        let is_announced = |algorithm: &ChecksumAlgorithm| {
            announced
                .split(',')
                .any(|name| header_of(*algorithm).as_str().eq_ignore_ascii_case(name.trim()))
        };
        if let Some(algorithm) = ChecksumAlgorithm::ALL.into_iter().find(is_announced) {
            let name = header_of(algorithm);
            // A trailer that was announced and does not come equals no checksum.
            return Ok(Some(ExpectedChecksum::at_end(algorithm, move || {
                let sent = trailers.read(|trailers| text(trailers, name.as_str()).map(str::to_owned));
                Some(sent.flatten().unwrap_or_default())
            })));
        }
    }
    let asked = text(headers, "x-amz-sdk-checksum-algorithm");
    asked
        .map(|name| algorithm(name).map(ExpectedChecksum::compute))
        .transpose()
}

pub(super) fn algorithm(name: &str) -> S3Result<ChecksumAlgorithm> {
    ChecksumAlgorithm::from_name(name).ok_or_else(|| {
        invalid_argument("The checksum algorithm must be CRC32, CRC32C, CRC64NVME, SHA1 or SHA256.")
    })
}

/// Turns a request's body into what the façade reads.
pub(super) fn body(
    blob: Option<StreamingBlob>,
) -> impl Stream<Item = std::io::Result<bytes::Bytes>> + Send + Unpin {
    let chunks = futures::stream::iter(blob).flatten();
    chunks.map(|chunk| chunk.map_err(std::io::Error::other))
}

/// Refuses headers that ask for what is not done here; to pass over them would be to lie.
pub(super) fn refuse_unsupported(headers: &HeaderMap) -> S3Result<()> {
    let asks = |name: &str| headers.contains_key(name);
    if asks("x-amz-object-lock-mode") || asks("x-amz-object-lock-legal-hold") {
        return Err(not_implemented("Object lock is not offered."));
    }
    if text(headers, "x-amz-storage-class").is_some_and(|class| class != "STANDARD") {
        let message = "The storage class you specified is not valid; only STANDARD is offered.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidStorageClass, message));
    }
    refuse_acl(headers)
}

pub(super) fn refuse_acl(headers: &HeaderMap) -> S3Result<()> {
    let acl = text(headers, "x-amz-acl").unwrap_or("private");
    let grants = headers
        .keys()
        .any(|name| name.as_str().starts_with("x-amz-grant-"));
    if grants || !matches!(acl, "private" | "bucket-owner-full-control") {
        let message = "The bucket does not allow ACLs; everything is private to its owner.";
        return Err(S3Error::with_message(
            S3ErrorCode::AccessControlListNotSupported,
            message,
        ));
    }
    Ok(())
}

/// How texts of lists go out: as they are, or percent-encoded when the client asks for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextEncoding {
    is_url: bool,
}

impl TextEncoding {
    pub(super) fn parse(encoding: Option<&s3s::dto::EncodingType>) -> S3Result<Self> {
        match encoding.map(s3s::dto::EncodingType::as_str) {
            None | Some("") => Ok(Self { is_url: false }),
            Some("url") => Ok(Self { is_url: true }),
            Some(_) => Err(invalid_argument("Invalid Encoding Method specified in Request")),
        }
    }

    pub(super) fn encode(self, text: impl AsRef<str>) -> String {
        if self.is_url {
            utf8_percent_encode(text.as_ref(), URL_ENCODED).to_string()
        } else {
            text.as_ref().to_owned()
        }
    }
}

/// Hides where a list goes on from clients, as S3 does.
pub(super) fn to_token(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

pub(super) fn from_token(token: &str) -> S3Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| invalid_argument("The continuation token provided is incorrect"))
}

/// Reads a count that a client asks for.
pub(super) fn count(value: Option<i32>, name: &str, default: usize) -> S3Result<usize> {
    let Some(value) = value else { return Ok(default) };
    usize::try_from(value).map_err(|_| invalid_argument(format!("Argument {name} must not be negative")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_both_ways() {
        for millis in [0, 1_743_552_000_123, -1_500] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(from_dto_time(&to_dto_time(time)), Some(time));
        }
    }

    #[test]
    fn texts_of_lists_are_encoded_on_demand() {
        let url = TextEncoding::parse(Some(&s3s::dto::EncodingType::from_static("url"))).unwrap();
        assert_eq!(url.encode("a b+ñ/ä%"), "a%20b%2B%C3%B1/%C3%A4%25");
        assert_eq!(TextEncoding::parse(None).unwrap().encode("a b+"), "a b+");
        assert!(TextEncoding::parse(Some(&s3s::dto::EncodingType::from_static("xml"))).is_err());
    }

    #[test]
    fn tokens_go_both_ways() {
        assert_eq!(from_token(&to_token("a/ñ +")).unwrap(), "a/ñ +");
        assert!(from_token("?").is_err());
    }

    #[test]
    fn the_encoding_of_the_transfer_is_not_kept() {
        for (sent, kept) in [
            (Some("aws-chunked"), None),
            (Some("aws-chunked, gzip"), Some("gzip")),
            (Some("gzip"), Some("gzip")),
            (None, None),
        ] {
            let headers = object_headers(None, None, sent.map(str::to_owned), None, None);
            assert_eq!(headers.content_encoding.as_deref(), kept, "{sent:?}");
        }
    }

    #[test]
    fn of_two_checksums_one_was_not_compared() {
        let headers = |names: &[&'static str]| {
            let headers = names
                .iter()
                .map(|name| (HeaderName::from_static(name), "x".parse().unwrap()));
            HeaderMap::from_iter(headers)
        };
        let checked = |names| body_checksum(&headers(names), None).map(|checksum| checksum.is_some());
        assert!(checked(&["x-amz-checksum-sha256"]).unwrap() && !checked(&[]).unwrap());
        assert!(checked(&["x-amz-checksum-crc32", "x-amz-checksum-sha256"]).is_err());
    }

    #[test]
    fn what_is_not_done_is_refused() {
        for (name, value, good) in [
            ("x-amz-acl", "private", true),
            ("x-amz-acl", "public-read", false),
            ("x-amz-grant-read", "id=1", false),
            ("x-amz-storage-class", "STANDARD", true),
            ("x-amz-storage-class", "GLACIER", false),
        ] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())]);
            assert_eq!(refuse_unsupported(&headers).is_ok(), good, "{name}: {value}");
        }
    }
}
