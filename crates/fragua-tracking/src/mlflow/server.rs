//! What clients ask the server about itself.

use axum::Json;
use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};

use crate::Tracking;

/// The version of MLflow whose protocol and schema this is.
const PROTOCOL_VERSION: &str = "3.18.0";

pub(super) fn routes() -> Router<Tracking> {
    Router::new()
        .route("/health", get(|| async { "OK" }))
        .route("/version", get(|| async { PROTOCOL_VERSION }))
}

/// Says "no" to every side path but uploads in parts. Downloads in ranges are there for clients that are told to use
/// them; announcing them would make every client ask twice for every file, however small.
pub(super) async fn info() -> Json<Value> {
    Json(json!({
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
