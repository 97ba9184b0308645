//! What people set for a bucket.

use fragua_auth::{Policy, PolicyOf};
use serde::{Deserialize, Serialize};

use crate::lifecycle::Lifecycle;
use crate::{BucketName, DefaultEncryption, Error, Tags, Versioning};

/// The most rules of a CORS configuration.
const MAX_CORS_RULES: usize = 100;

/// Everything that is set for a bucket; `None` and an empty value are what nobody set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketSettings {
    /// Whether it makes versions.
    pub versioning: Versioning,
    /// What goes by itself, and when.
    pub lifecycle: Option<Lifecycle>,
    /// Which other sites' pages may use it from browsers.
    pub cors: Option<Cors>,
    /// Who may do what, as JSON text.
    pub policy: Option<String>,
    /// Who is told of what happens in it.
    pub notification: Option<Notification>,
    /// Its tags.
    pub tags: Option<Tags>,
    /// How many bytes it may hold, with versions.
    pub quota_bytes: Option<u64>,
    /// How new objects are encrypted whose writers say nothing of it.
    pub encryption: Option<DefaultEncryption>,
}

/// One setting that is set or, when `None`, removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketSetting {
    /// See [`BucketSettings::lifecycle`].
    Lifecycle(Option<Lifecycle>),
    /// See [`BucketSettings::cors`].
    Cors(Option<Cors>),
    /// See [`BucketSettings::policy`].
    Policy(Option<String>),
    /// See [`BucketSettings::notification`].
    Notification(Option<Notification>),
    /// See [`BucketSettings::tags`].
    Tags(Option<Tags>),
    /// See [`BucketSettings::quota_bytes`].
    Quota(Option<u64>),
    /// See [`BucketSettings::encryption`].
    Encryption(Option<DefaultEncryption>),
}

impl BucketSetting {
    /// Returns the name it is kept under.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Lifecycle(_) => "lifecycle",
            Self::Cors(_) => "cors",
            Self::Policy(_) => "policy",
            Self::Notification(_) => "notification",
            Self::Tags(_) => "tags",
            Self::Quota(_) => "quota",
            Self::Encryption(_) => "encryption",
        }
    }

    /// Returns the text it is kept as.
    pub(crate) fn document(&self) -> Option<String> {
        fn json<T: Serialize>(value: &T) -> String {
            serde_json::to_string(value).expect("texts and numbers always serialise")
        }
        match self {
            Self::Lifecycle(lifecycle) => lifecycle.as_ref().map(json),
            Self::Cors(cors) => cors.as_ref().map(json),
            Self::Policy(policy) => policy.clone(),
            Self::Notification(notification) => notification.as_ref().map(json),
            Self::Tags(tags) => tags.as_ref().map(json),
            Self::Quota(quota) => quota.as_ref().map(json),
            Self::Encryption(encryption) => encryption.as_ref().map(json),
        }
    }

    /// Fails when a value breaks a rule.
    pub(crate) fn check(&self, bucket: &BucketName) -> Result<(), Error> {
        match self {
            Self::Lifecycle(Some(lifecycle)) => lifecycle.check(),
            Self::Cors(Some(cors)) => cors.check(),
            Self::Policy(Some(policy)) => check_policy(policy, bucket),
            Self::Notification(Some(notification)) => notification.check(),
            _ => Ok(()),
        }
    }
}

impl BucketSettings {
    /// Takes a setting in from the text it is kept as; a name that is not known was written by a newer version.
    pub(crate) fn read(&mut self, name: &str, document: String) -> Result<(), serde_json::Error> {
        match name {
            "lifecycle" => self.lifecycle = Some(serde_json::from_str(&document)?),
            "cors" => self.cors = Some(serde_json::from_str(&document)?),
            "policy" => self.policy = Some(document),
            "notification" => self.notification = Some(serde_json::from_str(&document)?),
            "tags" => self.tags = Some(serde_json::from_str(&document)?),
            "encryption" => self.encryption = Some(serde_json::from_str(&document)?),
            "quota" => self.quota_bytes = Some(serde_json::from_str(&document)?),
            _ => {}
        }
        Ok(())
    }
}

