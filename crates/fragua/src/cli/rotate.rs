//! `fragua rotate-fernet-key`: variables and connections are encrypted with another key.

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
    #[command(flatten)]
    form: Form,
}

/// The file of the key that no setting gives.
const KEY: &str = "orchestrator.key";

/// Encrypts what is kept with the first of the keys of the setting, or, where no setting gives one, with a new key in
/// `.fragua/orchestrator.key`.
///
/// # Errors
/// When a server runs that would go on with the old key, the setting has one key alone, or a value was encrypted with
/// yet another.
pub(crate) async fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(common).await?;
    for role in [Role::Orchestrator, Role::Worker] {
        anyhow::ensure!(
            !desk.project.is_claimed(role),
            "the role {role} runs for this project, and would go on with the old key: end it first"
        );
    }
    let setting = desk.loaded.settings.orchestrator.secret_key.as_ref();
    let values = match setting {
        Some(keys) if keys.expose().contains(',') => desk.orchestrator.rotate_fernet_key().await?,
        Some(_) => anyhow::bail!(
            "the setting orchestrator.secret_key ({}) has one key alone: write NEW,OLD there, and NEW alone afterwards",
            desk.loaded.origin("orchestrator.secret_key")
        ),
        None => with_new_key(common, &desk).await?,
    };
    let words = format!("{values} variables and connections are encrypted with the new key");
    options.form.say(&words, &json!({ "rotated": values }))?;
    Ok(ExitCode::SUCCESS)
}

/// The file holds both keys until all is encrypted with the new one: a command that is cut short loses nothing, and
/// the next one goes on with the same keys.
async fn with_new_key(common: &Common, desk: &Desk) -> anyhow::Result<u64> {
    let kept = desk.orchestrator.settings().secret_key.clone();
    let kept = kept.context("the orchestrator has no key")?;
    let new = match kept.expose().split_once(',') {
        Some((new, _)) => Secret::new(new),
        None => {
            let new = fragua_auth::new_secret_key();
            let both = Secret::new(format!("{},{}", new.expose(), kept.expose()));
            desk.project.replace_secret(KEY, &both)?;
            new
        }
    };
    let values = Desk::open(common).await?.orchestrator.rotate_fernet_key().await?;
    desk.project.replace_secret(KEY, &new)?;
    Ok(values)
}
