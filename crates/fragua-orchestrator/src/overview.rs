//! What lists and pictures of many runs show, each in few queries.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use fragua_base::Timestamp;
use serde_json::{Value, json};

use crate::audit::About;
use crate::dag::Timetable;
use crate::logs::Mask;
use crate::operator::Connection;
use crate::orchestrator::RECENT_RUNS;
use crate::store::{dags, import_errors, overview, pools};
use crate::template::Renderer;
use crate::{
    AssetCondition, Dag, DagRun, DagRunState, DagSummary, Error, ImportError, NextRun, Orchestrator,
    RecentDagRun, TaskInstance, TaskKey, TaskState,
};

/// What a list shows of a DAG's file. It is kept in memory for every DAG.
#[derive(Debug, Clone, PartialEq)]
pub struct DagHeader {
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
    /// The assets that start a run when they were updated, beside the timetable.
    pub assets: Option<AssetCondition>,
    /// Whether each missed interval is run, or the newest alone.
    pub catchup: bool,
    /// Whether a run can be given anything.
    pub has_params: bool,
}

impl From<&Dag> for DagHeader {
    fn from(dag: &Dag) -> Self {
        Self {
            dag_id: dag.dag_id.clone(),
            description: dag.description.clone(),
            tags: dag.tags.clone(),
            owner: dag.owner.clone(),
            timetable: dag.timetable.clone(),
            assets: dag.assets.clone(),
            catchup: dag.catchup,
            has_params: !dag.params.is_empty(),
        }
    }
}

/// How an active DAG stands.
#[derive(Debug, Clone)]
pub struct DagOverview {
    /// What its file says.
    pub header: Arc<DagHeader>,
    /// Its file, relative to the folder of DAG files.
    pub path: PathBuf,
    /// Whether its schedule rests.
    pub is_paused: bool,
    /// Whether its file cannot be read now, so that this is what it said before.
    pub has_import_errors: bool,
    /// How its newest run that is over ended.
    pub last_state: Option<DagRunState>,
    /// Whether a run of it is under way, or waits to start.
    pub is_busy: bool,
    last_end: Option<Timestamp>,
}

impl DagOverview {
    /// Returns the next run its schedule makes, due or not; nothing while it is paused.
    pub fn next_run(&self, now: Timestamp) -> Option<NextRun> {
        let header = &self.header;
        let next = || header.timetable.next(self.last_end, header.catchup, now);
        (!self.is_paused).then(next).flatten()
    }
}

/// A version of a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagVersion {
    /// A hash of what it says.
    pub version: String,
    /// When it was seen first.
    pub created_at: Timestamp,
}

/// The instances of one task in one run that stand alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskTally {
    /// The run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// Where they stand.
    pub state: TaskState,
    /// How many they are.
    pub instances: u32,
    /// Whether the task is made several instances of.
    pub is_mapped: bool,
    /// The most attempts that one of them had.
    pub attempts: u32,
    /// When the first of them started.
    pub started_at: Option<Timestamp>,
    /// When the last of them was over.
    pub ended_at: Option<Timestamp>,
}

/// The runs of one day in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayTally {
    /// The day's first instant in UTC.
    pub day: Timestamp,
    /// Their state.
    pub state: DagRunState,
    /// How many they are.
    pub runs: u64,
}

