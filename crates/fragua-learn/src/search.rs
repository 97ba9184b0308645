//! Randomised search with cross-validation.

use crate::config::{Candidate, Scoring, Task, TrainConfig};
use crate::model::{Answers, TrainingSet};
use crate::prepare::{Matrix, Preparation};
use crate::progress::{Event, check_cancelled};
use crate::random::Random;
use crate::resample::resample;
use crate::table::{Column, Table};
use crate::target::Target;
use crate::train::Stream;
use crate::{CandidateResult, Error, ModelParams, Progress, split};
use rayon::prelude::*;
use std::sync::Mutex;
use std::time::Instant;

/// Draws that may repeat an earlier set of parameters before a candidate counts as exhausted.
const REPEATED_DRAWS: usize = 20;

/// The rows to search on.
pub(crate) struct Search<'a> {
    pub(crate) table: &'a Table,
    pub(crate) target: &'a Target,
    pub(crate) config: &'a TrainConfig,
    pub(crate) progress: &'a dyn Progress,
}

/// One fold: the rows to learn from, and those to score on.
struct Fold {
    training: TrainingSet,
    matrix: Matrix,
    held_out: Target,
    /// Rows that are learned from, before resampling.
    learned_rows: usize,
}

struct FoldScore {
    score: f64,
    seconds: f64,
}

