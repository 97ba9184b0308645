//! The objects of a bucket, as folders.

use std::io;

use askama::Template;
use axum::extract::{Multipart, Path, Query, RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_storage::{BucketName, ListQuery, ObjectKey, ObjectMeta, PutOptions, Storage};
use futures::TryStreamExt;
use serde::Deserialize;

use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::format;
use crate::page::{Page, encode, parse_query};
use crate::pages::download;
use crate::view::Crumb;

const ROWS_PER_PAGE: usize = 200;

#[derive(Template)]
#[template(path = "console/objects.html")]
struct ObjectsPage<'a> {
    page: &'a Page,
    bucket: String,
    prefix: String,
    title: String,
    /// Where an upload goes, as people write it.
    place: String,
    crumbs: Vec<Crumb>,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
    object: Option<ObjectView>,
    upload_address: String,
}

struct Row {
    name: String,
    address: String,
    is_folder: bool,
    is_selected: bool,
    size: String,
    modified_at: Option<Timestamp>,
}

struct ObjectView {
    name: String,
    key: String,
    uri: String,
    size: String,
    content_type: String,
    modified_at: Timestamp,
    etag: String,
    metadata: Vec<(String, String)>,
    download_address: String,
    delete_address: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Place {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    key: String,
}

pub(super) async fn list(
    State(storage): State<Storage>,
    page: Page,
    Path(bucket): Path<String>,
    Query(place): Query<Place>,
) -> Result<Response, Error> {
    let bucket = BucketName::parse(&bucket)?;
    let query = ListQuery {
        prefix: place.prefix.clone(),
        delimiter: Some("/".to_owned()),
        start_after: Some(place.after.clone()).filter(|after| !after.is_empty()),
        limit: Some(ROWS_PER_PAGE),
    };
    let listing = storage.list(&bucket, query).await?;
    let object = match place.key.as_str() {
        "" => None,
        key => Some(storage.head(&bucket, &ObjectKey::parse(key)?).await?),
    };
    let folder = folder_of(&place.prefix);
    let own_name = |key: &str| key.strip_prefix(folder).unwrap_or(key).to_owned();
    let mut rows: Vec<Row> = listing
        .prefixes
        .iter()
        .map(|prefix| Row {
            name: own_name(prefix),
            address: folder_address(&bucket, prefix),
            is_folder: true,
            is_selected: false,
            size: String::new(),
            modified_at: None,
        })
        .collect();
    rows.extend(listing.objects.iter().map(|object| Row {
        name: own_name(object.key.as_str()),
        address: page.with("key", object.key.as_str()),
        is_folder: false,
        is_selected: object.key.as_str() == place.key,
        size: format::bytes(object.size_bytes),
        modified_at: Some(object.modified_at),
    }));
    let last_folder = folder.trim_end_matches('/').rsplit('/').next();
    let title = last_folder
        .filter(|name| !name.is_empty())
        .unwrap_or(bucket.as_str());
    render(&ObjectsPage {
        page: &page,
        title: title.to_owned(),
        place: format!("{bucket}/{folder}"),
        crumbs: crumbs(&page, &bucket, folder),
        rows,
        first: (!place.after.is_empty()).then(|| page.with2("after", "", "key", "")),
        next: listing.next.map(|next| page.with2("after", &next, "key", "")),
        object: object.map(|object| object_view(&bucket, folder, &object)),
        upload_address: format!(
            "/buckets/{}/upload?prefix={}",
            encode(bucket.as_str()),
            encode(folder)
        ),
        bucket: bucket.to_string(),
        prefix: place.prefix,
    })
}

/// A prefix may end inside a name; the folder is what stands before the last slash.
fn folder_of(prefix: &str) -> &str {
    prefix.rfind('/').map_or("", |slash| &prefix[..=slash])
}

fn folder_address(bucket: &BucketName, prefix: &str) -> String {
    let base = format!("/buckets/{}", encode(bucket.as_str()));
    if prefix.is_empty() {
        return base;
    }
    format!("{base}?prefix={}", encode(prefix))
}

fn crumbs(page: &Page, bucket: &BucketName, folder: &str) -> Vec<Crumb> {
    let mut crumbs = vec![Crumb::link(page.t("buckets-title"), "/")];
    if folder.is_empty() {
        crumbs.push(Crumb::here(bucket.as_str()));
        return crumbs;
    }
    crumbs.push(Crumb::link(bucket.as_str(), folder_address(bucket, "")));
    let mut start = 0;
    for (end, _) in folder.match_indices('/') {
        let name = &folder[start..end];
        let is_last = end + 1 == folder.len();
        let address = if is_last {
            String::new()
        } else {
            folder_address(bucket, &folder[..=end])
        };
        crumbs.push(Crumb::link(name, address));
        start = end + 1;
    }
    crumbs
}

fn object_view(bucket: &BucketName, folder: &str, object: &ObjectMeta) -> ObjectView {
    let key = object.key.as_str();
    let base = format!("/buckets/{}", encode(bucket.as_str()));
    let headers = &object.headers;
    let mut metadata: Vec<(String, String)> = [
        ("Cache-Control", &headers.cache_control),
        ("Content-Disposition", &headers.content_disposition),
        ("Content-Encoding", &headers.content_encoding),
        ("Content-Language", &headers.content_language),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
    .collect();
    metadata.extend(
        object
            .user_metadata
            .iter()
            .map(|(name, value)| (format!("x-amz-meta-{name}"), value.clone())),
    );
    ObjectView {
        name: key.strip_prefix(folder).unwrap_or(key).to_owned(),
        uri: format!("s3://{bucket}/{key}"),
        size: format!(
            "{} ({} B)",
            format::bytes(object.size_bytes),
            format::integer(object.size_bytes)
        ),
        content_type: object.content_type.clone(),
        modified_at: object.modified_at,
        etag: object.etag.trim_matches('"').to_owned(),
        metadata,
        download_address: format!("{base}/download?key={}", encode(key)),
        delete_address: format!("{base}/delete?prefix={}", encode(folder)),
        key: key.to_owned(),
    }
}

pub(super) async fn download(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    Query(place): Query<Place>,
) -> Result<Response, Error> {
    let (bucket, key) = (BucketName::parse(&bucket)?, ObjectKey::parse(place.key)?);
    let (object, stream) = storage.get(&bucket, &key, None).await?;
    let name = object.key.as_str().rsplit('/').next().unwrap_or("object");
    Ok(download::file(name, stream))
}

pub(super) async fn delete(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    Query(place): Query<Place>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let key = ObjectKey::parse(form::value(&form, "key").unwrap_or_default())?;
    let bucket = BucketName::parse(&bucket)?;
    storage.delete(&bucket, &key).await?;
    Ok(see_other(&folder_address(&bucket, &place.prefix)))
}

/// Streams each file of the form into the store, in the order in which the browser sends them.
pub(super) async fn upload(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    Query(place): Query<Place>,
    mut form: Multipart,
) -> Result<Response, Error> {
    let bucket = BucketName::parse(&bucket)?;
    let mut count = 0_usize;
    while let Some(field) = form.next_field().await.map_err(broken_form)? {
        let Some(name) = field.file_name().filter(|name| !name.is_empty()) else {
            continue;
        };
        let key = ObjectKey::parse(format!("{}{name}", place.prefix))?;
        let sent_type = field.content_type().map(str::to_owned);
        let guessed = || mime_guess::from_path(name).first().map(|kind| kind.to_string());
        let options = PutOptions {
            content_type: sent_type.or_else(guessed),
            ..PutOptions::default()
        };
        storage
            .put(&bucket, &key, options, field.map_err(io::Error::other))
            .await?;
        count += 1;
    }
    if count == 0 {
        return Err(Error::Invalid("the form holds no file".to_owned()));
    }
    Ok(see_other(&folder_address(&bucket, &place.prefix)))
}

fn broken_form(error: axum::extract::multipart::MultipartError) -> Error {
    Error::Invalid(error.body_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_lies_in_a_folder() {
        for (prefix, folder) in [
            ("", ""),
            ("mod", ""),
            ("models/", "models/"),
            ("models/a/MLm", "models/a/"),
        ] {
            assert_eq!(folder_of(prefix), folder);
        }
    }
}
