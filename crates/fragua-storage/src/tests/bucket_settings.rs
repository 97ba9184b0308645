//! What is set for buckets, on each engine.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fragua_database::testing::TestDatabase;
use fragua_database::{Database, each_engine};

use super::{Kit, bucket, key};
use crate::{
    BucketName, BucketSetting, CompletedPart, CopyOptions, Cors, CorsRule, CreateUpload, Error, ExpireAfter,
    Lifecycle, LifecycleRule, PartOptions, PutOptions, Storage, Tags, UploadId, Versioning,
};

fn lifecycle() -> Lifecycle {
    Lifecycle {
        rules: vec![LifecycleRule {
            id: "old".to_owned(),
            is_enabled: true,
            expire: Some(ExpireAfter::Days(7)),
            ..LifecycleRule::default()
        }],
    }
}

fn cors() -> Cors {
    Cors {
        rules: vec![CorsRule {
            allowed_origins: vec!["*".to_owned()],
            allowed_methods: vec!["GET".to_owned()],
            ..CorsRule::default()
        }],
    }
}

const POLICY: &str = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::bucket/open/*"}}"#;

async fn each_setting_is_set_and_removed(database: Database) {
    let kit = Kit::new(database).await;
    let set = async |setting| kit.storage.set_bucket(&bucket(), setting).await.unwrap();
    let tags = Tags::parse_query("team=data").unwrap();
    set(BucketSetting::Lifecycle(Some(lifecycle()))).await;
    set(BucketSetting::Cors(Some(cors()))).await;
    set(BucketSetting::Policy(Some(POLICY.to_owned()))).await;
    set(BucketSetting::Tags(Some(tags.clone()))).await;
    set(BucketSetting::Quota(Some(1))).await;
    set(BucketSetting::Quota(Some(7))).await;
    kit.storage
        .set_versioning(&bucket(), Versioning::Enabled)
        .await
        .unwrap();
    let settings = kit.storage.bucket_settings(&bucket()).await.unwrap();
    let other = BucketName::parse("other").unwrap();
    kit.storage.create_bucket(&other).await.unwrap();
    let all = kit.storage.settings_of_all().await.unwrap();
    assert_eq!((&all[&bucket()], all.len()), (&*settings, 2));
    assert_eq!(all[&other], Default::default());
    assert_eq!(settings.lifecycle, Some(lifecycle()));
    assert_eq!(settings.cors, Some(cors()));
    assert_eq!(settings.policy.as_deref(), Some(POLICY));
    assert_eq!((&settings.tags, settings.quota_bytes), (&Some(tags), Some(7)));
    assert_eq!(settings.versioning, Versioning::Enabled);
    set(BucketSetting::Lifecycle(None)).await;
    set(BucketSetting::Cors(None)).await;
    set(BucketSetting::Cors(None)).await;
    let settings = kit.storage.bucket_settings(&bucket()).await.unwrap();
    assert_eq!((&settings.lifecycle, &settings.cors), (&None, &None));
    assert!(settings.policy.is_some());
    kit.storage.delete_bucket(&bucket()).await.unwrap();
    kit.storage.create_bucket(&bucket()).await.unwrap();
    let settings = kit.storage.bucket_settings(&bucket()).await.unwrap();
    assert_eq!(*settings, Default::default());
}

async fn a_bad_setting_and_a_missing_bucket_are_told(database: Database) {
    let kit = Kit::new(database).await;
    let refused = kit
        .storage
        .set_bucket(&bucket(), BucketSetting::Policy(Some("[".to_owned())))
        .await;
    assert!(matches!(
        refused,
        Err(Error::InvalidSetting {
            setting: "policy",
            ..
        })
    ));
    let missing = BucketName::parse("missing").unwrap();
    let refused = kit
        .storage
        .set_bucket(&missing, BucketSetting::Quota(Some(1)))
        .await;
    assert!(matches!(refused, Err(Error::BucketNotFound { .. })));
    let refused = kit.storage.set_versioning(&missing, Versioning::Enabled).await;
    assert!(matches!(refused, Err(Error::BucketNotFound { .. })));
    assert!(matches!(
        kit.storage.bucket_settings(&missing).await,
        Err(Error::BucketNotFound { .. })
    ));
    let refused = kit.storage.set_versioning(&bucket(), Versioning::Never).await;
    assert!(matches!(refused, Err(Error::InvalidInput { .. })));
}

async fn a_change_elsewhere_is_seen_after_some_seconds(database: Database) {
    let kit = Kit::new(database).await;
    let elsewhere = kit.reopen().await;
    assert_eq!(
        kit.storage.bucket_settings(&bucket()).await.unwrap().quota_bytes,
        None
    );
    elsewhere
        .set_bucket(&bucket(), BucketSetting::Quota(Some(5)))
        .await
        .unwrap();
    let settings = kit.storage.current_bucket_settings(&bucket()).await.unwrap();
    assert_eq!(settings.quota_bytes, Some(5));
    elsewhere
        .set_bucket(&bucket(), BucketSetting::Quota(Some(6)))
        .await
        .unwrap();
    let quota = async |storage: &Storage| storage.bucket_settings(&bucket()).await.unwrap().quota_bytes;
    assert_eq!(
        (quota(&kit.storage).await, quota(&elsewhere).await),
        (Some(5), Some(6))
    );
    kit.clock.advance(Duration::from_secs(5));
    assert_eq!(quota(&kit.storage).await, Some(6));
}

async fn a_quota_is_kept(database: Database) {
    let kit = Kit::new(database).await;
    let set = async |quota| {
        let setting = BucketSetting::Quota(quota);
        kit.storage.set_bucket(&bucket(), setting).await.unwrap();
    };
    set(Some(10)).await;
    let write = async |name: &str, bytes: &'static str| {
        kit.storage
            .put_bytes(&bucket(), &key(name), PutOptions::default(), bytes)
            .await
            .map(drop)
    };
    write("a", "12345").await.unwrap();
    let over = write("b", "123456").await;
    assert!(
        matches!(over, Err(Error::QuotaExceeded { quota_bytes: 10, .. })),
        "{over:?}"
    );
    // Told before the body is read, where its size is.
    let announced = PutOptions {
        expected_size: Some(6),
        ..PutOptions::default()
    };
    let body = futures::stream::poll_fn(|_| panic!("nobody reads this body"));
    let over = kit.storage.put(&bucket(), &key("b"), announced, body).await;
    assert!(matches!(over, Err(Error::QuotaExceeded { .. })));
    write("b", "12345").await.unwrap();
    let copied = kit
        .storage
        .copy(
            (&bucket(), &key("a")),
            (&bucket(), &key("c")),
            CopyOptions::default(),
        )
        .await;
    assert!(matches!(copied, Err(Error::QuotaExceeded { .. })));
    assert_eq!(super::keys(&kit.storage).await, ["a", "b"]);
    assert_eq!((kit.blobs().await, kit.incoming_files()), (2, 0));
    // What is deleted makes room at once.
    kit.storage.delete(&bucket(), &key("b")).await.unwrap();
    write("c", "12345").await.unwrap();
    set(None).await;
    write("large", "1234567890123").await.unwrap();
}

async fn parts_of_uploads_took_no_room(database: Database) {
    let kit = Kit::new(database).await;
    let setting = BucketSetting::Quota(Some(10));
    kit.storage.set_bucket(&bucket(), setting).await.unwrap();
    let (name, target) = (key("parts"), bucket());
    let place = (&target, &name);
    let begin = async || {
        let options = CreateUpload::default();
        kit.storage
            .create_upload(place.0, place.1, options)
            .await
            .unwrap()
    };
    let write = async |upload: &UploadId, bytes: &'static str| {
        let body = futures::stream::iter([Ok(bytes.into())]);
        let options = PartOptions::default();
        kit.storage.upload_part(place, upload, 1, options, body).await
    };
    let (first, second) = (begin().await, begin().await);
    let part = write(&first, "123456").await.unwrap();
    assert!(matches!(
        write(&second, "12345").await,
        Err(Error::QuotaExceeded { .. })
    ));
    // Told before the body is read, where its size is.
    let announced = PartOptions {
        expected_size: Some(5),
        ..PartOptions::default()
    };
    let body = futures::stream::poll_fn(|_| panic!("nobody reads this body"));
    let over = kit.storage.upload_part(place, &second, 1, announced, body).await;
    assert!(matches!(over, Err(Error::QuotaExceeded { .. })));
    assert_eq!((kit.blobs().await, kit.incoming_files()), (1, 0));
    // The object takes the room of its parts, and what is given up makes room at once.
    let named = [CompletedPart {
        number: 1,
        etag: part.etag,
        checksums: Vec::new(),
    }];
    let completed = kit
        .storage
        .complete_upload(place, &first, &named, Default::default());
    assert_eq!(completed.await.unwrap().size_bytes, 6);
    write(&second, "1234").await.unwrap();
    let third = begin().await;
    assert!(write(&third, "1").await.is_err());
    kit.storage.abort_upload(place.0, place.1, &second).await.unwrap();
    write(&third, "1").await.unwrap();
}

async fn versions_count_towards_a_quota(database: Database) {
    let kit = Kit::new(database).await;
    kit.storage
        .set_versioning(&bucket(), Versioning::Enabled)
        .await
        .unwrap();
    kit.storage
        .set_bucket(&bucket(), BucketSetting::Quota(Some(10)))
        .await
        .unwrap();
    kit.put("k", "12345").await;
    kit.put("k", "1234").await;
    let over = kit
        .storage
        .put_bytes(&bucket(), &key("k"), PutOptions::default(), "12")
        .await;
    assert!(matches!(over, Err(Error::QuotaExceeded { .. })));
}

async fn writers_at_once_do_not_go_beyond_a_quota(database: Database) {
    let kit = Kit::new(database).await;
    kit.storage
        .set_bucket(&bucket(), BucketSetting::Quota(Some(20)))
        .await
        .unwrap();
    let writers = (0..12).map(|number| {
        let storage = kit.storage.clone();
        async move {
            let name = key(&number.to_string());
            storage
                .put_bytes(&bucket(), &name, PutOptions::default(), "12345")
                .await
                .is_ok()
        }
    });
    let written = futures::future::join_all(writers).await;
    let usage = kit.storage.usage(&bucket()).await.unwrap();
    assert!(usage.size_bytes <= 20, "{usage:?}");
    assert_eq!(
        usage.object_count as usize,
        written.into_iter().filter(|done| *done).count()
    );
}

#[tokio::test]
async fn another_s3_offers_none_of_it() {
    let settings = crate::RemoteSettings {
        endpoint: "http://127.0.0.1:9".to_owned(),
        region: "us-east-1".to_owned(),
        access_key: "minioadmin".to_owned(),
        secret: fragua_base::Secret::new("minioadmin"),
    };
    let remote = Storage::remote(settings, std::sync::Arc::new(fragua_base::SystemClock)).unwrap();
    let refused = remote.set_bucket(&bucket(), BucketSetting::Quota(None)).await;
    assert!(matches!(refused, Err(Error::NotSupported(_))));
    assert!(matches!(
        remote.list_versions(&bucket(), Default::default()).await,
        Err(Error::NotSupported(_))
    ));
    let version = crate::VersionId::null();
    assert!(matches!(
        remote.head_version(&bucket(), &key("k"), &version).await,
        Err(Error::NotSupported(_))
    ));
    assert!(matches!(
        remote.usage(&bucket()).await,
        Err(Error::NotSupported(_))
    ));
}

#[tokio::test]
async fn the_list_of_buckets_asked_for_the_settings_of_each() {
    let mut test = TestDatabase::sqlite().await;
    let statements = test.count_statements();
    let kit = Kit::new(test.database.clone()).await;
    for name in ["one", "two", "three"] {
        let name = BucketName::parse(name).unwrap();
        kit.storage.create_bucket(&name).await.unwrap();
    }
    let before = statements.load(Ordering::SeqCst);
    assert_eq!(kit.storage.settings_of_all().await.unwrap().len(), 4);
    assert_eq!(statements.load(Ordering::SeqCst) - before, 2);
}

each_engine!(
    suite: each_setting_is_set_and_removed,
    a_bad_setting_and_a_missing_bucket_are_told,
    a_change_elsewhere_is_seen_after_some_seconds,
    a_quota_is_kept,
    parts_of_uploads_took_no_room,
    versions_count_towards_a_quota,
    writers_at_once_do_not_go_beyond_a_quota,
);
