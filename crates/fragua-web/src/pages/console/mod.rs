//! The pages of the object store.

mod buckets;
mod objects;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use fragua_storage::Storage;
use serde_json::json;

use crate::error::Error;
use crate::site::{Role, Site};

/// Returns the pages of the console: buckets, their objects, upload and download, and `/health`.
pub fn console_pages(storage: Storage, site: Site) -> Router {
    let upload = Router::new()
        .route("/buckets/{bucket}/upload", post(objects::upload))
        // Uploads stream to the disk; the store has its own limit.
        .layer(DefaultBodyLimit::disable());
    let routes = Router::new()
        .route("/", get(buckets::list))
        .route("/buckets", get(buckets::list).post(buckets::create))
        .route("/buckets/{bucket}", get(objects::list))
        .route("/buckets/{bucket}/download", get(objects::download))
        .route("/buckets/{bucket}/delete", post(objects::delete))
        .route("/health", get(health))
        .merge(upload)
        .with_state(storage);
    site.frame(Role::Console, routes)
}

async fn health(State(storage): State<Storage>) -> Result<Response, Error> {
    storage.check_ready().await?;
    Ok(Json(json!({ "status": "healthy" })).into_response())
}
