//! `/openapi.json`, and `/docs`: Swagger UI out of the binary, with no address outside of this server.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;
use utoipa_swagger_ui::{Config, serve};

use super::endpoint;
use super::failure::Failure;

/// Swagger UI sets styles from its script, so inline styles are needed; scripts come from this server alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 2] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Orchestrator - Swagger UI</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/index.css">
<link rel="icon" type="image/png" sizes="32x32" href="docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/swagger-ui-standalone-preset.js"></script>
<script src="docs/swagger-initializer.js"></script>
</body>
</html>
"#;

/// The layout without a bar: that bar is for opening other documents.
static CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("openapi.json").use_base_layout()));

pub(super) async fn openapi() -> Json<Value> {
    Json(endpoint::document(super::endpoints()))
}

pub(super) async fn page() -> Response {
    (HEADERS, Html(PAGE)).into_response()
}

pub(super) async fn file(Path(name): Path<String>) -> Response {
    let Ok(Some(file)) = serve(&name, Arc::clone(&CONFIG)) else {
        return Failure::new(StatusCode::NOT_FOUND, "Not Found").into_response();
    };
    let body = match file.bytes {
        Cow::Borrowed(embedded) => Bytes::from_static(embedded),
        Cow::Owned(rendered) => Bytes::from(rendered),
    };
    let mut response = ([(header::CONTENT_TYPE, file.content_type)], body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if file.gzpipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
