//! Versions on each engine, against a plain model of what S3 does.

use std::collections::BTreeMap;

use fragua_base::{Clock as _, random_hex};
use fragua_database::{Database, Engine, each_engine};
use sea_orm::EntityTrait as _;
use sea_orm_migration::MigrationTrait;

use super::{Kit, bucket, key, put};
use crate::store::objects;
use crate::{
    BucketUsage, CopyOptions, DeleteTarget, Deletion, Error, EtagCondition, GetOptions, ListQuery,
    PutOptions, Refusal, Storage, Tags, VersionId, VersionList, VersionQuery, Versioning, WriteCondition,
};

impl Kit {
    async fn versioned(database: Database) -> Self {
        let kit = Self::new(database).await;
        kit.set_versioning(Versioning::Enabled).await;
        kit
    }

    async fn set_versioning(&self, versioning: Versioning) {
        self.storage.set_versioning(&bucket(), versioning).await.unwrap();
    }

    async fn put_version(&self, name: &str, bytes: &str) -> VersionId {
        self.put(name, bytes.to_owned()).await.version_id.unwrap()
    }

    async fn delete(&self, name: &str, version: Option<&VersionId>) -> Deletion {
        let target = DeleteTarget {
            version: version.cloned(),
            ..DeleteTarget::current(key(name))
        };
        let deletions = self.storage.delete_targets(&bucket(), &[target]).await.unwrap();
        deletions.into_iter().next().unwrap()
    }

    /// Returns the oldest version of a key.
    async fn first_version(&self, name: &str) -> VersionId {
        let query = VersionQuery {
            prefix: name.to_owned(),
            ..VersionQuery::default()
        };
        let list = self.storage.list_versions(&bucket(), query).await.unwrap();
        list.versions.last().unwrap().id.clone()
    }

