//! Both servers, each over a database and a folder of DAG files of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::dags::Shape;
use crate::bench::client::Client;
use crate::bench::process::{Running, Usage, free_ports, output, spawn, wait_for};

/// How many tasks run at once, on both sides.
pub(super) const PARALLELISM: usize = 4;
/// How often Airflow is asked whether it is healthy: each answer costs it some.
const ASK_AIRFLOW_EVERY: Duration = Duration::from_millis(50);

/// Where a side is installed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side<'a> {
    /// The program.
    Fragua(&'a Path),
    /// The interpreter of its environment.
    Airflow(&'a Path),
}

impl Side<'_> {
    pub(super) fn is_airflow(self) -> bool {
        matches!(self, Self::Airflow(_))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fragua(_) => "fragua",
            Self::Airflow(_) => "airflow",
        }
    }

    fn program(self) -> PathBuf {
        let (Self::Fragua(program) | Self::Airflow(program)) = self;
        program.to_owned()
    }
}

/// A side's folder, with its database and DAG files, whether it runs or not.
pub(super) struct Place<'a> {
    pub(super) side: Side<'a>,
    pub(super) folder: PathBuf,
    port: u16,
}

/// A server that answers.
pub(super) struct Peer {
    pub(super) processes: Vec<Running>,
    pub(super) client: Client,
    pub(super) start_seconds: f64,
    pub(super) start_usage: Usage,
}

impl<'a> Place<'a> {
    /// Makes the folder and an empty database in it.
    pub(super) fn make(side: Side<'a>, folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(folder.join("dags"))?;
        let [port] = free_ports()?;
        let place = Self { side, folder, port };
        match side {
            Side::Fragua(_) => fs::write(place.folder.join("fragua.toml"), "")?,
            Side::Airflow(_) => drop(output(&mut place.airflow(&["db", "migrate"]))?),
        }
        Ok(place)
    }

    pub(super) fn write(&self, shape: &Shape) -> Result<()> {
        shape.write(&self.folder.join("dags"), self.side.is_airflow())
    }

    pub(super) fn database(&self) -> PathBuf {
        match self.side {
            Side::Fragua(_) => self.folder.join("orchestrator.db"),
            Side::Airflow(_) => self.folder.join("airflow.db"),
        }
    }

    /// Starts what is needed to run tasks, and waits until the scheduler says that it is healthy.
    pub(super) fn start(&self) -> Result<Peer> {
        let commands = match self.side {
            Side::Fragua(_) => vec![self.fragua("orchestrator,worker", "local")],
            Side::Airflow(_) => ["api-server", "scheduler", "dag-processor"]
                .map(|part| self.airflow(&[part]))
                .into(),
        };
        self.start_with(commands)
    }

    /// Starts Fragua's scheduler and worker as two processes, the worker last.
    pub(super) fn start_apart(&self) -> Result<Peer> {
        let commands = ["orchestrator", "worker"].map(|role| self.fragua(role, "workers"));
        self.start_with(commands.into())
    }

    fn start_with(&self, commands: Vec<Command>) -> Result<Peer> {
        let _ = fs::remove_file(self.endpoints());
        let begin = Instant::now();
        let mut processes = Vec::new();
        for mut command in commands {
            processes.push(spawn(self.side.name(), &mut command)?);
        }
        let healthy = || {
            let address = self.address()?;
            let health = Client::new(&address).get("/api/v2/monitor/health");
            let is_healthy = |health: &Value| {
                ["scheduler", "dag_processor"].map(|part| health[part]["status"] == "healthy") == [true, true]
            };
            if health.is_ok_and(|health| is_healthy(&health)) {
                return Some(address);
            }
            if self.side.is_airflow() {
                std::thread::sleep(ASK_AIRFLOW_EVERY);
            }
            None
        };
        let address = wait_for("healthy scheduler", begin, &mut processes[0], healthy)?;
        let start_seconds = begin.elapsed().as_secs_f64();
        Ok(Peer {
            start_seconds,
            start_usage: usage(&processes)?,
            client: Client::new(&address),
            processes,
        })
    }

    fn endpoints(&self) -> PathBuf {
        self.folder.join(".fragua/endpoints.json")
    }

    fn address(&self) -> Option<String> {
        match self.side {
            Side::Fragua(_) => {
                let endpoints: Value = serde_json::from_slice(&fs::read(self.endpoints()).ok()?).ok()?;
                endpoints["orchestrator"].as_str().map(str::to_owned)
            }
            Side::Airflow(_) => Some(format!("http://127.0.0.1:{}", self.port)),
        }
    }

    fn fragua(&self, roles: &str, executor: &str) -> Command {
        let mut command = Command::new(self.side.program());
        command.arg("up").arg("--project").arg(&self.folder);
        command.args(["--roles", roles, "--ports", "auto"]);
        let database = format!("sqlite:///{}", self.database().display());
        command
            .env("FRAGUA__ORCHESTRATOR__DATABASE_URL", database)
            .env("FRAGUA__ORCHESTRATOR__EXECUTOR", executor)
            .env("FRAGUA__ORCHESTRATOR__DAGS_ARE_PAUSED_AT_CREATION", "false")
            .env("FRAGUA__WORKER__SLOTS", PARALLELISM.to_string());
        command
    }

    /// The leanest settings: one process to answer requests and one to read files, no triggerer, no users.
    fn airflow(&self, arguments: &[&str]) -> Command {
        let python = self.side.program();
        let mut command = Command::new(&python);
        command
            .args(["-m", "airflow"])
            .args(arguments)
            .current_dir(&self.folder);
        let executions = format!("http://127.0.0.1:{}/execution/", self.port);
        // Tasks run `airflow` too.
        let path = std::env::var("PATH").unwrap_or_default();
        let bin = python.parent().unwrap_or(Path::new("")).display();
        command
            .env("PATH", format!("{bin}:{path}"))
            .env("AIRFLOW_HOME", &self.folder)
            .env("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
            .env("AIRFLOW__CORE__PARALLELISM", PARALLELISM.to_string())
            .env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
            .env("AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION", "False")
            .env("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
            .env("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", executions)
            .env("AIRFLOW__API__HOST", "127.0.0.1")
            .env("AIRFLOW__API__PORT", self.port.to_string())
            .env("AIRFLOW__API__WORKERS", "1")
            .env("AIRFLOW__API_AUTH__JWT_SECRET", "of-this-bench-alone".repeat(4))
            .env("AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES", "1")
            .env("AIRFLOW__USAGE_DATA_COLLECTION__ENABLED", "False");
        command
    }
}

impl Peer {
    pub(super) fn usage(&self) -> Result<Usage> {
        usage(&self.processes)
    }

    /// Returns the memory of all processes, each shared page counted once.
    pub(super) fn own_mebibytes(&self) -> f64 {
        self.processes.iter().map(Running::own_mebibytes).sum()
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        // In the order in which they depend on each other, the last first.
        while let Some(mut running) = self.processes.pop() {
            running.end()?;
        }
        Ok(())
    }
}

fn usage(processes: &[Running]) -> Result<Usage> {
    let mut all = Usage::default();
    for running in processes {
        let usage = running.usage()?;
        all.cpu_seconds += usage.cpu_seconds;
        all.mebibytes += usage.mebibytes;
    }
    Ok(all)
}
