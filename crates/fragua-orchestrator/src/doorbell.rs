//! What wakes those who wait: bells in this process, and a stream in Redis that carries their ringing to other processes.
//!
//! A ring says "look again" and nothing else. One that is lost costs time, never work: whoever waits also looks again
//! after a while. The stream is read from its end; nobody acknowledges anything.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use fragua_base::{Timestamp, random_hex};
use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use redis::{AsyncConnectionConfig, RedisResult};
use tokio::sync::{Notify, watch};

use crate::Change;
use crate::core::Core;
use crate::scheduler::alarm::Alarm;

/// The stream, and how many rings it keeps: nobody reads an old one.
const STREAM: &str = "fragua:doorbell";
const KEPT_RINGS: usize = 100;

/// How long a read waits before it asks again, which finds a Redis that fell silent.
const READ: Duration = Duration::from_secs(30);

/// How long Redis may take to answer beyond that.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before Redis is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Who is to look again.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Call {
    Scheduler = 1,
    Workers = 2,
    Leases = 4,
    Callbacks = 8,
}

/// Wakes everybody who listens to it.
pub(crate) struct Bell {
    rings: watch::Sender<()>,
    call: Call,
    outbox: Arc<Outbox>,
}

impl Bell {
    fn new(call: Call, outbox: &Arc<Outbox>) -> Self {
        Self {
            rings: watch::Sender::new(()),
            call,
            outbox: outbox.clone(),
        }
    }

    /// Wakes those who listen in this process, and those in others.
    pub(crate) fn ring(&self) {
        self.ring_here();
        self.outbox.put(self.call);
    }

    fn ring_here(&self) {
        self.rings.send_replace(());
    }

    /// Begins to listen: each ring from now on is heard, also one that comes before [`Listener::rung`] is called.
    pub(crate) fn listen(&self) -> Listener {
        Listener(self.rings.subscribe())
    }
}

/// Hears one bell.
pub(crate) struct Listener(watch::Receiver<()>);

impl Listener {
    /// Waits for a ring; several since the last time are one.
    pub(crate) async fn rung(&mut self) {
        if self.0.changed().await.is_err() {
            pending::<()>().await;
        }
    }
}

/// The bells of a process.
pub(crate) struct Bells {
    /// When the scheduler looks next.
    pub(crate) alarm: Alarm,
    /// A task may have been queued.
    pub(crate) workers: Bell,
    /// A lease may have been taken away, or its task cleared.
    pub(crate) leases: Bell,
    /// Somebody may have to be told something.
    pub(crate) callbacks: Bell,
    outbox: Arc<Outbox>,
}

impl Default for Bells {
    fn default() -> Self {
        let outbox = Arc::new(Outbox::default());
        Self {
            alarm: Alarm::new(),
            workers: Bell::new(Call::Workers, &outbox),
            leases: Bell::new(Call::Leases, &outbox),
            callbacks: Bell::new(Call::Callbacks, &outbox),
            outbox,
        }
    }
}

impl Bells {
    /// Makes sure that the scheduler looks at this instant. One in another process looks at once, and sees by itself.
    pub(crate) fn due(&self, at: Timestamp) {
        self.alarm.set(at);
        self.outbox.put(Call::Scheduler);
    }

    /// Rings those whose bits are set, in this process alone.
    fn ring_here(&self, calls: u8) {
        if calls & Call::Scheduler as u8 != 0 {
            self.alarm.set(Timestamp::from_millis(0));
        }
        for bell in [&self.workers, &self.leases, &self.callbacks] {
            if calls & bell.call as u8 != 0 {
                bell.ring_here();
            }
        }
    }
}

/// Rings that are to be carried to other processes. A burst is one message.
#[derive(Default)]
struct Outbox {
    calls: AtomicU8,
    filled: Notify,
    /// Whether somebody takes from it.
    is_open: AtomicBool,
}

impl Outbox {
    fn put(&self, call: Call) {
        if self.is_open.load(Ordering::Relaxed) {
            self.calls.fetch_or(call as u8, Ordering::AcqRel);
            self.filled.notify_one();
        }
    }

    async fn take(&self) -> u8 {
        loop {
            match self.calls.swap(0, Ordering::AcqRel) {
                0 => self.filled.notified().await,
                calls => return calls,
            }
        }
    }
}

