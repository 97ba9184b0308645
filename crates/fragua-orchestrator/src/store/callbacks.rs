//! What is to be told to whom: written with the change of state, told afterwards.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{Condition, DbErr, QueryOrder, QuerySelect};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "callbacks")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) dag_id: String,
    pub(crate) run_id: String,
    /// The task, with the number of the instance.
    pub(crate) task_id: Option<String>,
    pub(crate) notifier: String,
    pub(crate) body: String,
    pub(crate) state: String,
    pub(crate) tries: i64,
    pub(crate) created_at: i64,
    /// Nothing once it is delivered or given up.
    pub(crate) next_try_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) message: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) async fn insert(connection: &impl ConnectionTrait, rows: Vec<Model>) -> Result<(), DbErr> {
    let rows = rows.into_iter().map(|row| ActiveModel::from(row).reset_all());
    Entity::insert_many(rows)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Returns callbacks that are due and that no other process claims at the same time, oldest first.
pub(crate) async fn claim(
    connection: &impl ConnectionTrait,
    now: i64,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let due = Entity::find()
        .filter(Column::NextTryAt.lte(now))
        .order_by_asc(Column::NextTryAt)
        .order_by_asc(Column::Id)
        .limit(limit);
    super::claimed(connection, due).all(connection).await
}

/// Notes that some are being told, until an instant at which they are tried again.
pub(crate) async fn begin(
    connection: &impl ConnectionTrait,
    ids: &[String],
    until: i64,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::NextTryAt, Expr::value(until))
        .col_expr(Column::Tries, Expr::col(Column::Tries).add(1))
        .filter(Column::Id.is_in(ids.iter().map(String::as_str)))
        .exec(connection)
        .await?;
    Ok(())
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

pub(crate) async fn find(connection: &impl ConnectionTrait, id: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(connection).await
}

pub(crate) async fn next_due(connection: &impl ConnectionTrait) -> Result<Option<i64>, DbErr> {
    let least = Entity::find()
        .select_only()
        .column_as(Column::NextTryAt.min(), "least");
    Ok(least.into_tuple::<Option<i64>>().one(connection).await?.flatten())
}

/// Returns callbacks, newest first: of one DAG, or of all; in one state, or in any.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    dag_id: Option<&str>,
    state: Option<&str>,
    (limit, offset): (u64, u64),
) -> Result<Vec<Model>, DbErr> {
    let these = Condition::all()
        .add_option(dag_id.map(|dag_id| Column::DagId.eq(dag_id)))
        .add_option(state.map(|state| Column::State.eq(state)));
    Entity::find()
        .filter(these)
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .limit(limit)
        .offset(offset)
        .all(connection)
        .await
}
