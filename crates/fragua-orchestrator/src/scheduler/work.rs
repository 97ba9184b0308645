//! One transaction: an event is recorded, [`decide()`] says what follows, and all of it is written or nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use fragua_base::{Timestamp, random_hex};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde_json::{Map, Value};

use crate::core::Core;
use crate::dag::asset::check_asset;
use crate::dag::{Dag, DeadlineReference, Task};
use crate::decide::{self, Action, Because, Event, Scope, View, decide};
use crate::doorbell::Bell;
use crate::operator::TaskContext;
use crate::store::dag_runs::StateChange;
use crate::store::{dag_runs, map_column, map_index, millis, task_instances, transitions, xcoms};
use crate::template::Renderer;
use crate::{AssetSource, Change, DagRun, DagRunState, Error, InstanceId, RunType, TaskKey, TaskState};

/// A transaction with what is to be told once it is committed.
pub(crate) struct Work<'a> {
    pub(crate) core: &'a Core,
    pub(crate) transaction: DatabaseTransaction,
    pub(crate) now: Timestamp,
    changes: Vec<Change>,
    bells: Vec<&'a Bell>,
    /// The next instant at which something that is written here is due.
    due_at: Option<i64>,
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
            bells: Vec::new(),
            due_at: None,
            to_plan: BTreeSet::new(),
        })
    }

    /// Commits, and then tells who must know. Returns the DAGs to plan.
    pub(crate) async fn commit(self) -> Result<BTreeSet<String>, Error> {
        self.transaction.commit().await?;
        for bell in self.bells {
            bell.ring();
        }
        if let Some(at) = self.due_at {
            self.core.bells.due(Timestamp::from_millis(at));
        }
        for change in self.changes {
            self.core.tell(change);
        }
        Ok(self.to_plan)
    }

    pub(crate) fn ring(&mut self, bell: &'a Bell) {
        self.bells.push(bell);
    }

    /// Lets the scheduler look at this instant, once the transaction is committed.
    pub(crate) fn due(&mut self, at: Option<i64>) {
        self.due_at = self.due_at.into_iter().chain(at).min();
    }

    pub(crate) fn changed(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(crate) fn plan_later(&mut self, dag_id: &str) {
        self.to_plan.insert(dag_id.to_owned());
    }

    /// Returns a run that somebody asked for, not recorded yet.
    ///
    /// # Errors
    /// [`Error::InvalidParam`], [`Error::InvalidRequest`].
    pub(crate) fn new_run(&self, dag: &Dag, version: &str, new: NewRun) -> Result<DagRun, Error> {
        let (data_interval_start, data_interval_end) = dag.timetable.manual_interval(new.logical_date);
        let run_id = match new.run_id {
            Some(run_id) => check_run_id(run_id)?,
            None => format!(
                "{}__{}_{}",
                new.run_type.as_str(),
                new.logical_date.to_rfc3339(),
                random_hex(3)
            ),
        };
        Ok(DagRun {
            dag_id: dag.dag_id.clone(),
            run_id,
            run_type: new.run_type,
            state: DagRunState::Queued,
            logical_date: Some(new.logical_date),
            data_interval_start,
            data_interval_end,
            run_after: self.now,
            queued_at: self.now,
            started_at: None,
            ended_at: None,
            params: dag.resolve_params(&new.params)?,
            note: new.note,
            version: version.to_owned(),
            backfill_id: None,
        })
    }

    /// Records a run with a task instance for each task. It waits to be started.
    pub(crate) async fn make_run(&mut self, dag: &Dag, run: &DagRun) -> Result<(), Error> {
        dag_runs::insert(&self.transaction, run).await?;
        let weighted = dag.tasks.iter().zip(dag.effective_weights());
        let rows = weighted.map(|(task, weight)| instance_row(dag, run, task, weight));
        task_instances::insert(&self.transaction, rows.collect()).await?;
        let logical_date = run.logical_date.unwrap_or(run.run_after);
        let references = [
            (DeadlineReference::LogicalDate, logical_date),
            (DeadlineReference::QueuedAt, run.queued_at),
        ];
        self.set_deadlines(dag, run, &references).await?;
        self.run_changed(run, "none", DagRunState::Queued, None).await
    }

    /// Lets all tasks of a run start over, whatever they are doing.
    pub(crate) async fn start_over(&mut self, dag_id: &str, run_id: &str) -> Result<(), Error> {
        let (dag, run) = self.lock_run(dag_id, run_id).await?;
        for row in self.lock_instances(&dag, &run).await? {
            self.clear_row(row).await?;
        }
        self.requeue_run(&run, "it starts over").await
    }

    /// Lets one task start over; what runs is stopped first.
    pub(crate) async fn clear_row(&mut self, mut row: task_instances::Model) -> Result<(), Error> {
        let from = row.state()?;
        match from {
            TaskState::None | TaskState::Restarting => return Ok(()),
            TaskState::Running => {
                row.set_state(TaskState::Restarting);
                row.failures = 0;
                row.lost = 0;
                self.ring(&self.core.bells.leases);
            }
            _ => {
                row.reset();
                let run = (row.dag_id.as_str(), row.run_id.as_str());
                xcoms::remove(&self.transaction, run, &row.instance_id()).await?;
            }
        }
        self.write(row, from).await
    }

    /// Lets a run that is over wait to be started again.
    pub(crate) async fn requeue_run(&mut self, run: &DagRun, message: &str) -> Result<(), Error> {
        if run.state == DagRunState::Queued {
            return Ok(());
        }
        let change = StateChange {
            state: DagRunState::Queued,
            started_at: None,
            ended_at: None,
            timeout_at: None,
        };
        dag_runs::set_state(&self.transaction, &run.dag_id, &run.run_id, change).await?;
        self.run_changed(run, run.state.as_str(), DagRunState::Queued, Some(message))
            .await?;
        self.plan_later(&run.dag_id);
        Ok(())
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
        self.due(change.timeout_at);
        dag_runs::set_state(&self.transaction, &run.dag_id, &run.run_id, change).await?;
        self.run_changed(&run, run.state.as_str(), DagRunState::Running, None)
            .await?;
        self.set_deadlines(dag, &run, &[(DeadlineReference::StartedAt, started_at)])
            .await?;
        let run = DagRun {
            state: DagRunState::Running,
            started_at: Some(started_at),
            ..run
        };
        self.apply(dag, run, Event::Started).await
    }

    /// Follows an event of a run to its end, and on to the runs that looked at it.
    pub(crate) async fn apply(&mut self, dag: &Dag, run: DagRun, event: Event) -> Result<(), Error> {
        // Boxed: everything that decides about a run comes through here.
        let over = Box::pin(self.apply_to_run(dag, &run, event)).await?;
        let Some(logical_date) = run
            .logical_date
            .filter(|_| !over.is_empty() && dag.looks_at_past())
        else {
            return Ok(());
        };
        // Always from an earlier run to later ones, so that two who do this never wait for each other.
        let later = dag_runs::running_after(&self.transaction, &run.dag_id, millis(logical_date)).await?;
        for run_id in later {
            let (dag, run) = self.lock_run(&run.dag_id, &run_id).await?;
            let looks = dag.tasks.iter().filter(|task| {
                let after = || {
                    dag.successors(&task.task_id)
                        .any(|task| over.contains(&task.task_id))
                };
                task.depends_on_past
                    && (over.contains(&task.task_id) || (task.wait_for_downstream && after()))
            });
            let task_ids: BTreeSet<String> = looks.map(|task| task.task_id.clone()).collect();
            if !task_ids.is_empty() {
                let event = Event::PastChanged { task_ids };
                Box::pin(self.apply(&dag, run, event)).await?;
            }
        }
        Ok(())
    }

    /// Follows an event within its run. Returns the tasks that were over with it.
    async fn apply_to_run(
        &mut self,
        dag: &Dag,
        run: &DagRun,
        event: Event,
    ) -> Result<BTreeSet<String>, Error> {
        let mut run = run.clone();
        let mut over = BTreeSet::new();
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            if let Event::Finished { id } = &event {
                over.insert(id.task_id.clone());
            }
            let view = self.view(dag, &run, &event).await?;
            let actions = decide(&view, &event, self.now);
            for action in actions {
                let followed = self.act(dag, &mut run, action).await?;
                events.extend(followed);
            }
        }
        if !over.is_empty() && task_instances::any_waits_for(&self.transaction, &run.dag_id).await? {
            self.plan_later(&run.dag_id);
        }
        Ok(over)
    }

    /// Loads what the decision about an event looks at, and no more.
    async fn view<'d>(&self, dag: &'d Dag, run: &DagRun, event: &Event) -> Result<View<'d>, Error> {
        let is_over = !task_instances::any_unfinished(&self.transaction, &run.dag_id, &run.run_id).await?;
        let some = match decide::scope(dag, event) {
            Scope::All => None,
            Scope::These(mut tasks) => {
                if is_over {
                    tasks.extend(dag.judged().map(|leaf| leaf.task_id.as_str()));
                }
                Some(tasks)
            }
        };
        let tasks = task_instances::views(&self.transaction, &run.dag_id, &run.run_id, some).await?;
        let open = tasks
            .iter()
            .filter(|(_, view)| matches!(view.state, TaskState::None | TaskState::Restarting));
        let looks: BTreeSet<&str> = open
            .filter(|(id, _)| dag.task(&id.task_id).is_some_and(|task| task.depends_on_past))
            .map(|(id, _)| id.task_id.as_str())
            .collect();
        let past = past(&self.transaction, dag, run, &looks)
            .await?
            .map(|(_, past)| past);
        Ok(View {
            dag,
            logical_date: run.logical_date.unwrap_or(run.run_after),
            tasks,
            past: past.unwrap_or_default(),
            is_over,
            lost_attempts: self.core.settings.lost_attempts,
        })
    }

    async fn act(&mut self, dag: &Dag, run: &mut DagRun, action: Action) -> Result<Option<Event>, Error> {
        match action {
            Action::Queue { id, because } => {
                self.queue(run, &id, because).await?;
                Ok(None)
            }
            Action::Hold { id } => self.hold(dag, run, &id).await,
            Action::Expand { task_id } => self.expand(dag, run, task_id).await.map(Some),
            Action::Reset { id } => {
                let mut row = self.row(run, &id).await?;
                let from = row.state()?;
                row.reset();
                xcoms::remove(&self.transaction, (&run.dag_id, &run.run_id), &id).await?;
                self.write(row, from).await?;
                Ok(None)
            }
            Action::RetryAt { id, at, message } => {
                let mut row = self.row(run, &id).await?;
                let from = row.state()?;
                row.release();
                row.set_state(TaskState::UpForRetry);
                row.failures += 1;
                row.lost = 0;
                row.requeues = 0;
                row.wake_at = Some(millis(at));
                row.ended_at = Some(millis(self.now));
                row.message = Some(message);
                self.tell_end(dag, run, &row, TaskState::UpForRetry).await?;
                self.write(row, from).await?;
                Ok(None)
            }
            Action::RescheduleAt { id, at, object } => {
                let mut row = self.row(run, &id).await?;
                let from = row.state()?;
                row.release();
                row.set_state(TaskState::UpForReschedule);
                row.is_rescheduled = true;
                row.waits_for = object.and_then(|object| serde_json::to_string(&object).ok());
                row.wake_at = Some(millis(at));
                self.write(row, from).await?;
                Ok(None)
            }
            Action::Finish {
                id,
                state,
                message,
                success,
            } => {
                let mut row = self.row(run, &id).await?;
                let from = row.state()?;
                row.release();
                row.set_state(state);
                row.failures += i64::from(state == TaskState::Failed);
                row.ended_at = Some(millis(self.now));
                if state == TaskState::Success {
                    row.started_at = row.started_at.or(row.ended_at);
                }
                row.message = message;
                row.skips = match success.skips.is_empty() {
                    true => None,
                    false => Some(Value::from(success.skips).to_string()),
                };
                if dag.fail_fast && from.is_leased() {
                    // Its worker is to notice that it has ended.
                    self.ring(&self.core.bells.leases);
                }
                self.tell_end(dag, run, &row, state).await?;
                self.write(row, from).await?;
                if state == TaskState::Success {
                    self.update_assets(dag, run, &id, success.assets).await?;
                }
                if !success.xcoms.is_empty() {
                    let run = (run.dag_id.as_str(), run.run_id.as_str());
                    xcoms::replace(&self.transaction, run, &id, &success.xcoms, millis(self.now)).await?;
                }
                Ok(Some(Event::Finished { id }))
            }
            Action::EndRun { state } => {
                if self.end_run(run, state, None).await? {
                    self.tell_run_end(dag, run, state, None).await?;
                }
                Ok(None)
            }
        }
    }

    async fn queue(&mut self, run: &DagRun, id: &InstanceId, because: Because) -> Result<(), Error> {
        let mut row = self.row(run, id).await?;
        let from = row.state()?;
        row.release();
        row.set_state(TaskState::Queued);
        row.queued_at = Some(millis(self.now));
        row.deadline_at = Some(millis(self.now.plus(self.core.settings.task_queued_timeout)));
        match because {
            Because::Ready => row.message = None,
            // What failed is worth reading until the next attempt starts.
            Because::Retry => {}
            Because::NotTaken { message } => {
                row.requeues += 1;
                row.message = Some(message);
            }
            Because::HandedBack { message } => row.message = Some(message),
            Because::Lost { message } => {
                row.lost += 1;
                row.message = Some(message);
            }
        }
        self.write(row, from).await?;
        self.ring(&self.core.bells.workers);
        Ok(())
    }

    /// Finds the instances of a task and makes their rows. Those that there are already stay, with their attempts.
    async fn expand(&mut self, dag: &Dag, run: &DagRun, task_id: String) -> Result<Event, Error> {
        let Some(task) = dag.task(&task_id) else {
            return Ok(Event::Expanded { task_id });
        };
        let key = TaskKey {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            task_id: task_id.clone(),
            map_index: None,
            attempt: 1,
        };
        let context = self
            .core
            .task_context(&self.transaction, run, &key, &random_hex(16))
            .await?;
        let rendered = Renderer::new(&context)
            .expand(task)
            .map_err(|error| error.to_string());
        let items = match rendered.and_then(|expand| crate::dag::expand::items(&expand)) {
            Ok(items) => items,
            Err(message) => return Ok(Event::ExpandFailed { task_id, message }),
        };
        let labels = match labels(&context, task, &items) {
            Ok(labels) => labels,
            Err(message) => return Ok(Event::ExpandFailed { task_id, message }),
        };
        let label = |place: usize| labels.get(place).cloned().flatten();
        let rows = task_instances::of_task(&self.transaction, &run.dag_id, &run.run_id, &task_id).await?;
        let weights = dag.effective_weights();
        let position = dag.position(&task_id).unwrap_or_default();
        let weight = weights.get(position).copied().unwrap_or(1);
        for row in &rows {
            let place = map_index(row.map_index).map(|map_index| map_index as usize);
            let from = row.state()?;
            let mut row = row.clone();
            match place {
                None if items.is_empty() => {}
                None => task_instances::delete(&self.transaction, &row).await?,
                Some(place) => match items.get(place) {
                    None if from == TaskState::Removed => {}
                    None => {
                        row.reset();
                        row.set_state(TaskState::Removed);
                        self.write(row, from).await?;
                    }
                    Some(item) if matches!(from, TaskState::None | TaskState::Removed) => {
                        row.reset();
                        row.map_values = Some(item.to_string());
                        row.map_label = label(place);
                        self.write(row, from).await?;
                    }
                    Some(_) => {}
                },
            }
        }
        let known: BTreeSet<i64> = rows.iter().map(|row| row.map_index).collect();
        let mut new = Vec::new();
        for (place, item) in (0_i64..).zip(&items).filter(|(place, _)| !known.contains(place)) {
            new.push(task_instances::Model {
                map_index: place,
                map_values: Some(item.to_string()),
                map_label: usize::try_from(place).ok().and_then(label),
                ..instance_row(dag, run, task, weight)
            });
        }
        if items.is_empty() && !known.contains(&map_column(None)) {
            new.push(instance_row(dag, run, task, weight));
        }
        task_instances::insert(&self.transaction, new).await?;
        Ok(Event::Expanded { task_id })
    }

    /// Records which assets a task that succeeded updated.
    async fn update_assets(
        &mut self,
        dag: &Dag,
        run: &DagRun,
        id: &InstanceId,
        found: Vec<String>,
    ) -> Result<(), Error> {
        let named = dag.task(&id.task_id).map(|task| task.outlets.as_slice());
        let named = named.unwrap_or_default().iter().cloned();
        // What an operator found in somebody's SQL may be no name of an asset.
        let found = found.into_iter().filter(|asset| check_asset(asset).is_ok());
        for asset in named.chain(found).collect::<BTreeSet<_>>() {
            let source = AssetSource {
                dag_id: run.dag_id.clone(),
                run_id: run.run_id.clone(),
                task_id: id.task_id.clone(),
                map_index: id.map_index,
            };
            self.asset_updated(&asset, Map::new(), Some(source)).await?;
        }
        Ok(())
    }

    /// Ends a run that is under way, and lets its DAG be planned again. Returns whether it was.
    pub(crate) async fn end_run(
        &mut self,
        run: &mut DagRun,
        state: DagRunState,
        message: Option<&str>,
    ) -> Result<bool, Error> {
        if run.state != DagRunState::Running {
            return Ok(false);
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
        Ok(true)
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

    /// Reads the task instances of a run in the order of its DAG's file, and keeps others from changing them.
    pub(crate) async fn lock_instances(
        &self,
        dag: &Dag,
        run: &DagRun,
    ) -> Result<Vec<task_instances::Model>, Error> {
        let mut rows = task_instances::lock_of_dag_run(&self.transaction, &run.dag_id, &run.run_id).await?;
        rows.sort_by_cached_key(|row| (dag.position(&row.task_id), row.map_index));
        Ok(rows)
    }

    pub(super) async fn row(&self, run: &DagRun, id: &InstanceId) -> Result<task_instances::Model, Error> {
        let row = task_instances::find(&self.transaction, &run.dag_id, &run.run_id, id).await?;
        row.ok_or_else(|| Error::TaskNotFound {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            task_id: id.to_string(),
        })
    }

    /// Writes a task instance with its transition.
    pub(crate) async fn write(&mut self, row: task_instances::Model, from: TaskState) -> Result<(), Error> {
        let to = row.state()?;
        if from.is_leased() || from == TaskState::Deferred {
            // A place in a pool, a run or a task may be free now.
            self.ring(&self.core.bells.workers);
        }
        for at in [row.wake_at, row.deadline_at, row.lease_until] {
            self.due(at);
        }
        let transition = transitions::New {
            dag_id: &row.dag_id,
            run_id: &row.run_id,
            task: Some((&row.instance_id().to_string(), row.attempt)),
            from: from.as_str(),
            to: to.as_str(),
            message: row.message.as_deref(),
            at: millis(self.now),
        };
        transitions::insert(&self.transaction, transition).await?;
        self.changes.push(Change::TaskInstance {
            dag_id: row.dag_id.clone(),
            run_id: row.run_id.clone(),
            task_id: row.instance_id().to_string(),
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

/// Says what each instance of a task is called.
fn labels(context: &TaskContext, task: &Task, items: &[Value]) -> Result<Vec<Option<String>>, String> {
    if task.map_index_template.is_none() {
        return Ok(Vec::new());
    }
    let places = (0_u32..).zip(items);
    let labels = places.map(|(place, item)| {
        let context = TaskContext {
            map_index: Some(place),
            map_values: Some(item.clone()),
            ..context.clone()
        };
        Renderer::new(&context)
            .label(task)
            .map_err(|error| error.to_string())
    });
    labels.collect()
}

/// What a run is asked for with.
#[derive(Debug, Clone)]
pub(crate) struct NewRun {
    pub(crate) run_type: RunType,
    /// Made from the logical date when absent.
    pub(crate) run_id: Option<String>,
    pub(crate) logical_date: Timestamp,
    pub(crate) params: Map<String, Value>,
    pub(crate) note: Option<String>,
}

/// The longest name of a run.
const LONGEST_RUN_ID: usize = 250;

fn check_run_id(run_id: String) -> Result<String, Error> {
    let fits = !run_id.is_empty()
        && run_id.chars().count() <= LONGEST_RUN_ID
        && !run_id
            .chars()
            .any(|character| character.is_control() || character == '/')
        && run_id.trim() == run_id;
    if fits {
        return Ok(run_id);
    }
    Err(Error::InvalidRequest {
        field: "dag_run_id",
        reason: format!(
            "must be up to {LONGEST_RUN_ID} characters without slashes, control characters and spaces around"
        ),
    })
}

fn instance_row(dag: &Dag, run: &DagRun, task: &Task, weight: i64) -> task_instances::Model {
    let placement = &task.placement;
    task_instances::Model {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        task_id: task.task_id.clone(),
        map_index: map_column(None),
        map_values: None,
        map_label: None,
        id: uuid::Uuid::now_v7().to_string(),
        operator: task.operator.clone(),
        state: TaskState::None.as_str().to_owned(),
        attempt: 0,
        failures: 0,
        lost: 0,
        requeues: 0,
        is_rescheduled: false,
        retries: i64::from(task.retries),
        queued_at: None,
        first_started_at: None,
        started_at: None,
        ended_at: None,
        wake_at: None,
        deadline_at: None,
        waits_for_dag: None,
        waits_for: None,
        skips: None,
        message: None,
        attempt_token: None,
        process: None,
        lease_until: None,
        pool: placement.pool.clone(),
        pool_slots: i64::from(placement.pool_slots),
        priority_weight: weight,
        queue: placement.queue.clone(),
        ordered_at: millis(run.logical_date.unwrap_or(run.run_after)),
        max_active_tasks: i64::from(dag.max_active_tasks),
        max_active_tis_per_dag: placement.max_active_tis_per_dag.map(i64::from),
        max_active_tis_per_dagrun: placement.max_active_tis_per_dagrun.map(i64::from),
    }
}

/// What keeps tasks from starting because of the run before, by task.
pub(crate) type Past = BTreeMap<String, Vec<(InstanceId, TaskState)>>;

/// Looks at the run before: a task that depends on it waits until the same task was done there, and, where it says
/// so, those directly after it. A task that was not there yet, or has no run before, does not wait.
pub(crate) async fn past(
    connection: &impl ConnectionTrait,
    dag: &Dag,
    run: &DagRun,
    task_ids: &BTreeSet<&str>,
) -> Result<Option<(String, Past)>, Error> {
    let Some(logical_date) = run.logical_date.filter(|_| !task_ids.is_empty()) else {
        return Ok(None);
    };
    let before = dag_runs::previous(connection, &run.dag_id, millis(logical_date), dag.catchup).await?;
    let Some(before) = before else { return Ok(None) };
    let tasks = task_ids.iter().filter_map(|task_id| dag.task(task_id));
    let watched: Vec<(&str, BTreeSet<&str>)> = tasks
        .map(|task| {
            let mut watched: BTreeSet<&str> = [task.task_id.as_str()].into();
            if task.wait_for_downstream {
                watched.extend(dag.successors(&task.task_id).map(|task| task.task_id.as_str()));
            }
            (task.task_id.as_str(), watched)
        })
        .collect();
    let all: BTreeSet<&str> = watched
        .iter()
        .flat_map(|(_, watched)| watched.iter().copied())
        .collect();
    let views = task_instances::views(
        connection,
        &run.dag_id,
        &before.run_id,
        Some(all.into_iter().collect()),
    )
    .await?;
    let mut past = Past::new();
    for (task_id, watched) in watched {
        let is_new = !views.keys().any(|id| id.task_id == task_id);
        let blocks = views.iter().filter(|(id, view)| {
            let is_done = matches!(
                view.state,
                TaskState::Success | TaskState::Skipped | TaskState::Removed
            );
            watched.contains(id.task_id.as_str()) && !is_done
        });
        if !is_new {
            past.insert(
                task_id.to_owned(),
                blocks.map(|(id, view)| (id.clone(), view.state)).collect(),
            );
        }
    }
    Ok(Some((before.run_id, past)))
}
