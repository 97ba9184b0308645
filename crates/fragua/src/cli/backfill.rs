//! `fragua backfill`: the runs of a range of dates, made or done again.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fragua_base::Timestamp;
use fragua_orchestrator::{Backfill, BackfillRequest, BackfillRun, Reprocess};
use serde_json::{Map, Value, json};

use super::dags::parameters;
use super::desk::Desk;
use super::{Common, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes the runs of a range of dates
    Create(Create),
    /// Lists the backfills, newest first
    List {
        /// Only those of this DAG
        dag: Option<String>,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Starts no more runs of a backfill
    Pause {
        /// Id of the backfill
        id: String,
    },
    /// Goes on with a backfill
    Unpause {
        /// Id of the backfill
        id: String,
    },
    /// Ends a backfill: what runs goes on, what has not started fails
    Cancel {
        /// Id of the backfill
        id: String,
    },
}

/// Options of `fragua backfill create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name of the DAG
    dag: String,
    /// First logical date, for example 2025-04-02 or 2025-04-02T06:00:00Z
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Timestamp,
    /// Last logical date
    #[arg(long, value_name = "DATE", value_parser = date)]
    to: Timestamp,
    /// How many of its runs may be under way at once
    #[arg(long, default_value_t = 10, value_name = "N")]
    max_active_runs: u32,
    /// Which of the runs that exist are done again: none, failed, or completed
    #[arg(long, default_value = "none", value_parser = reprocess)]
    reprocess: Reprocess,
    /// Begins with the last date
    #[arg(long)]
    reverse: bool,
    /// Gives the parameters of its runs as one JSON object
    #[arg(long, value_name = "JSON", value_parser = parameters)]
    conf: Option<Map<String, Value>>,
    /// Says what would become of each date, and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

fn date(text: &str) -> Result<Timestamp, String> {
    let instant = match text.len() {
        10 => Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")),
        _ => Timestamp::parse_rfc3339(text),
    };
    instant
        .map_err(|_| "write a date such as 2025-04-02, or an instant such as 2025-04-02T06:00:00Z".to_owned())
}

fn reprocess(text: &str) -> Result<Reprocess, String> {
    Reprocess::parse(text).ok_or_else(|| "write none, failed or completed".to_owned())
}

/// Runs a command on backfills.
///
/// # Errors
/// When a setting is wrong, the database cannot be opened, or the orchestrator does not allow what was asked.
pub(crate) async fn run(common: &Common, command: Command) -> anyhow::Result<ExitCode> {
    let desk = match &command {
        Command::List { .. } => Desk::open_to_read(common).await?,
        _ => Desk::open(common).await?,
    };
    let orchestrator = &desk.orchestrator;
    match command {
        Command::Create(options) => create(&desk, options).await?,
        Command::List { dag, json } => {
            let backfills = orchestrator.backfills(dag.as_deref()).await?;
            match json {
                true => output::json(&backfills.iter().map(backfill_json).collect::<Vec<_>>())?,
                false => list(&backfills)?,
            }
        }
        Command::Pause { id } => say(&desk, orchestrator.set_backfill_paused(&id, true).await?).await?,
        Command::Unpause { id } => say(&desk, orchestrator.set_backfill_paused(&id, false).await?).await?,
        Command::Cancel { id } => say(&desk, orchestrator.cancel_backfill(&id).await?).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(desk: &Desk, options: Create) -> anyhow::Result<()> {
    let request = BackfillRequest {
        from: options.from,
        to: options.to,
        max_active_runs: options.max_active_runs,
        reprocess: options.reprocess,
        is_reversed: options.reverse,
        params: options.conf.unwrap_or_default(),
        dry_run: options.dry_run,
    };
    let made = desk.orchestrator.backfill(&options.dag, &request).await;
    let (backfill, runs) = made.map_err(|error| desk.explain(error))?;
    if !options.dry_run {
        desk.ring().await?;
    }
    if options.json {
        let mut shown = backfill_json(&backfill);
        shown["dry_run"] = json!(options.dry_run);
        shown["runs"] = runs.iter().map(run_json).collect();
        return output::json(&shown);
    }
    let rows: Vec<[String; 3]> = runs
        .iter()
        .map(|run| {
            [
                run.interval.data_interval_start.to_rfc3339(),
                run.run_id.clone(),
                run.fate.as_str().to_owned(),
            ]
        })
        .collect();
    output::table(["logical date", "run", "what"], &rows)?;
    if !options.dry_run {
        output::line(&format!("backfill {}", backfill.id))?;
    }
    Ok(())
}

async fn say(desk: &Desk, backfill: Backfill) -> anyhow::Result<()> {
    desk.ring().await?;
    output::line(&format!(
        "backfill {} of {} is {}",
        backfill.id, backfill.dag_id, backfill.state
    ))
}

fn list(backfills: &[Backfill]) -> anyhow::Result<()> {
    let rows: Vec<[String; 5]> = backfills
        .iter()
        .map(|backfill| {
            [
                backfill.id.clone(),
                backfill.dag_id.clone(),
                backfill.from.to_rfc3339(),
                backfill.to.to_rfc3339(),
                backfill.state.to_string(),
            ]
        })
        .collect();
    output::table(["backfill", "dag", "from", "to", "state"], &rows)
}

fn backfill_json(backfill: &Backfill) -> Value {
    json!({
        "id": backfill.id,
        "dag_id": backfill.dag_id,
        "from_date": backfill.from.to_rfc3339(),
        "to_date": backfill.to.to_rfc3339(),
        "max_active_runs": backfill.max_active_runs,
        "reprocess_behavior": backfill.reprocess.as_str(),
        "run_backwards": backfill.is_reversed,
        "dag_run_conf": backfill.params,
        "state": backfill.state.as_str(),
        "created_at": backfill.created_at.to_rfc3339(),
        "completed_at": backfill.ended_at.map(Timestamp::to_rfc3339),
    })
}

fn run_json(run: &BackfillRun) -> Value {
    json!({
        "logical_date": run.interval.data_interval_start.to_rfc3339(),
        "dag_run_id": run.run_id,
        "what": run.fate.as_str(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_days_or_instants() {
        assert_eq!(date("2025-04-02").unwrap().to_rfc3339(), "2025-04-02T00:00:00Z");
        assert_eq!(
            date("2025-04-02T06:00:00Z").unwrap().to_rfc3339(),
            "2025-04-02T06:00:00Z"
        );
        assert!(date("yesterday").is_err());
        assert_eq!(reprocess("failed"), Ok(Reprocess::Failed));
        assert!(reprocess("all").is_err());
    }
}
