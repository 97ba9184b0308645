//! The servers that answer predictions, and the models that they answer with.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::bench::client::Client;
use crate::bench::process::{self, Running, free_ports, output};
use crate::test::project_folder;

/// What both sides learn from: about as many rows as the old stack had collected when it trained.
pub(super) const TRAINING_ROWS: usize = 15_000;
pub(super) const TARGET: &str = "Cover_Type";
/// Under which name a model is registered, and the alias of the version that answers.
pub(super) const MODEL: &str = "forest";
pub(super) const ALIAS: &str = "champion";
/// A server that has just answered may still be busy with what was asked before.
const LOOK_WHETHER_IDLE: Duration = Duration::from_millis(300);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Fragua with the ONNX file of the peer's pipeline.
    Onnx,
    /// Fragua with a forest that it trained itself on the same rows.
    Own,
    /// FastAPI with the pickle of that pipeline.
    Fastapi,
    /// A handler without a model.
    Bare,
}

/// Where everything is that the servers need.
pub(super) struct Place {
    pub(super) program: PathBuf,
    pub(super) python: PathBuf,
    pub(super) bare: Option<PathBuf>,
    pub(super) folder: PathBuf,
    /// The body of a request for one row.
    pub(super) record: String,
}

/// A server that answers.
pub(super) struct Server {
    pub(super) running: Running,
    pub(super) client: Client,
    /// Where `/predict` is.
    pub(super) address: String,
    /// Where the registry is; Fragua's alone.
    pub(super) registry: Option<String>,
    pub(super) start_seconds: f64,
    pub(super) start_cpu_seconds: f64,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Onnx => "Fragua, ONNX",
            Self::Own => "Fragua, own forest",
            Self::Fastapi => "FastAPI",
            Self::Bare => "empty handler",
        }
    }
}

impl Place {
    /// Trains the models and registers them, each in a project of its own.
    pub(super) fn make(
        program: PathBuf,
        python: PathBuf,
        bare: Option<PathBuf>,
        folder: PathBuf,
    ) -> Result<Self> {
        let mut place = Self {
            program,
            python,
            bare,
            folder,
            record: String::new(),
        };
        place.train()?;
        place.register(Side::Onnx, "onnx")?;
        place.register(Side::Own, "own")?;
        fs::write(place.folder.join("app.py"), include_str!("app.py"))?;
        let records = fs::read_to_string(place.records())?;
        let record = records.lines().next().context("there are no rows to ask for")?;
        place.record = record.to_owned();
        Ok(place)
    }

    fn train(&self) -> Result<()> {
        eprintln!("Training two forests with scikit-learn, writing them as ONNX …");
        let mut make = self.models("make");
        make.arg(project_folder().join("examples/covertype/data/covertype-sample.csv.gz"))
            .args([TARGET, &TRAINING_ROWS.to_string()])
            .arg(&self.folder);
        let told: Value = serde_json::from_str(output(&mut make)?.trim())?;
        println!(
            "A forest of 100 trees with {} nodes, learned from {TRAINING_ROWS} rows.",
            told["nodes"]
        );
        eprintln!("Training a forest with Fragua …");
        // The peer learns from every row; here some have to be held out.
        let learn = json!({
            "split": { "test_size": 0.01 },
            "candidates": [{ "model": "random_forest", "n_estimators": 100 }],
        });
        let config = self.folder.join("forest.yaml");
        fs::write(&config, learn.to_string())?;
        let mut fit = Command::new(&self.program);
        fit.args(["learn", "fit", "--no-card", "--target", TARGET, "--data"])
            .arg(self.folder.join("train.csv"))
            .arg("--config")
            .arg(config)
            .arg("--model")
            .arg(self.folder.join("own"));
        output(&mut fit)?;
        Ok(())
    }

    /// Registers a side's models in the project of that side.
    fn register(&self, side: Side, kind: &str) -> Result<()> {
        eprintln!("Registering the models of {} …", side.name());
        let project = self.project(side);
        fs::create_dir_all(&project)?;
        let settings = format!("[serving]\nmodel = \"{MODEL}\"\nalias = \"{ALIAS}\"\n");
        fs::write(project.join("fragua.toml"), settings)?;
        let mut server = self.start_fragua(side, "tracking", |addresses| {
            let registry = addresses["tracking"].as_str()?;
            Client::new(registry).get_text("/health").ok()?;
            Some(registry.to_owned())
        })?;
        let mut register = self.models("register");
        register
            .arg(&self.folder)
            .args([&server.address, MODEL, ALIAS, kind]);
        output(&mut register)?;
        server.running.stop()
    }

