//! What pages ask of many rows at once. Each answer is one query, whose work grows with what is shown and not with what
//! is remembered.

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use fragua_database::Engine;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{Condition, DbErr, JoinType, QueryOrder, QuerySelect, Statement};

use super::{count, dag_runs, dags, instant, task_instances};
use crate::{DagRunState, DagVersion, DayTally, Error, RecentDagRun, RunType, TaskState, TaskTally};

/// How an active DAG stands.
pub(crate) struct Standing {
    pub(crate) row: dags::row::Model,
    /// How its newest run that is over ended.
    pub(crate) last_state: Option<DagRunState>,
    /// The end of the newest interval that the schedule made a run for.
    pub(crate) last_end: Option<Timestamp>,
}

/// Returns how every active DAG stands, by name. One look into an index for each.
pub(crate) async fn standings(connection: &impl ConnectionTrait) -> Result<Vec<Standing>, Error> {
    let [success, failed] = [DagRunState::Success, DagRunState::Failed].map(DagRunState::as_str);
    let scheduled = RunType::Scheduled.as_str();
    let sql = format!(
        "SELECT d.dag_id, \
         (SELECT r.state FROM dag_runs r WHERE r.dag_id = d.dag_id AND r.state IN ('{success}', '{failed}') \
          ORDER BY r.run_after DESC, r.queued_at DESC LIMIT 1) AS last_state, \
         (SELECT MAX(r.interval_end) FROM dag_runs r WHERE r.dag_id = d.dag_id AND r.run_type = '{scheduled}') AS last_end \
         FROM dags d WHERE d.is_active"
    );
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let mut found: BTreeMap<String, (Option<DagRunState>, Option<Timestamp>)> = BTreeMap::new();
    for row in connection.query_all_raw(statement).await? {
        let state: Option<String> = row.try_get_by_index(1)?;
        let state = state.as_deref().and_then(DagRunState::parse);
        found.insert(
            row.try_get_by_index(0)?,
            (state, instant(row.try_get_by_index(2)?)),
        );
    }
    let rows = dags::active(connection).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let (last_state, last_end) = found.remove(&row.dag_id).unwrap_or_default();
            Standing {
                row,
                last_state,
                last_end,
            }
        })
        .collect())
}

/// Returns the DAGs that have a run under way, or one that waits to start.
pub(crate) async fn busy_dags(connection: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let open = [DagRunState::Running, DagRunState::Queued].map(DagRunState::as_str);
    dag_runs::Entity::find()
        .select_only()
        .column(dag_runs::Column::DagId)
        .distinct()
        .filter(dag_runs::Column::State.is_in(open))
        .into_tuple()
        .all(connection)
        .await
}

/// Returns the newest runs of some DAGs, or of every active one, newest first.
pub(crate) async fn recent_runs(
    connection: &impl ConnectionTrait,
    dag_ids: Option<&[String]>,
    each: u32,
) -> Result<BTreeMap<String, Vec<RecentDagRun>>, Error> {
    let mut recent: BTreeMap<String, Vec<RecentDagRun>> = BTreeMap::new();
    if dag_ids.is_some_and(<[String]>::is_empty) || each == 0 {
        return Ok(recent);
    }
    let backend = connection.get_database_backend();
    let is_numbered = Engine::from(backend) == Engine::Postgres;
    let place = |place: usize| match is_numbered {
        true => format!("${place}"),
        false => "?".to_owned(),
    };
    let these = match dag_ids {
        Some(dag_ids) => {
            let places: Vec<String> = (1..=dag_ids.len()).map(place).collect();
            format!("d.dag_id IN ({})", places.join(", "))
        }
        None => "d.is_active".to_owned(),
    };
    // The limit keeps the inner query whole, so that each DAG is looked up once.
    let sql = format!(
        "SELECT r.dag_id, r.run_id, r.state, r.logical_date FROM (\
             SELECT d.dag_id, (SELECT n.run_after FROM dag_runs n WHERE n.dag_id = d.dag_id \
                 ORDER BY n.run_after DESC LIMIT 1 OFFSET {}) AS since \
             FROM dags d WHERE {these} LIMIT 1000000) s \
         CROSS JOIN dag_runs r WHERE r.dag_id = s.dag_id AND r.run_after >= COALESCE(s.since, -9000000000000000) \
         ORDER BY r.dag_id, r.run_after DESC, r.queued_at DESC, r.run_id DESC",
        each - 1,
    );
    let values = dag_ids.unwrap_or_default().iter();
    let statement = Statement::from_sql_and_values(backend, sql, values.map(|dag_id| dag_id.as_str().into()));
    for row in connection.query_all_raw(statement).await? {
        let state: String = row.try_get_by_index(2)?;
        let runs = recent.entry(row.try_get_by_index(0)?).or_default();
        // Several runs may be due at the instant of the last one.
        if runs.len() < each as usize {
            runs.push(RecentDagRun {
                run_id: row.try_get_by_index(1)?,
                state: DagRunState::parse(&state).ok_or_else(|| Error::corrupt("DAG run", &state))?,
                logical_date: instant(row.try_get_by_index(3)?),
            });
        }
    }
    Ok(recent)
}

