//! What goes on in the background, on each engine, by a clock that tests set.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use fragua_base::Clock as _;
use fragua_database::{Database, each_engine};
use futures::stream;
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _};
use tokio_util::sync::CancellationToken;

use super::{Kit, bucket, key, keys};
use crate::backend::local::Local;
use crate::store::{chores, garbage, objects};
use crate::{
    BucketName, BucketSetting, ChecksumAlgorithm, CompletedPart, CreateUpload, ExpectedChecksum, ExpireAfter,
    ExpiryReport, Lifecycle, LifecycleFilter, LifecycleRule, NoncurrentExpiration, PartOptions, Problem,
    PutOptions, Settings, Tags, UploadQuery, VersionQuery, Versioning,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Kit {
    async fn set_rules(&self, rules: Vec<LifecycleRule>) {
        let setting = BucketSetting::Lifecycle(Some(Lifecycle { rules }));
        self.storage.set_bucket(&bucket(), setting).await.unwrap();
    }

    async fn apply(&self) -> ExpiryReport {
        self.storage.apply_lifecycle().await.unwrap()
    }

    /// Another process over the same store, with its background work in hand.
    pub(super) async fn local(&self, change: impl FnOnce(&mut Settings)) -> Local {
        let mut settings = Settings::new(self.root.path());
        settings.scrub_bytes_per_second = None;
        change(&mut settings);
        Local::open(self.database.clone(), settings, self.clock.clone())
            .await
            .unwrap()
    }

    async fn upload(&self, name: &str, parts: &[usize]) -> (crate::UploadId, Vec<CompletedPart>) {
        let options = CreateUpload {
            checksum_algorithm: Some(ChecksumAlgorithm::Crc32),
            ..CreateUpload::default()
        };
        let upload = self
            .storage
            .create_upload(&bucket(), &key(name), options)
            .await
            .unwrap();
        let mut named = Vec::new();
        for (number, size) in (1..).zip(parts) {
            let body = stream::iter([Ok(Bytes::from(vec![number as u8; *size]))]);
            let part = self
                .storage
                .upload_part(
                    (&bucket(), &key(name)),
                    &upload,
                    number,
                    PartOptions::default(),
                    body,
                )
                .await
                .unwrap();
            named.push(CompletedPart {
                number,
                etag: part.etag,
                checksums: Vec::new(),
            });
        }
        (upload, named)
    }
}

fn rule(id: &str) -> LifecycleRule {
    LifecycleRule {
        id: id.to_owned(),
        is_enabled: true,
        ..LifecycleRule::default()
    }
}

async fn objects_expire_by_age_prefix_tag_and_size(database: Database) {
    let kit = Kit::new(database).await;
    for name in ["logs/1", "logs/2", "data/1"] {
        kit.put(name, "12345").await;
    }
    let tagged = PutOptions {
        tags: Tags::parse_query("keep=no").unwrap(),
        ..PutOptions::default()
    };
    kit.storage
        .put_bytes(&bucket(), &key("tagged"), tagged, "1")
        .await
        .unwrap();
    kit.put("big", "1234567890").await;
    kit.set_rules(vec![
        LifecycleRule {
            expire: Some(ExpireAfter::Days(3)),
            filter: LifecycleFilter {
                prefix: "logs/".to_owned(),
                ..LifecycleFilter::default()
            },
            ..rule("logs")
        },
        LifecycleRule {
            expire: Some(ExpireAfter::Days(1)),
            filter: LifecycleFilter {
                tags: Tags::parse_query("keep=no").unwrap(),
                ..LifecycleFilter::default()
            },
            ..rule("tagged")
        },
        LifecycleRule {
            expire: Some(ExpireAfter::Days(5)),
            filter: LifecycleFilter {
                larger_than_bytes: Some(9),
                ..LifecycleFilter::default()
            },
            ..rule("big")
        },
    ])
    .await;
    assert!(kit.apply().await.is_empty());
    kit.clock.advance(2 * DAY);
    assert_eq!(kit.apply().await.expired, 1);
    assert_eq!(keys(&kit.storage).await, ["big", "data/1", "logs/1", "logs/2"]);
    kit.put("logs/2", "written again").await;
    kit.clock.advance(2 * DAY);
    assert_eq!(kit.apply().await.expired, 1);
    kit.clock.advance(20 * DAY);
    assert_eq!(kit.apply().await.expired, 2);
    assert_eq!(keys(&kit.storage).await, ["data/1"]);
    assert_eq!(kit.blobs().await, 1);
}

async fn versions_and_markers_go_in_their_time(database: Database) {
    let kit = Kit::new(database).await;
    kit.storage
        .set_versioning(&bucket(), Versioning::Enabled)
        .await
        .unwrap();
    kit.set_rules(vec![LifecycleRule {
        expire: Some(ExpireAfter::Days(10)),
        expire_noncurrent: Some(NoncurrentExpiration {
            days: 3,
            keep_newest: 1,
        }),
        ..rule("all")
    }])
    .await;
    for content in ["one", "two", "three", "four"] {
        kit.put("k", content).await;
        kit.clock.advance(Duration::from_secs(1));
    }
    kit.clock.advance(5 * DAY);
    let report = kit.apply().await;
    assert_eq!((report.expired, report.noncurrent, report.markers), (0, 2, 0));
    assert_eq!(kit.blobs().await, 2);
    kit.clock.advance(7 * DAY);
    let report = kit.apply().await;
    // What expires becomes one more version that is not current.
    assert_eq!((report.expired, report.noncurrent, report.markers), (1, 0, 0));
    assert!(keys(&kit.storage).await.is_empty());
    kit.clock.advance(5 * DAY);
    let report = kit.apply().await;
    assert_eq!((report.expired, report.noncurrent, report.markers), (0, 1, 0));
    let versions = async || {
        let list = kit
            .storage
            .list_versions(&bucket(), VersionQuery::default())
            .await;
        list.unwrap().versions.len()
    };
    assert_eq!(versions().await, 2);
    // Without the one that is kept the marker is alone.
    kit.set_rules(vec![LifecycleRule {
        expire: Some(ExpireAfter::LoneMarkers),
        expire_noncurrent: Some(NoncurrentExpiration {
            days: 1,
            keep_newest: 0,
        }),
        ..rule("all")
    }])
    .await;
    let report = kit.apply().await;
    assert_eq!((report.noncurrent, report.markers), (1, 0));
    assert_eq!(kit.apply().await.markers, 1);
    assert_eq!((versions().await, kit.blobs().await), (0, 0));
}

async fn uploads_are_given_up(database: Database) {
    let kit = Kit::new(database).await;
    kit.upload("tmp/a", &[3]).await;
    kit.upload("data/a", &[3]).await;
    kit.set_rules(vec![LifecycleRule {
        abort_upload_days: Some(2),
        filter: LifecycleFilter {
            prefix: "tmp/".to_owned(),
            ..LifecycleFilter::default()
        },
        ..rule("parts")
    }])
    .await;
    assert!(kit.apply().await.is_empty());
    kit.clock.advance(3 * DAY);
    assert_eq!(kit.apply().await.uploads, 1);
    let uploads = kit
        .storage
        .list_uploads(&bucket(), Default::default())
        .await
        .unwrap();
    assert_eq!(uploads.uploads.len(), 1);
    assert_eq!(kit.blobs().await, 1);
}

async fn more_than_a_page_expires(database: Database) {
    let kit = Kit::new(database).await;
    for number in 0..450 {
        kit.put(&format!("{number:04}"), "x").await;
    }
    kit.set_rules(vec![LifecycleRule {
        expire: Some(ExpireAfter::Days(1)),
        ..rule("all")
    }])
    .await;
    kit.clock.advance(3 * DAY);
    assert_eq!(kit.apply().await.expired, 450);
    assert_eq!(kit.blobs().await, 0);
}

async fn one_process_at_a_time_does_a_chore(database: Database) {
    let kit = Kit::new(database).await;
    let lease = Duration::from_secs(60);
    let claim = async |holder: &str| {
        let now = kit.clock.now();
        chores::claim(&kit.database, "chore", holder, now, lease)
            .await
            .unwrap()
    };
    let one = claim("one").await.unwrap();
    assert!(claim("two").await.is_none());
    kit.clock.advance(lease / 2);
    assert!(one.prolong(&kit.database, kit.clock.now()).await.unwrap());
    kit.clock.advance(lease / 2);
    assert!(claim("two").await.is_none());
    // A process that ended keeps it until its lease is over, and finds it taken when it comes back.
    kit.clock.advance(lease);
    let two = claim("two").await.unwrap();
    assert!(!one.prolong(&kit.database, kit.clock.now()).await.unwrap());
    one.write(&kit.database, &"of one").await.unwrap();
    two.write(&kit.database, &"of two").await.unwrap();
    let state: String = chores::state(&kit.database, "chore").await.unwrap();
    assert_eq!(state, "of two");
    two.release(&kit.database, kit.clock.now().plus(DAY))
        .await
        .unwrap();
    assert!(claim("one").await.is_none());
    kit.clock.advance(DAY);
    assert!(claim("one").await.is_some());
}

async fn what_is_due_is_done_and_what_is_not_is_left(database: Database) {
    let kit = Kit::new(database).await;
    kit.put("k", "x").await;
    kit.set_rules(vec![LifecycleRule {
        expire: Some(ExpireAfter::Days(1)),
        ..rule("all")
    }])
    .await;
    let local = kit.local(|settings| settings.expire_every = 2 * DAY).await;
    let running = CancellationToken::new();
    local.expire_if_due(&running).await.unwrap();
    assert_eq!(keys(&kit.storage).await, ["k"]);
    kit.clock.advance(2 * DAY - Duration::from_secs(1));
    local.expire_if_due(&running).await.unwrap();
    assert_eq!(keys(&kit.storage).await, ["k"]);
    kit.clock.advance(Duration::from_secs(1));
    local.expire_if_due(&running).await.unwrap();
    assert!(keys(&kit.storage).await.is_empty());
}

async fn rules_of_one_bucket_that_cannot_be_read_kept_all_others_waiting(database: Database) {
    let kit = Kit::new(database).await;
    let rules = || {
        vec![LifecycleRule {
            expire: Some(ExpireAfter::Days(1)),
            ..rule("all")
        }]
    };
    kit.set_rules(rules()).await;
    kit.put("k", "x").await;
    let broken = BucketName::parse("a-broken-one").unwrap();
    kit.storage.create_bucket(&broken).await.unwrap();
    let setting = BucketSetting::Lifecycle(Some(Lifecycle { rules: rules() }));
    kit.storage.set_bucket(&broken, setting).await.unwrap();
    let spoil = "UPDATE fragua_bucket_settings SET document = '{' WHERE bucket = 'a-broken-one'";
    kit.database.writer().execute_unprepared(spoil).await.unwrap();
    kit.clock.advance(3 * DAY);
    assert!(kit.storage.apply_lifecycle().await.is_err());
    assert!(keys(&kit.storage).await.is_empty());
}

async fn old_uploads_and_garbage_waited_for_the_next_start(database: Database) {
    let kit = Kit::new(database).await;
    kit.put("k", "x").await;
    kit.upload("old", &[10]).await;
    let useless = "c".repeat(32);
    let path = kit.blob_path(&useless);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "of a delete whose client left").unwrap();
    let local = kit.local(|_| {}).await;
    garbage::add(kit.database.writer(), &[useless]).await.unwrap();
    kit.clock.advance(8 * DAY);
    kit.upload("young", &[10]).await;
    local.expire_if_due(&CancellationToken::new()).await.unwrap();
    let left = kit.storage.list_uploads(&bucket(), UploadQuery::default()).await;
    let left: Vec<_> = left.unwrap().uploads;
    assert!(left.len() == 1 && left[0].key.as_str() == "young", "{left:?}");
    assert_eq!(kit.blobs().await, 2);
}

