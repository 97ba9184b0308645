//! Objects of our own store.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use fragua_database::{Database, each_engine};
use futures::stream;
use md5::{Digest, Md5};

use super::{Kit, bucket, key, keys};
use crate::{
    ByteRange, ChecksumAlgorithm, CopyOptions, Error, ExpectedChecksum, ObjectHeaders, PutOptions, Settings,
    Storage, WriteCondition,
};

async fn an_object_comes_back_with_what_was_said_of_it(database: Database) {
    let kit = Kit::new(database).await;
    let user_metadata = BTreeMap::from([("run".to_owned(), "ñ 7".to_owned())]);
    let headers = ObjectHeaders {
        cache_control: Some("no-store".to_owned()),
        ..ObjectHeaders::default()
    };
    let options = PutOptions {
        content_type: Some("text/plain".to_owned()),
        headers: headers.clone(),
        user_metadata: user_metadata.clone(),
        expected_size: Some(9),
        expected_md5: Some(Md5::digest("123456789").into()),
        checksum: Some(ExpectedChecksum::equal_to(ChecksumAlgorithm::Crc32, "y/Q5Jg==")),
        ..PutOptions::default()
    };
    let body = stream::iter(["1234", "", "56789"].map(|chunk| Ok(Bytes::from(chunk))));
    let written = kit
        .storage
        .put(&bucket(), &key("k"), options, body)
        .await
        .unwrap();
    assert_eq!(written.etag, hex::encode(Md5::digest("123456789")));
    assert_eq!(
        (written.size_bytes, written.content_type.as_str()),
        (9, "text/plain")
    );
    assert_eq!(
        (&written.headers, &written.user_metadata),
        (&headers, &user_metadata)
    );
    assert_eq!(written.checksum.as_ref().unwrap().value, "y/Q5Jg==");
    assert_eq!(kit.storage.head(&bucket(), &key("k")).await.unwrap(), written);
    let (read, stream) = kit.storage.get(&bucket(), &key("k"), None).await.unwrap();
    assert_eq!(read, written);
    assert!(matches!(
        stream.into_bytes(8).await,
        Err(Error::TooLarge { limit_bytes: 8 })
    ));
    assert_eq!(kit.read("k").await.unwrap(), "123456789");
    assert_eq!(kit.put("empty", "").await.content_type, "binary/octet-stream");
    assert_eq!(kit.read("empty").await.unwrap(), "");
}

async fn a_later_object_replaces_the_earlier_one(database: Database) {
    let kit = Kit::new(database).await;
    let first = kit.put("k", "first").await;
    kit.clock.advance(Duration::from_secs(1));
    let (_, still_open) = kit.storage.get(&bucket(), &key("k"), None).await.unwrap();
    let second = kit.put("k", "second").await;
    assert!(second.modified_at > first.modified_at);
    assert_eq!(kit.read("k").await.unwrap(), "second");
    assert_eq!(still_open.into_bytes(99).await.unwrap(), "first");
    assert_eq!((kit.blobs().await, kit.incoming_files()), (1, 0));
    kit.storage.delete(&bucket(), &key("k")).await.unwrap();
    kit.storage.delete(&bucket(), &key("k")).await.unwrap();
    assert!(matches!(kit.read("k").await, Err(Error::ObjectNotFound { .. })));
    assert_eq!(kit.blobs().await, 0);
}

async fn an_open_reader_outlives_its_object(database: Database) {
    let kit = Kit::new(database).await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|index| (index / 7) as u8).collect();
    kit.put("k", large.clone()).await;
    let (_, stream) = kit.storage.get(&bucket(), &key("k"), None).await.unwrap();
    kit.storage.delete(&bucket(), &key("k")).await.unwrap();
    assert_eq!(kit.blobs().await, 0);
    assert_eq!(stream.into_bytes(u64::MAX).await.unwrap(), large);
}

