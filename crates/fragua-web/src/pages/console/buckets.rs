//! The list of buckets.

use askama::Template;
use axum::extract::{RawForm, State};
use axum::response::{IntoResponse as _, Response};
use fragua_base::Timestamp;
use fragua_storage::{BucketName, BucketSetting, Storage, Versioning};

use super::place::bucket_address;
use super::settings::{Access, QuotaField, public_read};
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::format;
use crate::page::{Page, parse_query};

#[derive(Template)]
#[template(path = "console/buckets.html")]
struct BucketsPage<'a> {
    page: &'a Page,
    rows: Vec<BucketRow>,
    endpoint: String,
    total_objects: String,
    total_size: String,
    new: Option<NewBucket>,
}

struct BucketRow {
    name: String,
    objects: String,
    size: String,
    /// How much of the quota objects take, from 0 to 100, and the quota.
    quota: Option<(u64, String)>,
    access: Access,
    versioning: Versioning,
    created_at: Timestamp,
}

/// What is typed into the form.
#[derive(Default)]
struct NewBucket {
    name: String,
    makes_versions: bool,
    is_public: bool,
    quota: QuotaField,
    problem: String,
}

pub(super) async fn list(State(storage): State<Storage>, page: Page) -> Result<Response, Error> {
    let new = page.has_chosen("new").then(NewBucket::default);
    answer(&storage, &page, new).await
}

async fn answer(storage: &Storage, page: &Page, new: Option<NewBucket>) -> Result<Response, Error> {
    let buckets = storage.list_buckets().await?;
    let total_objects = buckets.iter().map(|bucket| bucket.object_count).sum();
    let total_size = buckets.iter().map(|bucket| bucket.size_bytes).sum();
    let mut settings_of_all = storage.settings_of_all().await?;
    let mut rows = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        // Else it was deleted since it was counted.
        let Some(settings) = settings_of_all.remove(&bucket.name) else {
            continue;
        };
        rows.push(BucketRow {
            name: bucket.name.to_string(),
            objects: format::integer(bucket.object_count),
            size: format::bytes(bucket.size_bytes),
            quota: settings.quota_bytes.map(|quota| {
                let share = bucket.size_bytes.saturating_mul(100) / quota.max(1);
                (share.min(100), format::bytes(quota))
            }),
            access: Access::of(&bucket.name, settings.policy.as_deref()),
            versioning: settings.versioning,
            created_at: bucket.created_at,
        });
    }
    render(&BucketsPage {
        page,
        rows,
        endpoint: page.site().endpoints().storage.clone().unwrap_or_default(),
        total_objects: format::integer(total_objects),
        total_size: format::bytes(total_size),
        new,
    })
}

pub(super) async fn create(
    State(storage): State<Storage>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let mut typed = NewBucket {
        name: form::value(&form, "name").unwrap_or_default().trim().to_owned(),
        makes_versions: form::value(&form, "versioning").is_some(),
        is_public: form::value(&form, "public").is_some(),
        quota: QuotaField::typed(&form),
        problem: String::new(),
    };
    match make(&storage, &page, &typed).await {
        Ok(bucket) => Ok(see_other(&bucket_address(&bucket, ""))),
        Err(error) => {
            let (status, problem) = error.into_refusal()?;
            typed.problem = problem;
            let page = answer(&storage, &page, Some(typed)).await?;
            Ok((status, page).into_response())
        }
    }
}

async fn make(storage: &Storage, page: &Page, typed: &NewBucket) -> Result<BucketName, Error> {
    let bucket = BucketName::parse(&typed.name)?;
    let quota = typed.quota.bytes(page)?;
    storage.create_bucket(&bucket).await?;
    if typed.makes_versions {
        storage.set_versioning(&bucket, Versioning::Enabled).await?;
    }
    if typed.is_public {
        let policy = BucketSetting::Policy(Some(public_read(&bucket)));
        storage.set_bucket(&bucket, policy).await?;
    }
    if quota.is_some() {
        storage.set_bucket(&bucket, BucketSetting::Quota(quota)).await?;
    }
    Ok(bucket)
}
