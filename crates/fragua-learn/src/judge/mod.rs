//! What is to be known about a model beside its figures: what it looks at, how sure it may be, and where it fails.

mod contributions;
mod dependence;
mod learning_curve;
mod permutation;
mod reliability;
mod residuals;
mod slices;

pub use contributions::{ColumnContribution, Contributions, ExplainedRow, RowContribution};
pub use dependence::{PartialDependence, PartialGrid};
pub use learning_curve::{LearningCurve, LearningPoint};
pub use permutation::{PermutationImportance, PermutedColumn};
pub use reliability::{Reliability, ReliabilityBin, ReliabilityCurve};
pub use residuals::{ErrorRange, Residuals};
pub use slices::{Slice, SliceRows, SlicedColumn};

use crate::config::{Scoring, Task};
use crate::model::Answers;
use crate::progress::Event;
use crate::random::Random;
use crate::table::Table;
use crate::target::Truth;
use crate::train::Stream;
use crate::{Error, Pipeline, Progress, TrainConfig, TrainReport};
use serde::Serialize;

/// What was found out about a model on rows it did not learn from.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// Rows it was judged on.
    pub rows: usize,
    /// How much worse the model gets when a column is shuffled; `None` when it is not asked for, or the figure is undefined
    /// on these rows.
    pub permutation: Option<PermutationImportance>,
    /// What the model says on average for each value of the most important columns.
    pub partial_dependence: Vec<PartialDependence>,
    /// What each column adds to predictions; `None` when it is not asked for, or the model is neither of
    /// trees nor linear.
    pub contributions: Option<Contributions>,
    /// Whether probabilities come true as often as they say; `None` for numbers.
    pub reliability: Option<Reliability>,
    /// How predicted numbers miss the true ones; `None` for classes.
    pub residuals: Option<Residuals>,
    /// Figures of parts of the rows, column by column.
    pub slices: Vec<SlicedColumn>,
    /// Scores with fewer rows to learn from; `None` when it is not asked for.
    pub learning_curve: Option<LearningCurve>,
}

/// Judges the model of a training: on the rows that it held out, and for the learning curve on those it learned from.
///
/// `table` and `config` are those of the training; `judge` of the configuration says what is looked at. The result does
/// not depend on the number of threads.
///
/// # Errors
/// As [`crate::train()`].
pub fn judge(
    table: &Table,
    config: &TrainConfig,
    report: &TrainReport,
    progress: &dyn Progress,
) -> Result<Judgement, Error> {
    let held_out = table.select_rows(&report.test_rows);
    let mut judgement = judge_pipeline(&report.pipeline, &held_out, config, progress)?;
    if !config.judge.learning_curve.shares.is_empty() {
        let learned = table.select_rows(&report.train_rows);
        let params = &report.best_candidate().params;
        judgement.learning_curve = Some(learning_curve::of(&learned, config, params, progress)?);
    }
    Ok(judgement)
}

/// Judges a model on rows whose truth is known; there is no learning curve.
///
/// `config` says what is looked at: its `judge`, `intervals`, `seed` and the figure of its `search`.
///
/// # Errors
/// [`Error::Config`] for a figure that is not for what the model predicts; else as [`Pipeline::evaluate`].
pub fn judge_pipeline(
    pipeline: &Pipeline,
    held_out: &Table,
    config: &TrainConfig,
    progress: &dyn Progress,
) -> Result<Judgement, Error> {
    config.check()?;
    progress.event(Event::JudgingStarted);
    let bench = Bench::new(pipeline, held_out, config, progress)?;
    let answers = pipeline.answers(held_out)?;
    let permutation = permutation::of(&bench)?;
    let by_importance = bench.by_importance(permutation.as_ref());
    let (reliability, residuals) = match (&answers, &bench.truth) {
        (
            Answers::Classes {
                classes,
                probabilities,
            },
            Truth::Classes(truth),
        ) => {
            let reliability = reliability::of(
                pipeline,
                truth,
                classes,
                probabilities,
                config.judge.reliability.bins,
            )?;
            (reliability, None)
        }
        (Answers::Numbers(numbers), Truth::Numbers(truth)) => (
            None,
            Some(residuals::of(truth, numbers, bench.seed(Part::Residuals))),
        ),
        _ => unreachable!("the truth was read as what the model predicts"),
    };
    Ok(Judgement {
        rows: held_out.row_count(),
        partial_dependence: dependence::of(&bench, &by_importance)?,
        contributions: contributions::of(&bench)?,
        slices: slices::of(&bench, &answers, &by_importance)?,
        permutation,
        reliability,
        residuals,
        learning_curve: None,
    })
}

