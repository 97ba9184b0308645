//! Blobs that no row needs any more and whose files are to be removed.
//!
//! A row is written in the transaction that makes a blob useless; it goes once the file is gone.

use fragua_database::Database;
use sea_orm::{ActiveValue::Set, ConnectionTrait, QuerySelect, entity::prelude::*};

use super::{objects, parts};
use crate::Error;

/// How many ids one statement names; SQLite and MySQL are comfortable with it.
pub(crate) const BATCH: usize = 500;

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_blob_garbage")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) blob_id: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) async fn add(connection: &impl ConnectionTrait, blobs: &[String]) -> Result<(), Error> {
    for batch in blobs.chunks(BATCH) {
        let rows = batch.iter().map(|blob| ActiveModel {
            blob_id: Set(blob.clone()),
        });
        Entity::insert_many(rows)
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

pub(crate) async fn remove(database: &Database, blobs: &[String]) -> Result<(), Error> {
    for batch in blobs.chunks(BATCH) {
        let wanted = batch.iter().map(String::as_str);
        Entity::delete_many()
            .filter(Column::BlobId.is_in(wanted))
            .exec(database.writer())
            .await?;
    }
    Ok(())
}

pub(crate) async fn some(database: &Database) -> Result<Vec<String>, Error> {
    let rows = Entity::find().limit(BATCH as u64).all(database.reader()).await?;
    Ok(rows.into_iter().map(|row| row.blob_id).collect())
}

/// Returns those of `blobs` that an object or a part needs.
pub(crate) async fn needed(database: &Database, blobs: &[String]) -> Result<Vec<String>, Error> {
    let mut needed = Vec::new();
    for batch in blobs.chunks(BATCH) {
        let of_objects: Vec<String> = objects::Entity::find()
            .select_only()
            .column(objects::Column::BlobId)
            .filter(objects::Column::BlobId.is_in(batch.iter().map(String::as_str)))
            .into_tuple()
            .all(database.reader())
            .await?;
        let of_parts: Vec<String> = parts::Entity::find()
            .select_only()
            .column(parts::Column::BlobId)
            .filter(parts::Column::BlobId.is_in(batch.iter().map(String::as_str)))
            .into_tuple()
            .all(database.reader())
            .await?;
        needed.extend(of_objects);
        needed.extend(of_parts);
    }
    Ok(needed)
}
