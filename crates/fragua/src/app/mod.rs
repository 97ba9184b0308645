//! The composition root: the one place that builds the parts and hands them to each other.

mod jobs;
mod routes;
pub(crate) mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use fragua_auth::{AccessKey, Auth};
use fragua_base::{Endpoints, Secret, SharedClock};
use fragua_database::Database;
use fragua_orchestrator::Orchestrator;
use fragua_serving::{ModelSource, Objects, Serving};
use fragua_storage::{BucketName, RemoteSettings, Storage};
use fragua_tracking::Tracking;
use fragua_tracking::client::MlflowClient;
use fragua_web::ServedAlias;

use crate::databases::{self, Component, Databases};
use crate::operators;
use crate::project::Project;
use crate::settings::{Loaded, ObjectWebhookSettings, Role};
use crate::source::{self, Source};

/// How often a registry that another process writes is asked for a moved alias.
const POLL_OTHER_PROCESS: Duration = Duration::from_secs(2);

/// The parts that the roles of this process need. A part that none of them needs is not opened.
pub(crate) struct App {
    clock: SharedClock,
    auth: Auth,
    storage: Option<Storage>,
    tracking: Option<Tracking>,
    orchestrator: Option<Orchestrator>,
    serving: Option<Serving>,
    /// What the serving role of the project follows, in this process or another.
    served: ServedAlias,
    source: Option<Source>,
    databases: Vec<Database>,
}

impl App {
    /// Opens the parts that `roles` need, all at the same time where they do not build on each other.
    ///
    /// # Errors
    /// Says which part cannot be opened, with the setting that decides about it.
    pub(crate) async fn open(
        loaded: &Loaded,
        project: &Project,
        roles: &BTreeSet<Role>,
        endpoints: &Endpoints,
        clock: SharedClock,
    ) -> anyhow::Result<Self> {
        let databases = Databases::new(loaded, project);
        let auth = open_auth(&databases, clock.clone()).await?;
        let keys = access_key(loaded, &auth).await?;
        let opening = Opening {
            loaded,
            project,
            databases: &databases,
            roles,
            clock: &clock,
        };
        let (models, orchestrator) = tokio::try_join!(
            opening.models(&keys),
            opening.orchestrator(tasks::environment(loaded, endpoints, &keys, &auth)),
        )?;
        let (storage, tracking, mut serving) = models;
        if loaded.settings.serving.require_api_key {
            serving = serving.map(|serving| serving.requiring_keys(auth.clone()));
        }
        let source = opening.source()?;
        Ok(Self {
            clock,
            auth,
            storage,
            tracking,
            orchestrator,
            serving,
            served: ServedAlias {
                model: loaded.settings.serving.model.clone(),
                alias: loaded.settings.serving.alias.clone(),
            },
            source,
            databases: databases.opened().await,
        })
    }

    /// Closes the databases, once nothing uses the parts any more.
    pub(crate) async fn close(self) {
        jobs::write_rest(&self.auth).await;
        databases::close(self.databases).await;
    }

    /// Returns users' keys and tokens.
    pub(crate) fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Returns the orchestrator, where this process has it.
    pub(crate) fn orchestrator(&self) -> Option<&Orchestrator> {
        self.orchestrator.as_ref()
    }

    /// Returns the inference part, where this process has it.
    pub(crate) fn serving(&self) -> Option<&Serving> {
        self.serving.as_ref()
    }
}

/// Opens the orchestrator alone, for a command that reads or changes its state beside a running server.
///
/// # Errors
/// As [`App::open`].
pub(crate) async fn open_orchestrator(
    loaded: &Loaded,
    project: &Project,
    clock: SharedClock,
) -> anyhow::Result<Orchestrator> {
    let database = Databases::new(loaded, project)
        .open(Component::Orchestrator)
        .await?;
    let settings = tasks::orchestrator_settings(loaded, project)?;
    Orchestrator::open(database, settings, operators::catalog(), clock)
        .await
        .context("the orchestrator cannot be opened")
}

