//! One object: a look into it, what is known of it, its versions.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_storage::{
    BucketName, ByteRange, ChecksumAlgorithm, Encryption, Error as StorageError, EtagCondition, GetOptions,
    ObjectKey, ObjectMeta, ObjectStream, ReadConditions, Storage, VersionId, VersionQuery, Versioning,
};
use serde::Deserialize;

use super::object_forms::Answer;
use super::place::{
    Origin, bucket_address, crumbs, download_address, folder_of, last_name, object_address, origin,
};
use crate::error::{Error, render};
use crate::filters;
use crate::format;
use crate::page::{Page, encode};
use crate::pages::download;
use crate::pages::preview::{self, Plan, Preview};
use crate::view::Crumb;

const VERSIONS_PER_PAGE: usize = 50;

#[derive(Template)]
#[template(path = "console/object.html")]
struct ObjectPage<'a> {
    page: &'a Page,
    bucket: String,
    key: String,
    name: String,
    uri: String,
    crumbs: Vec<Crumb>,
    /// The page of the key, whatever it stands for now.
    address: String,
    /// Where the forms are sent.
    act_address: String,
    delete_address: String,
    origin: Option<Origin>,
    /// Nothing where the key stands for a delete marker.
    object: Option<ObjectView>,
    makes_versions: bool,
    /// The version that the address names; empty for the one that the key stands for.
    version: String,
    versions: Vec<VersionRow>,
    more_versions: Option<String>,
    can_share: bool,
    /// The loading of a model in Python belongs to its run.
    loading: String,
    answer: Answer,
}

struct ObjectView {
    size: String,
    content_type: String,
    modified_at: Timestamp,
    etag: String,
    checksum: Option<(&'static str, String)>,
    encryption: Option<String>,
    parts: u32,
    metadata: Vec<(String, String)>,
    tags: Vec<(String, String)>,
    download_address: String,
    preview: Preview,
}

struct VersionRow {
    id: String,
    is_latest: bool,
    is_marker: bool,
    is_shown: bool,
    size: String,
    modified_at: Timestamp,
    address: String,
    download_address: String,
}

/// Which object, and which version of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Target {
    pub(super) key: String,
    #[serde(default)]
    pub(super) version: String,
    /// The version behind which the list of versions goes on.
    #[serde(default)]
    after: String,
}

/// A target that was understood.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) bucket: BucketName,
    pub(super) key: ObjectKey,
    pub(super) version: Option<VersionId>,
    after: Option<VersionId>,
}

impl Target {
    pub(super) fn parse(self, bucket: &str) -> Result<Place, Error> {
        let version = |text: String| (!text.is_empty()).then(|| VersionId::parse(text)).transpose();
        Ok(Place {
            bucket: BucketName::parse(bucket)?,
            key: ObjectKey::parse(self.key)?,
            version: version(self.version)?,
            after: version(self.after)?,
        })
    }
}

impl Place {
    pub(super) fn address(&self) -> String {
        object_address(&self.bucket, self.key.as_str())
    }

    fn version(&self) -> &str {
        self.version.as_ref().map_or("", VersionId::as_str)
    }

    pub(super) async fn head(&self, storage: &Storage) -> Result<ObjectMeta, StorageError> {
        match &self.version {
            None => storage.head(&self.bucket, &self.key).await,
            Some(version) => storage.head_version(&self.bucket, &self.key, version).await,
        }
    }

    async fn read(
        &self,
        storage: &Storage,
        range: Option<ByteRange>,
    ) -> Result<(ObjectMeta, ObjectStream), StorageError> {
        self.read_if(storage, range, ReadConditions::default()).await
    }

    async fn read_if(
        &self,
        storage: &Storage,
        range: Option<ByteRange>,
        conditions: ReadConditions,
    ) -> Result<(ObjectMeta, ObjectStream), StorageError> {
        let options = GetOptions {
            version: self.version.clone(),
            range,
            conditions,
            ..GetOptions::default()
        };
        storage.get_with(&self.bucket, &self.key, options).await
    }
}

