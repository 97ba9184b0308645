//! Starts and ends the program.

pub(crate) mod proxy;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// Longer than anything here takes on a busy machine; only a hanging test meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the program says once every role answers.
pub(crate) const READY: &str = "all roles answer";

/// Returns the program with an environment that holds nothing of the one who runs the tests.
pub(crate) fn fragua(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fragua"));
    command.args(arguments).env_clear().kill_on_drop(true);
    for name in ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs the program to its end.
pub(crate) async fn run(arguments: &[&str]) -> Finished {
    finish(fragua(arguments)).await
}

/// Runs a command to its end.
pub(crate) async fn finish(mut command: Command) -> Finished {
    let output = tokio::time::timeout(PATIENCE, command.stdin(Stdio::null()).output())
        .await
        .expect("the program ends")
        .expect("the program starts");
    Finished::from(output)
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self {
            ok: output.status.success(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// A project's folder, removed at the end.
pub(crate) struct Project {
    folder: TempDir,
}

impl Project {
    /// Makes an empty project.
    pub(crate) fn empty() -> Self {
        let project = Self::without_file();
        project.write("fragua.toml", "");
        std::fs::create_dir(project.path("dags")).expect("a folder for DAGs");
        project
    }

    /// Makes a folder that is no project.
    pub(crate) fn without_file() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        Self { folder }
    }

    /// Makes a project whose one DAG is given.
    pub(crate) fn with_dag(name: &str, text: &str) -> Self {
        let project = Self::empty();
        project.write(&format!("dags/{name}.yaml"), text);
        project
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path(path), text).expect("the file can be written");
    }

    /// Returns a path in the project.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Returns the folder as an argument.
    pub(crate) fn argument(&self) -> &str {
        self.folder
            .path()
            .to_str()
            .expect("temporary folders have plain names")
    }

    /// Runs a command on the project to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Finished {
        let mut all = arguments.to_vec();
        all.extend(["--project", self.argument()]);
        run(&all).await
    }

    /// Starts all roles on free ports and waits until they answer.
    pub(crate) async fn up(&self, more: &[&str]) -> Server {
        let mut arguments = vec!["up", "--project", self.argument(), "--ports", "auto"];
        arguments.extend(more);
        Server::start(fragua(&arguments), self).await
    }

    /// Starts a run of a DAG from the command line and returns its name.
    pub(crate) async fn trigger(&self, dag: &str) -> String {
        let finished = self.run(&["dags", "trigger", dag, "--json"]).await;
        assert!(finished.ok, "{}", finished.stderr);
        let run: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        run["dag_run_id"].as_str().expect("a run has a name").to_owned()
    }

    /// Returns the addresses in `endpoints.json`.
    pub(crate) fn endpoints(&self) -> BTreeMap<String, String> {
        let bytes = std::fs::read(self.path(".fragua/endpoints.json")).expect("endpoints.json is there");
        serde_json::from_slice(&bytes).expect("endpoints.json is JSON")
    }
}

/// A running program.
pub(crate) struct Server {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    /// What it has said so far.
    pub(crate) said: Vec<String>,
    pub(crate) endpoints: BTreeMap<String, String>,
}

impl Server {
    /// Starts a command that keeps serving, and waits until its roles answer.
    pub(crate) async fn start(command: Command, project: &Project) -> Self {
        let mut server = Self::start_until(command, READY).await;
        server.endpoints = project.endpoints();
        server
    }

    /// Starts a command and waits until it says something.
    pub(crate) async fn start_until(mut command: Command, words: &str) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("standard error is piped");
        let mut server = Self {
            child,
            stderr: BufReader::new(stderr).lines(),
            said: Vec::new(),
            endpoints: BTreeMap::new(),
        };
        server.until_said(words).await;
        server
    }

    /// Waits for a line that holds `text`.
    pub(crate) async fn until_said(&mut self, text: &str) {
        let found = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = self.stderr.next_line().await.expect("UTF-8") {
                self.said.push(line);
                if self.said.last().is_some_and(|line| line.contains(text)) {
                    return true;
                }
            }
            false
        });
        let found = found.await.unwrap_or(false);
        assert!(
            found,
            "{text:?} is not in what the program said:\n{}",
            self.said.join("\n")
        );
    }

    /// Returns the address of a role.
    pub(crate) fn address(&self, role: &str) -> &str {
        self.endpoints
            .get(role)
            .unwrap_or_else(|| panic!("{role} is not in {:?}", self.endpoints))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("the program runs");
        kill(Pid::from_raw(i32::try_from(id).expect("a process id")), signal).expect("a signal can be sent");
    }

    /// Waits for the end and returns whether the status was 0, with everything that was said.
    pub(crate) async fn ended(mut self) -> (bool, String) {
        let status = tokio::time::timeout(PATIENCE, async {
            while let Ok(Some(line)) = self.stderr.next_line().await {
                self.said.push(line);
            }
            self.child.wait().await.expect("the program can be waited for")
        });
        let status = status.await.expect("the program ends");
        (status.success(), self.said.join("\n"))
    }

    /// Ends the program as a service manager does.
    pub(crate) async fn stop(self) -> (bool, String) {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }
}

/// A command that keeps writing to standard output.
pub(crate) struct Follower {
    _child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Follower {
    /// Starts the command.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("standard output is piped");
        Self {
            _child: child,
            stdout: BufReader::new(stdout).lines(),
        }
    }

    /// Waits for a line that holds `text`.
    pub(crate) async fn until_said(&mut self, text: &str) {
        let found = tokio::time::timeout(PATIENCE, async {
            while let Ok(Some(line)) = self.stdout.next_line().await {
                if line.contains(text) {
                    return true;
                }
            }
            false
        });
        assert!(found.await.unwrap_or(false), "{text:?} is never written");
    }
}

/// Returns a client that goes straight to loopback.
pub(crate) fn client() -> reqwest::Client {
    // The first test to come installs it; for the others it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("a client")
}
