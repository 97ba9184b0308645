//! `fragua rotate-fernet-key`: variables and connections are encrypted with another key.

use std::fs;
use std::io::Read as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use fragua_base::Secret;
use serde_json::json;

use super::Common;
use super::desk::Desk;
use super::output::Form;
use crate::settings::Role;

/// Options of `fragua rotate-fernet-key`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The key that was used before, where the setting orchestrator.secret_key holds the new one already; - reads it
    /// from standard input
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    #[command(flatten)]
    form: Form,
}

/// The file that a new key is kept in until everything is encrypted with it.
const NEXT: &str = "orchestrator.key.new";

/// Encrypts what is kept with the key of the settings, or, where no setting gives one, with a new key in the place of
/// `.fragua/orchestrator.key`.
///
/// # Errors
/// When a server runs that would go on with the old key, a key is none, or a value was encrypted with yet another.
pub(crate) async fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(common).await?;
    for role in [Role::Orchestrator, Role::Worker] {
        anyhow::ensure!(
            !desk.project.is_claimed(role),
            "the role {role} runs for this project, and would go on with the old key: end it first"
        );
    }
    let kept = desk.orchestrator.settings().secret_key.clone();
    let kept = kept.context("there is no key: orchestrator.secret_key is empty")?;
    let is_setting = desk.loaded.settings.orchestrator.secret_key.is_some();
    let values = match (options.from, is_setting) {
        (Some(from), _) => desk.orchestrator.rotate_secret_key(&read(from)?, &kept).await?,
        (None, true) => anyhow::bail!(
            "the key comes from a setting (orchestrator.secret_key, {}): set the new key there, and give the old one \
             with --from",
            desk.loaded.origin("orchestrator.secret_key")
        ),
        (None, false) => with_new_key(&desk, &kept).await?,
    };
    let words = format!("{values} variables and connections are encrypted with the new key");
    options.form.say(&words, &json!({ "rotated": values }))?;
    Ok(ExitCode::SUCCESS)
}

/// The new key is on the disk before anything is encrypted with it, and in its place after all of it is. A command
/// that was cut short in between goes on with the same key.
async fn with_new_key(desk: &Desk, kept: &Secret) -> anyhow::Result<usize> {
    let folder = desk.project.state_folder();
    let new = desk.project.secret(NEXT, fragua_auth::new_secret_key)?;
    let values = desk.orchestrator.rotate_secret_key(kept, &new).await?;
    let (from, to) = (folder.join(NEXT), folder.join("orchestrator.key"));
    fs::rename(&from, &to)
        .with_context(|| format!("{} cannot take the place of {}", from.display(), to.display()))?;
    fs::File::open(&folder)?.sync_all()?;
    Ok(values)
}

fn read(written: String) -> anyhow::Result<Secret> {
    if written != "-" {
        return Ok(Secret::new(written));
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    Ok(Secret::new(text.trim()))
}
