//! Gradient boosting: each round adds one small tree a class, fitted to the gradient of the log loss.

use super::bins::{Binned, BinnedColumn, MISSING_BIN};
use super::ensemble::{Ensemble, LeafValue, Node, NodeKind, Tree};
use super::forest::Sample;
use crate::params::GradientBoostingParams;
use crate::progress::check_cancelled;
use crate::{Error, Progress};
use rayon::prelude::*;

/// Longest step of a leaf before shrinkage, in log odds. Where nearly all rows are settled the second derivative
/// vanishes, and one row of a rare class would throw its leaf so far that the fit never comes back.
const LONGEST_STEP: f64 = 4.0;

/// Fits the trees and returns them with the gain of each column.
pub(crate) fn fit(
    sample: Sample<'_>,
    params: &GradientBoostingParams,
    progress: &dyn Progress,
) -> Result<(Ensemble, Vec<f64>), Error> {
    let class_count = sample.weights.len();
    let layout = Layout::new(sample.binned);
    let base = base_scores(sample);
    // With two classes one tree moves both scores, in opposite directions.
    let tree_classes: Vec<u16> = if class_count == 2 {
        vec![1]
    } else {
        (0..class_count as u16).collect()
    };
    let mut scores: Vec<Vec<f32>> = base
        .iter()
        .map(|&base| vec![base; sample.classes.len()])
        .collect();
    let mut importance = vec![0.0; sample.binned.columns.len()];
    let mut trees = Vec::with_capacity(params.n_estimators * tree_classes.len());
    for _ in 0..params.n_estimators {
        check_cancelled(progress)?;
        let gradients = gradients(sample, &scores, &tree_classes);
        let grow = |(gradients, &class): (&Vec<Gradient>, &u16)| {
            let mut grower = Grower {
                layout: &layout,
                gradients,
                params,
                gains: vec![0.0; importance.len()],
            };
            let (tree, moves) = grower.grow(class, class_count);
            (tree, moves, grower.gains)
        };
        let grown: Vec<_> = gradients.par_iter().zip(&tree_classes).map(grow).collect();
        for ((tree, moves, gains), &class) in grown.into_iter().zip(&tree_classes) {
            scores[usize::from(class)]
                .iter_mut()
                .zip(&moves)
                .for_each(|(score, moved)| *score += moved);
            if class_count == 2 {
                scores[0]
                    .iter_mut()
                    .zip(&moves)
                    .for_each(|(score, moved)| *score -= moved);
            }
            importance
                .iter_mut()
                .zip(gains)
                .for_each(|(sum, gain)| *sum += gain);
            trees.push(tree);
        }
    }
    Ok((Ensemble::new(trees, base, true), importance))
}

/// The logarithm of each class's weighted share.
fn base_scores(sample: Sample<'_>) -> Vec<f32> {
    let mut weights = vec![0.0; sample.weights.len()];
    for &class in sample.classes {
        weights[usize::from(class)] += sample.weights[usize::from(class)];
    }
    let total: f64 = weights.iter().sum();
    // A class without rows in this fold starts as rare as half a row.
    weights
        .iter()
        .map(|weight| (weight.max(0.5) / total).ln() as f32)
        .collect()
}

#[derive(Clone, Copy, Default)]
struct Gradient {
    first: f32,
    second: f32,
}

/// Gradients of the weighted log loss, one list for each tree of the round.
fn gradients(sample: Sample<'_>, scores: &[Vec<f32>], tree_classes: &[u16]) -> Vec<Vec<Gradient>> {
    let row_count = sample.classes.len();
    let class_count = scores.len();
    // Friedman's factor for the redundant class; with two classes the score is half the log odds.
    let factor = if class_count == 2 {
        2.0
    } else {
        class_count as f32 / (class_count as f32 - 1.0)
    };
    let mut gradients = vec![vec![Gradient::default(); row_count]; tree_classes.len()];
    let mut shares = vec![0.0f32; class_count];
    for row in 0..row_count {
        let largest = scores.iter().map(|scores| scores[row]).fold(f32::MIN, f32::max);
        let mut sum = 0.0;
        for (share, scores) in shares.iter_mut().zip(scores) {
            *share = (scores[row] - largest).exp();
            sum += *share;
        }
        let truth = sample.classes[row];
        let weight = sample.weights[usize::from(truth)] as f32;
        for (gradients, &class) in gradients.iter_mut().zip(tree_classes) {
            let share = shares[usize::from(class)] / sum;
            let hit = f32::from(u8::from(truth == class));
            gradients[row] = Gradient {
                first: weight * (share - hit),
                second: weight * factor * share * (1.0 - share),
            };
        }
    }
    gradients
}

