//! Names that Airflow, MLflow, MinIO and the AWS clients use, so that an existing `.env` or compose file keeps working.
//!
//! A name that is understood and cannot be honoured is a problem or a notice, never silence.

use std::fmt;

use toml::Value;
use url::Url;

use super::environment::{Translated, Variable, Variables};
use super::error::Problem;
use super::layer::{Entry, Origin};

/// Something a person should know about a foreign name that has no or not its full effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) origin: Origin,
    pub(crate) text: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.origin, self.text)
    }
}

/// What a foreign value means here: keys with values and what to tell, or why it cannot be taken.
type Meaning = Result<Understood, String>;

#[derive(Default)]
struct Understood {
    values: Vec<(&'static str, String)>,
    notice: Option<&'static str>,
}

impl Understood {
    fn one(key: &'static str, value: &str) -> Self {
        Self {
            values: vec![(key, value.to_owned())],
            notice: None,
        }
    }
}

/// How a foreign name is understood.
#[derive(Clone, Copy)]
enum Rule {
    /// The value is the value of our key.
    Key(&'static str),
    /// The value is translated; the first key names the setting in a message.
    Translate(&'static str, fn(&str) -> Meaning),
    /// The value has no effect here; returns what to tell about it, `None` where nothing is lost.
    Tell(fn(&str) -> Option<&'static str>),
}

/// Every foreign name with a fixed spelling. Where two set the same key, the one that stands first counts.
const NAMES: &[(&str, Rule)] = &[
    (
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        Rule::Key("orchestrator.database_url"),
    ),
    (
        "AIRFLOW__CORE__SQL_ALCHEMY_CONN",
        Rule::Key("orchestrator.database_url"),
    ),
    (
        "AIRFLOW__CORE__EXECUTOR",
        Rule::Translate("orchestrator.executor", executor),
    ),
    ("AIRFLOW__CORE__FERNET_KEY", Rule::Key("orchestrator.secret_key")),
    (
        "AIRFLOW__CORE__PARALLELISM",
        Rule::Key("orchestrator.parallelism"),
    ),
    (
        "AIRFLOW__CORE__DAGS_FOLDER",
        Rule::Key("orchestrator.dags_folder"),
    ),
    (
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
        Rule::Key("orchestrator.logs_folder"),
    ),
    (
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION",
        Rule::Key("orchestrator.dags_are_paused_at_creation"),
    ),
    ("AIRFLOW__API__PORT", Rule::Key("orchestrator.port")),
    (
        "AIRFLOW__WEBSERVER__WEB_SERVER_PORT",
        Rule::Key("orchestrator.port"),
    ),
    ("AIRFLOW__CELERY__WORKER_CONCURRENCY", Rule::Key("worker.slots")),
    ("AIRFLOW__CELERY__BROKER_URL", Rule::Tell(broker)),
    ("AIRFLOW__CELERY__RESULT_BACKEND", Rule::Tell(result_backend)),
    ("AIRFLOW__CORE__LOAD_EXAMPLES", Rule::Tell(load_examples)),
    ("RUST_LOG", Rule::Key("log.filter")),
    (
        "MLFLOW_TRACKING_URI",
        Rule::Translate("tracking.uri", tracking_uri),
    ),
    (
        "MLFLOW_BACKEND_STORE_URI",
        Rule::Translate("tracking.database_url", backend_store),
    ),
    (
        "MLFLOW_ARTIFACTS_DESTINATION",
        Rule::Translate("tracking.artifact_bucket", artifact_root),
    ),
    (
        "MLFLOW_DEFAULT_ARTIFACT_ROOT",
        Rule::Translate("tracking.artifact_bucket", artifact_root),
    ),
    (
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
        Rule::Key("tracking.secret_key"),
    ),
    (
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES",
        Rule::Key("webhooks.allowed_schemes"),
    ),
    (
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS",
        Rule::Key("webhooks.allow_private_addresses"),
    ),
    (
        "MLFLOW_WEBHOOK_REQUEST_TIMEOUT",
        Rule::Key("webhooks.timeout_seconds"),
    ),
    (
        "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES",
        Rule::Key("webhooks.max_retries"),
    ),
    (
        "MLFLOW_WEBHOOK_DELIVERY_MAX_WORKERS",
        Rule::Key("webhooks.workers"),
    ),
    ("MLFLOW_S3_ENDPOINT_URL", Rule::Key("storage.endpoint")),
    ("AWS_ENDPOINT_URL_S3", Rule::Key("storage.endpoint")),
    ("AWS_ENDPOINT_URL", Rule::Key("storage.endpoint")),
    ("AWS_REGION", Rule::Key("storage.region")),
    ("AWS_DEFAULT_REGION", Rule::Key("storage.region")),
];

/// Names of `AIRFLOW__…` and `MLFLOW_…` that tell a client how to behave: they are the clients' business.
const CLIENT_NAMES: &[&str] = &[
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_RUN_ID",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_S3_IGNORE_TLS",
];

/// Translates every foreign name in one source of variables.
pub(super) fn translate(variables: &Variables) -> Translated {
    let mut translated = Translated::default();
    // From the weakest name to the strongest, so that the stronger one stays.
    for (name, rule) in NAMES.iter().rev() {
        let Some(variable) = variables.get(*name).filter(|variable| !variable.value.is_empty()) else {
            continue;
        };
        apply(*rule, variable, &mut translated);
    }
    keys(variables, &mut translated);
    for (name, variable) in variables {
        named(name, variable, &mut translated);
    }
    unknown(variables, &mut translated);
    translated
}

fn apply(rule: Rule, variable: &Variable, translated: &mut Translated) {
    match rule {
        Rule::Key(key) => set(translated, key, variable.value.clone(), &variable.origin),
        Rule::Translate(key, meaning) => match meaning(&variable.value) {
            Ok(understood) => {
                for (key, value) in understood.values {
                    set(translated, key, value, &variable.origin);
                }
                if let Some(text) = understood.notice {
                    notice(translated, &variable.origin, text);
                }
            }
            Err(message) => translated.problems.push(Problem::BadValue {
                key: key.to_owned(),
                origin: variable.origin.clone(),
                message,
            }),
        },
        Rule::Tell(tell) => {
            if let Some(text) = tell(&variable.value) {
                notice(translated, &variable.origin, text);
            }
        }
    }
}

fn set(translated: &mut Translated, key: &str, value: String, origin: &Origin) {
    let entry = Entry {
        value: Value::String(value),
        origin: origin.clone(),
    };
    translated.layer.insert(key.to_owned(), entry);
}

fn notice(translated: &mut Translated, origin: &Origin, text: impl Into<String>) {
    translated.notices.push(Notice {
        origin: origin.clone(),
        text: text.into(),
    });
}

fn executor(value: &str) -> Meaning {
    // Airflow takes a class path as well, and a list of executors whose first is the default.
    let first = value.split(',').next().unwrap_or_default().trim();
    match first.rsplit('.').next().unwrap_or_default() {
        "LocalExecutor" => Ok(Understood::one("orchestrator.executor", "local")),
        "SequentialExecutor" => {
            let mut understood = Understood::one("orchestrator.executor", "local");
            understood
                .values
                .push(("orchestrator.parallelism", "1".to_owned()));
            Ok(understood)
        }
        "CeleryExecutor" => Ok(Understood::one("orchestrator.executor", "workers")),
        other => Err(format!(
            "the executor {other:?} is not offered; use LocalExecutor (tasks beside the scheduler) or \
             CeleryExecutor (tasks on the role `worker`)"
        )),
    }
}

fn broker(_: &str) -> Option<&'static str> {
    Some("has no effect: the orchestrator's database is the queue of the workers, no broker is needed")
}

fn result_backend(_: &str) -> Option<&'static str> {
    Some("has no effect: results are kept in the orchestrator's database")
}

fn load_examples(value: &str) -> Option<&'static str> {
    let wanted = matches!(value.trim().to_ascii_lowercase().as_str(), "true" | "t" | "1");
    wanted
        .then_some("examples are a project of their own: make one with `fragua init DIR --example covertype`")
}

fn tracking_uri(value: &str) -> Meaning {
    match Url::parse(value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            Ok(Understood::one("tracking.uri", value.trim_end_matches('/')))
        }
        _ => Err(
            "only an MLflow server at http:// or https:// can take the place of the role `tracking`; for a database \
             use MLFLOW_BACKEND_STORE_URI"
                .to_owned(),
        ),
    }
}

