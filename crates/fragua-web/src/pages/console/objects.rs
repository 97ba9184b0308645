//! The objects of a bucket, as folders.

use askama::Template;
use axum::extract::{Path, Query, RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_storage::{
    BucketName, ListQuery, Listing, ObjectKey, PutOptions, Storage, VersionId, VersionList, VersionQuery,
    Versioning,
};
use serde::Deserialize;

use super::place::{
    Origin, bucket_address, crumbs, download_address, end_here, folder_address, folder_of, last_name,
    object_address, origin,
};
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::format;
use crate::page::{Page, encode, parse_query};
use crate::view::Crumb;

const ROWS_PER_PAGE: usize = 200;

#[derive(Template)]
#[template(path = "console/objects.html")]
struct ObjectsPage<'a> {
    page: &'a Page,
    bucket: String,
    folder: String,
    find: String,
    is_deep: bool,
    shows_deleted: bool,
    makes_versions: bool,
    title: String,
    /// Where an upload goes, as people write it.
    place: String,
    uri: String,
    crumbs: Vec<Crumb>,
    origin: Option<Origin>,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
    upload_address: String,
    folder_address: String,
    zip_address: String,
    delete_address: String,
}

struct Row {
    name: String,
    /// The key of an object, the prefix of a folder.
    key: String,
    address: String,
    download_address: String,
    is_folder: bool,
    size: String,
    modified_at: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    prefix: String,
    /// What the names in the folder begin with.
    find: String,
    after: String,
    /// The version of the key in `after` behind which a list of what was deleted goes on.
    version: String,
    key: String,
    deep: String,
    deleted: String,
}

pub(super) async fn list(
    State(storage): State<Storage>,
    page: Page,
    Path(bucket): Path<String>,
    Query(view): Query<View>,
) -> Result<Response, Error> {
    let bucket = BucketName::parse(&bucket)?;
    if !view.key.is_empty() {
        return Ok(see_other(&object_address(&bucket, &view.key)));
    }
    let folder = folder_of(&view.prefix);
    let find = format!("{}{}", &view.prefix[folder.len()..], view.find);
    let prefix = format!("{folder}{find}");
    let (is_deep, shows_deleted) = (!view.deep.is_empty(), !view.deleted.is_empty());
    let delimiter = (!is_deep).then(|| "/".to_owned());
    let start_after = Some(view.after).filter(|after| !after.is_empty());
    let is_later = start_after.is_some();
    let rows_of = Rows {
        bucket: &bucket,
        folder,
        shows_deleted,
    };
    let (rows, next) = if shows_deleted {
        let version = VersionId::parse(view.version).ok();
        let query = VersionQuery {
            prefix,
            delimiter,
            start_after: start_after.map(|after| (after, version)),
            limit: Some(ROWS_PER_PAGE),
        };
        let list = storage.list_versions(&bucket, query).await?;
        let next = list.next.clone().map(|(after, version)| {
            let version = version.map(|version| version.to_string()).unwrap_or_default();
            page.with2("after", &after, "version", &version)
        });
        (rows_of.deleted(list), next)
    } else {
        let query = ListQuery {
            prefix,
            delimiter,
            start_after,
            limit: Some(ROWS_PER_PAGE),
        };
        let listing = storage.list(&bucket, query).await?;
        let next = listing.next.as_deref().map(|next| page.with("after", next));
        (rows_of.present(listing), next)
    };
    let settings = storage.bucket_settings(&bucket).await?;
    let title = match folder {
        "" => bucket.as_str(),
        folder => last_name(folder),
    };
    let below = |path: &str| bucket_address(&bucket, &format!("/{path}?prefix={}", encode(folder)));
    render(&ObjectsPage {
        page: &page,
        title: title.to_owned(),
        place: format!("{bucket}/{folder}"),
        uri: format!("s3://{bucket}/{folder}"),
        crumbs: end_here(crumbs(&page, &bucket, folder)),
        origin: origin(&page, &bucket, folder),
        first: is_later.then(|| page.with2("after", "", "version", "")),
        rows,
        next,
        upload_address: below("upload"),
        folder_address: below("folder"),
        zip_address: below("zip"),
        delete_address: below("delete"),
        folder: folder.to_owned(),
        find,
        is_deep,
        shows_deleted,
        makes_versions: settings.versioning != Versioning::Never,
        bucket: bucket.to_string(),
    })
}

/// What the rows of one folder have in common.
struct Rows<'a> {
    bucket: &'a BucketName,
    folder: &'a str,
    shows_deleted: bool,
}

impl Rows<'_> {
    fn present(&self, listing: Listing) -> Vec<Row> {
        let objects = listing.objects.into_iter().map(|object| {
            let size = format::bytes(object.size_bytes);
            self.object(object.key.as_str(), size, object.modified_at)
        });
        self.folders(listing.prefixes)
            .chain(objects)
            // The empty object that makes a folder is the folder itself.
            .filter(|row| !row.name.is_empty())
            .collect()
    }

    /// Keys that stand for a delete marker now.
    fn deleted(&self, list: VersionList) -> Vec<Row> {
        let markers = list
            .versions
            .into_iter()
            .filter(|version| version.is_latest && version.content.is_none())
            .map(|marker| self.object(marker.key.as_str(), String::new(), marker.modified_at));
        self.folders(list.prefixes).chain(markers).collect()
    }

    fn folders(&self, prefixes: Vec<String>) -> impl Iterator<Item = Row> {
        prefixes.into_iter().map(|prefix| {
            let mut address = folder_address(self.bucket, &prefix);
            if self.shows_deleted {
                address.push_str("&deleted=1");
            }
            Row {
                name: self.name(&prefix),
                address,
                download_address: String::new(),
                is_folder: true,
                size: String::new(),
                modified_at: None,
                key: prefix,
            }
        })
    }

    fn object(&self, key: &str, size: String, at: Timestamp) -> Row {
        Row {
            name: self.name(key),
            address: object_address(self.bucket, key),
            download_address: match self.shows_deleted {
                true => String::new(),
                false => download_address(self.bucket, key, None),
            },
            is_folder: false,
            size,
            modified_at: Some(at),
            key: key.to_owned(),
        }
    }

    fn name(&self, key: &str) -> String {
        key.strip_prefix(self.folder).unwrap_or(key).to_owned()
    }
}

/// Makes a folder as other consoles do: an empty object whose key ends with a slash. It stays when the folder is empty.
pub(super) async fn create_folder(
    State(storage): State<Storage>,
    page: Page,
    Path(bucket): Path<String>,
    Query(view): Query<View>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let bucket = BucketName::parse(&bucket)?;
    let form = parse_query(&String::from_utf8_lossy(&body));
    let name = form::value(&form, "name").unwrap_or_default();
    let name = name.trim().trim_matches('/');
    if name.is_empty() {
        return Err(Error::Invalid(page.t("folder-needs-name")));
    }
    let folder = format!("{}{name}/", view.prefix);
    let key = ObjectKey::parse(folder.as_str())?;
    let options = PutOptions {
        content_type: Some("application/x-directory".to_owned()),
        ..PutOptions::default()
    };
    storage
        .put_bytes(&bucket, &key, options, Vec::<u8>::new())
        .await?;
    Ok(see_other(&folder_address(&bucket, &folder)))
}
