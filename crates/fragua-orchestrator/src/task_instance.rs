//! One task in one DAG run, and its attempts.

use std::fmt;

use bytes::Bytes;
use fragua_base::Timestamp;
use serde_json::Value;

/// Names a task instance within its DAG run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The task.
    pub task_id: String,
    /// The number of the instance, from zero, where the task is made several instances of.
    pub map_index: Option<u32>,
}

impl InstanceId {
    /// Returns the only instance of a task.
    pub fn of(task_id: impl Into<String>) -> Self {
        Self {
            task_id: task_id.into(),
            map_index: None,
        }
    }

    /// Returns one of several instances of a task.
    pub fn mapped(task_id: impl Into<String>, map_index: u32) -> Self {
        Self {
            task_id: task_id.into(),
            map_index: Some(map_index),
        }
    }
}

impl From<&str> for InstanceId {
    /// Reads what [`Self`] is shown as: `load`, or `load[3]`. No task's own name has brackets.
    fn from(shown: &str) -> Self {
        let mapped = shown
            .strip_suffix(']')
            .and_then(|shown| shown.rsplit_once('['))
            .and_then(|(task_id, map_index)| Some((task_id, map_index.parse().ok()?)));
        match mapped {
            Some((task_id, map_index)) => Self::mapped(task_id, map_index),
            None => Self::of(shown),
        }
    }
}

impl From<&String> for InstanceId {
    fn from(shown: &String) -> Self {
        Self::from(shown.as_str())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.map_index {
            None => formatter.write_str(&self.task_id),
            Some(map_index) => write!(formatter, "{}[{map_index}]", self.task_id),
        }
    }
}

/// Where a task instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskState {
    /// Waits for the tasks it needs.
    None,
    /// May start as soon as a worker has a free slot.
    Queued,
    /// An attempt holds a lease.
    Running,
    /// Waits for a time or another DAG, without a process.
    Deferred,
    /// Failed and will be tried again when its delay has passed.
    UpForRetry,
    /// A sensor did not find what it looks for, and looks again with the same attempt.
    UpForReschedule,
    /// Was cleared while an attempt ran; queued again when that attempt has been stopped.
    Restarting,
    /// Done.
    Success,
    /// Failed with no retry left.
    Failed,
    /// Not needed.
    Skipped,
    /// A task it needs failed.
    UpstreamFailed,
    /// The task is not made as many instances of any more.
    Removed,
}

impl TaskState {
    /// Each state.
    pub const ALL: [Self; 12] = [
        Self::None,
        Self::Queued,
        Self::Running,
        Self::Deferred,
        Self::UpForRetry,
        Self::UpForReschedule,
        Self::Restarting,
        Self::Success,
        Self::Failed,
        Self::Skipped,
        Self::UpstreamFailed,
        Self::Removed,
    ];

    /// Returns the name that the database, the API and the pages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Deferred => "deferred",
            Self::UpForRetry => "up_for_retry",
            Self::UpForReschedule => "up_for_reschedule",
            Self::Restarting => "restarting",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::UpstreamFailed => "upstream_failed",
            Self::Removed => "removed",
        }
    }

    /// Returns the state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns whether nothing more happens by itself.
    pub const fn is_finished(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Failed | Self::Skipped | Self::UpstreamFailed | Self::Removed
        )
    }

    /// Returns whether the task, or one it needs, failed for good.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::UpstreamFailed)
    }

    /// Returns whether an attempt holds a lease.
    pub const fn is_leased(self) -> bool {
        matches!(self, Self::Running | Self::Restarting)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// One task in one DAG run.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskInstance {
    /// A UUID.
    pub id: String,
    /// The DAG.
    pub dag_id: String,
    /// The DAG run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// The number of the instance, where the task is made several instances of.
    pub map_index: Option<u32>,
    /// What `{{ map }}` is in this instance.
    pub map_values: Option<Value>,
    /// The operator's name.
    pub operator: String,
    /// Where it stands.
    pub state: TaskState,
    /// How many attempts have started, and so the number of the newest one; zero before the first.
    pub attempt: u32,
    /// How many attempts failed since the task was made or cleared.
    pub failures: u32,
    /// How many attempts were lost with their worker since then. They use up no retry.
    pub lost: u32,
    /// How many failures may be followed by another attempt.
    pub retries: u32,
    /// The pool whose slots it takes.
    pub pool: String,
    /// How many of them.
    pub pool_slots: u32,
    /// Its weight among the tasks that are ready.
    pub priority_weight: i64,
    /// The queue that its worker must listen to.
    pub queue: String,
    /// When it was last queued.
    pub queued_at: Option<Timestamp>,
    /// When its newest attempt, or its wait, started.
    pub started_at: Option<Timestamp>,
    /// When its newest attempt, or its wait, was over.
    pub ended_at: Option<Timestamp>,
    /// When it will be looked at again by itself: the end of a retry's delay or of a wait.
    pub wake_at: Option<Timestamp>,
    /// The DAG it waits for.
    pub waits_for_dag: Option<String>,
    /// Why it stands where it stands, where there is more to say than the state.
    pub message: Option<String>,
}

