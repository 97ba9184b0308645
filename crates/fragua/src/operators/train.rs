//! `train`: from a warehouse table to a tracked run and a registered model.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use async_trait::async_trait;
use fragua_base::{Clock as _, SystemClock, Timestamp};
use fragua_learn::card::Fact;
use fragua_learn::config::Candidate;
use fragua_learn::{
    CandidateResult, Column, Event, Judgement, ModelCard, NoProgress, OnBadCell, Progress, ReadOptions,
    Table, TrainConfig, TrainReport, judge, mlflow_model, picture, read_bytes, train,
};
use fragua_orchestrator::{ArgumentError, Operator, Outcome, TaskContext, TaskError, parse_arguments};
use fragua_tracking::client::MlflowClient;
use fragua_tracking::{Batch, Metric, NewRun, Param, RunInfo, RunStatus, Tag};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::place::{Origin, Place, Source};
use super::rows::{self, Rows, Types};
use super::tracking::{connect, describe, end_run, end_runs_of_lost_attempts, params};
use super::{dataset, held_out};

/// The longest tag that MLflow keeps.
const MAXIMUM_TAG_CHARACTERS: usize = 8_000;

/// The best model's card among the run's artifacts.
const MODEL_CARD: &str = "model_card.html";

/// Trains on a table, tracks what it did, and registers the best model.
pub(super) struct Train;

/// The arguments beside those of [`TrainConfig`].
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Destination {
    /// The connection of the table to learn from.
    connection: Option<String>,
    /// The table to learn from.
    table: Option<String>,
    /// What to learn from where it is no whole table: a query, or an object.
    from: Option<Source>,
    /// The experiment that the run belongs to; made when it is missing.
    experiment: String,
    /// The registered model that gets the new version; none is registered when absent.
    #[serde(default)]
    register: Option<String>,
    /// The name of the run; the task and the DAG run by default.
    #[serde(default)]
    run_name: Option<String>,
    /// What to do with a cell that cannot be read as what its column holds.
    #[serde(default)]
    on_bad_cell: OnBadCell,
}

const DESTINATION_KEYS: [&str; 7] = [
    "connection",
    "table",
    "from",
    "experiment",
    "register",
    "run_name",
    "on_bad_cell",
];

impl Destination {
    fn origin(&self) -> Result<Origin<'_>, ArgumentError> {
        match (&self.connection, &self.table, &self.from) {
            (Some(connection), Some(table), None) => Ok(Origin::Place(Place::Table { connection, table })),
            (None, None, Some(from)) => from.origin(),
            _ => Err(ArgumentError::at("", "give a connection and a table, or `from`")),
        }
    }
}

/// Cuts the arguments in those that say where things are and those that say what to learn.
fn split(arguments: &Value) -> Result<(Value, Value), ArgumentError> {
    let arguments = arguments.as_object().ok_or_else(|| {
        ArgumentError::at("", "expected a map with connection, table, experiment and target")
    })?;
    let (destination, config): (Map<_, _>, Map<_, _>) = arguments
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .partition(|(key, _)| DESTINATION_KEYS.contains(&key.as_str()));
    Ok((Value::Object(destination), Value::Object(config)))
}

fn parse(arguments: &Value) -> Result<(Destination, TrainConfig), ArgumentError> {
    let config = train_config(arguments)?;
    let (destination, _) = split(arguments)?;
    let destination: Destination = parse_arguments(&destination)?;
    destination.origin()?;
    Ok((destination, config))
}

/// Reads what to learn out of the arguments of a `train` task, and what to do with bad cells; where the task's rows and
/// models are is not looked at.
pub(crate) fn learn_config(arguments: &Value) -> Result<(TrainConfig, OnBadCell), ArgumentError> {
    let config = train_config(arguments)?;
    let on_bad_cell = match arguments.get("on_bad_cell") {
        None => OnBadCell::default(),
        Some(written) => {
            parse_arguments(written).map_err(|error| ArgumentError::at("/on_bad_cell", error.message))?
        }
    };
    Ok((config, on_bad_cell))
}

