//! What becomes of a request, for the access log.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use fragua_auth::LoggedAccess;
use fragua_base::Timestamp;
use url::form_urlencoded;

use super::access::Caller;

const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::PUT,
    Method::POST,
    Method::DELETE,
    Method::OPTIONS,
];

/// What is found out of a request while it is answered. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail(Arc<Mutex<Found>>);

#[derive(Debug, Clone, Default)]
struct Found {
    operation: Option<String>,
    access_key_id: Option<String>,
    key_name: Option<String>,
    bucket: Option<String>,
    object_key: Option<String>,
}

impl Trail {
    pub(super) fn note(
        &self,
        operation: &str,
        access_key_id: Option<String>,
        caller: &Caller,
        bucket: Option<&str>,
        key: Option<&str>,
    ) {
        let found = Found {
            operation: Some(operation.to_owned()),
            access_key_id,
            key_name: caller.name().map(str::to_owned),
            bucket: bucket.map(str::to_owned),
            object_key: key.map(str::to_owned),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}

/// A request before it is answered, as far as the log may need it.
pub(super) struct Asked {
    trail: Trail,
    method: Method,
    uri: Uri,
    access_key_id: Option<String>,
}

impl Asked {
    /// Takes note of a request and gives it a trail to be written on.
    pub(super) fn of(request: &mut Request) -> Self {
        let trail = Trail::default();
        request.extensions_mut().insert(trail.clone());
        Self {
            trail,
            method: request.method().clone(),
            uri: request.uri().clone(),
            access_key_id: claimed_key(request.headers(), request.uri()),
        }
    }

    /// Returns the operation; the method of a request that was refused before that was known.
    pub(super) fn operation(&self) -> String {
        let found = self.trail.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &found.operation {
            Some(operation) => operation.clone(),
            // Clients may send any word as their method.
            None if METHODS.contains(&self.method) => self.method.to_string(),
            None => "OTHER".to_owned(),
        }
    }

    /// Returns what is to be logged: writes, whatever became of them, and what was refused.
    pub(super) fn entry(
        self,
        status: StatusCode,
        request_id: String,
        now: Timestamp,
    ) -> Option<LoggedAccess> {
        let is_write = !self.method.is_safe();
        let is_refused = matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
        if !is_write && !is_refused {
            return None;
        }
        let found = self
            .trail
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // Refused before it was understood, the path is all that is known of its place.
        let (bucket, object_key) = match found.operation {
            Some(_) => (found.bucket, found.object_key),
            None => (None, Some(self.uri.path().chars().take(1024).collect())),
        };
        Some(LoggedAccess {
            happened_at: now,
            request_id,
            access_key_id: found.access_key_id.or(self.access_key_id),
            key_name: found.key_name,
            operation: found.operation.unwrap_or_else(|| self.method.to_string()),
            bucket,
            object_key,
            status: status.as_u16(),
        })
    }
}

/// Returns the key that a request names, which may not be who sent it.
fn claimed_key(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let named = match header {
        Some(text) => text.split_once("Credential=").map(|(_, rest)| rest.to_owned()),
        None => form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .find(|(name, _)| name == "X-Amz-Credential")
            .map(|(_, value)| value.into_owned()),
    };
    let id = named?.split('/').next()?.chars().take(128).collect::<String>();
    (!id.is_empty()).then_some(id)
}