async fn the_scrubber_finds_what_is_damaged(database: Database) {
    let kit = Kit::new(database).await;
    let other = BucketName::parse("other").unwrap();
    kit.storage.create_bucket(&other).await.unwrap();
    kit.storage
        .put_bytes(&other, &key("k"), PutOptions::default(), "whole")
        .await
        .unwrap();
    kit.storage
        .set_versioning(&bucket(), Versioning::Enabled)
        .await
        .unwrap();
    for name in ["cut", "changed", "gone", "whole"] {
        kit.put(name, "old").await;
        if name == "whole" {
            kit.spoil(name, Some(b"OLD")).await;
        }
        kit.put(name, "new").await;
    }
    let (upload, parts) = kit.upload("parts", &[5 << 20, 9]).await;
    let place = (&bucket(), &key("parts"));
    kit.storage
        .complete_upload(place, &upload, &parts, Default::default())
        .await
        .unwrap();
    kit.put("deleted", "x").await;
    kit.storage.delete(&bucket(), &key("deleted")).await.unwrap();
    kit.spoil("cut", Some(b"ne")).await;
    kit.spoil("changed", Some(b"neW")).await;
    kit.spoil("gone", None).await;
    kit.clock.advance(Duration::from_secs(1));

    let local = kit.local(|_| {}).await;
    local.scrub_if_due(&CancellationToken::new()).await.unwrap();
    let state = kit.storage.scrub_state().await.unwrap();
    assert_eq!(state.current, None);
    let last = state.last.unwrap();
    assert_eq!(last.ended_at, Some(kit.clock.now()));
    let found: Vec<(&str, Problem)> = last
        .verified
        .damaged
        .iter()
        .map(|damage| (damage.key.as_str(), damage.problem))
        .collect();
    let expected = [
        ("changed", Problem::ChecksumDiffers),
        ("cut", Problem::SizeDiffers),
        ("gone", Problem::BytesMissing),
        ("whole", Problem::ChecksumDiffers),
    ];
    assert_eq!(found, expected);
    assert_eq!(last.verified.damaged_count, 4);
    // Three old versions and the new one of `whole`, the parts, the version behind the marker, and the other bucket's.
    assert_eq!((last.verified.objects, last.verified.without_checksum), (7, 0));

    // Not due again before its time.
    kit.clock.advance(DAY);
    local.scrub_if_due(&CancellationToken::new()).await.unwrap();
    let again = kit.storage.scrub_state().await.unwrap().last.unwrap();
    assert_eq!(again.started_at, last.started_at);
    kit.clock.advance(40 * DAY);
    local.scrub_if_due(&CancellationToken::new()).await.unwrap();
    let again = kit.storage.scrub_state().await.unwrap().last.unwrap();
    assert!(again.started_at > last.started_at);
}

