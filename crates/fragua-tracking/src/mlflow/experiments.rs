//! Experiments.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::error::ApiError;
use super::extract::{Fields, required};
use super::{Answer, done, listed, to_value};
use crate::experiments::{Experiment, ExperimentId, NewExperiment, ViewType};
use crate::runs::Tag;
use crate::wire::experiments::ExperimentWire;
use crate::wire::{KeyValue, all, number};
use crate::{Query, Tracking};

pub(super) fn routes() -> Router<Tracking> {
    Router::new()
        .route("/experiments/create", post(create))
        .route("/experiments/get", get(show))
        .route("/experiments/get-by-name", get(show_by_name))
        .route("/experiments/search", get(search).post(search))
        .route("/experiments/update", post(update))
        .route("/experiments/delete", post(delete))
        .route("/experiments/restore", post(restore))
        .route("/experiments/set-experiment-tag", post(set_tag))
        .route("/experiments/delete-experiment-tag", post(delete_tag))
}

#[derive(Deserialize)]
struct Create {
    name: Option<String>,
    artifact_location: Option<String>,
    #[serde(default)]
    tags: Vec<KeyValue>,
}

async fn create(State(tracking): State<Tracking>, Fields(fields): Fields<Create>) -> Answer {
    let new = NewExperiment {
        name: required(fields.name, "name")?,
        artifact_location: fields.artifact_location,
        tags: all(fields.tags),
    };
    let id = tracking.create_experiment(new).await?;
    Ok(Json(json!({ "experiment_id": id.to_string() })))
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
        Ok(required(self.experiment_id.clone(), "experiment_id")?.parse::<ExperimentId>()?)
    }
}

fn shown(experiment: Experiment) -> Answer {
    Ok(Json(
        json!({ "experiment": to_value(ExperimentWire::from(experiment))? }),
    ))
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
            crate::validation::shorten(&name)
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
    #[serde(default, deserialize_with = "number::list")]
    order_by: Vec<String>,
    view_type: Option<String>,
}

async fn search(State(tracking): State<Tracking>, Fields(fields): Fields<Search>) -> Answer {
    let query = Query {
        filter: fields.filter,
        order_by: fields.order_by,
        view: view_type(fields.view_type.as_deref())?,
        max_results: Some(page_size(fields.max_results)?.ok_or_else(|| ApiError::missing("max_results"))?),
        page_token: fields.page_token,
    };
    let page = tracking.search_experiments(&query).await?;
    Ok(Json(listed(
        "experiments",
        all::<_, ExperimentWire>(page.items),
        page.next,
    )?))
}

/// A negative number is as wrong as zero; the façade refuses zero with the limit in its message.
pub(super) fn page_size(max_results: Option<i64>) -> Result<Option<u64>, ApiError> {
    Ok(max_results.map(|most| u64::try_from(most).unwrap_or(0)))
}

pub(super) fn view_type(name: Option<&str>) -> Result<ViewType, ApiError> {
    match name {
        None | Some("ACTIVE_ONLY" | "1" | "") => Ok(ViewType::ActiveOnly),
        Some("DELETED_ONLY" | "2") => Ok(ViewType::DeletedOnly),
        Some("ALL" | "3") => Ok(ViewType::All),
        Some(other) => Err(ApiError::invalid(format!(
            "Invalid view type '{}': use ACTIVE_ONLY, DELETED_ONLY or ALL",
            crate::validation::shorten(other)
        ))),
    }
}

async fn update(State(tracking): State<Tracking>, Fields(fields): Fields<Named>) -> Answer {
    let id = fields.id()?;
    if let Some(name) = fields.new_name {
        tracking.rename_experiment(id, &name).await?;
    }
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
