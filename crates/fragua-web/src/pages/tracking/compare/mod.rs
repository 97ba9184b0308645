//! The page that puts runs side by side: figures, curves, parallel coordinates, scatter.

mod axes;
mod curves;
mod tables;

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use fragua_tracking::{Run, Tracking};

use super::experiments::run_name;
use crate::error::{Error, render};
use crate::page::Page;
use crate::plot;
use crate::state::StateView;
use crate::view::{Crumb, SelectOption, Tab};
use axes::{Parallel, Scatter};
use curves::Curves;
use tables::Tables;

/// More runs than this on one page nobody tells apart, and the histories of more cannot be asked for at once.
const MOST_RUNS: usize = 100;

const TABS: [&str; 4] = ["table", "curves", "parallel", "scatter"];

#[derive(Template)]
#[template(path = "tracking/compare.html")]
struct ComparePage<'a> {
    page: &'a Page,
    crumbs: Vec<Crumb>,
    runs: Vec<ComparedRun>,
    /// What stands in the address and every form keeps: the runs.
    ids: Vec<String>,
    is_cut: bool,
    missing: usize,
    tabs: Vec<Tab>,
    view: View,
}

struct ComparedRun {
    id: String,
    name: String,
    class: String,
    view: StateView,
    /// The page without this run.
    without: String,
}

enum View {
    Nothing,
    Tables(Tables),
    Curves(Curves),
    Parallel(Parallel),
    Scatter(Scatter),
}

pub(super) async fn show(State(tracking): State<Tracking>, page: Page) -> Result<Response, Error> {
    let mut seen = BTreeSet::new();
    let wanted = page
        .parameters("run")
        .filter(|id| seen.insert(*id))
        .map(str::to_owned);
    let mut wanted: Vec<String> = wanted.collect();
    let is_cut = wanted.len() > MOST_RUNS;
    wanted.truncate(MOST_RUNS);
    let runs = tracking.runs(&wanted).await?;
    let ids: Vec<String> = runs.iter().map(|run| run.info.run_id.clone()).collect();
    let tab = Tab::current(&page, &TABS);
    let view = match tab {
        _ if runs.len() < 2 => View::Nothing,
        "curves" => View::Curves(Curves::of(&tracking, &page, &runs).await?),
        "parallel" => View::Parallel(Parallel::of(&page, &runs)),
        "scatter" => View::Scatter(Scatter::of(&page, &runs)),
        _ => View::Tables(Tables::of(&page, &runs)),
    };
    render(&ComparePage {
        crumbs: crumbs(&tracking, &page, &runs).await?,
        tabs: tabs(&page, tab, &ids),
        missing: wanted.len() - runs.len(),
        runs: runs
            .iter()
            .enumerate()
            .map(|(index, run)| ComparedRun {
                id: run.info.run_id.clone(),
                name: run_name(run),
                class: plot::series_class(index),
                view: StateView::of(run.info.status.as_str()),
                without: without(&page, &ids, &run.info.run_id),
            })
            .collect(),
        ids,
        is_cut,
        view,
        page: &page,
    })
}

/// Returns an address of this page with these runs and some parameters; the rest of the present ones is kept where
/// `keeps` says so.
fn address(page: &Page, ids: &[String], keeps: bool, changes: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(&str, &str)> = ids.iter().map(|id| ("run", id.as_str())).collect();
    if keeps {
        let is_kept = |name: &str| name != "run" && changes.iter().all(|(changed, _)| *changed != name);
        pairs.extend(page.all_parameters().filter(|(name, _)| is_kept(name)));
    }
    pairs.extend(changes.iter().copied().filter(|(_, value)| !value.is_empty()));
    page.at(&pairs)
}

fn without(page: &Page, ids: &[String], id: &str) -> String {
    let rest: Vec<String> = ids.iter().filter(|other| *other != id).cloned().collect();
    address(page, &rest, true, &[])
}

fn tabs(page: &Page, current: &str, ids: &[String]) -> Vec<Tab> {
    let words = ["compare-table", "curves", "compare-parallel", "compare-scatter"];
    TABS.iter()
        .zip(words)
        .map(|(tab, word)| Tab {
            label: page.t(word),
            address: address(
                page,
                ids,
                false,
                &[("tab", if *tab == TABS[0] { "" } else { tab })],
            ),
            is_current: *tab == current,
            count: None,
        })
        .collect()
}

/// The way up leads to the experiment where all runs are of one.
async fn crumbs(tracking: &Tracking, page: &Page, runs: &[Run]) -> Result<Vec<Crumb>, Error> {
    let mut crumbs = vec![Crumb::link(page.t("experiments-title"), "/")];
    let experiments: BTreeSet<_> = runs.iter().map(|run| run.info.experiment_id).collect();
    if let (Some(id), 1) = (experiments.first(), experiments.len()) {
        let experiment = tracking.experiment(*id).await?;
        crumbs.push(Crumb::link(experiment.name, format!("/experiments/{id}")));
    }
    crumbs.push(Crumb::here(page.t("compare-runs-chosen")));
    Ok(crumbs)
}

/// Returns the choices of a field over keys, each the name of a column.
fn options(keys: &[String], chosen: &str) -> Vec<SelectOption> {
    keys.iter()
        .map(|key| SelectOption::new(key, key, key == chosen))
        .collect()
}
