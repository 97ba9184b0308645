//! The façade on each engine, the other S3, and the S3 API in process.

mod bucket_settings;
mod buckets;
mod contract;
mod crash;
mod encryption;
mod events;
mod listing;
mod multipart;
mod objects;
mod roots;
mod s3;
mod s3_access;
mod s3_buckets;
mod s3_chunked;
mod s3_encryption;
mod s3_form;
mod s3_fuzz;
mod s3_settings;
mod s3_uploads;
mod upkeep;
mod versions;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fragua_base::{ManualClock, Timestamp};
use fragua_database::Database;
use tempfile::TempDir;

use crate::{BucketName, Error, ListQuery, ObjectKey, ObjectMeta, PutOptions, Settings, Storage};

/// A store in a folder of its own.
struct Kit {
    storage: Storage,
    database: Database,
    clock: Arc<ManualClock>,
    root: TempDir,
}

const BUCKET: &str = "bucket";

impl Kit {
    /// Opens a store with one bucket.
    async fn new(database: Database) -> Self {
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
        let storage = Storage::open(database.clone(), Settings::new(root.path()), clock.clone())
            .await
            .unwrap();
        storage.create_bucket(&bucket()).await.unwrap();
        Self {
            storage,
            database,
            clock,
            root,
        }
    }

    /// Opens the same store again, as the next start does.
    async fn reopen(&self) -> Storage {
        let settings = Settings::new(self.root.path());
        Storage::open(self.database.clone(), settings, self.clock.clone())
            .await
            .unwrap()
    }

    async fn put(&self, key: &str, bytes: impl Into<Bytes> + Send) -> ObjectMeta {
        put(&self.storage, key, bytes).await
    }

    async fn read(&self, name: &str) -> Result<Bytes, Error> {
        read(&self.storage, name).await
    }

    /// Counts the files that hold bytes.
    fn blob_files(&self) -> usize {
        files(&self.root.path().join("blobs"))
    }

    /// Counts the files of writes under way, without locks.
    fn incoming_files(&self) -> usize {
        let incoming = self.root.path().join("incoming");
        let instances = std::fs::read_dir(&incoming).unwrap().count();
        files(&incoming) - instances
    }
}

fn files(folder: &Path) -> usize {
    let count = |entry: std::fs::DirEntry| {
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path())
        } else {
            1
        }
    };
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| count(entry.unwrap()))
        .sum()
}

fn bucket() -> BucketName {
    BucketName::parse(BUCKET).unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

async fn put(storage: &Storage, name: &str, bytes: impl Into<Bytes> + Send) -> ObjectMeta {
    storage
        .put_bytes(&bucket(), &key(name), PutOptions::default(), bytes)
        .await
        .unwrap()
}

async fn read(storage: &Storage, name: &str) -> Result<Bytes, Error> {
    let (_, stream) = storage.get(&bucket(), &key(name), None).await?;
    stream.into_bytes(u64::MAX).await
}

async fn keys(storage: &Storage) -> Vec<String> {
    let listing = storage.list(&bucket(), ListQuery::default()).await.unwrap();
    listing
        .objects
        .into_iter()
        .map(|object| object.key.to_string())
        .collect()
}
