//! Import errors.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Failure;
use crate::Orchestrator;

pub(super) async fn list(State(orchestrator): State<Orchestrator>) -> Result<Json<Value>, Failure> {
    let errors = orchestrator.import_errors_with_times().await?;
    let total = errors.len();
    let errors: Vec<Value> = errors
        .iter()
        .enumerate()
        .map(|(index, (seen_at, error))| {
            json!({
                "import_error_id": index,
                "timestamp": super::date(*seen_at),
                "filename": error.path,
                "bundle_name": "dags-folder",
                "stack_trace": error.to_string(),
                "line": error.line,
                "column": error.column,
                "hint": error.hint,
            })
        })
        .collect();
    Ok(Json(json!({ "import_errors": errors, "total_entries": total })))
}
