//! What happens to objects, and who is told.

mod record;
mod webhooks;

use std::sync::Arc;

use fragua_base::Timestamp;

use crate::object::ObjectKey;
use crate::version::{VersionId, Versioning};
use crate::{BucketName, BucketSettings, NotificationTarget};

pub(crate) use record::{message, object_of, record};
pub(crate) use webhooks::Webhooks;
pub use webhooks::{Webhook, WebhookSettings};

/// What happened to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEvent {
    /// What it was.
    pub kind: ObjectEventKind,
    /// The object's bucket.
    pub bucket: BucketName,
    /// The object's key.
    pub key: ObjectKey,
    /// Which version it happened to.
    pub version_id: VersionId,
    /// The size and the entity tag of what was written; `None` where nothing was.
    pub content: Option<(u64, String)>,
    /// When it happened.
    pub at: Timestamp,
}

/// What happens to objects, as S3 tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectEventKind {
    /// It was written as a whole.
    Put,
    /// It was sent by a form.
    Post,
    /// It was copied, or an old version of it was restored.
    Copy,
    /// It was put together from parts.
    CompleteUpload,
    /// It went for good, or a version of it.
    Delete,
    /// It got a delete marker.
    DeleteMarker,
    /// A lifecycle rule removed it for good, or a version of it.
    ExpiryDelete,
    /// A lifecycle rule gave it a delete marker.
    ExpiryMarker,
    /// It got other tags.
    PutTags,
    /// It lost its tags.
    DeleteTags,
}

impl ObjectEventKind {
    /// Returns S3's name, without `s3:` before it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "ObjectCreated:Put",
            Self::Post => "ObjectCreated:Post",
            Self::Copy => "ObjectCreated:Copy",
            Self::CompleteUpload => "ObjectCreated:CompleteMultipartUpload",
            Self::Delete => "ObjectRemoved:Delete",
            Self::DeleteMarker => "ObjectRemoved:DeleteMarkerCreated",
            Self::ExpiryDelete => "LifecycleExpiration:Delete",
            Self::ExpiryMarker => "LifecycleExpiration:DeleteMarkerCreated",
            Self::PutTags => "ObjectTagging:Put",
            Self::DeleteTags => "ObjectTagging:Delete",
        }
    }

    /// Returns whether there is a new object, or a new version of one.
    pub const fn is_creation(self) -> bool {
        matches!(self, Self::Put | Self::Post | Self::Copy | Self::CompleteUpload)
    }

    /// Returns whether a word such as `s3:ObjectCreated:*` or `s3:ObjectCreated:Put` means it.
    fn is_meant_by(self, word: &str) -> bool {
        let Some(word) = word.strip_prefix("s3:") else {
            return false;
        };
        match word.strip_suffix('*') {
            Some(family) => self.as_str().starts_with(family),
            None => self.as_str() == word,
        }
    }
}

impl NotificationTarget {
    /// Returns whether it is told of something.
    fn wants(&self, event: &ObjectEvent) -> bool {
        let key = event.key.as_str();
        let is_meant = self.events.iter().any(|word| event.kind.is_meant_by(word));
        is_meant
            && key.starts_with(self.prefix.as_deref().unwrap_or_default())
            && key.ends_with(self.suffix.as_deref().unwrap_or_default())
    }
}

/// What a change of objects of one bucket needs to be told, in the transaction that makes it.
#[derive(Debug, Clone)]
pub(crate) struct Telling {
    settings: Arc<BucketSettings>,
    webhooks: Arc<Webhooks>,
    /// When the change happens.
    pub(crate) now: Timestamp,
    /// Whether a lifecycle rule makes it, and not a request.
    by_rule: bool,
}

impl Telling {
    pub(crate) fn new(settings: Arc<BucketSettings>, webhooks: Arc<Webhooks>, now: Timestamp) -> Self {
        Self {
            settings,
            webhooks,
            now,
            by_rule: false,
        }
    }

    /// Says that a lifecycle rule makes the change, which it does for an instant.
    pub(crate) fn by_rule(self, now: Timestamp) -> Self {
        Self {
            now,
            by_rule: true,
            ..self
        }
    }

    /// Tells whether the bucket made versions some seconds ago; who relies on it looks in the transaction.
    pub(crate) fn makes_versions(&self) -> bool {
        self.settings.versioning != Versioning::Never
    }

    /// Returns an event without a content.
    pub(crate) fn event(
        &self,
        kind: ObjectEventKind,
        bucket: &BucketName,
        key: ObjectKey,
        version_id: VersionId,
    ) -> ObjectEvent {
        ObjectEvent {
            kind,
            bucket: bucket.clone(),
            key,
            version_id,
            content: None,
            at: self.now,
        }
    }

    /// Returns what a removal is.
    pub(crate) fn removal(&self, leaves_marker: bool) -> ObjectEventKind {
        match (self.by_rule, leaves_marker) {
            (false, false) => ObjectEventKind::Delete,
            (false, true) => ObjectEventKind::DeleteMarker,
            (true, false) => ObjectEventKind::ExpiryDelete,
            (true, true) => ObjectEventKind::ExpiryMarker,
        }
    }

    /// Returns the webhooks that are told of an event, each with the entry of the bucket's configuration that says so.
    pub(crate) fn receivers<'a>(
        &'a self,
        event: &'a ObjectEvent,
    ) -> impl Iterator<Item = (&'a str, &'a NotificationTarget)> {
        let targets = self.settings.notification.iter().flat_map(|all| &all.targets);
        targets
            .filter(|target| target.wants(event))
            .filter_map(|target| Some((self.webhooks.named_by(&target.arn)?, target)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NotificationKind;

    #[test]
    fn a_target_is_told_of_its_kinds_and_keys() {
        let check = |(word, prefix, suffix): (&str, &str, &str), kind, key: &str, expected| {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let target = NotificationTarget {
                id: "1".to_owned(),
                kind: NotificationKind::Queue,
                arn: String::new(),
                events: vec!["s3:ObjectTagging:Put".to_owned(), word.to_owned()],
                prefix: text(prefix),
                suffix: text(suffix),
            };
            let event = ObjectEvent {
                kind,
                bucket: BucketName::parse("data").unwrap(),
                key: ObjectKey::parse(key).unwrap(),
                version_id: VersionId::null(),
                content: None,
                at: Timestamp::default(),
            };
            assert_eq!(
                target.wants(&event),
                expected,
                "{word} {prefix} {suffix}: {kind:?} {key}"
            );
        };
        let all = ("s3:ObjectCreated:*", "", "");
        check(all, ObjectEventKind::Put, "a", true);
        check(all, ObjectEventKind::CompleteUpload, "a", true);
        check(all, ObjectEventKind::Delete, "a", false);
        check(all, ObjectEventKind::PutTags, "a", true);
        let one = ("s3:ObjectRemoved:Delete", "in/", ".csv");
        check(one, ObjectEventKind::Delete, "in/1.csv", true);
        check(one, ObjectEventKind::DeleteMarker, "in/1.csv", false);
        check(one, ObjectEventKind::ExpiryDelete, "in/1.csv", false);
        check(one, ObjectEventKind::Delete, "out/1.csv", false);
        check(one, ObjectEventKind::Delete, "in/1.txt", false);
    }
}
