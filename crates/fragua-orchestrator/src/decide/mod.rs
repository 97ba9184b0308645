//! What follows from what happened. Nothing here reads a clock, a file or a database: state and event go in, actions
//! come out, and [`crate::store`] writes them in the transaction that recorded the event.

mod lease;
mod plan;
mod retry;
mod trigger;

pub(crate) use lease::{Busy, Candidate, PoolSize, Refusal};
pub(crate) use plan::{PlanView, WaitView, plan, wait_is_over};

use std::collections::{BTreeMap, BTreeSet};

use fragua_base::Timestamp;
use serde_json::Value;

use self::trigger::{Counts, Verdict};
use crate::dag::{Dag, Task};
use crate::operator::{AwaitedObject, EMPTY, is_held};
use crate::{DagRunState, InstanceId, TaskState};

/// How often a task is queued again because no worker took it, before it fails.
const MOST_REQUEUES: u32 = 2;

/// The part of a DAG run that an event is about.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) dag: &'a Dag,
    /// The run's logical date, which the jitter of retries is made from.
    pub(crate) logical_date: Timestamp,
    /// Where tasks stand: at least those of [`Scope`].
    pub(crate) tasks: BTreeMap<InstanceId, TaskView>,
    /// What keeps tasks that depend on the run before from starting, by task. A task that is not here may start.
    pub(crate) past: BTreeMap<String, Vec<(InstanceId, TaskState)>>,
    /// Whether every task of the run is over.
    pub(crate) is_over: bool,
    /// How many attempts may be lost in a row.
    pub(crate) lost_attempts: u32,
}

/// Which tasks a decision about an event looks at, so that no more than these are loaded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// Every task of the run.
    All,
    /// These, and the leaves when nothing is unfinished.
    These(Vec<&'a str>),
}

/// Returns the scope of an event: after a task is over its direct successors, and what these need; otherwise the
/// task itself, and what it needs.
pub(crate) fn scope<'a>(dag: &'a Dag, event: &'a Event) -> Scope<'a> {
    let with_needs = |task: &'a Task| {
        task.needs
            .iter()
            .map(String::as_str)
            .chain([task.task_id.as_str()])
    };
    let mut tasks: Vec<&str> = match event {
        Event::Started => return Scope::All,
        Event::Finished { .. } if dag.fail_fast => return Scope::All,
        Event::Finished { id } => dag.successors(&id.task_id).flat_map(with_needs).collect(),
        Event::PastChanged { task_ids } => {
            let tasks = task_ids.iter().filter_map(|task_id| dag.task(task_id));
            tasks.flat_map(with_needs).collect()
        }
        Event::AttemptEnded { id, ending } | Event::HoldEnded { id, ending } => {
            let own = dag.task(&id.task_id).into_iter().flat_map(with_needs);
            own.chain(ending.skips().iter().map(String::as_str)).collect()
        }
        Event::Due { id } | Event::QueueTimedOut { id, .. } => {
            dag.task(&id.task_id).into_iter().flat_map(with_needs).collect()
        }
        Event::Expanded { task_id } | Event::ExpandFailed { task_id, .. } => {
            dag.task(task_id).into_iter().flat_map(with_needs).collect()
        }
    };
    tasks.sort_unstable();
    tasks.dedup();
    Scope::These(tasks)
}

/// Where one task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskView {
    pub(crate) state: TaskState,
    pub(crate) failures: u32,
    pub(crate) lost: u32,
    /// How often it was queued again because no worker took it.
    pub(crate) requeues: u32,
    /// The tasks that it decided to skip.
    pub(crate) skips: Vec<String>,
}

