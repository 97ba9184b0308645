//! Task instances and their leases.

use std::collections::BTreeMap;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{Condition, DbErr, QueryOrder, QuerySelect};

use super::{count, instant, map_column, map_index};
use crate::decide::{Candidate, TaskView};
use crate::{Error, InstanceId, TaskInstance, TaskState};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "instances")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) dag_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) run_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) task_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) map_index: i64,
    pub(crate) map_values: Option<String>,
    /// What its number stands for, in words.
    pub(crate) map_label: Option<String>,
    pub(crate) id: String,
    pub(crate) operator: String,
    pub(crate) state: String,
    pub(crate) attempt: i64,
    pub(crate) failures: i64,
    pub(crate) lost: i64,
    /// How often it was queued again because no worker took it.
    pub(crate) requeues: i64,
    /// Whether the next lease goes on with the newest attempt.
    pub(crate) is_rescheduled: bool,
    pub(crate) retries: i64,
    pub(crate) queued_at: Option<i64>,
    /// When the first attempt since it was made or cleared started: what the time of a sensor is counted from.
    pub(crate) first_started_at: Option<i64>,
    pub(crate) started_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) wake_at: Option<i64>,
    pub(crate) deadline_at: Option<i64>,
    pub(crate) waits_for_dag: Option<String>,
    /// What it waits for in that DAG, as JSON; for a sensor that looks again, the object that it waits for.
    pub(crate) waits_for: Option<String>,
    /// The tasks it decided to skip, as JSON.
    pub(crate) skips: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) attempt_token: Option<String>,
    pub(crate) process: Option<String>,
    pub(crate) lease_until: Option<i64>,
    pub(crate) pool: String,
    pub(crate) pool_slots: i64,
    pub(crate) priority_weight: i64,
    pub(crate) queue: String,
    /// The run's logical date: of equal weights the earliest goes first.
    pub(crate) ordered_at: i64,
    pub(crate) max_active_tasks: i64,
    pub(crate) max_active_tis_per_dag: Option<i64>,
    pub(crate) max_active_tis_per_dagrun: Option<i64>,
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
        self.waits_for = None;
        self.attempt_token = None;
        self.process = None;
        self.lease_until = None;
    }

    /// Brings it back to where it stood before it ever ran. The number of its newest attempt stays, so that the logs
    /// of earlier ones do.
    pub(crate) fn reset(&mut self) {
        self.release();
        self.set_state(TaskState::None);
        self.failures = 0;
        self.lost = 0;
        self.requeues = 0;
        self.is_rescheduled = false;
        self.queued_at = None;
        self.first_started_at = None;
        self.started_at = None;
        self.ended_at = None;
        self.message = None;
        self.skips = None;
    }

    pub(crate) fn instance_id(&self) -> InstanceId {
        InstanceId {
            task_id: self.task_id.clone(),
            map_index: map_index(self.map_index),
        }
    }

    pub(crate) fn candidate(&self) -> Candidate {
        Candidate {
            dag_id: self.dag_id.clone(),
            run_id: self.run_id.clone(),
            task_id: self.task_id.clone(),
            pool: self.pool.clone(),
            pool_slots: self.pool_slots,
            max_active_tasks: self.max_active_tasks,
            max_active_tis_per_dag: self.max_active_tis_per_dag,
            max_active_tis_per_dagrun: self.max_active_tis_per_dagrun,
        }
    }

    pub(crate) fn set_state(&mut self, state: TaskState) {
        self.state = state.as_str().to_owned();
    }
}

impl TryFrom<Model> for TaskInstance {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        let map_values = row.map_values.as_deref().map(serde_json::from_str).transpose();
        Ok(Self {
            state: row.state()?,
            id: row.id,
            dag_id: row.dag_id,
            run_id: row.run_id,
            task_id: row.task_id,
            map_index: map_index(row.map_index),
            map_values: map_values.map_err(|error| Error::corrupt("task instance", error))?,
            map_label: row.map_label,
            pool: row.pool,
            pool_slots: count(row.pool_slots),
            priority_weight: row.priority_weight,
            queue: row.queue,
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
        })
    }
}

fn of_run(dag_id: &str, run_id: &str) -> Condition {
    Condition::all()
        .add(Column::DagId.eq(dag_id))
        .add(Column::RunId.eq(run_id))
}

fn this(dag_id: &str, run_id: &str, task_id: &str, map_index: i64) -> Condition {
    of_run(dag_id, run_id)
        .add(Column::TaskId.eq(task_id))
        .add(Column::MapIndex.eq(map_index))
}

