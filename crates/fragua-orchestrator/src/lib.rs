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
mod change;
mod error;
mod orchestrator;
mod settings;
mod store;
mod waiting;

#[cfg(test)]
mod testing;

pub use change::Change;
pub use dag::{Dag, ImportError, Param, Schedule, Task, TriggerRule, dag_schema};
pub use dag_run::{DagRun, DagRunQuery, DagRunState, NextRun, RecentDagRun, RunType, TriggerRequest};
pub use error::Error;
pub use exec::exec_task;
pub use operator::{
    ArgumentError, Connection, Operator, OperatorCatalog, Outcome, TaskContext, TaskError, check_arguments,
    parse_arguments,
};
pub use orchestrator::{DagSummary, Heartbeats, Orchestrator, Transition};
pub use scheduler::clear::Clearing;
pub use settings::{Settings, TaskKey, TaskVariables};
pub use task_instance::{Attempt, AttemptState, LogChunk, TaskInstance, TaskState};
pub use waiting::{DagIsOpen, Waiting};
