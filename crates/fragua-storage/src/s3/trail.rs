//! What becomes of a request, for the access log.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use fragua_auth::LoggedAccess;
use fragua_base::Timestamp;
use percent_encoding::percent_decode_str;
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

/// What requests say beside their operation, in lower case.
const USUAL_PARAMETERS: [&str; 14] = [
    "awsaccesskeyid",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "expires",
    "fetch-owner",
    "list-type",
    "marker",
    "max-keys",
    "prefix",
    "signature",
    "start-after",
    "versionid",
    "x-id",
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
    bucket_of_host: Option<String>,
    /// What the request looks like before anybody has read it as a whole.
    seems: Option<&'static str>,
    access_key_id: Option<String>,
}

impl Asked {
    /// Takes note of a request and gives it a trail to be written on.
    pub(super) fn of(request: &mut Request, bucket_of_host: Option<String>) -> Self {
        let trail = Trail::default();
        request.extensions_mut().insert(trail.clone());
        Self {
            trail,
            method: request.method().clone(),
            uri: request.uri().clone(),
            seems: seeming_operation(request, bucket_of_host.is_some()),
            bucket_of_host,
            access_key_id: claimed_key(request.headers(), request.uri()),
        }
    }

    /// Returns the operation; the method of a request that was refused before that was known and is of no usual form.
    pub(super) fn operation(&self) -> String {
        let found = self.trail.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&found.operation, self.seems) {
            (Some(operation), _) => operation.clone(),
            (None, Some(operation)) => operation.to_owned(),
            // Clients may send any word as their method.
            (None, None) if METHODS.contains(&self.method) => self.method.to_string(),
            (None, None) => "OTHER".to_owned(),
        }
    }

    /// Returns the name in the place of a bucket, which may be none that a bucket can have.
    pub(super) fn bucket(&self) -> String {
        match &self.bucket_of_host {
            Some(bucket) => bucket.clone(),
            None => path_parts(&self.uri).0,
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
            operation: found
                .operation
                .or(self.seems.map(str::to_owned))
                .unwrap_or_else(|| self.method.to_string()),
            bucket,
            object_key,
            status: status.as_u16(),
        })
    }
}

/// Returns the first part of a path, decoded, and the rest.
fn path_parts(uri: &Uri) -> (String, &str) {
    let path = uri.path().strip_prefix('/').unwrap_or_default();
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    (percent_decode_str(first).decode_utf8_lossy().into_owned(), rest)
}

/// Returns the operation of a request that asks for no part of a bucket or object, such as its tags.
fn seeming_operation(request: &Request, names_bucket: bool) -> Option<&'static str> {
    let query = request.uri().query().unwrap_or_default();
    let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.to_ascii_lowercase());
    let is_usual = |name: String| {
        name.starts_with("x-amz-")
            || name.starts_with("response-")
            || USUAL_PARAMETERS.contains(&name.as_str())
    };
    if !names.all(is_usual) {
        return None;
    }
    let (first, rest) = path_parts(request.uri());
    let place = match names_bucket {
        true => (true, !first.is_empty()),
        false => (!first.is_empty(), !rest.is_empty()),
    };
    let copies = request.headers().contains_key("x-amz-copy-source");
    Some(match (request.method().as_str(), place) {
        ("GET", (false, _)) => "ListBuckets",
        ("GET", (true, false)) if query.contains("list-type=2") => "ListObjectsV2",
        ("GET", (true, false)) => "ListObjects",
        ("HEAD", (true, false)) => "HeadBucket",
        ("PUT", (true, false)) => "CreateBucket",
        ("DELETE", (true, false)) => "DeleteBucket",
        ("GET", (true, true)) => "GetObject",
        ("HEAD", (true, true)) => "HeadObject",
        ("PUT", (true, true)) if copies => "CopyObject",
        ("PUT", (true, true)) => "PutObject",
        ("DELETE", (true, true)) => "DeleteObject",
        _ => return None,
    })
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