/// Bins row by row, and where each column's bins begin in a histogram over all columns.
struct Layout<'a> {
    columns: &'a [BinnedColumn],
    row_count: usize,
    bins: Vec<u8>,
    begins: Vec<usize>,
    /// Number of bins of all columns.
    total: usize,
}

impl<'a> Layout<'a> {
    fn new(binned: &'a Binned) -> Self {
        let width = binned.columns.len();
        let mut bins = vec![0; binned.row_count * width];
        for (position, column) in binned.columns.iter().enumerate() {
            bins.iter_mut()
                .skip(position)
                .step_by(width)
                .zip(&column.bins)
                .for_each(|(slot, &bin)| *slot = bin);
        }
        let mut begins = vec![0];
        for column in &binned.columns {
            let size = if column.categorical || column.may_be_missing {
                256
            } else {
                column.bin_count
            };
            begins.push(begins.last().expect("starts with one") + size);
        }
        let total = *begins.last().expect("starts with one");
        Self {
            columns: &binned.columns,
            row_count: binned.row_count,
            bins,
            begins,
            total,
        }
    }

    fn row(&self, row: u32) -> &[u8] {
        let width = self.columns.len();
        &self.bins[row as usize * width..(row as usize + 1) * width]
    }
}

#[derive(Clone, Copy, Default)]
struct Sums {
    first: f64,
    second: f64,
    rows: u32,
}

#[derive(Clone, Copy)]
struct Split {
    gain: f64,
    column: usize,
    cut: u8,
    missing_left: bool,
}

/// A leaf that may still be split.
struct Leaf {
    node: usize,
    begin: usize,
    end: usize,
    depth: usize,
    first: f64,
    second: f64,
    histogram: Vec<Sums>,
    split: Option<Split>,
}

struct Grower<'a> {
    layout: &'a Layout<'a>,
    gradients: &'a [Gradient],
    params: &'a GradientBoostingParams,
    gains: Vec<f64>,
}

