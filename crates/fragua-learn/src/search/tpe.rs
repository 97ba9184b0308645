//! The tree-structured Parzen estimator of Bergstra, Bardenet, Bengio and Kégl (2011): parameters are drawn where good ones
//! were dense and bad ones were not.
//!
//! The candidate is the root of the tree and its parameters are the leaves, each looked at by itself. Of the scores known so
//! far the best fifth is good. What is good has a density over each parameter, what is bad has another; of some draws from
//! the good density the one is tried for which the ratio of the two is greatest.

use super::draw::{Coordinate, Drawn, draw, new_at_random, randomness};
use crate::config::{Candidate, Task};
use crate::random::Random;
use std::f64::consts::TAU;

/// Draws from what was good, of which one is tried.
const DRAWS: usize = 24;
/// Most candidates that count as good.
const MAX_GOOD: usize = 25;

pub(super) struct Estimator<'a> {
    candidates: &'a [Candidate],
    task: Task,
    random: Random,
    drawn: Vec<Drawn>,
    /// Scores of the first ones of `drawn`; greater is better.
    scores: Vec<f64>,
}

impl<'a> Estimator<'a> {
    pub(super) fn new(candidates: &'a [Candidate], task: Task, seed: u64) -> Self {
        Self {
            candidates,
            task,
            random: randomness(seed),
            drawn: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// Draws the first candidates at random: a third of all, but 4 to 10.
    pub(super) fn start(&mut self, count: usize) -> &[Drawn] {
        let first = count.div_ceil(3).clamp(4, 10).min(count);
        self.drawn = draw(self.candidates, first, self.task, &mut self.random);
        &self.drawn
    }

    /// Takes note of the score of the next candidate that has none yet.
    pub(super) fn learn(&mut self, score: f64) {
        // A figure that is undefined is the worst.
        self.scores
            .push(if score.is_nan() { f64::NEG_INFINITY } else { score });
    }

    /// Returns the candidate to try next; `None` when nothing new is found.
    pub(super) fn suggest(&mut self) -> Option<&Drawn> {
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        order.sort_by(|&one, &two| self.scores[two].total_cmp(&self.scores[one]));
        let good_count = order.len().div_ceil(5).min(MAX_GOOD);
        let (good, bad) = order.split_at(good_count);
        let of = |places: &[usize]| -> Vec<Drawn> {
            places.iter().map(|&place| self.drawn[place].clone()).collect()
        };
        let (good, bad) = (of(good), of(bad));
        let mut best: Option<(f64, Drawn)> = None;
        for _ in 0..DRAWS {
            let (ratio, drawn) = self.propose(&good, &bad);
            let is_new = self.drawn.iter().all(|old| old.params != drawn.params);
            if is_new && best.as_ref().is_none_or(|(greatest, _)| ratio > *greatest) {
                best = Some((ratio, drawn));
            }
        }
        let at_random = |random: &mut Random| {
            (0..self.candidates.len())
                .find_map(|kind| new_at_random(self.candidates, kind, self.task, random, &self.drawn))
        };
        let next = match best {
            Some((_, drawn)) => drawn,
            None => at_random(&mut self.random)?,
        };
        self.drawn.push(next);
        self.drawn.last()
    }

    /// Draws a candidate from what was good; returns the logarithm of the ratio of the densities, too.
    fn propose(&mut self, good: &[Drawn], bad: &[Drawn]) -> (f64, Drawn) {
        let kinds =
            |drawn: &[Drawn]| Shares::new(self.candidates.len(), drawn.iter().map(|drawn| drawn.kind));
        let (good_kinds, bad_kinds) = (kinds(good), kinds(bad));
        let kind = good_kinds.draw(&mut self.random);
        let mut ratio = (good_kinds.of(kind) / bad_kinds.of(kind)).ln();
        // A draw at random shows what parameters there are.
        let mut shape = Drawn::at_random(self.candidates, kind, self.task, &mut self.random);
        for (position, slot) in shape.point.iter_mut().enumerate() {
            let seen = |drawn: &'_ [Drawn]| -> Vec<Coordinate> {
                let own = drawn.iter().filter(|drawn| drawn.kind == kind);
                own.map(|drawn| drawn.point[position]).collect()
            };
            let (good, bad) = (seen(good), seen(bad));
            match slot {
                Coordinate::Choice { index, count } => {
                    let (good, bad) = (choices(&good, *count), choices(&bad, *count));
                    *index = good.draw(&mut self.random);
                    ratio += (good.of(*index) / bad.of(*index)).ln();
                }
                Coordinate::Range(place) => {
                    let (good, bad) = (Parzen::new(&good), Parzen::new(&bad));
                    *place = good.draw(&mut self.random);
                    ratio += (good.density(*place) / bad.density(*place)).ln();
                }
            }
        }
        let drawn = Drawn::at(self.candidates, kind, self.task, shape.point);
        (ratio, drawn)
    }
}

/// How often each of some choices was made, with each made once beforehand.
struct Shares(Vec<f64>);

impl Shares {
    fn new(count: usize, made: impl Iterator<Item = usize>) -> Self {
        let mut counts = vec![1.0; count];
        made.for_each(|choice| counts[choice] += 1.0);
        let total: f64 = counts.iter().sum();
        Self(counts.into_iter().map(|count| count / total).collect())
    }

