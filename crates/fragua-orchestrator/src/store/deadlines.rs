//! When runs, and tasks of them, are late.

use fragua_database::dialect;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbErr, QueryOrder, QuerySelect};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deadlines")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) dag_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) run_id: String,
    /// Empty for the run as a whole.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) task_id: String,
    pub(crate) late_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Sets deadlines, in place of those that are set already.
pub(crate) async fn put(connection: &impl ConnectionTrait, rows: Vec<Model>) -> Result<(), DbErr> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = rows.into_iter().map(|row| ActiveModel::from(row).reset_all());
    Entity::insert_many(rows)
        .on_conflict(dialect::upsert(&["dag_id", "run_id", "task_id"], &["late_at"]))
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Takes away the deadlines of a run and its tasks.
pub(crate) async fn remove(
    connection: &impl ConnectionTrait,
    (dag_id, run_id): (&str, &str),
) -> Result<(), DbErr> {
    let these = Condition::all()
        .add(Column::DagId.eq(dag_id))
        .add(Column::RunId.eq(run_id));
    Entity::delete_many().filter(these).exec(connection).await?;
    Ok(())
}

/// Takes away one deadline. Returns whether it was still there as it was read.
pub(crate) async fn take(connection: &impl ConnectionTrait, row: &Model) -> Result<bool, DbErr> {
    let this = Condition::all()
        .add(Column::DagId.eq(&row.dag_id))
        .add(Column::RunId.eq(&row.run_id))
        .add(Column::TaskId.eq(&row.task_id))
        .add(Column::LateAt.eq(row.late_at));
    let deleted = Entity::delete_many().filter(this).exec(connection).await?;
    Ok(deleted.rows_affected > 0)
}

pub(crate) async fn due(connection: &impl ConnectionTrait, now: i64) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::LateAt.lte(now))
        .order_by_asc(Column::LateAt)
        .limit(1000)
        .all(connection)
        .await
}

pub(crate) async fn next_due(connection: &impl ConnectionTrait) -> Result<Option<i64>, DbErr> {
    let least = Entity::find()
        .select_only()
        .column_as(Column::LateAt.min(), "least");
    Ok(least.into_tuple::<Option<i64>>().one(connection).await?.flatten())
}