fn backend_store(value: &str) -> Meaning {
    let scheme = value.split(':').next().unwrap_or_default();
    let engine = scheme.split('+').next().unwrap_or_default();
    if matches!(engine, "sqlite" | "postgresql" | "postgres" | "mysql" | "mariadb") {
        return Ok(Understood::one("tracking.database_url", value));
    }
    Err("only a database can be the backend store: sqlite:, postgresql: or mysql:; leave this out and bring a folder \
         of files in with `fragua tracking import FOLDER`"
        .to_owned())
}

fn artifact_root(value: &str) -> Meaning {
    // `mlflow-artifacts:/` asks for the server's own proxy, which is what the default gives.
    if value.starts_with("mlflow-artifacts:") {
        return Ok(Understood::default());
    }
    let Some(rest) = value
        .strip_prefix("s3://")
        .filter(|rest| !rest.is_empty() && !rest.starts_with('/'))
    else {
        let local = value.strip_prefix("file://").unwrap_or(value);
        let advice = if local.contains("://") {
            String::new()
        } else {
            format!(
                "; for files in a folder unset this, then bring them over with `fragua tracking import --artifacts \
                 {local}`"
            )
        };
        return Err(format!("artifacts go to a bucket: give s3://BUCKET{advice}"));
    };
    let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
    let mut understood = Understood::one("tracking.artifact_bucket", bucket);
    if !folder.is_empty() {
        understood.notice = Some("only the bucket counts: new artifacts go to its top, not to the folder");
    }
    Ok(understood)
}

