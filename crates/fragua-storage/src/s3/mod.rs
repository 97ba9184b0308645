//! The S3 API: signature version 4, buckets named by path or by host.
//!
//! `s3s` reads and writes the protocol; this module says what each operation means to [`Storage`].

mod access;
mod acl;
mod attributes;
mod bucket_settings;
mod buckets;
mod convert;
mod cors;
mod defaults;
mod deletes;
mod encryption;
mod error;
mod form;
mod host;
mod lifecycle;
mod listing;
mod multipart;
mod objects;
mod post_policy;
mod refusal;
mod service;
mod tagging;
mod trail;
mod versioning;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_RANGE, CONTENT_TYPE, EXPECT, HOST};
use axum::http::{HeaderValue, Method, StatusCode, Version};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fragua_auth::Auth;
use fragua_base::{Clock as _, SystemClock, random_hex};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::S3ServiceBuilder;
use s3s::{S3Error, S3ErrorCode};
use tower::ServiceExt as _;
use url::form_urlencoded;

use self::access::{Keys, Policies};
use self::error::invalid_request;
use self::host::Hosts;
use self::service::Service;
use self::trail::Asked;
use crate::{Storage, traffic};

/// The region that our own port answers for. Signatures may name any.
pub const REGION: &str = "us-east-1";

/// The region that clients are told to sign for. AWS has none of that name: for its oldest ones boto3 signs addresses and
/// forms with version 2.
pub const CLIENT_REGION: &str = "local";

/// The largest XML body, far above 1000 keys to delete or 10,000 parts.
const MAX_XML_BYTES: usize = 8 << 20;

/// What is asked now and then by programs that watch, and counts as no request: MinIO's paths, which they know.
const PROBES: [&str; 3] = [LIVE, READY, METRICS];
const LIVE: &str = "/minio/health/live";
const READY: &str = "/minio/health/ready";
const METRICS: &str = "/minio/v2/metrics/cluster";

/// boto3 signs addresses in the old way for the oldest regions, unless it is told otherwise.
const ONLY_VERSION_4: &str = "Signature version 2 is not offered. Please use AWS4-HMAC-SHA256: in boto3 \
                              Config(signature_version=\"s3v4\"), or a region such as the one that `fragua keys` prints.";

/// How the S3 API is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Domains below which a host names a bucket: with `s3.localhost`, `mlflow.s3.localhost` is the bucket `mlflow`.
    /// Hosts that are not below one leave the bucket to the path.
    pub domains: Vec<String>,
}

/// What the layers around the service need.
struct Edge {
    storage: Storage,
    keys: Keys,
    hosts: Hosts,
}

/// Returns the S3 API over `storage`, for requests signed with the keys of `auth`, with
/// `/minio/health/live` and `/minio/health/ready` for probes and `/minio/v2/metrics/cluster` for Prometheus. What is written and what is refused goes to the access log
/// of `auth`.
///
/// Nothing that buffers, compresses or times out may be put around it: bodies are large.
pub fn router(storage: Storage, auth: Auth, settings: &Settings) -> Router {
    let keys = Keys(auth);
    let mut builder = S3ServiceBuilder::new(Service::new(storage.clone()));
    let mut config = S3Config::default();
    config.xml_max_body_size = MAX_XML_BYTES;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(keys.clone());
    builder.set_access(Policies {
        storage: storage.clone(),
        keys: keys.clone(),
    });
    builder.set_host(Hosts::new(&settings.domains));
    let s3 = builder.build();
    let s3 = tower::service_fn(move |request: Request| {
        let s3 = s3.clone();
        async move {
            let response = s3.oneshot(request).await;
            Ok::<_, Infallible>(match response {
                Ok(response) => response.map(Body::new),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            })
        }
    });
    let edge = Arc::new(Edge {
        storage,
        keys,
        hosts: Hosts::new(&settings.domains),
    });
    Router::new()
        .fallback_service(s3)
        .layer(from_fn_with_state(Arc::clone(&edge), before_the_service))
        .route(LIVE, get(StatusCode::OK))
        .route(READY, get(ready))
        .route(METRICS, get(metrics))
        .layer(from_fn_with_state(Arc::clone(&edge), finish))
        .layer(DefaultBodyLimit::disable())
        .with_state(edge)
}

