//! What a worker asks of the orchestrator, answered from the database. A worker of this process calls these; one of another
//! machine comes here over HTTP.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use bytes::Bytes;
use fragua_base::Timestamp;
use tokio::time::Instant;

use super::wire::{
    Assignment, Began, Done, HeartbeatRequest, Held, Introduction, LeaseRequest, Leased, Left, Registration,
};
use crate::core::Core;
use crate::decide::{Ending, Success};
use crate::exec::spec::{End, Spec, Usage};
use crate::scheduler::attempts::{Ended, Lease, assignment, claim, end, lose};
use crate::scheduler::millis_of;
use crate::store::{self, count, map_index, millis, processes, task_instances};
use crate::{AttemptState, Change, Error, TaskKey, logs};

/// How much more than the longest log is taken: the line that says that it was cut.
const LAST_WORDS: u64 = 64 * 1024;

/// Enters a worker in the list.
pub(crate) async fn register(
    core: &Core,
    introduction: Introduction,
    is_remote: bool,
) -> Result<Registration, Error> {
    let connection = core.database.writer();
    let gone = processes::unended_workers(connection, &introduction.home).await?;
    let left = store::attempts::running_of(connection, &gone).await?;
    let row = processes::Model {
        home: introduction.home,
        queues: serde_json::to_string(&introduction.queues).ok(),
        process_id: i64::from(introduction.process_id),
        name: Some(introduction.name),
        host: Some(introduction.host),
        version: Some(introduction.version),
        slots: Some(i64::from(introduction.slots)),
        remote: Some(i64::from(is_remote)),
        ..processes::Model::beginning(processes::WORKER, millis(core.now()))
    };
    let worker = row.id.clone();
    processes::insert(connection, row).await?;
    Ok(Registration {
        worker,
        lease_millis: u64::try_from(millis_of(core.settings.lease)).unwrap_or(u64::MAX),
        left: left
            .into_iter()
            .map(|attempt| Left {
                process: attempt.process_id.map(count).zip(attempt.process_start),
                token: attempt.token,
            })
            .collect(),
    })
}

/// Gives back at once what earlier workers of this worker's folder left: it holds the folder's lock, which proves that they
/// are gone, and has killed what ran for them.
pub(crate) async fn reclaim(core: &Core, worker: &str) -> Result<(), Error> {
    let connection = core.database.writer();
    let home = known(core, worker).await?.home;
    let mut gone = processes::unended_workers(connection, &home).await?;
    gone.retain(|id| id != worker);
    for attempt in store::attempts::running_of(connection, &gone).await? {
        tracing::info!(attempt.token, "an attempt of an earlier worker is given back");
        lose(core, &attempt.token, "the program that ran it ended").await?;
        // One whose lease was taken away meanwhile is only noted.
        note_end(
            core,
            &attempt.task_instance,
            &attempt.token,
            AttemptState::Lost,
            "worker lost",
        )
        .await?;
    }
    // One that was killed between the two writes of a lease has no attempt.
    for id in &gone {
        for row in task_instances::leased_by(connection, id).await? {
            if let Some(token) = row.attempt_token {
                lose(core, &token, "the program that ran it ended").await?;
            }
        }
    }
    Ok(processes::end(connection, &gone, millis(core.now())).await?)
}

async fn known(core: &Core, worker: &str) -> Result<processes::Model, Error> {
    let row = processes::find(core.database.reader(), worker).await?;
    row.filter(|row| row.ended_at.is_none())
        .ok_or_else(|| Error::WorkerNotFound {
            id: worker.to_owned(),
        })
}

