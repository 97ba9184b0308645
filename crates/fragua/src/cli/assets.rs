//! `fragua assets`: what tasks update, and what starts runs of DAGs that wait for it.

use std::process::ExitCode;

use clap::Subcommand;
use fragua_base::Timestamp;
use fragua_orchestrator::{AssetEvent, AssetEventQuery};
use serde_json::{Map, Value, json};

use super::dag_runs::instant;
use super::dags::parameters;
use super::desk::Desk;
use super::output::Form;
use super::{Common, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the assets with who updates them and who waits for them
    List {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Lists what happened to assets, newest first
    Events {
        /// Only what happened to this one
        asset: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Says that an asset was updated, which starts what waited for it
    CreateEvent {
        /// Name of the asset, such as s3://bucket/key
        asset: String,
        /// What else is worth knowing, as one JSON object
        #[arg(long, value_name = "JSON", value_parser = parameters)]
        extra: Option<Map<String, Value>>,
        #[command(flatten)]
        form: Form,
    },
}

/// Runs a command on assets.
///
/// # Errors
/// When a setting is wrong, the database cannot be opened, or a name cannot be an asset's.
pub(crate) async fn run(common: &Common, command: Command) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(common).await?;
    match command {
        Command::List { json } => list(&desk, json).await?,
        Command::Events { asset, limit, json } => {
            let query = AssetEventQuery {
                asset,
                limit,
                ..AssetEventQuery::default()
            };
            events(&desk.orchestrator.asset_events(&query).await?, json)?;
        }
        Command::CreateEvent { asset, extra, form } => {
            let event = desk
                .orchestrator
                .create_asset_event(&asset, extra.unwrap_or_default())
                .await?;
            desk.ring().await?;
            form.say(&format!("{asset} was updated"), &event_json(&event))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(desk: &Desk, as_json: bool) -> anyhow::Result<()> {
    let assets = desk.orchestrator.assets().await?;
    let producers = |producers: &[(String, String)]| -> Vec<String> {
        producers
            .iter()
            .map(|(dag_id, task_id)| format!("{dag_id}.{task_id}"))
            .collect()
    };
    if as_json {
        let shown = assets.iter().map(|asset| {
            json!({
                "name": asset.name,
                "producers": producers(&asset.producers),
                "consumers": asset.consumers,
                "last_event_at": asset.last_event_at.map(Timestamp::to_rfc3339),
            })
        });
        return output::json(&shown.collect::<Vec<_>>());
    }
    let rows: Vec<[String; 4]> = assets
        .iter()
        .map(|asset| {
            [
                asset.name.clone(),
                producers(&asset.producers).join(", "),
                asset.consumers.join(", "),
                instant(asset.last_event_at),
            ]
        })
        .collect();
    output::table(["asset", "updated by", "starts", "last update"], &rows)
}

fn events(events: &[AssetEvent], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return output::json(&events.iter().map(event_json).collect::<Vec<_>>());
    }
    let rows: Vec<[String; 3]> = events
        .iter()
        .map(|event| {
            let source = event.source.as_ref();
            let source =
                source.map(|source| format!("{}.{} of {}", source.dag_id, source.task_id, source.run_id));
            [
                event.at.to_rfc3339(),
                event.asset.clone(),
                source.unwrap_or_default(),
            ]
        })
        .collect();
    output::table(["when", "asset", "by"], &rows)
}

fn event_json(event: &AssetEvent) -> Value {
    let source = event.source.as_ref();
    json!({
        "id": event.id,
        "asset": event.asset,
        "extra": event.extra,
        "source_dag_id": source.map(|source| &source.dag_id),
        "source_run_id": source.map(|source| &source.run_id),
        "source_task_id": source.map(|source| &source.task_id),
        "timestamp": event.at.to_rfc3339(),
    })
}
