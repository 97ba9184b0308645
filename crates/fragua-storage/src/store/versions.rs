//! What was replaced, and delete markers, in the database.
//!
//! Who changes the versions of a key holds the key's lock, so that one at a time decides what the key stands for.
//! Buckets that never made versions do without: there the row of the object is the lock.

use std::collections::BTreeSet;
use std::ops::Bound;

use fragua_base::Timestamp;
use fragua_database::Database;
use md5::{Digest as _, Md5};
use sea_orm::{
    Condition, ConnectionTrait, DatabaseTransaction, IntoActiveModel, QueryOrder, QuerySelect,
    entity::prelude::*,
};

use super::objects::{self, Deleted, key_text};
use super::{buckets, events, garbage, key_range};
use crate::backend::Place;
use crate::events::Telling;
use crate::object::{ObjectKey, WriteCondition};
use crate::version::{DeleteTarget, Deletion, ObjectVersion, VersionContent, VersionId, Versioning};
use crate::{BucketName, Error};

/// How many locks all keys share. A migration makes their rows: another number needs another one.
pub(crate) const KEY_LOCKS: i32 = 256;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_object_versions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) bucket: String,
    #[sea_orm(
        primary_key,
        auto_increment = false,
        column_type = "VarBinary(StringLen::N(1024))"
    )]
    pub(crate) object_key: Vec<u8>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) version_id: String,
    /// Counts down: the smallest of a key is its newest version.
    pub(crate) version_rank: i64,
    /// `None` for a delete marker.
    pub(crate) blob_id: Option<String>,
    pub(crate) size_bytes: i64,
    pub(crate) etag: String,
    pub(crate) content_type: String,
    /// [`objects::Attributes`] as JSON.
    pub(crate) attributes: String,
    pub(crate) modified_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// What a key stood for becomes its version of this rank.
    pub(crate) fn archived(row: objects::Model, version_rank: i64) -> Self {
        Self {
            bucket: row.bucket,
            object_key: row.object_key,
            version_id: row.version_id,
            version_rank,
            blob_id: Some(row.blob_id),
            size_bytes: row.size_bytes,
            etag: row.etag,
            content_type: row.content_type,
            attributes: row.attributes,
            modified_at: row.modified_at,
        }
    }

    fn marker(place: Place<'_>, id: &VersionId, version_rank: i64, now: Timestamp) -> Self {
        Self {
            bucket: place.bucket.as_str().to_owned(),
            object_key: place.key.as_str().as_bytes().to_vec(),
            version_id: id.as_str().to_owned(),
            version_rank,
            blob_id: None,
            size_bytes: 0,
            etag: String::new(),
            content_type: String::new(),
            attributes: "{}".to_owned(),
            modified_at: now.as_millis(),
        }
    }

    /// Returns the row as an object's; `None` for a delete marker.
    pub(crate) fn into_object(self) -> Option<objects::Model> {
        Some(objects::Model {
            blob_id: self.blob_id?,
            bucket: self.bucket,
            object_key: self.object_key,
            version_id: self.version_id,
            version_rank: self.version_rank,
            size_bytes: self.size_bytes,
            etag: self.etag,
            content_type: self.content_type,
            attributes: self.attributes,
            modified_at: self.modified_at,
        })
    }

    pub(crate) fn into_version(self, is_latest: bool) -> Result<ObjectVersion, Error> {
        let content = self.blob_id.is_some().then_some(VersionContent {
            size_bytes: u64::try_from(self.size_bytes).unwrap_or(0),
            etag: self.etag,
        });
        Ok(ObjectVersion {
            key: key_text(self.object_key)?,
            id: VersionId::stored(self.version_id),
            is_latest,
            modified_at: Timestamp::from_millis(self.modified_at),
            content,
        })
    }
}

