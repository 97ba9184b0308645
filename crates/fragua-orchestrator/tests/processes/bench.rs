//! A project in a temporary folder with a scheduler and a worker.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fragua_base::{Secret, SystemClock};
use fragua_database::Database;
use fragua_orchestrator::{
    Attempt, Change, Connection, DagRun, Error, OperatorCatalog, Orchestrator, Settings, TaskInstance,
    TaskKey, TaskVariables, TriggerRequest,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A test that waits longer than this for something has failed.
const PATIENCE: Duration = Duration::from_secs(60);

struct Token;

#[async_trait]
impl TaskVariables for Token {
    async fn variables(&self, key: &TaskKey) -> Result<BTreeMap<String, Secret>, String> {
        let token = format!("token-of-{}", key.task_id);
        Ok(BTreeMap::from([(
            "MLFLOW_TRACKING_TOKEN".to_owned(),
            Secret::new(token),
        )]))
    }
}

pub(crate) async fn open(folder: &Path) -> Orchestrator {
    let settings = Settings {
        dags_are_paused_at_creation: false,
        exec_task: std::env::current_exe().unwrap(),
        environment: BTreeMap::from([("MLFLOW_TRACKING_URI".to_owned(), "http://tracking".to_owned())]),
        connections: BTreeMap::from([("web".to_owned(), Connection::new("http://me:hunter2@host"))]),
        task_variables: Some(Arc::new(Token)),
        stop_grace: Duration::from_millis(500),
        ..Settings::for_project(folder)
    };
    fs::create_dir_all(folder.join(".fragua")).unwrap();
    fs::create_dir_all(&settings.dags_folder).unwrap();
    let url = format!("sqlite:{}", folder.join(".fragua/orchestrator.db").display());
    let database = Database::open(&url, "orchestrator.database_url").await.unwrap();
    Orchestrator::open(
        database,
        settings,
        OperatorCatalog::builtin(),
        Arc::new(SystemClock),
    )
    .await
    .unwrap()
}

/// The server that a test kills: says `ready`, and goes on until it is ended.
pub(crate) async fn serve(folder: &str) -> ExitCode {
    let orchestrator = open(Path::new(folder)).await;
    let shutdown = CancellationToken::new();
    let scheduler = orchestrator.clone();
    let scheduler = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { scheduler.run_scheduler(shutdown).await }
    });
    println!("ready");
    orchestrator.run_worker(shutdown, 4).await.unwrap();
    scheduler.await.unwrap().unwrap();
    ExitCode::SUCCESS
}

/// A server in a process of its own.
pub(crate) async fn start_server(folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("serve")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
    child
}

/// A project that runs in this process, until it is dropped.
pub(crate) struct Bench {
    pub(crate) orchestrator: Orchestrator,
    changes: broadcast::Receiver<Change>,
    folder: Arc<TempDir>,
    shutdown: CancellationToken,
    running: Vec<JoinHandle<Result<(), Error>>>,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap())).await
    }

    pub(crate) async fn start_in(folder: Arc<TempDir>) -> Self {
        let orchestrator = open(folder.path()).await;
        let shutdown = CancellationToken::new();
        let changes = orchestrator.changes();
        let (scheduler, worker) = (orchestrator.clone(), orchestrator.clone());
        let (scheduler_end, worker_end) = (shutdown.clone(), shutdown.clone());
        let running = vec![
            tokio::spawn(async move { scheduler.run_scheduler(scheduler_end).await }),
            tokio::spawn(async move { worker.run_worker(worker_end, 4).await }),
        ];
        Self {
            orchestrator,
            changes,
            folder,
            shutdown,
            running,
        }
    }

    pub(crate) fn folder(&self) -> &Arc<TempDir> {
        &self.folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ends the scheduler and the worker as a shutdown does. Returns how long it took.
    pub(crate) async fn stop(mut self) -> Duration {
        let began = tokio::time::Instant::now();
        self.shutdown.cancel();
        for running in self.running.drain(..) {
            running.await.unwrap().unwrap();
        }
        began.elapsed()
    }

    /// Writes a DAG file and waits until it is known.
    pub(crate) async fn write(&mut self, dag_id: &str, tasks: &str) {
        let path = self.path(&format!("dags/{dag_id}.yaml"));
        fs::write(path, format!("dag: {dag_id}\ntasks:\n{tasks}")).unwrap();
        self.until(async |orchestrator| {
            let source = orchestrator.dag_source(dag_id).await.ok().flatten();
            source.filter(|source| source.ends_with(tasks))
        })
        .await;
    }

    /// Waits until something is so, looking again after each change.
    pub(crate) async fn until<T>(&mut self, found: impl AsyncFn(&Orchestrator) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = found(&self.orchestrator).await {
                    return found;
                }
                match self.changes.recv().await {
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => panic!("the orchestrator is gone"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("it never became so")
    }

    pub(crate) async fn trigger(&self, dag_id: &str) -> DagRun {
        self.orchestrator
            .trigger(dag_id, TriggerRequest::default())
            .await
            .unwrap()
    }

    pub(crate) async fn until_over(&mut self, run: &DagRun) -> DagRun {
        self.until(async |orchestrator| {
            let run = orchestrator.dag_run(&run.dag_id, &run.run_id).await.unwrap();
            run.state.is_finished().then_some(run)
        })
        .await
    }

    /// Triggers a DAG and waits until the run is over.
    pub(crate) async fn run(&mut self, dag_id: &str) -> DagRun {
        let run = self.trigger(dag_id).await;
        self.until_over(&run).await
    }

    pub(crate) async fn task(&self, run: &DagRun, task_id: &str) -> TaskInstance {
        self.orchestrator
            .task_instance(&run.dag_id, &run.run_id, task_id)
            .await
            .unwrap()
    }

    pub(crate) async fn attempts(&self, run: &DagRun, task_id: &str) -> Vec<Attempt> {
        let instance = self.task(run, task_id).await;
        self.orchestrator.attempts(&instance).await.unwrap()
    }

    /// Waits until a task of a run says this in its log, and returns all it said so far.
    pub(crate) async fn until_said(&mut self, run: &DagRun, task_id: &str, words: &str) -> String {
        self.until(async |orchestrator| {
            let attempt = orchestrator
                .task_instance(&run.dag_id, &run.run_id, task_id)
                .await
                .ok()?
                .attempt;
            let chunk = orchestrator
                .read_log(&run.dag_id, &run.run_id, task_id, attempt, 0)
                .await
                .ok()?;
            let text = String::from_utf8_lossy(&chunk.bytes).into_owned();
            text.contains(words).then_some(text)
        })
        .await
    }

    pub(crate) async fn log(&self, run: &DagRun, task_id: &str, attempt: u32) -> String {
        let chunk = self
            .orchestrator
            .read_log(&run.dag_id, &run.run_id, task_id, attempt, 0)
            .await
            .unwrap();
        assert!(chunk.finished);
        String::from_utf8_lossy(&chunk.bytes).into_owned()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Says whether a process is there.
pub(crate) fn is_alive(process_id: u32) -> bool {
    // One that has ended and was not waited for is no longer alive.
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}
