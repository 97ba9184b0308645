//! Versions of registered models.

use fragua_base::{Page, Timestamp};

use crate::model_uri::ModelUri;
use crate::runs::Tag;
use crate::validation::{self, limits};
use crate::webhooks::{Occurrence, is_prompt};
use crate::{Change, Error, Query, Tracking, search, store};

/// What MLflow's clients write where a version has its source: the text of a prompt is a tag, and there are no files.
const PROMPT_SOURCES: [&str; 2] = ["dummy-source", "prompt-template"];

/// Why a source is refused, as MLflow says it.
const OTHER_RUN: &str = "The run_id request parameter must identify the resource that contains the source.";
const OTHER_MODEL: &str =
    "The model_id request parameter must identify the resource that contains the source.";
const RELATIVE: &str = "If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts \
                        uri, an absolute path must be provided without relative path references present. Please \
                        provide an absolute path.";

/// A stage of a version: an older way than aliases to say what a version is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// No stage.
    #[default]
    None,
    /// To be tried.
    Staging,
    /// In use.
    Production,
    /// No longer in use.
    Archived,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    /// Returns the name in the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }

    /// Returns the stage of this name in any case.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] that lists the stages.
    pub fn parse(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|stage| stage.as_str().eq_ignore_ascii_case(name)).ok_or_else(|| {
            Error::invalid(format!(
                "Invalid Model Version stage: {}. Value must be one of None, Staging, Production, Archived.",
                validation::shorten(name)
            ))
        })
    }
}

/// One version of a registered model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelVersion {
    /// The name of the registered model.
    pub name: String,
    /// Its number, from 1; never given twice.
    pub version: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// What it is.
    pub description: Option<String>,
    /// Who made it.
    pub user_id: Option<String>,
    /// Its stage.
    pub stage: Stage,
    /// Where the model came from, as the client said.
    pub source: String,
    /// Where its files are: an artifact URI.
    pub storage_location: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
    /// An address of that run elsewhere.
    pub run_link: Option<String>,
    /// `READY`, unless a foreign server wrote something else.
    pub status: String,
    /// Why it is not ready.
    pub status_message: Option<String>,
    /// Its tags by key.
    pub tags: Vec<Tag>,
    /// The aliases that point at it, by name.
    pub aliases: Vec<String>,
}

impl ModelVersion {
    /// Returns the id of the logged model behind it, when its source is `models:/m-…`.
    pub fn model_id(&self) -> Option<&str> {
        match ModelUri::parse(&self.source) {
            Ok(ModelUri::Logged { .. }) => self.source.strip_prefix("models:/"),
            _ => None,
        }
    }

    /// Returns where its files are.
    pub fn download_uri(&self) -> &str {
        self.storage_location
            .as_deref()
            .filter(|location| !location.is_empty())
            .unwrap_or(&self.source)
    }

    /// Returns the value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags
            .iter()
            .find(|tag| tag.key == key)
            .map(|tag| tag.value.as_str())
    }
}

/// A version to make.
#[derive(Debug, Clone, Default)]
pub struct NewVersion {
    /// The name of the registered model.
    pub name: String,
    /// Where the model is: `models:/m-…`, `models:/name/3`, `runs:/RUN/path`, an artifact URI of the run, or an S3 URI.
    pub source: String,
    /// The run that made it.
    pub run_id: Option<String>,
    /// The logged model it is.
    pub model_id: Option<String>,
    /// An address of the run elsewhere.
    pub run_link: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Who makes it.
    pub user_id: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

impl Tracking {
    /// Makes the next version of a registered model.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the model or what the source names; [`Error::InvalidParameter`] for a source that
    /// is a local path, an http address, leaves its place with `..`, or does not belong to the run.
    pub async fn create_version(&self, new: NewVersion) -> Result<ModelVersion, Error> {
        validation::description(new.description.as_deref())?;
        for tag in &new.tags {
            validation::version_tag(tag)?;
        }
        let (storage_location, run_id) = self.resolve_source(&new).await?;
        let now = self.now();
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, &new.name).await?;
        let version = ModelVersion {
            version: store::versions::next_number(&transaction, &new.name).await?,
            name: new.name,
            created_at: now,
            updated_at: now,
            description: new.description,
            user_id: new.user_id,
            stage: Stage::None,
            source: new.source,
            storage_location: Some(storage_location),
            run_id,
            run_link: new.run_link,
            status: "READY".to_owned(),
            status_message: None,
            tags: new.tags,
            aliases: Vec::new(),
        };
        store::versions::insert(&transaction, &version).await?;
        store::models::touch(&transaction, &version.name, now).await?;
        transaction.commit().await?;
        self.tell(Change::ModelChanged {
            name: version.name.clone(),
        });
        self.occurred(Occurrence::VersionCreated(Box::new(version.clone())));
        Ok(version)
    }

