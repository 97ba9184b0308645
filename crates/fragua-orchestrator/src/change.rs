//! What happened, for those who watch.

use crate::{DagRunState, TaskState};

/// Something that changed. It is sent after the transaction that made it so; a watcher that lags behind loses the
/// oldest changes and reads the state again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// DAG files were read again, or a DAG was paused or unpaused.
    Dags,
    /// A pool, a variable, a connection or a note was changed, or an asset was updated.
    Kept,
    /// A DAG run was made or changed its state.
    DagRun {
        /// The DAG.
        dag_id: String,
        /// The run.
        run_id: String,
        /// Its state now.
        state: DagRunState,
    },
    /// A task instance changed its state.
    TaskInstance {
        /// The DAG.
        dag_id: String,
        /// The run.
        run_id: String,
        /// The task, with the number of the instance where it has several: `load[3]`.
        task_id: String,
        /// Its state now.
        state: TaskState,
    },
    /// The log of an attempt grew. Sent by the process that runs the attempt, a few times a second at most.
    Log {
        /// The DAG.
        dag_id: String,
        /// The run.
        run_id: String,
        /// The task, with the number of the instance where it has several: `load[3]`.
        task_id: String,
        /// The number of the attempt.
        attempt: u32,
    },
}