impl Grower<'_> {
    /// Returns the tree and how far it moves the score of each row.
    fn grow(&mut self, class: u16, class_count: usize) -> (Tree, Vec<f32>) {
        let row_count = self.layout.row_count;
        let mut rows: Vec<u32> = (0..row_count as u32).collect();
        let mut right_rows = Vec::new();
        let mut tree = Tree {
            nodes: vec![Node::default()],
            values: Vec::new(),
        };
        let mut root = Leaf {
            node: 0,
            begin: 0,
            end: row_count,
            depth: 0,
            first: self
                .gradients
                .iter()
                .map(|gradient| f64::from(gradient.first))
                .sum(),
            second: self
                .gradients
                .iter()
                .map(|gradient| f64::from(gradient.second))
                .sum(),
            histogram: self.histogram(&rows),
            split: None,
        };
        root.split = self.find_split(&root);
        let mut leaves = vec![root];
        while leaves.len() < self.params.max_leaf_nodes {
            let Some((position, split)) = best_leaf(&leaves) else {
                break;
            };
            let leaf = leaves.swap_remove(position);
            self.gains[split.column] += split.gain;
            let children = self.split(leaf, split, &mut tree, &mut rows, &mut right_rows);
            leaves.extend(children);
        }
        let mut moves = vec![0.0; row_count];
        for leaf in &leaves {
            let value = -leaf.first / (leaf.second + self.params.l2_regularization + 1e-9);
            let value = (value.clamp(-LONGEST_STEP, LONGEST_STEP) * self.params.learning_rate) as f32;
            let begin = tree.values.len() as u32;
            tree.values.push(LeafValue { class, value });
            if class_count == 2 {
                tree.values.push(LeafValue {
                    class: 0,
                    value: -value,
                });
            }
            let end = tree.values.len() as u32;
            tree.nodes[leaf.node] = Node {
                left: begin,
                right: end,
                ..Node::default()
            };
            rows[leaf.begin..leaf.end]
                .iter()
                .for_each(|&row| moves[row as usize] = value);
        }
        (tree, moves)
    }

    fn split(
        &self,
        leaf: Leaf,
        split: Split,
        tree: &mut Tree,
        rows: &mut [u32],
        right_rows: &mut Vec<u32>,
    ) -> [Leaf; 2] {
        let column = &self.layout.columns[split.column];
        right_rows.clear();
        let mut middle = leaf.begin;
        let (mut first, mut second) = (0.0, 0.0);
        for position in leaf.begin..leaf.end {
            let row = rows[position];
            if column.goes_left(column.bins[row as usize], split.cut, split.missing_left) {
                rows[middle] = row;
                middle += 1;
                first += f64::from(self.gradients[row as usize].first);
                second += f64::from(self.gradients[row as usize].second);
            } else {
                right_rows.push(row);
            }
        }
        rows[middle..leaf.end].copy_from_slice(right_rows);

        // Counting the smaller side is enough: the other one is what remains of the parent.
        let left_is_smaller = middle - leaf.begin < leaf.end - middle;
        let smaller = if left_is_smaller {
            &rows[leaf.begin..middle]
        } else {
            &rows[middle..leaf.end]
        };
        let smaller = self.histogram(smaller);
        let mut larger = leaf.histogram;
        for (larger, smaller) in larger.iter_mut().zip(&smaller) {
            larger.first -= smaller.first;
            larger.second -= smaller.second;
            larger.rows -= smaller.rows;
        }
        let (left_histogram, right_histogram) = if left_is_smaller {
            (smaller, larger)
        } else {
            (larger, smaller)
        };

        let left_node = tree.nodes.len();
        tree.nodes.extend([Node::default(); 2]);
        tree.nodes[leaf.node] = Node {
            threshold: column.threshold(split.cut),
            left: left_node as u32,
            right: left_node as u32 + 1,
            feature: split.column as u16,
            kind: if column.categorical {
                NodeKind::Category
            } else {
                NodeKind::Numeric
            },
            missing_left: split.missing_left,
        };
        let depth = leaf.depth + 1;
        let mut left = Leaf {
            node: left_node,
            begin: leaf.begin,
            end: middle,
            depth,
            first,
            second,
            histogram: left_histogram,
            split: None,
        };
        let mut right = Leaf {
            node: left_node + 1,
            begin: middle,
            end: leaf.end,
            depth,
            first: leaf.first - first,
            second: leaf.second - second,
            histogram: right_histogram,
            split: None,
        };
        left.split = self.find_split(&left);
        right.split = self.find_split(&right);
        [left, right]
    }

    fn histogram(&self, rows: &[u32]) -> Vec<Sums> {
        let mut histogram = vec![Sums::default(); self.layout.total];
        let begins = &self.layout.begins[..self.layout.columns.len()];
        for &row in rows {
            let gradient = self.gradients[row as usize];
            for (&begin, &bin) in begins.iter().zip(self.layout.row(row)) {
                let sums = &mut histogram[begin + usize::from(bin)];
                sums.first += f64::from(gradient.first);
                sums.second += f64::from(gradient.second);
                sums.rows += 1;
            }
        }
        histogram
    }

    fn find_split(&self, leaf: &Leaf) -> Option<Split> {
        let too_small = leaf.end - leaf.begin < 2 * self.params.min_samples_leaf;
        if too_small || self.params.max_depth.is_some_and(|limit| leaf.depth >= limit) {
            return None;
        }
        let mut cuts = Cuts::new(leaf, self.params);
        for (position, column) in self.layout.columns.iter().enumerate() {
            let histogram = &leaf.histogram[self.layout.begins[position]..self.layout.begins[position + 1]];
            cuts.column = position;
            cuts.scan(column, histogram);
        }
        cuts.best
    }
}

