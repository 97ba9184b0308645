//! Objects: keys, metadata, ranges and conditions.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use fragua_base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::checksum::{Checksum, ChecksumAlgorithm, ExpectedChecksum};
use crate::{CustomerKey, Encrypt, Encryption, Error, Tags, VersionId};

/// The longest key in bytes of UTF-8.
const MAX_KEY_BYTES: usize = 1024;

/// The most that the names and values of user metadata may hold together, in bytes.
pub(crate) const MAX_USER_METADATA_BYTES: usize = 2048;

/// What S3 says of an object that was stored without a content type.
pub(crate) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The key of an object: 1 to 1024 bytes of UTF-8 without NUL. Slashes and dots mean nothing in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Checks a key.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] or [`Error::KeyTooLong`].
    pub fn parse(key: impl Into<String>) -> Result<Self, Error> {
        let key = key.into();
        if key.is_empty() {
            return Err(Error::InvalidKey {
                reason: "must not be empty",
            });
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(Error::KeyTooLong);
        }
        if key.contains('\0') {
            return Err(Error::InvalidKey {
                reason: "must not hold a NUL character",
            });
        }
        Ok(Self(key))
    }

    /// Returns the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = Error;

    fn from_str(key: &str) -> Result<Self, Error> {
        Self::parse(key)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Headers that are kept with an object and given back with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectHeaders {
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Expires`, as the client sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// What is known of an object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key.
    pub key: ObjectKey,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its entity tag without quotes: the MD5 in hexadecimal, or `md5-N` after a multipart upload of N parts.
    pub etag: String,
    /// Its media type; `binary/octet-stream` when the writer gave none.
    pub content_type: String,
    /// Other headers kept with it.
    pub headers: ObjectHeaders,
    /// When it was written.
    pub modified_at: Timestamp,
    /// The writer's own names and values; names in lower case.
    pub user_metadata: BTreeMap<String, String>,
    /// The checksum that the writer sent or asked for, verified.
    pub checksum: Option<Checksum>,
    /// Its tags.
    pub tags: Tags,
    /// Which version it is; `None` where the store does not tell. In a bucket that never made versions it is `null`.
    pub version_id: Option<VersionId>,
    /// The parts it was put together from; empty when it was written at once.
    pub parts: PartSizes,
    /// How its bytes are encrypted; `None` when they are not.
    pub encryption: Option<Encryption>,
}

/// How to write an object. The default writes bytes without conditions.
#[derive(Debug, Default)]
pub struct PutOptions {
    /// The media type; `None` keeps S3's `binary/octet-stream`.
    pub content_type: Option<String>,
    /// Other headers to keep.
    pub headers: ObjectHeaders,
    /// The writer's own names and values, at most 2 KiB together.
    pub user_metadata: BTreeMap<String, String>,
    /// The size in bytes that the body must have.
    pub expected_size: Option<u64>,
    /// The MD5 that the body must have.
    pub expected_md5: Option<[u8; 16]>,
    /// A checksum to compute, to compare and to keep.
    pub checksum: Option<ExpectedChecksum>,
    /// Tags to keep.
    pub tags: Tags,
    /// Whether the ETag may be another than the MD5, which costs as much time as everything else about a large body.
    pub any_etag: bool,
    /// How its bytes are to be encrypted.
    pub encryption: Encrypt,
    /// What must hold for the write to happen.
    pub condition: Option<WriteCondition>,
    /// Whether a form brings it, which those who are told of it learn.
    pub is_form: bool,
}

/// How to copy an object.
#[derive(Debug, Default)]
pub struct CopyOptions {
    /// The version of the source; `None` copies the current one.
    pub source_version: Option<VersionId>,
    /// New content type, headers and user metadata; `None` copies those of the source.
    pub replace: Option<PutOptions>,
    /// New tags; `None` copies those of the source.
    pub tags: Option<Tags>,
    /// What must hold of the source.
    pub source_conditions: ReadConditions,
    /// What must hold of the target.
    pub condition: Option<WriteCondition>,
    /// Which checksum the copy is given; `None` keeps that of the source.
    pub checksum: Option<ChecksumAlgorithm>,
    /// The key of the source where the client holds it.
    pub source_key: Option<CustomerKey>,
    /// How the copy is to be encrypted; `None` keeps what is encrypted as it is, also without its key.
    pub encryption: Option<Encrypt>,
}

/// What must hold for a write to happen; it is checked in the transaction that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteCondition {
    /// There is no object with that key (`If-None-Match: *`).
    Absent,
    /// The object has this entity tag (`If-Match`).
    Etag(String),
}

/// Which bytes to read, and when.
#[derive(Debug, Clone, Default)]
pub struct GetOptions {
    /// The version to read; `None` is the current one.
    pub version: Option<VersionId>,
    /// The part wanted; `None` is all.
    pub range: Option<ByteRange>,
    /// The part of an upload in parts that is wanted, from 1; an object written at once is its own part 1.
    pub part_number: Option<u32>,
    /// What must hold of the object.
    pub conditions: ReadConditions,
    /// The key of the object where the client holds it.
    pub customer_key: Option<CustomerKey>,
}

impl GetOptions {
    /// Returns the offsets within an object.
    ///
    /// # Errors
    /// [`Error::RangeNotSatisfiable`], [`Error::NoSuchPart`].
    pub fn resolve(&self, object: &ObjectMeta) -> Result<Range<u64>, Error> {
        match (self.part_number, self.range) {
            (Some(number), _) => object.parts.range(number, object.size_bytes),
            (None, Some(range)) => range.resolve(object.size_bytes),
            (None, None) => Ok(0..object.size_bytes),
        }
    }
}

/// The sizes of the parts that an object was put together from, in order.
///
/// They are kept as runs of equal sizes: clients cut all parts but the last to one size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartSizes(Vec<(u32, u64)>);

impl PartSizes {
    /// Returns how many parts there are; 0 when the object was written at once.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|(count, _)| count).sum()
    }

    /// Returns whether the object was written at once.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many parts of which size there are, in order.
    pub(crate) fn into_runs(self) -> Vec<(u32, u64)> {
        self.0
    }

    /// Returns the size of each part.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let run = |(count, size): &(u32, u64)| std::iter::repeat_n(*size, *count as usize);
        self.0.iter().flat_map(run)
    }

    fn range(&self, number: u32, size_bytes: u64) -> Result<Range<u64>, Error> {
        if self.is_empty() && number == 1 {
            return Ok(0..size_bytes);
        }
        let mut start = 0;
        for (position, size) in (1..).zip(self.iter()) {
            if position == number {
                return Ok(start..start + size);
            }
            start += size;
        }
        Err(Error::NoSuchPart {
            part_number: number,
            count: self.count().max(1),
        })
    }
}

impl FromIterator<u64> for PartSizes {
    fn from_iter<I: IntoIterator<Item = u64>>(sizes: I) -> Self {
        let mut runs: Vec<(u32, u64)> = Vec::new();
        for size in sizes {
            match runs.last_mut() {
                Some((count, last)) if *last == size => *count += 1,
                _ => runs.push((1, size)),
            }
        }
        Self(runs)
    }
}

impl From<Option<ByteRange>> for GetOptions {
    fn from(range: Option<ByteRange>) -> Self {
        Self {
            range,
            ..Self::default()
        }
    }
}

/// A part of an object: the three forms of the `Range` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From an offset to the end: `bytes=5-`.
    From {
        /// The first byte.
        first: u64,
    },
    /// Between two offsets: `bytes=5-9`.
    Between {
        /// The first byte.
        first: u64,
        /// The last byte, included. It may lie beyond the end.
        last: u64,
    },
    /// The end: `bytes=-5`.
    Last {
        /// How many bytes.
        length: u64,
    },
}

impl ByteRange {
    /// Returns the offsets within an object of `size_bytes`.
    ///
    /// # Errors
    /// [`Error::RangeNotSatisfiable`] when no byte of the object lies in the range.
    pub fn resolve(self, size_bytes: u64) -> Result<Range<u64>, Error> {
        let (start, end) = match self {
            Self::From { first } => (first, size_bytes),
            Self::Between { first, last } => (first, last.saturating_add(1).min(size_bytes)),
            Self::Last { length } => (size_bytes.saturating_sub(length), size_bytes),
        };
        if start >= end {
            return Err(Error::RangeNotSatisfiable { size_bytes });
        }
        Ok(start..end)
    }
}

/// What an entity tag must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtagCondition {
    /// Any object (`*`).
    Any,
    /// This tag, without quotes.
    Is(String),
}

impl EtagCondition {
    pub(crate) fn matches(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Is(wanted) => wanted == etag,
        }
    }
}

/// Conditions of a read, in the order of RFC 9110.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// `If-Match`.
    pub if_match: Option<EtagCondition>,
    /// `If-Unmodified-Since`; not looked at when `if_match` is given.
    pub if_unmodified_since: Option<Timestamp>,
    /// `If-None-Match`.
    pub if_none_match: Option<EtagCondition>,
    /// `If-Modified-Since`; not looked at when `if_none_match` is given.
    pub if_modified_since: Option<Timestamp>,
}

impl ReadConditions {
    /// Compares with an object. Headers carry whole seconds, so the object's time is cut to seconds.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] or [`Error::NotModified`].
    pub fn check(&self, object: &ObjectMeta) -> Result<(), Error> {
        let seconds = |time: Timestamp| time.as_millis().div_euclid(1000);
        let modified = seconds(object.modified_at);
        let holds = match (&self.if_match, self.if_unmodified_since) {
            (Some(condition), _) => condition.matches(&object.etag),
            (None, Some(limit)) => modified <= seconds(limit),
            (None, None) => true,
        };
        if !holds {
            let condition = if self.if_match.is_some() {
                "If-Match"
            } else {
                "If-Unmodified-Since"
            };
            return Err(Error::PreconditionFailed { condition });
        }
        let unchanged = match (&self.if_none_match, self.if_modified_since) {
            (Some(condition), _) => condition.matches(&object.etag),
            (None, Some(limit)) => modified <= seconds(limit),
            (None, None) => false,
        };
        if unchanged {
            return Err(Error::NotModified {
                etag: object.etag.clone(),
            });
        }
        Ok(())
    }
}

pub(crate) fn check_user_metadata(metadata: &BTreeMap<String, String>) -> Result<(), Error> {
    let bytes: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > MAX_USER_METADATA_BYTES {
        return Err(Error::MetadataTooLarge {
            limit_bytes: MAX_USER_METADATA_BYTES,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_data() {
        let longest = "é".repeat(512);
        for (key, good) in [
            ("../../x", true),
            ("/", true),
            ("a//b", true),
            (".", true),
            (longest.as_str(), true),
            ("", false),
            ("a\0b", false),
        ] {
            assert_eq!(ObjectKey::parse(key).is_ok(), good, "{key}");
        }
        assert!(matches!(
            ObjectKey::parse(format!("{longest}x")),
            Err(Error::KeyTooLong)
        ));
    }

    #[test]
    fn ranges_resolve_within_the_size() {
        use ByteRange::{Between, From, Last};
        for (range, size, expected) in [
            (From { first: 0 }, 10, Some(0..10)),
            (From { first: 9 }, 10, Some(9..10)),
            (From { first: 10 }, 10, None),
            (Between { first: 2, last: 4 }, 10, Some(2..5)),
            (
                Between {
                    first: 2,
                    last: u64::MAX,
                },
                10,
                Some(2..10),
            ),
            (Between { first: 4, last: 2 }, 10, None),
            (Last { length: 3 }, 10, Some(7..10)),
            (Last { length: 30 }, 10, Some(0..10)),
            (Last { length: 0 }, 10, None),
            (Last { length: 1 }, 0, None),
            (From { first: 0 }, 0, None),
        ] {
            assert_eq!(range.resolve(size).ok(), expected, "{range:?} of {size}");
        }
    }

    #[test]
    fn parts_know_where_they_begin() {
        let parts = PartSizes::from_iter([5, 5, 5, 2]);
        assert_eq!(parts.0, [(3, 5), (1, 2)]);
        assert_eq!((parts.count(), parts.iter().sum::<u64>()), (4, 17));
        for (number, expected) in [
            (0, None),
            (1, Some(0..5)),
            (3, Some(10..15)),
            (4, Some(15..17)),
            (5, None),
        ] {
            assert_eq!(parts.range(number, 17).ok(), expected, "{number}");
        }
        let at_once = PartSizes::default();
        assert_eq!(at_once.range(1, 17).ok(), Some(0..17));
        assert!(at_once.range(2, 17).is_err());
    }

    #[test]
    fn conditions_follow_rfc_9110() {
        let object = ObjectMeta {
            key: ObjectKey::parse("k").unwrap(),
            size_bytes: 1,
            etag: "tag".to_owned(),
            content_type: DEFAULT_CONTENT_TYPE.to_owned(),
            headers: ObjectHeaders::default(),
            modified_at: Timestamp::from_millis(10_500),
            user_metadata: BTreeMap::new(),
            checksum: None,
            tags: Tags::default(),
            version_id: None,
            parts: PartSizes::default(),
            encryption: None,
        };
        let is = |tag: &str| Some(EtagCondition::Is(tag.to_owned()));
        let at = |seconds: i64| Some(Timestamp::from_millis(seconds * 1000));
        let check = |if_match, if_unmodified_since, if_none_match, if_modified_since| {
            let conditions = ReadConditions {
                if_match,
                if_unmodified_since,
                if_none_match,
                if_modified_since,
            };
            match conditions.check(&object) {
                Ok(()) => 200,
                Err(Error::NotModified { .. }) => 304,
                Err(Error::PreconditionFailed { .. }) => 412,
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(check(None, None, None, None), 200);
        assert_eq!(check(is("tag"), None, None, None), 200);
        assert_eq!(check(is("other"), None, None, None), 412);
        assert_eq!(check(is("tag"), at(1), None, None), 200);
        assert_eq!(check(None, at(9), None, None), 412);
        assert_eq!(check(None, at(10), None, None), 200);
        assert_eq!(check(None, None, is("tag"), None), 304);
        assert_eq!(check(None, None, Some(EtagCondition::Any), None), 304);
        assert_eq!(check(None, None, is("other"), at(99)), 200);
        assert_eq!(check(None, None, None, at(10)), 304);
        assert_eq!(check(None, None, None, at(9)), 200);
    }
}
