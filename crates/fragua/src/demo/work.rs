//! The steps of the demo: load, train, serve, predict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use fragua_auth::{Auth, KeyScope, NewServingKey};
use fragua_base::Endpoints;
use fragua_database::Database;
use fragua_orchestrator::{Change, DagRun, DagRunQuery, DagRunState, Orchestrator, TriggerRequest};
use fragua_serving::{ServedModel, Serving};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};

use super::progress::Progress;
use super::summary::{Model, Summary};
use super::watch::{Watch, failure};
use crate::databases::{default_url, in_project};
use crate::http;
use crate::project::Project;
use crate::roles::Running;
use crate::settings::Loaded;

const LOADING: &str = "data_loading_dag";
const TRAINING: &str = "model_training_dag";
const TRAINING_TASK: &str = "train_model";

/// How many days there are to catch up.
const DAYS: u64 = 10;

/// What the demo works with.
pub(super) struct Work<'a> {
    loaded: &'a Loaded,
    project: Project,
    auth: Auth,
    orchestrator: Orchestrator,
    serving: Serving,
    endpoints: Endpoints,
    progress: &'a Progress,
}

impl<'a> Work<'a> {
    /// Takes the parts it needs from the roles.
    ///
    /// # Errors
    /// When the settings leave one of those roles out.
    pub(super) fn new(loaded: &'a Loaded, running: &Running, progress: &'a Progress) -> anyhow::Result<Self> {
        let app = running.app();
        let needs =
            |role: &str| format!("the demo needs the role {role}: take server.roles out of the settings");
        Ok(Self {
            loaded,
            project: Project::open(&loaded.project)?,
            auth: app.auth().clone(),
            orchestrator: app
                .orchestrator()
                .cloned()
                .with_context(|| needs("orchestrator"))?,
            serving: app.serving().cloned().with_context(|| needs("serving"))?,
            endpoints: running.endpoints().clone(),
            progress,
        })
    }

    /// Does the job.
    ///
    /// # Errors
    /// When a run fails, with the last lines of its log, or the model does not answer.
    pub(super) async fn run(&self, started: Instant) -> anyhow::Result<Option<Summary>> {
        // Made before anything is asked for, so that no event is missed.
        let mut watch = Watch::new(self.orchestrator.clone());
        watch.until_dags(&[LOADING, TRAINING]).await?;
        for dag_id in [LOADING, TRAINING] {
            self.orchestrator.set_paused(dag_id, false).await?;
        }
        let request = TriggerRequest {
            note: Some("asked for by fragua demo".to_owned()),
            ..TriggerRequest::default()
        };
        let training = self.orchestrator.trigger(TRAINING, request).await?;
        self.load_and_train(&mut watch, &training).await?;
        let model = self.served_model().await?;
        let prediction = self.predict().await?;
        self.progress
            .done("the inference API answered for the example row");
        let figure = |name: &str| {
            model
                .metrics
                .get(name)
                .copied()
                .with_context(|| format!("the run of version {} has no metric {name}", model.version))
        };
        Ok(Some(Summary {
            rows_loaded: self.row_count().await?,
            accuracy: figure("accuracy")?,
            f1_macro: figure("f1_macro")?,
            model: Model {
                name: model.name.clone(),
                version: model.version_value(),
                alias: self.serving.settings().alias.clone(),
            },
            prediction,
            endpoints: self.endpoints.clone(),
            took: started.elapsed(),
        }))
    }

    /// The training waits for the loads by itself; here they are only watched.
    async fn load_and_train(&self, watch: &mut Watch, training: &DagRun) -> anyhow::Result<()> {
        let (orchestrator, progress) = (&self.orchestrator, self.progress);
        progress.counted("days loaded", self.days_loaded().await?, DAYS);
        let mut log = LogTail::default();
        watch
            .until_finished(training, async |change| match change {
                Change::DagRun {
                    dag_id,
                    run_id,
                    state,
                } if dag_id == LOADING => {
                    if *state == DagRunState::Failed {
                        let run = orchestrator.dag_run(dag_id, run_id).await?;
                        return Err(failure(orchestrator, &run).await?.into());
                    }
                    if *state == DagRunState::Success {
                        let days = self.days_loaded().await?;
                        progress.counted("days loaded", days, DAYS);
                        if days == DAYS {
                            progress.done(&format!("{DAYS} days of {LOADING} caught up"));
                            progress.doing("training");
                        }
                    }
                    Ok(())
                }
                Change::Log {
                    dag_id,
                    run_id,
                    task_id,
                    attempt,
                } if dag_id == TRAINING && *run_id == training.run_id && task_id == TRAINING_TASK => {
                    if let Some(line) = log.newest_line(orchestrator, training, *attempt).await {
                        progress.doing(&format!("training: {line}"));
                    }
                    Ok(())
                }
                _ => Ok(()),
            })
            .await?;
        progress.done(&format!(
            "{TRAINING} trained and registered a model and compared it with the champion"
        ));
        Ok(())
    }

    async fn days_loaded(&self) -> anyhow::Result<u64> {
        let query = DagRunQuery {
            dag_id: Some(LOADING.to_owned()),
            state: Some(DagRunState::Success),
            limit: DAYS,
            offset: 0,
        };
        Ok(self.orchestrator.dag_runs(query).await?.len() as u64)
    }