async fn what_was_written_after_the_first_pass_waited_a_month(database: Database) {
    let kit = Kit::new(database).await;
    let local = kit.local(|_| {}).await;
    let scrub = async || {
        local.scrub_if_due(&CancellationToken::new()).await.unwrap();
        kit.storage.upkeep().await.unwrap()
    };
    let empty = scrub().await;
    assert_eq!(empty.scrub.last.unwrap().verified.objects, 0);
    assert_eq!(empty.next_pass_at, Some(kit.clock.now().plus(30 * DAY)));
    kit.put("a", "123").await;
    kit.put("b", "45").await;
    let written = scrub().await;
    assert_eq!((written.existing.objects, written.existing.bytes), (2, 5));
    assert_eq!(written.unverified, written.existing);
    assert_eq!(written.next_pass_at, Some(kit.clock.now().plus(DAY)));
    kit.clock.advance(DAY);
    let read = scrub().await;
    assert_eq!(read.scrub.last.unwrap().verified.objects, 2);
    assert_eq!(read.next_pass_at, Some(kit.clock.now().plus(30 * DAY)));
    kit.clock.advance(Duration::from_secs(60));
    assert_eq!(scrub().await.unverified.objects, 0);
    // Who asks for a pass does not wait.
    kit.spoil("a", Some(b"12x")).await;
    kit.storage.ask_for_pass().await.unwrap();
    assert_eq!(kit.storage.upkeep().await.unwrap().next_pass_at, None);
    let asked = scrub().await;
    assert_eq!(asked.scrub.last.unwrap().verified.damaged_count, 1);
}

