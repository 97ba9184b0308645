//! Logged models.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Answer, done, list, one};
use super::artifacts::{download, files};
use super::endpoint::{Endpoint, delete, get, patch, post};
use super::error::ApiError;
use super::experiments::{experiment_ids, page_size};
use super::extract::Fields;
use super::field::{Field, choice, integer, objects, pairs, text, texts, truth};
use crate::Tracking;
use crate::experiments::ExperimentId;
use crate::logged_models::{
    LoggedModel, LoggedModelOrder, LoggedModelQuery, LoggedModelStatus, NewLoggedModel,
};
use crate::wire::logged_models::LoggedModelWire;
use crate::wire::{KeyValue, all, number};

const STATUSES: &[(&str, i64)] = &[
    ("LOGGED_MODEL_PENDING", 1),
    ("LOGGED_MODEL_READY", 2),
    ("LOGGED_MODEL_UPLOAD_FAILED", 3),
];

const SEARCH_DATASET: &[Field] = &[text("dataset_name"), text("dataset_digest")];
const SEARCH_ORDER: &[Field] = &[
    text("field_name"),
    truth("ascending"),
    text("dataset_name"),
    text("dataset_digest"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post(
            "/logged-models",
            "Makes a logged model that waits for its files",
            const {
                &[
                    text("experiment_id").required(),
                    text("name"),
                    text("model_type"),
                    text("source_run_id"),
                    pairs("params"),
                    pairs("tags"),
                ]
            },
            create,
        ),
        post(
            "/logged-models/search",
            "Returns the logged models that match",
            const {
                &[
                    texts("experiment_ids").required(),
                    text("filter"),
                    objects("datasets", SEARCH_DATASET),
                    integer("max_results"),
                    objects("order_by", SEARCH_ORDER),
                    text("page_token"),
                ]
            },
            search,
        ),
        get("/logged-models/{model_id}", "Returns a logged model", &[], show),
        patch(
            "/logged-models/{model_id}",
            "Says how writing the files of a logged model ended",
            const { &[choice("status", STATUSES).required()] },
            finalize,
        ),
        delete("/logged-models/{model_id}", "Deletes a logged model", &[], remove),
        patch(
            "/logged-models/{model_id}/tags",
            "Sets tags of a logged model",
            const { &[pairs("tags")] },
            set_tags,
        ),
        delete(
            "/logged-models/{model_id}/tags/{key}",
            "Removes a tag of a logged model",
            &[],
            delete_tag,
        ),
        post(
            "/logged-models/{model_id}/params",
            "Adds parameters to a logged model",
            const { &[pairs("params")] },
            log_params,
        ),
        get(
            "/logged-models/{model_id}/artifacts/directories",
            "Lists files of a logged model",
            const { &[text("artifact_directory_path")] },
            list_artifacts,
        ),
        get(
            "/logged-models/{model_id}/artifacts/files",
            "Returns a file of a logged model",
            const { &[text("artifact_file_path")] },
            download_artifact,
        ),
    ]
}

fn shown(model: LoggedModel) -> Answer {
    one("model", LoggedModelWire::from(model))
}

#[derive(Deserialize)]
struct Create {
    experiment_id: String,
    name: Option<String>,
    model_type: Option<String>,
    source_run_id: Option<String>,
    #[serde(default)]
    params: Vec<KeyValue>,
    #[serde(default)]
    tags: Vec<KeyValue>,
}

async fn create(State(tracking): State<Tracking>, Fields(fields): Fields<Create>) -> Answer {
    let experiment_id = fields.experiment_id.parse::<ExperimentId>()?;
    let new = NewLoggedModel {
        experiment_id: Some(experiment_id),
        name: fields.name,
        model_type: fields.model_type,
        source_run_id: fields.source_run_id,
        params: all(fields.params),
        tags: all(fields.tags),
    };
    shown(tracking.create_logged_model(new).await?)
}

async fn show(State(tracking): State<Tracking>, Path(model_id): Path<String>) -> Answer {
    shown(tracking.logged_model(&model_id).await?)
}

#[derive(Deserialize)]
struct Finalize {
    status: Option<Value>,
}