mod key_lock {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "fragua_key_locks")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) slot: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Writes the attributes of the version that was read as `row`, unless they were changed since; returns how many rows
/// that changed.
pub(crate) async fn change_attributes(
    database: &Database,
    row: &Model,
    attributes: &str,
) -> Result<u64, Error> {
    let changed = Entity::update_many()
        .col_expr(Column::Attributes, attributes.into())
        .filter(Column::Bucket.eq(row.bucket.as_str()))
        .filter(Column::ObjectKey.eq(row.object_key.clone()))
        .filter(Column::VersionId.eq(row.version_id.as_str()))
        .filter(Column::Attributes.eq(row.attributes.as_str()))
        .exec(database.writer())
        .await?;
    Ok(changed.rows_affected)
}

/// Holds the locks of keys until the transaction ends, in one order for all.
pub(crate) async fn lock_keys<'keys>(
    transaction: &DatabaseTransaction,
    bucket: &BucketName,
    keys: impl Iterator<Item = &'keys ObjectKey>,
) -> Result<(), Error> {
    let slots: BTreeSet<i32> = keys.map(|key| lock_slot(bucket, key)).collect();
    let locked = key_lock::Entity::find()
        .filter(key_lock::Column::Slot.is_in(slots))
        .order_by_asc(key_lock::Column::Slot)
        .lock_exclusive();
    locked.all(transaction).await?;
    Ok(())
}

/// Returns the lock of a key: the same in each build of the program, as several may share a database.
fn lock_slot(bucket: &BucketName, key: &ObjectKey) -> i32 {
    let digest = Md5::digest(format!("{bucket}/{key}"));
    i32::from(digest[0]) % KEY_LOCKS
}

pub(crate) fn by_place(place: Place<'_>) -> Condition {
    Condition::all()
        .add(Column::Bucket.eq(place.bucket.as_str()))
        .add(Column::ObjectKey.eq(place.key.as_str().as_bytes().to_vec()))
}

/// Finds the newest of what a key does not stand for as an object.
pub(crate) async fn newest(
    connection: &impl ConnectionTrait,
    place: Place<'_>,
) -> Result<Option<Model>, Error> {
    let found = Entity::find()
        .filter(by_place(place))
        .order_by_asc(Column::VersionRank)
        .limit(1)
        .one(connection)
        .await?;
    Ok(found)
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    place: Place<'_>,
    id: &VersionId,
) -> Result<Option<Model>, Error> {
    let found = Entity::find()
        .filter(by_place(place))
        .filter(Column::VersionId.eq(id.as_str()))
        .one(connection)
        .await?;
    // MySQL compares without regard to case.
    Ok(found.filter(|row| row.version_id == id.as_str()))
}

async fn insert(connection: &impl ConnectionTrait, row: Model) -> Result<(), Error> {
    let bucket = row.bucket.clone();
    let inserted = Entity::insert(row.into_active_model())
        .exec_without_returning(connection)
        .await;
    match inserted.map_err(fragua_database::Error::from) {
        Ok(_) => Ok(()),
        Err(fragua_database::Error::ForeignKey) => Err(buckets::not_found(&bucket)),
        Err(error) => Err(error.into()),
    }
}

async fn remove(connection: &impl ConnectionTrait, row: &Model) -> Result<(), Error> {
    Entity::delete_by_id((row.bucket.clone(), row.object_key.clone(), row.version_id.clone()))
        .exec(connection)
        .await?;
    Ok(())
}

/// One key, locked, in the middle of a change.
struct Change<'a> {
    transaction: &'a DatabaseTransaction,
    place: Place<'a>,
    versioning: Versioning,
    current: Option<objects::Model>,
    /// Blobs that the change makes useless.
    useless: Vec<String>,
    /// The version that went, or the delete marker that came.
    removed: Option<VersionId>,
}

impl<'a> Change<'a> {
    /// The key's lock is held already.
    async fn begin(
        transaction: &'a DatabaseTransaction,
        place: Place<'a>,
        versioning: Versioning,
    ) -> Result<Self, Error> {
        Ok(Self {
            transaction,
            place,
            versioning,
            current: objects::lock(transaction, place).await?,
            useless: Vec::new(),
            removed: None,
        })
    }

