//! What tests with databases and files of MLflow share: MLflow itself, and what Fragua says in its words.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use fragua_base::{SystemClock, Timestamp};
use fragua_database::{Database, sqlite_url};
use fragua_storage::{BucketName, Storage};
use fragua_tracking::{
    ExperimentId, LoggedModelQuery, LoggedModelStatus, Query, Run, Settings, Tag, Tracking, ViewType,
};
use serde_json::{Value, json};

/// A process with MLflow in it that does the commands of `mlflow.py`.
pub(crate) struct Mlflow {
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl Mlflow {
    /// Starts the interpreter that the variable names.
    pub(crate) fn start(variable: &str, folder: &Path) -> Self {
        let python = std::env::var_os(variable).unwrap_or_else(|| {
            panic!("{variable} names no interpreter with mlflow: run the tests with `cargo xtask test`")
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mlflow/peer.py");
        let mut process = Command::new(python)
            .arg(script)
            .current_dir(folder)
            .env("HOME", folder)
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env("MLFLOW_ALLOW_FILE_STORE", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, answers }
    }

    /// Does a command, a list of its name and arguments, and returns what it tells.
    pub(crate) fn ask(&mut self, command: &Value) -> Value {
        let input = self.process.stdin.as_mut().expect("it is piped");
        writeln!(input, "{command}").unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.answers.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "MLflow has ended over {command}");
            if let Some(answer) = line.strip_prefix("ANSWER ") {
                return serde_json::from_str(answer).unwrap();
            }
        }
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the address as SQLAlchemy wants it.
pub(crate) fn sqlalchemy(url: &str) -> String {
    match url.split_once("://") {
        Some(("postgresql" | "postgres", rest)) => format!("postgresql+psycopg2://{rest}"),
        Some(("mysql", rest)) => format!("mysql+pymysql://{rest}"),
        _ => url.replacen("sqlite:", "sqlite:///", 1),
    }
}

/// Opens tracking over a database; objects go to a folder.
pub(crate) async fn open(database: &Database, folder: &Path) -> Tracking {
    let (storage, settings) = beside(folder).await;
    let clock = Arc::new(SystemClock);
    Tracking::open(database.clone(), storage, settings, clock)
        .await
        .unwrap()
}

/// The same, to read the database as it is.
pub(crate) async fn open_to_read(database: &Database, folder: &Path) -> Tracking {
    let (storage, settings) = beside(folder).await;
    let bucket = BucketName::parse(&settings.artifact_bucket).unwrap();
    storage.ensure_bucket(&bucket).await.unwrap();
    let clock = Arc::new(SystemClock);
    let opened = Tracking::open_to_read(database.clone(), storage, settings, clock).await;
    opened.unwrap().unwrap()
}

async fn beside(folder: &Path) -> (Storage, Settings) {
    let url = sqlite_url(&folder.join("storage.db"));
    let settings = fragua_storage::Settings::new(folder.join("objects"));
    let storage = Database::open(&url, "storage.database_url").await.unwrap();
    let storage = Storage::open(storage, settings, Arc::new(SystemClock))
        .await
        .unwrap();
    let settings = Settings {
        local_artifacts: vec![folder.join("mlruns").into()],
        ..Settings::default()
    };
    (storage, settings)
}

fn map(tags: &[Tag]) -> BTreeMap<&str, &str> {
    tags.iter()
        .map(|tag| (tag.key.as_str(), tag.value.as_str()))
        .collect()
}

fn number(value: f64) -> Value {
    if value.is_nan() {
        json!("NaN")
    } else {
        json!(value)
    }
}

/// Returns what `read` of the Python side returns.
pub(crate) async fn read(tracking: &Tracking) -> Value {
    let query = Query {
        view: ViewType::All,
        ..Query::default()
    };
    let mut experiments = tracking.search_experiments(&query).await.unwrap().items;
    experiments.sort_by(|one, other| one.name.cmp(&other.name));
    let mut told = Vec::new();
    for experiment in &experiments {
        let mut runs = Vec::new();
        for run in tracking
            .search_runs(&[experiment.id], &query)
            .await
            .unwrap()
            .items
        {
            runs.push(read_run(tracking, &run).await);
        }
        sort_by_name(&mut runs);
        told.push(json!({
            "name": experiment.name,
            "stage": experiment.lifecycle_stage.as_str(),
            "tags": map(&experiment.tags),
            "runs": runs,
        }));
    }
    let ids: Vec<ExperimentId> = experiments.iter().map(|experiment| experiment.id).collect();
    json!({
        "experiments": told,
        "models": read_models(tracking).await,
        "logged_models": read_logged_models(tracking, ids).await,
    })
}

fn sort_by_name(told: &mut [Value]) {
    told.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
}

async fn read_run(tracking: &Tracking, run: &Run) -> Value {
    let info = &run.info;
    let mut histories = serde_json::Map::new();
    for metric in &run.metrics {
        let history = tracking.metric_history(&info.run_id, &metric.key, None, None);
        let mut points = history.await.unwrap().items;
        points.sort_by_key(|point| (point.timestamp, point.step));
        let points = points
            .iter()
            .map(|point| json!([point.timestamp.as_millis(), point.step, number(point.value)]));
        histories.insert(metric.key.clone(), points.collect());
    }
    let params: BTreeMap<&str, &str> = run
        .params
        .iter()
        .map(|param| (param.key.as_str(), param.value.as_str()))
        .collect();
    let metrics = run
        .metrics
        .iter()
        .map(|metric| (metric.key.clone(), number(metric.value)));
    let datasets = run
        .dataset_inputs
        .iter()
        .map(|input| json!([input.dataset.name, input.dataset.digest, map(&input.tags)]));
    let made = run
        .model_outputs
        .iter()
        .map(|output| json!([output.model_id, output.step]));
    let times = [info.start_time, info.end_time].map(|time| time.map(Timestamp::as_millis));
    json!({
        "name": info.run_name,
        "user": info.user_id,
        "status": info.status.as_str(),
        "stage": info.lifecycle_stage.as_str(),
        "times": times,
        "params": params,
        "tags": map(&run.tags),
        "metrics": metrics.collect::<serde_json::Map<_, _>>(),
        "histories": histories,
        "datasets": datasets.collect::<Vec<_>>(),
        "models read": run.model_inputs,
        "models made": made.collect::<Vec<_>>(),
    })
}

async fn read_models(tracking: &Tracking) -> Vec<Value> {
    let mut models = Vec::new();
    for model in tracking.search_models(&Query::default()).await.unwrap().items {
        let query = Query {
            filter: format!("name = '{}'", model.name),
            ..Query::default()
        };
        let mut versions = tracking.search_versions(&query).await.unwrap().items;
        versions.sort_by_key(|version| version.version);
        let versions = versions.iter().map(|version| {
            json!([
                version.version,
                version.stage.as_str(),
                version.source,
                map(&version.tags)
            ])
        });
        let aliases = model
            .aliases
            .iter()
            .map(|alias| (alias.alias.clone(), json!(alias.version)));
        models.push(json!({
            "name": model.name,
            "description": model.description.unwrap_or_default(),
            "tags": map(&model.tags),
            "aliases": aliases.collect::<serde_json::Map<_, _>>(),
            "versions": versions.collect::<Vec<_>>(),
        }));
    }
    sort_by_name(&mut models);
    models
}

async fn read_logged_models(tracking: &Tracking, experiment_ids: Vec<ExperimentId>) -> Vec<Value> {
    let query = LoggedModelQuery {
        experiment_ids,
        ..LoggedModelQuery::default()
    };
    let mut models = tracking.search_logged_models(&query).await.unwrap().items;
    models.sort_by(|one, other| one.model_id.cmp(&other.model_id));
    let told = models.iter().map(|model| {
        let params: BTreeMap<&str, &str> = model
            .params
            .iter()
            .map(|param| (param.key.as_str(), param.value.as_str()))
            .collect();
        let metrics = model
            .metrics
            .iter()
            .map(|metric| (metric.key.clone(), number(metric.value)));
        json!({
            "id": model.model_id,
            "name": model.name,
            "status": match model.status {
                LoggedModelStatus::Pending => "PENDING",
                LoggedModelStatus::Ready => "READY",
                LoggedModelStatus::UploadFailed => "FAILED",
            },
            "run": model.source_run_id,
            "params": params,
            "tags": map(&model.tags),
            "metrics": metrics.collect::<serde_json::Map<_, _>>(),
        })
    });
    told.collect()
}

/// MLflow 2 has no words for models that are logged, so it tells of none.
pub(crate) fn with_no_models(mut told: Value) -> Value {
    told["logged_models"] = json!([]);
    for experiment in told["experiments"].as_array_mut().unwrap() {
        for run in experiment["runs"].as_array_mut().unwrap() {
            run["models read"] = json!([]);
            run["models made"] = json!([]);
        }
    }
    told
}
