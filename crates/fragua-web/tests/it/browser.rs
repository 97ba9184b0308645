//! What a browser does with a router: ask, read, send forms.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// An answer that has been read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// Returns a header as text, empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("our headers are text"))
    }

    /// Asserts that the body holds each text.
    #[track_caller]
    pub(crate) fn has(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.body.contains(text), "no {text:?} in:\n{}", self.body);
        }
    }

    /// Asserts that the body holds none of the texts.
    #[track_caller]
    pub(crate) fn lacks(&self, texts: &[&str]) {
        for text in texts {
            assert!(!self.body.contains(text), "{text:?} in:\n{}", self.body);
        }
    }
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router
        .clone()
        .oneshot(request)
        .await
        .expect("a router does not fail");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("the body can be read").to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Opens a page.
pub(crate) async fn get(router: &Router, address: &str) -> Answer {
    get_at(router, address, "127.0.0.1:8080").await
}

/// Opens a page of a host.
pub(crate) async fn get_at(router: &Router, address: &str, host: &str) -> Answer {
    let request = Request::get(address)
        .header(header::HOST, host)
        .header(header::ACCEPT, "text/html");
    send(router, request.body(Body::empty()).unwrap()).await
}

/// Sends a form from a page of the same origin.
pub(crate) async fn post(router: &Router, address: &str, form: &str) -> Answer {
    let request = Request::post(address)
        .header(header::HOST, "127.0.0.1:8080")
        .header(header::ORIGIN, "http://127.0.0.1:8080")
        .header(header::ACCEPT, "text/html")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    send(router, request.body(Body::from(form.to_owned())).unwrap()).await
}

/// Opens a page in each language; both must be there.
#[track_caller]
pub(crate) fn assert_page(answer: &Answer, address: &str) {
    assert_eq!(answer.status, StatusCode::OK, "{address}: {}", answer.body);
    assert!(
        answer.body.starts_with("<!doctype html>") || answer.body.trim_start().starts_with("<!doctype html>"),
        "{address}"
    );
    assert!(
        !answer.body.contains("Unknown localization key"),
        "{address}: {}",
        answer.body
    );
}

/// Opens each page in both languages and asserts that it is whole.
pub(crate) async fn assert_pages(router: &Router, addresses: &[&str]) {
    for address in addresses {
        for language in ["en", "es"] {
            let joint = if address.contains('?') { '&' } else { '?' };
            let address = format!("{address}{joint}lang={language}");
            let answer = get(router, &address).await;
            assert_page(&answer, &address);
            answer.has(&[&format!("<html lang=\"{language}\"")]);
        }
    }
}
