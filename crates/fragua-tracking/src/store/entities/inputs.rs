//! Data sets and models that runs read and made.

pub(crate) mod dataset {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "datasets")]
    pub(crate) struct Model {
        pub(crate) dataset_uuid: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) experiment_id: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) name: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) digest: String,
        pub(crate) dataset_source_type: String,
        pub(crate) dataset_source: String,
        pub(crate) dataset_schema: Option<String>,
        pub(crate) dataset_profile: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Data sets that runs read, and models that they read and made. In the table of MLflow 2, which has data sets only, there
/// is no `step`: what is about data sets leaves it to its default, 0.
pub(crate) mod input {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "inputs")]
    pub(crate) struct Model {
        pub(crate) input_uuid: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) source_type: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) source_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) destination_type: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) destination_id: String,
        pub(crate) step: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod input_tag {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "input_tags")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) input_uuid: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) name: String,
        pub(crate) value: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
