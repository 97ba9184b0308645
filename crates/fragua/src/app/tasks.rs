//! What a task's process is given: addresses and keys, so that every client in it works with no set-up.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fragua_auth::{AccessKey, Auth};
use fragua_base::{Endpoints, Secret};
use fragua_orchestrator::{Connection, Smtp, SmtpSecurity, TaskKey, TaskVariables};
use serde_json::Value;

use crate::databases::{default_url, in_project};
use crate::project::Project;
use crate::settings::{Loaded, SmtpSettings};
use crate::surface::Surface;

/// How long the token of an attempt is good for: longer than any task of tables takes.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long after a token was made it is given to attempts.
const TOKEN_SHARED_FOR: Duration = Duration::from_secs(60 * 60);

/// Name of the connection to the table of rows.
const WAREHOUSE: &str = "warehouse";

/// Name of the connection to the example's source.
const DATA_SOURCE: &str = "data_source";

/// Variables for task processes.
pub(super) struct Environment {
    plain: BTreeMap<String, String>,
    secrets: Secrets,
    source: Option<String>,
}

/// Returns what tasks are given, for roles that answer at `endpoints`.
pub(super) fn environment(
    loaded: &Loaded,
    endpoints: &Endpoints,
    keys: &AccessKey,
    auth: &Auth,
) -> Environment {
    let storage = match &loaded.settings.storage.endpoint {
        Some(endpoint) if loaded.uses_other_storage() => endpoint.expose().to_owned(),
        _ => own_storage_address(loaded, endpoints),
    };
    let mut plain = BTreeMap::from([
        ("MLFLOW_S3_ENDPOINT_URL".to_owned(), storage.clone()),
        ("AWS_ENDPOINT_URL_S3".to_owned(), storage),
        ("AWS_ACCESS_KEY_ID".to_owned(), keys.id.clone()),
        (
            "AWS_DEFAULT_REGION".to_owned(),
            loaded.storage_region().to_owned(),
        ),
    ]);
    let mut fixed = BTreeMap::from([("AWS_SECRET_ACCESS_KEY".to_owned(), keys.secret.clone())]);
    let other_tracking = loaded
        .settings
        .tracking
        .uri
        .as_ref()
        .filter(|_| loaded.uses_other_tracking());
    match other_tracking {
        // The address may carry a password.
        Some(uri) => {
            fixed.insert("MLFLOW_TRACKING_URI".to_owned(), Secret::new(uri.expose()));
        }
        None => {
            let tracking = address(loaded, Surface::Tracking, endpoints.tracking.as_deref());
            plain.insert("MLFLOW_TRACKING_URI".to_owned(), tracking);
        }
    }
    // Our token is for our own server; another one has its own ways to know its clients.
    let tokens = other_tracking.is_none().then(|| RunTokens::new(auth.clone()));
    Environment {
        plain,
        secrets: Secrets { fixed, tokens },
        source: endpoints.source.clone(),
    }
}

/// Where our own object store answers.
pub(super) fn own_storage_address(loaded: &Loaded, endpoints: &Endpoints) -> String {
    address(loaded, Surface::Storage, endpoints.storage.as_deref())
}

/// Where a role answers: as this process or another of the project says, else where settings put it.
fn address(loaded: &Loaded, surface: Surface, known: Option<&str>) -> String {
    known.map_or_else(
        || {
            let settings = &loaded.settings;
            let address = std::net::SocketAddr::new(settings.server.bind, surface.port(settings));
            format!("http://{address}")
        },
        str::to_owned,
    )
}

impl Environment {
    /// Returns all of them but the tokens that one attempt of a task is given, for clients of a person.
    pub(super) fn for_person(self) -> BTreeMap<String, String> {
        let fixed = self.secrets.fixed.into_iter();
        let fixed = fixed.map(|(name, secret)| (name, secret.expose().to_owned()));
        self.plain.into_iter().chain(fixed).collect()
    }

    /// Returns the orchestrator's settings with these variables.
    ///
    /// # Errors
    /// As [`orchestrator_settings`].
    pub(super) fn into_settings(
        self,
        loaded: &Loaded,
        project: &Project,
    ) -> anyhow::Result<fragua_orchestrator::Settings> {
        let mut settings = orchestrator_settings(loaded, project)?;
        if let Some(source) = self.source {
            add_source(&mut settings.connections, source);
        }
        settings.environment = self.plain;
        settings.task_variables = Some(Arc::new(self.secrets));
        Ok(settings)
    }
}

/// Names the example's source, where no setting gives it another address.
pub(super) fn add_source(connections: &mut BTreeMap<String, Connection>, source: String) {
    connections
        .entry(DATA_SOURCE.to_owned())
        .or_insert_with(|| Connection::new(source));
}