/// Opens an orchestrator that keeps what it does in a folder of its own, to try a DAG out. Its tasks are given what
/// those of the project are, as far as the project is in use; the project itself is left as it is.
///
/// # Errors
/// As [`App::open`].
pub(crate) async fn open_rehearsal(
    loaded: &Loaded,
    folder: &Path,
    clock: SharedClock,
) -> anyhow::Result<Orchestrator> {
    let project = Project::found(&loaded.project)?;
    let mut settings = tasks::keyless_settings(loaded, &project).with_state_in(folder);
    settings.secret_key = Some(fragua_auth::new_secret_key());
    if project.state_folder().is_dir() {
        let kept = open_orchestrator(loaded, &project, clock.clone()).await?;
        for named in kept.connections().await? {
            settings.connections.insert(named.name, named.connection);
        }
        for variable in kept.variables().await? {
            let value = serde_json::Value::from(variable.value.expose());
            settings.variables.insert(variable.name, value);
        }
        settings.environment = client_variables(loaded, &project, clock.clone()).await?;
        if let Some(source) = project.live_endpoints()?.source {
            tasks::add_source(&mut settings.connections, source);
        }
    }
    std::fs::create_dir_all(&settings.dags_folder)?;
    let url = format!("sqlite:{}", folder.join("orchestrator.db").display());
    let database = Database::open(&url, "the database of the trial").await?;
    Orchestrator::open(database, settings, operators::catalog(), clock)
        .await
        .context("the orchestrator cannot be opened")
}

/// Returns what clients of a person need: addresses and keys.
///
/// # Errors
/// As [`App::open`].
pub(crate) async fn client_variables(
    loaded: &Loaded,
    project: &Project,
    clock: SharedClock,
) -> anyhow::Result<BTreeMap<String, String>> {
    let auth = open_auth(&Databases::new(loaded, project), clock).await?;
    // Those that settings give here are the server's only if it has the same settings, so they replace nothing.
    let keys = match gives_access_key(loaded) {
        true => given_access_key(loaded)?,
        false => access_key(loaded, &auth).await?,
    };
    let endpoints = project.live_endpoints()?;
    Ok(tasks::environment(loaded, &endpoints, &keys, &auth).for_person())
}

