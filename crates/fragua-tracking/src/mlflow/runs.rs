//! Runs and logging to them.

use axum::extract::State;
use fragua_base::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Answer, done, list, one};
use super::endpoint::{Endpoint, get, post};
use super::error::ApiError;
use super::experiments::{VIEW_TYPES, experiment_ids, page_size, view_type};
use super::extract::{Fields, required};
use super::field::{Field, choice, integer, number as real, object, objects, pairs, text, texts};
use crate::experiments::ExperimentId;
use crate::metrics::Metric;
use crate::runs::{Batch, NewRun, Param, RunStatus, RunUpdate, Tag};
use crate::validation::{self, limits};
use crate::wire::runs::{
    DatasetInputWire, MetricWire, ModelInputWire, ModelOutputWire, RunInfoWire, RunWire,
};
use crate::wire::{KeyValue, all, number};
use crate::{Query, Tracking};

pub(super) const RUN: Field = text("run_id").required();
const KEY: Field = text("key").required();
const STATUSES: &[(&str, i64)] = &[
    ("RUNNING", 1),
    ("SCHEDULED", 2),
    ("FINISHED", 3),
    ("FAILED", 4),
    ("KILLED", 5),
];
const VALUE: Field = real("value").required();
const TIMESTAMP: Field = integer("timestamp").required();
const METRIC: &[Field] = &[
    KEY,
    VALUE,
    TIMESTAMP,
    integer("step"),
    text("model_id"),
    text("dataset_name"),
    text("dataset_digest"),
];
const DATASET: &[Field] = &[
    text("name").required(),
    text("digest").required(),
    text("source_type").required(),
    text("source"),
    text("schema"),
    text("profile"),
];

const DATASET_INPUT: &[Field] = &[pairs("tags"), object("dataset", DATASET).required()];
const MODEL_INPUT: &[Field] = &[text("model_id")];
const MODEL_OUTPUT: &[Field] = &[text("model_id"), integer("step")];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post(
            "/runs/create",
            "Starts a run",
            const {
                &[
                    text("experiment_id").required(),
                    integer("start_time"),
                    text("run_name"),
                    text("user_id"),
                    pairs("tags"),
                ]
            },
            create,
        ),
        get("/runs/get", "Returns a run with its data", const { &[RUN] }, show),
        post(
            "/runs/update",
            "Changes state, end or name of a run",
            const {
                &[
                    RUN,
                    integer("end_time"),
                    choice("status", STATUSES),
                    text("run_name"),
                ]
            },
            update,
        ),
        post(
            "/runs/delete",
            "Deletes a run; it can be restored",
            const { &[RUN] },
            delete,
        ),
        post(
            "/runs/restore",
            "Restores a deleted run",
            const { &[RUN] },
            restore,
        ),
        post(
            "/runs/search",
            "Returns the runs that match",
            const {
                &[
                    texts("experiment_ids"),
                    text("filter"),
                    choice("run_view_type", VIEW_TYPES),
                    integer("max_results").at_most(limits::RUNS_PER_PAGE.most as i64),
                    texts("order_by"),
                    text("page_token"),
                ]
            },
            search,
        ),
        post(
            "/runs/log-metric",
            "Logs a value of a metric",
            const {
                &[
                    RUN,
                    KEY,
                    VALUE,
                    TIMESTAMP,
                    integer("step"),
                    text("model_id"),
                    text("dataset_name"),
                    text("dataset_digest"),
                ]
            },
            log_metric,
        ),
        post(
            "/runs/log-parameter",
            "Logs a parameter",
            const { &[RUN, KEY, text("value")] },
            log_parameter,
        ),
        post(
            "/runs/log-batch",
            "Logs metrics, parameters and tags: all of them or none",
            const {
                &[
                    RUN,
                    objects("metrics", METRIC),
                    required_keys("params"),
                    required_keys("tags"),
                ]
            },
            log_batch,
        )
        .body_at_most(limits::BATCH_BODY_BYTES),
        post(
            "/runs/set-tag",
            "Sets a tag of a run",
            const { &[RUN, KEY, text("value")] },
            set_tag,
        ),
        post(
            "/runs/delete-tag",
            "Removes a tag of a run",
            const { &[RUN, KEY] },
            delete_tag,
        ),
        post(
            "/runs/log-inputs",
            "Records the data sets and models that a run read",
            const {
                &[
                    RUN,
                    objects("datasets", DATASET_INPUT),
                    objects("models", MODEL_INPUT),
                ]
            },
            log_inputs,
        ),
        post(
            "/runs/outputs",
            "Records the models that a run made",
            const { &[RUN, objects("models", MODEL_OUTPUT).required()] },
            log_outputs,
        ),
        post(
            "/runs/log-model",
            "Notes a model, as clients before 3.0 do",
            const { &[RUN, text("model_json").required()] },
            log_model,
        ),
    ]
}

