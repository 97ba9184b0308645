//! The way from a DAG run to what it made here.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_tracking::{ExperimentId, Tracking};

use super::experiments::{duration, run_name};
use super::lineage::{DAG_RUN_TAG, DAG_TAG};
use super::{equals, query};
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::page::{Page, encode};
use crate::state::StateView;
use crate::view::Crumb;

const MOST_EXPERIMENTS: u64 = 1_000;
const MOST_RUNS: u64 = 200;

#[derive(Template)]
#[template(path = "tracking/dag_run.html")]
struct DagRunPage<'a> {
    page: &'a Page,
    dag_run_id: String,
    crumbs: Vec<Crumb>,
    rows: Vec<RunRow>,
}

struct RunRow {
    id: String,
    name: String,
    view: StateView,
    is_child: bool,
    started_at: Option<Timestamp>,
    duration: String,
}

/// Lists the runs that a DAG run made. When it made one, beside that one's child runs, this leads straight to it.
pub(super) async fn show(State(tracking): State<Tracking>, page: Page) -> Result<Response, Error> {
    let dag_id = page.parameter("dag").unwrap_or_default();
    let dag_run_id = page.parameter("run").unwrap_or_default().to_owned();
    let all = query(String::new(), Vec::new(), MOST_EXPERIMENTS, None);
    let experiments: Vec<ExperimentId> = tracking
        .search_experiments(&all)
        .await?
        .items
        .into_iter()
        .map(|experiment| experiment.id)
        .collect();
    let filter = format!(
        "{} AND {}",
        equals(&format!("tags.`{DAG_TAG}`"), dag_id),
        equals(&format!("tags.`{DAG_RUN_TAG}`"), &dag_run_id)
    );
    let order = vec!["attributes.start_time ASC".to_owned()];
    let runs = tracking
        .search_runs(&experiments, &query(filter, order, MOST_RUNS, None))
        .await?
        .items;
    let mut parents = runs.iter().filter(|run| run.parent_run_id().is_none());
    if let (Some(only), None) = (parents.next(), parents.next()) {
        return Ok(see_other(&format!("/runs/{}", encode(&only.info.run_id))));
    }
    let rows = runs
        .iter()
        .map(|run| RunRow {
            id: run.info.run_id.clone(),
            name: run_name(run),
            view: StateView::of(run.info.status.as_str()),
            is_child: run.parent_run_id().is_some(),
            started_at: run.info.start_time,
            duration: duration(&page, run.info.start_time, run.info.end_time),
        })
        .collect();
    render(&DagRunPage {
        page: &page,
        crumbs: vec![
            Crumb::link(page.t("experiments-title"), "/"),
            Crumb::here(dag_run_id.clone()),
        ],
        dag_run_id,
        rows,
    })
}