/// What all parts of a judgement need.
struct Bench<'a> {
    pipeline: &'a Pipeline,
    held_out: &'a Table,
    truth: Truth,
    config: &'a TrainConfig,
    progress: &'a dyn Progress,
}

/// Numbers the random numbers of the parts.
#[derive(Clone, Copy)]
enum Part {
    Permutation = 1,
    Dependence = 2,
    Contributions = 3,
    Slices = 4,
    Residuals = 5,
}

impl<'a> Bench<'a> {
    fn new(
        pipeline: &'a Pipeline,
        held_out: &'a Table,
        config: &'a TrainConfig,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let truth = match pipeline.task() {
            Task::Classification => Truth::Classes(pipeline.classes_of(held_out)?),
            Task::Regression => Truth::Numbers(pipeline.numbers_of(held_out)?.to_vec()),
        };
        if held_out.row_count() == 0 {
            return Err(Error::Data("there is no row to judge the model on".to_owned()));
        }
        Ok(Self {
            pipeline,
            held_out,
            truth,
            config,
            progress,
        })
    }

    /// The figure of the search.
    fn scoring(&self) -> Scoring {
        let by_default = || Scoring::of_task(self.pipeline.task());
        self.config.search.scoring.unwrap_or_else(by_default)
    }

    /// A figure that is asked for, checked to be one of what the model predicts.
    fn fitting(&self, scoring: Scoring, key: &str) -> Result<Scoring, Error> {
        if scoring.task() == self.pipeline.task() {
            return Ok(scoring);
        }
        let message = format!(
            "{} is for {}, but the model is for {}",
            scoring.name(),
            scoring.task().name(),
            self.pipeline.task().name()
        );
        Err(Error::config(key, message))
    }

    fn seed(&self, part: Part) -> u64 {
        Random::derive(self.config.seed, &[Stream::Judging as u64, part as u64]).next_u64()
    }

    /// At most so many rows, drawn without replacement, in rising order.
    /// The columns that the model looks at.
    fn column_names(&self) -> Vec<&str> {
        let features = self.pipeline.features().iter();
        features.map(|feature| feature.name.as_str()).collect()
    }

    fn sample(&self, most: usize, part: Part) -> Vec<usize> {
        sample(self.held_out.row_count(), most, self.seed(part))
    }

    /// The features, the most important first.
    fn by_importance(&self, permutation: Option<&PermutationImportance>) -> Vec<String> {
        let by_gain = self
            .pipeline
            .feature_importance()
            .into_iter()
            .map(|item| item.feature);
        let mut names: Vec<String> = permutation
            .iter()
            .flat_map(|permutation| &permutation.columns)
            .map(|column| column.feature.clone())
            .collect();
        for name in by_gain {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// At most `most` of so many rows, in rising order.
fn sample(count: usize, most: usize, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..count).collect();
    if count > most {
        Random::derive(seed, &[]).shuffle(&mut rows);
        rows.truncate(most);
        rows.sort_unstable();
    }
    rows
}

impl Truth {
    fn select(&self, rows: &[usize]) -> Self {
        match self {
            Truth::Classes(classes) => Truth::Classes(rows.iter().map(|&row| classes[row]).collect()),
            Truth::Numbers(numbers) => Truth::Numbers(rows.iter().map(|&row| numbers[row]).collect()),
        }
    }
}