/// Keys with texts, where a key that is missing is told by its place in the list.
const fn required_keys(name: &'static str) -> Field {
    const PAIR: &[Field] = &[KEY, text("value")];
    objects(name, PAIR)
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

impl RunFields {
    fn id(&mut self) -> Result<String, ApiError> {
        run_id(self.run_id.take(), self.run_uuid.take())
    }
}

pub(super) fn run_id(run_id: Option<String>, run_uuid: Option<String>) -> Result<String, ApiError> {
    required(run_id.filter(|id| !id.is_empty()).or(run_uuid), "run_id")
}

#[derive(Deserialize)]
struct Create {
    experiment_id: String,
    user_id: Option<String>,
    run_name: Option<String>,
    #[serde(default, deserialize_with = "number::integer")]
    start_time: Option<i64>,
    #[serde(default)]
    tags: Vec<KeyValue>,
}

async fn create(State(tracking): State<Tracking>, Fields(fields): Fields<Create>) -> Answer {
    let new = NewRun {
        experiment_id: Some(fields.experiment_id.parse::<ExperimentId>()?),
        run_name: fields.run_name,
        user_id: fields.user_id,
        start_time: fields.start_time.map(Timestamp::from_millis),
        tags: all(fields.tags),
    };
    let run = RunWire {
        // What a run just made cannot have.
        outputs: None,
        ..tracking.create_run(new).await?.into()
    };
    one("run", run)
}

async fn show(State(tracking): State<Tracking>, Fields(mut fields): Fields<RunFields>) -> Answer {
    one("run", RunWire::from(tracking.run(&fields.id()?).await?))
}

/// A name that nobody knows leaves the run as it is, as in MLflow.
fn status(given: Option<&Value>) -> Option<RunStatus> {
    let number = number::choice(STATUSES, given)?;
    let (name, _) = STATUSES.iter().find(|(_, known)| *known == number)?;
    RunStatus::from_name(name)
}

async fn update(State(tracking): State<Tracking>, Fields(mut fields): Fields<RunFields>) -> Answer {
    let run_id = fields.id()?;
    let change = RunUpdate {
        status: status(fields.status.as_ref()),
        end_time: fields.end_time.map(Timestamp::from_millis),
        run_name: fields.run_name,
    };
    one(
        "run_info",
        RunInfoWire::from(tracking.update_run(&run_id, change).await?),
    )
}

async fn delete(State(tracking): State<Tracking>, Fields(mut fields): Fields<RunFields>) -> Answer {
    tracking.delete_run(&fields.id()?).await?;
    done()
}

async fn restore(State(tracking): State<Tracking>, Fields(mut fields): Fields<RunFields>) -> Answer {
    tracking.restore_run(&fields.id()?).await?;
    done()
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    experiment_ids: Vec<String>,
    #[serde(default)]
    filter: String,
    run_view_type: Option<Value>,
    #[serde(default, deserialize_with = "number::integer")]
    max_results: Option<i64>,
    #[serde(default)]
    order_by: Vec<String>,
    page_token: Option<String>,
}

async fn search(State(tracking): State<Tracking>, Fields(fields): Fields<Search>) -> Answer {
    let query = Query {
        filter: fields.filter,
        order_by: fields.order_by,
        view: view_type(fields.run_view_type.as_ref()),
        max_results: page_size(fields.max_results)?,
        page_token: fields.page_token,
    };
    let experiments = experiment_ids(&fields.experiment_ids)?;
    let page = tracking.search_runs(&experiments, &query).await?;
    list("runs", page.items.into_iter().map(RunWire::from), page.next)
}

#[derive(Deserialize)]
struct LogMetric {
    run_id: Option<String>,
    run_uuid: Option<String>,
    #[serde(flatten)]
    metric: MetricWire,
}

/// Logs what comes alone, so that a refusal names its field and not its place in a list of one.
async fn log_alone(tracking: &Tracking, run_id: &str, batch: Batch) -> Answer {
    tracking.log_batch(run_id, validation::alone(batch)?).await?;
    done()
}

async fn log_metric(State(tracking): State<Tracking>, Fields(fields): Fields<LogMetric>) -> Answer {
    let batch = Batch {
        metrics: vec![Metric::try_from(fields.metric)?],
        ..Batch::default()
    };
    log_alone(&tracking, &run_id(fields.run_id, fields.run_uuid)?, batch).await
}

async fn log_parameter(State(tracking): State<Tracking>, Fields(mut fields): Fields<RunFields>) -> Answer {
    let run_id = fields.id()?;
    let param = Param {
        key: required(fields.key, "key")?,
        value: fields.value.unwrap_or_default(),
    };
    let batch = Batch {
        params: vec![param],
        ..Batch::default()
    };
    log_alone(&tracking, &run_id, batch).await
}

#[derive(Deserialize)]
struct LogBatch {
    run_id: Option<String>,
    run_uuid: Option<String>,
    #[serde(default)]
    metrics: Vec<MetricWire>,
    #[serde(default)]
    params: Vec<KeyValue>,
    #[serde(default)]
    tags: Vec<KeyValue>,
}

async fn log_batch(State(tracking): State<Tracking>, Fields(fields): Fields<LogBatch>) -> Answer {
    let metrics = fields.metrics.into_iter().map(Metric::try_from);
    let batch = Batch {
        metrics: metrics.collect::<Result<_, _>>()?,
        params: all(fields.params),
        tags: all(fields.tags),
    };
    tracking
        .log_batch(&run_id(fields.run_id, fields.run_uuid)?, batch)
        .await?;
    done()
}

async fn set_tag(State(tracking): State<Tracking>, Fields(mut fields): Fields<RunFields>) -> Answer {
    let run_id = fields.id()?;
    let tag = Tag {
        key: required(fields.key, "key")?,
        value: fields.value.unwrap_or_default(),
    };
    let batch = Batch {
        tags: vec![tag],
        ..Batch::default()
    };
    log_alone(&tracking, &run_id, batch).await
}

async fn delete_tag(State(tracking): State<Tracking>, Fields(mut fields): Fields<RunFields>) -> Answer {
    let run_id = fields.id()?;
    tracking
        .delete_tag(&run_id, &required(fields.key, "key")?)
        .await?;
    done()
}

#[derive(Deserialize)]
struct LogInputs {
    run_id: Option<String>,
    run_uuid: Option<String>,
    #[serde(default)]
    datasets: Vec<DatasetInputWire>,
    #[serde(default)]
    models: Vec<ModelInputWire>,
}

async fn log_inputs(State(tracking): State<Tracking>, Fields(fields): Fields<LogInputs>) -> Answer {
    let run_id = run_id(fields.run_id, fields.run_uuid)?;
    let models = fields.models.into_iter().map(|model| model.model_id).collect();
    tracking.log_inputs(&run_id, all(fields.datasets), models).await?;
    done()
}

#[derive(Deserialize)]
struct LogOutputs {
    run_id: Option<String>,
    run_uuid: Option<String>,
    #[serde(default)]
    models: Vec<ModelOutputWire>,
}

async fn log_outputs(State(tracking): State<Tracking>, Fields(fields): Fields<LogOutputs>) -> Answer {
    let run_id = run_id(fields.run_id, fields.run_uuid)?;
    tracking.log_outputs(&run_id, &all(fields.models)).await?;
    done()
}

/// Clients before 3.0 append what they logged to a tag of the run.
async fn log_model(State(tracking): State<Tracking>, Fields(mut fields): Fields<RunFields>) -> Answer {
    let run_id = fields.id()?;
    let text = required(fields.model_json, "model_json")?;
    let model: Value = serde_json::from_str(&text).map_err(|_| {
        ApiError::invalid(format!(
            "Malformed model info. \n {} \n is not a valid JSON.",
            validation::shorten(&text)
        ))
    })?;
    let missing: Vec<String> = ["artifact_path", "flavors", "utc_time_created", "run_id"]
        .into_iter()
        .filter(|field| model.get(field).is_none())
        .map(|field| format!("'{field}'"))
        .collect();
    if !missing.is_empty() {
        return Err(ApiError::invalid(format!(
            "Model json is missing mandatory fields: {{{}}}",
            missing.join(", ")
        )));
    }
    tracking.note_model(&run_id, model).await?;
    done()
}
