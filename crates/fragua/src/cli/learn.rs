//! `fragua learn`: models from files and queries, without a project, a DAG or a server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand, ValueEnum};
use flate2::Compression;
use flate2::write::GzEncoder;
use fragua_database::Database;
use fragua_learn::card::Fact;
use fragua_learn::config::{Language, Scoring};
use fragua_learn::metrics::Interval;
use fragua_learn::mlflow_model::{self, ModelInfo};
use fragua_learn::{
    CandidateResult, Column, ColumnKind, Event, FeatureKind, Format, Label, ModelCard, OnBadCell, Pipeline,
    Predictions, Progress, ReadOptions, Table, TrainConfig, TrainReport, compare, compare_from, judge,
    judge_pipeline, read_table, train, write_csv, write_parquet,
};
use fragua_orchestrator::ArgumentFile;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::output;
use crate::operators::{Types, Wanted, features_told, learn_config, query};

/// What `fragua learn` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Searches for the best model, measures it on rows held out, and writes it with its card to a folder that MLflow
    /// loads, too
    Fit(Fit),
    /// Measures a model on rows whose truth is known
    Evaluate(Evaluate),
    /// Predicts rows: CSV, JSON with --json, or a file with --output
    Predict(Predict),
    /// Compares the models of a configuration on the same folds of all rows; nothing is written
    Compare(Compare),
}

/// Where rows come from.
#[derive(Debug, Args)]
struct Data {
    /// Rows: a file of CSV with a header, of JSON lines (.jsonl) or of Parquet (.parquet), the first two packed by gzip or
    /// not; with --query the URL of a database: sqlite:…, postgres:… or mysql:…
    #[arg(long, value_name = "FILE|URL")]
    data: String,
    /// The SQL that gives the rows
    #[arg(long, value_name = "SQL")]
    query: Option<String>,
    /// What to do with a cell that cannot be read as what its column holds; wins over the configuration, and without either
    /// such cells are refused
    #[arg(long, value_enum)]
    on_bad_cell: Option<BadCells>,
}

/// What to do with bad cells.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum BadCells {
    /// Read nothing
    Refuse,
    /// Take them for missing
    Null,
    /// Leave their rows out
    Skip,
}

impl Data {
    /// Reads the rows, and tells on standard error what was not read as it stood.
    async fn read(&self, wanted: Wanted<'_>, configured: OnBadCell) -> anyhow::Result<Table> {
        let on_bad_cell = match self.on_bad_cell {
            None => configured,
            Some(BadCells::Refuse) => OnBadCell::Refuse,
            Some(BadCells::Null) => OnBadCell::Null,
            Some(BadCells::Skip) => OnBadCell::Skip,
        };
        let is_database = ["sqlite:", "postgres:", "postgresql:", "mysql:", "mariadb:"]
            .iter()
            .any(|scheme| self.data.starts_with(scheme));
        let (table, report) = match &self.query {
            Some(sql) => {
                ensure!(is_database, "--query is for a database, and --data is a file");
                let database = Database::open(&self.data, "--data").await?;
                query(&database, sql, wanted, on_bad_cell).await?
            }
            None => {
                ensure!(
                    !is_database,
                    "--data is a database: give the rows as --query \"SELECT …\""
                );
                let (kinds, types) = match wanted {
                    Wanted::These(kinds) => (Some(kinds.to_vec()), Types::new()),
                    Wanted::All(types) => (None, types.clone()),
                };
                let options = ReadOptions {
                    kinds,
                    types,
                    on_bad_cell,
                    ..ReadOptions::default()
                };
                read_table(Path::new(&self.data), &options)
                    .with_context(|| format!("{} cannot be read", self.data))?
            }
        };
        if report.bad_cells > 0 {
            eprintln!("{report}");
        }
        Ok(table)
    }

    /// What the rows are called on a card; the URL of a database may hold a password.
    fn name(&self) -> &str {
        self.query.as_deref().unwrap_or(&self.data)
    }
}