pub(super) async fn show(
    State(storage): State<Storage>,
    page: Page,
    Path(bucket): Path<String>,
    Query(target): Query<Target>,
) -> Result<Response, Error> {
    let place = target.parse(&bucket)?;
    answer(&storage, &page, &place, Answer::default()).await
}

/// Shows the page, with what a form was answered.
pub(super) async fn answer(
    storage: &Storage,
    page: &Page,
    place: &Place,
    answer: Answer,
) -> Result<Response, Error> {
    let (bucket, key) = (&place.bucket, place.key.as_str());
    let versioning = storage.bucket_settings(bucket).await?.versioning;
    let (versions, more_versions) = match versioning {
        Versioning::Never => (Vec::new(), None),
        _ => versions(storage, page, place).await?,
    };
    let object = match place.head(storage).await {
        Ok(object) => Some(view(storage, page, place, object).await?),
        // The page of what was deleted is where it comes back.
        Err(StorageError::ObjectNotFound { .. }) if !versions.is_empty() => None,
        Err(error) => return Err(error.into()),
    };
    let (folder, encoded) = (folder_of(key), encode(key));
    let mut way = crumbs(page, bucket, folder);
    way.push(Crumb::here(last_name(key)));
    render(&ObjectPage {
        page,
        name: last_name(key).to_owned(),
        uri: format!("s3://{bucket}/{key}"),
        crumbs: way,
        address: place.address(),
        act_address: match place.version() {
            "" => place.address(),
            version => format!("{}&version={}", place.address(), encode(version)),
        },
        delete_address: bucket_address(bucket, &format!("/delete?prefix={}", encode(folder))),
        origin: origin(page, bucket, key),
        object,
        makes_versions: versioning != Versioning::Never,
        version: place.version().to_owned(),
        versions,
        more_versions: more_versions.map(|after| {
            bucket_address(
                bucket,
                &format!("/object?key={encoded}&after={}#versions", encode(&after)),
            )
        }),
        can_share: page.site().endpoints().storage.is_some(),
        loading: String::new(),
        answer,
        bucket: bucket.to_string(),
        key: key.to_owned(),
    })
}

async fn view(
    storage: &Storage,
    page: &Page,
    place: &Place,
    object: ObjectMeta,
) -> Result<ObjectView, Error> {
    let key = object.key.as_str();
    let is_of_customer = object.encryption.as_ref().map(Encryption::is_customer_key);
    let preview = match preview::plan(last_name(key), object.size_bytes) {
        // Who looks at the page does not send the key.
        _ if is_of_customer == Some(true) => Preview::Binary,
        Plan::Shown(preview) => preview,
        Plan::Read(wanted) => {
            let (_, stream) = place.read(storage, wanted.range()).await?;
            let bytes = stream.into_bytes(wanted.limit()).await?;
            wanted.understand(page, bytes).await?
        }
        Plan::Columns => {
            let (storage, place) = (storage.clone(), place.clone());
            // All parts are of the object that was there first.
            let conditions = ReadConditions {
                if_match: Some(EtagCondition::Is(object.etag.clone())),
                ..ReadConditions::default()
            };
            let open = move |range| {
                let (storage, place, conditions) = (storage.clone(), place.clone(), conditions.clone());
                async move { Ok(place.read_if(&storage, Some(range), conditions).await?.1) }
            };
            preview::rows_of_columns(page, object.size_bytes, open).await?
        }
    };
    let version = place.version.as_ref().map(VersionId::as_str);
    Ok(ObjectView {
        size: match object.size_bytes {
            size @ 0..1024 => format::bytes(size),
            size => format!("{} ({} B)", format::bytes(size), format::integer(size)),
        },
        download_address: download_address(&place.bucket, key, version),
        metadata: metadata(&object),
        tags: object
            .tags
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        content_type: object.content_type,
        modified_at: object.modified_at,
        etag: object.etag,
        checksum: object
            .checksum
            .map(|checksum| (algorithm(checksum.algorithm), checksum.value)),
        parts: object.parts.count(),
        encryption: is_of_customer.map(|is_of_customer| match is_of_customer {
            true => page.t("encryption-of-customer"),
            false => "AES-256".to_owned(),
        }),
        preview,
    })
}

