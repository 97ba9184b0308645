//! The app: a person asks a model, sees why it answers so, and looks after it.

mod answer;
mod batch;
mod fields;
mod history;
mod lineage;
mod monitoring;
mod predict;
mod prediction;
mod rows;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use axum::response::sse::Event;
use axum::routing::{get, post};
use axum::{Json, Router};
use fragua_serving::{Endpoint, ModelRef, RegisteredModel, ServedModel, Serving};
use fragua_tracking::Tracking;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio_stream::wrappers::WatchStream;

use crate::error::Error;
use crate::live;
use crate::page::{Page, cookie, encode};
use crate::site::{Role, Site};
use crate::view::Tab;

/// Where the browser keeps the ids of its last predictions.
const HISTORY_COOKIE: &str = "fragua_predictions";
/// As many ids as fit into a cookie well: 33 bytes each.
const HISTORY_LENGTH: usize = 60;
/// Versions of a model that the picker lists.
const PICKER_VERSIONS: usize = 12;
/// Largest form: the rows of the table.
const FORM_LIMIT: usize = 8 << 20;

/// What the pages of the app show.
#[derive(Clone)]
struct App {
    serving: Serving,
    /// Where a version comes from, when tracking runs in this process.
    tracking: Option<Tracking>,
    files: batch::ScoredFiles,
}

/// Returns the pages of the app: the form of a served model, which works with and without script, tables and files of
/// rows, what was predicted, how well that went, and `/health`. With `tracking` they say where a version comes from.
pub fn app_pages(serving: Serving, tracking: Option<Tracking>, site: Site) -> Router {
    // Room for the parts of the form around the file.
    let file_limit = serving.settings().max_body_bytes.saturating_add(FORM_LIMIT);
    let routes = Router::new()
        .route("/", get(predict::show).post(predict::predict))
        .route("/table", get(rows::show).post(rows::act))
        .route(
            "/batch",
            get(batch::show)
                .post(batch::score)
                .layer(DefaultBodyLimit::max(file_limit)),
        )
        .route("/batch/{id}", get(batch::file))
        .route("/history", get(history::show).post(history::forget))
        .route("/predictions/{id}", get(prediction::show))
        .route("/predictions/{id}/feedback", post(prediction::feedback))
        .route("/monitoring", get(monitoring::show))
        .route("/events", get(events))
        .route("/health", get(health))
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .with_state(App {
            serving,
            tracking,
            files: batch::ScoredFiles::default(),
        });
    site.frame(Role::App, routes)
}

async fn health(State(app): State<App>) -> Json<Value> {
    Json(json!({ "status": "healthy", "model_loaded": app.serving.current().is_some() }))
}

/// Tells a page that another version answers, or that none does.
async fn events(State(app): State<App>, page: Page) -> Result<Response, Error> {
    let chosen = Chosen::of(&app, &page).await?;
    let changes = WatchStream::from_changes(chosen.endpoint.watch());
    let events = changes.map(|_| Event::default().event("change").data("1"));
    Ok(live::stream(events, page.site().shutdown()))
}

/// The model that the address names.
struct Chosen {
    endpoint: Endpoint,
    /// The version that answers.
    model: Option<Arc<ServedModel>>,
    /// As the address spells it; empty for the one that the settings name.
    spelled: String,
}

impl Chosen {
    /// Finds it: `?model=NAME@ALIAS`, `?model=NAME/VERSION`, or the one that the settings name.
    async fn of(app: &App, page: &Page) -> Result<Self, Error> {
        let spelled = page.parameter("model").unwrap_or_default();
        let endpoint = match spelled {
            "" => app.serving.default_endpoint().clone(),
            named => {
                let alias = &app.serving.settings().alias;
                app.serving.endpoint(&ModelRef::parse(named, alias)?).await?
            }
        };
        Ok(Self {
            model: endpoint.current(),
            endpoint,
            spelled: spelled.to_owned(),
        })
    }

    /// Returns the address of a page about this model.
    fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        let model = [("model", self.spelled.as_str())];
        let pairs: Vec<String> = model
            .iter()
            .chain(more)
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        match pairs.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", pairs.join("&")),
        }
    }
}

/// The top of each page: which model, which of the pages, and where else to go.
struct Head {
    /// The name of the model.
    name: String,
    /// The version that answers, where one does.
    version: Option<String>,
    alias: Option<String>,
    /// Why another version answers than the one that is named.
    problem: Option<String>,
    /// A version that answers a share of the requests of programs.
    canary: Option<String>,
    choices: Vec<Choice>,
    tabs: Vec<Tab>,
    links: Vec<Link>,
    events: String,
}

/// A registered model to choose.
struct Choice {
    name: String,
    aliases: Vec<(String, i32, Target)>,
    versions: Vec<(i32, Target)>,
    /// How many versions are not listed.
    more: u64,
}

/// An address, and whether it is the present one.
struct Target {
    address: String,
    is_here: bool,
}

