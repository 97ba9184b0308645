//! Experiments and runs.

use fragua_base::{Page, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::{ClientError, MlflowClient, found};
use crate::experiments::{Experiment, ExperimentId};
use crate::metrics::Metric;
use crate::runs::{Batch, DatasetInput, ModelOutput, NewRun, Run, RunUpdate, Tag};
use crate::validation::limits;
use crate::wire::experiments::ExperimentWire;
use crate::wire::runs::{DatasetInputWire, MetricWire, ModelOutputWire, RunWire};
use crate::wire::{KeyValue, all};
use crate::{Error, Query};

#[derive(Deserialize)]
struct ExperimentAnswer {
    experiment: ExperimentWire,
}

#[derive(Deserialize)]
struct RunAnswer {
    run: RunWire,
}

impl MlflowClient {
    /// Returns the experiment of this name, or `None`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, ClientError> {
        let answer = self
            .get::<ExperimentAnswer>("experiments/get-by-name", &[("experiment_name", name)])
            .await;
        Ok(found(answer)?
            .map(|answer| Experiment::try_from(answer.experiment))
            .transpose()?)
    }

    /// Returns the experiment of this name and makes it when there is none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_or_create_experiment(&self, name: &str) -> Result<Experiment, ClientError> {
        if let Some(experiment) = self.experiment_by_name(name).await? {
            return Ok(experiment);
        }
        match self
            .post_only("experiments/create", &json!({ "name": name }))
            .await
        {
            Ok(()) => {}
            // Somebody else was faster.
            Err(error) if error.error_code() == Some("RESOURCE_ALREADY_EXISTS") => {}
            Err(error) => return Err(error),
        }
        let made = self.experiment_by_name(name).await?;
        made.ok_or_else(|| ClientError::unreadable("an experiment just made is not there"))
    }

    /// Makes a run that is running.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_run(&self, new: NewRun) -> Result<Run, ClientError> {
        let start_time = new.start_time.map(Timestamp::as_millis);
        let mut body = json!({
            "experiment_id": new.experiment_id.unwrap_or(ExperimentId(0)).to_string(),
            "tags": all::<_, KeyValue>(new.tags),
        });
        if let Some(name) = new.run_name {
            body["run_name"] = json!(name);
        }
        if let Some(user_id) = new.user_id {
            body["user_id"] = json!(user_id);
        }
        if let Some(start_time) = start_time {
            body["start_time"] = json!(start_time);
        }
        let answer: RunAnswer = self.post("runs/create", &body).await?;
        Ok(answer.run.try_into()?)
    }

    /// Returns a run with its data.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn run(&self, run_id: &str) -> Result<Run, ClientError> {
        let answer: RunAnswer = self.get("runs/get", &[("run_id", run_id)]).await?;
        Ok(answer.run.try_into()?)
    }

    /// Changes state, end or name of a run.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn update_run(&self, run_id: &str, update: RunUpdate) -> Result<(), ClientError> {
        let mut body = json!({ "run_id": run_id });
        if let Some(status) = update.status {
            body["status"] = json!(status.as_str());
        }
        if let Some(end_time) = update.end_time {
            body["end_time"] = json!(end_time.as_millis());
        }
        if let Some(name) = update.run_name {
            body["run_name"] = json!(name);
        }
        self.post_only("runs/update", &body).await
    }

    /// Logs metrics, parameters and tags, in as many requests as the protocol's limits ask for.
    ///
    /// # Errors
    /// [`ClientError`]; what the requests before the failing one logged stays.
    pub async fn log_batch(&self, run_id: &str, batch: Batch) -> Result<(), ClientError> {
        let mut metrics = batch.metrics.into_iter().map(MetricWire::from).peekable();
        let mut params = batch.params.into_iter().map(KeyValue::from).peekable();
        let mut tags = batch.tags.into_iter().map(KeyValue::from).peekable();
        while metrics.peek().is_some() || params.peek().is_some() || tags.peek().is_some() {
            let params: Vec<_> = params.by_ref().take(limits::PARAMS_PER_BATCH).collect();
            let tags: Vec<_> = tags.by_ref().take(limits::TAGS_PER_BATCH).collect();
            let room = limits::ENTITIES_PER_BATCH - params.len() - tags.len();
            let metrics: Vec<_> = metrics.by_ref().take(room).collect();
            let body = json!({ "run_id": run_id, "metrics": metrics, "params": params, "tags": tags });
            self.post_only("runs/log-batch", &body).await?;
        }
        Ok(())
    }

    /// Sets a tag of a run.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_tag(&self, run_id: &str, key: &str, value: &str) -> Result<(), ClientError> {
        self.log_batch(
            run_id,
            Batch {
                tags: vec![Tag::new(key, value)],
                ..Batch::default()
            },
        )
        .await
    }

    /// Records the data sets that a run read.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_inputs(&self, run_id: &str, datasets: Vec<DatasetInput>) -> Result<(), ClientError> {
        let body = json!({ "run_id": run_id, "datasets": all::<_, DatasetInputWire>(datasets) });
        self.post_only("runs/log-inputs", &body).await
    }

    /// Records the models that a run made. Servers before 3.0 do not know the request.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_outputs(&self, run_id: &str, outputs: Vec<ModelOutput>) -> Result<(), ClientError> {
        let body = json!({ "run_id": run_id, "models": all::<_, ModelOutputWire>(outputs) });
        self.post_only("runs/outputs", &body).await
    }

    /// Returns the runs of some experiments that match.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn search_runs(
        &self,
        experiments: &[ExperimentId],
        query: &Query,
    ) -> Result<Page<Run>, ClientError> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            runs: Vec<RunWire>,
            next_page_token: Option<String>,
        }

        let ids: Vec<String> = experiments.iter().map(ToString::to_string).collect();
        let mut body = json!({
            "experiment_ids": ids,
            "filter": query.filter,
            "order_by": query.order_by,
            "run_view_type": query.view.name(),
        });
        if let Some(most) = query.max_results {
            body["max_results"] = json!(most);
        }
        if let Some(token) = &query.page_token {
            body["page_token"] = json!(token);
        }
        let answer: Answer = self.post("runs/search", &body).await?;
        let items = answer
            .runs
            .into_iter()
            .map(Run::try_from)
            .collect::<Result<_, Error>>()?;
        Ok(Page {
            items,
            next: answer.next_page_token.filter(|token| !token.is_empty()),
        })
    }

    /// Returns the whole history of a metric of a run.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn metric_history(&self, run_id: &str, key: &str) -> Result<Vec<Metric>, ClientError> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            metrics: Vec<MetricWire>,
            next_page_token: Option<String>,
        }

        let mut metrics = Vec::new();
        let mut token = String::new();
        loop {
            let mut query = vec![("run_id", run_id), ("metric_key", key), ("max_results", "25000")];
            if !token.is_empty() {
                query.push(("page_token", &token));
            }
            let answer: Answer = self.get("metrics/get-history", &query).await?;
            for metric in answer.metrics {
                metrics.push(Metric::try_from(metric)?);
            }
            match answer
                .next_page_token
                .filter(|next| !next.is_empty() && *next != token)
            {
                Some(next) => token = next,
                None => return Ok(metrics),
            }
        }
    }
}