/// Reads what to learn, and checks it.
fn train_config(arguments: &Value) -> Result<TrainConfig, ArgumentError> {
    let (_, arguments) = split(arguments)?;
    let config: TrainConfig = parse_arguments(&arguments).map_err(|error| narrowed(error, &arguments))?;
    config.check().map_err(|error| match &error {
        fragua_learn::Error::Config { field, .. } => ArgumentError::at(pointer(field), error.to_string()),
        _ => ArgumentError::at("", error.to_string()),
    })?;
    Ok(config)
}

/// Returns the JSON pointer of a key such as `candidates[0].max_depth`.
fn pointer(field: &str) -> String {
    format!("/{}", field.replace(['[', '.'], "/").replace(']', ""))
}

/// Finds which key of a candidate cannot be read: serde tells of the candidate alone.
fn narrowed(error: ArgumentError, arguments: &Value) -> ArgumentError {
    let index = error.pointer.strip_prefix("/candidates/");
    let candidate = index
        .filter(|index| !index.contains('/'))
        .and_then(|_| arguments.pointer(&error.pointer)?.as_object());
    let Some((candidate, model)) = candidate.and_then(|candidate| Some((candidate, candidate.get("model")?)))
    else {
        return error;
    };
    let at = |name: &str, message: &str| {
        ArgumentError::at(format!("{}/{name}", error.pointer), format!("{name}: {message}"))
    };
    if serde_json::from_value::<Candidate>(json!({ "model": model })).is_err() {
        return at("model", &error.message);
    }
    let wrong = candidate.iter().find_map(|(name, value)| {
        let alone = json!({ "model": model, name: value });
        let message = serde_json::from_value::<Candidate>(alone).err()?.to_string();
        Some(at(name, &message))
    });
    wrong.unwrap_or(error)
}

#[async_trait]
impl Operator for Train {
    fn name(&self) -> &'static str {
        "train"
    }

    fn schema(&self) -> Schema {
        let mut schema = schemars::schema_for!(TrainConfig);
        let destination = schemars::schema_for!(Destination);
        for part in ["properties", "required"] {
            match (schema.get_mut(part), destination.get(part)) {
                (Some(Value::Object(all)), Some(Value::Object(more))) => all.extend(more.clone()),
                (Some(Value::Array(all)), Some(Value::Array(more))) => all.extend(more.clone()),
                _ => {}
            }
        }
        schema
    }

    fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        parse(arguments).map(|_| ())
    }

    async fn run(&self, context: &TaskContext, arguments: Value) -> Result<Outcome, TaskError> {
        let (destination, config) = parse(&arguments)?;
        train_and_log(context, &destination, config)
            .await
            .map_err(|error| TaskError::failed(format!("{error:#}")))
    }
}

async fn read(
    context: &TaskContext,
    origin: &Origin<'_>,
    types: &Types,
    on_bad_cell: OnBadCell,
) -> anyhow::Result<Rows> {
    match origin {
        Origin::Place(Place::Table { connection, table }) => {
            rows::read(&rows::open(context, connection).await?, table, types, on_bad_cell).await
        }
        Origin::Query { connection, query } => {
            rows::read_query(&rows::open(context, connection).await?, query, types, on_bad_cell).await
        }
        Origin::Place(Place::Object(object)) => {
            let (bytes, _) = object.read(context).await?;
            let options = ReadOptions {
                types: types.clone(),
                ..object.read_options(on_bad_cell)
            };
            let reading = tokio::task::spawn_blocking(move || read_bytes(bytes, &options));
            let (table, report) = reading.await.context("the reading panicked")??;
            Ok(Rows {
                digest: rows::digest(&table)?,
                table,
                batches: Vec::new(),
                report,
            })
        }
    }
}

