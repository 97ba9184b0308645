//! DAGs, their tasks, sources and versions.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::endpoint::{Endpoint, delete, get, patch};
use super::failure::Failure;
use super::request::{Body, Path, Query};
use super::shown::{BUNDLE, Versions, date, date_or_null, version_json};
use crate::listing::Column;
use crate::{Dag, DagRunQuery, DagRunState, DagSummary, Orchestrator, Schedule, Task};

const COLUMNS: &[Column] = &[
    Column::text("dag_id", "dag_id"),
    Column::text("dag_display_name", "dag_display_name"),
    Column::text("owners", "owners"),
    Column::truth("paused", "is_paused"),
    Column::truth("is_paused", "is_paused"),
    Column::truth("has_import_errors", "has_import_errors"),
    Column::choice("last_dag_run_state", "last_run_state", is_run_state),
    Column::text("last_run_state", "last_run_state"),
    Column::instant("next_dagrun", "next_dagrun_run_after"),
    Column::text("bundle_name", "bundle_name"),
];

const VERSION_COLUMNS: &[Column] = &[
    Column::number("version_number", "version_number"),
    Column::text("bundle_name", "bundle_name"),
    Column::instant("created_at", "created_at"),
];

const TAG_COLUMNS: &[Column] = &[Column::text("name", "name"), Column::text("tag_name", "name")];

const TASK_COLUMNS: &[Column] = &[
    Column::text("task_id", "task_id"),
    Column::text("operator_name", "operator_name"),
    Column::text("trigger_rule", "trigger_rule"),
    Column::text("pool", "pool"),
    Column::text("queue", "queue"),
];

/// Says which DAGs, beside the columns.
const TAGS: &[&str] = &["tags", "tags_match_mode"];

pub(super) fn is_run_state(name: &str) -> bool {
    DagRunState::parse(name).is_some()
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/api/v2/dags", "Lists the DAGs", list)
            .list(COLUMNS)
            .query(TAGS),
        patch("/api/v2/dags", "Pauses or unpauses DAGs", patch_many)
            .list(COLUMNS)
            .query(TAGS)
            .body::<Patch>(),
        get("/api/v2/dags/{dag_id}", "Returns a DAG", get_one),
        patch("/api/v2/dags/{dag_id}", "Pauses or unpauses a DAG", patch_one).body::<Patch>(),
        delete("/api/v2/dags/{dag_id}", "Forgets a DAG with its runs", delete_one),
        get(
            "/api/v2/dags/{dag_id}/details",
            "Returns a DAG with all that its file says of it",
            details,
        ),
        get("/api/v2/dags/{dag_id}/tasks", "Lists the tasks of a DAG", tasks).list(TASK_COLUMNS),
        get("/api/v2/dags/{dag_id}/tasks/{task_id}", "Returns a task", task),
        get(
            "/api/v2/dags/{dag_id}/dagVersions",
            "Lists the versions of a DAG",
            versions,
        )
        .list(VERSION_COLUMNS),
        get(
            "/api/v2/dags/{dag_id}/dagVersions/{version_number}",
            "Returns a version of a DAG",
            version,
        ),
        get(
            "/api/v2/dagSources/{dag_id}",
            "Returns the text of a DAG's file, as JSON or text",
            source,
        )
        .query(&["version_number"]),
        get("/api/v2/dagTags", "Lists the tags of all DAGs", tags).list(TAG_COLUMNS),
        get("/api/v2/dagStats", "Counts the runs of DAGs by state", stats).query(&["dag_ids"]),
        get(
            "/api/v2/dagWarnings",
            "Lists warnings about DAGs: there are none",
            warnings,
        ),
    ]
}

async fn listed(orchestrator: &Orchestrator, query: &Query) -> Result<(Vec<Value>, u64), Failure> {
    let listing = query.listing(COLUMNS, &[("dag_id", false)])?;
    let tags: Vec<&str> = query.all("tags").filter(|tag| !tag.is_empty()).collect();
    let needs_all = query.text("tags_match_mode") == Some("all");
    let has = |dag: &Dag, tag: &&str| dag.tags.iter().any(|own| own == tag);
    let wanted = |dag: &Dag| {
        let mut tags = tags.iter();
        match needs_all {
            true => tags.all(|tag| has(dag, tag)),
            false => tags.len() == 0 || tags.any(|tag| has(dag, tag)),
        }
    };
    let dags = orchestrator.list_dags().await?;
    let dags = dags.iter().filter(|summary| wanted(&summary.dag));
    Ok(listing.of(dags.map(dag_json).collect()))
}

