//! What can go wrong between here and a tracking server.

use fragua_base::ErrorKind;
use reqwest::Response;
use serde::Deserialize;

/// A failure of the client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base address is none.
    #[error("{address:?} is not the address of a tracking server, such as http://127.0.0.1:8084")]
    InvalidAddress {
        /// What was given, shortened.
        address: String,
    },
    /// The HTTP client could not be made, for example without a TLS provider.
    #[error("the HTTP client could not be made: {reason}")]
    Setup {
        /// What stood in the way.
        reason: String,
    },
    /// The server did not answer.
    #[error("the tracking server at {base_url} did not answer: {reason}")]
    Unreachable {
        /// The server.
        base_url: String,
        /// What happened.
        reason: String,
    },
    /// The server answered with an error.
    #[error("the tracking server refused with {status} {error_code}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// MLflow's code, such as `RESOURCE_DOES_NOT_EXIST`; empty when the answer was not MLflow's.
        error_code: String,
        /// MLflow's message, or the beginning of the answer.
        message: String,
    },
    /// The server's answer is not what the protocol promises.
    #[error("the tracking server's answer cannot be read: {reason}")]
    UnreadableAnswer {
        /// Why.
        reason: String,
    },
    /// A local file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// Something to send breaks a rule before it is sent.
    #[error(transparent)]
    Invalid(#[from] crate::Error),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    error_code: String,
    message: String,
}

impl ClientError {
    /// Returns the kind of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidAddress { .. } => ErrorKind::InvalidInput,
            Self::Unreachable { .. } => ErrorKind::Unavailable,
            Self::Refused { status, .. } => match status {
                401 => ErrorKind::Unauthenticated,
                403 => ErrorKind::Forbidden,
                404 => ErrorKind::NotFound,
                409 => ErrorKind::Conflict,
                413 => ErrorKind::TooLarge,
                429 => ErrorKind::Overloaded,
                501 => ErrorKind::NotImplemented,
                400..=499 => ErrorKind::InvalidInput,
                _ => ErrorKind::Unavailable,
            },
            Self::Setup { .. } | Self::UnreadableAnswer { .. } | Self::File { .. } => ErrorKind::Internal,
            Self::Invalid(error) => error.kind(),
        }
    }

    /// Returns MLflow's code when the server refused with one.
    pub fn error_code(&self) -> Option<&str> {
        match self {
            Self::Refused { error_code, .. } if !error_code.is_empty() => Some(error_code),
            _ => None,
        }
    }

    pub(super) fn unreachable(base_url: &str, error: &reqwest::Error) -> Self {
        let mut reason = String::new();
        let mut source: Option<&dyn std::error::Error> = Some(error);
        // The innermost error says most: "connection refused" and not "error sending request".
        while let Some(error) = source {
            reason = error.to_string();
            source = error.source();
        }
        Self::Unreachable {
            base_url: base_url.to_owned(),
            reason,
        }
    }

    pub(super) fn unreadable(reason: impl Into<String>) -> Self {
        Self::UnreadableAnswer {
            reason: reason.into(),
        }
    }

    pub(super) async fn from_answer(response: Response) -> Self {
        const SHOWN: usize = 300;
        let status = response.status().as_u16();
        let text = response.text().await.unwrap_or_default();
        let body: Body = serde_json::from_str(&text).unwrap_or_default();
        let message = if body.message.is_empty() {
            text.chars().take(SHOWN).collect()
        } else {
            body.message
        };
        Self::Refused {
            status,
            error_code: body.error_code,
            message,
        }
    }

    pub(super) fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }
}
