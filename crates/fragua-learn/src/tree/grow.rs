//! One tree of boosting, grown on histograms of gradients.
//!
//! Gradients are whole numbers, two to a 64-bit word, so that sums are exact and the same in any order: blocks of rows
//! can be counted by any number of threads, and what is left of a node is its parent without its sibling.

use super::bins::{Binned, BinnedColumn, MISSING_BIN};
use super::ensemble::{CodeSet, Node, Test, Tree};
use crate::config::GrowPolicy;
use crate::params::GradientBoostingParams;
use rayon::prelude::*;

/// Rows that one thread counts or parts at a time.
const BLOCK: usize = 16_384;
/// From so many columns on, several threads look for a split.
const MANY_COLUMNS: usize = 64;
/// Longest step of a leaf before shrinkage, in log odds. Where nearly all rows are settled the second derivative
/// vanishes, and one row of a rare class would throw its leaf so far that the fit never comes back.
pub(super) const LONGEST_STEP: f64 = 4.0;
const SMALLEST_SECOND: f64 = 1e-3;
/// Added to the second derivative of a category when groups are made, so that rare ones do not lead.
const CATEGORY_SMOOTHING: f64 = 10.0;
/// Penalty of leaf values behind a split on a group of categories: there are many groups to choose from.
const GROUP_PENALTY: f64 = 10.0;

/// How gradients become whole numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    first: f32,
    second: f32,
}

impl Scale {
    /// The finest steps with which the sums of so many rows fit their 31 and 32 bits.
    pub(super) fn new(rows: usize, heaviest: f64, factor: f64) -> Self {
        let steps = (f64::from(1 << 30) / rows as f64).min(16_384.0);
        Self {
            first: (steps / heaviest) as f32,
            second: (steps / (heaviest * factor * 0.25)) as f32,
        }
    }

    /// The same for slopes up to the steepest, whose second derivative is their weight.
    pub(super) fn of_numbers(rows: usize, steepest: f64, heaviest: f64, most: f64) -> Self {
        let steps = (f64::from(1 << 30) / rows as f64).min(most);
        Self {
            first: (steps / steepest).min(f64::from(f32::MAX)) as f32,
            second: (steps / heaviest) as f32,
        }
    }

    /// Rounds up or down as `dither` says, a number in `-0.5..0.5`.
    #[inline]
    pub(super) fn pack(self, first: f32, second: f32, dither: f32) -> u64 {
        /// Added to a small number, leaves it rounded in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        let round = |value: f32| (value + dither + ROUND).to_bits().wrapping_sub(ROUND.to_bits());
        let (first, second) = (round(first * self.first), round(second * self.second));
        // The second one is never negative, not even rounded down, so it never borrows from the upper half.
        (u64::from(first) << 32) + u64::from(second)
    }

