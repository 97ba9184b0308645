//! Leases: a worker takes queued tasks, prolongs what it holds, and says how each attempt ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use fragua_base::random_hex;
use sea_orm::ConnectionTrait;

use super::work::Work;
use crate::core::Core;
use crate::dag::Dag;
use crate::decide::{Busy, Ending, Event, PoolSize};
use crate::exec::spec::Usage;
use crate::object_watch;
use crate::store::task_instances::QueuedPage;
use crate::store::{attempts, count, map_index, millis, pools, task_instances, xcoms};
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
    pub(crate) usage: Usage,
}

impl From<Ending> for Ended {
    fn from(ending: Ending) -> Self {
        Self {
            ending,
            usage: Usage::default(),
        }
    }
}

/// How many queued tasks are looked at in one query.
const PAGE: u64 = 200;

/// How many queued tasks are looked at for one lease at most: beyond them everything waits for the same few limits.
const MOST_LOOKED_AT: u64 = 10_000;

/// Takes up to `limit` queued tasks for a worker that listens to some queues, or to all. The limits of pools, runs and
/// tasks are counted in the same transaction, by one worker at a time.
pub(crate) async fn claim(
    core: &Core,
    worker: &str,
    queues: &[String],
    limit: usize,
) -> Result<Vec<Lease>, Error> {
    if limit == 0 || !task_instances::any_queued(core.database.reader(), queues).await? {
        return Ok(Vec::new());
    }
    let mut work = Work::begin(core).await?;
    let (pools, mut busy) = count_busy(&work.transaction, core.settings.max_running, true).await?;
    // Counted once: a pool that fills up meanwhile must not move what the next page begins with.
    let full = pools
        .iter()
        .filter(|(name, pool)| pool.slots >= 0 && busy.taken(name) >= pool.slots);
    let full: Vec<String> = full.map(|(name, _)| name.clone()).collect();
    let mut leases = Vec::new();
    let mut offset = 0;
    while leases.len() < limit && offset < MOST_LOOKED_AT {
        let page = QueuedPage {
            queues,
            full_pools: &full,
            limit: PAGE,
            offset,
        };
        let picked = task_instances::pick_queued(&work.transaction, page).await?;
        let is_last = (picked.len() as u64) < PAGE;
        let mut passed_over = 0;
        for row in picked {
            let candidate = row.candidate();
            if leases.len() == limit || busy.admit(&candidate, &pools).is_err() {
                passed_over += 1;
                continue;
            }
            busy.add(&candidate);
            leases.push(lease(&mut work, row, worker).await?);
        }
        if is_last {
            break;
        }
        // What was taken is queued no more, so the next page begins that much earlier.
        offset += passed_over;
    }
    work.commit().await?;
    Ok(leases)
}

/// Counts what is under way, of which there may be so many at `most`. `alone` keeps others from counting until the transaction ends.
pub(crate) async fn count_busy(
    connection: &impl ConnectionTrait,
    most: Option<usize>,
    alone: bool,
) -> Result<(BTreeMap<String, PoolSize>, Busy), Error> {
    let pools = match alone {
        true => pools::lock_all(connection).await?,
        false => pools::all(connection).await?,
    };
    let mut busy = Busy::up_to(most);
    let leased = [TaskState::Running, TaskState::Restarting];
    for row in task_instances::in_states(connection, &leased).await? {
        busy.add(&row.candidate());
    }
    if pools.iter().any(|pool| pool.include_deferred) {
        for row in task_instances::in_states(connection, &[TaskState::Deferred]).await? {
            let counts = pools
                .iter()
                .any(|pool| pool.name == row.pool && pool.include_deferred);
            if counts {
                busy.add_to_pool(&row.pool, row.pool_slots);
            }
        }
    }
    let sizes = pools
        .into_iter()
        .map(|pool| (pool.name, PoolSize { slots: pool.slots }));
    Ok((sizes.collect(), busy))
}

