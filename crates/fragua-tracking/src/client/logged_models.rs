//! Logged models.

use std::path::Path;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{ClientError, MlflowClient};
use crate::ExperimentId;
use crate::logged_models::{LoggedModel, LoggedModelStatus, NewLoggedModel};
use crate::runs::ModelOutput;
use crate::wire::logged_models::LoggedModelWire;
use crate::wire::{KeyValue, all};

#[derive(Deserialize)]
struct ModelAnswer {
    model: LoggedModelWire,
}

impl MlflowClient {
    /// Makes a logged model that waits for its files.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_logged_model(&self, new: NewLoggedModel) -> Result<LoggedModel, ClientError> {
        let mut body = json!({
            "experiment_id": new.experiment_id.unwrap_or(ExperimentId(0)).to_string(),
            "params": all::<_, KeyValue>(new.params),
            "tags": all::<_, KeyValue>(new.tags),
        });
        for (field, value) in [
            ("name", new.name),
            ("model_type", new.model_type),
            ("source_run_id", new.source_run_id),
        ] {
            if let Some(value) = value {
                body[field] = json!(value);
            }
        }
        let answer: ModelAnswer = self.post("logged-models", &body).await?;
        Ok(answer.model.try_into()?)
    }

    /// Returns a logged model.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn logged_model(&self, model_id: &str) -> Result<LoggedModel, ClientError> {
        let answer: ModelAnswer = self.get(&format!("logged-models/{model_id}"), &[]).await?;
        Ok(answer.model.try_into()?)
    }

    /// Says how writing the files of a logged model ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn finalize_logged_model(
        &self,
        model_id: &str,
        status: LoggedModelStatus,
    ) -> Result<LoggedModel, ClientError> {
        let body = json!({ "model_id": model_id, "status": status.as_str() });
        let path = format!("logged-models/{model_id}");
        let answer: ModelAnswer = self.send_json(Method::PATCH, &path, &body).await?;
        Ok(answer.model.try_into()?)
    }

    /// Logs the files of a local folder as a model of a run: makes the logged model with the run's parameters, uploads
    /// the files, marks it ready and records it as an output of the run. A failure on the way marks it as failed.
    ///
    /// The file `MLmodel` of the folder is uploaded with the model's id in it when it has none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_model_folder(
        &self,
        run_id: &str,
        name: &str,
        folder: &Path,
    ) -> Result<LoggedModel, ClientError> {
        let run = self.run(run_id).await?;
        let new = NewLoggedModel {
            experiment_id: Some(run.info.experiment_id),
            name: Some(name.to_owned()),
            source_run_id: Some(run_id.to_owned()),
            params: run.params,
            ..NewLoggedModel::default()
        };
        let model = self.create_logged_model(new).await?;
        if let Err(error) = self.upload_model(&model, run_id, folder).await {
            // The first failure is the one to tell; a model left pending says as much as one marked failed.
            let _ = self
                .finalize_logged_model(&model.model_id, LoggedModelStatus::UploadFailed)
                .await;
            return Err(error);
        }
        let ready = self
            .finalize_logged_model(&model.model_id, LoggedModelStatus::Ready)
            .await?;
        let output = ModelOutput {
            model_id: model.model_id,
            step: 0,
        };
        self.log_outputs(run_id, vec![output]).await?;
        Ok(ready)
    }

    async fn upload_model(
        &self,
        model: &LoggedModel,
        run_id: &str,
        folder: &Path,
    ) -> Result<(), ClientError> {
        self.upload_folder(&model.artifact_uri, folder).await?;
        let path = folder.join("MLmodel");
        let text = tokio::fs::read_to_string(&path)
            .await
            .map_err(ClientError::file(&path))?;
        let mut lines: Vec<String> = Vec::new();
        for (key, value) in [
            ("model_id", model.model_id.as_str()),
            ("run_id", run_id),
            ("artifact_path", model.artifact_uri.as_str()),
        ] {
            if !text.lines().any(|line| line.starts_with(&format!("{key}:"))) {
                lines.push(format!("{key}: {value}"));
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        let text = format!("{}\n{}\n", text.trim_end(), lines.join("\n"));
        self.put_artifact_bytes(&model.artifact_uri, "MLmodel", text)
            .await
    }
}