fn invalid<T>(setting: &'static str, reason: impl Into<String>) -> Result<T, Error> {
    Err(Error::InvalidSetting {
        setting,
        reason: reason.into(),
    })
}

/// A policy is understood as a whole, and is about its own bucket alone.
fn check_policy(policy: &str, bucket: &BucketName) -> Result<(), Error> {
    match Policy::parse(policy, PolicyOf::Bucket) {
        Ok(policy) if policy.is_within(bucket.as_str()) => Ok(()),
        Ok(_) => invalid(
            "policy",
            format!("must name resources of the bucket {bucket} alone"),
        ),
        Err(error) => invalid("policy", format!("cannot be used: {error}")),
    }
}

/// Which other sites' pages may use a bucket from browsers: the first rule that fits decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// One to a hundred rules.
    pub rules: Vec<CorsRule>,
}

/// A rule of [`Cors`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CorsRule {
    /// Its name.
    pub id: Option<String>,
    /// Origins, each with at most one `*`.
    pub allowed_origins: Vec<String>,
    /// GET, PUT, POST, DELETE, HEAD.
    pub allowed_methods: Vec<String>,
    /// Names of headers, each with at most one `*`.
    pub allowed_headers: Vec<String>,
    /// Names of headers that a page may read of an answer.
    pub expose_headers: Vec<String>,
    /// How long a browser may remember the answer to its question, in seconds.
    pub max_age_seconds: Option<u32>,
}

impl Cors {
    fn check(&self) -> Result<(), Error> {
        if !(1..=MAX_CORS_RULES).contains(&self.rules.len()) {
            return invalid("CORS", format!("needs 1 to {MAX_CORS_RULES} rules"));
        }
        self.rules.iter().try_for_each(CorsRule::check)
    }
}

impl CorsRule {
    fn check(&self) -> Result<(), Error> {
        if self.allowed_origins.is_empty() || self.allowed_methods.is_empty() {
            return invalid("CORS", "needs an AllowedOrigin and an AllowedMethod in each rule");
        }
        for method in &self.allowed_methods {
            if !matches!(method.as_str(), "GET" | "PUT" | "POST" | "DELETE" | "HEAD") {
                return invalid(
                    "CORS",
                    format!("names the unsupported method {}", shortened(method)),
                );
            }
        }
        for pattern in self.allowed_origins.iter().chain(&self.allowed_headers) {
            if pattern.matches('*').count() > 1 {
                return invalid("CORS", format!("has more than one * in {}", shortened(pattern)));
            }
        }
        if self.expose_headers.iter().any(|name| name.contains('*')) {
            return invalid("CORS", "must not have a * in ExposeHeader");
        }
        Ok(())
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Who is told of what happens in a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Those who are told.
    pub targets: Vec<NotificationTarget>,
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationTarget {
    /// Its name within the bucket.
    pub id: String,
    /// What the configuration calls it.
    pub kind: NotificationKind,
    /// Where it is.
    pub arn: String,
    /// What it is told of, such as `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// What the keys begin with.
    #[serde(default)]
    pub prefix: Option<String>,
    /// What the keys end with.
    #[serde(default)]
    pub suffix: Option<String>,
}

/// What S3 calls a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// A queue.
    Queue,
    /// A topic.
    Topic,
    /// A function.
    Function,
}

/// The families of events; each is told of as a whole with `*`, or by one of the names.
const EVENTS: &[(&str, &[&str])] = &[
    (
        "s3:ObjectCreated:",
        &["Put", "Post", "Copy", "CompleteMultipartUpload"],
    ),
    ("s3:ObjectRemoved:", &["Delete", "DeleteMarkerCreated"]),
    ("s3:ObjectTagging:", &["Put", "Delete"]),
    ("s3:LifecycleExpiration:", &["Delete", "DeleteMarkerCreated"]),
];

impl Notification {
    fn check(&self) -> Result<(), Error> {
        let mut ids: Vec<&str> = self.targets.iter().map(|target| target.id.as_str()).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return invalid("notification", "has the same Id twice");
        }
        self.targets.iter().try_for_each(NotificationTarget::check)
    }
}

