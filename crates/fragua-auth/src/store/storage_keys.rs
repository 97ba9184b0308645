//! Keys of the object store in the database, with their secrets and policies.

use std::collections::HashMap;

use fragua_base::{Secret, Timestamp};
use fragua_database::Database;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, Condition, QueryOrder as _, entity::prelude::*};

use crate::{Error, Policy, PolicyOf, StorageKey};

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_storage_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) access_key_id: String,
    pub(crate) name: String,
    pub(crate) secret: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) policy: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) last_used_at: Option<i64>,
    pub(crate) disabled_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn into_key(self) -> (StorageKey, Secret) {
        let key = StorageKey {
            id: self.access_key_id,
            name: self.name,
            // A policy that somebody else broke opens nothing.
            policy: Policy::parse_kept(&self.policy, PolicyOf::Key).unwrap_or_else(|_| Policy::nothing()),
            created_at: Timestamp::from_millis(self.created_at),
            expires_at: self.expires_at.map(Timestamp::from_millis),
            last_used_at: self.last_used_at.map(Timestamp::from_millis),
            disabled_at: self.disabled_at.map(Timestamp::from_millis),
            revoked_at: self.revoked_at.map(Timestamp::from_millis),
        };
        (key, Secret::new(self.secret))
    }
}

pub(crate) async fn insert(database: &Database, key: &StorageKey, secret: &Secret) -> Result<(), Error> {
    let row = ActiveModel {
        access_key_id: Set(key.id.clone()),
        name: Set(key.name.clone()),
        secret: Set(secret.expose().to_owned()),
        policy: Set(key.policy.to_json()),
        created_at: Set(key.created_at.as_millis()),
        expires_at: Set(key.expires_at.map(Timestamp::as_millis)),
        last_used_at: Set(None),
        disabled_at: Set(None),
        revoked_at: Set(None),
    };
    Entity::insert(row)
        .exec_without_returning(database.writer())
        .await?;
    Ok(())
}

/// Returns every key with its secret, oldest first.
pub(crate) async fn all(database: &Database) -> Result<Vec<(StorageKey, Secret)>, Error> {
    let rows = Entity::find()
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::AccessKeyId)
        .all(database.reader())
        .await?;
    Ok(rows.into_iter().map(Model::into_key).collect())
}

/// Returns whether there is such a key; one that is revoked already stays as it is.
pub(crate) async fn revoke(database: &Database, id: &str, now: Timestamp) -> Result<bool, Error> {
    let revoked = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now.as_millis()))
        .filter(Column::AccessKeyId.eq(id))
        .filter(Column::RevokedAt.is_null())
        .exec(database.writer())
        .await?;
    if revoked.rows_affected > 0 {
        return Ok(true);
    }
    Ok(Entity::find_by_id(id).one(database.writer()).await?.is_some())
}

/// Returns whether there is such a key that is not revoked.
pub(crate) async fn set_disabled(
    database: &Database,
    id: &str,
    since: Option<Timestamp>,
) -> Result<bool, Error> {
    // Rows that already are as asked count on some engines and not on others, so it is asked before.
    let row = Entity::find_by_id(id).one(database.writer()).await?;
    if row.is_none_or(|row| row.revoked_at.is_some()) {
        return Ok(false);
    }
    Entity::update_many()
        .col_expr(Column::DisabledAt, Expr::value(since.map(Timestamp::as_millis)))
        .filter(Column::AccessKeyId.eq(id))
        .exec(database.writer())
        .await?;
    Ok(true)
}

/// Notes when keys were used, unless another process noted a later use.
pub(crate) async fn note_uses(database: &Database, uses: &HashMap<String, Timestamp>) -> Result<(), Error> {
    let transaction = database.begin().await?;
    for (id, at) in uses {
        let earlier = Condition::any()
            .add(Column::LastUsedAt.is_null())
            .add(Column::LastUsedAt.lt(at.as_millis()));
        Entity::update_many()
            .col_expr(Column::LastUsedAt, Expr::value(at.as_millis()))
            .filter(Column::AccessKeyId.eq(id))
            .filter(earlier)
            .exec(&transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}
