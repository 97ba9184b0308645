//! A store in a folder, opened by one process after another.

use std::path::Path;
use std::sync::Arc;

use fragua_base::{Secret, SystemClock};
use fragua_database::{Database, sqlite_url};
use fragua_storage::{BucketName, Error, GetOptions, ObjectKey, Settings, Storage, VersionId};
use sha2::{Digest as _, Sha256};

/// What the keys of encrypted objects are encrypted with, by each process.
const SECRET_KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";

pub(crate) async fn open(folder: &Path) -> Storage {
    let url = sqlite_url(&folder.join("storage.db"));
    let database = Database::open(&url, "storage.database_url").await.unwrap();
    let settings = Settings {
        secret_key: Some(Secret::new(SECRET_KEY)),
        ..Settings::new(folder.join("objects"))
    };
    Storage::open(database, settings, Arc::new(SystemClock))
        .await
        .unwrap()
}

pub(crate) fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).unwrap()
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).unwrap()
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Returns the digest of what an object holds; `None` when there is no such object.
pub(crate) async fn read(
    storage: &Storage,
    in_bucket: &str,
    name: &str,
    version: Option<VersionId>,
) -> Option<String> {
    let options = GetOptions {
        version,
        ..GetOptions::default()
    };
    match storage.get_with(&bucket(in_bucket), &key(name), options).await {
        Ok((_, stream)) => Some(digest(&stream.into_bytes(u64::MAX).await.unwrap())),
        Err(Error::ObjectNotFound { .. } | Error::VersionNotFound { .. }) => None,
        Err(error) => panic!("{name} cannot be read: {error}"),
    }
}
