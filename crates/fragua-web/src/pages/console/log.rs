//! Who wrote what in the store by its API, and who was refused.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use fragua_auth::{Auth, LoggedAccess};
use fragua_base::Timestamp;
use fragua_storage::BucketName;

use super::place::{bucket_address, object_address};
use crate::error::{Error, render};
use crate::filters;
use crate::page::Page;

const ROWS_PER_PAGE: usize = 100;

#[derive(Template)]
#[template(path = "console/log.html")]
struct LogPage<'a> {
    page: &'a Page,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

struct Row {
    at: Timestamp,
    who: String,
    key_id: String,
    operation: String,
    bucket: String,
    bucket_address: String,
    key: String,
    key_address: String,
    status: u16,
    /// The style class and the icon of the status.
    look: (&'static str, &'static str),
    request_id: String,
}

pub(super) async fn list(State(auth): State<Auth>, page: Page) -> Result<Response, Error> {
    // What this process noted a moment ago belongs to the list.
    if let Err(error) = auth.write_access_log().await {
        tracing::warn!(%error, "the newest entries of the access log are not written");
    }
    let after = page.parameter("after");
    let log = auth.access_log(after, ROWS_PER_PAGE).await?;
    render(&LogPage {
        page: &page,
        first: after.map(|_| page.with("after", "")),
        next: log.next.as_deref().map(|next| page.with("after", next)),
        rows: log.items.into_iter().map(row).collect(),
    })
}

fn row(entry: LoggedAccess) -> Row {
    // The request may have named what cannot be a bucket.
    let bucket = entry
        .bucket
        .as_deref()
        .and_then(|name| BucketName::parse(name).ok());
    let key = entry.object_key.unwrap_or_default();
    Row {
        at: entry.happened_at,
        who: entry.key_name.unwrap_or_default(),
        key_id: entry.access_key_id.unwrap_or_default(),
        operation: entry.operation,
        bucket_address: bucket
            .as_ref()
            .map(|bucket| bucket_address(bucket, ""))
            .unwrap_or_default(),
        key_address: match (&bucket, key.is_empty()) {
            (Some(bucket), false) => object_address(bucket, &key),
            _ => String::new(),
        },
        bucket: entry.bucket.unwrap_or_default(),
        key,
        status: entry.status,
        look: match entry.status {
            0..400 => ("state-success", "check"),
            400..500 => ("state-up_for_retry", "blocked"),
            _ => ("state-failed", "cross"),
        },
        request_id: entry.request_id,
    }
}
