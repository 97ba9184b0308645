//! Objects in the database.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use fragua_base::Timestamp;
use fragua_database::{Connection, Database, Ready, Row, Statements};
use futures::future::BoxFuture;
use sea_orm::{
    Condition, ConnectionTrait, DatabaseTransaction, FromQueryResult, IntoActiveModel, QueryOrder,
    QuerySelect, QueryTrait as _, entity::prelude::*,
};
use serde::{Deserialize, Serialize};

use super::small::{self, SmallBlob};
use super::{buckets, events, garbage, key_range, retry_races, uploads, versions};
use crate::backend::Place;
use crate::checksum::Checksum;
use crate::events::{ObjectEvent, ObjectEventKind, Telling};
use crate::object::{ObjectHeaders, ObjectKey, ObjectMeta, PartSizes, WriteCondition};
use crate::version::{DeleteTarget, Deletion, Refusal, VersionId, Versioning};
use crate::{BucketName, Encryption, Error, ObjectSummary, Tags};

#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel)]
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
    /// Returns the values of all columns in their order.
    fn into_values(self) -> [Value; 10] {
        [
            self.bucket.into(),
            self.object_key.into(),
            self.blob_id.into(),
            self.size_bytes.into(),
            self.etag.into(),
            self.content_type.into(),
            self.attributes.into(),
            self.modified_at.into(),
            self.version_id.into(),
            self.version_rank.into(),
        ]
    }

    /// Reads a row of all columns in their order.
    fn read(row: &Row<'_>) -> Result<Self, DbErr> {
        let text = |at| Ok::<_, DbErr>(row.text(at)?.unwrap_or_default().into_owned());
        let integer = |at| Ok::<_, DbErr>(row.integer(at)?.unwrap_or_default());
        Ok(Self {
            bucket: text(0)?,
            object_key: row.bytes(1)?.unwrap_or_default().into_owned(),
            blob_id: text(2)?,
            size_bytes: integer(3)?,
            etag: text(4)?,
            content_type: text(5)?,
            attributes: text(6)?,
            modified_at: integer(7)?,
            version_id: text(8)?,
            version_rank: integer(9)?,
        })
    }

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
}

fn by_place(place: Place<'_>) -> Condition {
    by_key(place.bucket.as_str(), place.key.as_str().as_bytes())
}

fn by_key(bucket: &str, key: &[u8]) -> Condition {
    Condition::all()
        .add(Column::Bucket.eq(bucket))
        .add(Column::ObjectKey.eq(key.to_vec()))
}

/// The values of [`by_place`].
fn place_values(place: Place<'_>) -> [Value; 2] {
    let key = place.key.as_str().as_bytes().to_vec();
    [place.bucket.as_str().into(), key.into()]
}

/// Reads what a key stands for.
pub(crate) async fn current(
    connection: &impl ConnectionTrait,
    place: Place<'_>,
) -> Result<Option<Model>, Error> {
    Ok(Entity::find().filter(by_place(place)).one(connection).await?)
}

/// Finds what a key stands for as [`find`] does, and the bytes of a small object, both in one go.
pub(crate) async fn find_with_bytes(
    database: &Database,
    place: Place<'_>,
) -> Result<(Model, Option<Bytes>), Error> {
    static SELECT: Ready = Ready::new(|backend| {
        let select = Entity::find().filter(by_key("", &[]));
        backend.build(&select.into_query())
    });
    let values = place_values(place);
    let found = database.read(move |connection| {
        Box::pin(async move {
            let select = SELECT.with(connection.backend(), values);
            let Some(row) = connection.rows_of(select, Model::read).await?.pop() else {
                return Ok::<_, Error>(None);
            };
            let bytes = match small::is_small(&row.blob_id) {
                true => small::read(connection, &row.blob_id).await?,
                false => None,
            };
            Ok(Some((row, bytes)))
        })
    });
    match found.await? {
        Some(found) => Ok(found),
        None => Ok((find(database, place).await?, None)),
    }
}