impl TaskView {
    #[cfg(test)]
    pub(crate) fn of(state: TaskState) -> Self {
        Self {
            state,
            failures: 0,
            lost: 0,
            requeues: 0,
            skips: Vec::new(),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The run may start, or tasks of it were cleared.
    Started,
    /// A task is over.
    Finished { id: InstanceId },
    /// An attempt is over.
    AttemptEnded { id: InstanceId, ending: Ending },
    /// What the scheduler holds is over.
    HoldEnded { id: InstanceId, ending: Ending },
    /// The delay before another attempt, or before a sensor looks again, is over.
    Due { id: InstanceId },
    /// No worker took a task in time, for this reason.
    QueueTimedOut { id: InstanceId, message: String },
    /// Tasks may have got what they waited for in the run before.
    PastChanged { task_ids: BTreeSet<String> },
    /// The instances of a task are known; one without a number is left where there is none.
    Expanded { task_id: String },
    /// The instances of a task cannot be known.
    ExpandFailed { task_id: String, message: String },
}

/// How an attempt, or what the scheduler held, ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    Success(Success),
    /// Failed; retries may help.
    Failed {
        message: String,
    },
    FailedForGood {
        message: String,
    },
    Skipped {
        message: String,
    },
    /// A sensor did not find what it looks for, and looks again at an instant.
    Reschedule {
        at: Timestamp,
        /// What would let it look earlier.
        object: Option<AwaitedObject>,
    },
    /// Its worker is gone.
    Lost {
        message: String,
    },
    /// Its worker stopped it and gives the task back.
    HandedBack {
        message: String,
    },
}

/// What a task that succeeded leaves.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Success {
    /// The values it hands on, by key.
    pub(crate) xcoms: BTreeMap<String, Value>,
    /// The tasks that are to be skipped because of it.
    pub(crate) skips: Vec<String>,
    /// The assets it updated, beside those that the task names.
    pub(crate) assets: Vec<String>,
}

impl Ending {
    /// Returns the ending of a task that has nothing to hand on.
    pub(crate) fn success() -> Self {
        Self::Success(Success::default())
    }

    fn skips(&self) -> &[String] {
        match self {
            Self::Success(success) => &success.skips,
            _ => &[],
        }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Let a worker take the task.
    Queue { id: InstanceId, because: Because },
    /// Begin what the scheduler holds itself, without a process.
    Hold { id: InstanceId },
    /// Find the instances of a task.
    Expand { task_id: String },
    /// The task starts over, as if it had never run.
    Reset { id: InstanceId },
    /// Look at the task again at an instant.
    RetryAt {
        id: InstanceId,
        at: Timestamp,
        message: String,
    },
    /// Look again with the same attempt at an instant.
    RescheduleAt {
        id: InstanceId,
        at: Timestamp,
        object: Option<AwaitedObject>,
    },
    /// The task is over.
    Finish {
        id: InstanceId,
        state: TaskState,
        message: Option<String>,
        success: Success,
    },
    /// The run is over.
    EndRun { state: DagRunState },
}

/// Why a task is queued, which says what it is counted as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Because {
    /// What it needs is done.
    Ready,
    /// The delay before another attempt has passed.
    Retry,
    /// No worker took it in time.
    NotTaken { message: String },
    /// Its worker is gone.
    Lost { message: String },
    /// Its worker gave it back.
    HandedBack { message: String },
}

