//! Registered models and their aliases.

use axum::extract::State;
use serde::Deserialize;

use super::answer::{Answer, done, list, one};
use super::endpoint::{Endpoint, delete as deletion, get, patch, post};
use super::error::ApiError;
use super::experiments::page_size;
use super::extract::{Fields, required};
use super::field::{Field, integer, pairs, text, texts};
use crate::models::RegisteredModel;
use crate::runs::Tag;
use crate::validation::{limits, version_number};
use crate::versions::Stage;
use crate::wire::registry::{ModelVersionWire, RegisteredModelWire};
use crate::wire::{KeyValue, all, number};
use crate::{Query, Tracking};

const NAME: Field = text("name").required();
const KEY: Field = text("key").required();
const ALIAS: Field = text("alias").required();
const LATEST: &[Field] = &[NAME, texts("stages")];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post(
            "/registered-models/create",
            "Makes a registered model without versions",
            const { &[NAME, pairs("tags"), text("description")] },
            create,
        ),
        get(
            "/registered-models/get",
            "Returns a registered model",
            const { &[NAME] },
            show,
        ),
        get(
            "/registered-models/search",
            "Returns the registered models that match",
            const {
                &[
                    text("filter"),
                    integer("max_results").at_most(limits::MODELS_PER_PAGE.most as i64),
                    texts("order_by"),
                    text("page_token"),
                ]
            },
            search,
        ),
        patch(
            "/registered-models/update",
            "Changes the description of a registered model",
            const { &[NAME, text("description")] },
            update,
        ),
        post(
            "/registered-models/rename",
            "Gives a registered model another name",
            const { &[NAME, text("new_name").required()] },
            rename,
        ),
        deletion(
            "/registered-models/delete",
            "Deletes a registered model with its versions",
            const { &[NAME] },
            delete,
        ),
        post(
            "/registered-models/set-tag",
            "Sets a tag of a registered model",
            const { &[NAME, KEY, text("value")] },
            set_tag,
        ),
        deletion(
            "/registered-models/delete-tag",
            "Removes a tag of a registered model",
            const { &[NAME, KEY] },
            delete_tag,
        ),
        get(
            "/registered-models/get-latest-versions",
            "Returns the newest version of each stage",
            LATEST,
            latest,
        ),
        post(
            "/registered-models/get-latest-versions",
            "Returns the newest version of each stage",
            LATEST,
            latest,
        ),
        get(
            "/registered-models/alias",
            "Returns the version that an alias points at",
            const { &[NAME, ALIAS] },
            by_alias,
        ),
        post(
            "/registered-models/alias",
            "Points an alias at a version",
            const { &[NAME, ALIAS, text("version").required()] },
            set_alias,
        ),
        deletion(
            "/registered-models/alias",
            "Removes an alias",
            const { &[NAME, ALIAS] },
            delete_alias,
        ),
    ]
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
    #[serde(default)]
    stages: Vec<String>,
}

impl ModelFields {
    fn name(&mut self) -> Result<String, ApiError> {
        required(self.name.take(), "name")
    }
}

fn shown(model: RegisteredModel) -> Answer {
    one("registered_model", RegisteredModelWire::from(model))
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
    #[serde(default)]
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
    list(
        "registered_models",
        page.items.into_iter().map(RegisteredModelWire::from),
        page.next,
    )
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
    list(
        "model_versions",
        versions.into_iter().map(ModelVersionWire::from),
        None,
    )
}

async fn by_alias(State(tracking): State<Tracking>, Fields(mut fields): Fields<ModelFields>) -> Answer {
    let name = fields.name()?;
    let version = tracking
        .version_by_alias(&name, &required(fields.alias, "alias")?)
        .await?;
    one("model_version", ModelVersionWire::from(version))
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
