//! Registered models, versions and aliases.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ClientError, MlflowClient, found};
use crate::models::RegisteredModel;
use crate::runs::Tag;
use crate::versions::ModelVersion;
use crate::wire::registry::{ModelVersionWire, RegisteredModelWire};

#[derive(Deserialize)]
struct ModelAnswer {
    registered_model: RegisteredModelWire,
}

#[derive(Deserialize)]
struct VersionAnswer {
    model_version: ModelVersionWire,
}

impl MlflowClient {
    /// Makes a registered model unless it is there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ensure_model(&self, name: &str) -> Result<(), ClientError> {
        match self
            .post_only("registered-models/create", &json!({ "name": name }))
            .await
        {
            Err(error) if error.error_code() == Some("RESOURCE_ALREADY_EXISTS") => Ok(()),
            other => other,
        }
    }

    /// Returns a registered model, or `None`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn model(&self, name: &str) -> Result<Option<RegisteredModel>, ClientError> {
        let answer = self
            .get::<ModelAnswer>("registered-models/get", &[("name", name)])
            .await;
        Ok(found(answer)?
            .map(|answer| answer.registered_model.try_into())
            .transpose()?)
    }

    /// Returns the first registered models by name, at most `most`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn models(&self, most: u32) -> Result<Vec<RegisteredModel>, ClientError> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            registered_models: Vec<RegisteredModelWire>,
        }

        let most = most.to_string();
        let answer: Answer = self
            .get("registered-models/search", &[("max_results", most.as_str())])
            .await?;
        let models = answer.registered_models.into_iter();
        Ok(models.map(RegisteredModel::try_from).collect::<Result<_, _>>()?)
    }

    /// Returns the newest versions of all registered models, at most `most`, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn versions(&self, most: u32) -> Result<Vec<ModelVersion>, ClientError> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            model_versions: Vec<ModelVersionWire>,
        }

        let most = most.to_string();
        let answer: Answer = self
            .get(
                "model-versions/search",
                &[
                    ("max_results", most.as_str()),
                    ("order_by", "creation_timestamp DESC"),
                ],
            )
            .await?;
        let versions = answer.model_versions.into_iter();
        Ok(versions.map(ModelVersion::try_from).collect::<Result<_, _>>()?)
    }

    /// Makes the next version of a registered model, which is made too when it is not there.
    /// `source` is `models:/MODEL_ID` or where the files are.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn register_model_version(
        &self,
        name: &str,
        source: &str,
        run_id: Option<&str>,
        model_id: Option<&str>,
    ) -> Result<ModelVersion, ClientError> {
        self.ensure_model(name).await?;
        let mut body = json!({ "name": name, "source": source });
        if let Some(run_id) = run_id {
            body["run_id"] = json!(run_id);
        }
        if let Some(model_id) = model_id {
            body["model_id"] = json!(model_id);
        }
        let answer: VersionAnswer = self.post("model-versions/create", &body).await?;
        Ok(answer.model_version.try_into()?)
    }

    /// Returns a version, or `None`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn version(&self, name: &str, version: i32) -> Result<Option<ModelVersion>, ClientError> {
        let version = version.to_string();
        let query = [("name", name), ("version", version.as_str())];
        let answer = self.get::<VersionAnswer>("model-versions/get", &query).await;
        Ok(found(answer)?
            .map(|answer| answer.model_version.try_into())
            .transpose()?)
    }

    /// Returns the version an alias points at, or `None` without the alias or the model.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resolve_alias(&self, name: &str, alias: &str) -> Result<Option<ModelVersion>, ClientError> {
        let query = [("name", name), ("alias", alias)];
        match self.get::<VersionAnswer>("registered-models/alias", &query).await {
            Ok(answer) => Ok(Some(answer.model_version.try_into()?)),
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            // MLflow says a missing alias so.
            Err(ClientError::Refused {
                status: 400, message, ..
            }) if message.contains("not found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Points an alias at a version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_alias(&self, name: &str, alias: &str, version: i32) -> Result<(), ClientError> {
        let body = json!({ "name": name, "alias": alias, "version": version.to_string() });
        self.post_only("registered-models/alias", &body).await
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_alias(&self, name: &str, alias: &str) -> Result<(), ClientError> {
        let body = json!({ "name": name, "alias": alias });
        self.send_json::<Value>(Method::DELETE, "registered-models/alias", &body)
            .await
            .map(drop)
    }

    /// Sets a tag of a version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_version_tag(&self, name: &str, version: i32, tag: &Tag) -> Result<(), ClientError> {
        let body =
            json!({ "name": name, "version": version.to_string(), "key": tag.key, "value": tag.value });
        self.post_only("model-versions/set-tag", &body).await
    }

    /// Returns where the files of a version are.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn download_uri(&self, name: &str, version: i32) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            artifact_uri: String,
        }

        let version = version.to_string();
        let query = [("name", name), ("version", version.as_str())];
        let answer: Answer = self.get("model-versions/get-download-uri", &query).await?;
        Ok(answer.artifact_uri)
    }
}
