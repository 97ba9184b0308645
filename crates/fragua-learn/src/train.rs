//! From a table and a configuration to a fitted pipeline with its figures.

use crate::config::TrainConfig;
use crate::feature;
use crate::metrics::Outcome;
use crate::model::TrainingSet;
use crate::prepare::Preparation;
use crate::progress::{Event, check_cancelled};
use crate::random::Random;
use crate::search::{self, Search};
use crate::table::{Column, Table};
use crate::{ConfusionMatrix, Error, Feature, Label, ModelParams, Pipeline, Progress, TrainReport, split};
use std::collections::BTreeMap;

/// Most classes a target may have; more means that the column is a number or an id.
const MAX_CLASSES: usize = 256;
/// Most columns; trees keep a column's position in 16 bits.
const MAX_COLUMNS: usize = 10_000;

/// Numbers the streams of random numbers drawn from the one seed.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Candidates = 1,
    Folds = 2,
    FoldModels = 3,
    FinalModel = 4,
}

/// Splits the rows, searches for the best candidate by cross-validation on the training part, fits it on all
/// of that part and measures it on the rows held out.
///
/// The result depends on the table, the configuration and its seeds alone, not on the number of threads: it
/// runs in the rayon pool it is called from.
///
/// # Errors
/// [`Error::Config`] for a configuration that cannot work, [`Error::MissingColumn`] and [`Error::Data`] for a
/// table that does not fit it, [`Error::Cancelled`] when `progress` says so.
pub fn train(table: &Table, config: &TrainConfig, progress: &dyn Progress) -> Result<TrainReport, Error> {
    config.check()?;
    let features = select_features(table, config)?;
    let target = Target::new(&config.target, table.column(&config.target)?)?;
    let class_count = target.labels.len();
    let (train_rows, test_rows) = split::stratified_split(
        &target.classes,
        class_count,
        config.split.test_size,
        config.split.seed,
    )?;
    let train_table = features.select_rows(&train_rows);
    let train_classes: Vec<u16> = train_rows.iter().map(|&row| target.classes[row]).collect();

    let search = Search {
        table: &train_table,
        classes: &train_classes,
        labels: &target.labels,
        config,
        progress,
    };
    let candidates = search.run()?;
    let best = search::best(&candidates, config.search.scoring)?;

    check_cancelled(progress)?;
    progress.event(Event::FitStarted { candidate: best });
    let baseline_class = most_frequent(&train_classes, class_count);
    let descriptions = feature::describe(&features, &train_rows);
    let params = &candidates[best].params;
    let pipeline = fit_pipeline(
        &train_table,
        train_classes,
        &target.labels,
        descriptions,
        params,
        config,
        progress,
    )?;

    let truth: Vec<u16> = test_rows.iter().map(|&row| target.classes[row]).collect();
    let predictions = pipeline.predict(&features.select_rows(&test_rows))?;
    let outcome = Outcome::new(
        &truth,
        &predictions.classes,
        &predictions.probabilities,
        class_count,
    )?;
    Ok(TrainReport {
        best,
        metrics: outcome.metrics().to_map(),
        baseline: baseline(&truth, baseline_class, class_count)?,
        classes: outcome.per_class(),
        confusion_matrix: ConfusionMatrix {
            labels: target.labels.clone(),
            counts: outcome.confusion(),
        },
        labels: target.labels,
        feature_importance: pipeline.feature_importance(),
        pipeline,
        candidates,
        train_rows,
        test_rows,
    })
}

/// Fits one model on all rows of a table, without a search and without holding rows out.
///
/// # Errors
/// As [`train`]; also when `candidates` holds more than one model, or one with parameters to search for.
pub fn fit(table: &Table, config: &TrainConfig, progress: &dyn Progress) -> Result<Pipeline, Error> {
    config.check()?;
    let [params] = &search::draw(&config.candidates, 2, config.seed)[..] else {
        let message = "expected one model with every parameter fixed";
        return Err(Error::config("candidates", message));
    };
    let features = select_features(table, config)?;
    let target = Target::new(&config.target, table.column(&config.target)?)?;
    let rows: Vec<usize> = (0..table.row_count()).collect();
    let descriptions = feature::describe(&features, &rows);
    fit_pipeline(
        &features,
        target.classes,
        &target.labels,
        descriptions,
        params,
        config,
        progress,
    )
}

