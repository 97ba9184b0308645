//! `/models/…`: every registered model by name, alias or version.

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::access::Access;
use super::health::Health;
use super::{invocations, predict};
use crate::{Error, ModelRef, Serving};

/// Returns the routes.
pub(super) fn routes() -> Router<Serving> {
    Router::new()
        .route("/models", get(list))
        .route("/models/{model}", get(show))
        .route("/models/{model}/predict", post(predict_by_name))
        .route("/models/{model}/invocations", post(invoke_by_name))
        .route("/models/{model}/versions/{version}", get(show_version))
        .route(
            "/models/{model}/versions/{version}/predict",
            post(predict_by_version),
        )
        .route(
            "/models/{model}/versions/{version}/invocations",
            post(invoke_by_version),
        )
}

/// Reads `NAME` or `NAME@ALIAS` out of a path; the alias of the settings where there is none.
pub(super) fn by_name(serving: &Serving, name: &str) -> Result<ModelRef, Error> {
    match name.split_once('@') {
        Some((name, alias)) => ModelRef::alias(name, alias),
        None => ModelRef::alias(name, &serving.settings().alias),
    }
}

/// Returns the name in `NAME` or `NAME@ALIAS`.
pub(super) fn name_in(text: &str) -> &str {
    text.split_once('@').map_or(text, |(name, _)| name)
}

/// The endpoints in memory, as far as the one who asks may know of them.
async fn list(State(serving): State<Serving>, access: Access) -> Json<Value> {
    let endpoints = serving.endpoints();
    let endpoints: Vec<Health> = endpoints
        .iter()
        .filter(|endpoint| access.allows(&endpoint.model_ref().name))
        .map(Health::of)
        .collect();
    Json(json!({ "models": endpoints }))
}

async fn show(State(serving): State<Serving>, Path(model): Path<String>) -> Response {
    describe(&serving, by_name(&serving, &model)).await
}

async fn show_version(
    State(serving): State<Serving>,
    Path((model, version)): Path<(String, String)>,
) -> Response {
    describe(&serving, ModelRef::version(&model, &version)).await
}

async fn describe(serving: &Serving, model: Result<ModelRef, Error>) -> Response {
    let endpoint = match model {
        Ok(model) => serving.endpoint(&model).await,
        Err(error) => Err(error),
    };
    match endpoint {
        Ok(endpoint) => Json(Health::of(&endpoint)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn predict_by_name(
    State(serving): State<Serving>,
    Path(model): Path<String>,
    request: Request,
) -> Response {
    let model = by_name(&serving, &model);
    predict::of_model(serving, Some(model), request).await
}

async fn predict_by_version(
    State(serving): State<Serving>,
    Path((model, version)): Path<(String, String)>,
    request: Request,
) -> Response {
    predict::of_model(serving, Some(ModelRef::version(&model, &version)), request).await
}

async fn invoke_by_name(
    State(serving): State<Serving>,
    Path(model): Path<String>,
    request: Request,
) -> Response {
    let model = by_name(&serving, &model);
    invocations::of_model(serving, Some(model), request).await
}

async fn invoke_by_version(
    State(serving): State<Serving>,
    Path((model, version)): Path<(String, String)>,
    request: Request,
) -> Response {
    invocations::of_model(serving, Some(ModelRef::version(&model, &version)), request).await
}
