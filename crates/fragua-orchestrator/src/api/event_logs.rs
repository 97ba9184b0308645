//! Who changed what.

use axum::Json;
use serde_json::{Value, json};

use super::caller::Caller;
use super::endpoint::{Endpoint, get};
use super::failure::Failure;
use super::request::{Path, Query, parse_instant};
use super::shown::date;
use crate::listing::{Bound, Column, Comparison, Listing, Test};
use crate::{AuditEntry, Orchestrator};

const ID: Column = Column::number("event_log_id", "audit_log.id");
const WHEN: Column = Column::instant("when", "audit_log.happened_at");
const EVENT: Column = Column::text("event", "audit_log.event");

const COLUMNS: &[Column] = &[
    ID,
    Column::number("id", "audit_log.id"),
    WHEN,
    Column::instant("dttm", "audit_log.happened_at"),
    EVENT,
    Column::text("dag_id", "audit_log.dag_id"),
    Column::text("run_id", "audit_log.run_id"),
    Column::text("task_id", "audit_log.task_id"),
    Column::text("owner", "audit_log.owner"),
    Column::text("extra", "audit_log.extra"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/api/v2/eventLogs", "Lists who changed what", list)
            .list(COLUMNS)
            .query(&["after", "before", "included_events"]),
        get("/api/v2/eventLogs/{event_log_id}", "Returns one entry", get_one),
    ]
}

async fn list(Caller(orchestrator): Caller, query: Query) -> Result<Json<Value>, Failure> {
    let mut listing = query.listing(COLUMNS, &[("id", false)])?;
    let bounds: [(&str, Bound); 2] = [("after", Comparison::Above), ("before", Comparison::Below)];
    for (name, comparison) in bounds {
        if let Some(text) = query.text(name).filter(|text| !text.is_empty()) {
            let wrong =
                |message: String| Failure::invalid("query", name, "datetime_from_date_parsing", &message);
            let at = parse_instant(&text.replace(' ', "+")).map_err(wrong)?;
            let comparison = comparison(at.as_millis());
            listing.tests.push(Test {
                column: WHEN,
                comparison,
            });
        }
    }
    let included: Vec<String> = query.all("included_events").map(str::to_owned).collect();
    if !included.is_empty() {
        listing.tests.push(Test::one_of(EVENT, included));
    }
    page(&orchestrator, &listing).await
}

async fn page(orchestrator: &Orchestrator, listing: &Listing) -> Result<Json<Value>, Failure> {
    let (entries, total) = orchestrator.list_audit_log(listing).await?;
    let shown: Vec<Value> = entries.iter().map(|(id, entry)| entry_json(*id, entry)).collect();
    Ok(Json(json!({ "event_logs": shown, "total_entries": total })))
}

async fn get_one(Caller(orchestrator): Caller, Path(id): Path<i64>) -> Result<Json<Value>, Failure> {
    let listing = Listing {
        tests: vec![Test {
            column: ID,
            comparison: Comparison::OneOfNumbers(vec![id]),
        }],
        order: Vec::new(),
        limit: 1,
        offset: 0,
    };
    let (entries, _) = orchestrator.list_audit_log(&listing).await?;
    let missing = || Failure::not_found(format!("The Event Log with id: `{id}` not found"));
    let (id, entry) = entries.first().ok_or_else(missing)?;
    Ok(Json(entry_json(*id, entry)))
}

fn entry_json(id: i64, entry: &AuditEntry) -> Value {
    json!({
        "event_log_id": id,
        "when": date(entry.at),
        "event": entry.event,
        "dag_id": entry.dag_id,
        "dag_display_name": entry.dag_id,
        "run_id": entry.run_id,
        "task_id": entry.task_id,
        "task_display_name": entry.task_id,
        "map_index": null,
        "try_number": null,
        "logical_date": null,
        "owner": entry.owner,
        "extra": entry.extra.to_string(),
    })
}