/// Carries rings to other processes over the Redis of the settings, and theirs here, for as long as it is polled. A Redis
/// that is away is told once, and looked for again and again. Does nothing where none is given, and where another part of
/// this process does it.
pub(crate) async fn carry(core: &Core) {
    let Some(url) = &core.settings.redis_url else {
        return pending().await;
    };
    if core.bells.outbox.is_open.swap(true, Ordering::Relaxed) {
        return pending().await;
    }
    let client = match redis::Client::open(url.expose()) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "the address of Redis cannot be used; workers and schedulers wake by themselves");
            return pending().await;
        }
    };
    let line = Line {
        client,
        sender: random_hex(8),
        is_broken: AtomicBool::new(false),
    };
    tokio::join!(line.send(core), line.receive(core));
}

struct Line {
    client: redis::Client,
    /// Tells our own rings from those of others.
    sender: String,
    is_broken: AtomicBool,
}

impl Line {
    async fn connect(&self, wait: Duration) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(wait + PATIENCE));
        let connected = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await;
        if connected.is_ok() && self.is_broken.swap(false, Ordering::Relaxed) {
            tracing::info!("Redis answers again: workers and schedulers are woken over it");
        }
        connected
    }

    async fn note_broken(&self, error: &redis::RedisError) {
        if !self.is_broken.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "Redis does not answer: workers and schedulers find work a little later until it does");
        }
        tokio::time::sleep(PAUSE).await;
    }

    async fn send(&self, core: &Core) {
        let mut connection = None;
        loop {
            let calls = core.bells.outbox.take().await;
            let sent = async {
                let connection = match &mut connection {
                    Some(connection) => connection,
                    none => none.insert(self.connect(Duration::ZERO).await?),
                };
                redis::cmd("XADD")
                    .arg(STREAM)
                    .arg("MAXLEN")
                    .arg("~")
                    .arg(KEPT_RINGS)
                    .arg("*")
                    .arg("from")
                    .arg(&self.sender)
                    .arg("calls")
                    .arg(calls)
                    .query_async::<()>(connection)
                    .await
            };
            if let Err(error) = sent.await {
                connection = None;
                self.note_broken(&error).await;
                // What was not sent is sent with the next that can be.
                core.bells.outbox.calls.fetch_or(calls, Ordering::AcqRel);
            }
        }
    }

    async fn receive(&self, core: &Core) {
        loop {
            let Err(error) = self.receive_until_broken(core).await;
            self.note_broken(&error).await;
        }
    }

    async fn receive_until_broken(&self, core: &Core) -> RedisResult<std::convert::Infallible> {
        let mut connection = self.connect(READ).await?;
        // `$` would be another place at each read; this is where the stream ends now.
        let mut last = redis::cmd("XREVRANGE")
            .arg(STREAM)
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1)
            .query_async::<redis::streams::StreamRangeReply>(&mut connection)
            .await?
            .ids
            .pop()
            .map_or_else(|| "0-0".to_owned(), |entry| entry.id);
        // Whatever was rung while nobody listened.
        core.bells.ring_here(u8::MAX);
        loop {
            let reply: Option<StreamReadReply> = redis::cmd("XREAD")
                .arg("BLOCK")
                .arg(READ.as_millis() as u64)
                .arg("STREAMS")
                .arg(STREAM)
                .arg(&last)
                .query_async(&mut connection)
                .await?;
            let mut calls = 0;
            for entry in reply
                .into_iter()
                .flat_map(|reply| reply.keys)
                .flat_map(|key| key.ids)
            {
                if entry.get::<String>("from").as_deref() != Some(self.sender.as_str()) {
                    calls |= entry.get::<u8>("calls").unwrap_or(u8::MAX);
                }
                last = entry.id;
            }
            if calls != 0 {
                core.bells.ring_here(calls);
                core.tell(Change::Dags);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_listener_hears_a_ring_that_came_before_it_waits() {
        let bells = Bells::default();
        let (mut one, mut other) = (bells.workers.listen(), bells.workers.listen());
        bells.workers.ring();
        bells.workers.ring();
        one.rung().await;
        other.rung().await;
        let again = tokio::time::timeout(Duration::from_millis(1), one.rung()).await;
        assert!(again.is_err(), "two rings are one");
    }
}
