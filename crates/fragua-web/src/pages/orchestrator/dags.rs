//! The list of DAGs.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_orchestrator::{DagRunState, DagSummary, ImportError, Orchestrator, RecentDagRun};

use crate::error::{Error, render};
use crate::filters;
use crate::format;
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
    is_filtered: bool,
    filters: Vec<Choice>,
    tags: Vec<Choice>,
    dags: Vec<DagView>,
    import_errors: Vec<ImportErrorView>,
}

/// A DAG as its list and its page show it.
pub(super) struct DagView {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) owner: String,
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

/// A small sign for a run or a task, with its words for those who hover or listen.
pub(super) struct Mark {
    pub(super) view: StateView,
    pub(super) label: String,
    pub(super) address: String,
}

struct ImportErrorView {
    place: String,
    message: String,
    hint: String,
}

/// Which DAGs are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    All,
    Active,
    Paused,
    Failing,
}

impl Filter {
    const ALL: [Self; 4] = [Self::All, Self::Active, Self::Paused, Self::Failing];

    const fn name(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Failing => "failing",
        }
    }

    const fn text_key(self) -> &'static str {
        match self {
            Self::All => "dags-all",
            Self::Active => "dags-active",
            Self::Paused => "dags-paused",
            Self::Failing => "dags-failing",
        }
    }

    fn admits(self, dag: &DagSummary) -> bool {
        match self {
            Self::All => true,
            Self::Active => !dag.is_paused,
            Self::Paused => dag.is_paused,
            Self::Failing => newest_finished(&dag.recent_runs) == Some(DagRunState::Failed),
        }
    }
}

/// Returns how the newest run that is over ended. The runs come newest first.
fn newest_finished(runs: &[RecentDagRun]) -> Option<DagRunState> {
    let is_over = |state: DagRunState| matches!(state, DagRunState::Success | DagRunState::Failed);
    runs.iter().map(|run| run.state).find(|state| is_over(*state))
}

pub(super) async fn list(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let all = orchestrator.list_dags().await?;
    let import_errors = orchestrator.import_errors().await?;
    let search = page.parameter("search").unwrap_or_default().trim().to_owned();
    let tag = page
        .parameter("tag")
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned);
    let wanted = page.parameter("state").unwrap_or_default();
    let filter = Filter::ALL.into_iter().find(|filter| filter.name() == wanted);
    let filter = filter.unwrap_or(Filter::All);

    let matching: Vec<&DagSummary> = all
        .iter()
        .filter(|dag| matches_search(dag, &search))
        .filter(|dag| tag.as_ref().is_none_or(|tag| dag.dag.tags.contains(tag)))
        .collect();
    let filters = Filter::ALL
        .into_iter()
        .map(|choice| Choice {
            label: page.t(choice.text_key()),
            address: page.with("state", choice.name()),
            is_current: choice == filter,
            count: matching
                .iter()
                .filter(|dag| choice.admits(dag))
                .count()
                .to_string(),
        })
        .collect();
    let dags: Vec<DagView> = matching
        .into_iter()
        .filter(|dag| filter.admits(dag))
        .map(|dag| view(&page, dag))
        .collect();
    let known_tags: BTreeSet<&String> = all.iter().flat_map(|dag| &dag.dag.tags).collect();
    let tags = known_tags
        .into_iter()
        .map(|known| {
            let is_current = tag.as_ref() == Some(known);
            Choice {
                label: known.clone(),
                address: page.with("tag", if is_current { "" } else { known }),
                is_current,
                count: String::new(),
            }
        })
        .collect();
    render(&DagsPage {
        page: &page,
        is_filtered: !all.is_empty(),
        search,
        tag,
        filters,
        tags,
        dags,
        import_errors: import_errors.iter().map(import_error).collect(),
    })
}

fn matches_search(dag: &DagSummary, search: &str) -> bool {
    let search = search.to_lowercase();
    let dag = &dag.dag;
    let words = [&dag.dag_id].into_iter().chain(&dag.owner).chain(&dag.tags);
    search.is_empty()
        || words
            .into_iter()
            .any(|word| word.to_lowercase().contains(&search))
}

fn import_error(error: &ImportError) -> ImportErrorView {
    let mut place = error.path.display().to_string();
    if let Some(line) = error.line {
        place.push_str(&format!(":{line}"));
        if let Some(column) = error.column {
            place.push_str(&format!(":{column}"));
        }
    }
    ImportErrorView {
        place,
        message: error.message.clone(),
        hint: error.hint.clone().unwrap_or_default(),
    }
}

pub(super) fn view(page: &Page, summary: &DagSummary) -> DagView {
    let dag = &summary.dag;
    let schedule = dag.timetable.schedule.to_string();
    DagView {
        id: dag.dag_id.clone(),
        description: format::shorten(dag.description.as_deref().unwrap_or_default(), 200),
        owner: dag.owner.clone().unwrap_or_default(),
        tags: dag.tags.clone(),
        schedule_words: schedule::words(&schedule, page.language()),
        schedule,
        is_paused: summary.is_paused,
        is_broken: summary.has_import_errors,
        is_gone: !summary.is_active,
        has_params: !dag.params.is_empty(),
        marks: summary
            .recent_runs
            .iter()
            .rev()
            .map(|run| mark(page, &dag.dag_id, run))
            .collect(),
        last_date: summary.recent_runs.first().and_then(|run| run.logical_date),
        next_run_at: summary.next_run.map(|next| next.run_after),
    }
}

fn mark(page: &Page, dag_id: &str, run: &RecentDagRun) -> Mark {
    let view = StateView::of(run.state.as_str());
    let when = run
        .logical_date
        .map_or_else(|| run.run_id.clone(), format::instant);
    Mark {
        label: format!("{when} · {}", page.t(view.text_key())),
        address: run_address(dag_id, &run.run_id),
        view,
    }
}

pub(super) fn run_address(dag_id: &str, run_id: &str) -> String {
    format!("/dags/{}/runs/{}", encode(dag_id), encode(run_id))
}
