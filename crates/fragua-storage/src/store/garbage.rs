//! Blobs that no row needs any more and whose files are to be removed.
//!
//! A row is written in the transaction that makes a blob useless; it goes once the file is gone.

use fragua_database::{Database, Statements};
use sea_orm::{ActiveValue::Set, QuerySelect, QueryTrait as _, entity::prelude::*};

use super::{objects, parts, small, versions};
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

/// Notes files that are to be removed, and removes what is no file at once.
pub(crate) async fn add(connection: &impl Statements, blobs: &[String]) -> Result<(), Error> {
    for batch in blobs.chunks(BATCH) {
        let batch = batch.iter().map(String::as_str);
        let (rows, files): (Vec<&str>, Vec<&str>) = batch.partition(|blob| small::is_small(blob));
        if !rows.is_empty() {
            small::remove(connection, &rows).await?;
        }
        if !files.is_empty() {
            let files = files.into_iter().map(|blob| ActiveModel {
                blob_id: Set(blob.to_owned()),
            });
            connection
                .execute(&Entity::insert_many(files).into_query())
                .await?;
        }
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

/// Returns those of `blobs` that an object, a version or a part needs.
pub(crate) async fn needed(database: &Database, blobs: &[String]) -> Result<Vec<String>, Error> {
    let mut needed = Vec::new();
    for batch in blobs.chunks(BATCH) {
        // Objects twice: a version that becomes an object again between the reads is in neither table when it is looked
        // for there.
        needed.extend(of_table::<objects::Entity>(database, objects::Column::BlobId, batch).await?);
        needed.extend(of_table::<versions::Entity>(database, versions::Column::BlobId, batch).await?);
        needed.extend(of_table::<objects::Entity>(database, objects::Column::BlobId, batch).await?);
        needed.extend(of_table::<parts::Entity>(database, parts::Column::BlobId, batch).await?);
    }
    Ok(needed)
}

/// Returns those of `blobs` that are noted here.
pub(crate) async fn among(database: &Database, blobs: &[String]) -> Result<Vec<String>, Error> {
    let mut noted = Vec::new();
    for batch in blobs.chunks(BATCH) {
        noted.extend(of_table::<Entity>(database, Column::BlobId, batch).await?);
    }
    Ok(noted)
}

async fn of_table<E: EntityTrait>(
    database: &Database,
    column: E::Column,
    blobs: &[String],
) -> Result<Vec<String>, Error> {
    let found = E::find()
        .select_only()
        .column(column)
        .filter(column.is_in(blobs.iter().map(String::as_str)))
        .into_tuple()
        .all(database.reader())
        .await?;
    Ok(found)
}
