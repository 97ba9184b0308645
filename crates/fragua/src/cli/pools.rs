//! `fragua pools`: how many tasks of a kind may run at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use fragua_orchestrator::{Pool, PoolUse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::desk::Desk;
use super::output::Form;
use super::{Common, output, transfer};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the pools with what they are used for
    List {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows one pool
    Get {
        /// Name of the pool
        pool: String,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Makes a pool, or changes the one of this name
    Set {
        /// Name of the pool
        pool: String,
        /// How many slots it has; -1 is no limit
        #[arg(allow_negative_numbers = true)]
        slots: i64,
        /// What it is for
        #[arg(default_value = "")]
        description: String,
        /// Counts tasks that wait without a process too
        #[arg(long)]
        include_deferred: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Removes a pool; tasks that name it wait until there is one of its name again
    Delete {
        /// Name of the pool
        pool: String,
        #[command(flatten)]
        form: Form,
    },
    /// Writes the pools to a file as JSON
    Export {
        /// The file; - is standard output
        file: PathBuf,
    },
    /// Makes the pools that a file of JSON tells of, as `export` writes it, and changes those of their names
    Import {
        /// The file; - is standard input
        file: PathBuf,
        #[command(flatten)]
        form: Form,
    },
}

/// Runs a command on pools.
///
/// # Errors
/// When a setting is wrong, the database cannot be opened, or the orchestrator does not allow what was asked.
pub(crate) async fn run(common: &Common, command: Command) -> anyhow::Result<ExitCode> {
    let desk = match &command {
        Command::List { .. } => Desk::open_to_read(common).await?,
        _ => Desk::open(common).await?,
    };
    match command {
        Command::List { json } => {
            let pools = desk.orchestrator.pools().await?;
            match json {
                true => output::json(&pools.iter().map(pool_json).collect::<Vec<_>>())?,
                false => list(&pools)?,
            }
        }
        Command::Get { pool, json } => {
            let pool = desk.orchestrator.pool(&pool).await?;
            match json {
                true => output::json(&pool_json(&pool))?,
                false => list(&[pool])?,
            }
        }
        Command::Set {
            pool,
            slots,
            description,
            include_deferred,
            form,
        } => {
            let pool = Pool {
                name: pool,
                slots,
                description,
                include_deferred,
            };
            let said = format!("pool {} has {} slots", pool.name, pool.slots);
            let shown = json!({ "name": pool.name, "slots": pool.slots });
            desk.orchestrator.put_pool(pool).await?;
            desk.ring().await?;
            form.say(&said, &shown)?;
        }
        Command::Delete { pool, form } => {
            desk.orchestrator.delete_pool(&pool).await?;
            form.say(
                &format!("pool {pool} is gone"),
                &json!({ "name": pool, "deleted": true }),
            )?;
        }
        Command::Export { file } => {
            let pools = desk.orchestrator.pools().await?.into_iter();
            let written: BTreeMap<String, Written> = pools.map(|used| Written::of(used.pool)).collect();
            transfer::write(&file, &written)?;
        }
        Command::Import { file, form } => {
            let read: BTreeMap<String, Written> = transfer::read(&file)?;
            let names: Vec<String> = read.keys().cloned().collect();
            for (name, written) in read {
                desk.orchestrator.put_pool(written.named(name)).await?;
            }
            desk.ring().await?;
            form.say(
                &format!("{} pools are set", names.len()),
                &json!({ "set": names }),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A pool in a file, below its name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    slots: i64,
    #[serde(default)]
    description: String,
    #[serde(default)]
    include_deferred: bool,
}

impl Written {
    fn of(pool: Pool) -> (String, Self) {
        let written = Self {
            slots: pool.slots,
            description: pool.description,
            include_deferred: pool.include_deferred,
        };
        (pool.name, written)
    }

    fn named(self, name: String) -> Pool {
        Pool {
            name,
            slots: self.slots,
            description: self.description,
            include_deferred: self.include_deferred,
        }
    }
}

fn list(pools: &[PoolUse]) -> anyhow::Result<()> {
    let rows: Vec<[String; 5]> = pools
        .iter()
        .map(|used| {
            [
                used.pool.name.clone(),
                used.pool.slots.to_string(),
                used.taken.to_string(),
                used.queued.to_string(),
                used.pool.description.clone(),
            ]
        })
        .collect();
    output::table(["pool", "slots", "taken", "queued", "description"], &rows)
}

fn pool_json(used: &PoolUse) -> Value {
    json!({
        "name": used.pool.name,
        "slots": used.pool.slots,
        "description": used.pool.description,
        "include_deferred": used.pool.include_deferred,
        "occupied_slots": used.taken,
        "queued_slots": used.queued,
    })
}
