//! From a table and a configuration to a fitted pipeline with its figures.

use crate::calibrate::{self, Calibration};
use crate::config::{CalibrationMethod, ColumnSelector, ColumnType, Folds, TrainConfig};
use crate::feature;
use crate::model::TrainingSet;
use crate::pipeline;
use crate::prepare::{MAX_COLUMNS, Preparation};
use crate::progress::{Event, check_cancelled};
use crate::random::Random;
use crate::resample::resample;
use crate::search::{self, Parting, Search};
use crate::table::{Column, ColumnKind, Table};
use crate::target::{Target, Truth};
use crate::{
    CandidateResult, Comparison, Error, Feature, ModelParams, Pipeline, Progress, TrainReport,
    TrainingProfile,
};

/// Numbers the streams of random numbers drawn from the one seed.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Candidates = 1,
    Folds = 2,
    FoldModels = 3,
    FinalModel = 4,
    Intervals = 5,
    Resampling = 6,
    Preparation = 7,
    LearningCurve = 8,
    Judging = 9,
    Profile = 10,
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
    train_from(table, config, &[], progress)
}

/// As [`train`], but takes the scores of candidates that an earlier search with the same table and configuration finished. What
/// it finds is the same as without them. Those of another index or other parameters are not looked at; successive halving
/// has use for those of its last round alone.
///
/// # Errors
/// As [`train`].
pub fn train_from(
    table: &Table,
    config: &TrainConfig,
    known: &[CandidateResult],
    progress: &dyn Progress,
) -> Result<TrainReport, Error> {
    config.check()?;
    check_types(table, config)?;
    let features = select_features(table, config)?;
    // What is judged comes last, but must not fail for a name after a long search.
    for selector in config.judge.slices.columns.iter().flatten() {
        if let ColumnSelector::Name(name) = selector {
            table.column(name)?;
        }
    }
    let (target, task_reason) = Target::new(table, config)?;
    progress.event(Event::TaskSettled {
        task: target.task(),
        reason: &task_reason,
    });
    progress.event(Event::FeaturesSettled { features: &features });
    let parting = Parting::new(table, config)?;
    let (train_rows, test_rows) = parting.hold_out(&target, config.split.test_size, config.split.seed)?;
    let parting = parting.select(&train_rows);
    let train_table = features.select_rows(&train_rows);
    let train_target = target.select(&train_rows);

    let search = Search {
        table: &train_table,
        target: &train_target,
        parting: &parting,
        config,
        progress,
        known,
    };
    let candidates = search.run()?;
    let best = search::best(&candidates, search.scoring())?;

    check_cancelled(progress)?;
    progress.event(Event::FitStarted { candidate: best });
    let descriptions = feature::describe(&features, &train_rows);
    let params = &candidates[best].params;
    let pipeline = fit_pipeline(
        &train_table,
        train_target.clone(),
        &parting,
        descriptions,
        params,
        config,
        progress,
    )?;

    let test_target = target.select(&test_rows);
    let predictions = pipeline.predict(&features.select_rows(&test_rows))?;
    let seed = Random::derive(config.seed, &[Stream::Profile as u64]).next_u64();
    let truth = target.as_column()?;
    let profile = TrainingProfile::of(&features, (&config.target, &truth), &train_rows, seed);
    let seed = Random::derive(config.seed, &[Stream::Intervals as u64]).next_u64();
    let measured = pipeline::measure(
        &test_target.truth,
        &train_target.truth,
        &predictions,
        &target.labels,
        &config.intervals,
        seed,
    )?;
    Ok(TrainReport {
        task: target.task(),
        task_reason,
        best,
        candidates,
        metrics: measured.metrics,
        intervals: measured.intervals,
        baseline: measured.baseline,
        classes: measured.classes,
        confusion_matrix: measured.confusion_matrix,
        labels: target.labels,
        feature_importance: pipeline.feature_importance(),
        pipeline,
        profile,
        train_rows,
        test_rows,
    })
}

/// Scores all candidates by cross-validation on all rows of a table; nothing is held out and no model is kept.
///
/// # Errors
/// As [`train`].
pub fn compare(table: &Table, config: &TrainConfig, progress: &dyn Progress) -> Result<Comparison, Error> {
    compare_from(table, config, &[], progress)
}

/// As [`compare`], but takes the scores of candidates as [`train_from`] does.
///
/// # Errors
/// As [`train`].
pub fn compare_from(
    table: &Table,
    config: &TrainConfig,
    known: &[CandidateResult],
    progress: &dyn Progress,
) -> Result<Comparison, Error> {
    config.check()?;
    check_types(table, config)?;
    let features = select_features(table, config)?;
    let (target, task_reason) = Target::new(table, config)?;
    progress.event(Event::TaskSettled {
        task: target.task(),
        reason: &task_reason,
    });
    progress.event(Event::FeaturesSettled { features: &features });
    let search = Search {
        table: &features,
        target: &target,
        parting: &Parting::new(table, config)?,
        config,
        progress,
        known,
    };
    let candidates = search.run()?;
    Ok(Comparison {
        task: target.task(),
        task_reason,
        scoring: search.scoring(),
        best: search::best(&candidates, search.scoring())?,
        candidates,
    })
}