/// Returns the address and the region that clients of our own object store need beside a key.
///
/// # Errors
/// When what is known of the running roles cannot be read.
pub(crate) fn storage_address(
    loaded: &Loaded,
    project: &Project,
) -> anyhow::Result<[(&'static str, String); 2]> {
    let endpoint = tasks::own_storage_address(loaded, &project.live_endpoints()?);
    let region = loaded.storage_region().to_owned();
    Ok([("AWS_ENDPOINT_URL_S3", endpoint), ("AWS_DEFAULT_REGION", region)])
}

/// Opens users and keys alone.
///
/// # Errors
/// As [`App::open`].
pub(crate) async fn open_auth_alone(
    loaded: &Loaded,
    project: &Project,
    clock: SharedClock,
) -> anyhow::Result<Auth> {
    open_auth(&Databases::new(loaded, project), clock).await
}

async fn open_auth(databases: &Databases<'_>, clock: SharedClock) -> anyhow::Result<Auth> {
    Auth::open(databases.open(Component::Auth).await?, clock)
        .await
        .context("users and keys cannot be opened")
}

/// Opens the object store alone.
///
/// # Errors
/// As [`App::open`].
pub(crate) async fn open_storage(
    loaded: &Loaded,
    project: &Project,
    clock: SharedClock,
) -> anyhow::Result<Storage> {
    let databases = Databases::new(loaded, project);
    if loaded.uses_other_storage() {
        return other_storage(loaded, &given_access_key(loaded)?, clock);
    }
    own_storage(loaded, project, &databases, clock).await
}

/// Opens tracking alone, for a command that works on it beside a running server.
///
/// # Errors
/// As [`App::open`], and when the runs are kept by another server.
pub(crate) async fn open_tracking(
    loaded: &Loaded,
    project: &Project,
    clock: SharedClock,
) -> anyhow::Result<Tracking> {
    expect_own_tracking(loaded)?;
    let storage = open_storage(loaded, project, clock.clone()).await?;
    let opening = Opening {
        loaded,
        project,
        databases: &Databases::new(loaded, project),
        roles: &BTreeSet::from([Role::Tracking]),
        clock: &clock,
    };
    opening.tracking(&storage).await
}

/// Opens tracking alone to read what is there: nothing is made or changed in its database, and where there is nothing yet,
/// or no bucket, an empty one in the scratch folder is read.
///
/// # Errors
/// As [`open_tracking`].
pub(crate) async fn open_tracking_to_read(
    loaded: &Loaded,
    project: &Project,
    clock: SharedClock,
    scratch: &Path,
) -> anyhow::Result<Tracking> {
    expect_own_tracking(loaded)?;
    let opening = Opening {
        loaded,
        project,
        databases: &Databases::new(loaded, project),
        roles: &BTreeSet::from([Role::Tracking]),
        clock: &clock,
    };
    let storage = opening.storage_to_read(scratch).await?;
    let settings = opening.tracking_settings()?;
    let database = opening.databases.open(Component::Tracking).await?;
    let found = Tracking::open_to_read(database, storage.clone(), settings.clone(), clock.clone()).await;
    if let Some(tracking) = found.with_context(|| opening.cannot_open_tracking())? {
        return Ok(tracking);
    }
    let empty = scratch_database(scratch, "tracking").await?;
    Ok(Tracking::open(empty, storage, settings, clock.clone()).await?)
}

fn expect_own_tracking(loaded: &Loaded) -> anyhow::Result<()> {
    anyhow::ensure!(
        !loaded.uses_other_tracking(),
        "the runs of this project are kept by another server (tracking.uri comes from: {}): work on that one",
        loaded.origin("tracking.uri")
    );
    Ok(())
}

async fn scratch_database(scratch: &Path, name: &str) -> anyhow::Result<Database> {
    let url = fragua_database::sqlite_url(&scratch.join(format!("{name}.db")));
    Ok(Database::open(&url, "the scratch folder").await?)
}

type Models = (Option<Storage>, Option<Tracking>, Option<Serving>);

/// What opening a part needs.
struct Opening<'a> {
    loaded: &'a Loaded,
    project: &'a Project,
    databases: &'a Databases<'a>,
    roles: &'a BTreeSet<Role>,
    clock: &'a SharedClock,
}

