//! Access keys in the database.

use fragua_base::{Secret, Timestamp};
use fragua_database::Database;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, entity::prelude::*};

use crate::{AccessKey, Error};

const ROOT: &str = "root";

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_access_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) access_key_id: String,
    #[sea_orm(unique)]
    pub(crate) role: String,
    pub(crate) secret: String,
    pub(crate) created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

fn row(key: &AccessKey, now: Timestamp) -> ActiveModel {
    ActiveModel {
        access_key_id: Set(key.id.clone()),
        role: Set(ROOT.to_owned()),
        secret: Set(key.secret.expose().to_owned()),
        created_at: Set(now.as_millis()),
    }
}

pub(crate) async fn replace_root(database: &Database, key: &AccessKey, now: Timestamp) -> Result<(), Error> {
    let transaction = database.begin().await?;
    Entity::delete_many()
        .filter(Column::Role.eq(ROOT))
        .exec(&transaction)
        .await?;
    Entity::insert(row(key, now))
        .exec_without_returning(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Two processes that start together agree on one key: the unique role lets one insert win, both read it.
pub(crate) async fn insert_root_if_missing(
    database: &Database,
    key: &AccessKey,
    now: Timestamp,
) -> Result<AccessKey, Error> {
    let keep_first = OnConflict::column(Column::Role)
        .do_nothing_on([Column::Role])
        .to_owned();
    Entity::insert(row(key, now))
        .on_conflict(keep_first)
        .exec_without_returning(database.writer())
        .await?;
    Ok(root(database).await?.unwrap_or_else(|| key.clone()))
}

/// Returns the owner's key, where there is one.
pub(crate) async fn root(database: &Database) -> Result<Option<AccessKey>, Error> {
    let found = Entity::find()
        .filter(Column::Role.eq(ROOT))
        .one(database.writer())
        .await?;
    Ok(found.map(|row| AccessKey {
        id: row.access_key_id,
        secret: Secret::new(row.secret),
    }))
}