    /// Returns the rank of what becomes newer than all versions but the current one.
    async fn next_rank(&self) -> Result<i64, Error> {
        let newest = newest(self.transaction, self.place).await?;
        Ok(newest.map_or(0, |row| row.version_rank - 1))
    }

    /// Makes room for what the key is to stand for: keeps the object it stands for now as a version, or gives up the
    /// version `null` where the new one has that name. Returns the rank of the new one.
    async fn make_room(&mut self) -> Result<i64, Error> {
        if self.versioning == Versioning::Suspended
            && let Some(row) = find(self.transaction, self.place, &VersionId::null()).await?
        {
            remove(self.transaction, &row).await?;
            self.useless.extend(row.blob_id);
        }
        let rank = self.next_rank().await?;
        let Some(current) = self.current.take() else {
            return Ok(rank);
        };
        let rank = rank.min(current.version_rank);
        objects::remove(self.transaction, self.place).await?;
        if self.versioning == Versioning::Suspended && current.version_id == VersionId::null().as_str() {
            self.useless.push(current.blob_id);
            return Ok(rank);
        }
        insert(self.transaction, Model::archived(current, rank)).await?;
        Ok(rank - 1)
    }

    /// Lets the key stand for its newest version, when it stands for nothing and that is an object.
    async fn promote(&self) -> Result<(), Error> {
        let Some(newest) = newest(self.transaction, self.place).await? else {
            return Ok(());
        };
        if newest.blob_id.is_some() {
            remove(self.transaction, &newest).await?;
            let row = newest.into_object().expect("it has a blob");
            objects::insert(self.transaction, self.place, row).await?;
        }
        Ok(())
    }

    /// Returns when the version that came next was written.
    async fn written_after(&self, row: &Model) -> Result<Option<i64>, Error> {
        let next = Entity::find()
            .filter(by_place(self.place))
            .filter(Column::VersionRank.lt(row.version_rank))
            .order_by_desc(Column::VersionRank)
            .limit(1)
            .one(self.transaction)
            .await?;
        let current = self.current.as_ref().map(|current| current.modified_at);
        Ok(next.map(|next| next.modified_at).or(current))
    }

    async fn delete_current(&mut self, target: &DeleteTarget, now: Timestamp) -> Result<Deletion, Error> {
        let is_wanted = |written_at: Timestamp| {
            let current = self.current.as_ref();
            current.is_some_and(|row| row.modified_at == written_at.as_millis())
        };
        if !target.written_at.is_none_or(is_wanted) {
            return Ok(deletion(target, None));
        }
        let rank = self.make_room().await?;
        let id = self.versioning.new_id();
        insert(self.transaction, Model::marker(self.place, &id, rank, now)).await?;
        self.removed = Some(id.clone());
        Ok(deletion(target, Some(id)))
    }

    async fn delete_version(&mut self, target: &DeleteTarget, id: &VersionId) -> Result<Deletion, Error> {
        let is_wanted = |modified_at: i64| {
            target
                .written_at
                .is_none_or(|written_at| written_at.as_millis() == modified_at)
        };
        if let Some(current) = self.current.take_if(|row| row.version_id == id.as_str()) {
            if is_wanted(current.modified_at) && target.replaced_at.is_none() {
                objects::remove(self.transaction, self.place).await?;
                self.useless.push(current.blob_id);
                self.removed = Some(id.clone());
                self.promote().await?;
            }
            return Ok(deletion(target, None));
        }
        let found = find(self.transaction, self.place, id).await?;
        let Some(row) = found.filter(|row| is_wanted(row.modified_at)) else {
            return Ok(deletion(target, None));
        };
        if let Some(replaced_at) = target.replaced_at
            && self.written_after(&row).await? != Some(replaced_at.as_millis())
        {
            return Ok(deletion(target, None));
        }
        remove(self.transaction, &row).await?;
        self.removed = Some(id.clone());
        if self.current.is_none() {
            self.promote().await?;
        }
        let marker = row.blob_id.is_none().then(|| id.clone());
        self.useless.extend(row.blob_id);
        Ok(deletion(target, marker))
    }
}

