//! Encryption at rest, on each engine.

use std::fs;

use bytes::Bytes;
use fragua_base::Secret;
use fragua_database::{Database, each_engine};
use futures::stream;
use md5::{Digest as _, Md5};

use super::{Kit, bucket, key, put, read};
use crate::{
    BucketSetting, ByteRange, ChecksumAlgorithm, CompleteUpload, CompletedPart, CopyOptions, CreateUpload,
    CustomerKey, DefaultEncryption, Encrypt, Error, GetOptions, PartOptions, Problem, PutOptions, Settings,
    Storage, Versioning,
};

const SECRET: &str = "a text that nobody may find on the disk";

impl Kit {
    /// Opens the same store with these keys.
    async fn with_keys(&self, keys: &[&Secret]) -> Storage {
        let keys: Vec<&str> = keys.iter().map(|key| key.expose()).collect();
        self.with(|settings| settings.secret_key = Some(Secret::new(keys.join(","))))
            .await
    }

    async fn with(&self, change: impl FnOnce(&mut Settings)) -> Storage {
        let mut settings = Settings::new(self.root.path());
        settings.secret_key = Some(fragua_auth::new_secret_key());
        change(&mut settings);
        Storage::open(self.database.clone(), settings, self.clock.clone())
            .await
            .unwrap()
    }
}

fn customer_key(byte: u8) -> Encrypt {
    Encrypt::CustomerKey(CustomerKey::new([byte; 32]))
}

async fn put_with(storage: &Storage, name: &str, encryption: Encrypt, bytes: impl Into<Bytes> + Send) {
    let options = PutOptions {
        encryption,
        ..PutOptions::default()
    };
    storage
        .put_bytes(&bucket(), &key(name), options, bytes)
        .await
        .unwrap();
}

async fn read_with(
    storage: &Storage,
    name: &str,
    byte: u8,
    range: Option<ByteRange>,
) -> Result<Bytes, Error> {
    let options = GetOptions {
        customer_key: Some(CustomerKey::new([byte; 32])),
        ..GetOptions::from(range)
    };
    let (_, stream) = storage.get_with(&bucket(), &key(name), options).await?;
    stream.into_bytes(u64::MAX).await
}

fn long() -> Vec<u8> {
    (0..700_000_u32).map(|index| (index % 251) as u8).collect()
}