    async fn read_version(&self, name: &str, version: &VersionId) -> Result<String, Error> {
        let options = GetOptions {
            version: Some(version.clone()),
            ..GetOptions::default()
        };
        let (meta, stream) = self.storage.get_with(&bucket(), &key(name), options).await?;
        assert_eq!(meta.version_id.as_ref(), Some(version));
        let bytes = stream.into_bytes(u64::MAX).await?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Tells all versions as `key=id`, markers as `key-id`, the latest with a star.
    async fn versions(&self) -> Vec<String> {
        told(&all_pages(&self.storage, &VersionQuery::default()).await)
    }
}

async fn all_pages(storage: &Storage, query: &VersionQuery) -> VersionList {
    let (mut query, mut all) = (query.clone(), VersionList::default());
    let limit = query.limit.unwrap_or(1000);
    loop {
        let page = storage.list_versions(&bucket(), query.clone()).await.unwrap();
        let told = page.versions.len() + page.prefixes.len();
        assert!(told == limit || page.next.is_none() && told < limit);
        all.versions.extend(page.versions);
        all.prefixes.extend(page.prefixes);
        query.start_after = page.next;
        if query.start_after.is_none() {
            return all;
        }
    }
}

fn told(list: &VersionList) -> Vec<String> {
    let tell = |version: &crate::ObjectVersion| {
        let kind = if version.content.is_some() { '=' } else { '-' };
        let star = if version.is_latest { "*" } else { "" };
        format!("{}{kind}{}{star}", version.key, version.id)
    };
    list.versions.iter().map(tell).collect()
}

async fn every_write_makes_a_version(database: Database) {
    let kit = Kit::versioned(database).await;
    let one = kit.put_version("k", "one").await;
    let two = kit.put_version("k", "two").await;
    assert!(!one.is_null() && one != two);
    assert_eq!(kit.read("k").await.unwrap(), "two");
    assert_eq!(kit.read_version("k", &one).await.unwrap(), "one");
    assert_eq!(kit.versions().await, [format!("k={two}*"), format!("k={one}")]);
    assert_eq!(super::keys(&kit.storage).await, ["k"]);

    let marker = kit.delete("k", None).await.marker.unwrap();
    assert!(matches!(
        kit.read("k").await,
        Err(Error::ObjectNotFound { delete_marker: Some(found), .. }) if found == marker
    ));
    assert!(matches!(
        kit.read_version("k", &marker).await,
        Err(Error::IsDeleteMarker { .. })
    ));
    assert!(super::keys(&kit.storage).await.is_empty());
    assert_eq!(
        kit.versions().await,
        [format!("k-{marker}*"), format!("k={two}"), format!("k={one}")]
    );
    assert!(matches!(
        kit.storage.delete_bucket(&bucket()).await,
        Err(Error::BucketNotEmpty { .. })
    ));

    // Without its marker the object is back; without that version it is the one before.
    assert_eq!(kit.delete("k", Some(&marker)).await.marker, Some(marker.clone()));
    assert_eq!(kit.read("k").await.unwrap(), "two");
    assert_eq!(kit.delete("k", Some(&two)).await.marker, None);
    assert_eq!(kit.read("k").await.unwrap(), "one");
    assert_eq!(kit.versions().await, [format!("k={one}*")]);
    assert!(matches!(
        kit.read_version("k", &two).await,
        Err(Error::VersionNotFound { .. })
    ));
    kit.delete("k", Some(&one)).await;
    assert!(matches!(
        kit.read("k").await,
        Err(Error::ObjectNotFound {
            delete_marker: None,
            ..
        })
    ));
    assert_eq!(kit.blobs().await, 0);
    kit.storage.delete_bucket(&bucket()).await.unwrap();
}

async fn what_was_there_before_is_the_version_null(database: Database) {
    let kit = Kit::new(database).await;
    assert!(kit.put_version("k", "old").await.is_null());
    kit.set_versioning(Versioning::Enabled).await;
    let new = kit.put_version("k", "new").await;
    assert_eq!(kit.versions().await, [format!("k={new}*"), "k=null".to_owned()]);
    assert_eq!(kit.read_version("k", &VersionId::null()).await.unwrap(), "old");

    // Suspended, what is written takes the place of `null`, wherever that is.
    kit.set_versioning(Versioning::Suspended).await;
    assert!(kit.put_version("k", "third").await.is_null());
    assert_eq!(kit.versions().await, ["k=null*".to_owned(), format!("k={new}")]);
    assert_eq!(kit.blobs().await, 2);
    kit.put_version("k", "fourth").await;
    assert_eq!(kit.versions().await, ["k=null*".to_owned(), format!("k={new}")]);
    assert_eq!(kit.blobs().await, 2);
    let marker = kit.delete("k", None).await.marker.unwrap();
    assert!(marker.is_null());
    assert_eq!(kit.versions().await, ["k-null*".to_owned(), format!("k={new}")]);
    assert_eq!(kit.blobs().await, 1);
    kit.put_version("k", "fifth").await;
    assert_eq!(kit.versions().await, ["k=null*".to_owned(), format!("k={new}")]);
    kit.delete("k", Some(&VersionId::null())).await;
    assert_eq!(kit.versions().await, [format!("k={new}*")]);
    assert_eq!(kit.read("k").await.unwrap(), "new");
}

async fn conditions_look_at_what_the_key_stands_for(database: Database) {
    let kit = Kit::versioned(database).await;
    let absent = || PutOptions {
        condition: Some(WriteCondition::Absent),
        ..PutOptions::default()
    };
    let write = async || kit.storage.put_bytes(&bucket(), &key("k"), absent(), "x").await;
    write().await.unwrap();
    assert!(matches!(write().await, Err(Error::PreconditionFailed { .. })));
    kit.delete("k", None).await;
    write().await.unwrap();
    assert_eq!(kit.versions().await.len(), 3);
}

async fn an_old_version_is_restored_with_all_it_had(database: Database) {
    let kit = Kit::versioned(database).await;
    let options = PutOptions {
        content_type: Some("a/b".to_owned()),
        tags: Tags::parse_query("stage=raw").unwrap(),
        ..PutOptions::default()
    };
    let old = kit
        .storage
        .put_bytes(&bucket(), &key("k"), options, "old")
        .await
        .unwrap();
    let old = old.version_id.unwrap();
    kit.put_version("k", "new").await;
    let restored = kit.storage.restore(&bucket(), &key("k"), &old).await.unwrap();
    assert_ne!(restored.version_id, Some(old.clone()));
    assert_eq!((restored.content_type.as_str(), restored.tags.len()), ("a/b", 1));
    assert_eq!(kit.read("k").await.unwrap(), "old");
    let marker = kit.delete("k", None).await.marker.unwrap();
    assert!(matches!(
        kit.storage.restore(&bucket(), &key("k"), &marker).await,
        Err(Error::IsDeleteMarker { .. })
    ));
    let options = CopyOptions {
        source_version: Some(old),
        tags: Some(Tags::default()),
        ..CopyOptions::default()
    };
    let copied = kit
        .storage
        .copy((&bucket(), &key("k")), (&bucket(), &key("copy")), options)
        .await
        .unwrap();
    assert!(copied.tags.is_empty());
    assert_eq!(kit.read("copy").await.unwrap(), "old");
}

async fn tags_belong_to_versions(database: Database) {
    let kit = Kit::versioned(database).await;
    let old = kit.put_version("k", "old").await;
    let new = kit.put_version("k", "new").await;
    let tags = |text: &str| Tags::parse_query(text).unwrap();
    let set = async |version: Option<&VersionId>, text: &str| {
        let tags = tags(text);
        kit.storage.set_tags(&bucket(), &key("k"), version, &tags).await
    };
    assert_eq!(set(None, "of=new").await.unwrap(), new);
    assert_eq!(set(Some(&old), "of=old&and=more").await.unwrap(), old);
    let head = async |version: &VersionId| {
        let head = kit.storage.head_version(&bucket(), &key("k"), version).await;
        head.unwrap().tags
    };
    assert_eq!(head(&new).await, tags("of=new"));
    assert_eq!(head(&old).await, tags("of=old&and=more"));
    assert_eq!(
        kit.storage.head(&bucket(), &key("k")).await.unwrap().tags,
        tags("of=new")
    );
    set(Some(&new), "").await.unwrap();
    assert!(head(&new).await.is_empty());
    let marker = kit.delete("k", None).await.marker.unwrap();
    assert!(matches!(
        set(Some(&marker), "a=b").await,
        Err(Error::IsDeleteMarker { .. })
    ));
    assert!(matches!(
        set(None, "a=b").await,
        Err(Error::ObjectNotFound { .. })
    ));
    assert!(matches!(
        set(Some(&VersionId::null()), "a=b").await,
        Err(Error::VersionNotFound { .. })
    ));
}

async fn usage_counts_versions(database: Database) {
    let kit = Kit::versioned(database).await;
    kit.put_version("k", "12345").await;
    kit.put_version("k", "123").await;
    kit.put_version("k2", "12").await;
    kit.delete("k2", None).await;
    let usage = kit.storage.usage(&bucket()).await.unwrap();
    let expected = BucketUsage {
        object_count: 1,
        size_bytes: 3,
        noncurrent_count: 2,
        noncurrent_bytes: 7,
        delete_marker_count: 1,
    };
    assert_eq!(usage, expected);
}

async fn a_start_keeps_the_blobs_of_versions(database: Database) {
    let kit = Kit::versioned(database).await;
    let long = "old".repeat(10_000);
    let old = kit.put_version("k", &long).await;
    let blob = kit.blob_of("k").await;
    kit.put_version("k", "new").await;
    kit.leave_behind(&blob, true);
    kit.reopen().await;
    assert_eq!((kit.blobs().await, kit.incoming_files()), (2, 0));
    assert_eq!(kit.read_version("k", &old).await.unwrap(), long);
}

/// A small generator, so that a failing walk can be walked again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// What S3 does, as a list of versions for each key with the oldest first. Markers hold nothing.
#[derive(Default)]
struct Model {
    versioning: Versioning,
    keys: BTreeMap<String, Vec<(VersionId, Option<String>)>>,
}

impl Model {
    fn write(&mut self, key: &str, id: VersionId, content: Option<String>) {
        let versions = self.keys.entry(key.to_owned()).or_default();
        match self.versioning {
            Versioning::Never => versions.clear(),
            Versioning::Suspended => versions.retain(|(id, _)| !id.is_null()),
            Versioning::Enabled => {}
        }
        if self.versioning != Versioning::Never || content.is_some() {
            versions.push((id, content));
        }
    }

    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        for (key, versions) in &self.keys {
            for (index, (id, content)) in versions.iter().rev().enumerate() {
                let kind = if content.is_some() { '=' } else { '-' };
                let star = if index == 0 { "*" } else { "" };
                told.push(format!("{key}{kind}{id}{star}"));
            }
        }
        told
    }

