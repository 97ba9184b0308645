//! `/models/{model}/deployment`: canary and shadow.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

use super::Refusal;
use super::models::by_name;
use crate::deployment::{Canary, Deployment, Trial};
use crate::{Error, ModelRef, Serving};

/// Returns the routes.
pub(super) fn routes() -> Router<Serving> {
    Router::new()
        .route("/models/{model}/deployment", get(show).put(try_out))
        .route("/models/{model}/deployment/promote", post(promote))
        .route("/models/{model}/deployment/rollback", post(roll_back))
}

#[derive(Serialize)]
struct DeploymentBody {
    model_uri: String,
    live: Option<i32>,
    canary: Option<Canary>,
    shadow: Option<i32>,
    previous: Option<i32>,
    updated_at: Option<String>,
}

async fn show(State(serving): State<Serving>, Path(model): Path<String>) -> Result<Response, Error> {
    let model = by_name(&serving, &model)?;
    let deployment = serving.deployment_of(&model).await?;
    body(&serving, &model, &deployment).await
}

async fn try_out(
    State(serving): State<Serving>,
    Path(model): Path<String>,
    trial: Result<Json<Trial>, JsonRejection>,
) -> Response {
    let Json(trial) = match trial {
        Ok(trial) => trial,
        Err(rejection) => return Refusal::new(rejection.status(), rejection.body_text()).into_response(),
    };
    let tried = async {
        let model = by_name(&serving, &model)?;
        let deployment = serving.try_out(&model, trial).await?;
        body(&serving, &model, &deployment).await
    };
    tried.await.unwrap_or_else(Error::into_response)
}

async fn body(serving: &Serving, model: &ModelRef, deployment: &Deployment) -> Result<Response, Error> {
    let endpoint = serving.endpoint(model).await?;
    let body = DeploymentBody {
        model_uri: model.to_string(),
        live: endpoint.current().and_then(|model| model.version.parse().ok()),
        canary: deployment.canary,
        shadow: deployment.shadow,
        previous: deployment.previous,
        updated_at: deployment.updated_at.map(|at| at.to_rfc3339()),
    };
    Ok((StatusCode::OK, Json(body)).into_response())
}

async fn promote(State(serving): State<Serving>, Path(model): Path<String>) -> Result<Response, Error> {
    let model = by_name(&serving, &model)?;
    let version = serving.promote(&model).await?;
    Ok(Json(json!({ "model_uri": model.to_string(), "live": version })).into_response())
}

async fn roll_back(State(serving): State<Serving>, Path(model): Path<String>) -> Result<Response, Error> {
    let model = by_name(&serving, &model)?;
    let version = serving.roll_back(&model).await?;
    Ok(Json(json!({ "model_uri": model.to_string(), "live": version })).into_response())
}