    /// Returns where the files of a new version are and the run it comes from.
    async fn resolve_source(&self, new: &NewVersion) -> Result<(String, Option<String>), Error> {
        let refused = |why: &str| {
            Error::invalid(format!(
                "Invalid model version source: '{}'. {why}",
                validation::shorten(&new.source)
            ))
        };
        let given_run = new.run_id.clone().filter(|run_id| !run_id.is_empty());
        if is_prompt(&new.tags) {
            return if PROMPT_SOURCES.contains(&new.source.as_str()) {
                Ok((new.source.clone(), given_run))
            } else {
                Err(Error::invalid(format!(
                    "Invalid prompt source: '{}'. Prompt sources must use an MLflow placeholder.",
                    validation::shorten(&new.source)
                )))
            };
        }
        if let Some(uri) = ["models:", "runs:"]
            .iter()
            .find(|scheme| new.source.starts_with(**scheme))
        {
            if new.source.split('/').any(|name| name == "..") {
                return Err(refused(RELATIVE));
            }
            return match ModelUri::parse(&new.source)? {
                ModelUri::Logged { model_id } => {
                    if new
                        .model_id
                        .as_deref()
                        .is_some_and(|given| !given.is_empty() && given != model_id)
                    {
                        return Err(refused(OTHER_MODEL));
                    }
                    let model = self.logged_model(&model_id).await?;
                    Ok((model.artifact_uri, given_run.or(model.source_run_id)))
                }
                ModelUri::Run { run_id, path } => {
                    if given_run.as_deref().is_some_and(|given| given != run_id) {
                        return Err(refused(OTHER_RUN));
                    }
                    let info = self.run_info(&run_id).await?;
                    let location = match self.resolve_model(&new.source).await {
                        Ok(model) => model.artifact_prefix.uri(),
                        // Nothing is there yet, or it lies in a store that clients reach themselves.
                        Err(Error::NotFound(_) | Error::InvalidParameter(_)) => {
                            format!("{}/{path}", info.artifact_uri)
                        }
                        Err(error) => return Err(error),
                    };
                    Ok((location, Some(run_id)))
                }
                ModelUri::Version { .. } | ModelUri::Alias { .. } | ModelUri::Latest { .. } => {
                    let other = self.registered_version(&ModelUri::parse(&new.source)?).await?;
                    Ok((other.download_uri().to_owned(), given_run.or(other.run_id)))
                }
            }
            .map_err(|error| match error {
                Error::NotFound(message) => {
                    Error::NotFound(format!("Unable to fetch model from {uri} source: {message}"))
                }
                other => other,
            });
        }
        if new.source.starts_with("mlflow-artifacts:") {
            let path = self
                .artifact_in_bucket(&new.source)
                .map_err(|_| refused(RELATIVE))?;
            let root = match (&given_run, &new.model_id) {
                (Some(run_id), _) => self.run_info(run_id).await?.artifact_uri,
                (None, Some(model_id)) => self.logged_model(model_id).await?.artifact_uri,
                // Clients register another version of what they registered before by its place alone.
                (None, None) => return Ok((new.source.clone(), None)),
            };
            let mut roots = vec![self.artifact_in_bucket(&root)?];
            if let Some(model_id) = new.model_id.as_deref().filter(|model_id| !model_id.is_empty()) {
                let model = self.logged_model(model_id).await?;
                roots.push(self.artifact_in_bucket(&model.artifact_uri)?);
            }
            if !roots.iter().any(|root| path.is_within(root)) {
                return Err(refused(OTHER_RUN));
            }
            return Ok((new.source.clone(), given_run));
        }
        if new.source.starts_with("s3://") {
            validation::object_store_uri("source", &new.source).map_err(|_| refused(RELATIVE))?;
            return Ok((new.source.clone(), given_run));
        }
        Err(refused(
            "Use models:/, runs:/, mlflow-artifacts:/ or s3://; local paths and http addresses are refused.",
        ))
    }

