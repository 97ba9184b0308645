//! What passes between a worker and the orchestrator, in this process or over HTTP.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TaskKey;
use crate::exec::spec::{End, Spec, Usage};

/// Where the routes of workers lie.
pub(crate) const PREFIX: &str = "/worker/v1";

/// The largest piece of a log that is sent at once.
pub(crate) const LARGEST_PIECE: usize = 256 * 1024;

/// What a worker says of itself when it begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Introduction {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) version: String,
    pub(crate) process_id: u32,
    /// Names its work folder, which one worker holds at a time.
    pub(crate) home: String,
    pub(crate) slots: u32,
    /// The queues it listens to; all when empty.
    pub(crate) queues: Vec<String>,
}

/// What it is told then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Registration {
    pub(crate) worker: String,
    pub(crate) lease_millis: u64,
    /// What earlier workers of its work folder left: their processes are to be killed, then the leases are taken back.
    pub(crate) left: Vec<Left>,
}

/// An attempt whose worker is gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Left {
    pub(crate) token: String,
    /// Its process, with the instant it started in the kernel's count.
    pub(crate) process: Option<(u32, i64)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaseRequest {
    pub(crate) worker: String,
    /// How many tasks it can take.
    pub(crate) free: usize,
    /// The tokens of the attempts it has: what else it was given was lost on the way, and is given again.
    pub(crate) holding: Vec<String>,
    /// How long to wait for a task.
    pub(crate) wait_millis: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Leased {
    pub(crate) assignments: Vec<Assignment>,
    /// How long the request waited before the leases began.
    pub(crate) waited_millis: u64,
}

/// An attempt that a worker is to run, with all it needs for that.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) key: TaskKey,
    pub(crate) task_instance: String,
    pub(crate) token: String,
    pub(crate) spec: Spec,
    /// Variables whose values are masked in the log.
    pub(crate) secrets: BTreeMap<String, String>,
    /// How much of its log there is: a sensor that looks again goes on with it.
    pub(crate) log_offset: u64,
    pub(crate) max_log_bytes: u64,
    pub(crate) stop_grace_millis: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeartbeatRequest {
    pub(crate) worker: String,
    pub(crate) tokens: Vec<String>,
    /// How long to wait for news after the leases were prolonged.
    pub(crate) wait_millis: u64,
}

/// What has become of a worker's leases.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) tokens: Vec<String>,
    /// Those whose task was cleared: to be stopped and reported.
    pub(crate) to_restart: Vec<String>,
    /// Those that are held no more: to be ended at once.
    pub(crate) lost: Vec<String>,
}

/// Which process an attempt is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Began {
    pub(crate) task_instance: String,
    pub(crate) process_id: u32,
    pub(crate) process_start: Option<i64>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Done {
    pub(crate) task_instance: String,
    /// Nothing where the lease was lost, and with it the attempt.
    pub(crate) end: Option<End>,
    #[serde(default)]
    pub(crate) usage: Usage,
}

/// How much of a log the orchestrator has.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) next_offset: u64,
}
