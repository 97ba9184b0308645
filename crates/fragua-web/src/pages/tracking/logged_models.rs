//! Logged models: what runs made, whether or not it was registered.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_base::{ErrorKind, Timestamp};
use fragua_tracking::{
    Error as TrackingError, ExperimentId, LoggedModel, LoggedModelOrder, LoggedModelQuery, LoggedModelStatus,
    Metric, NewVersion, Query, Tracking, ViewType,
};

use super::artifacts::{self, Artifacts, Owner};
use super::edit::{self, Description, Editing, NOTE_TAG, Sent, Tags};
use super::experiments::run_name;
use super::filter::FilterError;
use super::{equals, query, quoted, register};
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::format;
use crate::headline;
use crate::page::Page;
use crate::pages::preview::Preview;
use crate::state::StateView;
use crate::view::{Crumb, Tab};

const MODELS_PER_PAGE: u64 = 50;
const METRIC_COLUMNS: usize = 4;
const MOST_VERSIONS: u64 = 20;
const BY_AGE: &str = "creation_timestamp";

/// Returns how the state of a logged model looks.
pub(super) fn state(status: LoggedModelStatus) -> StateView {
    StateView::of(match status {
        LoggedModelStatus::Ready => "ready",
        LoggedModelStatus::Pending => "pending_registration",
        LoggedModelStatus::UploadFailed => "failed",
    })
}

#[derive(Template)]
#[template(path = "tracking/logged_models.html")]
struct ListPage<'a> {
    page: &'a Page,
    id: String,
    name: String,
    crumbs: Vec<Crumb>,
    filter: String,
    filter_error: Option<FilterError>,
    /// The keys one may order by, and whether that is the order.
    orders: Vec<(String, bool)>,
    is_ascending: bool,
    metric_keys: Vec<String>,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

struct Row {
    id: String,
    name: String,
    model_type: String,
    view: StateView,
    run_id: String,
    run_name: String,
    cells: Vec<String>,
    created_at: Timestamp,
}

pub(super) async fn list(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let missing = || Error::Missing {
        what: "experiment",
        name: id.clone(),
    };
    let experiment_id = ExperimentId(id.parse().map_err(|_| missing())?);
    let experiment = tracking.experiment(experiment_id).await?;
    let filter = page.parameter("filter").unwrap_or_default().trim().to_owned();
    let order = page.parameter("order").unwrap_or(BY_AGE).to_owned();
    let is_ascending = page.has_chosen("up");
    let query = LoggedModelQuery {
        experiment_ids: vec![experiment_id],
        filter: filter.clone(),
        order_by: vec![LoggedModelOrder {
            field_name: order.clone(),
            ascending: is_ascending,
            ..LoggedModelOrder::default()
        }],
        max_results: Some(MODELS_PER_PAGE),
        page_token: page.parameter("page").map(str::to_owned),
        ..LoggedModelQuery::default()
    };
    // A filter that cannot be read is a matter between the reader and the field, not an error page.
    let (models, next, filter_error) = match tracking.search_logged_models(&query).await {
        Ok(found) => (found.items, found.next, None),
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            (Vec::new(), None, Some(FilterError::new(&page, &error, &filter)))
        }
        Err(error) => return Err(error.into()),
    };
    let metrics: BTreeSet<&str> = models
        .iter()
        .flat_map(|model| model.metrics.iter().map(|metric| metric.key.as_str()))
        .collect();
    let mut metric_keys: Vec<String> = metrics.into_iter().map(str::to_owned).collect();
    metric_keys.sort_by_key(|key| headline::rank(key));
    let mut orders = vec![BY_AGE.to_owned()];
    orders.extend(metric_keys.iter().map(|key| format!("metrics.{key}")));
    if !orders.contains(&order) {
        orders.push(order.clone());
    }
    metric_keys.truncate(METRIC_COLUMNS);
    let runs = names_of_runs(&tracking, experiment_id, &models).await?;
    render(&ListPage {
        page: &page,
        crumbs: vec![
            Crumb::link(page.t("experiments-title"), "/"),
            Crumb::link(experiment.name.clone(), format!("/experiments/{id}")),
            Crumb::here(page.t("logged-models")),
        ],
        name: experiment.name,
        orders: orders
            .into_iter()
            .map(|key| (key.clone(), key == order))
            .collect(),
        rows: models
            .into_iter()
            .map(|model| row(model, &metric_keys, &runs))
            .collect(),
        first: page.has_chosen("page").then(|| page.with("page", "")),
        next: next.map(|token| page.with("page", &token)),
        id,
        filter,
        filter_error,
        is_ascending,
        metric_keys,
    })
}

