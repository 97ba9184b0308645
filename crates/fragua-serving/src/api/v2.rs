//! `/v2/…`: the Open Inference Protocol, with the calls of its repository extension.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use fragua_learn::Label;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Refusal;
use super::access::Access;
use super::admission::{Admitted, Answer, Manner, answer, read_body};
use super::models::by_name;
use crate::metrics::Route;
use crate::model::{Predictions, ServedModel};
use crate::tensors;
use crate::{Endpoint, Error, ModelRef, Serving};

/// The output with one probability a class.
const PROBABILITIES: &str = "probabilities";
/// Bodies of the repository calls are small.
const MAX_CALL_BYTES: usize = 64 * 1024;

/// Returns the routes that tell of the server.
pub(super) fn routes_of_server() -> Router<Serving> {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
}

/// Returns the routes that tell of models and predict.
pub(super) fn routes_of_models() -> Router<Serving> {
    Router::new()
        .route("/v2/models/{model}", get(metadata_by_name))
        .route("/v2/models/{model}/ready", get(ready_by_name))
        .route("/v2/models/{model}/infer", post(infer_by_name))
        .route("/v2/models/{model}/versions/{version}", get(metadata_by_version))
        .route(
            "/v2/models/{model}/versions/{version}/ready",
            get(ready_by_version),
        )
        .route(
            "/v2/models/{model}/versions/{version}/infer",
            post(infer_by_version),
        )
        .route("/v2/repository/index", post(index))
        .route("/v2/repository/models/{model}/load", post(load))
        .route("/v2/repository/models/{model}/unload", post(unload))
}

/// The protocol's form of an error.
pub(super) fn refuse(refusal: Refusal) -> Response {
    refusal.with_body(|message| json!({ "error": message }))
}

fn bad_request(message: String) -> Response {
    refuse(Refusal::new(StatusCode::BAD_REQUEST, message))
}

async fn server() -> Json<Value> {
    Json(json!({
        "name": "fragua",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["model_repository"],
    }))
}

async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

async fn ready(State(serving): State<Serving>) -> (StatusCode, Json<Value>) {
    let is_ready = serving.current().is_some();
    (status_of(is_ready), Json(json!({ "ready": is_ready })))
}

fn status_of(is_ready: bool) -> StatusCode {
    match is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn metadata_by_name(State(serving): State<Serving>, Path(model): Path<String>) -> Response {
    let model = by_name(&serving, &model);
    metadata(&serving, model).await
}

async fn metadata_by_version(
    State(serving): State<Serving>,
    Path((model, version)): Path<(String, String)>,
) -> Response {
    metadata(&serving, ModelRef::version(&model, &version)).await
}

async fn metadata(serving: &Serving, model: Result<ModelRef, Error>) -> Response {
    let model = match endpoint(serving, model).await {
        Ok(endpoint) => endpoint.current().ok_or_else(|| endpoint.no_model()),
        Err(error) => Err(error),
    };
    match model {
        Ok(model) => Json(json!({
            "name": model.name,
            "versions": [model.version],
            "platform": "fragua",
            "inputs": tensors::input_metadata(&model.features),
            "outputs": output_metadata(&model),
        }))
        .into_response(),
        Err(error) => refuse(error.into()),
    }
}

async fn endpoint(serving: &Serving, model: Result<ModelRef, Error>) -> Result<Endpoint, Error> {
    serving.endpoint(&model?).await
}

fn label_name(model: &ServedModel) -> &str {
    model.outputs.first().map_or("label", String::as_str)
}

fn label_datatype(model: &ServedModel) -> &'static str {
    match model.labels.first() {
        Some(Label::Text(_)) => "BYTES",
        Some(Label::Integer(_)) => "INT64",
        // A model without classes answers numbers.
        Some(Label::Number(_)) | None => "FP64",
    }
}

fn output_metadata(model: &ServedModel) -> Value {
    let label = json!({ "name": label_name(model), "datatype": label_datatype(model), "shape": [-1] });
    if model.labels.is_empty() {
        return json!([label]);
    }
    let probabilities = json!({
        "name": PROBABILITIES,
        "datatype": "FP32",
        "shape": [-1, model.labels.len()],
        "parameters": { "labels": model.labels },
    });
    json!([label, probabilities])
}

async fn ready_by_name(State(serving): State<Serving>, Path(model): Path<String>) -> Response {
    let model = by_name(&serving, &model);
    model_ready(&serving, model).await
}

async fn ready_by_version(
    State(serving): State<Serving>,
    Path((model, version)): Path<(String, String)>,
) -> Response {
    model_ready(&serving, ModelRef::version(&model, &version)).await
}

async fn model_ready(serving: &Serving, model: Result<ModelRef, Error>) -> Response {
    match endpoint(serving, model).await {
        Ok(endpoint) => {
            let is_ready = endpoint.current().is_some();
            let body = json!({ "name": endpoint.model_ref().name, "ready": is_ready });
            (status_of(is_ready), Json(body)).into_response()
        }
        Err(error) => refuse(error.into()),
    }
}

async fn infer_by_name(
    State(serving): State<Serving>,
    Path(model): Path<String>,
    request: Request,
) -> Response {
    let model = by_name(&serving, &model);
    infer(serving, model, request).await
}