/// Above this many names, a query asks for all of them.
const MOST_NAMED: usize = 200;

/// Returns the current version of some active DAGs and its definition; of all of them where many are asked for.
pub(crate) async fn definitions(
    connection: &impl ConnectionTrait,
    dag_ids: &[&str],
) -> Result<Vec<(String, String)>, DbErr> {
    use dags::{row, version};
    if dag_ids.is_empty() {
        return Ok(Vec::new());
    }
    let joined = version::Entity::belongs_to(row::Entity)
        .from((version::Column::DagId, version::Column::Version))
        .to((row::Column::DagId, row::Column::Version))
        .into();
    let named = (dag_ids.len() <= MOST_NAMED).then(|| row::Column::DagId.is_in(dag_ids.iter().copied()));
    version::Entity::find()
        .select_only()
        .columns([version::Column::Version, version::Column::Definition])
        .join(JoinType::InnerJoin, joined)
        .filter(row::Column::IsActive.eq(true))
        .filter(Condition::all().add_option(named))
        .into_tuple()
        .all(connection)
        .await
}

/// Returns the versions of a DAG, newest first.
pub(crate) async fn versions(
    connection: &impl ConnectionTrait,
    dag_id: &str,
) -> Result<Vec<DagVersion>, DbErr> {
    let rows: Vec<(String, i64)> = dags::version::Entity::find()
        .select_only()
        .columns([dags::version::Column::Version, dags::version::Column::CreatedAt])
        .filter(dags::version::Column::DagId.eq(dag_id))
        .order_by_desc(dags::version::Column::CreatedAt)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(version, created_at)| DagVersion {
            version,
            created_at: Timestamp::from_millis(created_at),
        })
        .collect())
}

/// Returns where the tasks of some runs of a DAG stand: the instances of one task in one state as one row.
pub(crate) async fn task_tallies(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    run_ids: &[String],
) -> Result<Vec<TaskTally>, Error> {
    use task_instances::Column;
    type Row = (String, String, String, i64, i64, i64, Option<i64>, Option<i64>);
    let rows: Vec<Row> = task_instances::Entity::find()
        .select_only()
        .columns([Column::RunId, Column::TaskId, Column::State])
        .column_as(Column::MapIndex.count(), "instances")
        .column_as(Column::MapIndex.max(), "last_index")
        .column_as(Column::Attempt.max(), "attempts")
        .column_as(Column::StartedAt.min(), "first_started_at")
        .column_as(Column::EndedAt.max(), "last_ended_at")
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::RunId.is_in(run_ids.iter().map(String::as_str)))
        .group_by(Column::RunId)
        .group_by(Column::TaskId)
        .group_by(Column::State)
        .into_tuple()
        .all(connection)
        .await?;
    rows.into_iter()
        .map(
            |(run_id, task_id, state, instances, last_index, attempts, started_at, ended_at)| {
                Ok(TaskTally {
                    state: TaskState::parse(&state).ok_or_else(|| Error::corrupt("task instance", &state))?,
                    run_id,
                    task_id,
                    instances: count(instances),
                    is_mapped: last_index >= 0,
                    attempts: count(attempts),
                    started_at: instant(started_at),
                    ended_at: instant(ended_at),
                })
            },
        )
        .collect()
}

