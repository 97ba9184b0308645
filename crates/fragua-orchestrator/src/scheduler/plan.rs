//! Makes and starts runs of one DAG, and lets go who waited for it.

use std::collections::BTreeSet;

use serde_json::Map;

use super::backfill;
use super::work::Work;
use crate::core::Core;
use crate::dag::Dag;
use crate::decide::{Event, PlanView, WaitView, plan, wait_is_over};
use crate::store::{backfills, dag_runs, dags, millis, task_instances};
use crate::{DagRun, DagRunQuery, DagRunState, Error, NextRun, RunType};

/// Plans a DAG in one transaction. Returns the DAGs to plan because of it.
pub(crate) async fn plan_dag(core: &Core, dag_id: &str) -> Result<BTreeSet<String>, Error> {
    let mut work = Work::begin(core).await?;
    let Some(row) = dags::lock(&work.transaction, dag_id).await? else {
        return Ok(BTreeSet::new());
    };
    let dag = core.dag_version(&work.transaction, dag_id, &row.version).await?;
    let last_ends = dag_runs::last_ends(&work.transaction, Some(dag_id)).await?;
    let open = backfills::open(&work.transaction, dag_id).await?;
    let open: Vec<String> = open.into_iter().map(|backfill| backfill.id).collect();
    let mut view = PlanView {
        dag: &dag,
        // A DAG whose file is gone makes no runs, and lets those go on that there are.
        is_paused: row.is_paused || !row.is_active,
        running: dag_runs::count_running(&work.transaction, dag_id, &open).await?,
        queued: dag_runs::queued(&work.transaction, dag_id, &open).await?,
        last_end: last_ends.get(dag_id).copied(),
    };
    let plan = plan(&view, work.now);
    for run_id in &plan.start {
        let (dag, run) = work.lock_run(dag_id, run_id).await?;
        work.start_run(&dag, run).await?;
    }
    for next in &plan.make {
        let run = scheduled_run(&dag, &row.version, *next, &work)?;
        work.make_run(&dag, &run).await?;
        work.start_run(&dag, run).await?;
        view.last_end = Some(next.data_interval_end);
    }
    let look_again_at = plan.look_again.map(millis);
    if look_again_at != row.look_again_at {
        dags::set_look_again_at(&work.transaction, dag_id, look_again_at).await?;
    }
    view.running += (plan.start.len() + plan.make.len()) as u64;
    view.queued.retain(|run_id| !plan.start.contains(run_id));
    let has_backfills = !open.is_empty() && backfill::start(&mut work, dag_id, view.is_paused).await?;
    look_at_past(&mut work, &dag).await?;
    end_waits_for(&mut work, view, has_backfills).await?;
    work.commit().await
}

fn scheduled_run(dag: &Dag, version: &str, next: NextRun, work: &Work<'_>) -> Result<DagRun, Error> {
    Ok(DagRun {
        dag_id: dag.dag_id.clone(),
        run_id: format!(
            "{}__{}",
            RunType::Scheduled.as_str(),
            next.data_interval_start.to_rfc3339()
        ),
        run_type: RunType::Scheduled,
        state: DagRunState::Queued,
        logical_date: Some(next.data_interval_start),
        data_interval_start: next.data_interval_start,
        data_interval_end: next.data_interval_end,
        run_after: next.run_after,
        queued_at: work.now,
        started_at: None,
        ended_at: None,
        params: dag.resolve_params(&Map::new())?,
        note: None,
        version: version.to_owned(),
        backfill_id: None,
    })
}

/// Ends the waits of other runs for this DAG, for runs of it and for tasks in these, where that has come.
async fn end_waits_for(work: &mut Work<'_>, view: PlanView<'_>, has_backfills: bool) -> Result<(), Error> {
    let dag_id = &view.dag.dag_id;
    let waiting = task_instances::waiting_for_dag(&work.transaction, dag_id).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let newest = DagRunQuery {
        dag_id: Some(dag_id.clone()),
        limit: 1,
        ..DagRunQuery::default()
    };
    let newest = dag_runs::list(&work.transaction, &newest).await?;
    let last_run_succeeded = newest
        .first()
        .map(|run| run.state == DagRunState::Success.as_str());
    let view = WaitView {
        plan: view,
        last_run_succeeded,
    };
    let is_idle = !has_backfills && wait_is_over(&view, work.now);
    for row in waiting {
        let Some(ending) = work.wait_for_dag(&row, is_idle).await? else {
            continue;
        };
        let (dag, run) = work.lock_run(&row.dag_id, &row.run_id).await?;
        let id = row.instance_id();
        work.apply(&dag, run, Event::HoldEnded { id, ending }).await?;
    }
    Ok(())
}

/// Looks again at what waits for the run before: a version of the DAG that does may have come after that run's.
async fn look_at_past(work: &mut Work<'_>, dag: &Dag) -> Result<(), Error> {
    if !dag.looks_at_past() {
        return Ok(());
    }
    for run_id in dag_runs::running_after(&work.transaction, &dag.dag_id, i64::MIN).await? {
        let (dag, run) = work.lock_run(&dag.dag_id, &run_id).await?;
        let looks = dag.tasks.iter().filter(|task| task.depends_on_past);
        let task_ids = looks.map(|task| task.task_id.clone()).collect();
        work.apply(&dag, run, Event::PastChanged { task_ids }).await?;
    }
    Ok(())
}
