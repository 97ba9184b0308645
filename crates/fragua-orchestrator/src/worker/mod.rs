//! Takes queued tasks and runs each attempt as a process.

mod api;
mod attempt;
pub(crate) mod desk;
mod home;
mod link;
mod output;
mod processes;
mod remote;
mod spare;
pub(crate) mod wire;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fragua_base::{Secret, SharedClock};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::api::worker_router;
use self::attempt::{Order, Orders, Place};
use self::home::Home;
use self::link::{Link, Since};
pub(crate) use self::processes::descendants;
use self::remote::Remote;
use self::spare::Spares;
use self::wire::{Assignment, Held, Introduction, LeaseRequest, Registration};
use crate::core::Core;
use crate::doorbell::Listener;
use crate::{Error, Settings};

/// How long a worker with nothing to do waits at most for a task before it asks again: what another process queued without
/// ringing is found after it.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

/// Why attempts are given back at the end.
const ENDED: &str = "the program that ran it was ended";

/// How long attempts that were told to stop may take beyond their grace.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// The pauses before an orchestrator that is away is asked again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where and how a worker works.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// What it is called.
    pub name: String,
    /// How many attempts it runs at once.
    pub slots: usize,
    /// The queues it listens to; all when empty.
    pub queues: Vec<String>,
    /// Where attempts leave their results, and where its lock is.
    pub work_folder: PathBuf,
    /// The folder that tasks start in.
    pub project_folder: PathBuf,
    /// The program that runs one attempt when called with `exec-task`.
    pub exec_task: PathBuf,
    /// The interpreter of `python` tasks that name none.
    pub python: String,
    /// How long its attempts may go on when it is told to end, before they are stopped and given back.
    pub drain_grace: Duration,
}

impl WorkerSettings {
    fn of(settings: &Settings, slots: usize) -> Self {
        Self {
            name: settings.worker_name.clone().unwrap_or_else(host_name),
            slots,
            queues: settings.queues.clone(),
            work_folder: settings.work_folder.clone(),
            project_folder: settings.project_folder.clone(),
            exec_task: settings.exec_task.clone(),
            python: settings.python.clone(),
            drain_grace: settings.drain_grace,
        }
    }
}

/// Runs beside the orchestrator until told to end.
pub(crate) async fn run(core: Arc<Core>, shutdown: CancellationToken, slots: usize) -> Result<(), Error> {
    let settings = WorkerSettings::of(&core.settings, slots);
    let clock = core.clock.clone();
    tokio::select! {
        result = work(Link::Local(core.clone()), settings, clock, shutdown) => result,
        () = crate::doorbell::carry(&core) => Ok(()),
    }
}

/// Runs the tasks of an orchestrator that answers at an address, `slots` at a time, until told to end. An orchestrator that
/// is away is waited for; what runs goes on for as long as its lease does.
///
/// # Errors
/// [`Error::WorkerRunning`] when another process works in this folder, [`Error::WorkerRefused`] when the token is not
/// accepted.
pub async fn run_remote_worker(
    server: &Url,
    token: Secret,
    settings: WorkerSettings,
    clock: SharedClock,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let link = Link::Remote(Arc::new(Remote::new(server, token)?));
    work(link, settings, clock, shutdown).await
}

async fn work(
    link: Link,
    settings: WorkerSettings,
    clock: SharedClock,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let home = Home::take(&settings.work_folder)?;
    let spares = Spares::new(&settings);
    let place = Arc::new(Place {
        link,
        settings,
        clock,
        spares,
    });
    let Some(mut worker) = Worker::register(place, &home, &shutdown).await? else {
        return Ok(());
    };
    let folder = worker.place.settings.work_folder.join("attempts");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // What cannot be removed takes space and does no harm.
        let _ = fs::remove_dir_all(entry.path());
    }
    worker.work(&home, &shutdown).await?;
    worker.stop().await;
    match worker.place.link.leave(&worker.id).await {
        Err(Error::ServerAway { reason }) => {
            tracing::warn!("the orchestrator was not told that this worker ends: {reason}");
            Ok(())
        }
        result => result,
    }
}

/// Returns the name of this machine.
fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}

type Asking<T> = BoxFuture<'static, Result<Since<T>, Error>>;

struct Worker {
    place: Arc<Place>,
    id: String,
    lease: Duration,
    /// The longest that an attempt may take to stop.
    stop_grace: Duration,
    /// Says in this process that a lease may have been lost; another process says it in the answer to a heartbeat.
    bell: Option<Listener>,
    attempts: JoinSet<String>,
    orders: HashMap<String, watch::Sender<Orders>>,
}

/// Doubles with each failure in a row.
struct Pause(Duration);