    fn unpack(self, sum: u64) -> Sums {
        Sums {
            first: f64::from((sum >> 32) as i32) / f64::from(self.first),
            second: f64::from(sum as u32) / f64::from(self.second),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sums {
    first: f64,
    second: f64,
}

/// Packed sums, 256 bins a column.
type Histogram = Vec<[u64; 256]>;

#[derive(Clone, Debug)]
struct Split {
    gain: f64,
    column: usize,
    cut: Cut,
    /// Values of the two sides.
    values: [f64; 2],
}

#[derive(Clone, Copy, Debug)]
enum Cut {
    Test(Test),
    Group(CodeSet),
}

/// A leaf, which may still be split.
pub(super) struct Leaf {
    pub(super) node: usize,
    /// Where its rows are.
    pub(super) begin: usize,
    pub(super) end: usize,
    /// What it adds to the score, before shrinkage.
    pub(super) value: f64,
    depth: usize,
    sum: u64,
    /// The least and greatest value that keeps the order that other columns ask for.
    pub(super) bounds: [f64; 2],
    histogram: Option<Histogram>,
    split: Option<Split>,
}

pub(super) struct Grower<'a> {
    binned: &'a Binned,
    params: &'a GradientBoostingParams,
    gradients: &'a [u64],
    scale: Scale,
    columns: &'a [usize],
    monotone: &'a [i8],
    may_group: bool,
    longest_step: f64,
    gains: Vec<f64>,
    /// Histograms to be used again.
    spare: Vec<Histogram>,
    tree: Tree,
}

impl<'a> Grower<'a> {
    pub(super) fn new(
        binned: &'a Binned,
        params: &'a GradientBoostingParams,
        gradients: &'a [u64],
        scale: Scale,
    ) -> Self {
        Self {
            binned,
            params,
            gradients,
            scale,
            columns: &[],
            monotone: &[],
            may_group: false,
            longest_step: LONGEST_STEP,
            gains: vec![0.0; binned.columns.len()],
            spare: Vec::new(),
            tree: Tree::default(),
        }
    }

    /// Sets the columns to split on, which of them must be followed up or down, and whether categories are grouped.
    pub(super) fn with_columns(mut self, columns: &'a [usize], monotone: &'a [i8], may_group: bool) -> Self {
        self.columns = columns;
        self.monotone = monotone;
        self.may_group = may_group;
        self
    }

    /// Sets how far a leaf may move the score.
    pub(super) fn with_longest_step(mut self, longest_step: f64) -> Self {
        self.longest_step = longest_step;
        self
    }

    /// Returns the tree with empty leaves, the leaves, the rows in their order, and the gain of each column.
    pub(super) fn grow(mut self, mut rows: Vec<u32>) -> (Tree, Vec<Leaf>, Vec<u32>, Vec<f64>) {
        self.tree.nodes.push(Node::EMPTY);
        let histogram = self.histogram(&rows);
        let sum = rows
            .iter()
            .fold(0u64, |sum, &row| sum.wrapping_add(self.gradients[row as usize]));
        let mut root = Leaf {
            node: 0,
            begin: 0,
            end: rows.len(),
            value: 0.0,
            depth: 0,
            sum,
            bounds: [-self.longest_step, self.longest_step],
            histogram: None,
            split: None,
        };
        root.value = self.value(sum, root.bounds);
        self.look(&mut root, histogram, None);
        let mut leaves = vec![root];
        while leaves.len() < self.params.max_leaf_nodes {
            let Some(position) = self.next_leaf(&leaves) else {
                break;
            };
            let mut leaf = leaves.swap_remove(position);
            let split = leaf.split.take().expect("only leaves with a split are next");
            let is_last = leaves.len() + 2 == self.params.max_leaf_nodes;
            let middle = self.partition(&split, &mut rows[leaf.begin..leaf.end]);
            let size = leaf.end - leaf.begin;
            if middle.min(size - middle) < self.params.min_samples_leaf {
                // Its rows weigh enough, but are too few: look again, counting rows.
                let histogram = leaf.histogram.take().expect("a leaf with a split keeps it");
                let counts = self.counts(&rows[leaf.begin..leaf.end]);
                self.look(&mut leaf, histogram, Some(&counts));
                leaves.push(leaf);
                continue;
            }
            self.gains[split.column] += split.gain;
            leaves.extend(self.split(leaf, &split, middle, &rows, is_last));
        }
        (self.tree, leaves, rows, self.gains)
    }

    /// The leaf to split next: of the greatest gain, or level by level.
    fn next_leaf(&self, leaves: &[Leaf]) -> Option<usize> {
        let level = |leaf: &Leaf| match self.params.grow_policy {
            GrowPolicy::LeafWise => 0,
            GrowPolicy::DepthWise => leaf.depth,
        };
        let splits = leaves
            .iter()
            .enumerate()
            .filter_map(|(position, leaf)| Some((position, level(leaf), leaf.split.as_ref()?.gain)));
        let best = splits.reduce(|best, other| {
            let is_better = other.1 < best.1 || (other.1 == best.1 && other.2 > best.2);
            if is_better { other } else { best }
        });
        best.map(|(position, ..)| position)
    }

    fn value(&self, sum: u64, bounds: [f64; 2]) -> f64 {
        let Sums { first, second } = self.scale.unpack(sum);
        let value = -first / (second + self.params.l2_regularization + 1e-9);
        value.clamp(bounds[0], bounds[1])
    }

    fn split(&mut self, leaf: Leaf, split: &Split, middle: usize, rows: &[u32], is_last: bool) -> [Leaf; 2] {
        let left_node = self.tree.nodes.len();
        self.tree.nodes.extend([Node::EMPTY; 2]);
        let test = match split.cut {
            Cut::Test(test) => test,
            Cut::Group(set) => {
                self.tree.sets.push(set);
                Test::Set {
                    index: self.tree.sets.len() as u16 - 1,
                }
            }
        };
        self.tree.nodes[leaf.node] = Node::split(split.column as u16, test, left_node as u32);

        let middle = leaf.begin + middle;
        let left_is_smaller = middle - leaf.begin < leaf.end - middle;
        let smaller = if left_is_smaller {
            &rows[leaf.begin..middle]
        } else {
            &rows[middle..leaf.end]
        };
        let smaller_sum = smaller
            .iter()
            .fold(0u64, |sum, &row| sum.wrapping_add(self.gradients[row as usize]));
        let larger_sum = leaf.sum.wrapping_sub(smaller_sum);
        let between = (split.values[0] + split.values[1]) / 2.0;
        let mut bounds = [leaf.bounds; 2];
        match self.monotone.get(split.column) {
            Some(1) => (bounds[0][1], bounds[1][0]) = (between, between),
            Some(-1) => (bounds[0][0], bounds[1][1]) = (between, between),
            _ => {}
        }
        let sums = if left_is_smaller {
            [smaller_sum, larger_sum]
        } else {
            [larger_sum, smaller_sum]
        };
        let ends = [(leaf.begin, middle), (middle, leaf.end)];
        let mut children = [0, 1].map(|side| Leaf {
            node: left_node + side,
            begin: ends[side].0,
            end: ends[side].1,
            value: self.value(sums[side], bounds[side]),
            depth: leaf.depth + 1,
            sum: sums[side],
            bounds: bounds[side],
            histogram: None,
            split: None,
        });

        // Counting the smaller side is enough: the other one is what remains of the parent.
        let mut larger = leaf.histogram.expect("a leaf with a split keeps it");
        if is_last || !children.iter().any(|child| self.may_split(child)) {
            self.spare.push(larger);
            return children;
        }
        let smaller = self.histogram(smaller);
        for &column in self.columns {
            let pairs = larger[column].iter_mut().zip(&smaller[column]);
            pairs.for_each(|(larger, smaller)| *larger = larger.wrapping_sub(*smaller));
        }
        let (left, right) = if left_is_smaller {
            (smaller, larger)
        } else {
            (larger, smaller)
        };
        let [left_leaf, right_leaf] = &mut children;
        self.look(left_leaf, left, None);
        self.look(right_leaf, right, None);
        children
    }

    fn may_split(&self, leaf: &Leaf) -> bool {
        leaf.end - leaf.begin >= 2 * self.params.min_samples_leaf
            && self.params.max_depth.is_none_or(|limit| leaf.depth < limit)
    }

    /// Finds the best split of a leaf, which then keeps its histogram.
    fn look(&mut self, leaf: &mut Leaf, histogram: Histogram, counts: Option<&[[u32; 256]]>) {
        if self.may_split(leaf) {
            leaf.split = self.find_split(leaf, &histogram, counts);
        }
        if leaf.split.is_some() {
            leaf.histogram = Some(histogram);
        } else {
            self.spare.push(histogram);
        }
    }

    fn empty_histogram(&mut self) -> Histogram {
        match self.spare.pop() {
            Some(mut histogram) => {
                histogram.iter_mut().for_each(|bins| bins.fill(0));
                histogram
            }
            None => vec![[0; 256]; self.binned.columns.len()],
        }
    }

    fn histogram(&mut self, rows: &[u32]) -> Histogram {
        let mut histogram = self.empty_histogram();
        if rows.len() < 2 * BLOCK {
            self.count(&mut histogram, rows);
            return histogram;
        }
        let this = &*self;
        let empty = || vec![[0; 256]; this.binned.columns.len()];
        let add = |mut sum: Histogram, part: Histogram| {
            for (sum, part) in sum.iter_mut().flatten().zip(part.iter().flatten()) {
                *sum = sum.wrapping_add(*part);
            }
            sum
        };
        let counted = rows
            .par_chunks(BLOCK)
            .fold(empty, |mut histogram, rows| {
                this.count(&mut histogram, rows);
                histogram
            })
            .reduce(empty, add);
        self.spare.push(histogram);
        counted
    }

    fn count(&self, histogram: &mut Histogram, rows: &[u32]) {
        if self.columns.len() == self.binned.columns.len() {
            for &row in rows {
                let gradient = self.gradients[row as usize];
                for (sums, &bin) in histogram.iter_mut().zip(self.binned.row(row)) {
                    let sum = &mut sums[usize::from(bin)];
                    *sum = sum.wrapping_add(gradient);
                }
            }
            return;
        }
        for &row in rows {
            let (gradient, bins) = (self.gradients[row as usize], self.binned.row(row));
            for &column in self.columns {
                let sum = &mut histogram[column][usize::from(bins[column])];
                *sum = sum.wrapping_add(gradient);
            }
        }
    }

    /// Rows of each bin.
    fn counts(&self, rows: &[u32]) -> Vec<[u32; 256]> {
        let mut counts = vec![[0; 256]; self.binned.columns.len()];
        for &row in rows {
            for (counts, &bin) in counts.iter_mut().zip(self.binned.row(row)) {
                counts[usize::from(bin)] += 1;
            }
        }
        counts
    }

    /// Puts the left side's rows first, in their order, and returns how many they are.
    fn partition(&self, split: &Split, rows: &mut [u32]) -> usize {
        let bins = &self.binned.columns[split.column].bins;
        let goes_left: [bool; 256] = std::array::from_fn(|bin| match split.cut {
            Cut::Group(set) => set.contains(bin as u8),
            Cut::Test(test) => Node::split(0, test, 0).goes_left(bin as u8, &[]),
        });
        let part = |rows: &mut [u32]| {
            let mut right_rows = vec![0; rows.len()];
            let (mut left, mut right) = (0, 0);
            for position in 0..rows.len() {
                let row = rows[position];
                let is_left = goes_left[usize::from(bins[row as usize])];
                rows[left] = row;
                right_rows[right] = row;
                left += usize::from(is_left);
                right += usize::from(!is_left);
            }
            rows[left..].copy_from_slice(&right_rows[..right]);
            left
        };
        if rows.len() < 2 * BLOCK {
            return part(rows);
        }
        let lefts: Vec<usize> = rows.par_chunks_mut(BLOCK).map(part).collect();
        let mut right_rows = Vec::with_capacity(rows.len());
        let mut middle = 0;
        for (block, left) in lefts.into_iter().enumerate() {
            let (begin, end) = (block * BLOCK, rows.len().min((block + 1) * BLOCK));
            right_rows.extend_from_slice(&rows[begin + left..end]);
            rows.copy_within(begin..begin + left, middle);
            middle += left;
        }
        rows[middle..].copy_from_slice(&right_rows);
        middle
    }

    fn find_split(&self, leaf: &Leaf, histogram: &Histogram, counts: Option<&[[u32; 256]]>) -> Option<Split> {
        let search = |&column: &usize| {
            let mut search = Search::new(self, leaf, column, counts.map(|counts| &counts[column]));
            search.run(&self.binned.columns[column], &histogram[column]);
            search.best
        };
        let better = |best: Option<Split>, other: Option<Split>| match (&best, &other) {
            (Some(one), Some(two)) if two.gain > one.gain => other,
            (None, _) => other,
            _ => best,
        };
        if self.columns.len() < MANY_COLUMNS {
            return self.columns.iter().map(search).fold(None, better);
        }
        let found: Vec<Option<Split>> = self.columns.par_iter().map(search).collect();
        found.into_iter().fold(None, better)
    }
}

/// The search for the best cut of one column.
struct Search<'a> {
    scale: Scale,
    whole: Sums,
    sum: u64,
    rows: f64,
    /// Rows a unit of the second derivative stands for.
    rows_per_second: f64,
    fewest: usize,
    penalty: f64,
    parent_gain: f64,
    column: usize,
    monotone: i8,
    bounds: [f64; 2],
    may_group: bool,
    onehot_up_to: usize,
    /// Rows of each bin, when they are to be counted.
    counts: Option<&'a [u32; 256]>,
    row_count: usize,
    best: Option<Split>,
}

/// What lies left of a cut.
#[derive(Clone, Copy, Default)]
struct Side {
    sum: u64,
    rows: usize,
}

impl<'a> Search<'a> {
    fn new(grower: &Grower<'_>, leaf: &Leaf, column: usize, counts: Option<&'a [u32; 256]>) -> Self {
        let params = grower.params;
        let whole = grower.scale.unpack(leaf.sum);
        let row_count = leaf.end - leaf.begin;
        let mut search = Self {
            scale: grower.scale,
            whole,
            sum: leaf.sum,
            rows: row_count as f64,
            rows_per_second: row_count as f64 / whole.second,
            fewest: params.min_samples_leaf,
            penalty: params.l2_regularization,
            parent_gain: 0.0,
            column,
            monotone: grower.monotone.get(column).copied().unwrap_or(0),
            bounds: leaf.bounds,
            may_group: grower.may_group,
            onehot_up_to: params.max_cat_to_onehot,
            counts,
            row_count,
            best: None,
        };
        search.parent_gain = search.score(whole);
        search
    }

