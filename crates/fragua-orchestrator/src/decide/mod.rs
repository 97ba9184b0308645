//! What follows from what happened. Nothing here reads a clock, a file or a database: state and event go in, actions
//! come out, and [`crate::store`] writes them in the transaction that recorded the event.

mod plan;

pub(crate) use plan::{PlanView, WaitView, plan, wait_is_over};

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use serde_json::Value;

use crate::dag::{Dag, Task, TriggerRule};
use crate::{DagRunState, TaskState};

/// The part of a DAG run that an event is about.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) dag: &'a Dag,
    /// Where tasks stand: at least those of [`Scope`].
    pub(crate) tasks: BTreeMap<String, TaskView>,
    /// How many tasks of the run are not over.
    pub(crate) unfinished: u64,
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
        Event::Finished { task_id } => dag.successors(task_id).flat_map(with_needs).collect(),
        Event::AttemptEnded { task_id, .. }
        | Event::WaitEnded { task_id }
        | Event::WaitFailed { task_id, .. } => dag.task(task_id).into_iter().flat_map(with_needs).collect(),
    };
    tasks.sort_unstable();
    tasks.dedup();
    Scope::These(tasks)
}

/// Where one task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskView {
    pub(crate) state: TaskState,
    pub(crate) failures: u32,
    pub(crate) lost: u32,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The run may start, or tasks of it were cleared.
    Started,
    /// A task is over.
    Finished { task_id: String },
    /// An attempt is over.
    AttemptEnded { task_id: String, ending: Ending },
    /// The delay before a retry, or a wait, is over.
    WaitEnded { task_id: String },
    /// A wait took longer than the task may take, or cannot be understood.
    WaitFailed { task_id: String, message: String },
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    Success {
        xcom: Option<Value>,
    },
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
    /// Its worker is gone.
    Lost {
        message: String,
    },
    /// Its worker stopped it and gives the task back.
    HandedBack {
        message: String,
    },
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Let a worker take the task.
    Queue { task_id: String, because: Because },
    /// Begin a wait, without a process.
    BeginWait { task_id: String },
    /// The task starts over, as if it had never run.
    Reset { task_id: String },
    /// Look at the task again at an instant.
    RetryAt {
        task_id: String,
        at: Timestamp,
        message: String,
    },
    /// The task is over.
    Finish {
        task_id: String,
        state: TaskState,
        message: Option<String>,
        xcom: Option<Value>,
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
    /// Its worker is gone.
    Lost { message: String },
    /// Its worker gave it back.
    HandedBack { message: String },
}