/// The two pairs of keys. A pair is taken whole: MinIO's names the keys of our own store, AWS's those of another S3.
fn keys(variables: &Variables, translated: &mut Translated) {
    const AWS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    const MINIO: [&str; 2] = ["MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"];
    let has = |name: &str| {
        variables
            .get(name)
            .is_some_and(|variable| !variable.value.is_empty())
    };
    let given = |names: [&str; 2]| names.into_iter().any(has);
    let other_s3 = translated.layer.contains_key("storage.endpoint");
    let (first, second) = if other_s3 { (AWS, MINIO) } else { (MINIO, AWS) };
    let chosen = match (given(first), given(second)) {
        (true, _) => first,
        (false, true) => second,
        (false, false) => return,
    };
    for (name, key) in chosen
        .into_iter()
        .zip(["storage.access_key_id", "storage.secret_access_key"])
    {
        if let Some(variable) = variables.get(name).filter(|variable| !variable.value.is_empty()) {
            set(translated, key, variable.value.clone(), &variable.origin);
        }
    }
    if !(given(first) && given(second)) {
        return;
    }
    let value = |name: &str| variables.get(name).map(|variable| variable.value.as_str());
    let differ = first
        .into_iter()
        .zip(second)
        .any(|(one, other)| value(one) != value(other));
    if let Some(variable) = variables.get(second[0]).filter(|_| differ) {
        let text = format!(
            "has no effect: {} and {} are given too and count first",
            first[0], first[1]
        );
        notice(translated, &variable.origin, text);
    }
}

/// `AIRFLOW_CONN_NAME` and `AIRFLOW_VAR_NAME`.
fn named(name: &str, variable: &Variable, translated: &mut Translated) {
    if let Some(id) = name.strip_prefix("AIRFLOW_VAR_").filter(|id| !id.is_empty()) {
        let key = format!("variables.{}", id.to_lowercase());
        set(translated, &key, variable.value.clone(), &variable.origin);
        return;
    }
    let Some(id) = name.strip_prefix("AIRFLOW_CONN_").filter(|id| !id.is_empty()) else {
        return;
    };
    let key = format!("connections.{}.url", id.to_lowercase());
    match connection(&variable.value) {
        Ok(url) => set(translated, &key, url, &variable.origin),
        Err(message) => translated.problems.push(Problem::BadValue {
            key,
            origin: variable.origin.clone(),
            message,
        }),
    }
}

/// Airflow's JSON form of a connection.
#[derive(serde::Deserialize)]
struct AirflowConnection {
    conn_type: String,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    login: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    schema: Option<String>,
    #[serde(default)]
    port: Option<serde_json::Value>,
    #[serde(default)]
    extra: Option<serde_json::Value>,
}

