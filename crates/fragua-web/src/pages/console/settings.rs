//! What a bucket holds and what is set for it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use fragua_auth::{Policy, PolicyOf};
use fragua_base::Timestamp;
use fragua_storage::{
    BucketName, BucketSettings, CorsRule, ExpireAfter, LifecycleRule, NotificationTarget, Storage,
    UploadQuery, Versioning,
};

use super::bucket_forms::Refused;
use super::place::{bucket_address, crumbs};
use crate::error::{Error, render};
use crate::filters;
use crate::form;
use crate::format;
use crate::page::{Page, encode};
use crate::view::Crumb;

/// Uploads in progress that are listed.
const MOST_UPLOADS: usize = 50;

#[derive(Template)]
#[template(path = "console/settings.html")]
struct SettingsPage<'a> {
    page: &'a Page,
    bucket: String,
    address: String,
    crumbs: Vec<Crumb>,
    objects: String,
    size: String,
    noncurrent: String,
    noncurrent_size: String,
    markers: String,
    quota_share: Option<u64>,
    versioning: Versioning,
    is_encrypted: bool,
    quota: QuotaField,
    access: Access,
    policy: String,
    tags: String,
    rules: Vec<RuleView>,
    /// Each rule, and how a form names it.
    cors: Vec<(CorsRule, String)>,
    targets: Vec<NotificationTarget>,
    /// Those that a new one may name: each with its name in the settings.
    webhooks: Vec<(String, String)>,
    uploads: Vec<UploadView>,
    is_empty: bool,
    refused: Refused,
}

struct RuleView {
    id: String,
    is_enabled: bool,
    /// What it is about.
    about: Vec<String>,
    /// What it does.
    does: Vec<String>,
}

struct UploadView {
    key: String,
    created_at: Timestamp,
    abort_address: String,
}

/// Who may read a bucket, in the words of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Keys alone, as their own policies say.
    Private,
    /// Everybody may read its objects.
    PublicRead,
    /// A policy that opens something to everybody.
    CustomPublic,
    /// Any other policy.
    Custom,
}

impl Access {
    pub(super) fn of(bucket: &BucketName, policy: Option<&str>) -> Self {
        let Some(text) = policy else {
            return Self::Private;
        };
        let parse = |text: &str| Policy::parse_kept(text, PolicyOf::Bucket).ok();
        match parse(text) {
            policy if policy == parse(&public_read(bucket)) => Self::PublicRead,
            Some(policy) if policy.is_public() => Self::CustomPublic,
            _ => Self::Custom,
        }
    }

    /// Returns the value of the form's field.
    pub(super) fn value(&self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::CustomPublic | Self::Custom => "custom",
        }
    }

    pub(super) fn is_public(&self) -> bool {
        matches!(self, Self::PublicRead | Self::CustomPublic)
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Private => "access-private",
            Self::PublicRead => "access-public-read",
            Self::CustomPublic => "access-custom-public",
            Self::Custom => "access-custom",
        }
    }
}

/// Returns the policy that lets everybody read the objects of a bucket whose keys they know.
pub(super) fn public_read(bucket: &BucketName) -> String {
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:GetObject"],
            "Resource": [format!("arn:aws:s3:::{bucket}/*")],
        }],
    });
    pretty(&policy.to_string())
}

/// Writes a setting as its JSON, which names it in forms.
pub(super) fn json_of(setting: &impl serde::Serialize) -> String {
    serde_json::to_string(setting).unwrap_or_default()
}

/// Writes JSON with a line for each value.
pub(super) fn pretty(json: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(json);
    value
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| json.to_owned())
}

/// A quota as people write it: a number and its unit.
#[derive(Debug, Default)]
pub(super) struct QuotaField {
    pub(super) number: String,
    pub(super) unit: String,
}

