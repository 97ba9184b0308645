//! Error bodies in MLflow's shape.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::Error;
use crate::validation::texts;

/// An error as the protocol says it. MLflow's client reads `error_code` and tries again on 408, 429, 500, 502, 503
/// and 504, for minutes: those statuses are only for what may pass.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error_code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlstate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<&'a str>,
}

/// MLflow's finer names of an error, with which its own dashboards count: a class and a state in the form of SQL's.
fn class(code: &str) -> Option<(&'static str, &'static str)> {
    Some(match code {
        "BAD_REQUEST" | "INVALID_PARAMETER_VALUE" => ("INVALID_PARAMETER_VALUE", "KAM00"),
        "RESOURCE_ALREADY_EXISTS" => ("RESOURCE_ALREADY_EXISTS", "KAM00"),
        "RESOURCE_DOES_NOT_EXIST" | "ENDPOINT_NOT_FOUND" => ("RESOURCE_NOT_FOUND", "KAM00"),
        "PERMISSION_DENIED" => ("PERMISSION_DENIED", "KAM00"),
        "INTERNAL_ERROR" | "TEMPORARILY_UNAVAILABLE" => ("CLIENT_INTERNAL_ERROR", "XXM00"),
        _ => return None,
    })
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE", message)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    pub(crate) fn missing(field: &str) -> Self {
        Self::invalid(texts::missing(field) + texts::SEE_DOCS)
    }

    pub(crate) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message)
    }

    pub(crate) fn no_endpoint(path: &str) -> Self {
        let message = format!("No such endpoint: {}", crate::validation::shorten(path));
        Self::new(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", message)
    }

    pub(crate) fn no_method() -> Self {
        let message = "This endpoint is not asked with that method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "BAD_REQUEST", message)
    }

    pub(crate) fn not_offered(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "NOT_IMPLEMENTED",
            format!("{what} is not offered by this server"),
        )
    }

    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        let message = format!("The body is larger than the {limit_bytes} bytes allowed");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "INVALID_PARAMETER_VALUE", message)
    }

    pub(crate) fn unwritable(error: serde_json::Error) -> Self {
        Self::internal(&error)
    }

    /// Our fault, or that of the machine: the log has the details, the client gets none.
    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %error, "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL_ERROR",
            "An internal error occurred; the server's log says more.",
        )
    }

    fn unavailable(error: &Error) -> Self {
        tracing::warn!(error = %error, "request failed for now");
        let message = "A part of the server is not reachable now; try again.";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "TEMPORARILY_UNAVAILABLE",
            message,
        )
    }

    fn no_room(error: &Error) -> Self {
        tracing::error!(error = %error, "request failed");
        let message = "The server cannot write: its disk or database is full or read-only.";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "INTERNAL_ERROR", message)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        use fragua_database::Error as DatabaseError;
        use fragua_storage::Error as StorageError;

        let message = error.to_string();
        match &error {
            Error::InvalidParameter(_) | Error::Filter { .. } => Self::invalid(message),
            // 400 and not 409: the client's get-or-create reads the code and gives up on another status.
            Error::AlreadyExists(_) => Self::new(StatusCode::BAD_REQUEST, "RESOURCE_ALREADY_EXISTS", message),
            Error::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", message),
            Error::NotImplemented(_) => Self::new(StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED", message),
            Error::TooLarge(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "INVALID_PARAMETER_VALUE", message)
            }
            Error::UnknownRevision { .. } | Error::OtherWorkspaces { .. } => Self::internal(&error),
            Error::Database(failure) | Error::Storage(StorageError::Database(failure)) => match failure {
                DatabaseError::Unique { .. } | DatabaseError::ForeignKey => Self::new(
                    StatusCode::CONFLICT,
                    "RESOURCE_CONFLICT",
                    "Another request changed the same thing at the same time; try again.",
                ),
                DatabaseError::Full { .. } | DatabaseError::ReadOnly { .. } => Self::no_room(&error),
                DatabaseError::Busy | DatabaseError::Unreachable { .. } => Self::unavailable(&error),
                _ => Self::internal(&error),
            },
            Error::Storage(failure) => match failure {
                StorageError::ObjectNotFound { .. } | StorageError::BucketNotFound { .. } => {
                    Self::new(StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", message)
                }
                StorageError::RangeNotSatisfiable { .. } => Self::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "INVALID_PARAMETER_VALUE",
                    message,
                ),
                StorageError::TooLarge { .. } => {
                    Self::new(StatusCode::PAYLOAD_TOO_LARGE, "INVALID_PARAMETER_VALUE", message)
                }
                StorageError::Body(_) => Self::invalid("The body ended before it was complete"),
                StorageError::StorageFull => Self::no_room(&error),
                StorageError::Remote { .. } => Self::unavailable(&error),
                StorageError::RemoteForbidden { .. } => {
                    tracing::error!(error = %error, "request failed");
                    let message = "The object store behind this server refused its access key.";
                    Self::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message)
                }
                other => match other.kind() {
                    fragua_base::ErrorKind::InvalidInput => Self::invalid(message),
                    _ => Self::internal(&error),
                },
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (
            self.status,
            Json(Body {
                error_code: self.code,
                message: &self.message,
                sqlstate: class(self.code).map(|(_, state)| state),
                error_class: class(self.code).map(|(class, _)| class),
            }),
        )
            .into_response()
    }
}
