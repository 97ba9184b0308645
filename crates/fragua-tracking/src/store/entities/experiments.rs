//! Experiments and their tags. The column `workspace` is left to its default.

pub(crate) mod experiment {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "experiments")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) experiment_id: i32,
        pub(crate) name: String,
        pub(crate) artifact_location: Option<String>,
        pub(crate) lifecycle_stage: Option<String>,
        pub(crate) creation_time: Option<i64>,
        pub(crate) last_update_time: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod tag {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "experiment_tags")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) key: String,
        pub(crate) value: Option<String>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) experiment_id: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
