//! Objects in the database.

use std::collections::BTreeMap;
use std::ops::Bound;

use fragua_base::Timestamp;
use fragua_database::Database;
use sea_orm::{
    Condition, ConnectionTrait, DatabaseTransaction, FromQueryResult, IntoActiveModel, QueryOrder,
    QuerySelect, entity::prelude::*,
};
use serde::{Deserialize, Serialize};

use super::{buckets, events, garbage, key_range, retry_races, uploads, versions};
use crate::backend::Place;
use crate::checksum::Checksum;
use crate::events::{ObjectEvent, ObjectEventKind, Telling};
use crate::object::{ObjectHeaders, ObjectKey, ObjectMeta, PartSizes, WriteCondition};
use crate::version::{DeleteTarget, Deletion, Refusal, VersionId, Versioning};
use crate::{BucketName, Encryption, Error, ObjectSummary, Tags};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_objects")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) bucket: String,
    #[sea_orm(
        primary_key,
        auto_increment = false,
        column_type = "VarBinary(StringLen::N(1024))"
    )]
    pub(crate) object_key: Vec<u8>,
    pub(crate) blob_id: String,
    pub(crate) size_bytes: i64,
    pub(crate) etag: String,
    pub(crate) content_type: String,
    /// [`Attributes`] as JSON.
    pub(crate) attributes: String,
    pub(crate) modified_at: i64,
    pub(crate) version_id: String,
    /// Among the versions of the key; see [`versions::Model`].
    pub(crate) version_rank: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    #[sea_orm(
        belongs_to = "buckets::Entity",
        from = "Column::Bucket",
        to = "buckets::Column::Name"
    )]
    Bucket,
}

impl Related<buckets::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Bucket.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// What is kept with an object and never searched.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attributes {
    pub(crate) headers: ObjectHeaders,
    pub(crate) user_metadata: BTreeMap<String, String>,
    pub(crate) checksum: Option<Checksum>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub(crate) tags: Tags,
    /// The entity tag is computed over them.
    #[serde(skip_serializing_if = "PartSizes::is_empty")]
    pub(crate) parts: PartSizes,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption: Option<Encryption>,
}

impl Attributes {
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text maps always serialise")
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|error| {
            let reason = format!("attributes in the database cannot be read: {error}");
            fragua_database::Error::from(DbErr::Type(reason)).into()
        })
    }
}

pub(crate) fn key_text(bytes: Vec<u8>) -> Result<ObjectKey, Error> {
    let text = String::from_utf8(bytes).map_err(|_| {
        let reason = "a key in the database is not UTF-8".to_owned();
        Error::from(DbErr::Type(reason))
    })?;
    ObjectKey::parse(text)
}

impl Model {
    pub(crate) fn into_meta(self) -> Result<ObjectMeta, Error> {
        let attributes = Attributes::parse(&self.attributes)?;
        Ok(ObjectMeta {
            key: key_text(self.object_key)?,
            size_bytes: u64::try_from(self.size_bytes).unwrap_or(0),
            etag: self.etag,
            content_type: self.content_type,
            headers: attributes.headers,
            modified_at: Timestamp::from_millis(self.modified_at),
            user_metadata: attributes.user_metadata,
            checksum: attributes.checksum,
            tags: attributes.tags,
            version_id: Some(VersionId::stored(self.version_id)),
            parts: attributes.parts,
            encryption: attributes.encryption,
        })
    }

    fn is_allowed(&self, condition: Option<&WriteCondition>) -> Result<(), Error> {
        match condition {
            None => Ok(()),
            Some(WriteCondition::Absent) => Err(Error::PreconditionFailed {
                condition: "If-None-Match",
            }),
            Some(WriteCondition::Etag(wanted)) if *wanted == self.etag => Ok(()),
            Some(WriteCondition::Etag(_)) => Err(Error::PreconditionFailed {
                condition: "If-Match",
            }),
        }
    }
}

fn by_place(place: Place<'_>) -> Condition {
    Condition::all()
        .add(Column::Bucket.eq(place.bucket.as_str()))
        .add(Column::ObjectKey.eq(place.key.as_str().as_bytes().to_vec()))
}

