//! Uploads in parts in the database.

use fragua_base::Timestamp;
use fragua_database::Database;
use sea_orm::{Condition, DatabaseTransaction, IntoActiveModel, QueryOrder, QuerySelect, entity::prelude::*};
use serde::{Deserialize, Serialize};

use super::objects::{Attributes, key_text};
use super::{buckets, garbage, parts};
use crate::backend::Place;
use crate::checksum::ChecksumAlgorithm;
use crate::listing::end_of_prefix;
use crate::{BucketName, Error, Upload, UploadId, UploadQuery};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_uploads")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) upload_id: String,
    pub(crate) bucket: String,
    #[sea_orm(column_type = "VarBinary(StringLen::N(1024))")]
    pub(crate) object_key: Vec<u8>,
    pub(crate) content_type: String,
    /// [`UploadAttributes`] as JSON.
    pub(crate) attributes: String,
    pub(crate) created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What the object will carry, and how its checksum is made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UploadAttributes {
    pub(crate) object: Attributes,
    pub(crate) checksum_algorithm: Option<ChecksumAlgorithm>,
    pub(crate) full_object_checksum: bool,
}

impl UploadAttributes {
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text maps always serialise")
    }
}

impl Model {
    pub(crate) fn attributes(&self) -> Result<UploadAttributes, Error> {
        serde_json::from_str(&self.attributes).map_err(|error| {
            let reason = format!("an upload's attributes in the database cannot be read: {error}");
            DbErr::Type(reason).into()
        })
    }

    pub(crate) fn into_upload(self) -> Result<Upload, Error> {
        let attributes = self.attributes()?;
        Ok(Upload {
            id: UploadId::new(self.upload_id),
            key: key_text(self.object_key)?,
            created_at: Timestamp::from_millis(self.created_at),
            checksum_algorithm: attributes.checksum_algorithm,
            full_object_checksum: attributes.full_object_checksum,
            encryption: attributes.object.encryption,
        })
    }
}

pub(crate) fn not_found(upload: &str) -> Error {
    Error::UploadNotFound {
        upload_id: upload.chars().take(80).collect(),
    }
}

/// Ids are our own hexadecimal digits; not every other text is one that each engine takes.
fn is_id(upload: &UploadId) -> bool {
    upload.as_str().bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) async fn insert(database: &Database, row: Model) -> Result<(), Error> {
    let bucket = row.bucket.clone();
    let inserted = Entity::insert(row.into_active_model())
        .exec_without_returning(database.writer())
        .await;
    match inserted.map_err(fragua_database::Error::from) {
        Ok(_) => Ok(()),
        Err(fragua_database::Error::ForeignKey) => Err(buckets::not_found(&bucket)),
        Err(error) => Err(error.into()),
    }
}

/// Finds an upload; one of another key is as unknown as one that never was.
pub(crate) async fn find(database: &Database, place: Place<'_>, upload: &UploadId) -> Result<Model, Error> {
    let row = match is_id(upload) {
        true => Entity::find_by_id(upload.as_str()).one(database.reader()).await?,
        false => None,
    };
    let of_place = |row: &Model| {
        row.upload_id == upload.as_str()
            && row.bucket == place.bucket.as_str()
            && row.object_key == place.key.as_str().as_bytes()
    };
    if let Some(row) = row.filter(of_place) {
        return Ok(row);
    }
    buckets::check(database.reader(), place.bucket).await?;
    Err(not_found(upload.as_str()))
}

/// Deletes an upload with its parts and returns their blobs, which are noted as garbage.
///
/// The upload is locked first: a part that is being written waits and then finds its upload gone.
pub(crate) async fn delete(connection: &DatabaseTransaction, upload: &str) -> Result<Vec<String>, Error> {
    let locked = Entity::find_by_id(upload)
        .lock_exclusive()
        .one(connection)
        .await?;
    if locked.is_none() {
        return Err(not_found(upload));
    }
    delete_locked(connection, &[upload.to_owned()]).await
}

