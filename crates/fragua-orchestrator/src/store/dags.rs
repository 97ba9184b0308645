//! DAGs and their versions.

use std::path::PathBuf;

use fragua_database::dialect;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{DbErr, QueryOrder, QuerySelect};

use crate::Error;
use crate::dag::Dag;

pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "dags")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) dag_id: String,
        pub(crate) path: String,
        pub(crate) is_active: bool,
        pub(crate) is_paused: bool,
        pub(crate) version: String,
        pub(crate) look_again_at: Option<i64>,
        pub(crate) parsed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod version {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "dag_versions")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) dag_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) version: String,
        pub(crate) definition: String,
        pub(crate) source: String,
        pub(crate) created_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl row::Model {
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(&self.path)
    }
}

pub(crate) fn read_definition(definition: &str) -> Result<Dag, Error> {
    serde_json::from_str(definition).map_err(|error| Error::corrupt("DAG version", error))
}

pub(crate) async fn all(connection: &impl ConnectionTrait) -> Result<Vec<row::Model>, DbErr> {
    row::Entity::find()
        .order_by_asc(row::Column::DagId)
        .all(connection)
        .await
}

pub(crate) async fn active(connection: &impl ConnectionTrait) -> Result<Vec<row::Model>, DbErr> {
    let active = row::Entity::find().filter(row::Column::IsActive.eq(true));
    active.order_by_asc(row::Column::DagId).all(connection).await
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    dag_id: &str,
) -> Result<Option<row::Model>, DbErr> {
    row::Entity::find_by_id(dag_id).one(connection).await
}

pub(crate) async fn lock(
    connection: &impl ConnectionTrait,
    dag_id: &str,
) -> Result<Option<row::Model>, DbErr> {
    super::locked(connection, row::Entity::find_by_id(dag_id))
        .one(connection)
        .await
}

pub(crate) async fn find_version(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    version: &str,
) -> Result<Option<version::Model>, DbErr> {
    version::Entity::find_by_id((dag_id.to_owned(), version.to_owned()))
        .one(connection)
        .await
}

/// Returns the current version of each active DAG, in one query.
pub(crate) async fn current_versions(
    connection: &impl ConnectionTrait,
) -> Result<Vec<version::Model>, DbErr> {
    let current = sea_orm::Condition::all().add(row::Column::IsActive.eq(true)).add(
        Expr::col((row::Entity, row::Column::Version)).equals((version::Entity, version::Column::Version)),
    );
    version::Entity::find()
        .join(
            sea_orm::JoinType::InnerJoin,
            version::Entity::belongs_to(row::Entity)
                .from(version::Column::DagId)
                .to(row::Column::DagId)
                .into(),
        )
        .filter(current)
        .all(connection)
        .await
}

/// Keeps a version; one that is known gets the text it has now, whose lines may have moved.
pub(crate) async fn put_version(
    connection: &impl ConnectionTrait,
    version: version::Model,
) -> Result<(), DbErr> {
    version::Entity::insert(version::ActiveModel::from(version).reset_all())
        .on_conflict(dialect::upsert(&["dag_id", "version"], &["definition", "source"]))
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

pub(crate) async fn put(connection: &impl ConnectionTrait, row: row::Model) -> Result<(), DbErr> {
    let columns = [
        "path",
        "is_active",
        "is_paused",
        "version",
        "look_again_at",
        "parsed_at",
    ];
    row::Entity::insert(row::ActiveModel::from(row).reset_all())
        .on_conflict(dialect::upsert(&["dag_id"], &columns))
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

pub(crate) async fn set_paused(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    is_paused: bool,
) -> Result<(), DbErr> {
    let change = row::ActiveModel {
        is_paused: Set(is_paused),
        ..Default::default()
    };
    row::Entity::update_many()
        .set(change)
        .filter(row::Column::DagId.eq(dag_id))
        .exec(connection)
        .await?;
    Ok(())
}

pub(crate) async fn set_look_again_at(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    at: Option<i64>,
) -> Result<(), DbErr> {
    let change = row::ActiveModel {
        look_again_at: Set(at),
        ..Default::default()
    };
    row::Entity::update_many()
        .set(change)
        .filter(row::Column::DagId.eq(dag_id))
        .exec(connection)
        .await?;
    Ok(())
}

/// Returns the DAGs to plan: those whose instant has come.
pub(crate) async fn due(connection: &impl ConnectionTrait, now: i64) -> Result<Vec<String>, DbErr> {
    row::Entity::find()
        .select_only()
        .column(row::Column::DagId)
        .filter(row::Column::LookAgainAt.lte(now))
        .order_by_asc(row::Column::LookAgainAt)
        .into_tuple()
        .all(connection)
        .await
}

/// Returns the next instant at which a DAG is to be planned.
pub(crate) async fn next_due(connection: &impl ConnectionTrait) -> Result<Option<i64>, DbErr> {
    let least = row::Entity::find()
        .select_only()
        .column_as(row::Column::LookAgainAt.min(), "least");
    Ok(least.into_tuple::<Option<i64>>().one(connection).await?.flatten())
}
