//! What the forms of a bucket's settings do.

use std::str::FromStr;

use axum::extract::{Path, RawForm, State};
use axum::response::{IntoResponse as _, Response};
use fragua_storage::{
    BucketName, BucketSetting, Cors, CorsRule, DefaultEncryption, DeleteTarget, ExpireAfter, Lifecycle,
    LifecycleFilter, LifecycleRule, NoncurrentExpiration, Notification, NotificationKind, NotificationTarget,
    Storage, Tags, VersionQuery, Versioning,
};

use super::object_forms::lines;
use super::place::bucket_address;
use super::settings::{self, QuotaField, public_read};
use crate::error::{Error, see_other};
use crate::form;
use crate::page::{Page, parse_query};

/// Versions that are deleted in one transaction.
const DELETED_AT_ONCE: usize = 500;

/// A form that was refused: what was typed into it, and why.
#[derive(Default)]
pub(super) struct Refused {
    form: Vec<(String, String)>,
    pub(super) problem: String,
}

impl Refused {
    /// Returns why the form of this name was refused; empty where it was not.
    pub(super) fn problem_of(&self, action: &str) -> &str {
        match self.is(action) {
            true => &self.problem,
            false => "",
        }
    }

    /// Returns what was typed into a field of the form of this name, or what is there anyway.
    pub(super) fn value<'a>(&'a self, action: &str, name: &str, kept: &'a str) -> &'a str {
        match self.is(action) {
            true => form::value(&self.form, name).unwrap_or_default(),
            false => kept,
        }
    }

    /// Tells whether a box of the form of this name was ticked, or is ticked anyway.
    pub(super) fn is_ticked(&self, action: &str, name: &str, value: &str, is_by_default: bool) -> bool {
        let is_sent = |(known, sent): &(String, String)| known == name && sent == value;
        match self.is(action) {
            true => self.form.iter().any(is_sent),
            false => is_by_default,
        }
    }

    /// Tells whether the form of this name was refused.
    pub(super) fn is(&self, action: &str) -> bool {
        form::value(&self.form, "do") == Some(action)
    }
}

pub(super) async fn act(
    State(storage): State<Storage>,
    page: Page,
    Path(bucket): Path<String>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let bucket = BucketName::parse(&bucket)?;
    storage.head_bucket(&bucket).await?;
    let form = parse_query(&String::from_utf8_lossy(&body));
    let sent = Sent {
        storage: &storage,
        page: &page,
        bucket: &bucket,
        form: &form,
    };
    match sent.act().await {
        Ok(address) => Ok(see_other(&address)),
        Err(error) => {
            let (status, problem) = error.into_refusal()?;
            let refused = Refused { form, problem };
            let page = settings::answer(&storage, &page, &bucket, refused).await?;
            Ok((status, page).into_response())
        }
    }
}

/// A form with all that it is about.
struct Sent<'a> {
    storage: &'a Storage,
    page: &'a Page,
    bucket: &'a BucketName,
    form: &'a [(String, String)],
}

