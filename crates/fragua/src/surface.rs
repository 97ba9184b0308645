//! The ports: which role answers on each, where its number is set, and what lies over its routes.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, StatusCode};
use axum::middleware::from_fn_with_state;
use fragua_auth::Guard;
use fragua_base::Endpoints;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::classify::ServerErrorsFailureClass;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tracing::Span;

use crate::settings::{Origin, Role, Settings};
use crate::shutdown::end_event_stream;

/// One port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Surface {
    Orchestrator,
    Tracking,
    Storage,
    Console,
    Serving,
    App,
    Source,
}

impl Surface {
    /// Every port, in the order of `endpoints.json`.
    pub(crate) const ALL: [Self; 7] = [
        Self::Orchestrator,
        Self::Tracking,
        Self::Storage,
        Self::Console,
        Self::Serving,
        Self::App,
        Self::Source,
    ];

    /// Returns the role that answers.
    pub(crate) const fn role(self) -> Role {
        match self {
            Self::Orchestrator => Role::Orchestrator,
            Self::Tracking => Role::Tracking,
            Self::Storage | Self::Console => Role::Storage,
            Self::Serving => Role::Serving,
            Self::App => Role::App,
            Self::Source => Role::Source,
        }
    }

    /// Returns the key in `endpoints.json`, which is the section of the port's setting too.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            _ => self.role().name(),
        }
    }

    /// Returns the key of the port's setting.
    pub(crate) fn setting(self) -> String {
        format!("{}.port", self.name())
    }

    /// Returns the port that the settings give.
    pub(crate) fn port(self, settings: &Settings) -> u16 {
        match self {
            Self::Orchestrator => settings.orchestrator.port,
            Self::Tracking => settings.tracking.port,
            Self::Storage => settings.storage.port,
            Self::Console => settings.console.port,
            Self::Serving => settings.serving.port,
            Self::App => settings.app.port,
            Self::Source => settings.source.port,
        }
    }

    /// Returns the path that answers 200 while the role is well.
    pub(crate) const fn health_path(self) -> &'static str {
        match self {
            // The other paths of the S3 port are buckets; this is MinIO's.
            Self::Storage => "/minio/health/live",
            _ => "/health",
        }
    }

    /// Returns the place of the address in `endpoints`.
    pub(crate) fn address_in(self, endpoints: &mut Endpoints) -> &mut Option<String> {
        match self {
            Self::Orchestrator => &mut endpoints.orchestrator,
            Self::Tracking => &mut endpoints.tracking,
            Self::Storage => &mut endpoints.storage,
            Self::Console => &mut endpoints.console,
            Self::Serving => &mut endpoints.serving,
            Self::App => &mut endpoints.app,
            Self::Source => &mut endpoints.source,
        }
    }

    /// The largest request body; `None` where objects and artifacts of any size stream through.
    const fn body_limit(self) -> Option<usize> {
        match self {
            Self::Storage | Self::Tracking | Self::Console => None,
            // It has a setting of its own for that.
            Self::Serving => None,
            Self::Orchestrator | Self::App | Self::Source => Some(8 * 1024 * 1024),
        }
    }

    /// Puts over the routes what every request on this port passes through, outermost first:
    /// request id, log, panics, host names, ends of event streams, body limit.
    pub(crate) fn dress(self, routes: Router, guard: &Guard, shutdown: &CancellationToken) -> Router {
        let request_id = HeaderName::from_static("x-request-id");
        let routes = match self.body_limit() {
            Some(bytes) => routes.layer(RequestBodyLimitLayer::new(bytes)),
            None => routes,
        };
        let guard = match self {
            // Each S3 request is signed, so a page of another site cannot make one; and clients reach the port
            // under whatever name the object store has for them.
            Self::Storage => None,
            Self::Tracking => Some(guard.clone().refusing(|uri, headers, why| {
                fragua_tracking::mlflow::refusal(uri, &why.to_string())
                    .or_else(|| fragua_web::refusal(headers, why))
            })),
            _ => Some(
                guard
                    .clone()
                    .refusing(|_, headers, why| fragua_web::refusal(headers, why)),
            ),
        };
        let guard = guard.map(|guard| from_fn_with_state(guard, fragua_auth::guard));
        let shutdown = shutdown.clone();
        let name = self.name();
        let trace = TraceLayer::new_for_http().make_span_with(move |request: &Request| {
            // Always on, so that a line about a failure says which request failed.
            tracing::error_span!(
                "request",
                surface = name,
                http.method = %request.method(),
                // Without the query: a presigned one is a credential.
                http.path = request.uri().path(),
                request.id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()),
            )
        });
        let trace = trace.on_failure(tell_failure);
        // All of it is one layer: axum copies what lies over a route for each request, and of a layer over another one all
        // that is below once more.
        routes.layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::new(request_id.clone(), MakeRequestUuid))
                .layer(PropagateRequestIdLayer::new(request_id))
                .layer(trace)
                .layer(CatchPanicLayer::new())
                .option_layer(guard)
                .map_response(move |response| end_event_stream(response, &shutdown)),
        )
    }
}

/// Says in the log that an answer tells of a failure.
fn tell_failure(failure: ServerErrorsFailureClass, took: Duration, _: &Span) {
    let duration_ms = took.as_millis() as u64;
    match failure {
        // What it says, such as that no model is served yet, is no fault of the program.
        ServerErrorsFailureClass::StatusCode(StatusCode::SERVICE_UNAVAILABLE) => {
            tracing::warn!(duration_ms, "answered that it is not available now");
        }
        failure => tracing::error!(duration_ms, "the request failed: {failure}"),
    }
}

