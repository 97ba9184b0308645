//! What the scheduler, the worker and the façade share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fragua_base::{SharedClock, Timestamp};
use fragua_database::Database;
use sea_orm::ConnectionTrait;
use serde_json::Value;
use tokio::sync::{broadcast, watch};

use crate::dag::Dag;
use crate::doorbell::Bells;
use crate::object_watch::ObjectWatch;
use crate::operator::{OperatorCatalog, PreviousRun, RunNames, TaskContext};
use crate::store::{dag_runs, dags, millis, task_instances, xcoms};
use crate::template::{Mentions, XcomsMentioned};
use crate::{Change, DagHeader, DagRun, Error, RETURN_VALUE, RunType, Settings, TaskKey, Xcom, assets};

/// How many changes a watcher may lag behind.
const KEPT_CHANGES: usize = 4096;

/// How many DAG versions are kept in memory: a few KiB each.
const KEPT_DAGS: usize = 4096;

pub(crate) struct Core {
    pub(crate) database: Database,
    pub(crate) settings: Settings,
    pub(crate) catalog: OperatorCatalog,
    pub(crate) clock: SharedClock,
    pub(crate) changes: broadcast::Sender<Change>,
    pub(crate) bells: Bells,
    pub(crate) objects: ObjectWatch,
    /// Whether the folder of DAG files was read by this process.
    pub(crate) has_read_files: watch::Sender<bool>,
    versions: Mutex<BTreeMap<(String, String), Arc<Dag>>>,
    /// The version whose header is known, and the header, by DAG.
    headers: Mutex<BTreeMap<String, (String, Arc<DagHeader>)>>,
}

