//! Probabilities that come true as often as they say.
//!
//! The model's probability of each class, one against the rest, is sent through a rising curve that was fitted on
//! predictions for rows the model had not learned from; then all of a row's are made to sum to 1 again. With two classes
//! one curve does, that of the second class.

use crate::config::CalibrationMethod;

/// Probabilities nearer to 0 or 1 than this count as so far away: their log odds have no end.
pub(crate) const EDGE: f64 = 1e-6;
/// The share of the model's own probability in an isotonic one: it keeps rows and classes in order that a step would tie.
pub(crate) const TRACE: f64 = 1e-6;

/// The curves: one a class, or that of the second one of two.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Calibration {
    /// Slope and intercept of the log odds.
    Sigmoid(Vec<(f64, f64)>),
    /// Corners of a curve of straight lines, in rising order; level outside.
    Isotonic(Vec<Vec<(f64, f64)>>),
}

/// What curves are fitted on.
pub(crate) struct Sample<'a> {
    pub(crate) classes: &'a [u16],
    /// Row after row, one number a class.
    pub(crate) probabilities: &'a [f32],
    pub(crate) class_count: usize,
    pub(crate) weights: Option<&'a [f64]>,
}

/// One row for one curve.
#[derive(Clone, Copy, Debug)]
struct Point {
    probability: f64,
    is_hit: bool,
    weight: f64,
}

impl Sample<'_> {
    fn points(&self, class: usize) -> Vec<Point> {
        let point = |(row, &truth): (usize, &u16)| Point {
            probability: f64::from(self.probabilities[row * self.class_count + class]),
            is_hit: usize::from(truth) == class,
            weight: self.weights.map_or(1.0, |weights| weights[row]),
        };
        self.classes.iter().enumerate().map(point).collect()
    }
}

impl Calibration {
    pub(crate) fn fit(sample: &Sample<'_>, method: CalibrationMethod) -> Self {
        let first = usize::from(sample.class_count == 2);
        let points = (first..sample.class_count).map(|class| sample.points(class));
        match method {
            CalibrationMethod::Sigmoid => {
                Self::Sigmoid(points.map(|points| sigmoid_curve(&points)).collect())
            }
            CalibrationMethod::Isotonic => Self::Isotonic(points.map(isotonic_curve).collect()),
        }
    }

    /// Returns the name used in configuration.
    pub(crate) fn method(&self) -> CalibrationMethod {
        match self {
            Self::Sigmoid(_) => CalibrationMethod::Sigmoid,
            Self::Isotonic(_) => CalibrationMethod::Isotonic,
        }
    }

    fn curve(&self, position: usize, probability: f64) -> f64 {
        match self {
            Self::Sigmoid(curves) => {
                let (slope, intercept) = curves[position];
                logistic(slope * log_odds(probability) + intercept)
            }
            Self::Isotonic(curves) => {
                (1.0 - TRACE) * between_corners(&curves[position], probability) + TRACE * probability
            }
        }
    }

    /// Replaces the probabilities of all rows and returns the most probable class of each.
    pub(crate) fn apply(&self, probabilities: &mut [f32], class_count: usize) -> Vec<u16> {
        let mut exact = vec![0.0; class_count];
        let row = |probabilities: &mut [f32]| {
            if class_count == 2 {
                let second = self.curve(0, f64::from(probabilities[1]));
                exact.copy_from_slice(&[1.0 - second, second]);
            } else {
                for (class, (slot, &probability)) in exact.iter_mut().zip(probabilities.iter()).enumerate() {
                    *slot = self.curve(class, f64::from(probability));
                }
                let sum: f64 = exact.iter().sum();
                let even = 1.0 / class_count as f64;
                exact
                    .iter_mut()
                    .for_each(|slot| *slot = if sum > 0.0 { *slot / sum } else { even });
            }
            probabilities
                .iter_mut()
                .zip(&exact)
                .for_each(|(slot, &exact)| *slot = exact as f32);
            crate::model::greatest(&exact)
        };
        probabilities.chunks_exact_mut(class_count).map(row).collect()
    }
}

fn log_odds(probability: f64) -> f64 {
    let probability = probability.clamp(EDGE, 1.0 - EDGE);
    probability.ln() - (1.0 - probability).ln()
}

