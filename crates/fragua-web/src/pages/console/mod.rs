//! The pages of the object store.

mod bucket_forms;
mod buckets;
mod keys;
mod log;
mod object;
mod object_forms;
mod objects;
mod place;
mod selection;
mod settings;
mod upkeep;
mod upload;

use axum::extract::{DefaultBodyLimit, FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use fragua_auth::Auth;
use fragua_storage::Storage;
use serde_json::json;

use crate::error::Error;
use crate::site::{Role, Site};

/// The lists of this role: a name, the address, the word.
pub(crate) const SECTIONS: [(&str, &str, &str); 4] = [
    ("buckets", "/buckets", "buckets-title"),
    ("keys", "/keys", "keys-title"),
    ("log", "/log", "access-log-title"),
    ("upkeep", "/upkeep", "upkeep-title"),
];

/// Some thousand keys that were ticked.
const SELECTION_LIMIT: usize = 16 * 1024 * 1024;

/// What the pages show.
#[derive(Clone, FromRef)]
struct Console {
    storage: Storage,
    auth: Auth,
}

/// Returns the pages of the console: buckets with their settings, objects with their versions, upload and download, keys,
/// the access log, the state of the store, and `/health`.
pub fn console_pages(storage: Storage, auth: Auth, site: Site) -> Router {
    let upload = Router::new()
        .route("/buckets/{bucket}/upload", post(upload::form))
        .route("/buckets/{bucket}/content", put(upload::whole))
        .route("/buckets/{bucket}/uploads/part", put(upload::part))
        // Uploads stream to the disk; the store has its own limit.
        .layer(DefaultBodyLimit::disable());
    let selection = Router::new()
        .route("/buckets/{bucket}/delete", post(selection::delete))
        .route("/buckets/{bucket}/zip", post(selection::zip))
        .layer(DefaultBodyLimit::max(SELECTION_LIMIT));
    let routes = Router::new()
        .route("/", get(buckets::list))
        .route("/buckets", get(buckets::list).post(buckets::create))
        .route("/buckets/{bucket}", get(objects::list))
        .route("/buckets/{bucket}/folder", post(objects::create_folder))
        .route(
            "/buckets/{bucket}/object",
            get(object::show).post(object_forms::act),
        )
        .route("/buckets/{bucket}/download", get(object::download))
        .route("/buckets/{bucket}/uploads", post(upload::begin))
        .route("/buckets/{bucket}/uploads/parts", get(upload::parts))
        .route("/buckets/{bucket}/uploads/complete", post(upload::complete))
        .route("/buckets/{bucket}/uploads/abort", post(upload::abort))
        .route(
            "/buckets/{bucket}/settings",
            get(settings::show).post(bucket_forms::act),
        )
        .route("/keys", get(keys::list).post(keys::act))
        .route("/log", get(log::list))
        .route("/upkeep", get(upkeep::show).post(upkeep::act))
        .route("/health", get(health))
        .merge(upload)
        .merge(selection)
        .with_state(Console { storage, auth });
    site.frame(Role::Console, routes)
}

async fn health(State(storage): State<Storage>) -> Result<Response, Error> {
    storage.check_ready().await?;
    Ok(Json(json!({ "status": "healthy" })).into_response())
}