async fn infer_by_version(
    State(serving): State<Serving>,
    Path((model, version)): Path<(String, String)>,
    request: Request,
) -> Response {
    infer(serving, ModelRef::version(&model, &version), request).await
}

async fn infer(serving: Serving, model: Result<ModelRef, Error>, request: Request) -> Response {
    let manner = Manner {
        route: Route::Infer,
        body_limit: serving.settings().max_body_bytes,
        refuse,
    };
    answer(serving, Some(model), manner, request, infer_tensors).await
}

fn infer_tensors(admitted: Admitted) -> Answer {
    let Admitted {
        serving, model, body, ..
    } = admitted;
    let request = match tensors::parse(&body) {
        Ok(request) => request,
        Err(message) => return Answer::refusal(bad_request(message)),
    };
    let names = [label_name(&model), PROBABILITIES];
    let names = &names[..if model.labels.is_empty() { 1 } else { 2 }];
    let unknown = request
        .outputs
        .iter()
        .find(|wanted| !names.contains(&wanted.name.as_str()));
    if let Some(unknown) = unknown {
        let message = format!(
            "there is no output {:?}; there is: {}",
            unknown.name,
            names.join(", ")
        );
        return Answer::refusal(bad_request(message));
    }
    let is_wanted =
        |name: &str| request.outputs.is_empty() || request.outputs.iter().any(|wanted| wanted.name == name);
    let wanted: Vec<&str> = names.iter().copied().filter(|name| is_wanted(name)).collect();
    let id = request.id.clone();
    let rows = match request.rows(&model.features, serving.settings().max_rows) {
        Ok(rows) => rows,
        Err(message) => return Answer::refusal(bad_request(message)),
    };
    match model.predict(&rows) {
        Ok(predictions) => {
            let body = infer_body(&predictions, id, &wanted);
            Answer::warned(Json(body).into_response(), rows, predictions)
        }
        Err(error) => Answer::refusal(refuse(error.into())),
    }
}

fn infer_body(predictions: &Predictions, id: Option<String>, wanted: &[&str]) -> Value {
    let model = &predictions.model;
    let rows = predictions.labels.len();
    let outputs = wanted.iter().map(|name| match *name {
        PROBABILITIES => {
            let data = (0..rows).flat_map(|row| predictions.probabilities(row));
            json!({
                "name": name,
                "datatype": "FP32",
                "shape": [rows, model.labels.len()],
                "data": data.collect::<Vec<_>>(),
            })
        }
        _ => json!({
            "name": name,
            "datatype": label_datatype(model),
            "shape": [rows],
            "data": predictions.labels,
        }),
    });
    let mut body = json!({
        "model_name": model.name,
        "model_version": model.version,
        "outputs": outputs.collect::<Vec<_>>(),
    });
    if let Some(id) = id {
        body["id"] = id.into();
    }
    body
}

#[derive(Debug, Default, Deserialize)]
struct IndexRequest {
    #[serde(default)]
    ready: bool,
}

/// Lists what is in memory, as far as the one who asks may know of it.
async fn index(State(serving): State<Serving>, access: Access, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read_body(&parts, body, MAX_CALL_BYTES).await {
        Ok(body) => body,
        Err(refusal) => return refuse(refusal),
    };
    let request = match body.is_empty() {
        true => Ok(IndexRequest::default()),
        false => serde_json::from_slice::<IndexRequest>(&body),
    };
    let request = match request {
        Ok(request) => request,
        Err(error) => return bad_request(format!("the body is no index request: {error}")),
    };
    let models = serving.endpoints().into_iter().filter_map(|endpoint| {
        let state = endpoint.state();
        let name = &endpoint.model_ref().name;
        if !access.allows(name) || (request.ready && state.model.is_none()) {
            return None;
        }
        Some(json!({
            "name": name,
            "version": state.model.as_ref().map(|model| model.version.clone()),
            "state": if state.model.is_some() { "READY" } else { "UNAVAILABLE" },
            "reason": state.explanation().unwrap_or_default(),
        }))
    });
    Json(models.collect::<Vec<_>>()).into_response()
}

async fn load(State(serving): State<Serving>, Path(model): Path<String>) -> Response {
    let model = by_name(&serving, &model);
    let loaded = endpoint(&serving, model).await.and_then(|endpoint| {
        let model = endpoint.current();
        model.ok_or_else(|| endpoint.no_model())
    });
    match loaded {
        Ok(_) => StatusCode::OK.into_response(),
        Err(error) => refuse(error.into()),
    }
}

async fn unload(State(serving): State<Serving>, Path(model): Path<String>) -> Response {
    let model = match by_name(&serving, &model) {
        Ok(model) => model,
        Err(error) => return refuse(error.into()),
    };
    if model == serving.settings().model_ref() {
        let message = format!("{model} is what the settings name; it is always in memory");
        return refuse(Refusal::new(StatusCode::CONFLICT, message));
    }
    match serving.forget(&model) {
        true => StatusCode::OK.into_response(),
        false => refuse(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("{model} is not in memory"),
        )),
    }
}