pub(super) async fn list(Caller(orchestrator): Caller, query: Query) -> Result<Json<Value>, Failure> {
    let (dags, total) = listed(&orchestrator, &query).await?;
    Ok(Json(json!({ "dags": dags, "total_entries": total })))
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Patch {
    is_paused: bool,
}

async fn patch_many(
    Caller(orchestrator): Caller,
    query: Query,
    Body(patch): Body<Patch>,
) -> Result<Json<Value>, Failure> {
    if query.text("dag_id_pattern").is_none_or(str::is_empty) && query.all("tags").next().is_none() {
        let message = "say which DAGs: give dag_id_pattern (~ is all of them) or tags";
        return Err(Failure::invalid("query", "dag_id_pattern", "missing", message));
    }
    let (mut dags, total) = listed(&orchestrator, &query).await?;
    for dag in &mut dags {
        if let Some(dag_id) = dag["dag_id"].as_str() {
            orchestrator.set_paused(dag_id, patch.is_paused).await?;
        }
        dag["is_paused"] = patch.is_paused.into();
    }
    Ok(Json(json!({ "dags": dags, "total_entries": total })))
}

pub(super) async fn get_one(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(dag_json(&orchestrator.dag(&dag_id).await?)))
}

pub(super) async fn patch_one(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
    Body(patch): Body<Patch>,
) -> Result<Json<Value>, Failure> {
    orchestrator.set_paused(&dag_id, patch.is_paused).await?;
    Ok(Json(dag_json(&orchestrator.dag(&dag_id).await?)))
}