async fn train_and_log(
    context: &TaskContext,
    destination: &Destination,
    config: TrainConfig,
) -> anyhow::Result<Outcome> {
    let origin = destination.origin()?;
    let rows = read(context, &origin, &config.types, destination.on_bad_cell).await?;
    let (count, loads) = (rows.table.row_count(), rows.batches.len());
    println!(
        "read {count} rows of {origin} from {loads} loads, digest {}",
        rows.digest
    );
    if rows.report.bad_cells > 0 {
        println!("{}", rows.report);
    }

    let client = connect(context)?;
    let experiment = client.get_or_create_experiment(&destination.experiment).await?.id;
    end_runs_of_lost_attempts(&client, experiment, context).await?;
    let run_name = destination.run_name.clone();
    let run_name = run_name.unwrap_or_else(|| format!("{} {}", context.task_id, context.dag_run_id));
    let mut tags = describe(context);
    let dag_runs: Vec<_> = rows
        .batches
        .iter()
        .map(|batch| batch.dag_run_id.as_str())
        .collect();
    tags.push(Tag::new(
        "fragua.data_dag_runs",
        dag_runs
            .join(" ")
            .chars()
            .take(MAXIMUM_TAG_CHARACTERS)
            .collect::<String>(),
    ));
    let new = NewRun {
        experiment_id: Some(experiment),
        run_name: Some(run_name),
        tags,
        ..NewRun::default()
    };
    let run = client.create_run(new).await?.info;
    println!("run {} of experiment {}", run.run_id, destination.experiment);

    let logged = log_training(&client, &run, context, destination, config, rows).await;
    let status = if logged.is_ok() {
        RunStatus::Finished
    } else {
        RunStatus::Failed
    };
    end_run(&client, &run.run_id, status).await?;
    logged.map(Outcome::with_xcom)
}

async fn log_training(
    client: &MlflowClient,
    run: &RunInfo,
    context: &TaskContext,
    destination: &Destination,
    config: TrainConfig,
    rows: Rows,
) -> anyhow::Result<Value> {
    let run_id = run.run_id.as_str();
    client
        .log_inputs(run_id, vec![dataset::input(&destination.origin()?, &rows)])
        .await?;
    // What is judged changes nothing about the model.
    let mut settings = params(&serde_json::to_value(&config)?, &["candidates", "judge"]);
    settings.push(Param::new("rows", rows.table.row_count().to_string()));
    client
        .log_batch(
            run_id,
            Batch {
                params: settings,
                ..Batch::default()
            },
        )
        .await?;

    let report = search(client, run, context, config.clone(), rows.table.clone()).await?;
    let best = report.best_candidate();
    println!("best: candidate {}, {}", best.index, shown(best));
    client.log_batch(run_id, figures(&report)).await?;
    log_files(client, run, &report).await?;
    let report = log_judgement(client, run, context, destination, config, report, &rows).await?;
    let held_out = held_out::pack(&rows.table, &report.test_rows)?;
    client
        .put_artifact_bytes(&run.artifact_uri, held_out::ARTIFACT, held_out)
        .await?;

    let folder = context.work_folder.join("model");
    let created_at = jiff::Timestamp::now()
        .strftime("%Y-%m-%d %H:%M:%S.%6f")
        .to_string();
    let info = mlflow_model::ModelInfo {
        run_id: Some(run_id.to_owned()),
        profile: Some(report.profile.clone()),
        created_at,
        ..Default::default()
    };
    mlflow_model::write(&folder, &report.pipeline, &info)?;
    if let Some(reason) = mlflow_model::without_onnx(&report.pipeline) {
        println!("no model.onnx: {reason}");
    }
    let model = client.log_model_folder(run_id, "model", &folder).await?;
    let version = match &destination.register {
        None => None,
        Some(name) => {
            let source = format!("models:/{}", model.model_id);
            let made = client
                .register_model_version(name, &source, Some(run_id), Some(&model.model_id))
                .await?;
            println!("registered {name} version {}", made.version);
            Some(made.version)
        }
    };
    Ok(json!({
        "run_id": run_id,
        "model_id": model.model_id,
        "model": destination.register,
        "version": version,
        "rows": rows.table.row_count(),
        "metrics": report.metrics,
    }))
}

/// Trains on the threads made for it, and makes a child run of each candidate as it is judged.
async fn search(
    client: &MlflowClient,
    run: &RunInfo,
    context: &TaskContext,
    config: TrainConfig,
    table: Table,
) -> anyhow::Result<TrainReport> {
    let (judged, mut to_log) = mpsc::channel(16);
    let watcher = Watcher {
        judged,
        cancelled: AtomicBool::new(false),
    };
    let training = tokio::task::spawn_blocking(move || train(&table, &config, &watcher));
    while let Some(candidate) = to_log.recv().await {
        log_candidate(client, run, context, &candidate).await?;
    }
    Ok(training.await.context("the training panicked")??)
}

