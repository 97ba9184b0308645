//! What the one who opens the orchestrator decides.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fragua_base::Secret;
use serde_json::Value;

use crate::InstanceId;
use crate::operator::Connection;

/// Names one attempt of a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskKey {
    /// The DAG.
    pub dag_id: String,
    /// The DAG run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// The number of the instance, where the task is made several instances of.
    pub map_index: Option<u32>,
    /// The number of the attempt.
    pub attempt: u32,
}

impl TaskKey {
    /// Returns what names the task instance within its run.
    pub fn instance_id(&self) -> InstanceId {
        InstanceId {
            task_id: self.task_id.clone(),
            map_index: self.map_index,
        }
    }
}

impl fmt::Display for TaskKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}/{}/{} attempt {}",
            self.dag_id,
            self.run_id,
            self.instance_id(),
            self.attempt
        )
    }
}

/// Makes environment variables for one attempt, such as a token that lives as long as it does.
#[async_trait]
pub trait TaskVariables: Send + Sync {
    /// Returns the variables to set; their values are masked in the attempt's log. The error, in words, fails the
    /// attempt.
    async fn variables(&self, key: &TaskKey) -> Result<BTreeMap<String, Secret>, String>;
}

/// Where things are and how much is done at once.
#[derive(Clone)]
pub struct Settings {
    /// The folder of DAG files, read with its sub-folders.
    pub dags_folder: PathBuf,
    /// Where the logs of attempts are written.
    pub logs_folder: PathBuf,
    /// Where attempts leave their results and where the local worker's lock is.
    pub work_folder: PathBuf,
    /// The folder that tasks start in.
    pub project_folder: PathBuf,
    /// How many attempts the local worker runs at once.
    pub parallelism: usize,
    /// Whether a DAG seen for the first time waits to be unpaused.
    pub dags_are_paused_at_creation: bool,
    /// The program that runs one attempt when called with `exec-task`.
    pub exec_task: PathBuf,
    /// The interpreter of `python` tasks that name none.
    pub python: String,
    /// Variables for every attempt.
    pub environment: BTreeMap<String, String>,
    /// Variables made for each attempt.
    pub task_variables: Option<Arc<dyn TaskVariables>>,
    /// What variables and connections in the database are encrypted with: 32 bytes in URL-safe base64.
    pub secret_key: Option<Secret>,
    /// What tasks may connect to, by name.
    pub connections: BTreeMap<String, Connection>,
    /// What templates call `var.value.NAME`.
    pub variables: BTreeMap<String, Value>,
    /// How long a lease lasts without a heartbeat; heartbeats come three times as often.
    pub lease: Duration,
    /// How long an attempt that is told to stop may take before it is killed.
    pub stop_grace: Duration,
    /// How many attempts in a row may be lost with their worker before the task fails.
    pub lost_attempts: u32,
    /// How long a task may be queued while no worker listens to its queue. It is queued again twice, then fails.
    pub task_queued_timeout: Duration,
    /// The queues that the local worker listens to; all when empty.
    pub queues: Vec<String>,
    /// The most bytes of one value that a task hands on.
    pub max_xcom_bytes: u64,
    /// Where the log of an attempt is cut.
    pub max_log_bytes: u64,
}

impl Settings {
    /// Returns the settings of a project with everything in its place: `dags/` in the folder, the rest below
    /// `.fragua/`, 4 attempts at once, DAGs paused until they are unpaused, the running program for `exec-task`.
    pub fn for_project(project_folder: impl Into<PathBuf>) -> Self {
        let project_folder = project_folder.into();
        let state_folder = project_folder.join(".fragua");
        Self {
            dags_folder: project_folder.join("dags"),
            logs_folder: state_folder.join("logs"),
            work_folder: state_folder.join("work"),
            project_folder,
            parallelism: 4,
            dags_are_paused_at_creation: true,
            exec_task: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("fragua")),
            python: "python3".to_owned(),
            environment: BTreeMap::new(),
            task_variables: None,
            secret_key: None,
            connections: BTreeMap::new(),
            variables: BTreeMap::new(),
            lease: Duration::from_secs(30),
            stop_grace: Duration::from_secs(2),
            lost_attempts: 10,
            task_queued_timeout: Duration::from_secs(600),
            queues: Vec::new(),
            max_xcom_bytes: 1024 * 1024,
            max_log_bytes: 256 * 1024 * 1024,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("dags_folder", &self.dags_folder)
            .field("logs_folder", &self.logs_folder)
            .field("work_folder", &self.work_folder)
            .field("project_folder", &self.project_folder)
            .field("parallelism", &self.parallelism)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
