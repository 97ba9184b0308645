//! The objects of a bucket, as folders.

use askama::Template;
use axum::extract::{Path, Query, RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_storage::{BucketName, ListQuery, Listing, ObjectKey, PutOptions, Storage, Versioning};
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

/// The store keeps the order of names. A folder with no more entries than this can be put into another one.
const MOST_SORTED: usize = 1000;

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
    by_size: SortLink,
    by_time: SortLink,
    /// Another order was asked for, and there are too many entries for it.
    is_too_long_to_sort: bool,
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
    size_bytes: u64,
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
    key: String,
    deep: String,
    deleted: String,
    sort: String,
}

/// A head of a column that changes the order.
struct SortLink {
    address: String,
    /// The order of this column that is shown, as `aria-sort` says it.
    order: Option<&'static str>,
}

impl SortLink {
    /// What is largest or newest is looked for most: it comes first.
    fn new(page: &Page, name: &str, sort: &str) -> Self {
        let (next, order) = match sort.strip_prefix('-') {
            Some(sort) if sort == name => (name.to_owned(), Some("descending")),
            None if sort == name => (String::new(), Some("ascending")),
            _ => (format!("-{name}"), None),
        };
        let address = page.with2("sort", &next, "after", "");
        Self { address, order }
    }
}

/// Puts rows into the order of an address; folders stay before objects, by their names.
fn sort_rows(rows: &mut [Row], sort: &str) {
    let (name, is_descending) = match sort.strip_prefix('-') {
        Some(name) => (name, true),
        None => (sort, false),
    };
    rows.sort_by(|one, other| {
        let order = match name {
            "size" => one.size_bytes.cmp(&other.size_bytes),
            _ => one.modified_at.cmp(&other.modified_at),
        };
        let order = if is_descending { order.reverse() } else { order };
        other.is_folder.cmp(&one.is_folder).then(order)
    });
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
    let is_sorted = matches!(view.sort.trim_start_matches('-'), "size" | "changed");
    let query = ListQuery {
        prefix,
        delimiter,
        start_after,
        limit: Some(if is_sorted { MOST_SORTED } else { ROWS_PER_PAGE }),
    };
    let listing = match shows_deleted {
        true => storage.list_deleted(&bucket, query).await?,
        false => storage.list(&bucket, query).await?,
    };
    let next = listing.next.as_deref().map(|next| page.with("after", next));
    let mut rows = rows_of.rows(listing);
    let is_too_long_to_sort = is_sorted && (next.is_some() || is_later);
    if is_sorted && !is_too_long_to_sort {
        sort_rows(&mut rows, &view.sort);
    }
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
        first: is_later.then(|| page.with("after", "")),
        rows,
        by_size: SortLink::new(&page, "size", &view.sort),
        by_time: SortLink::new(&page, "changed", &view.sort),
        is_too_long_to_sort,
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
    fn rows(&self, listing: Listing) -> Vec<Row> {
        let objects = listing
            .objects
            .into_iter()
            .map(|object| self.object(object.key.as_str(), object.size_bytes, object.modified_at));
        self.folders(listing.prefixes)
            .chain(objects)
            // The empty object that makes a folder is the folder itself.
            .filter(|row| !row.name.is_empty())
            .collect()
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
                size_bytes: 0,
                size: String::new(),
                modified_at: None,
                key: prefix,
            }
        })
    }

    fn object(&self, key: &str, size_bytes: u64, at: Timestamp) -> Row {
        Row {
            name: self.name(key),
            address: object_address(self.bucket, key),
            download_address: match self.shows_deleted {
                true => String::new(),
                false => download_address(self.bucket, key, None),
            },
            is_folder: false,
            size_bytes,
            size: format::bytes(size_bytes),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_objects_in_each_order() {
        let row = |name: &str, is_folder: bool, size_bytes: u64, at: i64| Row {
            name: name.to_owned(),
            key: String::new(),
            address: String::new(),
            download_address: String::new(),
            is_folder,
            size_bytes,
            size: String::new(),
            modified_at: (!is_folder).then(|| Timestamp::from_millis(at)),
        };
        for (sort, expected) in [
            ("size", ["a/", "b/", "small", "large"]),
            ("-size", ["a/", "b/", "large", "small"]),
            ("changed", ["a/", "b/", "large", "small"]),
            ("-changed", ["a/", "b/", "small", "large"]),
        ] {
            let mut rows = [
                row("a/", true, 0, 0),
                row("b/", true, 0, 0),
                row("large", false, 9, 1),
                row("small", false, 2, 5),
            ];
            sort_rows(&mut rows, sort);
            assert_eq!(rows.map(|row| row.name), expected, "{sort}");
        }
    }
}
