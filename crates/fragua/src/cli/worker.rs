//! `fragua worker`: runs tasks, of this project or of an orchestrator on another machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use fragua_base::{Secret, SystemClock};
use fragua_orchestrator::{Error, WorkerSettings, run_remote_worker};
use tokio_util::sync::CancellationToken;

use super::{Common, output, up};
use crate::app;
use crate::project::Project;
use crate::settings::Loaded;
use crate::shutdown::Signals;

/// Options of `fragua worker`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Address of an orchestrator on another machine, for example http://host:8080 [default: this project's database]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Its worker token; FRAGUA__WORKER__TOKEN keeps it out of the list of processes
    #[arg(long, conflicts_with = "token_file")]
    token: Option<String>,
    /// A file that holds the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Queues whose tasks it takes, for example default,gpu [default: all]
    #[arg(long, value_name = "QUEUE,…")]
    queues: Option<String>,
    /// How many tasks it runs at once [default: one per processor core, at least 2]
    #[arg(long)]
    slots: Option<usize>,
    /// What the list of workers calls it [default: the name of the machine]
    #[arg(long)]
    name: Option<String>,
    /// How long its tasks may go on when it is told to end, before they are given back [default: 60]
    #[arg(long, value_name = "SECONDS")]
    drain: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tokens that workers on other machines need: create, list, revoke
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Makes a token and prints it; it cannot be shown again
    Create {
        /// A name to revoke it by
        #[arg(default_value = "workers")]
        name: String,
    },
    /// Lists the names of the tokens
    List {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Takes a token back: workers that use it are refused
    Revoke {
        /// Its name
        name: String,
    },
}

/// Runs the worker until it is told to end, or does something with tokens.
///
/// # Errors
/// When a setting is wrong, the token is refused, or a database cannot be opened.
pub(crate) async fn run(mut common: Common, options: Options) -> anyhow::Result<ExitCode> {
    if let Some(Command::Token(command)) = options.command {
        return token(&common, command).await;
    }
    let token = match &options.token_file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            Some(text.with_context(|| format!("the token file {} cannot be read", path.display()))?)
        }
        None => options.token,
    };
    for (key, value) in [
        ("worker.server", options.server),
        ("worker.token", token.map(|token| token.trim().to_owned())),
        ("worker.queues", options.queues),
        ("worker.slots", options.slots.map(|slots| slots.to_string())),
        ("worker.name", options.name),
        (
            "worker.drain_seconds",
            options.drain.map(|seconds| seconds.to_string()),
        ),
    ] {
        if let Some(value) = value {
            common.give(key, value);
        }
    }
    let loaded = common.load_anywhere()?;
    if loaded.settings.worker.server.is_none() {
        return Box::pin(up::run(&common, up::Options::worker())).await;
    }
    up::tell_notices(&loaded);
    Box::pin(remote(&loaded)).await
}

async fn remote(loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let settings = &loaded.settings.worker;
    let server = settings.server.as_ref().context("worker.server is empty")?;
    let token = settings.token.clone().with_context(|| {
        format!(
            "a worker of {} needs a token: run `fragua worker token create` there, and give it here with --token-file, \
             or as FRAGUA__WORKER__TOKEN",
            server.shown()
        )
    })?;
    let mut signals = Signals::catch()?;
    let project = Project::open(&loaded.project)?;
    let name = match &settings.name {
        Some(name) => name.clone(),
        None => nix::unistd::gethostname()?.to_string_lossy().into_owned(),
    };
    let worker = WorkerSettings {
        // Several workers of different names may share a folder.
        work_folder: project.state_folder().join("workers").join(folder_name(&name)),
        name,
        slots: app::tasks::slots(loaded),
        queues: settings.queues.clone(),
        project_folder: project.folder().to_owned(),
        exec_task: std::env::current_exe().context("the path of this program is not known")?,
        python: loaded.settings.orchestrator.python.clone(),
        drain_grace: Duration::from_secs(settings.drain_seconds),
    };
    tracing::info!(
        name = worker.name,
        slots = worker.slots,
        "takes tasks of {}; Ctrl-C ends",
        server.shown()
    );
    let shutdown = CancellationToken::new();
    let url = server.expose().parse().context("worker.server is no address")?;
    let running = run_remote_worker(&url, token, worker, Arc::new(SystemClock), shutdown.clone());
    tokio::pin!(running);
    let result = tokio::select! {
        result = &mut running => result,
        name = signals.next() => {
            tracing::info!("{name}: takes no more tasks, and ends when those that run have ended; once more ends at once");
            shutdown.cancel();
            signals.end_at_once_on_next();
            running.await
        }
    };
    result.map_err(|error| match error {
        Error::WorkerRefused { .. } => {
            anyhow::anyhow!(
                "{error} (worker.token comes from: {})",
                loaded.origin("worker.token")
            )
        }
        error => error.into(),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the name of a worker as the name of a folder.
fn folder_name(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if !name.is_empty() && name.len() <= 100 && name.chars().all(is_plain) {
        return name.to_owned();
    }
    use sha2::Digest as _;
    hex::encode(&sha2::Sha256::digest(name)[..16])
}

async fn token(common: &Common, command: TokenCommand) -> anyhow::Result<ExitCode> {
    let loaded = common.load_quietly(common.project())?;
    super::expect_project(&loaded)?;
    let project = Project::open(&loaded.project)?;
    let auth = app::open_auth_alone(&loaded, &project, Arc::new(SystemClock)).await?;
    match command {
        TokenCommand::Create { name } => {
            let token: Secret = auth.create_worker_token(&name).await?;
            output::line(token.expose())?;
        }
        TokenCommand::List { json } => {
            let tokens = auth.worker_tokens().await?;
            if json {
                let all = tokens.iter().map(|token| {
                    serde_json::json!({ "name": token.name, "created_at": token.created_at.to_rfc3339() })
                });
                output::json(&all.collect::<Vec<_>>())?;
            } else {
                for token in &tokens {
                    output::line(&format!("{}  {}", token.created_at.to_rfc3339(), token.name))?;
                }
            }
        }
        TokenCommand::Revoke { name } => {
            anyhow::ensure!(
                auth.revoke_worker_token(&name).await?,
                "there is no worker token {name:?}; `fragua worker token list` names them"
            );
            output::line(&format!("worker token {name} is revoked"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_worker_stays_below_its_parent() {
        for (name, plain) in [
            ("gpu-1", true),
            ("..", false),
            ("a/b", false),
            ("", false),
            ("ñ", false),
        ] {
            let folder = folder_name(name);
            assert_eq!(folder == name, plain, "{name}");
            assert!(!folder.contains(['/', '.']) && !folder.is_empty(), "{folder}");
        }
    }
}
