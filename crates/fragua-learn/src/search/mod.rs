//! The search for the best candidate, with cross-validation.

mod draw;
mod halving;
mod parting;
mod race;
mod tpe;

pub(crate) use draw::{Draw, draw_params};
pub(crate) use parting::{FoldRows, Parting};

use crate::config::{Scoring, SearchMethod, TrainConfig};
use crate::model::{Answers, TrainingSet};
use crate::prepare::{Matrix, Preparation};
use crate::progress::{Event, check_cancelled};
use crate::random::Random;
use crate::report::{FoldFigures, Stopped};
use crate::resample::resample;
use crate::table::{Column, Table};
use crate::target::Target;
use crate::train::Stream;
use crate::{CandidateResult, Error, ModelParams, Progress, split};
use rayon::prelude::*;
use std::sync::Mutex;
use std::time::Instant;

/// The rows to search on.
pub(crate) struct Search<'a> {
    pub(crate) table: &'a Table,
    pub(crate) target: &'a Target,
    pub(crate) parting: &'a Parting,
    pub(crate) config: &'a TrainConfig,
    pub(crate) progress: &'a dyn Progress,
    /// Candidates of the same search that are scored already.
    pub(crate) known: &'a [CandidateResult],
}

/// One fold: the rows to learn from, and those to score on.
struct Fold {
    training: TrainingSet,
    matrix: Matrix,
    held_out: Target,
    /// Rows that are learned from, before resampling.
    learned_rows: usize,
}

#[derive(Clone)]
struct FoldScore {
    score: f64,
    /// The figures of `search.also`, in their order.
    also: Vec<f64>,
    seconds: f64,
}