    fn contents(&self) -> usize {
        let all = self.keys.values().flatten();
        all.filter(|(_, content)| content.is_some()).count()
    }
}

async fn any_walk_ends_where_the_model_does(database: Database) {
    let kit = Kit::new(database).await;
    let mut model = Model::default();
    let mut random = Random(7);
    for step in 0..250 {
        let name = ["a", "a/b", "b"][random.below(3)];
        match random.below(12) {
            0 if step > 20 => {
                model.versioning = [Versioning::Enabled, Versioning::Suspended][random.below(2)];
                kit.set_versioning(model.versioning).await;
            }
            0..=4 => {
                let content = format!("{step}");
                let id = kit.put_version(name, &content).await;
                assert_eq!(id.is_null(), model.versioning != Versioning::Enabled);
                model.write(name, id, Some(content));
            }
            5..=7 => {
                let marker = kit.delete(name, None).await.marker;
                assert_eq!(marker.is_some(), model.versioning != Versioning::Never);
                model.write(name, marker.unwrap_or_else(VersionId::null), None);
            }
            _ => {
                let versions = model.keys.entry(name.to_owned()).or_default();
                if versions.is_empty() {
                    continue;
                }
                let (id, content) = versions.remove(random.below(versions.len()));
                let deletion = kit.delete(name, Some(&id)).await;
                assert_eq!(deletion.marker.is_some(), content.is_none(), "{step}");
            }
        }
        for (name, versions) in &model.keys {
            let current = versions.last().and_then(|(_, content)| content.clone());
            let read = kit.read(name).await.ok().map(|bytes| bytes.to_vec());
            assert_eq!(read, current.map(String::into_bytes), "{step} {name}");
        }
        assert_eq!(kit.blobs().await, model.contents(), "{step}");
        if step % 10 == 0 {
            assert_eq!(kit.versions().await, model.told(), "{step}");
            for (name, versions) in &model.keys {
                for (id, content) in versions {
                    assert_eq!(
                        kit.read_version(name, id).await.ok(),
                        *content,
                        "{step} {name} {id}"
                    );
                }
            }
        }
    }
    assert_eq!(kit.versions().await, model.told());
}

