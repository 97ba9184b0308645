//! The table of an experiment's runs.

mod actions;
mod columns;
mod export;
mod rows;
mod state;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use fragua_base::ErrorKind;
use fragua_tracking::{Experiment, ExperimentId, LifecycleStage, Query, Tracking, ViewType};

pub(super) use actions::act;
pub(super) use export::{csv, words};
pub(super) use rows::rows;

use super::edit::{Description, Editing, Tags};
use super::filter::FilterError;
use crate::error::{Error, render};
use crate::filters;
use crate::page::{Page, encode};
use crate::state::StateView;
use crate::view::{Crumb, SelectOption};
use columns::{ChoiceGroup, Column, ColumnGroup};
use rows::RunRow;
use state::{SPANS, STATUSES, TableState};

#[derive(Template)]
#[template(path = "tracking/experiment.html")]
struct ExperimentPage<'a> {
    page: &'a Page,
    id: String,
    name: String,
    description: Description,
    tags: Tags,
    editing: Editing,
    is_deleted: bool,
    base: String,
    crumbs: Vec<Crumb>,
    state: TableState,
    error: Option<FilterError>,
    statuses: Vec<SelectOption>,
    spans: Vec<SelectOption>,
    choices: Vec<ChoiceGroup>,
    name_column: Column,
    columns: Vec<Column>,
    groups: Vec<ColumnGroup>,
    rows: Vec<RunRow>,
    /// Runs that were selected when a form was refused and are not among these rows.
    selected_elsewhere: Vec<String>,
    /// How many runs are on all pages together.
    total: u64,
    /// How many of the experiment's runs are below others and not counted.
    nested: u64,
    addresses: Addresses,
}

/// Where the table leads.
struct Addresses {
    /// The page itself without what narrows it down.
    cleared: String,
    default_columns: String,
    /// The part of the table that holds the rows, with all columns named.
    rows: String,
    csv: String,
    act: String,
    /// The other way to show child runs.
    other_nesting: String,
    active_view: String,
    deleted_view: String,
    first: Option<String>,
    next: Option<String>,
}

/// Returns the experiment that an address names.
async fn experiment_of(tracking: &Tracking, id: &str) -> Result<Experiment, Error> {
    let missing = || Error::Missing {
        what: "experiment",
        name: id.to_owned(),
    };
    let id = ExperimentId(id.parse().map_err(|_| missing())?);
    Ok(tracking.experiment(id).await?)
}

pub(super) async fn show(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let editing = Editing::of(&page);
    answer(&tracking, &page, &id, editing).await
}

async fn answer(tracking: &Tracking, page: &Page, id: &str, editing: Editing) -> Result<Response, Error> {
    let experiment = experiment_of(tracking, id).await?;
    let state = TableState::of(page);
    let query = state.query(page.now());
    let found = tracking.search_runs(&[experiment.id], &query).await;
    // A filter that cannot be read is a matter between the reader and the field, not an error page.
    let (runs, next, error) = match found {
        Ok(found) => (found.items, found.next, None),
        Err(error) if error.kind() == ErrorKind::InvalidInput => (
            Vec::new(),
            None,
            Some(filter_error(tracking, page, &state, error).await),
        ),
        Err(error) => return Err(error.into()),
    };
    let total = match &error {
        Some(_) => 0,
        None if state.chunk == 0 && next.is_none() => runs.len() as u64,
        None => tracking.count_runs(&[experiment.id], &query).await?,
    };
    let path = format!("/experiments/{}", encode(id));
    let known = columns::keys_of(&runs);
    let shown = if state.columns.is_empty() {
        columns::columns_at_first(&known)
    } else {
        state.columns.clone()
    };
    let nested = nested(tracking, experiment.id, &state, total).await?;
    let columns = columns::columns(page, &path, &state, &shown);
    let marks_best = total == runs.len() as u64;
    let rows = rows::rows_of(tracking, page, &path, &state, runs, &columns, marks_best).await?;
    let is_shown = |run_id: &str| rows.iter().any(|row| row.id == run_id);
    let elsewhere = editing.selected().filter(|run_id| !is_shown(run_id));
    render(&ExperimentPage {
        page,
        description: Description::new(Some(super::experiments::note(&experiment.tags))),
        is_deleted: experiment.lifecycle_stage == LifecycleStage::Deleted,
        tags: Tags::new(&experiment.tags),
        selected_elsewhere: elsewhere.map(str::to_owned).collect(),
        editing,
        base: page.site().endpoints().tracking.clone().unwrap_or_default(),
        crumbs: vec![
            Crumb::link(page.t("experiments-title"), "/"),
            Crumb::here(experiment.name.clone()),
        ],
        name: experiment.name,
        error,
        statuses: statuses(page, &state),
        spans: spans(page, &state),
        choices: columns::choices(page, &known, &shown),
        name_column: columns::name_column(page, &path, &state),
        groups: columns::groups(page, &columns),
        columns,
        rows,
        total,
        nested,
        addresses: Addresses::of(&state, &path, &shown, next.is_some()),
        id: id.to_owned(),
        state,
    })
}

