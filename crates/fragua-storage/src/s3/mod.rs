//! The S3 API: signature version 4, path style.
//!
//! `s3s` reads and writes the protocol; this module says what each operation means to [`Storage`].

mod bucket_settings;
mod buckets;
mod convert;
mod error;
mod lifecycle;
mod listing;
mod multipart;
mod objects;
mod service;
mod tagging;
mod versioning;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderValue, Method, StatusCode, Version};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fragua_auth::Auth;
use fragua_base::random_hex;
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::S3ServiceBuilder;
use s3s::{S3Error, S3ErrorCode, S3Result};
use tower::ServiceExt as _;
use url::form_urlencoded;

use self::service::Service;
use crate::Storage;

/// The region that our own port answers for. Signatures may name any.
pub const REGION: &str = "us-east-1";

/// The largest XML body, far above 1000 keys to delete or 10,000 parts.
const MAX_XML_BYTES: usize = 8 << 20;

/// Returns the S3 API over `storage`, for requests signed with the keys of `auth`, with
/// `/minio/health/live` and `/minio/health/ready` for probes.
///
/// Nothing that buffers, compresses or times out may be put around it: bodies are large.
pub fn router(storage: Storage, auth: Auth) -> Router {
    let mut builder = S3ServiceBuilder::new(Service::new(storage.clone()));
    let mut config = S3Config::default();
    config.xml_max_body_size = MAX_XML_BYTES;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(Secrets(auth));
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
    Router::new()
        .fallback_service(s3)
        .layer(from_fn(refuse_what_is_not_offered))
        .route("/minio/health/live", get(StatusCode::OK))
        .route("/minio/health/ready", get(ready))
        .layer(from_fn(finish))
        .with_state(storage)
}

async fn ready(State(storage): State<Storage>) -> StatusCode {
    match storage.check_ready().await {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            tracing::warn!(%error, "the object store is not ready");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// Gives each answer the id that S3 clients show with an error, and ends a connection whose next bytes could be
/// mistaken.
///
/// A client that waits for `100 Continue` and is refused does not send its body and goes on with its next
/// request. The server library reads what comes as the body it still waits for, when that is small.
async fn finish(request: Request, next: Next) -> Response {
    let is_waiting = request.headers().contains_key(EXPECT) && request.version() == Version::HTTP_11;
    let mut response = next.run(request).await;
    if is_waiting && !response.status().is_success() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(id) = HeaderValue::from_str(&random_hex(8)) {
        response.headers_mut().insert("x-amz-request-id", id);
    }
    response
}

/// Refuses signature version 2, which hashes with SHA-1 and leaves headers open, and forms from browsers, which
/// would be held in memory.
async fn refuse_what_is_not_offered(request: Request, next: Next) -> Response {
    if is_version_2(&request) {
        let message = "The authorization mechanism you have provided is not supported. \
                       Please use AWS4-HMAC-SHA256.";
        return refuse(S3ErrorCode::InvalidRequest, message);
    }
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_form =
        content_type.is_some_and(|text| text.trim_start().to_ascii_lowercase().starts_with("multipart/"));
    if request.method() == Method::POST && is_form {
        return refuse(
            S3ErrorCode::NotImplemented,
            "Uploads by a form are not offered; use PUT.",
        );
    }
    next.run(request).await
}

fn is_version_2(request: &Request) -> bool {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if authorization.is_some_and(|value| value.starts_with(b"AWS ")) {
        return true;
    }
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "Signature")
}

fn refuse(code: S3ErrorCode, message: &'static str) -> Response {
    match S3Error::with_message(code, message).to_http_response() {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Looks up the secrets that signatures are checked with.
struct Secrets(Auth);

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.secret_for(access_key).await {
            Ok(Some(secret)) => Ok(SecretKey::from(secret.expose())),
            Ok(None) => Err(S3Error::with_message(
                S3ErrorCode::InvalidAccessKeyId,
                "The access key ID you provided does not exist in our records.",
            )),
            Err(error) => {
                tracing::error!(%error, "cannot look up an access key");
                Err(error::unavailable())
            }
        }
    }
}
