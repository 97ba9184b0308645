//! URIs that name a model, and where its files are.

use crate::artifacts::ArtifactPath;
use crate::versions::{ModelVersion, Stage};
use crate::{Error, LoggedModelQuery, Tracking, validation};

/// A parsed `models:/…` or `runs:/…` URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelUri {
    /// `models:/name/3`
    Version {
        /// The registered model.
        name: String,
        /// The version.
        version: i32,
    },
    /// `models:/name@alias`
    Alias {
        /// The registered model.
        name: String,
        /// The alias.
        alias: String,
    },
    /// `models:/name/latest`, or `models:/name/Staging`
    Latest {
        /// The registered model.
        name: String,
        /// The stage; `None` for any.
        stage: Option<Stage>,
    },
    /// `models:/m-…`
    Logged {
        /// The logged model.
        model_id: String,
    },
    /// `runs:/RUN/path`
    Run {
        /// The run.
        run_id: String,
        /// The path below the artifacts of the run, or the name of a logged model of that run.
        path: String,
    },
}

/// A model that a URI led to.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedModel {
    /// The registered name, when it was found by one.
    pub name: Option<String>,
    /// The version, when it was found by one.
    pub version: Option<i32>,
    /// The run that made it.
    pub run_id: Option<String>,
    /// The logged model behind it.
    pub model_id: Option<String>,
    /// The folder of its files; `MLmodel` lies directly in it.
    pub artifact_prefix: ArtifactPath,
    /// The version with its aliases and tags, when it was found by one.
    pub registered: Option<ModelVersion>,
}

impl ModelUri {
    /// Parses a URI.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] that shows the forms.
    pub fn parse(uri: &str) -> Result<Self, Error> {
        let bad = || {
            Error::invalid(format!(
                "Not a model URI: '{}'. Use models:/NAME/VERSION, models:/NAME@ALIAS, models:/NAME/latest, \
                 models:/MODEL_ID or runs:/RUN_ID/PATH.",
                validation::shorten(uri)
            ))
        };
        if let Some(rest) = uri.strip_prefix("runs:/") {
            let (run_id, path) = rest.trim_start_matches('/').split_once('/').ok_or_else(bad)?;
            validation::run_id(run_id)?;
            let path = ArtifactPath::parse(path)?;
            if path.as_str().is_empty() || uri.starts_with("runs://") {
                return Err(bad());
            }
            return Ok(Self::Run {
                run_id: run_id.to_owned(),
                path: path.to_string(),
            });
        }
        let rest = uri
            .strip_prefix("models:/")
            .filter(|rest| !rest.starts_with('/'))
            .ok_or_else(bad)?;
        if let Some((name, alias)) = rest.split_once('@') {
            validation::model_name(name)?;
            return Ok(Self::Alias {
                name: name.to_owned(),
                alias: alias.to_owned(),
            });
        }
        let Some((name, suffix)) = rest.split_once('/') else {
            if rest.is_empty() || !rest.starts_with("m-") {
                return Err(bad());
            }
            return Ok(Self::Logged {
                model_id: rest.to_owned(),
            });
        };
        validation::model_name(name)?;
        let name = name.to_owned();
        if suffix.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest { name, stage: None });
        }
        if let Ok(version) = suffix.parse() {
            return Ok(Self::Version { name, version });
        }
        let stage = Stage::parse(suffix).map_err(|_| bad())?;
        Ok(Self::Latest {
            name,
            stage: Some(stage),
        })
    }
}

impl Tracking {
    /// Finds the model that a URI names: `models:/name@alias`, `models:/name/3`, `models:/name/latest`,
    /// `models:/m-…`, or `runs:/RUN/path`.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidParameter`] for a text that is no model URI, for a missing alias, and for
    /// files in a foreign store.
    pub async fn resolve_model(&self, uri: &str) -> Result<ResolvedModel, Error> {
        let parsed = ModelUri::parse(uri)?;
        match &parsed {
            ModelUri::Logged { model_id } => {
                let model = self.logged_model(model_id).await?;
                Ok(ResolvedModel {
                    name: None,
                    version: None,
                    run_id: model.source_run_id,
                    artifact_prefix: self.artifact_at(&model.artifact_uri)?,
                    model_id: Some(model.model_id),
                    registered: None,
                })
            }
            ModelUri::Run { run_id, path } => self.resolve_run_model(run_id, path).await,
            _ => {
                let version = self.registered_version(&parsed).await?;
                Ok(ResolvedModel {
                    name: Some(version.name.clone()),
                    version: Some(version.version),
                    run_id: version.run_id.clone(),
                    model_id: version.model_id().map(str::to_owned),
                    artifact_prefix: self.artifact_at(version.download_uri())?,
                    registered: Some(version),
                })
            }
        }
    }

