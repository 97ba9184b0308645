//! The page of one version: where it came from, what it takes and gives, and which aliases point at it.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_tracking::{
    Error as TrackingError, LoggedModel, ModelVersion, RegisteredModel, ResolvedModel, Run, Stage, Tracking,
};

use super::edit::{self, Description, Editing, Sent, Tags};
use super::lineage::{self, Station};
use super::mlmodel::{self, ModelCard};
use super::models::address as model_address;
use super::register::load_in_python;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::format;
use crate::headline;
use crate::page::{Page, encode};
use crate::state::StateView;
use crate::view::Crumb;

/// A larger example is downloaded, not shown.
const EXAMPLE_BYTES: u64 = 64 * 1024;

#[derive(Template)]
#[template(path = "tracking/version.html")]
struct VersionPage<'a> {
    page: &'a Page,
    name: String,
    version: i32,
    description: Description,
    tags: Tags,
    editing: Editing,
    crumbs: Vec<Crumb>,
    aliases: Vec<String>,
    /// Aliases that point at other versions, with the version they would move from.
    others: Vec<(String, i32)>,
    /// The alias that was asked for and would be taken from another version.
    moving: Option<(String, i32)>,
    /// The state, where it is not the usual one.
    view: Option<StateView>,
    status_message: String,
    stage: Stage,
    source: String,
    user: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// The nearest versions that there are.
    neighbours: Vec<i32>,
    way: Vec<Station>,
    metrics: Vec<(String, String)>,
    params: Vec<(String, String)>,
    card: Option<ModelCard>,
    example: String,
    /// How Python loads it.
    loading: String,
}

impl VersionPage<'_> {
    fn stages(&self) -> [Stage; 4] {
        Stage::ALL
    }
}

pub(super) fn address(name: &str, version: i32) -> String {
    format!("{}/versions/{version}", model_address(name))
}

pub(super) async fn show(
    State(tracking): State<Tracking>,
    page: Page,
    Path((name, version)): Path<(String, String)>,
) -> Result<Response, Error> {
    let version = number(&page, &version)?;
    let editing = Editing::of(&page);
    answer(&tracking, &page, &name, version, editing).await
}

pub(super) fn number(page: &Page, version: &str) -> Result<i32, Error> {
    version
        .parse()
        .map_err(|_| Error::Invalid(page.t("version-not-number")))
}

