use super::{Bench, Part};
use crate::Error;
use crate::config::Scoring;
use crate::progress::check_cancelled;
use crate::random::Random;
use rayon::prelude::*;
use serde::Serialize;

/// How much worse a model gets when the values of a column are shuffled among the rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PermutationImportance {
    /// The figure that gets worse.
    pub scoring: Scoring,
    /// Its value with all columns as they are, on the rows that were used; greater is better.
    pub score: f64,
    /// Held-out rows that were used.
    pub rows: usize,
    /// How often each column was shuffled.
    pub repeats: usize,
    /// The columns, the most important first.
    pub columns: Vec<PermutedColumn>,
}

/// What shuffling one column costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PermutedColumn {
    /// Name of the column.
    pub feature: String,
    /// How much the score falls on average; about 0 when the column does not matter.
    pub mean: f64,
    /// Standard deviation over the repeats (divided by their number, as scikit-learn's).
    pub std: f64,
}

pub(super) fn of(bench: &Bench<'_>) -> Result<Option<PermutationImportance>, Error> {
    let config = &bench.config.judge.permutation;
    if config.repeats == 0 {
        return Ok(None);
    }
    let scoring = config.scoring.unwrap_or_else(|| bench.scoring());
    let scoring = bench.fitting(scoring, "judge.permutation.scoring")?;
    let sample = bench.sample(config.rows, Part::Permutation);
    let truth = bench.truth.select(&sample);
    let names = bench.column_names();
    let table = bench.held_out.select_columns(&names)?.select_rows(&sample);
    let class_count = bench.pipeline.labels().len();
    let score_of = |table: &_| bench.pipeline.answers(table)?.score(&truth, class_count, scoring);
    let score = score_of(&table)?;
    if !score.is_finite() {
        return Ok(None);
    }

    let chosen: Vec<String> = bench
        .pipeline
        .feature_importance()
        .into_iter()
        .take(config.columns)
        .map(|item| item.feature)
        .collect();
    let seed = bench.seed(Part::Permutation);
    let fall = |job: usize| {
        check_cancelled(bench.progress)?;
        let (name, repeat) = (&chosen[job / config.repeats], job % config.repeats);
        let column = names.iter().position(|known| known == name).unwrap_or_default();
        let mut rows: Vec<usize> = (0..sample.len()).collect();
        Random::derive(seed, &[1 + column as u64, repeat as u64]).shuffle(&mut rows);
        let shuffled = table.columns()[column].select(&rows);
        Ok(score - score_of(&table.with_column(column, shuffled))?)
    };
    let falls: Vec<f64> = (0..chosen.len() * config.repeats)
        .into_par_iter()
        .map(fall)
        .collect::<Result<_, Error>>()?;
    let mut columns: Vec<PermutedColumn> = chosen
        .iter()
        .zip(falls.chunks(config.repeats))
        .map(|(feature, falls)| {
            let count = falls.len() as f64;
            let mean = falls.iter().sum::<f64>() / count;
            let variance = falls.iter().map(|fall| (fall - mean).powi(2)).sum::<f64>() / count;
            PermutedColumn {
                feature: feature.clone(),
                mean,
                std: variance.sqrt(),
            }
        })
        .collect();
    columns.sort_by(|one, two| two.mean.total_cmp(&one.mean));
    Ok(Some(PermutationImportance {
        scoring,
        score,
        rows: sample.len(),
        repeats: config.repeats,
        columns,
    }))
}
