//! What the scheduler, the worker and the façade share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fragua_base::{SharedClock, Timestamp};
use fragua_database::Database;
use sea_orm::ConnectionTrait;
use serde_json::Value;
use tokio::sync::{Notify, broadcast};

use crate::dag::Dag;
use crate::operator::{OperatorCatalog, TaskContext};
use crate::store::{dags, task_instances, xcoms};
use crate::{Change, DagRun, Error, RETURN_VALUE, Settings, TaskKey, Xcom};

/// How many changes a watcher may lag behind.
const KEPT_CHANGES: usize = 4096;

/// How many DAG versions are kept in memory.
const KEPT_DAGS: usize = 512;

pub(crate) struct Core {
    pub(crate) database: Database,
    pub(crate) settings: Settings,
    pub(crate) catalog: OperatorCatalog,
    pub(crate) clock: SharedClock,
    pub(crate) changes: broadcast::Sender<Change>,
    /// Something is due sooner than the scheduler knows.
    pub(crate) scheduler_bell: Notify,
    /// A task may have been queued.
    pub(crate) worker_bell: Notify,
    /// A lease may have been taken away, or its task cleared.
    pub(crate) lease_bell: Notify,
    versions: Mutex<BTreeMap<(String, String), Arc<Dag>>>,
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
            scheduler_bell: Notify::new(),
            worker_bell: Notify::new(),
            lease_bell: Notify::new(),
            versions: Mutex::new(BTreeMap::new()),
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
        let key = (dag_id.to_owned(), version.to_owned());
        if let Some(dag) = self.versions().get(&key) {
            return Ok(dag.clone());
        }
        let row = dags::find_version(connection, dag_id, version).await?;
        let row =
            row.ok_or_else(|| Error::corrupt("DAG", format!("version {version} of {dag_id} is missing")))?;
        let dag = Arc::new(dags::read_definition(&row.definition)?);
        self.keep_version(version, dag.clone());
        Ok(dag)
    }

    pub(crate) fn keep_version(&self, version: &str, dag: Arc<Dag>) {
        let mut versions = self.versions();
        if versions.len() >= KEPT_DAGS {
            versions.clear();
        }
        versions.insert((dag.dag_id.clone(), version.to_owned()), dag);
    }

    fn versions(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Arc<Dag>>> {
        // What a panicking holder left is still a map of whole entries.
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gathers what a task of a run may know.
    pub(crate) async fn task_context(
        &self,
        connection: &impl ConnectionTrait,
        run: &DagRun,
        key: &TaskKey,
        attempt_token: &str,
    ) -> Result<TaskContext, Error> {
        let (mut xcom, mut xcom_keys) = (BTreeMap::new(), BTreeMap::<_, BTreeMap<_, _>>::new());
        for handed_on in xcoms::of_dag_run(connection, &key.dag_id, &key.run_id).await? {
            let Xcom {
                task_id, key, value, ..
            } = handed_on;
            let place = match key.as_str() {
                RETURN_VALUE => xcom.entry(task_id),
                _ => xcom_keys.entry(task_id).or_default().entry(key),
            };
            match handed_on.map_index {
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
        })
    }
}
