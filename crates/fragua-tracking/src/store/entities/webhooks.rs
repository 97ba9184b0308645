//! Webhooks and the events they are told of. The column `workspace` is left to its default.

pub(crate) mod webhook {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "webhooks")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) webhook_id: String,
        pub(crate) name: String,
        pub(crate) description: Option<String>,
        pub(crate) url: String,
        pub(crate) status: String,
        pub(crate) secret: Option<String>,
        pub(crate) creation_timestamp: Option<i64>,
        pub(crate) last_updated_timestamp: Option<i64>,
        pub(crate) deleted_timestamp: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod webhook_event {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "webhook_events")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) webhook_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) entity: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) action: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
