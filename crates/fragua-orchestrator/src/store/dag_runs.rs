//! DAG runs.

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbErr, QueryOrder, QuerySelect, Statement};

use super::instant;
use crate::{DagRun, DagRunQuery, DagRunState, Error, RecentDagRun, RunType};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dag_runs")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) dag_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) run_id: String,
    pub(crate) run_type: String,
    pub(crate) state: String,
    pub(crate) logical_date: Option<i64>,
    pub(crate) interval_start: i64,
    pub(crate) interval_end: i64,
    pub(crate) run_after: i64,
    pub(crate) queued_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) timeout_at: Option<i64>,
    pub(crate) params: String,
    pub(crate) note: Option<String>,
    pub(crate) version: String,
    pub(crate) backfill_id: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&DagRun> for Model {
    fn from(run: &DagRun) -> Self {
        let millis = |at: Timestamp| at.as_millis();
        Self {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            run_type: run.run_type.as_str().to_owned(),
            state: run.state.as_str().to_owned(),
            logical_date: run.logical_date.map(millis),
            interval_start: millis(run.data_interval_start),
            interval_end: millis(run.data_interval_end),
            run_after: millis(run.run_after),
            queued_at: millis(run.queued_at),
            started_at: run.started_at.map(millis),
            ended_at: run.ended_at.map(millis),
            timeout_at: None,
            params: serde_json::Value::Object(run.params.clone()).to_string(),
            note: run.note.clone(),
            version: run.version.clone(),
            backfill_id: run.backfill_id.clone(),
        }
    }
}

impl TryFrom<Model> for DagRun {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        let unknown = |what: &str| Error::corrupt("DAG run", format!("{what} is unknown"));
        Ok(Self {
            run_type: RunType::parse(&row.run_type).ok_or_else(|| unknown(&row.run_type))?,
            state: DagRunState::parse(&row.state).ok_or_else(|| unknown(&row.state))?,
            dag_id: row.dag_id,
            run_id: row.run_id,
            logical_date: instant(row.logical_date),
            data_interval_start: Timestamp::from_millis(row.interval_start),
            data_interval_end: Timestamp::from_millis(row.interval_end),
            run_after: Timestamp::from_millis(row.run_after),
            queued_at: Timestamp::from_millis(row.queued_at),
            started_at: instant(row.started_at),
            ended_at: instant(row.ended_at),
            params: serde_json::from_str(&row.params).map_err(|error| Error::corrupt("DAG run", error))?,
            note: row.note,
            version: row.version,
            backfill_id: row.backfill_id,
        })
    }
}

pub(crate) async fn insert(connection: &impl ConnectionTrait, run: &DagRun) -> Result<(), DbErr> {
    let row = ActiveModel::from(Model::from(run)).reset_all();
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id((dag_id.to_owned(), run_id.to_owned()))
        .one(connection)
        .await
}

pub(crate) async fn lock(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
) -> Result<Option<Model>, DbErr> {
    let select = Entity::find_by_id((dag_id.to_owned(), run_id.to_owned()));
    super::locked(connection, select).one(connection).await
}

/// Returns the run before one, by logical date: of those that the schedule made, or of all.
pub(crate) async fn previous(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    before: i64,
    only_scheduled: bool,
) -> Result<Option<Model>, DbErr> {
    let scheduled = [RunType::Scheduled, RunType::Backfill].map(RunType::as_str);
    let scheduled = only_scheduled.then(|| Column::RunType.is_in(scheduled));
    Entity::find()
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::LogicalDate.lt(before))
        .filter(Condition::all().add_option(scheduled))
        .order_by_desc(Column::LogicalDate)
        .one(connection)
        .await
}

/// Returns the runs under way after an instant, by logical date.
pub(crate) async fn running_after(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    after: i64,
) -> Result<Vec<String>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::RunId)
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::State.eq(DagRunState::Running.as_str()))
        .filter(Column::LogicalDate.gt(after))
        .order_by_asc(Column::LogicalDate)
        .order_by_asc(Column::RunId)
        .into_tuple()
        .all(connection)
        .await
}

