//! The settings in types, one struct a section of `default.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use fragua_base::Secret;
use serde::{Deserialize, Deserializer, de};

/// All settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) project: ProjectSettings,
    pub(crate) server: ServerSettings,
    pub(crate) database: DatabaseSettings,
    pub(crate) auth: AuthSettings,
    pub(crate) orchestrator: OrchestratorSettings,
    pub(crate) worker: WorkerSettings,
    pub(crate) tracking: TrackingSettings,
    pub(crate) webhooks: WebhookSettings,
    pub(crate) smtp: SmtpSettings,
    pub(crate) storage: StorageSettings,
    pub(crate) console: PortSettings,
    pub(crate) serving: ServingSettings,
    pub(crate) app: PortSettings,
    pub(crate) source: SourceSettings,
    pub(crate) log: LogSettings,
    pub(crate) connections: BTreeMap<String, ConnectionSettings>,
    pub(crate) object_webhooks: BTreeMap<String, ObjectWebhookSettings>,
    pub(crate) variables: BTreeMap<String, Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectSettings {
    #[serde(deserialize_with = "optional")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerSettings {
    pub(crate) bind: IpAddr,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) roles: Vec<Role>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatabaseSettings {
    #[serde(deserialize_with = "optional")]
    pub(crate) url: Option<Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthSettings {
    #[serde(deserialize_with = "optional")]
    pub(crate) database_url: Option<Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrchestratorSettings {
    #[serde(deserialize_with = "port")]
    pub(crate) port: u16,
    #[serde(deserialize_with = "optional")]
    pub(crate) database_url: Option<Secret>,
    pub(crate) dags_folder: PathBuf,
    pub(crate) logs_folder: PathBuf,
    pub(crate) python: String,
    pub(crate) executor: Executor,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) parallelism: usize,
    pub(crate) dags_are_paused_at_creation: bool,
    #[serde(deserialize_with = "optional")]
    pub(crate) secret_key: Option<Secret>,
    #[serde(deserialize_with = "optional")]
    pub(crate) redis_url: Option<Secret>,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) lease_seconds: usize,
}

/// Where tasks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Executor {
    /// Beside the scheduler.
    Local,
    /// Where the role `worker` is started.
    Workers,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerSettings {
    #[serde(deserialize_with = "count")]
    pub(crate) slots: usize,
    pub(crate) queues: Vec<String>,
    #[serde(deserialize_with = "optional")]
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub(crate) server: Option<HttpUrl>,
    #[serde(deserialize_with = "optional")]
    pub(crate) token: Option<Secret>,
    #[serde(deserialize_with = "count")]
    pub(crate) drain_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrackingSettings {
    #[serde(deserialize_with = "port")]
    pub(crate) port: u16,
    #[serde(deserialize_with = "optional")]
    pub(crate) uri: Option<HttpUrl>,
    #[serde(deserialize_with = "optional")]
    pub(crate) database_url: Option<Secret>,
    pub(crate) artifact_bucket: String,
    pub(crate) local_artifacts: Vec<PathBuf>,
    #[serde(deserialize_with = "optional")]
    pub(crate) secret_key: Option<Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSettings {
    pub(crate) allowed_schemes: Vec<String>,
    pub(crate) allow_private_addresses: bool,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) timeout_seconds: usize,
    #[serde(deserialize_with = "count")]
    pub(crate) max_retries: u32,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) workers: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmtpSettings {
    #[serde(deserialize_with = "optional")]
    pub(crate) host: Option<String>,
    #[serde(deserialize_with = "port")]
    pub(crate) port: u16,
    #[serde(deserialize_with = "optional")]
    pub(crate) user: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub(crate) password: Option<Secret>,
    pub(crate) from: String,
    pub(crate) starttls: bool,
    pub(crate) ssl: bool,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) timeout_seconds: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StorageSettings {
    #[serde(deserialize_with = "port")]
    pub(crate) port: u16,
    #[serde(deserialize_with = "optional")]
    pub(crate) database_url: Option<Secret>,
    pub(crate) root: PathBuf,
    pub(crate) more_roots: Vec<PathBuf>,
    pub(crate) small_object_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) scrub_days: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) scrub_bytes_per_second: usize,
    #[serde(deserialize_with = "optional")]
    pub(crate) secret_key: Option<Secret>,
    pub(crate) encrypt_all: bool,
    pub(crate) domains: Vec<String>,
    #[serde(deserialize_with = "optional")]
    pub(crate) endpoint: Option<HttpUrl>,
    pub(crate) region: String,
    #[serde(deserialize_with = "optional")]
    pub(crate) access_key_id: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub(crate) secret_access_key: Option<Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectWebhookSettings {
    pub(crate) url: Secret,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) secret: Option<Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortSettings {
    #[serde(deserialize_with = "port")]
    pub(crate) port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServingSettings {
    #[serde(deserialize_with = "port")]
    pub(crate) port: u16,
    pub(crate) model: String,
    pub(crate) alias: String,
    pub(crate) require_api_key: bool,
    #[serde(deserialize_with = "optional")]
    pub(crate) database_url: Option<Secret>,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) max_models: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) max_body_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) max_rows: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) max_in_flight: usize,
    pub(crate) batch_buckets: Vec<String>,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) request_timeout_seconds: usize,
    pub(crate) log_sample: f64,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) log_requests_per_second: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) log_keep_rows: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) log_keep_days: usize,
    pub(crate) drift_threshold: f64,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) drift_minimum_rows: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) drift_check_seconds: usize,
    #[serde(deserialize_with = "optional")]
    pub(crate) drift_dag: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceSettings {
    pub(crate) enabled: bool,
    #[serde(deserialize_with = "port")]
    pub(crate) port: u16,
    #[serde(deserialize_with = "optional")]
    pub(crate) path: Option<String>,
    #[serde(deserialize_with = "count")]
    pub(crate) batch_seconds: u64,
    #[serde(deserialize_with = "count")]
    pub(crate) seed: u64,
}

