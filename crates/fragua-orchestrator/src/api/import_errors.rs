//! Import errors.

use axum::Json;
use serde_json::{Value, json};

use super::caller::Caller;
use super::endpoint::{Endpoint, get};
use super::failure::Failure;
use super::request::{Path, Query};
use super::shown::{BUNDLE, date};
use crate::Orchestrator;
use crate::listing::Column;

const COLUMNS: &[Column] = &[
    Column::number("import_error_id", "import_error_id"),
    Column::number("id", "import_error_id"),
    Column::instant("timestamp", "timestamp"),
    Column::text("filename", "filename"),
    Column::text("bundle_name", "bundle_name"),
    Column::text("stack_trace", "stack_trace"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/api/v2/importErrors", "Lists what is wrong with DAG files", list).list(COLUMNS),
        get(
            "/api/v2/importErrors/{import_error_id}",
            "Returns what is wrong with a DAG file",
            get_one,
        ),
    ]
}

async fn shown(orchestrator: &Orchestrator) -> Result<Vec<Value>, Failure> {
    let errors = orchestrator.import_errors_with_times().await?;
    let numbered = errors.iter().enumerate();
    let shown = numbered.map(|(index, (seen_at, error))| {
        json!({
            "import_error_id": index,
            "timestamp": date(*seen_at),
            "filename": error.path,
            "bundle_name": BUNDLE,
            "stack_trace": error.to_string(),
            "line": error.line,
            "column": error.column,
            "hint": error.hint,
        })
    });
    Ok(shown.collect())
}

pub(super) async fn list(Caller(orchestrator): Caller, query: Query) -> Result<Json<Value>, Failure> {
    let listing = query.listing(COLUMNS, &[("id", false)])?;
    let (errors, total) = listing.of(shown(&orchestrator).await?);
    Ok(Json(json!({ "import_errors": errors, "total_entries": total })))
}

async fn get_one(Caller(orchestrator): Caller, Path(id): Path<u64>) -> Result<Json<Value>, Failure> {
    let mut errors = shown(&orchestrator).await?.into_iter();
    let found = errors.find(|error| error["import_error_id"] == id);
    let missing = || {
        Failure::not_found(format!(
            "The ImportError with import_error_id: `{id}` was not found"
        ))
    };
    Ok(Json(found.ok_or_else(missing)?))
}
