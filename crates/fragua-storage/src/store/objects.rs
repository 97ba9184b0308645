//! Objects in the database.

use std::collections::BTreeMap;
use std::ops::Bound;

use fragua_base::Timestamp;
use fragua_database::Database;
use sea_orm::{
    Condition, ConnectionTrait, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, entity::prelude::*,
};
use serde::{Deserialize, Serialize};

use super::{buckets, garbage, retry_races, uploads};
use crate::backend::Place;
use crate::checksum::Checksum;
use crate::object::{ObjectHeaders, ObjectKey, ObjectMeta, WriteCondition};
use crate::{BucketName, Error, ObjectSummary};

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

/// Finds an object; tells a missing bucket from a missing object.
pub(crate) async fn find(database: &Database, place: Place<'_>) -> Result<Model, Error> {
    if let Some(row) = Entity::find()
        .filter(by_place(place))
        .one(database.reader())
        .await?
    {
        return Ok(row);
    }
    buckets::check(database.reader(), place.bucket).await?;
    Err(place.not_found())
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
    match (
        Entity::find()
            .filter(by_place(place))
            .one(database.reader())
            .await?,
        condition,
    ) {
        (Some(row), condition) => row.is_allowed(condition),
        (None, Some(WriteCondition::Etag(_))) => Err(place.not_found()),
        (None, _) => Ok(()),
    }
}

/// Puts a row in place and returns the blobs that it makes useless: the one it replaces, and the parts of the
/// upload that it finishes.
///
/// A new key is inserted and an existing one locked and updated. Whoever loses the race to insert finds the
/// row on the next try, so no blob is ever replaced unseen.
pub(crate) async fn put(
    database: &Database,
    place: Place<'_>,
    row: Model,
    condition: Option<&WriteCondition>,
    finished_upload: Option<&str>,
) -> Result<Vec<String>, Error> {
    retry_races(|| async {
        let seen = Entity::find()
            .filter(by_place(place))
            .one(database.reader())
            .await?;
        let transaction = database.begin().await?;
        let replaced = match seen {
            None => {
                insert(&transaction, place, row.clone(), condition).await?;
                None
            }
            Some(_) => match Entity::find()
                .filter(by_place(place))
                .lock_exclusive()
                .one(&transaction)
                .await?
            {
                None => {
                    insert(&transaction, place, row.clone(), condition).await?;
                    None
                }
                Some(old) => {
                    old.is_allowed(condition)?;
                    Entity::update(row.clone().into_active_model().reset_all())
                        .exec(&transaction)
                        .await?;
                    Some(old.blob_id)
                }
            },
        };
        let mut useless = Vec::from_iter(replaced);
        garbage::add(&transaction, &useless).await?;
        if let Some(upload) = finished_upload {
            useless.extend(uploads::delete(&transaction, upload).await?);
        }
        transaction.commit().await?;
        Ok(useless)
    })
    .await
}

async fn insert(
    connection: &impl ConnectionTrait,
    place: Place<'_>,
    row: Model,
    condition: Option<&WriteCondition>,
) -> Result<(), Error> {
    if let Some(WriteCondition::Etag(_)) = condition {
        return Err(place.not_found());
    }
    let inserted = Entity::insert(row.into_active_model())
        .exec_without_returning(connection)
        .await;
    match inserted.map_err(fragua_database::Error::from) {
        Ok(_) => Ok(()),
        Err(fragua_database::Error::ForeignKey) => Err(buckets::not_found(place.bucket.as_str())),
        Err(error) => Err(error.into()),
    }
}

/// Deletes rows and returns their blobs, which are noted as garbage. Missing keys are passed over.
pub(crate) async fn delete_many(
    database: &Database,
    bucket: &BucketName,
    keys: &[ObjectKey],
) -> Result<Vec<String>, Error> {
    buckets::check(database.reader(), bucket).await?;
    retry_races(|| async {
        let transaction = database.begin().await?;
        let mut useless = Vec::new();
        for batch in keys.chunks(garbage::BATCH) {
            let wanted = Condition::all()
                .add(Column::Bucket.eq(bucket.as_str()))
                .add(Column::ObjectKey.is_in(batch.iter().map(|key| key.as_str().as_bytes().to_vec())));
            let blobs: Vec<String> = Entity::find()
                .select_only()
                .column(Column::BlobId)
                .filter(wanted.clone())
                .lock_exclusive()
                .into_tuple()
                .all(&transaction)
                .await?;
            if blobs.is_empty() {
                continue;
            }
            let found = Column::BlobId.is_in(blobs.iter().map(String::as_str));
            Entity::delete_many()
                .filter(wanted.add(found))
                .exec(&transaction)
                .await?;
            garbage::add(&transaction, &blobs).await?;
            useless.extend(blobs);
        }
        transaction.commit().await?;
        Ok(useless)
    })
    .await
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
    let start = match start {
        Bound::Included(key) => Some(Column::ObjectKey.gte(key.clone())),
        Bound::Excluded(key) => Some(Column::ObjectKey.gt(key.clone())),
        Bound::Unbounded => None,
    };
    let range = Condition::all()
        .add(Column::Bucket.eq(bucket.as_str()))
        .add_option(start)
        .add_option(end.map(|end| Column::ObjectKey.lt(end.to_vec())));
    let rows = Entity::find()
        .select_only()
        .columns([
            Column::ObjectKey,
            Column::SizeBytes,
            Column::Etag,
            Column::ModifiedAt,
        ])
        .filter(range)
        .order_by_asc(Column::Bucket)
        .order_by_asc(Column::ObjectKey)
        .limit(limit as u64)
        .into_model()
        .all(database.reader())
        .await?;
    Ok(rows)
}
