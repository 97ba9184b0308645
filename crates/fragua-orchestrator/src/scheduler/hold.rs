//! What the scheduler does itself: begins it, and finds when it is over.

use std::time::Duration;

use fragua_base::{Timestamp, random_hex};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::work::{NewRun, Work};
use crate::dag::duration::Written;
use crate::dag::{Dag, Task};
use crate::decide::{Ending, Event, Success};
use crate::operator::{Hold, ShortCircuit, TriggerDag, Wait};
use crate::store::{count, dag_runs, dags, millis, task_instances};
use crate::template::Renderer;
use crate::{DagRun, Error, InstanceId, RunType, TaskKey, TaskState};

/// What a task that is held waits for, as its row keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeldFor {
    pub(crate) target: Target,
    /// Whether the task is skipped where it would fail.
    pub(crate) soft_fail: bool,
    /// Whether its deadline is a sensor's own: then trying again is no use.
    pub(crate) is_sensor: bool,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Target {
    /// An instant.
    Instant,
    /// That a DAG has nothing left to do.
    Idle,
    /// The end of one run.
    Run { run_id: String, states: States },
    /// Tasks of the run of a logical date, or that run itself where none is named.
    Tasks {
        logical_date: i64,
        task_ids: Vec<String>,
        states: States,
    },
}

/// Which states end a wait.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct States {
    allowed: Vec<String>,
    skipped: Vec<String>,
    failed: Vec<String>,
}

impl States {
    /// Says how a wait ends for what is waited for, each with its state; nothing while it goes on.
    fn ending(&self, found: &[(String, String)]) -> Option<Ending> {
        let first = |states: &[String]| found.iter().find(|(_, state)| states.contains(state));
        if let Some((name, state)) = first(&self.failed) {
            let message = format!("{name} is {state}");
            return Some(Ending::FailedForGood { message });
        }
        if let Some((name, state)) = first(&self.skipped) {
            let message = format!("{name} is {state}");
            return Some(Ending::Skipped { message });
        }
        let all = !found.is_empty() && found.iter().all(|(_, state)| self.allowed.contains(state));
        all.then(Ending::success)
    }
}

impl HeldFor {
    fn new(target: Target) -> Self {
        Self {
            target,
            soft_fail: false,
            is_sensor: false,
        }
    }

    fn sensor(target: Target, soft_fail: bool) -> Self {
        Self {
            target,
            soft_fail,
            is_sensor: true,
        }
    }

    /// Makes a skip of a failure where that was asked for.
    fn softened(&self, ending: Ending) -> Ending {
        match ending {
            Ending::Failed { message } | Ending::FailedForGood { message } if self.soft_fail => {
                Ending::Skipped { message }
            }
            other => other,
        }
    }

    /// Says how a wait ends whose deadline has come.
    fn timed_out(&self, task: Option<&Task>, row: &task_instances::Model) -> Ending {
        let since = row.first_started_at.or(row.started_at).unwrap_or_default();
        let waited = match self.is_sensor {
            true => Duration::from_millis(row.deadline_at.unwrap_or_default().abs_diff(since)),
            false => task.and_then(|task| task.execution_timeout).unwrap_or_default(),
        };
        let message = format!("the wait was not over after {}", Written(waited));
        self.softened(match self.is_sensor {
            true => Ending::FailedForGood { message },
            false => Ending::Failed { message },
        })
    }
}

/// What a hold has come to at its begin.
enum Begun {
    Over(Ending),
    Until(Timestamp, HeldFor, Option<Duration>),
    ForDag(String, HeldFor, Option<Duration>),
}