impl Search<'_> {
    pub(crate) fn scoring(&self) -> Scoring {
        let by_default = || Scoring::of_task(self.target.task());
        self.config.search.scoring.unwrap_or_else(by_default)
    }

    /// Scores the candidates that the method of the search comes to.
    pub(crate) fn run(&self) -> Result<Vec<CandidateResult>, Error> {
        let config = &self.config.search;
        match config.method {
            SearchMethod::Random => {
                let (candidates, seed) = (&self.config.candidates, self.config.seed);
                let drawn = draw_params(candidates, config.n_iter, seed, self.target.task());
                self.started(drawn.len());
                let drawn: Vec<(usize, ModelParams)> = drawn.into_iter().enumerate().collect();
                let folds = self.folds(1.0)?;
                if config.drop_hopeless {
                    self.score_race(&drawn, &folds, None)
                } else {
                    self.score_all(&drawn, &folds, true)
                }
            }
            SearchMethod::Halving => halving::run(self, &config.halving.clone().unwrap_or_default()),
            SearchMethod::Tpe => self.run_estimator(),
        }
    }

    fn started(&self, candidates: usize) {
        self.progress.event(Event::SearchStarted {
            candidates,
            folds: self.config.search.cv,
        });
    }

    /// Scores some candidates at random side by side, then one after the other.
    fn run_estimator(&self) -> Result<Vec<CandidateResult>, Error> {
        let config = &self.config.search;
        self.started(config.n_iter);
        let folds = self.folds(1.0)?;
        let task = self.target.task();
        let mut estimator = tpe::Estimator::new(&self.config.candidates, task, self.config.seed);
        let mut next: Vec<(usize, ModelParams)> = (estimator.start(config.n_iter).iter().enumerate())
            .map(|(index, drawn)| (index, drawn.params.clone()))
            .collect();
        let mut results: Vec<CandidateResult> = Vec::new();
        while !next.is_empty() {
            let scored = if config.drop_hopeless {
                let leader = best(&results, self.scoring()).ok().map(|index| &results[index]);
                self.score_race(&next, &folds, leader)?
            } else {
                self.score_all(&next, &folds, true)?
            };
            scored.iter().for_each(|result| estimator.learn(result.mean));
            results.extend(scored);
            next.clear();
            if results.len() < config.n_iter
                && !self.progress.is_enough()
                && let Some(drawn) = estimator.suggest()
            {
                next.push((results.len(), drawn.params.clone()));
            }
        }
        Ok(results)
    }

    /// Prepares all folds, each with a share of its rows to learn from.
    fn folds(&self, share: f64) -> Result<Vec<Fold>, Error> {
        self.fold_rows()?
            .par_iter()
            .enumerate()
            .map(|(fold, rows)| self.prepare(fold, rows, share))
            .collect()
    }

    /// Scores candidates, given with their indices, on all folds; candidates and folds run side by side. In a final round it
    /// says so when a candidate is finished, takes those that are known, and ends when it is enough.
    fn score_all(
        &self,
        candidates: &[(usize, ModelParams)],
        folds: &[Fold],
        is_final: bool,
    ) -> Result<Vec<CandidateResult>, Error> {
        let finished: Vec<Mutex<Vec<Option<FoldScore>>>> = candidates
            .iter()
            .map(|_| Mutex::new(folds.iter().map(|_| None).collect()))
            .collect();
        let summary = |place: usize, scores: &[Option<FoldScore>]| {
            let scores: Vec<FoldScore> = scores.iter().cloned().collect::<Option<_>>()?;
            let (index, params) = &candidates[place];
            Some(self.summarise(*index, params, &scores))
        };
        (0..candidates.len() * folds.len())
            .into_par_iter()
            .try_for_each(|job| {
                let (place, fold) = (job / folds.len(), job % folds.len());
                let (index, params) = &candidates[place];
                let known = is_final.then(|| self.known(*index, params, fold)).flatten();
                let scored = match known {
                    Some(known) => known,
                    None if self.progress.is_enough() => return Ok(()),
                    None => self.score(params, &folds[fold], *index, fold)?,
                };
                let result = {
                    let mut scores = finished[place]
                        .lock()
                        .expect("no thread panics while it holds the lock");
                    scores[fold] = Some(scored);
                    summary(place, &scores)
                };
                if let Some(result) = result.filter(|_| is_final) {
                    self.progress.event(Event::CandidateFinished(&result));
                }
                Ok(())
            })?;
        let summaries = finished.into_iter().enumerate().map(|(place, scores)| {
            let scores = scores
                .into_inner()
                .expect("no thread panicked while it held the lock");
            summary(place, &scores).unwrap_or_else(|| {
                let (index, params) = &candidates[place];
                self.ended(*index, params, &scores.into_iter().flatten().collect::<Vec<_>>())
            })
        });
        Ok(summaries.collect())
    }

    /// Scores candidates fold by fold, those of a fold side by side, and gives up those that are hopeless against the best of
    /// them or against `leader`.
    fn score_race(
        &self,
        candidates: &[(usize, ModelParams)],
        folds: &[Fold],
        leader: Option<&CandidateResult>,
    ) -> Result<Vec<CandidateResult>, Error> {
        let mut scores: Vec<Vec<FoldScore>> = vec![Vec::new(); candidates.len()];
        let mut left: Vec<usize> = (0..candidates.len()).collect();
        let mut results: Vec<Option<CandidateResult>> = candidates.iter().map(|_| None).collect();
        for (number, fold) in folds.iter().enumerate() {
            let score = |&place: &usize| {
                let (index, params) = &candidates[place];
                match self.known(*index, params, number) {
                    Some(known) => Ok(Some(known)),
                    None if self.progress.is_enough() => Ok(None),
                    None => self.score(params, fold, *index, number).map(Some),
                }
            };
            let scored: Vec<Option<FoldScore>> = left.par_iter().map(score).collect::<Result<_, Error>>()?;
            // Whoever lacks this fold can no longer be compared.
            if scored.iter().any(Option::is_none) {
                for (&place, scored) in left.iter().zip(scored) {
                    scores[place].extend(scored);
                    let (index, params) = &candidates[place];
                    results[place] = Some(match scores[place].len() == folds.len() {
                        true => self.summarise(*index, params, &scores[place]),
                        false => self.ended(*index, params, &scores[place]),
                    });
                }
                break;
            }
            let scored = scored.into_iter().flatten();
            for (&place, scored) in left.iter().zip(scored) {
                scores[place].push(scored);
            }
            let figures: Vec<Vec<f64>> = (left.iter())
                .map(|&place| scores[place].iter().map(|fold| fold.score).collect())
                .collect();
            let mut compared: Vec<&[f64]> = figures.iter().map(Vec::as_slice).collect();
            compared.extend(leader.map(|leader| &leader.fold_scores[..=number]));
            let is_last = number + 1 == folds.len();
            let hopeless = race::hopeless(&compared);
            let mut kept = Vec::new();
            for (&place, is_hopeless) in left.iter().zip(hopeless) {
                if !is_last && !is_hopeless {
                    kept.push(place);
                    continue;
                }
                let (index, params) = &candidates[place];
                let mut result = self.summarise(*index, params, &scores[place]);
                if !is_last {
                    result.stopped = Some(Stopped::Hopeless { folds: number + 1 });
                }
                self.progress.event(Event::CandidateFinished(&result));
                results[place] = Some(result);
            }
            left = kept;
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// The rows of each fold.
    fn fold_rows(&self) -> Result<Vec<FoldRows>, Error> {
        let seed = Random::derive(self.config.seed, &[Stream::Folds as u64]).next_u64();
        self.parting.folds(self.target, self.config.search.cv, seed)
    }

    /// Predicts rows by models that were fitted without the row's fold; returns the rows with their probabilities. Every row
    /// is predicted but, with folds by time, the earliest ones.
    pub(crate) fn out_of_fold(&self, params: &ModelParams) -> Result<(Vec<usize>, Vec<f32>), Error> {
        let class_count = self.target.labels.len();
        let fold_rows = self.fold_rows()?;
        let of_fold = |(number, rows): (usize, &FoldRows)| {
            let fold = self.prepare(number, rows, 1.0)?;
            let path = [Stream::FoldModels as u64, u64::MAX, number as u64];
            let seed = Random::derive(self.config.seed, &path).next_u64();
            let (model, _) = fold.training.fit(params, seed, self.progress)?;
            Ok(model.predict(&fold.matrix, &fold.training.preparation))
        };
        let answers: Vec<Answers> = fold_rows
            .par_iter()
            .enumerate()
            .map(of_fold)
            .collect::<Result<_, Error>>()?;
        let mut of_row: Vec<Option<&[f32]>> = vec![None; self.target.len()];
        for (rows, answers) in fold_rows.iter().zip(&answers) {
            if let Answers::Classes { probabilities, .. } = answers {
                for (&row, own) in rows.held_out.iter().zip(probabilities.chunks_exact(class_count)) {
                    of_row[row] = Some(own);
                }
            }
        }
        let rows = (0..of_row.len()).filter(|&row| of_row[row].is_some()).collect();
        Ok((rows, of_row.into_iter().flatten().flatten().copied().collect()))
    }

    /// Scores a model fitted on a share of each fold's rows; returns the scores on rows that were learned from and on those
    /// held out, and the number of rows that were learned from, fold by fold.
    pub(crate) fn scores_at(
        &self,
        params: &ModelParams,
        share: f64,
    ) -> Result<Vec<(f64, f64, usize)>, Error> {
        let fold_rows = self.fold_rows()?;
        let of_fold = |(number, rows): (usize, &FoldRows)| {
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
        fold_rows.par_iter().enumerate().map(of_fold).collect()
    }

    /// Prepares a fold that learns from a share of the rows that are not held out.
    fn prepare(&self, fold: usize, rows: &FoldRows, share: f64) -> Result<Fold, Error> {
        let held_out = &rows.held_out;
        let mut kept = rows.learned.clone();
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
        let score_by = |scoring| answers.score(&fold.held_out.truth, class_count, scoring);
        let score = score_by(self.scoring())?;
        let also = self.config.search.also.iter().map(|&scoring| score_by(scoring));
        let also = also.collect::<Result<_, Error>>()?;
        self.progress.event(Event::FoldFinished {
            candidate,
            fold: number,
            score,
        });
        Ok(FoldScore {
            score,
            also,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Returns what is known of a candidate on a fold. The index counts, too: random numbers are drawn by it.
    fn known(&self, index: usize, params: &ModelParams, fold: usize) -> Option<FoldScore> {
        let is_it = |known: &&CandidateResult| {
            let is_whole = !matches!(
                known.stopped,
                Some(Stopped::Halved { .. } | Stopped::Ended { .. })
            );
            known.index == index && known.params == *params && known.scoring == self.scoring() && is_whole
        };
        let known = self.known.iter().find(is_it)?;
        let also = self.config.search.also.iter();
        let also = also.map(|scoring| known.also.get(scoring.name())?.folds.get(fold).copied());
        Some(FoldScore {
            score: *known.fold_scores.get(fold)?,
            also: also.collect::<Option<_>>()?,
            seconds: known.seconds / known.fold_scores.len() as f64,
        })
    }

    /// Returns the result of a candidate that was not scored to the end.
    fn ended(&self, index: usize, params: &ModelParams, scores: &[FoldScore]) -> CandidateResult {
        CandidateResult {
            stopped: Some(Stopped::Ended { folds: scores.len() }),
            ..self.summarise(index, params, scores)
        }
    }

    /// Returns the result of a candidate on the folds that were scored.
    fn summarise(&self, index: usize, params: &ModelParams, scores: &[FoldScore]) -> CandidateResult {
        let of = |figure: &dyn Fn(&FoldScore) -> f64| FoldFigures::of(scores.iter().map(figure).collect());
        let deciding = of(&|fold| fold.score);
        let also = self.config.search.also.iter().enumerate();
        CandidateResult {
            index,
            params: params.clone(),
            scoring: self.scoring(),
            fold_scores: deciding.folds,
            mean: deciding.mean,
            std: deciding.std,
            also: also
                .map(|(place, scoring)| (scoring.name().to_owned(), of(&|fold| fold.also[place])))
                .collect(),
            stopped: None,
            seconds: scores.iter().map(|fold| fold.seconds).sum(),
        }
    }
}

impl FoldFigures {
    fn of(folds: Vec<f64>) -> Self {
        let count = folds.len() as f64;
        let mean = folds.iter().sum::<f64>() / count;
        let variance = folds.iter().map(|figure| (figure - mean).powi(2)).sum::<f64>() / count;
        Self {
            folds,
            mean,
            std: variance.sqrt(),
        }
    }
}

/// Returns the index of the candidate with the greatest mean of those that were scored to the end, the first of equals.
pub(crate) fn best(candidates: &[CandidateResult], scoring: Scoring) -> Result<usize, Error> {
    let mut best: Option<&CandidateResult> = None;
    for candidate in
        (candidates.iter()).filter(|candidate| candidate.stopped.is_none() && !candidate.mean.is_nan())
    {
        if best.is_none_or(|best| candidate.mean > best.mean) {
            best = Some(candidate);
        }
    }
    let was_ended = |candidate: &CandidateResult| matches!(candidate.stopped, Some(Stopped::Ended { .. }));
    if best.is_none() && candidates.iter().any(was_ended) {
        return Err(Error::Cancelled);
    }
    best.map(|best| best.index).ok_or_else(|| {
        let message = format!(
            "{} is undefined on every candidate's folds; use another figure",
            scoring.name()
        );
        Error::config("search.scoring", message)
    })
}