    /// A run's model is a folder of its artifacts, or a logged model of that name that it made.
    async fn resolve_run_model(&self, run_id: &str, path: &str) -> Result<ResolvedModel, Error> {
        let info = self.run_info(run_id).await?;
        let folder = self.artifact_at(&info.artifact_uri)?.join(path)?;
        let found = |artifact_prefix, model_id| ResolvedModel {
            name: None,
            version: None,
            run_id: Some(run_id.to_owned()),
            model_id,
            artifact_prefix,
            registered: None,
        };
        if self
            .list_artifacts(&folder)
            .await?
            .iter()
            .any(|entry| entry.name == "MLmodel")
        {
            return Ok(found(folder, None));
        }
        let query = LoggedModelQuery {
            experiment_ids: vec![info.experiment_id],
            filter: format!("source_run_id = '{run_id}'"),
            ..LoggedModelQuery::default()
        };
        let models = self.search_logged_models(&query).await?.items;
        let model = models
            .into_iter()
            .find(|model| model.name == path)
            .ok_or_else(|| {
                Error::not_found(format!(
                    "Run {run_id} has no model at '{}'",
                    validation::shorten(path)
                ))
            })?;
        Ok(found(
            self.artifact_at(&model.artifact_uri)?,
            Some(model.model_id),
        ))
    }

    pub(crate) async fn registered_version(&self, uri: &ModelUri) -> Result<ModelVersion, Error> {
        match uri {
            ModelUri::Version { name, version } => self.version(name, *version).await,
            ModelUri::Alias { name, alias } => self.version_by_alias(name, alias).await,
            ModelUri::Latest { name, stage } => {
                let stages: Vec<Stage> = stage.iter().copied().collect();
                let latest = self.latest_versions(name, &stages).await?;
                latest
                    .into_iter()
                    .max_by_key(|version| version.version)
                    .ok_or_else(|| {
                        Error::not_found(format!(
                            "No versions of model with name '{name}' and that stage found"
                        ))
                    })
            }
            ModelUri::Logged { .. } | ModelUri::Run { .. } => {
                Err(Error::invalid("The URI names no version of a registered model"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_of_models() {
        let run = "0123456789abcdef0123456789abcdef";
        let text = str::to_owned;
        for (uri, expected) in [
            (
                "models:/cover/3",
                Some(ModelUri::Version {
                    name: text("cover"),
                    version: 3,
                }),
            ),
            (
                "models:/cover@champion",
                Some(ModelUri::Alias {
                    name: text("cover"),
                    alias: text("champion"),
                }),
            ),
            (
                "models:/cover/latest",
                Some(ModelUri::Latest {
                    name: text("cover"),
                    stage: None,
                }),
            ),
            (
                "models:/cover/production",
                Some(ModelUri::Latest {
                    name: text("cover"),
                    stage: Some(Stage::Production),
                }),
            ),
            (
                "models:/m-12ab",
                Some(ModelUri::Logged {
                    model_id: text("m-12ab"),
                }),
            ),
            (
                &format!("runs:/{run}/model"),
                Some(ModelUri::Run {
                    run_id: text(run),
                    path: text("model"),
                }),
            ),
            ("models:/cover", None),
            ("models:/", None),
            ("models://host/cover/1", None),
            ("models:/cover/shelf", None),
            ("models:/cover/../1", None),
            (&format!("runs:/{run}"), None),
            (&format!("runs:/{run}/"), None),
            (&format!("runs:/{run}/../x"), None),
            ("runs:/../x/model", None),
            ("s3://bucket/x", None),
            ("", None),
        ] {
            assert_eq!(ModelUri::parse(uri).ok(), expected, "{uri}");
        }
    }
}
