//! Task instances and their leases.

use std::collections::BTreeMap;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{Condition, DbErr, QueryOrder, QuerySelect};

use super::{count, instant};
use crate::decide::TaskView;
use crate::{Error, TaskInstance, TaskState};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "task_instances")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) dag_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) run_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) task_id: String,
    pub(crate) id: String,
    pub(crate) operator: String,
    pub(crate) state: String,
    pub(crate) attempt: i64,
    pub(crate) failures: i64,
    pub(crate) lost: i64,
    pub(crate) retries: i64,
    pub(crate) queued_at: Option<i64>,
    pub(crate) started_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) wake_at: Option<i64>,
    pub(crate) deadline_at: Option<i64>,
    pub(crate) waits_for_dag: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) xcom: Option<String>,
    pub(crate) attempt_token: Option<String>,
    pub(crate) process: Option<String>,
    pub(crate) lease_until: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn state(&self) -> Result<TaskState, Error> {
        TaskState::parse(&self.state)
            .ok_or_else(|| Error::corrupt("task instance", format!("state {}", self.state)))
    }

    /// Takes away what only counts while it is leased or waits.
    pub(crate) fn release(&mut self) {
        self.wake_at = None;
        self.deadline_at = None;
        self.waits_for_dag = None;
        self.attempt_token = None;
        self.process = None;
        self.lease_until = None;
    }

    pub(crate) fn set_state(&mut self, state: TaskState) {
        self.state = state.as_str().to_owned();
    }
}

impl TryFrom<Model> for TaskInstance {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        let xcom = row.xcom.as_deref().map(serde_json::from_str).transpose();
        Ok(Self {
            state: row.state()?,
            id: row.id,
            dag_id: row.dag_id,
            run_id: row.run_id,
            task_id: row.task_id,
            operator: row.operator,
            attempt: count(row.attempt),
            failures: count(row.failures),
            lost: count(row.lost),
            retries: count(row.retries),
            queued_at: instant(row.queued_at),
            started_at: instant(row.started_at),
            ended_at: instant(row.ended_at),
            wake_at: instant(row.wake_at),
            waits_for_dag: row.waits_for_dag,
            message: row.message,
            xcom: xcom.map_err(|error| Error::corrupt("task instance", error))?,
        })
    }
}

fn of_run(dag_id: &str, run_id: &str) -> Condition {
    Condition::all()
        .add(Column::DagId.eq(dag_id))
        .add(Column::RunId.eq(run_id))
}

