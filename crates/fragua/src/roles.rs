//! Starts the roles of this process, tells where they answer, and ends them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use fragua_auth::Guard;
use fragua_base::{Endpoints, SystemClock};
use futures::future::try_join_all;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::project::{Claim, Project, merge};
use crate::settings::{Executor, Loaded, Origin, Role};
use crate::shutdown::{CLOSE, DRAIN, Signals};
use crate::surface::{BindError, Surface, bind};
use crate::{cli, http};

/// How long a start waits for the model, so that whoever is told that all roles answer can ask for a prediction.
const FIRST_MODEL: Duration = Duration::from_secs(3);

/// How long it waits for the DAG files, so that the first command finds its DAG.
const FIRST_READ: Duration = Duration::from_secs(3);

/// Which ports to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Ports {
    /// Those of the settings.
    #[default]
    Default,
    /// Free ones where no setting gives one; their numbers are in `.fragua/endpoints.json`.
    Auto,
    /// Those of the settings, and free ones for all if one of them is in use.
    #[value(skip)]
    DefaultOrAuto,
}

/// Returns the roles to start: `asked`, else those of the settings, else all that the settings leave on.
pub(crate) fn chosen(loaded: &Loaded, asked: &BTreeSet<Role>) -> BTreeSet<Role> {
    let settings = &loaded.settings;
    if !asked.is_empty() {
        return asked.clone();
    }
    if !settings.server.roles.is_empty() {
        return settings.server.roles.iter().copied().collect();
    }
    Role::ALL
        .into_iter()
        .filter(|role| match role {
            Role::Source => settings.source.enabled,
            Role::Tracking => !loaded.uses_other_tracking(),
            Role::Storage => !loaded.uses_other_storage(),
            _ => true,
        })
        .collect()
}

/// Roles that run in this process.
pub(crate) struct Running {
    app: App,
    endpoints: Endpoints,
    claim: Claim,
    shutdown: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
    used_other_ports: bool,
}

/// Starts `roles` and returns once every one of them answers and `endpoints.json` says where.
///
/// # Errors
/// When the project is in use, a port cannot be had, or a part cannot be opened.
pub(crate) async fn start(loaded: &Loaded, roles: &BTreeSet<Role>, ports: Ports) -> anyhow::Result<Running> {
    check_roles(loaded, roles)?;
    let project = Project::open(&loaded.project)?;
    let claim = project.claim(roles)?;
    claim.withdraw()?;
    let (listeners, used_other_ports) = listen(loaded, roles, ports)?;
    let own = addresses(&listeners)?;
    let mut endpoints = loaded.other_endpoints();
    merge(&mut endpoints, &project.live_endpoints()?);
    merge(&mut endpoints, &own);

    let shutdown = CancellationToken::new();
    // On the heap, as every part's own opening is inside it.
    let app = Box::pin(App::open(
        loaded,
        &project,
        roles,
        &endpoints,
        Arc::new(SystemClock),
    ))
    .await?;
    // Editors find the schema of DAG files beside the project; a folder that refuses it stops nothing.
    if roles.contains(&Role::Orchestrator)
        && let Err(error) = cli::write_schema(project.folder())
    {
        tracing::warn!("{error:#}");
    }
    let mut running = Running {
        app,
        endpoints: own,
        claim,
        shutdown,
        tasks: JoinSet::new(),
        used_other_ports,
    };
    running.serve(loaded, listeners, &endpoints)?;
    running.work(loaded, roles);
    running.wait_until_healthy().await?;
    running.claim.publish(&running.endpoints)?;
    Ok(running)
}

/// Refuses roles whose place another server has, and tells about tasks that nobody would run.
fn check_roles(loaded: &Loaded, roles: &BTreeSet<Role>) -> anyhow::Result<()> {
    if roles.contains(&Role::Tracking) && loaded.uses_other_tracking() {
        anyhow::bail!(
            "the role tracking was asked for, but tracking.uri ({}) names another MLflow server in its place: \
             leave one of them out",
            loaded.origin("tracking.uri")
        );
    }
    if roles.contains(&Role::Storage) && loaded.uses_other_storage() {
        anyhow::bail!(
            "the role storage was asked for, but storage.endpoint ({}) names another S3 in its place: leave one of \
             them out",
            loaded.origin("storage.endpoint")
        );
    }
    let on_workers = loaded.settings.orchestrator.executor == Executor::Workers;
    if on_workers && roles.contains(&Role::Orchestrator) && !roles.contains(&Role::Worker) {
        tracing::warn!(
            "no task runs in this process: orchestrator.executor is \"workers\" ({}) and the role worker is not \
             started here; start it with `fragua worker`, here or on other machines",
            loaded.origin("orchestrator.executor")
        );
    }
    Ok(())
}

type Listeners = BTreeMap<Surface, TcpListener>;

/// Listens on the port of each surface of `roles`, before anything is opened: nothing is half started then.
fn listen(loaded: &Loaded, roles: &BTreeSet<Role>, ports: Ports) -> anyhow::Result<(Listeners, bool)> {
    let is_free: fn(&Origin) -> bool = match ports {
        Ports::Auto => Origin::is_default,
        Ports::Default | Ports::DefaultOrAuto => |_| false,
    };
    match listen_on(loaded, roles, is_free) {
        Err(BindError::InUse { .. }) if ports == Ports::DefaultOrAuto => {
            Ok((listen_on(loaded, roles, |_| true)?, true))
        }
        listeners => Ok((listeners?, false)),
    }
}

