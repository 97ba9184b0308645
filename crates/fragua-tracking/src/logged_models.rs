//! Logged models: what a run made, before and besides any registration.

use std::fmt;

use fragua_base::{Page, Timestamp, random_hex};

use crate::experiments::{ExperimentId, active};
use crate::metrics::Metric;
use crate::runs::{Param, Tag};
use crate::validation::{self, limits};
use crate::{Error, Query, Tracking, experiments, names, search, store};

/// The state of a logged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedModelStatus {
    /// Its files are being written.
    Pending,
    /// Its files are complete.
    Ready,
    /// Writing its files failed.
    UploadFailed,
}

impl LoggedModelStatus {
    /// Returns the name in the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "LOGGED_MODEL_PENDING",
            Self::Ready => "LOGGED_MODEL_READY",
            Self::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }

    /// Returns the status with this name, or `None`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pending, Self::Ready, Self::UploadFailed]
            .into_iter()
            .find(|status| status.as_str() == name)
    }

    /// Returns the number in the table.
    pub(crate) const fn number(self) -> i32 {
        match self {
            Self::Pending => 1,
            Self::Ready => 2,
            Self::UploadFailed => 3,
        }
    }

    pub(crate) fn from_number(number: i32) -> Self {
        match number {
            2 => Self::Ready,
            3 => Self::UploadFailed,
            _ => Self::Pending,
        }
    }
}

impl fmt::Display for LoggedModelStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A model that a run made.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedModel {
    /// `m-` and 32 hexadecimal digits.
    pub model_id: String,
    /// The experiment it belongs to.
    pub experiment_id: ExperimentId,
    /// Its name; not unique.
    pub name: String,
    /// Where its files are, for example `mlflow-artifacts:/3/models/MODEL/artifacts`.
    pub artifact_uri: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Its state.
    pub status: LoggedModelStatus,
    /// Why it is in that state.
    pub status_message: Option<String>,
    /// What kind of model it is.
    pub model_type: String,
    /// The run that made it.
    pub source_run_id: Option<String>,
    /// Its tags by key.
    pub tags: Vec<Tag>,
    /// Its parameters by key.
    pub params: Vec<Param>,
    /// What was measured on it.
    pub metrics: Vec<Metric>,
}

/// A logged model to make.
#[derive(Debug, Clone, Default)]
pub struct NewLoggedModel {
    /// The experiment; `None` for the default one.
    pub experiment_id: Option<ExperimentId>,
    /// Its name; one is invented when there is none.
    pub name: Option<String>,
    /// What kind of model it is.
    pub model_type: Option<String>,
    /// The run that makes it.
    pub source_run_id: Option<String>,
    /// Its parameters.
    pub params: Vec<Param>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// One key to order logged models by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedModelOrder {
    /// An attribute such as `creation_timestamp`, or `metrics.KEY`.
    pub field_name: String,
    /// Smallest first.
    pub ascending: bool,
    /// For a metric: only values measured on the data set of this name.
    pub dataset_name: Option<String>,
    /// For a metric: only values measured on the data set of this digest.
    pub dataset_digest: Option<String>,
}

/// Which logged models to return.
#[derive(Debug, Clone, Default)]
pub struct LoggedModelQuery {
    /// Of which experiments.
    pub experiment_ids: Vec<ExperimentId>,
    /// What they must match, in MLflow's filter language.
    pub filter: String,
    /// Metric conditions look only at values measured on these data sets: name and, perhaps, digest.
    pub datasets: Vec<(String, Option<String>)>,
    /// The order.
    pub order_by: Vec<LoggedModelOrder>,
    /// How many; `None` for 100.
    pub max_results: Option<u64>,
    /// Where the page begins.
    pub page_token: Option<String>,
}

impl Tracking {
    /// Makes a logged model that waits for its files.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the experiment; [`Error::InvalidParameter`].
    pub async fn create_logged_model(&self, new: NewLoggedModel) -> Result<LoggedModel, Error> {
        let experiment_id = new.experiment_id.unwrap_or(ExperimentId(0));
        let name = new
            .name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(names::invent);
        validation::logged_model_name(&name)?;
        let params = validation::logged_model_params(new.params)?;
        for tag in &new.tags {
            validation::logged_model_tag(tag)?;
        }
        let model_type = new.model_type.unwrap_or_default();
        validation::max_chars("model_type", &model_type, limits::LOGGED_MODEL_TYPE)?;
        let transaction = self.database().begin().await?;
        let experiment = store::experiments::find(&transaction, experiment_id)
            .await?
            .ok_or_else(|| experiments::missing(experiment_id))?;
        let experiment = active(experiment)?;
        let model_id = format!("m-{}", random_hex(16));
        let now = self.now();
        let model = LoggedModel {
            artifact_uri: format!(
                "{}/models/{model_id}/artifacts",
                experiment.artifact_location.trim_end_matches('/')
            ),
            model_id,
            experiment_id,
            name,
            created_at: now,
            updated_at: now,
            status: LoggedModelStatus::Pending,
            status_message: None,
            model_type,
            source_run_id: new.source_run_id.filter(|run_id| !run_id.is_empty()),
            tags: new.tags,
            params,
            metrics: Vec::new(),
        };
        store::logged_models::insert(&self.family().on(&transaction), &model).await?;
        transaction.commit().await?;
        Ok(model)
    }

