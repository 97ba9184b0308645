//! `cargo xtask test`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use crate::environment::Environment;

/// Runs the checks if asked for, then the tests of `packages`, or every test when none is named. Returns the status of
/// `cargo test`.
pub(crate) fn run(check: bool, packages: &[String], arguments: &[String]) -> Result<ExitCode> {
    if check {
        run_checks()?;
    }
    let environment = Environment::start()?;
    let mut tests = cargo(&["test"]);
    if packages.is_empty() {
        tests.arg("--workspace");
    }
    let status = tests
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .args(arguments)
        .envs(environment.variables())
        .status()
        .context("cannot run cargo test")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The cheapest first.
fn run_checks() -> Result<()> {
    succeed("the format", &mut cargo(&["fmt", "--all", "--check"]))?;
    succeed(
        "clippy",
        &mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    )?;
    let mut documentation = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    succeed(
        "the documentation",
        documentation.env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn succeed(what: &str, command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot check {what}"))?;
    ensure!(status.success(), "{what} is not in order");
    Ok(())
}

/// Returns a command that runs the same cargo as the one that runs us, in the project's folder.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(project_folder());
    command
}

/// Returns the root of the checkout.
pub(crate) fn project_folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("xtask is a folder of the project")
        .to_owned()
}