impl NotificationTarget {
    fn check(&self) -> Result<(), Error> {
        if self.events.is_empty() {
            return invalid("notification", "needs at least one Event for each target");
        }
        if !self.arn.starts_with("arn:") {
            return invalid(
                "notification",
                format!("names {}, which is no ARN", shortened(&self.arn)),
            );
        }
        let is_known = |event: &String| {
            EVENTS.iter().any(|(family, names)| {
                event
                    .strip_prefix(family)
                    .is_some_and(|name| name == "*" || names.contains(&name))
            })
        };
        match self.events.iter().find(|event| !is_known(event)) {
            Some(unknown) => invalid(
                "notification",
                format!("names the event {}, which is not supported", shortened(unknown)),
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> BucketName {
        BucketName::parse("data").unwrap()
    }

    fn cors(origin: &str, method: &str, expose: &str) -> bool {
        let texts = |text: &str| vec![text.to_owned()];
        let rule = CorsRule {
            allowed_origins: texts(origin),
            allowed_methods: texts(method),
            expose_headers: texts(expose),
            ..CorsRule::default()
        };
        BucketSetting::Cors(Some(Cors { rules: vec![rule] }))
            .check(&bucket())
            .is_ok()
    }

    #[test]
    fn cors_follows_the_rules_of_s3() {
        assert!(cors("https://*.example.org", "PUT", "ETag"));
        assert!(!cors("https://*.*.org", "PUT", "ETag"));
        assert!(!cors("*", "PATCH", "ETag"));
        assert!(!cors("*", "GET", "*"));
        assert!(
            BucketSetting::Cors(Some(Cors::default()))
                .check(&bucket())
                .is_err()
        );
    }

    #[test]
    fn a_policy_is_about_its_bucket() {
        let check = |resource: &str| {
            let policy = format!(
                r#"{{"Statement": [{{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                   "Resource": {resource}}}]}}"#
            );
            BucketSetting::Policy(Some(policy)).check(&bucket()).is_ok()
        };
        assert!(
            check(r#""arn:aws:s3:::data/*""#) && check(r#"["arn:aws:s3:::data", "arn:aws:s3:::data/a"]"#)
        );
        for other in [
            r#""arn:aws:s3:::other/*""#,
            r#""*""#,
            r#""arn:aws:s3:::dat*""#,
            r#""arn:aws:s3:::*/a""#,
            "1",
        ] {
            assert!(!check(other), "{other}");
        }
        for text in ["[]", "{", r#"{"Statement": []}"#] {
            assert!(
                BucketSetting::Policy(Some(text.to_owned()))
                    .check(&bucket())
                    .is_err()
            );
        }
    }

    #[test]
    fn notifications_name_events_that_there_are() {
        let check = |arn: &str, event: &str| {
            let target = NotificationTarget {
                id: "1".to_owned(),
                kind: NotificationKind::Queue,
                arn: arn.to_owned(),
                events: vec![event.to_owned()],
                prefix: None,
                suffix: None,
            };
            let notification = Notification {
                targets: vec![target],
            };
            BucketSetting::Notification(Some(notification))
                .check(&bucket())
                .is_ok()
        };
        let arn = "arn:fragua:sqs::1:webhook";
        assert!(check(arn, "s3:ObjectCreated:*"));
        assert!(check(arn, "s3:ObjectRemoved:DeleteMarkerCreated"));
        assert!(!check(arn, "s3:ObjectEaten:*"));
        assert!(!check(arn, "s3:ObjectCreated:Eaten"));
        assert!(!check("http://example.org", "s3:ObjectCreated:*"));
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let mut read = BucketSettings::default();
        let quota = BucketSetting::Quota(Some(7));
        read.read(quota.name(), quota.document().unwrap()).unwrap();
        read.read("of the future", String::new()).unwrap();
        assert_eq!(read.quota_bytes, Some(7));
        assert!(read.read("cors", "{".to_owned()).is_err());
    }
}
