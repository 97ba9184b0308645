//! Parts of uploads in the database.

use fragua_base::Timestamp;
use fragua_database::Database;
use sea_orm::{Condition, IntoActiveModel, QueryOrder, QuerySelect, entity::prelude::*};

use super::{garbage, retry_races};
use crate::checksum::{Checksum, ChecksumAlgorithm};
use crate::{Error, Part};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_upload_parts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) upload_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) part_number: i32,
    pub(crate) blob_id: String,
    pub(crate) size_bytes: i64,
    pub(crate) etag: String,
    /// `ALGORITHM:value`.
    pub(crate) checksum: Option<String>,
    pub(crate) modified_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) fn checksum_text(checksum: &Checksum) -> String {
    format!("{}:{}", checksum.algorithm, checksum.value)
}

fn checksum_of(text: &str) -> Option<Checksum> {
    let (algorithm, value) = text.split_once(':')?;
    Some(Checksum {
        algorithm: ChecksumAlgorithm::from_name(algorithm)?,
        value: value.to_owned(),
    })
}

impl Model {
    pub(crate) fn into_part(self) -> Part {
        Part {
            number: u32::try_from(self.part_number).unwrap_or(0),
            size_bytes: u64::try_from(self.size_bytes).unwrap_or(0),
            etag: self.etag,
            checksum: self.checksum.as_deref().and_then(checksum_of),
            modified_at: Timestamp::from_millis(self.modified_at),
            encryption: None,
        }
    }
}

/// Puts a part in place and returns the blob it replaces, which is noted as garbage.
pub(crate) async fn put(database: &Database, row: Model) -> Result<Option<String>, Error> {
    let place = || {
        Condition::all()
            .add(Column::UploadId.eq(row.upload_id.as_str()))
            .add(Column::PartNumber.eq(row.part_number))
    };
    retry_races(|| async {
        let seen = Entity::find().filter(place()).one(database.reader()).await?;
        let transaction = database.begin().await?;
        let old = match seen {
            None => None,
            Some(_) => {
                Entity::find()
                    .filter(place())
                    .lock_exclusive()
                    .one(&transaction)
                    .await?
            }
        };
        let replaced = old.map(|old| old.blob_id);
        if let Some(blob) = &replaced {
            garbage::add(&transaction, std::slice::from_ref(blob)).await?;
            Entity::update(row.clone().into_active_model().reset_all())
                .exec(&transaction)
                .await?;
        } else {
            let insert = Entity::insert(row.clone().into_active_model());
            match insert
                .exec_without_returning(&transaction)
                .await
                .map_err(fragua_database::Error::from)
            {
                Ok(_) => {}
                Err(fragua_database::Error::ForeignKey) => {
                    return Err(Error::UploadNotFound {
                        upload_id: row.upload_id.clone(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        transaction.commit().await?;
        Ok(replaced)
    })
    .await
}

/// Reads parts whose number is over `after`, by number.
pub(crate) async fn list(
    database: &Database,
    upload_id: &str,
    after: u32,
    limit: usize,
) -> Result<Vec<Model>, Error> {
    let rows = Entity::find()
        .filter(Column::UploadId.eq(upload_id))
        .filter(Column::PartNumber.gt(i32::try_from(after).unwrap_or(i32::MAX)))
        .order_by_asc(Column::PartNumber)
        .limit(limit as u64)
        .all(database.reader())
        .await?;
    Ok(rows)
}
