//! What commands on the orchestrator work with: its façade over the database, and the bell of a running server.

use std::sync::Arc;
use std::time::Duration;

use fragua_base::SystemClock;
use fragua_orchestrator::{Error, Orchestrator};

use super::Common;
use crate::app;
use crate::http;
use crate::project::{Project, user};
use crate::settings::{Loaded, Role};

/// How long a server that does not answer may hold a command.
const RING: Duration = Duration::from_secs(2);

/// The orchestrator of a project, whether a server runs or not.
pub(crate) struct Desk {
    pub(crate) loaded: Loaded,
    pub(crate) project: Project,
    pub(crate) orchestrator: Orchestrator,
}

impl Desk {
    /// Opens the orchestrator's database.
    ///
    /// # Errors
    /// When a setting is wrong or the database cannot be opened.
    pub(crate) async fn open(common: &Common) -> anyhow::Result<Self> {
        let loaded = common.load()?;
        let project = Project::open(&loaded.project)?;
        Self::over(loaded, project).await
    }

    /// Opens it for a command that changes nothing: such a one leaves nothing in a project that was never started.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn open_to_read(common: &Common) -> anyhow::Result<Self> {
        let loaded = common.load()?;
        let project = Project::open_to_read(&loaded.project)?;
        Self::over(loaded, project).await
    }

    async fn over(loaded: Loaded, project: Project) -> anyhow::Result<Self> {
        let orchestrator = app::open_orchestrator(&loaded, &project, Arc::new(SystemClock)).await?;
        // A running orchestrator follows the folder itself.
        if !project.is_claimed(Role::Orchestrator) {
            orchestrator.read_dag_files().await?;
        }
        Ok(Self {
            loaded,
            project,
            // For the audit log.
            orchestrator: orchestrator.acting_as(&user().unwrap_or_else(|| "command line".to_owned())),
        })
    }

    /// Adds to the error about an unknown DAG that no orchestrator runs, if that is so.
    pub(crate) fn explain(&self, error: Error) -> anyhow::Error {
        let is_running = || self.project.is_claimed(Role::Orchestrator);
        match &error {
            Error::DagNotFound { .. } if !is_running() => anyhow::anyhow!(
                "{error}, and no orchestrator runs for this project: start it with `fragua up --project {}`",
                self.project.folder().display()
            ),
            _ => error.into(),
        }
    }

    /// Tells a running server that the database has news, so that it acts at once. The change is made already:
    /// a server that does not answer finds it by itself.
    pub(crate) async fn ring(&self) -> anyhow::Result<()> {
        let Some(address) = self.project.live_endpoints()?.orchestrator else {
            eprintln!(
                "note: no orchestrator runs for this project; it goes on from here after `fragua up --project {}`",
                self.project.folder().display()
            );
            return Ok(());
        };
        let rung = http::client()?
            .post(format!("{address}/api/v2/fragua/wake"))
            .timeout(RING)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        if let Err(error) = rung {
            tracing::warn!(
                "the server at {address} could not be woken: {}",
                http::reason(&error)
            );
        }
        Ok(())
    }
}