    fn score(&self, sums: Sums) -> f64 {
        sums.first * sums.first / (sums.second + self.penalty)
    }

    fn add(&self, side: Side, bin: usize, histogram: &[u64; 256]) -> Side {
        Side {
            sum: side.sum.wrapping_add(histogram[bin]),
            rows: side.rows + self.counts.map_or(0, |counts| counts[bin] as usize),
        }
    }

    /// Tells whether nothing in a bin counts; settled rows may be there when rows are not counted.
    fn is_empty(&self, bin: usize, histogram: &[u64; 256]) -> bool {
        histogram[bin] == 0 && self.counts.is_none_or(|counts| counts[bin] == 0)
    }

    fn run(&mut self, column: &BinnedColumn, histogram: &[u64; 256]) {
        if column.categorical {
            self.categories(column, histogram);
        } else {
            self.numbers(column, histogram);
        }
    }

    fn numbers(&mut self, column: &BinnedColumn, histogram: &[u64; 256]) {
        let has_missing = !self.is_empty(usize::from(MISSING_BIN), histogram);
        let mut left = Side::default();
        for bin in 0..column.bin_count {
            if self.is_empty(bin, histogram) {
                continue;
            }
            left = self.add(left, bin, histogram);
            // Without missing rows here, a missing number met later goes with the larger side.
            let larger_left = column.may_be_missing
                && !has_missing
                && self.scale.unpack(left.sum).second * 2.0 >= self.whole.second;
            self.consider(left, |cut| numeric(cut, larger_left), bin);
        }
        if has_missing {
            let mut left = self.add(Side::default(), usize::from(MISSING_BIN), histogram);
            for bin in 0..column.bin_count {
                if !self.is_empty(bin, histogram) {
                    left = self.add(left, bin, histogram);
                    self.consider(left, |cut| numeric(cut, true), bin);
                }
            }
        }
    }

