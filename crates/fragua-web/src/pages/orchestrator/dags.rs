//! The list of DAGs.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_orchestrator::{
    AssetCondition, DagHeader, DagOverview, DagRunState, DagSummary, Orchestrator, RecentDagRun, Schedule,
};

use crate::error::{Error, render};
use crate::filters;
use crate::format;
use crate::markdown;
use crate::page::{Page, encode};
use crate::schedule;
use crate::state::StateView;
use crate::view::Choice;

#[derive(Template)]
#[template(path = "orchestrator/dags.html")]
struct DagsPage<'a> {
    page: &'a Page,
    search: String,
    tag: Option<String>,
    owner: Option<String>,
    /// The present address without the owner.
    without_owner: String,
    is_filtered: bool,
    filters: Vec<Choice>,
    tags: Vec<Choice>,
    dags: Vec<DagView>,
    found: u64,
    first: Option<String>,
    next: Option<String>,
    broken_files: u64,
}

/// How many DAGs one page shows.
const DAGS_PER_PAGE: usize = 50;

/// How many runs of each DAG the list shows.
const RECENT_RUNS: u32 = 14;

/// A DAG as its list and its page show it.
pub(super) struct DagView {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) owner: String,
    pub(super) owner_address: String,
    pub(super) tags: Vec<String>,
    pub(super) schedule: String,
    pub(super) schedule_words: String,
    pub(super) is_paused: bool,
    /// The file cannot be read now.
    pub(super) is_broken: bool,
    /// The file was deleted; what ran is remembered.
    pub(super) is_gone: bool,
    pub(super) has_params: bool,
    /// The last runs, oldest first.
    pub(super) marks: Vec<Mark>,
    /// The logical date of the newest run.
    pub(super) last_date: Option<Timestamp>,
    pub(super) next_run_at: Option<Timestamp>,
}

/// A small sign for a run, with its words for those who hover or listen.
pub(super) struct Mark {
    pub(super) view: StateView,
    pub(super) label: String,
    pub(super) address: String,
}

/// Which DAGs are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    All,
    Active,
    Paused,
    Busy,
    Failing,
}

impl Filter {
    const ALL: [Self; 5] = [Self::All, Self::Active, Self::Paused, Self::Busy, Self::Failing];

    const fn name(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Busy => "running",
            Self::Failing => "failing",
        }
    }

    const fn text_key(self) -> &'static str {
        match self {
            Self::All => "dags-all",
            Self::Active => "dags-active",
            Self::Paused => "dags-paused",
            Self::Busy => "dags-running",
            Self::Failing => "dags-failing",
        }
    }

    fn admits(self, dag: &DagOverview) -> bool {
        match self {
            Self::All => true,
            Self::Active => !dag.is_paused,
            Self::Paused => dag.is_paused,
            Self::Busy => dag.is_busy,
            Self::Failing => dag.last_state == Some(DagRunState::Failed),
        }
    }
}