/// Says what follows from an event.
pub(crate) fn decide(view: &View<'_>, event: &Event, now: Timestamp) -> Vec<Action> {
    match event {
        Event::Started => {
            let ready = view
                .dag
                .tasks
                .iter()
                .filter(|task| view.state(&task.task_id) == Some(TaskState::None));
            let mut actions: Vec<Action> = ready.filter_map(|task| view.consider(task)).collect();
            if view.unfinished == 0 {
                actions.push(view.verdict());
            }
            actions
        }
        Event::Finished { task_id } => {
            let waiting = view
                .dag
                .successors(task_id)
                .filter(|task| view.state(&task.task_id) == Some(TaskState::None));
            let mut actions: Vec<Action> = waiting.filter_map(|task| view.consider(task)).collect();
            if view.unfinished == 0 {
                actions.push(view.verdict());
            }
            actions
        }
        Event::AttemptEnded { task_id, .. } if view.state(task_id) == Some(TaskState::Restarting) => {
            let reset = Action::Reset {
                task_id: task_id.clone(),
            };
            [
                Some(reset),
                view.dag.task(task_id).and_then(|task| view.consider(task)),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
        Event::AttemptEnded { task_id, ending } => {
            view.attempt_ended(task_id, ending, now).into_iter().collect()
        }
        Event::WaitEnded { task_id } => match view.state(task_id) {
            Some(TaskState::UpForRetry) => {
                let is_wait = view.dag.task(task_id).is_some_and(is_wait);
                let task_id = task_id.clone();
                vec![if is_wait {
                    Action::BeginWait { task_id }
                } else {
                    Action::Queue {
                        task_id,
                        because: Because::Retry,
                    }
                }]
            }
            Some(TaskState::Deferred) => vec![finish(task_id, TaskState::Success, None)],
            _ => Vec::new(),
        },
        Event::WaitFailed { task_id, message } => {
            let task = view.dag.task(task_id);
            task.and_then(|task| view.failed(task, message, now))
                .into_iter()
                .collect()
        }
    }
}

/// Says whether a task is held by the scheduler, without a process.
pub(crate) fn is_wait(task: &Task) -> bool {
    task.operator == crate::operator::WAIT
}

fn finish(task_id: &str, state: TaskState, message: Option<&str>) -> Action {
    Action::Finish {
        task_id: task_id.to_owned(),
        state,
        message: message.map(str::to_owned),
        xcom: None,
    }
}

impl View<'_> {
    fn state(&self, task_id: &str) -> Option<TaskState> {
        self.tasks.get(task_id).map(|task| task.state)
    }

    /// Says what becomes of a task that has not started; nothing while it must wait for what it needs.
    fn consider(&self, task: &Task) -> Option<Action> {
        let needs: Vec<(&str, TaskState)> = task
            .needs
            .iter()
            .map(|need| (need.as_str(), self.state(need).unwrap_or(TaskState::None)))
            .collect();
        let first =
            |wanted: fn(TaskState) -> bool| needs.iter().find(|(_, state)| wanted(*state)).map(|(id, _)| *id);
        let all_done = needs.iter().all(|(_, state)| state.is_finished());
        match task.trigger_rule {
            TriggerRule::AllDone => all_done.then(|| start(task)),
            TriggerRule::AllSuccess => {
                if let Some(failed) = first(TaskState::is_failure) {
                    let message = format!("{failed}, which it needs, failed");
                    return Some(finish(&task.task_id, TaskState::UpstreamFailed, Some(&message)));
                }
                if let Some(skipped) = first(|state| state == TaskState::Skipped) {
                    let message = format!("{skipped}, which it needs, was skipped");
                    return Some(finish(&task.task_id, TaskState::Skipped, Some(&message)));
                }
                all_done.then(|| start(task))
            }
        }
    }

    fn attempt_ended(&self, task_id: &str, ending: &Ending, now: Timestamp) -> Option<Action> {
        let (task, view) = (self.dag.task(task_id)?, self.tasks.get(task_id)?);
        if view.state != TaskState::Running {
            return None;
        }
        match ending {
            Ending::Success { xcom } => Some(Action::Finish {
                task_id: task_id.to_owned(),
                state: TaskState::Success,
                message: None,
                xcom: xcom.clone(),
            }),
            Ending::Skipped { message } => Some(finish(task_id, TaskState::Skipped, Some(message))),
            Ending::FailedForGood { message } => Some(finish(task_id, TaskState::Failed, Some(message))),
            Ending::Failed { message } => self.failed(task, message, now),
            Ending::Lost { message } if view.lost >= self.lost_attempts => {
                let message = format!(
                    "{message}; {} attempts in a row were lost with their worker",
                    view.lost + 1
                );
                Some(finish(task_id, TaskState::Failed, Some(&message)))
            }
            Ending::Lost { message } => {
                let because = Because::Lost {
                    message: message.clone(),
                };
                Some(Action::Queue {
                    task_id: task_id.to_owned(),
                    because,
                })
            }
            Ending::HandedBack { message } => {
                let because = Because::HandedBack {
                    message: message.clone(),
                };
                Some(Action::Queue {
                    task_id: task_id.to_owned(),
                    because,
                })
            }
        }
    }

    fn failed(&self, task: &Task, message: &str, now: Timestamp) -> Option<Action> {
        let view = self.tasks.get(&task.task_id)?;
        if view.state.is_finished() {
            return None;
        }
        if view.failures >= task.retries {
            return Some(finish(&task.task_id, TaskState::Failed, Some(message)));
        }
        let at = now.plus(task.retry_delay);
        Some(Action::RetryAt {
            task_id: task.task_id.clone(),
            at,
            message: message.to_owned(),
        })
    }

    /// A run is judged by its leaves: what failed on the way shows there, unless a task was meant to run anyway.
    fn verdict(&self) -> Action {
        let failed = self
            .dag
            .leaves()
            .any(|leaf| self.state(&leaf.task_id).is_none_or(TaskState::is_failure));
        Action::EndRun {
            state: if failed {
                DagRunState::Failed
            } else {
                DagRunState::Success
            },
        }
    }
}

fn start(task: &Task) -> Action {
    let task_id = task.task_id.clone();
    if is_wait(task) {
        Action::BeginWait { task_id }
    } else {
        Action::Queue {
            task_id,
            because: Because::Ready,
        }
    }
}

#[cfg(test)]
mod tests;
