//! The pages of DAGs and their runs.

mod dag;
mod dag_run;
mod dags;
mod grid;
mod log;
mod picture;
mod trigger;
mod waiting;

use axum::Router;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use axum::routing::{get, post};
use fragua_orchestrator::{Change, Orchestrator};

use crate::error::{Error, see_other};
use crate::form;
use crate::live;
use crate::page::{Page, encode, parse_query};
use crate::site::{Role, Site};

/// Returns the pages of the orchestrator. `/health` belongs to its API.
pub fn orchestrator_pages(orchestrator: Orchestrator, site: Site) -> Router {
    let routes = Router::new()
        .route("/", get(dags::list))
        .route("/dags", get(dags::list))
        .route("/dags/{dag}", get(dag::show))
        .route("/dags/{dag}/pause", post(pause))
        .route("/dags/{dag}/trigger", get(trigger::show).post(trigger::start))
        .route("/dags/{dag}/runs/{run}", get(dag_run::show))
        .route("/dags/{dag}/runs/{run}/clear", post(dag_run::clear))
        .route("/dags/{dag}/runs/{run}/log", get(log::raw))
        .route("/dags/{dag}/runs/{run}/log/events", get(log::events))
        .route("/events", get(events))
        .with_state(orchestrator);
    site.frame(Role::Orchestrator, routes)
}

async fn pause(
    State(orchestrator): State<Orchestrator>,
    Path(dag_id): Path<String>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let is_paused = form::value(&form, "paused") == Some("true");
    orchestrator.set_paused(&dag_id, is_paused).await?;
    let back = form::value(&form, "back").filter(|back| is_own_path(back));
    let dag_address = format!("/dags/{}", encode(&dag_id));
    Ok(see_other(back.unwrap_or(&dag_address)))
}

/// A path of this site; an address that begins with two slashes names another host.
fn is_own_path(path: &str) -> bool {
    path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n'])
}

/// Tells a page that what it shows has changed. The log has a stream of its own.
async fn events(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let dag = page.parameter("dag").map(str::to_owned);
    let run = page.parameter("run").map(str::to_owned);
    let is_wanted = move |dag_id: &str, run_id: &str| {
        dag.as_deref().is_none_or(|dag| dag == dag_id) && run.as_deref().is_none_or(|run| run == run_id)
    };
    let concerns = move |change: &Change| match change {
        Change::Dags => true,
        Change::DagRun { dag_id, run_id, .. } | Change::TaskInstance { dag_id, run_id, .. } => {
            is_wanted(dag_id, run_id)
        }
        Change::Log { .. } => false,
    };
    Ok(live::changes(
        orchestrator.changes(),
        concerns,
        page.site().shutdown(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_leads_back_to_this_site_only() {
        for (path, expected) in [
            ("/", true),
            ("/?search=a", true),
            ("//evil.example/", false),
            ("/\\evil.example", false),
            ("https://evil.example/", false),
            ("", false),
        ] {
            assert_eq!(is_own_path(path), expected, "{path}");
        }
    }
}