/// Does what a form of the page asks for.
pub(super) async fn act(
    State(tracking): State<Tracking>,
    page: Page,
    Path((name, version)): Path<(String, String)>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let version = number(&page, &version)?;
    let sent = Sent::read(&body);
    let here = page.with2("edit", "", "key", "");
    let changed = match sent.action() {
        "alias" => {
            let alias = sent.trimmed("value");
            if sent.field("confirmed").is_empty() && holder(&tracking, &name, alias, version).await?.is_some()
            {
                // What moves is shown before it moves.
                return answer(&tracking, &page, &name, version, Editing::refused(&sent, "")).await;
            }
            tracking.set_alias(&name, alias, version).await.map(|()| here)
        }
        "delete-alias" => tracking
            .delete_alias(&name, sent.field("value"))
            .await
            .map(|()| here),
        "stage" => match Stage::parse(sent.field("value")) {
            Ok(stage) => {
                let archives =
                    !sent.field("archive").is_empty() && matches!(stage, Stage::Staging | Stage::Production);
                let moved = tracking.move_to_stage(&name, version, stage, archives).await;
                moved.map(|_| here)
            }
            Err(error) => Err(error),
        },
        "description" => tracking
            .update_version(&name, version, Some(sent.text("value")))
            .await
            .map(|_| here),
        "tag" => tracking
            .set_version_tag(&name, version, sent.tag())
            .await
            .map(|()| here),
        "delete-tag" => tracking
            .delete_version_tag(&name, version, sent.field("key"))
            .await
            .map(|()| here),
        "delete" => tracking
            .delete_version(&name, version)
            .await
            .map(|()| model_address(&name)),
        _ => return Err(Error::Invalid(page.t("form-unknown"))),
    };
    match changed {
        Ok(next) => Ok(see_other(&next)),
        Err(error) if edit::is_about_a_field(&error) => {
            let editing = Editing::refused(&sent, error.to_string());
            answer(&tracking, &page, &name, version, editing).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the other version that an alias points at.
async fn holder(tracking: &Tracking, name: &str, alias: &str, version: i32) -> Result<Option<i32>, Error> {
    let model = tracking.model(name).await?;
    let found = model.aliases.iter().find(|known| known.alias == alias);
    Ok(found
        .map(|known| known.version)
        .filter(|holder| *holder != version))
}

async fn answer(
    tracking: &Tracking,
    page: &Page,
    name: &str,
    number: i32,
    editing: Editing,
) -> Result<Response, Error> {
    let model = tracking.model(name).await?;
    let version = tracking.version(name, number).await?;
    let run = run_of(tracking, &version).await?;
    let logged = logged_of(tracking, &version).await?;
    let files = files_of(tracking, name, number).await?;
    let (card, example) = match &files {
        Some(files) => describe(tracking, files).await?,
        None => (None, String::new()),
    };
    let moving = if editing.is("alias") && editing.error.is_empty() {
        let alias = editing.value("").trim();
        holder(tracking, name, alias, number)
            .await?
            .map(|holder| (alias.to_owned(), holder))
    } else {
        None
    };
    let (metrics, params) = figures(run.as_ref(), logged.as_ref());
    render(&VersionPage {
        page,
        loading: loading(page, &version),
        way: way(page, &version, run.as_ref(), logged),
        metrics,
        params,
        card,
        example,
        crumbs: vec![
            Crumb::link(page.t("models-title"), "/models"),
            Crumb::link(name, model_address(name)),
            Crumb::here(format!("v{number}")),
        ],
        others: others(&model, number),
        moving,
        neighbours: neighbours(tracking, name, number).await?,
        name: version.name.clone(),
        version: number,
        description: Description::new(version.description.as_deref()),
        tags: Tags::new(&version.tags),
        editing,
        view: (version.status != "READY").then(|| StateView::of(&version.status)),
        status_message: version.status_message.unwrap_or_default(),
        stage: version.stage,
        source: version.source,
        user: version.user_id.unwrap_or_default(),
        created_at: version.created_at,
        updated_at: version.updated_at,
        aliases: version.aliases,
    })
}

fn others(model: &RegisteredModel, version: i32) -> Vec<(String, i32)> {
    let elsewhere = model.aliases.iter().filter(|alias| alias.version != version);
    elsewhere
        .map(|alias| (alias.alias.clone(), alias.version))
        .collect()
}

/// Returns the versions to compare with: the two before and the one after.
async fn neighbours(tracking: &Tracking, name: &str, number: i32) -> Result<Vec<i32>, Error> {
    let mut found = Vec::new();
    for other in [number + 1, number - 1, number - 2] {
        if other < 1 {
            continue;
        }
        match tracking.version(name, other).await {
            Ok(version) => found.push(version.version),
            Err(TrackingError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

pub(super) async fn run_of(tracking: &Tracking, version: &ModelVersion) -> Result<Option<Run>, Error> {
    let Some(run_id) = version.run_id.as_deref().filter(|run_id| !run_id.is_empty()) else {
        return Ok(None);
    };
    match tracking.run(run_id).await {
        Ok(run) => Ok(Some(run)),
        Err(TrackingError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the folder of a version's files; nothing when they are gone or lie in another store.
async fn files_of(tracking: &Tracking, name: &str, version: i32) -> Result<Option<ResolvedModel>, Error> {
    match tracking.resolve_model(&format!("models:/{name}/{version}")).await {
        Ok(files) => Ok(Some(files)),
        Err(TrackingError::NotFound(_) | TrackingError::InvalidParameter(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns what the files of a version say about it.
pub(super) async fn card_of(
    tracking: &Tracking,
    name: &str,
    version: i32,
) -> Result<Option<ModelCard>, Error> {
    match files_of(tracking, name, version).await? {
        Some(files) => Ok(describe(tracking, &files).await?.0),
        None => Ok(None),
    }
}

async fn describe(tracking: &Tracking, files: &ResolvedModel) -> Result<(Option<ModelCard>, String), Error> {
    let text = read(tracking, files, mlmodel::FILE_NAME, mlmodel::MOST_BYTES).await?;
    let card = text.as_deref().and_then(mlmodel::read);
    let example_file = card.as_ref().and_then(|card| card.example_file.as_deref());
    let example = match example_file {
        Some(file) => read(tracking, files, file, EXAMPLE_BYTES).await?,
        None => None,
    };
    Ok((card, example.map_or_else(String::new, |text| pretty(&text))))
}

/// Reads a small text beside the model; nothing when it is not there, too large or no text.
async fn read(
    tracking: &Tracking,
    files: &ResolvedModel,
    file: &str,
    limit_bytes: u64,
) -> Result<Option<String>, Error> {
    let Ok(path) = files.artifact_prefix.join(file) else {
        return Ok(None);
    };
    match tracking.read_artifact(&path, limit_bytes).await {
        Ok(bytes) => Ok(String::from_utf8(bytes.to_vec()).ok()),
        Err(error) if error.kind() == fragua_base::ErrorKind::Internal => Err(error.into()),
        Err(_) => Ok(None),
    }
}

fn pretty(text: &str) -> String {
    serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| text.to_owned())
}

/// Keys with values as people read them.
pub(super) type Pairs = Vec<(String, String)>;

/// Returns the metrics of a version, those that people ask for first, and its parameters: those of the run that made it,
/// and those that only its logged model has.
pub(super) fn figures(run: Option<&Run>, logged: Option<&LoggedModel>) -> (Pairs, Pairs) {
    let of_run = run.map(|run| (&run.metrics, &run.params));
    let of_model = logged.map(|model| (&model.metrics, &model.params));
    let (mut metrics, mut params) = (BTreeMap::new(), BTreeMap::new());
    // The run's replace those of the model.
    for (some_metrics, some_params) in of_model.into_iter().chain(of_run) {
        for metric in some_metrics {
            let place = (headline::rank(&metric.key), metric.key.clone());
            metrics.insert(place, format::number(metric.value));
        }
        for param in some_params {
            params.insert(param.key.clone(), param.value.clone());
        }
    }
    let metrics = metrics.into_iter().map(|((_, key), value)| (key, value));
    (metrics.collect(), params.into_iter().collect())
}

/// Returns the logged model that a version was made of; nothing where it was deleted since.
pub(super) async fn logged_of(
    tracking: &Tracking,
    version: &ModelVersion,
) -> Result<Option<LoggedModel>, Error> {
    let Some(model_id) = version.model_id() else {
        return Ok(None);
    };
    match tracking.logged_model(model_id).await {
        Ok(model) => Ok(Some(model)),
        Err(TrackingError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the Python that loads the version: by the alias that is served or any other, as an alias outlives a version.
fn loading(page: &Page, version: &ModelVersion) -> String {
    let (name, aliases) = (&version.name, &version.aliases);
    let served = aliases.iter().find(|alias| page.serves(name, alias));
    load_in_python(
        page,
        &match served.or(aliases.first()) {
            Some(alias) => format!("models:/{name}@{alias}"),
            None => format!("models:/{name}/{}", version.version),
        },
    )
}

/// Returns the way from the rows to where the version answers.
fn way(page: &Page, version: &ModelVersion, run: Option<&Run>, logged: Option<LoggedModel>) -> Vec<Station> {
    let mut way = run.map(|run| lineage::way_to(page, run)).unwrap_or_default();
    if let Some(model) = logged {
        let address = format!("/logged-models/{}", encode(&model.model_id));
        way.push(Station::new("logged-model", "cube", model.name).at(Some(address)));
    }
    let is_served = version
        .aliases
        .iter()
        .any(|alias| page.serves(&version.name, alias));
    let label = format!("{} v{}", version.name, version.version);
    way.push(
        Station::new("version", "cube", label)
            .note(version.aliases.join(", "))
            .here(),
    );
    if is_served && let Some(docs) = page.at_serving("/docs") {
        let api = Station::new("inference-api", "bolt", page.t("role-docs"));
        way.push(api.note(page.t("inference-api-note")).at(Some(docs)));
    }
    if is_served && let Some(app) = page.at_app("/") {
        way.push(Station::new("role-app", "bolt", page.t("try-it")).at(Some(app)));
    }
    way
}
