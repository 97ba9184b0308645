//! Backfills: how far they are, and the form that makes one after it showed what it would do.

use askama::Template;
use axum::extract::{RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_orchestrator::{
    Backfill, BackfillRequest, BackfillRun, BackfillState, DagRunState, Error as Fault, Fate, Orchestrator,
    Reprocess,
};
use serde_json::Map;

use super::dags::run_address;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::format;
use crate::page::{Page, encode, parse_query};
use crate::schedule;
use crate::state::StateView;
use crate::view::{Crumb, SelectOption};

/// How many dates the preview lists.
const MOST_DATES: usize = 400;
const DEFAULT_ACTIVE_RUNS: &str = "4";

#[derive(Template)]
#[template(path = "orchestrator/backfills.html")]
struct BackfillsPage<'a> {
    page: &'a Page,
    dag: String,
    rows: Vec<BackfillRow>,
}

struct BackfillRow {
    id: String,
    dag_id: String,
    dag_address: String,
    range: String,
    view: StateView,
    word: String,
    counts: Vec<(StateView, u64)>,
    /// From 0 to 100.
    done: u64,
    all: u64,
    created_at: Timestamp,
    max_active_runs: u32,
    reprocess: String,
    is_reversed: bool,
    is_open: bool,
    is_paused: bool,
}

pub(super) async fn list(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let dag_id = page.parameter("dag").filter(|dag_id| !dag_id.is_empty());
    let backfills = orchestrator.backfills(dag_id).await?;
    let ids: Vec<String> = backfills.iter().map(|backfill| backfill.id.clone()).collect();
    let mut progress = orchestrator.backfill_progress(&ids).await?;
    let rows = backfills.into_iter().map(|backfill| {
        let counts = progress.remove(&backfill.id).unwrap_or_default();
        row(&page, backfill, &counts)
    });
    render(&BackfillsPage {
        rows: rows.collect(),
        dag: dag_id.unwrap_or_default().to_owned(),
        page: &page,
    })
}

fn row(page: &Page, backfill: Backfill, counts: &[(DagRunState, u64)]) -> BackfillRow {
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    let over: u64 = counts
        .iter()
        .filter(|(state, _)| state.is_finished())
        .map(|(_, count)| count)
        .sum();
    let (state, word) = match backfill.state {
        BackfillState::Running => ("running", "state-running"),
        BackfillState::Paused => ("queued", "paused"),
        BackfillState::Completed => ("success", "backfill-completed"),
        BackfillState::Cancelled => ("killed", "backfill-cancelled"),
    };
    let day = |at: Timestamp| format::instant(at).trim_end_matches(" 00:00:00").to_owned();
    BackfillRow {
        dag_address: format!("/dags/{}?tab=runs", encode(&backfill.dag_id)),
        range: format!("{} – {}", day(backfill.from), day(backfill.to)),
        view: StateView::of(state),
        word: page.t(word),
        counts: counts
            .iter()
            .map(|(state, count)| (StateView::of(state.as_str()), *count))
            .collect(),
        done: if all == 0 { 100 } else { over * 100 / all },
        all,
        created_at: backfill.created_at,
        max_active_runs: backfill.max_active_runs,
        reprocess: page.t(reprocess_word(backfill.reprocess)),
        is_reversed: backfill.is_reversed,
        is_open: !backfill.state.is_finished(),
        is_paused: backfill.state == BackfillState::Paused,
        id: backfill.id,
        dag_id: backfill.dag_id,
    }
}

const fn reprocess_word(reprocess: Reprocess) -> &'static str {
    match reprocess {
        Reprocess::None => "backfill-again-none",
        Reprocess::Failed => "backfill-again-failed",
        Reprocess::Completed => "backfill-again-all",
    }
}

pub(super) async fn act(
    State(orchestrator): State<Orchestrator>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let id = form::value(&form, "id").unwrap_or_default();
    match form::value(&form, "do") {
        Some("pause") => orchestrator.set_backfill_paused(id, true).await?,
        Some("resume") => orchestrator.set_backfill_paused(id, false).await?,
        Some("cancel") => orchestrator.cancel_backfill(id).await?,
        _ => return Err(Error::Invalid("do must be pause, resume or cancel".to_owned())),
    };
    Ok(see_other("/backfills"))
}

#[derive(Template)]
#[template(path = "orchestrator/backfill_new.html")]
struct NewPage<'a> {
    page: &'a Page,
    crumbs: Vec<Crumb>,
    dags: Vec<SelectOption>,
    from: String,
    to: String,
    max_active_runs: String,
    again: Vec<SelectOption>,
    is_reversed: bool,
    problem: String,
    preview: Option<Preview>,
}

struct Preview {
    made: u64,
    again: u64,
    left: u64,
    rows: Vec<PreviewRow>,
    more: u64,
}

struct PreviewRow {
    words: String,
    fate: String,
    is_done: bool,
    address: String,
}

/// What was typed into the form.
struct Typed {
    dag_id: String,
    from: String,
    to: String,
    max_active_runs: String,
    reprocess: Reprocess,
    is_reversed: bool,
}