fn best_leaf(leaves: &[Leaf]) -> Option<(usize, Split)> {
    let splits = leaves
        .iter()
        .enumerate()
        .filter_map(|(position, leaf)| Some((position, leaf.split?)));
    splits.max_by(|(_, a), (_, b)| a.gain.total_cmp(&b.gain))
}

/// The search for the best cut of a leaf.
struct Cuts {
    first: f64,
    second: f64,
    rows: usize,
    /// Rows a unit of the second derivative stands for.
    rows_per_second: f64,
    fewest: usize,
    penalty: f64,
    parent_gain: f64,
    column: usize,
    best: Option<Split>,
}

const SMALLEST_SECOND: f64 = 1e-3;

impl Cuts {
    fn new(leaf: &Leaf, params: &GradientBoostingParams) -> Self {
        let rows = leaf.end - leaf.begin;
        let penalty = params.l2_regularization;
        Self {
            first: leaf.first,
            second: leaf.second,
            rows,
            rows_per_second: rows as f64 / leaf.second,
            fewest: params.min_samples_leaf,
            penalty,
            parent_gain: leaf.first * leaf.first / (leaf.second + penalty),
            column: 0,
            best: None,
        }
    }

    fn scan(&mut self, column: &BinnedColumn, histogram: &[Sums]) {
        let none = (0.0, 0.0, 0);
        if column.categorical {
            for &code in &column.codes {
                let sums = &histogram[usize::from(code)];
                if sums.rows > 0 {
                    self.consider(add(none, sums), usize::from(code), false);
                }
            }
            return;
        }
        let missing = histogram
            .get(usize::from(MISSING_BIN))
            .filter(|sums| column.may_be_missing && sums.rows > 0);
        let numbers = &histogram[..column.bin_count];
        let mut left = none;
        for (bin, sums) in numbers.iter().enumerate() {
            left = add(left, sums);
            if sums.rows > 0 {
                let larger_left = column.may_be_missing && missing.is_none() && 2 * left.2 >= self.rows;
                self.consider(left, bin, larger_left);
            }
        }
        if let Some(missing) = missing {
            let mut left = add(none, missing);
            for (bin, sums) in numbers.iter().enumerate() {
                left = add(left, sums);
                if sums.rows > 0 {
                    self.consider(left, bin, true);
                }
            }
        }
    }

    fn consider(&mut self, left: (f64, f64, usize), bin: usize, missing_left: bool) {
        let (left_first, left_second, left_rows) = left;
        let right_rows = self.rows.saturating_sub(left_rows);
        if left_rows < self.fewest || right_rows < self.fewest {
            return;
        }
        // The rows must also weigh enough where the loss still bends: rows that are settled do not count.
        let settled_left = (left_second * self.rows_per_second).round();
        let settled_right = self.rows as f64 - settled_left;
        if settled_left < self.fewest as f64 || settled_right < self.fewest as f64 {
            return;
        }
        let (right_first, right_second) = (self.first - left_first, self.second - left_second);
        if left_second < SMALLEST_SECOND || right_second < SMALLEST_SECOND {
            return;
        }
        let gain = left_first * left_first / (left_second + self.penalty)
            + right_first * right_first / (right_second + self.penalty)
            - self.parent_gain;
        if gain > self.best.map_or(1e-7, |best| best.gain) {
            self.best = Some(Split {
                gain,
                column: self.column,
                cut: bin as u8,
                missing_left,
            });
        }
    }
}

fn add(left: (f64, f64, usize), sums: &Sums) -> (f64, f64, usize) {
    (
        left.0 + sums.first,
        left.1 + sums.second,
        left.2 + sums.rows as usize,
    )
}
