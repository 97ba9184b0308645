//! Versions of objects.

use std::fmt;

use fragua_base::{Timestamp, random_hex};

use crate::{Error, EtagCondition, ObjectKey};

/// What S3 calls the version of an object that was written while the bucket made no versions.
const NULL: &str = "null";

/// The longest version id that is looked up; ours have 32 characters.
const MAX_ID_BYTES: usize = 64;

/// Names one version of an object. `null` is the one that was written while the bucket made no versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(String);

impl VersionId {
    /// Checks the text that a client sent.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when it cannot be an id.
    pub fn parse(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        let is_id = (1..=MAX_ID_BYTES).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if is_id {
            Ok(Self(text))
        } else {
            Err(Error::InvalidInput {
                field: "version id",
                reason: "is not one that this store gives".to_owned(),
            })
        }
    }

    /// Returns the id `null`.
    pub fn null() -> Self {
        Self(NULL.to_owned())
    }

    /// Makes a new one.
    pub(crate) fn random() -> Self {
        Self(random_hex(16))
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// Returns whether this is `null`.
    pub fn is_null(&self) -> bool {
        self.0 == NULL
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whether a bucket keeps what is replaced and deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Versioning {
    /// It never did.
    #[default]
    Never,
    /// Each write makes a version and each delete a delete marker.
    Enabled,
    /// Versions that were made stay; what is written is the version `null`.
    Suspended,
}

impl Versioning {
    /// Returns S3's word; nothing for a bucket that never made versions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "",
            Self::Enabled => "Enabled",
            Self::Suspended => "Suspended",
        }
    }

    pub(crate) fn stored(text: &str) -> Self {
        match text {
            "Enabled" => Self::Enabled,
            "Suspended" => Self::Suspended,
            _ => Self::Never,
        }
    }

    /// Returns the id of what is written now.
    pub(crate) fn new_id(self) -> VersionId {
        match self {
            Self::Enabled => VersionId::random(),
            Self::Never | Self::Suspended => VersionId::null(),
        }
    }
}

/// What to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteTarget {
    /// The key.
    pub key: ObjectKey,
    /// The version to delete for good; `None` deletes as the bucket's versioning says.
    pub version: Option<VersionId>,
    /// Deletes only what was written at this instant, for who decided on what was seen before.
    pub written_at: Option<Timestamp>,
    /// Deletes a version only where the one that came next was written at this instant, for who decided by how long it
    /// has not been current.
    pub replaced_at: Option<Timestamp>,
    /// Deletes only where the key stands for an object with this entity tag.
    pub if_match: Option<EtagCondition>,
}

impl DeleteTarget {
    /// Deletes what the key stands for now, whatever it is.
    pub fn current(key: ObjectKey) -> Self {
        Self {
            key,
            version: None,
            written_at: None,
            replaced_at: None,
            if_match: None,
        }
    }
}

/// What a delete did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The key.
    pub key: ObjectKey,
    /// The version that was asked for.
    pub version: Option<VersionId>,
    /// The delete marker that was made or, when a version was asked for, deleted.
    pub marker: Option<VersionId>,
    /// Why nothing was done: [`DeleteTarget::if_match`] does not hold.
    pub refused: Option<Refusal>,
}

/// What a key stands for where a condition of a delete does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No object.
    Missing,
    /// Another object.
    Differs,
}

/// A version in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    /// Its key.
    pub key: ObjectKey,
    /// Its name.
    pub id: VersionId,
    /// Whether the key stands for it now.
    pub is_latest: bool,
    /// When it was written.
    pub modified_at: Timestamp,
    /// What it holds; `None` for a delete marker.
    pub content: Option<VersionContent>,
}

/// What a version in a list holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionContent {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its entity tag without quotes.
    pub etag: String,
}

/// Which versions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionQuery {
    /// What the keys begin with.
    pub prefix: String,
    /// Folds keys that share what comes before the first delimiter after the prefix into one common prefix.
    pub delimiter: Option<String>,
    /// Leaves out results up to and including this key or common prefix, or this version of the key.
    pub start_after: Option<(String, Option<VersionId>)>,
    /// How many results, versions and common prefixes together; `None` and more than 1000 are 1000.
    pub limit: Option<usize>,
}

/// One page of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionList {
    /// Versions and delete markers by key, the newest of each key first.
    pub versions: Vec<ObjectVersion>,
    /// Common prefixes, each with its delimiter.
    pub prefixes: Vec<String>,
    /// The `start_after` of the next page; `None` at the end.
    pub next: Option<(String, Option<VersionId>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ours_or_null() {
        let ours = VersionId::random();
        assert_eq!(VersionId::parse(ours.as_str()).unwrap(), ours);
        assert!(VersionId::parse("null").unwrap().is_null());
        for bad in ["", "a b", "../x", &"a".repeat(65)] {
            assert!(VersionId::parse(bad).is_err(), "{bad}");
        }
    }
}