pub(crate) fn deletion(target: &DeleteTarget, marker: Option<VersionId>) -> Deletion {
    Deletion {
        key: target.key.clone(),
        version: target.version.clone(),
        marker,
        refused: None,
    }
}

/// Puts an object in place in a bucket that makes versions, and gives its row its id and rank. Returns the blobs that
/// this makes useless, noted as garbage.
pub(crate) async fn put(
    transaction: &DatabaseTransaction,
    place: Place<'_>,
    versioning: Versioning,
    row: &mut objects::Model,
    condition: Option<&WriteCondition>,
) -> Result<Vec<String>, Error> {
    lock_keys(transaction, place.bucket, std::iter::once(place.key)).await?;
    buckets::expect_versioning(transaction, place.bucket, versioning).await?;
    let mut change = Change::begin(transaction, place, versioning).await?;
    let current = change.current.as_ref().map(|row| row.etag.as_str());
    objects::check_current(place, current, condition)?;
    row.version_id = versioning.new_id().as_str().to_owned();
    row.version_rank = change.make_room().await?;
    objects::insert(transaction, place, row.clone()).await?;
    garbage::add(transaction, &change.useless).await?;
    Ok(change.useless)
}

/// Deletes in a bucket that makes versions.
pub(crate) async fn delete_many(
    transaction: &DatabaseTransaction,
    bucket: &BucketName,
    versioning: Versioning,
    targets: &[DeleteTarget],
    telling: &Telling,
) -> Result<Deleted, Error> {
    lock_keys(transaction, bucket, targets.iter().map(|target| &target.key)).await?;
    buckets::expect_versioning(transaction, bucket, versioning).await?;
    let mut deleted = Deleted::default();
    for target in targets {
        let place = Place {
            bucket,
            key: &target.key,
        };
        let mut change = Change::begin(transaction, place, versioning).await?;
        let deletion = match &target.version {
            None => change.delete_current(target, telling.now).await?,
            Some(id) => change.delete_version(target, id).await?,
        };
        if let Some(version_id) = change.removed {
            let kind = telling.removal(target.version.is_none());
            let event = telling.event(kind, bucket, target.key.clone(), version_id);
            deleted.events.push(event);
        }
        deleted.deletions.push(deletion);
        deleted.useless.extend(change.useless);
    }
    garbage::add(transaction, &deleted.useless).await?;
    events::add(transaction, telling, &deleted.events).await?;
    Ok(deleted)
}

/// Where a scan of versions begins.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    /// At a key.
    Key(Bound<Vec<u8>>),
    /// Behind the version of this rank of a key.
    Rank(Vec<u8>, i64),
}

/// Reads versions up to a key (excluded), by key and rank.
pub(crate) async fn scan(
    database: &Database,
    bucket: &BucketName,
    start: &Start,
    end: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Model>, Error> {
    let key = Column::ObjectKey;
    let range = match start {
        Start::Key(start) => key_range(key, start, end),
        Start::Rank(same, rank) => {
            let older = Condition::all()
                .add(key.eq(same.clone()))
                .add(Column::VersionRank.gt(*rank));
            let any = Condition::any().add(key.gt(same.clone())).add(older);
            // Said twice: the range is what an index is read from.
            key_range(key, &Bound::Included(same.clone()), end).add(any)
        }
    };
    let rows = Entity::find()
        .filter(Column::Bucket.eq(bucket.as_str()))
        .filter(range)
        .order_by_asc(Column::Bucket)
        .order_by_asc(key)
        .order_by_asc(Column::VersionRank)
        .limit(limit as u64)
        .all(database.reader())
        .await?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_builds_took_different_locks_for_one_key() {
        let bucket = BucketName::parse("data").unwrap();
        let slots =
            ["a", "b", "rows/2025.csv"].map(|key| lock_slot(&bucket, &ObjectKey::parse(key).unwrap()));
        assert_eq!(slots, [30, 59, 205]);
    }
}
