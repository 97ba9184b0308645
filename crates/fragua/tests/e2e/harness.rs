//! A project in a temporary folder and the program that runs on it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{LazyLock, Mutex};

use fragua_base::Endpoints;
use futures::StreamExt as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::Value;
use tempfile::TempDir;

/// The repository's root, where `examples/` and `e2e/` lie.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The program with nothing of the caller's environment that could change what it does.
pub(crate) fn fragua() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fragua"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    command
}

/// A client that speaks plain HTTP to the program.
pub(crate) fn http() -> reqwest::Client {
    // The client asks for a provider even when no connection is encrypted; the one error is that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A running `fragua up`, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) endpoints: Endpoints,
    pub(crate) project: PathBuf,
    log: Option<std::thread::JoinHandle<String>>,
}

impl Server {
    /// Starts every role on free ports and returns once all of them answer, which the program says itself.
    pub(crate) fn start(project: &Path) -> Self {
        let mut child = fragua()
            .args(["up", "--ports", "auto", "--project"])
            .arg(project)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        loop {
            let Some(line) = lines.next() else {
                panic!("fragua up ended while starting:\n{log}")
            };
            let line = line.unwrap();
            log.push_str(&line);
            log.push('\n');
            if line.contains("all roles answer") {
                break;
            }
        }
        // Somebody must go on reading, or the program would block on a full pipe.
        let rest = std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .fold(log, |log, line| log + &line + "\n")
        });
        let endpoints = std::fs::read(project.join(".fragua/endpoints.json")).unwrap();
        let endpoints = serde_json::from_slice(&endpoints).unwrap();
        Self {
            child,
            endpoints,
            project: project.to_owned(),
            log: Some(rest),
        }
    }

    /// Returns the base address of a role.
    pub(crate) fn address(&self, role: &str) -> String {
        let found = self.endpoints.iter().find(|(name, _)| *name == role);
        found
            .unwrap_or_else(|| panic!("{role} does not run"))
            .1
            .to_owned()
    }

    /// Ends the process at once, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the process to end and returns what it logged.
    pub(crate) fn stop(mut self) -> String {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            Signal::SIGTERM,
        )
        .unwrap();
        let status = self.child.wait().unwrap();
        let log = self.log.take().unwrap().join().unwrap();
        assert!(status.success(), "{status}:\n{log}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns how many task instances of a task are in a state, over all runs of its DAG.
async fn count(server: &Server, dag: &str, task: &str, state: &str) -> usize {
    let runs_url = format!("{}/api/v2/dags/{dag}/dagRuns", server.address("orchestrator"));
    let runs = get_json(&format!("{runs_url}?limit=100")).await;
    let mut count = 0;
    for run in runs["dag_runs"].as_array().unwrap() {
        let run = run["dag_run_id"].as_str().unwrap();
        let instances = get_json(&format!("{runs_url}/{run}/taskInstances")).await;
        let instances = instances["task_instances"].as_array().unwrap();
        count += instances
            .iter()
            .filter(|one| one["task_id"] == task && one["state"] == state)
            .count();
    }
    count
}

pub(crate) async fn get_json(url: &str) -> Value {
    let response = http().get(url).send().await.unwrap();
    response.error_for_status().unwrap().json().await.unwrap()
}

/// Waits, by the events that the pages listen to, until so many instances of a task are in a state.
pub(crate) async fn until_task(server: &Server, dag: &str, task: &str, state: &str, wanted: usize) {
    let events = http()
        .get(format!("{}/events", server.address("orchestrator")))
        .send()
        .await
        .unwrap();
    let mut events = events.error_for_status().unwrap().bytes_stream();
    while count(server, dag, task, state).await < wanted {
        events
            .next()
            .await
            .expect("the event stream goes on while the server runs")
            .unwrap();
    }
}

/// A command of the program on a project.
pub(crate) fn run(project: &Path, arguments: &[&str]) -> Command {
    let mut command = fragua();
    command.args(arguments).arg("--project").arg(project);
    command
}

/// Rows of a table of the warehouse by DAG run.
pub(crate) async fn rows_by_dag_run(project: &Path, table: &str) -> BTreeMap<String, i64> {
    let url = format!("sqlite:{}", project.join(".fragua/warehouse.db").display());
    let database = fragua_database::Database::open(&url, "connections.warehouse.url")
        .await
        .unwrap();
    let sql = format!("SELECT fragua_dag_run_id, COUNT(*) FROM {table} GROUP BY 1");
    let statement = Statement::from_string(database.reader().get_database_backend(), sql);
    let rows = database.reader().query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap()))
        .collect()
}

/// What `fragua demo` left: a project on which the whole job was done once.
pub(crate) struct Demo {
    pub(crate) folder: TempDir,
    pub(crate) summary: Value,
}

impl Demo {
    pub(crate) fn project(&self) -> &Path {
        self.folder.path()
    }
}

/// Runs `fragua demo --exit --json` once for all tests of this binary; each test works on a copy of its project.
pub(crate) fn demo() -> Demo {
    static ONCE: LazyLock<Mutex<Option<(TempDir, Value)>>> = LazyLock::new(|| Mutex::new(None));
    let mut once = ONCE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (original, summary) = once.get_or_insert_with(|| {
        let folder = tempfile::tempdir().unwrap();
        let output = fragua()
            .args(["demo", "--exit", "--json", "--ports", "auto", "--project"])
            .arg(folder.path().join("project"))
            .output()
            .unwrap();
        let summary = succeed(&output);
        (folder, summary)
    });
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(original.path().join("project/."))
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(copied.success());
    Demo {
        folder,
        summary: summary.clone(),
    }
}

/// Returns the one JSON object that a command printed.
pub(crate) fn succeed(output: &Output) -> Value {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{}\nstdout: {out}\nstderr: {err}",
        output.status
    );
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}\nstdout: {out}\nstderr: {err}"))
}

/// Runs a script of `e2e/clients` with the Python that has the clients, and returns what it printed.
pub(crate) fn python(script: &str, arguments: &[&str]) -> Value {
    let interpreter = std::env::var_os("FRAGUA_TEST_PYTHON")
        .expect("FRAGUA_TEST_PYTHON names no interpreter; `cargo xtask test` makes one and sets it");
    let output = Command::new(interpreter)
        .arg(repository().join("e2e/clients").join(script))
        .args(arguments)
        .env("GIT_PYTHON_REFRESH", "quiet")
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .output()
        .unwrap();
    succeed(&output)
}

/// The row of the readme, which the demo asks for too.
pub(crate) fn example_row() -> Value {
    serde_json::json!({
        "Elevation": 2596, "Aspect": 51, "Slope": 3,
        "Horizontal_Distance_To_Hydrology": 258, "Vertical_Distance_To_Hydrology": 0,
        "Horizontal_Distance_To_Roadways": 510,
        "Hillshade_9am": 221, "Hillshade_Noon": 232, "Hillshade_3pm": 148,
        "Horizontal_Distance_To_Fire_Points": 6279,
        "Wilderness_Area": "Rawah", "Soil_Type": "C7745",
    })
}