fn logistic(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// Platt's curve on the log odds: the slope and intercept with the least log loss of targets drawn a little inwards, as in
/// Lin, Lin and Weng 2007.
fn sigmoid_curve(points: &[Point]) -> (f64, f64) {
    let hits: f64 = points
        .iter()
        .filter(|point| point.is_hit)
        .map(|point| point.weight)
        .sum();
    let total: f64 = points.iter().map(|point| point.weight).sum();
    let (high, low) = ((hits + 1.0) / (hits + 2.0), 1.0 / (total - hits + 2.0));
    let samples: Vec<(f64, f64, f64)> = points
        .iter()
        .map(|point| {
            let target = if point.is_hit { high } else { low };
            (log_odds(point.probability), target, point.weight)
        })
        .collect();
    let loss = |slope: f64, intercept: f64| -> f64 {
        samples
            .iter()
            .map(|&(odds, target, weight)| {
                let score = slope * odds + intercept;
                // ln(1 + e^score) without overflow.
                let softplus = score.max(0.0) + (-score.abs()).exp().ln_1p();
                weight * (softplus - target * score)
            })
            .sum()
    };
    let (mut slope, mut intercept) = (1.0, 0.0);
    let mut least = loss(slope, intercept);
    for _ in 0..100 {
        let (mut g_slope, mut g_intercept) = (0.0, 0.0);
        // A little on the diagonal keeps the step finite where all rows say the same.
        let (mut h_ss, mut h_si, mut h_ii) = (1e-9, 0.0, 1e-9);
        for &(odds, target, weight) in &samples {
            let said = logistic(slope * odds + intercept);
            let (error, bend) = (weight * (said - target), weight * said * (1.0 - said));
            g_slope += error * odds;
            g_intercept += error;
            h_ss += bend * odds * odds;
            h_si += bend * odds;
            h_ii += bend;
        }
        let determinant = h_ss * h_ii - h_si * h_si;
        if determinant <= 0.0 || g_slope.abs().max(g_intercept.abs()) < 1e-9 * total.max(1.0) {
            break;
        }
        let step = (
            (h_ii * g_slope - h_si * g_intercept) / determinant,
            (h_ss * g_intercept - h_si * g_slope) / determinant,
        );
        let mut length = 1.0;
        loop {
            let (next_slope, next_intercept) = (slope - length * step.0, intercept - length * step.1);
            let next = loss(next_slope, next_intercept);
            if next < least {
                (slope, intercept, least) = (next_slope, next_intercept, next);
                break;
            }
            length /= 2.0;
            if length < 1e-10 {
                return (slope, intercept);
            }
        }
    }
    (slope, intercept)
}

/// The rising curve with the least squared error: neighbours that are out of order are pooled.
fn isotonic_curve(mut points: Vec<Point>) -> Vec<(f64, f64)> {
    struct Pool {
        begin: f64,
        end: f64,
        hits: f64,
        weight: f64,
    }
    points.retain(|point| point.weight > 0.0);
    points.sort_by(|one, two| one.probability.total_cmp(&two.probability));
    let mut pools: Vec<Pool> = Vec::new();
    for same in points.chunk_by(|one, two| one.probability == two.probability) {
        let mut pool = Pool {
            begin: same[0].probability,
            end: same[0].probability,
            hits: same
                .iter()
                .filter(|point| point.is_hit)
                .map(|point| point.weight)
                .sum(),
            weight: same.iter().map(|point| point.weight).sum(),
        };
        while let Some(last) = pools.pop_if(|last| last.hits * pool.weight >= pool.hits * last.weight) {
            pool.begin = last.begin;
            pool.hits += last.hits;
            pool.weight += last.weight;
        }
        pools.push(pool);
    }
    let mut corners = Vec::with_capacity(2 * pools.len());
    let mut share = 0.0f64;
    for pool in pools {
        // Rounding alone could make a curve fall.
        share = share.max(pool.hits / pool.weight).min(1.0);
        corners.push((pool.begin, share));
        if pool.end > pool.begin {
            corners.push((pool.end, share));
        }
    }
    if corners.is_empty() {
        corners.push((0.0, 0.0));
    }
    corners
}

/// The height of a curve of straight lines.
fn between_corners(corners: &[(f64, f64)], at: f64) -> f64 {
    let next = corners.partition_point(|corner| corner.0 <= at);
    match (next.checked_sub(1).map(|last| corners[last]), corners.get(next)) {
        (None, Some(first)) => first.1,
        (Some(last), None) => last.1,
        (Some(last), Some(next)) => last.1 + (at - last.0) / (next.0 - last.0) * (next.1 - last.1),
        (None, None) => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose class comes true as often as `truth` of the probability says.
    fn sample(truth: impl Fn(f64) -> f64) -> (Vec<u16>, Vec<f32>) {
        let (mut classes, mut probabilities) = (Vec::new(), Vec::new());
        for step in 0..100 {
            let said = (f64::from(step) + 0.5) / 100.0;
            for number in 0..50 {
                classes.push(u16::from((f64::from(number) + 0.5) / 50.0 < truth(said)));
                probabilities.extend([1.0 - said as f32, said as f32]);
            }
        }
        (classes, probabilities)
    }

    fn calibrated(truth: impl Fn(f64) -> f64, method: CalibrationMethod) -> Vec<(f64, f64)> {
        let (classes, mut probabilities) = sample(&truth);
        let sample = Sample {
            classes: &classes,
            probabilities: &probabilities,
            class_count: 2,
            weights: None,
        };
        let calibration = Calibration::fit(&sample, method);
        let said: Vec<f64> = probabilities.chunks(2).map(|row| f64::from(row[1])).collect();
        calibration.apply(&mut probabilities, 2);
        let now = probabilities.chunks(2).map(|row| f64::from(row[1]));
        now.zip(said).map(|(now, said)| (now, truth(said))).collect()
    }

    #[test]
    fn a_sigmoid_finds_the_slope_and_intercept_of_the_log_odds() {
        let truth = |said: f64| logistic(0.4 * log_odds(said) - 0.7);
        for (now, truth) in calibrated(truth, CalibrationMethod::Sigmoid) {
            assert!((now - truth).abs() < 0.02, "{now} and {truth}");
        }
    }

    #[test]
    fn an_isotonic_curve_follows_any_rising_truth() {
        let truth = |said: f64| if said < 0.3 { 0.1 } else { said * said };
        for (now, truth) in calibrated(truth, CalibrationMethod::Isotonic) {
            assert!((now - truth).abs() < 0.03, "{now} and {truth}");
        }
    }

    #[test]
    fn pools_are_those_computed_by_hand() {
        let point = |probability: f64, is_hit: bool| Point {
            probability,
            is_hit,
            weight: 1.0,
        };
        let curve = isotonic_curve(vec![
            point(0.1, false),
            point(0.2, true),
            point(0.3, false),
            point(0.5, true),
            point(0.5, false),
            point(0.9, true),
        ]);
        assert_eq!(curve, [(0.1, 0.0), (0.2, 0.5), (0.5, 0.5), (0.9, 1.0)]);
        assert_eq!(between_corners(&curve, 0.0), 0.0);
        assert!((between_corners(&curve, 0.15) - 0.25).abs() < 1e-12);
        assert_eq!(between_corners(&curve, 0.4), 0.5);
        assert_eq!(between_corners(&curve, 1.0), 1.0);
    }

    #[test]
    fn isotonic_probabilities_keep_the_order_of_rows() {
        let (classes, mut probabilities) = sample(|_| 0.5);
        let sample = Sample {
            classes: &classes,
            probabilities: &probabilities,
            class_count: 2,
            weights: None,
        };
        let calibration = Calibration::fit(&sample, CalibrationMethod::Isotonic);
        calibration.apply(&mut probabilities, 2);
        let seconds: Vec<f32> = probabilities.chunks(2).map(|row| row[1]).collect();
        assert!(seconds.is_sorted() && seconds[0] < seconds[seconds.len() - 1]);
    }

    #[test]
    fn the_probabilities_of_many_classes_sum_to_one() {
        let classes = [0, 1, 2, 0, 1, 2, 0, 0];
        let mut probabilities: Vec<f32> = (0..8)
            .flat_map(|row| [row as f32 / 10.0, 0.1, 0.9 - row as f32 / 10.0])
            .collect();
        for method in [CalibrationMethod::Sigmoid, CalibrationMethod::Isotonic] {
            let sample = Sample {
                classes: &classes,
                probabilities: &probabilities,
                class_count: 3,
                weights: Some(&[1.0, 2.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
            };
            let most = Calibration::fit(&sample, method).apply(&mut probabilities, 3);
            assert_eq!(most.len(), 8);
            for row in probabilities.chunks(3) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
            }
        }
    }
}
