#![doc = include_str!("../README.md")]

pub mod dag;
mod dag_run;
mod task_instance;

mod decide;
mod template;

mod core;
mod doorbell;
mod exec;
mod files;
mod logs;
pub mod operator;
mod scheduler;
mod worker;

pub mod api;
mod assets;
mod audit;
mod backfill;
mod by_hand;
mod callbacks;
mod change;
mod error;
mod listing;
mod object_watch;
mod orchestrator;
mod overview;
mod pools;
mod probe;
mod rehearsal;
mod settings;
mod store;
mod vault;
mod waiting;
mod waiting_words;
mod workers;

#[cfg(test)]
mod testing;

pub use assets::{Asset, AssetEvent, AssetEventQuery, AssetSource};
pub use audit::{AuditEntry, AuditQuery};
pub use backfill::{Backfill, BackfillRequest, BackfillRun, BackfillState, Fate, Reprocess};
pub use callbacks::{Callback, CallbackEvent, CallbackQuery, CallbackState};
pub use change::Change;
pub use dag::{
    Addresses, AssetCondition, Callbacks, DEFAULT_POOL, DEFAULT_QUEUE, Dag, Deadline, DeadlineReference,
    ImportError, Notifier, Param, Placement, Schedule, Task, TaskGroup, TriggerRule, WeightRule, dag_schema,
};
pub use dag_run::{DagRun, DagRunQuery, DagRunState, NextRun, RecentDagRun, RunType, TriggerRequest};
pub use error::Error;
pub use exec::exec_task;
pub use operator::{
    ArgumentError, ArgumentFile, AwaitedKey, AwaitedObject, ColumnKind, Connection, ConnectionParts,
    LoadCell, Operator, OperatorCatalog, Outcome, PreviousRun, RunNames, TableLoad, TaskContext, TaskError,
    check_arguments, open_bucket, parse_arguments, table_asset, table_columns,
};
pub use orchestrator::{DagSummary, Heartbeats, Orchestrator, Transition};
pub use overview::{DagHeader, DagOverview, DagVersion, DayTally, TaskTally};
pub use pools::{Pool, PoolUse};
pub use probe::{Answered, Probe};
pub use scheduler::clear::Clearing;
pub use scheduler::mark::Marking;
pub use settings::{Settings, Smtp, SmtpSecurity, TaskKey, TaskVariables, WebhookSettings};
pub use task_instance::{
    Attempt, AttemptState, InstanceId, LogChunk, RETURN_VALUE, TaskInstance, TaskState, Xcom,
};
pub use vault::{NamedConnection, Variable};
pub use waiting::{DagIsOpen, Waiting};
pub use worker::{WorkerSettings, run_remote_worker, worker_router};
pub use workers::Worker;
