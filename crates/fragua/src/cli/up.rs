//! `fragua up`: starts roles and serves until asked to end.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use super::Common;
use crate::roles::{self, Ports};
use crate::settings::{Loaded, Role};
use crate::shutdown::Signals;

/// Options of `fragua up`.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Roles to start, for example tracking,storage [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLE,…")]
    roles: Vec<Role>,
    /// Which ports to listen on: those of the settings, or any free ones
    #[arg(long, value_enum, default_value = "default")]
    ports: Ports,
}

impl Options {
    /// Returns the options of a worker.
    pub(crate) fn worker() -> Self {
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
    let loaded = common.load()?;
    let mut signals = Signals::catch()?;
    let roles = roles::chosen(&loaded, &options.roles.into_iter().collect::<BTreeSet<_>>());
    tell_notices(&loaded);
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
