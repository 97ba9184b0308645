//! An orchestrator under a manual clock, for tests of this crate.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use fragua_base::{ManualClock, Timestamp};
use fragua_database::Database;
use tempfile::TempDir;

use crate::core::Core;
use crate::decide::Ending;
use crate::files::{self, Files};
use crate::operator::OperatorCatalog;
use crate::scheduler::{self, attempts};
use crate::store::{self, processes};
use crate::{DagRunState, Settings};

/// A core with its folder and clock. Nothing runs by itself.
pub(crate) struct Bench {
    pub(crate) core: Arc<Core>,
    pub(crate) clock: Arc<ManualClock>,
    _folder: TempDir,
    files: Files,
}

/// The id of the worker that takes leases in tests.
pub(crate) const WORKER: &str = "worker-1";

pub(crate) fn at(text: &str) -> Timestamp {
    let text = if text.contains('T') {
        text.to_owned()
    } else {
        format!("{text}T00:00:00Z")
    };
    Timestamp::parse_rfc3339(&text).unwrap()
}

impl Bench {
    /// It is 2025-04-05, noon.
    pub(crate) async fn new(database: Database) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(at("2025-04-05T12:00:00Z")));
        database
            .migrate("orchestrator", store::migrations())
            .await
            .unwrap();
        let settings = Settings {
            dags_are_paused_at_creation: false,
            secret_key: Some(fragua_auth::new_secret_key()),
            ..Settings::for_project(folder.path())
        };
        fs::create_dir_all(&settings.dags_folder).unwrap();
        let core = Arc::new(Core::new(
            database,
            settings,
            OperatorCatalog::builtin(),
            clock.clone(),
        ));
        let worker = processes::Model {
            id: WORKER.to_owned(),
            home: "home".to_owned(),
            ..processes::Model::beginning(processes::WORKER, clock_millis(&clock))
        };
        processes::insert(core.database.writer(), worker).await.unwrap();
        Self {
            core,
            clock,
            _folder: folder,
            files: Files::default(),
        }
    }

    pub(crate) fn orchestrator(&self) -> crate::Orchestrator {
        crate::Orchestrator::over(self.core.clone())
    }

    /// Writes a DAG file and lets it be read.
    pub(crate) async fn write(&mut self, name: &str, text: &str) {
        fs::write(self.core.settings.dags_folder.join(name), text).unwrap();
        self.read().await;
    }

    pub(crate) async fn remove(&mut self, name: &str) {
        fs::remove_file(self.core.settings.dags_folder.join(name)).unwrap();
        self.read().await;
    }

    async fn read(&mut self) {
        self.files
            .refresh(&self.core.settings.dags_folder.clone(), &self.core.catalog);
        files::sync(&self.core, &self.files).await.unwrap();
    }

    pub(crate) async fn advance(&self, duration: Duration) -> Option<Timestamp> {
        use fragua_base::Clock as _;
        self.clock.set(self.clock.now().plus(duration));
        self.tick().await
    }

    pub(crate) async fn tick(&self) -> Option<Timestamp> {
        scheduler::tick(&self.core).await.unwrap()
    }

    pub(crate) async fn claim(&self, limit: usize) -> Vec<attempts::Lease> {
        attempts::claim(&self.core, WORKER, &[], limit).await.unwrap()
    }

    /// Takes one task, which must be this one.
    pub(crate) async fn claim_one(&self, task_id: &str) -> attempts::Lease {
        let leases = self.claim(1).await;
        assert_eq!(
            leases
                .iter()
                .map(|lease| lease.key.task_id.as_str())
                .collect::<Vec<_>>(),
            [task_id]
        );
        leases.into_iter().next().unwrap()
    }

    pub(crate) async fn end(&self, lease: &attempts::Lease, ending: Ending) {
        attempts::end(&self.core, &lease.token, ending.into())
            .await
            .unwrap();
    }

    /// Runs queued tasks, each with success, until none is left. Returns how many there were.
    pub(crate) async fn run_queued(&self) -> usize {
        let mut count = 0;
        loop {
            let leases = self.claim(10).await;
            if leases.is_empty() {
                return count;
            }
            for lease in leases {
                self.end(&lease, Ending::success()).await;
                count += 1;
            }
        }
    }

    /// Returns where the tasks of a run stand, as `task:state`.
    pub(crate) async fn states(&self, dag_id: &str, run_id: &str) -> Vec<String> {
        let instances = self.orchestrator().task_instances(dag_id, run_id).await.unwrap();
        instances
            .iter()
            .map(|instance| format!("{}:{}", instance.task_id, instance.state))
            .collect()
    }

    /// Returns the runs of a DAG with their states, oldest first.
    pub(crate) async fn runs(&self, dag_id: &str) -> Vec<(String, DagRunState)> {
        let query = crate::DagRunQuery {
            dag_id: Some(dag_id.to_owned()),
            limit: 1000,
            ..Default::default()
        };
        let runs = self.orchestrator().dag_runs(query).await.unwrap();
        runs.into_iter()
            .rev()
            .map(|run| (run.run_id, run.state))
            .collect()
    }

    pub(crate) async fn trigger(&self, dag_id: &str) -> String {
        self.orchestrator()
            .trigger(dag_id, crate::TriggerRequest::default())
            .await
            .unwrap()
            .run_id
    }

    /// Returns how many tasks stand in each state.
    pub(crate) async fn message(&self, dag_id: &str, run_id: &str, task_id: &str) -> Option<String> {
        self.orchestrator()
            .task_instance(dag_id, run_id, task_id)
            .await
            .unwrap()
            .message
    }
}

fn clock_millis(clock: &ManualClock) -> i64 {
    use fragua_base::Clock as _;
    clock.now().as_millis()
}

/// Counts how often each item occurs.
pub(crate) fn count<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}
