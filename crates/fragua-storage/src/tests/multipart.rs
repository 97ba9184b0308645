//! Uploads in parts of our own store.

use std::time::Duration;

use bytes::Bytes;
use fragua_database::{Database, each_engine};
use futures::stream;
use md5::{Digest, Md5};

use super::{Kit, bucket, key};
use crate::{
    ByteRange, Checksum, ChecksumAlgorithm, CompleteUpload, CompletedPart, CreateUpload, Error, Part,
    PartOptions, UploadId, UploadQuery, WriteCondition,
};

const FIVE_MEBIBYTES: usize = 5 << 20;

impl Kit {
    async fn begin(&self, options: CreateUpload) -> UploadId {
        self.storage
            .create_upload(&bucket(), &key("k"), options)
            .await
            .unwrap()
    }

    async fn part(&self, upload: &UploadId, number: u32, bytes: Bytes) -> Result<Part, Error> {
        let place = (&bucket(), &key("k"));
        let body = stream::iter([Ok(bytes)]);
        self.storage
            .upload_part(place, upload, number, PartOptions::default(), body)
            .await
    }

    async fn complete(&self, upload: &UploadId, parts: &[&Part]) -> Result<crate::ObjectMeta, Error> {
        let named: Vec<CompletedPart> = parts
            .iter()
            .map(|part| CompletedPart {
                number: part.number,
                etag: part.etag.clone(),
                checksums: Vec::from_iter(part.checksum.clone()),
            })
            .collect();
        self.storage
            .complete_upload((&bucket(), &key("k")), upload, &named, CompleteUpload::default())
            .await
    }
}

fn bytes(seed: u8, length: usize) -> Bytes {
    (0..length)
        .map(|index| (index / 3) as u8 ^ seed)
        .collect::<Vec<u8>>()
        .into()
}

async fn parts_become_one_object(database: Database) {
    let kit = Kit::new(database).await;
    kit.put("k", "old").await;
    let options = CreateUpload {
        content_type: Some("text/csv".to_owned()),
        ..CreateUpload::default()
    };
    let upload = kit.begin(options).await;
    let (one, two, three) = (
        bytes(1, FIVE_MEBIBYTES),
        bytes(2, FIVE_MEBIBYTES + 17),
        bytes(3, 11),
    );
    kit.part(&upload, 2, bytes(9, 8)).await.unwrap();
    let third = kit.part(&upload, 7, three.clone()).await.unwrap();
    let second = kit.part(&upload, 2, two.clone()).await.unwrap();
    let first = kit.part(&upload, 1, one.clone()).await.unwrap();
    let unused = kit.part(&upload, 9, bytes(4, 5)).await.unwrap();
    assert_eq!(kit.read("k").await.unwrap(), "old");
    let listed = kit
        .storage
        .list_parts((&bucket(), &key("k")), &upload, 0, 3)
        .await
        .unwrap();
    assert_eq!(listed.parts, [first.clone(), second.clone(), third.clone()]);
    let rest = kit
        .storage
        .list_parts((&bucket(), &key("k")), &upload, listed.next.unwrap(), 3)
        .await
        .unwrap();
    assert_eq!((rest.parts, rest.next), (vec![unused], None));

    let object = kit.complete(&upload, &[&first, &second, &third]).await.unwrap();
    let whole = [&one[..], &two, &three].concat();
    let mut sums = Md5::new();
    for part in [&one, &two, &three] {
        sums.update(Md5::digest(part));
    }
    assert_eq!(object.etag, format!("{}-3", hex::encode(sums.finalize())));
    assert_eq!(
        (object.size_bytes, object.content_type.as_str()),
        (whole.len() as u64, "text/csv")
    );
    assert!(kit.read("k").await.unwrap() == whole);
    let at_the_seam = ByteRange::Between {
        first: FIVE_MEBIBYTES as u64 - 2,
        last: FIVE_MEBIBYTES as u64 + 1,
    };
    let (_, stream) = kit
        .storage
        .get(&bucket(), &key("k"), Some(at_the_seam))
        .await
        .unwrap();
    assert_eq!(
        stream.into_bytes(9).await.unwrap(),
        whole[FIVE_MEBIBYTES - 2..FIVE_MEBIBYTES + 2]
    );
    assert_eq!((kit.blobs().await, kit.incoming_files()), (1, 0));
    assert!(matches!(
        kit.complete(&upload, &[&first]).await,
        Err(Error::UploadNotFound { .. })
    ));
    assert!(matches!(
        kit.part(&upload, 1, bytes(1, 1)).await,
        Err(Error::UploadNotFound { .. })
    ));
}

