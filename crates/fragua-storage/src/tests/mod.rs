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
use fragua_database::{Database, Engine};
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use tempfile::TempDir;

use crate::store::small;
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
    /// Opens a store with one bucket. On PostgreSQL small objects are files, so that each test sees both kinds.
    async fn new(database: Database) -> Self {
        match database.engine() {
            Engine::Postgres => Self::with_small(database, 0).await,
            Engine::Sqlite | Engine::MySql => Self::with_small(database, 16 << 10).await,
        }
    }

    /// Opens a store whose objects of up to so many bytes are no files.
    async fn with_small(database: Database, small_object_bytes: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
        let settings = Settings {
            small_object_bytes,
            ..Settings::new(root.path())
        };
        let storage = Storage::open(database.clone(), settings, clock.clone())
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

    /// Counts the files and rows that hold bytes.
    async fn blobs(&self) -> usize {
        let rows = small::Entity::find().count(self.database.reader()).await.unwrap();
        files(&self.root.path().join("blobs")) + rows as usize
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
