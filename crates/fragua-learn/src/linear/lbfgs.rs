//! Limited-memory BFGS with a strong-Wolfe line search.

use crate::progress::check_cancelled;
use crate::{Error, Progress};
use std::collections::VecDeque;

/// Steps that are remembered.
const MEMORY: usize = 10;
const SUFFICIENT_DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
const LINE_SEARCH_STEPS: usize = 30;

/// A point with its value and gradient.
struct Probe {
    point: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// Returns the lowest point found: where no component of the gradient is above `tolerance`, after
/// `iterations` steps, or where no further decrease was possible.
pub(crate) fn minimise(
    function: impl Fn(&[f64]) -> (f64, Vec<f64>),
    start: Vec<f64>,
    iterations: usize,
    tolerance: f64,
    progress: &dyn Progress,
) -> Result<Vec<f64>, Error> {
    let probe = |point: Vec<f64>| {
        let (value, gradient) = function(&point);
        Probe {
            point,
            value,
            gradient,
        }
    };
    let mut here = probe(start);
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
    for _ in 0..iterations {
        check_cancelled(progress)?;
        if here.gradient.iter().all(|slope| slope.abs() <= tolerance) {
            break;
        }
        let mut direction = descent_direction(&here.gradient, &memory);
        if dot(&direction, &here.gradient) >= 0.0 {
            memory.clear();
            direction = here.gradient.iter().map(|slope| -slope).collect();
        }
        let length = if memory.is_empty() {
            1.0 / norm(&here.gradient).max(1.0)
        } else {
            1.0
        };
        let Some(next) = line_search(&probe, &here, &direction, length) else {
            break;
        };
        let step: Vec<f64> = difference(&next.point, &here.point);
        let turn: Vec<f64> = difference(&next.gradient, &here.gradient);
        if dot(&step, &turn) > 1e-12 * dot(&turn, &turn) {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back((step, turn));
        }
        here = next;
    }
    Ok(here.point)
}

/// The two-loop recursion: minus the gradient times the approximate inverse of the second derivative.
fn descent_direction(gradient: &[f64], memory: &VecDeque<(Vec<f64>, Vec<f64>)>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut factors = Vec::with_capacity(memory.len());
    for (step, turn) in memory.iter().rev() {
        let factor = dot(step, &direction) / dot(step, turn);
        direction
            .iter_mut()
            .zip(turn)
            .for_each(|(value, turn)| *value -= factor * turn);
        factors.push(factor);
    }
    if let Some((step, turn)) = memory.back() {
        let scale = dot(step, turn) / dot(turn, turn);
        direction.iter_mut().for_each(|value| *value *= scale);
    }
    for ((step, turn), factor) in memory.iter().zip(factors.into_iter().rev()) {
        let correction = factor - dot(turn, &direction) / dot(step, turn);
        direction
            .iter_mut()
            .zip(step)
            .for_each(|(value, step)| *value += correction * step);
    }
    direction
}

/// Finds a step that lowers the value enough and flattens the slope, by widening and then halving an interval.
fn line_search(
    probe: &impl Fn(Vec<f64>) -> Probe,
    here: &Probe,
    direction: &[f64],
    first_length: f64,
) -> Option<Probe> {
    let slope = dot(direction, &here.gradient);
    let at = |length: f64| {
        probe(
            here.point
                .iter()
                .zip(direction)
                .map(|(value, direction)| value + length * direction)
                .collect(),
        )
    };
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut length = first_length;
    let mut lowest: Option<Probe> = None;
    for _ in 0..LINE_SEARCH_STEPS {
        let there = at(length);
        let is_low_enough = there.value <= here.value + SUFFICIENT_DECREASE * length * slope;
        if is_low_enough {
            let slope_there = dot(direction, &there.gradient);
            if slope_there.abs() <= CURVATURE * slope.abs() {
                return Some(there);
            }
            if slope_there < 0.0 {
                low = length;
            } else {
                high = length;
            }
            if lowest.as_ref().is_none_or(|lowest| there.value < lowest.value) {
                lowest = Some(there);
            }
        } else {
            // Too far, or so far that the value is not a number.
            high = length;
        }
        length = if high.is_finite() {
            (low + high) / 2.0
        } else {
            low * 2.0
        };
    }
    lowest
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoProgress;

    #[test]
    fn the_bottom_of_a_curved_valley_is_found() {
        let valley = |point: &[f64]| {
            let (x, y) = (point[0], point[1]);
            let value = (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2);
            let gradient = vec![-2.0 * (1.0 - x) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)];
            (value, gradient)
        };
        let bottom = minimise(valley, vec![-1.2, 1.0], 200, 1e-10, &NoProgress).unwrap();
        assert!(
            (bottom[0] - 1.0).abs() < 1e-8 && (bottom[1] - 1.0).abs() < 1e-8,
            "{bottom:?}"
        );
    }
}
