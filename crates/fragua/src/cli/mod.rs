//! The command line.

mod assets;
mod backfill;
mod dag_runs;
mod dags;
mod desk;
mod doctor;
mod init;
mod keys;
mod learn;
mod logs;
pub(crate) mod output;
mod pools;
mod rehearsal;
mod rotate;
mod schema;
mod serving_keys;
mod settings;
mod storage;
mod storage_keys;
mod tasks;
mod tracking;
mod transfer;
mod up;
mod vault;
mod worker;
mod xcom;

pub(crate) use schema::write_beside as write_schema;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::settings::{FILE_NAME, Loaded, LogFilter, LogFormat, Sources};
use crate::shutdown;
use crate::{demo, telemetry};

/// One program for the whole path from rows to predictions: DAGs, experiments, models, objects, inference, pages.
#[derive(Debug, Parser)]
#[command(name = "fragua", version, propagate_version = true, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Folder of the project [default: the folder you are in]
    #[arg(long, global = true, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Gives a setting, for example --set serving.port=9000; wins over environment and files
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
    /// How the program's own log is written to standard error
    #[arg(long, global = true, value_enum)]
    log_format: Option<LogFormat>,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, for example serving.port=9000".to_owned()),
    }
}

impl Common {
    /// Returns the project's folder.
    pub(crate) fn project(&self) -> &Path {
        self.project.as_deref().unwrap_or(Path::new("."))
    }

    /// Returns the project's folder if one was named.
    pub(crate) fn named_project(&self) -> Option<&Path> {
        self.project.as_deref()
    }

    /// Loads the settings of the project and starts the log.
    ///
    /// # Errors
    /// Names every wrong setting; refuses a folder that is no project.
    pub(crate) fn load(&self) -> anyhow::Result<Loaded> {
        let loaded = self.load_anywhere()?;
        expect_project(&loaded)?;
        Ok(loaded)
    }

    /// Loads the settings that hold in the folder, project or not, and starts the log.
    ///
    /// # Errors
    /// Names every wrong setting.
    pub(crate) fn load_anywhere(&self) -> anyhow::Result<Loaded> {
        let loaded = crate::settings::load(self.project(), &self.sources())?;
        telemetry::start(&loaded.settings.log);
        Ok(loaded)
    }

    /// Loads the settings of the project in `folder` and starts a log that tells of trouble only, unless a setting
    /// says otherwise: for a command that shows its own progress.
    ///
    /// # Errors
    /// Names every wrong setting.
    pub(crate) fn load_quietly(&self, folder: &Path) -> anyhow::Result<Loaded> {
        let loaded = crate::settings::load(folder, &self.sources())?;
        let mut log = loaded.settings.log.clone();
        if loaded.origin("log.filter").is_default() {
            log.filter = LogFilter::trouble();
        }
        telemetry::start(&log);
        Ok(loaded)
    }

    /// Gives a setting as if it stood in `--set`, unless it is given there.
    fn give(&mut self, key: &str, value: String) {
        self.set.insert(0, (key.to_owned(), value));
    }

    fn sources(&self) -> Sources {
        let mut sources = Sources::process();
        for (key, value) in &self.set {
            sources = sources.command_line(key, value, "--set");
        }
        match self.log_format {
            Some(format) => sources.command_line("log.format", format.name(), "--log-format"),
            None => sources,
        }
    }
}

/// Refuses a folder that is neither a project nor one that a server without a settings file uses, before anything is
/// written to it.
fn expect_project(loaded: &Loaded) -> anyhow::Result<()> {
    let is_in_use = || loaded.project.join(".fragua").is_dir();
    anyhow::ensure!(loaded.has_file() || is_in_use(), no_file(&loaded.folder()));
    Ok(())
}

