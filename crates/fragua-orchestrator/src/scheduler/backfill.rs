//! Makes the runs of backfills, and starts them.

use serde_json::json;

use super::work::Work;
use crate::audit::{self, About};
use crate::core::Core;
use crate::dag::Dag;
use crate::store::{backfills, dag_runs, dags, millis, task_instances};
use crate::{
    Backfill, BackfillRequest, BackfillRun, BackfillState, DagRun, DagRunState, Error, Fate, NextRun,
    Reprocess, RunType, TaskState,
};

/// The most dates of one backfill.
const MOST_RUNS: usize = 10_000;

/// Makes a backfill with all its runs, which wait to be started.
pub(crate) async fn create(
    core: &Core,
    actor: &str,
    dag_id: &str,
    request: &BackfillRequest,
) -> Result<(Backfill, Vec<BackfillRun>), Error> {
    let invalid = |field: &'static str, reason: &str| Error::InvalidRequest {
        field,
        reason: reason.to_owned(),
    };
    if request.from > request.to {
        return Err(invalid("from_date", "must not be after to_date"));
    }
    if request.max_active_runs == 0 {
        return Err(invalid("max_active_runs", "must be at least 1"));
    }
    let mut work = Work::begin(core).await?;
    let row = dags::lock(&work.transaction, dag_id)
        .await?
        .filter(|row| row.is_active);
    let row = row.ok_or_else(|| Error::DagNotFound {
        dag_id: dag_id.to_owned(),
    })?;
    let dag = core.dag_version(&work.transaction, dag_id, &row.version).await?;
    let Some(intervals) = dag.timetable.between(request.from, request.to, MOST_RUNS + 1) else {
        return Err(invalid(
            "dag_id",
            "must name a DAG whose schedule has ticks: a cron expression or an interval",
        ));
    };
    if intervals.len() > MOST_RUNS {
        return Err(invalid(
            "to_date",
            "must leave at most 10000 runs: make several backfills",
        ));
    }
    let backfill = Backfill {
        id: uuid::Uuid::now_v7().to_string(),
        dag_id: dag_id.to_owned(),
        from: request.from,
        to: request.to,
        max_active_runs: request.max_active_runs,
        reprocess: request.reprocess,
        is_reversed: request.is_reversed,
        params: request.params.clone(),
        state: BackfillState::Running,
        created_at: work.now,
        ended_at: None,
    };
    let params = dag.resolve_params(&request.params)?;
    let mut runs = Vec::with_capacity(intervals.len());
    for interval in intervals {
        let new = DagRun {
            dag_id: dag_id.to_owned(),
            run_id: format!(
                "{}__{}",
                RunType::Backfill.as_str(),
                interval.data_interval_start.to_rfc3339()
            ),
            run_type: RunType::Backfill,
            state: DagRunState::Queued,
            logical_date: Some(interval.data_interval_start),
            data_interval_start: interval.data_interval_start,
            data_interval_end: interval.data_interval_end,
            run_after: interval.run_after,
            queued_at: work.now,
            started_at: None,
            ended_at: None,
            params: params.clone(),
            note: None,
            version: row.version.clone(),
            backfill_id: Some(backfill.id.clone()),
        };
        runs.push(take(&mut work, &dag, interval, new, request).await?);
    }
    if request.is_reversed {
        runs.reverse();
    }
    if request.dry_run {
        work.transaction.rollback().await?;
        return Ok((backfill, runs));
    }
    backfills::insert(&work.transaction, &backfill).await?;
    let extra = json!({
        "backfill_id": backfill.id,
        "from_date": backfill.from.to_rfc3339(),
        "to_date": backfill.to.to_rfc3339(),
        "reprocess": backfill.reprocess.as_str(),
    });
    audit::note(
        &work.transaction,
        (work.now, actor),
        "create_backfill",
        About::dag(dag_id),
        extra,
    )
    .await?;
    work.plan_later(dag_id);
    let to_plan = work.commit().await?;
    super::settle(core, to_plan).await?;
    Ok((backfill, runs))
}