impl Work<'_> {
    /// Begins what the scheduler does itself. Returns its end where that has come at once.
    pub(super) async fn hold(
        &mut self,
        dag: &Dag,
        run: &DagRun,
        id: &InstanceId,
    ) -> Result<Option<Event>, Error> {
        let Some(task) = dag.task(&id.task_id) else {
            return Ok(None);
        };
        let mut row = self.row(run, id).await?;
        let from = row.state()?;
        let key = TaskKey {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            task_id: id.task_id.clone(),
            map_index: id.map_index,
            attempt: count(row.attempt).max(1),
        };
        let context = self
            .core
            .task_context(&self.transaction, run, &key, &random_hex(16))
            .await?;
        let rendered = Renderer::new(&context)
            .arguments(task)
            .map_err(|error| error.to_string());
        let hold = rendered
            .and_then(|arguments| Hold::parse(&task.operator, &arguments).map_err(|error| error.to_string()));
        let begun = match hold {
            Ok(hold) => self.begun(dag, run, task, hold).await?,
            Err(message) => Begun::Over(Ending::FailedForGood { message }),
        };
        row.release();
        row.set_state(TaskState::Deferred);
        row.started_at = Some(millis(self.now));
        row.first_started_at = row.first_started_at.or(row.started_at);
        row.ended_at = None;
        row.message = None;
        let (ending, timeout, held_for) = match begun {
            Begun::Over(ending) => (Some(ending), None, None),
            Begun::Until(at, held_for, timeout) => {
                row.wake_at = Some(millis(at));
                ((at <= self.now).then(Ending::success), timeout, Some(held_for))
            }
            Begun::ForDag(dag_id, held_for, timeout) => {
                self.plan_later(&dag_id);
                row.waits_for_dag = Some(dag_id);
                (None, timeout, Some(held_for))
            }
        };
        let own = timeout.zip(row.first_started_at);
        let own = own.map(|(timeout, since)| millis(Timestamp::from_millis(since).plus(timeout)));
        let general = task
            .execution_timeout
            .map(|timeout| millis(self.now.plus(timeout)));
        row.deadline_at = [own, general].into_iter().flatten().min();
        let held_for = held_for.map(|held_for| HeldFor {
            is_sensor: own.is_some() && row.deadline_at == own,
            ..held_for
        });
        row.waits_for = held_for.and_then(|held_for| serde_json::to_string(&held_for).ok());
        self.write(row, from).await?;
        Ok(ending.map(|ending| Event::HoldEnded {
            id: id.clone(),
            ending,
        }))
    }

    async fn begun(&mut self, dag: &Dag, run: &DagRun, task: &Task, hold: Hold) -> Result<Begun, Error> {
        let skip = |skips: Vec<String>| {
            Begun::Over(Ending::Success(Success {
                skips,
                ..Success::default()
            }))
        };
        Ok(match hold {
            Hold::Nothing => skip(Vec::new()),
            Hold::Wait(Wait::For(duration)) => {
                Begun::Until(self.now.plus(duration), HeldFor::new(Target::Instant), None)
            }
            Hold::Wait(Wait::Dag(dag_id)) => Begun::ForDag(dag_id, HeldFor::new(Target::Idle), None),
            Hold::Time(time) => {
                let zone = TimeZone::get(&dag.timetable.timezone).unwrap_or(TimeZone::UTC);
                let at = time.instant(&zone, self.now).unwrap_or(self.now);
                let held_for = HeldFor::sensor(Target::Instant, time.soft_fail);
                Begun::Until(at, held_for, Some(time.timeout()))
            }
            Hold::TimeDelta(delta) => {
                let at = run.data_interval_end.plus(delta.after());
                let held_for = HeldFor::sensor(Target::Instant, delta.soft_fail);
                Begun::Until(at, held_for, Some(delta.timeout()))
            }
            Hold::Branch(chosen) => match not_chosen(dag, task, &chosen) {
                Ok(skips) => Begun::Over(Ending::Success(Success {
                    xcoms: [(crate::RETURN_VALUE.to_owned(), Value::from(chosen))].into(),
                    skips,
                })),
                Err(message) => Begun::Over(Ending::FailedForGood { message }),
            },
            Hold::ShortCircuit(short_circuit) => skip(short_circuited(dag, task, &short_circuit)),
            Hold::LatestOnly if self.is_latest(dag, run) => skip(Vec::new()),
            Hold::LatestOnly => skip(direct(dag, task)),
            Hold::ExternalTask(external) => {
                let mut task_ids = external.task_ids();
                let dag_id = external.dag.as_str().to_owned();
                let row = dags::find(&self.transaction, &dag_id)
                    .await?
                    .filter(|row| row.is_active);
                let other = match &row {
                    Some(row) => Some(
                        self.core
                            .dag_version(&self.transaction, &dag_id, &row.version)
                            .await?,
                    ),
                    None => None,
                };
                if let (Some(group), Some(other)) = (&external.group, &other) {
                    task_ids.extend(other.tasks_in(group.as_str()).map(str::to_owned));
                }
                let held_for = HeldFor::sensor(
                    Target::Tasks {
                        logical_date: millis(external.date(run.logical_date.unwrap_or(run.run_after))),
                        task_ids: task_ids.clone(),
                        states: States {
                            allowed: external.allowed_states(),
                            skipped: external.skipped_states.clone(),
                            failed: external.failed_states.clone(),
                        },
                    },
                    external.soft_fail,
                );
                let missing = match &other {
                    None => Some(format!("there is no DAG {dag_id:?}")),
                    Some(_) if external.group.is_some() && task_ids.is_empty() => {
                        Some(format!("DAG {dag_id:?} has no such group"))
                    }
                    Some(other) => {
                        let missing = task_ids.iter().find(|task_id| other.task(task_id).is_none());
                        missing.map(|task_id| format!("DAG {dag_id:?} has no task {task_id:?}"))
                    }
                };
                match missing.filter(|_| external.check_existence) {
                    Some(message) => Begun::Over(held_for.softened(Ending::FailedForGood { message })),
                    None => Begun::ForDag(dag_id, held_for, Some(external.timeout())),
                }
            }
            Hold::TriggerDag(trigger) => self.trigger(trigger).await?,
        })
    }

    /// Says whether now is within the newest interval: the run's own has ended, and the next one has not.
    fn is_latest(&self, dag: &Dag, run: &DagRun) -> bool {
        if run.run_type != RunType::Scheduled && run.run_type != RunType::Backfill {
            return true;
        }
        let next = dag.timetable.next(Some(run.data_interval_end), true, self.now);
        next.is_none_or(|next| self.now < next.run_after)
    }

    async fn trigger(&mut self, trigger: TriggerDag) -> Result<Begun, Error> {
        let fail = |message: String| Ok(Begun::Over(Ending::Failed { message }));
        let dag_id = trigger.dag.as_str();
        let Some(row) = dags::find(&self.transaction, dag_id)
            .await?
            .filter(|row| row.is_active)
        else {
            return fail(format!("there is no DAG {dag_id:?} to start a run of"));
        };
        let dag = self
            .core
            .dag_version(&self.transaction, dag_id, &row.version)
            .await?;
        let written = trigger.logical_date.as_ref();
        let logical_date = written.and_then(|date| Timestamp::parse_rfc3339(date.as_str()).ok());
        let new = NewRun {
            run_type: RunType::OperatorTriggered,
            run_id: trigger.run_id.as_ref().map(|run_id| run_id.as_str().to_owned()),
            logical_date: logical_date.unwrap_or(self.now),
            params: trigger.conf.clone(),
            note: None,
        };
        let run = match self.new_run(&dag, &row.version, new) {
            Ok(run) => run,
            Err(error) => return fail(error.to_string()),
        };
        match dag_runs::lock(&self.transaction, dag_id, &run.run_id).await? {
            None => self.make_run(&dag, &run).await?,
            Some(_) if trigger.reset => self.start_over(dag_id, &run.run_id).await?,
            Some(_) if trigger.skip_when_already_exists => {
                let message = format!("DAG {dag_id:?} has a run {:?} already", run.run_id);
                return Ok(Begun::Over(Ending::Skipped { message }));
            }
            Some(_) => return fail(format!("DAG {dag_id:?} has a run {:?} already", run.run_id)),
        }
        self.plan_later(dag_id);
        if !trigger.wait_for_completion {
            return Ok(Begun::Over(triggered(&run.run_id)));
        }
        let target = Target::Run {
            run_id: run.run_id,
            states: States {
                allowed: trigger.allowed_states(),
                skipped: Vec::new(),
                failed: trigger.failed_states(),
            },
        };
        let timeout = trigger.timeout();
        Ok(Begun::ForDag(dag_id.to_owned(), HeldFor::new(target), timeout))
    }

    /// Says how a wait for a DAG ends; nothing while it goes on. `is_idle` says whether that DAG has nothing to do.
    pub(super) async fn wait_for_dag(
        &self,
        row: &task_instances::Model,
        is_idle: bool,
    ) -> Result<Option<Ending>, Error> {
        let Some(dag_id) = &row.waits_for_dag else {
            return Ok(None);
        };
        let held_for = held_for(row)?;
        let ending = match &held_for.target {
            Target::Instant => None,
            Target::Idle => is_idle.then(Ending::success),
            Target::Run { run_id, states } => {
                let run = dag_runs::find(&self.transaction, dag_id, run_id).await?;
                let found = run.map(|run| (format!("run {run_id}"), run.state));
                states.ending(found.as_slice()).map(|ending| match ending {
                    Ending::Success(_) => triggered(run_id),
                    other => other,
                })
            }
            Target::Tasks {
                logical_date,
                task_ids,
                states,
            } => {
                let run = dag_runs::of_date(&self.transaction, dag_id, *logical_date).await?;
                let Some(run) = run else { return Ok(None) };
                if task_ids.is_empty() {
                    states.ending(&[(format!("run {}", run.run_id), run.state)])
                } else {
                    let names = task_ids.iter().map(String::as_str).collect();
                    let views =
                        task_instances::views(&self.transaction, dag_id, &run.run_id, Some(names)).await?;
                    let found: Vec<_> = views
                        .iter()
                        .map(|(id, view)| (format!("task {id}"), view.state.as_str().to_owned()))
                        .collect();
                    let is_complete = task_ids
                        .iter()
                        .all(|task_id| views.keys().any(|id| id.task_id == *task_id));
                    states.ending(&found).filter(|_| is_complete)
                }
            }
        };
        Ok(ending.map(|ending| held_for.softened(ending)))
    }
}