/// Judges the best model, and logs what was found: as a page for people, as JSON for programs.
async fn log_judgement(
    client: &MlflowClient,
    run: &RunInfo,
    context: &TaskContext,
    destination: &Destination,
    config: TrainConfig,
    report: TrainReport,
    rows: &Rows,
) -> anyhow::Result<TrainReport> {
    println!("judging the model on {} held-out rows", report.test_rows.len());
    let table = rows.table.clone();
    let judging = tokio::task::spawn_blocking(move || {
        let judgement = judge(&table, &config, &report, &NoProgress)?;
        Ok::<_, fragua_learn::Error>((config, report, judgement))
    });
    let (config, report, judgement) = judging.await.context("the judging panicked")??;
    let title = destination.register.as_deref().unwrap_or(&destination.experiment);
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
    let card = ModelCard::of_training(title, &config, &report, &judgement)
        .made_at(now)
        .fact(Fact::Run, &run.run_id)
        .fact(Fact::Experiment, &destination.experiment)
        .fact(Fact::DagRun, context.dag_run_id.to_string())
        .fact(Fact::Rows, destination.origin()?.to_string())
        .fact(Fact::Digest, rows.digest.to_string());
    let files = [
        (MODEL_CARD, card.to_html().into_bytes()),
        ("judgement.json", serde_json::to_vec_pretty(&judgement)?),
    ];
    for (path, bytes) in files {
        client.put_artifact_bytes(&run.artifact_uri, path, bytes).await?;
    }
    client.log_batch(&run.run_id, judged(&judgement)).await?;
    Ok(report)
}

/// What the judgement adds to the figures.
fn judged(judgement: &Judgement) -> Batch {
    let now = SystemClock.now();
    let reliability = judgement.reliability.iter();
    Batch {
        metrics: reliability
            .map(|reliability| {
                Metric::new(
                    "expected_calibration_error",
                    reliability.expected_calibration_error,
                    now,
                    0,
                )
            })
            .collect(),
        ..Batch::default()
    }
}

async fn log_candidate(
    client: &MlflowClient,
    parent: &RunInfo,
    context: &TaskContext,
    candidate: &CandidateResult,
) -> anyhow::Result<()> {
    let scoring = candidate.scoring.name();
    let mut tags = describe(context);
    tags.push(Tag::new("mlflow.parentRunId", &parent.run_id));
    let name = format!("candidate {} {}", candidate.index, candidate.params.model_name());
    if let Some(stopped) = &candidate.stopped {
        tags.push(Tag::new("fragua.stopped", stopped.to_string()));
    }
    let now = SystemClock.now();
    let started = now.as_millis() - (candidate.seconds * 1_000.0) as i64;
    let new = NewRun {
        experiment_id: Some(parent.experiment_id),
        run_name: Some(name),
        start_time: Some(Timestamp::from_millis(started)),
        tags,
        ..NewRun::default()
    };
    let run_id = client.create_run(new).await?.info.run_id;
    let mut metrics = vec![
        Metric::new(format!("cv_{scoring}_mean"), candidate.mean, now, 0),
        Metric::new(format!("cv_{scoring}_std"), candidate.std, now, 0),
        Metric::new("cv_seconds", candidate.seconds, now, 0),
    ];
    let folds = candidate.fold_scores.iter().zip(0_i64..);
    metrics.extend(folds.map(|(score, fold)| Metric::new(format!("cv_{scoring}"), *score, now, fold)));
    for (name, figures) in &candidate.also {
        metrics.push(Metric::new(format!("cv_{name}_mean"), figures.mean, now, 0));
        metrics.push(Metric::new(format!("cv_{name}_std"), figures.std, now, 0));
        let folds = figures.folds.iter().zip(0_i64..);
        metrics.extend(folds.map(|(figure, fold)| Metric::new(format!("cv_{name}"), *figure, now, fold)));
    }
    client
        .log_batch(
            &run_id,
            Batch {
                metrics,
                params: candidate_params(candidate),
                tags: Vec::new(),
            },
        )
        .await?;
    end_run(client, &run_id, RunStatus::Finished).await?;
    Ok(())
}

/// Most columns of a type that the log names.
const TOLD_COLUMNS: usize = 40;