pub(crate) async fn insert(connection: &impl ConnectionTrait, rows: Vec<Model>) -> Result<(), DbErr> {
    // 21 columns: far below what a statement may bind.
    for rows in rows.chunks(500) {
        let rows = rows.iter().map(|row| ActiveModel::from(row.clone()).reset_all());
        Entity::insert_many(rows)
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

pub(crate) async fn of_dag_run(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(of_run(dag_id, run_id))
        .all(connection)
        .await
}

/// As [`of_dag_run`]; no worker takes one of them until the transaction ends.
pub(crate) async fn lock_of_dag_run(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
) -> Result<Vec<Model>, DbErr> {
    super::locked(connection, Entity::find().filter(of_run(dag_id, run_id)))
        .all(connection)
        .await
}

pub(crate) async fn of_dag_runs(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_ids: &[String],
) -> Result<Vec<Model>, DbErr> {
    let these = Column::RunId.is_in(run_ids.iter().map(String::as_str));
    Entity::find()
        .filter(Column::DagId.eq(dag_id))
        .filter(these)
        .all(connection)
        .await
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
    task_id: &str,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id((dag_id.to_owned(), run_id.to_owned(), task_id.to_owned()))
        .one(connection)
        .await
}

/// Returns the instance that a token holds the lease of.
pub(crate) async fn find_by_token(
    connection: &impl ConnectionTrait,
    token: &str,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::AttemptToken.eq(token))
        .one(connection)
        .await
}

/// Returns where some tasks of a run stand, or all of them.
pub(crate) async fn views(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
    task_ids: Option<Vec<&str>>,
) -> Result<BTreeMap<String, TaskView>, Error> {
    let some = task_ids.map(|task_ids| Column::TaskId.is_in(task_ids));
    let rows: Vec<(String, String, i64, i64)> = Entity::find()
        .select_only()
        .columns([Column::TaskId, Column::State, Column::Failures, Column::Lost])
        .filter(of_run(dag_id, run_id).add_option(some))
        .into_tuple()
        .all(connection)
        .await?;
    rows.into_iter()
        .map(|(task_id, state, failures, lost)| {
            let state = TaskState::parse(&state).ok_or_else(|| Error::corrupt("task instance", &state))?;
            Ok((
                task_id,
                TaskView {
                    state,
                    failures: count(failures),
                    lost: count(lost),
                },
            ))
        })
        .collect()
}

pub(crate) async fn count_unfinished(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
) -> Result<u64, DbErr> {
    let finished = TaskState::ALL
        .into_iter()
        .filter(|state| state.is_finished())
        .map(TaskState::as_str);
    Entity::find()
        .filter(of_run(dag_id, run_id).add(Column::State.is_not_in(finished)))
        .count(connection)
        .await
}

/// Writes every column of a row that exists.
pub(crate) async fn update(connection: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    Entity::update_many()
        .set(ActiveModel::from(row.clone()).reset_all())
        .filter(of_run(&row.dag_id, &row.run_id).add(Column::TaskId.eq(&row.task_id)))
        .exec(connection)
        .await?;
    Ok(())
}

/// Returns the values that the tasks of a run handed on.
pub(crate) async fn xcoms(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
) -> Result<BTreeMap<String, serde_json::Value>, Error> {
    let rows: Vec<(String, String)> = Entity::find()
        .select_only()
        .columns([Column::TaskId, Column::Xcom])
        .filter(of_run(dag_id, run_id).add(Column::Xcom.is_not_null()))
        .into_tuple()
        .all(connection)
        .await?;
    let read = |(task_id, xcom): (String, String)| Ok((task_id, serde_json::from_str(&xcom)?));
    let read: Result<_, serde_json::Error> = rows.into_iter().map(read).collect();
    read.map_err(|error| Error::corrupt("task instance", error))
}

/// Picks queued instances, longest queued first, that no other worker picks at the same time.
pub(crate) async fn pick_queued(connection: &impl ConnectionTrait, limit: u64) -> Result<Vec<Model>, DbErr> {
    let queued = Entity::find()
        .filter(Column::State.eq(TaskState::Queued.as_str()))
        .order_by_asc(Column::QueuedAt)
        .order_by_asc(Column::DagId)
        .order_by_asc(Column::RunId)
        .limit(limit);
    super::claimed(connection, queued).all(connection).await
}

pub(crate) async fn count_in_state(
    connection: &impl ConnectionTrait,
    state: TaskState,
) -> Result<u64, DbErr> {
    Entity::find()
        .filter(Column::State.eq(state.as_str()))
        .count(connection)
        .await
}

/// Prolongs every lease of a worker.
pub(crate) async fn prolong(
    connection: &impl ConnectionTrait,
    process: &str,
    until: i64,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::LeaseUntil, Expr::value(until))
        .filter(Column::Process.eq(process))
        .filter(Column::LeaseUntil.is_not_null())
        .exec(connection)
        .await?;
    Ok(())
}

/// Returns the tokens of a worker's leases, and which of them were cleared meanwhile.
pub(crate) async fn leases_of(
    connection: &impl ConnectionTrait,
    process: &str,
) -> Result<Vec<(String, bool)>, DbErr> {
    let rows: Vec<(Option<String>, String)> = Entity::find()
        .select_only()
        .columns([Column::AttemptToken, Column::State])
        .filter(Column::Process.eq(process))
        .into_tuple()
        .all(connection)
        .await?;
    let restarting = |state: &str| state == TaskState::Restarting.as_str();
    Ok(rows
        .into_iter()
        .filter_map(|(token, state)| Some((token?, restarting(&state))))
        .collect())
}

/// Returns the tokens of leases that have run out.
pub(crate) async fn expired(connection: &impl ConnectionTrait, now: i64) -> Result<Vec<String>, DbErr> {
    let rows: Vec<Option<String>> = Entity::find()
        .select_only()
        .column(Column::AttemptToken)
        .filter(Column::LeaseUntil.lte(now))
        .limit(1000)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(rows.into_iter().flatten().collect())
}

/// Returns what is to be looked at again by the clock: a delay or wait that is over, or took too long.
pub(crate) async fn due(connection: &impl ConnectionTrait, now: i64) -> Result<Vec<Model>, DbErr> {
    let due = Condition::any()
        .add(Column::WakeAt.lte(now))
        .add(Column::DeadlineAt.lte(now));
    Entity::find().filter(due).limit(1000).all(connection).await
}

/// Returns the instances that wait for a DAG.
pub(crate) async fn waiting_for_dag(
    connection: &impl ConnectionTrait,
    dag_id: &str,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::WaitsForDag.eq(dag_id))
        .all(connection)
        .await
}

/// Returns the next instant at which a lease, a delay or a wait ends.
pub(crate) async fn next_due(connection: &impl ConnectionTrait) -> Result<Option<i64>, DbErr> {
    let mut next = None;
    // One query each, so that each is answered by its index alone.
    for column in [Column::WakeAt, Column::DeadlineAt, Column::LeaseUntil] {
        let least = Entity::find().select_only().column_as(column.min(), "least");
        let least = least.into_tuple::<Option<i64>>().one(connection).await?.flatten();
        next = [next, least].into_iter().flatten().min();
    }
    Ok(next)
}
