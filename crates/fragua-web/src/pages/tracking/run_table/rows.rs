//! The rows of the table, for the page and for the script that fetches more of them.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use fragua_tracking::{Run, Tracking};

use super::columns::{self, Column, TableCell, cell};
use super::experiment_of;
use super::state::TableState;
use crate::error::{Error, render};
use crate::page::{Page, encode};
use crate::pages::tracking::edit::Editing;
use crate::pages::tracking::experiments::{best, run_name};
use crate::state::StateView;

/// Runs can be children of children; deeper than this nobody looks.
const DEEPEST: usize = 6;

pub(super) struct RunRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) view: StateView,
    pub(super) depth: usize,
    pub(super) cells: Vec<TableCell>,
    pub(super) is_child: bool,
    pub(super) children: Option<Children>,
}

/// The runs below a run.
pub(super) struct Children {
    pub(super) count: u64,
    pub(super) is_open: bool,
    /// Shows or hides them.
    pub(super) address: String,
}

#[derive(Template)]
#[template(path = "tracking/run_rows.html")]
struct RowsPart<'a> {
    page: &'a Page,
    state: &'a TableState,
    editing: Editing,
    rows: Vec<RunRow>,
}

/// One part of the table's body. The columns are those of the address.
pub(in crate::pages::tracking) async fn rows(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let experiment = experiment_of(&tracking, &id).await?;
    let state = TableState::of(&page);
    let found = tracking
        .search_runs(&[experiment.id], &state.query(page.now()))
        .await?;
    let path = format!("/experiments/{}", encode(&id));
    let columns = columns::columns(&page, &path, &state, &state.columns);
    let rows = rows_of(&tracking, &page, &path, &state, found.items, &columns, false).await?;
    render(&RowsPart {
        page: &page,
        state: &state,
        editing: Editing::default(),
        rows,
    })
}

/// Makes the rows of some runs, with the children of those that are open below them.
pub(super) async fn rows_of(
    tracking: &Tracking,
    page: &Page,
    path: &str,
    state: &TableState,
    runs: Vec<Run>,
    columns: &[Column],
    marks_best: bool,
) -> Result<Vec<RunRow>, Error> {
    let best: Vec<Option<f64>> = columns
        .iter()
        .map(|column| best(&runs, &column.key).filter(|_| marks_best))
        .collect();
    let mut counts = HashMap::new();
    let mut rows = Vec::with_capacity(runs.len());
    let mut waiting: Vec<(Run, usize)> = Vec::new();
    push_runs(tracking, state, runs, 0, &mut waiting, &mut counts).await?;
    while let Some((run, depth)) = waiting.pop() {
        let id = run.info.run_id.clone();
        let is_open = state.open.contains(&id);
        let children = counts.get(&id).map(|count| Children {
            count: *count,
            is_open,
            address: state.toggled(&id).address(path),
        });
        if is_open && children.is_some() && depth < DEEPEST {
            let children = tracking.child_runs(&id).await?;
            push_runs(tracking, state, children, depth + 1, &mut waiting, &mut counts).await?;
        }
        rows.push(RunRow {
            name: run_name(&run),
            view: StateView::of(run.info.status.as_str()),
            depth,
            cells: columns
                .iter()
                .zip(&best)
                .map(|(column, best)| cell(page, &run, &column.key, *best))
                .collect(),
            is_child: run.parent_run_id().is_some(),
            children,
            id,
        });
    }
    Ok(rows)
}

/// Puts runs where they are taken from next, in their order, and learns how many children each has.
async fn push_runs(
    tracking: &Tracking,
    state: &TableState,
    runs: Vec<Run>,
    depth: usize,
    waiting: &mut Vec<(Run, usize)>,
    counts: &mut HashMap<String, u64>,
) -> Result<(), Error> {
    if state.is_tree() {
        let ids: Vec<String> = runs.iter().map(|run| run.info.run_id.clone()).collect();
        counts.extend(tracking.child_counts(&ids).await?);
    }
    waiting.extend(runs.into_iter().rev().map(|run| (run, depth)));
    Ok(())
}