pub(crate) async fn insert(connection: &impl ConnectionTrait, rows: Vec<Model>) -> Result<(), DbErr> {
    // 36 columns: below what a statement may bind.
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
    id: &InstanceId,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(this(dag_id, run_id, &id.task_id, map_column(id.map_index)))
        .one(connection)
        .await
}

/// Returns every instance of a task of a run, in order.
pub(crate) async fn of_task(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
    task_id: &str,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(of_run(dag_id, run_id).add(Column::TaskId.eq(task_id)))
        .order_by_asc(Column::MapIndex)
        .all(connection)
        .await
}

pub(crate) async fn delete(connection: &impl ConnectionTrait, row: &Model) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(this(&row.dag_id, &row.run_id, &row.task_id, row.map_index))
        .exec(connection)
        .await?;
    Ok(())
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

/// Returns where the instances of some tasks of a run stand, or all of them.
pub(crate) async fn views(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
    task_ids: Option<Vec<&str>>,
) -> Result<BTreeMap<InstanceId, TaskView>, Error> {
    let some = task_ids.map(|task_ids| Column::TaskId.is_in(task_ids));
    type Row = (String, i64, String, i64, i64, i64, Option<String>);
    let rows: Vec<Row> = Entity::find()
        .select_only()
        .columns([
            Column::TaskId,
            Column::MapIndex,
            Column::State,
            Column::Failures,
            Column::Lost,
            Column::Requeues,
            Column::Skips,
        ])
        .filter(of_run(dag_id, run_id).add_option(some))
        .into_tuple()
        .all(connection)
        .await?;
    let corrupt = |reason: String| Error::corrupt("task instance", reason);
    rows.into_iter()
        .map(|(task_id, column, state, failures, lost, requeues, skips)| {
            let skips = skips.as_deref().map(serde_json::from_str).transpose();
            let view = TaskView {
                state: TaskState::parse(&state).ok_or_else(|| corrupt(state))?,
                failures: count(failures),
                lost: count(lost),
                requeues: count(requeues),
                skips: skips
                    .map_err(|error| corrupt(error.to_string()))?
                    .unwrap_or_default(),
            };
            let map_index = map_index(column);
            Ok((InstanceId { task_id, map_index }, view))
        })
        .collect()
}

/// Returns whether an instance of a run is not over. One look into an index, however many there are.
pub(crate) async fn any_unfinished(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
) -> Result<bool, DbErr> {
    let unfinished = TaskState::ALL
        .into_iter()
        .filter(|state| !state.is_finished())
        .map(TaskState::as_str);
    let one = Entity::find()
        .select_only()
        .column(Column::State)
        .filter(of_run(dag_id, run_id).add(Column::State.is_in(unfinished)))
        .limit(1);
    Ok(one.into_tuple::<String>().one(connection).await?.is_some())
}

/// Writes every column of a row that exists.
pub(crate) async fn update(connection: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    Entity::update_many()
        .set(ActiveModel::from(row.clone()).reset_all())
        .filter(this(&row.dag_id, &row.run_id, &row.task_id, row.map_index))
        .exec(connection)
        .await?;
    Ok(())
}

/// Which queued instances to look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueuedPage<'a> {
    /// Only those of these queues; of all when empty.
    pub(crate) queues: &'a [String],
    /// None of these pools.
    pub(crate) full_pools: &'a [String],
    pub(crate) limit: u64,
    pub(crate) offset: u64,
}

/// Returns queued instances that no other worker picks at the same time: the greatest weight first, then the earliest
/// run.
pub(crate) async fn pick_queued(
    connection: &impl ConnectionTrait,
    page: QueuedPage<'_>,
) -> Result<Vec<Model>, DbErr> {
    let queued = Entity::find()
        .filter(Column::State.eq(TaskState::Queued.as_str()))
        .filter(one_of(Column::Queue, page.queues))
        .filter(Column::Pool.is_not_in(page.full_pools.iter().map(String::as_str)))
        .order_by_desc(Column::PriorityWeight)
        .order_by_asc(Column::OrderedAt)
        .order_by_asc(Column::DagId)
        .order_by_asc(Column::RunId)
        .order_by_asc(Column::QueuedAt)
        .order_by_asc(Column::TaskId)
        .order_by_asc(Column::MapIndex)
        .limit(page.limit)
        .offset(page.offset);
    super::claimed(connection, queued).all(connection).await
}

/// Returns whether an instance waits for a worker of these queues.
pub(crate) async fn any_queued(connection: &impl ConnectionTrait, queues: &[String]) -> Result<bool, DbErr> {
    let queued = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::State.eq(TaskState::Queued.as_str()))
        .filter(one_of(Column::Queue, queues))
        .limit(1);
    Ok(queued.into_tuple::<String>().one(connection).await?.is_some())
}

