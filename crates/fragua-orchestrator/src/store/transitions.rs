//! The audit log of states.

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbErr, QueryOrder};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "transitions")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) dag_id: String,
    pub(crate) run_id: String,
    pub(crate) task_id: Option<String>,
    pub(crate) attempt: Option<i64>,
    pub(crate) from_state: String,
    pub(crate) to_state: String,
    pub(crate) message: Option<String>,
    pub(crate) happened_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A change of state of a run, or of a task in it.
#[derive(Debug, Clone)]
pub(crate) struct New<'a> {
    pub(crate) dag_id: &'a str,
    pub(crate) run_id: &'a str,
    pub(crate) task: Option<(&'a str, i64)>,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) message: Option<&'a str>,
    pub(crate) at: i64,
}

pub(crate) async fn insert(connection: &impl ConnectionTrait, new: New<'_>) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: NotSet,
        dag_id: Set(new.dag_id.to_owned()),
        run_id: Set(new.run_id.to_owned()),
        task_id: Set(new.task.map(|(task_id, _)| task_id.to_owned())),
        attempt: Set(new.task.map(|(_, attempt)| attempt)),
        from_state: Set(new.from.to_owned()),
        to_state: Set(new.to.to_owned()),
        message: Set(new.message.map(str::to_owned)),
        happened_at: Set(new.at),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// Returns what happened to a run and its tasks, in order.
pub(crate) async fn of_run(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
) -> Result<Vec<Model>, DbErr> {
    let this = Condition::all()
        .add(Column::DagId.eq(dag_id))
        .add(Column::RunId.eq(run_id));
    Entity::find()
        .filter(this)
        .order_by_asc(Column::Id)
        .all(connection)
        .await
}