async fn checksums_of_parts_make_one_of_the_object(database: Database) {
    let kit = Kit::new(database).await;
    let algorithm = ChecksumAlgorithm::Crc32;
    for full_object_checksum in [false, true] {
        let options = CreateUpload {
            checksum_algorithm: Some(algorithm),
            full_object_checksum,
            ..CreateUpload::default()
        };
        let upload = kit.begin(options).await;
        let (one, two) = (bytes(1, FIVE_MEBIBYTES), bytes(2, 3));
        let first = kit.part(&upload, 1, one.clone()).await.unwrap();
        let second = kit.part(&upload, 2, two.clone()).await.unwrap();
        let sum = |bytes: &[u8]| {
            let mut hasher = algorithm.hasher();
            hasher.update(bytes);
            hasher.finish()
        };
        assert_eq!(
            first.checksum,
            Some(Checksum {
                algorithm,
                value: sum(&one)
            })
        );
        let wrong = Part {
            checksum: second.checksum.clone(),
            ..first.clone()
        };
        let refused = kit.complete(&upload, &[&wrong, &second]).await;
        assert!(matches!(refused, Err(Error::InvalidPart { part_number: 1 })));
        let object = kit.complete(&upload, &[&first, &second]).await.unwrap();
        let expected = if full_object_checksum {
            Checksum {
                algorithm,
                value: sum(&[&one[..], &two].concat()),
            }
        } else {
            let values = [first.checksum.unwrap().value, second.checksum.unwrap().value];
            algorithm.composite(values.iter().map(String::as_str)).unwrap()
        };
        assert_eq!(object.checksum, Some(expected));
    }
}

async fn wrong_parts_are_refused_and_keep_the_upload(database: Database) {
    let kit = Kit::new(database).await;
    let upload = kit.begin(CreateUpload::default()).await;
    let small = kit.part(&upload, 1, bytes(1, 10)).await.unwrap();
    let last = kit.part(&upload, 2, bytes(2, 10)).await.unwrap();
    let too_small = kit.complete(&upload, &[&small, &last]).await;
    assert!(matches!(
        too_small,
        Err(Error::PartTooSmall {
            part_number: 1,
            size_bytes: 10
        })
    ));
    assert!(matches!(
        kit.complete(&upload, &[&last, &small]).await,
        Err(Error::InvalidPartOrder)
    ));
    assert!(matches!(
        kit.complete(&upload, &[&small, &small]).await,
        Err(Error::InvalidPartOrder)
    ));
    assert!(matches!(
        kit.complete(&upload, &[]).await,
        Err(Error::InvalidInput { .. })
    ));
    let unknown = Part {
        number: 3,
        ..last.clone()
    };
    assert!(matches!(
        kit.complete(&upload, &[&unknown]).await,
        Err(Error::InvalidPart { part_number: 3 })
    ));
    for number in [0, 10_001] {
        assert!(matches!(
            kit.part(&upload, number, bytes(1, 1)).await,
            Err(Error::InvalidInput { .. })
        ));
    }
    let elsewhere = kit.storage.abort_upload(&bucket(), &key("other"), &upload).await;
    assert!(matches!(elsewhere, Err(Error::UploadNotFound { .. })));
    let only = kit.complete(&upload, &[&last]).await.unwrap();
    assert_eq!(only.size_bytes, 10);
    assert_eq!(kit.blobs().await, 1);
}

async fn an_aborted_upload_leaves_nothing(database: Database) {
    let kit = Kit::new(database).await;
    let upload = kit.begin(CreateUpload::default()).await;
    kit.part(&upload, 1, bytes(1, 10)).await.unwrap();
    kit.storage
        .abort_upload(&bucket(), &key("k"), &upload)
        .await
        .unwrap();
    assert_eq!((kit.blobs().await, kit.incoming_files()), (0, 0));
    assert!(matches!(
        kit.part(&upload, 2, bytes(1, 10)).await,
        Err(Error::UploadNotFound { .. })
    ));
    assert_eq!((kit.blobs().await, kit.incoming_files()), (0, 0));
}

async fn a_condition_holds_the_completion_back(database: Database) {
    let kit = Kit::new(database).await;
    let upload = kit.begin(CreateUpload::default()).await;
    let part = kit.part(&upload, 1, bytes(1, 10)).await.unwrap();
    kit.put("k", "there").await;
    let named = [CompletedPart {
        number: 1,
        etag: part.etag.clone(),
        checksums: Vec::new(),
    }];
    let place = (&bucket(), &key("k"));
    let absent = CompleteUpload {
        condition: Some(WriteCondition::Absent),
        ..CompleteUpload::default()
    };
    let held = kit.storage.complete_upload(place, &upload, &named, absent).await;
    assert!(matches!(held, Err(Error::PreconditionFailed { .. })));
    kit.complete(&upload, &[&part]).await.unwrap();
}

