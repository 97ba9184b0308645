//! What a DAG file says, as values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) mod asset;
pub(crate) mod callback;
pub(crate) mod duration;
pub(crate) mod expand;
mod file;
mod groups;
mod import_error;
mod node;
mod param;
pub(crate) mod parse;
mod schedule;
pub(crate) mod template_file;
mod validate;

pub use asset::AssetCondition;
pub use callback::{Addresses, Callbacks, Deadline, DeadlineReference, Notifier};
pub use file::dag_schema;
pub use import_error::ImportError;
pub(crate) use node::{Document, read as read_document};
pub use param::{Param, ParamType, ParamTypes};
pub use schedule::{InvalidSchedule, Schedule, Ticks, Timetable};

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
    /// How many tasks of one run may be under way at once.
    #[serde(default = "sixteen", skip_serializing_if = "is_sixteen")]
    pub max_active_tasks: u32,
    /// After how long a run fails.
    pub dagrun_timeout: Option<Duration>,
    /// What a run can be given.
    pub params: IndexMap<String, Param>,
    /// The assets that start a run when they were updated, beside the timetable.
    #[serde(default, skip_serializing_if = "is_default")]
    pub assets: Option<AssetCondition>,
    /// Whether the first task that fails ends the run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fail_fast: bool,
    /// After how many failed runs in a row it is paused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_consecutive_failed_dag_runs: Option<u32>,
    /// Who is told how its runs end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub callbacks: Callbacks,
    /// The steps, in the order of the file.
    pub tasks: Vec<Task>,
    /// The groups that tasks are shown in. A task is in the group whose name, with a dot, its own name begins with.
    #[serde(default, skip_serializing_if = "is_default")]
    pub groups: Vec<TaskGroup>,
}