impl Opening<'_> {
    fn any_of(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.roles.contains(role))
    }

    /// Objects, runs over them, models out of both.
    async fn models(&self, keys: &AccessKey) -> anyhow::Result<Models> {
        if !self.any_of(&[Role::Storage, Role::Tracking, Role::Serving, Role::App]) {
            return Ok((None, None, None));
        }
        let storage = self.storage(keys).await?;
        let tracking = match self.loaded.uses_other_tracking() {
            true => None,
            false => Some(self.tracking(&storage).await?),
        };
        if let Some(tracking) = tracking.as_ref().filter(|_| self.roles.contains(&Role::Tracking))
            && tracking.lacks_artifacts_of_mlflow().await?
        {
            tracing::warn!(
                "the database comes from an MLflow server and its artifacts are not in the bucket {}: bring them with \
                 `fragua tracking import --artifacts DIR`, DIR being what the server had as --artifacts-destination",
                tracking.artifact_bucket()
            );
        }
        let serving = match self.any_of(&[Role::Serving, Role::App]) {
            true => Some(self.serving(tracking.as_ref(), &storage).await?),
            false => None,
        };
        Ok((Some(storage), tracking, serving))
    }

    async fn storage(&self, keys: &AccessKey) -> anyhow::Result<Storage> {
        if self.loaded.uses_other_storage() {
            return other_storage(self.loaded, keys, self.clock.clone());
        }
        own_storage(self.loaded, self.project, self.databases, self.clock.clone()).await
    }

    /// Opens the object store as it is, or an empty one where there is none, or not the bucket of the artifacts.
    async fn storage_to_read(&self, scratch: &Path) -> anyhow::Result<Storage> {
        let (loaded, clock) = (self.loaded, self.clock);
        let found = if loaded.uses_other_storage() {
            Some(other_storage(loaded, &given_access_key(loaded)?, clock.clone())?)
        } else {
            let database = self.databases.open(Component::Storage).await?;
            match database.was_migrated("storage").await? {
                true => Some(own_storage(loaded, self.project, self.databases, clock.clone()).await?),
                false => None,
            }
        };
        let bucket = BucketName::parse(&loaded.settings.tracking.artifact_bucket)?;
        if let Some(storage) = found {
            match storage.head_bucket(&bucket).await {
                Err(fragua_storage::Error::BucketNotFound { .. }) => {}
                other => return Ok(other.map(|()| storage)?),
            }
        }
        let settings = fragua_storage::Settings::new(scratch.join("objects"));
        let database = scratch_database(scratch, "storage").await?;
        let storage = Storage::open(database, settings, clock.clone()).await?;
        storage.ensure_bucket(&bucket).await?;
        Ok(storage)
    }

    async fn tracking(&self, storage: &Storage) -> anyhow::Result<Tracking> {
        let database = self.databases.open(Component::Tracking).await?;
        let settings = self.tracking_settings()?;
        Tracking::open(database, storage.clone(), settings, self.clock.clone())
            .await
            .with_context(|| self.cannot_open_tracking())
    }

    fn cannot_open_tracking(&self) -> String {
        let setting = self.databases.setting(Component::Tracking);
        format!(
            "tracking cannot be opened (settings {setting}, tracking.artifact_bucket, tracking.secret_key)"
        )
    }

    fn tracking_settings(&self) -> anyhow::Result<fragua_tracking::Settings> {
        let (tracking, webhooks) = (&self.loaded.settings.tracking, &self.loaded.settings.webhooks);
        let secret_key = secret_key("tracking", tracking.secret_key.as_ref(), self.project)?;
        Ok(fragua_tracking::Settings {
            artifact_bucket: tracking.artifact_bucket.clone(),
            local_artifacts: tracking
                .local_artifacts
                .iter()
                .map(|folder| self.project.path(folder).into())
                .collect(),
            secret_key: Some(secret_key),
            webhooks: fragua_tracking::WebhookSettings {
                allowed_schemes: webhooks.allowed_schemes.clone(),
                allow_private_addresses: webhooks.allow_private_addresses,
                timeout: Duration::from_secs(webhooks.timeout_seconds as u64),
                max_retries: webhooks.max_retries,
                workers: webhooks.workers,
                ..fragua_tracking::WebhookSettings::default()
            },
            ..fragua_tracking::Settings::default()
        })
    }

    async fn serving(&self, tracking: Option<&Tracking>, storage: &Storage) -> anyhow::Result<Serving> {
        let loaded = self.loaded;
        let source = match (tracking, &loaded.settings.tracking.uri) {
            (Some(tracking), _) => ModelSource::Local(tracking.clone()),
            (None, Some(uri)) => ModelSource::Remote(MlflowClient::new(uri.expose(), None)?),
            (None, None) => anyhow::bail!("serving needs a registry of models: start the role tracking too"),
        };
        // Changes that another process makes are announced in that process alone.
        let tracking_is_elsewhere = !self.roles.contains(&Role::Tracking);
        let given = &loaded.settings.serving;
        let settings = fragua_serving::Settings {
            model: given.model.clone(),
            alias: given.alias.clone(),
            poll_every: tracking_is_elsewhere.then_some(POLL_OTHER_PROCESS),
            max_models: given.max_models,
            max_body_bytes: given.max_body_bytes,
            max_rows: given.max_rows,
            max_in_flight: given.max_in_flight,
            request_timeout: Duration::from_secs(given.request_timeout_seconds as u64),
            log: fragua_serving::LogSettings {
                sample: given.log_sample,
                requests_per_second: given.log_requests_per_second as f64,
                keep_rows: given.log_keep_rows as u64,
                keep: Duration::from_secs(given.log_keep_days as u64 * 24 * 60 * 60),
                drift_threshold: given.drift_threshold,
                drift_minimum_rows: given.drift_minimum_rows as u64,
                drift_every: Duration::from_secs(given.drift_check_seconds as u64),
                ..fragua_serving::LogSettings::default()
            },
            ..fragua_serving::Settings::default()
        };
        let database = self.databases.open(Component::Serving).await?;
        let opened = Serving::open_with(source, database, settings, self.clock.clone()).await;
        let serving = opened.with_context(|| {
            let origin = loaded.origin("serving.model");
            let setting = self.databases.setting(Component::Serving);
            format!("serving cannot be opened (serving.model comes from: {origin}; database: {setting})")
        })?;
        let buckets = given.batch_buckets.iter().map(|name| BucketName::parse(name));
        let buckets: Vec<BucketName> = buckets.collect::<Result<_, _>>().with_context(|| {
            format!(
                "serving.batch_buckets (from: {})",
                loaded.origin("serving.batch_buckets")
            )
        })?;
        Ok(serving.with_objects(Objects::new(storage.clone(), buckets)))
    }

    async fn orchestrator(&self, environment: tasks::Environment) -> anyhow::Result<Option<Orchestrator>> {
        let triggers =
            self.loaded.settings.serving.drift_dag.is_some() && self.roles.contains(&Role::Serving);
        if !triggers && !self.any_of(&[Role::Orchestrator, Role::Worker]) {
            return Ok(None);
        }
        let database = self.databases.open(Component::Orchestrator).await?;
        let settings = environment.into_settings(self.loaded, self.project)?;
        let orchestrator = Orchestrator::open(database, settings, operators::catalog(), self.clock.clone())
            .await
            .with_context(|| {
                let setting = self.databases.setting(Component::Orchestrator);
                format!("the orchestrator cannot be opened (setting {setting})")
            })?;
        Ok(Some(orchestrator))
    }

    fn source(&self) -> anyhow::Result<Option<Source>> {
        if !self.roles.contains(&Role::Source) {
            return Ok(None);
        }
        let settings = &self.loaded.settings.source;
        let settings = source::Settings {
            path: settings
                .path
                .as_ref()
                .map(|path| self.project.path(Path::new(path))),
            batch_seconds: settings.batch_seconds,
            seed: settings.seed,
        };
        let state_file = self.project.state_folder().join("source.json");
        let source = Source::open(settings, state_file, self.clock.clone()).with_context(|| {
            let origin = self.loaded.origin("source.path");
            format!("the source cannot be opened (source.path comes from: {origin})")
        })?;
        Ok(Some(source))
    }
}

