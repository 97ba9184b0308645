//! What clients ask the server about itself.

use serde_json::json;

use super::answer::{Answer, json as answer};
use super::endpoint::{Endpoint, get};
use super::openapi;

/// The version of MLflow whose protocol and schema this is.
const PROTOCOL_VERSION: &str = "3.18.0";

/// Below `/3.0/mlflow`.
pub(super) fn info_endpoints() -> Vec<Endpoint> {
    vec![get(
        "/server-info",
        "Says what the server offers, so that clients know how to up- and download",
        &[],
        info,
    )]
}

/// At the root of the server.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/health", "Answers OK while the server is well", &[], || async {
            "OK"
        }),
        get(
            "/version",
            "Returns the version of MLflow whose protocol this is",
            &[],
            || async { PROTOCOL_VERSION },
        ),
        get("/openapi.json", "Returns this document", &[], openapi::show),
    ]
}

/// Says "no" to every side path but uploads in parts. Downloads in ranges are there for clients that are told to use
/// them; announcing them would make every client ask twice for every file, however small.
async fn info() -> Answer {
    answer(&json!({
        "store_type": "SqlStore",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": true,
        "multipart_downloads_enabled": false,
        "artifact_serving_enabled": true,
        "artifacts_presigned_only": false,
        "presigned_upload_run_id_supported": false,
        "presigned_upload_model_id_supported": false,
        "presigned_download_supported": false,
        "tracking_auth": "",
        "features_enabled": {},
    }))
}
