//! Registered models, their versions and aliases.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_tracking::{ModelVersion, Run, Tracking};

use super::experiments::run_name;
use super::{query, quoted};
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::format;
use crate::headline;
use crate::page::{Page, encode, parse_query};
use crate::state::StateView;
use crate::view::Crumb;

const MODELS_PER_PAGE: u64 = 100;
/// Each version asks for its run, so a page of them stays small.
const VERSIONS_PER_PAGE: u64 = 25;
const METRIC_COLUMNS: usize = 3;

#[derive(Template)]
#[template(path = "tracking/models.html")]
struct ModelsPage<'a> {
    page: &'a Page,
    rows: Vec<ModelRow>,
    first: Option<String>,
    next: Option<String>,
}

struct ModelRow {
    name: String,
    description: String,
    aliases: Vec<(String, i32)>,
    latest: Option<i32>,
    updated_at: Timestamp,
}

pub(super) async fn list(State(tracking): State<Tracking>, page: Page) -> Result<Response, Error> {
    let query = query(String::new(), Vec::new(), MODELS_PER_PAGE, page.parameter("page"));
    let found = tracking.search_models(&query).await?;
    let rows = found
        .items
        .into_iter()
        .map(|model| ModelRow {
            name: model.name,
            description: model.description.unwrap_or_default(),
            aliases: model
                .aliases
                .into_iter()
                .map(|alias| (alias.alias, alias.version))
                .collect(),
            latest: model.latest_versions.iter().map(|version| version.version).max(),
            updated_at: model.updated_at,
        })
        .collect();
    render(&ModelsPage {
        page: &page,
        rows,
        first: page.has_chosen("page").then(|| page.with("page", "")),
        next: found.next.map(|token| page.with("page", &token)),
    })
}

#[derive(Template)]
#[template(path = "tracking/model.html")]
struct ModelPage<'a> {
    page: &'a Page,
    name: String,
    description: String,
    crumbs: Vec<Crumb>,
    aliases: Vec<(String, i32)>,
    app_address: Option<String>,
    docs_address: Option<String>,
    metric_keys: Vec<String>,
    versions: Vec<VersionRow>,
    first: Option<String>,
    next: Option<String>,
}

struct VersionRow {
    version: String,
    description: String,
    aliases: Vec<String>,
    /// The state, where it is not the usual one.
    view: Option<StateView>,
    run_id: String,
    run_name: String,
    cells: Vec<String>,
    created_at: Timestamp,
}

pub(super) async fn show(
    State(tracking): State<Tracking>,
    page: Page,
    Path(name): Path<String>,
) -> Result<Response, Error> {
    let model = tracking.model(&name).await?;
    let query = query(
        format!("name = {}", quoted(&name)),
        vec!["version_number DESC".to_owned()],
        VERSIONS_PER_PAGE,
        page.parameter("page"),
    );
    let versions = tracking.search_versions(&query).await?;
    let runs = runs_of(&tracking, &versions.items).await?;
    let metric_keys = metric_keys(&runs);
    render(&ModelPage {
        page: &page,
        description: model.description.unwrap_or_default(),
        crumbs: vec![
            Crumb::link(page.t("models-title"), "/models"),
            Crumb::here(name.clone()),
        ],
        aliases: model
            .aliases
            .into_iter()
            .map(|alias| (alias.alias, alias.version))
            .collect(),
        app_address: page.at_app("/"),
        docs_address: page.at_serving("/docs"),
        versions: versions
            .items
            .into_iter()
            .map(|version| version_row(version, &runs, &metric_keys))
            .collect(),
        metric_keys,
        first: page.has_chosen("page").then(|| page.with("page", "")),
        next: versions.next.map(|token| page.with("page", &token)),
        name,
    })
}

/// Returns the runs that made some versions; one that was deleted is left out.
async fn runs_of(tracking: &Tracking, versions: &[ModelVersion]) -> Result<BTreeMap<String, Run>, Error> {
    let ids: BTreeSet<&str> = versions
        .iter()
        .filter_map(|version| version.run_id.as_deref())
        .filter(|id| !id.is_empty())
        .collect();
    let mut runs = BTreeMap::new();
    for id in ids {
        match tracking.run(id).await {
            Ok(run) => {
                runs.insert(id.to_owned(), run);
            }
            Err(fragua_tracking::Error::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(runs)
}

/// Returns the metrics that most of the runs have, those that people ask for first.
fn metric_keys(runs: &BTreeMap<String, Run>) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for metric in runs.values().flat_map(|run| &run.metrics) {
        *counts.entry(&metric.key).or_default() += 1;
    }
    let mut keys: Vec<(&str, usize)> = counts.into_iter().collect();
    keys.sort_by_key(|(key, count)| (headline::rank(key), std::cmp::Reverse(*count)));
    keys.into_iter()
        .take(METRIC_COLUMNS)
        .map(|(key, _)| key.to_owned())
        .collect()
}

fn version_row(version: ModelVersion, runs: &BTreeMap<String, Run>, metric_keys: &[String]) -> VersionRow {
    let run_id = version.run_id.unwrap_or_default();
    let run = runs.get(&run_id);
    let cells = metric_keys
        .iter()
        .map(|key| {
            run.and_then(|run| run.metric(key))
                .map_or_else(|| "–".to_owned(), format::number)
        })
        .collect();
    VersionRow {
        version: version.version.to_string(),
        description: version.description.unwrap_or_default(),
        aliases: version.aliases,
        view: (version.status != "READY").then(|| StateView::of(&version.status)),
        run_name: run.map_or_else(|| format::shorten(&run_id, 12), run_name),
        run_id,
        cells,
        created_at: version.created_at,
    }
}

pub(super) async fn set_alias(
    State(tracking): State<Tracking>,
    page: Page,
    Path(name): Path<String>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let alias = form::value(&form, "alias").unwrap_or_default().trim();
    let version = form::value(&form, "version").and_then(|version| version.parse().ok());
    let version = version.ok_or_else(|| Error::Invalid(page.t("version-not-number")))?;
    tracking.set_alias(&name, alias, version).await?;
    Ok(see_other(&format!("/models/{}", encode(&name))))
}

pub(super) async fn delete_alias(
    State(tracking): State<Tracking>,
    Path(name): Path<String>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let alias = form::value(&form, "alias").unwrap_or_default();
    tracking.delete_alias(&name, alias).await?;
    Ok(see_other(&format!("/models/{}", encode(&name))))
}