/// How this program writes its own log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogSettings {
    pub(crate) format: LogFormat,
    pub(crate) filter: LogFilter,
}

/// The two forms of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectionSettings {
    #[serde(deserialize_with = "optional")]
    pub(crate) url: Option<Secret>,
}

impl LogFormat {
    /// Returns the name used in settings.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// A part of the program that can be started by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// DAGs: scheduler, pages, REST API.
    Orchestrator,
    /// Runs tasks.
    Worker,
    /// Experiments and models.
    Tracking,
    /// Objects: S3 API and console.
    Storage,
    /// The inference API.
    Serving,
    /// The form that predicts.
    App,
    /// The example's source of rows.
    Source,
}

impl Role {
    /// Every role, in the order they are listed.
    pub(crate) const ALL: [Self; 7] = [
        Self::Orchestrator,
        Self::Worker,
        Self::Tracking,
        Self::Storage,
        Self::Serving,
        Self::App,
        Self::Source,
    ];

    /// Returns the name used in settings and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Orchestrator => "orchestrator",
            Self::Worker => "worker",
            Self::Tracking => "tracking",
            Self::Storage => "storage",
            Self::Serving => "serving",
            Self::App => "app",
            Self::Source => "source",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A base address over HTTP, without a slash at the end. It may carry a password, so it does not print.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HttpUrl(url::Url);

impl HttpUrl {
    /// Returns the address without user and password, to show and to compare.
    pub(crate) fn shown(&self) -> String {
        let mut url = self.0.clone();
        // Both fail only for addresses without a host, which the parser refused.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// Returns the whole address.
    pub(crate) fn expose(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// Returns whether it names `port` on this machine's loopback.
    pub(crate) fn is_loopback_port(&self, port: u16) -> bool {
        let is_loopback = match self.0.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        is_loopback && self.0.port_or_known_default() == Some(port)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown())
    }
}

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match url::Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Self(url)),
            _ => Err("is not an address such as http://host:9000".to_owned()),
        }
    }
}

/// A filter in the language of `RUST_LOG`, known to be well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// Returns the filter that lets warnings and errors through.
    pub(crate) fn trouble() -> Self {
        Self("warn".to_owned())
    }

    /// Returns the filter's text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match tracing_subscriber::EnvFilter::try_new(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(de::Error::custom(format!(
                "{text:?} is not a log filter: {error}"
            ))),
        }
    }
}

/// An empty text is a value that is not set.
fn optional<'de, D: Deserializer<'de>, T: FromText>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    T::from_text(text).map(Some).map_err(de::Error::custom)
}

/// What an optional text becomes.
trait FromText: Sized {
    fn from_text(text: String) -> Result<Self, String>;
}

impl FromText for String {
    fn from_text(text: String) -> Result<Self, String> {
        Ok(text)
    }
}

impl FromText for Secret {
    fn from_text(text: String) -> Result<Self, String> {
        Ok(Self::new(text))
    }
}

impl FromText for HttpUrl {
    fn from_text(text: String) -> Result<Self, String> {
        text.parse()
    }
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u16::try_from(number).map_err(|_| {
        de::Error::custom(format!(
            "{number} is not a port: give a number from 0 (any free port) to 65535"
        ))
    })
}

fn count<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<T, D::Error> {
    let number = i64::deserialize(deserializer)?;
    T::try_from(number).map_err(|_| de::Error::custom(format!("{number} is below 0")))
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let number = i64::deserialize(deserializer)?;
    usize::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| de::Error::custom(format!("{number} is below 1")))
}