    /// Returns a logged model with its data.
    ///
    /// # Errors
    /// [`Error::NotFound`], for deleted ones too.
    pub async fn logged_model(&self, model_id: &str) -> Result<LoggedModel, Error> {
        let reader = self.database().reader();
        let found = store::logged_models::find(&self.family().on(reader), model_id)
            .await?
            .ok_or_else(|| missing(model_id))?;
        let mut models = store::logged_models::with_data(&self.family().on(reader), vec![found]).await?;
        models.pop().ok_or_else(|| missing(model_id))
    }

    /// Says how writing the files of a logged model ended.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn finalize_logged_model(
        &self,
        model_id: &str,
        status: LoggedModelStatus,
    ) -> Result<LoggedModel, Error> {
        if !store::logged_models::set_status(
            &self.family().on(self.database().writer()),
            model_id,
            status,
            self.now(),
        )
        .await?
        {
            return Err(missing(model_id));
        }
        self.logged_model(model_id).await
    }

    /// Deletes a logged model. Its artifacts stay.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_logged_model(&self, model_id: &str) -> Result<(), Error> {
        if !store::logged_models::mark_deleted(
            &self.family().on(self.database().writer()),
            model_id,
            self.now(),
        )
        .await?
        {
            return Err(missing(model_id));
        }
        Ok(())
    }

    /// Restores a deleted logged model.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such deleted model.
    pub async fn restore_logged_model(&self, model_id: &str) -> Result<(), Error> {
        let writer = self.database().writer();
        if !store::logged_models::restore(&self.family().on(writer), model_id, self.now()).await? {
            return Err(missing(model_id));
        }
        Ok(())
    }

    /// Sets tags of a logged model.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidParameter`].
    pub async fn set_logged_model_tags(&self, model_id: &str, tags: Vec<Tag>) -> Result<LoggedModel, Error> {
        for tag in &tags {
            validation::logged_model_tag(tag)?;
        }
        let transaction = self.database().begin().await?;
        let model = store::logged_models::find(&self.family().on(&transaction), model_id)
            .await?
            .ok_or_else(|| missing(model_id))?;
        store::logged_models::upsert_tags(&self.family().on(&transaction), &model, &tags).await?;
        transaction.commit().await?;
        self.logged_model(model_id).await
    }

    /// Removes a tag of a logged model.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the model or the tag.
    pub async fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<(), Error> {
        let transaction = self.database().begin().await?;
        store::logged_models::find(&self.family().on(&transaction), model_id)
            .await?
            .ok_or_else(|| missing(model_id))?;
        if !store::logged_models::delete_tag(&self.family().on(&transaction), model_id, key).await? {
            return Err(Error::not_found(format!(
                "No tag with key '{}' found for model with ID '{model_id}'.",
                validation::shorten(key)
            )));
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Adds parameters to a logged model.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidParameter`] when one exists.
    pub async fn log_logged_model_params(&self, model_id: &str, params: Vec<Param>) -> Result<(), Error> {
        let params = validation::logged_model_params(params)?;
        let transaction = self.database().begin().await?;
        let model = store::logged_models::find(&self.family().on(&transaction), model_id)
            .await?
            .ok_or_else(|| missing(model_id))?;
        store::logged_models::insert_params(&self.family().on(&transaction), &model, &params).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Returns the logged models that match, with their data.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a filter, order or page token that cannot be read.
    pub async fn search_logged_models(&self, query: &LoggedModelQuery) -> Result<Page<LoggedModel>, Error> {
        let plain = Query {
            filter: query.filter.clone(),
            max_results: query.max_results,
            ..Query::default()
        };
        let mut plan = search::plan(
            &search::targets::LOGGED_MODELS,
            &plain,
            limits::LOGGED_MODELS_PER_PAGE,
        )?;
        plan.order = search::logged_model_order(&query.order_by)?;
        plan.offset = search::token::logged_models_offset(query)?;
        if query.datasets.iter().any(|(name, _)| name.is_empty()) {
            return Err(Error::invalid(
                "`dataset_name` in the `datasets` clause must be specified.",
            ));
        }
        if query.experiment_ids.is_empty() {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        let (reader, engine) = (self.database().reader(), self.database().engine());
        let page = store::logged_models::search(&self.family().on(reader), engine, query, &plan).await?;
        let next = page
            .next
            .map(|_| search::token::encode_logged_models(query, plan.offset + plan.limit))
            .transpose()?;
        Ok(Page {
            items: store::logged_models::with_data(&self.family().on(reader), page.items).await?,
            next,
        })
    }
}

fn missing(model_id: &str) -> Error {
    Error::not_found(format!(
        "Logged model with ID '{}' not found.",
        validation::shorten(model_id)
    ))
}
