//! Task tokens in the database, by hash.

use fragua_base::Timestamp;
use fragua_database::Database;
use sea_orm::{ActiveValue::Set, entity::prelude::*};

use crate::Error;

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_task_tokens")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) token_hash: String,
    pub(crate) subject: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Inserts a token and forgets those whose time is over, so that the table stays as small as what is valid.
pub(crate) async fn insert(
    database: &Database,
    token_hash: &str,
    subject: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), Error> {
    let row = ActiveModel {
        token_hash: Set(token_hash.to_owned()),
        subject: Set(subject.to_owned()),
        created_at: Set(now.as_millis()),
        expires_at: Set(expires_at.as_millis()),
    };
    let transaction = database.begin().await?;
    Entity::delete_many()
        .filter(Column::ExpiresAt.lte(now.as_millis()))
        .exec(&transaction)
        .await?;
    Entity::insert(row).exec_without_returning(&transaction).await?;
    transaction.commit().await?;
    Ok(())
}

pub(crate) async fn find_subject(
    database: &Database,
    token_hash: &str,
    now: Timestamp,
) -> Result<Option<String>, Error> {
    let row = Entity::find_by_id(token_hash).one(database.reader()).await?;
    Ok(row
        .filter(|row| row.expires_at > now.as_millis())
        .map(|row| row.subject))
}