impl Dag {
    /// Returns the task of this id.
    pub fn task(&self, task_id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.task_id == task_id)
    }

    /// Returns the place of a task in the file.
    pub(crate) fn position(&self, task_id: &str) -> Option<usize> {
        self.tasks.iter().position(|task| task.task_id == task_id)
    }

    /// Returns the tasks that need this one directly.
    pub fn successors<'a>(&'a self, task_id: &'a str) -> impl Iterator<Item = &'a Task> {
        self.tasks
            .iter()
            .filter(move |task| task.needs.iter().any(|need| need == task_id))
    }

    /// Returns whether two tasks are in one group that is made several instances of.
    pub(crate) fn are_mapped_together(&self, one: &Task, other: &str) -> bool {
        let other = self.task(other).and_then(|task| task.mapped_group.as_ref());
        one.mapped_group.is_some() && one.mapped_group.as_ref() == other
    }

    /// Returns each dependency as (the task needed, the task that needs it).
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tasks.iter().flat_map(|task| {
            task.needs
                .iter()
                .map(move |need| (need.as_str(), task.task_id.as_str()))
        })
    }

    /// Returns the tasks of a group, and of the groups in it.
    pub fn tasks_in<'a>(&'a self, group_id: &'a str) -> impl Iterator<Item = &'a str> {
        let task_ids = self.tasks.iter().map(|task| task.task_id.as_str());
        task_ids.filter(move |task_id| {
            let is_group = || self.groups.iter().any(|group| group.group_id == group_id);
            task_id
                .strip_prefix(group_id)
                .is_some_and(|rest| rest.starts_with('.'))
                && is_group()
        })
    }

    /// Returns all tasks after a task, directly or not.
    pub fn all_after<'a>(&'a self, task_id: &'a str) -> BTreeSet<&'a str> {
        self.reach(task_id, |task_id| {
            self.successors(task_id)
                .map(|task| task.task_id.as_str())
                .collect()
        })
    }

    /// Returns all tasks before a task, directly or not.
    pub fn all_before<'a>(&'a self, task_id: &'a str) -> BTreeSet<&'a str> {
        self.reach(task_id, |task_id| {
            let needs = self.task(task_id).map(|task| task.needs.as_slice());
            needs.unwrap_or_default().iter().map(String::as_str).collect()
        })
    }

    fn reach<'a>(&'a self, task_id: &'a str, next: impl Fn(&'a str) -> Vec<&'a str>) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open = next(task_id);
        while let Some(task_id) = open.pop() {
            if found.insert(task_id) {
                open.extend(next(task_id));
            }
        }
        found
    }

    /// Returns the weight of each task by which it is chosen among those that are ready, in the order of the tasks.
    pub fn effective_weights(&self) -> Vec<i64> {
        let positions: BTreeMap<&str, usize> = self
            .tasks
            .iter()
            .enumerate()
            .map(|(position, task)| (task.task_id.as_str(), position))
            .collect();
        let (mut before, mut after) = (
            vec![Vec::new(); self.tasks.len()],
            vec![Vec::new(); self.tasks.len()],
        );
        for (need, task) in self.edges() {
            if let (Some(&need), Some(&task)) = (positions.get(need), positions.get(task)) {
                before[task].push(need);
                after[need].push(task);
            }
        }
        let sum = |position: usize| {
            let placement = &self.tasks[position].placement;
            let next = match placement.weight_rule {
                WeightRule::Absolute => return placement.priority_weight,
                WeightRule::Downstream => &after,
                WeightRule::Upstream => &before,
            };
            let (mut seen, mut open, mut sum) = (vec![false; self.tasks.len()], vec![position], 0_i64);
            seen[position] = true;
            while let Some(position) = open.pop() {
                sum = sum.saturating_add(self.tasks[position].placement.priority_weight);
                for &other in &next[position] {
                    if !std::mem::replace(&mut seen[other], true) {
                        open.push(other);
                    }
                }
            }
            sum
        };
        (0..self.tasks.len()).map(sum).collect()
    }

    /// Returns whether a task of this DAG looks at the run before.
    pub fn looks_at_past(&self) -> bool {
        self.tasks.iter().any(|task| task.depends_on_past)
    }

    /// Returns the tasks that a run is judged by: those that nothing but a teardown needs.
    pub fn judged(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(|task| {
            !task.teardown && self.successors(&task.task_id).all(|successor| successor.teardown)
        })
    }

    /// Returns the tasks that no other task needs.
    pub fn leaves(&self) -> impl Iterator<Item = &Task> {
        self.tasks
            .iter()
            .filter(|task| self.successors(&task.task_id).next().is_none())
    }
}

/// Tasks that are shown as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskGroup {
    /// The name, which those of its tasks begin with.
    pub group_id: String,
    /// What it is for.
    pub description: Option<String>,
    /// The group it is in.
    pub parent: Option<String>,
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
    /// By how much the delay grows with each failure, where it does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_exponential_backoff: Option<f64>,
    /// The longest delay after a failure.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_retry_delay: Option<Duration>,
    /// When it may start.
    pub trigger_rule: TriggerRule,
    /// Whether it sets something up that another task tears down.
    #[serde(default, skip_serializing_if = "is_default")]
    pub setup: bool,
    /// Whether it tears down what another task set up. A run is not judged by it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub teardown: bool,
    /// Whether it waits for itself in the run before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depends_on_past: bool,
    /// Whether it also waits for the tasks directly after it in the run before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wait_for_downstream: bool,
    /// Whether the value it gives is not handed on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keeps_xcom: bool,
    /// Whether a mapping it gives is handed on by its keys too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub multiple_outputs: bool,
    /// Where it is run, and what it has to share.
    #[serde(default, skip_serializing_if = "is_default")]
    pub placement: Placement,
    /// What it is made several instances of: lists, or tasks that give lists.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expand: Option<Value>,
    /// The group around it that is made several instances of, as a whole: each of its instances needs those of the same
    /// number in it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mapped_group: Option<String>,
    /// A template for what an instance is called, where the task is made several instances of.
    #[serde(default, skip_serializing_if = "is_default")]
    pub map_index_template: Option<String>,
    /// The assets that are updated when it succeeds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outlets: Vec<String>,
    /// Who is told how it ends.
    #[serde(default, skip_serializing_if = "is_default")]
    pub callbacks: Callbacks,
    /// The line of each argument in the file, by JSON pointer.
    pub argument_lines: BTreeMap<String, u32>,
}