/// Gives a worker tasks: at once where some are queued, else as soon as one is or its time is over.
pub(crate) async fn lease(core: &Core, request: &LeaseRequest) -> Result<Leased, Error> {
    let began = Instant::now();
    let until = began + Duration::from_millis(request.wait_millis);
    let mut bell = core.bells.workers.listen();
    let row = known(core, &request.worker).await?;
    if millis(core.now()) - row.heartbeat_at > millis_of(core.settings.lease) / 3 {
        heard_of(core, &request.worker).await?;
    }
    let queues = row.queues();
    // Their leases began some time ago, so that they are prolonged before they are given again.
    let lost: Vec<Lease> = lost_on_the_way(core, request).await?;
    let mut leases = lost;
    loop {
        // One that fell silent while it holds attempts may be frozen: what it was given would wait for a lease to run out.
        let is_silent =
            !request.holding.is_empty() && silence(core, &request.worker).await? >= core.settings.lease / 2;
        let free = match is_silent {
            true => 0,
            false => request.free.saturating_sub(leases.len()),
        };
        let waited_millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        leases.extend(claim(core, &request.worker, &queues, free).await?);
        if !leases.is_empty() || is_silent || Instant::now() >= until {
            let mut assignments = Vec::with_capacity(leases.len());
            for lease in leases {
                assignments.extend(assign(core, lease).await?);
            }
            return Ok(Leased {
                assignments,
                waited_millis,
            });
        }
        tokio::select! {
            () = bell.rung() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

/// How long a worker has not been heard of.
async fn silence(core: &Core, worker: &str) -> Result<Duration, Error> {
    let heard_at = Timestamp::from_millis(known(core, worker).await?.heartbeat_at);
    Ok(core.now().since(heard_at))
}

/// A worker asks for one thing after another: what it was given and does not have, it was never told of.
async fn lost_on_the_way(core: &Core, request: &LeaseRequest) -> Result<Vec<Lease>, Error> {
    let mut leased = task_instances::leased_by(core.database.reader(), &request.worker).await?;
    leased.retain(|row| {
        let token = row.attempt_token.as_ref();
        token.is_some_and(|token| !request.holding.contains(token))
    });
    let tokens: Vec<String> = leased
        .iter()
        .filter_map(|row| row.attempt_token.clone())
        .collect();
    if !tokens.is_empty() {
        prolong(core, &tokens).await?;
    }
    let leases = leased.into_iter().map(|row| Lease {
        key: TaskKey {
            dag_id: row.dag_id,
            run_id: row.run_id,
            task_id: row.task_id,
            map_index: map_index(row.map_index),
            attempt: count(row.attempt),
        },
        task_instance: row.id,
        token: row.attempt_token.unwrap_or_default(),
    });
    Ok(leases.collect())
}

/// Gathers all that an attempt needs. One that cannot be made ends here.
async fn assign(core: &Core, lease: Lease) -> Result<Option<Assignment>, Error> {
    match gather(core, &lease).await {
        Ok(assignment) => Ok(Some(assignment)),
        Err(Unmade::Database(error)) => Err(error),
        Err(Unmade::Task(message)) => {
            end(core, &lease.token, Ending::FailedForGood { message }.into()).await?;
            Ok(None)
        }
    }
}

/// Why an attempt was not made.
enum Unmade {
    /// It is found again at the next request, or its lease runs out.
    Database(Error),
    Task(String),
}

impl From<Error> for Unmade {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(_) => Self::Database(error),
            error => Self::Task(error.to_string()),
        }
    }
}

async fn gather(core: &Core, lease: &Lease) -> Result<Assignment, Unmade> {
    let settings = &core.settings;
    let (dag, run) = assignment(core, lease).await?;
    let task = dag.task(&lease.key.task_id);
    let task = task.ok_or_else(|| Unmade::Task("the DAG of this run has no such task".to_owned()))?;
    let context = core.task_context(core.database.reader(), &run, &lease.key, &lease.token);
    let context = context.await?;
    let secrets = match &settings.task_variables {
        Some(variables) => variables.variables(&lease.key).await.map_err(Unmade::Task)?,
        None => Default::default(),
    };
    let path = logs::path(&settings.logs_folder, &lease.key);
    Ok(Assignment {
        spec: Spec::new(task.clone(), context),
        key: lease.key.clone(),
        task_instance: lease.task_instance.clone(),
        token: lease.token.clone(),
        secrets: secrets
            .into_iter()
            .map(|(name, secret)| (name, secret.expose().to_owned()))
            .collect(),
        log_offset: path.metadata().map_or(0, |metadata| metadata.len()),
        max_log_bytes: settings.max_log_bytes,
        stop_grace_millis: u64::try_from(millis_of(settings.stop_grace)).unwrap_or(u64::MAX),
    })
}

/// Prolongs the leases of these attempts, then waits for one of them to be lost or cleared, or its time to be over. Returns
/// which are still held.
pub(crate) async fn heartbeat(core: &Core, request: &HeartbeatRequest) -> Result<Held, Error> {
    let until = Instant::now() + Duration::from_millis(request.wait_millis);
    let mut bell = core.bells.leases.listen();
    heard_of(core, &request.worker).await?;
    prolong(core, &request.tokens).await?;
    loop {
        let mut held = Held::default();
        let rows = task_instances::still_held(core.database.writer(), &request.tokens).await?;
        for (token, is_cleared) in rows {
            if is_cleared {
                held.to_restart.push(token.clone());
            }
            held.tokens.push(token);
        }
        let lost = request.tokens.iter().filter(|token| !held.tokens.contains(token));
        held.lost = lost.cloned().collect();
        let is_news = !(held.lost.is_empty() && held.to_restart.is_empty());
        if is_news || Instant::now() >= until {
            return Ok(held);
        }
        tokio::select! {
            () = bell.rung() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

async fn prolong(core: &Core, tokens: &[String]) -> Result<(), Error> {
    let until = millis(core.now().plus(core.settings.lease));
    Ok(task_instances::prolong(core.database.writer(), tokens, until).await?)
}

async fn heard_of(core: &Core, worker: &str) -> Result<(), Error> {
    let is_known = processes::heartbeat(core.database.writer(), worker, millis(core.now())).await?;
    match is_known {
        true => Ok(()),
        false => Err(Error::WorkerNotFound {
            id: worker.to_owned(),
        }),
    }
}

/// Notes which process an attempt is.
pub(crate) async fn began(core: &Core, token: &str, began: &Began) -> Result<(), Error> {
    let connection = core.database.writer();
    let Began {
        task_instance,
        process_id,
        process_start,
    } = began;
    Ok(store::attempts::set_process(connection, task_instance, token, *process_id, *process_start).await?)
}

/// Writes a piece of an attempt's log to where it belongs: the same piece twice is one. Returns what is asked for next.
pub(crate) async fn log(core: &Core, token: &str, offset: u64, piece: Bytes) -> Result<u64, Error> {
    let row = task_instances::find_by_token(core.database.writer(), token).await?;
    let row = row.ok_or(Error::StaleToken { state: None })?;
    let next = offset.saturating_add(piece.len() as u64);
    if next > core.settings.max_log_bytes.saturating_add(LAST_WORDS) {
        return Err(Error::InvalidRequest {
            field: "offset",
            reason: format!(
                "leads beyond {} bytes, where logs are cut",
                core.settings.max_log_bytes
            ),
        });
    }
    let key = TaskKey {
        map_index: map_index(row.map_index),
        attempt: count(row.attempt),
        dag_id: row.dag_id,
        run_id: row.run_id,
        task_id: row.task_id,
    };
    let path = logs::path(&core.settings.logs_folder, &key);
    let write = {
        let path = path.clone();
        move || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let file = std::fs::File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            file.write_all_at(&piece, offset)
        }
    };
    let written = tokio::task::spawn_blocking(write)
        .await
        .map_err(std::io::Error::other);
    written
        .and_then(|written| written)
        .map_err(|source| Error::File {
            action: "the log cannot be written:",
            path,
            source,
        })?;
    core.tell(Change::Log {
        task_id: key.instance_id().to_string(),
        dag_id: key.dag_id,
        run_id: key.run_id,
        attempt: key.attempt,
    });
    Ok(next)
}

/// Records how an attempt ended. What was recorded before its answer was lost is not refused.
pub(crate) async fn done(core: &Core, token: &str, done: Done) -> Result<(), Error> {
    let Some(way) = done.end else {
        return note_end(
            core,
            &done.task_instance,
            token,
            AttemptState::Stopped,
            "the lease was lost",
        )
        .await;
    };
    let ended = Ended {
        ending: ending(way, core.now()),
        usage: done.usage,
    };
    match end(core, token, ended).await {
        Err(error @ Error::StaleToken { .. }) => {
            let found = store::attempts::find_by_token(core.database.writer(), &done.task_instance, token);
            let recorded = found.await?.is_some_and(|attempt| {
                let state = AttemptState::parse(&attempt.state);
                !matches!(state, None | Some(AttemptState::Running | AttemptState::Lost))
            });
            if recorded { Ok(()) } else { Err(error) }
        }
        result => result,
    }
}

fn ending(end: End, now: Timestamp) -> Ending {
    match end {
        End::Success { xcoms, assets } => Ending::Success(Success {
            xcoms,
            assets,
            skips: Vec::new(),
        }),
        End::Failed { message } => Ending::Failed { message },
        End::FailedForGood { message } => Ending::FailedForGood { message },
        End::Skipped { message } => Ending::Skipped { message },
        End::Reschedule { millis, object } => Ending::Reschedule {
            at: now.plus(Duration::from_millis(millis)),
            object,
        },
        End::HandedBack { message } => Ending::HandedBack { message },
    }
}

async fn note_end(
    core: &Core,
    task_instance: &str,
    token: &str,
    state: AttemptState,
    message: &str,
) -> Result<(), Error> {
    let ended = store::attempts::Ended {
        state,
        at: millis(core.now()),
        usage: Usage::default(),
        message: Some(message.to_owned()),
    };
    Ok(store::attempts::end(core.database.writer(), task_instance, token, ended).await?)
}

/// Takes back what a worker that ends still holds, and strikes it from the list.
pub(crate) async fn leave(core: &Core, worker: &str) -> Result<(), Error> {
    let connection = core.database.writer();
    for row in task_instances::leased_by(connection, worker).await? {
        let message = format!("stopped: {}", super::ENDED);
        let token = row.attempt_token.unwrap_or_default();
        match end(core, &token, Ending::HandedBack { message }.into()).await {
            Ok(()) | Err(Error::StaleToken { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(processes::end(connection, &[worker.to_owned()], millis(core.now())).await?)
}