/// Returns the newest run of a logical date.
pub(crate) async fn of_date(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    logical_date: i64,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::LogicalDate.eq(logical_date))
        .order_by_desc(Column::QueuedAt)
        .one(connection)
        .await
}

fn matching(query: &DagRunQuery) -> Condition {
    Condition::all()
        .add_option(query.dag_id.as_ref().map(|dag_id| Column::DagId.eq(dag_id)))
        .add_option(query.state.map(|state| Column::State.eq(state.as_str())))
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    query: &DagRunQuery,
) -> Result<Vec<Model>, DbErr> {
    let limit = if query.limit == 0 {
        50
    } else {
        query.limit.min(1000)
    };
    Entity::find()
        .filter(matching(query))
        .order_by_desc(Column::RunAfter)
        .order_by_desc(Column::QueuedAt)
        .order_by_desc(Column::RunId)
        .limit(limit)
        .offset(query.offset)
        .all(connection)
        .await
}

pub(crate) async fn count(connection: &impl ConnectionTrait, query: &DagRunQuery) -> Result<u64, DbErr> {
    Entity::find().filter(matching(query)).count(connection).await
}

/// Returns the newest runs of each DAG, newest first, in one query.
pub(crate) async fn recent(
    connection: &impl ConnectionTrait,
    each: u32,
) -> Result<BTreeMap<String, Vec<RecentDagRun>>, Error> {
    let sql = format!(
        "SELECT dag_id, run_id, state, logical_date FROM (\
             SELECT dag_id, run_id, state, logical_date, ROW_NUMBER() OVER (\
                 PARTITION BY dag_id ORDER BY run_after DESC, queued_at DESC, run_id DESC) AS place FROM dag_runs\
         ) ranked WHERE place <= {each} ORDER BY dag_id, place"
    );
    let rows = connection
        .query_all_raw(Statement::from_string(connection.get_database_backend(), sql))
        .await?;
    let mut recent: BTreeMap<String, Vec<RecentDagRun>> = BTreeMap::new();
    for row in rows {
        let state: String = row.try_get_by_index(2)?;
        let run = RecentDagRun {
            run_id: row.try_get_by_index(1)?,
            state: DagRunState::parse(&state).ok_or_else(|| Error::corrupt("DAG run", &state))?,
            logical_date: instant(row.try_get_by_index(3)?),
        };
        recent.entry(row.try_get_by_index(0)?).or_default().push(run);
    }
    Ok(recent)
}

/// Returns the end of the newest interval that the schedule made a run for, of each DAG or of one.
pub(crate) async fn last_ends(
    connection: &impl ConnectionTrait,
    dag_id: Option<&str>,
) -> Result<BTreeMap<String, Timestamp>, DbErr> {
    let rows: Vec<(String, Option<i64>)> = Entity::find()
        .select_only()
        .column(Column::DagId)
        .column_as(Column::IntervalEnd.max(), "last_end")
        .filter(Column::RunType.eq(RunType::Scheduled.as_str()))
        .filter(Condition::all().add_option(dag_id.map(|dag_id| Column::DagId.eq(dag_id))))
        .group_by(Column::DagId)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|(dag_id, end)| Some((dag_id, Timestamp::from_millis(end?))))
        .collect())
}

/// Not those of some backfills.
fn not_of(backfills: &[String]) -> Condition {
    let others = Column::BackfillId.is_not_in(backfills.iter().map(String::as_str));
    Condition::any().add(Column::BackfillId.is_null()).add(others)
}