/// Returns a connection as a URL. No message repeats the value: it may hold a password.
fn connection(value: &str) -> Result<String, String> {
    if !value.trim_start().starts_with('{') {
        return match Url::parse(value) {
            Ok(_) => Ok(value.to_owned()),
            Err(error) => Err(format!("is neither a URL nor Airflow's JSON: {error}")),
        };
    }
    let parts: AirflowConnection = serde_json::from_str(value).map_err(|error| {
        format!(
            "is not Airflow's JSON of a connection (column {})",
            error.column()
        )
    })?;
    parts
        .url()
        .map_err(|error| format!("does not make a URL: {error}"))
}

impl AirflowConnection {
    fn url(&self) -> Result<String, String> {
        let scheme = match self.conn_type.as_str() {
            "postgres" => "postgresql",
            other => other,
        };
        let host = self.host.as_deref().unwrap_or_default();
        if scheme == "sqlite" {
            return Ok(format!("sqlite:///{host}"));
        }
        // Airflow lets the host of an HTTP connection carry the scheme.
        let base = if host.contains("://") {
            host.to_owned()
        } else {
            format!("{}://{host}", scheme.replace('_', "-"))
        };
        let mut url = Url::parse(&base).map_err(|error| error.to_string())?;
        let refused = |()| "a user or password needs a host".to_owned();
        if let Some(login) = self.login.as_deref().filter(|login| !login.is_empty()) {
            url.set_username(login).map_err(refused)?;
        }
        if let Some(password) = self.password.as_deref().filter(|password| !password.is_empty()) {
            url.set_password(Some(password)).map_err(refused)?;
        }
        if let Some(port) = self.port()? {
            url.set_port(Some(port)).map_err(refused)?;
        }
        if let Some(schema) = self
            .schema
            .as_deref()
            .filter(|schema| !schema.is_empty() && url.path().len() <= 1)
        {
            url.set_path(schema);
        }
        for (name, value) in self.extra()? {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            url.query_pairs_mut().append_pair(&name, &text);
        }
        Ok(url.to_string())
    }

    fn port(&self) -> Result<Option<u16>, String> {
        let text = match &self.port {
            None | Some(serde_json::Value::Null) => return Ok(None),
            Some(serde_json::Value::String(text)) if text.is_empty() => return Ok(None),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        text.parse()
            .map(Some)
            .map_err(|_| "the port is not a number up to 65535".to_owned())
    }

    /// The extra part: an object, or the text of one.
    fn extra(&self) -> Result<serde_json::Map<String, serde_json::Value>, String> {
        match &self.extra {
            None | Some(serde_json::Value::Null) => Ok(serde_json::Map::new()),
            Some(serde_json::Value::Object(map)) => Ok(map.clone()),
            Some(serde_json::Value::String(text)) if text.is_empty() => Ok(serde_json::Map::new()),
            Some(serde_json::Value::String(text)) => {
                serde_json::from_str(text).map_err(|_| "extra is not a JSON object".to_owned())
            }
            Some(_) => Err("extra is not a JSON object".to_owned()),
        }
    }
}

/// Tells once about the server settings of the old stack that nothing here reads.
fn unknown(variables: &Variables, translated: &mut Translated) {
    let is_known = |name: &str| NAMES.iter().any(|(known, _)| *known == name) || CLIENT_NAMES.contains(&name);
    let names: Vec<&str> = variables
        .keys()
        .map(String::as_str)
        .filter(|name| name.starts_with("AIRFLOW__") && !is_known(name))
        .collect();
    let Some(origin) = names
        .first()
        .and_then(|name| variables.get(*name))
        .map(|variable| variable.origin.clone())
    else {
        return;
    };
    let text = match names.as_slice() {
        [_] => "is not known here and has no effect".to_owned(),
        [_, others @ ..] => format!(
            "is not known here and has no effect, nor have {}",
            others.join(", ")
        ),
        [] => return,
    };
    notice(translated, &origin, text);
}

#[cfg(test)]
mod tests {
    use super::super::environment::from_pairs;
    use super::*;

