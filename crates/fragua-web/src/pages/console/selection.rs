//! What is done with the objects and folders that somebody ticked: they are deleted, or sent as one zip file.

use std::collections::VecDeque;
use std::io;

use axum::extract::{Path, Query, RawForm, State};
use axum::response::Response;
use bytes::Bytes;
use fragua_storage::{BucketName, Error as StorageError, ListQuery, ObjectKey, ObjectStream, Storage};
use serde::Deserialize;

use super::place::{folder_address, last_name};
use crate::error::{Error, see_other};
use crate::page::{Page, parse_query};
use crate::pages::archive;

/// Keys that are deleted in one transaction.
const DELETED_AT_ONCE: usize = 500;

#[derive(Debug, Deserialize)]
pub(super) struct Folder {
    /// The folder in which things were ticked.
    #[serde(default)]
    prefix: String,
}

/// Something that was ticked.
enum Chosen {
    Object(ObjectKey),
    /// Everything that begins with this.
    Folder(String),
}

fn chosen(page: &Page, body: &[u8]) -> Result<VecDeque<Chosen>, Error> {
    let mut all = VecDeque::new();
    for (name, value) in parse_query(&String::from_utf8_lossy(body)) {
        match name.as_str() {
            "key" => all.push_back(Chosen::Object(ObjectKey::parse(value)?)),
            // Without a slash it would be more than a folder.
            "folder" if value.ends_with('/') => all.push_back(Chosen::Folder(value)),
            _ => {}
        }
    }
    if all.is_empty() {
        return Err(Error::Invalid(page.t("nothing-chosen")));
    }
    Ok(all)
}

pub(super) async fn delete(
    State(storage): State<Storage>,
    page: Page,
    Path(bucket): Path<String>,
    Query(folder): Query<Folder>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let bucket = BucketName::parse(&bucket)?;
    let mut keys = Vec::new();
    for one in chosen(&page, &body)? {
        match one {
            Chosen::Object(key) => keys.push(key),
            Chosen::Folder(prefix) => delete_below(&storage, &bucket, prefix).await?,
        }
    }
    for keys in keys.chunks(DELETED_AT_ONCE) {
        storage.delete_many(&bucket, keys).await?;
    }
    Ok(see_other(&folder_address(&bucket, &folder.prefix)))
}

async fn delete_below(storage: &Storage, bucket: &BucketName, prefix: String) -> Result<(), Error> {
    let mut query = below(prefix);
    loop {
        let listing = storage.list(bucket, query.clone()).await?;
        let keys: Vec<ObjectKey> = listing.objects.into_iter().map(|object| object.key).collect();
        storage.delete_many(bucket, &keys).await?;
        if listing.next.is_none() {
            return Ok(());
        }
        query.start_after = listing.next;
    }
}

fn below(prefix: String) -> ListQuery {
    ListQuery {
        prefix,
        limit: Some(DELETED_AT_ONCE),
        ..ListQuery::default()
    }
}

pub(super) async fn zip(
    State(storage): State<Storage>,
    page: Page,
    Path(bucket): Path<String>,
    Query(folder): Query<Folder>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let bucket = BucketName::parse(&bucket)?;
    storage.head_bucket(&bucket).await?;
    let chosen = chosen(&page, &body)?;
    let name = match (chosen.len(), chosen.front()) {
        (1, Some(Chosen::Folder(prefix))) => last_name(prefix),
        _ if folder.prefix.is_empty() => bucket.as_str(),
        _ => last_name(&folder.prefix),
    }
    .to_owned();
    let files = Selected {
        storage,
        bucket,
        folder: folder.prefix,
        chosen,
        listed: VecDeque::new(),
        rest: None,
        left_out: String::new(),
    };
    Ok(archive::send(files, &name))
}

struct Selected {
    storage: Storage,
    bucket: BucketName,
    folder: String,
    chosen: VecDeque<Chosen>,
    listed: VecDeque<ObjectKey>,
    /// The next page of the folder that is being listed.
    rest: Option<ListQuery>,
    /// What is not in the archive and why, a line for each; nothing more is written there once it is long.
    left_out: String,
}

/// Where the archive says what is not in it.
const LEFT_OUT: &str = "LEFT-OUT.txt";
const MOST_LEFT_OUT: usize = 64 * 1024;

impl Selected {
    fn leave_out(&mut self, key: &ObjectKey, why: &str) {
        if self.left_out.len() < MOST_LEFT_OUT {
            self.left_out.push_str(&format!("{key}: {why}\n"));
        }
    }

    async fn next_key(&mut self) -> io::Result<Option<ObjectKey>> {
        loop {
            if let Some(key) = self.listed.pop_front() {
                return Ok(Some(key));
            }
            if let Some(mut query) = self.rest.take() {
                let listing = self.storage.list(&self.bucket, query.clone()).await;
                let listing = listing.map_err(io::Error::other)?;
                self.listed = listing.objects.into_iter().map(|object| object.key).collect();
                if listing.next.is_some() {
                    query.start_after = listing.next;
                    self.rest = Some(query);
                }
                continue;
            }
            match self.chosen.pop_front() {
                None => return Ok(None),
                Some(Chosen::Object(key)) => return Ok(Some(key)),
                Some(Chosen::Folder(prefix)) => self.rest = Some(below(prefix)),
            }
        }
    }
}

impl archive::Files for Selected {
    /// What was deleted since it was ticked is left out. So are keys that are no path, which unpacked could lie outside of
    /// the folder, and what is not opened without its writer's key: of these the last file tells.
    async fn next(&mut self) -> io::Result<Option<(String, ObjectStream)>> {
        while let Some(key) = self.next_key().await? {
            let name = key.as_str().strip_prefix(&self.folder).unwrap_or(key.as_str());
            if name.is_empty() || name.ends_with('/') {
                continue;
            }
            if !is_path(name) {
                self.leave_out(&key, "its key is no path of a file");
                continue;
            }
            match self.storage.get(&self.bucket, &key, None).await {
                Ok((_, stream)) => return Ok(Some((name.to_owned(), stream))),
                Err(StorageError::ObjectNotFound { .. }) => {}
                Err(StorageError::CustomerKeyMissing) => {
                    self.leave_out(&key, "only its writer's key opens it")
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        if self.left_out.is_empty() {
            return Ok(None);
        }
        let told = Bytes::from(std::mem::take(&mut self.left_out));
        let range = 0..told.len() as u64;
        let stream = ObjectStream::new(range, futures::stream::iter([Ok(told)]));
        Ok(Some((LEFT_OUT.to_owned(), stream)))
    }
}

/// Tells whether a name is a path below the folder in which an archive is unpacked, on every system.
fn is_path(name: &str) -> bool {
    let has_drive = name.as_bytes().get(1) == Some(&b':');
    !has_drive && !name.contains('\\') && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_are_put_into_an_archive() {
        for (name, expected) in [
            ("a.txt", true),
            ("a/b c/ñ.txt", true),
            ("/etc/passwd", false),
            ("a/../../b", false),
            ("a//b", false),
            ("..\\b", false),
            ("C:b", false),
            ("2025-04-02T10:00:00.json", true),
        ] {
            assert_eq!(is_path(name), expected, "{name}");
        }
    }
}