/// Returns how many runs of a DAG came to which state on each day in UTC, by logical date.
pub(crate) async fn days(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    (from, to): (i64, i64),
) -> Result<Vec<DayTally>, Error> {
    use dag_runs::Column;
    // Written out, because a bound number would make two expressions of it for PostgreSQL.
    let day = || Expr::cust("logical_date - logical_date % 86400000");
    let rows: Vec<(i64, String, i64)> = dag_runs::Entity::find()
        .select_only()
        .expr_as(day(), "day")
        .column(Column::State)
        .column_as(Column::RunId.count(), "runs")
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::LogicalDate.gte(from))
        .filter(Column::LogicalDate.lt(to))
        .group_by(day())
        .group_by(Column::State)
        .into_tuple()
        .all(connection)
        .await?;
    rows.into_iter()
        .map(|(day, state, runs)| {
            Ok(DayTally {
                day: Timestamp::from_millis(day),
                state: DagRunState::parse(&state).ok_or_else(|| Error::corrupt("DAG run", &state))?,
                runs: u64::try_from(runs).unwrap_or(0),
            })
        })
        .collect()
}

/// Returns the runs of a DAG whose logical date lies in a range, newest first.
pub(crate) async fn runs_between(
    connection: &impl ConnectionTrait,
    dag_id: &str,
    (from, to): (i64, i64),
) -> Result<Vec<dag_runs::Model>, DbErr> {
    use dag_runs::Column;
    dag_runs::Entity::find()
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::LogicalDate.gte(from))
        .filter(Column::LogicalDate.lt(to))
        .order_by_desc(Column::LogicalDate)
        .order_by_desc(Column::RunId)
        .limit(1000)
        .all(connection)
        .await
}

/// Returns how many runs of some backfills are in which state.
pub(crate) async fn backfill_runs(
    connection: &impl ConnectionTrait,
    ids: &[String],
) -> Result<BTreeMap<String, Vec<(DagRunState, u64)>>, Error> {
    use dag_runs::Column;
    let rows: Vec<(Option<String>, String, i64)> = dag_runs::Entity::find()
        .select_only()
        .columns([Column::BackfillId, Column::State])
        .column_as(Column::RunId.count(), "runs")
        .filter(Column::BackfillId.is_in(ids.iter().map(String::as_str)))
        .group_by(Column::BackfillId)
        .group_by(Column::State)
        .into_tuple()
        .all(connection)
        .await?;
    let mut found: BTreeMap<String, Vec<(DagRunState, u64)>> = BTreeMap::new();
    for (id, state, runs) in rows {
        let state = DagRunState::parse(&state).ok_or_else(|| Error::corrupt("DAG run", &state))?;
        let runs = u64::try_from(runs).unwrap_or(0);
        found
            .entry(id.unwrap_or_default())
            .or_default()
            .push((state, runs));
    }
    Ok(found)
}

/// Returns the tasks of a pool in some states, those that started first before the others.
pub(crate) async fn of_pool(
    connection: &impl ConnectionTrait,
    pool: &str,
    states: &[TaskState],
    limit: u64,
) -> Result<Vec<task_instances::Model>, DbErr> {
    use task_instances::Column;
    task_instances::Entity::find()
        .filter(Column::State.is_in(states.iter().map(|state| state.as_str())))
        .filter(Column::Pool.eq(pool))
        .order_by_asc(Column::QueuedAt)
        .order_by_asc(Column::DagId)
        .limit(limit)
        .all(connection)
        .await
}

/// Notes what somebody wrote about a run. Returns whether there is such a run.
pub(crate) async fn set_note(
    connection: &impl ConnectionTrait,
    (dag_id, run_id): (&str, &str),
    note: Option<&str>,
) -> Result<bool, DbErr> {
    use dag_runs::Column;
    let done = dag_runs::Entity::update_many()
        .col_expr(Column::Note, Expr::value(note.map(str::to_owned)))
        .filter(Column::DagId.eq(dag_id))
        .filter(Column::RunId.eq(run_id))
        .exec(connection)
        .await?;
    Ok(done.rows_affected > 0)
}