impl Addresses {
    fn of(state: &TableState, path: &str, shown: &[String], has_next: bool) -> Self {
        let first = TableState {
            chunk: 0,
            ..state.clone()
        };
        let at = |state: TableState| state.address(path);
        let other = if state.is_tree() { "all" } else { "tree" };
        Self {
            cleared: at(TableState {
                filter: String::new(),
                status: None,
                since: String::new(),
                ..first.clone()
            }),
            default_columns: at(TableState {
                columns: Vec::new(),
                ..first.clone()
            }),
            rows: state::join(&format!("{path}/rows"), &state.query_with(shown)),
            csv: state::join(&format!("{path}/runs.csv"), &state.query_with(shown)),
            act: state.address(path),
            other_nesting: at(TableState {
                nesting: other.to_owned(),
                ..first.clone()
            }),
            active_view: at(TableState {
                is_deleted_view: false,
                ..first.clone()
            }),
            deleted_view: at(TableState {
                is_deleted_view: true,
                ..first.clone()
            }),
            first: (state.chunk > 0).then(|| at(first)),
            next: has_next.then(|| {
                at(TableState {
                    chunk: state.chunk + 1,
                    ..state.clone()
                })
            }),
        }
    }
}

/// Asks again with what was typed alone, so that the message is about that and nothing else.
async fn filter_error(
    tracking: &Tracking,
    page: &Page,
    state: &TableState,
    error: fragua_tracking::Error,
) -> FilterError {
    let typed = Query {
        filter: state.filter.clone(),
        ..Query::default()
    };
    let error = match tracking.count_runs(&[], &typed).await {
        Err(error) => error,
        Ok(_) => error,
    };
    FilterError::new(page, &error, &state.filter)
}

/// Returns how many runs of the experiment the tree hides below their parents.
async fn nested(
    tracking: &Tracking,
    experiment: ExperimentId,
    state: &TableState,
    total: u64,
) -> Result<u64, Error> {
    if !state.is_tree() || state.is_narrowed() || state.is_deleted_view {
        return Ok(0);
    }
    let all = Query {
        view: ViewType::ActiveOnly,
        ..Query::default()
    };
    let all = tracking.count_runs(&[experiment], &all).await?;
    Ok(all.saturating_sub(total))
}

fn statuses(page: &Page, state: &TableState) -> Vec<SelectOption> {
    let any = SelectOption::new(page.t("any-state"), "", state.status.is_none());
    let known = STATUSES.map(|status| {
        let name = status.as_str().to_ascii_lowercase();
        let word = page.t(StateView::of(&name).text_key());
        SelectOption::new(word, &name, state.status == Some(status))
    });
    std::iter::once(any).chain(known).collect()
}

fn spans(page: &Page, state: &TableState) -> Vec<SelectOption> {
    let any = SelectOption::new(page.t("since-ever"), "", state.since.is_empty());
    let known = SPANS.map(|(name, word, _)| SelectOption::new(page.t(word), name, state.since == name));
    std::iter::once(any).chain(known).collect()
}