/// Deletes every upload of a bucket as [`delete`] deletes one.
pub(crate) async fn delete_of_bucket(
    connection: &DatabaseTransaction,
    bucket: &str,
) -> Result<Vec<String>, Error> {
    let uploads: Vec<String> = Entity::find()
        .select_only()
        .column(Column::UploadId)
        .filter(Column::Bucket.eq(bucket))
        .lock_exclusive()
        .into_tuple()
        .all(connection)
        .await?;
    delete_locked(connection, &uploads).await
}

async fn delete_locked(connection: &DatabaseTransaction, uploads: &[String]) -> Result<Vec<String>, Error> {
    let mut useless = Vec::new();
    for batch in uploads.chunks(garbage::BATCH) {
        let of_batch = || parts::Column::UploadId.is_in(batch.iter().map(String::as_str));
        let blobs: Vec<String> = parts::Entity::find()
            .select_only()
            .column(parts::Column::BlobId)
            .filter(of_batch())
            .lock_exclusive()
            .into_tuple()
            .all(connection)
            .await?;
        garbage::add(connection, &blobs).await?;
        parts::Entity::delete_many()
            .filter(of_batch())
            .exec(connection)
            .await?;
        let deleted = Column::UploadId.is_in(batch.iter().map(String::as_str));
        Entity::delete_many().filter(deleted).exec(connection).await?;
        useless.extend(blobs);
    }
    Ok(useless)
}

/// Writes the attributes of an upload, unless they were changed since it was read; returns how many rows that changed.
pub(crate) async fn change_attributes(
    database: &Database,
    row: &Model,
    attributes: &UploadAttributes,
) -> Result<u64, Error> {
    let changed = Entity::update_many()
        .col_expr(Column::Attributes, attributes.to_json().into())
        .filter(Column::UploadId.eq(row.upload_id.as_str()))
        .filter(Column::Attributes.eq(row.attributes.as_str()))
        .exec(database.writer())
        .await?;
    Ok(changed.rows_affected)
}

/// Returns some uploads that were begun before `limit`.
pub(crate) async fn begun_before(database: &Database, limit: Timestamp) -> Result<Vec<String>, Error> {
    let ids = Entity::find()
        .select_only()
        .column(Column::UploadId)
        .filter(Column::CreatedAt.lt(limit.as_millis()))
        .order_by_asc(Column::CreatedAt)
        .limit(garbage::BATCH as u64)
        .into_tuple()
        .all(database.reader())
        .await?;
    Ok(ids)
}

/// Reads one row more than `limit`, by key and id.
pub(crate) async fn list(
    database: &Database,
    bucket: &BucketName,
    query: &UploadQuery,
    limit: usize,
) -> Result<Vec<Model>, Error> {
    let prefix = query.prefix.as_bytes();
    let mut wanted = Condition::all()
        .add(Column::Bucket.eq(bucket.as_str()))
        .add_option((!prefix.is_empty()).then(|| Column::ObjectKey.gte(prefix.to_vec())))
        .add_option(end_of_prefix(prefix).map(|end| Column::ObjectKey.lt(end)));
    if let Some((key, upload)) = &query.start_after {
        let key = key.as_bytes().to_vec();
        // Said twice: the first is what an index is read from.
        wanted = wanted.add(Column::ObjectKey.gte(key.clone()));
        let mut after = Condition::any().add(Column::ObjectKey.gt(key.clone()));
        if let Some(upload) = upload.as_ref().filter(|upload| is_id(upload)) {
            let later = Condition::all()
                .add(Column::ObjectKey.eq(key))
                .add(Column::UploadId.gt(upload.as_str()));
            after = after.add(later);
        }
        wanted = wanted.add(after);
    }
    let rows = Entity::find()
        .filter(wanted)
        .order_by_asc(Column::ObjectKey)
        .order_by_asc(Column::UploadId)
        .limit(limit as u64 + 1)
        .all(database.reader())
        .await?;
    Ok(rows)
}
