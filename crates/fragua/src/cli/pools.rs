//! `fragua pools`: how many tasks of a kind may run at once.

use std::process::ExitCode;

use clap::Subcommand;
use fragua_orchestrator::{Pool, PoolUse};
use serde_json::{Value, json};

use super::desk::Desk;
use super::{Common, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the pools with what they are used for
    List {
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
    },
    /// Removes a pool; tasks that name it wait until there is one of its name again
    Delete {
        /// Name of the pool
        pool: String,
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
        Command::Set {
            pool,
            slots,
            description,
            include_deferred,
        } => {
            let pool = Pool {
                name: pool,
                slots,
                description,
                include_deferred,
            };
            let said = format!("pool {} has {} slots", pool.name, pool.slots);
            desk.orchestrator.put_pool(pool).await?;
            desk.ring().await?;
            output::line(&said)?;
        }
        Command::Delete { pool } => {
            desk.orchestrator.delete_pool(&pool).await?;
            output::line(&format!("pool {pool} is gone"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
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
