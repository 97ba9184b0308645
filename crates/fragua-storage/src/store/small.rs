//! The bytes of small objects.
//!
//! To write a file takes three syncs of the disk; what is a row takes the one of its commit, which the rows of several
//! writes share. A row comes in the transaction that puts its object in place and goes in the one that makes it useless, so
//! that none is ever left over. The id of a blob says that its bytes are here.

use bytes::Bytes;
use fragua_base::{Timestamp, random_hex};
use fragua_database::{Ready, Statements};
use sea_orm::{ActiveValue::Set, QuerySelect, QueryTrait as _, entity::prelude::*};

use crate::Error;

/// How the ids begin; those of files are hexadecimal digits.
const ID_PREFIX: char = 's';

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_small_blobs")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) blob_id: String,
    #[sea_orm(column_type = "Blob")]
    pub(crate) bytes: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Bytes that are to be written with the row of their object.
#[derive(Debug, Clone)]
pub(crate) struct SmallBlob {
    pub(crate) id: String,
    pub(crate) bytes: Bytes,
}

impl SmallBlob {
    /// Ids grow with the time, so that each index of them is written at its end.
    pub(crate) fn new(bytes: Bytes, now: Timestamp) -> Self {
        let id = format!("{ID_PREFIX}{:011x}{}", now.as_millis(), random_hex(10));
        Self { id, bytes }
    }
}

/// Tells whether the bytes of a blob are here.
pub(crate) fn is_small(blob: &str) -> bool {
    blob.starts_with(ID_PREFIX)
}

pub(crate) async fn insert(connection: &impl Statements, blob: &SmallBlob) -> Result<(), Error> {
    static INSERT: Ready = Ready::new(|backend| {
        let row = ActiveModel {
            blob_id: Set(String::new()),
            bytes: Set(Vec::new()),
        };
        backend.build(&Entity::insert(row).into_query())
    });
    let values = [blob.id.as_str().into(), blob.bytes.to_vec().into()];
    connection.run(INSERT.with(connection.backend(), values)).await?;
    Ok(())
}

pub(crate) async fn remove(connection: &impl Statements, blobs: &[&str]) -> Result<(), Error> {
    let delete = Entity::delete_many().filter(Column::BlobId.is_in(blobs.iter().copied()));
    connection.execute(&delete.into_query()).await?;
    Ok(())
}

/// Returns the bytes of a blob, unless it has gone.
pub(crate) async fn read(connection: &impl Statements, blob: &str) -> Result<Option<Bytes>, Error> {
    static SELECT: Ready = Ready::new(|backend| {
        let by_id = Entity::find_by_id("").select_only();
        backend.build(&by_id.column(Column::Bytes).into_query())
    });
    let select = SELECT.with(connection.backend(), [blob.into()]);
    let mut found = connection
        .rows_of(select, |row| {
            Ok(row.bytes(0)?.map(|bytes| Bytes::from(bytes.into_owned())))
        })
        .await?;
    Ok(found.pop().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_with_the_time_and_are_no_names_of_files() {
        let at = |millis| SmallBlob::new(Bytes::new(), Timestamp::from_millis(millis)).id;
        let ids = [at(0), at(1_800_000_000_000), at(1_800_000_000_001)];
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.len() == 32 && is_small(id)));
        assert!(!is_small(&random_hex(16)));
    }
}
