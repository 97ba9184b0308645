//! The table of runs for programs: as CSV, and the words that columns and filters can name.

use std::io;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use fragua_tracking::{ExperimentId, Query, Run, Searchable, Tracking, vocabulary};
use futures::stream;
use serde::Serialize;

use super::columns::{columns_at_first, keys_of, raw};
use super::experiment_of;
use super::state::TableState;
use crate::error::Error;
use crate::page::{Page, encode};

/// How many runs are read at once. The file is never whole in memory.
const RUNS_PER_READ: u64 = 1_000;

/// Every run that the table shows on all its pages, in its order, with its columns and the ids.
pub(in crate::pages::tracking) async fn csv(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let experiment = experiment_of(&tracking, &id).await?;
    let state = TableState {
        nesting: "all".to_owned(),
        chunk: 0,
        ..TableState::of(&page)
    };
    let query = Query {
        max_results: Some(RUNS_PER_READ),
        ..state.query(page.now())
    };
    let first = tracking.search_runs(&[experiment.id], &query).await?;
    let mut columns = vec!["attributes.run_id", "attributes.run_name", "attributes.status"]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let chosen = if state.columns.is_empty() {
        columns_at_first(&keys_of(&first.items))
    } else {
        state.columns
    };
    columns.extend(chosen.into_iter().filter(|key| key != "attributes.run_id"));
    let begin = Part {
        tracking,
        experiment: experiment.id,
        query,
        columns,
        runs: first.items,
        next: first.next,
        has_begun: false,
        is_over: false,
    };
    let body = stream::try_unfold(begin, Part::advance);
    let name = format!("attachment; filename*=UTF-8''{}.csv", encode(&experiment.name));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/csv; charset=utf-8"),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_str(&name).expect("percent-encoded text is a header value"),
        ),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// What has been read of the file and is not sent yet.
struct Part {
    tracking: Tracking,
    experiment: ExperimentId,
    query: Query,
    columns: Vec<String>,
    runs: Vec<Run>,
    next: Option<String>,
    has_begun: bool,
    is_over: bool,
}

impl Part {
    /// Writes the runs that were read and reads the next.
    async fn advance(mut self) -> Result<Option<(Vec<u8>, Self)>, io::Error> {
        if self.is_over {
            return Ok(None);
        }
        let head = (!self.has_begun).then(|| self.columns.clone());
        self.has_begun = true;
        let rows = self.runs.iter().map(|run| {
            self.columns
                .iter()
                .map(|column| harmless(raw(run, column)))
                .collect()
        });
        let written = lines(head.into_iter().chain(rows))?;
        match self.next.take() {
            None => self.is_over = true,
            Some(token) => {
                self.query.page_token = Some(token);
                let found = self.tracking.search_runs(&[self.experiment], &self.query).await;
                let found = found.map_err(io::Error::other)?;
                self.runs = found.items;
                self.next = found.next;
            }
        }
        Ok(Some((written, self)))
    }
}

/// Returns a text as a cell that no spreadsheet runs: one that begins like a formula gets an apostrophe in front, a number
/// stays.
fn harmless(text: String) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    if is_formula { format!("'{text}") } else { text }
}

fn lines(rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>, io::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(io::Error::other)?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}

#[derive(Serialize)]
struct Words {
    terms: Vec<Word>,
    metrics: Vec<String>,
    params: Vec<String>,
    tags: Vec<String>,
}

/// A word that begins a condition, and the operators that may follow it.
#[derive(Serialize)]
struct Word {
    text: String,
    operators: Vec<&'static str>,
}

/// The words of the filter language and the keys in use, for the completion of filters and the choice of columns.
pub(in crate::pages::tracking) async fn words(
    State(tracking): State<Tracking>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let experiment = experiment_of(&tracking, &id).await?;
    let keys = tracking.known_keys(&[experiment.id]).await?;
    let terms = vocabulary(Searchable::Runs)
        .into_iter()
        .filter(|term| !term.operators.is_empty())
        .map(|term| Word {
            text: term.text,
            operators: term.operators,
        })
        .collect();
    Ok(Json(Words {
        terms,
        metrics: keys.metrics,
        params: keys.params,
        tags: keys.tags,
    })
    .into_response())
}