async fn lists_of_versions_have_pages(database: Database) {
    let kit = Kit::versioned(database).await;
    let names = ["a/1", "a/1", "a/1", "a/2", "a/2", "b", "b", "c/d/e", "c/f", "z"];
    for name in names {
        kit.put_version(name, "x").await;
    }
    for name in ["a/2", "c/f", "c/f", "z"] {
        kit.delete(name, None).await;
    }
    let all = kit.versions().await;
    assert_eq!(all.len(), 14);
    for limit in [1, 2, 3, 5, 1000] {
        let query = VersionQuery {
            limit: Some(limit),
            ..VersionQuery::default()
        };
        assert_eq!(told(&all_pages(&kit.storage, &query).await), all, "{limit}");
        let folded = VersionQuery {
            delimiter: Some("/".to_owned()),
            ..query.clone()
        };
        let list = all_pages(&kit.storage, &folded).await;
        assert_eq!(list.prefixes, ["a/", "c/"], "{limit}");
        let flat: Vec<&String> = all.iter().filter(|version| !version.contains('/')).collect();
        assert_eq!(told(&list).iter().collect::<Vec<_>>(), flat, "{limit}");
        let within = VersionQuery {
            prefix: "a/".to_owned(),
            ..folded
        };
        assert_eq!(told(&all_pages(&kit.storage, &within).await), all[..6], "{limit}");
    }
    // Who deletes what each page names misses nothing.
    let query = VersionQuery {
        limit: Some(3),
        ..VersionQuery::default()
    };
    let mut next = query.clone();
    loop {
        let page = kit.storage.list_versions(&bucket(), next.clone()).await.unwrap();
        let targets: Vec<DeleteTarget> = page
            .versions
            .into_iter()
            .map(|version| DeleteTarget {
                version: Some(version.id),
                ..DeleteTarget::current(version.key)
            })
            .collect();
        kit.storage.delete_targets(&bucket(), &targets).await.unwrap();
        next.start_after = page.next;
        if next.start_after.is_none() {
            break;
        }
    }
    assert!(kit.versions().await.is_empty());
    assert_eq!(kit.blobs().await, 0);
    kit.storage.delete_bucket(&bucket()).await.unwrap();
}