/// Finds what a key stands for; tells a missing bucket, a deleted object and a missing one apart.
pub(crate) async fn find(database: &Database, place: Place<'_>) -> Result<Model, Error> {
    if let Some(row) = current(database.reader(), place).await? {
        return Ok(row);
    }
    if buckets::versioning(database.reader(), place.bucket).await? == Versioning::Never {
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
    if condition.is_none() {
        return Ok(());
    }
    let current = current(database.reader(), place).await?;
    check_current(place, current.as_ref().map(|row| row.etag.as_str()), condition)
}

/// Fails unless the condition holds of the entity tag of what a key stands for.
pub(crate) fn check_current(
    place: Place<'_>,
    etag: Option<&str>,
    condition: Option<&WriteCondition>,
) -> Result<(), Error> {
    let failed = |condition| Err(Error::PreconditionFailed { condition });
    match (condition, etag) {
        (None, _) | (Some(WriteCondition::Absent), None) => Ok(()),
        (Some(WriteCondition::Absent), Some(_)) => failed("If-None-Match"),
        (Some(WriteCondition::Etag(_)), None) => Err(place.not_found()),
        (Some(WriteCondition::Etag(wanted)), Some(etag)) if wanted == etag => Ok(()),
        (Some(WriteCondition::Etag(_)), Some(_)) => failed("If-Match"),
    }
}

/// A row to put in place.
#[derive(Debug, Clone)]
pub(crate) struct NewRow {
    pub(crate) row: Model,
    /// The bytes, where they are no file.
    pub(crate) small: Option<SmallBlob>,
    pub(crate) condition: Option<WriteCondition>,
    /// The upload that it finishes.
    pub(crate) finished_upload: Option<String>,
    /// How it came to be.
    pub(crate) kind: ObjectEventKind,
}

/// A row that is in place.
#[derive(Debug)]
pub(crate) struct Put {
    /// The row as it is kept.
    pub(crate) row: Model,
    /// The blobs that it makes useless: the one it replaces, and the parts of the upload that it finishes.
    pub(crate) useless: Vec<String>,
    pub(crate) event: ObjectEvent,
}

/// Puts a row in place.
pub(crate) async fn put(
    database: &Database,
    place: Place<'_>,
    new: &NewRow,
    telling: &Telling,
) -> Result<Put, Error> {
    retry_races(|| async {
        if new.finished_upload.is_none() && !telling.makes_versions() {
            let (bucket, key) = (place.bucket.clone(), place.key.clone());
            let (new, telling) = (new.clone(), telling.clone());
            let put = database.write_briefly(move |connection| {
                Box::pin(async move {
                    let place = Place {
                        bucket: &bucket,
                        key: &key,
                    };
                    put_unversioned(connection, place, new, &telling).await
                })
            });
            if let Some(put) = put.await? {
                return Ok(put);
            }
        }
        let versioning = buckets::versioning(database.reader(), place.bucket).await?;
        let transaction = database.begin().await?;
        let mut row = new.row.clone();
        let mut useless = match versioning {
            Versioning::Never => replace(&transaction, place, &row, new.condition.as_ref()).await?,
            kept => versions::put(&transaction, place, kept, &mut row, new.condition.as_ref()).await?,
        };
        if let Some(upload) = &new.finished_upload {
            useless.extend(uploads::delete(&transaction, upload).await?);
        }
        let put = finish_put(&transaction, place, (row, useless), new, telling).await?;
        transaction.commit().await?;
        Ok(put)
    })
    .await
}

/// Puts a row in place in a bucket that makes no versions; `None` where it makes some.
async fn put_unversioned(
    connection: &Connection<'_>,
    place: Place<'_>,
    new: NewRow,
    telling: &Telling,
) -> Result<Option<Put>, Error> {
    if buckets::versioning(connection, place.bucket).await? != Versioning::Never {
        return Ok(None);
    }
    let useless = replace(connection, place, &new.row, new.condition.as_ref()).await?;
    let put = finish_put(connection, place, (new.row.clone(), useless), &new, telling).await?;
    Ok(Some(put))
}

/// Writes what goes with a row: its bytes, and the event.
async fn finish_put(
    connection: &impl Statements,
    place: Place<'_>,
    (row, useless): (Model, Vec<String>),
    new: &NewRow,
    telling: &Telling,
) -> Result<Put, Error> {
    if let Some(blob) = &new.small {
        small::insert(connection, blob).await?;
    }
    let version_id = VersionId::stored(row.version_id.clone());
    let event = ObjectEvent {
        content: Some((u64::try_from(row.size_bytes).unwrap_or(0), row.etag.clone())),
        ..telling.event(new.kind, place.bucket, place.key.clone(), version_id)
    };
    events::add(connection, telling, std::slice::from_ref(&event)).await?;
    Ok(Put { row, useless, event })
}

/// Puts a row in place in a bucket that makes no versions.
///
/// A new key is inserted and an existing one locked and updated. Whoever loses the race to insert finds the
/// row on the next try, so no blob is ever replaced unseen.
async fn replace(
    connection: &impl Statements,
    place: Place<'_>,
    row: &Model,
    condition: Option<&WriteCondition>,
) -> Result<Vec<String>, Error> {
    static SELECT: Ready = Ready::new(|backend| {
        let select = Entity::find().select_only().filter(by_key("", &[]));
        let columns = select.columns([Column::BlobId, Column::Etag]);
        backend.build(&columns.lock_exclusive().into_query())
    });
    let select = SELECT.with(connection.backend(), place_values(place));
    let old = connection
        .rows_of(select, |row| {
            let text = |at| Ok::<_, DbErr>(row.text(at)?.unwrap_or_default().into_owned());
            Ok((text(0)?, text(1)?))
        })
        .await?
        .pop();
    check_current(place, old.as_ref().map(|(_, etag)| etag.as_str()), condition)?;
    let useless = match old {
        None => {
            insert(connection, place, row.clone()).await?;
            Vec::new()
        }
        Some((blob, _)) => {
            let update = Entity::update(row.clone().into_active_model().reset_all());
            let update = update.validate()?.into_query();
            connection.execute(&update).await?;
            vec![blob]
        }
    };
    // Versions may have been turned on since. Now that the row is held, nobody makes any of this key meanwhile.
    buckets::expect_versioning(connection, place.bucket, Versioning::Never).await?;
    garbage::add(connection, &useless).await?;
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

pub(crate) async fn insert(connection: &impl Statements, place: Place<'_>, row: Model) -> Result<(), Error> {
    static INSERT: Ready = Ready::new(|backend| {
        let row = Model::default().into_active_model();
        backend.build(&Entity::insert(row).into_query())
    });
    let insert = INSERT.with(connection.backend(), row.into_values());
    let inserted = connection.run(insert).await;
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
    let is_conditional = targets.iter().any(|target| target.if_match.is_some());
    retry_races(|| async {
        if !is_conditional && !telling.makes_versions() {
            let delete = unversioned_deletion(bucket.clone(), targets.to_vec(), telling.clone());
            let deleted = match targets {
                [_] => database.write_briefly(delete).await?,
                _ => database.write(delete).await?,
            };
            if let Some(deleted) = deleted {
                return Ok(deleted);
            }
        }
        let versioning = buckets::versioning(database.reader(), bucket).await?;
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
        transaction.commit().await?;
        done.deletions = with_refusals(targets, refusals, done.deletions);
        Ok(done)
    })
    .await
}

/// Returns what deletes in a bucket that makes no versions, and answers `None` where it makes some.
fn unversioned_deletion(
    bucket: BucketName,
    targets: Vec<DeleteTarget>,
    telling: Telling,
) -> impl for<'c> FnOnce(&'c Connection<'c>) -> BoxFuture<'c, Result<Option<Deleted>, Error>> + Send + 'static
{
    move |connection| {
        Box::pin(async move {
            if buckets::versioning(connection, &bucket).await? != Versioning::Never {
                return Ok(None);
            }
            let deleted = delete_unversioned(connection, &bucket, &targets, &telling).await?;
            Ok(Some(deleted))
        })
    }
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
    connection: &impl Statements,
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
        let select = Entity::find()
            .select_only()
            .columns([Column::ObjectKey, Column::BlobId, Column::ModifiedAt])
            .filter(named.clone())
            .lock_exclusive()
            .into_query();
        let found = connection
            .rows(&select, |row| {
                let key = row.bytes(0)?.unwrap_or_default().into_owned();
                let blob = row.text(1)?.unwrap_or_default().into_owned();
                Ok((key, blob, row.integer(2)?.unwrap_or_default()))
            })
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
        let delete = Entity::delete_many().filter(named.add(found)).into_query();
        connection.execute(&delete).await?;
        garbage::add(connection, &blobs).await?;
        deleted.useless.extend(blobs);
    }
    if !deleted.useless.is_empty() {
        // Versions may have been turned on since, and what would be deleted is then to be kept.
        buckets::expect_versioning(connection, bucket, Versioning::Never).await?;
    }
    events::add(connection, telling, &deleted.events).await?;
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
pub(crate) struct ListRow {
    object_key: Vec<u8>,
    size_bytes: i64,
    etag: String,
    modified_at: i64,
}

impl ListRow {
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
) -> Result<Vec<ListRow>, Error> {
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
