//! Runs and what is logged to them.

pub(crate) mod run {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "runs")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) run_uuid: String,
        pub(crate) name: Option<String>,
        pub(crate) source_type: Option<String>,
        pub(crate) source_name: Option<String>,
        pub(crate) entry_point_name: Option<String>,
        pub(crate) user_id: Option<String>,
        pub(crate) status: Option<String>,
        pub(crate) start_time: Option<i64>,
        pub(crate) end_time: Option<i64>,
        pub(crate) source_version: Option<String>,
        pub(crate) lifecycle_stage: Option<String>,
        pub(crate) artifact_uri: Option<String>,
        pub(crate) experiment_id: Option<i32>,
        pub(crate) deleted_time: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod metric {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "metrics")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) key: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) value: f64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) timestamp: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) run_uuid: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) step: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) is_nan: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod latest_metric {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "latest_metrics")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) key: String,
        pub(crate) value: f64,
        pub(crate) timestamp: Option<i64>,
        pub(crate) step: i64,
        pub(crate) is_nan: bool,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) run_uuid: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod param {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "params")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) key: String,
        pub(crate) value: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) run_uuid: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod tag {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tags")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) key: String,
        pub(crate) value: Option<String>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) run_uuid: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
