//! Lets tasks of a run start over.

use std::collections::BTreeSet;

use super::work::{Work, reset};
use crate::core::Core;
use crate::dag::Dag;
use crate::decide::Event;
use crate::store::{dag_runs, dag_runs::StateChange, task_instances};
use crate::{DagRunState, Error, TaskInstance, TaskState};

/// Which tasks of a run are to start over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clearing {
    /// These; all when empty.
    pub task_ids: Vec<String>,
    /// And all that come after them.
    pub downstream: bool,
    /// Of these only those that failed, or could not run because another failed.
    pub only_failed: bool,
    /// Say which it would be, and change nothing.
    pub dry_run: bool,
}

/// Clears tasks. Returns them as they stood before.
pub(crate) async fn clear(
    core: &Core,
    dag_id: &str,
    run_id: &str,
    clearing: &Clearing,
) -> Result<Vec<TaskInstance>, Error> {
    let mut work = Work::begin(core).await?;
    let (dag, run) = work.lock_run(dag_id, run_id).await?;
    let chosen = chosen(&dag, run_id, clearing)?;
    let mut cleared = Vec::new();
    for row in task_instances::lock_of_dag_run(&work.transaction, dag_id, run_id).await? {
        let from = row.state()?;
        let is_chosen = chosen.contains(&row.task_id) && (!clearing.only_failed || from.is_failure());
        if !is_chosen {
            continue;
        }
        cleared.push(TaskInstance::try_from(row.clone())?);
        let mut row = row;
        match from {
            TaskState::None | TaskState::Restarting => continue,
            TaskState::Running => {
                row.set_state(TaskState::Restarting);
                row.failures = 0;
                row.lost = 0;
                work.ring(&core.lease_bell);
            }
            _ => reset(&mut row),
        }
        work.write(row, from).await?;
    }
    if run.state.is_finished() && !cleared.is_empty() {
        let change = StateChange {
            state: DagRunState::Queued,
            started_at: None,
            ended_at: None,
            timeout_at: None,
        };
        dag_runs::set_state(&work.transaction, dag_id, run_id, change).await?;
        work.run_changed(
            &run,
            run.state.as_str(),
            DagRunState::Queued,
            Some("tasks were cleared"),
        )
        .await?;
        work.plan_later(dag_id);
    } else if run.state == DagRunState::Running {
        work.apply(&dag, run, Event::Started).await?;
    }
    if clearing.dry_run {
        work.transaction.rollback().await?;
        return Ok(cleared);
    }
    let to_plan = work.commit().await?;
    super::settle(core, to_plan).await?;
    Ok(cleared)
}

fn chosen(dag: &Dag, run_id: &str, clearing: &Clearing) -> Result<BTreeSet<String>, Error> {
    if clearing.task_ids.is_empty() {
        return Ok(dag.tasks.iter().map(|task| task.task_id.clone()).collect());
    }
    let mut chosen = BTreeSet::new();
    let mut open = clearing.task_ids.clone();
    while let Some(task_id) = open.pop() {
        if dag.task(&task_id).is_none() {
            return Err(Error::TaskNotFound {
                dag_id: dag.dag_id.clone(),
                run_id: run_id.to_owned(),
                task_id,
            });
        }
        if clearing.downstream {
            let after = dag.successors(&task_id).map(|task| task.task_id.clone());
            open.extend(after.filter(|after| !chosen.contains(after)));
        }
        chosen.insert(task_id);
    }
    Ok(chosen)
}
