//! Variables and connections, encrypted.

use fragua_database::dialect;
use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, QueryOrder};

/// The kind of a variable.
pub(crate) const VARIABLE: &str = "variable";

/// The kind of a connection.
pub(crate) const CONNECTION: &str = "connection";

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "vault")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) name: String,
    /// A Fernet token.
    pub(crate) secret_value: String,
    pub(crate) description: String,
    pub(crate) changed_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) async fn of_kind(connection: &impl ConnectionTrait, kind: &str) -> Result<Vec<Model>, DbErr> {
    let of_kind = Entity::find().filter(Column::Kind.eq(kind));
    of_kind.order_by_asc(Column::Name).all(connection).await
}

pub(crate) async fn put(connection: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    Entity::insert(ActiveModel::from(row).reset_all())
        .on_conflict(dialect::upsert(
            &["kind", "name"],
            &["secret_value", "description", "changed_at"],
        ))
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Returns whether there was one of this name.
pub(crate) async fn delete(connection: &impl ConnectionTrait, kind: &str, name: &str) -> Result<bool, DbErr> {
    let this = Entity::delete_by_id((kind.to_owned(), name.to_owned()));
    Ok(this.exec(connection).await?.rows_affected > 0)
}
