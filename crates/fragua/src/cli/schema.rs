//! `fragua schema`: JSON Schemas for editors.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;

use super::output;
use crate::operators;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prints the schema of DAG files, with the operators of this program
    Dag,
}

/// Prints a schema.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Dag => output::json(&fragua_orchestrator::dag_schema(&operators::catalog()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the schema where the example's DAG files look for it, so that an editor completes them.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_beside(project: &Path) -> anyhow::Result<()> {
    let folder = project.join(".fragua").join("schemas");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let path = folder.join("dag.json");
    let text = serde_json::to_string_pretty(&fragua_orchestrator::dag_schema(&operators::catalog()))?;
    // Editors watch the file: it changes only when the schema does.
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
}