    /// Returns a version.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn version(&self, name: &str, version: i32) -> Result<ModelVersion, Error> {
        validation::model_name(name)?;
        self.find_version(self.database().reader(), name, version).await
    }

    pub(crate) async fn find_version(
        &self,
        connection: &impl sea_orm::ConnectionTrait,
        name: &str,
        version: i32,
    ) -> Result<ModelVersion, Error> {
        store::versions::find(connection, name, version)
            .await?
            .ok_or_else(|| {
                Error::not_found(format!(
                    "Model Version (name={}, version={version}) not found",
                    validation::shorten(name)
                ))
            })
    }

    /// Returns the versions that match.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a filter, order or page token that cannot be read.
    pub async fn search_versions(&self, query: &Query) -> Result<Page<ModelVersion>, Error> {
        let plan = search::plan(&search::targets::VERSIONS, query, limits::VERSIONS_PER_PAGE)?;
        Ok(store::versions::search(self.database().reader(), self.database().engine(), &plan).await?)
    }

    /// Returns the newest version of each of these stages, of every stage when none is named.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the model.
    pub async fn latest_versions(&self, name: &str, stages: &[Stage]) -> Result<Vec<ModelVersion>, Error> {
        let model = self.model(name).await?;
        let wanted = |version: &ModelVersion| stages.is_empty() || stages.contains(&version.stage);
        Ok(model.latest_versions.into_iter().filter(wanted).collect())
    }

    /// Changes the description of a version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidParameter`].
    pub async fn update_version(
        &self,
        name: &str,
        version: i32,
        description: Option<String>,
    ) -> Result<ModelVersion, Error> {
        validation::description(description.as_deref())?;
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        self.find_version(&transaction, name, version).await?;
        store::versions::set_description(&transaction, name, version, description.as_deref(), self.now())
            .await?;
        transaction.commit().await?;
        self.tell(Change::ModelChanged {
            name: name.to_owned(),
        });
        self.version(name, version).await
    }

    /// Moves a version to a stage, and on request those that were there to `Archived`.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidParameter`] when asked to archive others for a stage nothing is served
    /// from.
    pub async fn move_to_stage(
        &self,
        name: &str,
        version: i32,
        stage: Stage,
        archive_existing: bool,
    ) -> Result<ModelVersion, Error> {
        if archive_existing && !matches!(stage, Stage::Staging | Stage::Production) {
            return Err(Error::invalid(format!(
                "Model version transition cannot archive existing model versions because '{}' is not an Active \
                 stage. Valid stages are ['Staging', 'Production']",
                stage.as_str()
            )));
        }
        let now = self.now();
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        self.find_version(&transaction, name, version).await?;
        if archive_existing {
            store::versions::archive_others(&transaction, name, version, stage, now).await?;
        }
        store::versions::set_stage(&transaction, name, version, stage, now).await?;
        store::models::touch(&transaction, name, now).await?;
        transaction.commit().await?;
        self.tell(Change::ModelChanged {
            name: name.to_owned(),
        });
        self.version(name, version).await
    }

    /// Deletes a version and the aliases that point at it. Its number is not given again; artifacts stay.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_version(&self, name: &str, version: i32) -> Result<(), Error> {
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        let deleted = self.find_version(&transaction, name, version).await?;
        store::versions::redact(&transaction, name, version, self.now()).await?;
        store::models::delete_aliases_of(&transaction, name, version).await?;
        store::models::touch(&transaction, name, self.now()).await?;
        transaction.commit().await?;
        for alias in deleted.aliases {
            self.tell(Change::Alias {
                name: name.to_owned(),
                alias,
                version: None,
            });
        }
        self.tell(Change::ModelChanged {
            name: name.to_owned(),
        });
        Ok(())
    }

    /// Sets a tag of a version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidParameter`].
    pub async fn set_version_tag(&self, name: &str, version: i32, tag: Tag) -> Result<(), Error> {
        validation::version_tag(&tag)?;
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        self.find_version(&transaction, name, version).await?;
        store::versions::set_tags(&transaction, name, version, std::slice::from_ref(&tag)).await?;
        transaction.commit().await?;
        self.tell(Change::ModelChanged {
            name: name.to_owned(),
        });
        self.occurred(Occurrence::VersionTagSet {
            name: name.to_owned(),
            version,
            tag,
        });
        Ok(())
    }

    /// Removes a tag of a version; succeeds when there is none.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the version.
    pub async fn delete_version_tag(&self, name: &str, version: i32, key: &str) -> Result<(), Error> {
        validation::key("key", key)?;
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        self.find_version(&transaction, name, version).await?;
        store::versions::delete_tag(&transaction, name, version, key).await?;
        transaction.commit().await?;
        self.tell(Change::ModelChanged {
            name: name.to_owned(),
        });
        self.occurred(Occurrence::VersionTagDeleted {
            name: name.to_owned(),
            version,
            key: key.to_owned(),
        });
        Ok(())
    }
}