/// Reads what a key stands for.
pub(crate) async fn current(
    connection: &impl ConnectionTrait,
    place: Place<'_>,
) -> Result<Option<Model>, Error> {
    Ok(Entity::find().filter(by_place(place)).one(connection).await?)
}

/// Finds what a key stands for; tells a missing bucket, a deleted object and a missing one apart.
pub(crate) async fn find(database: &Database, place: Place<'_>) -> Result<Model, Error> {
    if let Some(row) = current(database.reader(), place).await? {
        return Ok(row);
    }
    if buckets::find(database.reader(), place.bucket).await?.versioning() == Versioning::Never {
        return Err(place.not_found());
    }
    match versions::newest(database.reader(), place).await? {
        // The key was given to another object between the two reads.
        Some(newest) if newest.blob_id.is_some() => {
            let current = current(database.reader(), place).await?;
            current.ok_or_else(|| place.not_found())
        }
        newest => Err(Error::ObjectNotFound {
            object: place.describe(),
            delete_marker: newest.map(|row| VersionId::stored(row.version_id)),
        }),
    }
}

/// Finds a version of an object, which may be the one that its key stands for.
pub(crate) async fn find_version(
    database: &Database,
    place: Place<'_>,
    id: &VersionId,
) -> Result<Model, Error> {
    // A version can move from one table to the other between the reads, and is then found in the second round.
    for _ in 0..2 {
        let current = current(database.reader(), place).await?;
        if let Some(row) = current.filter(|row| row.version_id == id.as_str()) {
            return Ok(row);
        }
        if let Some(row) = versions::find(database.reader(), place, id).await? {
            let modified_at = Timestamp::from_millis(row.modified_at);
            return row.into_object().ok_or_else(|| Error::IsDeleteMarker {
                object: place.describe(),
                version_id: id.clone(),
                modified_at,
            });
        }
    }
    buckets::check(database.reader(), place.bucket).await?;
    Err(Error::VersionNotFound {
        object: place.describe(),
        version_id: id.clone(),
    })
}

/// Fails early, before a body is read, where [`put`] would fail.
pub(crate) async fn check_condition(
    database: &Database,
    place: Place<'_>,
    condition: Option<&WriteCondition>,
) -> Result<(), Error> {
    buckets::check(database.reader(), place.bucket).await?;
    if condition.is_none() {
        return Ok(());
    }
    let current = current(database.reader(), place).await?;
    check_current(place, current.as_ref(), condition)
}

/// Fails unless the condition holds of what a key stands for.
pub(crate) fn check_current(
    place: Place<'_>,
    current: Option<&Model>,
    condition: Option<&WriteCondition>,
) -> Result<(), Error> {
    match (current, condition) {
        (Some(row), condition) => row.is_allowed(condition),
        (None, Some(WriteCondition::Etag(_))) => Err(place.not_found()),
        (None, _) => Ok(()),
    }
}

/// A row to put in place.
pub(crate) struct NewRow {
    pub(crate) row: Model,
    pub(crate) condition: Option<WriteCondition>,
    /// The upload that it finishes.
    pub(crate) finished_upload: Option<String>,
    /// How it came to be.
    pub(crate) kind: ObjectEventKind,
}

/// Puts a row in place and returns it as it is kept, with the blobs that it makes useless: the one it replaces, and the
/// parts of the upload that it finishes.
pub(crate) async fn put(
    database: &Database,
    place: Place<'_>,
    new: &NewRow,
    telling: &Telling,
) -> Result<(Model, Vec<String>, ObjectEvent), Error> {
    let condition = new.condition.as_ref();
    retry_races(|| async {
        let mut row = new.row.clone();
        let versioning = buckets::find(database.reader(), place.bucket).await?.versioning();
        let seen = match versioning {
            Versioning::Never => current(database.reader(), place).await?,
            Versioning::Enabled | Versioning::Suspended => None,
        };
        let transaction = database.begin().await?;
        let mut useless = match versioning {
            Versioning::Never => replace(&transaction, place, &row, seen.is_some(), condition).await?,
            kept => versions::put(&transaction, place, kept, &mut row, condition).await?,
        };
        if let Some(upload) = &new.finished_upload {
            useless.extend(uploads::delete(&transaction, upload).await?);
        }
        let version_id = VersionId::stored(row.version_id.clone());
        let event = ObjectEvent {
            content: Some((u64::try_from(row.size_bytes).unwrap_or(0), row.etag.clone())),
            ..telling.event(new.kind, place.bucket, place.key.clone(), version_id)
        };
        events::add(&transaction, telling, std::slice::from_ref(&event)).await?;
        transaction.commit().await?;
        Ok((row, useless, event))
    })
    .await
}