/// What to learn from, and how.
#[derive(Debug, Args)]
pub(crate) struct Learn {
    #[command(flatten)]
    data: Data,
    /// The column to predict; wins over the configuration
    #[arg(long, value_name = "COLUMN", required_unless_present = "config")]
    target: Option<String>,
    /// YAML with the arguments of a `train` task, see docs/train-yaml.md; what says where a task's rows and models are is
    /// ignored
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Options of `fragua learn fit`.
#[derive(Debug, Args)]
pub(crate) struct Fit {
    #[command(flatten)]
    learn: Learn,
    /// Folder to write the model to; made when it is missing
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Leaves out model_card.html, and what is found out for it alone; `judge` of the configuration says what that is
    #[arg(long)]
    no_card: bool,
}

/// Options of `fragua learn evaluate`.
#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    #[command(flatten)]
    data: Data,
    /// Folder of the model, or its pipeline.fragua
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    /// Writes the model's card on these rows: one HTML file
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// YAML with the arguments of a `train` task, whose `judge` and `intervals` say what the card tells
    #[arg(long, value_name = "FILE", requires = "card")]
    config: Option<PathBuf>,
    /// Language of the card; wins over the configuration
    #[arg(long, value_enum, requires = "card")]
    language: Option<CardLanguage>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// A language of cards.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CardLanguage {
    /// English
    En,
    /// Spanish
    Es,
}

/// Options of `fragua learn predict`.
#[derive(Debug, Args)]
pub(crate) struct Predict {
    #[command(flatten)]
    data: Data,
    /// Folder of the model, or its pipeline.fragua
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    /// Writes the columns that the model takes and its predictions to a file: .parquet, .csv or .csv.gz
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    output: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Options of `fragua learn compare`.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    #[command(flatten)]
    learn: Learn,
    /// Notes each candidate here as it is finished, in JSON lines, and takes those noted by an earlier run with the same rows
    /// and configuration
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read or written, or the rows, the configuration and the model do not fit each other.
pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Fit(options) => fit(&options).await?,
        Command::Evaluate(options) => evaluate(&options).await?,
        Command::Predict(options) => predict(&options).await?,
        Command::Compare(options) => compare_models(&options).await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Learn {
    async fn load(&self) -> anyhow::Result<(Table, TrainConfig)> {
        let (config, on_bad_cell) = read_config(self.config.as_deref(), self.target.as_deref())?;
        let table = self.data.read(Wanted::All(&config.types), on_bad_cell).await?;
        Ok((table, config))
    }
}

/// Reads what to learn, and what to do with bad cells; a target that is given wins over that of the file.
fn read_config(path: Option<&Path>, target: Option<&str>) -> anyhow::Result<(TrainConfig, OnBadCell)> {
    let text = match path {
        None => String::new(),
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?
        }
    };
    let named = path
        .map(|path| format!("{}:", path.display()))
        .unwrap_or_default();
    let file = ArgumentFile::read(&text).map_err(|error| anyhow::anyhow!("{named} {error}"))?;
    let mut arguments = file.arguments().clone();
    if let (Some(target), Some(arguments)) = (target, arguments.as_object_mut()) {
        arguments.insert("target".to_owned(), json!(target));
    }
    learn_config(&arguments).map_err(|error| match path {
        Some(_) => anyhow::anyhow!("{named}{}", file.tell(&error)),
        None => anyhow::anyhow!("{error}"),
    })
}

fn load_model(path: &Path) -> anyhow::Result<Pipeline> {
    let file = if path.is_dir() {
        path.join(mlflow_model::PIPELINE_FILE)
    } else {
        path.to_owned()
    };
    let bytes = std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    Pipeline::load(&bytes).with_context(|| file.display().to_string())
}

/// Reads the columns that a model knows as what it knows them.
async fn rows_for(pipeline: &Pipeline, data: &Data, with_target: bool) -> anyhow::Result<Table> {
    let kind = |is_text: bool| match is_text {
        true => ColumnKind::Categorical,
        false => ColumnKind::Numeric,
    };
    let mut kinds: Vec<(String, ColumnKind)> = pipeline
        .features()
        .iter()
        .map(|feature| (feature.name.clone(), kind(feature.kind == FeatureKind::Category)))
        .collect();
    if with_target {
        let is_text = matches!(pipeline.labels().first(), Some(Label::Text(_)));
        kinds.push((pipeline.target().to_owned(), kind(is_text)));
    }
    data.read(Wanted::These(&kinds), OnBadCell::Refuse).await
}

