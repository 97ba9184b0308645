//! Registered models: names under which versions are published.

use fragua_base::{Page, Timestamp};

use crate::runs::Tag;
use crate::validation::{self, limits};
use crate::versions::ModelVersion;
use crate::webhooks::Occurrence;
use crate::{Change, Error, Query, Tracking, search, store};

/// A name that points at a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelAlias {
    /// The alias, such as `champion`.
    pub alias: String,
    /// The version it points at.
    pub version: i32,
}

/// A name under which versions of a model are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredModel {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it, or one of its versions, was last changed.
    pub updated_at: Timestamp,
    /// What it is for.
    pub description: Option<String>,
    /// Its tags by key.
    pub tags: Vec<Tag>,
    /// Its aliases by name.
    pub aliases: Vec<ModelAlias>,
    /// The newest version of each stage, oldest first.
    pub latest_versions: Vec<ModelVersion>,
}

impl Tracking {
    /// Makes a registered model without versions.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`]; [`Error::InvalidParameter`] for a bad name, description or tag.
    pub async fn create_model(
        &self,
        name: &str,
        description: Option<String>,
        tags: Vec<Tag>,
    ) -> Result<RegisteredModel, Error> {
        validation::model_name(name)?;
        validation::description(description.as_deref())?;
        for tag in &tags {
            validation::model_tag(tag)?;
        }
        let transaction = self.database().begin().await?;
        if store::models::exists(&transaction, name).await? {
            return Err(Error::AlreadyExists(format!(
                "Registered Model (name={name}) already exists."
            )));
        }
        store::models::insert(&transaction, name, description.as_deref(), self.now()).await?;
        store::models::set_tags(&transaction, name, &tags).await?;
        transaction.commit().await?;
        self.tell(Change::ModelChanged {
            name: name.to_owned(),
        });
        self.occurred(Occurrence::ModelCreated {
            name: name.to_owned(),
            tags,
            description,
        });
        self.model(name).await
    }

