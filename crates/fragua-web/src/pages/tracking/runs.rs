//! The page of one run: what it logged, where it came from, and what people change about it.

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_base::Timestamp;
use fragua_tracking::{
    Batch, Error as TrackingError, LifecycleStage, LoggedModel, LoggedModelQuery, NewVersion, Run, RunUpdate,
    Tag, Tracking,
};

use super::artifacts::{self, Artifacts, Owner, model_folder};
use super::curves::{self, Curves};
use super::edit::{self, Description, Editing, NOTE_TAG, Sent, Tags};
use super::experiments::{best, duration, run_name};
use super::lineage::{self, DagRunLink, DatasetView};
use super::{equals, logged_keys, query, register};
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::format;
use crate::headline;
use crate::page::{Page, encode};
use crate::pages::preview::Preview;
use crate::state::StateView;
use crate::view::{Cell, Crumb, Tab};

const CHILD_METRICS: usize = 4;
const MOST_VERSIONS: u64 = 20;
const MOST_LOGGED_MODELS: u64 = 50;

#[derive(Template)]
#[template(path = "tracking/run.html")]
struct RunPage<'a> {
    page: &'a Page,
    id: String,
    experiment_id: String,
    name: String,
    is_deleted: bool,
    description: Description,
    editing: Editing,
    view: StateView,
    crumbs: Vec<Crumb>,
    versions: Vec<VersionLink>,
    /// Names of registered models, offered where a model of it is registered.
    names: Vec<String>,
    dag_run: Option<DagRunLink>,
    started_at: Option<Timestamp>,
    duration: String,
    user: String,
    source: String,
    commit: String,
    parent: Option<String>,
    tabs: Vec<Tab>,
    tab: RunTab,
}

struct VersionLink {
    name: String,
    version: String,
}

enum RunTab {
    Overview(Box<Overview>),
    Curves(Box<Curves>),
    Artifacts(Box<Artifacts>),
}

struct Overview {
    search: String,
    metrics: Vec<MetricRow>,
    params: Vec<(String, String)>,
    tags: Tags,
    datasets: Vec<DatasetView>,
    models: Vec<ModelLink>,
    children: Vec<ChildRow>,
    child_metrics: Vec<String>,
}

struct MetricRow {
    key: String,
    value: String,
    step: String,
    address: String,
}

struct ModelLink {
    id: String,
    name: String,
    model_type: String,
    view: StateView,
    is_input: bool,
}

struct ChildRow {
    id: String,
    name: String,
    view: StateView,
    cells: Vec<Cell>,
    duration: String,
}

pub(super) async fn show(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let editing = Editing::of(&page);
    answer(&tracking, &page, &id, editing).await
}