fn one_of(column: Column, names: &[String]) -> Condition {
    let some = (!names.is_empty()).then(|| column.is_in(names.iter().map(String::as_str)));
    Condition::all().add_option(some)
}

/// Returns the instances in some states.
pub(crate) async fn in_states(
    connection: &impl ConnectionTrait,
    states: &[TaskState],
) -> Result<Vec<Model>, DbErr> {
    let states = states.iter().map(|state| state.as_str());
    let these = Entity::find().filter(Column::State.is_in(states));
    these.order_by_asc(Column::StartedAt).all(connection).await
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

/// Returns how many attempts each worker runs.
pub(crate) async fn running_by_process(
    connection: &impl ConnectionTrait,
) -> Result<BTreeMap<String, u64>, DbErr> {
    let rows: Vec<(Option<String>, i64)> = Entity::find()
        .select_only()
        .column(Column::Process)
        .column_as(Column::Id.count(), "running")
        .filter(Column::State.is_in([TaskState::Running.as_str(), TaskState::Restarting.as_str()]))
        .group_by(Column::Process)
        .into_tuple()
        .all(connection)
        .await?;
    let counted = rows.into_iter();
    Ok(counted
        .filter_map(|(process, running)| Some((process?, u64::try_from(running).ok()?)))
        .collect())
}

/// Prolongs these leases, as far as they are still held.
pub(crate) async fn prolong(
    connection: &impl ConnectionTrait,
    tokens: &[String],
    until: i64,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::LeaseUntil, Expr::value(until))
        .filter(Column::AttemptToken.is_in(tokens.iter().map(String::as_str)))
        .filter(Column::LeaseUntil.is_not_null())
        .exec(connection)
        .await?;
    Ok(())
}

/// Says whether a lease ends later than this.
pub(crate) async fn any_leased_beyond(connection: &impl ConnectionTrait, latest: i64) -> Result<bool, DbErr> {
    let beyond = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::LeaseUntil.gt(latest))
        .limit(1);
    Ok(beyond.into_tuple::<String>().one(connection).await?.is_some())
}

/// Lets no lease end later than this.
pub(crate) async fn cut_leases(connection: &impl ConnectionTrait, latest: i64) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::LeaseUntil, Expr::value(latest))
        .filter(Column::LeaseUntil.gt(latest))
        .exec(connection)
        .await?;
    Ok(())
}

/// Returns what a worker holds the leases of.
pub(crate) async fn leased_by(connection: &impl ConnectionTrait, process: &str) -> Result<Vec<Model>, DbErr> {
    // By state first: there is an index on it.
    let leased = [TaskState::Running.as_str(), TaskState::Restarting.as_str()];
    Entity::find()
        .filter(Column::State.is_in(leased))
        .filter(Column::Process.eq(process))
        .all(connection)
        .await
}

/// Returns which of these tokens still hold a lease, and which of them were cleared meanwhile.
pub(crate) async fn still_held(
    connection: &impl ConnectionTrait,
    tokens: &[String],
) -> Result<Vec<(String, bool)>, DbErr> {
    let rows: Vec<(Option<String>, String)> = Entity::find()
        .select_only()
        .columns([Column::AttemptToken, Column::State])
        .filter(Column::AttemptToken.is_in(tokens.iter().map(String::as_str)))
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

pub(crate) async fn any_waits_for(connection: &impl ConnectionTrait, dag_id: &str) -> Result<bool, DbErr> {
    let waiting = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::WaitsForDag.eq(dag_id))
        .limit(1);
    Ok(waiting.into_tuple::<String>().one(connection).await?.is_some())
}

/// Returns the DAGs that some instance waits for.
pub(crate) async fn dags_waited_for(connection: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::WaitsForDag)
        .distinct()
        .filter(Column::WaitsForDag.is_not_null())
        .into_tuple()
        .all(connection)
        .await
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

/// Returns the sensors that look again when an object comes, each with what it waits for.
pub(crate) async fn waiting_for_objects(
    connection: &impl ConnectionTrait,
) -> Result<Vec<(String, String)>, DbErr> {
    Entity::find()
        .select_only()
        .columns([Column::Id, Column::WaitsFor])
        .filter(Column::State.eq(TaskState::UpForReschedule.as_str()))
        .filter(Column::WaitsFor.is_not_null())
        .into_tuple()
        .all(connection)
        .await
}

/// Lets a sensor that is to look again later do so now.
pub(crate) async fn look_now(connection: &impl ConnectionTrait, id: &str, now: i64) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::WakeAt, now.into())
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(TaskState::UpForReschedule.as_str()))
        .filter(Column::WakeAt.gt(now))
        .exec(connection)
        .await?;
    Ok(())
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