    /// Renders what `pairs` mean: `key = value` lines, then `! notice` and `error:` lines.
    fn meaning(pairs: &[(&str, &str)]) -> Vec<String> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let translated = translate(&from_pairs(pairs));
        let values = translated
            .layer
            .iter()
            .map(|(key, entry)| format!("{key} = {}", entry.value.as_str().unwrap_or_default()));
        let notices = translated.notices.iter().map(|notice| format!("! {notice}"));
        let problems = translated
            .problems
            .iter()
            .map(|problem| format!("error: {problem}"));
        values.chain(notices).chain(problems).collect()
    }

    #[track_caller]
    fn check(pairs: &[(&str, &str)], expected: &[&str]) {
        assert_eq!(meaning(pairs), expected);
    }

    #[track_caller]
    fn check_starts(pairs: &[(&str, &str)], expected: &str) {
        let meaning = meaning(pairs);
        assert_eq!(meaning.len(), 1, "{meaning:?}");
        assert!(meaning[0].starts_with(expected), "{meaning:?}");
    }

    #[test]
    fn airflow_database() {
        check(
            &[("AIRFLOW__CORE__SQL_ALCHEMY_CONN", "sqlite:////old.db")],
            &["orchestrator.database_url = sqlite:////old.db"],
        );
        check(
            &[
                ("AIRFLOW__CORE__SQL_ALCHEMY_CONN", "sqlite:////old.db"),
                (
                    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
                    "postgresql+psycopg2://a:b@db/airflow",
                ),
            ],
            &["orchestrator.database_url = postgresql+psycopg2://a:b@db/airflow"],
        );
    }

    #[test]
    fn airflow_executor() {
        let check_one =
            |value: &str, expected: &[&str]| check(&[("AIRFLOW__CORE__EXECUTOR", value)], expected);
        check_one("LocalExecutor", &["orchestrator.executor = local"]);
        check_one("CeleryExecutor", &["orchestrator.executor = workers"]);
        check_one(
            "airflow.executors.local_executor.LocalExecutor",
            &["orchestrator.executor = local"],
        );
        check_one(
            "SequentialExecutor",
            &["orchestrator.executor = local", "orchestrator.parallelism = 1"],
        );
        check_starts(
            &[("AIRFLOW__CORE__EXECUTOR", "KubernetesExecutor")],
            "error: orchestrator.executor (environment variable AIRFLOW__CORE__EXECUTOR): the executor \
             \"KubernetesExecutor\" is not offered",
        );
    }

    #[test]
    fn airflow_names_that_set_a_key() {
        check(
            &[("AIRFLOW__CORE__PARALLELISM", "8")],
            &["orchestrator.parallelism = 8"],
        );
        check(
            &[("AIRFLOW__CORE__FERNET_KEY", "k=")],
            &["orchestrator.secret_key = k="],
        );
        check(
            &[("AIRFLOW__CORE__DAGS_FOLDER", "/dags")],
            &["orchestrator.dags_folder = /dags"],
        );
        check(
            &[("AIRFLOW__LOGGING__BASE_LOG_FOLDER", "/logs")],
            &["orchestrator.logs_folder = /logs"],
        );
        check(
            &[("AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION", "False")],
            &["orchestrator.dags_are_paused_at_creation = False"],
        );
        check(
            &[("AIRFLOW__WEBSERVER__WEB_SERVER_PORT", "81")],
            &["orchestrator.port = 81"],
        );
        check(&[("AIRFLOW__API__PORT", "82")], &["orchestrator.port = 82"]);
        check(
            &[("AIRFLOW__CELERY__WORKER_CONCURRENCY", "4")],
            &["worker.slots = 4"],
        );
        check(&[("RUST_LOG", "debug")], &["log.filter = debug"]);
    }

    #[test]
    fn airflow_names_without_effect_are_told() {
        check_starts(
            &[("AIRFLOW__CELERY__BROKER_URL", "redis://:pw@redis/0")],
            "! environment variable AIRFLOW__CELERY__BROKER_URL: has no effect",
        );
        check_starts(
            &[("AIRFLOW__CELERY__RESULT_BACKEND", "db+postgresql://a:b@c/d")],
            "! environment variable AIRFLOW__CELERY__RESULT_BACKEND: has no effect",
        );
        check_starts(
            &[("AIRFLOW__CORE__LOAD_EXAMPLES", "true")],
            "! environment variable AIRFLOW__CORE__LOAD_EXAMPLES: examples are a project",
        );
        check(&[("AIRFLOW__CORE__LOAD_EXAMPLES", "false")], &[]);
        check(
            &[
                ("AIRFLOW__CORE__AUTH_MANAGER", "x"),
                ("AIRFLOW__API__AUTH_BACKENDS", "y"),
            ],
            &[
                "! environment variable AIRFLOW__API__AUTH_BACKENDS: is not known here and has no effect, nor have \
               AIRFLOW__CORE__AUTH_MANAGER",
            ],
        );
    }