impl Search<'_> {
    pub(crate) fn scoring(&self) -> Scoring {
        let by_default = || Scoring::of_task(self.target.task());
        self.config.search.scoring.unwrap_or_else(by_default)
    }

    /// Scores all candidates on all folds; candidates and folds run side by side.
    pub(crate) fn run(&self) -> Result<Vec<CandidateResult>, Error> {
        let drawn = draw(
            &self.config.candidates,
            self.config.search.n_iter,
            self.config.seed,
            self.target.task(),
        );
        let fold_count = self.config.search.cv;
        self.progress.event(Event::SearchStarted {
            candidates: drawn.len(),
            folds: fold_count,
        });
        let folds: Vec<Fold> = self
            .held_out_rows()?
            .par_iter()
            .enumerate()
            .map(|(fold, rows)| self.prepare(fold, rows, 1.0))
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
                    summarise(candidate, &drawn[candidate], self.scoring(), &scores)
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
            summarise(candidate, &drawn[candidate], self.scoring(), &scores)
                .expect("all folds have been scored")
        });
        Ok(summaries.collect())
    }

    /// The rows that each fold holds out.
    pub(crate) fn held_out_rows(&self) -> Result<Vec<Vec<usize>>, Error> {
        let seed = Random::derive(self.config.seed, &[Stream::Folds as u64]).next_u64();
        let (strata, stratum_count) = self.target.strata();
        split::stratified_folds(&strata, stratum_count, self.config.search.cv, seed)
    }

    /// Predicts every row by a model that was fitted without the row's fold.
    pub(crate) fn out_of_fold(&self, params: &ModelParams) -> Result<Vec<f32>, Error> {
        let class_count = self.target.labels.len();
        let held_out = self.held_out_rows()?;
        let of_fold = |(number, rows): (usize, &Vec<usize>)| {
            let fold = self.prepare(number, rows, 1.0)?;
            let path = [Stream::FoldModels as u64, u64::MAX, number as u64];
            let seed = Random::derive(self.config.seed, &path).next_u64();
            let (model, _) = fold.training.fit(params, seed, self.progress)?;
            Ok(model.predict(&fold.matrix, &fold.training.preparation))
        };
        let answers: Vec<Answers> = held_out
            .par_iter()
            .enumerate()
            .map(of_fold)
            .collect::<Result<_, Error>>()?;
        let mut whole = vec![0.0; self.target.len() * class_count];
        for (rows, answers) in held_out.iter().zip(answers) {
            if let Answers::Classes { probabilities, .. } = answers {
                for (&row, of_row) in rows.iter().zip(probabilities.chunks_exact(class_count)) {
                    whole[row * class_count..(row + 1) * class_count].copy_from_slice(of_row);
                }
            }
        }
        Ok(whole)
    }

    /// Scores a model fitted on a share of each fold's rows; returns the scores on rows that were learned from and on those
    /// held out, and the number of rows that were learned from, fold by fold.
    pub(crate) fn scores_at(
        &self,
        params: &ModelParams,
        share: f64,
    ) -> Result<Vec<(f64, f64, usize)>, Error> {
        let held_out = self.held_out_rows()?;
        let of_fold = |(number, rows): (usize, &Vec<usize>)| {
            check_cancelled(self.progress)?;
            let fold = self.prepare(number, rows, share)?;
            let path = [Stream::FoldModels as u64, u64::MAX, number as u64];
            let seed = Random::derive(self.config.seed, &path).next_u64();
            let (model, _) = fold.training.fit(params, seed, self.progress)?;
            let score = |matrix: &Matrix, target: &Target| {
                let answers = model.predict(matrix, &fold.training.preparation);
                answers.score(&target.truth, target.labels.len(), self.scoring())
            };
            let learned = &fold.training;
            Ok((
                score(&learned.matrix, &learned.target)?,
                score(&fold.matrix, &fold.held_out)?,
                fold.learned_rows,
            ))
        };
        held_out.par_iter().enumerate().map(of_fold).collect()
    }

    /// Prepares a fold that learns from a share of the rows that are not held out.
    fn prepare(&self, fold: usize, held_out: &[usize], share: f64) -> Result<Fold, Error> {
        let mut is_held_out = vec![false; self.target.len()];
        held_out.iter().for_each(|&row| is_held_out[row] = true);
        let mut kept: Vec<usize> = (0..self.target.len()).filter(|&row| !is_held_out[row]).collect();
        if share < 1.0 {
            let (strata, stratum_count) = self.target.select(&kept).strata();
            let path = [Stream::LearningCurve as u64, fold as u64];
            let seed = Random::derive(self.config.seed, &path).next_u64();
            let part = split::share_of(&strata, stratum_count, share, seed);
            kept = part.into_iter().map(|row| kept[row]).collect();
        }
        let target = self.target.select(&kept);
        let seed =
            |stream: Stream| Random::derive(self.config.seed, &[stream as u64, 1 + fold as u64]).next_u64();
        let (preparation, matrix) = Preparation::fit(
            &self.table.select_rows(&kept),
            &target,
            &self.config.preparation,
            seed(Stream::Preparation),
            self.progress,
        )?;
        let validation = self.table.select_rows(held_out);
        let columns: Vec<&Column> = validation.columns().iter().collect();
        let validation_matrix = preparation.encode(&columns, validation.row_count(), self.progress)?;
        let (matrix, target) = resample(
            &self.config.resampling,
            &preparation,
            matrix,
            target,
            seed(Stream::Resampling),
            self.progress,
        )?;
        Ok(Fold {
            learned_rows: kept.len(),
            training: TrainingSet::new(self.table.names(), preparation, matrix, target),
            matrix: validation_matrix,
            held_out: self.target.select(held_out),
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
        let (model, _) = fold.training.fit(params, seed, self.progress)?;
        let answers = model.predict(&fold.matrix, &fold.training.preparation);
        let class_count = self.target.labels.len();
        let score = answers.score(&fold.held_out.truth, class_count, self.scoring())?;
        Ok(FoldScore {
            score,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

/// Draws different sets of parameters, the candidates in turn, until there are enough or none is left.
pub(crate) fn draw(candidates: &[Candidate], count: usize, seed: u64, task: Task) -> Vec<ModelParams> {
    let mut drawn: Vec<ModelParams> = Vec::new();
    let mut random = Random::derive(seed, &[Stream::Candidates as u64]);
    let mut open: Vec<&Candidate> = candidates.iter().collect();
    while drawn.len() < count && !open.is_empty() {
        open.retain(|candidate| {
            if drawn.len() == count {
                return true;
            }
            let new = (0..REPEATED_DRAWS)
                .map(|_| candidate.sample(task, &mut random))
                .find(|params| !drawn.contains(params));
            let found = new.is_some();
            drawn.extend(new);
            found
        });
    }
    drawn
}

/// Returns the result of a candidate once all its folds are scored.
fn summarise(
    index: usize,
    params: &ModelParams,
    scoring: Scoring,
    scores: &[Option<FoldScore>],
) -> Option<CandidateResult> {
    let scores: Vec<&FoldScore> = scores.iter().map(Option::as_ref).collect::<Option<_>>()?;
    let count = scores.len() as f64;
    let mean = scores.iter().map(|fold| fold.score).sum::<f64>() / count;
    let variance = scores.iter().map(|fold| (fold.score - mean).powi(2)).sum::<f64>() / count;
    Some(CandidateResult {
        index,
        params: params.clone(),
        scoring,
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
            Task::Classification,
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
