//! Registered models: the list, and the page of one with its versions.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_tracking::{Error as TrackingError, ModelVersion, RegisteredModel, Run, Stage, Tracking};

use super::edit::{self, Description, Editing, Sent, Tags};
use super::experiments::run_name;
use super::traffic::{self, Traffic};
use super::{equals, logged_keys, query, quoted};
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::format;
use crate::markdown;
use crate::page::{Page, encode};
use crate::state::StateView;
use crate::view::Crumb;

const MODELS_PER_PAGE: u64 = 50;
/// Each version asks for its run, so a page of them stays small.
const VERSIONS_PER_PAGE: u64 = 25;
const METRIC_COLUMNS: usize = 3;
const MOST_NOTE_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "tracking/models.html")]
struct ModelsPage<'a> {
    page: &'a Page,
    search: String,
    editing: Editing,
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
    let editing = Editing::of(&page);
    answer_list(&tracking, &page, editing).await
}

/// Makes a registered model.
pub(super) async fn create(
    State(tracking): State<Tracking>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let sent = Sent::read(&body);
    let name = sent.trimmed("value");
    match tracking.create_model(name, None, Vec::new()).await {
        Ok(model) => Ok(see_other(&address(&model.name))),
        Err(error) if edit::is_about_a_field(&error) => {
            answer_list(&tracking, &page, Editing::refused(&sent, error.to_string())).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn answer_list(tracking: &Tracking, page: &Page, editing: Editing) -> Result<Response, Error> {
    let search = page.parameter("search").unwrap_or_default().trim().to_owned();
    let filter = if search.is_empty() {
        String::new()
    } else {
        format!("name ILIKE {}", quoted(&format!("%{search}%")))
    };
    let query = query(filter, Vec::new(), MODELS_PER_PAGE, page.parameter("page"));
    let found = tracking.search_models(&query).await?;
    let rows = found
        .items
        .into_iter()
        .map(|model| ModelRow {
            aliases: aliases(&model),
            latest: model.latest_versions.iter().map(|version| version.version).max(),
            name: model.name,
            description: note(model.description),
            updated_at: model.updated_at,
        })
        .collect();
    render(&ModelsPage {
        page,
        search,
        editing,
        rows,
        first: page.has_chosen("page").then(|| page.with("page", "")),
        next: found.next.map(|token| page.with("page", &token)),
    })
}

pub(super) fn address(name: &str) -> String {
    format!("/models/{}", encode(name))
}

/// Returns the beginning of a description, without its marks.
fn note(description: Option<String>) -> String {
    let plain = description.map(|text| markdown::plain(&text));
    format::shorten(&plain.unwrap_or_default(), MOST_NOTE_CHARS)
}

fn aliases(model: &RegisteredModel) -> Vec<(String, i32)> {
    let aliases = model.aliases.iter();
    aliases
        .map(|alias| (alias.alias.clone(), alias.version))
        .collect()
}

#[derive(Template)]
#[template(path = "tracking/model.html")]
struct ModelPage<'a> {
    page: &'a Page,
    name: String,
    description: Description,
    tags: Tags,
    editing: Editing,
    traffic: Traffic,
    crumbs: Vec<Crumb>,
    aliases: Vec<(String, i32)>,
    app_address: Option<String>,
    docs_address: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
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
    /// The stage, where it has one.
    stage: Option<&'static str>,
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
    let editing = Editing::of(&page);
    answer(&tracking, &page, &name, editing, None).await
}

/// Does what a form of the page asks for.
pub(super) async fn act(
    State(tracking): State<Tracking>,
    page: Page,
    Path(name): Path<String>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let sent = Sent::read(&body);
    let here = page.with2("edit", "", "key", "");
    let changed = match sent.action() {
        "rename" => tracking
            .rename_model(&name, sent.trimmed("value"))
            .await
            .map(|model| address(&model.name)),
        "description" => tracking
            .update_model(&name, Some(sent.text("value")))
            .await
            .map(|_| here),
        "tag" => tracking.set_model_tag(&name, sent.tag()).await.map(|()| here),
        "delete-tag" => tracking
            .delete_model_tag(&name, sent.field("key"))
            .await
            .map(|()| here),
        "delete" if sent.trimmed("value") != name => {
            let editing = Editing::refused(&sent, page.t1("delete-model-mistyped", "name", &name));
            return answer(&tracking, &page, &name, editing, None).await;
        }
        "trial" | "promote" | "roll-back" => match traffic::act(&page, &name, &sent).await? {
            None => Ok(here),
            Some(reason) => {
                let problem = (sent.trimmed("alias").to_owned(), reason);
                return answer(&tracking, &page, &name, Editing::of(&page), Some(problem)).await;
            }
        },
        "delete" => tracking.delete_model(&name).await.map(|()| "/models".to_owned()),
        _ => return Err(Error::Invalid(page.t("form-unknown"))),
    };
    match changed {
        Ok(next) => Ok(see_other(&next)),
        Err(error) if edit::is_about_a_field(&error) => {
            answer(
                &tracking,
                &page,
                &name,
                Editing::refused(&sent, error.to_string()),
                None,
            )
            .await
        }
        Err(error) => Err(error.into()),
    }
}

/// `refused` is the alias of a trial with the reason why it was not set.
async fn answer(
    tracking: &Tracking,
    page: &Page,
    name: &str,
    editing: Editing,
    refused: Option<(String, String)>,
) -> Result<Response, Error> {
    let model = tracking.model(name).await?;
    let query = query(
        equals("name", name),
        vec!["version_number DESC".to_owned()],
        VERSIONS_PER_PAGE,
        page.parameter("page"),
    );
    let mut versions = tracking.search_versions(&query).await?;
    versions.items.retain(|version| version.name == model.name);
    let runs = runs_of(tracking, &versions.items).await?;
    let mut metric_keys = logged_keys::metrics(runs.values());
    metric_keys.truncate(METRIC_COLUMNS);
    let aliases = aliases(&model);
    let numbers = versions.items.iter().map(|version| version.version).collect();
    let mut traffic = Traffic::of(page, name, &aliases, numbers).await?;
    traffic.problem = refused;
    let is_served = model.aliases.iter().any(|alias| page.serves(name, &alias.alias));
    render(&ModelPage {
        page,
        aliases,
        traffic,
        description: Description::new(model.description.as_deref()),
        tags: Tags::new(&model.tags),
        editing,
        crumbs: vec![
            Crumb::link(page.t("models-title"), "/models"),
            Crumb::here(model.name.clone()),
        ],
        app_address: page.at_app("/").filter(|_| is_served),
        docs_address: page.at_serving("/docs").filter(|_| is_served),
        created_at: model.created_at,
        updated_at: model.updated_at,
        versions: versions
            .items
            .into_iter()
            .map(|version| version_row(version, &runs, &metric_keys))
            .collect(),
        metric_keys,
        first: page.has_chosen("page").then(|| page.with("page", "")),
        next: versions.next.map(|token| page.with("page", &token)),
        name: model.name,
    })
}

/// Returns the runs that made some versions; one that was deleted for good is left out.
pub(super) async fn runs_of(
    tracking: &Tracking,
    versions: &[ModelVersion],
) -> Result<BTreeMap<String, Run>, Error> {
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
            Err(TrackingError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(runs)
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
        description: note(version.description),
        aliases: version.aliases,
        view: (version.status != "READY").then(|| StateView::of(&version.status)),
        stage: (version.stage != Stage::None).then(|| version.stage.as_str()),
        run_name: run.map_or_else(|| format::shorten(&run_id, 12), run_name),
        run_id,
        cells,
        created_at: version.created_at,
    }
}
