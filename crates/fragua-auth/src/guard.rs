//! A layer in front of every port.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

/// Says in the words of an address, with 403, why a request to it was refused; nothing where plain text is fine.
pub type Refusal = fn(&Uri, &HeaderMap, Refused) -> Option<Response>;

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The `Host` is no name of this server.
    Host,
    /// A browser sent a write from a page of another site.
    ForeignWrite,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Host => "this Host name is not served here; add it to server.allowed_hosts to allow it",
            Self::ForeignWrite => "a write from a page of another site is refused",
        })
    }
}

/// The host names a port answers to, and how it refuses others.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed_hosts: Arc<[String]>,
    refusal: Option<Refusal>,
}

impl Guard {
    /// Allows the names given beside loopback addresses and `localhost`, which are always allowed.
    pub fn new(allowed_hosts: impl IntoIterator<Item = String>) -> Self {
        Self {
            allowed_hosts: allowed_hosts
                .into_iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            refusal: None,
        }
    }

    /// Refuses in the words of what is spoken there.
    #[must_use]
    pub fn refusing(self, refusal: Refusal) -> Self {
        Self {
            refusal: Some(refusal),
            ..self
        }
    }

    fn allows(&self, host: &str) -> bool {
        let name = host_name(host).to_ascii_lowercase();
        let loopback = name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback());
        // Browsers resolve every name below `localhost` to loopback; S3 clients address buckets so.
        loopback || name == "localhost" || name.ends_with(".localhost") || self.allowed_hosts.contains(&name)
    }

    fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
        let host = headers
            .get(HOST)
            .map_or(Ok(""), |value| value.to_str())
            .unwrap_or("");
        if !self.allows(host) {
            return Err(Refused::Host);
        }
        if method.is_safe() || *method == Method::OPTIONS || !self.is_cross_origin(host, headers) {
            return Ok(());
        }
        Err(Refused::ForeignWrite)
    }

    /// Browsers send `Sec-Fetch-Site`, and `Origin` with every write; programs send neither.
    ///
    /// The ports of one host are one site to a browser, and our own pages link across ports, so only the
    /// host is compared.
    fn is_cross_origin(&self, host: &str, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text("sec-fetch-site") == Some("cross-site") {
            return true;
        }
        let Some(origin) = text(ORIGIN.as_str()) else {
            return false;
        };
        let Ok(origin) = Url::parse(origin) else {
            return true;
        };
        origin
            .host_str()
            .is_none_or(|name| !name.eq_ignore_ascii_case(host_name(host)))
    }
}

/// Refuses requests for foreign host names and writes that a browser sends from another site.
///
/// Use with `axum::middleware::from_fn_with_state`.
pub async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    // HTTP/2 carries the host in the URI.
    let mut headers = Cow::Borrowed(request.headers());
    if let (None, Some(authority)) = (headers.get(HOST), request.uri().authority())
        && let Ok(value) = authority.as_str().parse()
    {
        headers.to_mut().insert(HOST, value);
    }
    match guard.check(request.method(), &headers) {
        Ok(()) => {
            drop(headers);
            next.run(request).await
        }
        Err(why) => guard
            .refusal
            .and_then(|refusal| refusal(request.uri(), &headers, why))
            .unwrap_or_else(|| (StatusCode::FORBIDDEN, format!("{why}\n")).into_response()),
    }
}

/// The host without its port; IPv6 addresses without brackets.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, headers: &[(&'static str, &str)]) -> bool {
        let guard = Guard::new(["forge.example".to_owned()]);
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        guard.check(&method.parse().unwrap(), &headers).is_ok()
    }

    #[test]
    fn foreign_host_names_are_refused() {
        for (host, allowed) in [
            ("127.0.0.1:8084", true),
            ("localhost:8084", true),
            ("LOCALHOST", true),
            ("[::1]:8084", true),
            ("mlflows3.localhost:9000", true),
            ("forge.example:80", true),
            ("evil.example:8084", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("192.168.1.1", false),
            ("", false),
        ] {
            assert_eq!(check("GET", &[("host", host)]), allowed, "{host}");
        }
    }

    #[test]
    fn writes_from_another_site_are_refused() {
        let host = ("host", "127.0.0.1:8084");
        for (method, headers, allowed) in [
            ("POST", vec![host], true),
            ("POST", vec![host, ("origin", "http://127.0.0.1:8084")], true),
            ("POST", vec![host, ("origin", "http://127.0.0.1:8080")], true),
            ("POST", vec![host, ("origin", "http://evil.example")], false),
            ("POST", vec![host, ("origin", "null")], false),
            ("DELETE", vec![host, ("sec-fetch-site", "cross-site")], false),
            ("POST", vec![host, ("sec-fetch-site", "same-origin")], true),
            ("GET", vec![host, ("origin", "http://evil.example")], true),
        ] {
            assert_eq!(check(method, &headers), allowed, "{method} {headers:?}");
        }
    }
}
