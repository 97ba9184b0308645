//! What a DAG file says, as values.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) mod duration;
mod file;
mod import_error;
mod node;
mod param;
pub(crate) mod parse;
mod schedule;
mod validate;

pub use file::dag_schema;
pub use import_error::ImportError;
pub use param::{Param, ParamType};
pub use schedule::{InvalidSchedule, Schedule, Timetable};

/// Tasks with their dependencies and a schedule, read from one file. Each version is kept in the database as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dag {
    /// The name.
    pub dag_id: String,
    /// What it is for.
    pub description: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Who looks after it.
    pub owner: Option<String>,
    /// When it runs.
    pub timetable: Timetable,
    /// Whether each missed interval is run, or the newest alone.
    pub catchup: bool,
    /// How many runs may be under way at once.
    pub max_active_runs: u32,
    /// After how long a run fails.
    pub dagrun_timeout: Option<Duration>,
    /// What a run can be given.
    pub params: IndexMap<String, Param>,
    /// The steps, in the order of the file.
    pub tasks: Vec<Task>,
}

impl Dag {
    /// Returns the task of this id.
    pub fn task(&self, task_id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.task_id == task_id)
    }

    /// Returns the tasks that need this one directly.
    pub fn successors<'a>(&'a self, task_id: &'a str) -> impl Iterator<Item = &'a Task> {
        self.tasks
            .iter()
            .filter(move |task| task.needs.iter().any(|need| need == task_id))
    }

    /// Returns each dependency as (the task needed, the task that needs it).
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tasks.iter().flat_map(|task| {
            task.needs
                .iter()
                .map(move |need| (need.as_str(), task.task_id.as_str()))
        })
    }

    /// Returns the tasks that no other task needs.
    pub fn leaves(&self) -> impl Iterator<Item = &Task> {
        self.tasks
            .iter()
            .filter(|task| self.successors(&task.task_id).next().is_none())
    }
}

/// A step of a DAG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The name, unique in its DAG.
    pub task_id: String,
    /// What it is for.
    pub description: Option<String>,
    /// The tasks that come before it.
    pub needs: Vec<String>,
    /// The operator's name.
    pub operator: String,
    /// What the operator is given, templates not rendered.
    pub arguments: Value,
    /// How many failures are followed by another attempt.
    pub retries: u32,
    /// How long after a failure.
    pub retry_delay: Duration,
    /// After how long an attempt is stopped and counted as failed.
    pub execution_timeout: Option<Duration>,
    /// When it may start.
    pub trigger_rule: TriggerRule,
    /// The line of each argument in the file, by JSON pointer.
    pub argument_lines: BTreeMap<String, u32>,
}

impl Task {
    /// Returns the line of an argument in the file, or of the nearest argument around it.
    pub fn argument_line(&self, pointer: &str) -> Option<u32> {
        let mut pointer = pointer;
        loop {
            if let Some(line) = self.argument_lines.get(pointer) {
                return Some(*line);
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }
}

/// What the tasks upstream must have come to before a task starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TriggerRule {
    /// Each succeeded.
    #[default]
    AllSuccess,
    /// Each is over, however it ended.
    AllDone,
}
