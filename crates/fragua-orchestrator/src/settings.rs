//! What the one who opens the orchestrator decides.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fragua_base::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::InstanceId;
use crate::operator::Connection;

/// Names one attempt of a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// The DAG.
    pub dag_id: String,
    /// The DAG run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// The number of the instance, where the task is made several instances of.
    pub map_index: Option<u32>,
    /// The number of the attempt.
    pub attempt: u32,
}

impl TaskKey {
    /// Returns what names the task instance within its run.
    pub fn instance_id(&self) -> InstanceId {
        InstanceId {
            task_id: self.task_id.clone(),
            map_index: self.map_index,
        }
    }
}

impl fmt::Display for TaskKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}/{}/{} attempt {}",
            self.dag_id,
            self.run_id,
            self.instance_id(),
            self.attempt
        )
    }
}

/// Makes environment variables for one attempt, such as a token that lives as long as it does.
#[async_trait]
pub trait TaskVariables: Send + Sync {
    /// Returns the variables to set; their values are masked in the attempt's log. The error, in words, fails the
    /// attempt.
    async fn variables(&self, key: &TaskKey) -> Result<BTreeMap<String, Secret>, String>;
}

/// Which addresses webhooks may be posted to.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// The schemes that addresses may have.
    pub allowed_schemes: Vec<String>,
    /// Whether addresses may lead to this machine and its network.
    pub allow_private_addresses: bool,
    /// How long a receiver may take to answer.
    pub timeout: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            allowed_schemes: vec!["https".to_owned()],
            allow_private_addresses: false,
            timeout: Duration::from_secs(30),
        }
    }
}

/// The server that mails are sent through.
#[derive(Debug, Clone, PartialEq)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who sends, where it wants to know.
    pub user: Option<String>,
    /// The password of who sends.
    pub password: Option<Secret>,
    /// The address that mails come from.
    pub from: String,
    /// How the connection is kept from others.
    pub security: SmtpSecurity,
    /// How long it may take to answer.
    pub timeout: Duration,
}

/// How a connection to a mail server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Not at all.
    None,
    /// By `STARTTLS`, which must be offered.
    StartTls,
    /// By TLS from the start.
    Tls,
}

impl Smtp {
    /// Reads an address such as `smtp://user:password@host:587?from=fragua@example.com`: `smtps` is TLS from the start,
    /// `starttls=true` by `STARTTLS`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_url(url: &str) -> Result<Self, String> {
        let expected = "a mail server is written smtp://user:password@host:587?from=fragua@example.com";
        let url = url::Url::parse(url).map_err(|error| format!("{error}: {expected}"))?;
        let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let starttls = asked.get("starttls").is_some_and(|value| value == "true");
        let security = match url.scheme() {
            "smtps" => SmtpSecurity::Tls,
            "smtp" if starttls => SmtpSecurity::StartTls,
            "smtp" => SmtpSecurity::None,
            _ => return Err(expected.to_owned()),
        };
        let host = url.host_str().ok_or(expected)?.to_owned();
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
        Ok(Self {
            port: url.port().unwrap_or(match security {
                SmtpSecurity::None => 25,
                SmtpSecurity::StartTls => 587,
                SmtpSecurity::Tls => 465,
            }),
            password: url.password().map(|password| Secret::new(decoded(password))),
            from: asked
                .get("from")
                .cloned()
                .or_else(|| user.clone())
                .unwrap_or_default(),
            user,
            host,
            security,
            timeout: Duration::from_secs(30),
        })
    }
}