    /// Waits until the version that the alias names is in memory.
    async fn served_model(&self) -> anyhow::Result<Arc<ServedModel>> {
        self.progress.doing("waiting for the model to be served");
        self.serving.follow_alias().await;
        let state = self.serving.state();
        if let Some(explanation) = state.explanation() {
            anyhow::bail!("the trained model is not served: {explanation}");
        }
        let model = state
            .model
            .clone()
            .context("no model is served after the training")?;
        self.progress
            .done(&format!("{} version {} is served", model.name, model.version));
        Ok(model)
    }

    /// Asks the inference API over HTTP, as any client would.
    async fn predict(&self) -> anyhow::Result<Value> {
        let address = self
            .endpoints
            .serving
            .as_deref()
            .context("the demo needs the role serving")?;
        let mut request = http::client()?
            .post(format!("{address}/predict"))
            .json(&example_row());
        if self.serving.requires_keys() {
            let new = NewServingKey {
                name: "fragua demo".to_owned(),
                scope: KeyScope::Models([self.serving.settings().model.clone()].into()),
                lifetime: Some(Duration::from_secs(60)),
            };
            let (_, key) = self.auth.create_serving_key(new).await?;
            request = request.bearer_auth(key.expose());
        }
        let response = request
            .send()
            .await
            .context("the inference API does not answer")?;
        let status = response.status();
        let body: Value = response
            .json()
            .await
            .context("the inference API answers no JSON")?;
        if !status.is_success() {
            anyhow::bail!("the inference API answers {status} to the example row: {body}");
        }
        Ok(body)
    }

    async fn row_count(&self) -> anyhow::Result<u64> {
        const SETTING: &str = "connections.warehouse.url";
        let connection = self.loaded.settings.connections.get("warehouse");
        let url = match connection.and_then(|connection| connection.url.as_ref()) {
            Some(url) => in_project(url.expose(), self.project.folder()),
            None => default_url(&self.project, "warehouse"),
        };
        let database = Database::open(&url, SETTING).await?;
        let reader = database.reader();
        let count = Statement::from_string(reader.get_database_backend(), "SELECT COUNT(*) FROM cover_type");
        let row = reader
            .query_one_raw(count)
            .await
            .context("the loaded rows cannot be counted")?
            .context("the database counts nothing")?;
        let count: i64 = row.try_get_by_index(0)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

/// The row that a prediction is asked for.
fn example_row() -> Value {
    json!({
        "Elevation": 2596,
        "Aspect": 51,
        "Slope": 3,
        "Horizontal_Distance_To_Hydrology": 258,
        "Vertical_Distance_To_Hydrology": 0,
        "Horizontal_Distance_To_Roadways": 510,
        "Hillshade_9am": 221,
        "Hillshade_Noon": 232,
        "Hillshade_3pm": 148,
        "Horizontal_Distance_To_Fire_Points": 6279,
        "Wilderness_Area": "Rawah",
        "Soil_Type": "C7745",
    })
}

/// Reads a log as it grows.
#[derive(Default)]
struct LogTail {
    attempt: u32,
    offset: u64,
}

impl LogTail {
    /// Returns the newest whole line since the last call.
    async fn newest_line(
        &mut self,
        orchestrator: &Orchestrator,
        run: &DagRun,
        attempt: u32,
    ) -> Option<String> {
        if self.attempt != attempt {
            *self = Self { attempt, offset: 0 };
        }
        let chunk = orchestrator
            .read_log(&run.dag_id, &run.run_id, TRAINING_TASK, attempt, self.offset)
            .await
            .ok()?;
        self.offset = chunk.next_offset;
        let text = String::from_utf8_lossy(&chunk.bytes);
        text.lines().rev().find_map(message).map(shortened)
    }
}

/// Returns what the task itself said in a line of its log: after the instant and the name of the stream.
fn message(line: &str) -> Option<&str> {
    let (_instant, rest) = line.split_once(' ')?;
    let (stream, message) = rest.split_once(' ')?;
    let message = message.trim();
    (matches!(stream, "out" | "err") && !message.is_empty()).then_some(message)
}

/// Cuts a message to what one line of a terminal shows.
fn shortened(message: &str) -> String {
    const LONGEST: usize = 100;
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_task_said_is_shown() {
        let check = |line: &str, expected: Option<&str>| assert_eq!(message(line), expected, "{line}");
        check(
            "2026-11-24T04:41:24.851Z out read 11620 rows",
            Some("read 11620 rows"),
        );
        check("2026-11-24T04:41:24.851Z err careful", Some("careful"));
        check("2026-11-24T04:41:24.851Z fragua attempt 1 begins", None);
        check("2026-11-24T04:41:24.851Z out ", None);
        check("", None);
    }

    #[test]
    fn the_readmes_ask_for_the_example_row() {
        for readme in [
            include_str!("../../../../README.md"),
            include_str!("../../../../README.es.md"),
        ] {
            let (_, asked) = readme
                .split_once("/predict -H \"content-type: application/json\" -d '")
                .unwrap();
            let (row, _) = asked.split_once("'\n").unwrap();
            assert_eq!(serde_json::from_str::<Value>(row).unwrap(), example_row());
        }
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        let long = "ñ".repeat(200);
        assert_eq!(shortened(&long).chars().count(), 101);
    }
}