async fn fit(options: &Fit) -> anyhow::Result<()> {
    let (table, config) = options.learn.load().await?;
    end_search_on_interrupt();
    let report = train(&table, &config, &Teller)?;
    let judgement = match options.no_card {
        true => None,
        false => Some(judge(&table, &config, &report, &Teller)?),
    };
    let created_at = jiff::Timestamp::now()
        .strftime("%Y-%m-%d %H:%M:%S.%6f")
        .to_string();
    let info = ModelInfo {
        profile: Some(report.profile.clone()),
        created_at,
        ..ModelInfo::default()
    };
    mlflow_model::write(&options.model, &report.pipeline, &info)?;
    let card = options.model.join(CARD_FILE);
    if let Some(judgement) = &judgement {
        let title = name_of(&options.model);
        let page = ModelCard::of_training(title, &config, &report, judgement)
            .made_at(now())
            .fact(Fact::Rows, options.learn.data.name())
            .fact(Fact::Model, options.model.display().to_string());
        write(&card, &page.to_html())?;
    }
    if options.learn.json {
        let mut described = described(&report, &options.model);
        described["judgement"] = json!(judgement);
        described["card"] = json!(judgement.is_some().then_some(card));
        return output::json(&described);
    }
    let best = report.best_candidate();
    output::line(&format!(
        "{} of {} rows held out; best: {}",
        report.test_rows.len(),
        table.row_count(),
        shown(best)
    ))?;
    figures(&report.metrics, &report.intervals, &report.baseline)?;
    output::line(&format!("written to {}", options.model.display()))?;
    if let Some(reason) = mlflow_model::without_onnx(&report.pipeline) {
        output::line(&format!("no model.onnx: {reason}"))?;
    }
    if judgement.is_some() {
        output::line(&format!("its card: {}", card.display()))?;
    }
    Ok(())
}

/// The name of a model's card in its folder.
const CARD_FILE: &str = "model_card.html";

/// The name of a model: that of its folder.
fn name_of(model: &Path) -> String {
    let folder = match model.file_name() {
        Some(name) if name == mlflow_model::PIPELINE_FILE => model.parent().and_then(Path::file_name),
        name => name,
    };
    folder.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The time as people read it.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

fn described(report: &TrainReport, model: &Path) -> Value {
    json!({
        "task": report.task,
        "task_reason": report.task_reason,
        "rows": report.train_rows.len() + report.test_rows.len(),
        "train_rows": report.train_rows.len(),
        "test_rows": report.test_rows.len(),
        "best": report.best,
        "candidates": report.candidates,
        "metrics": report.metrics,
        "intervals": report.intervals,
        "baseline": report.baseline,
        "labels": report.labels,
        "classes": report.classes,
        "confusion_matrix": report.confusion_matrix,
        "feature_importance": report.feature_importance,
        "model": model,
    })
}

async fn evaluate(options: &Evaluate) -> anyhow::Result<()> {
    let pipeline = load_model(&options.model)?;
    let table = rows_for(&pipeline, &options.data, true).await?;
    let mut described = json!({
        "task": pipeline.task(),
        "model": pipeline.model_name(),
        "rows": table.row_count(),
    });
    let evaluation = match &options.card {
        None => pipeline.evaluate(&table)?,
        Some(path) => {
            let mut config = match &options.config {
                Some(file) => read_config(Some(file), Some(pipeline.target()))?.0,
                None => TrainConfig::new(pipeline.target()),
            };
            let evaluation = pipeline.evaluate_with_intervals(&table, &config.intervals, config.seed)?;
            let judgement = judge_pipeline(&pipeline, &table, &config, &Teller)?;
            match options.language {
                Some(CardLanguage::En) => config.judge.language = Language::English,
                Some(CardLanguage::Es) => config.judge.language = Language::Spanish,
                None => {}
            }
            let language = config.judge.language;
            let title = name_of(&options.model);
            let page = ModelCard::of_evaluation(title, &pipeline, &evaluation, &judgement, language)
                .made_at(now())
                .fact(Fact::Rows, options.data.name())
                .fact(Fact::Model, options.model.display().to_string());
            write(path, &page.to_html())?;
            described["judgement"] = json!(judgement);
            described["card"] = json!(path);
            evaluation
        }
    };
    if options.json {
        described["metrics"] = json!(evaluation.metrics);
        described["confusion_matrix"] = json!(evaluation.confusion_matrix);
        return output::json(&described);
    }
    let (intervals, baseline) = match options.card {
        Some(_) => (evaluation.intervals, evaluation.baseline),
        None => (BTreeMap::new(), BTreeMap::new()),
    };
    figures(&evaluation.metrics, &intervals, &baseline)?;
    if let Some(path) = &options.card {
        output::line(&format!("its card: {}", path.display()))?;
    }
    Ok(())
}

async fn predict(options: &Predict) -> anyhow::Result<()> {
    let pipeline = load_model(&options.model)?;
    let table = rows_for(&pipeline, &options.data, false).await?;
    let predictions = pipeline.predict(&table)?;
    let names = mlflow_model::output_names(&pipeline);
    if let Some(path) = &options.output {
        return write_scored(path, &table, &predictions, &names);
    }
    let rows = (0..table.row_count()).map(|row| {
        let probabilities = predictions.probabilities_of(row).iter();
        std::iter::once(json!(predictions.labels[row])).chain(probabilities.map(|share| json!(share)))
    });
    if options.json {
        let records: Vec<serde_json::Map<String, Value>> = rows
            .map(|values| names.iter().cloned().zip(values).collect())
            .collect();
        return output::json(&records);
    }
    let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
    writer.write_record(&names)?;
    for values in rows {
        let fields = values.map(|value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        });
        writer.write_record(fields)?;
    }
    Ok(writer.flush()?)
}

