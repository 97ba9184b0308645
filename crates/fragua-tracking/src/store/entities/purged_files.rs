//! The files whose run or logged model is gone for good, until they are gone too.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "fragua_purged_files")]
pub(crate) struct Model {
    /// The run or logged model.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) owner: String,
    /// The folder in the object store.
    pub(crate) place: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
