//! What holds for our own store and for another S3, which is our own S3 API on a loopback port.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fragua_auth::{AccessKey, Auth};
use fragua_base::{Secret, SystemClock};
use fragua_database::testing::TestDatabase;
use futures::stream;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{bucket, key, keys, put, read};
use crate::{
    BucketName, ByteRange, ChecksumAlgorithm, CompleteUpload, CompletedPart, CopyOptions, CreateUpload,
    Error, EtagCondition, ExpectedChecksum, GetOptions, ListQuery, PartOptions, PutOptions, ReadConditions,
    RemoteSettings, Settings, Storage, WriteCondition,
};

struct Server {
    address: String,
    key: AccessKey,
    local: Storage,
    serving: JoinHandle<()>,
    _database: TestDatabase,
    _root: TempDir,
}

impl Server {
    async fn start() -> Self {
        let database = TestDatabase::sqlite().await;
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let settings = Settings::new(root.path());
        let local = Storage::open(database.database.clone(), settings, clock.clone())
            .await
            .unwrap();
        let auth = Auth::open(database.database.clone(), clock).await.unwrap();
        let key = auth.root_access_key(None).await.unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = crate::s3::router(local.clone(), auth, &crate::s3::Settings::default());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            key,
            local,
            serving,
            _database: database,
            _root: root,
        }
    }

    fn remote(&self, secret: &str) -> Storage {
        let settings = RemoteSettings {
            endpoint: format!("{}/", self.address),
            region: "us-east-1".to_owned(),
            access_key: self.key.id.clone(),
            secret: Secret::new(secret),
        };
        Storage::remote(settings, Arc::new(SystemClock)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn our_own_store() {
    let server = Server::start().await;
    check(&server.local).await;
}

#[tokio::test]
async fn another_s3() {
    let server = Server::start().await;
    check(&server.remote(server.key.secret.expose())).await;
}

#[tokio::test]
async fn another_s3_says_what_it_cannot_do() {
    let server = Server::start().await;
    let remote = server.remote(server.key.secret.expose());
    remote.create_bucket(&bucket()).await.unwrap();
    for name in ["a//b", "/a", "a/", "../x", "."] {
        let refused = remote
            .put_bytes(&bucket(), &key(name), PutOptions::default(), "x")
            .await;
        assert!(matches!(refused, Err(Error::InvalidKey { .. })), "{name}");
    }
    assert!(matches!(remote.list_buckets().await, Err(Error::NotSupported(_))));
    assert!(matches!(remote.disk().await, Err(Error::NotSupported(_))));
    let disk = server.local.disk().await.unwrap();
    assert!(disk.total_bytes > 0 && disk.free_bytes <= disk.total_bytes);

    let stranger = server.remote("not-the-secret-at-all");
    let refused = stranger
        .put_bytes(&bucket(), &key("k"), PutOptions::default(), "x")
        .await;
    assert!(matches!(refused, Err(Error::RemoteForbidden { .. })));
    assert!(matches!(
        stranger.check_writable().await,
        Err(Error::RemoteForbidden { .. })
    ));
    remote.check_writable().await.unwrap();
}

#[test]
fn a_remote_endpoint_is_an_address() {
    let settings = RemoteSettings {
        endpoint: "minio:9000/path".to_owned(),
        region: "us-east-1".to_owned(),
        access_key: "minioadmin".to_owned(),
        secret: Secret::new("minioadmin"),
    };
    let refused = Storage::remote(settings, Arc::new(SystemClock)).unwrap_err();
    assert!(
        refused.to_string().starts_with("endpoint must be an address"),
        "{refused}"
    );
}

async fn check(storage: &Storage) {
    buckets(storage).await;
    objects(storage).await;
    conditions(storage).await;
    large_objects(storage).await;
    copies(storage).await;
    lists(storage).await;
    uploads(storage).await;
}

async fn buckets(storage: &Storage) {
    assert!(matches!(
        storage.head_bucket(&bucket()).await,
        Err(Error::BucketNotFound { .. })
    ));
    storage.create_bucket(&bucket()).await.unwrap();
    assert!(matches!(
        storage.create_bucket(&bucket()).await,
        Err(Error::BucketExists { .. })
    ));
    storage.ensure_bucket(&bucket()).await.unwrap();
    storage.head_bucket(&bucket()).await.unwrap();
    let other = BucketName::parse("other").unwrap();
    storage.create_bucket(&other).await.unwrap();
    storage
        .put_bytes(&other, &key("k"), PutOptions::default(), "x")
        .await
        .unwrap();
    assert!(matches!(
        storage.delete_bucket(&other).await,
        Err(Error::BucketNotEmpty { .. })
    ));
    storage.delete(&other, &key("k")).await.unwrap();
    storage.delete_bucket(&other).await.unwrap();
    let missing = storage
        .put_bytes(&other, &key("k"), PutOptions::default(), "x")
        .await;
    assert!(matches!(missing, Err(Error::BucketNotFound { .. })));
    assert!(matches!(
        storage.head(&other, &key("k")).await,
        Err(Error::BucketNotFound { .. })
    ));
    assert!(matches!(
        storage.get(&other, &key("k"), None).await,
        Err(Error::BucketNotFound { .. })
    ));
    assert!(matches!(
        storage.list(&other, ListQuery::default()).await,
        Err(Error::BucketNotFound { .. })
    ));
    storage.check_ready().await.unwrap();
}

async fn objects(storage: &Storage) {
    let options = PutOptions {
        content_type: Some("text/plain".to_owned()),
        user_metadata: BTreeMap::from([("run".to_owned(), "7".to_owned())]),
        expected_size: Some(9),
        checksum: Some(ExpectedChecksum::equal_to(ChecksumAlgorithm::Crc32, "y/Q5Jg==")),
        ..PutOptions::default()
    };
    let name = "dir/ñ +&%.txt";
    let written = storage
        .put_bytes(&bucket(), &key(name), options, "123456789")
        .await
        .unwrap();
    assert_eq!(written.etag, "25f9e794323b453885f5181f1b624d0b");
    let (meta, stream) = storage.get(&bucket(), &key(name), None).await.unwrap();
    assert_eq!(
        (meta.size_bytes, meta.content_type.as_str(), &meta.etag),
        (9, "text/plain", &written.etag)
    );
    assert_eq!(meta.user_metadata, written.user_metadata);
    assert_eq!(stream.into_bytes(9).await.unwrap(), "123456789");
    assert_eq!(storage.head(&bucket(), &key(name)).await.unwrap().size_bytes, 9);
    for (range, expected) in [
        (ByteRange::Between { first: 2, last: 4 }, "345"),
        (ByteRange::From { first: 7 }, "89"),
        (ByteRange::Last { length: 2 }, "89"),
        (ByteRange::Last { length: 99 }, "123456789"),
        (ByteRange::Between { first: 8, last: 99 }, "9"),
    ] {
        let (_, stream) = storage.get(&bucket(), &key(name), Some(range)).await.unwrap();
        assert_eq!(stream.into_bytes(9).await.unwrap(), expected, "{range:?}");
    }
    let beyond = storage
        .get(&bucket(), &key(name), Some(ByteRange::From { first: 9 }))
        .await;
    assert!(
        matches!(beyond, Err(Error::RangeNotSatisfiable { size_bytes: 9 })),
        "{beyond:?}"
    );
    assert!(matches!(
        storage.head(&bucket(), &key("none")).await,
        Err(Error::ObjectNotFound { .. })
    ));
    assert!(matches!(
        read(storage, "none").await,
        Err(Error::ObjectNotFound { .. })
    ));
    let wrong = PutOptions {
        expected_size: Some(1),
        ..PutOptions::default()
    };
    let refused = storage.put_bytes(&bucket(), &key("wrong"), wrong, "xx").await;
    assert!(matches!(refused, Err(Error::IncompleteBody { .. })));
    storage
        .delete_many(&bucket(), &[key(name), key("none")])
        .await
        .unwrap();
    storage.delete(&bucket(), &key("none")).await.unwrap();
    assert!(keys(storage).await.is_empty());
}

async fn conditions(storage: &Storage) {
    let write = |condition| PutOptions {
        condition: Some(condition),
        ..PutOptions::default()
    };
    let first = storage
        .put_bytes(&bucket(), &key("k"), write(WriteCondition::Absent), "first")
        .await
        .unwrap();
    let again = storage
        .put_bytes(&bucket(), &key("k"), write(WriteCondition::Absent), "again")
        .await;
    assert!(matches!(again, Err(Error::PreconditionFailed { .. })));
    let stale = write(WriteCondition::Etag("0".repeat(32)));
    let stale = storage.put_bytes(&bucket(), &key("k"), stale, "stale").await;
    assert!(matches!(stale, Err(Error::PreconditionFailed { .. })));
    let current = write(WriteCondition::Etag(first.etag.clone()));
    let second = storage
        .put_bytes(&bucket(), &key("k"), current, "second")
        .await
        .unwrap();
    let get = async |conditions| {
        storage
            .get_with(
                &bucket(),
                &key("k"),
                GetOptions {
                    conditions,
                    ..GetOptions::default()
                },
            )
            .await
            .map(|_| ())
    };
    let is = |etag: &str| Some(EtagCondition::Is(etag.to_owned()));
    let matching = ReadConditions {
        if_match: is(&second.etag),
        ..ReadConditions::default()
    };
    get(matching).await.unwrap();
    let stale = ReadConditions {
        if_match: is(&first.etag),
        ..ReadConditions::default()
    };
    assert!(matches!(get(stale).await, Err(Error::PreconditionFailed { .. })));
    let unchanged = ReadConditions {
        if_none_match: is(&second.etag),
        ..ReadConditions::default()
    };
    assert!(matches!(get(unchanged).await, Err(Error::NotModified { .. })));
    storage.delete(&bucket(), &key("k")).await.unwrap();
}

/// Over the size that a remote store is sent in one request.
async fn large_objects(storage: &Storage) {
    let chunk = Bytes::from(
        (0..1_000_003_u32)
            .map(|index| (index / 5) as u8)
            .collect::<Vec<u8>>(),
    );
    let body = || stream::iter((0..35).map(|_| Ok(chunk.clone())).collect::<Vec<_>>());
    let size = 35 * chunk.len() as u64;
    let options = PutOptions {
        content_type: Some("x/y".to_owned()),
        ..PutOptions::default()
    };
    let written = storage
        .put(&bucket(), &key("large"), options, body())
        .await
        .unwrap();
    assert_eq!(written.size_bytes, size);
    let (meta, stream) = storage.get(&bucket(), &key("large"), None).await.unwrap();
    assert_eq!(
        (meta.size_bytes, meta.content_type.as_str(), &meta.etag),
        (size, "x/y", &written.etag)
    );
    let bytes = stream.into_bytes(size).await.unwrap();
    assert!(bytes.chunks(chunk.len()).all(|part| part == chunk));
    let wrong = PutOptions {
        expected_size: Some(size + 1),
        ..PutOptions::default()
    };
    let refused = storage.put(&bucket(), &key("large2"), wrong, body()).await;
    assert!(matches!(refused, Err(Error::IncompleteBody { .. })));
    assert_eq!(keys(storage).await, ["large"]);
    storage.delete(&bucket(), &key("large")).await.unwrap();
}

async fn copies(storage: &Storage) {
    put(storage, "from", "bytes").await;
    let copy = async |target: &str, options| {
        storage
            .copy((&bucket(), &key("from")), (&bucket(), &key(target)), options)
            .await
    };
    assert_eq!(copy("to", CopyOptions::default()).await.unwrap().size_bytes, 5);
    let replace = PutOptions {
        content_type: Some("a/b".to_owned()),
        ..PutOptions::default()
    };
    copy(
        "to2",
        CopyOptions {
            replace: Some(replace),
            ..CopyOptions::default()
        },
    )
    .await
    .unwrap();
    assert_eq!(
        storage.head(&bucket(), &key("to2")).await.unwrap().content_type,
        "a/b"
    );
    assert_eq!(read(storage, "to").await.unwrap(), "bytes");
    storage
        .delete_many(&bucket(), &["from", "to", "to2"].map(key))
        .await
        .unwrap();
}

async fn lists(storage: &Storage) {
    let all = ["a/1", "a/2", "a b/ñ", "b", "c/d/e", "c+"];
    for name in all {
        put(storage, name, "x").await;
    }
    let list = async |prefix: &str, delimiter: Option<&str>, limit| {
        let (mut names, mut start_after) = (Vec::new(), None);
        loop {
            let query = ListQuery {
                prefix: prefix.to_owned(),
                delimiter: delimiter.map(str::to_owned),
                start_after,
                limit: Some(limit),
            };
            let page = storage.list(&bucket(), query).await.unwrap();
            assert!(page.objects.len() + page.prefixes.len() <= limit);
            let objects = page.objects.iter().map(|object| object.key.to_string());
            names.extend(objects.chain(page.prefixes));
            start_after = page.next;
            if start_after.is_none() {
                names.sort();
                return names;
            }
        }
    };
    for limit in [1, 2, 1000] {
        assert_eq!(
            list("", None, limit).await,
            ["a b/ñ", "a/1", "a/2", "b", "c+", "c/d/e"]
        );
        assert_eq!(list("", Some("/"), limit).await, ["a b/", "a/", "b", "c+", "c/"]);
        assert_eq!(list("a/", Some("/"), limit).await, ["a/1", "a/2"]);
        assert_eq!(list("c/", Some("/"), limit).await, ["c/d/"]);
        assert_eq!(list("a", None, limit).await, ["a b/ñ", "a/1", "a/2"]);
        assert!(list("z", Some("/"), limit).await.is_empty());
    }
    storage.delete_many(&bucket(), &all.map(key)).await.unwrap();
}

async fn uploads(storage: &Storage) {
    let place = (&bucket(), &key("parts"));
    let options = CreateUpload {
        content_type: Some("x/y".to_owned()),
        ..CreateUpload::default()
    };
    let upload = storage.create_upload(place.0, place.1, options).await.unwrap();
    let mut parts = Vec::new();
    for (number, length) in [(1, 5 << 20), (2, 3)] {
        let body = stream::iter([Ok(Bytes::from(vec![number; length]))]);
        let part = storage
            .upload_part(place, &upload, number.into(), PartOptions::default(), body)
            .await
            .unwrap();
        parts.push(CompletedPart {
            number: part.number,
            etag: part.etag,
            checksums: Vec::new(),
        });
    }
    let object = storage
        .complete_upload(place, &upload, &parts, CompleteUpload::default())
        .await
        .unwrap();
    assert_eq!(object.size_bytes, (5 << 20) + 3);
    assert!(object.etag.ends_with("-2"), "{}", object.etag);
    let aborted = storage
        .create_upload(place.0, place.1, CreateUpload::default())
        .await
        .unwrap();
    storage.abort_upload(place.0, place.1, &aborted).await.unwrap();
    let body = stream::iter([Ok(Bytes::from("x"))]);
    let gone = storage
        .upload_part(place, &aborted, 1, PartOptions::default(), body)
        .await;
    assert!(matches!(gone, Err(Error::UploadNotFound { .. })), "{gone:?}");
    assert_eq!(storage.head(place.0, place.1).await.unwrap().content_type, "x/y");
    storage.delete(place.0, place.1).await.unwrap();
}
