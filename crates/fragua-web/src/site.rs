//! What the pages of all roles share, and the frame each request passes through.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use fragua_base::{Endpoints, SharedClock};
use fragua_serving::Serving;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use crate::assets;
use crate::error::{Error, Failure};
use crate::format;
use crate::page::{Page, Theme};

/// Which version the inference API and the form that predicts answer with: the one that this alias of this model names.
#[derive(Debug, Clone, Default)]
pub struct ServedAlias {
    /// Name of the registered model.
    pub model: String,
    /// Alias of one of its versions.
    pub alias: String,
}

/// What the pages of all roles share: where the roles answer, with which model, what time it is, and when to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Site {
    shared: Arc<Shared>,
    serving: Option<Serving>,
    artifact_bucket: Option<Arc<str>>,
}

#[derive(Debug)]
struct Shared {
    endpoints: Endpoints,
    served: ServedAlias,
    clock: SharedClock,
    shutdown: CancellationToken,
}

impl Site {
    /// Makes the site. Open event streams end once `shutdown` is cancelled, so that a server can drain.
    pub fn new(
        endpoints: Endpoints,
        served: ServedAlias,
        clock: SharedClock,
        shutdown: CancellationToken,
    ) -> Self {
        let shared = Arc::new(Shared {
            endpoints,
            served,
            clock,
            shutdown,
        });
        Self {
            shared,
            serving: None,
            artifact_bucket: None,
        }
    }

    /// Lets the pages of the object store link what lies in this bucket to the runs and models it belongs to.
    #[must_use]
    pub fn with_artifacts_in(self, bucket: &str) -> Self {
        let artifact_bucket = Some(bucket.into());
        Self {
            artifact_bucket,
            ..self
        }
    }

    pub(crate) fn has_artifacts_in(&self, bucket: &str) -> bool {
        self.artifact_bucket.as_deref() == Some(bucket)
    }

    /// Lets the pages of a registered model show and change which of its versions answer in this process.
    #[must_use]
    pub fn with_traffic_of(self, serving: Option<Serving>) -> Self {
        Self { serving, ..self }
    }

    pub(crate) fn serving(&self) -> Option<&Serving> {
        self.serving.as_ref()
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.shared.endpoints
    }

    pub(crate) fn served(&self) -> &ServedAlias {
        &self.shared.served
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.shared.clock
    }

    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.shared.shutdown
    }

    /// Puts the frame around a role's routes: static files, the not-found page, error pages, language and theme,
    /// the refusal of foreign writes, security headers, compression.
    pub(crate) fn frame(self, role: Role, routes: Router) -> Router {
        routes
            .merge(assets::routes())
            .fallback(|| async { Error::NoSuchPage })
            .method_not_allowed_fallback(|| async { Error::MethodNotAllowed })
            .layer(CatchPanicLayer::custom(|_| Error::Panicked.into_response()))
            .layer(middleware::from_fn_with_state((self, role), dress))
            .layer(CompressionLayer::new().compress_when(worth_compressing()))
    }
}

/// The role whose pages are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Orchestrator,
    Tracking,
    Console,
    App,
}

impl Role {
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Orchestrator => "orchestrator",
            Self::Tracking => "tracking",
            Self::Console => "console",
            Self::App => "app",
        }
    }
}

async fn dress(State((site, role)): State<(Site, Role)>, mut request: Request, next: Next) -> Response {
    let page = Page::of_request(site, role, request.uri(), request.headers());
    let wants_html = accepts_html(request.headers());
    let mut response = if is_foreign_write(request.method(), request.headers()) {
        Error::ForeignWrite.into_response()
    } else {
        request.extensions_mut().insert(page.clone());
        format::in_language(page.language(), next.run(request)).await
    };
    let status = response.status();
    if (status.is_client_error() || status.is_server_error()) && !is_html(&response) {
        let failure = response.extensions_mut().remove::<Failure>();
        let failure = failure.unwrap_or_else(|| Failure::of_status(status));
        response = failure.render(&page, wants_html);
    }
    remember_choices(&page, &mut response);
    secure(&mut response);
    response
}

/// Files to keep are sent as they are: they hardly become smaller, and a browser shows how far it is only when it knows
/// their length.
fn worth_compressing() -> impl Predicate {
    DefaultPredicate::new()
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(NotForContentType::const_new("application/zip"))
}

/// Tells whether a browser sends this write from a page that is not ours. Forms of ours are sent to where they came
/// from, port included; programs send neither header.
fn is_foreign_write(method: &Method, headers: &HeaderMap) -> bool {
    if method.is_safe() {
        return false;
    }
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(from) = text(header::HeaderName::from_static("sec-fetch-site"))
        && !matches!(from, "same-origin" | "none")
    {
        return true;
    }
    let Some(origin) = text(header::ORIGIN) else {
        return false;
    };
    let origin_host = origin.split_once("://").map(|(_, host)| host);
    origin_host.is_none() || origin_host != text(header::HOST)
}

pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

fn is_html(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Keeps a language or theme chosen in the address for the next page, of any role on this host.
fn remember_choices(page: &Page, response: &mut Response) {
    let mut keep = |name: &str, value: &str| {
        let cookie = format!("{name}={value}; Path=/; Max-Age=31536000; SameSite=Lax");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    };
    if page.has_chosen("lang") {
        keep("fragua_lang", page.lang());
    }
    if page.has_chosen("theme") {
        keep("fragua_theme", page.theme().map_or("system", Theme::name));
    }
}

const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

fn secure(response: &mut Response) {
    let headers = response.headers_mut();
    let mut set = |name: header::HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    // Not `no-referrer`: browsers then send `Origin: null` with our own forms.
    set(header::REFERRER_POLICY, "same-origin");
    set(
        header::HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    set(header::CACHE_CONTROL, "no-cache");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writes_from_our_own_pages_pass() {
        let host = ("host", "127.0.0.1:8080");
        for (method, headers, is_foreign) in [
            ("POST", vec![host], false),
            ("POST", vec![host, ("origin", "http://127.0.0.1:8080")], false),
            ("POST", vec![host, ("origin", "http://127.0.0.1:8888")], true),
            ("POST", vec![host, ("origin", "https://evil.example")], true),
            ("POST", vec![host, ("origin", "null")], true),
            ("POST", vec![host, ("sec-fetch-site", "same-origin")], false),
            ("POST", vec![host, ("sec-fetch-site", "same-site")], true),
            ("POST", vec![host, ("sec-fetch-site", "cross-site")], true),
            (
                "GET",
                vec![host, ("sec-fetch-site", "cross-site"), ("origin", "null")],
                false,
            ),
        ] {
            let map = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(
                is_foreign_write(&method.parse().unwrap(), &map),
                is_foreign,
                "{method} {headers:?}"
            );
        }
    }
}