/// Writes rows with what a model says of them.
fn write_scored(
    path: &Path,
    table: &Table,
    predictions: &Predictions,
    names: &[String],
) -> anyhow::Result<()> {
    let scored = predictions.beside(table, names)?;
    let format = Format::of(path);
    ensure!(
        format != Format::JsonLines,
        "{}: expected a name that ends in .parquet, .csv or .csv.gz",
        path.display()
    );
    let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    match format {
        Format::Parquet => write_parquet(&scored, file),
        _ if is_packed => write_csv(&scored, GzEncoder::new(file, Compression::default())),
        _ => write_csv(&scored, file),
    }
    .with_context(|| path.display().to_string())?;
    output::line(&format!(
        "{} rows written to {}",
        scored.row_count(),
        path.display()
    ))
}

async fn compare_models(options: &Compare) -> anyhow::Result<()> {
    let (table, config) = options.learn.load().await?;
    end_search_on_interrupt();
    let comparison = match &options.resume {
        None => compare(&table, &config, &Teller)?,
        Some(path) => {
            let (notes, known) =
                Notes::open(path, &table, &config).with_context(|| path.display().to_string())?;
            let comparison = compare_from(&table, &config, &known, &notes)?;
            notes
                .check()
                .with_context(|| format!("{} cannot be written", path.display()))?;
            comparison
        }
    };
    if options.learn.json {
        return output::json(&comparison);
    }
    let mut ranked: Vec<&CandidateResult> = comparison.candidates.iter().collect();
    ranked.sort_by(|one, two| one.by_rank(two));
    let rows: Vec<[String; 4]> = ranked
        .into_iter()
        .map(|candidate| {
            [
                format!("{:.4}", candidate.mean),
                format!("{:.4}", candidate.std),
                format!("{:.1}", candidate.seconds),
                match &candidate.stopped {
                    Some(stopped) => format!("{}, {stopped}", shown(candidate)),
                    None => shown(candidate),
                },
            ]
        })
        .collect();
    output::table([comparison.scoring.name(), "std", "seconds", "model"], &rows)
}

fn figures(
    metrics: &BTreeMap<String, f64>,
    intervals: &BTreeMap<String, Interval>,
    baseline: &BTreeMap<String, f64>,
) -> anyhow::Result<()> {
    let rows: Vec<[String; 4]> = metrics
        .iter()
        .map(|(name, value)| {
            let interval = intervals.get(name);
            let interval = interval.map(|interval| format!("{:.4} to {:.4}", interval.low, interval.high));
            let baseline = baseline.get(name).map(|value| format!("{value:.4}"));
            [
                name.clone(),
                format!("{value:.4}"),
                interval.unwrap_or_default(),
                baseline.unwrap_or_default(),
            ]
        })
        .collect();
    output::table(["figure", "value", "interval", "baseline"], &rows)
}

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