impl Sent<'_> {
    fn value(&self, name: &str) -> &str {
        form::value(self.form, name).unwrap_or_default().trim()
    }

    /// Returns a number; nothing where the field is empty.
    fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, Error> {
        match self.value(name) {
            "" => Ok(None),
            text => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Error::Invalid(self.page.t("field-not-whole"))),
            },
        }
    }

    /// Returns the values of the boxes of a name that are ticked.
    fn values(&self, name: &str) -> Vec<String> {
        let of_name = self.form.iter().filter(|(known, _)| known == name);
        of_name.map(|(_, value)| value.clone()).collect()
    }

    /// Returns the words of a field, between commas, spaces or lines.
    fn words(&self, name: &str) -> Vec<String> {
        self.value(name)
            .split([',', ' ', '\n', '\r'])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Does what the form says and returns the address to go on at.
    async fn act(&self) -> Result<String, Error> {
        let section = match self.value("do") {
            "versioning" => {
                self.set_versioning().await?;
                "versioning"
            }
            "encryption" => {
                let encryption = (self.value("to") == "on").then_some(DefaultEncryption::Aes256);
                self.set(BucketSetting::Encryption(encryption)).await?;
                "encryption"
            }
            "quota" => {
                let quota = QuotaField::typed(self.form).bytes(self.page)?;
                self.set(BucketSetting::Quota(quota)).await?;
                "quota"
            }
            "access" => {
                self.set(BucketSetting::Policy(self.policy())).await?;
                "access"
            }
            "tags" => {
                let tags = Tags::of_bucket(lines(self.value("tags")))?;
                self.set(BucketSetting::Tags((!tags.is_empty()).then_some(tags)))
                    .await?;
                "tags"
            }
            "rule-add" | "rule-delete" | "rule-toggle" => {
                self.set(BucketSetting::Lifecycle(self.lifecycle().await?))
                    .await?;
                "lifecycle"
            }
            "cors-add" | "cors-delete" => {
                self.set(BucketSetting::Cors(self.cors().await?)).await?;
                "cors"
            }
            "notification-add" | "notification-delete" => {
                self.set(BucketSetting::Notification(self.notification().await?))
                    .await?;
                "notification"
            }
            "delete" => {
                self.delete().await?;
                return Ok("/buckets".to_owned());
            }
            _ => return Err(Error::Invalid("the form names nothing to do".to_owned())),
        };
        Ok(bucket_address(self.bucket, &format!("/settings#{section}")))
    }

    async fn set(&self, setting: BucketSetting) -> Result<(), Error> {
        Ok(self.storage.set_bucket(self.bucket, setting).await?)
    }

    async fn set_versioning(&self) -> Result<(), Error> {
        let versioning = match self.value("to") {
            "on" => Versioning::Enabled,
            _ => Versioning::Suspended,
        };
        Ok(self.storage.set_versioning(self.bucket, versioning).await?)
    }

    fn policy(&self) -> Option<String> {
        match self.value("access") {
            "public-read" => Some(public_read(self.bucket)),
            "custom" => Some(self.value("policy").to_owned()),
            _ => None,
        }
    }

    /// Returns the rules as they are to be; nothing where the last one goes.
    async fn lifecycle(&self) -> Result<Option<Lifecycle>, Error> {
        let settings = self.storage.current_bucket_settings(self.bucket).await?;
        let mut lifecycle = settings.lifecycle.clone().unwrap_or_default();
        let id = self.value("id");
        match self.value("do") {
            "rule-delete" => lifecycle.rules.retain(|rule| rule.id != id),
            "rule-toggle" => {
                for rule in lifecycle.rules.iter_mut().filter(|rule| rule.id == id) {
                    rule.is_enabled = !rule.is_enabled;
                }
            }
            _ => lifecycle.rules.push(self.rule()?),
        }
        Ok((!lifecycle.rules.is_empty()).then_some(lifecycle))
    }

    fn rule(&self) -> Result<LifecycleRule, Error> {
        let days: Option<u32> = self.number("noncurrent-days")?;
        let keep_newest: Option<u32> = self.number("keep-newest")?;
        let expire = match self.number("days")? {
            Some(days) => Some(ExpireAfter::Days(days)),
            None => (!self.value("markers").is_empty()).then_some(ExpireAfter::LoneMarkers),
        };
        Ok(LifecycleRule {
            id: self.value("id").to_owned(),
            is_enabled: true,
            filter: LifecycleFilter {
                prefix: self.value("prefix").to_owned(),
                tags: Tags::of_object(lines(self.value("rule-tags")))?,
                ..LifecycleFilter::default()
            },
            expire,
            expire_noncurrent: days.map(|days| NoncurrentExpiration {
                days,
                keep_newest: keep_newest.unwrap_or(0),
            }),
            abort_upload_days: self.number("abort-days")?,
        })
    }

    async fn cors(&self) -> Result<Option<Cors>, Error> {
        let settings = self.storage.current_bucket_settings(self.bucket).await?;
        let mut cors = settings.cors.clone().unwrap_or_default();
        if self.value("do") == "cors-delete" {
            // By what it says: where it stands may be another one's place by now.
            let rule = self.value("rule");
            let at = cors
                .rules
                .iter()
                .position(|known| settings::json_of(known) == rule);
            at.map(|at| cors.rules.remove(at));
        } else {
            cors.rules.push(CorsRule {
                id: None,
                allowed_origins: self.words("origins"),
                allowed_methods: self.values("method"),
                allowed_headers: self.words("headers"),
                expose_headers: self.words("expose"),
                max_age_seconds: self.number("max-age")?,
            });
        }
        Ok((!cors.rules.is_empty()).then_some(cors))
    }

    async fn notification(&self) -> Result<Option<Notification>, Error> {
        let settings = self.storage.current_bucket_settings(self.bucket).await?;
        let mut notification = settings.notification.clone().unwrap_or_default();
        if self.value("do") == "notification-delete" {
            notification
                .targets
                .retain(|target| target.id != self.value("id"));
        } else {
            let text = |name: &str| Some(self.value(name).to_owned()).filter(|text| !text.is_empty());
            let arn = self.value("target").to_owned();
            notification.targets.push(NotificationTarget {
                id: text("id").unwrap_or_else(|| arn.clone()),
                kind: NotificationKind::Queue,
                arn,
                events: self.values("event"),
                prefix: text("prefix"),
                suffix: text("suffix"),
            });
        }
        Ok((!notification.targets.is_empty()).then_some(notification))
    }

    /// Deletes the bucket, with all that is in it where the form says so.
    async fn delete(&self) -> Result<(), Error> {
        if self.value("confirm") != self.bucket.as_str() {
            return Err(Error::Invalid(self.page.t1(
                "bucket-delete-confirm",
                "name",
                self.bucket.as_str(),
            )));
        }
        if !self.value("empty").is_empty() {
            self.empty().await?;
        }
        Ok(self.storage.delete_bucket(self.bucket).await?)
    }

    async fn empty(&self) -> Result<(), Error> {
        let mut query = VersionQuery {
            limit: Some(DELETED_AT_ONCE),
            ..VersionQuery::default()
        };
        loop {
            let list = self.storage.list_versions(self.bucket, query.clone()).await?;
            let targets: Vec<DeleteTarget> = list
                .versions
                .into_iter()
                .map(|version| DeleteTarget {
                    version: Some(version.id),
                    ..DeleteTarget::current(version.key)
                })
                .collect();
            self.storage.delete_targets(self.bucket, &targets).await?;
            if list.next.is_none() {
                return Ok(());
            }
            query.start_after = list.next;
        }
    }
}
