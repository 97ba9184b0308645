//! The façade: what pages, the API and the command line ask for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fragua_base::{SharedClock, Timestamp};
use fragua_database::Database;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::audit::{self, About};
use crate::core::Core;
use crate::dag::parse;
use crate::operator::OperatorCatalog;
use crate::scheduler::clear::Clearing;
use crate::scheduler::work::{NewRun, Work};
use crate::store::{
    self, attempts, dag_runs, dags, import_errors, processes, task_instances, transitions, xcoms,
};
use crate::{
    Attempt, AttemptState, Change, Dag, DagRun, DagRunQuery, DagRunState, Error, ImportError, InstanceId,
    LogChunk, Marking, NextRun, RecentDagRun, RunType, Settings, TaskInstance, TaskKey, TaskState,
    TriggerRequest, Xcom, files, logs, scheduler, worker,
};

/// How many runs of each DAG a list shows.
pub(crate) const RECENT_RUNS: u32 = 14;

/// DAGs, their runs and tasks. Cheap to clone.
#[derive(Clone)]
pub struct Orchestrator {
    pub(crate) core: Arc<Core>,
    /// Who changes something, for the audit log.
    pub(crate) actor: Arc<str>,
}

/// Who changes something when nobody said who.
const NOBODY: &str = "anonymous";

impl std::fmt::Debug for Orchestrator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Orchestrator")
            .field("settings", &self.core.settings)
            .finish_non_exhaustive()
    }
}

/// A DAG as lists show it.
#[derive(Debug, Clone)]
pub struct DagSummary {
    /// What its file says.
    pub dag: Arc<Dag>,
    /// Its file, relative to the folder of DAG files.
    pub path: PathBuf,
    /// Whether its file is there.
    pub is_active: bool,
    /// Whether its schedule rests.
    pub is_paused: bool,
    /// Whether its file cannot be read now, so that this is what it said before.
    pub has_import_errors: bool,
    /// A hash of what it says.
    pub version: String,
    /// When its file was read last with something new in it.
    pub parsed_at: Timestamp,
    /// Its newest runs, newest first.
    pub recent_runs: Vec<RecentDagRun>,
    /// The next run its schedule makes, due or not; nothing while it is paused.
    pub next_run: Option<NextRun>,
}

/// A change of state of a run, or of a task in it, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The task, with the number of its attempt; nothing where the run changed.
    pub task: Option<(String, u32)>,
    /// The state before.
    pub from: String,
    /// The state after.
    pub to: String,
    /// Why, where there is more to say.
    pub message: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// When a part of the orchestrator was heard of last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heartbeats {
    /// The scheduler; nothing when none runs.
    pub scheduler: Option<Timestamp>,
    /// The worker; nothing when none runs.
    pub worker: Option<Timestamp>,
}