async fn writers_of_one_key_lose_nothing(database: Database) {
    let kit = Kit::versioned(database).await;
    let writer = |number: usize| {
        let storage = kit.storage.clone();
        async move {
            for step in 0..8 {
                if step % 4 == 3 {
                    storage.delete(&bucket(), &key("k")).await.unwrap();
                } else {
                    put(&storage, "k", format!("{number} {step}")).await;
                }
            }
        }
    };
    futures::future::join_all((0..4).map(writer)).await;
    let usage = kit.storage.usage(&bucket()).await.unwrap();
    assert_eq!(usage.object_count + usage.noncurrent_count, 24);
    assert_eq!(usage.delete_marker_count, 8);
    assert_eq!(kit.blobs().await, 24);
    let remove = |version: crate::ObjectVersion| {
        let storage = kit.storage.clone();
        async move {
            let target = DeleteTarget {
                version: Some(version.id),
                ..DeleteTarget::current(version.key)
            };
            storage.delete_targets(&bucket(), &[target]).await.unwrap();
        }
    };
    let all = all_pages(&kit.storage, &VersionQuery::default()).await;
    futures::future::join_all(all.versions.into_iter().map(remove)).await;
    assert!(kit.versions().await.is_empty());
    assert_eq!(kit.blobs().await, 0);
}

async fn what_is_written_after_versions_are_on_is_kept(database: Database) {
    let kit = Kit::new(database).await;
    kit.put("k", "before").await;
    let writers = (0..6).map(|number| {
        let storage = kit.storage.clone();
        async move { put(&storage, "k", format!("during {number}")).await }
    });
    let (written, ()) = futures::join!(
        futures::future::join_all(writers),
        kit.set_versioning(Versioning::Enabled)
    );
    for meta in written {
        let version = meta.version_id.unwrap();
        if !version.is_null() {
            assert!(
                kit.read_version("k", &version)
                    .await
                    .unwrap()
                    .starts_with("during")
            );
        }
    }
    let after = kit.put_version("k", "after").await;
    assert!(!after.is_null());
    assert_eq!(kit.blobs().await, kit.versions().await.len());
}

async fn a_decision_on_what_was_seen_spares_what_came_after(database: Database) {
    let kit = Kit::new(database).await;
    let seen = kit.put("k", "seen").await;
    kit.clock.advance(std::time::Duration::from_secs(1));
    let decided = DeleteTarget {
        written_at: Some(seen.modified_at),
        ..DeleteTarget::current(key("k"))
    };
    for versioning in [Versioning::Never, Versioning::Enabled] {
        if versioning != Versioning::Never {
            kit.set_versioning(versioning).await;
        }
        kit.put("k", "after").await;
        kit.storage
            .delete_targets(&bucket(), std::slice::from_ref(&decided))
            .await
            .unwrap();
        assert_eq!(kit.read("k").await.unwrap(), "after");
    }
}