fn fit_pipeline(
    features: &Table,
    classes: Vec<u16>,
    labels: &[Label],
    descriptions: Vec<Feature>,
    params: &ModelParams,
    config: &TrainConfig,
    progress: &dyn Progress,
) -> Result<Pipeline, Error> {
    let (preparation, matrix) = Preparation::fit(features, &config.preparation, progress)?;
    let set = TrainingSet::new(features.names(), preparation, matrix, classes);
    let seed = Random::derive(config.seed, &[Stream::FinalModel as u64]).next_u64();
    let (model, importance) = set.fit(params, labels, seed, progress)?;
    Ok(Pipeline {
        target: config.target.clone(),
        model_name: params.model_name().to_owned(),
        features: descriptions,
        labels: labels.to_vec(),
        importance,
        preparation: set.preparation,
        model,
    })
}

fn select_features(table: &Table, config: &TrainConfig) -> Result<Table, Error> {
    let names: Vec<&String> = match &config.features {
        Some(names) => names.iter().collect(),
        None => {
            if let Some(name) = config.exclude.iter().find(|name| !table.names().contains(name)) {
                return Err(Error::MissingColumn {
                    name: name.clone(),
                    present: table.names().to_vec(),
                });
            }
            let is_feature = |name: &&String| **name != config.target && !config.exclude.contains(name);
            table.names().iter().filter(is_feature).collect()
        }
    };
    if names.is_empty() || names.len() > MAX_COLUMNS {
        return Err(Error::Data(format!(
            "{} columns to learn from; expected 1 to {MAX_COLUMNS}",
            names.len()
        )));
    }
    if u32::try_from(table.row_count()).is_err() {
        return Err(Error::Data(format!(
            "{} rows are more than the 4 billion supported",
            table.row_count()
        )));
    }
    table.select_columns(&names)
}

/// The target column as positions in a sorted list of labels.
struct Target {
    labels: Vec<Label>,
    classes: Vec<u16>,
}

impl Target {
    fn new(name: &str, column: &Column) -> Result<Self, Error> {
        let missing = |row: usize| Error::Cell {
            row: row + 1,
            column: name.to_owned(),
            message: "the target is missing; leave such rows out of the table".to_owned(),
        };
        let mut labels: BTreeMap<Label, u16> = BTreeMap::new();
        let mut rows: Vec<Label> = Vec::with_capacity(column.len());
        for row in 0..column.len() {
            let label = match column {
                Column::Numeric(values) if values[row].is_nan() => return Err(missing(row)),
                Column::Numeric(values) if values[row].fract() != 0.0 || values[row].abs() > 9e15 => {
                    let message = format!("a class must be a whole number or a text, got {}", values[row]);
                    return Err(Error::Cell {
                        row: row + 1,
                        column: name.to_owned(),
                        message,
                    });
                }
                Column::Numeric(values) => Label::Integer(values[row] as i64),
                Column::Categorical(values) => {
                    Label::Text(values.text(row).ok_or_else(|| missing(row))?.to_owned())
                }
            };
            if !labels.contains_key(&label) {
                labels.insert(label.clone(), 0);
                if labels.len() > MAX_CLASSES {
                    return Err(Error::Data(format!(
                        "target `{name}` has more than {MAX_CLASSES} classes"
                    )));
                }
            }
            rows.push(label);
        }
        if labels.len() < 2 {
            let message = format!(
                "target `{name}` has {} classes in {} rows; expected at least 2",
                labels.len(),
                rows.len()
            );
            return Err(Error::Data(message));
        }
        labels
            .values_mut()
            .enumerate()
            .for_each(|(class, slot)| *slot = class as u16);
        let classes = rows.iter().map(|label| labels[label]).collect();
        Ok(Self {
            labels: labels.into_keys().collect(),
            classes,
        })
    }
}

fn most_frequent(classes: &[u16], class_count: usize) -> u16 {
    let mut counts = vec![0usize; class_count];
    classes.iter().for_each(|&class| counts[usize::from(class)] += 1);
    let greatest = counts.iter().max().copied().unwrap_or(0);
    counts.iter().position(|&count| count == greatest).unwrap_or(0) as u16
}

/// Figures for always answering one class.
fn baseline(truth: &[u16], class: u16, class_count: usize) -> Result<BTreeMap<String, f64>, Error> {
    let predicted = vec![class; truth.len()];
    let mut probabilities = vec![0.0; truth.len() * class_count];
    probabilities
        .iter_mut()
        .skip(usize::from(class))
        .step_by(class_count)
        .for_each(|slot| *slot = 1.0);
    Ok(Outcome::new(truth, &predicted, &probabilities, class_count)?
        .metrics()
        .to_map())
}