    /// Returns a registered model.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn model(&self, name: &str) -> Result<RegisteredModel, Error> {
        validation::model_name(name)?;
        let reader = self.database().reader();
        let row = store::models::find(reader, name)
            .await?
            .ok_or_else(|| model_missing(name))?;
        let mut models = store::models::with_data(reader, vec![row]).await?;
        models.pop().ok_or_else(|| model_missing(name))
    }

    /// Returns the registered models that match.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a filter, order or page token that cannot be read.
    pub async fn search_models(&self, query: &Query) -> Result<Page<RegisteredModel>, Error> {
        let plan = search::plan(&search::targets::MODELS, query, limits::MODELS_PER_PAGE)?;
        let (reader, engine) = (self.database().reader(), self.database().engine());
        let page = store::models::search(reader, engine, &plan).await?;
        Ok(Page {
            items: store::models::with_data(reader, page.items).await?,
            next: page.next,
        })
    }

    /// Changes the description of a registered model.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidParameter`].
    pub async fn update_model(
        &self,
        name: &str,
        description: Option<String>,
    ) -> Result<RegisteredModel, Error> {
        validation::description(description.as_deref())?;
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        store::models::set_description(&transaction, name, description.as_deref(), self.now()).await?;
        transaction.commit().await?;
        self.tell(Change::ModelChanged {
            name: name.to_owned(),
        });
        self.model(name).await
    }

    /// Gives a registered model, its versions, aliases and tags another name.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::AlreadyExists`] when the new name is taken; [`Error::InvalidParameter`].
    pub async fn rename_model(&self, name: &str, new_name: &str) -> Result<RegisteredModel, Error> {
        validation::model_name(new_name)?;
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        if new_name != name {
            if store::models::exists(&transaction, new_name).await? {
                return Err(Error::AlreadyExists(format!(
                    "Registered Model (name={new_name}) already exists."
                )));
            }
            store::models::rename(&transaction, name, new_name, self.now()).await?;
        }
        let aliases = store::models::aliases(&transaction, new_name).await?;
        transaction.commit().await?;
        for ModelAlias { alias, version } in aliases {
            self.tell(Change::Alias {
                name: name.to_owned(),
                alias: alias.clone(),
                version: None,
            });
            self.tell(Change::Alias {
                name: new_name.to_owned(),
                alias,
                version: Some(version),
            });
        }
        self.tell(Change::ModelChanged {
            name: name.to_owned(),
        });
        self.tell(Change::ModelChanged {
            name: new_name.to_owned(),
        });
        self.model(new_name).await
    }

    /// Deletes a registered model with its versions, aliases and tags for good. Artifacts stay.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_model(&self, name: &str) -> Result<(), Error> {
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        let aliases = store::models::aliases(&transaction, name).await?;
        store::models::delete(&transaction, name).await?;
        transaction.commit().await?;
        for ModelAlias { alias, .. } in aliases {
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

    /// Sets a tag of a registered model.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidParameter`].
    pub async fn set_model_tag(&self, name: &str, tag: Tag) -> Result<(), Error> {
        validation::model_tag(&tag)?;
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        store::models::set_tags(&transaction, name, std::slice::from_ref(&tag)).await?;
        transaction.commit().await?;
        self.tell(Change::ModelChanged {
            name: name.to_owned(),
        });
        self.occurred(Occurrence::ModelTagSet {
            name: name.to_owned(),
            tag,
        });
        Ok(())
    }

    /// Removes a tag of a registered model; succeeds when there is none.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the model.
    pub async fn delete_model_tag(&self, name: &str, key: &str) -> Result<(), Error> {
        validation::key("key", key)?;
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        store::models::delete_tag(&transaction, name, key).await?;
        transaction.commit().await?;
        self.tell(Change::ModelChanged {
            name: name.to_owned(),
        });
        self.occurred(Occurrence::ModelTagDeleted {
            name: name.to_owned(),
            key: key.to_owned(),
        });
        Ok(())
    }

    /// Points an alias at a version, moving it when it exists.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the model or the version; [`Error::InvalidParameter`] for a reserved name.
    pub async fn set_alias(&self, name: &str, alias: &str, version: i32) -> Result<(), Error> {
        validation::alias(alias)?;
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        self.find_version(&transaction, name, version).await?;
        store::models::set_alias(&transaction, name, alias, version).await?;
        transaction.commit().await?;
        self.tell(Change::Alias {
            name: name.to_owned(),
            alias: alias.to_owned(),
            version: Some(version),
        });
        self.occurred(Occurrence::AliasSet {
            name: name.to_owned(),
            alias: alias.to_owned(),
            version,
        });
        Ok(())
    }

    /// Removes an alias; succeeds when there is none.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the model.
    pub async fn delete_alias(&self, name: &str, alias: &str) -> Result<(), Error> {
        validation::alias(alias)?;
        let transaction = self.database().begin().await?;
        self.lock_model(&transaction, name).await?;
        let removed = store::models::delete_alias(&transaction, name, alias).await?;
        transaction.commit().await?;
        if removed {
            self.tell(Change::Alias {
                name: name.to_owned(),
                alias: alias.to_owned(),
                version: None,
            });
            self.occurred(Occurrence::AliasDeleted {
                name: name.to_owned(),
                alias: alias.to_owned(),
            });
        }
        Ok(())
    }

    /// Returns the version an alias points at; `latest` is the newest version.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the model; [`Error::InvalidParameter`] without the alias, as MLflow has it.
    pub async fn version_by_alias(&self, name: &str, alias: &str) -> Result<ModelVersion, Error> {
        validation::model_name(name)?;
        let reader = self.database().reader();
        if !store::models::exists(reader, name).await? {
            return Err(model_missing(name));
        }
        let version = if alias.eq_ignore_ascii_case("latest") {
            let newest = store::versions::newest(reader, name).await?;
            newest.ok_or_else(|| Error::not_found(format!("Latest version not found for model {name}.")))?
        } else {
            let found = store::models::aliases(reader, name)
                .await?
                .into_iter()
                .find(|found| found.alias == alias);
            let missing = || {
                Error::invalid(format!(
                    "Registered model alias {} not found.",
                    validation::shorten(alias)
                ))
            };
            found.ok_or_else(missing)?.version
        };
        self.version(name, version).await
    }

    pub(crate) async fn lock_model(
        &self,
        transaction: &sea_orm::DatabaseTransaction,
        name: &str,
    ) -> Result<(), Error> {
        validation::model_name(name)?;
        if store::models::lock(transaction, name).await? {
            Ok(())
        } else {
            Err(model_missing(name))
        }
    }
}

pub(crate) fn model_missing(name: &str) -> Error {
    Error::not_found(format!(
        "Registered Model with name={} not found",
        validation::shorten(name)
    ))
}
