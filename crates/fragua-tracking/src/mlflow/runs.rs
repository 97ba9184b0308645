//! Runs and logging to them.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use fragua_base::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::experiments::{page_size, view_type};
use super::extract::{Fields, required};
use super::{Answer, done, listed, to_value};
use crate::experiments::ExperimentId;
use crate::metrics::Metric;
use crate::runs::{Batch, NewRun, Param, RunStatus, RunUpdate, Tag};
use crate::wire::runs::{
    DatasetInputWire, MetricWire, ModelInputWire, ModelOutputWire, RunInfoWire, RunWire,
};
use crate::wire::{KeyValue, all, number};
use crate::{Query, Tracking};

/// Where clients before 3.0 note the models they logged.
const LOGGED_MODELS_TAG: &str = "mlflow.log-model.history";

pub(super) fn routes() -> Router<Tracking> {
    Router::new()
        .route("/runs/create", post(create))
        .route("/runs/get", get(show))
        .route("/runs/update", post(update))
        .route("/runs/delete", post(delete))
        .route("/runs/restore", post(restore))
        .route("/runs/search", post(search))
        .route("/runs/log-metric", post(log_metric))
        .route("/runs/log-parameter", post(log_parameter))
        .route("/runs/log-batch", post(log_batch))
        .route("/runs/set-tag", post(set_tag))
        .route("/runs/delete-tag", post(delete_tag))
        .route("/runs/log-inputs", post(log_inputs))
        .route("/runs/outputs", post(log_outputs))
        .route("/runs/log-model", post(log_model))
}

/// Clients name the run by one of two fields, or by both.
#[derive(Deserialize)]
struct RunFields {
    run_id: Option<String>,
    run_uuid: Option<String>,
    key: Option<String>,
    value: Option<String>,
    status: Option<Value>,
    #[serde(default, deserialize_with = "number::integer")]
    end_time: Option<i64>,
    run_name: Option<String>,
    model_json: Option<String>,
}

pub(super) fn run_id(run_id: Option<String>, run_uuid: Option<String>) -> Result<String, ApiError> {
    required(run_id.filter(|id| !id.is_empty()).or(run_uuid), "run_id")
}

#[derive(Deserialize)]
struct Create {
    experiment_id: Option<String>,
    user_id: Option<String>,
    run_name: Option<String>,
    #[serde(default, deserialize_with = "number::integer")]
    start_time: Option<i64>,
    #[serde(default)]
    tags: Vec<KeyValue>,
}

async fn create(State(tracking): State<Tracking>, Fields(fields): Fields<Create>) -> Answer {
    let experiment_id = fields.experiment_id.filter(|id| !id.is_empty());
    let new = NewRun {
        experiment_id: experiment_id.map(|id| id.parse::<ExperimentId>()).transpose()?,
        run_name: fields.run_name,
        user_id: fields.user_id,
        start_time: fields.start_time.map(Timestamp::from_millis),
        tags: all(fields.tags),
    };
    let run = tracking.create_run(new).await?;
    Ok(Json(json!({ "run": to_value(RunWire::from(run))? })))
}

async fn show(State(tracking): State<Tracking>, Fields(fields): Fields<RunFields>) -> Answer {
    let run = tracking.run(&run_id(fields.run_id, fields.run_uuid)?).await?;
    Ok(Json(json!({ "run": to_value(RunWire::from(run))? })))
}

/// A status is a name, or its number in the protocol. One that nobody knows leaves the run as it is, as in MLflow.
fn status(value: &Value) -> Option<RunStatus> {
    match value {
        Value::String(name) => RunStatus::from_name(name),
        Value::Number(number) => match number.as_i64()? {
            1 => Some(RunStatus::Running),
            2 => Some(RunStatus::Scheduled),
            3 => Some(RunStatus::Finished),
            4 => Some(RunStatus::Failed),
            5 => Some(RunStatus::Killed),
            _ => None,
        },
        _ => None,
    }
}

async fn update(State(tracking): State<Tracking>, Fields(fields): Fields<RunFields>) -> Answer {
    let change = RunUpdate {
        status: fields.status.as_ref().and_then(status),
        end_time: fields.end_time.map(Timestamp::from_millis),
        run_name: fields.run_name,
    };
    let info = tracking
        .update_run(&run_id(fields.run_id, fields.run_uuid)?, change)
        .await?;
    Ok(Json(json!({ "run_info": to_value(RunInfoWire::from(info))? })))
}

async fn delete(State(tracking): State<Tracking>, Fields(fields): Fields<RunFields>) -> Answer {
    tracking
        .delete_run(&run_id(fields.run_id, fields.run_uuid)?)
        .await?;
    done()
}

async fn restore(State(tracking): State<Tracking>, Fields(fields): Fields<RunFields>) -> Answer {
    tracking
        .restore_run(&run_id(fields.run_id, fields.run_uuid)?)
        .await?;
    done()
}

#[derive(Deserialize)]
struct Search {
    #[serde(default, deserialize_with = "number::list")]
    experiment_ids: Vec<String>,
    #[serde(default)]
    filter: String,
    run_view_type: Option<String>,
    #[serde(default, deserialize_with = "number::integer")]
    max_results: Option<i64>,
    #[serde(default, deserialize_with = "number::list")]
    order_by: Vec<String>,
    page_token: Option<String>,
}

