//! Logged models and their data.

pub(crate) mod model {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "logged_models")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) model_id: String,
        pub(crate) experiment_id: i32,
        pub(crate) name: String,
        pub(crate) artifact_location: String,
        pub(crate) creation_timestamp_ms: i64,
        pub(crate) last_updated_timestamp_ms: i64,
        pub(crate) status: i32,
        pub(crate) lifecycle_stage: Option<String>,
        pub(crate) model_type: Option<String>,
        pub(crate) source_run_id: Option<String>,
        pub(crate) status_message: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod metric {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "logged_model_metrics")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) model_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) metric_name: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) metric_timestamp_ms: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) metric_step: i64,
        pub(crate) metric_value: Option<f64>,
        pub(crate) experiment_id: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) run_id: String,
        pub(crate) dataset_uuid: Option<String>,
        pub(crate) dataset_name: Option<String>,
        pub(crate) dataset_digest: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod param {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "logged_model_params")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) model_id: String,
        pub(crate) experiment_id: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) param_key: String,
        pub(crate) param_value: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod tag {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "logged_model_tags")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) model_id: String,
        pub(crate) experiment_id: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) tag_key: String,
        pub(crate) tag_value: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
