//! Backfills: how far they are, and the form that makes one after it showed what it would do.

use askama::Template;
use axum::extract::{RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_orchestrator::{
    Backfill, BackfillRequest, BackfillRun, BackfillState, DagRunState, Error as Fault, Fate, Orchestrator,
    Reprocess,
};
use serde_json::{Map, Value};

use super::dags::run_address;
use super::trigger;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form::{self, Field, Kind};
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
    params: String,
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
        done: (over * 100).checked_div(all).unwrap_or(100),
        all,
        created_at: backfill.created_at,
        max_active_runs: backfill.max_active_runs,
        reprocess: page.t(reprocess_word(backfill.reprocess)),
        params: backfill
            .params
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect::<Vec<_>>()
            .join(", "),
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
    /// The parameters of the DAG that is chosen.
    fields: Vec<Field>,
    dag_id: String,
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
    /// The DAG whose parameters were typed.
    params_of: String,
    params: Vec<(String, String)>,
}

/// What the names of the fields of parameters begin with, so that they are no others of the form.
const PARAM: &str = "param.";

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
            params_of: text("params_of"),
            params: pairs
                .iter()
                .filter_map(|(name, value)| Some((name.strip_prefix(PARAM)?.to_owned(), value.clone())))
                .collect(),
        }
    }

    /// Returns the request, or the key of what is wrong.
    fn request(&self, params: Map<String, Value>, dry_run: bool) -> Result<BackfillRequest, &'static str> {
        Ok(BackfillRequest {
            from: form::instant(&self.from).ok_or("field-not-date")?,
            to: form::instant(&self.to).ok_or("field-not-date")?,
            max_active_runs: self.max_active_runs.parse().map_err(|_| "field-not-whole")?,
            reprocess: self.reprocess,
            is_reversed: self.is_reversed,
            params,
            dry_run,
        })
    }

    /// Returns the fields of the DAG's parameters, and their values unless one of them is refused.
    async fn params(
        &self,
        orchestrator: &Orchestrator,
        page: &Page,
    ) -> Result<(Vec<Field>, Option<Map<String, Value>>), Error> {
        let dag = match orchestrator.dag(&self.dag_id).await {
            Ok(summary) => summary.dag,
            // That it is missing is said where it is used.
            Err(Fault::DagNotFound { .. }) => return Ok((Vec::new(), Some(Map::new()))),
            Err(error) => return Err(error.into()),
        };
        let is_typed = self.params_of == self.dag_id;
        let mut fields = trigger::fields(page, &dag, is_typed.then_some(&self.params));
        let values = match is_typed {
            true => trigger::params(page, &dag, &mut fields),
            false => Some(Map::new()),
        };
        for field in &mut fields {
            field.name.insert_str(0, PARAM);
        }
        Ok((fields, values))
    }
}

pub(super) async fn form(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let pairs: Vec<(String, String)> = page
        .all_parameters()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let typed = Typed::of(&pairs);
    let is_whole = ![&typed.from, &typed.to, &typed.dag_id]
        .iter()
        .any(|text| text.is_empty());
    try_out(&orchestrator, &page, typed, is_whole.then_some(true)).await
}

pub(super) async fn create(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let typed = Typed::of(&parse_query(&String::from_utf8_lossy(&body)));
    try_out(&orchestrator, &page, typed, Some(false)).await
}

/// Makes a backfill, or shows what it would do where `dry_run` says so; with nothing, shows the form alone.
async fn try_out(
    orchestrator: &Orchestrator,
    page: &Page,
    typed: Typed,
    dry_run: Option<bool>,
) -> Result<Response, Error> {
    let (fields, params) = typed.params(orchestrator, page).await?;
    let form = Form { typed, fields };
    let (Some(dry_run), Some(params)) = (dry_run, params) else {
        return form.answer(orchestrator, page, None, String::new()).await;
    };
    let request = match form.typed.request(params, dry_run) {
        Ok(request) => request,
        Err(key) => return form.answer(orchestrator, page, None, page.t(key)).await,
    };
    match orchestrator.backfill(&form.typed.dag_id, &request).await {
        Ok(_) if !dry_run => Ok(see_other("/backfills")),
        Ok((_, runs)) => {
            let preview = preview(page, &form.typed.dag_id, &runs);
            form.answer(orchestrator, page, Some(preview), String::new())
                .await
        }
        Err(
            error @ (Fault::InvalidRequest { .. } | Fault::InvalidParam { .. } | Fault::DagNotFound { .. }),
        ) => form.answer(orchestrator, page, None, error.to_string()).await,
        Err(error) => Err(error.into()),
    }
}

fn preview(page: &Page, dag_id: &str, runs: &[BackfillRun]) -> Preview {
    let count = |fates: &[Fate]| runs.iter().filter(|run| fates.contains(&run.fate)).count() as u64;
    let rows = runs.iter().take(MOST_DATES).map(|run| PreviewRow {
        words: schedule::covered(
            run.interval.data_interval_start,
            run.interval.data_interval_end,
            page.language(),
        ),
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

/// What was typed, with the fields of the DAG's parameters.
struct Form {
    typed: Typed,
    fields: Vec<Field>,
}

impl Form {
    async fn answer(
        self,
        orchestrator: &Orchestrator,
        page: &Page,
        preview: Option<Preview>,
        problem: String,
    ) -> Result<Response, Error> {
        let Self { typed, fields } = self;
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
            fields,
            dag_id: typed.dag_id,
            max_active_runs: typed.max_active_runs,
            again: again.into(),
            is_reversed: typed.is_reversed,
            problem,
            preview,
        })
    }
}