/// Tells which columns are numbers and which are texts, a line each.
pub(crate) fn features_told(features: &Table) -> String {
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    for (name, column) in features.names().iter().zip(features.columns()) {
        match column {
            Column::Numeric(_) => numbers.push(name.clone()),
            Column::Categorical(values) => {
                texts.push(format!("{name} ({} different)", values.dictionary().len()));
            }
        }
    }
    let line = |what: &str, names: Vec<String>| {
        let told = names[..names.len().min(TOLD_COLUMNS)].join(", ");
        let more = names.len().saturating_sub(TOLD_COLUMNS);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        (!names.is_empty()).then(|| format!("columns of {what}: {told}{more}"))
    };
    let lines = [line("numbers", numbers), line("texts", texts)];
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Returns model and parameters in a line, for the log.
fn shown(candidate: &CandidateResult) -> String {
    let params = candidate.params.to_map();
    let params = params
        .iter()
        .filter(|(key, _)| *key != "model")
        .map(|(key, value)| format!("{key}={value}"));
    format!(
        "{}({})",
        candidate.params.model_name(),
        params.collect::<Vec<_>>().join(", ")
    )
}

fn candidate_params(candidate: &CandidateResult) -> Vec<Param> {
    candidate
        .params
        .to_map()
        .into_iter()
        .map(|(key, value)| Param::new(key, value))
        .collect()
}

/// What the best model is and how it did, on the held-out rows and in cross-validation.
fn figures(report: &TrainReport) -> Batch {
    let now = SystemClock.now();
    let best = report.best_candidate();
    let scoring = best.scoring.name();
    let mut metrics: Vec<Metric> = report
        .metrics
        .iter()
        .map(|(name, value)| Metric::new(name, *value, now, 0))
        .collect();
    metrics.extend(
        report
            .baseline
            .iter()
            .map(|(name, value)| Metric::new(format!("baseline_{name}"), *value, now, 0)),
    );
    metrics.push(Metric::new(format!("cv_{scoring}_mean"), best.mean, now, 0));
    metrics.push(Metric::new(format!("cv_{scoring}_std"), best.std, now, 0));
    let mut params = candidate_params(best);
    params.push(Param::new("task", report.task.name()));
    params.push(Param::new("best_candidate", best.index.to_string()));
    params.push(Param::new("train_rows", report.train_rows.len().to_string()));
    params.push(Param::new("test_rows", report.test_rows.len().to_string()));
    Batch {
        metrics,
        params,
        tags: Vec::new(),
    }
}

/// Pictures for people, and the same as JSON for programs.
async fn log_files(client: &MlflowClient, run: &RunInfo, report: &TrainReport) -> anyhow::Result<()> {
    let importance = serde_json::to_vec_pretty(&report.feature_importance)?;
    let classes = json!({
        "labels": report.labels, "classes": report.classes, "baseline": report.baseline, "intervals": report.intervals,
    });
    let mut files = vec![
        (
            "feature_importance.svg",
            picture::feature_importance(&report.feature_importance).into_bytes(),
        ),
        ("feature_importance.json", importance),
        ("classes.json", serde_json::to_vec_pretty(&classes)?),
        ("candidates.json", serde_json::to_vec_pretty(&report.candidates)?),
    ];
    if let Some(matrix) = &report.confusion_matrix {
        files.push((
            "confusion_matrix.svg",
            picture::confusion_matrix(matrix).into_bytes(),
        ));
        files.push(("confusion_matrix.json", serde_json::to_vec_pretty(matrix)?));
    }
    for (path, bytes) in files {
        client.put_artifact_bytes(&run.artifact_uri, path, bytes).await?;
    }
    Ok(())
}

struct Watcher {
    judged: mpsc::Sender<CandidateResult>,
    cancelled: AtomicBool,
}

impl Progress for Watcher {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::TaskSettled { task, reason } => println!("{}: {reason}", task.name()),
            Event::FeaturesSettled { features } => println!("{}", features_told(features)),
            Event::SearchStarted { candidates, folds } => {
                println!("search: candidates {candidates}, folds {folds}")
            }
            Event::CandidateFinished(result) => {
                let (index, mean, std) = (result.index, result.mean, result.std);
                println!("candidate {index}: {mean:.4} ± {std:.4}, {}", shown(result));
                // Nobody listens any more when logging failed: there is no use in training on.
                if self.judged.blocking_send(result.clone()).is_err() {
                    self.cancelled.store(true, Ordering::Relaxed);
                }
            }
            Event::FitStarted { candidate } => println!("fitting candidate {candidate} on all training rows"),
            _ => {}
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
