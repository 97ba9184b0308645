//! The pages of experiments, runs and registered models.

mod artifacts;
mod compare;
mod curves;
mod dag_runs;
mod deleted;
mod edit;
mod experiments;
mod filter;
mod folder;
mod lineage;
mod logged_keys;
mod logged_models;
pub(super) mod mlmodel;
mod models;
mod register;
mod run_table;
mod runs;
mod traffic;
mod version_compare;
mod versions;

pub(crate) use lineage::origin;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use fragua_tracking::{Change, Query, Tracking};

use crate::error::Error;
use crate::live;
use crate::page::Page;
use crate::site::{Role, Site};

/// Returns the pages of tracking. `/health` belongs to its API.
pub fn tracking_pages(tracking: Tracking, site: Site) -> Router {
    let routes = Router::new()
        .route("/", get(experiments::list).post(experiments::create))
        .route("/experiments", get(experiments::list).post(experiments::create))
        .route("/experiments/{id}", get(run_table::show).post(run_table::act))
        .route("/experiments/{id}/rows", get(run_table::rows))
        .route("/experiments/{id}/runs.csv", get(run_table::csv))
        .route("/experiments/{id}/words", get(run_table::words))
        .route("/deleted", get(deleted::list).post(deleted::act))
        .route("/compare", get(compare::show))
        .route("/runs/{id}", get(runs::show).post(runs::act))
        .route("/dag-runs", get(dag_runs::show))
        .route("/runs/{id}/artifact", get(artifacts::of_run))
        .route("/experiments/{id}/logged-models", get(logged_models::list))
        .route(
            "/logged-models/{id}",
            get(logged_models::show).post(logged_models::act),
        )
        .route("/logged-models/{id}/artifact", get(artifacts::of_logged_model))
        .route("/models", get(models::list).post(models::create))
        .route("/models/{name}", get(models::show).post(models::act))
        .route("/models/{name}/compare", get(version_compare::show))
        .route(
            "/models/{name}/versions/{version}",
            get(versions::show).post(versions::act),
        )
        .route("/events", get(events))
        .with_state(tracking);
    site.frame(Role::Tracking, routes)
}

/// Tells a page that what it shows has changed.
async fn events(State(tracking): State<Tracking>, page: Page) -> Result<Response, Error> {
    if page.has_chosen("purge") {
        return Ok(live::watched(tracking.purging(), page.site().shutdown()));
    }
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

/// Quotes a text for the filter language, which has two quotes and no escapes. In a text that holds both, single quotes
/// become the sign that stands for any one character in a pattern; use `LIKE` then, see [`equals`].
fn quoted(text: &str) -> String {
    match (text.contains('\''), text.contains('"')) {
        (true, false) => format!("\"{text}\""),
        _ => format!("'{}'", text.replace('\'', "_")),
    }
}

/// Returns a condition of the filter language that a text has this value. Beside the wanted ones it may match others that
/// differ where the value has quotes of both kinds.
fn equals(key: &str, value: &str) -> String {
    let has_both = value.contains('\'') && value.contains('"');
    let operator = if has_both { "LIKE" } else { "=" };
    format!("{key} {operator} {}", quoted(value))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_can_be_asked_for() {
        for (value, expected) in [
            ("a", "k = 'a'"),
            ("", "k = ''"),
            ("it's", "k = \"it's\""),
            ("say \"hi\"", "k = 'say \"hi\"'"),
            ("'\"", "k LIKE '_\"'"),
        ] {
            assert_eq!(equals("k", value), expected);
        }
    }
}
