//! Is it up, is it ready, what is it, how is it doing.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use crate::endpoint::{Challenger, Problem};
use crate::{Endpoint, Serving};

/// The MLflow release whose scoring protocol is spoken here.
const MLFLOW_VERSION: &str = "3.18.0";

/// MLflow's liveness: 200 with one newline, 404 while there is no model.
pub(super) async fn ping(State(serving): State<Serving>) -> Response {
    let status = match serving.current() {
        Some(_) => StatusCode::OK,
        None => StatusCode::NOT_FOUND,
    };
    (status, [(header::CONTENT_TYPE, "application/json")], "\n").into_response()
}

pub(super) async fn version() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], MLFLOW_VERSION).into_response()
}

pub(super) async fn metrics(State(serving): State<Serving>) -> Response {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], serving.metrics_page()).into_response()
}

/// 200 for as long as the role is up; the body says what it serves.
pub(super) async fn health(State(serving): State<Serving>) -> Json<Health> {
    Json(Health::of(serving.default_endpoint()))
}

/// 200 only while a version answers.
pub(super) async fn ready(State(serving): State<Serving>) -> (StatusCode, Json<Health>) {
    let health = Health::of(serving.default_endpoint());
    let status = if health.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(health))
}

/// What `/health`, `/health/ready` and `/models/{model}` tell of an endpoint.
#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    pub(super) ready: bool,
    model_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ServedVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<ChallengerBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<ChallengerBody>,
}

#[derive(Serialize)]
struct ServedVersion {
    name: String,
    version: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    run_id: Option<String>,
    created_at: String,
    loaded_at: String,
}

#[derive(Serialize)]
struct ProblemBody {
    kind: &'static str,
    version: Option<String>,
    message: String,
    since: String,
}

#[derive(Serialize)]
struct ChallengerBody {
    version: i32,
    percent: u8,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemBody>,
}

impl From<&Problem> for ProblemBody {
    fn from(problem: &Problem) -> Self {
        Self {
            kind: problem.kind.name(),
            version: problem.version.clone(),
            message: problem.message.clone(),
            since: problem.since.to_rfc3339(),
        }
    }
}

impl From<&Challenger> for ChallengerBody {
    fn from(challenger: &Challenger) -> Self {
        Self {
            version: challenger.version,
            percent: challenger.percent,
            ready: challenger.model.is_some(),
            problem: challenger.problem.as_ref().map(ProblemBody::from),
        }
    }
}

impl Health {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let state = endpoint.state();
        let model = state.model.as_ref().map(|model| ServedVersion {
            name: model.name.clone(),
            version: model.version_value(),
            alias: endpoint.model_ref().alias_name().map(str::to_owned),
            run_id: model.run_id.clone(),
            created_at: model.created_at.to_rfc3339(),
            loaded_at: model.loaded_at.to_rfc3339(),
        });
        Self {
            status: "ok",
            ready: model.is_some(),
            model_uri: endpoint.model_ref().to_string(),
            model,
            problem: state.problem.as_ref().map(ProblemBody::from),
            canary: state.canary.as_ref().map(ChallengerBody::from),
            shadow: state.shadow.as_ref().map(ChallengerBody::from),
        }
    }
}
