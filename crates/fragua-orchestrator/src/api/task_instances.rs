//! Task instances.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Failure, Path, date_or_null, seconds};
use crate::{Clearing, DagRun, Orchestrator, TaskInstance, TaskState};

pub(super) async fn list(
    State(orchestrator): State<Orchestrator>,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    let run = orchestrator.dag_run(&dag_id, &run_id).await?;
    let instances = orchestrator.task_instances(&dag_id, &run_id).await?;
    let total = instances.len();
    let instances: Vec<Value> = instances
        .iter()
        .map(|instance| task_instance_json(&run, instance))
        .collect();
    Ok(Json(
        json!({ "task_instances": instances, "total_entries": total }),
    ))
}

pub(super) async fn get_one(
    State(orchestrator): State<Orchestrator>,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
) -> Result<Json<Value>, Failure> {
    let run = orchestrator.dag_run(&dag_id, &run_id).await?;
    let instance = orchestrator.task_instance(&dag_id, &run_id, &task_id).await?;
    Ok(Json(task_instance_json(&run, &instance)))
}

#[derive(Debug, Deserialize)]
pub(super) struct Clear {
    dag_run_id: Option<String>,
    #[serde(default = "yes")]
    dry_run: bool,
    #[serde(default = "yes")]
    only_failed: bool,
    #[serde(default)]
    include_downstream: bool,
    #[serde(default)]
    include_upstream: bool,
    #[serde(default)]
    include_past: bool,
    #[serde(default)]
    include_future: bool,
    task_ids: Option<Vec<TaskName>>,
}

const fn yes() -> bool {
    true
}

/// A task, or one of those that it was mapped to, which is a pair with its number; here each task is one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TaskName {
    Plain(String),
    Mapped(String, serde::de::IgnoredAny),
}

pub(super) async fn clear(
    State(orchestrator): State<Orchestrator>,
    Path(dag_id): Path<String>,
    Body(body): Body<Clear>,
) -> Result<Json<Value>, Failure> {
    let Some(run_id) = body.dag_run_id else {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "dag_run_id must name the run whose tasks are cleared",
        ));
    };
    let task_ids = body
        .task_ids
        .unwrap_or_default()
        .into_iter()
        .map(|name| match name {
            TaskName::Plain(task_id) | TaskName::Mapped(task_id, _) => task_id,
        });
    let clearing = Clearing {
        upstream: body.include_upstream,
        past: body.include_past,
        future: body.include_future,
        task_ids: task_ids.collect(),
        downstream: body.include_downstream,
        only_failed: body.only_failed,
        dry_run: body.dry_run,
    };
    let cleared = orchestrator.clear_tasks(&dag_id, &run_id, &clearing).await?;
    let run = orchestrator.dag_run(&dag_id, &run_id).await?;
    let total = cleared.len();
    let instances: Vec<Value> = cleared
        .iter()
        .map(|instance| task_instance_json(&run, instance))
        .collect();
    Ok(Json(
        json!({ "task_instances": instances, "total_entries": total }),
    ))
}

fn task_instance_json(run: &DagRun, instance: &TaskInstance) -> Value {
    let state = match instance.state {
        TaskState::None => Value::Null,
        state => state.as_str().into(),
    };
    json!({
        "id": instance.id,
        "task_id": instance.task_id,
        "dag_id": instance.dag_id,
        "dag_run_id": instance.run_id,
        "map_index": instance.map_index.map_or(-1, i64::from),
        "logical_date": date_or_null(run.logical_date),
        "run_after": super::date(run.run_after),
        "start_date": date_or_null(instance.started_at),
        "end_date": date_or_null(instance.ended_at),
        "duration": seconds(instance.started_at, instance.ended_at),
        "state": state,
        "try_number": instance.attempt,
        "max_tries": instance.retries,
        "task_display_name": instance.task_id,
        "dag_display_name": instance.dag_id,
        "hostname": null,
        "unixname": null,
        "pool": instance.pool,
        "pool_slots": instance.pool_slots,
        "queue": instance.queue,
        "priority_weight": instance.priority_weight,
        "operator": instance.operator,
        "operator_name": instance.operator,
        "queued_when": date_or_null(instance.queued_at),
        "scheduled_when": date_or_null(instance.queued_at),
        "pid": null,
        "executor": null,
        "executor_config": "{}",
        "note": instance.message,
        "rendered_map_index": null,
        "rendered_fields": {},
        "trigger": null,
        "triggerer_job": null,
        "dag_version": null,
    })
}