impl Pause {
    const fn new() -> Self {
        Self(SHORTEST_PAUSE)
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

impl Worker {
    /// Says who it is, and gives back what earlier workers of its folder left. Nothing when told to end meanwhile.
    async fn register(
        place: Arc<Place>,
        home: &Home,
        shutdown: &CancellationToken,
    ) -> Result<Option<Self>, Error> {
        let settings = &place.settings;
        let host = host_name();
        let introduction = Introduction {
            name: settings.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process_id: std::process::id(),
            home: match &place.link {
                Link::Local(_) => home.id.clone(),
                // A folder may have been copied with its machine.
                Link::Remote(_) => format!("{}@{host}", &home.id[..8]),
            },
            host,
            slots: u32::try_from(settings.slots.max(1)).unwrap_or(u32::MAX),
            queues: settings.queues.clone(),
        };
        let mut pause = Pause::new();
        let registration = loop {
            match Self::introduce(&place.link, &introduction).await {
                Ok(registration) => break registration,
                Err(Error::ServerAway { reason }) => {
                    tracing::warn!("the orchestrator does not answer ({reason}), trying again");
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(None),
                () = tokio::time::sleep(pause.next()) => {}
            }
        };
        Ok(Some(Self {
            bell: match &place.link {
                Link::Local(core) => Some(core.bells.leases.listen()),
                Link::Remote(_) => None,
            },
            place,
            id: registration.worker,
            lease: Duration::from_millis(registration.lease_millis),
            stop_grace: Duration::ZERO,
            attempts: JoinSet::new(),
            orders: HashMap::new(),
        }))
    }

    async fn introduce(link: &Link, introduction: &Introduction) -> Result<Registration, Error> {
        let registration = link.register(introduction.clone()).await?;
        let left = registration.left.iter();
        let killing = left.map(|left| processes::kill_leftovers(left.process, &left.token));
        futures::future::join_all(killing).await;
        link.reclaim(&registration.worker).await?;
        if let Link::Remote(_) = link {
            tracing::info!("known to the orchestrator, waits for tasks");
        }
        Ok(registration)
    }

    /// Works until told to end, and then until its attempts have ended or their time is over.
    async fn work(&mut self, home: &Home, shutdown: &CancellationToken) -> Result<(), Error> {
        let mut leasing: Option<Asking<Vec<Assignment>>> = None;
        let mut beating: Option<Asking<Held>> = None;
        let (mut lease_pause, mut beat_pause) = (Pause::new(), Pause::new());
        // When leases are asked for again, and when they were prolonged last.
        let (mut ask_at, mut prolonged) = (Instant::now(), Instant::now());
        let mut drained_at: Option<Instant> = None;
        loop {
            if drained_at.is_some_and(|at| self.orders.is_empty() || at <= Instant::now()) {
                return Ok(());
            }
            let free = self.place.settings.slots.max(1).saturating_sub(self.orders.len());
            if leasing.is_none() && drained_at.is_none() && free > 0 && ask_at <= Instant::now() {
                leasing = Some(self.ask_for_leases(free));
            }
            if self.orders.is_empty() {
                beating = None;
            } else if beating.is_none() {
                beating = Some(self.beat(prolonged + self.lease / 8));
            }
            let far = Instant::now() + Duration::from_secs(3600);
            let must_ask = leasing.is_none() && drained_at.is_none() && free > 0;
            let wake_at = [
                must_ask.then_some(ask_at),
                drained_at,
                self.orders
                    .values()
                    .map(|orders| orders.borrow().held_until)
                    .min(),
            ];
            let wake_at = wake_at.into_iter().flatten().min().unwrap_or(far);
            tokio::select! {
                () = shutdown.cancelled(), if drained_at.is_none() => {
                    // What is given to a worker that has gone is taken back when it leaves.
                    leasing = None;
                    drained_at = Some(Instant::now() + self.place.settings.drain_grace);
                    if !self.orders.is_empty() && !self.place.settings.drain_grace.is_zero() {
                        tracing::info!("{} attempts are still running; no more are taken", self.orders.len());
                    }
                }
                answer = asked(&mut leasing) => {
                    leasing = None;
                    match answer {
                        Ok((assignments, began)) => {
                            lease_pause = Pause::new();
                            if self.orders.is_empty() {
                                prolonged = began;
                            }
                            assignments.into_iter().for_each(|assignment| self.begin(assignment, began));
                        }
                        Err(Error::WorkerNotFound { .. }) => self.register_again(home, shutdown).await?,
                        Err(error @ Error::WorkerRefused { .. }) if self.orders.is_empty() => return Err(error),
                        Err(error) => {
                            let pause = lease_pause.next();
                            ask_at = Instant::now() + pause;
                            tracing::warn!(%error, "no task could be taken, trying again");
                        }
                    }
                }
                answer = asked(&mut beating) => {
                    beating = None;
                    match answer {
                        Ok((held, since)) => {
                            (beat_pause, prolonged) = (Pause::new(), since);
                            self.apply(&held, self.held_until(since));
                        }
                        Err(Error::WorkerNotFound { .. }) => self.register_again(home, shutdown).await?,
                        Err(error) => {
                            tracing::error!(%error, "leases could not be prolonged, trying again");
                            let pause = beat_pause.next().min(self.lease / 20);
                            let again = self.beat(Instant::now());
                            beating = Some(async move {
                                tokio::time::sleep(pause).await;
                                again.await
                            }.boxed());
                        }
                    }
                }
                () = rung(&mut self.bell), if !self.orders.is_empty() => beating = Some(self.beat(Instant::now())),
                Some(ended) = self.attempts.join_next() => self.forget(ended.ok()),
                () = tokio::time::sleep_until(wake_at) => self.abandon_overdue(),
            }
        }
    }

    fn ask_for_leases(&self, free: usize) -> Asking<Vec<Assignment>> {
        let request = LeaseRequest {
            worker: self.id.clone(),
            free,
            holding: self.orders.keys().cloned().collect(),
            wait_millis: u64::try_from(LONGEST_WAIT.as_millis()).unwrap_or(0),
        };
        let link = self.place.link.clone();
        async move { link.lease(request).await }.boxed()
    }

    fn beat(&self, at: Instant) -> Asking<Held> {
        let (link, worker) = (self.place.link.clone(), self.id.clone());
        let (tokens, patience) = (self.orders.keys().cloned().collect(), self.lease / 6);
        async move { link.heartbeat(worker, tokens, at, patience).await }.boxed()
    }

    /// An attempt may run for most of a lease without being prolonged; the rest is for it to end before another begins.
    fn held_until(&self, since: Instant) -> Instant {
        since + self.lease * 9 / 10
    }

    fn begin(&mut self, assignment: Assignment, began: Instant) {
        let (sender, orders) = watch::channel(Orders {
            order: Order::Go,
            held_until: self.held_until(began),
        });
        self.stop_grace = self
            .stop_grace
            .max(Duration::from_millis(assignment.stop_grace_millis));
        self.orders.insert(assignment.token.clone(), sender);
        let place = self.place.clone();
        self.attempts.spawn(async move {
            let token = assignment.token.clone();
            attempt::run(&place, assignment, orders).await;
            token
        });
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

    /// Lets go on what is still held, and stops what was cleared or is no longer ours.
    fn apply(&self, held: &Held, until: Instant) {
        let order = |token: &String, change: &dyn Fn(&mut Orders)| {
            if let Some(orders) = self.orders.get(token) {
                orders.send_modify(change);
            }
        };
        for token in &held.tokens {
            order(token, &|orders| orders.held_until = until.max(orders.held_until));
        }
        for token in &held.to_restart {
            order(token, &|orders| orders.stop("its task was cleared"));
        }
        for token in &held.lost {
            order(token, &|orders| orders.order = Order::Abandon);
        }
    }

    /// An attempt whose lease runs out ends before another worker can be given its task.
    fn abandon_overdue(&self) {
        let now = Instant::now();
        for orders in self.orders.values() {
            if orders.borrow().held_until <= now {
                orders.send_modify(|orders| {
                    orders.order = Order::Abandon;
                    orders.held_until = now + Duration::from_secs(3600);
                });
            }
        }
    }

    /// The orchestrator does not know this worker any more. Its leases, where they still hold, are known by their tokens.
    async fn register_again(&mut self, home: &Home, shutdown: &CancellationToken) -> Result<(), Error> {
        if let Some(again) = Box::pin(Self::register(self.place.clone(), home, shutdown)).await? {
            self.id = again.id;
        }
        Ok(())
    }

    async fn stop(&mut self) {
        for orders in self.orders.values() {
            orders.send_modify(|orders| orders.stop(ENDED));
        }
        let (attempts, grace) = (&mut self.attempts, self.stop_grace);
        let all = async { while attempts.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(grace + STOP_MARGIN, all).await;
        self.place.spares.dismiss();
    }
}

/// Waits for a ring; for ever where there is no bell.
async fn rung(bell: &mut Option<Listener>) {
    match bell {
        Some(bell) => bell.rung().await,
        None => std::future::pending().await,
    }
}

/// Waits for an answer; for ever where nothing was asked.
async fn asked<T>(asking: &mut Option<Asking<T>>) -> Result<Since<T>, Error> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