async fn what_a_check_found_was_told_to_who_asked_alone(database: Database) {
    let kit = Kit::new(database).await;
    kit.put("whole", "123").await;
    kit.put("gone", "123").await;
    kit.clock.advance(Duration::from_secs(1));
    assert_eq!(kit.storage.upkeep().await.unwrap().check, None);
    kit.spoil("gone", None).await;
    kit.storage.check(false).await.unwrap();
    let noted = kit.storage.upkeep().await.unwrap();
    let check = noted.check.unwrap();
    assert_eq!((check.ended_at, check.compares_bytes), (kit.clock.now(), false));
    assert_eq!((check.verified.objects, check.verified.damaged_count), (1, 1));
    // To look at sizes verifies nothing.
    assert_eq!(noted.unverified.objects, 2);
    kit.storage.repair(true, true).await.unwrap();
    let noted = kit.storage.upkeep().await.unwrap();
    let check = noted.check.unwrap();
    assert_eq!(
        (check.verified.damaged_count, check.verified.damaged.len()),
        (0, 0)
    );
    assert_eq!((noted.existing.objects, noted.unverified.objects), (1, 0));
    // Changed bytes that a check had found were forgotten once somebody looked at sizes.
    kit.spoil("whole", Some(b"12x")).await;
    kit.storage.check(true).await.unwrap();
    kit.storage.check(false).await.unwrap();
    let check = kit.storage.upkeep().await.unwrap().check.unwrap();
    assert_eq!((check.compares_bytes, check.verified.damaged_count), (true, 1));
}