    #[test]
    fn airflow_variables() {
        check(
            &[("AIRFLOW_VAR_GROUP_NUMBER", "7"), ("AIRFLOW_VAR_", "x")],
            &["variables.group_number = 7"],
        );
    }

    #[test]
    fn airflow_connections() {
        let check_one =
            |value: &str, expected: &str| check(&[("AIRFLOW_CONN_WAREHOUSE", value)], &[expected]);
        check_one(
            "mysql://user:p%40ss@db:3306/data",
            "connections.warehouse.url = mysql://user:p%40ss@db:3306/data",
        );
        check_one(
            r#"{"conn_type": "postgres", "host": "db", "login": "me", "password": "a/b", "port": 5433, "schema": "data", "extra": {"sslmode": "require"}}"#,
            "connections.warehouse.url = postgresql://me:a%2Fb@db:5433/data?sslmode=require",
        );
        check_one(
            r#"{"conn_type": "http", "host": "https://data.example/api", "port": ""}"#,
            "connections.warehouse.url = https://data.example/api",
        );
        check_one(
            r#"{"conn_type": "http", "host": "data", "extra": "{\"a\": 1}"}"#,
            "connections.warehouse.url = http://data/?a=1",
        );
        check_one(
            "not a url",
            "error: connections.warehouse.url (environment variable AIRFLOW_CONN_WAREHOUSE): is neither a URL nor \
             Airflow's JSON: relative URL without a base",
        );
    }

