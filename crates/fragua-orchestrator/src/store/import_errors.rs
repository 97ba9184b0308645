//! Import errors.

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, QueryOrder};

use crate::ImportError;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_errors")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) path: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) position: i64,
    pub(crate) line: Option<i64>,
    pub(crate) column_number: Option<i64>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) seen_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for ImportError {
    fn from(row: Model) -> Self {
        let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        Self {
            path: row.path.into(),
            line: number(row.line),
            column: number(row.column_number),
            message: row.message,
            hint: row.hint,
        }
    }
}

pub(crate) async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .order_by_asc(Column::Path)
        .order_by_asc(Column::Position)
        .all(connection)
        .await
}

pub(crate) async fn replace(
    connection: &impl ConnectionTrait,
    errors: &[ImportError],
    seen_at: i64,
) -> Result<(), DbErr> {
    Entity::delete_many().exec(connection).await?;
    for (position, error) in errors.iter().enumerate() {
        let row = Model {
            path: error.path.to_string_lossy().chars().take(700).collect(),
            position: i64::try_from(position).unwrap_or(i64::MAX),
            line: error.line.map(i64::from),
            column_number: error.column.map(i64::from),
            message: error.message.clone(),
            hint: error.hint.clone(),
            seen_at,
        };
        Entity::insert(ActiveModel::from(row).reset_all())
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}
