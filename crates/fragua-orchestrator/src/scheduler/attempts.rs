//! Leases: a worker takes queued tasks, prolongs what it holds, and says how each attempt ended.

use std::sync::Arc;

use fragua_base::random_hex;

use super::work::Work;
use crate::core::Core;
use crate::dag::Dag;
use crate::decide::{Ending, Event};
use crate::store::{attempts, count, millis, processes, task_instances};
use crate::{AttemptState, DagRun, Error, TaskKey, TaskState};

/// An attempt that a worker has taken.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) key: TaskKey,
    pub(crate) task_instance: String,
    pub(crate) token: String,
}

/// How an attempt ended, with what was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    pub(crate) ending: Ending,
    pub(crate) peak_memory_bytes: Option<u64>,
}

impl From<Ending> for Ended {
    fn from(ending: Ending) -> Self {
        Self {
            ending,
            peak_memory_bytes: None,
        }
    }
}

/// What has become of a worker's leases.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) tokens: Vec<String>,
    /// Those whose task was cleared: to be stopped and reported.
    pub(crate) to_restart: Vec<String>,
}

/// Takes up to `limit` queued tasks for a worker.
pub(crate) async fn claim(core: &Core, worker: &str, limit: usize) -> Result<Vec<Lease>, Error> {
    let mut work = Work::begin(core).await?;
    let picked = task_instances::pick_queued(&work.transaction, limit as u64).await?;
    let mut leases = Vec::with_capacity(picked.len());
    for mut row in picked {
        let token = random_hex(16);
        row.release();
        row.set_state(TaskState::Running);
        row.attempt += 1;
        row.started_at = Some(millis(work.now));
        row.ended_at = None;
        row.message = None;
        row.xcom = None;
        row.attempt_token = Some(token.clone());
        row.process = Some(worker.to_owned());
        row.lease_until = Some(millis(work.now.plus(core.settings.lease)));
        let attempt = attempts::Model {
            task_instance: row.id.clone(),
            number: row.attempt,
            token: token.clone(),
            process: worker.to_owned(),
            state: AttemptState::Running.as_str().to_owned(),
            started_at: millis(work.now),
            ended_at: None,
            process_id: None,
            process_start: None,
            peak_memory_bytes: None,
            message: None,
        };
        attempts::insert(&work.transaction, attempt).await?;
        let key = TaskKey {
            dag_id: row.dag_id.clone(),
            run_id: row.run_id.clone(),
            task_id: row.task_id.clone(),
            attempt: count(row.attempt),
        };
        leases.push(Lease {
            key,
            task_instance: row.id.clone(),
            token,
        });
        work.write(row, TaskState::Queued).await?;
    }
    work.commit().await?;
    Ok(leases)
}

/// Returns what an attempt is to do.
pub(crate) async fn assignment(core: &Core, lease: &Lease) -> Result<(Arc<Dag>, DagRun), Error> {
    let connection = core.database.reader();
    let (dag_id, run_id) = (&lease.key.dag_id, &lease.key.run_id);
    let row = crate::store::dag_runs::find(connection, dag_id, run_id).await?;
    let missing = || Error::DagRunNotFound {
        dag_id: dag_id.clone(),
        run_id: run_id.clone(),
    };
    let run = DagRun::try_from(row.ok_or_else(missing)?)?;
    Ok((core.dag_version(connection, dag_id, &run.version).await?, run))
}

/// Records how an attempt ended, and what follows.
///
/// # Errors
/// [`Error::StaleToken`] when the lease is not the attempt's own any more; nothing is changed then.
pub(crate) async fn end(core: &Core, token: &str, ended: Ended) -> Result<(), Error> {
    let found = task_instances::find_by_token(core.database.writer(), token).await?;
    let found = found.ok_or(Error::StaleToken { state: None })?;
    let mut work = Work::begin(core).await?;
    let (dag, run) = work.lock_run(&found.dag_id, &found.run_id).await?;
    // Only now is it certain that nobody else decides about this run.
    let row = task_instances::find(&work.transaction, &found.dag_id, &found.run_id, &found.task_id).await?;
    let state = row.as_ref().map(task_instances::Model::state).transpose()?;
    let Some(row) = row.filter(|row| row.attempt_token.as_deref() == Some(token)) else {
        return Err(Error::StaleToken { state });
    };
    let (state, message) = match &ended.ending {
        Ending::Success { .. } => (AttemptState::Success, None),
        Ending::Failed { message } | Ending::FailedForGood { message } => {
            (AttemptState::Failed, Some(message))
        }
        Ending::Skipped { message } => (AttemptState::Skipped, Some(message)),
        Ending::Lost { message } => (AttemptState::Lost, Some(message)),
        Ending::HandedBack { message } => (AttemptState::Stopped, Some(message)),
    };
    let record = attempts::Ended {
        state,
        at: millis(work.now),
        peak_memory_bytes: ended.peak_memory_bytes,
        message: message.cloned(),
    };
    attempts::end(&work.transaction, &row.id, token, record).await?;
    let event = Event::AttemptEnded {
        task_id: row.task_id,
        ending: ended.ending,
    };
    work.apply(&dag, run, event).await?;
    let to_plan = work.commit().await?;
    super::settle(core, to_plan).await
}

/// Prolongs a worker's leases and says which it still holds.
pub(crate) async fn heartbeat(core: &Core, worker: &str) -> Result<Held, Error> {
    let connection = core.database.writer();
    let now = core.now();
    task_instances::prolong(connection, worker, millis(now.plus(core.settings.lease))).await?;
    processes::heartbeat(connection, worker, millis(now)).await?;
    let mut held = Held::default();
    for (token, restarting) in task_instances::leases_of(connection, worker).await? {
        if restarting {
            held.to_restart.push(token.clone());
        }
        held.tokens.push(token);
    }
    Ok(held)
}

/// Takes back the leases that nobody prolonged.
pub(crate) async fn expire(core: &Core) -> Result<(), Error> {
    let now = millis(core.now());
    for token in task_instances::expired(core.database.reader(), now).await? {
        lose(
            core,
            &token,
            "its worker was not heard of for the length of a lease",
        )
        .await?;
    }
    Ok(())
}

/// Gives up an attempt whose worker is gone. One that ended meanwhile is left as it is.
pub(crate) async fn lose(core: &Core, token: &str, message: &str) -> Result<(), Error> {
    let ending = Ending::Lost {
        message: format!("worker lost: {message}"),
    };
    match end(core, token, ending.into()).await {
        Err(Error::StaleToken { .. }) => Ok(()),
        result => result,
    }
}
