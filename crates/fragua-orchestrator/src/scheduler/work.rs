//! One transaction: an event is recorded, [`decide()`] says what follows, and all of it is written or nothing.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use fragua_base::{Timestamp, random_hex};
use sea_orm::DatabaseTransaction;
use tokio::sync::Notify;

use crate::core::Core;
use crate::dag::Dag;
use crate::decide::{self, Action, Because, Event, Scope, View, decide};
use crate::operator::Wait;
use crate::store::dag_runs::StateChange;
use crate::store::{dag_runs, millis, task_instances, transitions};
use crate::template::Renderer;
use crate::{Change, DagRun, DagRunState, Error, TaskKey, TaskState};

/// A transaction with what is to be told once it is committed.
pub(crate) struct Work<'a> {
    pub(crate) core: &'a Core,
    pub(crate) transaction: DatabaseTransaction,
    pub(crate) now: Timestamp,
    changes: Vec<Change>,
    bells: Vec<&'a Notify>,
    /// The DAGs whose runs are to be planned next.
    to_plan: BTreeSet<String>,
}

impl<'a> Work<'a> {
    pub(crate) async fn begin(core: &'a Core) -> Result<Self, Error> {
        Ok(Self {
            core,
            transaction: core.database.begin().await?,
            now: core.now(),
            changes: Vec::new(),
            bells: vec![&core.scheduler_bell],
            to_plan: BTreeSet::new(),
        })
    }

    /// Commits, and then tells who must know. Returns the DAGs to plan.
    pub(crate) async fn commit(self) -> Result<BTreeSet<String>, Error> {
        self.transaction.commit().await?;
        for bell in self.bells {
            bell.notify_one();
        }
        for change in self.changes {
            self.core.tell(change);
        }
        Ok(self.to_plan)
    }

    pub(crate) fn ring(&mut self, bell: &'a Notify) {
        self.bells.push(bell);
    }

    pub(crate) fn plan_later(&mut self, dag_id: &str) {
        self.to_plan.insert(dag_id.to_owned());
    }

    /// Records a run with a task instance for each task. It waits to be started.
    pub(crate) async fn make_run(&mut self, dag: &Dag, run: &DagRun) -> Result<(), Error> {
        dag_runs::insert(&self.transaction, run).await?;
        let rows = dag.tasks.iter().map(|task| task_instances::Model {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            task_id: task.task_id.clone(),
            id: uuid::Uuid::now_v7().to_string(),
            operator: task.operator.clone(),
            state: TaskState::None.as_str().to_owned(),
            attempt: 0,
            failures: 0,
            lost: 0,
            retries: i64::from(task.retries),
            queued_at: None,
            started_at: None,
            ended_at: None,
            wake_at: None,
            deadline_at: None,
            waits_for_dag: None,
            message: None,
            xcom: None,
            attempt_token: None,
            process: None,
            lease_until: None,
        });
        task_instances::insert(&self.transaction, rows.collect()).await?;
        self.run_changed(run, "none", DagRunState::Queued, None).await
    }

    /// Lets a run go: its first tasks may start.
    pub(crate) async fn start_run(&mut self, dag: &Dag, run: DagRun) -> Result<(), Error> {
        let started_at = run.started_at.unwrap_or(self.now);
        let change = StateChange {
            state: DagRunState::Running,
            started_at: Some(millis(started_at)),
            ended_at: None,
            timeout_at: dag.dagrun_timeout.map(|timeout| millis(self.now.plus(timeout))),
        };
        dag_runs::set_state(&self.transaction, &run.dag_id, &run.run_id, change).await?;
        self.run_changed(&run, run.state.as_str(), DagRunState::Running, None)
            .await?;
        let run = DagRun {
            state: DagRunState::Running,
            started_at: Some(started_at),
            ..run
        };
        self.apply(dag, run, Event::Started).await
    }