impl Core {
    pub(crate) fn new(
        database: Database,
        settings: Settings,
        catalog: OperatorCatalog,
        clock: SharedClock,
    ) -> Self {
        Self {
            database,
            settings,
            catalog,
            clock,
            changes: broadcast::channel(KEPT_CHANGES).0,
            bells: Bells::default(),
            objects: ObjectWatch::default(),
            has_read_files: watch::Sender::new(false),
            versions: Mutex::new(BTreeMap::new()),
            headers: Mutex::new(BTreeMap::new()),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Nobody may be watching.
    pub(crate) fn tell(&self, change: Change) {
        let _ = self.changes.send(change);
    }

    /// Returns a version of a DAG. Versions never change in what they mean, so they are kept.
    pub(crate) async fn dag_version(
        &self,
        connection: &impl ConnectionTrait,
        dag_id: &str,
        version: &str,
    ) -> Result<Arc<Dag>, Error> {
        if let Some(dag) = self.kept_version(dag_id, version) {
            return Ok(dag);
        }
        let row = dags::find_version(connection, dag_id, version).await?;
        let row =
            row.ok_or_else(|| Error::corrupt("DAG", format!("version {version} of {dag_id} is missing")))?;
        let dag = Arc::new(dags::read_definition(&row.definition)?);
        self.keep_version(version, dag.clone());
        Ok(dag)
    }

    /// Returns a version of a DAG, where it was kept.
    pub(crate) fn kept_version(&self, dag_id: &str, version: &str) -> Option<Arc<Dag>> {
        let key = (dag_id.to_owned(), version.to_owned());
        self.versions().get(&key).cloned()
    }

    pub(crate) fn keep_version(&self, version: &str, dag: Arc<Dag>) {
        let mut versions = self.versions();
        if versions.len() >= KEPT_DAGS {
            versions.clear();
        }
        versions.insert((dag.dag_id.clone(), version.to_owned()), dag);
    }

    /// Returns what a list shows of a version of a DAG, where it was kept.
    pub(crate) fn header(&self, dag_id: &str, version: &str) -> Option<Arc<DagHeader>> {
        let headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, header) = headers.get(dag_id).filter(|(kept, _)| kept == version)?;
        Some(header.clone())
    }

    pub(crate) fn keep_header(&self, version: &str, header: Arc<DagHeader>) {
        let mut headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        headers.insert(header.dag_id.clone(), (version.to_owned(), header));
    }

    fn versions(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Arc<Dag>>> {
        // What a panicking holder left is still a map of whole entries.
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gathers what the templates of a task mention of its run.
    async fn run_names(
        &self,
        connection: &impl ConnectionTrait,
        dag: &Dag,
        run: &DagRun,
        mentions: &Mentions,
    ) -> Result<RunNames, Error> {
        let mut names = RunNames::default();
        if mentions.previous {
            let logical_date = run.logical_date.unwrap_or(run.run_after);
            names.previous_date = match run.run_type {
                RunType::Scheduled | RunType::Backfill => dag.timetable.date_before(logical_date),
                _ => Some(logical_date),
            };
            let before = dag_runs::previous_success(connection, &run.dag_id, millis(logical_date)).await?;
            names.previous_success = before
                .map(DagRun::try_from)
                .transpose()?
                .map(|before| PreviousRun {
                    data_interval_start: before.data_interval_start,
                    data_interval_end: before.data_interval_end,
                    started_at: before.started_at,
                    ended_at: before.ended_at,
                });
        }
        if mentions.assets {
            names.triggering_asset_events = assets::triggering(connection, &run.dag_id, &run.run_id).await?;
        }
        Ok(names)
    }

    /// Gathers what a task of a run may know.
    pub(crate) async fn task_context(
        &self,
        connection: &impl ConnectionTrait,
        run: &DagRun,
        key: &TaskKey,
        attempt_token: &str,
    ) -> Result<TaskContext, Error> {
        let dag = self.dag_version(connection, &run.dag_id, &run.version).await?;
        let (task, for_instance) = (dag.task(&key.task_id), key.map_index);
        let mentions = task
            .map(|task| Mentions::of(task, &self.catalog))
            .unwrap_or_default();
        let (mut xcom, mut xcom_keys) = (BTreeMap::new(), BTreeMap::<_, BTreeMap<_, _>>::new());
        let handed_on = match &mentions.xcoms {
            XcomsMentioned::Any => xcoms::of_dag_run(connection, &key.dag_id, &key.run_id).await?,
            XcomsMentioned::Of(task_ids) => {
                xcoms::of_tasks(connection, (&key.dag_id, &key.run_id), task_ids).await?
            }
        };
        for handed_on in handed_on {
            let Xcom {
                task_id, key, value, ..
            } = handed_on;
            // Of a task that is mapped together with this one, its own number is all there is.
            let together = task.is_some_and(|task| dag.are_mapped_together(task, &task_id));
            let map_index = match together && for_instance.is_some() {
                true if handed_on.map_index != for_instance => continue,
                true => None,
                false => handed_on.map_index,
            };
            let place = match key.as_str() {
                RETURN_VALUE => xcom.entry(task_id),
                _ => xcom_keys.entry(task_id).or_default().entry(key),
            };
            match map_index {
                None => drop(place.insert_entry(value)),
                // The instances of a task come in order, and are seen as a list.
                Some(_) => {
                    let list = place.or_insert_with(|| Value::Array(Vec::new()));
                    list.as_array_mut()
                        .into_iter()
                        .for_each(|list| list.push(value.clone()));
                }
            }
        }
        let id = key.instance_id();
        let row = task_instances::find(connection, &key.dag_id, &key.run_id, &id).await?;
        let first_started_at = row.as_ref().and_then(|row| row.first_started_at);
        let map_values = row.and_then(|row| row.map_values);
        let map_values = map_values.as_deref().map(serde_json::from_str).transpose();
        Ok(TaskContext {
            map_index: key.map_index,
            run_names: self.run_names(connection, &dag, run, &mentions).await?,
            first_started_at: first_started_at.map_or(self.now(), Timestamp::from_millis),
            map_values: map_values.map_err(|error| Error::corrupt("task instance", error))?,
            dag_id: key.dag_id.clone(),
            dag_run_id: key.run_id.clone(),
            task_id: key.task_id.clone(),
            try_number: key.attempt,
            attempt_token: attempt_token.to_owned(),
            logical_date: run.logical_date.unwrap_or(run.run_after),
            data_interval_start: run.data_interval_start,
            data_interval_end: run.data_interval_end,
            params: run.params.clone(),
            connections: self.connections(connection).await?,
            variables: self.variables(connection).await?,
            project_folder: self.settings.project_folder.clone(),
            work_folder: self.settings.work_folder.join("attempts").join(attempt_token),
            xcom,
            xcom_keys,
            max_xcom_bytes: self.settings.max_xcom_bytes,
            python: self.settings.python.clone(),
            environment: self.settings.environment.clone(),
        })
    }
}
