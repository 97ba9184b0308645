//! Backfills.

use axum::Json;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::endpoint::{Endpoint, get, post, put};
use super::failure::Failure;
use super::request::{Body, Instant, Path, Query};
use super::shown::{date, date_or_null};
use crate::listing::Column;
use crate::{Backfill, BackfillRequest, BackfillState, Fate, Orchestrator, Reprocess};

const COLUMNS: &[Column] = &[
    Column::number("id", "id"),
    Column::text("dag_id", "dag_id"),
    Column::instant("from_date", "from_date"),
    Column::instant("to_date", "to_date"),
    Column::instant("created_at", "created_at"),
    Column::instant("completed_at", "completed_at"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/api/v2/backfills", "Lists the backfills", list).list(COLUMNS),
        post("/api/v2/backfills", "Makes the runs of a range of dates", create).body::<New>(),
        post(
            "/api/v2/backfills/dry_run",
            "Says which runs would be made",
            dry_run,
        )
        .body::<New>(),
        get("/api/v2/backfills/{backfill_id}", "Returns a backfill", get_one),
        put(
            "/api/v2/backfills/{backfill_id}/pause",
            "Starts no more runs of a backfill",
            pause,
        ),
        put(
            "/api/v2/backfills/{backfill_id}/unpause",
            "Goes on with a backfill",
            unpause,
        ),
        put(
            "/api/v2/backfills/{backfill_id}/cancel",
            "Ends a backfill",
            cancel,
        ),
    ]
}

async fn list(Caller(orchestrator): Caller, query: Query) -> Result<Json<Value>, Failure> {
    let listing = query.listing(COLUMNS, &[("id", false)])?;
    let backfills = orchestrator.backfills(None).await?;
    let (backfills, total) = listing.of(backfills.iter().map(backfill_json).collect());
    Ok(Json(json!({ "backfills": backfills, "total_entries": total })))
}

/// A range of dates.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct New {
    dag_id: String,
    from_date: Instant,
    to_date: Instant,
    #[serde(default)]
    run_backwards: bool,
    #[serde(default)]
    dag_run_conf: Option<Map<String, Value>>,
    #[serde(default)]
    reprocess_behavior: Behavior,
    #[serde(default = "ten")]
    max_active_runs: u32,
    #[serde(default)]
    run_on_latest_version: Option<bool>,
}

const fn ten() -> u32 {
    10
}

/// Which of the runs that exist are done again.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Behavior {
    #[default]
    None,
    Failed,
    Completed,
}

impl New {
    /// A run that is done again keeps its version, one that is made has the newest: `run_on_latest_version` changes
    /// nothing for most, so it is taken.
    fn request(self, dry_run: bool) -> (String, BackfillRequest) {
        let request = BackfillRequest {
            from: self.from_date.0,
            to: self.to_date.0,
            max_active_runs: self.max_active_runs,
            reprocess: match self.reprocess_behavior {
                Behavior::None => Reprocess::None,
                Behavior::Failed => Reprocess::Failed,
                Behavior::Completed => Reprocess::Completed,
            },
            is_reversed: self.run_backwards,
            params: self.dag_run_conf.unwrap_or_default(),
            dry_run,
        };
        (self.dag_id, request)
    }
}

async fn create(Caller(orchestrator): Caller, Body(new): Body<New>) -> Result<Json<Value>, Failure> {
    if new.run_on_latest_version == Some(true) && !matches!(new.reprocess_behavior, Behavior::None) {
        let message = "a run that is done again keeps the version of its DAG here: leave it out";
        return Err(Failure::not_offered("run_on_latest_version", message));
    }
    let (dag_id, request) = new.request(false);
    let open = |backfill: &Backfill| !backfill.state.is_finished();
    if orchestrator.backfills(Some(&dag_id)).await?.iter().any(open) {
        return Err(Failure::conflict(format!(
            "There is already a running backfill for dag {dag_id}"
        )));
    }
    let (backfill, _) = orchestrator.backfill(&dag_id, &request).await?;
    Ok(Json(backfill_json(&backfill)))
}

async fn dry_run(Caller(orchestrator): Caller, Body(new): Body<New>) -> Result<Json<Value>, Failure> {
    let (dag_id, request) = new.request(true);
    let (_, runs) = orchestrator.backfill(&dag_id, &request).await?;
    let made = runs
        .iter()
        .filter(|run| matches!(run.fate, Fate::Made | Fate::Again));
    let made: Vec<Value> = made
        .map(|run| {
            json!({
                "logical_date": date(run.interval.data_interval_start),
                "partition_date": null,
                "partition_key": null,
            })
        })
        .collect();
    Ok(Json(json!({ "total_entries": made.len(), "backfills": made })))
}

async fn find(orchestrator: &Orchestrator, number: u64) -> Result<Backfill, Failure> {
    Ok(orchestrator.backfill_of_number(number).await?)
}

async fn get_one(Caller(orchestrator): Caller, Path(number): Path<u64>) -> Result<Json<Value>, Failure> {
    Ok(Json(backfill_json(&find(&orchestrator, number).await?)))
}

async fn pause(caller: Caller, number: Path<u64>) -> Result<Json<Value>, Failure> {
    set_paused(caller, number, true).await
}

async fn unpause(caller: Caller, number: Path<u64>) -> Result<Json<Value>, Failure> {
    set_paused(caller, number, false).await
}

async fn set_paused(
    Caller(orchestrator): Caller,
    Path(number): Path<u64>,
    is_paused: bool,
) -> Result<Json<Value>, Failure> {
    let backfill = open(&orchestrator, number).await?;
    let changed = orchestrator.set_backfill_paused(&backfill.id, is_paused).await?;
    Ok(Json(backfill_json(&changed)))
}

async fn cancel(Caller(orchestrator): Caller, Path(number): Path<u64>) -> Result<Json<Value>, Failure> {
    let backfill = open(&orchestrator, number).await?;
    Ok(Json(backfill_json(
        &orchestrator.cancel_backfill(&backfill.id).await?,
    )))
}

/// Finds a backfill that is not over.
async fn open(orchestrator: &Orchestrator, number: u64) -> Result<Backfill, Failure> {
    let backfill = find(orchestrator, number).await?;
    match backfill.state.is_finished() {
        true => Err(Failure::conflict("Backfill is already completed.")),
        false => Ok(backfill),
    }
}

fn backfill_json(backfill: &Backfill) -> Value {
    json!({
        "id": backfill.number(),
        "dag_id": backfill.dag_id,
        "dag_display_name": backfill.dag_id,
        "from_date": date(backfill.from),
        "to_date": date(backfill.to),
        "dag_run_conf": backfill.params,
        "is_paused": backfill.state == BackfillState::Paused,
        "reprocess_behavior": backfill.reprocess.as_str(),
        "max_active_runs": backfill.max_active_runs,
        "created_at": date(backfill.created_at),
        "completed_at": date_or_null(backfill.ended_at),
        "updated_at": date(backfill.ended_at.unwrap_or(backfill.created_at)),
    })
}
