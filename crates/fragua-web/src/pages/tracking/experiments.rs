//! The list of experiments, and the table of one experiment's runs.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use fragua_base::{ErrorKind, Timestamp};
use fragua_tracking::{ExperimentId, Run, Tracking};

use super::query;
use crate::error::{Error, render};
use crate::filters;
use crate::format;
use crate::headline;
use crate::page::Page;
use crate::state::StateView;
use crate::view::{Cell, Crumb};

const EXPERIMENTS_PER_PAGE: u64 = 100;
const PAGE_SIZES: [u64; 4] = [25, 50, 100, 500];
/// How many metrics and how many parameters are columns until people choose.
const METRICS_AT_FIRST: usize = 6;
const PARAMS_AT_FIRST: usize = 4;

#[derive(Template)]
#[template(path = "tracking/experiments.html")]
struct ExperimentsPage<'a> {
    page: &'a Page,
    search: String,
    rows: Vec<ExperimentRow>,
    first: Option<String>,
    next: Option<String>,
}

struct ExperimentRow {
    id: String,
    name: String,
    note: String,
    runs: String,
    artifact_location: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

pub(super) async fn list(State(tracking): State<Tracking>, page: Page) -> Result<Response, Error> {
    let search = page.parameter("search").unwrap_or_default().trim().to_owned();
    let filter = if search.is_empty() {
        String::new()
    } else {
        format!("name ILIKE {}", super::quoted(&format!("%{search}%")))
    };
    let order = vec!["last_update_time DESC".to_owned()];
    let query = query(filter, order, EXPERIMENTS_PER_PAGE, page.parameter("page"));
    let found = tracking.search_experiments(&query).await?;
    let ids: Vec<ExperimentId> = found.items.iter().map(|experiment| experiment.id).collect();
    let counts = tracking.run_counts(&ids).await?;
    let rows = found
        .items
        .into_iter()
        .map(|experiment| ExperimentRow {
            id: experiment.id.to_string(),
            runs: format::integer(counts.get(&experiment.id).copied().unwrap_or(0)),
            note: note(&experiment.tags),
            name: experiment.name,
            artifact_location: experiment.artifact_location,
            created_at: experiment.created_at,
            updated_at: experiment.updated_at,
        })
        .collect();
    render(&ExperimentsPage {
        page: &page,
        search,
        rows,
        first: page.has_chosen("page").then(|| page.with("page", "")),
        next: found.next.map(|token| page.with("page", &token)),
    })
}

fn note(tags: &[fragua_tracking::Tag]) -> String {
    let note = tags.iter().find(|tag| tag.key == "mlflow.note.content");
    note.map_or_else(String::new, |tag| format::shorten(&tag.value, 300))
}

#[derive(Template)]
#[template(path = "tracking/experiment.html")]
struct ExperimentPage<'a> {
    page: &'a Page,
    id: String,
    name: String,
    note: String,
    base: String,
    crumbs: Vec<Crumb>,
    filter: String,
    filter_error: String,
    sort: String,
    sizes: Vec<(u64, bool)>,
    choices: Vec<ColumnChoice>,
    columns: Vec<Column>,
    rows: Vec<RunRow>,
    first: Option<String>,
    next: Option<String>,
}

struct ColumnChoice {
    key: String,
    is_shown: bool,
}

struct Column {
    /// How the filter language names it.
    key: String,
    label: String,
    is_number: bool,
    /// `ascending` or `descending` when the table is sorted by it.
    order: Option<&'static str>,
    /// Where a click on its head leads.
    address: String,
}

struct RunRow {
    id: String,
    name: String,
    view: StateView,
    is_child: bool,
    cells: Vec<Cell>,
}

