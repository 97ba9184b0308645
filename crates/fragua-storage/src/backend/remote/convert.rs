//! Values of the client crate and ours.

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use object_store::path::Path;
use object_store::{Attribute, Attributes, GetRange, GetResult, TagSet};

use crate::object::DEFAULT_CONTENT_TYPE;
use crate::{
    ByteRange, CustomerKey, Encrypt, Error, ObjectHeaders, ObjectKey, ObjectMeta, PartSizes, Tags, VersionId,
};

/// Returns the key as the client crate addresses it, which cannot address all keys.
pub(super) fn path(key: &ObjectKey) -> Result<Path, Error> {
    let invalid = || Error::InvalidKey {
        reason: "with empty segments, `.`, `..` or control characters cannot be used at this object store",
    };
    let path = Path::parse(key.as_str()).map_err(|_| invalid())?;
    if path.as_ref() == key.as_str() {
        Ok(path)
    } else {
        Err(invalid())
    }
}

/// Refuses what names a version: the client cannot.
pub(super) fn no_encryption(asked: &Encrypt) -> Result<(), Error> {
    match asked {
        Encrypt::AsBucket => Ok(()),
        Encrypt::Aes256 | Encrypt::CustomerKey(_) => Err(Error::NotSupported("a choice of encryption")),
    }
}

pub(super) fn no_key(key: Option<&CustomerKey>) -> Result<(), Error> {
    match key {
        None => Ok(()),
        Some(_) => Err(Error::NotSupported("a key of the client")),
    }
}

pub(super) fn no_version(version: Option<&VersionId>) -> Result<(), Error> {
    match version {
        None => Ok(()),
        Some(_) => Err(Error::NotSupported("a version of an object")),
    }
}

pub(super) fn tag_set(tags: &Tags) -> TagSet {
    let mut set = TagSet::default();
    for (key, value) in tags.iter() {
        set.push(key, value);
    }
    set
}

pub(super) fn get_range(range: ByteRange) -> GetRange {
    match range {
        ByteRange::From { first } => GetRange::Offset(first),
        ByteRange::Between { first, last } => GetRange::Bounded(first..last.saturating_add(1)),
        ByteRange::Last { length } => GetRange::Suffix(length),
    }
}

pub(super) fn says(error: &(dyn std::error::Error + 'static), code: &str) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains(code) {
            return true;
        }
        cause = error.source();
    }
    false
}

pub(super) fn unquoted(etag: Option<String>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

pub(super) fn attributes(
    content_type: Option<String>,
    headers: ObjectHeaders,
    user_metadata: BTreeMap<String, String>,
) -> Attributes {
    let named = [
        (Attribute::ContentType, content_type),
        (Attribute::CacheControl, headers.cache_control),
        (Attribute::ContentDisposition, headers.content_disposition),
        (Attribute::ContentEncoding, headers.content_encoding),
        (Attribute::ContentLanguage, headers.content_language),
    ];
    let mut attributes = Attributes::new();
    for (name, value) in named {
        if let Some(value) = value {
            attributes.insert(name, value.into());
        }
    }
    for (name, value) in user_metadata {
        attributes.insert(Attribute::Metadata(name.into()), value.into());
    }
    attributes
}

pub(super) fn object_meta(key: &ObjectKey, result: &GetResult) -> ObjectMeta {
    let attributes = &result.attributes;
    let text = |name: Attribute| attributes.get(&name).map(|value| value.as_ref().to_owned());
    let user_metadata = attributes
        .iter()
        .filter_map(|(name, value)| match name {
            Attribute::Metadata(name) => Some((name.to_string(), value.as_ref().to_owned())),
            _ => None,
        })
        .collect();
    ObjectMeta {
        key: key.clone(),
        size_bytes: result.meta.size,
        etag: unquoted(result.meta.e_tag.clone()),
        content_type: text(Attribute::ContentType).unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned()),
        headers: ObjectHeaders {
            cache_control: text(Attribute::CacheControl),
            content_disposition: text(Attribute::ContentDisposition),
            content_encoding: text(Attribute::ContentEncoding),
            content_language: text(Attribute::ContentLanguage),
            expires: None,
        },
        modified_at: Timestamp::from_millis(result.meta.last_modified.timestamp_millis()),
        user_metadata,
        checksum: None,
        tags: Tags::default(),
        version_id: None,
        parts: PartSizes::default(),
        encryption: None,
    }
}