async fn lease(work: &mut Work<'_>, mut row: task_instances::Model, worker: &str) -> Result<Lease, Error> {
    let token = random_hex(16);
    let goes_on = std::mem::take(&mut row.is_rescheduled);
    row.release();
    row.set_state(TaskState::Running);
    row.attempt += i64::from(!goes_on);
    row.requeues = 0;
    row.started_at = row.started_at.filter(|_| goes_on).or(Some(millis(work.now)));
    row.first_started_at = row.first_started_at.or(row.started_at);
    row.ended_at = None;
    row.message = None;
    row.attempt_token = Some(token.clone());
    row.process = Some(worker.to_owned());
    row.lease_until = Some(millis(work.now.plus(work.core.settings.lease)));
    let attempt = attempts::Model {
        task_instance: row.id.clone(),
        number: row.attempt,
        token: token.clone(),
        process: worker.to_owned(),
        state: AttemptState::Running.as_str().to_owned(),
        started_at: row.started_at.unwrap_or(millis(work.now)),
        ended_at: None,
        process_id: None,
        process_start: None,
        peak_memory_bytes: None,
        cpu_millis: None,
        exit_status: None,
        exit_signal: None,
        message: None,
    };
    attempts::put(&work.transaction, attempt).await?;
    if !goes_on {
        let run = (row.dag_id.as_str(), row.run_id.as_str());
        xcoms::remove(&work.transaction, run, &row.instance_id()).await?;
    }
    let lease = Lease {
        key: TaskKey {
            dag_id: row.dag_id.clone(),
            run_id: row.run_id.clone(),
            task_id: row.task_id.clone(),
            map_index: map_index(row.map_index),
            attempt: count(row.attempt),
        },
        task_instance: row.id.clone(),
        token,
    };
    work.write(row, TaskState::Queued).await?;
    Ok(lease)
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
    let found = task_instances::find_by_token(core.database.reader(), token).await?;
    let found = found.ok_or(Error::StaleToken { state: None })?;
    let mut work = Work::begin(core).await?;
    let (dag, run) = work.lock_run(&found.dag_id, &found.run_id).await?;
    // Only now is it certain that nobody else decides about this run.
    let id = found.instance_id();
    let row = task_instances::find(&work.transaction, &found.dag_id, &found.run_id, &id).await?;
    let state = row.as_ref().map(task_instances::Model::state).transpose()?;
    let Some(row) = row.filter(|row| row.attempt_token.as_deref() == Some(token)) else {
        return Err(Error::StaleToken { state });
    };
    let ending = check_size(ended.ending, core.settings.max_xcom_bytes);
    let (state, message) = match &ending {
        Ending::Success(_) => (AttemptState::Success, None),
        Ending::Reschedule { .. } => (AttemptState::Rescheduled, None),
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
        usage: ended.usage,
        message: message.cloned(),
    };
    attempts::end(&work.transaction, &row.id, token, record).await?;
    let awaited = match &ending {
        Ending::Reschedule { object, .. } => object.clone(),
        _ => None,
    };
    work.apply(&dag, run, Event::AttemptEnded { id, ending }).await?;
    let to_plan = work.commit().await?;
    super::settle(core, to_plan).await?;
    match awaited {
        Some(object) => object_watch::begins_to_wait(core, &row.id, &object).await,
        None => Ok(()),
    }
}

/// Makes a failure of a success that hands on more than it may.
fn check_size(ending: Ending, most: u64) -> Ending {
    let Ending::Success(success) = &ending else {
        return ending;
    };
    let sizes = success
        .xcoms
        .iter()
        .map(|(key, value)| (key, value.to_string().len() as u64));
    let too_large = sizes.into_iter().find(|(_, size)| *size > most);
    match too_large.map(|(key, size)| crate::operator::too_large(key, size, most)) {
        Some(message) => Ending::FailedForGood { message },
        None => ending,
    }
}

/// Takes back the leases that nobody prolonged.
pub(crate) async fn expire(core: &Core) -> Result<(), Error> {
    let now = millis(core.now());
    // No lease ends that late, unless the clock was set back after it was given: nobody would miss its worker till then.
    let latest = millis(core.now().plus(core.settings.lease));
    if task_instances::any_leased_beyond(core.database.reader(), latest).await? {
        task_instances::cut_leases(core.database.writer(), latest).await?;
    }
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
