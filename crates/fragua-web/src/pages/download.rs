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

/// Tells whether a file is a document that [`document`] may show.
pub(super) fn is_document(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ["html", "htm"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(ending))
}

/// What a document may do: draw itself with what it carries. It has an origin of its own, whether it stands in our
/// frame or is opened by itself, so its scripts reach neither this site nor, having no way to load, any other.
const SANDBOX: &str = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; \
                       style-src 'unsafe-inline'; img-src data: blob:; font-src data:; frame-ancestors 'self'";

/// Answers with an HTML document for a frame of ours.
pub(super) fn document(stream: ObjectStream) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_LENGTH, HeaderValue::from(stream.size_bytes())),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX)),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN")),
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