impl Typed {
    fn of(pairs: &[(String, String)]) -> Self {
        let text = |name: &str| form::value(pairs, name).unwrap_or_default().trim().to_owned();
        let max_active_runs = text("max_active_runs");
        Self {
            dag_id: text("dag"),
            from: text("from"),
            to: text("to"),
            max_active_runs: match max_active_runs.as_str() {
                "" => DEFAULT_ACTIVE_RUNS.to_owned(),
                _ => max_active_runs,
            },
            reprocess: Reprocess::parse(&text("again")).unwrap_or_default(),
            is_reversed: !text("reversed").is_empty(),
        }
    }

    /// Returns the request, or the key of what is wrong.
    fn request(&self, dry_run: bool) -> Result<BackfillRequest, &'static str> {
        Ok(BackfillRequest {
            from: form::instant(&self.from).ok_or("field-not-date")?,
            to: form::instant(&self.to).ok_or("field-not-date")?,
            max_active_runs: self.max_active_runs.parse().map_err(|_| "field-not-whole")?,
            reprocess: self.reprocess,
            is_reversed: self.is_reversed,
            params: Map::new(),
            dry_run,
        })
    }
}

pub(super) async fn form(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let pairs: Vec<(String, String)> = page
        .all_parameters()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let typed = Typed::of(&pairs);
    if typed.from.is_empty() || typed.to.is_empty() || typed.dag_id.is_empty() {
        return answer(&orchestrator, &page, typed, None, String::new()).await;
    }
    let request = match typed.request(true) {
        Ok(request) => request,
        Err(key) => {
            let problem = page.t(key);
            return answer(&orchestrator, &page, typed, None, problem).await;
        }
    };
    match orchestrator.backfill(&typed.dag_id, &request).await {
        Ok((_, runs)) => {
            let preview = preview(&page, &typed.dag_id, &runs);
            answer(&orchestrator, &page, typed, Some(preview), String::new()).await
        }
        Err(error) => refuse(&orchestrator, &page, typed, error).await,
    }
}

pub(super) async fn create(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let typed = Typed::of(&parse_query(&String::from_utf8_lossy(&body)));
    let request = match typed.request(false) {
        Ok(request) => request,
        Err(key) => {
            let problem = page.t(key);
            return answer(&orchestrator, &page, typed, None, problem).await;
        }
    };
    match orchestrator.backfill(&typed.dag_id, &request).await {
        Ok(_) => Ok(see_other("/backfills")),
        Err(error) => refuse(&orchestrator, &page, typed, error).await,
    }
}

async fn refuse(
    orchestrator: &Orchestrator,
    page: &Page,
    typed: Typed,
    error: Fault,
) -> Result<Response, Error> {
    match error {
        Fault::InvalidRequest { .. } | Fault::InvalidParam { .. } | Fault::DagNotFound { .. } => {
            answer(orchestrator, page, typed, None, error.to_string()).await
        }
        error => Err(error.into()),
    }
}

fn preview(page: &Page, dag_id: &str, runs: &[BackfillRun]) -> Preview {
    let count = |fates: &[Fate]| runs.iter().filter(|run| fates.contains(&run.fate)).count() as u64;
    let rows = runs.iter().take(MOST_DATES).map(|run| PreviewRow {
        words: schedule::covered(&run.interval, page.language()),
        fate: page.t(match run.fate {
            Fate::Made => "backfill-fate-made",
            Fate::Again => "backfill-fate-again",
            Fate::Exists => "backfill-fate-exists",
            Fate::UnderWay => "backfill-fate-under-way",
        }),
        is_done: matches!(run.fate, Fate::Made | Fate::Again),
        address: match run.fate {
            Fate::Made => String::new(),
            _ => run_address(dag_id, &run.run_id),
        },
    });
    Preview {
        made: count(&[Fate::Made]),
        again: count(&[Fate::Again]),
        left: count(&[Fate::Exists, Fate::UnderWay]),
        rows: rows.collect(),
        more: runs.len().saturating_sub(MOST_DATES) as u64,
    }
}

async fn answer(
    orchestrator: &Orchestrator,
    page: &Page,
    typed: Typed,
    preview: Option<Preview>,
    problem: String,
) -> Result<Response, Error> {
    let known = orchestrator.dag_overviews().await?;
    let nothing = SelectOption::new(page.t("backfill-choose-dag"), "", typed.dag_id.is_empty());
    let each = known.iter().map(|dag| {
        let dag_id = &dag.header.dag_id;
        SelectOption::new(dag_id.clone(), dag_id.clone(), *dag_id == typed.dag_id)
    });
    let again = Reprocess::ALL.map(|choice| {
        let word = page.t(reprocess_word(choice));
        SelectOption::new(word, choice.as_str(), choice == typed.reprocess)
    });
    render(&NewPage {
        page,
        crumbs: vec![
            Crumb::link(page.t("backfills-title"), "/backfills"),
            Crumb::here(page.t("backfill-new")),
        ],
        dags: [nothing].into_iter().chain(each).collect(),
        from: typed.from,
        to: typed.to,
        max_active_runs: typed.max_active_runs,
        again: again.into(),
        is_reversed: typed.is_reversed,
        problem,
        preview,
    })
}
