//! Accelerated proximal gradient (FISTA with restarts), for penalties on the sizes of coefficients.

use crate::progress::check_cancelled;
use crate::{Error, Progress};

/// What is added to the function: `strength` times the sizes of the first coordinates.
pub(super) struct Penalty {
    pub(super) strength: f64,
    pub(super) penalised: usize,
}

impl Penalty {
    /// The point that is best for the penalty and a parabola of the given curvature around `point`.
    fn shrink(&self, mut point: Vec<f64>, curvature: f64) -> Vec<f64> {
        let limit = self.strength / curvature;
        for value in point.iter_mut().take(self.penalised) {
            *value = value.signum() * (value.abs() - limit).max(0.0);
        }
        point
    }
}

/// Returns the lowest point found: where no coordinate would move by more than `tolerance` over the curvature, or after
/// `iterations` steps.
pub(super) fn minimise(
    function: impl Fn(&[f64]) -> (f64, Vec<f64>),
    penalty: Penalty,
    start: Vec<f64>,
    iterations: usize,
    tolerance: f64,
    progress: &dyn Progress,
) -> Result<Vec<f64>, Error> {
    let mut here = start.clone();
    let mut ahead = start;
    let (mut momentum, mut curvature) = (1.0f64, 1.0f64);
    for _ in 0..iterations {
        check_cancelled(progress)?;
        let (value, gradient) = function(&ahead);
        // A step must not promise more than it keeps; the curvature is doubled until it does not.
        let next = loop {
            let moved = ahead
                .iter()
                .zip(&gradient)
                .map(|(value, slope)| value - slope / curvature);
            let next = penalty.shrink(moved.collect(), curvature);
            let (mut along, mut squares) = (0.0, 0.0);
            for ((next, ahead), slope) in next.iter().zip(&ahead).zip(&gradient) {
                along += slope * (next - ahead);
                squares += (next - ahead).powi(2);
            }
            let promised = value + along + curvature / 2.0 * squares;
            let slack = 1e-12 * value.abs();
            if function(&next).0 <= promised + slack || curvature > 1e30 {
                break next;
            }
            curvature *= 2.0;
        };
        let farthest = next
            .iter()
            .zip(&ahead)
            .map(|(next, ahead)| (next - ahead).abs())
            .fold(0.0, f64::max);
        let turns_back: f64 = (ahead.iter().zip(&next).zip(&here))
            .map(|((ahead, next), here)| (ahead - next) * (next - here))
            .sum();
        if turns_back > 0.0 {
            momentum = 1.0;
        }
        let next_momentum = (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt()) / 2.0;
        let reach = (momentum - 1.0) / next_momentum;
        ahead = next
            .iter()
            .zip(&here)
            .map(|(next, here)| next + reach * (next - here))
            .collect();
        (here, momentum) = (next, next_momentum);
        if farthest * curvature <= tolerance {
            break;
        }
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoProgress;

    #[test]
    fn small_coordinates_become_zero_and_large_ones_are_shortened() {
        // Of (x - 3)² / 2 + 2 (y - 0.2)² + 10 (z - 2)² with |x| + |y| on top and z free.
        let bowl = |point: &[f64]| {
            let [x, y, z] = [point[0] - 3.0, point[1] - 0.2, point[2] - 2.0];
            (
                x * x / 2.0 + 2.0 * y * y + 10.0 * z * z,
                vec![x, 4.0 * y, 20.0 * z],
            )
        };
        let penalty = Penalty {
            strength: 1.0,
            penalised: 2,
        };
        let bottom = minimise(bowl, penalty, vec![0.0; 3], 500, 1e-12, &NoProgress).unwrap();
        for (value, expected) in bottom.iter().zip([2.0, 0.0, 2.0]) {
            assert!((value - expected).abs() < 1e-9, "{bottom:?}");
        }
        assert_eq!(bottom[1], 0.0);
    }
}