/// Fits one model on all rows of a table, without a search and without holding rows out.
///
/// # Errors
/// As [`train`]; also when `candidates` holds more than one model, or one with parameters to search for.
pub fn fit(table: &Table, config: &TrainConfig, progress: &dyn Progress) -> Result<Pipeline, Error> {
    config.check()?;
    check_types(table, config)?;
    let features = select_features(table, config)?;
    let (target, _) = Target::new(table, config)?;
    let [params] = &search::draw_params(&config.candidates, 2, config.seed, target.task())[..] else {
        let message = "expected one model with every parameter fixed";
        return Err(Error::config("candidates", message));
    };
    let rows: Vec<usize> = (0..table.row_count()).collect();
    let descriptions = feature::describe(&features, &rows);
    let parting = Parting::new(table, config)?;
    fit_pipeline(
        &features,
        target,
        &parting,
        descriptions,
        params,
        config,
        progress,
    )
}

fn fit_pipeline(
    features: &Table,
    target: Target,
    parting: &Parting,
    descriptions: Vec<Feature>,
    params: &ModelParams,
    config: &TrainConfig,
    progress: &dyn Progress,
) -> Result<Pipeline, Error> {
    let calibration = match config.calibrate {
        None => None,
        Some(method) => {
            let search = Search {
                table: features,
                target: &target,
                parting,
                config,
                progress,
                known: &[],
            };
            let (rows, probabilities) = search.out_of_fold(params)?;
            Some(calibrate(&target.select(&rows), &probabilities, method))
        }
    };
    let seed = Random::derive(config.seed, &[Stream::Preparation as u64]).next_u64();
    let (preparation, matrix) = Preparation::fit(features, &target, &config.preparation, seed, progress)?;
    let seed = Random::derive(config.seed, &[Stream::Resampling as u64]).next_u64();
    let (matrix, target) = resample(&config.resampling, &preparation, matrix, target, seed, progress)?;
    let set = TrainingSet::new(features.names(), preparation, matrix, target);
    let seed = Random::derive(config.seed, &[Stream::FinalModel as u64]).next_u64();
    let (model, importance) = set.fit(params, seed, progress)?;
    Ok(Pipeline {
        target: config.target.clone(),
        model_name: params.model_name().to_owned(),
        features: descriptions,
        labels: set.target.labels,
        importance,
        preparation: set.preparation,
        model,
        calibration,
    })
}

fn calibrate(target: &Target, probabilities: &[f32], method: CalibrationMethod) -> Calibration {
    let Truth::Classes(classes) = &target.truth else {
        unreachable!("the configuration was checked: only classes are calibrated")
    };
    let sample = calibrate::Sample {
        classes,
        probabilities,
        class_count: target.labels.len(),
        weights: target.weights.as_deref(),
    };
    Calibration::fit(&sample, method)
}

/// Checks that columns hold what the configuration says they do.
fn check_types(table: &Table, config: &TrainConfig) -> Result<(), Error> {
    for (name, &wanted) in &config.types {
        let message = match (table.column(name)?.kind(), wanted) {
            (ColumnKind::Numeric, ColumnType::Text) => {
                "the column holds numbers, not texts, where the rows are from"
            }
            (ColumnKind::Categorical, ColumnType::Number) => {
                "the column holds texts, not numbers, where the rows are from"
            }
            _ => continue,
        };
        return Err(Error::config(format!("types.{name}"), message));
    }
    Ok(())
}

pub(crate) fn select_features(table: &Table, config: &TrainConfig) -> Result<Table, Error> {
    let named = config.features.iter().flatten().chain(&config.exclude);
    for selector in named {
        if let ColumnSelector::Name(name) = selector {
            table.column(name)?;
        }
    }
    let fits = |selectors: &[ColumnSelector], name: &str, column: &Column| {
        selectors
            .iter()
            .any(|selector| selector.fits(name, column.kind()))
    };
    let is_feature = |(name, column): &(&String, &Column)| {
        let is_chosen = match &config.features {
            Some(selectors) => fits(selectors, name, column),
            None => true,
        };
        is_chosen
            && **name != config.target
            && config.weight.as_ref() != Some(*name)
            && !matches!(&config.search.folds, Folds::Group(group) if group == *name)
            && !fits(&config.exclude, name, column)
    };
    let mut names: Vec<&String> = table
        .names()
        .iter()
        .zip(table.columns())
        .filter(is_feature)
        .map(|(name, _)| name)
        .collect();
    // Columns keep the order in which the configuration first names them.
    if let Some(selectors) = &config.features {
        let place = |name: &String| {
            let kind = table.column(name).map(Column::kind);
            selectors
                .iter()
                .position(|selector| kind.as_ref().is_ok_and(|&kind| selector.fits(name, kind)))
        };
        names.sort_by_key(|name| place(name));
    }
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
