//! Writes down who is to be told, in the transaction of what they are told of; and finds what is late.

use fragua_base::Timestamp;
use serde_json::json;

use super::work::Work;
use crate::callbacks::{CallbackEvent, CallbackState};
use crate::core::Core;
use crate::dag::{Dag, Deadline, DeadlineReference, Notifier};
use crate::store::{callbacks, deadlines, millis, task_instances};
use crate::{DagRun, DagRunState, Error, InstanceId, TaskState};

/// What is told of a run, or of a task of it with the number of its attempt.
struct Told<'a> {
    event: CallbackEvent,
    task: Option<(&'a InstanceId, i64)>,
    message: Option<&'a str>,
}

impl Work<'_> {
    /// Notes that some are to be told something.
    async fn tell(&mut self, run: &DagRun, told: Told<'_>, notifiers: &[Notifier]) -> Result<(), Error> {
        if notifiers.is_empty() {
            return Ok(());
        }
        let Told { event, task, message } = told;
        let what = match task {
            Some((id, _)) => format!("Task {id} of {}, run {},", run.dag_id, run.run_id),
            None => format!("{}, run {},", run.dag_id, run.run_id),
        };
        let why = message.map(|message| format!(": {message}")).unwrap_or_default();
        let body = json!({
            "event": event.as_str(),
            // What chat services show.
            "text": format!("{what} {}{why}", event.words()),
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "run_type": run.run_type.as_str(),
            "logical_date": run.logical_date.map(Timestamp::to_rfc3339),
            "task_id": task.map(|(id, _)| id.task_id.as_str()),
            "map_index": task.and_then(|(id, _)| id.map_index),
            "try_number": task.map(|(_, try_number)| try_number),
            "message": message,
            "happened_at": self.now.to_rfc3339(),
        });
        let row = |notifier: &Notifier| {
            Ok(callbacks::Model {
                id: uuid::Uuid::now_v7().to_string(),
                event: event.as_str().to_owned(),
                dag_id: run.dag_id.clone(),
                run_id: run.run_id.clone(),
                task_id: task.map(|(id, _)| id.to_string()),
                notifier: serde_json::to_string(notifier)
                    .map_err(|error| Error::corrupt("callback", error))?,
                body: body.to_string(),
                state: CallbackState::Pending.as_str().to_owned(),
                tries: 0,
                created_at: millis(self.now),
                next_try_at: Some(millis(self.now)),
                ended_at: None,
                message: None,
            })
        };
        let rows = notifiers.iter().map(row).collect::<Result<_, Error>>()?;
        callbacks::insert(&self.transaction, rows).await?;
        self.ring(&self.core.bells.callbacks);
        Ok(())
    }

    /// Notes that some are to be told how a task ended.
    pub(super) async fn tell_end(
        &mut self,
        dag: &Dag,
        run: &DagRun,
        row: &task_instances::Model,
        state: TaskState,
    ) -> Result<(), Error> {
        let id = row.instance_id();
        let Some(callbacks) = dag.task(&id.task_id).map(|task| &task.callbacks) else {
            return Ok(());
        };
        let (event, notifiers) = match state {
            TaskState::Failed => (CallbackEvent::TaskFailed, &callbacks.on_failure),
            TaskState::UpForRetry => (CallbackEvent::TaskRetry, &callbacks.on_retry),
            TaskState::Success => (CallbackEvent::TaskSucceeded, &callbacks.on_success),
            TaskState::Skipped => (CallbackEvent::TaskSkipped, &callbacks.on_skipped),
            _ => return Ok(()),
        };
        let told = Told {
            event,
            task: Some((&id, row.attempt)),
            message: row.message.as_deref(),
        };
        self.tell(run, told, notifiers).await
    }

    /// Notes that some are to be told how a run ended.
    pub(super) async fn tell_run_end(
        &mut self,
        dag: &Dag,
        run: &DagRun,
        state: DagRunState,
        message: Option<&str>,
    ) -> Result<(), Error> {
        let (event, notifiers) = match state {
            DagRunState::Failed => (CallbackEvent::DagRunFailed, &dag.callbacks.on_failure),
            _ => (CallbackEvent::DagRunSucceeded, &dag.callbacks.on_success),
        };
        let told = Told {
            event,
            task: None,
            message,
        };
        self.tell(run, told, notifiers).await
    }

    /// Sets when a run and its tasks are late, as far as that is counted from one of these instants.
    pub(super) async fn set_deadlines(
        &mut self,
        dag: &Dag,
        run: &DagRun,
        references: &[(DeadlineReference, Timestamp)],
    ) -> Result<(), Error> {
        let own = dag.callbacks.deadline.as_ref().map(|deadline| ("", deadline));
        let of_tasks = dag.tasks.iter().filter_map(|task| {
            let deadline = task.callbacks.deadline.as_ref()?;
            Some((task.task_id.as_str(), deadline))
        });
        let row = |(task_id, deadline): (&str, &Deadline)| {
            let reference = references
                .iter()
                .find(|(reference, _)| *reference == deadline.reference);
            reference.map(|(_, since)| deadlines::Model {
                dag_id: run.dag_id.clone(),
                run_id: run.run_id.clone(),
                task_id: task_id.to_owned(),
                late_at: millis(since.plus(deadline.interval)),
            })
        };
        let rows: Vec<deadlines::Model> = own.into_iter().chain(of_tasks).filter_map(row).collect();
        self.due(rows.iter().map(|row| row.late_at).min());
        Ok(deadlines::put(&self.transaction, rows).await?)
    }
}

/// Tells of what is late now.
pub(super) async fn find_late(core: &Core) -> Result<(), Error> {
    for late in deadlines::due(core.database.reader(), millis(core.now())).await? {
        let mut work = Work::begin(core).await?;
        let key = (late.dag_id.as_str(), late.run_id.as_str());
        let (dag, run) = match work.lock_run(key.0, key.1).await {
            Ok(found) => found,
            Err(Error::DagRunNotFound { .. }) => {
                deadlines::remove(&work.transaction, key).await?;
                work.commit().await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        // Another scheduler may have told of it meanwhile.
        if deadlines::take(&work.transaction, &late).await? {
            tell_late(&mut work, &dag, &run, &late.task_id).await?;
        }
        work.commit().await?;
    }
    Ok(())
}

async fn tell_late(work: &mut Work<'_>, dag: &Dag, run: &DagRun, task_id: &str) -> Result<(), Error> {
    if run.state.is_finished() {
        return Ok(());
    }
    if task_id.is_empty() {
        let Some(deadline) = &dag.callbacks.deadline else {
            return Ok(());
        };
        let told = Told {
            event: CallbackEvent::DagRunLate,
            task: None,
            message: None,
        };
        return work.tell(run, told, &deadline.callback).await;
    }
    let deadline = dag
        .task(task_id)
        .and_then(|task| task.callbacks.deadline.as_ref());
    let Some(deadline) = deadline else {
        return Ok(());
    };
    let rows = task_instances::of_task(&work.transaction, &run.dag_id, &run.run_id, task_id).await?;
    for row in rows {
        if row.state()?.is_finished() {
            continue;
        }
        let id = row.instance_id();
        let told = Told {
            event: CallbackEvent::TaskLate,
            task: Some((&id, row.attempt)),
            message: row.message.as_deref(),
        };
        return work.tell(run, told, &deadline.callback).await;
    }
    Ok(())
}