    pub(super) fn records(&self) -> PathBuf {
        self.folder.join("records.jsonl")
    }

    pub(super) fn batch(&self) -> PathBuf {
        self.folder.join("batch.jsonl")
    }

    fn project(&self, side: Side) -> PathBuf {
        self.folder.join(match side {
            Side::Own => "project-own",
            _ => "project-onnx",
        })
    }

    fn models(&self, command: &str) -> Command {
        let mut python = Command::new(&self.python);
        python.args(["-c", include_str!("models.py"), command]);
        python.env("MLFLOW_DISABLE_TELEMETRY", "true");
        python
    }

    /// Starts a server and waits until it answers `POST /predict`. Fragua has those roles alone that this takes.
    pub(super) fn start(&self, side: Side) -> Result<Server> {
        match side {
            Side::Onnx | Side::Own => {
                self.start_fragua(side, "tracking,serving", |addresses| self.answering(addresses))
            }
            Side::Fastapi => {
                let [port] = free_ports()?;
                let mut command = Command::new(&self.python);
                command.args(["-m", "uvicorn", "app:app", "--port", &port.to_string()]);
                command.args(["--workers", "1", "--no-access-log", "--log-level", "error"]);
                command.args(["--loop", "uvloop", "--http", "httptools", "--app-dir"]);
                command.arg(&self.folder);
                command.env("MODEL", self.folder.join("forest.joblib"));
                self.start_at(port, "FastAPI", command)
            }
            Side::Bare => {
                let [port] = free_ports()?;
                let mut command =
                    Command::new(self.bare.as_ref().context("the empty handler was not built")?);
                command.arg(port.to_string());
                self.start_at(port, "the empty handler", command)
            }
        }
    }

    /// Starts all of `fragua up`.
    pub(super) fn start_all_roles(&self) -> Result<Server> {
        self.start_fragua(Side::Onnx, "", |addresses| self.answering(addresses))
    }

    fn answering(&self, addresses: &Value) -> Option<String> {
        let address = addresses["serving"].as_str()?;
        Client::new(address).post_text("/predict", &self.record).ok()?;
        Some(address.to_owned())
    }

    fn start_at(&self, port: u16, name: &'static str, command: Command) -> Result<Server> {
        let address = format!("http://127.0.0.1:{port}");
        let client = Client::new(&address);
        let answers = || {
            client.post_text("/predict", &self.record).ok()?;
            Some((address.clone(), None))
        };
        start(name, command, answers)
    }

    fn start_fragua(
        &self,
        side: Side,
        roles: &str,
        answers: impl Fn(&Value) -> Option<String>,
    ) -> Result<Server> {
        let project = self.project(side);
        let endpoints = project.join(".fragua/endpoints.json");
        let _ = fs::remove_file(&endpoints);
        let mut command = Command::new(&self.program);
        command.arg("up").arg("--project").arg(&project);
        command.args(["--ports", "auto"]);
        if !roles.is_empty() {
            command.args(["--roles", roles]);
        }
        start("fragua", command, || {
            let addresses: Value = serde_json::from_slice(&fs::read(&endpoints).ok()?).ok()?;
            let address = answers(&addresses)?;
            Some((address, addresses["tracking"].as_str().map(str::to_owned)))
        })
    }
}

/// Starts a server and waits until `answers` tells where it does, and where its registry is.
fn start(
    name: &'static str,
    command: Command,
    answers: impl Fn() -> Option<(String, Option<String>)>,
) -> Result<Server> {
    let (running, (address, registry), start_seconds) = process::start(name, command, answers)?;
    Ok(Server {
        start_seconds,
        start_cpu_seconds: running.usage()?.cpu_seconds,
        client: Client::new(&address),
        address,
        registry,
        running,
    })
}

impl Server {
    /// Waits until nothing is left to do of what was asked before.
    pub(super) fn settle(&self) -> Result<()> {
        let begin = Instant::now();
        let mut before = self.running.usage()?.cpu_seconds;
        while begin.elapsed() < LONGEST_REST {
            std::thread::sleep(LOOK_WHETHER_IDLE);
            let now = self.running.usage()?.cpu_seconds;
            // An idle server may use a hundredth of a second, too.
            if now - before < 0.02 {
                return Ok(());
            }
            before = now;
        }
        bail!(
            "it is still busy {} s after its last request",
            LONGEST_REST.as_secs()
        )
    }
}