/// Returns the names of the runs that made the models, by their ids.
async fn names_of_runs(
    tracking: &Tracking,
    experiment: ExperimentId,
    models: &[LoggedModel],
) -> Result<BTreeMap<String, String>, Error> {
    let ids: BTreeSet<&str> = models
        .iter()
        .filter_map(|model| model.source_run_id.as_deref())
        .collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let listed: Vec<String> = ids.iter().map(|id| quoted(id)).collect();
    let wanted = Query {
        view: ViewType::All,
        ..query(
            format!("run_id IN ({})", listed.join(", ")),
            Vec::new(),
            MODELS_PER_PAGE,
            None,
        )
    };
    let runs = tracking.search_runs(&[experiment], &wanted).await?.items;
    let named = runs.iter().map(|run| (run.info.run_id.clone(), run_name(run)));
    Ok(named.collect())
}

fn row(model: LoggedModel, metric_keys: &[String], runs: &BTreeMap<String, String>) -> Row {
    let cells = metric_keys
        .iter()
        .map(|key| {
            let newest = model.metrics.iter().filter(|metric| metric.key == *key);
            newest
                .max_by_key(|metric| (metric.timestamp, metric.step))
                .map_or_else(|| "–".to_owned(), |metric| format::number(metric.value))
        })
        .collect();
    let run_id = model.source_run_id.unwrap_or_default();
    Row {
        view: state(model.status),
        id: model.model_id,
        name: model.name,
        model_type: model.model_type,
        run_name: runs
            .get(&run_id)
            .cloned()
            .unwrap_or_else(|| format::shorten(&run_id, 9)),
        run_id,
        cells,
        created_at: model.created_at,
    }
}

#[derive(Template)]
#[template(path = "tracking/logged_model.html")]
struct ModelPage<'a> {
    page: &'a Page,
    id: String,
    name: String,
    model_type: String,
    view: StateView,
    status_message: String,
    description: Description,
    editing: Editing,
    crumbs: Vec<Crumb>,
    run: Option<(String, String)>,
    created_at: Timestamp,
    updated_at: Timestamp,
    versions: Vec<(String, i32)>,
    /// How Python loads it.
    loading: String,
    /// Names of registered models, offered where it is registered.
    names: Vec<String>,
    tabs: Vec<Tab>,
    tab: ModelTab,
}

enum ModelTab {
    Overview {
        metrics: Vec<MetricRow>,
        params: Vec<(String, String)>,
        tags: Tags,
    },
    Artifacts(Box<Artifacts>),
}