/// Returns the orchestrator's settings as far as they do not depend on what else runs.
///
/// # Errors
/// When the key that secrets are encrypted with cannot be read or made.
pub(super) fn orchestrator_settings(
    loaded: &Loaded,
    project: &Project,
) -> anyhow::Result<fragua_orchestrator::Settings> {
    let secret_key = loaded.settings.orchestrator.secret_key.as_ref();
    Ok(fragua_orchestrator::Settings {
        secret_key: Some(super::secret_key("orchestrator", secret_key, project)?),
        ..keyless_settings(loaded, project)
    })
}

/// As [`orchestrator_settings`], without the key that secrets are encrypted with.
pub(super) fn keyless_settings(loaded: &Loaded, project: &Project) -> fragua_orchestrator::Settings {
    let settings = &loaded.settings;
    let mut connections: BTreeMap<String, Connection> = settings
        .connections
        .iter()
        .filter_map(|(name, connection)| {
            let url = in_project(connection.url.as_ref()?.expose(), project.folder());
            Some((name.clone(), Connection::new(url)))
        })
        .collect();
    connections
        .entry(WAREHOUSE.to_owned())
        .or_insert_with(|| Connection::new(default_url(project, WAREHOUSE)));
    let variables = settings
        .variables
        .iter()
        .map(|(name, value)| (name.clone(), Value::String(value.expose().to_owned())))
        .collect();
    fragua_orchestrator::Settings {
        dags_folder: project.path(&settings.orchestrator.dags_folder),
        logs_folder: project.path(&settings.orchestrator.logs_folder),
        work_folder: project.state_folder().join("work"),
        parallelism: slots(loaded),
        queues: settings.worker.queues.clone(),
        worker_name: settings.worker.name.clone(),
        redis_url: settings.orchestrator.redis_url.clone(),
        lease: Duration::from_secs(settings.orchestrator.lease_seconds as u64),
        dags_are_paused_at_creation: settings.orchestrator.dags_are_paused_at_creation,
        python: settings.orchestrator.python.clone(),
        max_running: Some(settings.orchestrator.parallelism),
        webhooks: fragua_orchestrator::WebhookSettings {
            allowed_schemes: settings.webhooks.allowed_schemes.clone(),
            allow_private_addresses: settings.webhooks.allow_private_addresses,
            timeout: Duration::from_secs(settings.webhooks.timeout_seconds as u64),
        },
        smtp: smtp(&settings.smtp),
        connections,
        variables,
        ..fragua_orchestrator::Settings::for_project(project.folder())
    }
}

/// Returns the mail server, where one is set.
fn smtp(settings: &SmtpSettings) -> Option<Smtp> {
    Some(Smtp {
        host: settings.host.clone()?,
        port: settings.port,
        user: settings.user.clone(),
        password: settings.password.clone(),
        from: settings.from.clone(),
        security: match (settings.ssl, settings.starttls) {
            (true, _) => SmtpSecurity::Tls,
            (false, true) => SmtpSecurity::StartTls,
            (false, false) => SmtpSecurity::None,
        },
        timeout: Duration::from_secs(settings.timeout_seconds as u64),
    })
}

/// How many attempts run at once in this process.
pub(crate) fn slots(loaded: &Loaded) -> usize {
    let slots = match loaded.settings.worker.slots {
        0 => std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)),
        slots => slots,
    };
    slots.min(loaded.settings.orchestrator.parallelism)
}

/// Variables whose values are masked in logs.
struct Secrets {
    fixed: BTreeMap<String, Secret>,
    tokens: Option<RunTokens>,
}

/// The tokens of DAG runs. The attempts of a run share one, so that a short task need not wait for a token to be on the
/// disk.
struct RunTokens {
    auth: Auth,
    /// By DAG and run, with when it was made.
    made: Mutex<HashMap<(String, String), (Instant, Secret)>>,
}

impl RunTokens {
    fn new(auth: Auth) -> Self {
        Self {
            auth,
            made: Mutex::default(),
        }
    }

    /// Returns a token that is valid for most of [`TOKEN_LIFETIME`].
    async fn of(&self, key: &TaskKey) -> Result<Secret, String> {
        let run = (key.dag_id.clone(), key.run_id.clone());
        let made = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let known = made().get(&run).cloned();
        if let Some((_, token)) = known.filter(|(at, _)| at.elapsed() < TOKEN_SHARED_FOR) {
            return Ok(token);
        }
        let subject = format!("{}/{}", run.0, run.1);
        let token = self.auth.issue_task_token(&subject, TOKEN_LIFETIME).await;
        let token = token.map_err(|error| format!("no token could be made for the task: {error}"))?;
        let mut made = made();
        made.retain(|_, (at, _)| at.elapsed() < TOKEN_SHARED_FOR);
        made.insert(run, (Instant::now(), token.clone()));
        Ok(token)
    }
}

#[async_trait]
impl TaskVariables for Secrets {
    async fn variables(&self, key: &TaskKey) -> Result<BTreeMap<String, Secret>, String> {
        let mut variables = self.fixed.clone();
        if let Some(tokens) = &self.tokens {
            variables.insert("MLFLOW_TRACKING_TOKEN".to_owned(), tokens.of(key).await?);
        }
        Ok(variables)
    }
}
