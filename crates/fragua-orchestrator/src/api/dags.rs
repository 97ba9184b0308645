//! DAGs.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Failure, Path, Query, Slice, date, date_or_null};
use crate::{DagSummary, Orchestrator, Schedule};

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    #[serde(flatten)]
    slice: FlatSlice,
    dag_id_pattern: Option<String>,
    paused: Option<bool>,
    tags: Option<String>,
}

/// A query string is all texts, which a flattened number does not accept by itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FlatSlice {
    limit: Option<String>,
    offset: Option<String>,
}

impl FlatSlice {
    pub(super) fn read(&self) -> Result<Slice, Failure> {
        let number = |text: &Option<String>, name: &str, usual: u64| match text {
            None => Ok(usual),
            Some(text) => text.parse().map_err(|_| {
                Failure::new(
                    axum::http::StatusCode::UNPROCESSABLE_ENTITY,
                    format!("{name} must be a whole number"),
                )
            }),
        };
        Ok(Slice {
            limit: number(&self.limit, "limit", Slice::usual_limit())?,
            offset: number(&self.offset, "offset", 0)?,
        })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Patch {
    is_paused: bool,
}

pub(super) async fn list(
    State(orchestrator): State<Orchestrator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Failure> {
    let slice = query.slice.read()?;
    let mut dags = orchestrator.list_dags().await?;
    dags.retain(|dag| {
        let pattern = query
            .dag_id_pattern
            .as_deref()
            .unwrap_or_default()
            .trim_matches('%');
        dag.dag.dag_id.contains(pattern)
            && query.paused.is_none_or(|paused| paused == dag.is_paused)
            && query.tags.as_ref().is_none_or(|tag| dag.dag.tags.contains(tag))
    });
    let total = dags.len();
    let dags: Vec<Value> = slice.of(dags).iter().map(dag_json).collect();
    Ok(Json(json!({ "dags": dags, "total_entries": total })))
}

pub(super) async fn get_one(
    State(orchestrator): State<Orchestrator>,
    Path(dag_id): Path<String>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(dag_json(&orchestrator.dag(&dag_id).await?)))
}

pub(super) async fn patch(
    State(orchestrator): State<Orchestrator>,
    Path(dag_id): Path<String>,
    Body(patch): Body<Patch>,
) -> Result<Json<Value>, Failure> {
    orchestrator.set_paused(&dag_id, patch.is_paused).await?;
    Ok(Json(dag_json(&orchestrator.dag(&dag_id).await?)))
}

fn dag_json(summary: &DagSummary) -> Value {
    let dag = &summary.dag;
    let timetable = &dag.timetable;
    let tags: Vec<Value> = dag
        .tags
        .iter()
        .map(|tag| json!({ "name": tag, "dag_id": dag.dag_id }))
        .collect();
    let is_periodic = matches!(timetable.schedule, Schedule::Cron(_) | Schedule::Every(_));
    let next = summary.next_run;
    json!({
        "dag_id": dag.dag_id,
        "dag_display_name": dag.dag_id,
        "description": dag.description,
        "is_paused": summary.is_paused,
        "is_stale": !summary.is_active,
        "last_parsed_time": date(summary.parsed_at),
        "fileloc": summary.path,
        "relative_fileloc": summary.path,
        "file_token": summary.version,
        "bundle_name": "dags-folder",
        "bundle_version": null,
        "owners": [dag.owner.as_deref().unwrap_or("airflow")],
        "tags": tags,
        "timetable_summary": timetable.schedule.to_string(),
        "timetable_description": timetable.schedule.to_string(),
        "timetable_partitioned": false,
        "timetable_periodic": is_periodic,
        "max_active_tasks": 16,
        "max_active_runs": dag.max_active_runs,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": false,
        "has_import_errors": summary.has_import_errors,
        "is_backfillable": is_periodic,
        "next_dagrun_logical_date": date_or_null(next.map(|next| next.data_interval_start)),
        "next_dagrun_data_interval_start": date_or_null(next.map(|next| next.data_interval_start)),
        "next_dagrun_data_interval_end": date_or_null(next.map(|next| next.data_interval_end)),
        "next_dagrun_run_after": date_or_null(next.map(|next| next.run_after)),
    })
}
