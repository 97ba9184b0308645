//! A small client of MLflow's REST protocol, for this server and for any other that speaks it.
//!
//! Artifacts go through the server's artifact proxy.

mod artifacts;
mod error;
mod logged_models;
mod registry;
mod runs;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fragua_base::Secret;
use reqwest::{Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use error::ClientError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may stand still between two reads; a transfer as a whole may take as long as it needs.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// The largest JSON answer that is read.
const JSON_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// A client of one MLflow server. Cheap to clone.
#[derive(Clone)]
pub struct MlflowClient {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    base: String,
    token: Option<Secret>,
}

impl MlflowClient {
    /// Makes a client of the server at `base_url`, such as `http://127.0.0.1:8084`, that sends `token` as a bearer
    /// token. Nothing is sent before the first call.
    ///
    /// # Errors
    /// [`ClientError::InvalidAddress`].
    pub fn new(base_url: &str, token: Option<Secret>) -> Result<Self, ClientError> {
        let invalid = || ClientError::InvalidAddress {
            address: crate::validation::shorten(base_url),
        };
        let address = url::Url::parse(base_url).map_err(|_| invalid())?;
        if !matches!(address.scheme(), "http" | "https") || !address.has_host() {
            return Err(invalid());
        }
        install_tls_provider();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("fragua/", env!("CARGO_PKG_VERSION")))
            // A tracking server has no reason to send its clients, with their token, elsewhere.
            .redirect(reqwest::redirect::Policy::none());
        if address.host_str().is_some_and(is_loopback) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| ClientError::Setup {
            reason: error.to_string(),
        })?;
        let base = base_url.trim_end_matches('/').to_owned();
        Ok(Self {
            inner: Arc::new(Inner { http, base, token }),
        })
    }

    /// Returns the base address of the server, without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.inner.base
    }

    /// Succeeds when the server answers its health check.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Refused`].
    pub async fn check_health(&self) -> Result<(), ClientError> {
        let request = self.request(Method::GET, "/health");
        self.send(request).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self
            .inner
            .http
            .request(method, format!("{}{path}", self.inner.base));
        match &self.inner.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// Sends a request and turns an error answer into an error.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, ClientError> {
        let response = request
            .send()
            .await
            .map_err(|error| ClientError::unreachable(self.base_url(), &error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(ClientError::from_answer(response).await)
    }

    async fn read<T: DeserializeOwned>(&self, mut response: Response) -> Result<T, ClientError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| ClientError::unreachable(self.base_url(), &error))?
        {
            if bytes.len() + chunk.len() > JSON_ANSWER_BYTES {
                return Err(ClientError::unreadable("it is too large"));
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes).map_err(|error| ClientError::unreadable(error.to_string()))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, ClientError> {
        let request = self
            .request(Method::GET, &format!("/api/2.0/mlflow/{path}"))
            .query(query);
        let response = self.send(request).await?;
        self.read(response).await
    }

    async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self
            .request(method, &format!("/api/2.0/mlflow/{path}"))
            .json(body);
        let response = self.send(request).await?;
        self.read(response).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.send_json(Method::POST, path, body).await
    }

    /// Posts what has an answer that says nothing.
    async fn post_only(&self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        self.post::<Value>(path, body).await.map(drop)
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Returns the answer, or `None` where the server says that the thing does not exist.
fn found<T>(result: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match result {
        Err(ClientError::Refused { status: 404, .. }) => Ok(None),
        other => other.map(Some),
    }
}

impl fmt::Debug for MlflowClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MlflowClient")
            .field("base_url", &self.inner.base)
            .finish_non_exhaustive()
    }
}

/// The HTTP client wants a TLS provider even where it speaks plain HTTP. One that the process chose stays.
pub(crate) fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing the race to another thread is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
