//! `fragua settings`: every setting, its value, and where it was given.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{Common, output};
use crate::settings::{DEFAULTS, listed};

/// Options of `fragua settings`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Prints the reference: every setting with its default and what it means, as a fragua.toml
    #[arg(long, conflicts_with = "json")]
    reference: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Prints the settings. Values that are or may hold secrets are not shown.
///
/// # Errors
/// When a setting is wrong.
pub(crate) fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    if options.reference {
        output::line(DEFAULTS.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = common.load_anywhere()?;
    let listed = listed(&loaded);
    if options.json {
        let rows: Vec<_> = listed
            .iter()
            .map(|(key, (value, origin))| json!({ "key": key, "value": value, "origin": origin.to_string() }))
            .collect();
        output::json(&rows)?;
    } else {
        let rows: Vec<_> = listed
            .iter()
            .map(|(key, (value, origin))| [(*key).to_owned(), value.clone(), origin.to_string()])
            .collect();
        output::table(["setting", "value", "from"], &rows)?;
    }
    if !loaded.has_file() {
        eprintln!("note: {}", super::no_file(&loaded.folder()));
    }
    for notice in &loaded.notices {
        eprintln!("note: {notice}");
    }
    Ok(ExitCode::SUCCESS)
}