async fn ranges_cut_the_bytes(database: Database) {
    let kit = Kit::new(database).await;
    let bytes: Vec<u8> = (0..700_000_u32).map(|index| (index % 251) as u8).collect();
    kit.put("k", bytes.clone()).await;
    let size = bytes.len();
    for (range, expected) in [
        (ByteRange::Between { first: 0, last: 0 }, 0..1),
        (
            ByteRange::Between {
                first: 5,
                last: 400_000,
            },
            5..400_001,
        ),
        (
            ByteRange::Between {
                first: 5,
                last: u64::MAX,
            },
            5..size,
        ),
        (ByteRange::From { first: 262_143 }, 262_143..size),
        (ByteRange::Last { length: 300_000 }, size - 300_000..size),
        (ByteRange::Last { length: 9_999_999 }, 0..size),
    ] {
        let (meta, stream) = kit.storage.get(&bucket(), &key("k"), Some(range)).await.unwrap();
        assert_eq!(meta.size_bytes, size as u64);
        assert_eq!(stream.range(), expected.start as u64..expected.end as u64);
        assert_eq!(
            stream.into_bytes(u64::MAX).await.unwrap(),
            bytes[expected],
            "{range:?}"
        );
    }
    let beyond = kit
        .storage
        .get(&bucket(), &key("k"), Some(ByteRange::From { first: 700_000 }))
        .await;
    assert!(matches!(
        beyond,
        Err(Error::RangeNotSatisfiable { size_bytes: 700_000 })
    ));
}

