//! Styles, scripts and pictures, compiled into the binary.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// The digest of every file together. It is part of each address, so that a page and the modules it imports always
/// come from the same build and may be kept by the browser for ever.
static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<_> = Files::iter().collect();
    names.sort_unstable();
    let mut hasher = Sha256::new();
    for name in names {
        hasher.update(name.as_bytes());
        if let Some(file) = Files::get(&name) {
            hasher.update(file.metadata.sha256_hash());
        }
    }
    hex::encode(&hasher.finalize()[..8])
});

/// Returns the address of a file under `static/`.
pub(crate) fn url(name: &str) -> String {
    format!("/static/{}/{name}", *DIGEST)
}

/// Returns the routes that serve the files.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/static/{digest}/{*name}", get(file))
        .route("/favicon.ico", get(favicon))
}

async fn favicon(headers: HeaderMap) -> Response {
    serve("favicon.svg", false, &headers)
}

async fn file(Path((digest, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    // An old digest still gets the present file, but nobody may keep it.
    serve(&name, digest == *DIGEST, &headers)
}

fn serve(name: &str, is_present_build: bool, headers: &HeaderMap) -> Response {
    let Some(file) = Files::get(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let etag = format!("W/\"{}\"", hex::encode(&file.metadata.sha256_hash()[..12]));
    let cache = if is_present_build {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let is_known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|known| known.to_str().ok())
        .is_some_and(|known| known.split(',').any(|one| one.trim() == etag));
    let caching = [
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (
            header::ETAG,
            HeaderValue::from_str(&etag).expect("a hexadecimal digest is a header value"),
        ),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let content_type = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    (caching, [(header::CONTENT_TYPE, content_type)], file.data).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_known_files_with_their_type() {
        for (name, expected) in [
            ("main.js", "text/javascript; charset=utf-8"),
            ("tokens.css", "text/css; charset=utf-8"),
            ("favicon.svg", "image/svg+xml"),
        ] {
            let response = serve(name, true, &HeaderMap::new());
            assert_eq!(response.status(), StatusCode::OK, "{name}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], expected);
        }
        let missing = serve("../Cargo.toml", true, &HeaderMap::new());
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn only_the_present_build_may_be_kept() {
        let present = serve("main.js", true, &HeaderMap::new());
        assert!(
            present.headers()[header::CACHE_CONTROL]
                .to_str()
                .unwrap()
                .ends_with("immutable")
        );
        let old = serve("main.js", false, &HeaderMap::new());
        assert_eq!(old.headers()[header::CACHE_CONTROL], "no-cache");
    }

    #[test]
    fn a_known_tag_gets_no_body() {
        let first = serve("main.js", true, &HeaderMap::new());
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(
            serve("main.js", true, &headers).status(),
            StatusCode::NOT_MODIFIED
        );
    }
}