impl TaskInstance {
    /// Returns what names it within its run.
    pub fn instance_id(&self) -> InstanceId {
        InstanceId {
            task_id: self.task_id.clone(),
            map_index: self.map_index,
        }
    }
}

/// A value that a task handed on.
#[derive(Debug, Clone, PartialEq)]
pub struct Xcom {
    /// The task.
    pub task_id: String,
    /// The number of the instance, where the task is made several instances of.
    pub map_index: Option<u32>,
    /// The key; [`RETURN_VALUE`] for what the task as a whole hands on.
    pub key: String,
    /// The value.
    pub value: Value,
    /// When it was handed on.
    pub at: Timestamp,
}

/// The key of the value that a task as a whole hands on.
pub const RETURN_VALUE: &str = "return_value";

/// How an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptState {
    /// Holds a lease.
    Running,
    /// The operator reached its end.
    Success,
    /// The operator failed.
    Failed,
    /// The operator decided that there was nothing to do.
    Skipped,
    /// Its worker is gone.
    Lost,
    /// Was stopped because its worker shuts down, or because the task was cleared.
    Stopped,
    /// A sensor that looks again later.
    Rescheduled,
}

impl AttemptState {
    /// Each state.
    pub const ALL: [Self; 7] = [
        Self::Running,
        Self::Success,
        Self::Failed,
        Self::Skipped,
        Self::Lost,
        Self::Stopped,
        Self::Rescheduled,
    ];

    /// Returns the name that the database and the pages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Lost => "lost",
            Self::Stopped => "stopped",
            Self::Rescheduled => "rescheduled",
        }
    }

    /// Returns the state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// One execution of a task instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Counts from one.
    pub number: u32,
    /// How it stands.
    pub state: AttemptState,
    /// When it was leased.
    pub started_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// The process, while and after it ran.
    pub process_id: Option<u32>,
    /// The most memory that one of its processes used.
    pub peak_memory_bytes: Option<u64>,
    /// How it ended, in words.
    pub message: Option<String>,
}

/// A piece of an attempt's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// The bytes from the offset asked for; UTF-8, cut between lines unless one line fills the chunk.
    pub bytes: Bytes,
    /// What to ask for next.
    pub next_offset: u64,
    /// Whether the attempt is over and this chunk reaches the end of its log.
    pub finished: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for state in TaskState::ALL {
            assert_eq!(TaskState::parse(state.as_str()), Some(state));
        }
        for state in AttemptState::ALL {
            assert_eq!(AttemptState::parse(state.as_str()), Some(state));
        }
        assert_eq!(TaskState::parse("Running"), None);
        for id in [InstanceId::of("load"), InstanceId::mapped("group.load", 12)] {
            assert_eq!(InstanceId::from(&id.to_string()), id);
        }
        assert_eq!(InstanceId::from("load[x]"), InstanceId::of("load[x]"));
    }
}