/// Says what follows from an event.
pub(crate) fn decide(view: &View<'_>, event: &Event, now: Timestamp) -> Vec<Action> {
    match event {
        Event::Started => {
            let mut actions: Vec<Action> = view
                .dag
                .tasks
                .iter()
                .flat_map(|task| view.consider(task))
                .collect();
            if view.is_over {
                actions.push(view.verdict());
            }
            actions
        }
        Event::Finished { id } => {
            let mut actions = view.stop_after(id);
            let successors = view.dag.successors(&id.task_id);
            // What is stopped is not considered; teardowns are not stopped.
            let successors = successors.filter(|task| actions.is_empty() || task.teardown);
            let successors: Vec<Action> = successors.flat_map(|task| view.consider(task)).collect();
            actions.extend(successors);
            if view.is_over {
                actions.push(view.verdict());
            }
            actions
        }
        Event::PastChanged { task_ids } => {
            let tasks = task_ids.iter().filter_map(|task_id| view.dag.task(task_id));
            tasks.flat_map(|task| view.consider(task)).collect()
        }
        Event::AttemptEnded { id, .. } if view.state(id) == Some(TaskState::Restarting) => {
            let mut actions = vec![Action::Reset { id: id.clone() }];
            if let Some(task) = view.dag.task(&id.task_id) {
                actions.extend(view.consider_instances(task, vec![id.clone()]));
            }
            actions
        }
        Event::AttemptEnded { id, ending } if view.state(id) == Some(TaskState::Running) => {
            view.ended(id, ending, now)
        }
        Event::HoldEnded { id, ending } if view.state(id) == Some(TaskState::Deferred) => {
            view.ended(id, ending, now)
        }
        Event::AttemptEnded { .. } | Event::HoldEnded { .. } => Vec::new(),
        Event::Due { id } => match view.state(id) {
            Some(TaskState::UpForRetry | TaskState::UpForReschedule) => {
                let task = view.dag.task(&id.task_id);
                task.map(|task| begin(task, id.clone(), Because::Retry))
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        },
        Event::QueueTimedOut { id, message } => match view.tasks.get(id) {
            Some(task) if task.state != TaskState::Queued => Vec::new(),
            Some(task) if task.requeues >= MOST_REQUEUES => {
                let message = format!("{message}, {} times in a row", task.requeues + 1);
                view.failed(id, &message, now).into_iter().collect()
            }
            Some(_) => {
                let because = Because::NotTaken {
                    message: message.clone(),
                };
                vec![Action::Queue {
                    id: id.clone(),
                    because,
                }]
            }
            None => Vec::new(),
        },
        Event::Expanded { task_id } => view.expanded(task_id),
        Event::ExpandFailed { task_id, message } => {
            let open = view.open_instances(task_id);
            let failed = open.map(|id| finish(id, TaskState::Failed, Some(message)));
            failed.collect()
        }
    }
}

fn finish(id: &InstanceId, state: TaskState, message: Option<&str>) -> Action {
    Action::Finish {
        id: id.clone(),
        state,
        message: message.map(str::to_owned),
        success: Success::default(),
    }
}

/// Lets a task begin, the way its operator does.
fn begin(task: &Task, id: InstanceId, because: Because) -> Action {
    if task.operator == EMPTY {
        finish(&id, TaskState::Success, None)
    } else if is_held(&task.operator) {
        Action::Hold { id }
    } else {
        Action::Queue { id, because }
    }
}

impl View<'_> {
    fn state(&self, id: &InstanceId) -> Option<TaskState> {
        self.tasks.get(id).map(|task| task.state)
    }

    /// Returns the instances of a task with where they stand.
    fn instances<'v>(
        &'v self,
        task_id: &str,
    ) -> impl Iterator<Item = (&'v InstanceId, &'v TaskView)> + use<'v> {
        let first = InstanceId::of(task_id);
        let task_id = task_id.to_owned();
        self.tasks
            .range(first..)
            .take_while(move |(id, _)| id.task_id == task_id)
    }

    /// Returns the instances of a task that have not begun.
    fn open_instances<'v>(&'v self, task_id: &str) -> impl Iterator<Item = &'v InstanceId> + use<'v> {
        let open = self
            .instances(task_id)
            .filter(|(_, view)| view.state == TaskState::None);
        open.map(|(id, _)| id)
    }

    /// Returns the tasks that a task needs and whose instances of the same number each of its instances needs.
    fn needs_by_number<'v>(&'v self, task: &'v Task) -> impl Iterator<Item = &'v str> + use<'v> {
        let needs = task.needs.iter().map(String::as_str);
        needs.filter(|need| self.dag.are_mapped_together(task, need))
    }

    /// Returns whether what comes before a task concerns one instance of it: of a task that is mapped together with it
    /// only the instance of the same number, or the one that was never expanded.
    fn concerns(&self, task: &Task, before: &InstanceId, id: &InstanceId) -> bool {
        let is_same = before.map_index.is_none() || before.map_index == id.map_index;
        is_same || !self.dag.are_mapped_together(task, &before.task_id)
    }

    /// Returns the numbers of the instances of a task.
    fn numbers(&self, task_id: &str) -> BTreeSet<u32> {
        let there = self
            .instances(task_id)
            .filter(|(_, view)| view.state != TaskState::Removed);
        there.filter_map(|(id, _)| id.map_index).collect()
    }

    /// As [`Self::consider`] for a task that needs others in a group which is made several instances of: it is expanded
    /// as soon as one of these is, and each instance goes on by itself.
    fn consider_by_number(&self, task: &Task, open: Vec<InstanceId>) -> Vec<Action> {
        let numbers: BTreeSet<u32> = self
            .needs_by_number(task)
            .flat_map(|need| self.numbers(need))
            .collect();
        if !numbers.is_empty() && !open.is_empty() && self.numbers(&task.task_id) != numbers {
            let task_id = task.task_id.clone();
            return vec![Action::Expand { task_id }];
        }
        open.into_iter()
            .flat_map(|id| self.consider_one(task, id))
            .collect()
    }

    fn consider_one(&self, task: &Task, id: InstanceId) -> Option<Action> {
        if let Some(branch) = self.skipped_by(task, &id) {
            let message = format!("{branch} decided to skip it");
            return Some(finish(&id, TaskState::Skipped, Some(&message)));
        }
        match Counts::of_instance(self, task, &id).verdict(task) {
            Verdict::Wait => None,
            Verdict::UpstreamFailed(message) => Some(finish(&id, TaskState::UpstreamFailed, Some(&message))),
            Verdict::Skip(message) => Some(finish(&id, TaskState::Skipped, Some(&message))),
            Verdict::Run if self.waits_for_past(task) => None,
            Verdict::Run if id.map_index.is_none() => Some(Action::Expand {
                task_id: task.task_id.clone(),
            }),
            Verdict::Run => Some(begin(task, id, Because::Ready)),
        }
    }

    fn waits_for_past(&self, task: &Task) -> bool {
        let blocks = self.past.get(&task.task_id);
        blocks.is_some_and(|blocks| !blocks.is_empty())
    }

    /// Says what becomes of the instances of a task that have not begun; nothing while they must wait.
    fn consider(&self, task: &Task) -> Vec<Action> {
        self.consider_instances(task, self.open_instances(&task.task_id).cloned().collect())
    }

    fn consider_instances(&self, task: &Task, open: Vec<InstanceId>) -> Vec<Action> {
        if self.needs_by_number(task).next().is_some() {
            return self.consider_by_number(task, open);
        }
        let all = |state: TaskState, message: String| {
            open.iter().map(|id| finish(id, state, Some(&message))).collect()
        };
        if let Some(branch) = open.first().and_then(|id| self.skipped_by(task, id)) {
            return all(TaskState::Skipped, format!("{branch} decided to skip it"));
        }
        match Counts::of(self, task).verdict(task) {
            Verdict::Wait => Vec::new(),
            Verdict::UpstreamFailed(message) => all(TaskState::UpstreamFailed, message),
            Verdict::Skip(message) => all(TaskState::Skipped, message),
            Verdict::Run if self.waits_for_past(task) => Vec::new(),
            Verdict::Run if open.is_empty() => Vec::new(),
            Verdict::Run if task.expand.is_some() => vec![Action::Expand {
                task_id: task.task_id.clone(),
            }],
            Verdict::Run => open
                .iter()
                .map(|id| begin(task, id.clone(), Because::Ready))
                .collect(),
        }
    }

    /// Returns what directly before an instance decided to skip it.
    fn skipped_by(&self, task: &Task, id: &InstanceId) -> Option<&InstanceId> {
        let before = task.needs.iter().flat_map(|need| self.instances(need));
        before
            .filter(|(before, _)| self.concerns(task, before, id))
            .filter(|(_, view)| view.state == TaskState::Success)
            .find(|(_, view)| view.skips.contains(&task.task_id))
            .map(|(id, _)| id)
    }

    fn expanded(&self, task_id: &str) -> Vec<Action> {
        let Some(task) = self.dag.task(task_id) else {
            return Vec::new();
        };
        let by_number = self.needs_by_number(task).next().is_some();
        let open = self.open_instances(task_id);
        open.filter_map(|id| match id.map_index {
            None => Some(finish(id, TaskState::Skipped, Some("expand gave no item"))),
            Some(_) if by_number => self.consider_one(task, id.clone()),
            Some(_) => Some(begin(task, id.clone(), Because::Ready)),
        })
        .collect()
    }

    fn ended(&self, id: &InstanceId, ending: &Ending, now: Timestamp) -> Vec<Action> {
        let Some(view) = self.tasks.get(id) else {
            return Vec::new();
        };
        let queue = |because: Because| Action::Queue {
            id: id.clone(),
            because,
        };
        let action = match ending {
            Ending::Success(success) => {
                let mut actions = vec![Action::Finish {
                    id: id.clone(),
                    state: TaskState::Success,
                    message: None,
                    success: success.clone(),
                }];
                let message = format!("{id} decided to skip it");
                for task_id in &success.skips {
                    // Those that are mapped together are skipped by number, as soon as there are any.
                    let together = self.dag.task(&id.task_id);
                    let together = together.is_some_and(|task| self.dag.are_mapped_together(task, task_id));
                    let open = self.open_instances(task_id);
                    let open = open.filter(|open| !together || open.map_index == id.map_index);
                    actions.extend(open.map(|open| finish(open, TaskState::Skipped, Some(&message))));
                }
                return actions;
            }
            Ending::Skipped { message } => finish(id, TaskState::Skipped, Some(message)),
            Ending::FailedForGood { message } => finish(id, TaskState::Failed, Some(message)),
            Ending::Failed { message } => return self.failed(id, message, now).into_iter().collect(),
            Ending::Reschedule { at, object } => Action::RescheduleAt {
                id: id.clone(),
                at: *at,
                object: object.clone(),
            },
            Ending::Lost { message } if view.lost >= self.lost_attempts => {
                let message = format!(
                    "{message}; {} attempts in a row were lost with their worker",
                    view.lost + 1
                );
                finish(id, TaskState::Failed, Some(&message))
            }
            Ending::Lost { message } => queue(Because::Lost {
                message: message.clone(),
            }),
            Ending::HandedBack { message } => queue(Because::HandedBack {
                message: message.clone(),
            }),
        };
        vec![action]
    }

    fn failed(&self, id: &InstanceId, message: &str, now: Timestamp) -> Option<Action> {
        let (task, view) = (self.dag.task(&id.task_id)?, self.tasks.get(id)?);
        if view.failures >= task.retries {
            return Some(finish(id, TaskState::Failed, Some(message)));
        }
        let delay = retry::delay(&self.dag.dag_id, task, self.logical_date, view.failures + 1);
        Some(Action::RetryAt {
            id: id.clone(),
            at: now.plus(delay),
            message: message.to_owned(),
        })
    }

    /// Says what a failure ends where the DAG is to fail fast: all that is not over, but for teardowns.
    fn stop_after(&self, id: &InstanceId) -> Vec<Action> {
        let is_work = |id: &InstanceId| self.dag.task(&id.task_id).is_some_and(|task| !task.teardown);
        if !self.dag.fail_fast || self.state(id) != Some(TaskState::Failed) || !is_work(id) {
            return Vec::new();
        }
        let message = format!("{id} failed, and the DAG fails fast");
        let open = self.tasks.iter().filter(|(_, view)| !view.state.is_finished());
        open.filter(|(id, _)| is_work(id))
            .map(|(id, view)| match view.state.is_leased() {
                true => finish(id, TaskState::Failed, Some(&message)),
                false => finish(id, TaskState::Skipped, Some(&message)),
            })
            .collect()
    }

    /// A run is judged by its leaves: what failed on the way shows there, unless a task was meant to run anyway.
    fn verdict(&self) -> Action {
        let mut leaves = self.dag.judged().flat_map(|leaf| {
            let mut instances = self.instances(&leaf.task_id).peekable();
            let is_missing = instances.peek().is_none();
            instances
                .map(|(_, view)| view.state.is_failure())
                .chain(is_missing.then_some(true))
        });
        let failed_fast = || {
            let failed = self
                .tasks
                .iter()
                .filter(|(_, view)| view.state == TaskState::Failed);
            let mut tasks = failed.filter_map(|(id, _)| self.dag.task(&id.task_id));
            self.dag.fail_fast && tasks.any(|task| !task.teardown)
        };
        let state = match leaves.any(|failed| failed) || failed_fast() {
            true => DagRunState::Failed,
            false => DagRunState::Success,
        };
        Action::EndRun { state }
    }
}

#[cfg(test)]
mod simulator;
#[cfg(test)]
mod tests;
