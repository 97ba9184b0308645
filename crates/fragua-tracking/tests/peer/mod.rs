//! What tests with databases and files of MLflow share: MLflow itself, and what Fragua says in its words.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use fragua_base::SystemClock;
use fragua_database::{Database, sqlite_url};
use fragua_storage::Storage;
use fragua_tracking::{Query, Settings, Tag, Tracking, ViewType};
use serde_json::{Value, json};

/// Runs commands of `mlflow_database.py` in one process.
pub(crate) fn mlflow(variable: &str, folder: &Path, commands: &[Value]) -> Vec<Value> {
    let python = std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} names no interpreter with mlflow: run the tests with `cargo xtask test`")
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mlflow_database.py");
    let output = Command::new(python)
        .arg(script)
        .arg(Value::from(commands.to_vec()).to_string())
        .current_dir(folder)
        .env("HOME", folder)
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .env("MLFLOW_ALLOW_FILE_STORE", "true")
        .output()
        .expect("the interpreter starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answers = text.lines().find_map(|line| line.strip_prefix("ANSWERS "));
    let Some(answers) = answers.filter(|_| output.status.success()) else {
        panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    serde_json::from_str(answers).unwrap()
}

/// Opens tracking over a database; objects go to a folder.
pub(crate) async fn open(database: &Database, folder: &Path) -> Tracking {
    let clock = Arc::new(SystemClock);
    let url = sqlite_url(&folder.join("storage.db"));
    let settings = fragua_storage::Settings::new(folder.join("objects"));
    let storage = Database::open(&url, "storage.database_url").await.unwrap();
    let storage = Storage::open(storage, settings, clock.clone()).await.unwrap();
    Tracking::open(database.clone(), storage, Settings::default(), clock)
        .await
        .unwrap()
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
        let mut runs = tracking
            .search_runs(&[experiment.id], &query)
            .await
            .unwrap()
            .items;
        runs.sort_by(|one, other| one.info.run_name.cmp(&other.info.run_name));
        let mut of_experiment = Vec::new();
        for run in &runs {
            let mut points = 0;
            for metric in &run.metrics {
                let history = tracking.metric_history(&run.info.run_id, &metric.key, None, None);
                points += history.await.unwrap().items.len();
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
            of_experiment.push(json!({
                "name": run.info.run_name,
                "status": run.info.status.as_str(),
                "stage": run.info.lifecycle_stage.as_str(),
                "params": params,
                "tags": map(&run.tags),
                "metrics": metrics.collect::<serde_json::Map<_, _>>(),
                "points": points,
                "datasets": datasets.collect::<Vec<_>>(),
            }));
        }
        told.push(json!({
            "name": experiment.name,
            "stage": experiment.lifecycle_stage.as_str(),
            "tags": map(&experiment.tags),
            "runs": of_experiment,
        }));
    }
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
    json!({ "experiments": told, "models": models })
}
