//! `fragua init`: makes a project.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::output;
use crate::scaffold::{self, Example, Existing};

/// Options of `fragua init`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder to make [default: the folder you are in]
    dir: Option<PathBuf>,
    /// What to start from
    #[arg(long, value_enum, default_value = "none")]
    example: Example,
    /// Replaces files that exist
    #[arg(long)]
    force: bool,
}

/// Makes the project.
///
/// # Errors
/// When a file exists and `--force` was not given, or when one cannot be written.
pub(crate) fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let folder = options.dir.unwrap_or_else(|| common.project().to_owned());
    let existing = if options.force {
        Existing::Replace
    } else {
        Existing::Refuse
    };
    let written = scaffold::write(options.example, &folder, existing)?;
    super::schema::write_beside(&folder)?;
    for path in &written {
        output::line(&format!("made {}", path.display()))?;
    }
    output::line(&format!("\nnext: fragua up --project {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
