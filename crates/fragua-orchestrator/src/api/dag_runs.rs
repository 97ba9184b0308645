//! DAG runs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fragua_base::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::dags::FlatSlice;
use super::{Body, Failure, Path, Query, date, date_or_null, seconds};
use crate::{DagRun, DagRunQuery, DagRunState, Orchestrator, TriggerRequest};

/// Stands for every DAG in a path.
const EVERY: &str = "~";

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    #[serde(flatten)]
    slice: FlatSlice,
    state: Option<String>,
}

pub(super) async fn list(
    State(orchestrator): State<Orchestrator>,
    Path(dag_id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Failure> {
    let state = query.state.as_deref().map(|name| {
        let unknown = || {
            Failure::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("{name:?} is no state of a DAG run"),
            )
        };
        DagRunState::parse(name).ok_or_else(unknown)
    });
    if dag_id != EVERY {
        orchestrator.dag(&dag_id).await?;
    }
    let slice = query.slice.read()?;
    let query = DagRunQuery {
        dag_id: (dag_id != EVERY).then_some(dag_id),
        state: state.transpose()?,
        limit: slice.limit(),
        offset: slice.offset,
    };
    let total = orchestrator.count_dag_runs(&query).await?;
    let runs: Vec<Value> = orchestrator
        .dag_runs(query)
        .await?
        .iter()
        .map(dag_run_json)
        .collect();
    Ok(Json(json!({ "dag_runs": runs, "total_entries": total })))
}

pub(super) async fn get_one(
    State(orchestrator): State<Orchestrator>,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(dag_run_json(&orchestrator.dag_run(&dag_id, &run_id).await?)))
}

#[derive(Debug, Deserialize)]
pub(super) struct Trigger {
    dag_run_id: Option<String>,
    conf: Option<Map<String, Value>>,
    note: Option<String>,
}

/// The key `logical_date` must be there, and may be null.
pub(super) async fn trigger(
    State(orchestrator): State<Orchestrator>,
    Path(dag_id): Path<String>,
    Body(body): Body<Map<String, Value>>,
) -> Result<Json<Value>, Failure> {
    let logical_date = match body.get("logical_date") {
        None => {
            return Err(Failure::invalid_field(
                "logical_date",
                "missing",
                "Field required",
            ));
        }
        Some(Value::Null) => None,
        Some(Value::String(text)) => Some(Timestamp::parse_rfc3339(text).map_err(|error| {
            Failure::invalid_field("logical_date", "datetime_from_date_parsing", &error.to_string())
        })?),
        Some(_) => {
            return Err(Failure::invalid_field(
                "logical_date",
                "datetime_type",
                "Input should be a valid datetime",
            ));
        }
    };
    let trigger: Trigger = serde_json::from_value(Value::Object(body))
        .map_err(|error| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let request = TriggerRequest {
        params: trigger.conf.unwrap_or_default(),
        logical_date,
        run_id: trigger.dag_run_id,
        note: trigger.note,
    };
    Ok(Json(dag_run_json(&orchestrator.trigger(&dag_id, request).await?)))
}

fn dag_run_json(run: &DagRun) -> Value {
    json!({
        "dag_id": run.dag_id,
        "dag_display_name": run.dag_id,
        "dag_run_id": run.run_id,
        "run_type": run.run_type.as_str(),
        "state": run.state.as_str(),
        "logical_date": date_or_null(run.logical_date),
        "data_interval_start": date(run.data_interval_start),
        "data_interval_end": date(run.data_interval_end),
        "run_after": date(run.run_after),
        "queued_at": date(run.queued_at),
        "start_date": date_or_null(run.started_at),
        "end_date": date_or_null(run.ended_at),
        "duration": seconds(run.started_at, run.ended_at),
        "last_scheduling_decision": null,
        "conf": run.params,
        "note": run.note,
        "triggered_by": if run.run_type == crate::RunType::Manual { "rest_api" } else { "timetable" },
        "triggering_user_name": null,
        "bundle_version": null,
        "dag_versions": [],
    })
}