/// Lifecycle rules read what is current first and then what is not, so that a version which is replaced in between looks as
/// if it had been followed by itself, long ago.
async fn a_version_that_was_replaced_just_now_counted_as_old_as_it_was(database: Database) {
    let kit = Kit::versioned(database).await;
    let first = kit.put("k", "first").await;
    kit.clock.advance(std::time::Duration::from_secs(1));
    let second = kit.put("k", "second").await;
    let delete = async |meta: &crate::ObjectMeta, replaced_at| {
        let target = DeleteTarget {
            version: meta.version_id.clone(),
            written_at: Some(meta.modified_at),
            replaced_at: Some(replaced_at),
            ..DeleteTarget::current(key("k"))
        };
        kit.storage.delete_targets(&bucket(), &[target]).await.unwrap();
        kit.versions().await.len()
    };
    // It is current, or current again.
    assert_eq!(delete(&second, second.modified_at).await, 2);
    assert_eq!(delete(&first, first.modified_at).await, 2);
    kit.clock.advance(std::time::Duration::from_secs(1));
    let third = kit.put("k", "third").await;
    assert_eq!(delete(&second, second.modified_at).await, 3);
    assert_eq!(delete(&first, third.modified_at).await, 3);
    assert_eq!(delete(&second, third.modified_at).await, 2);
    kit.clock.advance(std::time::Duration::from_secs(1));
    kit.delete("k", None).await;
    assert_eq!(delete(&third, third.modified_at).await, 3);
}

async fn a_condition_of_a_delete_is_about_what_the_key_stands_for(database: Database) {
    let kit = Kit::new(database).await;
    for versioning in [Versioning::Never, Versioning::Enabled] {
        if versioning != Versioning::Never {
            kit.set_versioning(versioning).await;
        }
        let delete = async |names: &[(&str, EtagCondition)]| {
            let target = |(name, condition): &(&str, EtagCondition)| DeleteTarget {
                if_match: Some(condition.clone()),
                ..DeleteTarget::current(key(name))
            };
            let targets: Vec<DeleteTarget> = names.iter().map(target).collect();
            let deletions = kit.storage.delete_targets(&bucket(), &targets).await.unwrap();
            let refusals = deletions.into_iter().map(|deletion| deletion.refused);
            refusals.collect::<Vec<_>>()
        };
        let is = |etag: &str| EtagCondition::Is(etag.to_owned());
        let (one, other) = (kit.put("one", "x").await, kit.put("other", "y").await);
        let refusals = delete(&[
            ("one", is(&other.etag)),
            ("other", is(&other.etag)),
            ("none", EtagCondition::Any),
        ])
        .await;
        assert_eq!(refusals, [Some(Refusal::Differs), None, Some(Refusal::Missing)]);
        assert_eq!(super::keys(&kit.storage).await, ["one"]);
        assert_eq!(
            delete(&[("other", is(&other.etag))]).await,
            [Some(Refusal::Missing)]
        );
        assert_eq!(delete(&[("one", is(&one.etag))]).await, [None]);
        kit.put("one", "x").await;
        assert_eq!(delete(&[("one", EtagCondition::Any)]).await, [None]);
        assert!(super::keys(&kit.storage).await.is_empty());
    }
}

async fn what_is_deleted_is_listed_by_itself(database: Database) {
    let kit = Kit::versioned(database).await;
    for name in ["a", "dir/1", "dir/2", "left/1", "z"] {
        for _ in 0..2 {
            kit.put(name, "x").await;
        }
    }
    kit.clock.advance(std::time::Duration::from_secs(1));
    for name in ["a", "dir/1", "dir/2", "never", "z"] {
        kit.delete(name, None).await;
    }
    let deleted_at = kit.clock.now();
    kit.clock.advance(std::time::Duration::from_secs(1));
    kit.put("z", "back").await;
    let list = async |query: ListQuery| kit.storage.list_deleted(&bucket(), query).await.unwrap();
    let names = |listing: &crate::Listing| {
        let objects = listing.objects.iter();
        objects.map(|object| object.key.to_string()).collect::<Vec<_>>()
    };
    let all = list(ListQuery::default()).await;
    assert_eq!(names(&all), ["a", "dir/1", "dir/2", "never"]);
    assert!(
        all.objects
            .iter()
            .all(|object| object.modified_at == deleted_at && object.size_bytes == 0)
    );
    let folded = |start_after: Option<String>| ListQuery {
        delimiter: Some("/".to_owned()),
        limit: Some(2),
        start_after,
        ..ListQuery::default()
    };
    let first = list(folded(None)).await;
    assert_eq!(
        (names(&first), first.prefixes),
        (vec!["a".to_owned()], vec!["dir/".to_owned()])
    );
    let last = list(folded(first.next)).await;
    assert_eq!((names(&last), last.next), (vec!["never".to_owned()], None));
    kit.storage
        .restore(&bucket(), &key("dir/1"), &kit.first_version("dir/1").await)
        .await
        .unwrap();
    let prefix = "dir/".to_owned();
    let in_folder = list(ListQuery {
        prefix,
        ..ListQuery::default()
    })
    .await;
    assert_eq!(names(&in_folder), ["dir/2"]);
}