    /// Follows an event of a run to its end.
    pub(crate) async fn apply(&mut self, dag: &Dag, mut run: DagRun, event: Event) -> Result<(), Error> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let view = self.view(dag, &run, &event).await?;
            let actions = decide(&view, &event, self.now);
            for action in actions {
                let followed = self.act(dag, &mut run, action).await?;
                events.extend(followed);
            }
        }
        Ok(())
    }

    /// Loads what the decision about an event looks at, and no more.
    async fn view<'d>(&self, dag: &'d Dag, run: &DagRun, event: &Event) -> Result<View<'d>, Error> {
        let unfinished =
            task_instances::count_unfinished(&self.transaction, &run.dag_id, &run.run_id).await?;
        let some = match decide::scope(dag, event) {
            Scope::All => None,
            Scope::These(mut tasks) => {
                if unfinished == 0 {
                    tasks.extend(dag.leaves().map(|leaf| leaf.task_id.as_str()));
                }
                Some(tasks)
            }
        };
        let tasks = task_instances::views(&self.transaction, &run.dag_id, &run.run_id, some).await?;
        Ok(View {
            dag,
            tasks,
            unfinished,
            lost_attempts: self.core.settings.lost_attempts,
        })
    }

    async fn act(&mut self, dag: &Dag, run: &mut DagRun, action: Action) -> Result<Option<Event>, Error> {
        match action {
            Action::Queue { task_id, because } => {
                self.queue(run, &task_id, because).await?;
                Ok(None)
            }
            Action::BeginWait { task_id } => self.begin_wait(dag, run, &task_id).await,
            Action::Reset { task_id } => {
                let mut row = self.row(run, &task_id).await?;
                let from = row.state()?;
                reset(&mut row);
                self.write(row, from).await?;
                Ok(None)
            }
            Action::RetryAt { task_id, at, message } => {
                let mut row = self.row(run, &task_id).await?;
                let from = row.state()?;
                row.release();
                row.set_state(TaskState::UpForRetry);
                row.failures += 1;
                row.lost = 0;
                row.wake_at = Some(millis(at));
                row.ended_at = Some(millis(self.now));
                row.message = Some(message);
                self.write(row, from).await?;
                Ok(None)
            }
            Action::Finish {
                task_id,
                state,
                message,
                xcom,
            } => {
                let mut row = self.row(run, &task_id).await?;
                let from = row.state()?;
                row.release();
                row.set_state(state);
                row.failures += i64::from(state == TaskState::Failed);
                row.ended_at = Some(millis(self.now));
                row.message = message;
                row.xcom = xcom.map(|xcom| xcom.to_string());
                self.write(row, from).await?;
                Ok(Some(Event::Finished { task_id }))
            }
            Action::EndRun { state } => {
                self.end_run(run, state, None).await?;
                Ok(None)
            }
        }
    }

    async fn queue(&mut self, run: &DagRun, task_id: &str, because: Because) -> Result<(), Error> {
        let mut row = self.row(run, task_id).await?;
        let from = row.state()?;
        row.release();
        row.set_state(TaskState::Queued);
        row.queued_at = Some(millis(self.now));
        match because {
            Because::Ready => row.message = None,
            // What failed is worth reading until the next attempt starts.
            Because::Retry => {}
            Because::HandedBack { message } => row.message = Some(message),
            Because::Lost { message } => {
                row.lost += 1;
                row.message = Some(message);
            }
        }
        self.write(row, from).await?;
        self.ring(&self.core.worker_bell);
        Ok(())
    }

    async fn begin_wait(&mut self, dag: &Dag, run: &DagRun, task_id: &str) -> Result<Option<Event>, Error> {
        let Some(task) = dag.task(task_id) else {
            return Ok(None);
        };
        let mut row = self.row(run, task_id).await?;
        let from = row.state()?;
        let attempt = super::super::store::count(row.attempt).max(1);
        let key = TaskKey {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            task_id: task_id.to_owned(),
            attempt,
        };
        let context = self
            .core
            .task_context(&self.transaction, run, &key, &random_hex(16))
            .await?;
        let rendered = Renderer::new(&context)
            .arguments(task)
            .map_err(|error| error.to_string());
        let wait = rendered.and_then(|arguments| Wait::parse(&arguments).map_err(|error| error.to_string()));
        row.release();
        row.set_state(TaskState::Deferred);
        row.started_at = Some(millis(self.now));
        row.ended_at = None;
        row.message = None;
        row.deadline_at = task
            .execution_timeout
            .map(|timeout| millis(self.now.plus(timeout)));
        let follows = match wait {
            Ok(Wait::For(duration)) if duration.is_zero() => Some(Event::WaitEnded {
                task_id: task_id.to_owned(),
            }),
            Ok(Wait::For(duration)) => {
                row.wake_at = Some(millis(self.now.plus(duration)));
                None
            }
            Ok(Wait::Dag(waited_for)) => {
                self.plan_later(&waited_for);
                row.waits_for_dag = Some(waited_for);
                None
            }
            Err(message) => Some(Event::WaitFailed {
                task_id: task_id.to_owned(),
                message,
            }),
        };
        self.write(row, from).await?;
        Ok(follows)
    }

    /// Ends a run that is under way, and lets its DAG be planned again.
    pub(crate) async fn end_run(
        &mut self,
        run: &mut DagRun,
        state: DagRunState,
        message: Option<&str>,
    ) -> Result<(), Error> {
        if run.state != DagRunState::Running {
            return Ok(());
        }
        let change = StateChange {
            state,
            started_at: run.started_at.map(millis),
            ended_at: Some(millis(self.now)),
            timeout_at: None,
        };
        dag_runs::set_state(&self.transaction, &run.dag_id, &run.run_id, change).await?;
        self.run_changed(run, run.state.as_str(), state, message).await?;
        run.state = state;
        self.plan_later(&run.dag_id);
        Ok(())
    }

    /// Reads a run, and keeps others from deciding about it until this transaction ends.
    pub(crate) async fn lock_run(&self, dag_id: &str, run_id: &str) -> Result<(Arc<Dag>, DagRun), Error> {
        let row = dag_runs::lock(&self.transaction, dag_id, run_id).await?;
        let not_found = || Error::DagRunNotFound {
            dag_id: dag_id.to_owned(),
            run_id: run_id.to_owned(),
        };
        let run = DagRun::try_from(row.ok_or_else(not_found)?)?;
        let dag = self
            .core
            .dag_version(&self.transaction, dag_id, &run.version)
            .await?;
        Ok((dag, run))
    }

    async fn row(&self, run: &DagRun, task_id: &str) -> Result<task_instances::Model, Error> {
        let row = task_instances::find(&self.transaction, &run.dag_id, &run.run_id, task_id).await?;
        row.ok_or_else(|| Error::TaskNotFound {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            task_id: task_id.to_owned(),
        })
    }

    /// Writes a task instance with its transition.
    pub(crate) async fn write(&mut self, row: task_instances::Model, from: TaskState) -> Result<(), Error> {
        let to = row.state()?;
        let transition = transitions::New {
            dag_id: &row.dag_id,
            run_id: &row.run_id,
            task: Some((&row.task_id, row.attempt)),
            from: from.as_str(),
            to: to.as_str(),
            message: row.message.as_deref(),
            at: millis(self.now),
        };
        transitions::insert(&self.transaction, transition).await?;
        self.changes.push(Change::TaskInstance {
            dag_id: row.dag_id.clone(),
            run_id: row.run_id.clone(),
            task_id: row.task_id.clone(),
            state: to,
        });
        task_instances::update(&self.transaction, row).await?;
        Ok(())
    }

    /// Records a run's transition.
    pub(crate) async fn run_changed(
        &mut self,
        run: &DagRun,
        from: &str,
        to: DagRunState,
        message: Option<&str>,
    ) -> Result<(), Error> {
        let transition = transitions::New {
            dag_id: &run.dag_id,
            run_id: &run.run_id,
            task: None,
            from,
            to: to.as_str(),
            message,
            at: millis(self.now),
        };
        transitions::insert(&self.transaction, transition).await?;
        self.changes.push(Change::DagRun {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            state: to,
        });
        Ok(())
    }
}

/// Brings a task instance back to where it stood before it ever ran. The number of its newest attempt stays, so that
/// the logs of earlier ones do.
pub(crate) fn reset(row: &mut task_instances::Model) {
    row.release();
    row.set_state(TaskState::None);
    row.failures = 0;
    row.lost = 0;
    row.queued_at = None;
    row.started_at = None;
    row.ended_at = None;
    row.message = None;
    row.xcom = None;
}