impl Orchestrator {
    /// Opens the orchestrator over a database, whose tables are brought up to date. Nothing runs until
    /// [`Self::run_scheduler`] and [`Self::run_worker`] do.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(
        database: Database,
        settings: Settings,
        catalog: OperatorCatalog,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        database.migrate("orchestrator", store::migrations()).await?;
        Ok(Self {
            core: Arc::new(Core::new(database, settings, catalog, clock)),
            actor: NOBODY.into(),
        })
    }

    #[cfg(test)]
    pub(crate) fn over(core: Arc<Core>) -> Self {
        Self {
            core,
            actor: NOBODY.into(),
        }
    }

    /// Returns this orchestrator for somebody, whose name the audit log notes for each change.
    #[must_use]
    pub fn acting_as(&self, actor: &str) -> Self {
        Self {
            core: self.core.clone(),
            actor: actor.into(),
        }
    }

    /// Notes a change that has no transaction of its own.
    pub(crate) async fn note(&self, event: &str, about: About<'_>, extra: Value) -> Result<(), Error> {
        audit::note(
            self.core.database.writer(),
            (self.core.now(), &self.actor),
            event,
            about,
            extra,
        )
        .await?;
        self.core.tell(Change::Kept);
        Ok(())
    }

    /// Reads the folder of DAG files once, for a process that works on a project while no scheduler follows it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read_dag_files(&self) -> Result<(), Error> {
        Box::pin(files::read_once(&self.core)).await
    }

    /// Follows the folder of DAG files and starts what is due, until told to end.
    ///
    /// # Errors
    /// When the folder of DAG files cannot be made, or the database fails at the start or the end.
    pub async fn run_scheduler(&self, shutdown: CancellationToken) -> Result<(), Error> {
        Box::pin(scheduler::run(&self.core, shutdown)).await
    }

    /// Waits until [`Self::run_scheduler`] has read the folder of DAG files once.
    pub async fn settled(&self) {
        // The sender lives as long as this does.
        let _ = self
            .core
            .has_read_files
            .subscribe()
            .wait_for(|has_read| *has_read)
            .await;
    }

    /// Runs queued tasks, `slots` at a time, until told to end; then stops what runs within
    /// [`Settings::stop_grace`] and some more, and gives it back. What an earlier worker of this work folder left is
    /// given back first.
    ///
    /// # Errors
    /// [`Error::WorkerRunning`] when another process works in this folder, and when the database fails at the start
    /// or the end.
    pub async fn run_worker(&self, shutdown: CancellationToken, slots: usize) -> Result<(), Error> {
        worker::run(self.core.clone(), shutdown, slots).await
    }

    /// Looks at the database at once: another process has written to it.
    pub fn wake(&self) {
        self.core.bells.due(self.core.now());
        self.core.bells.workers.ring();
        self.core.bells.leases.ring();
        self.core.bells.callbacks.ring();
        self.core.tell(Change::Dags);
    }

    /// Returns what happens from now on in this process.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.core.changes.subscribe()
    }

    /// Returns the settings it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.core.settings
    }

    /// Returns what time it is here.
    pub fn now(&self) -> Timestamp {
        self.core.now()
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.core.database.reader().execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// Returns when the scheduler and the worker were heard of last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn heartbeats(&self) -> Result<Heartbeats, Error> {
        let reader = self.core.database.reader();
        let at = |row: Option<processes::Model>| row.map(|row| Timestamp::from_millis(row.heartbeat_at));
        Ok(Heartbeats {
            scheduler: at(processes::newest(reader, processes::SCHEDULER).await?),
            worker: at(processes::newest(reader, processes::WORKER).await?),
        })
    }

    /// Reads a DAG file as the scheduler would, without keeping anything.
    ///
    /// # Errors
    /// Everything wrong with it.
    pub fn check_file(&self, path: &Path) -> Result<Vec<Dag>, Vec<ImportError>> {
        let read = std::fs::metadata(path).and_then(|metadata| files::read_file(path, metadata.len()));
        let bytes = read.map_err(|error| {
            vec![ImportError {
                path: path.to_owned(),
                line: None,
                column: None,
                message: format!("the file cannot be read: {error}"),
                hint: None,
            }]
        })?;
        parse::parse(path, &bytes, &self.core.catalog).map(|dag| vec![dag])
    }

    /// Returns one DAG; one whose file is gone too, as long as it is remembered.
    ///
    /// # Errors
    /// [`Error::DagNotFound`], and when the database fails.
    pub async fn dag(&self, dag_id: &str) -> Result<DagSummary, Error> {
        let reader = self.core.database.reader();
        let row = self.dag_row(dag_id).await?;
        let query = DagRunQuery {
            dag_id: Some(dag_id.to_owned()),
            limit: u64::from(RECENT_RUNS),
            ..DagRunQuery::default()
        };
        let recent = self.dag_runs(query).await?.into_iter().map(|run| RecentDagRun {
            run_id: run.run_id,
            state: run.state,
            logical_date: run.logical_date,
        });
        let last_end = dag_runs::last_ends(reader, Some(dag_id))
            .await?
            .get(dag_id)
            .copied();
        let errors = import_errors::all(reader).await?;
        let is_broken = errors.iter().any(|error| error.path == row.path);
        let dag = self.core.dag_version(reader, dag_id, &row.version).await?;
        Ok(self.summary(dag, row, recent.collect(), last_end, is_broken))
    }

    async fn dag_row(&self, dag_id: &str) -> Result<dags::row::Model, Error> {
        let row = dags::find(self.core.database.reader(), dag_id).await?;
        row.ok_or_else(|| Error::DagNotFound {
            dag_id: dag_id.to_owned(),
        })
    }

    /// Puts together what is known of a DAG.
    pub(crate) fn summary(
        &self,
        dag: Arc<Dag>,
        row: dags::row::Model,
        recent_runs: Vec<RecentDagRun>,
        last_end: Option<Timestamp>,
        has_import_errors: bool,
    ) -> DagSummary {
        let next = dag.timetable.next(last_end, dag.catchup, self.core.now());
        DagSummary {
            path: row.path(),
            is_active: row.is_active,
            is_paused: row.is_paused,
            has_import_errors,
            version: row.version,
            parsed_at: Timestamp::from_millis(row.parsed_at),
            recent_runs,
            next_run: next.filter(|_| row.is_active && !row.is_paused),
            dag,
        }
    }

    /// Returns the next runs that the schedule of a DAG makes, paused or not.
    ///
    /// # Errors
    /// [`Error::DagNotFound`], and when the database fails.
    pub async fn next_runs(&self, dag_id: &str, count: usize) -> Result<Vec<NextRun>, Error> {
        let row = self.dag_row(dag_id).await?;
        let reader = self.core.database.reader();
        let dag = self.core.dag_version(reader, dag_id, &row.version).await?;
        let mut last_end = dag_runs::last_ends(reader, Some(dag_id))
            .await?
            .get(dag_id)
            .copied();
        let covered = dag_runs::backfilled(reader, dag_id, last_end.map(Timestamp::as_millis)).await?;
        let mut next_runs = Vec::new();
        while next_runs.len() < count {
            let Some(next) = dag.timetable.next(last_end, dag.catchup, self.core.now()) else {
                break;
            };
            last_end = Some(next.data_interval_end);
            if !covered.contains(&next.data_interval_start) {
                next_runs.push(next);
            }
        }
        Ok(next_runs)
    }

    /// Returns the text of a DAG's file, as it was when it was last understood.
    ///
    /// # Errors
    /// [`Error::DagNotFound`], and when the database fails.
    pub async fn dag_source(&self, dag_id: &str) -> Result<Option<String>, Error> {
        let row = self.dag_row(dag_id).await?;
        let version = dags::find_version(self.core.database.reader(), dag_id, &row.version).await?;
        Ok(version.map(|version| version.source))
    }

    /// Returns the DAG as it was when a run was made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dag_of_run(&self, run: &DagRun) -> Result<Arc<Dag>, Error> {
        self.core
            .dag_version(self.core.database.reader(), &run.dag_id, &run.version)
            .await
    }

    /// Lets a DAG's schedule rest, or go on.
    ///
    /// # Errors
    /// [`Error::DagNotFound`], and when the database fails.
    pub async fn set_paused(&self, dag_id: &str, is_paused: bool) -> Result<(), Error> {
        self.dag_row(dag_id).await?;
        dags::set_paused(self.core.database.writer(), dag_id, is_paused).await?;
        let event = if is_paused { audit::PAUSE } else { audit::UNPAUSE };
        self.note(event, About::dag(dag_id), json!({})).await?;
        self.core.tell(Change::Dags);
        self.settle(dag_id).await
    }

    /// Plans a DAG at once.
    async fn settle(&self, dag_id: &str) -> Result<(), Error> {
        scheduler::settle(&self.core, [dag_id.to_owned()].into()).await
    }

    /// Makes a run by hand. It waits while the DAG is paused or has as many runs under way as it may.
    ///
    /// # Errors
    /// [`Error::DagNotFound`] when the DAG has no file, [`Error::InvalidParam`], [`Error::InvalidRequest`],
    /// [`Error::DagRunExists`], and when the database fails.
    pub async fn trigger(&self, dag_id: &str, request: TriggerRequest) -> Result<DagRun, Error> {
        let row = self.dag_row(dag_id).await?;
        if !row.is_active {
            return Err(Error::DagNotFound {
                dag_id: dag_id.to_owned(),
            });
        }
        let dag = self
            .core
            .dag_version(self.core.database.reader(), dag_id, &row.version)
            .await?;
        let mut work = Work::begin(&self.core).await?;
        let new = NewRun {
            run_type: RunType::Manual,
            run_id: request.run_id,
            logical_date: request.logical_date.unwrap_or(work.now),
            params: request.params,
            note: request.note,
        };
        let run = work.new_run(&dag, &row.version, new)?;
        work.make_run(&dag, &run).await.map_err(|error| match error {
            Error::Database(fragua_database::Error::Unique { .. }) => Error::DagRunExists {
                dag_id: dag_id.to_owned(),
                run_id: run.run_id.clone(),
            },
            other => other,
        })?;
        let about = About::run(dag_id, &run.run_id);
        let extra = json!({ "conf": run.params, "note": run.note });
        audit::note(
            &work.transaction,
            (work.now, &self.actor),
            "trigger_dag_run",
            about,
            extra,
        )
        .await?;
        work.commit().await?;
        self.settle(dag_id).await?;
        self.dag_run(dag_id, &run.run_id).await
    }

    /// Returns runs, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dag_runs(&self, query: DagRunQuery) -> Result<Vec<DagRun>, Error> {
        let rows = dag_runs::list(self.core.database.reader(), &query).await?;
        rows.into_iter().map(DagRun::try_from).collect()
    }

    /// Returns how many runs a query finds, whatever its limit and offset.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_dag_runs(&self, query: &DagRunQuery) -> Result<u64, Error> {
        Ok(dag_runs::count(self.core.database.reader(), query).await?)
    }

    /// Returns one run.
    ///
    /// # Errors
    /// [`Error::DagRunNotFound`], and when the database fails.
    pub async fn dag_run(&self, dag_id: &str, run_id: &str) -> Result<DagRun, Error> {
        let row = dag_runs::find(self.core.database.reader(), dag_id, run_id).await?;
        let missing = || Error::DagRunNotFound {
            dag_id: dag_id.to_owned(),
            run_id: run_id.to_owned(),
        };
        row.ok_or_else(missing)?.try_into()
    }

    /// Returns the tasks of a run, in the order of the DAG's file.
    ///
    /// # Errors
    /// [`Error::DagRunNotFound`], and when the database fails.
    pub async fn task_instances(&self, dag_id: &str, run_id: &str) -> Result<Vec<TaskInstance>, Error> {
        let run = self.dag_run(dag_id, run_id).await?;
        let dag = self.dag_of_run(&run).await?;
        let rows = task_instances::of_dag_run(self.core.database.reader(), dag_id, run_id).await?;
        let mut instances = rows
            .into_iter()
            .map(TaskInstance::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        instances.sort_by_cached_key(|instance| (dag.position(&instance.task_id), instance.map_index));
        Ok(instances)
    }

    /// Returns the tasks of several runs of a DAG, in one query and no particular order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn task_instances_of(
        &self,
        dag_id: &str,
        run_ids: &[String],
    ) -> Result<Vec<TaskInstance>, Error> {
        let rows = task_instances::of_dag_runs(self.core.database.reader(), dag_id, run_ids).await?;
        rows.into_iter().map(TaskInstance::try_from).collect()
    }

    /// Returns one task of a run; of one that is made several instances of, the instance that is named.
    ///
    /// # Errors
    /// [`Error::TaskNotFound`], and when the database fails.
    pub async fn task_instance(
        &self,
        dag_id: &str,
        run_id: &str,
        id: impl Into<InstanceId>,
    ) -> Result<TaskInstance, Error> {
        let id = id.into();
        let row = task_instances::find(self.core.database.reader(), dag_id, run_id, &id).await?;
        let missing = || Error::TaskNotFound {
            dag_id: dag_id.to_owned(),
            run_id: run_id.to_owned(),
            task_id: id.to_string(),
        };
        row.ok_or_else(missing)?.try_into()
    }

    /// Returns what a task instance handed on, by key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn xcoms(&self, instance: &TaskInstance) -> Result<Vec<Xcom>, Error> {
        let (dag_id, run_id) = (&instance.dag_id, &instance.run_id);
        let reader = self.core.database.reader();
        xcoms::of_task_instance(reader, dag_id, run_id, &instance.instance_id()).await
    }

    /// Returns what all tasks of a run handed on, by task, instance and key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn xcoms_of_run(&self, dag_id: &str, run_id: &str) -> Result<Vec<Xcom>, Error> {
        xcoms::of_dag_run(self.core.database.reader(), dag_id, run_id).await
    }

    /// Returns the attempts of a task instance, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn attempts(&self, instance: &TaskInstance) -> Result<Vec<Attempt>, Error> {
        let rows = attempts::of_task(self.core.database.reader(), &instance.id).await?;
        rows.into_iter().map(Attempt::try_from).collect()
    }

    /// Returns every change of state of a run and its tasks, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn transitions(&self, dag_id: &str, run_id: &str) -> Result<Vec<Transition>, Error> {
        let rows = transitions::of_run(self.core.database.reader(), dag_id, run_id).await?;
        let transition = |row: transitions::Model| Transition {
            task: row
                .task_id
                .map(|task_id| (task_id, store::count(row.attempt.unwrap_or(0)))),
            from: row.from_state,
            to: row.to_state,
            message: row.message,
            at: Timestamp::from_millis(row.happened_at),
        };
        Ok(rows.into_iter().map(transition).collect())
    }

    /// Lets tasks of a run, and all that come after them, start over; all tasks when none is named. Returns those it
    /// concerned, as they stood before. What runs is stopped first.
    ///
    /// # Errors
    /// [`Error::DagRunNotFound`], [`Error::TaskNotFound`], and when the database fails.
    pub async fn clear(
        &self,
        dag_id: &str,
        run_id: &str,
        task_ids: &[String],
    ) -> Result<Vec<TaskInstance>, Error> {
        let clearing = Clearing {
            task_ids: task_ids.to_vec(),
            downstream: true,
            ..Clearing::default()
        };
        self.clear_tasks(dag_id, run_id, &clearing).await
    }

    /// As [`Self::clear`], with a choice of tasks.
    ///
    /// # Errors
    /// As [`Self::clear`].
    pub async fn clear_tasks(
        &self,
        dag_id: &str,
        run_id: &str,
        clearing: &Clearing,
    ) -> Result<Vec<TaskInstance>, Error> {
        scheduler::clear::clear(&self.core, &self.actor, dag_id, run_id, clearing).await
    }

    /// Says how tasks of a run ended: what runs is stopped, and what comes after goes on from there. Returns those it
    /// concerned, as they stood before.
    ///
    /// # Errors
    /// [`Error::DagRunNotFound`], [`Error::TaskNotFound`], [`Error::InvalidRequest`] for a state that is no end, and
    /// when the database fails.
    pub async fn mark(
        &self,
        dag_id: &str,
        run_id: &str,
        marking: &Marking,
    ) -> Result<Vec<TaskInstance>, Error> {
        scheduler::mark::mark(&self.core, &self.actor, (dag_id, run_id), marking).await
    }

    /// Says how a run ended, and its tasks with it.
    ///
    /// # Errors
    /// [`Error::DagRunNotFound`], [`Error::InvalidRequest`] for a state that is no end, and when the database fails.
    pub async fn mark_run(&self, dag_id: &str, run_id: &str, state: DagRunState) -> Result<(), Error> {
        scheduler::mark::mark_run(&self.core, &self.actor, (dag_id, run_id), state).await
    }

    /// Returns what is wrong with DAG files now, by file.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn import_errors(&self) -> Result<Vec<ImportError>, Error> {
        let errors = self.import_errors_with_times().await?;
        Ok(errors.into_iter().map(|(_, error)| error).collect())
    }

    /// As [`Self::import_errors`], with the instant at which the folder was read.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn import_errors_with_times(&self) -> Result<Vec<(Timestamp, ImportError)>, Error> {
        let rows = import_errors::all(self.core.database.reader()).await?;
        Ok(rows
            .into_iter()
            .map(|row| (Timestamp::from_millis(row.seen_at), row.into()))
            .collect())
    }

    /// Reads a piece of an attempt's log, from an offset in bytes. Ask again from where it ended until it is
    /// finished; [`Change::Log`] and [`Change::TaskInstance`] say when there is more.
    ///
    /// # Errors
    /// [`Error::TaskNotFound`], [`Error::LogNotFound`], [`Error::File`], and when the database fails.
    pub async fn read_log(
        &self,
        dag_id: &str,
        run_id: &str,
        id: impl Into<InstanceId>,
        attempt: u32,
        offset: u64,
    ) -> Result<LogChunk, Error> {
        let id = id.into();
        let instance = self.task_instance(dag_id, run_id, id.clone()).await?;
        let found = attempts::find(self.core.database.reader(), &instance.id, attempt).await?;
        let not_found = || Error::LogNotFound {
            task_id: id.to_string(),
            attempt,
        };
        // Looked at before the file: an attempt that is over writes no more.
        let is_over = match Attempt::try_from(found.ok_or_else(not_found)?)?.state {
            AttemptState::Running => false,
            // A sensor that looks again goes on with it.
            AttemptState::Rescheduled => !matches!(
                instance.state,
                TaskState::UpForReschedule | TaskState::Queued | TaskState::Running
            ),
            _ => true,
        };
        let key = TaskKey {
            dag_id: dag_id.to_owned(),
            run_id: run_id.to_owned(),
            task_id: id.task_id,
            map_index: id.map_index,
            attempt,
        };
        let path = logs::path(&self.core.settings.logs_folder, &key);
        let read = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || logs::read(&path, offset)).await
        };
        let fault = |source| Error::File {
            action: "the log cannot be read:",
            path,
            source,
        };
        let piece = read
            .map_err(std::io::Error::other)
            .and_then(|read| read)
            .map_err(fault)?;
        Ok(LogChunk {
            finished: is_over && (piece.reaches_end || piece.bytes.is_empty()),
            bytes: piece.bytes,
            next_offset: piece.next_offset,
        })
    }
}