async fn own_storage(
    loaded: &Loaded,
    project: &Project,
    databases: &Databases<'_>,
    clock: SharedClock,
) -> anyhow::Result<Storage> {
    let given = &loaded.settings.storage;
    let (webhooks, targets) = (&loaded.settings.webhooks, &loaded.settings.object_webhooks);
    let target = |(name, given): (&String, &ObjectWebhookSettings)| {
        let webhook = fragua_storage::Webhook {
            url: given.url.clone(),
            secret: given.secret.clone(),
        };
        (name.clone(), webhook)
    };
    let settings = fragua_storage::Settings {
        webhooks: fragua_storage::WebhookSettings {
            webhooks: targets.iter().map(target).collect(),
            allowed_schemes: webhooks.allowed_schemes.clone(),
            allow_private_addresses: webhooks.allow_private_addresses,
            timeout: Duration::from_secs(webhooks.timeout_seconds as u64),
            workers: webhooks.workers,
        },
        scrub_every: Duration::from_secs(given.scrub_days as u64 * 24 * 60 * 60),
        scrub_bytes_per_second: Some(given.scrub_bytes_per_second as u64),
        secret_key: Some(secret_key("storage", given.secret_key.as_ref(), project)?),
        encrypts_all: given.encrypt_all,
        small_object_bytes: given.small_object_bytes,
        more_roots: given.more_roots.iter().map(|root| project.path(root)).collect(),
        ..fragua_storage::Settings::new(project.path(&given.root))
    };
    let database = databases.open(Component::Storage).await?;
    Storage::open(database, settings, clock).await.with_context(|| {
        let origin = loaded.origin("storage.root");
        format!("the object store cannot be opened (storage.root comes from: {origin})")
    })
}

