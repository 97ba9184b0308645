//! Registered models and versions on the wire.

use serde::{Deserialize, Serialize};

use super::{KeyValue, all, millis, number};
use crate::Error;
use crate::models::{ModelAlias, RegisteredModel};
use crate::validation::version_number;
use crate::versions::{ModelVersion, Stage};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct AliasWire {
    pub(crate) alias: String,
    pub(crate) version: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RegisteredModelWire {
    pub(crate) name: String,
    #[serde(deserialize_with = "number::integer")]
    pub(crate) creation_timestamp: Option<i64>,
    #[serde(deserialize_with = "number::integer")]
    pub(crate) last_updated_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) latest_versions: Vec<ModelVersionWire>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<KeyValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) aliases: Vec<AliasWire>,
}

impl From<RegisteredModel> for RegisteredModelWire {
    fn from(model: RegisteredModel) -> Self {
        let alias = |alias: ModelAlias| AliasWire {
            alias: alias.alias,
            version: alias.version.to_string(),
        };
        Self {
            name: model.name,
            creation_timestamp: Some(model.created_at.as_millis()),
            last_updated_timestamp: Some(model.updated_at.as_millis()),
            description: model.description.filter(|text| !text.is_empty()),
            latest_versions: all(model.latest_versions),
            tags: all(model.tags),
            aliases: model.aliases.into_iter().map(alias).collect(),
        }
    }
}

impl TryFrom<RegisteredModelWire> for RegisteredModel {
    type Error = Error;

    fn try_from(wire: RegisteredModelWire) -> Result<Self, Error> {
        let alias = |wire: AliasWire| {
            Ok::<_, Error>(ModelAlias {
                version: version_number(&wire.version)?,
                alias: wire.alias,
            })
        };
        Ok(Self {
            name: wire.name,
            created_at: millis(wire.creation_timestamp),
            updated_at: millis(wire.last_updated_timestamp),
            description: wire.description,
            tags: all(wire.tags),
            aliases: wire.aliases.into_iter().map(alias).collect::<Result<_, _>>()?,
            latest_versions: wire
                .latest_versions
                .into_iter()
                .map(ModelVersion::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ModelVersionWire {
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(deserialize_with = "number::integer")]
    pub(crate) creation_timestamp: Option<i64>,
    #[serde(deserialize_with = "number::integer")]
    pub(crate) last_updated_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<String>,
    pub(crate) current_stage: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_id: Option<String>,
    pub(crate) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status_message: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<KeyValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_link: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) aliases: Vec<String>,
}

impl From<ModelVersion> for ModelVersionWire {
    fn from(version: ModelVersion) -> Self {
        Self {
            name: version.name,
            version: version.version.to_string(),
            creation_timestamp: Some(version.created_at.as_millis()),
            last_updated_timestamp: Some(version.updated_at.as_millis()),
            user_id: version.user_id,
            current_stage: version.stage.as_str().to_owned(),
            description: version.description,
            source: version.source,
            // MLflow says "" where there is none.
            run_id: Some(version.run_id.unwrap_or_default()),
            status: version.status,
            status_message: version.status_message,
            tags: all(version.tags),
            run_link: version.run_link,
            aliases: version.aliases,
        }
    }
}

impl TryFrom<ModelVersionWire> for ModelVersion {
    type Error = Error;

    fn try_from(wire: ModelVersionWire) -> Result<Self, Error> {
        Ok(Self {
            version: version_number(&wire.version)?,
            name: wire.name,
            created_at: millis(wire.creation_timestamp),
            updated_at: millis(wire.last_updated_timestamp),
            description: wire.description,
            user_id: wire.user_id,
            stage: Stage::parse(&wire.current_stage).unwrap_or_default(),
            source: wire.source,
            // The protocol tells the place of the files through another request.
            storage_location: None,
            run_id: wire.run_id.filter(|run_id| !run_id.is_empty()),
            run_link: wire.run_link,
            status: wire.status,
            status_message: wire.status_message,
            tags: all(wire.tags),
            aliases: wire.aliases,
        })
    }
}
