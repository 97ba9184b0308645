//! The pages of experiments, runs and registered models.

mod artifacts;
mod dag_runs;
mod experiments;
mod models;
mod runs;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use fragua_tracking::{Change, Query, Tracking};

use crate::error::Error;
use crate::live;
use crate::page::Page;
use crate::site::{Role, Site};

/// Returns the pages of tracking. `/health` belongs to its API.
pub fn tracking_pages(tracking: Tracking, site: Site) -> Router {
    let routes = Router::new()
        .route("/", get(experiments::list))
        .route("/experiments", get(experiments::list))
        .route("/experiments/{id}", get(experiments::show))
        .route("/runs/{id}", get(runs::show))
        .route("/dag-runs", get(dag_runs::show))
        .route("/runs/{id}/artifact", get(artifacts::download))
        .route("/models", get(models::list))
        .route("/models/{name}", get(models::show))
        .route("/models/{name}/aliases", post(models::set_alias))
        .route("/models/{name}/aliases/delete", post(models::delete_alias))
        .route("/events", get(events))
        .with_state(tracking);
    site.frame(Role::Tracking, routes)
}

/// Tells a page that what it shows has changed.
async fn events(State(tracking): State<Tracking>, page: Page) -> Result<Response, Error> {
    let run = page.parameter("run").map(str::to_owned);
    let model = page.parameter("model").map(str::to_owned);
    let concerns = move |change: &Change| match (change, &run, &model) {
        (Change::RunChanged { run_id }, Some(run), _) => run_id == run,
        (_, Some(_), _) => false,
        (Change::ModelChanged { name } | Change::Alias { name, .. }, _, Some(model)) => name == model,
        (_, _, Some(_)) => false,
        _ => true,
    };
    Ok(live::changes(
        tracking.changes(),
        concerns,
        page.site().shutdown(),
    ))
}

/// Quotes a text for the filter language.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns a query for a page of a list.
fn query(filter: String, order_by: Vec<String>, rows: u64, token: Option<&str>) -> Query {
    Query {
        filter,
        order_by,
        max_results: Some(rows),
        page_token: token.map(str::to_owned),
        ..Query::default()
    }
}
