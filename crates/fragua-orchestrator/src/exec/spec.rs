//! What passes between a worker and the process of an attempt.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fragua_base::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::dag::Task;
use crate::operator::{AwaitedObject, Connection, RunNames, TaskContext};

/// What a process that may run an attempt is told, on its standard input: first of all to get ready, where it is started
/// before there is an attempt for it; then what to do. Every further line is an instant until which the attempt is held.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// Start this interpreter of Python, which is likely to be needed.
    Prepare { python: String },
    /// Run this.
    Run(Box<Spec>),
}

/// What an attempt is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) task: Task,
    dag_id: String,
    dag_run_id: String,
    try_number: u32,
    attempt_token: String,
    logical_date: Timestamp,
    data_interval_start: Timestamp,
    data_interval_end: Timestamp,
    params: Map<String, Value>,
    /// Addresses with their credentials: they are why this is not on the command line.
    pub(crate) connections: BTreeMap<String, String>,
    variables: BTreeMap<String, Value>,
    project_folder: PathBuf,
    work_folder: PathBuf,
    xcom: BTreeMap<String, Value>,
    xcom_keys: BTreeMap<String, BTreeMap<String, Value>>,
    max_xcom_bytes: u64,
    map_index: Option<u32>,
    map_values: Option<Value>,
    #[serde(default)]
    run_names: RunNames,
    first_started_at: Timestamp,
    python: String,
    /// What the attempt's programs are given beside the environment of the worker.
    environment: BTreeMap<String, String>,
    /// Until when the attempt may run, as its own machine's clock counts; later lines of standard input say more.
    pub(crate) held_until: u64,
}

impl Spec {
    pub(crate) fn new(task: Task, context: TaskContext) -> Self {
        let connections = context.connections.iter();
        Self {
            task,
            connections: connections
                .map(|(name, to)| (name.clone(), to.url.expose().to_owned()))
                .collect(),
            dag_id: context.dag_id,
            dag_run_id: context.dag_run_id,
            try_number: context.try_number,
            attempt_token: context.attempt_token,
            logical_date: context.logical_date,
            data_interval_start: context.data_interval_start,
            data_interval_end: context.data_interval_end,
            params: context.params,
            variables: context.variables,
            project_folder: context.project_folder,
            work_folder: context.work_folder,
            xcom: context.xcom,
            xcom_keys: context.xcom_keys,
            max_xcom_bytes: context.max_xcom_bytes,
            map_index: context.map_index,
            map_values: context.map_values,
            run_names: context.run_names,
            first_started_at: context.first_started_at,
            python: context.python,
            environment: context.environment,
            held_until: 0,
        }
    }

    /// Says where the attempt runs: on another machine than the one that knows what it is to do, folders and programs
    /// have other places.
    pub(crate) fn place(&mut self, project_folder: &Path, work_folder: &Path, python: &str) {
        self.project_folder = project_folder.to_owned();
        self.work_folder = work_folder.to_owned();
        self.python = python.to_owned();
    }

    /// Sets a variable for the attempt's programs.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn into_parts(self) -> (Task, TaskContext) {
        let connections = self
            .connections
            .into_iter()
            .map(|(name, url)| (name, Connection::new(url)));
        let context = TaskContext {
            dag_id: self.dag_id,
            dag_run_id: self.dag_run_id,
            task_id: self.task.task_id.clone(),
            try_number: self.try_number,
            attempt_token: self.attempt_token,
            logical_date: self.logical_date,
            data_interval_start: self.data_interval_start,
            data_interval_end: self.data_interval_end,
            params: self.params,
            connections: connections.collect(),
            variables: self.variables,
            project_folder: self.project_folder,
            work_folder: self.work_folder,
            xcom: self.xcom,
            xcom_keys: self.xcom_keys,
            max_xcom_bytes: self.max_xcom_bytes,
            map_index: self.map_index,
            map_values: self.map_values,
            run_names: self.run_names,
            first_started_at: self.first_started_at,
            python: self.python,
            environment: self.environment,
        };
        (self.task, context)
    }
}

/// How the operator ended, as the attempt's process reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) end: End,
    pub(crate) usage: Usage,
    /// How many processes the task left behind.
    pub(crate) left_behind: usize,
}

/// What the processes of an attempt took, and how the one that decided ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// The most memory that one of them held at once.
    pub(crate) peak_memory_bytes: Option<u64>,
    /// The time they kept processors busy.
    pub(crate) cpu_millis: Option<u64>,
    /// The status that the task's program ended with.
    pub(crate) exit_status: Option<i32>,
    /// The signal that ended it.
    pub(crate) exit_signal: Option<i32>,
}

impl Usage {
    /// Takes the greater of each measure, and how it ended from whoever knows.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            peak_memory_bytes: self.peak_memory_bytes.max(other.peak_memory_bytes),
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            exit_status: self.exit_status.or(other.exit_status),
            exit_signal: self.exit_signal.or(other.exit_signal),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum End {
    Success {
        xcoms: BTreeMap<String, Value>,
        #[serde(default)]
        assets: Vec<String>,
    },
    Failed {
        message: String,
    },
    FailedForGood {
        message: String,
    },
    Skipped {
        message: String,
    },
    Reschedule {
        millis: u64,
        #[serde(default)]
        object: Option<AwaitedObject>,
    },
    /// Its worker stopped it and gives the task back.
    HandedBack {
        message: String,
    },
}

/// The file in an attempt's folder that its report is in.
pub(crate) fn report_path(work_folder: &Path) -> PathBuf {
    work_folder.join("report.json")
}

/// The largest report that is read.
const LARGEST_REPORT_BYTES: u64 = 32 * 1024 * 1024;

/// Writes a report so that it is there as a whole or not at all.
pub(crate) fn write_report(work_folder: &Path, report: &Report) -> io::Result<()> {
    let path = report_path(work_folder);
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    // Not synced: a machine that loses power loses the attempt too.
    file.write_all(&serde_json::to_vec(report)?)?;
    fs::rename(unfinished, path)
}

/// Reads a report; nothing where there is none.
pub(crate) fn read_report(work_folder: &Path) -> Option<Report> {
    let path = report_path(work_folder);
    let length = fs::metadata(&path).ok()?.len();
    if length > LARGEST_REPORT_BYTES {
        let message = format!("the attempt handed on {length} bytes, more than {LARGEST_REPORT_BYTES}");
        return Some(Report {
            end: End::FailedForGood { message },
            usage: Usage::default(),
            left_behind: 0,
        });
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
