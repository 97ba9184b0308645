//! Bytes that people uploaded, sent so that a browser never runs them.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use fragua_storage::ObjectStream;

use crate::page::encode;

/// Types that a page of ours may show inside an `img`. Scripts in a picture do not run there.
const PICTURES: [(&str, &str); 6] = [
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
];

/// Returns the type of a picture by the ending of its name.
pub(super) fn picture_type(name: &str) -> Option<&'static str> {
    let ending = name.rsplit('.').next()?;
    let known = PICTURES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(ending));
    known.map(|(_, kind)| *kind)
}

/// Answers with the bytes as a file to keep. Opened by itself it is saved, never shown: what it holds could otherwise
/// act with the rights of this site.
pub(super) fn file(name: &str, stream: ObjectStream) -> Response {
    let size = stream.size_bytes();
    let kind = picture_type(name).unwrap_or("application/octet-stream");
    let disposition = format!("attachment; filename*=UTF-8''{}", encode(name));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_LENGTH, HeaderValue::from(size)),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_str(&disposition).expect("percent-encoded text is a header value"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'; style-src 'unsafe-inline'"),
        ),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-store"),
        ),
    ];
    (headers, Body::from_stream(stream)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_keep_their_type() {
        for (name, expected) in [
            ("matrix.svg", Some("image/svg+xml")),
            ("PHOTO.JPG", Some("image/jpeg")),
            ("page.html", None),
            ("svg", Some("image/svg+xml")),
            ("model.pkl", None),
            ("", None),
        ] {
            assert_eq!(picture_type(name), expected, "{name}");
        }
    }
}
