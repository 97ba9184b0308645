//! Pools.

use fragua_database::dialect;
use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, QueryOrder};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pools")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) name: String,
    pub(crate) slots: i64,
    pub(crate) description: String,
    pub(crate) include_deferred: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    Entity::find().order_by_asc(Column::Name).all(connection).await
}

/// As [`all`]; whoever leases tasks does so alone until the transaction ends, so that no limit is exceeded by two who
/// counted at the same time.
pub(crate) async fn lock_all(connection: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    let all = Entity::find().order_by_asc(Column::Name);
    super::locked(connection, all).all(connection).await
}

pub(crate) async fn put(connection: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    Entity::insert(ActiveModel::from(row).reset_all())
        .on_conflict(dialect::upsert(
            &["name"],
            &["slots", "description", "include_deferred"],
        ))
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Returns whether there was one of this name.
pub(crate) async fn delete(connection: &impl ConnectionTrait, name: &str) -> Result<bool, DbErr> {
    Ok(Entity::delete_by_id(name).exec(connection).await?.rows_affected > 0)
}
