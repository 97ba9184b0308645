//! Pages of other sites that use a bucket from a browser, as far as the bucket's configuration allows them to.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::percent_decode_str;
use s3s::{S3Error, S3ErrorCode};

use super::Edge;
use crate::{BucketName, BucketSettings, CorsRule};

/// What a browser said of the page that asks.
#[derive(Debug, Clone)]
pub(super) struct Page {
    bucket: Option<BucketName>,
    origin: String,
    /// The method that is used, or asked for.
    method: String,
    /// The headers that are asked for, in lower case.
    headers: Vec<String>,
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the bucket that an address names, if it can be one.
pub(super) fn bucket_of(edge: &Edge, request: &Request) -> Option<BucketName> {
    let of_host = text(request.headers(), &HOST).and_then(|host| edge.hosts.bucket(host));
    let name = match of_host {
        Some(name) => name,
        None => {
            let first = request.uri().path().trim_start_matches('/').split('/').next()?;
            percent_decode_str(first).decode_utf8().ok()?.into_owned()
        }
    };
    BucketName::parse(&name).ok()
}

impl Page {
    /// Reads what a browser says; nothing where it names no origin.
    pub(super) fn of(edge: &Edge, request: &Request) -> Option<Self> {
        let headers = request.headers();
        let origin = text(headers, &ORIGIN)?.to_owned();
        let asked = text(headers, &ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
        Some(Self {
            bucket: bucket_of(edge, request),
            origin,
            method: text(headers, &ACCESS_CONTROL_REQUEST_METHOD)
                .unwrap_or(request.method().as_str())
                .to_owned(),
            headers: asked
                .split(',')
                .map(|name| name.trim().to_ascii_lowercase())
                .filter(|name| !name.is_empty())
                .collect(),
        })
    }

    /// Reads what a browser asks before it sends a request.
    pub(super) fn asking(edge: &Edge, request: &Request) -> Option<Self> {
        let is_asked = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        Self::of(edge, request).filter(|_| is_asked)
    }

    async fn settings(&self, edge: &Edge) -> Option<Arc<BucketSettings>> {
        edge.storage.bucket_settings(self.bucket.as_ref()?).await.ok()
    }

    fn rule<'a>(&self, settings: &'a BucketSettings) -> Option<&'a CorsRule> {
        let rules = settings.cors.as_ref()?.rules.iter();
        let mut fitting = rules.filter(|rule| fits(rule, self));
        fitting.next()
    }

    /// Adds what lets the page read the answer, where a rule allows it.
    pub(super) async fn allow(&self, edge: &Edge, headers: &mut HeaderMap) {
        vary(headers);
        if let Some(settings) = self.settings(edge).await
            && let Some(rule) = self.rule(&settings)
        {
            add_headers(rule, &self.origin, headers);
            set_list(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &rule.expose_headers);
        }
    }
}

/// Answers what a browser asks before it sends a request. Nobody has to have signed it.
pub(super) async fn preflight(edge: &Edge, page: Option<Page>) -> Response {
    let Some(page) = page else {
        let message =
            "Insufficient information. Origin and Access-Control-Request-Method request headers needed.";
        return refusal("BadRequest", StatusCode::BAD_REQUEST, message);
    };
    let settings = page.settings(edge).await;
    let is_on = settings.as_ref().is_some_and(|settings| settings.cors.is_some());
    let Some(rule) = settings.as_deref().and_then(|settings| page.rule(settings)) else {
        let message = match is_on {
            true => "CORSResponse: This CORS request is not allowed.",
            false => "CORSResponse: CORS is not enabled for this bucket.",
        };
        return refusal("AccessForbidden", StatusCode::FORBIDDEN, message);
    };
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    vary(headers);
    add_headers(rule, &page.origin, headers);
    set_list(headers, ACCESS_CONTROL_ALLOW_HEADERS, &page.headers);
    set_list(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &rule.expose_headers);
    if let Some(seconds) = rule.max_age_seconds {
        headers.insert(ACCESS_CONTROL_MAX_AGE, seconds.into());
    }
    response
}

fn refusal(code: &'static str, status: StatusCode, message: &'static str) -> Response {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    let mut response = super::answer(error);
    vary(response.headers_mut());
    response
}

/// Tells caches that the answer is another one for another page, also where none of the rules fits this one.
fn vary(headers: &mut HeaderMap) {
    let varies = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";
    headers.insert(VARY, HeaderValue::from_static(varies));
}

fn add_headers(rule: &CorsRule, origin: &str, headers: &mut HeaderMap) {
    let is_open = rule.allowed_origins.iter().any(|pattern| pattern == "*");
    let shown = if is_open { "*" } else { origin };
    if let Ok(origin) = HeaderValue::from_str(shown) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    if !is_open {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    set_list(headers, ACCESS_CONTROL_ALLOW_METHODS, &rule.allowed_methods);
}

fn set_list(headers: &mut HeaderMap, name: HeaderName, texts: &[String]) {
    if texts.is_empty() {
        return;
    }
    if let Ok(list) = HeaderValue::try_from(texts.join(", ")) {
        headers.insert(name, list);
    }
}

fn fits(rule: &CorsRule, page: &Page) -> bool {
    let is_like = |pattern: &String, text: &str| match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    };
    let allows = |header: &String| {
        let mut patterns = rule
            .allowed_headers
            .iter()
            .map(|pattern| pattern.to_ascii_lowercase());
        patterns.any(|pattern| is_like(&pattern, header))
    };
    rule.allowed_origins
        .iter()
        .any(|pattern| is_like(pattern, &page.origin))
        && rule.allowed_methods.contains(&page.method)
        && page.headers.iter().all(allows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fits_origin_method_and_headers() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let rule = CorsRule {
            allowed_origins: texts(&["https://*.example.org", "http://localhost:3000"]),
            allowed_methods: texts(&["GET", "PUT"]),
            allowed_headers: texts(&["x-amz-*", "Content-Type"]),
            ..CorsRule::default()
        };
        for (origin, method, headers, expected) in [
            ("https://a.example.org", "GET", &[][..], true),
            ("https://example.org", "GET", &[], false),
            ("https://a.example.org.evil.com", "GET", &[], false),
            (
                "http://localhost:3000",
                "PUT",
                &["content-type", "x-amz-date"],
                true,
            ),
            ("http://localhost:3000", "PUT", &["authorization"], false),
            ("http://localhost:3000", "DELETE", &[], false),
            ("http://localhost:3001", "GET", &[], false),
        ] {
            let page = Page {
                bucket: None,
                origin: origin.to_owned(),
                method: method.to_owned(),
                headers: texts(headers),
            };
            assert_eq!(fits(&rule, &page), expected, "{origin} {method} {headers:?}");
        }
    }
}
