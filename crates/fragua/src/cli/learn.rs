//! `fragua learn`: models from CSV files, without a project, a DAG or a server.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use fragua_learn::card::Fact;
use fragua_learn::config::{Language, Scoring};
use fragua_learn::metrics::Interval;
use fragua_learn::mlflow_model::{self, ModelInfo};
use fragua_learn::{
    CandidateResult, ColumnKind, Event, FeatureKind, Label, ModelCard, Pipeline, Progress, Table,
    TrainConfig, TrainReport, compare, judge, judge_pipeline, read_csv, read_csv_typed, train,
};
use serde_json::{Value, json};

use super::output;
use crate::operators::train_config;

/// What `fragua learn` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Searches for the best model, measures it on rows held out, and writes it with its card to a folder that MLflow
    /// loads, too
    Fit(Fit),
    /// Measures a model on rows whose truth is known
    Evaluate(Evaluate),
    /// Predicts rows: CSV, or JSON with --json
    Predict(Predict),
    /// Compares the models of a configuration on the same folds of all rows; nothing is written
    Compare(Learn),
}

/// What to learn from, and how.
#[derive(Debug, Args)]
pub(crate) struct Learn {
    /// Rows with a header: a CSV file, or one packed as .csv.gz
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The column to predict; wins over the configuration
    #[arg(long, value_name = "COLUMN", required_unless_present = "config")]
    target: Option<String>,
    /// YAML with the arguments of a `train` task; what says where a task's rows and models are is ignored
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
    /// Rows with a header, the target among them: a CSV file, or one packed as .csv.gz
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
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
    /// Rows with a header: a CSV file, or one packed as .csv.gz
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Folder of the model, or its pipeline.fragua
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read or written, or the rows, the configuration and the model do not fit each other.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Fit(options) => fit(&options)?,
        Command::Evaluate(options) => evaluate(&options)?,
        Command::Predict(options) => predict(&options)?,
        Command::Compare(options) => compare_models(&options)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Learn {
    fn load(&self) -> anyhow::Result<(Table, TrainConfig)> {
        let config = read_config(self.config.as_deref(), self.target.as_deref())?;
        let table = read_csv(open(&self.data)?).with_context(|| self.data.display().to_string())?;
        Ok((table, config))
    }
}

/// Reads what to learn; a target that is given wins over that of the file.
fn read_config(path: Option<&Path>, target: Option<&str>) -> anyhow::Result<TrainConfig> {
    let mut arguments = match path {
        None => json!({}),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            serde_saphyr::from_str::<Value>(&text)
                .with_context(|| format!("{} is not YAML", path.display()))?
        }
    };
    if let (Some(target), Some(arguments)) = (target, arguments.as_object_mut()) {
        arguments.insert("target".to_owned(), json!(target));
    }
    train_config(&arguments).map_err(|error| match path {
        Some(path) => anyhow::anyhow!("{}: {error}", path.display()),
        None => anyhow::anyhow!("{error}"),
    })
}

fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
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
fn rows_for(pipeline: &Pipeline, path: &Path, with_target: bool) -> anyhow::Result<Table> {
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
    read_csv_typed(open(path)?, &kinds).with_context(|| path.display().to_string())
}

fn fit(options: &Fit) -> anyhow::Result<()> {
    let (table, config) = options.learn.load()?;
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
            .fact(Fact::Rows, options.learn.data.display().to_string())
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

fn evaluate(options: &Evaluate) -> anyhow::Result<()> {
    let pipeline = load_model(&options.model)?;
    let table = rows_for(&pipeline, &options.data, true)?;
    let mut described = json!({
        "task": pipeline.task(),
        "model": pipeline.model_name(),
        "rows": table.row_count(),
    });
    let evaluation = match &options.card {
        None => pipeline.evaluate(&table)?,
        Some(path) => {
            let mut config = match &options.config {
                Some(file) => read_config(Some(file), Some(pipeline.target()))?,
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
                .fact(Fact::Rows, options.data.display().to_string())
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

fn predict(options: &Predict) -> anyhow::Result<()> {
    let pipeline = load_model(&options.model)?;
    let table = rows_for(&pipeline, &options.data, false)?;
    let predictions = pipeline.predict(&table)?;
    let names = mlflow_model::output_names(&pipeline);
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

fn compare_models(options: &Learn) -> anyhow::Result<()> {
    let (table, config) = options.load()?;
    let comparison = compare(&table, &config, &Teller)?;
    if options.json {
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

/// Tells on standard error how far a training is.
struct Teller;

impl Progress for Teller {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::TaskSettled { task, reason } => eprintln!("{}: {reason}", task.name()),
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