/// Returns what a part encrypts the secrets in its database with: the key of its setting, else one that is made at the
/// first start.
fn secret_key(part: &str, setting: Option<&Secret>, project: &Project) -> anyhow::Result<Secret> {
    let file = format!("{part}.key");
    let key = match setting {
        Some(key) => key.clone(),
        None => project.secret(&file, fragua_auth::new_secret_key)?,
    };
    anyhow::ensure!(
        fragua_auth::Fernet::new(&key).is_some(),
        "{part}.secret_key, or .fragua/{file} where it is empty, must be 32 bytes in URL-safe base64"
    );
    Ok(key)
}

fn other_storage(loaded: &Loaded, keys: &AccessKey, clock: SharedClock) -> anyhow::Result<Storage> {
    let settings = &loaded.settings.storage;
    let endpoint = settings.endpoint.as_ref().context("storage.endpoint is empty")?;
    let remote = RemoteSettings {
        endpoint: endpoint.expose().to_owned(),
        region: loaded.storage_region().to_owned(),
        access_key: keys.id.clone(),
        secret: keys.secret.clone(),
    };
    Storage::remote(remote, clock).with_context(|| {
        let origin = loaded.origin("storage.endpoint");
        format!("storage.endpoint ({origin}) cannot be used")
    })
}

/// Returns the keys of the object store: of the other one, else of our own.
async fn access_key(loaded: &Loaded, auth: &Auth) -> anyhow::Result<AccessKey> {
    if loaded.uses_other_storage() {
        return given_access_key(loaded);
    }
    let given = match gives_access_key(loaded) {
        true => Some(given_access_key(loaded)?),
        false => None,
    };
    auth.root_access_key(given)
        .await
        .context("the keys of the object store cannot be read")
}

fn gives_access_key(loaded: &Loaded) -> bool {
    let settings = &loaded.settings.storage;
    settings.access_key_id.is_some() || settings.secret_access_key.is_some()
}

fn given_access_key(loaded: &Loaded) -> anyhow::Result<AccessKey> {
    let settings = &loaded.settings.storage;
    let (Some(id), Some(secret)) = (&settings.access_key_id, &settings.secret_access_key) else {
        let (missing, given) = match settings.access_key_id {
            None => ("storage.access_key_id", "storage.secret_access_key"),
            Some(_) => ("storage.secret_access_key", "storage.access_key_id"),
        };
        let because = match loaded.origin(given) {
            origin if origin.is_default() => {
                format!(
                    "storage.endpoint ({}) names an object store that needs both keys",
                    loaded.origin("storage.endpoint")
                )
            }
            origin => format!("{given} is given ({origin}) and goes with it"),
        };
        anyhow::bail!("{missing} is not set: {because}");
    };
    AccessKey::new(id.clone(), secret.expose()).with_context(|| {
        format!(
            "storage.access_key_id ({}) and storage.secret_access_key ({}) cannot be used",
            loaded.origin("storage.access_key_id"),
            loaded.origin("storage.secret_access_key")
        )
    })
}