pub(super) async fn delete_one(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
) -> Result<StatusCode, Failure> {
    orchestrator.delete_dag(&dag_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn details(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let summary = orchestrator.dag(&dag_id).await?;
    let dag = &summary.dag;
    let versions = Versions::of(&orchestrator, [dag_id.as_str()]).await?;
    let running = DagRunQuery {
        dag_id: Some(dag_id.clone()),
        state: Some(DagRunState::Running),
        ..DagRunQuery::default()
    };
    let mut shown = dag_json(&summary);
    let more = json!({
        "catchup": dag.catchup,
        "concurrency": dag.max_active_tasks,
        "dag_run_timeout": dag.dagrun_timeout.map(iso_duration),
        "default_args": {},
        "doc_md": null,
        "start_date": date_or_null(dag.timetable.start_date),
        "end_date": date_or_null(dag.timetable.end_date),
        "is_paused_upon_creation": orchestrator.settings().dags_are_paused_at_creation,
        "params": dag.params,
        "render_template_as_native_obj": false,
        "template_search_path": null,
        "timezone": dag.timetable.timezone,
        "last_parsed": date(summary.parsed_at),
        "owner_links": {},
        "is_favorite": false,
        "active_runs_count": orchestrator.count_dag_runs(&running).await?,
        "latest_dag_version": versions.shown(&dag_id, &summary.version),
        "asset_expression": null,
    });
    if let (Some(shown), Value::Object(more)) = (shown.as_object_mut(), more) {
        shown.extend(more);
    }
    Ok(Json(shown))
}

/// As ISO 8601 writes a time.
fn iso_duration(duration: Duration) -> String {
    format!("PT{}S", duration.as_secs_f64())
}

pub(super) fn dag_json(summary: &DagSummary) -> Value {
    let dag = &summary.dag;
    let timetable = &dag.timetable;
    let tags: Vec<Value> = dag
        .tags
        .iter()
        .map(|tag| json!({ "name": tag, "dag_id": dag.dag_id, "dag_display_name": dag.dag_id }))
        .collect();
    let is_periodic = matches!(timetable.schedule, Schedule::Cron(_) | Schedule::Every(_));
    let has_limits = dag.tasks.iter().any(|task| {
        task.placement.max_active_tis_per_dag.is_some() || task.placement.max_active_tis_per_dagrun.is_some()
    });
    let next = summary.next_run;
    json!({
        "dag_id": dag.dag_id,
        "dag_display_name": dag.dag_id,
        "description": dag.description,
        "is_paused": summary.is_paused,
        "is_stale": !summary.is_active,
        "last_parsed_time": date(summary.parsed_at),
        "last_parse_duration": null,
        "last_expired": null,
        "fileloc": summary.path,
        "relative_fileloc": summary.path,
        "file_token": summary.version,
        "bundle_name": BUNDLE,
        "bundle_version": null,
        "owners": [dag.owner.as_deref().unwrap_or("airflow")],
        "tags": tags,
        "timetable_summary": timetable.schedule.to_string(),
        "timetable_description": timetable.schedule.to_string(),
        "timetable_partitioned": false,
        "timetable_periodic": is_periodic,
        "max_active_tasks": dag.max_active_tasks,
        "max_active_runs": dag.max_active_runs,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": has_limits,
        "has_import_errors": summary.has_import_errors,
        "is_backfillable": is_periodic,
        "allowed_run_types": null,
        "last_run_state": summary.recent_runs.first().map(|run| run.state.as_str()),
        "next_dagrun_logical_date": date_or_null(next.map(|next| next.data_interval_start)),
        "next_dagrun_data_interval_start": date_or_null(next.map(|next| next.data_interval_start)),
        "next_dagrun_data_interval_end": date_or_null(next.map(|next| next.data_interval_end)),
        "next_dagrun_run_after": date_or_null(next.map(|next| next.run_after)),
    })
}

pub(super) async fn tasks(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let mut listing = query.listing(TASK_COLUMNS, &[])?;
    // Airflow gives all of them.
    listing.limit = u64::MAX;
    let dag = orchestrator.dag(&dag_id).await?.dag;
    let (tasks, total) = listing.of(dag.tasks.iter().map(|task| task_json(&dag, task)).collect());
    Ok(Json(json!({ "tasks": tasks, "total_entries": total })))
}

pub(super) async fn task(
    Caller(orchestrator): Caller,
    Path((dag_id, task_id)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    let dag = orchestrator.dag(&dag_id).await?.dag;
    let task = dag.task(&task_id);
    let task = task.ok_or_else(|| Failure::not_found(format!("DAG {dag_id:?} has no task {task_id:?}")))?;
    Ok(Json(task_json(&dag, task)))
}

fn task_json(dag: &Dag, task: &Task) -> Value {
    let time = |duration: Duration| {
        json!({
            "__type": "TimeDelta",
            "days": duration.as_secs() / 86_400,
            "seconds": duration.as_secs() % 86_400,
            "microseconds": duration.subsec_micros(),
        })
    };
    let downstream: Vec<&str> = dag
        .successors(&task.task_id)
        .map(|task| task.task_id.as_str())
        .collect();
    let place = &task.placement;
    json!({
        "task_id": task.task_id,
        "task_display_name": task.task_id,
        "owner": dag.owner.as_deref().unwrap_or("airflow"),
        "start_date": date_or_null(dag.timetable.start_date),
        "end_date": date_or_null(dag.timetable.end_date),
        "trigger_rule": task.trigger_rule,
        "depends_on_past": task.depends_on_past,
        "wait_for_downstream": task.wait_for_downstream,
        "retries": task.retries,
        "queue": place.queue,
        "pool": place.pool,
        "pool_slots": place.pool_slots,
        "execution_timeout": task.execution_timeout.map(time),
        "retry_delay": time(task.retry_delay),
        "retry_exponential_backoff": task.retry_exponential_backoff.unwrap_or(0.0),
        "priority_weight": place.priority_weight,
        "weight_rule": place.weight_rule,
        "ui_color": null,
        "ui_fgcolor": null,
        "template_fields": [],
        "downstream_task_ids": downstream,
        "doc_md": task.description,
        "operator_name": task.operator,
        "params": {},
        "class_ref": { "module_path": "fragua", "class_name": task.operator },
        "is_mapped": task.expand.is_some(),
        "extra_links": [],
    })
}

pub(super) async fn versions(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let listing = query.listing(VERSION_COLUMNS, &[("version_number", false)])?;
    orchestrator.dag(&dag_id).await?;
    let versions = orchestrator.numbered_versions(&[&dag_id]).await?;
    let (versions, total) = listing.of(versions.iter().map(version_json).collect());
    Ok(Json(json!({ "dag_versions": versions, "total_entries": total })))
}

pub(super) async fn version(
    Caller(orchestrator): Caller,
    Path((dag_id, number)): Path<(String, u32)>,
) -> Result<Json<Value>, Failure> {
    let version = find_version(&orchestrator, &dag_id, number).await?;
    Ok(Json(version_json(&version)))
}

async fn find_version(
    orchestrator: &Orchestrator,
    dag_id: &str,
    number: u32,
) -> Result<crate::listing::NumberedVersion, Failure> {
    let mut versions = orchestrator.numbered_versions(&[dag_id]).await?.into_iter();
    let found = versions.find(|version| version.number == number);
    found.ok_or_else(|| Failure::not_found(format!("DAG {dag_id:?} has no version {number}")))
}

pub(super) async fn source(
    Caller(orchestrator): Caller,
    Path(dag_id): Path<String>,
    query: Query,
    headers: axum::http::HeaderMap,
) -> Result<axum::response::Response, Failure> {
    use axum::response::IntoResponse as _;
    let (hash, number) = match query.number::<u32>("version_number")? {
        Some(number) => (
            find_version(&orchestrator, &dag_id, number).await?.version,
            number,
        ),
        None => {
            let hash = orchestrator.dag(&dag_id).await?.version;
            let versions = orchestrator.numbered_versions(&[&dag_id]).await?;
            let current = versions.iter().find(|version| version.version == hash);
            let number = current.map_or(1, |version| version.number);
            (hash, number)
        }
    };
    let content = orchestrator
        .dag_version_source(&dag_id, &hash)
        .await?
        .unwrap_or_default();
    let accept = headers
        .get(axum::http::header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.starts_with("text/plain")) {
        return Ok(content.into_response());
    }
    Ok(Json(json!({
        "content": content,
        "dag_id": dag_id,
        "dag_display_name": dag_id,
        "version_number": number,
    }))
    .into_response())
}

async fn tags(Caller(orchestrator): Caller, query: Query) -> Result<Json<Value>, Failure> {
    let listing = query.listing(TAG_COLUMNS, &[("name", false)])?;
    let dags = orchestrator.list_dags().await?;
    let mut names: Vec<&String> = dags.iter().flat_map(|summary| &summary.dag.tags).collect();
    names.sort_unstable();
    names.dedup();
    let (tags, total) = listing.of(names.into_iter().map(|name| json!({ "name": name })).collect());
    let tags: Vec<&Value> = tags.iter().map(|tag| &tag["name"]).collect();
    Ok(Json(json!({ "tags": tags, "total_entries": total })))
}

async fn stats(Caller(orchestrator): Caller, query: Query) -> Result<Json<Value>, Failure> {
    let wanted: Vec<&str> = query.all("dag_ids").flat_map(|names| names.split(',')).collect();
    let counts = orchestrator.count_runs_by_state().await?;
    let dags = orchestrator.list_dags().await?;
    let shown = dags
        .iter()
        .map(|summary| summary.dag.dag_id.as_str())
        .filter(|dag_id| wanted.is_empty() || wanted.contains(dag_id))
        .map(|dag_id| {
            let stats: Vec<Value> = DagRunState::ALL
                .into_iter()
                .map(|state| {
                    let key = (dag_id.to_owned(), state.as_str().to_owned());
                    json!({ "state": state.as_str(), "count": counts.get(&key).copied().unwrap_or(0) })
                })
                .collect();
            json!({ "dag_id": dag_id, "dag_display_name": dag_id, "stats": stats })
        });
    let shown: Vec<Value> = shown.collect();
    Ok(Json(json!({ "total_entries": shown.len(), "dags": shown })))
}

async fn warnings(_: Caller) -> Json<Value> {
    Json(json!({ "dag_warnings": [], "total_entries": 0 }))
}
