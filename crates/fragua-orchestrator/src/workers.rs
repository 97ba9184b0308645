//! The workers, as lists show them.

use std::collections::BTreeMap;
use std::time::Duration;

use fragua_base::Timestamp;

use crate::store::{count, millis, processes, task_instances};
use crate::{Error, Orchestrator};

/// How long a worker that fell silent without saying that it ends is still listed.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Names this start of it.
    pub id: String,
    /// What its owner calls it; the host where nobody said.
    pub name: String,
    /// The machine.
    pub host: String,
    /// The version of its program.
    pub version: String,
    /// The number of its process on that machine.
    pub process_id: u32,
    /// Whether it came over HTTP, with `fragua worker --server`.
    pub is_remote: bool,
    /// How many attempts it runs at once.
    pub slots: u32,
    /// The queues it listens to; all when empty.
    pub queues: Vec<String>,
    /// How many attempts it runs now.
    pub running: u64,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was heard of last.
    pub heard_at: Timestamp,
    /// Whether that is recent enough for it to be given tasks.
    pub is_alive: bool,
}

impl Orchestrator {
    /// Returns the workers that have not said that they ended, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn workers(&self) -> Result<Vec<Worker>, Error> {
        let (reader, now) = (self.core.database.reader(), self.core.now());
        let since = |duration: Duration| millis(now) - crate::scheduler::millis_of(duration);
        let running: BTreeMap<String, u64> = task_instances::running_by_process(reader).await?;
        let alive_since = since(self.core.settings.lease * 3);
        let rows = processes::live_workers(reader, since(REMEMBERED)).await?;
        let mut workers: Vec<Worker> = rows
            .into_iter()
            .map(|row| Worker {
                running: running.get(&row.id).copied().unwrap_or(0),
                queues: row.queues(),
                name: row.name.or_else(|| row.host.clone()).unwrap_or_default(),
                host: row.host.unwrap_or_default(),
                version: row.version.unwrap_or_default(),
                process_id: count(row.process_id),
                is_remote: row.remote.is_some_and(|remote| remote != 0),
                slots: count(row.slots.unwrap_or(0)),
                started_at: Timestamp::from_millis(row.started_at),
                heard_at: Timestamp::from_millis(row.heartbeat_at),
                is_alive: row.heartbeat_at >= alive_since,
                id: row.id,
            })
            .collect();
        workers.sort_by(|one, other| (&one.name, one.started_at).cmp(&(&other.name, other.started_at)));
        Ok(workers)
    }
}