impl Task {
    /// Returns a task that needs nothing and is tried once, with everything else as when a file says nothing.
    pub fn new(task_id: impl Into<String>, operator: impl Into<String>, arguments: Value) -> Self {
        Self {
            task_id: task_id.into(),
            description: None,
            needs: Vec::new(),
            operator: operator.into(),
            arguments,
            retries: 0,
            retry_delay: Duration::from_secs(300),
            retry_exponential_backoff: None,
            max_retry_delay: None,
            execution_timeout: None,
            trigger_rule: TriggerRule::default(),
            setup: false,
            teardown: false,
            depends_on_past: false,
            wait_for_downstream: false,
            keeps_xcom: false,
            multiple_outputs: false,
            placement: Placement::default(),
            expand: None,
            mapped_group: None,
            map_index_template: None,
            outlets: Vec::new(),
            callbacks: Callbacks::default(),
            argument_lines: BTreeMap::new(),
        }
    }

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

/// Where a task is run, and what it has to share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The pool whose slots it takes.
    pub pool: String,
    /// How many of them.
    pub pool_slots: u32,
    /// Its own weight.
    pub priority_weight: i64,
    /// What is added to its weight.
    pub weight_rule: WeightRule,
    /// The queue that its worker must listen to.
    pub queue: String,
    /// How many attempts of this task may run at once, in all runs of the DAG.
    pub max_active_tis_per_dag: Option<u32>,
    /// How many attempts of this task may run at once in one run.
    pub max_active_tis_per_dagrun: Option<u32>,
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            pool: DEFAULT_POOL.to_owned(),
            pool_slots: 1,
            priority_weight: 1,
            weight_rule: WeightRule::default(),
            queue: DEFAULT_QUEUE.to_owned(),
            max_active_tis_per_dag: None,
            max_active_tis_per_dagrun: None,
        }
    }
}

/// The pool of tasks that name none.
pub const DEFAULT_POOL: &str = "default_pool";

/// The queue of tasks that name none.
pub const DEFAULT_QUEUE: &str = "default";

/// What is added to the weight of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WeightRule {
    /// The weights of all tasks after it: what much depends on goes first.
    #[default]
    Downstream,
    /// The weights of all tasks before it: runs that have begun are brought to an end first.
    Upstream,
    /// Nothing.
    Absolute,
}

const fn sixteen() -> u32 {
    16
}

fn is_sixteen(number: &u32) -> bool {
    *number == 16
}

/// What is not said is not written either, so that a version made before a key existed keeps its hash.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What the tasks directly upstream must have come to before a task starts. "Failed" includes those that could not
/// run because another failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TriggerRule {
    /// Each succeeded.
    #[default]
    AllSuccess,
    /// Each failed.
    AllFailed,
    /// Each is over, however it ended.
    AllDone,
    /// Each is over, none was skipped, and one at least succeeded.
    AllDoneMinOneSuccess,
    /// Each is over, and of those that set something up one at least succeeded.
    AllDoneSetupSuccess,
    /// One succeeded; the others are not waited for.
    OneSuccess,
    /// One failed; the others are not waited for.
    OneFailed,
    /// One succeeded or failed; the others are not waited for.
    OneDone,
    /// Each is over, and none failed.
    NoneFailed,
    /// Each is over, none failed, and one at least succeeded.
    #[serde(alias = "none_failed_or_skipped")]
    NoneFailedMinOneSuccess,
    /// Each is over, and none was skipped.
    NoneSkipped,
    /// Each was skipped.
    AllSkipped,
    /// Nothing: it starts with the run.
    #[serde(alias = "dummy")]
    Always,
}
