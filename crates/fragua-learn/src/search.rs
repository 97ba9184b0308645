//! Randomised search with cross-validation.

use crate::config::{Candidate, Scoring, TrainConfig};
use crate::metrics::Outcome;
use crate::model::TrainingSet;
use crate::prepare::{Matrix, Preparation};
use crate::progress::{Event, check_cancelled};
use crate::random::Random;
use crate::table::{Column, Table};
use crate::train::Stream;
use crate::{CandidateResult, Error, Label, ModelParams, Progress, split};
use rayon::prelude::*;
use std::sync::Mutex;
use std::time::Instant;

/// Draws that may repeat an earlier set of parameters before a candidate counts as exhausted.
const REPEATED_DRAWS: usize = 20;

/// The rows to search on.
pub(crate) struct Search<'a> {
    pub(crate) table: &'a Table,
    pub(crate) classes: &'a [u16],
    pub(crate) labels: &'a [Label],
    pub(crate) config: &'a TrainConfig,
    pub(crate) progress: &'a dyn Progress,
}

/// One fold: the rows to learn from, and those to score on.
struct Fold {
    training: TrainingSet,
    matrix: Matrix,
    truth: Vec<u16>,
}

struct FoldScore {
    score: f64,
    seconds: f64,
}

impl Search<'_> {
    /// Scores all candidates on all folds; candidates and folds run side by side.
    pub(crate) fn run(&self) -> Result<Vec<CandidateResult>, Error> {
        let drawn = draw(
            &self.config.candidates,
            self.config.search.n_iter,
            self.config.seed,
        );
        let fold_count = self.config.search.cv;
        self.progress.event(Event::SearchStarted {
            candidates: drawn.len(),
            folds: fold_count,
        });
        let seed = Random::derive(self.config.seed, &[Stream::Folds as u64]).next_u64();
        let held_out = split::stratified_folds(self.classes, self.labels.len(), fold_count, seed)?;
        let folds: Vec<Fold> = held_out
            .par_iter()
            .map(|rows| self.prepare(rows))
            .collect::<Result<_, Error>>()?;

        let finished: Vec<Mutex<Vec<Option<FoldScore>>>> = drawn
            .iter()
            .map(|_| Mutex::new((0..fold_count).map(|_| None).collect()))
            .collect();
        (0..drawn.len() * fold_count)
            .into_par_iter()
            .try_for_each(|job| {
                let (candidate, fold) = (job / fold_count, job % fold_count);
                let scored = self.score(&drawn[candidate], &folds[fold], candidate, fold)?;
                self.progress.event(Event::FoldFinished {
                    candidate,
                    fold,
                    score: scored.score,
                });
                let result = {
                    let mut scores = finished[candidate]
                        .lock()
                        .expect("no thread panics while it holds the lock");
                    scores[fold] = Some(scored);
                    summarise(candidate, &drawn[candidate], &scores)
                };
                if let Some(result) = result {
                    self.progress.event(Event::CandidateFinished(&result));
                }
                Ok(())
            })?;
        let summaries = finished.into_iter().enumerate().map(|(candidate, scores)| {
            let scores = scores
                .into_inner()
                .expect("no thread panicked while it held the lock");
            summarise(candidate, &drawn[candidate], &scores).expect("all folds have been scored")
        });
        Ok(summaries.collect())
    }

    fn prepare(&self, held_out: &[usize]) -> Result<Fold, Error> {
        let mut is_held_out = vec![false; self.classes.len()];
        held_out.iter().for_each(|&row| is_held_out[row] = true);
        let kept: Vec<usize> = (0..self.classes.len()).filter(|&row| !is_held_out[row]).collect();
        let (preparation, matrix) = Preparation::fit(
            &self.table.select_rows(&kept),
            &self.config.preparation,
            self.progress,
        )?;
        let validation = self.table.select_rows(held_out);
        let columns: Vec<&Column> = validation.columns().iter().collect();
        let validation_matrix = preparation.encode(&columns, validation.row_count(), self.progress)?;
        let classes = kept.iter().map(|&row| self.classes[row]).collect();
        Ok(Fold {
            training: TrainingSet::new(self.table.names(), preparation, matrix, classes),
            matrix: validation_matrix,
            truth: held_out.iter().map(|&row| self.classes[row]).collect(),
        })
    }

    fn score(
        &self,
        params: &ModelParams,
        fold: &Fold,
        candidate: usize,
        number: usize,
    ) -> Result<FoldScore, Error> {
        check_cancelled(self.progress)?;
        let started = Instant::now();
        let path = [Stream::FoldModels as u64, candidate as u64, number as u64];
        let seed = Random::derive(self.config.seed, &path).next_u64();
        let (model, _) = fold.training.fit(params, self.labels, seed, self.progress)?;
        let (predicted, probabilities) = model.predict(&fold.matrix, &fold.training.preparation);
        let outcome = Outcome::new(&fold.truth, &predicted, &probabilities, self.labels.len())?;
        let score = outcome.score(self.config.search.scoring);
        Ok(FoldScore {
            score,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

/// Draws different sets of parameters, the candidates in turn, until there are enough or none is left.
pub(crate) fn draw(candidates: &[Candidate], count: usize, seed: u64) -> Vec<ModelParams> {
    let mut drawn: Vec<ModelParams> = Vec::new();
    let mut random = Random::derive(seed, &[Stream::Candidates as u64]);
    let mut open: Vec<&Candidate> = candidates.iter().collect();
    while drawn.len() < count && !open.is_empty() {
        open.retain(|candidate| {
            if drawn.len() == count {
                return true;
            }
            let new = (0..REPEATED_DRAWS)
                .map(|_| candidate.sample(&mut random))
                .find(|params| !drawn.contains(params));
            let found = new.is_some();
            drawn.extend(new);
            found
        });
    }
    drawn
}

/// Returns the result of a candidate once all its folds are scored.
fn summarise(index: usize, params: &ModelParams, scores: &[Option<FoldScore>]) -> Option<CandidateResult> {
    let scores: Vec<&FoldScore> = scores.iter().map(Option::as_ref).collect::<Option<_>>()?;
    let count = scores.len() as f64;
    let mean = scores.iter().map(|fold| fold.score).sum::<f64>() / count;
    let variance = scores.iter().map(|fold| (fold.score - mean).powi(2)).sum::<f64>() / count;
    Some(CandidateResult {
        index,
        params: params.clone(),
        fold_scores: scores.iter().map(|fold| fold.score).collect(),
        mean,
        std: variance.sqrt(),
        seconds: scores.iter().map(|fold| fold.seconds).sum(),
    })
}

/// Returns the index of the candidate with the greatest mean, the first of equals.
pub(crate) fn best(candidates: &[CandidateResult], scoring: Scoring) -> Result<usize, Error> {
    let mut best: Option<&CandidateResult> = None;
    for candidate in candidates.iter().filter(|candidate| !candidate.mean.is_nan()) {
        if best.is_none_or(|best| candidate.mean > best.mean) {
            best = Some(candidate);
        }
    }
    best.map(|best| best.index).ok_or_else(|| {
        let message = format!(
            "{} is undefined on every candidate's folds; use another figure",
            scoring.name()
        );
        Error::config("search.scoring", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn drawn(candidates: serde_json::Value, count: usize) -> Vec<ModelParams> {
        draw(
            &serde_json::from_value::<Vec<Candidate>>(candidates).unwrap(),
            count,
            1,
        )
    }

    #[test]
    fn candidates_take_turns_and_are_never_repeated() {
        let models = drawn(
            json!([
                { "model": "logistic_regression" },
                { "model": "random_forest", "n_estimators": [10, 20, 30] },
                { "model": "gradient_boosting", "learning_rate": { "log_uniform": [0.01, 0.5] } },
            ]),
            8,
        );
        let names: Vec<&str> = models.iter().map(ModelParams::model_name).collect();
        let count = |name: &str| names.iter().filter(|other| **other == name).count();
        assert_eq!(
            names[..3],
            ["logistic_regression", "random_forest", "gradient_boosting"]
        );
        assert_eq!(
            (
                count("logistic_regression"),
                count("random_forest"),
                count("gradient_boosting")
            ),
            (1, 3, 4)
        );
        for (position, params) in models.iter().enumerate() {
            assert!(!models[..position].contains(params));
        }
    }

    #[test]
    fn a_fixed_candidate_is_drawn_once() {
        assert_eq!(drawn(json!([{ "model": "random_forest" }]), 6).len(), 1);
    }
}
