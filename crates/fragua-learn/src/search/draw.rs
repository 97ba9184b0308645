//! Drawing sets of parameters, with what was drawn kept as a point.

use crate::config::{Candidate, Task};
use crate::random::Random;
use crate::{ModelParams, train::Stream};

/// Draws that may repeat an earlier set of parameters before a candidate counts as exhausted.
const REPEATED_DRAWS: usize = 20;

/// Where the values of parameters come from.
pub(crate) trait Draw {
    /// Returns a number below `count`.
    fn choose(&mut self, count: usize) -> usize;
    /// Returns a number in `0.0..1.0`.
    fn unit(&mut self) -> f64;
}

impl Draw for Random {
    fn choose(&mut self, count: usize) -> usize {
        self.below(count)
    }

    fn unit(&mut self) -> f64 {
        Random::unit(self)
    }
}

/// What was drawn for one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Coordinate {
    /// One of `count` choices.
    Choice { index: usize, count: usize },
    /// A place between the ends of a range, from 0 to 1.
    Range(f64),
}

/// A set of parameters, and how it came about.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    /// Position of the candidate in the configuration.
    pub(super) kind: usize,
    /// One coordinate for each parameter that is drawn, in the order they are.
    pub(super) point: Vec<Coordinate>,
    pub(super) params: ModelParams,
}

/// Draws at random and takes notes.
struct Recorder<'a> {
    random: &'a mut Random,
    point: Vec<Coordinate>,
}

impl Draw for Recorder<'_> {
    fn choose(&mut self, count: usize) -> usize {
        let index = self.random.below(count);
        self.point.push(Coordinate::Choice { index, count });
        index
    }

    fn unit(&mut self) -> f64 {
        let place = self.random.unit();
        self.point.push(Coordinate::Range(place));
        place
    }
}

/// Draws what a point says.
struct Replay<'a>(std::slice::Iter<'a, Coordinate>);

impl Draw for Replay<'_> {
    fn choose(&mut self, count: usize) -> usize {
        match self.0.next() {
            Some(Coordinate::Choice { index, .. }) => *index.min(&(count - 1)),
            _ => unreachable!("a candidate draws the same parameters in the same order each time"),
        }
    }

    fn unit(&mut self) -> f64 {
        match self.0.next() {
            Some(Coordinate::Range(place)) => *place,
            _ => unreachable!("a candidate draws the same parameters in the same order each time"),
        }
    }
}

impl Drawn {
    /// Draws from one candidate.
    pub(super) fn at_random(candidates: &[Candidate], kind: usize, task: Task, random: &mut Random) -> Self {
        let mut recorder = Recorder {
            random,
            point: Vec::new(),
        };
        let params = candidates[kind].sample(task, &mut recorder);
        let point = recorder.point;
        Self { kind, point, params }
    }

    /// The parameters at a point of one candidate.
    pub(super) fn at(candidates: &[Candidate], kind: usize, task: Task, point: Vec<Coordinate>) -> Self {
        let params = candidates[kind].sample(task, &mut Replay(point.iter()));
        Self { kind, point, params }
    }
}

/// Draws different sets of parameters, the candidates in turn, until there are enough or none is left.
pub(super) fn draw(candidates: &[Candidate], count: usize, task: Task, random: &mut Random) -> Vec<Drawn> {
    let mut drawn: Vec<Drawn> = Vec::new();
    let mut open: Vec<usize> = (0..candidates.len()).collect();
    while drawn.len() < count && !open.is_empty() {
        open.retain(|&kind| {
            if drawn.len() == count {
                return true;
            }
            let new = new_at_random(candidates, kind, task, random, &drawn);
            let found = new.is_some();
            drawn.extend(new);
            found
        });
    }
    drawn
}

/// Draws from one candidate what was not drawn before; `None` when that seems to be all there is.
pub(super) fn new_at_random(
    candidates: &[Candidate],
    kind: usize,
    task: Task,
    random: &mut Random,
    before: &[Drawn],
) -> Option<Drawn> {
    (0..REPEATED_DRAWS)
        .map(|_| Drawn::at_random(candidates, kind, task, random))
        .find(|new| before.iter().all(|old| old.params != new.params))
}

/// The random numbers that candidates are drawn with.
pub(super) fn randomness(seed: u64) -> Random {
    Random::derive(seed, &[Stream::Candidates as u64])
}

/// Returns the parameters of [`draw`].
pub(crate) fn draw_params(candidates: &[Candidate], count: usize, seed: u64, task: Task) -> Vec<ModelParams> {
    draw(candidates, count, task, &mut randomness(seed))
        .into_iter()
        .map(|drawn| drawn.params)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn drawn(candidates: serde_json::Value, count: usize) -> Vec<ModelParams> {
        draw_params(
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

    #[test]
    fn a_point_gives_the_parameters_it_was_drawn_with() {
        let candidates: Vec<Candidate> = serde_json::from_value(json!([
            { "model": "gradient_boosting", "learning_rate": { "log_uniform": [0.01, 0.5] }, "max_depth": [3, null],
              "max_leaf_nodes": { "log_int": [4, 200] } },
        ]))
        .unwrap();
        for drawn in draw(&candidates, 20, Task::Classification, &mut randomness(3)) {
            assert_eq!(drawn.point.len(), 3);
            let again = Drawn::at(&candidates, 0, Task::Classification, drawn.point);
            assert_eq!(again.params, drawn.params);
        }
    }
}