/// Puts a row in place in a bucket that makes no versions.
///
/// A new key is inserted and an existing one locked and updated. Whoever loses the race to insert finds the
/// row on the next try, so no blob is ever replaced unseen.
async fn replace(
    transaction: &DatabaseTransaction,
    place: Place<'_>,
    row: &Model,
    was_seen: bool,
    condition: Option<&WriteCondition>,
) -> Result<Vec<String>, Error> {
    let old = match was_seen {
        true => lock(transaction, place).await?,
        false => None,
    };
    check_current(place, old.as_ref(), condition)?;
    let useless = match old {
        None => {
            insert(transaction, place, row.clone()).await?;
            Vec::new()
        }
        Some(old) => {
            Entity::update(row.clone().into_active_model().reset_all())
                .exec(transaction)
                .await?;
            vec![old.blob_id]
        }
    };
    // Versions may have been turned on since. Now that the row is held, nobody makes any of this key meanwhile.
    buckets::expect_versioning(transaction, place.bucket, Versioning::Never).await?;
    garbage::add(transaction, &useless).await?;
    Ok(useless)
}

/// Reads and locks what a key stands for.
pub(crate) async fn lock(
    connection: &impl ConnectionTrait,
    place: Place<'_>,
) -> Result<Option<Model>, Error> {
    Ok(Entity::find()
        .filter(by_place(place))
        .lock_exclusive()
        .one(connection)
        .await?)
}

pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    place: Place<'_>,
    row: Model,
) -> Result<(), Error> {
    let inserted = Entity::insert(row.into_active_model())
        .exec_without_returning(connection)
        .await;
    match inserted.map_err(fragua_database::Error::from) {
        Ok(_) => Ok(()),
        Err(fragua_database::Error::ForeignKey) => Err(buckets::not_found(place.bucket.as_str())),
        Err(error) => Err(error.into()),
    }
}

/// Deletes the row of what a key stands for.
pub(crate) async fn remove(connection: &impl ConnectionTrait, place: Place<'_>) -> Result<(), Error> {
    Entity::delete_many()
        .filter(by_place(place))
        .exec(connection)
        .await?;
    Ok(())
}

/// What was deleted.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    /// What was done with each target.
    pub(crate) deletions: Vec<Deletion>,
    /// The blobs that are useless now, noted as garbage.
    pub(crate) useless: Vec<String>,
    pub(crate) events: Vec<ObjectEvent>,
}

/// Deletes objects or versions, all or none. What is missing is passed over.
pub(crate) async fn delete_many(
    database: &Database,
    bucket: &BucketName,
    targets: &[DeleteTarget],
    telling: &Telling,
) -> Result<Deleted, Error> {
    retry_races(|| async {
        let versioning = buckets::find(database.reader(), bucket).await?.versioning();
        let transaction = database.begin().await?;
        let refusals = refusals(&transaction, bucket, targets).await?;
        let wanted = targets.iter().zip(&refusals);
        let wanted: Vec<DeleteTarget> = wanted
            .filter(|(_, refusal)| refusal.is_none())
            .map(|(target, _)| target.clone())
            .collect();
        let mut done = match versioning {
            Versioning::Never => delete_unversioned(&transaction, bucket, &wanted, telling).await?,
            kept => versions::delete_many(&transaction, bucket, kept, &wanted, telling).await?,
        };
        events::add(&transaction, telling, &done.events).await?;
        transaction.commit().await?;
        done.deletions = with_refusals(targets, refusals, done.deletions);
        Ok(done)
    })
    .await
}

