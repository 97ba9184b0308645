//! Why a task waits, in English words, for the API and the command line. The pages have their own, in the reader's
//! language.

use std::fmt;

use crate::{DagIsOpen, InstanceId, TaskState, Waiting};

impl Waiting {
    /// Returns a short name of what is waited for, as Airflow names what a task depends on.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PausedDag => "Dag Not Paused",
            Self::ActiveRuns { .. } => "Max Active Runs",
            Self::Tasks(_) => "Trigger Rule",
            Self::Past { .. } => "Previous Dagrun State",
            Self::NoPool { .. } | Self::PoolTooSmall { .. } | Self::PoolFull { .. } => "Pool Slots Available",
            Self::RunLimit { .. } => "Max Active Tasks",
            Self::TaskLimit { .. } => "Task Concurrency",
            Self::NoWorker
            | Self::NoWorkerForQueue { .. }
            | Self::SilentWorker { .. }
            | Self::NoFreeSlot { .. } => "Executor Slots Available",
            Self::Instant(_) | Self::Other { .. } | Self::Dag { .. } => "Deferred",
            Self::NextLook(_) => "Ready To Reschedule",
            Self::Retry { .. } => "Not In Retry Period",
            Self::Stop => "Task Instance State",
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PausedDag => formatter.write_str("the DAG is paused"),
            Self::ActiveRuns { running, limit } => {
                write!(
                    formatter,
                    "{running} runs of the DAG are under way, and {limit} may be"
                )
            }
            Self::Tasks(tasks) => write!(formatter, "these tasks are not over: {}", states(tasks)),
            Self::Past { run_id, tasks } => {
                write!(
                    formatter,
                    "in the run before, {run_id}, these are not done: {}",
                    states(tasks)
                )
            }
            Self::NoPool { pool } => write!(formatter, "there is no pool {pool}"),
            Self::PoolTooSmall { pool, slots, needed } => {
                write!(
                    formatter,
                    "slots that it needs: {needed}; the pool {pool} has {slots}"
                )
            }
            Self::PoolFull { pool, slots, holders } => {
                write!(
                    formatter,
                    "the pool {pool} is full ({slots}), held by {}",
                    holders.join(", ")
                )
            }
            Self::RunLimit { limit } => write!(
                formatter,
                "{limit} tasks of the run are under way, and no more may be"
            ),
            Self::TaskLimit { limit } => {
                write!(
                    formatter,
                    "{limit} attempts of this task are under way, and no more may be"
                )
            }
            Self::NoWorker => formatter.write_str("no worker was ever started"),
            Self::NoWorkerForQueue { queue } => write!(formatter, "no worker listens to the queue {queue}"),
            Self::SilentWorker { seconds } => {
                write!(
                    formatter,
                    "the last worker gave no sign of life for {seconds} seconds"
                )
            }
            Self::NoFreeSlot { running } => {
                write!(
                    formatter,
                    "a worker will take it as soon as a slot is free; {running} tasks run"
                )
            }
            Self::Instant(at) => write!(formatter, "until {at}"),
            Self::Other {
                dag_id,
                run_id,
                logical_date,
                task_ids,
            } => {
                write!(formatter, "for the DAG {dag_id}")?;
                if let Some(run_id) = run_id {
                    write!(formatter, ", its run {run_id}")?;
                }
                if let Some(date) = logical_date {
                    write!(formatter, ", its run of {date}")?;
                }
                match task_ids.is_empty() {
                    true => Ok(()),
                    false => write!(formatter, ", there {}", task_ids.join(", ")),
                }
            }
            Self::NextLook(at) => write!(formatter, "it looks again at {at}"),
            Self::Dag { dag_id, reasons } => {
                let reasons: Vec<String> = reasons.iter().map(DagIsOpen::to_string).collect();
                write!(formatter, "for the DAG {dag_id}: {}", reasons.join(", "))
            }
            Self::Retry { at, message } => {
                match at {
                    Some(at) => write!(formatter, "for its next attempt at {at}")?,
                    None => formatter.write_str("for its next attempt")?,
                }
                match message {
                    Some(message) => write!(formatter, "; the last one failed: {message}"),
                    None => Ok(()),
                }
            }
            Self::Stop => formatter.write_str("it was cleared, and its attempt is being stopped"),
        }
    }
}

impl fmt::Display for DagIsOpen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => formatter.write_str("there is none of this name"),
            Self::Running(runs) => write!(formatter, "{runs} runs are under way"),
            Self::Queued(runs) => write!(formatter, "{runs} runs wait to start"),
            Self::Paused => formatter.write_str("it is paused"),
            Self::Due(next) => write!(formatter, "a run is due, which {next}"),
            Self::NeverRan => formatter.write_str("it never ran"),
            Self::Failed(run_id) => write!(formatter, "its newest run, {run_id}, failed"),
        }
    }
}

fn states(tasks: &[(InstanceId, TaskState)]) -> String {
    let shown = tasks.iter().map(|(id, state)| format!("{id} ({state})"));
    shown.collect::<Vec<_>>().join(", ")
}
