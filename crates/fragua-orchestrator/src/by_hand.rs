//! What people change by hand and no rule of the scheduler is about: values that were handed on, and what is to be
//! forgotten.

use serde_json::{Value, json};

use crate::audit::{self, About};
use crate::decide::Event;
use crate::operator::too_large;
use crate::scheduler::work::Work;
use crate::store::{backfills, dag_runs, dags, map_column, millis, removal, xcoms};
use crate::{Backfill, Change, DagRunQuery, DagRunState, Error, InstanceId, Orchestrator, logs, scheduler};

/// The longest key of a value.
const LONGEST_KEY: usize = 200;

impl Orchestrator {
    /// Lets a run that is over go again with tasks of it that stay as they are: it is judged anew.
    ///
    /// # Errors
    /// [`Error::DagRunNotFound`], and when the database fails.
    pub async fn requeue(&self, dag_id: &str, run_id: &str) -> Result<(), Error> {
        let mut work = Work::begin(&self.core).await?;
        let (dag, run) = work.lock_run(dag_id, run_id).await?;
        match run.state {
            DagRunState::Running => work.apply(&dag, run, Event::Started).await?,
            _ => work.requeue_run(&run, "was queued by hand").await?,
        }
        let about = About::run(dag_id, run_id);
        audit::note(
            &work.transaction,
            (work.now, &self.actor),
            "queue_dag_run",
            about,
            json!({}),
        )
        .await?;
        let to_plan = work.commit().await?;
        scheduler::settle(&self.core, to_plan).await
    }

    /// Forgets a run with all its tasks, and removes its logs.
    ///
    /// # Errors
    /// [`Error::DagRunNotFound`], [`Error::UnderWay`] while it runs, and when the database fails.
    pub async fn delete_dag_run(&self, dag_id: &str, run_id: &str) -> Result<(), Error> {
        let work = Work::begin(&self.core).await?;
        let (_, run) = work.lock_run(dag_id, run_id).await?;
        if run.state == DagRunState::Running {
            return Err(Error::UnderWay {
                what: format!("run {run_id:?} of DAG {dag_id:?}"),
            });
        }
        removal::remove_runs(&work.transaction, dag_id, Some(run_id)).await?;
        let about = About::run(dag_id, run_id);
        audit::note(
            &work.transaction,
            (work.now, &self.actor),
            "delete_dag_run",
            about,
            json!({}),
        )
        .await?;
        work.commit().await?;
        self.remove_logs(dag_id, Some(run_id)).await;
        self.core.tell(Change::Dags);
        scheduler::settle(&self.core, [dag_id.to_owned()].into()).await
    }

    /// Forgets a DAG with all its runs, and removes their logs. Where its file is still there, it comes back as a new
    /// one when the files are next read.
    ///
    /// # Errors
    /// [`Error::DagNotFound`], [`Error::UnderWay`] while it has runs under way, and when the database fails.
    pub async fn delete_dag(&self, dag_id: &str) -> Result<(), Error> {
        let work = Work::begin(&self.core).await?;
        let row = dags::lock(&work.transaction, dag_id).await?;
        row.ok_or_else(|| Error::DagNotFound {
            dag_id: dag_id.to_owned(),
        })?;
        let running = DagRunQuery {
            dag_id: Some(dag_id.to_owned()),
            state: Some(DagRunState::Running),
            ..DagRunQuery::default()
        };
        if dag_runs::count(&work.transaction, &running).await? > 0 {
            return Err(Error::UnderWay {
                what: format!("DAG {dag_id:?}"),
            });
        }
        removal::remove_runs(&work.transaction, dag_id, None).await?;
        removal::remove_dag(&work.transaction, dag_id).await?;
        let about = About::dag(dag_id);
        audit::note(
            &work.transaction,
            (work.now, &self.actor),
            "delete_dag",
            about,
            json!({}),
        )
        .await?;
        work.commit().await?;
        self.remove_logs(dag_id, None).await;
        self.core.tell(Change::Dags);
        Ok(())
    }

    /// Removes the logs of what is forgotten. Those that cannot be removed are left, and told about.
    async fn remove_logs(&self, dag_id: &str, run_id: Option<&str>) {
        let folder = logs::folder(&self.core.settings.logs_folder, dag_id, run_id);
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the logs in {} cannot be removed", folder.display());
            }
            _ => {}
        }
    }

    /// Hands on a value in the name of a task instance, in place of the one of this key.
    ///
    /// # Errors
    /// [`Error::TaskNotFound`], [`Error::InvalidRequest`], and when the database fails.
    pub async fn put_xcom(
        &self,
        (dag_id, run_id): (&str, &str),
        id: &InstanceId,
        key: &str,
        value: &Value,
    ) -> Result<(), Error> {
        let instance = self.task_instance(dag_id, run_id, id.clone()).await?;
        let wrong = |field: &'static str, reason: String| Error::InvalidRequest { field, reason };
        if key.is_empty() || key.chars().count() > LONGEST_KEY {
            return Err(wrong("key", format!("must have 1 to {LONGEST_KEY} characters")));
        }
        let (bytes, most) = (value.to_string().len() as u64, self.core.settings.max_xcom_bytes);
        if bytes > most {
            return Err(wrong("value", too_large(key, bytes, most)));
        }
        let row = xcoms::Model {
            dag_id: dag_id.to_owned(),
            run_id: run_id.to_owned(),
            task_id: instance.task_id,
            map_index: map_column(instance.map_index),
            xcom_key: key.to_owned(),
            value: value.to_string(),
            created_at: millis(self.core.now()),
        };
        xcoms::put(self.core.database.writer(), row).await?;
        self.note_xcom("put_xcom", (dag_id, run_id), id, key).await
    }

    /// Takes back a value that a task instance handed on.
    ///
    /// # Errors
    /// [`Error::XcomNotFound`], and when the database fails.
    pub async fn delete_xcom(
        &self,
        (dag_id, run_id): (&str, &str),
        id: &InstanceId,
        key: &str,
    ) -> Result<(), Error> {
        if !xcoms::delete_one(self.core.database.writer(), (dag_id, run_id), id, key).await? {
            return Err(Error::XcomNotFound {
                task_id: id.to_string(),
                key: key.to_owned(),
            });
        }
        self.note_xcom("delete_xcom", (dag_id, run_id), id, key).await
    }

    async fn note_xcom(
        &self,
        event: &str,
        (dag_id, run_id): (&str, &str),
        id: &InstanceId,
        key: &str,
    ) -> Result<(), Error> {
        let about = About {
            task_id: Some(&id.task_id),
            ..About::run(dag_id, run_id)
        };
        // Never the value.
        self.note(event, about, json!({ "key": key, "map_index": id.map_index }))
            .await
    }

    /// Returns the backfill of a number, as [`Backfill::number`] gives it.
    ///
    /// # Errors
    /// [`Error::BackfillNotFound`], and when the database fails.
    pub async fn backfill_of_number(&self, number: u64) -> Result<Backfill, Error> {
        let row = backfills::created_at(self.core.database.reader(), number).await?;
        let missing = || Error::BackfillNotFound {
            id: number.to_string(),
        };
        row.ok_or_else(missing)?.try_into()
    }
}
