use crate::config::Scoring;
use crate::search::{Parting, Search};
use crate::table::Table;
use crate::target::Target;
use crate::train::select_features;
use crate::{Error, ModelParams, Progress, TrainConfig};
use serde::Serialize;

/// Scores of the best parameters with fewer rows to learn from, on the folds of the search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LearningCurve {
    /// The figure; greater is better.
    pub scoring: Scoring,
    /// From the smallest share to the largest one.
    pub points: Vec<LearningPoint>,
}

/// Scores at one share of the rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LearningPoint {
    /// Share of each fold's rows that was learned from.
    pub share: f64,
    /// Those rows, the mean over the folds.
    pub rows: usize,
    /// Mean score on the rows that were held out.
    pub mean: f64,
    /// Standard deviation over the folds (divided by their number).
    pub std: f64,
    /// Mean score on the rows that were learned from, as they are after resampling.
    pub learned_mean: f64,
}

pub(super) fn of(
    table: &Table,
    config: &TrainConfig,
    params: &ModelParams,
    progress: &dyn Progress,
) -> Result<LearningCurve, Error> {
    let features = select_features(table, config)?;
    let (target, _) = Target::new(table, config)?;
    let search = Search {
        table: &features,
        target: &target,
        parting: &Parting::new(table, config)?,
        config,
        progress: &Quietly(progress),
        known: &[],
    };
    let point = |&share: &f64| {
        let folds = search.scores_at(params, share)?;
        let count = folds.len() as f64;
        let mean_of = |figure: fn(&(f64, f64, usize)) -> f64| folds.iter().map(figure).sum::<f64>() / count;
        let mean = mean_of(|fold| fold.1);
        Ok(LearningPoint {
            share,
            rows: mean_of(|fold| fold.2 as f64).round() as usize,
            mean,
            std: (folds.iter().map(|fold| (fold.1 - mean).powi(2)).sum::<f64>() / count).sqrt(),
            learned_mean: mean_of(|fold| fold.0),
        })
    };
    let shares = &config.judge.learning_curve.shares;
    Ok(LearningCurve {
        scoring: search.scoring(),
        points: shares.iter().map(point).collect::<Result<_, Error>>()?,
    })
}

/// Passes on nothing but the wish to stop: folds of the curve are no candidates.
struct Quietly<'a>(&'a dyn Progress);

impl Progress for Quietly<'_> {
    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}
