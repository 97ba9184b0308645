//! Says by hand how tasks and runs ended.

use serde_json::json;

use super::clear::{Chosen, with_others};
use super::work::Work;
use crate::audit::{self, About};
use crate::core::Core;
use crate::decide::Event;
use crate::store::{attempts, dag_runs, millis, task_instances};
use crate::{AttemptState, DagRunState, Error, InstanceId, TaskInstance, TaskState};

/// Which tasks of a run are said to have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marking {
    /// These tasks, groups, and instances such as `load[3]`.
    pub task_ids: Vec<String>,
    /// How: success, failed or skipped.
    pub state: TaskState,
    /// And all that come before them.
    pub upstream: bool,
    /// And all that come after them.
    pub downstream: bool,
    /// In all earlier runs too.
    pub past: bool,
    /// In all later runs too.
    pub future: bool,
    /// Say which it would be, and change nothing.
    pub dry_run: bool,
}

impl Marking {
    /// Returns the marking of one task.
    pub fn one(id: &InstanceId, state: TaskState) -> Self {
        Self {
            task_ids: vec![id.to_string()],
            state,
            upstream: false,
            downstream: false,
            past: false,
            future: false,
            dry_run: false,
        }
    }
}

/// Why a task stands where somebody put it.
const BY_HAND: &str = "was marked by hand";

/// Marks tasks. What runs is stopped; what could not run because of a task that is not failed any more starts over.
/// Returns those it concerned, as they stood before.
pub(crate) async fn mark(
    core: &Core,
    actor: &str,
    (dag_id, run_id): (&str, &str),
    marking: &Marking,
) -> Result<Vec<TaskInstance>, Error> {
    if !matches!(
        marking.state,
        TaskState::Success | TaskState::Failed | TaskState::Skipped
    ) {
        return Err(Error::InvalidRequest {
            field: "new_state",
            reason: format!("must be success, failed or skipped, not {}", marking.state),
        });
    }
    let mut work = Work::begin(core).await?;
    let mut marked = Vec::new();
    for other in with_others(&work, dag_id, run_id, (marking.past, marking.future)).await? {
        let (dag, run) = work.lock_run(dag_id, &other).await?;
        let directions = (marking.upstream, marking.downstream);
        let chosen = Chosen::of(&dag, run_id, &marking.task_ids, directions, other == run_id)?;
        let rows = work.lock_instances(&dag, &run).await?;
        let (meant, others): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| chosen.has(&row.instance_id()));
        let mut is_changed = false;
        for row in meant {
            let before = TaskInstance::try_from(row.clone())?;
            if before.state != marking.state {
                end(&mut work, row, marking.state, BY_HAND).await?;
                is_changed = true;
            }
            marked.push(before);
        }
        if !is_changed {
            continue;
        }
        let after = chosen.after(&dag);
        for row in others {
            let could_not_run =
                row.state()? == TaskState::UpstreamFailed && marking.state != TaskState::Failed;
            if could_not_run && after.contains(row.task_id.as_str()) {
                work.clear_row(row).await?;
            }
        }
        match run.state {
            DagRunState::Running => work.apply(&dag, run, Event::Started).await?,
            DagRunState::Success | DagRunState::Failed => work.requeue_run(&run, "tasks were marked").await?,
            DagRunState::Queued => {}
        }
    }
    if marking.dry_run {
        work.transaction.rollback().await?;
        return Ok(marked);
    }
    let extra =
        json!({ "task_ids": marking.task_ids, "state": marking.state.as_str(), "marked": marked.len() });
    let about = About::run(dag_id, run_id);
    audit::note(
        &work.transaction,
        (work.now, actor),
        "mark_task_instances",
        about,
        extra,
    )
    .await?;
    work.ring(&core.bells.leases);
    let to_plan = work.commit().await?;
    super::settle(core, to_plan).await?;
    Ok(marked)
}

/// Marks a run. For success all its tasks that are not over succeed; for failure what runs fails, and the rest is
/// skipped.
pub(crate) async fn mark_run(
    core: &Core,
    actor: &str,
    (dag_id, run_id): (&str, &str),
    state: DagRunState,
) -> Result<(), Error> {
    if !state.is_finished() {
        return Err(Error::InvalidRequest {
            field: "state",
            reason: format!("must be success or failed, not {state}"),
        });
    }
    let mut work = Work::begin(core).await?;
    let (_, mut run) = work.lock_run(dag_id, run_id).await?;
    for row in task_instances::lock_of_dag_run(&work.transaction, dag_id, run_id).await? {
        let from = row.state()?;
        let to = match state {
            DagRunState::Success if from != TaskState::Removed => TaskState::Success,
            DagRunState::Failed if from.is_leased() => TaskState::Failed,
            DagRunState::Failed if !from.is_finished() => TaskState::Skipped,
            _ => from,
        };
        if from != to {
            end(&mut work, row, to, "its run was marked by hand").await?;
        }
    }
    let change = dag_runs::StateChange {
        state,
        started_at: run.started_at.map(millis),
        ended_at: Some(run.ended_at.map_or(millis(work.now), millis)),
        timeout_at: None,
    };
    dag_runs::set_state(&work.transaction, dag_id, run_id, change).await?;
    work.run_changed(&run, run.state.as_str(), state, Some(BY_HAND))
        .await?;
    run.state = state;
    work.plan_later(dag_id);
    let extra = json!({ "state": state.as_str() });
    let about = About::run(dag_id, run_id);
    audit::note(&work.transaction, (work.now, actor), "mark_dag_run", about, extra).await?;
    work.ring(&core.bells.leases);
    let to_plan = work.commit().await?;
    super::settle(core, to_plan).await
}

/// Ends a task; an attempt that runs loses its lease, and its worker stops it.
async fn end(
    work: &mut Work<'_>,
    mut row: task_instances::Model,
    state: TaskState,
    message: &str,
) -> Result<(), Error> {
    let from = row.state()?;
    if let Some(token) = row.attempt_token.clone() {
        let ended = attempts::Ended {
            state: AttemptState::Stopped,
            at: millis(work.now),
            usage: Default::default(),
            message: Some(message.to_owned()),
        };
        attempts::end(&work.transaction, &row.id, &token, ended).await?;
    }
    row.release();
    row.set_state(state);
    row.ended_at = Some(millis(work.now));
    row.message = Some(message.to_owned());
    work.write(row, from).await
}
