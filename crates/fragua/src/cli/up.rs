//! `fragua up`: starts roles and serves until asked to end.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use super::Common;
use crate::roles::{self, Ports};
use crate::settings::{FILE_NAME, Loaded, Role};
use crate::shutdown::Signals;

/// Options of `fragua up`.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Roles to start, for example tracking,storage [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLE,…")]
    roles: Vec<Role>,
    /// Which ports to listen on: those of the settings, or free ones where no setting gives one
    #[arg(long, value_enum, default_value = "default")]
    ports: Ports,
}

impl Options {
    /// Returns the options of a worker on the project's own database.
    pub(super) fn worker() -> Self {
        Self {
            roles: vec![Role::Worker],
            ports: Ports::Default,
        }
    }
}

/// Starts the roles and waits.
///
/// # Errors
/// When a setting is wrong or a role cannot start.
pub(crate) async fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let loaded = common.load_anywhere()?;
    if !loaded.has_file() {
        let folder = loaded.folder();
        // A server may be set up by its environment alone; it says then what it is for.
        anyhow::ensure!(
            !options.roles.is_empty() || !loaded.settings.server.roles.is_empty(),
            "{}; a server without one names its roles: `fragua up --roles tracking,storage`",
            super::no_file(&folder)
        );
        tracing::info!(
            "no {FILE_NAME} in {0}: settings are those of the environment, files go to {0}/.fragua",
            folder.display()
        );
    }
    let mut signals = Signals::catch()?;
    let roles = roles::chosen(&loaded, &options.roles.into_iter().collect::<BTreeSet<_>>());
    tell_notices(&loaded);
    tell_other_servers(&loaded);
    let mut running = tokio::select! {
        running = roles::start(&loaded, &roles, options.ports) => running?,
        name = signals.next() => {
            tracing::info!("{name} while starting: ended");
            return Ok(ExitCode::SUCCESS);
        }
    };
    for (role, address) in running.endpoints().iter() {
        tracing::info!("{role:<12} {address}");
    }
    tracing::info!(
        project = loaded.project_name(),
        duration_ms = started.elapsed().as_millis() as u64,
        "all roles answer; Ctrl-C ends"
    );
    let result = running.until(&mut signals).await;
    signals.end_at_once_on_next();
    running.stop().await?;
    result.map(|()| ExitCode::SUCCESS)
}

/// Tells about foreign names without their full effect.
pub(crate) fn tell_notices(loaded: &Loaded) {
    for notice in &loaded.notices {
        tracing::warn!("{notice}");
    }
}

/// Tells which roles are not started because a setting names another server in their place.
fn tell_other_servers(loaded: &Loaded) {
    for (role, address) in loaded.other_endpoints().iter() {
        let setting = match role {
            "tracking" => "tracking.uri",
            _ => "storage.endpoint",
        };
        let origin = loaded.origin(setting);
        tracing::info!("{role}: uses {address}, role not started ({setting} comes from: {origin})");
    }
}