fn algorithm(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC-32",
        ChecksumAlgorithm::Crc32c => "CRC-32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC-64/NVME",
        ChecksumAlgorithm::Sha1 => "SHA-1",
        ChecksumAlgorithm::Sha256 => "SHA-256",
    }
}

fn metadata(object: &ObjectMeta) -> Vec<(String, String)> {
    let headers = &object.headers;
    let kept = [
        ("Cache-Control", &headers.cache_control),
        ("Content-Disposition", &headers.content_disposition),
        ("Content-Encoding", &headers.content_encoding),
        ("Content-Language", &headers.content_language),
        ("Expires", &headers.expires),
    ];
    let own = object
        .user_metadata
        .iter()
        .map(|(name, value)| (format!("x-amz-meta-{name}"), value.clone()));
    kept.into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .chain(own)
        .collect()
}

/// Returns a page of the versions of one key, and behind which one the next page begins.
async fn versions(
    storage: &Storage,
    page: &Page,
    place: &Place,
) -> Result<(Vec<VersionRow>, Option<String>), Error> {
    let key = place.key.as_str();
    let query = VersionQuery {
        prefix: key.to_owned(),
        start_after: place.after.clone().map(|version| (key.to_owned(), Some(version))),
        limit: Some(VERSIONS_PER_PAGE),
        ..VersionQuery::default()
    };
    let list = storage.list_versions(&place.bucket, query).await?;
    // The key itself comes before all others that begin with it.
    let next = list.next.filter(|(next, _)| next == key);
    let rows = list
        .versions
        .into_iter()
        .filter(|version| version.key == place.key);
    let rows = rows.map(|version| {
        let id = version.id.as_str();
        VersionRow {
            is_shown: id == place.version() || (place.version.is_none() && version.is_latest),
            is_latest: version.is_latest,
            is_marker: version.content.is_none(),
            size: version
                .content
                .map(|content| format::bytes(content.size_bytes))
                .unwrap_or_default(),
            modified_at: version.modified_at,
            address: page.with2("version", id, "after", ""),
            download_address: download_address(&place.bucket, key, Some(id)),
            id: id.to_owned(),
        }
    });
    let next = next.and_then(|(_, version)| version);
    Ok((rows.collect(), next.map(|version| version.to_string())))
}

/// Succeeds when the object, or the version that is named, is there.
pub(super) async fn exists(storage: &Storage, place: &Place) -> Result<(), Error> {
    place.head(storage).await?;
    Ok(())
}

/// Tells whether anything is left of a key.
pub(super) async fn has_versions(storage: &Storage, place: &Place) -> Result<bool, Error> {
    let query = VersionQuery {
        prefix: place.key.as_str().to_owned(),
        limit: Some(1),
        ..VersionQuery::default()
    };
    let list = storage.list_versions(&place.bucket, query).await?;
    Ok(list.versions.iter().any(|version| version.key == place.key))
}

/// Answers with the bytes of an object or of a version of it: to keep, or with `?show=1` a document for the frame of its
/// preview.
pub(super) async fn download(
    State(storage): State<Storage>,
    page: Page,
    Path(bucket): Path<String>,
    Query(target): Query<Target>,
) -> Result<Response, Error> {
    let place = target.parse(&bucket)?;
    let (object, stream) = place.read(&storage, None).await?;
    let name = last_name(object.key.as_str());
    if page.has_chosen("show") && download::is_document(name) {
        return Ok(download::document(stream));
    }
    Ok(download::file(name, stream))
}