struct MetricRow {
    key: String,
    value: String,
    step: String,
    dataset: String,
    digest: String,
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
    let here = page.with2("edit", "", "key", "");
    let changed = match sent.action() {
        "description" => {
            let note = fragua_tracking::Tag::new(NOTE_TAG, sent.text("value"));
            tracking
                .set_logged_model_tags(&id, vec![note])
                .await
                .map(|_| here)
        }
        "tag" => tracking
            .set_logged_model_tags(&id, vec![sent.tag()])
            .await
            .map(|_| here),
        "delete-tag" => tracking
            .delete_logged_model_tag(&id, sent.field("key"))
            .await
            .map(|()| here),
        "register" => {
            let new = NewVersion {
                name: sent.trimmed("value").to_owned(),
                source: format!("models:/{id}"),
                model_id: Some(id.clone()),
                ..NewVersion::default()
            };
            register::register(&tracking, new).await
        }
        "delete" => {
            let experiment_id = tracking.logged_model(&id).await?.experiment_id;
            let after = format!("/experiments/{experiment_id}/logged-models");
            tracking.delete_logged_model(&id).await.map(|()| after)
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

async fn answer(tracking: &Tracking, page: &Page, id: &str, editing: Editing) -> Result<Response, Error> {
    let model = tracking.logged_model(id).await?;
    let experiment = tracking.experiment(model.experiment_id).await?;
    let current = Tab::current(page, &["overview", "artifacts"]);
    let tab = if current == "artifacts" {
        let owner = Owner::LoggedModel(&model.model_id);
        ModelTab::Artifacts(Box::new(
            artifacts::show(tracking, page, owner, model.experiment_id, &model.artifact_uri).await?,
        ))
    } else {
        let mut params: Vec<(String, String)> = model
            .params
            .iter()
            .map(|param| (param.key.clone(), param.value.clone()))
            .collect();
        params.sort();
        ModelTab::Overview {
            metrics: metric_rows(&model.metrics),
            params,
            tags: Tags::new(&model.tags),
        }
    };
    let run = match model.source_run_id.as_deref() {
        Some(run_id) => match tracking.run(run_id).await {
            Ok(run) => Some((run_id.to_owned(), run_name(&run))),
            Err(TrackingError::NotFound(_)) => Some((run_id.to_owned(), format::shorten(run_id, 12))),
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    let source = equals("source_path", &format!("models:/{}", model.model_id));
    let versions = tracking
        .search_versions(&query(source, Vec::new(), MOST_VERSIONS, None))
        .await?;
    let names = register::names(tracking, &editing).await?;
    let list = format!("/experiments/{}/logged-models", model.experiment_id);
    render(&ModelPage {
        page,
        crumbs: vec![
            Crumb::link(page.t("experiments-title"), "/"),
            Crumb::link(experiment.name, format!("/experiments/{}", model.experiment_id)),
            Crumb::link(page.t("logged-models"), list),
            Crumb::here(model.name.clone()),
        ],
        view: state(model.status),
        status_message: model.status_message.unwrap_or_default(),
        description: Description::new(
            model
                .tags
                .iter()
                .find(|tag| tag.key == NOTE_TAG)
                .map(|tag| tag.value.as_str()),
        ),
        editing,
        run,
        created_at: model.created_at,
        updated_at: model.updated_at,
        versions: versions
            .items
            .into_iter()
            .map(|version| (version.name, version.version))
            .collect(),
        loading: register::load_in_python(page, &format!("models:/{}", model.model_id)),
        names,
        tabs: Tab::all(
            page,
            current,
            &[("overview", "overview", None), ("artifacts", "artifacts", None)],
        ),
        tab,
        id: model.model_id,
        name: model.name,
        model_type: model.model_type,
    })
}

/// Returns the newest value of each metric on each data set.
fn metric_rows(metrics: &[Metric]) -> Vec<MetricRow> {
    let mut sorted: Vec<&Metric> = metrics.iter().collect();
    sorted.sort_by_key(|metric| std::cmp::Reverse((metric.step, metric.timestamp)));
    let place = |metric: &Metric| {
        (
            headline::rank(&metric.key),
            metric.key.clone(),
            metric.dataset_name.clone(),
            metric.dataset_digest.clone(),
        )
    };
    sorted.sort_by_key(|metric| place(metric));
    sorted.dedup_by_key(|metric| place(metric));
    sorted
        .into_iter()
        .map(|metric| MetricRow {
            key: metric.key.clone(),
            value: format::number(metric.value),
            step: metric.step.to_string(),
            dataset: metric.dataset_name.clone().unwrap_or_default(),
            digest: metric.dataset_digest.clone().unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_is_shown_once_for_each_data_set() {
        let metric = |key: &str, value, step, dataset: Option<&str>| Metric {
            dataset_name: dataset.map(str::to_owned),
            ..Metric::new(key, value, Timestamp::from_millis(step), step)
        };
        let rows = metric_rows(&[
            metric("loss", 0.5, 1, Some("train")),
            metric("loss", 0.25, 2, Some("train")),
            metric("loss", 0.75, 1, Some("test")),
            metric("accuracy", 1.0, 1, None),
        ]);
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.key.as_str(), row.dataset.as_str(), row.value.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("accuracy", "", "1"),
                ("loss", "test", "0.75"),
                ("loss", "train", "0.25")
            ]
        );
    }
}