    fn categories(&mut self, column: &BinnedColumn, histogram: &[u64; 256]) {
        let here: Vec<u8> = column
            .codes
            .iter()
            .copied()
            .filter(|&code| !self.is_empty(usize::from(code), histogram))
            .collect();
        if !self.may_group || here.len() <= self.onehot_up_to {
            for code in here {
                let left = self.add(Side::default(), usize::from(code), histogram);
                self.consider(left, |_| Cut::Test(Test::Category { code }), 0);
            }
            return;
        }
        let lead = |&code: &u8| {
            let sums = self.scale.unpack(histogram[usize::from(code)]);
            sums.first / (sums.second + CATEGORY_SMOOTHING)
        };
        let mut ordered: Vec<(f64, u8)> = here.iter().map(|code| (lead(code), *code)).collect();
        ordered.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.penalty += GROUP_PENALTY;
        let (mut left, mut set) = (Side::default(), CodeSet::default());
        for (_, code) in ordered {
            left = self.add(left, usize::from(code), histogram);
            set.insert(code);
            self.consider(left, |_| Cut::Group(set), 0);
        }
    }

    fn consider(&mut self, left: Side, cut: impl Fn(u8) -> Cut, bin: usize) {
        let sums = [left.sum, self.sum.wrapping_sub(left.sum)].map(|sum| self.scale.unpack(sum));
        // The rows must weigh enough where the loss still bends: rows that are settled do not count.
        let settled_left = (sums[0].second * self.rows_per_second).round();
        let fewest = self.fewest as f64;
        if settled_left < fewest || self.rows - settled_left < fewest {
            return;
        }
        if sums[0].second < SMALLEST_SECOND || sums[1].second < SMALLEST_SECOND {
            return;
        }
        if self.counts.is_some() && (left.rows < self.fewest || self.row_count - left.rows < self.fewest) {
            return;
        }
        let gain = self.score(sums[0]) + self.score(sums[1]) - self.parent_gain;
        if gain <= self.best.as_ref().map_or(1e-7, |best| best.gain) {
            return;
        }
        let values = sums.map(|sums| {
            (-sums.first / (sums.second + self.penalty + 1e-9)).clamp(self.bounds[0], self.bounds[1])
        });
        if f64::from(self.monotone) * (values[1] - values[0]) < 0.0 {
            return;
        }
        self.best = Some(Split {
            gain,
            column: self.column,
            cut: cut(bin as u8),
            values,
        });
    }
}

fn numeric(cut: u8, missing_left: bool) -> Cut {
    Cut::Test(Test::Numeric { cut, missing_left })
}
