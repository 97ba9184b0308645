//! Experiments.

use axum::extract::State;
use serde::Deserialize;

use super::answer::{Answer, done, list, one};
use super::endpoint::{Endpoint, get, post};
use super::error::ApiError;
use super::extract::{Fields, required};
use super::field::{Field, choice, integer, pairs, text, texts};
use crate::experiments::{Experiment, ExperimentId, NewExperiment, ViewType};
use crate::runs::Tag;
use crate::validation::{self, limits};
use crate::wire::experiments::{DatasetSummaryWire, ExperimentWire};
use crate::wire::{KeyValue, all, number};
use crate::{Query, Tracking};

const ID: Field = text("experiment_id").required();
const KEY: Field = text("key").required();
/// Which lifecycle stages a list has, by name and number in the protocol.
pub(super) const VIEW_TYPES: &[(&str, i64)] = &[("ACTIVE_ONLY", 1), ("DELETED_ONLY", 2), ("ALL", 3)];

const SEARCH: &[Field] = &[
    choice("view_type", VIEW_TYPES),
    integer("max_results"),
    texts("order_by"),
    text("filter"),
    text("page_token"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post(
            "/experiments/create",
            "Makes an experiment",
            const { &[text("name").required(), text("artifact_location"), pairs("tags")] },
            create,
        ),
        get("/experiments/get", "Returns an experiment", const { &[ID] }, show),
        get(
            "/experiments/get-by-name",
            "Returns the experiment of this name",
            const { &[text("experiment_name").required()] },
            show_by_name,
        ),
        get(
            "/experiments/search",
            "Returns the experiments that match",
            SEARCH,
            search,
        ),
        post(
            "/experiments/search",
            "Returns the experiments that match",
            SEARCH,
            search,
        ),
        post(
            "/experiments/update",
            "Gives an experiment another name",
            const { &[ID, text("new_name").required()] },
            update,
        ),
        post(
            "/experiments/delete",
            "Deletes an experiment and its runs; they can be restored",
            const { &[ID] },
            delete,
        ),
        post(
            "/experiments/restore",
            "Restores a deleted experiment and its runs",
            const { &[ID] },
            restore,
        ),
        post(
            "/experiments/set-experiment-tag",
            "Sets a tag of an experiment",
            const { &[ID, KEY, text("value")] },
            set_tag,
        ),
        post(
            "/experiments/delete-experiment-tag",
            "Removes a tag of an experiment",
            const { &[ID, KEY] },
            delete_tag,
        ),
        post(
            "/experiments/search-datasets",
            "Returns the data sets that runs of some experiments read",
            const { &[texts("experiment_ids")] },
            search_datasets,
        ),
    ]
}

#[derive(Deserialize)]
struct Create {
    name: String,
    artifact_location: Option<String>,
    #[serde(default)]
    tags: Vec<KeyValue>,
}

async fn create(State(tracking): State<Tracking>, Fields(fields): Fields<Create>) -> Answer {
    let new = NewExperiment {
        name: fields.name,
        artifact_location: fields.artifact_location,
        tags: all(fields.tags),
    };
    one(
        "experiment_id",
        tracking.create_experiment(new).await?.to_string(),
    )
}

#[derive(Deserialize)]
struct Named {
    experiment_id: Option<String>,
    experiment_name: Option<String>,
    new_name: Option<String>,
    key: Option<String>,
    value: Option<String>,
}

impl Named {
    fn id(&self) -> Result<ExperimentId, ApiError> {
        Ok(self
            .experiment_id
            .as_deref()
            .unwrap_or("")
            .parse::<ExperimentId>()?)
    }
}

fn shown(experiment: Experiment) -> Answer {
    one("experiment", ExperimentWire::from(experiment))
}

async fn show(State(tracking): State<Tracking>, Fields(fields): Fields<Named>) -> Answer {
    shown(tracking.experiment(fields.id()?).await?)
}

async fn show_by_name(State(tracking): State<Tracking>, Fields(fields): Fields<Named>) -> Answer {
    let name = required(fields.experiment_name, "experiment_name")?;
    let found = tracking.experiment_by_name(&name).await?;
    shown(found.ok_or_else(|| {
        crate::Error::not_found(format!(
            "Could not find experiment with name '{}'",
            validation::shorten(&name)
        ))
    })?)
}

