//! Logged models.

use axum::extract::{Path, State};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::artifacts::{download, files};
use super::error::ApiError;
use super::experiments::page_size;
use super::extract::{Fields, required};
use super::runs::experiment_ids;
use super::{Answer, done, listed, to_value};
use crate::Tracking;
use crate::experiments::ExperimentId;
use crate::logged_models::{
    LoggedModel, LoggedModelOrder, LoggedModelQuery, LoggedModelStatus, NewLoggedModel,
};
use crate::wire::logged_models::LoggedModelWire;
use crate::wire::{KeyValue, all, number};

pub(super) fn routes() -> Router<Tracking> {
    Router::new()
        .route("/logged-models", post(create))
        .route("/logged-models/search", post(search))
        .route(
            "/logged-models/{model_id}",
            get(show).patch(finalize).delete(remove),
        )
        .route("/logged-models/{model_id}/tags", patch(set_tags))
        .route("/logged-models/{model_id}/tags/{key}", delete(delete_tag))
        .route("/logged-models/{model_id}/params", post(log_params))
        .route(
            "/logged-models/{model_id}/artifacts/directories",
            get(list_artifacts),
        )
        .route(
            "/logged-models/{model_id}/artifacts/files",
            get(download_artifact),
        )
}

fn shown(model: LoggedModel) -> Answer {
    Ok(Json(json!({ "model": to_value(LoggedModelWire::from(model))? })))
}

#[derive(Deserialize)]
struct Create {
    experiment_id: Option<String>,
    name: Option<String>,
    model_type: Option<String>,
    source_run_id: Option<String>,
    #[serde(default)]
    params: Vec<KeyValue>,
    #[serde(default)]
    tags: Vec<KeyValue>,
}

async fn create(State(tracking): State<Tracking>, Fields(fields): Fields<Create>) -> Answer {
    let experiment_id = required(fields.experiment_id, "experiment_id")?.parse::<ExperimentId>()?;
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
    let status = match &fields.status {
        Some(Value::String(name)) => LoggedModelStatus::from_name(name),
        Some(Value::Number(number)) => [
            LoggedModelStatus::Pending,
            LoggedModelStatus::Ready,
            LoggedModelStatus::UploadFailed,
        ]
        .into_iter()
        .find(|status| Some(i64::from(status.number())) == number.as_i64()),
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
    shown(
        tracking
            .set_logged_model_tags(&model_id, all(fields.tags))
            .await?,
    )
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
    #[serde(default, deserialize_with = "number::list")]
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
        datasets.push((
            required(dataset.dataset_name, "dataset_name")?,
            dataset.dataset_digest,
        ));
    }
    let mut order_by = Vec::with_capacity(fields.order_by.len());
    for order in fields.order_by {
        order_by.push(LoggedModelOrder {
            field_name: required(order.field_name, "field_name")?,
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
    Ok(Json(listed(
        "models",
        all::<_, LoggedModelWire>(page.items),
        page.next,
    )?))
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
    headers: axum::http::HeaderMap,
    Fields(fields): Fields<ArtifactFields>,
) -> Result<axum::response::Response, ApiError> {
    let model = tracking.logged_model(&model_id).await?;
    let path = required(fields.artifact_file_path, "artifact_file_path")?;
    let place = tracking.artifact_at(&model.artifact_uri)?.join(&path)?;
    download(&tracking, &place, &headers).await
}
