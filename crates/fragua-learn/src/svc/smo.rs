//! Sequential minimal optimisation: the two rows that gain most are changed together until none gains any more.

use super::Kernel;
use crate::progress::check_cancelled;
use crate::{Error, Progress};
use rayon::prelude::*;
use std::collections::VecDeque;
use std::rc::Rc;

/// Bytes that rows of the kernel matrix are kept in.
const CACHE_BYTES: usize = 128 << 20;
/// A curvature of no more than this counts as this.
const LEAST_CURVATURE: f64 = 1e-12;
/// Steps after which the wish to stop is asked for.
const STEPS: usize = 500;

/// One class against another.
pub(super) struct Problem<'a> {
    pub(super) rows: Vec<&'a [f64]>,
    /// 1 for the first class, -1 for the second.
    pub(super) signs: Vec<f64>,
    /// Most that each row may count.
    pub(super) limits: Vec<f64>,
    pub(super) kernel: &'a Kernel,
    /// Fewest rows whose kernels one thread calculates.
    pub(super) part: usize,
}

/// Rows of the kernel matrix; the oldest one is forgotten first.
struct Cache<'a> {
    problem: &'a Problem<'a>,
    known: Vec<Option<Rc<Vec<f64>>>>,
    order: VecDeque<usize>,
    most: usize,
}

impl Cache<'_> {
    fn row(&mut self, row: usize) -> Rc<Vec<f64>> {
        if let Some(known) = &self.known[row] {
            return Rc::clone(known);
        }
        let (kernel, own) = (self.problem.kernel, self.problem.rows[row]);
        let alike = self.problem.rows.par_iter().with_min_len(self.problem.part);
        let alike = Rc::new(alike.map(|other| kernel.of(own, other)).collect());
        if self.order.len() == self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known[oldest] = None;
        }
        self.order.push_back(row);
        self.known[row] = Some(Rc::clone(&alike));
        alike
    }
}

impl Problem<'_> {
    /// Returns how much each row counts, with its sign, and the intercept. Ends where no pair of rows violates the conditions
    /// of the optimum by more than `tolerance`, or after `steps`.
    pub(super) fn solve(
        &self,
        tolerance: f64,
        steps: usize,
        progress: &dyn Progress,
    ) -> Result<(Vec<f64>, f64), Error> {
        let count = self.rows.len();
        let has = |sign: f64| self.signs.contains(&sign);
        if !has(1.0) || !has(-1.0) {
            // Nothing to tell apart: the class that is there wins.
            return Ok((
                vec![0.0; count],
                f64::from(u8::from(has(1.0))) - f64::from(u8::from(has(-1.0))),
            ));
        }
        let mut cache = Cache {
            problem: self,
            known: vec![None; count],
            order: VecDeque::new(),
            most: (CACHE_BYTES / (8 * count)).max(2),
        };
        let own: Vec<f64> = self.rows.iter().map(|row| self.kernel.of(row, row)).collect();
        let mut amounts = vec![0.0; count];
        // The slope of the dual in each row, times its sign.
        let mut slopes: Vec<f64> = self.signs.iter().map(|sign| -sign).collect();
        for step in 0..steps {
            if step % STEPS == 0 {
                check_cancelled(progress)?;
            }
            let can_rise = |row: usize, amounts: &[f64]| {
                if self.signs[row] > 0.0 {
                    amounts[row] < self.limits[row]
                } else {
                    amounts[row] > 0.0
                }
            };
            let can_fall = |row: usize, amounts: &[f64]| {
                if self.signs[row] > 0.0 {
                    amounts[row] > 0.0
                } else {
                    amounts[row] < self.limits[row]
                }
            };
            let mut first: Option<usize> = None;
            for row in 0..count {
                if can_rise(row, &amounts) && first.is_none_or(|first| slopes[row] < slopes[first]) {
                    first = Some(row);
                }
            }
            let Some(first) = first else { break };
            let alike_first = cache.row(first);
            let mut greatest = f64::NEG_INFINITY;
            let mut second: Option<(f64, usize)> = None;
            for row in (0..count).filter(|&row| can_fall(row, &amounts)) {
                greatest = greatest.max(slopes[row]);
                let gap = slopes[row] - slopes[first];
                if gap > 0.0 {
                    let curvature = (own[first] + own[row] - 2.0 * alike_first[row]).max(LEAST_CURVATURE);
                    let gain = gap * gap / curvature;
                    if second.is_none_or(|(most, _)| gain > most) {
                        second = Some((gain, row));
                    }
                }
            }
            let Some((_, second)) = second.filter(|_| greatest - slopes[first] >= tolerance) else {
                break;
            };
            let alike_second = cache.row(second);
            let curvature = (own[first] + own[second] - 2.0 * alike_first[second]).max(LEAST_CURVATURE);
            // The signed amount of the first rises by as much as that of the second falls.
            let room = |row: usize, rises: bool| {
                if rises == (self.signs[row] > 0.0) {
                    self.limits[row] - amounts[row]
                } else {
                    amounts[row]
                }
            };
            let (room_first, room_second) = (room(first, true), room(second, false));
            let length = ((slopes[second] - slopes[first]) / curvature)
                .min(room_first)
                .min(room_second);
            for (row, rises, room) in [(first, true, room_first), (second, false, room_second)] {
                let grows = rises == (self.signs[row] > 0.0);
                amounts[row] = match (grows, length == room) {
                    // A limit is met exactly.
                    (true, true) => self.limits[row],
                    (false, true) => 0.0,
                    (true, false) => amounts[row] + length,
                    (false, false) => amounts[row] - length,
                };
            }
            for (slope, (one, two)) in slopes.iter_mut().zip(alike_first.iter().zip(alike_second.iter())) {
                *slope += length * (one - two);
            }
        }
        let intercept = -self.threshold(&amounts, &slopes);
        let signed = amounts
            .iter()
            .zip(&self.signs)
            .map(|(amount, sign)| amount * sign);
        Ok((signed.collect(), intercept))
    }

    /// The mean slope of the rows between their limits, or the middle of what the others leave open.
    fn threshold(&self, amounts: &[f64], slopes: &[f64]) -> f64 {
        let (mut sum, mut count) = (0.0, 0usize);
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        let counting = slopes
            .iter()
            .enumerate()
            .filter(|(row, _)| self.limits[*row] > 0.0);
        for (row, &slope) in counting {
            if amounts[row] > 0.0 && amounts[row] < self.limits[row] {
                sum += slope;
                count += 1;
            } else if (amounts[row] > 0.0) == (self.signs[row] > 0.0) {
                low = low.max(slope);
            } else {
                high = high.min(slope);
            }
        }
        if count > 0 {
            sum / count as f64
        } else {
            match (low.is_finite(), high.is_finite()) {
                (true, true) => (low + high) / 2.0,
                (true, false) => low,
                (false, true) => high,
                (false, false) => 0.0,
            }
        }
    }
}
