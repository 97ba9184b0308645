//! Serving keys in the database, by id, with their hash.

use std::collections::HashMap;

use fragua_base::{Secret, Timestamp};
use fragua_database::Database;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, Condition, QueryOrder as _, entity::prelude::*};

use crate::serving_keys::Kept;
use crate::{Error, KeyScope, ServingKey};

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_serving_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) key_id: String,
    pub(crate) name: String,
    pub(crate) key_hash: String,
    /// A JSON list of names; null means every model.
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) models: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) last_used_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for Kept {
    fn from(row: Model) -> Self {
        let scope = match row.models {
            None => KeyScope::AllModels,
            // A list that somebody else broke opens nothing.
            Some(names) => KeyScope::Models(serde_json::from_str(&names).unwrap_or_default()),
        };
        let key = ServingKey {
            id: row.key_id,
            name: row.name,
            scope,
            created_at: Timestamp::from_millis(row.created_at),
            expires_at: row.expires_at.map(Timestamp::from_millis),
            last_used_at: row.last_used_at.map(Timestamp::from_millis),
            revoked_at: row.revoked_at.map(Timestamp::from_millis),
        };
        Self {
            key: key.into(),
            hash: Secret::new(row.key_hash),
        }
    }
}

pub(crate) async fn insert(database: &Database, key: &ServingKey, hash: String) -> Result<(), Error> {
    let models = match &key.scope {
        KeyScope::AllModels => None,
        KeyScope::Models(names) => Some(serde_json::json!(names).to_string()),
    };
    let row = ActiveModel {
        key_id: Set(key.id.clone()),
        name: Set(key.name.clone()),
        key_hash: Set(hash),
        models: Set(models),
        created_at: Set(key.created_at.as_millis()),
        expires_at: Set(key.expires_at.map(Timestamp::as_millis)),
        last_used_at: Set(None),
        revoked_at: Set(None),
    };
    Entity::insert(row)
        .exec_without_returning(database.writer())
        .await?;
    Ok(())
}

/// Returns every key, oldest first.
pub(crate) async fn all(database: &Database) -> Result<Vec<Kept>, Error> {
    let rows = Entity::find()
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::KeyId)
        .all(database.reader())
        .await?;
    Ok(rows.into_iter().map(Kept::from).collect())
}

/// Returns whether there is such a key; one that is revoked already stays as it is.
pub(crate) async fn revoke(database: &Database, id: &str, now: Timestamp) -> Result<bool, Error> {
    let revoked = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now.as_millis()))
        .filter(Column::KeyId.eq(id))
        .filter(Column::RevokedAt.is_null())
        .exec(database.writer())
        .await?;
    if revoked.rows_affected > 0 {
        return Ok(true);
    }
    Ok(Entity::find_by_id(id).one(database.writer()).await?.is_some())
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
            .filter(Column::KeyId.eq(id))
            .filter(earlier)
            .exec(&transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}
