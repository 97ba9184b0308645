//! The loop around [`crate::decide`]: it does what is due, and sleeps until something else is.

pub(crate) mod alarm;
pub(crate) mod attempts;
pub(crate) mod backfill;
pub(crate) mod callbacks;
pub(crate) mod clear;
pub(crate) mod deliver;
pub(crate) mod hold;
mod look_through;
pub(crate) mod mark;
pub(crate) mod plan;
pub(crate) mod work;

use std::collections::BTreeSet;
use std::time::Duration;

use fragua_base::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::look_through::plan_everything_active;
use self::work::Work;
use crate::core::Core;
use crate::decide::Event;
use crate::doorbell;
use crate::files::DagFolder;
use crate::store::{dag_runs, dags, deadlines, instant, millis, processes, task_instances};
use crate::{DagRunState, Error, TaskState};

/// The longest sleep: what another process made due without ringing is found after it, and a heartbeat comes as often.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How often everything is looked through for what a process that ended between two transactions left undone.
const LOOK_THROUGH: Duration = Duration::from_secs(600);

/// How long the loop pauses after the database failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Runs until told to end.
pub(crate) async fn run(core: &Core, shutdown: CancellationToken) -> Result<(), Error> {
    let process = processes::Model::beginning(processes::SCHEDULER, millis(core.now()));
    let id = process.id.clone();
    processes::insert(core.database.writer(), process).await?;
    let folder = DagFolder::watch(core)?;
    tokio::select! {
        result = schedule(core, &id) => result?,
        result = folder.follow(core) => result?,
        () = doorbell::carry(core) => {}
        result = deliver::run(core) => result?,
        () = shutdown.cancelled() => {}
    }
    processes::end(core.database.writer(), &[id], millis(core.now())).await?;
    Ok(())
}

async fn schedule(core: &Core, process: &str) -> Result<(), Error> {
    let (mut heard_at, mut looked_through_at) = (None, None);
    let is_over = |since: Option<Instant>, time| since.is_none_or(|since| since.elapsed() >= time);
    loop {
        core.bells.alarm.reset();
        let done = async {
            if is_over(heard_at, LONGEST_SLEEP) {
                processes::heartbeat(core.database.writer(), process, millis(core.now())).await?;
                heard_at = Some(Instant::now());
            }
            if is_over(looked_through_at, LOOK_THROUGH) {
                plan_everything_active(core).await?;
                looked_through_at = Some(Instant::now());
            }
            tick(core).await
        };
        match done.await {
            Ok(next) => next.into_iter().for_each(|next| core.bells.alarm.set(next)),
            Err(error) => {
                tracing::error!(%error, "the scheduler could not do what is due, and tries again");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                continue;
            }
        }
        let heard = heard_at.map_or(Duration::ZERO, |at| at.elapsed());
        let most = LONGEST_SLEEP.saturating_sub(heard);
        core.bells.alarm.wait(core.clock.as_ref(), most).await;
    }
}

/// Does all that is due now. Returns when something will be due next by the clock.
pub(crate) async fn tick(core: &Core) -> Result<Option<Timestamp>, Error> {
    attempts::expire(core).await?;
    end_waits(core).await?;
    time_out_runs(core).await?;
    callbacks::find_late(core).await?;
    let due = dags::due(core.database.reader(), millis(core.now())).await?;
    settle(core, due.into_iter().collect()).await?;
    let reader = core.database.reader();
    let next = [
        task_instances::next_due(reader).await?,
        dag_runs::next_timeout(reader).await?,
        dags::next_due(reader).await?,
        deadlines::next_due(reader).await?,
    ];
    Ok(instant(next.into_iter().flatten().min()))
}

/// Plans DAGs, and those that follow from it, each in a transaction of its own.
pub(crate) async fn settle(core: &Core, mut dag_ids: BTreeSet<String>) -> Result<(), Error> {
    while let Some(dag_id) = dag_ids.pop_first() {
        dag_ids.extend(Box::pin(plan::plan_dag(core, &dag_id)).await?);
    }
    Ok(())
}

/// Goes on with tasks whose delay or wait is over, or took too long.
async fn end_waits(core: &Core) -> Result<(), Error> {
    let now = millis(core.now());
    for found in task_instances::due(core.database.reader(), now).await? {
        let mut work = Work::begin(core).await?;
        let (dag, run) = work.lock_run(&found.dag_id, &found.run_id).await?;
        let id = found.instance_id();
        let row = task_instances::find(&work.transaction, &found.dag_id, &found.run_id, &id).await?;
        let is_due = |at: Option<i64>| at.is_some_and(|at| at <= now);
        let Some(row) = row.filter(|row| is_due(row.wake_at) || is_due(row.deadline_at)) else {
            continue;
        };
        let event = match row.state()? {
            TaskState::Deferred => Some(Event::HoldEnded {
                id,
                ending: hold::due(&dag, &row, now)?,
            }),
            TaskState::Queued => queue_timed_out(&mut work, row).await?,
            _ => Some(Event::Due { id }),
        };
        if let Some(event) = event {
            work.apply(&dag, run, event).await?;
        }
        let to_plan = work.commit().await?;
        settle(core, to_plan).await?;
    }
    Ok(())
}

/// A task that waits for a slot may do so as long as it must. One that no worker listens for does not wait for ever.
async fn queue_timed_out(
    work: &mut Work<'_>,
    mut row: task_instances::Model,
) -> Result<Option<Event>, Error> {
    let settings = &work.core.settings;
    let heard_since = Timestamp::from_millis(millis(work.now) - millis_of(settings.lease * 3));
    let workers = processes::live_workers(&work.transaction, millis(heard_since)).await?;
    let timeout = settings.task_queued_timeout;
    if workers.iter().any(|worker| worker.listens_to(&row.queue)) {
        row.deadline_at = Some(millis(work.now.plus(timeout)));
        task_instances::update(&work.transaction, row).await?;
        return Ok(None);
    }
    let message = format!(
        "no worker listened to its queue {} for {}",
        row.queue,
        crate::dag::duration::Written(timeout)
    );
    Ok(Some(Event::QueueTimedOut {
        id: row.instance_id(),
        message,
    }))
}

pub(crate) fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Fails the runs that took longer than their DAG allows; what is unfinished in them is skipped.
async fn time_out_runs(core: &Core) -> Result<(), Error> {
    for found in dag_runs::timed_out(core.database.reader(), millis(core.now())).await? {
        let mut work = Work::begin(core).await?;
        let (dag, mut run) = work.lock_run(&found.dag_id, &found.run_id).await?;
        if run.state != DagRunState::Running {
            continue;
        }
        let timeout = crate::dag::duration::Written(dag.dagrun_timeout.unwrap_or_default());
        let message = format!("the run was not over after {timeout}");
        for mut row in work.lock_instances(&dag, &run).await? {
            let from = row.state()?;
            if from.is_finished() {
                continue;
            }
            row.release();
            row.set_state(TaskState::Skipped);
            row.ended_at = Some(millis(work.now));
            row.message = Some(message.clone());
            work.write(row, from).await?;
        }
        work.end_run(&mut run, DagRunState::Failed, Some(&message))
            .await?;
        work.tell_run_end(&dag, &run, DagRunState::Failed, Some(&message))
            .await?;
        work.ring(&core.bells.leases);
        let to_plan = work.commit().await?;
        settle(core, to_plan).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
