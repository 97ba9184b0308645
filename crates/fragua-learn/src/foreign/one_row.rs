//! One row through trees of other origin.
//!
//! All comparisons of a feature with thresholds in rising order are answered by one search: the value is above those that
//! come first, and at most what those are that follow.

use super::trees::Real;
use crate::tree::packed::{Packed, Place};
use std::cmp::Ordering;

/// Most thresholds: to answer for more takes longer than it saves.
const MAX_QUESTIONS: usize = 1 << 15;

/// A node as [`OneRow`] needs to know it.
pub(super) enum Asked<T> {
    /// Its number.
    Leaf(u32),
    /// What is at most the threshold goes to the second of `next`, all else to the first.
    AtMost { test: AtMost<T>, next: [u32; 2] },
}

/// A comparison of a feature with a threshold.
#[derive(Clone, Copy)]
pub(super) struct AtMost<T> {
    pub(super) feature: u32,
    pub(super) missing_passes: bool,
    pub(super) threshold: T,
}

/// Comparisons of a feature that missing values all pass or all fail.
#[derive(Clone, Debug)]
struct Group<T> {
    feature: u32,
    missing_passes: bool,
    /// In rising order, first those that nothing is at most.
    thresholds: Vec<T>,
}

/// Trees, packed for one row.
#[derive(Clone, Debug)]
pub(super) struct OneRow<T> {
    groups: Vec<Group<T>>,
    packed: Packed,
}

impl<T: Real> AtMost<T> {
    fn order(&self, other: &Self) -> Ordering {
        let group = |test: &Self| (test.feature, test.missing_passes);
        let is_number = |test: &Self| !test.threshold.is_missing();
        group(self)
            .cmp(&group(other))
            .then(is_number(self).cmp(&is_number(other)))
            .then_with(|| {
                self.threshold
                    .partial_cmp(&other.threshold)
                    .unwrap_or(Ordering::Equal)
            })
    }
}

impl<T: Real> OneRow<T> {
    /// Packs the trees whose nodes `asked` tells; `None` when they do not fit.
    pub(super) fn new(roots: &[u32], node_count: usize, asked: impl Fn(u32) -> Asked<T>) -> Option<Self> {
        let mut tests: Vec<(AtMost<T>, u32)> = (0..node_count as u32)
            .filter_map(|node| match asked(node) {
                Asked::Leaf(_) => None,
                Asked::AtMost { test, .. } => Some((test, node)),
            })
            .collect();
        tests.sort_unstable_by(|(one, _), (other, _)| one.order(other));
        let mut groups: Vec<Group<T>> = Vec::new();
        let mut questions = vec![0; node_count];
        let mut question_count = 0;
        for tests in tests.chunk_by(|(one, _), (next, _)| one.order(next) == Ordering::Equal) {
            let AtMost {
                feature,
                missing_passes,
                threshold,
            } = tests[0].0;
            match groups.last_mut() {
                Some(last) if (last.feature, last.missing_passes) == (feature, missing_passes) => {
                    last.thresholds.push(threshold);
                }
                _ => groups.push(Group {
                    feature,
                    missing_passes,
                    thresholds: vec![threshold],
                }),
            }
            tests
                .iter()
                .for_each(|&(_, node)| questions[node as usize] = question_count);
            question_count += 1;
        }
        if question_count > MAX_QUESTIONS {
            return None;
        }
        let place = |node: usize| match asked(node as u32) {
            Asked::Leaf(number) => Place::Leaf(number),
            Asked::AtMost {
                next: [fails, passes],
                ..
            } => Place::Split {
                question: questions[node],
                no: passes as usize,
                yes: fails as usize,
            },
        };
        let roots = roots.iter().map(|&root| root as usize);
        let packed = Packed::new(roots, node_count, question_count, place)?;
        Some(Self { groups, packed })
    }

    /// Calls `visit` with each tree and the number of the row's leaf there, in any order.
    pub(super) fn walk(&self, row: &[T], visit: impl FnMut(u32, u32)) {
        // Whether the value is above a threshold.
        let mut answers = Vec::with_capacity(MAX_QUESTIONS);
        for group in &self.groups {
            let value = row[group.feature as usize];
            // Nothing is at most NaN, so NaN is above all.
            let is_at_most = |threshold: &T| value <= *threshold;
            let above = match value.is_missing() && group.missing_passes {
                true => 0,
                false => group
                    .thresholds
                    .partition_point(|threshold| !is_at_most(threshold)),
            };
            let begin = answers.len();
            answers.resize(begin + above, 1);
            answers.resize(begin + group.thresholds.len(), 0);
        }
        self.packed.walk(&answers, visit);
    }
}