/// Returns what the row of a held task says it waits for.
pub(crate) fn held_for(row: &task_instances::Model) -> Result<HeldFor, Error> {
    match &row.waits_for {
        Some(written) => {
            serde_json::from_str(written).map_err(|error| Error::corrupt("task instance", error))
        }
        // A wait that began before this column existed.
        None if row.waits_for_dag.is_some() => Ok(HeldFor::new(Target::Idle)),
        None => Ok(HeldFor::new(Target::Instant)),
    }
}

/// Says how a held task ends whose instant or deadline has come.
pub(super) fn due(dag: &Dag, row: &task_instances::Model, now: i64) -> Result<Ending, Error> {
    if row.wake_at.is_some_and(|at| at <= now) {
        return Ok(Ending::success());
    }
    Ok(held_for(row)?.timed_out(dag.task(&row.task_id), row))
}

fn triggered(run_id: &str) -> Ending {
    Ending::Success(Success {
        xcoms: [("trigger_run_id".to_owned(), Value::from(run_id))].into(),
        skips: Vec::new(),
    })
}

fn direct(dag: &Dag, task: &Task) -> Vec<String> {
    dag.successors(&task.task_id)
        .map(|task| task.task_id.clone())
        .collect()
}

fn short_circuited(dag: &Dag, task: &Task, short_circuit: &ShortCircuit) -> Vec<String> {
    if short_circuit.goes_on() {
        return Vec::new();
    }
    if !short_circuit.ignore_downstream_trigger_rules {
        return direct(dag, task);
    }
    let after = dag
        .all_after(&task.task_id)
        .into_iter()
        .filter_map(|task_id| dag.task(task_id));
    // What was set up is torn down.
    after
        .filter(|task| !task.teardown)
        .map(|task| task.task_id.clone())
        .collect()
}

/// Returns the tasks directly after a branch that are not on the way it took: a task that comes after a chosen one is.
fn not_chosen(dag: &Dag, task: &Task, chosen: &[String]) -> Result<Vec<String>, String> {
    let direct = direct(dag, task);
    let mut kept: Vec<&str> = Vec::new();
    for name in chosen {
        let mut members: Vec<&str> = dag.tasks_in(name).collect();
        members.extend(dag.task(name).map(|task| task.task_id.as_str()));
        let members: Vec<&str> = members
            .into_iter()
            .filter(|member| direct.iter().any(|direct| direct == member))
            .collect();
        if members.is_empty() {
            let message = format!(
                "the branch chose {name:?}, which does not come directly after it; those that do are {}",
                direct.join(", ")
            );
            return Err(message);
        }
        kept.extend(&members);
        kept.extend(members.iter().flat_map(|member| dag.all_after(member)));
    }
    Ok(direct
        .iter()
        .filter(|task_id| !kept.contains(&task_id.as_str()))
        .cloned()
        .collect())
}