async fn uploads_are_listed_by_key_in_pages(database: Database) {
    let kit = Kit::new(database).await;
    let mut expected = Vec::new();
    for name in ["a/1", "a/2", "a/2", "b"] {
        let upload = kit
            .storage
            .create_upload(&bucket(), &key(name), CreateUpload::default())
            .await
            .unwrap();
        expected.push((name.to_owned(), upload));
    }
    expected.sort();
    let mut found = Vec::new();
    let mut query = UploadQuery {
        limit: Some(2),
        ..UploadQuery::default()
    };
    loop {
        let page = kit.storage.list_uploads(&bucket(), query.clone()).await.unwrap();
        found.extend(
            page.uploads
                .into_iter()
                .map(|upload| (upload.key.to_string(), upload.id)),
        );
        if !page.is_truncated {
            break;
        }
        query.start_after = found.last().map(|(key, id)| (key.clone(), Some(id.clone())));
    }
    assert_eq!(found, expected);
    let below = UploadQuery {
        prefix: "a/".to_owned(),
        ..UploadQuery::default()
    };
    assert_eq!(
        kit.storage
            .list_uploads(&bucket(), below)
            .await
            .unwrap()
            .uploads
            .len(),
        3
    );
}

async fn an_old_upload_ends_at_the_next_start(database: Database) {
    let kit = Kit::new(database).await;
    let old = kit.begin(CreateUpload::default()).await;
    kit.part(&old, 1, bytes(1, 10)).await.unwrap();
    kit.clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    let young = kit.begin(CreateUpload::default()).await;
    let storage = kit.reopen().await;
    let left = storage
        .list_uploads(&bucket(), UploadQuery::default())
        .await
        .unwrap()
        .uploads;
    assert_eq!(
        left.into_iter().map(|upload| upload.id).collect::<Vec<_>>(),
        [young]
    );
    assert_eq!(kit.blobs().await, 0);
}

/// Clients ask again when the answer takes longer than they wait for.
async fn who_completed_twice_was_told_that_there_is_no_upload(database: Database) {
    let kit = Kit::new(database).await;
    let upload = kit.begin(CreateUpload::default()).await;
    let one = kit.part(&upload, 1, bytes(1, 5 << 20)).await.unwrap();
    let two = kit.part(&upload, 2, bytes(2, 10)).await.unwrap();
    let parts = [&one, &two];
    let again = || kit.complete(&upload, &parts);
    let (first, second, third) = tokio::join!(again(), again(), again());
    let first = first.unwrap();
    assert_eq!((second.unwrap(), third.unwrap()), (first.clone(), first.clone()));
    assert_eq!(again().await.unwrap(), first);
    assert_eq!(kit.blobs().await, 1);
    let others = kit.complete(&upload, &[&two]).await;
    assert!(matches!(others, Err(Error::UploadNotFound { .. })));
    kit.put("k", "replaced").await;
    assert!(matches!(again().await, Err(Error::UploadNotFound { .. })));
}

async fn a_part_that_was_cut_off_became_an_object(database: Database) {
    let kit = Kit::new(database).await;
    let upload = kit.begin(CreateUpload::default()).await;
    let one = kit.part(&upload, 1, bytes(1, 5 << 20)).await.unwrap();
    let two = kit.part(&upload, 2, bytes(2, 10)).await.unwrap();
    let part = crate::store::parts::list(&kit.database, upload.as_str(), 0, 1)
        .await
        .unwrap();
    let file = std::fs::File::options()
        .write(true)
        .open(kit.blob_path(&part[0].blob_id))
        .unwrap();
    file.set_len(1000).unwrap();
    let completed = kit.complete(&upload, &[&one, &two]).await;
    assert!(matches!(completed, Err(Error::Disk { .. })), "{completed:?}");
    assert_eq!(kit.blobs().await, 2);
}

async fn a_text_that_is_no_id_names_no_upload(database: Database) {
    let kit = Kit::new(database).await;
    kit.begin(CreateUpload::default()).await;
    for text in ["\0", "ñ", "", &"a".repeat(5000)] {
        let upload = UploadId::new(text);
        let listed = kit
            .storage
            .list_parts((&bucket(), &key("k")), &upload, 0, 1)
            .await;
        assert!(matches!(listed, Err(Error::UploadNotFound { .. })), "{listed:?}");
        let query = UploadQuery {
            start_after: Some(("k".to_owned(), Some(upload))),
            ..UploadQuery::default()
        };
        kit.storage.list_uploads(&bucket(), query).await.unwrap();
    }
    let none = UploadQuery {
        limit: Some(0),
        ..UploadQuery::default()
    };
    assert!(
        !kit.storage
            .list_uploads(&bucket(), none)
            .await
            .unwrap()
            .is_truncated
    );
}

each_engine!(
    suite: parts_become_one_object,
    who_completed_twice_was_told_that_there_is_no_upload,
    a_part_that_was_cut_off_became_an_object,
    a_text_that_is_no_id_names_no_upload,
    checksums_of_parts_make_one_of_the_object,
    wrong_parts_are_refused_and_keep_the_upload,
    an_aborted_upload_leaves_nothing,
    a_condition_holds_the_completion_back,
    uploads_are_listed_by_key_in_pages,
    an_old_upload_ends_at_the_next_start,
);