    fn of(&self, choice: usize) -> f64 {
        self.0[choice]
    }

    fn draw(&self, random: &mut Random) -> usize {
        let mut left = random.unit();
        for (choice, share) in self.0.iter().enumerate() {
            left -= share;
            if left < 0.0 {
                return choice;
            }
        }
        self.0.len() - 1
    }
}

fn choices(seen: &[Coordinate], count: usize) -> Shares {
    let index = |coordinate: &Coordinate| match coordinate {
        Coordinate::Choice { index, .. } => Some(*index),
        Coordinate::Range(_) => None,
    };
    Shares::new(count, seen.iter().filter_map(index))
}

/// A density from 0 to 1: normal distributions around what was seen, mirrored at the ends, and an even one.
struct Parzen {
    /// Centres and deviations.
    bells: Vec<(f64, f64)>,
}

impl Parzen {
    fn new(seen: &[Coordinate]) -> Self {
        let place = |coordinate: &Coordinate| match coordinate {
            Coordinate::Range(place) => Some(*place),
            Coordinate::Choice { .. } => None,
        };
        let mut places: Vec<f64> = seen.iter().filter_map(place).collect();
        places.sort_unstable_by(f64::total_cmp);
        // As wide as the farther neighbour is away; the more there are the narrower they may be.
        let narrowest = 1.0 / (places.len() as f64 + 1.0).min(100.0);
        let width = |position: usize| {
            let here = places[position];
            let below = position.checked_sub(1).map_or(0.0, |below| places[below]);
            let above = places.get(position + 1).copied().unwrap_or(1.0);
            (here - below).max(above - here).clamp(narrowest.min(0.5), 0.5)
        };
        let bells = (0..places.len()).map(|position| (places[position], width(position)));
        Self {
            bells: bells.collect(),
        }
    }

    fn density(&self, place: f64) -> f64 {
        let bell = |&(centre, width): &(f64, f64)| {
            // What falls outside is mirrored back in.
            let images = [-2.0, 0.0, 2.0].map(|shift| [place + shift, shift - place]);
            let height = |at: f64| (-0.5 * ((at - centre) / width).powi(2)).exp() / (width * TAU.sqrt());
            images.as_flattened().iter().map(|&at| height(at)).sum::<f64>()
        };
        (1.0 + self.bells.iter().map(bell).sum::<f64>()) / (self.bells.len() + 1) as f64
    }

