//! Lets tasks of a run start over.

use std::collections::BTreeSet;

use serde_json::json;

use super::work::Work;
use crate::audit::{self, About};
use crate::core::Core;
use crate::dag::{Dag, Task};
use crate::decide::Event;
use crate::store::dag_runs;
use crate::{DagRunState, Error, InstanceId, TaskInstance};

/// Which tasks of a run are to start over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clearing {
    /// These tasks, groups, and instances such as `load[3]`; all when empty.
    pub task_ids: Vec<String>,
    /// And all that come before them.
    pub upstream: bool,
    /// And all that come after them.
    pub downstream: bool,
    /// In all earlier runs too.
    pub past: bool,
    /// In all later runs too.
    pub future: bool,
    /// Of these only those that failed, or could not run because another failed.
    pub only_failed: bool,
    /// Say which it would be, and change nothing.
    pub dry_run: bool,
}

/// Clears tasks. Returns them as they stood before.
pub(crate) async fn clear(
    core: &Core,
    actor: &str,
    dag_id: &str,
    run_id: &str,
    clearing: &Clearing,
) -> Result<Vec<TaskInstance>, Error> {
    let mut work = Work::begin(core).await?;
    let mut cleared = Vec::new();
    let sides = (clearing.past, clearing.future);
    for other in with_others(&work, dag_id, run_id, sides).await? {
        let (dag, run) = work.lock_run(dag_id, &other).await?;
        let directions = (clearing.upstream, clearing.downstream);
        let mut chosen = Chosen::of(&dag, run_id, &clearing.task_ids, directions, other == run_id)?;
        chosen.add_setups_and_teardowns(&dag);
        let before = cleared.len();
        for row in work.lock_instances(&dag, &run).await? {
            let from = row.state()?;
            if chosen.has(&row.instance_id()) && (!clearing.only_failed || from.is_failure()) {
                cleared.push(TaskInstance::try_from(row.clone())?);
                work.clear_row(row).await?;
            }
        }
        if run.state.is_finished() && cleared.len() > before {
            work.requeue_run(&run, "tasks were cleared").await?;
        } else if run.state == DagRunState::Running {
            work.apply(&dag, run, Event::Started).await?;
        }
    }
    if clearing.dry_run {
        work.transaction.rollback().await?;
        return Ok(cleared);
    }
    let extra = json!({
        "task_ids": clearing.task_ids,
        "upstream": clearing.upstream,
        "downstream": clearing.downstream,
        "past": clearing.past,
        "future": clearing.future,
        "only_failed": clearing.only_failed,
        "cleared": cleared.len(),
    });
    let about = About::run(dag_id, run_id);
    audit::note(
        &work.transaction,
        (work.now, actor),
        "clear_task_instances",
        about,
        extra,
    )
    .await?;
    let to_plan = work.commit().await?;
    super::settle(core, to_plan).await?;
    Ok(cleared)
}

/// Returns a run with those before and after it, by logical date, as they are locked.
pub(super) async fn with_others(
    work: &Work<'_>,
    dag_id: &str,
    run_id: &str,
    sides: (bool, bool),
) -> Result<Vec<String>, Error> {
    let row = dag_runs::find(&work.transaction, dag_id, run_id).await?;
    let row = row.ok_or_else(|| Error::DagRunNotFound {
        dag_id: dag_id.to_owned(),
        run_id: run_id.to_owned(),
    })?;
    let (past, future) = sides;
    let mut run_ids = Vec::new();
    if let Some(date) = row.logical_date.filter(|_| past) {
        run_ids.extend(dag_runs::around(&work.transaction, dag_id, date, (true, false)).await?);
    }
    run_ids.push(run_id.to_owned());
    if let Some(date) = row.logical_date.filter(|_| future) {
        run_ids.extend(dag_runs::around(&work.transaction, dag_id, date, (false, true)).await?);
    }
    Ok(run_ids)
}

/// The tasks of a run that are meant.
pub(super) struct Chosen {
    task_ids: BTreeSet<String>,
    /// Of tasks that are made several instances of only these, where some are named.
    instances: BTreeSet<InstanceId>,
}

impl Chosen {
    /// Finds the tasks that are meant, with those before and after them. A run of another version may not have them.
    pub(super) fn of(
        dag: &Dag,
        run_id: &str,
        names: &[String],
        (upstream, downstream): (bool, bool),
        must_exist: bool,
    ) -> Result<Self, Error> {
        let mut chosen = Self {
            task_ids: BTreeSet::new(),
            instances: BTreeSet::new(),
        };
        if names.is_empty() {
            chosen.task_ids = dag.tasks.iter().map(|task| task.task_id.clone()).collect();
        }
        for name in names {
            let id = InstanceId::from(name);
            let members: Vec<&str> = match dag.task(&id.task_id) {
                Some(task) => vec![task.task_id.as_str()],
                None => dag.tasks_in(&id.task_id).collect(),
            };
            if members.is_empty() && must_exist {
                return Err(Error::TaskNotFound {
                    dag_id: dag.dag_id.clone(),
                    run_id: run_id.to_owned(),
                    task_id: name.clone(),
                });
            }
            for member in members {
                chosen.task_ids.insert(member.to_owned());
                if upstream {
                    chosen
                        .task_ids
                        .extend(dag.all_before(member).into_iter().map(str::to_owned));
                }
                if downstream {
                    chosen
                        .task_ids
                        .extend(dag.all_after(member).into_iter().map(str::to_owned));
                }
            }
            chosen.instances.extend(id.map_index.is_some().then_some(id));
        }
        Ok(chosen)
    }

    /// Adds what sets up for the tasks that are meant, and what takes that down: it is of no use to do work again without.
    fn add_setups_and_teardowns(&mut self, dag: &Dag) {
        let mut more = BTreeSet::new();
        let is = |task_id: &str, kind: fn(&Task) -> bool| dag.task(task_id).is_some_and(kind);
        for task_id in &self.task_ids {
            if is(task_id, |task| task.setup || task.teardown) {
                continue;
            }
            let (before, after) = (dag.all_before(task_id), dag.all_after(task_id));
            for setup in before
                .into_iter()
                .filter(|task_id| is(task_id, |task| task.setup))
            {
                let teardowns = dag.successors(setup).filter(|task| task.teardown);
                let teardowns: Vec<&str> = teardowns.map(|task| task.task_id.as_str()).collect();
                let around: Vec<&str> = teardowns
                    .iter()
                    .copied()
                    .filter(|teardown| after.contains(teardown))
                    .collect();
                // What was taken down before this task is not what it works with.
                if teardowns.is_empty() || !around.is_empty() {
                    more.insert(setup.to_owned());
                    more.extend(around.into_iter().map(str::to_owned));
                }
            }
        }
        self.task_ids.extend(more);
    }

    /// Says whether an instance is meant.
    pub(super) fn has(&self, id: &InstanceId) -> bool {
        let mut named = self
            .instances
            .iter()
            .filter(|named| named.task_id == id.task_id)
            .peekable();
        self.task_ids.contains(&id.task_id) && (named.peek().is_none() || named.any(|named| named == id))
    }

    /// Returns all tasks after those that are meant.
    pub(super) fn after<'d>(&'d self, dag: &'d Dag) -> BTreeSet<&'d str> {
        self.task_ids
            .iter()
            .flat_map(|task_id| dag.all_after(task_id))
            .collect()
    }
}
