//! `fragua serving-keys`: keys of the inference API.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use fragua_auth::{Auth, KeyScope, NewServingKey, ServingKey};
use fragua_base::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};

use super::Common;
use super::output::{self, Form};
use crate::app;
use crate::project::Project;

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a key and prints it; it cannot be shown again
    Create {
        /// What the list calls it
        #[arg(long)]
        name: String,
        /// A registered model that it is for, all its versions and aliases; can be given several times [default: all]
        #[arg(long = "model", value_name = "NAME")]
        models: Vec<String>,
        /// After how many days it is good no more [default: never]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
        expires: Option<u64>,
        #[command(flatten)]
        form: Form,
    },
    /// Lists the keys, those too that are good no more
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Takes a key back: who uses it is refused within seconds
    Revoke {
        /// Its id, the 16 digits after frk_
        id: String,
        #[command(flatten)]
        form: Form,
    },
}

/// Does something with keys.
///
/// # Errors
/// When a setting is wrong, a key cannot be made or is not there, or the database of keys cannot be opened.
pub(crate) async fn run(common: &Common, command: Command) -> anyhow::Result<ExitCode> {
    let loaded = common.load_quietly(common.project())?;
    super::expect_project(&loaded)?;
    let project = Project::open(&loaded.project)?;
    let auth = app::open_auth_alone(&loaded, &project, Arc::new(SystemClock)).await?;
    match command {
        Command::Create {
            name,
            models,
            expires,
            form,
        } => {
            let scope = match models.is_empty() {
                true => KeyScope::AllModels,
                false => KeyScope::Models(models.into_iter().collect()),
            };
            let lifetime = expires.map(|days| Duration::from_secs(days * SECONDS_A_DAY));
            create(
                &auth,
                NewServingKey {
                    name,
                    scope,
                    lifetime,
                },
                form,
            )
            .await?;
            if !loaded.settings.serving.require_api_key {
                eprintln!("note: keys are asked for once serving.require_api_key is true; it is false here");
            }
        }
        Command::List { form } => list(&auth.serving_keys().await?, form)?,
        Command::Revoke { id, form } => {
            anyhow::ensure!(
                auth.revoke_serving_key(&id).await?,
                "there is no serving key {id:?}; `fragua serving-keys list` tells their ids"
            );
            form.say(&format!("serving key {id} is revoked"), &json!({ "id": id }))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(auth: &Auth, new: NewServingKey, form: Form) -> anyhow::Result<()> {
    let (key, secret) = auth.create_serving_key(new).await?;
    let mut shown = shown(&key, key.created_at);
    shown["key"] = secret.expose().into();
    // Standard output has the key alone, so that a script can take it.
    if !form.json {
        let expires = date(key.expires_at).unwrap_or_else(|| "never".to_owned());
        eprintln!(
            "note: the key {} is for {} and expires {expires}; this is the only time it is shown",
            key.id,
            models(&key)
        );
    }
    form.say(secret.expose(), &shown)
}

fn list(keys: &[ServingKey], form: Form) -> anyhow::Result<()> {
    let now = SystemClock.now();
    if form.json {
        let keys: Vec<Value> = keys.iter().map(|key| shown(key, now)).collect();
        return output::json(&keys);
    }
    let rows: Vec<[String; 7]> = keys
        .iter()
        .map(|key| {
            [
                key.id.clone(),
                key.name.clone(),
                models(key),
                state(key, now).to_owned(),
                key.created_at.to_rfc3339(),
                date(key.expires_at).unwrap_or_else(|| "never".to_owned()),
                date(key.last_used_at).unwrap_or_else(|| "never".to_owned()),
            ]
        })
        .collect();
    let headings = ["id", "name", "models", "state", "created", "expires", "last used"];
    output::table(headings, &rows)
}

fn shown(key: &ServingKey, now: Timestamp) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "models": match &key.scope {
            KeyScope::AllModels => Value::Null,
            KeyScope::Models(names) => json!(names),
        },
        "state": state(key, now),
        "created_at": key.created_at.to_rfc3339(),
        "expires_at": date(key.expires_at),
        "last_used_at": date(key.last_used_at),
        "revoked_at": date(key.revoked_at),
    })
}

fn models(key: &ServingKey) -> String {
    match &key.scope {
        KeyScope::AllModels => "all models".to_owned(),
        KeyScope::Models(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    }
}

fn state(key: &ServingKey, now: Timestamp) -> &'static str {
    match (key.revoked_at, key.is_valid_at(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "valid",
        (None, false) => "expired",
    }
}

fn date(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::to_rfc3339)
}