pub(super) async fn list(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let all = orchestrator.dag_overviews().await?;
    let named = |name: &str| {
        let value = page.parameter(name).map(str::trim);
        value.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let search = named("search").unwrap_or_default();
    let (tag, owner) = (named("tag"), named("owner"));
    let wanted = page.parameter("state").unwrap_or_default();
    let filter = Filter::ALL.into_iter().find(|filter| filter.name() == wanted);
    let filter = filter.unwrap_or(Filter::All);

    let lowered = search.to_lowercase();
    let matching: Vec<&DagOverview> = all
        .iter()
        .filter(|dag| matches_search(&dag.header, &lowered))
        .filter(|dag| tag.as_ref().is_none_or(|tag| dag.header.tags.contains(tag)))
        .filter(|dag| owner.is_none() || dag.header.owner == owner)
        .collect();
    let filters = Filter::ALL
        .into_iter()
        .map(|choice| Choice {
            label: page.t(choice.text_key()),
            address: page.with2("state", choice.name(), "offset", ""),
            is_current: choice == filter,
            count: matching
                .iter()
                .filter(|dag| choice.admits(dag))
                .count()
                .to_string(),
        })
        .collect();
    let admitted: Vec<&DagOverview> = matching.into_iter().filter(|dag| filter.admits(dag)).collect();
    let offset = page.offset();
    let shown: Vec<&DagOverview> = admitted
        .iter()
        .copied()
        .skip(offset)
        .take(DAGS_PER_PAGE)
        .collect();
    let ids: Vec<String> = shown.iter().map(|dag| dag.header.dag_id.clone()).collect();
    let recent = orchestrator.recent_runs(&ids, RECENT_RUNS).await?;
    let known_tags: BTreeSet<&String> = all.iter().flat_map(|dag| &dag.header.tags).collect();
    let tags = known_tags
        .into_iter()
        .map(|known| {
            let is_current = tag.as_ref() == Some(known);
            Choice {
                label: known.clone(),
                address: page.with2("tag", if is_current { "" } else { known }, "offset", ""),
                is_current,
                count: String::new(),
            }
        })
        .collect();
    let next = offset + DAGS_PER_PAGE;
    render(&DagsPage {
        page: &page,
        is_filtered: !all.is_empty(),
        search,
        tag,
        owner,
        without_owner: page.with2("owner", "", "offset", ""),
        filters,
        tags,
        dags: shown.into_iter().map(|dag| row(&page, dag, &recent)).collect(),
        found: admitted.len() as u64,
        first: (offset > 0).then(|| page.with("offset", "")),
        next: (next < admitted.len()).then(|| page.with("offset", &next.to_string())),
        broken_files: broken_files(&orchestrator).await?,
    })
}

/// Returns how many files cannot be read; one may have several errors.
async fn broken_files(orchestrator: &Orchestrator) -> Result<u64, Error> {
    let errors = orchestrator.import_errors().await?;
    let files: BTreeSet<_> = errors.iter().map(|error| &error.path).collect();
    Ok(files.len() as u64)
}

fn matches_search(dag: &DagHeader, lowered: &str) -> bool {
    let words = [&dag.dag_id].into_iter().chain(&dag.owner).chain(&dag.tags);
    lowered.is_empty()
        || words
            .into_iter()
            .any(|word| word.to_lowercase().contains(lowered))
}

fn row(page: &Page, dag: &DagOverview, recent: &BTreeMap<String, Vec<RecentDagRun>>) -> DagView {
    let header = &dag.header;
    let runs = recent.get(&header.dag_id).map(Vec::as_slice).unwrap_or_default();
    DagView {
        is_paused: dag.is_paused,
        is_broken: dag.has_import_errors,
        next_run_at: dag.next_run(page.now()).map(|next| next.run_after),
        ..base(page, header, runs)
    }
}

pub(super) fn view(page: &Page, summary: &DagSummary) -> DagView {
    DagView {
        is_paused: summary.is_paused,
        is_broken: summary.has_import_errors,
        is_gone: !summary.is_active,
        next_run_at: summary.next_run.map(|next| next.run_after),
        ..base(page, &DagHeader::from(&*summary.dag), &summary.recent_runs)
    }
}

/// Shows what a file says, and its last runs, which come newest first.
fn base(page: &Page, dag: &DagHeader, runs: &[RecentDagRun]) -> DagView {
    let (schedule, mut schedule_words) = schedule_of(page, &dag.timetable.schedule, dag.assets.as_ref());
    let zone = dag.timetable.timezone.as_str();
    if matches!(dag.timetable.schedule, Schedule::Cron(_)) && zone != "UTC" {
        schedule_words = format!("{schedule_words} ({zone})");
    }
    let owner = dag.owner.clone().unwrap_or_default();
    let description = markdown::plain(dag.description.as_deref().unwrap_or_default());
    DagView {
        id: dag.dag_id.clone(),
        description: format::shorten(&description, 200),
        owner_address: format!("/?owner={}", encode(&owner)),
        owner,
        tags: dag.tags.clone(),
        schedule_words: format::shorten(&schedule_words, 120),
        schedule,
        is_paused: false,
        is_broken: false,
        is_gone: false,
        has_params: dag.has_params,
        marks: runs
            .iter()
            .rev()
            .map(|run| mark(page, &dag.dag_id, run))
            .collect(),
        last_date: runs.first().and_then(|run| run.logical_date),
        next_run_at: None,
    }
}

/// Returns when a DAG runs as its file says it, and in words.
pub(super) fn schedule_of(page: &Page, time: &Schedule, assets: Option<&AssetCondition>) -> (String, String) {
    let (written, words) = (
        time.to_string(),
        schedule::words(&time.to_string(), page.language()),
    );
    let Some(assets) = assets.map(ToString::to_string) else {
        return (written, words);
    };
    let updated = page.t1("schedule-assets", "assets", &assets);
    match time {
        Schedule::None => (assets, updated),
        _ => (format!("{written}, {assets}"), format!("{words} · {updated}")),
    }
}

fn mark(page: &Page, dag_id: &str, run: &RecentDagRun) -> Mark {
    let when = run
        .logical_date
        .map_or_else(|| run.run_id.clone(), format::instant);
    mark_of(page, dag_id, &run.run_id, run.state, &when)
}

/// Returns the sign of a run, which is called by `name` beside the word of its state.
pub(super) fn mark_of(page: &Page, dag_id: &str, run_id: &str, state: DagRunState, name: &str) -> Mark {
    let view = StateView::of(state.as_str());
    Mark {
        label: format!("{name} · {}", page.t(view.text_key())),
        address: run_address(dag_id, run_id),
        view,
    }
}

pub(super) fn run_address(dag_id: &str, run_id: &str) -> String {
    format!("/dags/{}/runs/{}", encode(dag_id), encode(run_id))
}
