#![doc = include_str!("../README.md")]

pub mod dag;
mod dag_run;
mod task_instance;

mod decide;
mod template;

mod core;
mod exec;
mod files;
mod logs;
pub mod operator;
mod scheduler;
mod worker;

pub mod api;
mod audit;
mod backfill;
mod change;
mod error;
mod orchestrator;
mod pools;
mod settings;
mod store;
mod vault;
mod waiting;
mod workers;

#[cfg(test)]
mod testing;

pub use audit::AuditEntry;
pub use backfill::{Backfill, BackfillRequest, BackfillRun, BackfillState, Fate, Reprocess};
pub use change::Change;
pub use dag::{
    DEFAULT_POOL, DEFAULT_QUEUE, Dag, ImportError, Param, Placement, Schedule, Task, TaskGroup, TriggerRule,
    WeightRule, dag_schema,
};
pub use dag_run::{DagRun, DagRunQuery, DagRunState, NextRun, RecentDagRun, RunType, TriggerRequest};
pub use error::Error;
pub use exec::exec_task;
pub use operator::{
    ArgumentError, Connection, Operator, OperatorCatalog, Outcome, TaskContext, TaskError, check_arguments,
    parse_arguments,
};
pub use orchestrator::{DagSummary, Heartbeats, Orchestrator, Transition};
pub use pools::{Pool, PoolUse};
pub use scheduler::clear::Clearing;
pub use scheduler::mark::Marking;
pub use settings::{Settings, TaskKey, TaskVariables};
pub use task_instance::{
    Attempt, AttemptState, InstanceId, LogChunk, RETURN_VALUE, TaskInstance, TaskState, Xcom,
};
pub use vault::{NamedConnection, Variable};
pub use waiting::{DagIsOpen, Waiting};
pub use workers::Worker;
