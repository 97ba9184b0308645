//! What is remembered of predictions: the log, feedback, live accuracy, drift, lineage.

use std::collections::HashMap;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Refusal;
use super::access::Access;
use super::models::by_name;
use crate::log::LogQuery;
use crate::{Error, ModelRef, RequestId, ServedModel, Serving};

/// Returns the routes.
pub(super) fn routes() -> Router<Serving> {
    Router::new()
        .route("/predictions", get(list))
        .route("/predictions/{request_id}", get(show))
        .route("/predictions/{request_id}/lineage", get(lineage))
        .route("/feedback", post(give_feedback))
        .route("/models/{model}/accuracy", get(accuracy))
        .route(
            "/models/{model}/versions/{version}/accuracy",
            get(accuracy_of_version),
        )
        .route("/models/{model}/drift", get(drift))
        .route("/models/{model}/versions/{version}/drift", get(drift_of_version))
}

fn invalid(field: &'static str, reason: &str) -> Error {
    Error::InvalidField {
        field,
        reason: reason.to_owned(),
    }
}

async fn list(
    State(serving): State<Serving>,
    access: Access,
    Query(mut given): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let mut take = |name: &str| given.remove(name).filter(|value| !value.is_empty());
    let query = LogQuery {
        model: take("model"),
        models: access.models().cloned(),
        version: take("version"),
        source: take("source"),
        request_ids: take("request_ids")
            .map(|ids| ids.split(',').take(500).map(str::to_owned).collect())
            .unwrap_or_default(),
        has_feedback: match take("has_feedback").as_deref() {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(invalid("has_feedback", "expected true or false").into()),
        },
        limit: match take("limit") {
            None => None,
            Some(limit) => Some(
                limit
                    .parse()
                    .map_err(|_| invalid("limit", "expected a whole number from 1 to 500"))?,
            ),
        },
        page_token: take("page_token"),
    };
    if let Some(model) = &query.model {
        access.check(model)?;
    }
    let page = serving.kept_log()?.predictions(&query).await?;
    Ok(Json(json!({ "predictions": page.items, "next_page_token": page.next })).into_response())
}

async fn show(
    State(serving): State<Serving>,
    access: Access,
    Path(request_id): Path<String>,
) -> Result<Response, Refusal> {
    let request_id = RequestId::parse(&request_id)?;
    let rows = serving.kept_log()?.prediction(&request_id).await?;
    access.check_rows(&rows)?;
    if rows.is_empty() {
        let reason = format!(
            "the request {request_id} is not in the log: it was left out of the sample, is too old, or was answered by \
             another process less than a second ago"
        );
        return Err(Error::UnknownModel { reason }.into());
    }
    Ok(Json(json!({ "request_id": request_id.as_str(), "rows": rows })).into_response())
}

async fn lineage(
    State(serving): State<Serving>,
    access: Access,
    Path(request_id): Path<String>,
) -> Result<Response, Refusal> {
    let request_id = RequestId::parse(&request_id)?;
    access.check_logged(&serving, &request_id).await?;
    let lineage = serving.lineage(&request_id).await?;
    Ok(Json(lineage).into_response())
}

/// What turned out to be true of a row.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeedbackBody {
    request_id: String,
    #[serde(default)]
    row: u32,
    label: Value,
    #[serde(default)]
    note: Option<String>,
}

async fn give_feedback(
    State(serving): State<Serving>,
    access: Access,
    body: Result<Json<FeedbackBody>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(body) = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    let request_id = RequestId::parse(&body.request_id)?;
    access.check_logged(&serving, &request_id).await?;
    let log = serving.kept_log()?;
    let told = log.give_feedback(&request_id, body.row, body.label, body.note);
    Ok(Json(told.await?).into_response())
}

async fn answering(serving: &Serving, model: ModelRef) -> Result<std::sync::Arc<ServedModel>, Error> {
    let endpoint = serving.endpoint(&model).await?;
    endpoint.current().ok_or_else(|| endpoint.no_model())
}

async fn accuracy(State(serving): State<Serving>, Path(model): Path<String>) -> Result<Response, Error> {
    let model = by_name(&serving, &model)?;
    accuracy_of(&serving, model).await
}

async fn accuracy_of_version(
    State(serving): State<Serving>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Response, Error> {
    accuracy_of(&serving, ModelRef::version(&model, &version)?).await
}

async fn accuracy_of(serving: &Serving, model: ModelRef) -> Result<Response, Error> {
    let model = answering(serving, model).await?;
    let accuracy = serving.kept_log()?.accuracy(&model.name, &model.version).await?;
    let body = json!({ "model": model.name, "version": model.version, "accuracy": accuracy });
    Ok(Json(body).into_response())
}

async fn drift(State(serving): State<Serving>, Path(model): Path<String>) -> Result<Response, Error> {
    let model = by_name(&serving, &model)?;
    drift_of(&serving, model).await
}

async fn drift_of_version(
    State(serving): State<Serving>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Response, Error> {
    drift_of(&serving, ModelRef::version(&model, &version)?).await
}

async fn drift_of(serving: &Serving, model: ModelRef) -> Result<Response, Error> {
    let model = answering(serving, model).await?;
    let report = serving.kept_log()?.drift(&model).await?;
    match report {
        Some(report) => Ok(Json(report).into_response()),
        None => Err(Error::Conflict {
            reason: format!(
                "version {} of {} does not tell what its training rows were like; train it again",
                model.version, model.name
            ),
        }),
    }
}