    fn draw(&self, random: &mut Random) -> f64 {
        let which = random.below(self.bells.len() + 1);
        let Some(&(centre, width)) = self.bells.get(which) else {
            return random.unit();
        };
        // Box and Muller's normal number.
        let (one, two) = (1.0 - random.unit(), random.unit());
        let place = centre + width * (-2.0 * one.ln()).sqrt() * (TAU * two).cos();
        let folded = place.rem_euclid(2.0);
        let inside = if folded > 1.0 { 2.0 - folded } else { folded };
        // The upper end itself is not drawn.
        inside.min(1.0 - f64::EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelParams;
    use serde_json::json;

    const COUNT: usize = 40;

    fn candidates() -> Vec<Candidate> {
        serde_json::from_value(json!([
            { "model": "logistic_regression", "C": { "log_uniform": [0.001, 1000.0] } },
            { "model": "gradient_boosting", "learning_rate": { "log_uniform": [0.001, 1.0] },
              "subsample": { "uniform": [0.1, 1.0] }, "max_leaf_nodes": { "log_int": [2, 256] },
              "grow_policy": ["leaf_wise", "depth_wise"] },
        ]))
        .unwrap()
    }

    /// A hill over the parameters: boosting is better, and best at 0.05, 0.7, 20 and by levels.
    fn hill(params: &ModelParams) -> f64 {
        match params {
            ModelParams::GradientBoosting(params) => {
                let by_levels = params.grow_policy == crate::config::GrowPolicy::DepthWise;
                -(params.learning_rate / 0.05).ln().powi(2)
                    - 10.0 * (params.subsample - 0.7).powi(2)
                    - (params.max_leaf_nodes as f64 / 20.0).ln().powi(2)
                    - f64::from(u8::from(!by_levels))
            }
            ModelParams::LogisticRegression(params) => -2.0 - params.c.ln().powi(2),
            _ => unreachable!("there are two candidates"),
        }
    }

    fn best_by_estimator(seed: u64) -> (f64, Vec<ModelParams>) {
        let candidates = candidates();
        let mut estimator = Estimator::new(&candidates, Task::Classification, seed);
        let mut tried: Vec<ModelParams> = estimator
            .start(COUNT)
            .iter()
            .map(|drawn| drawn.params.clone())
            .collect();
        tried.iter().for_each(|params| estimator.learn(hill(params)));
        while tried.len() < COUNT {
            let params = estimator.suggest().unwrap().params.clone();
            estimator.learn(hill(&params));
            assert!(!tried.contains(&params));
            tried.push(params);
        }
        (greatest(&tried), tried)
    }

    fn greatest(tried: &[ModelParams]) -> f64 {
        tried.iter().map(hill).fold(f64::NEG_INFINITY, f64::max)
    }

    #[test]
    fn a_hill_is_climbed_higher_than_at_random() {
        let (mut wins, mut sum, mut sum_at_random) = (0, 0.0, 0.0);
        for seed in 0..30 {
            let by_estimator = best_by_estimator(seed).0;
            let mut random = randomness(seed);
            let at_random: Vec<ModelParams> = draw(&candidates(), COUNT, Task::Classification, &mut random)
                .into_iter()
                .map(|drawn| drawn.params)
                .collect();
            let at_random = greatest(&at_random);
            wins += u32::from(by_estimator >= at_random);
            sum += by_estimator;
            sum_at_random += at_random;
        }
        assert!(
            wins >= 20 && sum > 0.75 * sum_at_random,
            "{wins} of 30, {sum} and {sum_at_random}"
        );
    }

    #[test]
    fn the_same_seed_tries_the_same() {
        assert_eq!(best_by_estimator(5).1, best_by_estimator(5).1);
        assert_ne!(best_by_estimator(5).1, best_by_estimator(6).1);
    }

    #[test]
    fn the_search_ends_when_nothing_is_left() {
        let candidates: Vec<Candidate> = serde_json::from_value(
            json!([{ "model": "random_forest", "n_estimators": [10, 20, 30, 40, 50] }]),
        )
        .unwrap();
        let mut estimator = Estimator::new(&candidates, Task::Classification, 1);
        let mut count = estimator.start(20).len();
        (0..count).for_each(|place| estimator.learn(place as f64));
        while estimator.suggest().is_some() {
            estimator.learn(f64::NAN);
            count += 1;
        }
        assert_eq!(count, 5);
    }

    #[test]
    fn densities_are_densities() {
        for places in [vec![], vec![0.0], vec![0.2, 0.21, 0.9], vec![1.0; 4]] {
            let seen: Vec<Coordinate> = places.into_iter().map(Coordinate::Range).collect();
            let parzen = Parzen::new(&seen);
            let steps = 10_000;
            let whole: f64 = (0..steps)
                .map(|step| parzen.density((f64::from(step) + 0.5) / f64::from(steps)) / f64::from(steps))
                .sum();
            assert!((whole - 1.0).abs() < 1e-3, "{whole}");
            let mut random = Random::derive(1, &[]);
            assert!((0..1_000).all(|_| (0.0..1.0).contains(&parzen.draw(&mut random))));
        }
    }
}