/// Does about one date what a backfill says.
async fn take(
    work: &mut Work<'_>,
    dag: &Dag,
    interval: NextRun,
    new: DagRun,
    request: &BackfillRequest,
) -> Result<BackfillRun, Error> {
    let there = dag_runs::of_date(
        &work.transaction,
        &new.dag_id,
        millis(interval.data_interval_start),
    )
    .await?;
    let Some(there) = there else {
        work.make_run(dag, &new).await?;
        let run_id = new.run_id;
        return Ok(BackfillRun {
            interval,
            run_id,
            fate: Fate::Made,
        });
    };
    let run = DagRun::try_from(there)?;
    let fate = match (run.state, request.reprocess) {
        (DagRunState::Queued | DagRunState::Running, _) => Fate::UnderWay,
        (DagRunState::Failed, Reprocess::Failed | Reprocess::Completed)
        | (DagRunState::Success, Reprocess::Completed) => Fate::Again,
        _ => Fate::Exists,
    };
    if fate == Fate::Again {
        work.start_over(&run.dag_id, &run.run_id).await?;
        let backfill_id = new.backfill_id.as_deref();
        dag_runs::set_backfill(&work.transaction, &run.dag_id, &run.run_id, backfill_id).await?;
    }
    Ok(BackfillRun {
        interval,
        run_id: run.run_id,
        fate,
    })
}

/// Starts the runs of a DAG's backfills, each as many at once as it may, and ends those that have none left. Returns
/// whether one is still open.
pub(super) async fn start(work: &mut Work<'_>, dag_id: &str, is_paused: bool) -> Result<bool, Error> {
    let mut any_open = false;
    for mut row in backfills::open(&work.transaction, dag_id).await? {
        let (running, queued) = dag_runs::of_backfill(&work.transaction, &row.id, row.is_reversed).await?;
        if running == 0 && queued.is_empty() {
            row.state = BackfillState::Completed.as_str().to_owned();
            row.ended_at = Some(millis(work.now));
            backfills::update(&work.transaction, row).await?;
            continue;
        }
        any_open = true;
        if is_paused || row.state != BackfillState::Running.as_str() {
            continue;
        }
        let free = usize::try_from(row.max_active_runs)
            .unwrap_or(0)
            .saturating_sub(running);
        for run_id in queued.iter().take(free) {
            let (dag, run) = work.lock_run(dag_id, run_id).await?;
            work.start_run(&dag, run).await?;
        }
    }
    Ok(any_open)
}

/// Pauses a backfill, goes on with it, or cancels it.
pub(crate) async fn set_state(core: &Core, actor: &str, id: &str, state: BackfillState) -> Result<(), Error> {
    let mut work = Work::begin(core).await?;
    let row = backfills::find(&work.transaction, id).await?;
    let mut row = row.ok_or_else(|| Error::BackfillNotFound { id: id.to_owned() })?;
    let dag_id = row.dag_id.clone();
    dags::lock(&work.transaction, &dag_id).await?;
    let before = Backfill::try_from(row.clone())?.state;
    if before.is_finished() {
        return Err(Error::InvalidRequest {
            field: "backfill_id",
            reason: format!("names a backfill that is {before}"),
        });
    }
    row.state = state.as_str().to_owned();
    row.ended_at = state.is_finished().then(|| millis(work.now));
    backfills::update(&work.transaction, row).await?;
    if state == BackfillState::Cancelled {
        for run_id in dag_runs::of_backfill(&work.transaction, id, false).await?.1 {
            give_up(&mut work, &dag_id, &run_id).await?;
        }
    }
    let extra = json!({ "backfill_id": id, "state": state.as_str() });
    audit::note(
        &work.transaction,
        (work.now, actor),
        "set_backfill_state",
        About::dag(&dag_id),
        extra,
    )
    .await?;
    work.plan_later(&dag_id);
    let to_plan = work.commit().await?;
    super::settle(core, to_plan).await
}

/// Fails a run that has not started.
async fn give_up(work: &mut Work<'_>, dag_id: &str, run_id: &str) -> Result<(), Error> {
    let (_, mut run) = work.lock_run(dag_id, run_id).await?;
    let message = "its backfill was cancelled";
    for mut row in task_instances::lock_of_dag_run(&work.transaction, dag_id, run_id).await? {
        let from = row.state()?;
        row.set_state(TaskState::Skipped);
        row.message = Some(message.to_owned());
        work.write(row, from).await?;
    }
    // Only what is under way can end.
    run.state = DagRunState::Running;
    work.end_run(&mut run, DagRunState::Failed, Some(message)).await
}