/// Says of each target why its condition does not hold. What is looked at stays so until the transaction ends.
async fn refusals(
    transaction: &DatabaseTransaction,
    bucket: &BucketName,
    targets: &[DeleteTarget],
) -> Result<Vec<Option<Refusal>>, Error> {
    let conditional: Vec<&ObjectKey> = targets
        .iter()
        .filter(|target| target.if_match.is_some())
        .map(|target| &target.key)
        .collect();
    if !conditional.is_empty() {
        versions::lock_keys(transaction, bucket, conditional.into_iter()).await?;
    }
    let mut refusals = Vec::with_capacity(targets.len());
    for DeleteTarget { key, if_match, .. } in targets {
        let refusal = match if_match {
            None => None,
            Some(condition) => match lock(transaction, Place { bucket, key }).await? {
                None => Some(Refusal::Missing),
                Some(row) => (!condition.matches(&row.etag)).then_some(Refusal::Differs),
            },
        };
        refusals.push(refusal);
    }
    Ok(refusals)
}

/// Puts what was done and what was refused into the order of the targets.
fn with_refusals(
    targets: &[DeleteTarget],
    refusals: Vec<Option<Refusal>>,
    done: Vec<Deletion>,
) -> Vec<Deletion> {
    let mut done = done.into_iter();
    let deletion = |(target, refused): (&DeleteTarget, Option<Refusal>)| match refused {
        None => done.next(),
        refused => Some(Deletion {
            refused,
            ..versions::deletion(target, None)
        }),
    };
    targets.iter().zip(refusals).filter_map(deletion).collect()
}

/// Deletes in a bucket that makes no versions: there is the version `null` of each object and no other.
async fn delete_unversioned(
    transaction: &DatabaseTransaction,
    bucket: &BucketName,
    targets: &[DeleteTarget],
    telling: &Telling,
) -> Result<Deleted, Error> {
    let mut deleted = Deleted::default();
    for batch in targets.chunks(garbage::BATCH) {
        let wanted: BTreeMap<&[u8], Option<i64>> = batch
            .iter()
            .filter(|target| target.version.as_ref().is_none_or(VersionId::is_null))
            .map(|target| {
                let written_at = target.written_at.map(Timestamp::as_millis);
                (target.key.as_str().as_bytes(), written_at)
            })
            .collect();
        let named = Condition::all()
            .add(Column::Bucket.eq(bucket.as_str()))
            .add(Column::ObjectKey.is_in(wanted.keys().map(|key| key.to_vec())));
        let found: Vec<(Vec<u8>, String, i64)> = Entity::find()
            .select_only()
            .columns([Column::ObjectKey, Column::BlobId, Column::ModifiedAt])
            .filter(named.clone())
            .lock_exclusive()
            .into_tuple()
            .all(transaction)
            .await?;
        let is_wanted = |key: &[u8], modified_at: i64| match wanted.get(key) {
            Some(Some(written_at)) => *written_at == modified_at,
            Some(None) => true,
            None => false,
        };
        let mut blobs = Vec::new();
        for (key, blob, modified_at) in found {
            if is_wanted(&key, modified_at) {
                blobs.push(blob);
                let kind = telling.removal(false);
                let event = telling.event(kind, bucket, key_text(key)?, VersionId::null());
                deleted.events.push(event);
            }
        }
        if blobs.is_empty() {
            continue;
        }
        let found = Column::BlobId.is_in(blobs.iter().map(String::as_str));
        Entity::delete_many()
            .filter(named.add(found))
            .exec(transaction)
            .await?;
        garbage::add(transaction, &blobs).await?;
        deleted.useless.extend(blobs);
    }
    if !deleted.useless.is_empty() {
        // Versions may have been turned on since, and what would be deleted is then to be kept.
        buckets::expect_versioning(transaction, bucket, Versioning::Never).await?;
    }
    let done = |target: &DeleteTarget| versions::deletion(target, None);
    deleted.deletions = targets.iter().map(done).collect();
    Ok(deleted)
}