async fn a_pass_that_is_broken_off_goes_on_where_it_was(database: Database) {
    let kit = Kit::new(database).await;
    for number in 0..350 {
        kit.put(&format!("{number:04}"), "x").await;
    }
    let set = async |attributes: &str| {
        objects::Entity::update_many()
            .col_expr(objects::Column::Attributes, attributes.into())
            .filter(objects::Column::ObjectKey.eq(b"0250".to_vec()))
            .exec(kit.database.writer())
            .await
            .unwrap();
    };
    // Nobody can read this row, so that a pass ends there.
    set("broken").await;
    let local = kit.local(|_| {}).await;
    local.scrub_if_due(&CancellationToken::new()).await.unwrap_err();
    let begun = kit.storage.scrub_state().await.unwrap().current.unwrap();
    assert_eq!((begun.verified.objects, begun.ended_at), (200, None));
    set("{}").await;
    kit.clock.advance(DAY);
    local.scrub_if_due(&CancellationToken::new()).await.unwrap();
    let last = kit.storage.scrub_state().await.unwrap().last.unwrap();
    assert_eq!((last.started_at, last.verified.objects), (begun.started_at, 350));
}

/// Objects of tracking had no sum that a changed byte is found by.
async fn a_check_finds_and_a_repair_removes(database: Database) {
    let kit = Kit::new(database).await;
    kit.put("whole", "123").await;
    kit.put("changed", "123").await;
    kit.put("gone", "123").await;
    let summed = PutOptions {
        any_etag: true,
        checksum: Some(ExpectedChecksum::compute(ChecksumAlgorithm::Sha256)),
        ..PutOptions::default()
    };
    kit.storage
        .put_bytes(&bucket(), &key("summed"), summed, "123")
        .await
        .unwrap();
    // Without an MD5 and with nothing asked for, as tracking writes.
    let unasked = PutOptions {
        any_etag: true,
        ..PutOptions::default()
    };
    kit.storage
        .put_bytes(&bucket(), &key("unasked"), unasked, "123")
        .await
        .unwrap();
    kit.upload("under way", &[4]).await;
    let report = kit.storage.check(true).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(
        (report.verified.objects, report.verified.without_checksum),
        (5, 0)
    );

    kit.spoil("changed", Some(b"12x")).await;
    kit.spoil("summed", Some(b"12x")).await;
    kit.spoil("unasked", Some(b"12x")).await;
    kit.spoil("gone", None).await;
    let orphan = "f".repeat(32);
    let path = kit.blob_path(&orphan);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "nobody's").unwrap();
    // What is being written is nobody's orphan.
    kit.write_under_way(&"e".repeat(32));

    let by_size = kit.storage.check(false).await.unwrap();
    assert_eq!(
        (by_size.verified.damaged_count, &by_size.orphans),
        (1, &vec![orphan.clone()])
    );
    let report = kit.storage.check(true).await.unwrap();
    assert_eq!(
        (report.verified.damaged_count, &report.orphans),
        (4, &vec![orphan])
    );

    let repaired = kit.storage.repair(true, false).await.unwrap();
    assert_eq!((repaired.orphans_removed, repaired.objects_removed), (1, 0));
    assert_eq!(repaired.found, report);
    assert!(!path.exists());
    let repaired = kit.storage.repair(true, true).await.unwrap();
    assert_eq!((repaired.orphans_removed, repaired.objects_removed), (0, 1));
    assert_eq!(
        keys(&kit.storage).await,
        ["changed", "summed", "unasked", "whole"]
    );
    let report = kit.storage.check(true).await.unwrap();
    assert_eq!((report.verified.damaged_count, report.orphans.len()), (3, 0));
}

each_engine!(
    suite: objects_expire_by_age_prefix_tag_and_size,
    versions_and_markers_go_in_their_time,
    uploads_are_given_up,
    more_than_a_page_expires,
    one_process_at_a_time_does_a_chore,
    what_is_due_is_done_and_what_is_not_is_left,
    rules_of_one_bucket_that_cannot_be_read_kept_all_others_waiting,
    old_uploads_and_garbage_waited_for_the_next_start,
    the_scrubber_finds_what_is_damaged,
    what_was_written_after_the_first_pass_waited_a_month,
    what_a_check_found_was_told_to_who_asked_alone,
    a_pass_that_is_broken_off_goes_on_where_it_was,
    a_check_finds_and_a_repair_removes,
);