/// Tells counts to Prometheus, and no names.
async fn metrics(State(edge): State<Arc<Edge>>) -> impl IntoResponse {
    let page = traffic::prometheus(&edge.storage.traffic());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], page)
}

async fn ready(State(edge): State<Arc<Edge>>) -> StatusCode {
    match edge.storage.check_ready().await {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            tracing::warn!(%error, "the object store is not ready");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// Gives each answer the id that S3 clients show with an error, logs what was written or refused, and ends a connection
/// whose next bytes could be mistaken.
///
/// A client that waits for `100 Continue` and is refused does not send its body and goes on with its next
/// request. The server library reads what comes as the body it still waits for, when that is small.
async fn finish(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let is_waiting = request.headers().contains_key(EXPECT) && request.version() == Version::HTTP_11;
    let is_probe = PROBES.contains(&request.uri().path());
    let bucket_of_host = request
        .headers()
        .get(HOST)
        .and_then(|host| edge.hosts.bucket(host.to_str().ok()?));
    let (asked, begun) = (Asked::of(&mut request, bucket_of_host), Instant::now());
    let page = match request.method() {
        &Method::OPTIONS => None,
        _ => cors::Page::of(&edge, &request),
    };
    let id = random_hex(8);
    let response = next.run(request).await;
    let mut response = refusal::tell(&asked, &id, response).await;
    if let Some(page) = page {
        page.allow(&edge, response.headers_mut()).await;
    }
    if is_waiting && !response.status().is_success() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if !is_probe {
        let (operation, status) = (asked.operation(), response.status().as_u16());
        edge.storage.traffic.note(&operation, status, begun.elapsed());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-amz-request-id", id);
    }
    if let Some(entry) = asked.entry(response.status(), id, SystemClock.now()) {
        edge.keys.0.log_access(entry);
    }
    response
}

/// Refuses signature version 2, which hashes with SHA-1 and leaves headers open, and takes forms from browsers, which the
/// service would hold in memory.
async fn before_the_service(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        let page = cors::Page::asking(&edge, &request);
        return cors::preflight(&edge, page).await;
    }
    if is_version_2(&request) {
        return answer(invalid_request(ONLY_VERSION_4));
    }
    if has_unreadable_date(&request) {
        let message =
            "AWS authentication requires a valid Date or x-amz-date header, and a Credential with a date.";
        return answer(S3Error::with_message(S3ErrorCode::AccessDenied, message));
    }
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_form =
        content_type.is_some_and(|text| text.trim_start().to_ascii_lowercase().starts_with("multipart/"));
    if request.method() == Method::POST && is_form {
        let uploaded = form::upload(&edge, request, SystemClock.now()).await;
        return uploaded.unwrap_or_else(answer);
    }
    let is_head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    // The service does so for a GET alone.
    if is_head && response.status() == StatusCode::OK && response.headers().contains_key(CONTENT_RANGE) {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

fn is_version_2(request: &Request) -> bool {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if authorization.is_some_and(|value| value.starts_with(b"AWS ")) {
        return true;
    }
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "Signature")
}

/// The service's own reader of dates subtracts before it looks, which ends a build with checked arithmetic.
fn has_unreadable_date(request: &Request) -> bool {
    let is_odd = |text: &str| text.bytes().any(|byte| !byte.is_ascii_alphanumeric());
    let has_odd_date = |credential: &str| credential.split('/').nth(1).is_some_and(is_odd);
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let dates = request.headers().get_all("x-amz-date");
    let credentials = request.headers().get_all(AUTHORIZATION);
    let of_header = |value: String| {
        let credential = value.split_once("Credential=").map(|(_, rest)| rest);
        credential.is_some_and(has_odd_date)
    };
    let query = request.uri().query().unwrap_or_default();
    dates.iter().map(text).any(|date| is_odd(&date))
        || credentials.iter().map(text).any(of_header)
        || form_urlencoded::parse(query.as_bytes()).any(|(name, value)| match &*name {
            "X-Amz-Date" => is_odd(&value),
            "X-Amz-Credential" => has_odd_date(&value),
            _ => false,
        })
}

fn answer(error: S3Error) -> Response {
    match error.to_http_response() {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