fn no_file(folder: &Path) -> String {
    format!(
        "no {FILE_NAME} in {}: is this the project's folder? `fragua init` makes one",
        folder.display()
    )
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Does the main job on real rows: load, train, register, predict; then serves until Ctrl-C
    Demo(demo::Options),
    /// Makes a project from an example
    Init(init::Options),
    /// Starts the roles of a project and serves until Ctrl-C; `fragua keys` prints what clients need to reach them
    Up(up::Options),
    /// Runs tasks: of this project, or of an orchestrator on another machine; `worker token` makes the token for that
    Worker(worker::Options),
    /// Checks every connection between the parts and says what to do about each broken one
    Doctor(doctor::Options),
    /// Lists every setting with its value and where it was given
    Settings(settings::Options),
    /// Prints addresses and keys for clients of S3 and MLflow, such as boto3: eval "$(fragua keys)"
    Keys(keys::Options),
    /// Keys of the inference API, each for some models or all: create, list, revoke
    #[command(subcommand)]
    ServingKeys(serving_keys::Command),
    /// Access keys of the object store, each with a policy: create, list, disable, enable, revoke
    #[command(subcommand)]
    StorageKeys(storage_keys::Command),
    /// DAGs: list, show, check, test, trigger, pause, unpause, clear, next-execution, reload, report, delete
    #[command(subcommand)]
    Dags(dags::Command),
    /// Tasks of DAGs: list, state, states-for-dag-run, failed-deps, render, clear, mark, test
    #[command(subcommand)]
    Tasks(tasks::Command),
    /// Runs of DAGs: list, show, logs, mark, delete
    #[command(subcommand)]
    DagRuns(dag_runs::Command),
    /// Values that tasks hand on: list, get, set, delete
    #[command(subcommand)]
    Xcom(xcom::Command),
    /// Assets, which tasks update and DAGs wait for: list, events, create-event
    #[command(subcommand)]
    Assets(assets::Command),
    /// Backfills of DAGs: create, list, pause, unpause, cancel
    #[command(subcommand)]
    Backfill(backfill::Command),
    /// Pools, which tasks share slots of: list, get, set, delete, import, export
    #[command(subcommand)]
    Pools(pools::Command),
    /// Variables of tasks: list, get, set, delete, import, export
    #[command(subcommand)]
    Variables(vault::Variables),
    /// Connections of tasks: list, get, add, set, delete, test, import, export
    #[command(subcommand)]
    Connections(vault::Connections),
    /// Encrypts variables and connections with another key
    RotateFernetKey(rotate::Options),
    /// Experiments and models: import, purge
    #[command(subcommand)]
    Tracking(tracking::Command),
    /// The bytes of all objects: check, repair, rotate-key
    #[command(subcommand)]
    Storage(storage::Command),
    /// Models from files, objects and queries, without a project: fit, evaluate, predict, compare
    #[command(subcommand)]
    Learn(learn::Command),
    /// JSON Schemas for editors
    #[command(subcommand)]
    Schema(schema::Command),
}

/// The command that runs one attempt of a task, which the worker describes on standard input.
pub(crate) const EXEC_TASK: &str = "exec-task";

/// Runs the attempt of a task.
pub(crate) fn exec_task() -> ExitCode {
    block_on(async { Ok(fragua_orchestrator::exec_task(crate::operators::catalog()).await) })
}

/// Runs the command and returns how the process ends.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    block_on(dispatch(arguments))
}

fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("fragua")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("the threads cannot be started")),
    };
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(shutdown::LAST_MOMENT);
    result.unwrap_or_else(|error| failed(&error))
}

async fn dispatch(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let common = arguments.common;
    match arguments.command {
        Command::Demo(options) => Box::pin(demo::run(&common, options)).await,
        Command::Init(options) => init::run(&common, options),
        Command::Up(options) => Box::pin(up::run(&common, options)).await,
        Command::Worker(options) => Box::pin(worker::run(common, options)).await,
        Command::Doctor(options) => doctor::run(&common, options).await,
        Command::Settings(options) => settings::run(&common, options),
        Command::Keys(options) => keys::run(&common, options).await,
        Command::ServingKeys(command) => serving_keys::run(&common, command).await,
        Command::StorageKeys(command) => storage_keys::run(&common, command).await,
        Command::Dags(command) => dags::run(&common, command).await,
        Command::Tasks(command) => Box::pin(tasks::run(&common, command)).await,
        Command::Xcom(command) => xcom::run(&common, command).await,
        Command::RotateFernetKey(options) => rotate::run(&common, options).await,
        Command::DagRuns(command) => dag_runs::run(&common, command).await,
        Command::Assets(command) => assets::run(&common, command).await,
        Command::Backfill(command) => Box::pin(backfill::run(&common, command)).await,
        Command::Pools(command) => pools::run(&common, command).await,
        Command::Variables(command) => vault::variables(&common, command).await,
        Command::Connections(command) => vault::connections(&common, command).await,
        Command::Tracking(command) => Box::pin(tracking::run(&common, command)).await,
        Command::Storage(command) => Box::pin(storage::run(&common, command)).await,
        Command::Learn(command) => learn::run(command).await,
        Command::Schema(command) => schema::run(command),
    }
}

/// Tells what went wrong: the failure and what led to it, on one line each.
fn failed(error: &anyhow::Error) -> ExitCode {
    // A reader that has gone, such as `head`, is no failure worth a message.
    if output::is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_setting_is_key_and_value() {
        assert_eq!(
            key_and_value("a.b=c=d").unwrap(),
            ("a.b".to_owned(), "c=d".to_owned())
        );
        assert!(key_and_value("a.b").is_err());
        assert!(key_and_value("=c").is_err());
    }
}