struct Link {
    label: String,
    address: String,
    icon: &'static str,
}

impl Head {
    async fn of(app: &App, page: &Page, chosen: &Chosen, path: &str) -> Self {
        let state = chosen.endpoint.state();
        let model_ref = chosen.endpoint.model_ref();
        let registered = app.serving.registered_models().await.unwrap_or_default();
        let problem = match (&state.model, &state.problem) {
            (Some(_), Some(problem)) => Some(problem.message.clone()),
            _ => None,
        };
        let percent = |canary: &fragua_serving::Challenger| {
            let (version, percent) = (canary.version.to_string(), canary.percent.to_string());
            page.text_with("canary-answers", &[("version", &version), ("percent", &percent)])
        };
        Self {
            name: model_ref.name.clone(),
            version: state.model.as_ref().map(|model| model.version.clone()),
            alias: model_ref.alias_name().map(str::to_owned),
            problem,
            canary: state.canary.as_ref().map(percent),
            choices: registered
                .into_iter()
                .map(|model| choice(app, chosen, path, model))
                .collect(),
            tabs: tabs(page, chosen, path),
            links: links(page, &model_ref.name),
            events: chosen.address("/events", &[]),
        }
    }
}

fn choice(app: &App, chosen: &Chosen, path: &str, model: RegisteredModel) -> Choice {
    let here = chosen.endpoint.model_ref();
    let target = |text: String| {
        let meant = ModelRef::parse(&text, &app.serving.settings().alias);
        Target {
            is_here: meant.is_ok_and(|meant| meant == *here),
            address: format!("{path}?model={}", encode(&text)),
        }
    };
    let name = &model.name;
    let aliases = model.aliases.iter();
    let versions = model.versions.iter().take(PICKER_VERSIONS);
    Choice {
        aliases: aliases
            .map(|(alias, version)| (alias.clone(), *version, target(format!("{name}@{alias}"))))
            .collect(),
        versions: versions
            .map(|version| (*version, target(format!("{name}/{version}"))))
            .collect(),
        more: model.versions.len().saturating_sub(PICKER_VERSIONS) as u64,
        name: model.name,
    }
}

fn tabs(page: &Page, chosen: &Chosen, here: &str) -> Vec<Tab> {
    [
        ("/", "tab-predict"),
        ("/table", "tab-table"),
        ("/batch", "tab-batch"),
        ("/history", "tab-history"),
        ("/monitoring", "tab-monitoring"),
    ]
    .into_iter()
    .map(|(path, text)| Tab {
        label: page.t(text),
        address: chosen.address(path, &[]),
        is_current: path == here,
        count: None,
    })
    .collect()
}

fn links(page: &Page, model: &str) -> Vec<Link> {
    [
        (page.at_serving("/docs"), "role-docs", "external"),
        (
            page.at_tracking(&format!("/models/{}", encode(model))),
            "registry",
            "cube",
        ),
        (page.at_orchestrator("/"), "role-orchestrator", "graph"),
    ]
    .into_iter()
    .filter_map(|(address, text, icon)| {
        Some(Link {
            label: page.t(text),
            address: address?,
            icon,
        })
    })
    .collect()
}

/// What to do while no model answers.
struct NoModel {
    reason: String,
    alias: String,
    train_address: Option<String>,
    registry_address: Option<String>,
}

impl NoModel {
    fn of(page: &Page, chosen: &Chosen) -> Self {
        let model_ref = chosen.endpoint.model_ref();
        let loading = page.t1("no-model-loading", "uri", &model_ref.to_string());
        let state = chosen.endpoint.state();
        Self {
            reason: state.explanation().map_or(loading, str::to_owned),
            alias: model_ref.alias_name().unwrap_or_default().to_owned(),
            train_address: page.at_orchestrator("/"),
            registry_address: page.at_tracking(&format!("/models/{}", encode(&model_ref.name))),
        }
    }
}

/// Returns the ids of the predictions that this browser asked for, the newest first.
fn remembered(headers: &HeaderMap) -> Vec<String> {
    let ids = cookie(headers, HISTORY_COOKIE).unwrap_or_default().split('.');
    ids.filter(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .take(HISTORY_LENGTH)
        .map(str::to_owned)
        .collect()
}

/// Lets the browser remember a prediction, the oldest of too many not any more.
fn remember(headers: &HeaderMap, id: &str, response: &mut Response) {
    let mut ids = remembered(headers);
    ids.insert(0, id.to_owned());
    ids.truncate(HISTORY_LENGTH);
    keep_remembered(&ids, response);
}

fn keep_remembered(ids: &[String], response: &mut Response) {
    let age = if ids.is_empty() { 0 } else { 90 * 24 * 60 * 60 };
    let cookie = format!(
        "{HISTORY_COOKIE}={}; Path=/; Max-Age={age}; SameSite=Lax; HttpOnly",
        ids.join(".")
    );
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
