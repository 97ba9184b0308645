//! Versions of registered models.

use axum::extract::State;
use serde::Deserialize;

use super::answer::{Answer, done, list, one};
use super::endpoint::{Endpoint, delete as deletion, get, patch, post};
use super::error::ApiError;
use super::extract::{Fields, required};
use super::field::{Field, integer, pairs, text, texts, truth};
use super::models::Search;
use crate::Tracking;
use crate::runs::Tag;
use crate::validation::{self, limits, version_number};
use crate::versions::{ModelVersion, NewVersion, Stage};
use crate::wire::registry::ModelVersionWire;
use crate::wire::{KeyValue, all};

const NAME: Field = text("name").required();
const VERSION: Field = text("version").required();
const KEY: Field = text("key").required();

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post(
            "/model-versions/create",
            "Makes the next version of a registered model",
            const {
                &[
                    NAME,
                    text("source").required(),
                    text("run_id"),
                    pairs("tags"),
                    text("run_link"),
                    text("description"),
                    text("model_id"),
                ]
            },
            create,
        ),
        get(
            "/model-versions/get",
            "Returns a version",
            const { &[NAME, VERSION] },
            show,
        ),
        get(
            "/model-versions/search",
            "Returns the versions that match",
            const {
                &[
                    text("filter"),
                    integer("max_results").at_most(limits::VERSIONS_PER_PAGE.most as i64),
                    texts("order_by"),
                    text("page_token"),
                ]
            },
            search,
        ),
        get(
            "/model-versions/get-download-uri",
            "Returns where the files of a version are",
            // A missing one is told by the rule about names and numbers.
            const { &[text("name"), text("version")] },
            download_uri,
        ),
        patch(
            "/model-versions/update",
            "Changes the description of a version",
            const { &[NAME, VERSION, text("description")] },
            update,
        ),
        deletion(
            "/model-versions/delete",
            "Deletes a version",
            const { &[NAME, VERSION] },
            delete,
        ),
        post(
            "/model-versions/transition-stage",
            "Moves a version to a stage",
            const {
                &[
                    NAME,
                    VERSION,
                    text("stage").required(),
                    truth("archive_existing_versions"),
                ]
            },
            transition,
        ),
        post(
            "/model-versions/set-tag",
            "Sets a tag of a version",
            const { &[NAME, VERSION, KEY, text("value")] },
            set_tag,
        ),
        deletion(
            "/model-versions/delete-tag",
            "Removes a tag of a version",
            const { &[NAME, VERSION, KEY] },
            delete_tag,
        ),
    ]
}

#[derive(Deserialize)]
struct VersionFields {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    stage: Option<String>,
    archive_existing_versions: Option<bool>,
    key: Option<String>,
    value: Option<String>,
}

impl VersionFields {
    fn id(&mut self) -> Result<(String, i32), ApiError> {
        let name = self.name.take().unwrap_or_default();
        validation::model_name(&name)?;
        Ok((name, version_number(&self.version.take().unwrap_or_default())?))
    }
}

fn shown(version: ModelVersion) -> Answer {
    one("model_version", ModelVersionWire::from(version))
}

#[derive(Deserialize)]
struct Create {
    name: Option<String>,
    source: Option<String>,
    run_id: Option<String>,
    #[serde(default)]
    tags: Vec<KeyValue>,
    run_link: Option<String>,
    description: Option<String>,
    model_id: Option<String>,
}

async fn create(State(tracking): State<Tracking>, Fields(fields): Fields<Create>) -> Answer {
    let new = NewVersion {
        name: required(fields.name, "name")?,
        source: required(fields.source, "source")?,
        run_id: fields.run_id,
        model_id: fields.model_id,
        // What is not given is empty from the beginning, and not unknown.
        run_link: Some(fields.run_link.unwrap_or_default()),
        description: Some(fields.description.unwrap_or_default()),
        user_id: None,
        tags: all(fields.tags),
    };
    shown(tracking.create_version(new).await?)
}

async fn show(State(tracking): State<Tracking>, Fields(mut fields): Fields<VersionFields>) -> Answer {
    let (name, version) = fields.id()?;
    shown(tracking.version(&name, version).await?)
}

async fn search(State(tracking): State<Tracking>, Fields(fields): Fields<Search>) -> Answer {
    let mut query = fields.into_query()?;
    if query.order_by.is_empty() {
        query.order_by.push("last_updated_timestamp DESC".to_owned());
    }
    let page = tracking.search_versions(&query).await?;
    list(
        "model_versions",
        page.items.into_iter().map(ModelVersionWire::from),
        page.next,
    )
}

async fn download_uri(State(tracking): State<Tracking>, Fields(mut fields): Fields<VersionFields>) -> Answer {
    let (name, version) = fields.id()?;
    let version = tracking.version(&name, version).await?;
    one("artifact_uri", version.download_uri())
}

async fn update(State(tracking): State<Tracking>, Fields(mut fields): Fields<VersionFields>) -> Answer {
    let (name, version) = fields.id()?;
    shown(
        tracking
            .update_version(&name, version, fields.description)
            .await?,
    )
}

async fn delete(State(tracking): State<Tracking>, Fields(mut fields): Fields<VersionFields>) -> Answer {
    let (name, version) = fields.id()?;
    tracking.delete_version(&name, version).await?;
    done()
}

async fn transition(State(tracking): State<Tracking>, Fields(mut fields): Fields<VersionFields>) -> Answer {
    let (name, version) = fields.id()?;
    let stage = Stage::parse(&required(fields.stage, "stage")?)?;
    let archive = fields.archive_existing_versions.unwrap_or(false);
    shown(tracking.move_to_stage(&name, version, stage, archive).await?)
}

async fn set_tag(State(tracking): State<Tracking>, Fields(mut fields): Fields<VersionFields>) -> Answer {
    let (name, version) = fields.id()?;
    let tag = Tag {
        key: required(fields.key, "key")?,
        value: fields.value.unwrap_or_default(),
    };
    tracking.set_version_tag(&name, version, tag).await?;
    done()
}

async fn delete_tag(State(tracking): State<Tracking>, Fields(mut fields): Fields<VersionFields>) -> Answer {
    let (name, version) = fields.id()?;
    tracking
        .delete_version_tag(&name, version, &required(fields.key, "key")?)
        .await?;
    done()
}