impl Orchestrator {
    /// Returns how every active DAG stands, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dag_overviews(&self) -> Result<Vec<DagOverview>, Error> {
        let reader = self.core.database.reader();
        let standings = overview::standings(reader).await?;
        let busy = overview::busy_dags(reader).await?;
        let errors = import_errors::all(reader).await?;
        let mut headers: BTreeMap<String, Arc<DagHeader>> = BTreeMap::new();
        for standing in &standings {
            if let Some(header) = self.core.header(&standing.row.dag_id, &standing.row.version) {
                headers.insert(header.dag_id.clone(), header);
            }
        }
        for (version, definition) in overview::definitions(reader, &unread(&standings, &headers)).await? {
            let header = Arc::new(DagHeader::from(&dags::read_definition(&definition)?));
            self.core.keep_header(&version, header.clone());
            headers.insert(header.dag_id.clone(), header);
        }
        // A DAG whose file went away since the first query has no header.
        let overview = |standing: overview::Standing| {
            let row = standing.row;
            Some(DagOverview {
                header: headers.remove(&row.dag_id)?,
                path: row.path(),
                is_paused: row.is_paused,
                has_import_errors: errors.iter().any(|error| error.path == row.path),
                last_state: standing.last_state,
                is_busy: busy.contains(&row.dag_id),
                last_end: standing.last_end,
            })
        };
        Ok(standings.into_iter().filter_map(overview).collect())
    }

    /// Returns every active DAG, by name, in a number of queries that does not grow with theirs.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_dags(&self) -> Result<Vec<DagSummary>, Error> {
        let reader = self.core.database.reader();
        let standings = overview::standings(reader).await?;
        let mut recent = overview::recent_runs(reader, None, RECENT_RUNS).await?;
        let errors = import_errors::all(reader).await?;
        let mut known: BTreeMap<String, Arc<Dag>> = BTreeMap::new();
        for standing in &standings {
            if let Some(dag) = self
                .core
                .kept_version(&standing.row.dag_id, &standing.row.version)
            {
                known.insert(dag.dag_id.clone(), dag);
            }
        }
        for (version, definition) in overview::definitions(reader, &unread(&standings, &known)).await? {
            let dag = Arc::new(dags::read_definition(&definition)?);
            self.core.keep_version(&version, dag.clone());
            known.insert(dag.dag_id.clone(), dag);
        }
        let summary = |standing: overview::Standing| {
            let row = standing.row;
            let dag = known.remove(&row.dag_id)?;
            let recent = recent.remove(&row.dag_id).unwrap_or_default();
            let is_broken = errors.iter().any(|error| error.path == row.path);
            Some(self.summary(dag, row, recent, standing.last_end, is_broken))
        };
        Ok(standings.into_iter().filter_map(summary).collect())
    }

    /// Returns the newest runs of some DAGs, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recent_runs(
        &self,
        dag_ids: &[String],
        each: u32,
    ) -> Result<BTreeMap<String, Vec<RecentDagRun>>, Error> {
        overview::recent_runs(self.core.database.reader(), Some(dag_ids), each).await
    }

    /// Returns the versions of a DAG that are remembered, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dag_versions(&self, dag_id: &str) -> Result<Vec<DagVersion>, Error> {
        Ok(overview::versions(self.core.database.reader(), dag_id).await?)
    }

    /// Returns the text of a DAG's file as it was in a version; nothing where there is no such version.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dag_version_source(&self, dag_id: &str, version: &str) -> Result<Option<String>, Error> {
        let row = dags::find_version(self.core.database.reader(), dag_id, version).await?;
        Ok(row.map(|row| row.source))
    }

    /// Returns where the tasks of some runs of a DAG stand, in one query and no particular order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn task_tallies(&self, dag_id: &str, run_ids: &[String]) -> Result<Vec<TaskTally>, Error> {
        overview::task_tallies(self.core.database.reader(), dag_id, run_ids).await
    }

    /// Returns how many runs of a DAG are in which state on each day in UTC, by logical date, up to the second instant.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_days(
        &self,
        dag_id: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<DayTally>, Error> {
        let range = (from.as_millis(), to.as_millis());
        overview::days(self.core.database.reader(), dag_id, range).await
    }

    /// Returns the runs of a DAG whose logical date lies between two instants, the second not included, newest first, up
    /// to 1,000.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_between(
        &self,
        dag_id: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<DagRun>, Error> {
        let range = (from.as_millis(), to.as_millis());
        let rows = overview::runs_between(self.core.database.reader(), dag_id, range).await?;
        rows.into_iter().map(DagRun::try_from).collect()
    }

    /// Returns how many runs of some backfills are in which state.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn backfill_progress(
        &self,
        ids: &[String],
    ) -> Result<BTreeMap<String, Vec<(DagRunState, u64)>>, Error> {
        overview::backfill_runs(self.core.database.reader(), ids).await
    }

    /// Returns the tasks that take slots of a pool, and those that wait for some, the longest first, up to `most` of
    /// each.
    ///
    /// # Errors
    /// [`Error::PoolNotFound`], and when the database fails.
    pub async fn pool_tasks(
        &self,
        name: &str,
        most: u64,
    ) -> Result<(Vec<TaskInstance>, Vec<TaskInstance>), Error> {
        let reader = self.core.database.reader();
        let all = pools::all(reader).await?;
        let Some(pool) = all.into_iter().find(|pool| pool.name == name) else {
            return Err(Error::PoolNotFound {
                name: name.to_owned(),
            });
        };
        let mut taking = vec![TaskState::Running, TaskState::Restarting];
        taking.extend(pool.include_deferred.then_some(TaskState::Deferred));
        let mut found = Vec::new();
        for states in [&taking[..], &[TaskState::Queued]] {
            let rows = overview::of_pool(reader, name, states, most).await?;
            let tasks: Result<Vec<_>, Error> = rows.into_iter().map(TaskInstance::try_from).collect();
            found.push(tasks?);
        }
        let waiting = found.pop().unwrap_or_default();
        Ok((found.pop().unwrap_or_default(), waiting))
    }

    /// Changes what is written about a run; nothing takes it away.
    ///
    /// # Errors
    /// [`Error::DagRunNotFound`], and when the database fails.
    pub async fn set_note(&self, dag_id: &str, run_id: &str, note: Option<&str>) -> Result<(), Error> {
        if !overview::set_note(self.core.database.writer(), (dag_id, run_id), note).await? {
            return Err(Error::DagRunNotFound {
                dag_id: dag_id.to_owned(),
                run_id: run_id.to_owned(),
            });
        }
        let extra = json!({ "note": note });
        self.note("set_dag_run_note", About::run(dag_id, run_id), extra)
            .await?;
        let run = self.dag_run(dag_id, run_id).await?;
        self.core.tell(crate::Change::DagRun {
            dag_id: run.dag_id,
            run_id: run.run_id,
            state: run.state,
        });
        Ok(())
    }

    /// Renders what the operator of a task is given, with the values in force now and without secrets. The inner error
    /// says, in words, why it cannot be rendered.
    ///
    /// # Errors
    /// [`Error::DagRunNotFound`], [`Error::TaskNotFound`], and when the database fails.
    pub async fn rendered(&self, instance: &TaskInstance) -> Result<Result<Value, String>, Error> {
        let reader = self.core.database.reader();
        let run = self.dag_run(&instance.dag_id, &instance.run_id).await?;
        let dag = self.dag_of_run(&run).await?;
        let Some(task) = dag.task(&instance.task_id) else {
            return Err(Error::TaskNotFound {
                dag_id: instance.dag_id.clone(),
                run_id: instance.run_id.clone(),
                task_id: instance.task_id.clone(),
            });
        };
        let key = TaskKey {
            dag_id: instance.dag_id.clone(),
            run_id: instance.run_id.clone(),
            task_id: instance.task_id.clone(),
            map_index: instance.map_index,
            attempt: instance.attempt.max(1),
        };
        let context = self.core.task_context(reader, &run, &key, "").await?;
        let mask = Mask::new(context.connections.values().flat_map(Connection::secrets));
        let rendered = Renderer::new(&context).arguments(task);
        Ok(rendered
            .map(|arguments| hide(arguments, &mask))
            .map_err(|error| mask.hide(&error.to_string())))
    }

    /// Returns the lines of a DAG file around an error, with their numbers; nothing where the file cannot be read here.
    pub fn excerpt(&self, error: &ImportError) -> Vec<(u32, String)> {
        const AROUND: u32 = 2;
        let Some(line) = error.line else {
            return Vec::new();
        };
        let path = self.core.settings.dags_folder.join(&error.path);
        let Ok(bytes) = std::fs::read(path) else {
            return Vec::new();
        };
        let text = String::from_utf8_lossy(&bytes);
        (1_u32..)
            .zip(text.lines())
            .skip_while(|(number, _)| *number + AROUND < line)
            .take_while(|(number, _)| *number <= line + AROUND)
            .map(|(number, text)| (number, text.chars().take(200).collect()))
            .collect()
    }
}

/// Returns the DAGs of which nothing is known yet.
fn unread<'a, T>(standings: &'a [overview::Standing], known: &BTreeMap<String, T>) -> Vec<&'a str> {
    let dag_ids = standings.iter().map(|standing| standing.row.dag_id.as_str());
    dag_ids.filter(|dag_id| !known.contains_key(*dag_id)).collect()
}

/// Hides secrets in every text of a value.
fn hide(value: Value, mask: &Mask) -> Value {
    match value {
        Value::String(text) => Value::String(mask.hide(&text)),
        Value::Array(items) => items.into_iter().map(|item| hide(item, mask)).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, hide(value, mask)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests;
