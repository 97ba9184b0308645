//! `fragua keys`: what clients of the object store and of tracking need.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use fragua_base::SystemClock;

use super::{Common, output};
use crate::app;
use crate::databases::{Component, Databases, sqlite_file};
use crate::project::Project;

/// Options of `fragua keys`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Prints the variables that tasks are given too, as a shell reads them.
///
/// # Errors
/// When a setting is wrong or the database of keys cannot be opened.
pub(crate) async fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let loaded = common.load_quietly(common.project())?;
    super::expect_project(&loaded)?;
    let project = Project::open_to_read(&loaded.project)?;
    // Keys that are made now would be none that a server has.
    let url = Databases::new(&loaded, &project).url(Component::Auth);
    let is_its_own = sqlite_file(&url).is_some_and(|file| file.starts_with(project.state_folder()));
    anyhow::ensure!(
        !(project.is_scratch() && is_its_own),
        "the project {} was never started, so it has no keys yet: start it with `fragua up`",
        project.folder().display()
    );
    let variables = app::client_variables(&loaded, &project, Arc::new(SystemClock)).await?;
    if options.json {
        output::json(&variables)?;
    } else {
        for (name, value) in &variables {
            output::line(&output::export(name, value))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