/// Takes a free port in the place of each whose number `is_free` to differ, by where the number was given.
fn listen_on(
    loaded: &Loaded,
    roles: &BTreeSet<Role>,
    is_free: fn(&Origin) -> bool,
) -> Result<Listeners, BindError> {
    let settings = &loaded.settings;
    let mut listeners = Listeners::new();
    for surface in Surface::ALL {
        if !roles.contains(&surface.role()) {
            continue;
        }
        let setting = surface.setting();
        let origin = loaded.origin(&setting);
        let port = if is_free(origin) {
            0
        } else {
            surface.port(settings)
        };
        let address = SocketAddr::new(settings.server.bind, port);
        fragua_auth::check_bind(address).map_err(|cause| BindError::Refused {
            role: surface.role(),
            address,
            setting,
            cause: std::io::Error::other(cause),
        })?;
        listeners.insert(surface, bind(surface, address, origin)?);
    }
    Ok(listeners)
}

fn addresses(listeners: &Listeners) -> anyhow::Result<Endpoints> {
    let mut endpoints = Endpoints::default();
    for (surface, listener) in listeners {
        let address = listener.local_addr().context("a listener has no address")?;
        *surface.address_in(&mut endpoints) = Some(format!("http://{address}"));
    }
    Ok(endpoints)
}

impl Running {
    /// Returns where this process's roles answer.
    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Returns the parts.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Returns whether free ports were taken because one of the settings' was in use.
    pub(crate) fn used_other_ports(&self) -> bool {
        self.used_other_ports
    }

    fn serve(&mut self, loaded: &Loaded, listeners: Listeners, endpoints: &Endpoints) -> anyhow::Result<()> {
        let guard = Guard::new(loaded.settings.server.allowed_hosts.clone());
        let mut routes = self.app.routes(loaded, endpoints, &self.shutdown);
        for (surface, listener) in listeners {
            let routes = routes
                .remove(&surface)
                .with_context(|| format!("the role {} has no routes", surface.role()))?;
            let router = surface.dress(routes, &guard, &self.shutdown);
            let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|stream| {
                // Small answers must not wait for the next packet. A connection that is gone already
                // refuses the option, and ends by itself.
                let _ = stream.set_nodelay(true);
            });
            let server =
                axum::serve(listener, router).with_graceful_shutdown(self.shutdown.clone().cancelled_owned());
            self.tasks.spawn(async move {
                server
                    .await
                    .with_context(|| format!("the role {} stopped serving", surface.role()))
            });
        }
        Ok(())
    }

    /// Starts the loops behind the ports.
    fn work(&mut self, loaded: &Loaded, roles: &BTreeSet<Role>) {
        for job in self.app.jobs(loaded, roles, &self.shutdown) {
            self.tasks.spawn(job);
        }
    }

    async fn wait_until_healthy(&mut self) -> anyhow::Result<()> {
        let client = http::client()?;
        let mut endpoints = self.endpoints.clone();
        let checks = Surface::ALL.into_iter().filter_map(|surface| {
            let address = surface.address_in(&mut endpoints).take()?;
            let client = client.clone();
            Some(async move {
                let path = surface.health_path();
                http::expect_ok(&client, &format!("{address}{path}"))
                    .await
                    .map_err(|reason| {
                        anyhow::anyhow!("the role {} does not answer {path}: {reason}", surface.role())
                    })
            })
        });
        try_join_all(checks).await?;
        if let Some(orchestrator) = self.app.orchestrator()
            && self.endpoints.orchestrator.is_some()
        {
            let _ = tokio::time::timeout(FIRST_READ, orchestrator.settled()).await;
        }
        if let Some(serving) = self.app.serving() {
            // A model that takes long, such as one from another server, is loaded while everything else answers.
            let _ = tokio::time::timeout(FIRST_MODEL, serving.settled()).await;
        }
        Ok(())
    }

    /// Serves until a signal comes.
    ///
    /// # Errors
    /// When a part ends by itself.
    pub(crate) async fn until(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        tokio::select! {
            name = signals.next() => {
                tracing::info!("{name}: ending");
                Ok(())
            }
            ended = self.failed() => ended,
        }
    }

    /// Waits until a part ends by itself, which none should.
    ///
    /// # Errors
    /// Says which part ended and why.
    pub(crate) async fn failed(&mut self) -> anyhow::Result<()> {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(anyhow::Error::new(error).context("a part of the program broke")),
            Some(Ok(Ok(()))) => anyhow::bail!("a part of the program ended by itself"),
            // A process without ports and loops has nothing that could end.
            None => std::future::pending().await,
        }
    }

    /// Ends every part: tells them, gives requests and tasks in progress a moment, then cuts them off.
    ///
    /// # Errors
    /// When `endpoints.json` cannot be written.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let withdrawn = self.claim.withdraw();
        self.shutdown.cancel();
        let drained = tokio::time::timeout(DRAIN, async {
            while let Some(ended) = self.tasks.join_next().await {
                tell_failure(ended);
            }
        });
        if drained.await.is_err() {
            tracing::warn!("{} parts were still busy and are cut off", self.tasks.len());
            self.tasks.shutdown().await;
        }
        if tokio::time::timeout(CLOSE, self.app.close()).await.is_err() {
            tracing::warn!("a database was still busy and is left as it is; the next start puts it in order");
        }
        withdrawn
    }
}

fn tell_failure(ended: Result<anyhow::Result<()>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("{error:#}"),
        Err(error) => tracing::error!("a part ended: {error}"),
    }
}
