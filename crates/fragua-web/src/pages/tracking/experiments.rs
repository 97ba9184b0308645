//! The list of experiments.

use askama::Template;
use axum::extract::{RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_tracking::{ExperimentId, NewExperiment, Query, Run, Tag, Tracking, ViewType};

use super::edit::{self, Editing, NOTE_TAG, Sent};
use super::query;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::format;
use crate::headline;
use crate::markdown;
use crate::page::Page;

const EXPERIMENTS_PER_PAGE: u64 = 100;

/// What the list can be sorted by: the name in the address, the name in the language of orders.
const ORDERS: [(&str, &str); 3] = [
    ("name", "name"),
    ("updated", "last_update_time"),
    ("created", "creation_time"),
];

#[derive(Template)]
#[template(path = "tracking/experiments.html")]
struct ExperimentsPage<'a> {
    page: &'a Page,
    search: String,
    editing: Editing,
    is_deleted_view: bool,
    heads: Vec<Head>,
    rows: Vec<ExperimentRow>,
    first: Option<String>,
    next: Option<String>,
}

/// The head of a column that the list can be sorted by.
struct Head {
    word: String,
    address: String,
    /// `ascending` or `descending` when the list is sorted by it.
    order: Option<&'static str>,
}

struct ExperimentRow {
    id: String,
    name: String,
    note: String,
    runs: String,
    tags: Vec<Tag>,
    artifact_location: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

pub(super) async fn list(State(tracking): State<Tracking>, page: Page) -> Result<Response, Error> {
    let editing = Editing::of(&page);
    answer(&tracking, &page, editing).await
}

async fn answer(tracking: &Tracking, page: &Page, editing: Editing) -> Result<Response, Error> {
    let search = page.parameter("search").unwrap_or_default().trim().to_owned();
    let is_deleted_view = page.parameter("view") == Some("deleted");
    let filter = if search.is_empty() {
        String::new()
    } else {
        format!("name ILIKE {}", super::quoted(&format!("%{search}%")))
    };
    let (sort, is_descending, column) = order(page.parameter("sort").unwrap_or_default());
    let direction = if is_descending { "DESC" } else { "ASC" };
    let query = Query {
        view: if is_deleted_view {
            ViewType::DeletedOnly
        } else {
            ViewType::ActiveOnly
        },
        ..query(
            filter,
            vec![format!("{column} {direction}")],
            EXPERIMENTS_PER_PAGE,
            page.parameter("page"),
        )
    };
    let found = tracking.search_experiments(&query).await?;
    let ids: Vec<ExperimentId> = found.items.iter().map(|experiment| experiment.id).collect();
    let counts = tracking.run_counts(&ids).await?;
    let rows = found
        .items
        .into_iter()
        .map(|experiment| ExperimentRow {
            id: experiment.id.to_string(),
            runs: format::integer(counts.get(&experiment.id).copied().unwrap_or(0)),
            note: format::shorten(&markdown::plain(note(&experiment.tags)), 300),
            tags: experiment
                .tags
                .into_iter()
                .filter(|tag| !tag.key.starts_with("mlflow."))
                .collect(),
            name: experiment.name,
            artifact_location: experiment.artifact_location,
            created_at: experiment.created_at,
            updated_at: experiment.updated_at,
        })
        .collect();
    render(&ExperimentsPage {
        page,
        search,
        editing,
        is_deleted_view,
        heads: ORDERS
            .iter()
            .map(|(name, _)| head(page, name, sort, is_descending))
            .collect(),
        rows,
        first: page.has_chosen("page").then(|| page.with("page", "")),
        next: found.next.map(|token| page.with("page", &token)),
    })
}

/// Reads the order of an address, such as `-updated`, which is the order without one.
fn order(text: &str) -> (&'static str, bool, &'static str) {
    let (name, is_descending) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let known = ORDERS.into_iter().find(|(known, _)| *known == name);
    known.map_or(("updated", true, "last_update_time"), |(name, column)| {
        (name, is_descending, column)
    })
}

fn head(page: &Page, name: &str, sort: &str, is_descending: bool) -> Head {
    let is_sorted = name == sort;
    // Names begin with A, times with the newest.
    let next_is_descending = if is_sorted { !is_descending } else { name != "name" };
    let next = format!("{}{name}", if next_is_descending { "-" } else { "" });
    Head {
        word: page.t(name),
        address: page.with2("sort", &next, "page", ""),
        order: is_sorted.then_some(if is_descending { "descending" } else { "ascending" }),
    }
}

/// Makes an experiment and leads to it.
pub(super) async fn create(
    State(tracking): State<Tracking>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let sent = Sent::read(&body);
    let (name, note, location) = (sent.trimmed("name"), sent.text("note"), sent.trimmed("location"));
    let refused =
        async |field, error: String| answer(&tracking, &page, Editing::refused_at(&sent, field, error)).await;
    if name.is_empty() {
        return refused("name", page.t("name-empty")).await;
    }
    if !location.is_empty()
        && let Err(error) = tracking.check_artifact_location(location)
    {
        return refused("location", error.to_string()).await;
    }
    let new = NewExperiment {
        name: name.to_owned(),
        artifact_location: (!location.is_empty()).then(|| location.to_owned()),
        tags: (!note.is_empty())
            .then(|| Tag::new(NOTE_TAG, note))
            .into_iter()
            .collect(),
    };
    match tracking.create_experiment(new).await {
        Ok(id) => Ok(see_other(&format!("/experiments/{id}"))),
        Err(error) if edit::is_about_a_field(&error) => refused("name", error.to_string()).await,
        Err(error) => Err(error.into()),
    }
}

/// Returns the description of an experiment, in Markdown; empty without one.
pub(super) fn note(tags: &[Tag]) -> &str {
    let note = tags.iter().find(|tag| tag.key == NOTE_TAG);
    note.map_or("", |tag| &tag.value)
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
        // An infinity is kept as the largest number.
        .filter(|value| value.abs() < f64::MAX)
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

/// Writes how long something took, or has taken so far.
pub(super) fn duration(page: &Page, start: Option<Timestamp>, end: Option<Timestamp>) -> String {
    let Some(start) = start else {
        return "–".to_owned();
    };
    let end = end.unwrap_or(page.now());
    format::duration(end.as_millis().saturating_sub(start.as_millis()))
}
