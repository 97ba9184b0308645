//! Takes queued tasks and runs each attempt as a process.

mod attempt;
mod home;
mod output;
mod processes;

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::attempt::Order;
use self::home::Home;
use crate::core::Core;
use crate::decide::Ending;
use crate::scheduler::attempts::{claim, end, heartbeat, lose};
use crate::store::{self, millis};
use crate::{AttemptState, Error};

/// How long a worker with nothing to do sleeps at most: what another process queued without ringing is found after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Why attempts are given back at the end.
const ENDED: &str = "the program that ran it was ended";

/// How long attempts that were told to stop may take beyond their grace.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// Runs until told to end; then stops what runs and gives it back.
pub(crate) async fn run(core: Arc<Core>, shutdown: CancellationToken, slots: usize) -> Result<(), Error> {
    let home = Home::take(&core.settings.work_folder)?;
    reclaim(&core, &home).await?;
    let worker = store::processes::Model {
        home: home.id.clone(),
        queues: serde_json::to_string(&core.settings.queues).ok(),
        host: Some(host_name()),
        slots: i64::try_from(slots.max(1)).ok(),
        ..store::processes::Model::beginning(store::processes::WORKER, millis(core.now()))
    };
    let id = worker.id.clone();
    store::processes::insert(core.database.writer(), worker).await?;
    let mut worker = Worker {
        id: id.clone(),
        slots: slots.max(1),
        attempts: JoinSet::new(),
        orders: HashMap::new(),
        heard: Instant::now(),
        core: core.clone(),
    };
    worker.work(&shutdown).await;
    worker.stop().await;
    give_back(&core, &id).await?;
    store::processes::end(core.database.writer(), &[id], millis(core.now())).await?;
    Ok(())
}

/// Returns the name of this machine.
fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}

/// Gives back what did not end in time.
async fn give_back(core: &Core, worker: &str) -> Result<(), Error> {
    for (token, _) in store::task_instances::leases_of(core.database.writer(), worker).await? {
        let ending = Ending::HandedBack {
            message: format!("stopped: {ENDED}"),
        };
        match end(core, &token, ending.into()).await {
            Ok(()) | Err(Error::StaleToken { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives back at once what earlier workers of this folder left: holding its lock proves that they are gone.
async fn reclaim(core: &Core, home: &Home) -> Result<(), Error> {
    let connection = core.database.writer();
    let gone = store::processes::unended_workers(connection, &home.id).await?;
    if gone.is_empty() {
        return Ok(());
    }
    let left = store::attempts::running_of(connection, &gone).await?;
    let killing = left.iter().map(|attempt| {
        let process_id = attempt
            .process_id
            .and_then(|process_id| u32::try_from(process_id).ok());
        processes::kill_leftovers(process_id.zip(attempt.process_start), &attempt.token)
    });
    futures::future::join_all(killing).await;
    for attempt in &left {
        tracing::info!(attempt.token, "an attempt of an earlier worker is given back");
        lose(core, &attempt.token, "the program that ran it ended").await?;
        // One whose lease was taken away meanwhile is only noted.
        let ended = store::attempts::Ended {
            state: AttemptState::Lost,
            at: millis(core.now()),
            peak_memory_bytes: None,
            message: Some("worker lost".to_owned()),
        };
        store::attempts::end(connection, &attempt.task_instance, &attempt.token, ended).await?;
    }
    store::processes::end(connection, &gone, millis(core.now())).await?;
    let folder = core.settings.work_folder.join("attempts");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // What cannot be removed takes space and does no harm.
        let _ = fs::remove_dir_all(entry.path());
    }
    Ok(())
}

struct Worker {
    core: Arc<Core>,
    id: String,
    slots: usize,
    attempts: JoinSet<String>,
    orders: HashMap<String, watch::Sender<Order>>,
    /// When the database last said which leases are ours.
    heard: Instant,
}

impl Worker {
    /// Works until told to end. Only waiting is cut short: a lease that was taken is always remembered.
    async fn work(&mut self, shutdown: &CancellationToken) {
        let core = self.core.clone();
        while !shutdown.is_cancelled() {
            let taken = self.take().await;
            let pause = match (taken, self.orders.is_empty()) {
                (Err(_), _) => Duration::from_secs(1),
                (Ok(()), true) => LONGEST_SLEEP,
                (Ok(()), false) => core.settings.lease / 3,
            };
            let until = if self.orders.is_empty() {
                Instant::now()
            } else {
                self.heard
            } + pause;
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(ended) = self.attempts.join_next() => self.forget(ended.ok()),
                () = core.worker_bell.notified() => {}
                () = core.lease_bell.notified() => self.hear().await,
                () = tokio::time::sleep_until(until) => self.hear().await,
            }
        }
    }

    /// Fills the free slots.
    async fn take(&mut self) -> Result<(), Error> {
        let free = self.slots.saturating_sub(self.orders.len());
        if free == 0 {
            return Ok(());
        }
        let leases = claim(&self.core, &self.id, &self.core.settings.queues, free).await;
        let leases =
            leases.inspect_err(|error| tracing::error!(%error, "no task could be taken, trying again"))?;
        for lease in leases {
            let (order, orders) = watch::channel(Order::Go);
            self.orders.insert(lease.token.clone(), order);
            let core = self.core.clone();
            self.attempts.spawn(async move {
                let token = lease.token.clone();
                attempt::run(&core, lease, orders).await;
                token
            });
        }
        Ok(())
    }

    fn forget(&mut self, token: Option<String>) {
        match token {
            Some(token) => {
                self.orders.remove(&token);
            }
            // An attempt that panicked took its receiver with it; its lease runs out.
            None => self.orders.retain(|_, order| !order.is_closed()),
        }
    }

    /// Prolongs the leases, and stops what is no longer ours or was cleared. A worker that cannot reach the database
    /// stops its attempts before their leases can be given to another.
    async fn hear(&mut self) {
        match heartbeat(&self.core, &self.id).await {
            Ok(held) => {
                self.heard = Instant::now();
                for (token, order) in &self.orders {
                    if !held.tokens.contains(token) {
                        order.send_replace(Order::Abandon);
                    } else if held.to_restart.contains(token) {
                        order.send_replace(Order::Stop("its task was cleared"));
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "leases could not be prolonged");
                if self.heard.elapsed() > self.core.settings.lease * 5 / 6 {
                    for order in self.orders.values() {
                        order.send_replace(Order::Abandon);
                    }
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    async fn stop(mut self) {
        for order in self.orders.values() {
            order.send_replace(Order::Stop(ENDED));
        }
        let all = async { while self.attempts.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(self.core.settings.stop_grace + STOP_MARGIN, all).await;
    }
}