impl QuotaField {
    pub(super) const UNITS: [(&'static str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("TiB", 1 << 40)];

    /// Returns what was typed into the form.
    pub(super) fn typed(form: &[(String, String)]) -> Self {
        let text = |name: &str| form::value(form, name).unwrap_or_default().trim().to_owned();
        Self {
            number: text("quota"),
            unit: text("unit"),
        }
    }

    fn of(bytes: Option<u64>) -> Self {
        let Some(bytes) = bytes else {
            return Self::default();
        };
        let [giga, mega, tera] = Self::UNITS;
        let (unit, size) = match bytes {
            _ if bytes.is_multiple_of(tera.1) => tera,
            _ if bytes.is_multiple_of(giga.1) => giga,
            _ => mega,
        };
        Self {
            number: format::exact(bytes as f64 / size as f64),
            unit: unit.to_owned(),
        }
    }

    /// Returns the bytes; nothing where no number was typed.
    pub(super) fn bytes(&self, page: &Page) -> Result<Option<u64>, Error> {
        if self.number.is_empty() {
            return Ok(None);
        }
        let refused = || Error::Invalid(page.t("quota-refused"));
        let number: f64 = self.number.replace(',', ".").parse().map_err(|_| refused())?;
        let unit = Self::UNITS.iter().find(|(name, _)| *name == self.unit);
        let bytes = number * unit.map_or(1 << 30, |(_, size)| *size) as f64;
        // A float beyond the largest whole number becomes that number.
        match bytes.is_finite() && bytes >= 1.0 {
            true => Ok(Some(bytes as u64)),
            false => Err(refused()),
        }
    }
}

pub(super) async fn show(
    State(storage): State<Storage>,
    page: Page,
    Path(bucket): Path<String>,
) -> Result<Response, Error> {
    let bucket = BucketName::parse(&bucket)?;
    answer(&storage, &page, &bucket, Refused::default()).await
}

/// Shows the page, with the form that was refused.
pub(super) async fn answer(
    storage: &Storage,
    page: &Page,
    bucket: &BucketName,
    refused: Refused,
) -> Result<Response, Error> {
    let usage = storage.usage(bucket).await?;
    let settings = storage.current_bucket_settings(bucket).await?;
    let query = UploadQuery {
        limit: Some(MOST_UPLOADS),
        ..UploadQuery::default()
    };
    let uploads = storage.list_uploads(bucket, query).await?.uploads;
    let held = usage.size_bytes + usage.noncurrent_bytes;
    let BucketSettings {
        versioning,
        lifecycle,
        cors,
        policy,
        notification,
        tags,
        quota_bytes,
        encryption,
    } = settings.as_ref().clone();
    let tags: Vec<String> = tags
        .iter()
        .flat_map(|tags| tags.iter())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut way = crumbs(page, bucket, "");
    way.push(Crumb::here(page.t("settings")));
    render(&SettingsPage {
        page,
        address: bucket_address(bucket, "/settings"),
        crumbs: way,
        objects: format::integer(usage.object_count),
        size: format::bytes(usage.size_bytes),
        noncurrent: format::integer(usage.noncurrent_count),
        noncurrent_size: format::bytes(usage.noncurrent_bytes),
        markers: format::integer(usage.delete_marker_count),
        is_empty: usage.object_count + usage.noncurrent_count + usage.delete_marker_count == 0,
        quota_share: quota_bytes.map(|quota| (held.saturating_mul(100) / quota.max(1)).min(100)),
        versioning,
        is_encrypted: encryption.is_some(),
        quota: QuotaField::of(quota_bytes),
        access: Access::of(bucket, policy.as_deref()),
        policy: policy.map_or_else(|| public_read(bucket), |policy| pretty(&policy)),
        tags: tags.join("\n"),
        rules: lifecycle
            .into_iter()
            .flat_map(|lifecycle| lifecycle.rules)
            .map(|rule| rule_view(page, rule))
            .collect(),
        cors: cors
            .into_iter()
            .flat_map(|cors| cors.rules)
            .map(|rule| (rule.clone(), json_of(&rule)))
            .collect(),
        targets: notification
            .map(|notification| notification.targets)
            .unwrap_or_default(),
        webhooks: storage
            .webhook_arns()
            .into_iter()
            .map(|arn| (arn.rsplit(':').next().unwrap_or_default().to_owned(), arn))
            .collect(),
        uploads: uploads
            .into_iter()
            .map(|upload| {
                let (key, id) = (encode(upload.key.as_str()), encode(upload.id.as_str()));
                UploadView {
                    abort_address: bucket_address(bucket, &format!("/uploads/abort?key={key}&upload={id}")),
                    key: upload.key.as_str().to_owned(),
                    created_at: upload.created_at,
                }
            })
            .collect(),
        bucket: bucket.to_string(),
        refused,
    })
}

/// Says in words what a lifecycle rule is about and what it does.
fn rule_view(page: &Page, rule: LifecycleRule) -> RuleView {
    let filter = rule.filter;
    let mut about = Vec::new();
    if !filter.prefix.is_empty() {
        about.push(page.t1("rule-prefix", "prefix", &filter.prefix));
    }
    for (name, value) in filter.tags.iter() {
        about.push(page.t1("rule-tag", "tag", &format!("{name}={value}")));
    }
    if let Some(bytes) = filter.larger_than_bytes {
        about.push(page.t1("rule-larger", "size", &format::bytes(bytes)));
    }
    if let Some(bytes) = filter.smaller_than_bytes {
        about.push(page.t1("rule-smaller", "size", &format::bytes(bytes)));
    }
    if about.is_empty() {
        about.push(page.t("rule-all"));
    }
    let mut does = Vec::new();
    match rule.expire {
        Some(ExpireAfter::Days(days)) => does.push(page.tn("rule-expire-days", &days.into())),
        Some(ExpireAfter::Date(millis)) => {
            let date = format::instant(Timestamp::from_millis(millis));
            let day = date.split(' ').next().unwrap_or_default();
            does.push(page.t1("rule-expire-date", "date", day));
        }
        Some(ExpireAfter::LoneMarkers) => does.push(page.t("rule-expire-markers")),
        None => {}
    }
    if let Some(noncurrent) = rule.expire_noncurrent {
        let mut text = page.tn("rule-noncurrent-days", &noncurrent.days.into());
        if noncurrent.keep_newest > 0 {
            text.push_str(", ");
            text.push_str(&page.tn("rule-keep-newest", &noncurrent.keep_newest.into()));
        }
        does.push(text);
    }
    if let Some(days) = rule.abort_upload_days {
        does.push(page.tn("rule-abort-days", &days.into()));
    }
    RuleView {
        id: rule.id,
        is_enabled: rule.is_enabled,
        about,
        does,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::tests::page;

    #[test]
    fn a_quota_is_written_as_it_was_typed() {
        let page = page("/", &[]);
        for (bytes, number, unit) in [
            (1 << 40, "1", "TiB"),
            (3 << 29, "1536", "MiB"),
            (5 << 30, "5", "GiB"),
            (1 << 19, "0.5", "MiB"),
        ] {
            let field = QuotaField::of(Some(bytes));
            assert_eq!((field.number.as_str(), field.unit.as_str()), (number, unit));
            assert_eq!(field.bytes(&page).unwrap(), Some(bytes));
        }
        for number in ["-1", "0", "much", "inf", "NaN"] {
            let unit = "GiB".to_owned();
            let number = number.to_owned();
            assert!(QuotaField { number, unit }.bytes(&page).is_err());
        }
        assert_eq!(QuotaField::default().bytes(&page).unwrap(), None);
    }

    #[test]
    fn access_is_known_by_its_policy() {
        let bucket = BucketName::parse("data").unwrap();
        let named = public_read(&bucket).replace("\"*\"", "{\"AWS\": [\"ana\"]}");
        let wider = public_read(&bucket).replace("s3:GetObject", "s3:*");
        for (policy, expected) in [
            (None, Access::Private),
            (Some(public_read(&bucket)), Access::PublicRead),
            (Some(named), Access::Custom),
            (Some(wider), Access::CustomPublic),
        ] {
            assert_eq!(Access::of(&bucket, policy.as_deref()), expected, "{policy:?}");
        }
    }
}