async fn an_older_database_is_upgraded(database: Database) {
    let first: Vec<Box<dyn MigrationTrait>> = crate::store::migrations().into_iter().take(1).collect();
    database.migrate("storage", first).await.unwrap();
    let rows = format!(
        "INSERT INTO fragua_objects (bucket, object_key, blob_id, size_bytes, etag, content_type, attributes, \
         modified_at) VALUES ('{}', {}, '{}', 3, 'tag', 'a/b', '{{}}', 7)",
        super::BUCKET,
        // SQLite keeps a text as one, and no column makes bytes of it.
        if database.engine() == Engine::Sqlite {
            "x'6b'"
        } else {
            "'k'"
        },
        random_hex(16)
    );
    use sea_orm::ConnectionTrait as _;
    let bucket_row = format!(
        "INSERT INTO fragua_buckets (name, created_at) VALUES ('{}', 1)",
        super::BUCKET
    );
    for statement in [&bucket_row, &rows] {
        database.writer().execute_unprepared(statement).await.unwrap();
    }
    let root = tempfile::tempdir().unwrap();
    let clock = std::sync::Arc::new(fragua_base::SystemClock);
    let storage = Storage::open(database, crate::Settings::new(root.path()), clock)
        .await
        .unwrap();
    let meta = storage.head(&bucket(), &key("k")).await.unwrap();
    assert_eq!((meta.size_bytes, meta.version_id), (3, Some(VersionId::null())));
    let settings = storage.bucket_settings(&bucket()).await.unwrap();
    assert_eq!(settings.versioning, Versioning::Never);
    storage
        .set_versioning(&bucket(), Versioning::Enabled)
        .await
        .unwrap();
    put(&storage, "k", "new").await;
    let list = all_pages(&storage, &VersionQuery::default()).await;
    assert_eq!(list.versions.len(), 2);
    assert!(list.versions[1].id.is_null());
}

/// More than MySQL's `TEXT` holds: ten thousand parts of as many sizes.
async fn what_is_known_of_an_object_may_be_long(database: Database) {
    let kit = Kit::versioned(database).await;
    let id = kit.put_version("k", "x").await;
    let parts = (0..10_000).map(|number| 5_242_880 + number).collect();
    let long = objects::Attributes {
        parts,
        ..Default::default()
    };
    objects::Entity::update_many()
        .col_expr(objects::Column::Attributes, long.to_json().into())
        .exec(kit.database.writer())
        .await
        .unwrap();
    kit.put_version("k", "y").await;
    assert_eq!(kit.read_version("k", &id).await.unwrap(), "x");
    kit.delete("k", None).await;
    assert_eq!(kit.read_version("k", &id).await.unwrap(), "x");
}

each_engine!(
    suite: every_write_makes_a_version,
    what_was_there_before_is_the_version_null,
    conditions_look_at_what_the_key_stands_for,
    an_old_version_is_restored_with_all_it_had,
    tags_belong_to_versions,
    usage_counts_versions,
    a_start_keeps_the_blobs_of_versions,
    any_walk_ends_where_the_model_does,
    lists_of_versions_have_pages,
    writers_of_one_key_lose_nothing,
    what_is_written_after_versions_are_on_is_kept,
    a_decision_on_what_was_seen_spares_what_came_after,
    a_version_that_was_replaced_just_now_counted_as_old_as_it_was,
    a_condition_of_a_delete_is_about_what_the_key_stands_for,
    what_is_deleted_is_listed_by_itself,
    an_older_database_is_upgraded,
    what_is_known_of_an_object_may_be_long,
);
