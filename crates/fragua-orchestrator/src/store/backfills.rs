//! Backfills.

use fragua_base::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbErr, QueryOrder};

use super::{count, instant, millis};
use crate::{Backfill, BackfillState, Error, Reprocess};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "backfills")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: String,
    pub(crate) dag_id: String,
    pub(crate) from_date: i64,
    pub(crate) to_date: i64,
    pub(crate) max_active_runs: i64,
    pub(crate) reprocess: String,
    pub(crate) is_reversed: bool,
    pub(crate) params: String,
    pub(crate) state: String,
    pub(crate) created_at: i64,
    pub(crate) ended_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Backfill> for Model {
    fn from(backfill: &Backfill) -> Self {
        Self {
            id: backfill.id.clone(),
            dag_id: backfill.dag_id.clone(),
            from_date: millis(backfill.from),
            to_date: millis(backfill.to),
            max_active_runs: i64::from(backfill.max_active_runs),
            reprocess: backfill.reprocess.as_str().to_owned(),
            is_reversed: backfill.is_reversed,
            params: serde_json::Value::Object(backfill.params.clone()).to_string(),
            state: backfill.state.as_str().to_owned(),
            created_at: millis(backfill.created_at),
            ended_at: backfill.ended_at.map(millis),
        }
    }
}

impl TryFrom<Model> for Backfill {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        let unknown = |what: &str| Error::corrupt("backfill", format!("{what} is unknown"));
        Ok(Self {
            reprocess: Reprocess::parse(&row.reprocess).ok_or_else(|| unknown(&row.reprocess))?,
            state: BackfillState::parse(&row.state).ok_or_else(|| unknown(&row.state))?,
            id: row.id,
            dag_id: row.dag_id,
            from: Timestamp::from_millis(row.from_date),
            to: Timestamp::from_millis(row.to_date),
            max_active_runs: count(row.max_active_runs),
            is_reversed: row.is_reversed,
            params: serde_json::from_str(&row.params).map_err(|error| Error::corrupt("backfill", error))?,
            created_at: Timestamp::from_millis(row.created_at),
            ended_at: instant(row.ended_at),
        })
    }
}

pub(crate) async fn insert(connection: &impl ConnectionTrait, backfill: &Backfill) -> Result<(), DbErr> {
    let row = ActiveModel::from(Model::from(backfill)).reset_all();
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    dag_id: Option<&str>,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Condition::all().add_option(dag_id.map(|dag_id| Column::DagId.eq(dag_id))))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .all(connection)
        .await
}

/// Returns the backfills of a DAG that are not over, oldest first.
pub(crate) async fn open(connection: &impl ConnectionTrait, dag_id: &str) -> Result<Vec<Model>, DbErr> {
    let open = [BackfillState::Running, BackfillState::Paused].map(BackfillState::as_str);
    Entity::find()
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::State.is_in(open))
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .all(connection)
        .await
}

pub(crate) async fn find(connection: &impl ConnectionTrait, id: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(connection).await
}

pub(crate) async fn update(connection: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    let id = row.id.clone();
    Entity::update_many()
        .set(ActiveModel::from(row).reset_all())
        .filter(Column::Id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}
