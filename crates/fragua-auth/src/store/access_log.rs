//! What was done in the object store, in the database.

use fragua_base::Timestamp;
use fragua_database::Database;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    QueryOrder as _, QuerySelect as _,
    entity::prelude::*,
};

use crate::{Error, LoggedAccess};

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_storage_access_log")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) happened_at: i64,
    pub(crate) request_id: String,
    pub(crate) access_key_id: Option<String>,
    pub(crate) key_name: Option<String>,
    pub(crate) operation: String,
    pub(crate) bucket: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) object_key: Option<String>,
    pub(crate) status: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn into_entry(self) -> LoggedAccess {
        LoggedAccess {
            happened_at: Timestamp::from_millis(self.happened_at),
            request_id: self.request_id,
            access_key_id: self.access_key_id,
            key_name: self.key_name,
            operation: self.operation,
            bucket: self.bucket,
            object_key: self.object_key,
            status: u16::try_from(self.status).unwrap_or_default(),
        }
    }
}

/// Makes a text of a refused request, which may be anything, one that every engine keeps: without NUL, and not longer than
/// its column.
fn fit(text: String, most: usize) -> String {
    match text.contains('\0') || text.len() > most {
        true => text.replace('\0', "\u{fffd}").chars().take(most).collect(),
        false => text,
    }
}

/// Adds entries and removes the oldest ones beyond `keep`.
pub(crate) async fn add(database: &Database, entries: &[LoggedAccess], keep: i64) -> Result<(), Error> {
    let rows = entries.iter().cloned().map(|entry| ActiveModel {
        id: NotSet,
        happened_at: Set(entry.happened_at.as_millis()),
        request_id: Set(fit(entry.request_id, 32)),
        access_key_id: Set(entry.access_key_id.map(|id| fit(id, 128))),
        key_name: Set(entry.key_name.map(|name| fit(name, 200))),
        operation: Set(fit(entry.operation, 64)),
        bucket: Set(entry.bucket.map(|bucket| fit(bucket, 63))),
        object_key: Set(entry.object_key.map(|key| fit(key, 1_024))),
        status: Set(i32::from(entry.status)),
    });
    let transaction = database.begin().await?;
    Entity::insert_many(rows)
        .exec_without_returning(&transaction)
        .await?;
    let newest = Entity::find()
        .select_only()
        .column(Column::Id)
        .order_by_desc(Column::Id)
        .into_tuple::<i64>()
        .one(&transaction)
        .await?;
    if let Some(newest) = newest.filter(|newest| *newest > keep) {
        Entity::delete_many()
            .filter(Column::Id.lte(newest - keep))
            .exec(&transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Returns entries older than `before`, newest first, with their numbers.
pub(crate) async fn page(
    database: &Database,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<(i64, LoggedAccess)>, Error> {
    let mut entries = Entity::find().order_by_desc(Column::Id).limit(limit);
    if let Some(before) = before {
        entries = entries.filter(Column::Id.lt(before));
    }
    let rows = entries.all(database.reader()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.into_entry())).collect())
}
