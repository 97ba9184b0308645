//! Worker tokens in the database, by name and hash.

use fragua_base::Timestamp;
use fragua_database::Database;
use sea_orm::QueryOrder as _;
use sea_orm::{ActiveValue::Set, entity::prelude::*};

use crate::{Error, WorkerToken};

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_worker_tokens")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) name: String,
    pub(crate) token_hash: String,
    pub(crate) created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) async fn insert(
    database: &Database,
    name: &str,
    token_hash: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let row = ActiveModel {
        name: Set(name.to_owned()),
        token_hash: Set(token_hash.to_owned()),
        created_at: Set(now.as_millis()),
    };
    Entity::insert(row)
        .exec_without_returning(database.writer())
        .await?;
    Ok(())
}

pub(crate) async fn all(database: &Database) -> Result<Vec<WorkerToken>, Error> {
    let rows = Entity::find()
        .order_by_asc(Column::Name)
        .all(database.reader())
        .await?;
    let tokens = rows.into_iter().map(|row| WorkerToken {
        name: row.name,
        created_at: Timestamp::from_millis(row.created_at),
    });
    Ok(tokens.collect())
}

pub(crate) async fn delete(database: &Database, name: &str) -> Result<bool, Error> {
    let deleted = Entity::delete_by_id(name.to_owned())
        .exec(database.writer())
        .await?;
    Ok(deleted.rows_affected > 0)
}

pub(crate) async fn find_name(database: &Database, token_hash: &str) -> Result<Option<String>, Error> {
    let row = Entity::find()
        .filter(Column::TokenHash.eq(token_hash))
        .one(database.reader())
        .await?;
    Ok(row.map(|row| row.name))
}