pub(super) async fn show(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let missing = || Error::Missing {
        what: "experiment",
        name: id.clone(),
    };
    let experiment_id = ExperimentId(id.parse().map_err(|_| missing())?);
    let experiment = tracking.experiment(experiment_id).await?;
    let filter = page.parameter("filter").unwrap_or_default().trim().to_owned();
    let size = page.parameter("size").and_then(|size| size.parse().ok());
    let size = size
        .filter(|size| PAGE_SIZES.contains(size))
        .unwrap_or(PAGE_SIZES[1]);
    let sort = Sort::parse(page.parameter("sort").unwrap_or_default());
    let query = query(
        filter.clone(),
        sort.order_by(),
        size,
        page.parameter("page").filter(|token| !token.is_empty()),
    );
    // A filter that cannot be read is a matter between the reader and the field, not an error page.
    let (runs, next, filter_error) = match tracking.search_runs(&[experiment_id], &query).await {
        Ok(found) => (found.items, found.next, String::new()),
        Err(error) if error.kind() == ErrorKind::InvalidInput => (Vec::new(), None, error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let runs = if sort.key.is_empty() { families(runs) } else { runs };
    let known = known_columns(&runs);
    let chosen: Vec<String> = page.parameters("column").map(str::to_owned).collect();
    let shown = if chosen.is_empty() {
        columns_at_first(&known)
    } else {
        chosen.into_iter().filter(|key| !key.is_empty()).collect()
    };
    let choices = known
        .iter()
        .map(|key| ColumnChoice {
            key: key.clone(),
            is_shown: shown.contains(key),
        })
        .collect();
    let columns: Vec<Column> = ["attributes.start_time", "attributes.duration"]
        .into_iter()
        .map(str::to_owned)
        .chain(shown)
        .map(|key| column(&page, key, &sort))
        .collect();
    render(&ExperimentPage {
        page: &page,
        id: id.clone(),
        note: note(&experiment.tags),
        base: page.site().endpoints().tracking.clone().unwrap_or_default(),
        crumbs: vec![
            Crumb::link(page.t("experiments-title"), "/"),
            Crumb::here(experiment.name.clone()),
        ],
        name: experiment.name,
        filter,
        filter_error,
        sort: sort.text(),
        sizes: PAGE_SIZES.map(|choice| (choice, choice == size)).to_vec(),
        choices,
        rows: rows(&page, &runs, &columns),
        columns,
        first: page.has_chosen("page").then(|| page.with("page", "")),
        next: next.map(|token| page.with("page", &token)),
    })
}

/// The column a table is sorted by, written `metrics.accuracy` or, from the greatest, `-metrics.accuracy`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sort {
    key: String,
    is_descending: bool,
}

impl Sort {
    fn parse(text: &str) -> Self {
        let (key, is_descending) = match text.strip_prefix('-') {
            Some(key) => (key, true),
            None => (text, false),
        };
        Self {
            key: key.to_owned(),
            is_descending,
        }
    }

    fn text(&self) -> String {
        if self.is_descending {
            format!("-{}", self.key)
        } else {
            self.key.clone()
        }
    }

    fn order_by(&self) -> Vec<String> {
        let direction = if self.is_descending { "DESC" } else { "ASC" };
        let column = match self.key.split_once('.') {
            Some((group @ ("metrics" | "params"), name)) if !name.contains('`') => {
                format!("{group}.`{name}`")
            }
            Some(("attributes", name @ ("start_time" | "end_time" | "status" | "run_name"))) => {
                format!("attributes.{name}")
            }
            _ => return Vec::new(),
        };
        vec![format!("{column} {direction}")]
    }
}

/// Returns the metrics, those that matter most first, then the parameters, of some runs.
fn known_columns(runs: &[Run]) -> Vec<String> {
    let metrics: BTreeSet<&str> = runs
        .iter()
        .flat_map(|run| run.metrics.iter().map(|metric| metric.key.as_str()))
        .collect();
    let params: BTreeSet<&str> = runs
        .iter()
        .flat_map(|run| run.params.iter().map(|param| param.key.as_str()))
        .collect();
    let mut metrics: Vec<&str> = metrics.into_iter().collect();
    metrics.sort_by_key(|key| headline::rank(key));
    let metrics = metrics.into_iter().map(|key| format!("metrics.{key}"));
    metrics
        .chain(params.into_iter().map(|key| format!("params.{key}")))
        .collect()
}

/// Puts child runs below their parent where both are on the page and the reader chose no order.
fn families(runs: Vec<Run>) -> Vec<Run> {
    let ids: BTreeSet<String> = runs.iter().map(|run| run.info.run_id.clone()).collect();
    let (children, parents): (Vec<Run>, Vec<Run>) = runs
        .into_iter()
        .partition(|run| run.parent_run_id().is_some_and(|parent| ids.contains(parent)));
    let mut of_parent: BTreeMap<String, Vec<Run>> = BTreeMap::new();
    for child in children {
        let parent = child.parent_run_id().unwrap_or_default().to_owned();
        of_parent.entry(parent).or_default().push(child);
    }
    let mut ordered = Vec::new();
    let mut open: Vec<Run> = parents.into_iter().rev().collect();
    while let Some(run) = open.pop() {
        if let Some(children) = of_parent.remove(&run.info.run_id) {
            open.extend(children.into_iter().rev());
        }
        ordered.push(run);
    }
    // Runs that name each other as parents have no place in a tree.
    ordered.extend(of_parent.into_values().flatten());
    ordered
}

fn columns_at_first(known: &[String]) -> Vec<String> {
    let of = |group: &'static str, count| known.iter().filter(move |key| key.starts_with(group)).take(count);
    of("metrics.", METRICS_AT_FIRST)
        .chain(of("params.", PARAMS_AT_FIRST))
        .cloned()
        .collect()
}

fn column(page: &Page, key: String, sort: &Sort) -> Column {
    let is_sorted = sort.key == key;
    let order = is_sorted.then_some(if sort.is_descending {
        "descending"
    } else {
        "ascending"
    });
    let is_number = key.starts_with("metrics.") || key == "attributes.duration";
    // The first click shows the best or the newest.
    let next = if is_sorted && sort.is_descending {
        key.clone()
    } else {
        format!("-{key}")
    };
    let label = match key.as_str() {
        "attributes.start_time" => page.t("started"),
        "attributes.duration" => page.t("duration"),
        other => other.split_once('.').map_or(other, |(_, name)| name).to_owned(),
    };
    Column {
        address: if key == "attributes.duration" {
            String::new()
        } else {
            page.with2("sort", &next, "page", "")
        },
        key,
        label,
        is_number,
        order,
    }
}

fn rows(page: &Page, runs: &[Run], columns: &[Column]) -> Vec<RunRow> {
    let best: Vec<Option<f64>> = columns.iter().map(|column| best(runs, &column.key)).collect();
    runs.iter()
        .map(|run| RunRow {
            id: run.info.run_id.clone(),
            name: run_name(run),
            view: StateView::of(run.info.status.as_str()),
            is_child: run.parent_run_id().is_some(),
            cells: columns
                .iter()
                .zip(&best)
                .map(|(column, best)| cell(page, run, &column.key, *best))
                .collect(),
        })
        .collect()
}

pub(super) fn run_name(run: &Run) -> String {
    if run.info.run_name.is_empty() {
        return format::shorten(&run.info.run_id, 12);
    }
    run.info.run_name.clone()
}

/// Returns the best value of a metric among some runs, or nothing where they do not differ.
pub(super) fn best(runs: &[Run], column: &str) -> Option<f64> {
    let name = column.strip_prefix("metrics.")?;
    let values: Vec<f64> = runs
        .iter()
        .filter_map(|run| run.metric(name))
        .filter(|value| value.is_finite())
        .collect();
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.len() < 2 || lowest == highest {
        return None;
    }
    Some(if headline::less_is_better(name) {
        lowest
    } else {
        highest
    })
}

fn cell(page: &Page, run: &Run, column: &str, best: Option<f64>) -> Cell {
    match column.split_once('.') {
        Some(("metrics", name)) => run.metric(name).map_or_else(empty_number, |value| Cell {
            text: format::number(value),
            is_number: true,
            is_best: best == Some(value),
        }),
        Some(("params", name)) => text_cell(format::shorten(run.param(name).unwrap_or("–"), 40)),
        Some(("attributes", "start_time")) => text_cell(
            run.info
                .start_time
                .map_or_else(|| "–".to_owned(), |at| page.ago(&at)),
        ),
        Some(("attributes", "duration")) => Cell {
            text: duration(page, run.info.start_time, run.info.end_time),
            is_number: true,
            is_best: false,
        },
        _ => text_cell("–".to_owned()),
    }
}

fn empty_number() -> Cell {
    Cell {
        text: "–".to_owned(),
        is_number: true,
        is_best: false,
    }
}

fn text_cell(text: String) -> Cell {
    Cell {
        text,
        ..Cell::default()
    }
}

/// Writes how long something took, or has taken so far.
pub(super) fn duration(page: &Page, start: Option<Timestamp>, end: Option<Timestamp>) -> String {
    let Some(start) = start else {
        return "–".to_owned();
    };
    let end = end.unwrap_or(page.now());
    format::duration(end.as_millis().saturating_sub(start.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_becomes_an_order_of_the_filter_language() {
        for (text, expected) in [
            ("", None),
            ("metrics.accuracy", Some("metrics.`accuracy` ASC")),
            ("-metrics.f1 macro", Some("metrics.`f1 macro` DESC")),
            ("-attributes.start_time", Some("attributes.start_time DESC")),
            ("metrics.a` DESC, x", None),
            ("attributes.nonsense", None),
        ] {
            let order = Sort::parse(text).order_by();
            assert_eq!(order.first().map(String::as_str), expected, "{text}");
        }
        assert_eq!(Sort::parse("-metrics.a").text(), "-metrics.a");
    }
}
