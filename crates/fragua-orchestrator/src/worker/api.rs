//! The routes for workers of other machines. A request carries a worker token; what it says about an attempt carries that
//! attempt's own token as well, and is refused with 409 once the attempt no longer holds its lease.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use fragua_auth::Auth;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::desk;
use super::wire::{
    Began, Done, HeartbeatRequest, Held, Introduction, LeaseRequest, Leased, PREFIX, Received, Registration,
};
use crate::{Error, Orchestrator};

/// The largest body of a request: what an attempt hands on.
const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// The longest that a request waits: less than what lies between may cut a silent connection after.
const LONGEST_WAIT_MILLIS: u64 = 30_000;

/// Returns the paths below `/worker/v1`, for workers with a token of [`Auth::create_worker_token`]. What waits is cut short
/// when the program is to end.
pub fn worker_router(orchestrator: Orchestrator, auth: Auth, shutdown: CancellationToken) -> Router {
    let waiting = Router::new()
        .route("/lease", post(lease))
        .route("/heartbeat", post(heartbeat))
        .layer(from_fn_with_state(shutdown, cut_short));
    let routes = Router::new()
        .merge(waiting)
        .route("/register", post(register))
        .route("/workers/{worker}/reclaim", post(reclaim))
        .route("/workers/{worker}/leave", post(leave))
        .route("/attempts/{token}/began", post(began))
        .route("/attempts/{token}/log", post(log))
        .route("/attempts/{token}/done", post(done))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(auth, authenticate))
        .with_state(orchestrator);
    Router::new().nest(PREFIX, routes)
}

async fn cut_short(State(shutdown): State<CancellationToken>, request: Request, next: Next) -> Response {
    tokio::select! {
        answer = next.run(request) => answer,
        () = shutdown.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn authenticate(State(auth): State<Auth>, request: Request, next: Next) -> Response {
    let header = request.headers().get(AUTHORIZATION);
    let token = header.and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "));
    let known = match token {
        Some(token) => auth.check_worker_token(token).await,
        None => Ok(None),
    };
    match known {
        Ok(Some(_)) => next.run(request).await,
        Ok(None) => {
            let detail = "a worker token is needed: `fragua worker token create` makes one";
            (StatusCode::UNAUTHORIZED, Json(json!({ "detail": detail }))).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a worker token could not be checked");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// An answer that is not a success.
struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            Error::StaleToken { .. } => StatusCode::CONFLICT,
            Error::WorkerNotFound { .. } => StatusCode::GONE,
            error => {
                StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        if status.is_server_error() {
            tracing::error!(error = %self.0, "a worker's request failed");
        }
        (status, Json(json!({ "detail": self.0.to_string() }))).into_response()
    }
}

type Answer<T> = Result<Json<T>, Failure>;

async fn register(
    State(orchestrator): State<Orchestrator>,
    Json(introduction): Json<Introduction>,
) -> Answer<Registration> {
    tracing::info!(
        introduction.name,
        introduction.host,
        introduction.slots,
        "a worker begins"
    );
    Ok(Json(
        desk::register(&orchestrator.core, introduction, true).await?,
    ))
}

async fn reclaim(State(orchestrator): State<Orchestrator>, Path(worker): Path<String>) -> Answer<()> {
    Ok(Json(desk::reclaim(&orchestrator.core, &worker).await?))
}

async fn leave(State(orchestrator): State<Orchestrator>, Path(worker): Path<String>) -> Answer<()> {
    Ok(Json(desk::leave(&orchestrator.core, &worker).await?))
}

async fn lease(
    State(orchestrator): State<Orchestrator>,
    Json(mut request): Json<LeaseRequest>,
) -> Answer<Leased> {
    request.wait_millis = request.wait_millis.min(LONGEST_WAIT_MILLIS);
    Ok(Json(desk::lease(&orchestrator.core, &request).await?))
}

async fn heartbeat(
    State(orchestrator): State<Orchestrator>,
    Json(mut request): Json<HeartbeatRequest>,
) -> Answer<Held> {
    request.wait_millis = request.wait_millis.min(LONGEST_WAIT_MILLIS);
    Ok(Json(desk::heartbeat(&orchestrator.core, &request).await?))
}

async fn began(
    State(orchestrator): State<Orchestrator>,
    Path(token): Path<String>,
    Json(body): Json<Began>,
) -> Answer<()> {
    Ok(Json(desk::began(&orchestrator.core, &token, &body).await?))
}

#[derive(Deserialize)]
struct Offset {
    offset: u64,
}

async fn log(
    State(orchestrator): State<Orchestrator>,
    Path(token): Path<String>,
    Query(Offset { offset }): Query<Offset>,
    piece: Bytes,
) -> Answer<Received> {
    let next_offset = desk::log(&orchestrator.core, &token, offset, piece).await?;
    Ok(Json(Received { next_offset }))
}

async fn done(
    State(orchestrator): State<Orchestrator>,
    Path(token): Path<String>,
    Json(body): Json<Done>,
) -> Answer<()> {
    Ok(Json(desk::done(&orchestrator.core, &token, body).await?))
}