/// A port that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// Somebody else has it.
    #[error(
        "port {port} is in use, so the role {role} cannot listen on {address}: end the program that has it, set \
         {setting} to another port ({setting} comes from: {origin}), or {}start with --ports auto",
        leave_out(.origin)
    )]
    InUse {
        port: u16,
        role: Role,
        address: SocketAddr,
        setting: String,
        origin: Origin,
    },
    /// Anything else.
    #[error("the role {role} cannot listen on {address} (settings server.bind and {setting}): {cause}")]
    Refused {
        role: Role,
        address: SocketAddr,
        setting: String,
        cause: std::io::Error,
    },
}

/// A port that a setting gives is kept by `--ports auto`.
fn leave_out(origin: &Origin) -> &'static str {
    if origin.is_default() {
        ""
    } else {
        "leave it out and "
    }
}

/// Listens on an address.
///
/// # Errors
/// Names port, role and setting.
pub(crate) fn bind(surface: Surface, address: SocketAddr, origin: &Origin) -> Result<TcpListener, BindError> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AddrInUse => BindError::InUse {
            port: address.port(),
            role: surface.role(),
            address,
            setting: surface.setting(),
            origin: origin.clone(),
        },
        _ => BindError::Refused {
            role: surface.role(),
            address,
            setting: surface.setting(),
            cause,
        },
    })
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use axum::http::Request;
    use axum::routing::{get, post};
    use tower::ServiceExt as _;

    use super::*;

    async fn broken() -> &'static str {
        panic!("on purpose")
    }

    fn dressed(surface: Surface) -> Router {
        let routes = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/panic", get(broken))
            .route(
                "/length",
                post(|body: Bytes| async move { body.len().to_string() }),
            );
        surface.dress(routes, &Guard::new([]), &CancellationToken::new())
    }

    async fn status(surface: Surface, request: Request<Body>) -> StatusCode {
        dressed(surface).oneshot(request).await.unwrap().status()
    }

    fn get_from(host: &str, path: &str) -> Request<Body> {
        Request::get(path)
            .header("host", host)
            .body(Body::empty())
            .unwrap()
    }

    #[tokio::test]
    async fn a_panic_costs_one_request() {
        let response = status(Surface::App, get_from("localhost", "/panic")).await;
        assert_eq!(response, StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test]
    async fn foreign_host_names_are_refused_except_on_the_signed_port() {
        for (surface, host, allowed) in [
            (Surface::App, "localhost:8086", true),
            (Surface::App, "127.0.0.1:8086", true),
            (Surface::App, "evil.example", false),
            (Surface::Tracking, "evil.example", false),
            (Surface::Storage, "minio:9000", true),
        ] {
            let status = status(surface, get_from(host, "/")).await;
            assert_eq!(status.is_success(), allowed, "{surface:?} {host} {status}");
        }
    }

    #[tokio::test]
    async fn a_page_asked_for_by_a_foreign_host_name_was_refused_in_plain_text() {
        let ask = |path: &str, accept: &str| {
            let mut request = get_from("evil.example:8084", path);
            let headers = request.headers_mut();
            headers.insert("accept", accept.parse().unwrap());
            headers.insert("accept-language", "es".parse().unwrap());
            dressed(Surface::Tracking).oneshot(request)
        };
        for (path, accept, kind, part) in [
            (
                "/",
                "text/html,*/*",
                "text/html",
                "allowed_hosts = [\"evil.example\"]",
            ),
            ("/", "*/*", "text/plain", "server.allowed_hosts"),
            (
                "/api/2.0/mlflow/runs/get",
                "text/html",
                "application/json",
                "PERMISSION_DENIED",
            ),
        ] {
            let response = ask(path, accept).await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            let found = response.headers()["content-type"].to_str().unwrap().to_owned();
            assert!(found.starts_with(kind), "{path} {accept}: {found}");
            let body = axum::body::to_bytes(response.into_body(), 100_000).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap().replace("&#34;", "\"");
            assert!(body.contains(part), "{body}");
            assert_eq!(kind == "text/html", body.contains("<html lang=\"es\""), "{body}");
        }
    }

    #[tokio::test]
    async fn every_answer_carries_a_request_id() {
        let response = dressed(Surface::Serving)
            .oneshot(get_from("localhost", "/"))
            .await
            .unwrap();
        assert_eq!(response.headers()["x-request-id"].len(), 36);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let request = Request::post("/length")
            .header("host", "localhost")
            .header("content-length", 9 * 1024 * 1024)
            .body(Body::empty())
            .unwrap();
        assert_eq!(
            status(Surface::Orchestrator, request).await,
            StatusCode::PAYLOAD_TOO_LARGE
        );
    }

    #[test]
    fn a_port_in_use_names_port_role_and_setting() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let in_file = Origin::File {
            path: "fragua.toml".into(),
            line: 3,
        };
        let port = address.port();
        for (origin, advice) in [
            (
                in_file,
                "fragua.toml:3), or leave it out and start with --ports auto",
            ),
            (Origin::Default, "default), or start with --ports auto"),
        ] {
            assert_eq!(
                bind(Surface::Console, address, &origin).unwrap_err().to_string(),
                format!(
                    "port {port} is in use, so the role storage cannot listen on 127.0.0.1:{port}: end the program \
                     that has it, set console.port to another port (console.port comes from: {advice}"
                )
            );
        }
    }
}
