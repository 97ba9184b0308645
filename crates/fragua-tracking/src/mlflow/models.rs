//! Registered models and their aliases.

use axum::extract::State;
use axum::routing::{delete as deleting, get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::error::ApiError;
use super::experiments::page_size;
use super::extract::{Fields, required};
use super::{Answer, done, listed, to_value};
use crate::models::RegisteredModel;
use crate::runs::Tag;
use crate::validation::version_number;
use crate::versions::Stage;
use crate::wire::registry::{ModelVersionWire, RegisteredModelWire};
use crate::wire::{KeyValue, all, number};
use crate::{Query, Tracking};

pub(super) fn routes() -> Router<Tracking> {
    Router::new()
        .route("/registered-models/create", post(create))
        .route("/registered-models/get", get(show))
        .route("/registered-models/search", get(search))
        .route("/registered-models/update", patch(update))
        .route("/registered-models/rename", post(rename))
        .route("/registered-models/delete", deleting(delete))
        .route("/registered-models/set-tag", post(set_tag))
        .route("/registered-models/delete-tag", deleting(delete_tag))
        .route("/registered-models/get-latest-versions", get(latest).post(latest))
        .route(
            "/registered-models/alias",
            get(by_alias).post(set_alias).delete(delete_alias),
        )
}

#[derive(Deserialize)]
struct ModelFields {
    name: Option<String>,
    new_name: Option<String>,
    description: Option<String>,
    key: Option<String>,
    value: Option<String>,
    alias: Option<String>,
    version: Option<String>,
    #[serde(default)]
    tags: Vec<KeyValue>,
    #[serde(default, deserialize_with = "number::list")]
    stages: Vec<String>,
}

impl ModelFields {
    fn name(&mut self) -> Result<String, ApiError> {
        required(self.name.take(), "name")
    }
}

fn shown(model: RegisteredModel) -> Answer {
    Ok(Json(
        json!({ "registered_model": to_value(RegisteredModelWire::from(model))? }),
    ))
}

async fn create(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    let name = fields.name()?;
    shown(
        tracking
            .create_model(&name, fields.description, all(fields.tags))
            .await?,
    )
}

async fn show(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    shown(tracking.model(&fields.name()?).await?)
}

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    filter: String,
    #[serde(default, deserialize_with = "number::integer")]
    max_results: Option<i64>,
    #[serde(default, deserialize_with = "number::list")]
    order_by: Vec<String>,
    page_token: Option<String>,
}

impl Search {
    pub(super) fn into_query(self) -> Result<Query, ApiError> {
        Ok(Query {
            filter: self.filter,
            order_by: self.order_by,
            max_results: page_size(self.max_results)?,
            page_token: self.page_token,
            ..Query::default()
        })
    }
}

async fn search(State(tracking): State<Tracking>, Fields(fields): Fields<Search>) -> Answer {
    let page = tracking.search_models(&fields.into_query()?).await?;
    Ok(Json(listed(
        "registered_models",
        all::<_, RegisteredModelWire>(page.items),
        page.next,
    )?))
}

async fn update(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    let name = fields.name()?;
    shown(tracking.update_model(&name, fields.description).await?)
}

async fn rename(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    let name = fields.name()?;
    let new_name = required(fields.new_name, "new_name")?;
    shown(tracking.rename_model(&name, &new_name).await?)
}

async fn delete(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    tracking.delete_model(&fields.name()?).await?;
    done()
}

async fn set_tag(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    let name = fields.name()?;
    let tag = Tag {
        key: required(fields.key, "key")?,
        value: fields.value.unwrap_or_default(),
    };
    tracking.set_model_tag(&name, tag).await?;
    done()
}

async fn delete_tag(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    let name = fields.name()?;
    tracking
        .delete_model_tag(&name, &required(fields.key, "key")?)
        .await?;
    done()
}

async fn latest(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    let name = fields.name()?;
    let stages = fields
        .stages
        .iter()
        .map(|stage| Stage::parse(stage))
        .collect::<Result<Vec<_>, _>>()?;
    let versions = tracking.latest_versions(&name, &stages).await?;
    Ok(Json(listed(
        "model_versions",
        all::<_, ModelVersionWire>(versions),
        None,
    )?))
}

async fn by_alias(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    let name = fields.name()?;
    let version = tracking
        .version_by_alias(&name, &required(fields.alias, "alias")?)
        .await?;
    Ok(Json(
        json!({ "model_version": to_value(ModelVersionWire::from(version))? }),
    ))
}

async fn set_alias(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    let name = fields.name()?;
    let alias = required(fields.alias, "alias")?;
    let version = version_number(&required(fields.version, "version")?)?;
    tracking.set_alias(&name, &alias, version).await?;
    done()
}

async fn delete_alias(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    let name = fields.name()?;
    tracking
        .delete_alias(&name, &required(fields.alias, "alias")?)
        .await?;
    done()
}