async fn finalize(
    State(tracking): State<Tracking>,
    Path(model_id): Path<String>,
    Fields(fields): Fields<Finalize>,
) -> Answer {
    let status = match number::choice(STATUSES, fields.status.as_ref()) {
        Some(1) => Some(LoggedModelStatus::Pending),
        Some(2) => Some(LoggedModelStatus::Ready),
        Some(3) => Some(LoggedModelStatus::UploadFailed),
        _ => None,
    };
    let status = status.ok_or_else(|| ApiError::missing("status"))?;
    shown(tracking.finalize_logged_model(&model_id, status).await?)
}

async fn remove(State(tracking): State<Tracking>, Path(model_id): Path<String>) -> Answer {
    tracking.delete_logged_model(&model_id).await?;
    done()
}

#[derive(Deserialize)]
struct Pairs {
    #[serde(default)]
    tags: Vec<KeyValue>,
    #[serde(default)]
    params: Vec<KeyValue>,
}

async fn set_tags(
    State(tracking): State<Tracking>,
    Path(model_id): Path<String>,
    Fields(fields): Fields<Pairs>,
) -> Answer {
    tracking
        .set_logged_model_tags(&model_id, all(fields.tags))
        .await?;
    done()
}

async fn delete_tag(
    State(tracking): State<Tracking>,
    Path((model_id, key)): Path<(String, String)>,
) -> Answer {
    tracking.delete_logged_model_tag(&model_id, &key).await?;
    done()
}

async fn log_params(
    State(tracking): State<Tracking>,
    Path(model_id): Path<String>,
    Fields(fields): Fields<Pairs>,
) -> Answer {
    tracking
        .log_logged_model_params(&model_id, all(fields.params))
        .await?;
    done()
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    experiment_ids: Vec<String>,
    #[serde(default)]
    filter: String,
    #[serde(default)]
    datasets: Vec<SearchDataset>,
    #[serde(default, deserialize_with = "number::integer")]
    max_results: Option<i64>,
    #[serde(default)]
    order_by: Vec<SearchOrder>,
    page_token: Option<String>,
}

#[derive(Deserialize)]
struct SearchDataset {
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

#[derive(Deserialize)]
struct SearchOrder {
    field_name: Option<String>,
    ascending: Option<bool>,
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

async fn search(State(tracking): State<Tracking>, Fields(fields): Fields<Search>) -> Answer {
    let mut datasets = Vec::with_capacity(fields.datasets.len());
    for dataset in fields.datasets {
        let name = dataset.dataset_name.filter(|name| !name.is_empty());
        let missing = || ApiError::invalid("`dataset_name` in the `datasets` clause must be specified.");
        datasets.push((name.ok_or_else(missing)?, dataset.dataset_digest));
    }
    let mut order_by = Vec::with_capacity(fields.order_by.len());
    for order in fields.order_by {
        order_by.push(LoggedModelOrder {
            field_name: order.field_name.unwrap_or_default(),
            ascending: order.ascending.unwrap_or(true),
            dataset_name: order.dataset_name,
            dataset_digest: order.dataset_digest,
        });
    }
    let query = LoggedModelQuery {
        experiment_ids: experiment_ids(&fields.experiment_ids)?,
        filter: fields.filter,
        datasets,
        order_by,
        max_results: page_size(fields.max_results)?,
        page_token: fields.page_token,
    };
    let page = tracking.search_logged_models(&query).await?;
    list(
        "models",
        page.items.into_iter().map(LoggedModelWire::from),
        page.next,
    )
}

#[derive(Deserialize)]
struct ArtifactFields {
    artifact_directory_path: Option<String>,
    artifact_file_path: Option<String>,
}

async fn list_artifacts(
    State(tracking): State<Tracking>,
    Path(model_id): Path<String>,
    Fields(fields): Fields<ArtifactFields>,
) -> Answer {
    let model = tracking.logged_model(&model_id).await?;
    let path = fields.artifact_directory_path.unwrap_or_default();
    files(&tracking, &model.artifact_uri, &path).await
}

async fn download_artifact(
    State(tracking): State<Tracking>,
    Path(model_id): Path<String>,
    headers: HeaderMap,
    Fields(fields): Fields<ArtifactFields>,
) -> Answer {
    let path = fields
        .artifact_file_path
        .filter(|path| !path.is_empty())
        .ok_or_else(|| {
            ApiError::bad_request("Request must include the \"artifact_file_path\" query parameter.")
        })?;
    let model = tracking.logged_model(&model_id).await?;
    let place = tracking.artifact_at(&model.artifact_uri)?.join(&path)?;
    download(&tracking, &place, &headers).await
}
