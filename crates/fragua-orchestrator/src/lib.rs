#![doc = include_str!("../README.md")]

mod change;
pub mod dag;
mod dag_run;
mod decide;
mod error;
pub mod operator;
mod settings;
mod task_instance;
mod template;

pub use change::Change;
pub use dag::{Dag, ImportError, Param, Schedule, Task, TriggerRule, dag_schema};
pub use dag_run::{DagRun, DagRunQuery, DagRunState, NextRun, RecentDagRun, RunType, TriggerRequest};
pub use error::Error;
pub use operator::{ArgumentError, Connection, Operator, OperatorCatalog, Outcome, TaskContext, TaskError};
pub use settings::{Settings, TaskKey, TaskVariables};
pub use task_instance::{Attempt, AttemptState, LogChunk, TaskInstance, TaskState};
