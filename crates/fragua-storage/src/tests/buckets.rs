//! Buckets and what they hold.

use fragua_base::Timestamp;
use fragua_database::{Database, each_engine};

use super::{Kit, bucket, key};
use crate::{BucketName, CreateUpload, Error};

async fn a_bucket_is_made_once(database: Database) {
    let kit = Kit::new(database).await;
    assert!(matches!(
        kit.storage.create_bucket(&bucket()).await,
        Err(Error::BucketExists { .. })
    ));
    kit.storage.ensure_bucket(&bucket()).await.unwrap();
    let other = BucketName::parse("other").unwrap();
    assert!(matches!(
        kit.storage.head_bucket(&other).await,
        Err(Error::BucketNotFound { .. })
    ));
    assert!(matches!(
        kit.storage.delete_bucket(&other).await,
        Err(Error::BucketNotFound { .. })
    ));
    let missing = kit
        .storage
        .put_bytes(&other, &key("k"), Default::default(), "x")
        .await;
    assert!(matches!(missing, Err(Error::BucketNotFound { .. })));
    assert!(matches!(
        kit.storage.head(&other, &key("k")).await,
        Err(Error::BucketNotFound { .. })
    ));
    assert!(matches!(
        kit.storage.delete(&other, &key("k")).await,
        Err(Error::BucketNotFound { .. })
    ));
    assert!(matches!(
        kit.storage.list(&other, Default::default()).await,
        Err(Error::BucketNotFound { .. })
    ));
    assert_eq!(kit.blobs().await, 0);
}

/// Databases sort `-` and `.` as their collations say, and pages go on behind a name.
async fn names_came_in_an_order_of_the_database(database: Database) {
    let kit = Kit::new(database).await;
    for name in ["abc", "ab-c", "aab", "a0b", "a.b", "a-b"] {
        kit.storage
            .create_bucket(&BucketName::parse(name).unwrap())
            .await
            .unwrap();
    }
    let found = kit.storage.bucket_names().await.unwrap();
    let found: Vec<String> = found.into_iter().map(|(name, _)| name.to_string()).collect();
    assert!(found.len() == 7 && found.is_sorted(), "{found:?}");
}

async fn usage_counts_objects_and_bytes(database: Database) {
    let kit = Kit::new(database).await;
    kit.storage
        .create_bucket(&BucketName::parse("empty").unwrap())
        .await
        .unwrap();
    kit.put("a", vec![0; 10]).await;
    kit.put("b", vec![0; 5]).await;
    kit.put("b", vec![0; 7]).await;
    let buckets = kit.storage.list_buckets().await.unwrap();
    let usage: Vec<_> = buckets
        .iter()
        .map(|bucket| (bucket.name.as_str(), bucket.object_count, bucket.size_bytes))
        .collect();
    assert_eq!(usage, [("bucket", 2, 17), ("empty", 0, 0)]);
    assert_eq!(buckets[0].created_at, Timestamp::from_millis(1_700_000_000_000));
    let names = kit.storage.bucket_names().await.unwrap();
    assert_eq!(
        names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["bucket", "empty"]
    );
}

async fn only_an_empty_bucket_is_deleted(database: Database) {
    let kit = Kit::new(database).await;
    kit.put("a", "x").await;
    assert!(matches!(
        kit.storage.delete_bucket(&bucket()).await,
        Err(Error::BucketNotEmpty { .. })
    ));
    assert_eq!(kit.read("a").await.unwrap(), "x");
    kit.storage.delete(&bucket(), &key("a")).await.unwrap();
    let upload = kit
        .storage
        .create_upload(&bucket(), &key("u"), CreateUpload::default())
        .await
        .unwrap();
    let part = futures::stream::iter([Ok("part".into())]);
    let place = (&bucket(), &key("u"));
    kit.storage
        .upload_part(place, &upload, 1, Default::default(), part)
        .await
        .unwrap();
    kit.storage.delete_bucket(&bucket()).await.unwrap();
    assert_eq!(kit.blobs().await, 0);
    assert!(kit.storage.list_buckets().await.unwrap().is_empty());
}

async fn the_store_says_whether_it_can_write(database: Database) {
    let kit = Kit::new(database).await;
    kit.storage.check_ready().await.unwrap();
    kit.storage.check_writable().await.unwrap();
    assert_eq!((kit.blobs().await, kit.incoming_files()), (0, 0));
    std::fs::remove_dir_all(kit.root.path().join("blobs")).unwrap();
    let error = kit.storage.check_ready().await.unwrap_err();
    assert!(error.to_string().contains("blobs"), "{error}");
    kit.database.close().await;
    assert!(kit.storage.check_writable().await.is_err());
}

each_engine!(
    suite: a_bucket_is_made_once,
    names_came_in_an_order_of_the_database,
    usage_counts_objects_and_bytes,
    only_an_empty_bucket_is_deleted,
    the_store_says_whether_it_can_write,
);