fn holds(file: &[u8], text: &str) -> bool {
    file.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Writes parts and puts them together; returns what the whole is.
async fn upload(storage: &Storage, name: &str, options: CreateUpload, complete: CompleteUpload) -> Vec<u8> {
    let place = (&bucket(), &key(name));
    let customer_key = options.encryption.customer_key().cloned();
    let upload = storage.create_upload(place.0, place.1, options).await.unwrap();
    let (mut named, mut whole) = (Vec::new(), Vec::new());
    for (number, size) in [(1, 5 << 20), (2, 5 << 20), (5, 70_000)] {
        let bytes = vec![number as u8; size];
        whole.extend_from_slice(&bytes);
        let options = PartOptions {
            customer_key: customer_key.clone(),
            ..PartOptions::default()
        };
        let body = stream::iter([Ok(Bytes::from(bytes))]);
        let part = storage
            .upload_part(place, &upload, number, options, body)
            .await
            .unwrap();
        named.push(CompletedPart {
            number,
            etag: part.etag,
            checksums: Vec::new(),
        });
    }
    storage
        .complete_upload(place, &upload, &named, complete)
        .await
        .unwrap();
    whole
}

async fn what_is_encrypted_reads_as_it_was_written(database: Database) {
    let kit = Kit::new(database).await;
    let storage = kit.with(|_| {}).await;
    for (name, encryption) in [("plain", Encrypt::AsBucket), ("sealed", Encrypt::Aes256)] {
        put_with(&storage, name, encryption, SECRET).await;
        assert_eq!(read(&storage, name).await.unwrap(), SECRET);
    }
    assert!(holds(&kit.lying("plain").await, SECRET) && !holds(&kit.lying("sealed").await, SECRET));
    let head = async |name: &str| storage.head(&bucket(), &key(name)).await.unwrap();
    let (plain, sealed) = (head("plain").await, head("sealed").await);
    assert_eq!((&plain.etag, plain.size_bytes), (&sealed.etag, sealed.size_bytes));
    assert!(plain.encryption.is_none() && !sealed.encryption.unwrap().is_customer_key());
    put_with(&storage, "long", Encrypt::Aes256, long()).await;
    put_with(&storage, "empty", Encrypt::Aes256, "").await;
    assert_eq!(read(&storage, "empty").await.unwrap(), "");
    assert_eq!(read(&storage, "long").await.unwrap(), long());
    for (first, last) in [
        (0, 0),
        (65_535, 65_536),
        (65_536, 400_000),
        (262_143, 262_144),
        (699_999, 800_000),
    ] {
        let range = ByteRange::Between { first, last };
        let (_, stream) = storage.get(&bucket(), &key("long"), Some(range)).await.unwrap();
        let read = stream.into_bytes(u64::MAX).await.unwrap();
        let end = (last as usize + 1).min(long().len());
        assert_eq!(read, long()[first as usize..end], "{first}-{last}");
    }
    // A store that was given no key tells so, and one with another key does not read.
    let options = PutOptions {
        encryption: Encrypt::Aes256,
        ..PutOptions::default()
    };
    let refused = kit.storage.put_bytes(&bucket(), &key("k"), options, "x").await;
    assert!(matches!(refused, Err(Error::NotSupported(_))));
    let other = kit.with(|_| {}).await;
    assert!(matches!(
        read(&other, "sealed").await,
        Err(Error::EncryptionKeyMissing { .. })
    ));
    assert_eq!(read(&other, "plain").await.unwrap(), SECRET);
}

async fn a_default_encrypts_what_says_nothing(database: Database) {
    let kit = Kit::new(database).await;
    let storage = kit.with(|_| {}).await;
    let encryption = BucketSetting::Encryption(Some(DefaultEncryption::Aes256));
    put(&storage, "before", SECRET).await;
    storage.set_bucket(&bucket(), encryption).await.unwrap();
    assert!(put(&storage, "after", SECRET).await.encryption.is_some());
    assert!(holds(&kit.lying("before").await, SECRET) && !holds(&kit.lying("after").await, SECRET));
    storage
        .set_bucket(&bucket(), BucketSetting::Encryption(None))
        .await
        .unwrap();
    assert!(put(&storage, "last", SECRET).await.encryption.is_none());
    let all = kit.with(|settings| settings.encrypts_all = true).await;
    assert!(put(&all, "all", SECRET).await.encryption.is_some());
    // What nobody set for the bucket is not shown as if somebody had.
    let settings = all.current_bucket_settings(&bucket()).await.unwrap();
    assert_eq!(settings.encryption, None);
}

async fn a_clients_key_is_asked_for_and_not_kept(database: Database) {
    let kit = Kit::new(database).await;
    let storage = &kit.storage;
    put_with(storage, "k", customer_key(7), SECRET).await;
    assert_eq!(read_with(storage, "k", 7, None).await.unwrap(), SECRET);
    assert!(matches!(read(storage, "k").await, Err(Error::CustomerKeyMissing)));
    assert!(matches!(
        read_with(storage, "k", 8, None).await,
        Err(Error::CustomerKeyDiffers)
    ));
    let meta = storage.head(&bucket(), &key("k")).await.unwrap();
    assert_ne!(meta.etag, hex::encode(Md5::digest(SECRET)));
    assert_eq!((meta.etag.len(), meta.size_bytes), (32, SECRET.len() as u64));
    assert!(!holds(&kit.lying("k").await, SECRET));
    kit.put("plain", "x").await;
    assert!(matches!(
        read_with(storage, "plain", 7, None).await,
        Err(Error::CustomerKeyUnneeded)
    ));
}

async fn uploads_in_parts_are_encrypted(database: Database) {
    let kit = Kit::new(database).await;
    let storage = kit.with(|_| {}).await;
    let range = Some(ByteRange::Between {
        first: (5 << 20) - 1,
        last: (10 << 20) + 1,
    });
    for (name, encryption, checksum) in [
        ("sealed", Encrypt::Aes256, None),
        ("summed", Encrypt::Aes256, Some(ChecksumAlgorithm::Crc64Nvme)),
        ("customer", customer_key(7), None),
        ("both", customer_key(7), Some(ChecksumAlgorithm::Crc64Nvme)),
    ] {
        let is_customer = encryption.customer_key().is_some();
        let complete = CompleteUpload {
            customer_key: checksum.and_then(|_| encryption.customer_key().cloned()),
            ..CompleteUpload::default()
        };
        let options = CreateUpload {
            encryption,
            checksum_algorithm: checksum,
            full_object_checksum: checksum.is_some(),
            ..CreateUpload::default()
        };
        let whole = upload(&storage, name, options, complete).await;
        let wanted = &whole[(5 << 20) - 1..(10 << 20) + 2];
        if is_customer {
            assert_eq!(read_with(&storage, name, 7, None).await.unwrap(), whole, "{name}");
            assert_eq!(
                read_with(&storage, name, 7, range).await.unwrap(),
                wanted,
                "{name}"
            );
            assert!(read_with(&storage, name, 8, range).await.is_err());
        } else {
            assert_eq!(read(&storage, name).await.unwrap(), whole, "{name}");
            let (_, stream) = storage.get(&bucket(), &key(name), range).await.unwrap();
            assert_eq!(stream.into_bytes(u64::MAX).await.unwrap(), wanted, "{name}");
        }
    }
    let report = storage.check(true).await.unwrap();
    assert_eq!((report.verified.objects, report.verified.damaged_count), (4, 0));
    assert_eq!(report.verified.without_checksum, 2);
    let sums = async |name: &str| storage.head(&bucket(), &key(name)).await.unwrap().checksum;
    assert!(sums("summed").await.is_some() && sums("summed").await == sums("both").await);
}

async fn parts_need_the_key_of_their_upload(database: Database) {
    let kit = Kit::new(database).await;
    let place = (&bucket(), &key("u"));
    let part = async |upload: &crate::UploadId, byte: Option<u8>| {
        let options = PartOptions {
            customer_key: byte.map(|byte| CustomerKey::new([byte; 32])),
            ..PartOptions::default()
        };
        let body = stream::iter([Ok(Bytes::from_static(b"x"))]);
        kit.storage.upload_part(place, upload, 1, options, body).await
    };
    let begin = async |encryption| {
        let options = CreateUpload {
            encryption,
            ..CreateUpload::default()
        };
        kit.storage
            .create_upload(place.0, place.1, options)
            .await
            .unwrap()
    };
    let (sealed, plain) = (begin(customer_key(7)).await, begin(Encrypt::AsBucket).await);
    for (upload, byte, good) in [
        (&sealed, Some(7), true),
        (&sealed, Some(8), false),
        (&sealed, None, false),
        (&plain, None, true),
        (&plain, Some(7), false),
    ] {
        let written = part(upload, byte).await;
        assert_eq!(written.is_ok(), good, "{byte:?}");
        assert!(good || matches!(written, Err(Error::UploadMismatch { .. })));
    }
}

async fn copies_change_how_they_are_encrypted(database: Database) {
    let kit = Kit::new(database).await;
    let storage = kit.with(|_| {}).await;
    let sources = [
        ("plain", Encrypt::AsBucket),
        ("sealed", Encrypt::Aes256),
        ("customer", customer_key(7)),
    ];
    for (source, encryption) in &sources {
        put_with(&storage, source, encryption.clone(), long()).await;
    }
    let plain_etag = storage.head(&bucket(), &key("plain")).await.unwrap().etag;
    let targets = [
        Encrypt::AsBucket,
        Encrypt::Aes256,
        customer_key(7),
        customer_key(8),
    ];
    for (source, of_source) in &sources {
        for (index, of_target) in targets.iter().enumerate() {
            let options = CopyOptions {
                source_key: of_source.customer_key().cloned(),
                encryption: Some(of_target.clone()),
                checksum: (index % 2 == 0).then_some(ChecksumAlgorithm::Sha256),
                ..CopyOptions::default()
            };
            let name = key("copy");
            let meta = storage
                .copy((&bucket(), &key(source)), (&bucket(), &name), options)
                .await
                .unwrap();
            let read = match of_target {
                Encrypt::CustomerKey(_) => {
                    assert_ne!(meta.etag, plain_etag);
                    read_with(&storage, "copy", if index == 2 { 7 } else { 8 }, None).await
                }
                _ => {
                    assert_eq!(meta.etag, plain_etag, "{source} {of_target:?}");
                    read(&storage, "copy").await
                }
            };
            assert_eq!(read.unwrap(), long(), "{source} {of_target:?}");
            assert_eq!(meta.encryption.is_some(), *of_target != Encrypt::AsBucket);
            assert_eq!(meta.checksum.is_some(), index % 2 == 0);
        }
    }
    let without_key = CopyOptions {
        encryption: Some(Encrypt::AsBucket),
        ..CopyOptions::default()
    };
    let (from, to) = (key("customer"), key("copy"));
    let refused = storage
        .copy((&bucket(), &from), (&bucket(), &to), without_key)
        .await;
    assert!(matches!(refused, Err(Error::CustomerKeyMissing)));
    // What is kept as it is needs no key.
    storage
        .copy((&bucket(), &from), (&bucket(), &to), CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(read_with(&storage, "copy", 7, None).await.unwrap(), long());
    assert!(storage.check(true).await.unwrap().is_sound());
}

async fn keys_are_rotated_without_moving_bytes(database: Database) {
    let kit = Kit::new(database).await;
    let (old, new) = (fragua_auth::new_secret_key(), fragua_auth::new_secret_key());
    let storage = kit.with_keys(&[&old]).await;
    storage
        .set_versioning(&bucket(), Versioning::Enabled)
        .await
        .unwrap();
    for text in ["first", "second"] {
        put_with(&storage, "k", Encrypt::Aes256, text).await;
    }
    put_with(&storage, "plain", Encrypt::AsBucket, "plain").await;
    put_with(&storage, "customer", customer_key(7), "customer").await;
    let options = CreateUpload {
        encryption: Encrypt::Aes256,
        ..CreateUpload::default()
    };
    let place = (&bucket(), &key("u"));
    let upload = storage.create_upload(place.0, place.1, options).await.unwrap();
    let before = kit.lying("k").await;
    let both = kit.with_keys(&[&new, &old]).await;
    assert_eq!(both.rewrap_keys().await.unwrap(), 3);
    assert_eq!(both.rewrap_keys().await.unwrap(), 0);
    assert_eq!(kit.lying("k").await, before);
    let rotated = kit.with_keys(&[&new]).await;
    assert_eq!(read(&rotated, "k").await.unwrap(), "second");
    let versions = rotated
        .list_versions(&bucket(), Default::default())
        .await
        .unwrap();
    for version in versions
        .versions
        .iter()
        .filter(|version| version.key.as_str() == "k")
    {
        let options = GetOptions {
            version: Some(version.id.clone()),
            ..GetOptions::default()
        };
        assert!(rotated.get_with(&bucket(), &key("k"), options).await.is_ok());
    }
    let body = stream::iter([Ok(Bytes::from_static(b"x"))]);
    let part = rotated
        .upload_part(place, &upload, 1, PartOptions::default(), body)
        .await;
    assert!(part.is_ok());
    assert_eq!(
        read_with(&rotated, "customer", 7, None).await.unwrap(),
        "customer"
    );
    let gone = kit.with_keys(&[&old]).await;
    assert!(matches!(
        read(&gone, "k").await,
        Err(Error::EncryptionKeyMissing { .. })
    ));
    let unknown = kit.with(|_| {}).await;
    assert!(matches!(
        unknown.rewrap_keys().await,
        Err(Error::EncryptionKeyMissing { .. })
    ));
}

/// Who rewraps all keys may have passed by where the copy is to be, before it is there.
async fn what_is_written_of_an_old_key_was_not_found_by_the_rotation(database: Database) {
    let kit = Kit::new(database).await;
    let (old, new) = (fragua_auth::new_secret_key(), fragua_auth::new_secret_key());
    let storage = kit.with_keys(&[&old]).await;
    put_with(&storage, "k", Encrypt::Aes256, "bytes").await;
    let options = CreateUpload {
        encryption: Encrypt::Aes256,
        ..CreateUpload::default()
    };
    let place = (&bucket(), &key("upload"));
    let upload = storage.create_upload(place.0, place.1, options).await.unwrap();
    let body = stream::iter([Ok(Bytes::from_static(b"part"))]);
    let part = storage
        .upload_part(place, &upload, 1, PartOptions::default(), body)
        .await
        .unwrap();
    let parts = [CompletedPart {
        number: 1,
        etag: part.etag,
        checksums: Vec::new(),
    }];
    let both = kit.with_keys(&[&new, &old]).await;
    both.copy(
        (&bucket(), &key("k")),
        (&bucket(), &key("copy")),
        CopyOptions::default(),
    )
    .await
    .unwrap();
    both.complete_upload(place, &upload, &parts, CompleteUpload::default())
        .await
        .unwrap();
    let rotated = kit.with_keys(&[&new]).await;
    assert_eq!(read(&rotated, "copy").await.unwrap(), "bytes");
    assert_eq!(read(&rotated, "upload").await.unwrap(), "part");
    assert!(read(&rotated, "k").await.is_err());
}

async fn the_scrubber_sees_changed_bytes(database: Database) {
    let kit = Kit::new(database).await;
    let storage = kit.with(|_| {}).await;
    for name in ["sound", "flipped", "swapped", "short"] {
        put_with(&storage, name, Encrypt::Aes256, long()).await;
    }
    put_with(&storage, "customer", customer_key(7), long()).await;
    let spoil = async |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let path = kit.blob_path(&kit.blob_of(name).await);
        let mut file = fs::read(&path).unwrap();
        change(&mut file);
        fs::write(path, file).unwrap();
    };
    spoil("flipped", &|file| file[100_000] ^= 1).await;
    spoil("swapped", &|file| {
        let chunk = (64 << 10) + 16;
        let (first, second) = file[32..32 + 2 * chunk].split_at_mut(chunk);
        first.swap_with_slice(second);
    })
    .await;
    spoil("short", &|file| file.truncate(32 + 2 * ((64 << 10) + 16))).await;
    let report = storage.check(true).await.unwrap();
    let found: Vec<(&str, Problem)> = report
        .verified
        .damaged
        .iter()
        .map(|damage| (damage.key.as_str(), damage.problem))
        .collect();
    assert_eq!(
        found,
        [
            ("flipped", Problem::ChecksumDiffers),
            ("short", Problem::SizeDiffers),
            ("swapped", Problem::ChecksumDiffers)
        ]
    );
    // Of what only a client can read the size is known.
    assert_eq!(
        (report.verified.objects, report.verified.without_checksum),
        (2, 1)
    );
    for name in ["flipped", "swapped", "short"] {
        assert!(read(&storage, name).await.is_err(), "{name}");
    }
    // Without the key sizes are compared, and damage is not told of what may be sound.
    let other = kit.with(|_| {}).await.check(true).await.unwrap();
    assert_eq!(other.verified.damaged_count, 1);
}

each_engine!(
    suite: what_is_encrypted_reads_as_it_was_written,
    a_default_encrypts_what_says_nothing,
    a_clients_key_is_asked_for_and_not_kept,
    uploads_in_parts_are_encrypted,
    parts_need_the_key_of_their_upload,
    copies_change_how_they_are_encrypted,
    keys_are_rotated_without_moving_bytes,
    what_is_written_of_an_old_key_was_not_found_by_the_rotation,
    the_scrubber_sees_changed_bytes,
);