/// Notes finished candidates in a file: a line that names the search, then one for each of them.
struct Notes {
    file: Mutex<std::io::Result<File>>,
    known: BTreeSet<usize>,
}

impl Notes {
    /// Opens the file, and reads what is noted; a line that was not written to its end is cut off.
    fn open(
        path: &Path,
        table: &Table,
        config: &TrainConfig,
    ) -> anyhow::Result<(Self, Vec<CandidateResult>)> {
        let search = json!({ "search": fingerprint(table, config)? });
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines().zip(1..);
        let mut known: Vec<CandidateResult> = Vec::new();
        if let Some((first, _)) = lines.next() {
            ensure!(
                serde_json::from_str::<Value>(first).is_ok_and(|noted| noted == search),
                "it is of a search with other rows or another configuration, or no such file; name another one"
            );
            for (line, number) in lines {
                known.push(serde_json::from_str(line).with_context(|| format!("line {number}"))?);
            }
        }
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        if whole == 0 {
            writeln!(file, "{search}")?;
        }
        if !known.is_empty() {
            eprintln!("{} finished candidates are known", known.len());
        }
        let notes = Self {
            file: Mutex::new(Ok(file)),
            known: known.iter().map(|candidate| candidate.index).collect(),
        };
        Ok((notes, known))
    }

    fn check(self) -> std::io::Result<()> {
        self.file
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)?
            .sync_all()
    }
}

impl Progress for Notes {
    fn is_enough(&self) -> bool {
        Teller.is_enough()
    }

    fn event(&self, event: Event<'_>) {
        Teller.event(event);
        // An undefined mean is no JSON number; such a candidate is scored again.
        if let Event::CandidateFinished(result) = event
            && !self.known.contains(&result.index)
            && !result.mean.is_nan()
        {
            let line = format!("{}\n", json!(result));
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(open) = &mut *file
                && let Err(error) = open.write_all(line.as_bytes())
            {
                *file = Err(error);
            }
        }
    }
}

/// The SHA-256 of all that scores depend on.
fn fingerprint(table: &Table, config: &TrainConfig) -> anyhow::Result<String> {
    let mut config = serde_json::to_value(config)?;
    if let Some(config) = config.as_object_mut() {
        config.remove("judge");
    }
    let mut digest = Sha256::new();
    let mut absorb = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    absorb(config.to_string().as_bytes());
    for (name, column) in table.names().iter().zip(table.columns()) {
        absorb(name.as_bytes());
        match column {
            Column::Numeric(values) => values
                .iter()
                .for_each(|value| absorb(&value.to_bits().to_le_bytes())),
            Column::Categorical(texts) => {
                (0..table.row_count()).for_each(|row| absorb(texts.text(row).unwrap_or_default().as_bytes()));
            }
        }
    }
    Ok(hex::encode(digest.finalize()))
}

/// Whether Ctrl-C was pressed.
static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Lets the first Ctrl-C end a search with what it knows, and the second one the program.
fn end_search_on_interrupt() {
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            IS_INTERRUPTED.store(true, Ordering::Relaxed);
            eprintln!("the search ends with the candidates that are scored; Ctrl-C again ends the program");
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}

/// Tells on standard error how far a training is.
struct Teller;

impl Progress for Teller {
    fn is_enough(&self) -> bool {
        IS_INTERRUPTED.load(Ordering::Relaxed)
    }

    fn event(&self, event: Event<'_>) {
        match event {
            Event::TaskSettled { task, reason } => eprintln!("{}: {reason}", task.name()),
            Event::FeaturesSettled { features } => eprintln!("{}", features_told(features)),
            Event::SearchStarted { candidates, folds } => {
                eprintln!("search: candidates {candidates}, folds {folds}");
            }
            Event::CandidateFinished(result) => {
                let scoring: Scoring = result.scoring;
                eprintln!(
                    "candidate {}: {} {:.4} ± {:.4}",
                    result.index,
                    scoring.name(),
                    result.mean,
                    result.std
                );
            }
            Event::JudgingStarted => eprintln!("judging the model"),
            _ => {}
        }
    }
}
