//! Both servers, each over a database of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::bench::client::Client;
use crate::bench::process::{self, Running, Usage, free_ports, output, status_of};

/// A server that answers.
pub(super) struct Peer {
    pub(super) running: Running,
    pub(super) client: Client,
    pub(super) start_seconds: f64,
    pub(super) start_usage: Usage,
}

/// Makes an empty database with MLflow's own store, so that both servers open what one of them made.
pub(super) fn make_database(python: &Path, database: &Path) -> Result<()> {
    const SCRIPT: &str = "import sys\n\
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore\n\
        SqlAlchemyStore('sqlite:///' + sys.argv[1], 'mlflow-artifacts:/')\n";
    run_python(python, SCRIPT, &[database])
}

/// Copies a database that nobody has open, and gives the copy the journal that MLflow uses.
pub(super) fn copy_database(python: &Path, from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).context("cannot copy the database")?;
    const SCRIPT: &str =
        "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA journal_mode=DELETE')";
    run_python(python, SCRIPT, &[to])
}

fn run_python(python: &Path, script: &str, arguments: &[&Path]) -> Result<()> {
    let mut command = Command::new(python);
    command.args(["-c", script]).args(arguments);
    output(command.env("MLFLOW_DISABLE_TELEMETRY", "true")).map(drop)
}

pub(super) fn fragua(program: &Path, folder: &Path, database: &Path) -> Result<Peer> {
    let project = folder.join("project");
    fs::create_dir_all(&project)?;
    fs::write(project.join("fragua.toml"), "")?;
    let endpoints = project.join(".fragua/endpoints.json");
    let _ = fs::remove_file(&endpoints);
    let mut command = Command::new(program);
    command.arg("up").arg("--project").arg(&project);
    command.args(["--roles", "tracking", "--ports", "auto"]);
    command.env(
        "FRAGUA__TRACKING__DATABASE_URL",
        format!("sqlite:///{}", database.display()),
    );
    let address = || {
        let endpoints: Value = serde_json::from_slice(&fs::read(&endpoints).ok()?).ok()?;
        endpoints["tracking"].as_str().map(str::to_owned)
    };
    start("fragua", command, address)
}

pub(super) fn mlflow(python: &Path, folder: &Path, database: &Path) -> Result<Peer> {
    let [port] = free_ports()?;
    let mut command = Command::new(python);
    command.args(["-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]);
    command.args(["--port", &port.to_string(), "--backend-store-uri"]);
    command.arg(format!("sqlite:///{}", database.display()));
    command
        .arg("--artifacts-destination")
        .arg(folder.join("mlflow-artifacts"));
    // Its leanest settings.
    command.env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false");
    command.env("MLFLOW_DISABLE_TELEMETRY", "true");
    command.current_dir(folder);
    start("mlflow", command, || Some(format!("http://127.0.0.1:{port}")))
}

fn start(name: &'static str, command: Command, address: impl Fn() -> Option<String>) -> Result<Peer> {
    let healthy = || {
        let address = address()?;
        (status_of(&address, "/health").ok()? == 200).then_some(address)
    };
    let (running, address, start_seconds) = process::start(name, command, healthy)?;
    Ok(Peer {
        start_seconds,
        start_usage: running.usage()?,
        client: Client::new(&address),
        running,
    })
}