/// Does what a form of the page asks for.
pub(super) async fn act(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let sent = Sent::read(&body);
    let here = || page.with2("edit", "", "key", "");
    let changed = match sent.action() {
        "rename" if sent.trimmed("value").is_empty() => {
            let editing = Editing::refused(&sent, page.t("name-empty"));
            return answer(&tracking, &page, &id, editing).await;
        }
        "rename" => {
            let update = RunUpdate {
                run_name: Some(sent.trimmed("value").to_owned()),
                ..RunUpdate::default()
            };
            tracking.update_run(&id, update).await.map(|_| here())
        }
        "description" => {
            let note = Tag::new(NOTE_TAG, sent.text("value"));
            set_tag(&tracking, &id, note).await.map(|()| here())
        }
        "tag" => set_tag(&tracking, &id, sent.tag()).await.map(|()| here()),
        "delete-tag" => tracking.delete_tag(&id, sent.field("key")).await.map(|()| here()),
        "delete" => tracking.delete_run(&id).await.map(|()| here()),
        "restore" => tracking.restore_run(&id).await.map(|()| here()),
        "register" => {
            let folder = page.parameter("path").and_then(model_folder);
            let new = NewVersion {
                name: sent.trimmed("value").to_owned(),
                source: format!("runs:/{id}/{}", folder.unwrap_or_default()),
                run_id: Some(id.clone()),
                ..NewVersion::default()
            };
            register::register(&tracking, new).await
        }
        _ => return Err(Error::Invalid(page.t("form-unknown"))),
    };
    match changed {
        Ok(next) => Ok(see_other(&next)),
        Err(error) if edit::is_about_a_field(&error) => {
            answer(&tracking, &page, &id, Editing::refused(&sent, error.to_string())).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn set_tag(tracking: &Tracking, run_id: &str, tag: Tag) -> Result<(), TrackingError> {
    let batch = Batch {
        tags: vec![tag],
        ..Batch::default()
    };
    tracking.log_batch(run_id, batch).await
}

async fn answer(tracking: &Tracking, page: &Page, id: &str, editing: Editing) -> Result<Response, Error> {
    let run = tracking.run(id).await?;
    let experiment = tracking.experiment(run.info.experiment_id).await?;
    let name = run_name(&run);
    let current = Tab::current(page, &["overview", "metrics", "artifacts"]);
    let tab = match current {
        "metrics" => RunTab::Curves(Box::new(curves::show(tracking, page, &run).await?)),
        "artifacts" => {
            let (owner, uri) = (Owner::Run(&run.info.run_id), &run.info.artifact_uri);
            let files = artifacts::show(tracking, page, owner, experiment.id, uri).await?;
            RunTab::Artifacts(Box::new(files))
        }
        _ => RunTab::Overview(Box::new(overview(tracking, page, &run).await?)),
    };
    let of_run = equals("run_id", &run.info.run_id);
    let versions = tracking
        .search_versions(&query(of_run, Vec::new(), MOST_VERSIONS, None))
        .await?;
    let tabs = Tab::all(
        page,
        current,
        &[
            ("overview", "overview", None),
            ("metrics", "curves", None),
            ("artifacts", "artifacts", None),
        ],
    );
    let tag = |key| run.tag(key).unwrap_or_default();
    let names = register::names(tracking, &editing).await?;
    render(&RunPage {
        page,
        is_deleted: run.info.lifecycle_stage == LifecycleStage::Deleted,
        description: Description::new(run.tag(NOTE_TAG)),
        editing,
        view: StateView::of(run.info.status.as_str()),
        crumbs: vec![
            Crumb::link(page.t("experiments-title"), "/"),
            Crumb::link(
                experiment.name,
                format!("/experiments/{}", run.info.experiment_id),
            ),
            Crumb::here(name.clone()),
        ],
        name,
        names,
        versions: versions
            .items
            .into_iter()
            .map(|version| VersionLink {
                version: version.version.to_string(),
                name: version.name,
            })
            .collect(),
        dag_run: lineage::dag_run(page, &run),
        started_at: run.info.start_time,
        duration: duration(page, run.info.start_time, run.info.end_time),
        user: run.info.user_id.clone(),
        source: tag("mlflow.source.name").to_owned(),
        commit: tag("mlflow.source.git.commit").chars().take(10).collect(),
        parent: run.parent_run_id().map(str::to_owned),
        tabs,
        tab,
        experiment_id: run.info.experiment_id.to_string(),
        id: run.info.run_id,
    })
}

async fn overview(tracking: &Tracking, page: &Page, run: &Run) -> Result<Overview, Error> {
    let search = page.parameter("find").unwrap_or_default().trim().to_owned();
    let wanted = search.to_lowercase();
    let is_wanted = |text: &str| text.to_lowercase().contains(&wanted);
    let mut metrics: Vec<MetricRow> = run
        .metrics
        .iter()
        .filter(|metric| is_wanted(&metric.key))
        .map(|metric| MetricRow {
            address: format!("{}&only={}", page.only("tab", "metrics"), encode(&metric.key)),
            key: metric.key.clone(),
            value: format::number(metric.value),
            step: metric.step.to_string(),
        })
        .collect();
    metrics.sort_by(|one, other| {
        (headline::rank(&one.key), &one.key).cmp(&(headline::rank(&other.key), &other.key))
    });
    let mut params: Vec<(String, String)> = run
        .params
        .iter()
        .filter(|param| is_wanted(&param.key) || is_wanted(&param.value))
        .map(|param| (param.key.clone(), param.value.clone()))
        .collect();
    params.sort();
    let (children, child_metrics) = children(tracking, page, run).await?;
    Ok(Overview {
        search,
        metrics,
        params,
        tags: Tags::new(&run.tags),
        datasets: run
            .dataset_inputs
            .iter()
            .map(|input| lineage::dataset(page, input))
            .collect(),
        models: logged_models(tracking, run).await?,
        children,
        child_metrics,
    })
}

async fn children(
    tracking: &Tracking,
    page: &Page,
    run: &Run,
) -> Result<(Vec<ChildRow>, Vec<String>), Error> {
    let children = tracking.child_runs(&run.info.run_id).await?;
    let mut metrics = logged_keys::metrics(&children);
    metrics.truncate(CHILD_METRICS);
    let best_values: Vec<Option<f64>> = metrics
        .iter()
        .map(|key| best(&children, &format!("metrics.{key}")))
        .collect();
    let rows = children
        .iter()
        .map(|child| ChildRow {
            id: child.info.run_id.clone(),
            name: run_name(child),
            view: StateView::of(child.info.status.as_str()),
            cells: metrics
                .iter()
                .zip(&best_values)
                .map(|(key, best)| child_cell(child.metric(key), *best))
                .collect(),
            duration: duration(page, child.info.start_time, child.info.end_time),
        })
        .collect();
    Ok((rows, metrics))
}

fn child_cell(value: Option<f64>, best: Option<f64>) -> Cell {
    Cell {
        text: value.map_or_else(|| "–".to_owned(), format::number),
        is_number: true,
        is_best: value.is_some() && value == best,
    }
}

/// Returns the logged models that the run made, and those it read.
async fn logged_models(tracking: &Tracking, run: &Run) -> Result<Vec<ModelLink>, Error> {
    let made = LoggedModelQuery {
        experiment_ids: vec![run.info.experiment_id],
        filter: equals("source_run_id", &run.info.run_id),
        max_results: Some(MOST_LOGGED_MODELS),
        ..LoggedModelQuery::default()
    };
    let mut links: Vec<ModelLink> = tracking
        .search_logged_models(&made)
        .await?
        .items
        .into_iter()
        .map(|model| model_link(model, false))
        .collect();
    let others = run.model_outputs.iter().map(|output| (&output.model_id, false));
    for (model_id, is_input) in others.chain(run.model_inputs.iter().map(|id| (id, true))) {
        if links.iter().any(|link| link.id == *model_id) {
            continue;
        }
        match tracking.logged_model(model_id).await {
            Ok(model) => links.push(model_link(model, is_input)),
            // Deleted since.
            Err(TrackingError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(links)
}

fn model_link(model: LoggedModel, is_input: bool) -> ModelLink {
    ModelLink {
        view: super::logged_models::state(model.status),
        id: model.model_id,
        name: model.name,
        model_type: model.model_type,
        is_input,
    }
}