#[derive(Deserialize)]
struct Search {
    #[serde(default, deserialize_with = "number::integer")]
    max_results: Option<i64>,
    page_token: Option<String>,
    #[serde(default)]
    filter: String,
    #[serde(default)]
    order_by: Vec<String>,
    view_type: Option<serde_json::Value>,
}

async fn search(State(tracking): State<Tracking>, Fields(fields): Fields<Search>) -> Answer {
    let query = Query {
        filter: fields.filter,
        order_by: fields.order_by,
        view: view_type(fields.view_type.as_ref()),
        // The one list that has no default.
        max_results: page_size(Some(fields.max_results.unwrap_or(0)))?,
        page_token: fields.page_token,
    };
    let page = tracking.search_experiments(&query).await?;
    list(
        "experiments",
        page.items.into_iter().map(ExperimentWire::from),
        page.next,
    )
}

/// Checks the size of a page; the façade knows how large one may be.
pub(super) fn page_size(max_results: Option<i64>) -> Result<Option<u64>, ApiError> {
    let size = |most| {
        u64::try_from(most)
            .ok()
            .filter(|most| *most > 0)
            .ok_or_else(|| ApiError::invalid(validation::texts::not_positive("max_results", most)))
    };
    max_results.map(size).transpose()
}

/// What nobody knows means what is not deleted, as in MLflow.
pub(super) fn view_type(given: Option<&serde_json::Value>) -> ViewType {
    match number::choice(VIEW_TYPES, given) {
        Some(2) => ViewType::DeletedOnly,
        Some(3) => ViewType::All,
        _ => ViewType::ActiveOnly,
    }
}

async fn update(State(tracking): State<Tracking>, Fields(fields): Fields<Named>) -> Answer {
    let id = fields.id()?;
    tracking
        .rename_experiment(id, &required(fields.new_name, "new_name")?)
        .await?;
    done()
}

async fn delete(State(tracking): State<Tracking>, Fields(fields): Fields<Named>) -> Answer {
    tracking.delete_experiment(fields.id()?).await?;
    done()
}

async fn restore(State(tracking): State<Tracking>, Fields(fields): Fields<Named>) -> Answer {
    tracking.restore_experiment(fields.id()?).await?;
    done()
}

async fn set_tag(State(tracking): State<Tracking>, Fields(fields): Fields<Named>) -> Answer {
    let id = fields.id()?;
    let tag = Tag {
        key: required(fields.key, "key")?,
        value: fields.value.unwrap_or_default(),
    };
    tracking.set_experiment_tag(id, tag).await?;
    done()
}

async fn delete_tag(State(tracking): State<Tracking>, Fields(fields): Fields<Named>) -> Answer {
    let id = fields.id()?;
    tracking
        .delete_experiment_tag(id, &required(fields.key, "key")?)
        .await?;
    done()
}

#[derive(Deserialize)]
struct SearchDatasets {
    #[serde(default)]
    experiment_ids: Vec<String>,
}

async fn search_datasets(State(tracking): State<Tracking>, Fields(fields): Fields<SearchDatasets>) -> Answer {
    let ids = fields.experiment_ids;
    if ids.is_empty() {
        return Err(ApiError::invalid(
            "SearchDatasets request must specify at least one experiment_id.",
        ));
    }
    if ids.len() > limits::DATASET_EXPERIMENTS {
        return Err(ApiError::invalid(format!(
            "SearchDatasets request cannot specify more than {} experiment_ids. Received {} experiment_ids.",
            limits::DATASET_EXPERIMENTS,
            ids.len()
        )));
    }
    let datasets = tracking.datasets(&experiment_ids(&ids)?).await?;
    list(
        "dataset_summaries",
        datasets.into_iter().map(DatasetSummaryWire::from),
        None,
    )
}

pub(super) fn experiment_ids(ids: &[String]) -> Result<Vec<ExperimentId>, ApiError> {
    Ok(ids
        .iter()
        .map(|id| id.parse::<ExperimentId>())
        .collect::<Result<_, _>>()?)
}