/// Where things are and how much is done at once.
#[derive(Clone)]
pub struct Settings {
    /// The folder of DAG files, read with its sub-folders.
    pub dags_folder: PathBuf,
    /// Where the logs of attempts are written.
    pub logs_folder: PathBuf,
    /// Where attempts leave their results and where the local worker's lock is.
    pub work_folder: PathBuf,
    /// The folder that tasks start in.
    pub project_folder: PathBuf,
    /// How many attempts the local worker runs at once.
    pub parallelism: usize,
    /// Whether a DAG seen for the first time waits to be unpaused.
    pub dags_are_paused_at_creation: bool,
    /// The program that runs one attempt when called with `exec-task`.
    pub exec_task: PathBuf,
    /// The interpreter of `python` tasks that name none.
    pub python: String,
    /// Variables for every attempt.
    pub environment: BTreeMap<String, String>,
    /// Variables made for each attempt.
    pub task_variables: Option<Arc<dyn TaskVariables>>,
    /// What variables and connections in the database are encrypted with: 32 bytes in URL-safe base64. Of several, with
    /// commas between them, the first encrypts, and each decrypts.
    pub secret_key: Option<Secret>,
    /// What tasks may connect to, by name.
    pub connections: BTreeMap<String, Connection>,
    /// What templates call `var.value.NAME`.
    pub variables: BTreeMap<String, Value>,
    /// How long a lease lasts without a heartbeat; heartbeats come eight times as often.
    pub lease: Duration,
    /// How long an attempt that is told to stop may take before it is killed.
    pub stop_grace: Duration,
    /// How long a worker that is told to end waits for its attempts before it stops them and gives them back.
    pub drain_grace: Duration,
    /// What the worker is called; the host when nothing is said.
    pub worker_name: Option<String>,
    /// How many attempts in a row may be lost with their worker before the task fails.
    pub lost_attempts: u32,
    /// How long a task may be queued while no worker listens to its queue. It is queued again twice, then fails.
    pub task_queued_timeout: Duration,
    /// How many tasks may run at once over all workers; no limit when absent.
    pub max_running: Option<usize>,
    /// Which addresses callbacks may post to.
    pub webhooks: WebhookSettings,
    /// What callbacks send mails through, where the connection `smtp_default` does not say it.
    pub smtp: Option<Smtp>,
    /// The queues that the local worker listens to; all when empty.
    pub queues: Vec<String>,
    /// A Redis that carries word of new work to other processes of the same database. Without one they look by themselves.
    pub redis_url: Option<Secret>,
    /// The most bytes of one value that a task hands on.
    pub max_xcom_bytes: u64,
    /// Where the log of an attempt is cut.
    pub max_log_bytes: u64,
}

impl Settings {
    /// Returns the settings of a project with everything in its place: `dags/` in the folder, the rest below
    /// `.fragua/`, 4 attempts at once, DAGs paused until they are unpaused, the running program for `exec-task`.
    pub fn for_project(project_folder: impl Into<PathBuf>) -> Self {
        let project_folder = project_folder.into();
        let state_folder = project_folder.join(".fragua");
        Self {
            dags_folder: project_folder.join("dags"),
            logs_folder: state_folder.join("logs"),
            work_folder: state_folder.join("work"),
            project_folder,
            parallelism: 4,
            dags_are_paused_at_creation: true,
            exec_task: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("fragua")),
            python: "python3".to_owned(),
            environment: BTreeMap::new(),
            task_variables: None,
            secret_key: None,
            connections: BTreeMap::new(),
            variables: BTreeMap::new(),
            lease: Duration::from_secs(30),
            stop_grace: Duration::from_secs(2),
            drain_grace: Duration::ZERO,
            worker_name: None,
            lost_attempts: 10,
            task_queued_timeout: Duration::from_secs(600),
            max_running: None,
            webhooks: WebhookSettings::default(),
            smtp: None,
            queues: Vec::new(),
            redis_url: None,
            max_xcom_bytes: 1024 * 1024,
            max_log_bytes: 256 * 1024 * 1024,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("dags_folder", &self.dags_folder)
            .field("logs_folder", &self.logs_folder)
            .field("work_folder", &self.work_folder)
            .field("project_folder", &self.project_folder)
            .field("parallelism", &self.parallelism)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
