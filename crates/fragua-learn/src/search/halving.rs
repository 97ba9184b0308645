//! Successive halving: many candidates get little to learn with, the best of them more, and the best of those everything.

use super::Search;
use super::draw::draw_params;
use crate::config::{HalvingConfig, HalvingResource};
use crate::progress::Event;
use crate::report::Stopped;
use crate::{CandidateResult, Error, ModelParams};

/// Fewest rows of a fold that are learned from, unless it has fewer.
const FEWEST_ROWS: f64 = 100.0;

/// The share of the resource in each round, from the first to the last, which has all of it.
fn shares(candidates: usize, factor: usize) -> Vec<f64> {
    let (mut left, mut share) = (candidates, 1.0);
    let mut shares = vec![share];
    while left > factor {
        left = left.div_ceil(factor);
        share /= factor as f64;
        shares.push(share);
    }
    shares.reverse();
    shares
}

pub(super) fn run(search: &Search<'_>, config: &HalvingConfig) -> Result<Vec<CandidateResult>, Error> {
    let drawn = draw_params(
        &search.config.candidates,
        search.config.search.n_iter,
        search.config.seed,
        search.target.task(),
    );
    search.progress.event(Event::SearchStarted {
        candidates: drawn.len(),
        folds: search.config.search.cv,
    });
    let shares = shares(drawn.len(), config.factor);
    let whole_folds = search.folds(1.0)?;
    let fewest = whole_folds
        .iter()
        .map(|fold| fold.learned_rows)
        .min()
        .unwrap_or(0)
        .max(1);
    let mut results: Vec<Option<CandidateResult>> = drawn.iter().map(|_| None).collect();
    let mut left: Vec<usize> = (0..drawn.len()).collect();
    for (round, &share) in shares.iter().enumerate() {
        let is_last = round + 1 == shares.len();
        let row_share = share.max(FEWEST_ROWS / fewest as f64).min(1.0);
        let part = match config.resource {
            HalvingResource::Rows if row_share < 1.0 => Some(search.folds(row_share)?),
            HalvingResource::Rows | HalvingResource::Rounds => None,
        };
        let (stopped_at, params): (f64, Vec<(usize, ModelParams)>) = match config.resource {
            HalvingResource::Rows => {
                let params = left.iter().map(|&index| (index, drawn[index].clone()));
                (row_share, params.collect())
            }
            HalvingResource::Rounds => {
                let params = left.iter().map(|&index| (index, drawn[index].with_rounds(share)));
                (share, params.collect())
            }
        };
        let mut scored = search.score_all(&params, part.as_ref().unwrap_or(&whole_folds), is_last)?;
        for result in &mut scored {
            // The last round has the parameters as they are; before, rounds are fewer.
            result.params = drawn[result.index].clone();
        }
        if is_last {
            scored
                .into_iter()
                .for_each(|result| results[result.index] = Some(result.clone()));
            break;
        }
        if scored.iter().any(|result| result.stopped.is_some()) {
            // The search was ended: nobody comes to the last round.
            for mut result in scored {
                result
                    .stopped
                    .get_or_insert(Stopped::Halved { share: stopped_at });
                let index = result.index;
                results[index] = Some(result);
            }
            break;
        }
        let kept = left.len().div_ceil(config.factor);
        let worth = |result: &CandidateResult| {
            if result.mean.is_nan() {
                f64::NEG_INFINITY
            } else {
                result.mean
            }
        };
        scored.sort_by(|one, two| worth(two).total_cmp(&worth(one)).then(one.index.cmp(&two.index)));
        left = scored[..kept].iter().map(|result| result.index).collect();
        left.sort_unstable();
        for mut result in scored.into_iter().skip(kept) {
            result.stopped = Some(Stopped::Halved { share: stopped_at });
            search.progress.event(Event::CandidateFinished(&result));
            let index = result.index;
            results[index] = Some(result);
        }
    }
    Ok(results.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_round_has_all_and_few_are_left_for_it() {
        assert_eq!(shares(9, 3), [1.0 / 3.0, 1.0]);
        assert_eq!(shares(10, 3), [1.0 / 9.0, 1.0 / 3.0, 1.0]);
        assert_eq!(shares(2, 3), [1.0]);
        assert_eq!(shares(8, 2), [0.25, 0.5, 1.0]);
    }
}
