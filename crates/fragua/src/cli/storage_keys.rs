//! `fragua storage-keys`: access keys of the object store.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use fragua_auth::{Auth, NewStorageKey, Policy, PolicyOf, StorageAccess, StorageKey};
use fragua_base::{Clock as _, SystemClock, Timestamp};
use fragua_storage::BucketName;
use serde_json::{Value, json};

use super::Common;
use super::output::{self, Form};
use crate::app;
use crate::project::Project;
use crate::settings::Loaded;

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a key and prints it as variables for a shell; its secret cannot be shown again
    Create {
        /// Whom it is for; policies of buckets can name it
        #[arg(long)]
        name: String,
        /// A bucket that it is for; can be given several times [default: all]
        #[arg(long = "bucket", value_name = "BUCKET", conflicts_with = "policy")]
        buckets: Vec<String>,
        /// What it may do in its buckets
        #[arg(long, value_enum, default_value = "full", conflicts_with = "policy")]
        access: Access,
        /// A policy in JSON, in IAM's language, in place of --bucket and --access
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
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
    /// Turns a key off: who uses it is refused within seconds
    Disable {
        /// Its id, which begins with FRK
        id: String,
        #[command(flatten)]
        form: Form,
    },
    /// Turns a key on again
    Enable {
        /// Its id, which begins with FRK
        id: String,
        #[command(flatten)]
        form: Form,
    },
    /// Takes a key back for good: who uses it is refused within seconds
    Revoke {
        /// Its id, which begins with FRK
        id: String,
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Access {
    /// Lists and reads
    Read,
    /// Lists, reads, writes and deletes objects
    Write,
    /// Everything, settings of the buckets too
    Full,
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
            buckets,
            access,
            policy,
            expires,
            form,
        } => {
            expect_buckets(&loaded, &project, &buckets, access).await?;
            let policy = match policy {
                None => Policy::of(access.into(), &buckets),
                Some(file) => read_policy(&file)?,
            };
            let lifetime = expires.map(|days| Duration::from_secs(days * SECONDS_A_DAY));
            let new = NewStorageKey {
                name,
                policy,
                lifetime,
            };
            let place = app::storage_address(&loaded, &project)?;
            create(&auth, new, place, form).await?;
        }
        Command::List { form } => list(&auth.storage_keys().await?, form)?,
        Command::Disable { id, form } => {
            expect(auth.set_storage_key_enabled(&id, false).await?, &id)?;
            form.say(&format!("storage key {id} is disabled"), &json!({ "id": id }))?;
        }
        Command::Enable { id, form } => {
            expect(auth.set_storage_key_enabled(&id, true).await?, &id)?;
            form.say(&format!("storage key {id} is enabled"), &json!({ "id": id }))?;
        }
        Command::Revoke { id, form } => {
            expect(auth.revoke_storage_key(&id).await?, &id)?;
            form.say(&format!("storage key {id} is revoked"), &json!({ "id": id }))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl From<Access> for StorageAccess {
    fn from(access: Access) -> Self {
        match access {
            Access::Read => Self::Read,
            Access::Write => Self::Write,
            Access::Full => Self::Full,
        }
    }
}

fn read_policy(file: &std::path::Path) -> anyhow::Result<Policy> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Policy::parse(&text, PolicyOf::Key).with_context(|| format!("{} is no policy of a key", file.display()))
}

fn expect(is_there: bool, id: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        is_there,
        "there is no storage key {id:?}, or it is revoked; `fragua storage-keys list` tells their ids"
    );
    Ok(())
}

/// A key is about buckets that are there: one of a misspelt name would open nothing, and nobody would be told. Who may do
/// everything may make the bucket, too.
async fn expect_buckets(
    loaded: &Loaded,
    project: &Project,
    buckets: &[String],
    access: Access,
) -> anyhow::Result<()> {
    if buckets.is_empty() {
        return Ok(());
    }
    let storage = app::open_storage(loaded, project, Arc::new(SystemClock)).await?;
    let known = storage.bucket_names().await?;
    for bucket in buckets {
        let name = BucketName::parse(bucket)?;
        if known.iter().any(|(known, _)| *known == name) {
            continue;
        }
        anyhow::ensure!(
            matches!(access, Access::Full),
            "there is no bucket {name}, and a key to read or write may not make it: make it first, or give --access full"
        );
        eprintln!("note: there is no bucket {name} yet; the key may make it");
    }
    Ok(())
}

async fn create(
    auth: &Auth,
    new: NewStorageKey,
    place: [(&'static str, String); 2],
    form: Form,
) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let keys = auth.storage_keys().await?;
    let of_that_name = |key: &&StorageKey| key.name == new.name && key.is_valid_at(now);
    if let Some(other) = keys.iter().find(of_that_name) {
        eprintln!(
            "note: the key {} has the name {:?}, too: policies of buckets that name it are about both",
            other.id, new.name
        );
    }
    let (key, secret) = auth.create_storage_key(new).await?;
    let mut shown = shown(&key, key.created_at);
    shown["secret"] = secret.expose().into();
    let [(_, endpoint), (_, region)] = &place;
    shown["endpoint"] = endpoint.as_str().into();
    shown["region"] = region.as_str().into();
    // Standard output has the variables alone, so that a shell can take them.
    if !form.json {
        let expires = date(key.expires_at).unwrap_or_else(|| "never".to_owned());
        eprintln!(
            "note: the key {} expires {expires}; this is the only time its secret is shown",
            key.id
        );
    }
    let pair = [
        ("AWS_ACCESS_KEY_ID", key.id),
        ("AWS_SECRET_ACCESS_KEY", secret.expose().to_owned()),
    ];
    let variables = place.into_iter().chain(pair);
    let lines: Vec<String> = variables
        .map(|(name, value)| output::export(name, &value))
        .collect();
    form.say(&lines.join("\n"), &shown)
}

fn list(keys: &[StorageKey], form: Form) -> anyhow::Result<()> {
    let now = SystemClock.now();
    if form.json {
        let keys: Vec<Value> = keys.iter().map(|key| shown(key, now)).collect();
        return output::json(&keys);
    }
    let rows: Vec<[String; 6]> = keys
        .iter()
        .map(|key| {
            [
                key.id.clone(),
                key.name.clone(),
                state(key, now).to_owned(),
                key.created_at.to_rfc3339(),
                date(key.expires_at).unwrap_or_else(|| "never".to_owned()),
                date(key.last_used_at).unwrap_or_else(|| "never".to_owned()),
            ]
        })
        .collect();
    output::table(["id", "name", "state", "created", "expires", "last used"], &rows)
}

fn shown(key: &StorageKey, now: Timestamp) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "policy": serde_json::from_str::<Value>(&key.policy.to_json()).unwrap_or_default(),
        "state": state(key, now),
        "created_at": key.created_at.to_rfc3339(),
        "expires_at": date(key.expires_at),
        "last_used_at": date(key.last_used_at),
        "disabled_at": date(key.disabled_at),
        "revoked_at": date(key.revoked_at),
    })
}

fn state(key: &StorageKey, now: Timestamp) -> &'static str {
    match (key.revoked_at, key.disabled_at, key.is_valid_at(now)) {
        (Some(_), ..) => "revoked",
        (None, Some(_), _) => "disabled",
        (None, None, true) => "valid",
        (None, None, false) => "expired",
    }
}

fn date(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::to_rfc3339)
}