async fn search(State(tracking): State<Tracking>, Fields(fields): Fields<Search>) -> Answer {
    let query = Query {
        filter: fields.filter,
        order_by: fields.order_by,
        view: view_type(fields.run_view_type.as_deref())?,
        max_results: page_size(fields.max_results)?,
        page_token: fields.page_token,
    };
    let experiments = experiment_ids(&fields.experiment_ids)?;
    let page = tracking.search_runs(&experiments, &query).await?;
    Ok(Json(listed("runs", all::<_, RunWire>(page.items), page.next)?))
}

pub(super) fn experiment_ids(ids: &[String]) -> Result<Vec<ExperimentId>, ApiError> {
    Ok(ids
        .iter()
        .map(|id| id.parse::<ExperimentId>())
        .collect::<Result<_, _>>()?)
}

#[derive(Deserialize)]
struct LogMetric {
    run_id: Option<String>,
    run_uuid: Option<String>,
    #[serde(flatten)]
    metric: MetricWire,
}

async fn log_metric(State(tracking): State<Tracking>, Fields(fields): Fields<LogMetric>) -> Answer {
    let run_id = run_id(fields.run_id, fields.run_uuid)?;
    let metrics = vec![Metric::try_from(fields.metric)?];
    tracking
        .log_batch(
            &run_id,
            Batch {
                metrics,
                ..Batch::default()
            },
        )
        .await?;
    done()
}

async fn log_parameter(State(tracking): State<Tracking>, Fields(fields): Fields<RunFields>) -> Answer {
    let run_id = run_id(fields.run_id, fields.run_uuid)?;
    let param = Param {
        key: required(fields.key, "key")?,
        value: fields.value.unwrap_or_default(),
    };
    tracking
        .log_batch(
            &run_id,
            Batch {
                params: vec![param],
                ..Batch::default()
            },
        )
        .await?;
    done()
}

#[derive(Deserialize)]
struct LogBatch {
    run_id: Option<String>,
    #[serde(default)]
    metrics: Vec<MetricWire>,
    #[serde(default)]
    params: Vec<KeyValue>,
    #[serde(default)]
    tags: Vec<KeyValue>,
}

async fn log_batch(State(tracking): State<Tracking>, Fields(fields): Fields<LogBatch>) -> Answer {
    let run_id = required(fields.run_id, "run_id")?;
    let metrics = fields
        .metrics
        .into_iter()
        .map(Metric::try_from)
        .collect::<Result<_, _>>()?;
    tracking
        .log_batch(
            &run_id,
            Batch {
                metrics,
                params: all(fields.params),
                tags: all(fields.tags),
            },
        )
        .await?;
    done()
}

async fn set_tag(State(tracking): State<Tracking>, Fields(fields): Fields<RunFields>) -> Answer {
    let run_id = run_id(fields.run_id, fields.run_uuid)?;
    let tag = Tag {
        key: required(fields.key, "key")?,
        value: fields.value.unwrap_or_default(),
    };
    tracking
        .log_batch(
            &run_id,
            Batch {
                tags: vec![tag],
                ..Batch::default()
            },
        )
        .await?;
    done()
}

async fn delete_tag(State(tracking): State<Tracking>, Fields(fields): Fields<RunFields>) -> Answer {
    let run_id = run_id(fields.run_id, fields.run_uuid)?;
    tracking
        .delete_tag(&run_id, &required(fields.key, "key")?)
        .await?;
    done()
}

#[derive(Deserialize)]
struct LogInputs {
    run_id: Option<String>,
    #[serde(default)]
    datasets: Vec<DatasetInputWire>,
    #[serde(default)]
    models: Vec<ModelInputWire>,
}

async fn log_inputs(State(tracking): State<Tracking>, Fields(fields): Fields<LogInputs>) -> Answer {
    let run_id = required(fields.run_id, "run_id")?;
    let models = fields.models.into_iter().map(|model| model.model_id).collect();
    tracking.log_inputs(&run_id, all(fields.datasets), models).await?;
    done()
}

#[derive(Deserialize)]
struct LogOutputs {
    run_id: Option<String>,
    #[serde(default)]
    models: Vec<ModelOutputWire>,
}

async fn log_outputs(State(tracking): State<Tracking>, Fields(fields): Fields<LogOutputs>) -> Answer {
    let run_id = required(fields.run_id, "run_id")?;
    tracking.log_outputs(&run_id, &all(fields.models)).await?;
    done()
}

/// Clients before 3.0 append what they logged to a tag of the run.
async fn log_model(State(tracking): State<Tracking>, Fields(fields): Fields<RunFields>) -> Answer {
    let run_id = run_id(fields.run_id, fields.run_uuid)?;
    let text = required(fields.model_json, "model_json")?;
    let model: Value = serde_json::from_str(&text).map_err(|_| {
        ApiError::invalid(format!(
            "Malformed model info. \n {}",
            crate::validation::shorten(&text)
        ))
    })?;
    let missing: Vec<&str> = ["artifact_path", "flavors", "utc_time_created", "run_id"]
        .into_iter()
        .filter(|field| model.get(field).is_none())
        .collect();
    if !missing.is_empty() {
        return Err(ApiError::invalid(format!(
            "Model json is missing mandatory fields: {missing:?}"
        )));
    }
    let run = tracking.run(&run_id).await?;
    let mut models: Vec<Value> = run
        .tag(LOGGED_MODELS_TAG)
        .and_then(|tag| serde_json::from_str(tag).ok())
        .unwrap_or_default();
    models.push(model);
    let tags = vec![Tag::new(LOGGED_MODELS_TAG, Value::Array(models).to_string())];
    tracking
        .log_batch(
            &run_id,
            Batch {
                tags,
                ..Batch::default()
            },
        )
        .await?;
    done()
}