/// Replaces the tags of an object or of a version of it; the event says which version that was.
pub(crate) async fn set_tags(
    database: &Database,
    place: Place<'_>,
    id: Option<&VersionId>,
    tags: &Tags,
    telling: &Telling,
) -> Result<ObjectEvent, Error> {
    // Tells what is missing.
    let seen = match id {
        None => find(database, place).await?,
        Some(id) => find_version(database, place, id).await?,
    };
    let with_tags = |attributes: &str| -> Result<String, Error> {
        let mut attributes = Attributes::parse(attributes)?;
        attributes.tags = tags.clone();
        Ok(attributes.to_json())
    };
    retry_races(|| async {
        let transaction = database.begin().await?;
        versions::lock_keys(&transaction, place.bucket, std::iter::once(place.key)).await?;
        let current = lock(&transaction, place).await?;
        let is_current = |row: &Model| id.is_none_or(|id| row.version_id == id.as_str());
        let changed = match current.filter(is_current) {
            Some(row) => {
                let changed = VersionId::stored(row.version_id.clone());
                let attributes = with_tags(&row.attributes)?;
                Entity::update_many()
                    .col_expr(Column::Attributes, attributes.into())
                    .filter(by_place(place))
                    .exec(&transaction)
                    .await?;
                changed
            }
            None => {
                let changed = VersionId::stored(seen.version_id.clone());
                let row = versions::find(&transaction, place, &changed).await?;
                // It was deleted meanwhile.
                let row = row.ok_or_else(|| place.not_found())?;
                versions::Entity::update_many()
                    .col_expr(versions::Column::Attributes, with_tags(&row.attributes)?.into())
                    .filter(versions::by_place(place))
                    .filter(versions::Column::VersionId.eq(changed.as_str()))
                    .exec(&transaction)
                    .await?;
                changed
            }
        };
        let kind = match tags.is_empty() {
            false => ObjectEventKind::PutTags,
            true => ObjectEventKind::DeleteTags,
        };
        let event = telling.event(kind, place.bucket, place.key.clone(), changed);
        events::add(&transaction, telling, std::slice::from_ref(&event)).await?;
        transaction.commit().await?;
        Ok(event)
    })
    .await
}

/// Writes the attributes of the object that was read as `row`, unless they were changed since; returns how many rows
/// that changed.
pub(crate) async fn change_attributes(
    database: &Database,
    row: &versions::Model,
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

/// The columns that a list shows.
#[derive(Debug, FromQueryResult)]
pub(crate) struct Row {
    object_key: Vec<u8>,
    size_bytes: i64,
    etag: String,
    modified_at: i64,
}

impl Row {
    pub(crate) fn into_summary(self) -> Result<ObjectSummary, Error> {
        Ok(ObjectSummary {
            key: key_text(self.object_key)?,
            size_bytes: u64::try_from(self.size_bytes).unwrap_or(0),
            etag: self.etag,
            modified_at: Timestamp::from_millis(self.modified_at),
        })
    }
}

/// Reads rows between two keys (`end` excluded) by the primary key, in order.
pub(crate) async fn scan(
    database: &Database,
    bucket: &BucketName,
    start: &Bound<Vec<u8>>,
    end: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Row>, Error> {
    let rows = between(bucket, start, end, limit)
        .select_only()
        .columns([
            Column::ObjectKey,
            Column::SizeBytes,
            Column::Etag,
            Column::ModifiedAt,
        ])
        .into_model()
        .all(database.reader())
        .await?;
    Ok(rows)
}

/// Reads rows as [`scan`] does, with all that is known of the objects.
pub(crate) async fn scan_whole(
    database: &Database,
    bucket: &BucketName,
    start: &Bound<Vec<u8>>,
    end: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Model>, Error> {
    Ok(between(bucket, start, end, limit).all(database.reader()).await?)
}

fn between(bucket: &BucketName, start: &Bound<Vec<u8>>, end: Option<&[u8]>, limit: usize) -> Select<Entity> {
    Entity::find()
        .filter(Column::Bucket.eq(bucket.as_str()))
        .filter(key_range(Column::ObjectKey, start, end))
        .order_by_asc(Column::Bucket)
        .order_by_asc(Column::ObjectKey)
        .limit(limit as u64)
}