/// Returns how many runs of a backfill are under way, and those that wait to start, in its order.
pub(crate) async fn of_backfill(
    connection: &impl ConnectionTrait,
    backfill_id: &str,
    is_reversed: bool,
) -> Result<(usize, Vec<String>), DbErr> {
    let order = match is_reversed {
        true => sea_orm::Order::Desc,
        false => sea_orm::Order::Asc,
    };
    let rows: Vec<(String, String)> = Entity::find()
        .select_only()
        .columns([Column::RunId, Column::State])
        .filter(Column::BackfillId.eq(backfill_id))
        .filter(Column::State.is_in([DagRunState::Queued, DagRunState::Running].map(DagRunState::as_str)))
        .order_by(Column::LogicalDate, order)
        .into_tuple()
        .all(connection)
        .await?;
    let running = rows
        .iter()
        .filter(|(_, state)| state == DagRunState::Running.as_str())
        .count();
    let queued = rows
        .into_iter()
        .filter(|(_, state)| state == DagRunState::Queued.as_str());
    Ok((running, queued.map(|(run_id, _)| run_id).collect()))
}

/// Notes which backfill a run belongs to now.
pub(crate) async fn set_backfill(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
    backfill_id: Option<&str>,
) -> Result<(), DbErr> {
    let change = ActiveModel {
        backfill_id: Set(backfill_id.map(str::to_owned)),
        ..Default::default()
    };
    Entity::update_many()
        .set(change)
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::RunId.eq(run_id))
        .exec(connection)
        .await?;
    Ok(())
}

/// Returns the runs before or after an instant, by logical date.
pub(crate) async fn around(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    logical_date: i64,
    (past, future): (bool, bool),
) -> Result<Vec<String>, DbErr> {
    let sides = Condition::any()
        .add_option(past.then(|| Column::LogicalDate.lt(logical_date)))
        .add_option(future.then(|| Column::LogicalDate.gt(logical_date)));
    Entity::find()
        .select_only()
        .column(Column::RunId)
        .filter(Column::DagId.eq(dag_id))
        .filter(sides)
        .order_by_asc(Column::LogicalDate)
        .into_tuple()
        .all(connection)
        .await
}

/// Returns how many runs are under way, apart from those of some backfills.
pub(crate) async fn count_running(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    except: &[String],
) -> Result<u64, DbErr> {
    let state = DagRunState::Running.as_str();
    Entity::find()
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::State.eq(state))
        .filter(not_of(except))
        .count(connection)
        .await
}

/// Returns the runs that wait to start, oldest first, apart from those of some backfills.
pub(crate) async fn queued(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    except: &[String],
) -> Result<Vec<String>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::RunId)
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::State.eq(DagRunState::Queued.as_str()))
        .filter(not_of(except))
        .order_by_asc(Column::QueuedAt)
        .order_by_asc(Column::RunId)
        .into_tuple()
        .all(connection)
        .await
}

/// Returns the DAGs that have a run that waits to start.
pub(crate) async fn dags_with_queued(connection: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::DagId)
        .distinct()
        .filter(Column::State.eq(DagRunState::Queued.as_str()))
        .into_tuple()
        .all(connection)
        .await
}

/// Returns the runs that have taken too long.
pub(crate) async fn timed_out(connection: &impl ConnectionTrait, now: i64) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::TimeoutAt.lte(now))
        .limit(100)
        .all(connection)
        .await
}

pub(crate) async fn next_timeout(connection: &impl ConnectionTrait) -> Result<Option<i64>, DbErr> {
    let least = Entity::find()
        .select_only()
        .column_as(Column::TimeoutAt.min(), "least");
    Ok(least.into_tuple::<Option<i64>>().one(connection).await?.flatten())
}

/// What a change of state sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateChange {
    pub(crate) state: DagRunState,
    pub(crate) started_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) timeout_at: Option<i64>,
}

pub(crate) async fn set_state(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_id: &str,
    change: StateChange,
) -> Result<(), DbErr> {
    let change = ActiveModel {
        state: Set(change.state.as_str().to_owned()),
        started_at: Set(change.started_at),
        ended_at: Set(change.ended_at),
        timeout_at: Set(change.timeout_at),
        ..Default::default()
    };
    let this = Condition::all()
        .add(Column::DagId.eq(dag_id))
        .add(Column::RunId.eq(run_id));
    Entity::update_many()
        .set(change)
        .filter(this)
        .exec(connection)
        .await?;
    Ok(())
}
