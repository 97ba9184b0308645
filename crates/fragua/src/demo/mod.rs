//! `fragua demo`: the main job, end to end, on real rows.

mod progress;
mod summary;
mod watch;
mod work;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use crate::cli::{Common, write_schema};
use crate::roles::{self, Ports};
use crate::scaffold::{self, Example, Existing};
use crate::shutdown::Signals;

use progress::Progress;
use work::Work;

/// Where the demo's project is made unless a folder is named.
const FOLDER: &str = "fragua-demo";

/// Options of `fragua demo`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Ends when everything is done, instead of serving until Ctrl-C
    #[arg(long)]
    exit: bool,
    /// Prints the summary as one JSON object
    #[arg(long)]
    json: bool,
    /// Which ports to listen on: those of the settings (free ones if one of them is in use), or any free ones
    #[arg(long, value_enum, default_value = "default")]
    ports: Ports,
}

/// Does the whole job, prints the summary and keeps serving.
///
/// # Errors
/// When the project cannot be made, a role cannot start, or a run fails.
pub(crate) async fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let mut signals = Signals::catch()?;
    let progress = Progress::new(started);
    let folder = common
        .named_project()
        .map_or_else(|| PathBuf::from(FOLDER), Path::to_owned);
    prepare(&folder, &progress)?;
    let loaded = common.load_quietly(&folder)?;
    for notice in &loaded.notices {
        progress.note(&notice.to_string());
    }
    let ports = match options.ports {
        Ports::Default => Ports::DefaultOrAuto,
        other => other,
    };
    let roles = roles::chosen(&loaded, &BTreeSet::new());
    let mut running = tokio::select! {
        running = roles::start(&loaded, &roles, ports) => running?,
        _ = signals.next() => return Ok(stopped(&progress)),
    };
    if running.used_other_ports() {
        progress.note("a port of the settings is in use, so free ones were taken");
    }
    progress.done(&format!(
        "{} addresses answer",
        running.endpoints().iter().count()
    ));

    let work = Work::new(&loaded, &running, &progress)?;
    let outcome = tokio::select! {
        outcome = work.run(started) => outcome,
        failed = running.failed() => match failed {
            Err(error) => Err(error),
            Ok(()) => Ok(None),
        },
        _ = signals.next() => Ok(None),
    };
    let served = match outcome {
        Ok(None) => {
            running.stop().await?;
            return Ok(stopped(&progress));
        }
        Ok(Some(summary)) => {
            progress.finish();
            summary.print(options.json)?;
            match options.exit {
                true => Ok(()),
                false => {
                    progress.note("serving until Ctrl-C");
                    running.until(&mut signals).await
                }
            }
        }
        Err(error) => Err(error),
    };
    progress.finish();
    signals.end_at_once_on_next();
    running.stop().await?;
    served.map(|()| ExitCode::SUCCESS)
}

/// Makes the example project, or goes on with one that is there.
fn prepare(folder: &Path, progress: &Progress) -> anyhow::Result<()> {
    let is_new = !scaffold::is_project(folder);
    let holds_something = folder
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some());
    if is_new && holds_something {
        anyhow::bail!(
            "{} holds files that are no Fragua project: name a new or empty folder with --project",
            folder.display()
        );
    }
    // In a project that is there, files that are missing are put back and those changed by hand stay.
    scaffold::write(Example::Covertype, folder, Existing::Keep)?;
    write_schema(folder)?;
    let verb = if is_new { "made" } else { "goes on in" };
    progress.done(&format!("{verb} the example project {}", folder.display()));
    Ok(())
}

fn stopped(progress: &Progress) -> ExitCode {
    progress.finish();
    progress.note("stopped before the end; `fragua demo` goes on from here");
    ExitCode::FAILURE
}
