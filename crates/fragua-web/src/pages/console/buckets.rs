//! The list of buckets.

use askama::Template;
use axum::extract::{RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_storage::{BucketName, Storage};

use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::format;
use crate::page::{Page, encode, parse_query};

#[derive(Template)]
#[template(path = "console/buckets.html")]
struct BucketsPage<'a> {
    page: &'a Page,
    rows: Vec<BucketRow>,
    endpoint: String,
    total_objects: String,
    total_size: String,
}

struct BucketRow {
    name: String,
    objects: String,
    size: String,
    created_at: Timestamp,
}

pub(super) async fn list(State(storage): State<Storage>, page: Page) -> Result<Response, Error> {
    let buckets = storage.list_buckets().await?;
    let total_objects = buckets.iter().map(|bucket| bucket.object_count).sum();
    let total_size = buckets.iter().map(|bucket| bucket.size_bytes).sum();
    let rows = buckets
        .into_iter()
        .map(|bucket| BucketRow {
            name: bucket.name.to_string(),
            objects: format::integer(bucket.object_count),
            size: format::bytes(bucket.size_bytes),
            created_at: bucket.created_at,
        })
        .collect();
    render(&BucketsPage {
        page: &page,
        rows,
        endpoint: page.site().endpoints().storage.clone().unwrap_or_default(),
        total_objects: format::integer(total_objects),
        total_size: format::bytes(total_size),
    })
}

pub(super) async fn create(
    State(storage): State<Storage>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let bucket = BucketName::parse(form::value(&form, "name").unwrap_or_default().trim())?;
    storage.create_bucket(&bucket).await?;
    Ok(see_other(&format!("/buckets/{}", encode(bucket.as_str()))))
}
