//! Answers that are not a success, in Airflow's words: `{"detail": …}`.

use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::Error;

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    detail: Value,
}

impl Failure {
    pub(super) fn new(status: StatusCode, detail: impl Into<Value>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }

    pub(super) fn bad_request(detail: impl Into<Value>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn not_found(detail: impl Into<Value>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn conflict(detail: impl Into<Value>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// A part of the request that is missing or wrong, in the form of Airflow's validation errors.
    pub(super) fn invalid(place: &str, field: &str, kind: &str, message: &str) -> Self {
        let detail = json!([{ "type": kind, "loc": [place, field], "msg": message }]);
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// A field of the body that asks for what is not offered here.
    pub(super) fn not_offered(field: &str, message: &str) -> Self {
        Self::invalid("body", field, "value_error", message)
    }

    /// Says it in a few words, for an answer about many things.
    pub(super) fn words(&self) -> String {
        match &self.detail {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status =
            StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(%error, "a request failed");
        }
        match status {
            StatusCode::INTERNAL_SERVER_ERROR => Self::new(status, "Internal Server Error"),
            _ => Self::new(status, error.to_string()),
        }
    }
}

impl From<BytesRejection> for Failure {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, rejection.body_text())
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        Self::not_found(rejection.body_text())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "detail": self.detail }))).into_response()
    }
}
