//! Versions of registered models.

use axum::extract::State;
use axum::routing::{delete as deleting, get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::error::ApiError;
use super::extract::{Fields, required};
use super::models::Search;
use super::{Answer, done, listed, to_value};
use crate::Tracking;
use crate::runs::Tag;
use crate::validation::version_number;
use crate::versions::{ModelVersion, NewVersion, Stage};
use crate::wire::registry::ModelVersionWire;
use crate::wire::{KeyValue, all, number};

pub(super) fn routes() -> Router<Tracking> {
    Router::new()
        .route("/model-versions/create", post(create))
        .route("/model-versions/get", get(show))
        .route("/model-versions/search", get(search))
        .route("/model-versions/get-download-uri", get(download_uri))
        .route("/model-versions/update", patch(update))
        .route("/model-versions/delete", deleting(delete))
        .route("/model-versions/transition-stage", post(transition))
        .route("/model-versions/set-tag", post(set_tag))
        .route("/model-versions/delete-tag", deleting(delete_tag))
}

#[derive(Deserialize)]
struct VersionFields {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    stage: Option<String>,
    #[serde(default, deserialize_with = "number::truth")]
    archive_existing_versions: Option<bool>,
    key: Option<String>,
    value: Option<String>,
}

impl VersionFields {
    fn id(&mut self) -> Result<(String, i32), ApiError> {
        let name = required(self.name.take(), "name")?;
        Ok((name, version_number(&required(self.version.take(), "version")?)?))
    }
}

fn shown(version: ModelVersion) -> Answer {
    Ok(Json(
        json!({ "model_version": to_value(ModelVersionWire::from(version))? }),
    ))
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
        run_link: fields.run_link,
        description: fields.description,
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
    let page = tracking.search_versions(&fields.into_query()?).await?;
    Ok(Json(listed(
        "model_versions",
        all::<_, ModelVersionWire>(page.items),
        page.next,
    )?))
}

async fn download_uri(State(tracking): State<Tracking>, Fields(mut fields): Fields<VersionFields>) -> Answer {
    let (name, version) = fields.id()?;
    let version = tracking.version(&name, version).await?;
    Ok(Json(json!({ "artifact_uri": version.download_uri() })))
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
