//! Assets: which tasks update them, which DAGs they start, and what happened to each.

use askama::Template;
use axum::extract::{RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_orchestrator::{Asset, AssetEvent, AssetEventQuery, DagRun, Error as Fault, Orchestrator};
use serde_json::{Map, Value};

use super::dags::{Mark, mark_of, run_address};
use super::task;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::page::{Page, encode, parse_query};
use crate::view::Crumb;

const ASSETS_PER_PAGE: usize = 100;
const EVENTS_PER_PAGE: u64 = 50;

#[derive(Template)]
#[template(path = "orchestrator/assets.html")]
struct AssetsPage<'a> {
    page: &'a Page,
    search: String,
    is_empty: bool,
    rows: Vec<AssetView>,
    found: u64,
    first: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "orchestrator/asset.html")]
struct AssetPage<'a> {
    page: &'a Page,
    crumbs: Vec<Crumb>,
    asset: AssetView,
    events: Vec<EventRow>,
    first: Option<String>,
    next: Option<String>,
    /// What was typed into the form that says that the asset was updated, and why it was refused.
    extra: String,
    problem: String,
}

struct AssetView {
    name: String,
    address: String,
    /// Each task that updates it, with the address of its DAG.
    producers: Vec<(String, String)>,
    consumers: Vec<(String, String)>,
    updated_at: Option<Timestamp>,
}

/// An update of an asset.
struct EventRow {
    at: Timestamp,
    /// The task that did it, and its run; nothing where it came from outside.
    task: String,
    run: String,
    address: String,
    extra: Vec<(String, String)>,
    started: Vec<Mark>,
}

/// Returns the address of the page of an asset, whose name may be an address itself.
pub(super) fn address(name: &str) -> String {
    format!("/asset?name={}", encode(name))
}

impl AssetView {
    fn of(asset: Asset) -> Self {
        let dag = |dag_id: &str| format!("/dags/{}", encode(dag_id));
        Self {
            address: address(&asset.name),
            producers: asset
                .producers
                .iter()
                .map(|(dag_id, task_id)| (format!("{dag_id} · {task_id}"), dag(dag_id)))
                .collect(),
            consumers: asset
                .consumers
                .iter()
                .map(|dag_id| (dag_id.clone(), dag(dag_id)))
                .collect(),
            updated_at: asset.last_event_at,
            name: asset.name,
        }
    }
}

pub(super) async fn list(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let all = orchestrator.assets().await?;
    let is_empty = all.is_empty();
    let search = page.parameter("search").unwrap_or_default().trim().to_owned();
    let lowered = search.to_lowercase();
    let matches = |asset: &Asset| {
        let producers = asset
            .producers
            .iter()
            .flat_map(|(dag_id, task_id)| [dag_id, task_id]);
        let mut words = [&asset.name].into_iter().chain(producers).chain(&asset.consumers);
        words.any(|word| word.to_lowercase().contains(&lowered))
    };
    let matching: Vec<Asset> = all.into_iter().filter(matches).collect();
    let (found, offset) = (matching.len(), page.offset());
    let next = offset + ASSETS_PER_PAGE;
    let shown = matching.into_iter().skip(offset).take(ASSETS_PER_PAGE);
    render(&AssetsPage {
        page: &page,
        search,
        is_empty,
        rows: shown.map(AssetView::of).collect(),
        found: found as u64,
        first: (offset > 0).then(|| page.with("offset", "")),
        next: (next < found).then(|| page.with("offset", &next.to_string())),
    })
}

pub(super) async fn show(State(orchestrator): State<Orchestrator>, page: Page) -> Result<Response, Error> {
    let name = page.parameter("name").unwrap_or_default();
    answer(&orchestrator, &page, name, String::new(), String::new()).await
}

async fn answer(
    orchestrator: &Orchestrator,
    page: &Page,
    name: &str,
    extra: String,
    problem: String,
) -> Result<Response, Error> {
    let mut all = orchestrator.assets().await?.into_iter();
    let asset = all
        .find(|asset| asset.name == name)
        .ok_or_else(|| Error::Missing {
            what: "asset",
            name: name.to_owned(),
        })?;
    let offset = page.offset() as u64;
    let query = AssetEventQuery {
        asset: Some(name.to_owned()),
        // One more tells whether there is a next page.
        limit: EVENTS_PER_PAGE + 1,
        offset,
        ..AssetEventQuery::default()
    };
    let mut events = orchestrator.asset_events(&query).await?;
    let has_more = events.len() as u64 > EVENTS_PER_PAGE;
    events.truncate(EVENTS_PER_PAGE as usize);
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    let started = orchestrator.runs_of_asset_events(&ids).await?;
    let row = |event: AssetEvent| {
        let started = started.get(&event.id).map(Vec::as_slice).unwrap_or_default();
        event_row(page, event, started)
    };
    render(&AssetPage {
        page,
        crumbs: vec![Crumb::link(page.t("assets-title"), "/assets"), Crumb::here(name)],
        asset: AssetView::of(asset),
        events: events.into_iter().map(row).collect(),
        first: (offset > 0).then(|| page.with("offset", "")),
        next: has_more.then(|| page.with("offset", &(offset + EVENTS_PER_PAGE).to_string())),
        extra,
        problem,
    })
}

fn event_row(page: &Page, event: AssetEvent, started: &[DagRun]) -> EventRow {
    let (task, run, address) = match event.source {
        Some(source) => {
            let index = source
                .map_index
                .map_or_else(String::new, |index| format!("[{index}]"));
            let task = format!("{}{index}", source.task_id);
            let run = run_address(&source.dag_id, &source.run_id);
            let address = format!("{run}?task={}", encode(&task));
            (task, format!("{} · {}", source.dag_id, source.run_id), address)
        }
        None => Default::default(),
    };
    EventRow {
        at: event.at,
        task,
        run,
        address,
        extra: event
            .extra
            .iter()
            .map(|(name, value)| (name.clone(), task::written(value)))
            .collect(),
        started: started
            .iter()
            .map(|run| mark_of(page, &run.dag_id, &run.run_id, run.state, &run.dag_id))
            .collect(),
    }
}

/// Says by hand that an asset was updated.
pub(super) async fn update(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let text = |name: &str| form::value(&form, name).unwrap_or_default().trim().to_owned();
    let (name, typed) = (text("name"), text("extra"));
    let extra: Map<String, Value> = match typed.as_str() {
        "" => Map::new(),
        typed => match serde_json::from_str(typed) {
            Ok(extra) => extra,
            Err(_) => {
                let problem = page.t("asset-bad-extra");
                return answer(&orchestrator, &page, &name, typed.to_owned(), problem).await;
            }
        },
    };
    match orchestrator.create_asset_event(&name, extra).await {
        Ok(_) => Ok(see_other(&address(&name))),
        Err(error @ Fault::InvalidRequest { .. }) => {
            answer(&orchestrator, &page, &name, typed, error.to_string()).await
        }
        Err(error) => Err(error.into()),
    }
}