async fn keys_are_data_and_never_paths(database: Database) {
    let kit = Kit::new(database).await;
    let longest = "é".repeat(512);
    let mut odd = vec![
        "../../x",
        "..",
        ".",
        "/",
        "//",
        "/etc/passwd",
        "a//b",
        "a/",
        "k",
        "k/x",
        "k/x/y",
        "K",
        "con",
        "ñandú",
        "日本",
        "e\u{301}",
        "é",
        "a b",
        "a+b",
        "a%2Fb",
        "a\\b",
        "*?",
        "\u{1}",
        "🦀",
        "x'; --",
        &longest,
    ];
    for name in &odd {
        kit.put(name, name.as_bytes().to_vec()).await;
    }
    for name in &odd {
        assert_eq!(kit.read(name).await.unwrap(), name.as_bytes(), "{name}");
    }
    odd.sort_unstable();
    assert_eq!(keys(&kit.storage).await, odd);
    let outside: Vec<_> = std::fs::read_dir(kit.root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(outside.len(), 2, "{outside:?}");
    let all: Vec<_> = odd.iter().map(|name| key(name)).collect();
    kit.storage.delete_many(&bucket(), &all).await.unwrap();
    assert!(keys(&kit.storage).await.is_empty());
    assert_eq!(kit.blobs().await, 0);
}

async fn what_is_not_as_announced_changes_nothing(database: Database) {
    let kit = Kit::new(database).await;
    kit.put("k", "old").await;
    let announced = [
        PutOptions {
            expected_size: Some(4),
            ..PutOptions::default()
        },
        PutOptions {
            expected_size: Some(2),
            ..PutOptions::default()
        },
        PutOptions {
            expected_md5: Some([0; 16]),
            ..PutOptions::default()
        },
        PutOptions {
            checksum: Some(ExpectedChecksum::equal_to(ChecksumAlgorithm::Sha256, "AAAA")),
            ..PutOptions::default()
        },
        PutOptions {
            checksum: Some(ExpectedChecksum::at_end(ChecksumAlgorithm::Crc32c, || {
                Some(String::new())
            })),
            ..PutOptions::default()
        },
        PutOptions {
            content_type: Some("x".repeat(256)),
            ..PutOptions::default()
        },
        PutOptions {
            user_metadata: BTreeMap::from([("name".to_owned(), "x".repeat(2048))]),
            ..PutOptions::default()
        },
    ];
    let mut refusals = Vec::new();
    for options in announced {
        let error = kit
            .storage
            .put_bytes(&bucket(), &key("k"), options, "new")
            .await
            .unwrap_err();
        refusals.push(error.to_string());
    }
    assert_eq!(
        refusals,
        [
            "the body has 3 bytes where 4 were announced",
            "the body has 3 bytes where 2 were announced",
            "the body does not have the MD5 that was sent with it",
            "the body does not have the SHA256 that was sent with it",
            "the body does not have the CRC32C that was sent with it",
            "Content-Type must not be longer than 255 bytes",
            "names and values of user metadata are larger than 2048 bytes",
        ]
    );
    let broken = stream::iter([Ok(Bytes::from(vec![0; 2 << 20])), Err(io::Error::other("gone"))]);
    let error = kit
        .storage
        .put(&bucket(), &key("k"), PutOptions::default(), broken)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the body could not be read: gone");
    assert_eq!(kit.read("k").await.unwrap(), "old");
    assert_eq!((kit.blobs().await, kit.incoming_files()), (1, 0));
}

async fn a_writer_that_leaves_changes_nothing(database: Database) {
    let kit = Kit::new(database).await;
    kit.put("k", "old").await;
    let (sender, receiver) = futures::channel::mpsc::unbounded::<io::Result<Bytes>>();
    sender.unbounded_send(Ok(Bytes::from(vec![7; 3 << 20]))).unwrap();
    {
        let (bucket, key) = (bucket(), key("k"));
        let mut write = Box::pin(kit.storage.put(&bucket, &key, PutOptions::default(), receiver));
        // Polled until its first bytes lie on disk, then dropped in the middle of the body.
        while kit.incoming_files() == 0 {
            tokio::select! {
                biased;
                _ = &mut write => unreachable!("the body has no end"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    drop(sender);
    assert_eq!(kit.read("k").await.unwrap(), "old");
    kit.storage.delete(&bucket(), &key("k")).await.unwrap();
    assert_eq!(kit.blobs().await, 0);
}

async fn conditions_hold_a_write_back(database: Database) {
    let kit = Kit::new(database).await;
    let write = |condition, bytes: &'static str| {
        let options = PutOptions {
            condition: Some(condition),
            ..PutOptions::default()
        };
        let storage = kit.storage.clone();
        async move { storage.put_bytes(&bucket(), &key("k"), options, bytes).await }
    };
    let missing = write(WriteCondition::Etag("0".repeat(32)), "x").await;
    assert!(matches!(missing, Err(Error::ObjectNotFound { .. })));
    let first = write(WriteCondition::Absent, "first").await.unwrap();
    let again = write(WriteCondition::Absent, "again").await;
    assert!(matches!(
        again,
        Err(Error::PreconditionFailed {
            condition: "If-None-Match"
        })
    ));
    let stale = write(WriteCondition::Etag("0".repeat(32)), "stale").await;
    assert!(matches!(
        stale,
        Err(Error::PreconditionFailed {
            condition: "If-Match"
        })
    ));
    assert_eq!(kit.read("k").await.unwrap(), "first");
    write(WriteCondition::Etag(first.etag), "second").await.unwrap();
    assert_eq!(kit.read("k").await.unwrap(), "second");
    assert_eq!((kit.blobs().await, kit.incoming_files()), (1, 0));
}

async fn writers_of_one_key_leave_one_object(database: Database) {
    let kit = Kit::new(database).await;
    let write = |number: usize, condition: Option<WriteCondition>| {
        let storage = kit.storage.clone();
        let options = PutOptions {
            condition,
            ..PutOptions::default()
        };
        tokio::spawn(async move {
            storage
                .put_bytes(&bucket(), &key("k"), options, number.to_string())
                .await
        })
    };
    let absent: Vec<_> = (0..8)
        .map(|number| write(number, Some(WriteCondition::Absent)))
        .collect();
    let mut won = 0;
    for task in absent {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(Error::PreconditionFailed { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won, 1);
    kit.storage.delete(&bucket(), &key("k")).await.unwrap();
    let overwriting: Vec<_> = (0..12).map(|number| write(number, None)).collect();
    for task in overwriting {
        task.await.unwrap().unwrap();
    }
    let left = kit.read("k").await.unwrap();
    assert!(String::from_utf8_lossy(&left).parse::<usize>().unwrap() < 12);
    assert_eq!((kit.blobs().await, kit.incoming_files()), (1, 0));
}

async fn readers_never_see_a_gap_while_a_key_is_rewritten(database: Database) {
    let kit = Kit::new(database).await;
    kit.put("k", "value 0").await;
    let storage = kit.storage.clone();
    let writing = tokio::spawn(async move {
        for number in 1..40 {
            super::put(&storage, "k", format!("value {number}")).await;
        }
    });
    while !writing.is_finished() {
        let seen = kit.read("k").await.unwrap();
        assert!(seen.starts_with(b"value "));
    }
    writing.await.unwrap();
    assert_eq!(kit.read("k").await.unwrap(), "value 39");
}

async fn a_copy_is_an_object_of_its_own(database: Database) {
    let kit = Kit::new(database).await;
    let options = PutOptions {
        content_type: Some("text/csv".to_owned()),
        user_metadata: BTreeMap::from([("a".to_owned(), "1".to_owned())]),
        ..PutOptions::default()
    };
    let source = kit
        .storage
        .put_bytes(&bucket(), &key("from"), options, "bytes")
        .await
        .unwrap();
    let copy = |target: &'static str, options: CopyOptions| {
        let storage = kit.storage.clone();
        async move {
            storage
                .copy((&bucket(), &key("from")), (&bucket(), &key(target)), options)
                .await
        }
    };
    let same = copy("same", CopyOptions::default()).await.unwrap();
    assert_eq!(
        (&same.etag, &same.content_type, &same.user_metadata),
        (&source.etag, &source.content_type, &source.user_metadata)
    );
    let replace = PutOptions {
        content_type: Some("text/plain".to_owned()),
        ..PutOptions::default()
    };
    let other = copy(
        "other",
        CopyOptions {
            replace: Some(replace),
            ..CopyOptions::default()
        },
    )
    .await
    .unwrap();
    assert_eq!(
        (other.content_type.as_str(), other.user_metadata.len()),
        ("text/plain", 0)
    );
    let held_back = CopyOptions {
        condition: Some(WriteCondition::Absent),
        ..CopyOptions::default()
    };
    assert!(matches!(
        copy("same", held_back).await,
        Err(Error::PreconditionFailed { .. })
    ));
    kit.storage.delete(&bucket(), &key("from")).await.unwrap();
    assert_eq!(kit.read("same").await.unwrap(), "bytes");
    assert_eq!(kit.read("other").await.unwrap(), "bytes");
    assert!(matches!(
        copy("third", CopyOptions::default()).await,
        Err(Error::ObjectNotFound { .. })
    ));
    assert_eq!((kit.blobs().await, kit.incoming_files()), (2, 0));
}

async fn an_object_over_the_limit_is_refused(database: Database) {
    let kit = Kit::new(database.clone()).await;
    let settings = Settings {
        max_object_bytes: 10,
        ..Settings::new(kit.root.path())
    };
    let storage = Storage::open(database, settings, kit.clock.clone())
        .await
        .unwrap();
    let announced = PutOptions {
        expected_size: Some(11),
        ..PutOptions::default()
    };
    for options in [PutOptions::default(), announced] {
        let refused = storage
            .put_bytes(&bucket(), &key("k"), options, vec![0; 11])
            .await;
        assert!(matches!(refused, Err(Error::TooLarge { limit_bytes: 10 })));
    }
    super::put(&storage, "k", vec![0; 10]).await;
    assert_eq!((kit.blobs().await, kit.incoming_files()), (1, 0));
}

each_engine!(
    suite: an_object_comes_back_with_what_was_said_of_it,
    a_later_object_replaces_the_earlier_one,
    an_open_reader_outlives_its_object,
    ranges_cut_the_bytes,
    keys_are_data_and_never_paths,
    what_is_not_as_announced_changes_nothing,
    a_writer_that_leaves_changes_nothing,
    conditions_hold_a_write_back,
    writers_of_one_key_leave_one_object,
    readers_never_see_a_gap_while_a_key_is_rewritten,
    a_copy_is_an_object_of_its_own,
    an_object_over_the_limit_is_refused,
);