    #[test]
    fn a_broken_connection_does_not_show_its_password() {
        let text = meaning(&[(
            "AIRFLOW_CONN_A",
            r#"{"conn_type": "mysql", "password": "hunter2", "port": "x1"}"#,
        )]);
        assert!(text[0].starts_with("error:"), "{text:?}");
        assert!(!text[0].contains("hunter2"), "{text:?}");
        let text = meaning(&[("AIRFLOW_CONN_A", r#"{"password": "hunter2""#)]);
        assert!(!text[0].contains("hunter2"), "{text:?}");
    }

    #[test]
    fn mlflow_server() {
        check(
            &[("MLFLOW_TRACKING_URI", "http://mlflow:5000/")],
            &["tracking.uri = http://mlflow:5000"],
        );
        check_starts(
            &[("MLFLOW_TRACKING_URI", "databricks")],
            "error: tracking.uri (environment variable MLFLOW_TRACKING_URI): only an MLflow server at http://",
        );
    }

    #[test]
    fn mlflow_stores() {
        check(
            &[("MLFLOW_BACKEND_STORE_URI", "mysql+pymysql://a:b@db/mlflow")],
            &["tracking.database_url = mysql+pymysql://a:b@db/mlflow"],
        );
        check_starts(
            &[("MLFLOW_BACKEND_STORE_URI", "./mlruns")],
            "error: tracking.database_url (environment variable MLFLOW_BACKEND_STORE_URI): only a database can be the \
             backend store: sqlite:, postgresql: or mysql:; leave this out and bring a folder of files in with `fragua \
             tracking import",
        );
        check(
            &[("MLFLOW_DEFAULT_ARTIFACT_ROOT", "s3://mlflows3/")],
            &["tracking.artifact_bucket = mlflows3"],
        );
        check(
            &[
                ("MLFLOW_DEFAULT_ARTIFACT_ROOT", "mlflow-artifacts:/"),
                ("MLFLOW_ARTIFACTS_DESTINATION", "s3://models/artifacts"),
            ],
            &[
                "tracking.artifact_bucket = models",
                "! environment variable MLFLOW_ARTIFACTS_DESTINATION: only the bucket counts: new artifacts go to its \
                 top, not to the folder",
            ],
        );
        check_starts(
            &[("MLFLOW_DEFAULT_ARTIFACT_ROOT", "/mlartifacts")],
            "error: tracking.artifact_bucket (environment variable MLFLOW_DEFAULT_ARTIFACT_ROOT): artifacts go to a bucket",
        );
    }

    #[test]
    fn a_folder_of_artifacts_is_refused_with_the_command_that_brings_it_over() {
        let refused = "error: tracking.artifact_bucket (environment variable MLFLOW_ARTIFACTS_DESTINATION): artifacts go \
                       to a bucket: give s3://BUCKET";
        for (value, advice) in [
            ("/srv/mlartifacts", "/srv/mlartifacts"),
            ("./mlartifacts", "./mlartifacts"),
            ("file:///srv/mlartifacts", "/srv/mlartifacts"),
        ] {
            let expected = format!(
                "{refused}; for files in a folder unset this, then bring them over with `fragua tracking import \
                 --artifacts {advice}`"
            );
            check(&[("MLFLOW_ARTIFACTS_DESTINATION", value)], &[&expected]);
        }
        check(&[("MLFLOW_ARTIFACTS_DESTINATION", "gs://models")], &[refused]);
    }

    #[test]
    fn mlflow_webhooks() {
        check(
            &[
                ("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", "k="),
                ("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https"),
                ("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true"),
                ("MLFLOW_WEBHOOK_REQUEST_TIMEOUT", "5"),
                ("MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES", "0"),
                ("MLFLOW_WEBHOOK_DELIVERY_MAX_WORKERS", "2"),
            ],
            &[
                "tracking.secret_key = k=",
                "webhooks.allow_private_addresses = true",
                "webhooks.allowed_schemes = http,https",
                "webhooks.max_retries = 0",
                "webhooks.timeout_seconds = 5",
                "webhooks.workers = 2",
            ],
        );
    }

    #[test]
    fn s3_endpoint() {
        check(
            &[("AWS_ENDPOINT_URL", "http://c")],
            &["storage.endpoint = http://c"],
        );
        check(
            &[
                ("AWS_ENDPOINT_URL", "http://c"),
                ("AWS_ENDPOINT_URL_S3", "http://b"),
            ],
            &["storage.endpoint = http://b"],
        );
        check(
            &[
                ("AWS_ENDPOINT_URL_S3", "http://b"),
                ("MLFLOW_S3_ENDPOINT_URL", "http://a"),
            ],
            &["storage.endpoint = http://a"],
        );
        check(
            &[("AWS_DEFAULT_REGION", "eu-west-1")],
            &["storage.region = eu-west-1"],
        );
        check(
            &[("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_REGION", "eu-south-2")],
            &["storage.region = eu-south-2"],
        );
    }

    #[test]
    fn s3_keys() {
        let aws = [
            ("AWS_ACCESS_KEY_ID", "aws"),
            ("AWS_SECRET_ACCESS_KEY", "aws-secret"),
        ];
        let minio = [
            ("MINIO_ROOT_USER", "minio"),
            ("MINIO_ROOT_PASSWORD", "minio-secret"),
        ];
        let aws_values = [
            "storage.access_key_id = aws",
            "storage.secret_access_key = aws-secret",
        ];
        let minio_values = [
            "storage.access_key_id = minio",
            "storage.secret_access_key = minio-secret",
        ];
        check(&aws, &aws_values);
        check(&minio, &minio_values);
        check(
            &[aws, minio].concat(),
            &[
                minio_values[0],
                minio_values[1],
                "! environment variable AWS_ACCESS_KEY_ID: has no effect: MINIO_ROOT_USER and MINIO_ROOT_PASSWORD \
                 are given too and count first",
            ],
        );
        let endpoint = [("MLFLOW_S3_ENDPOINT_URL", "http://minio:9000")];
        let with_endpoint = meaning(&[&aws[..], &minio[..], &endpoint[..]].concat());
        for value in aws_values {
            assert!(
                with_endpoint.iter().any(|line| line == value),
                "{with_endpoint:?}"
            );
        }
    }

    #[test]
    fn every_fixed_name_has_a_key_that_exists() {
        let schema = super::super::schema::Schema::builtin();
        for (name, rule) in NAMES {
            if let Rule::Key(key) | Rule::Translate(key, _) = rule {
                assert!(schema.knows(key), "{name} sets {key}");
            }
        }
    }
}
