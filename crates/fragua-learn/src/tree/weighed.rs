//! Forests over numbers, and over rows that weigh differently.
//!
//! [`super::forest`] counts rows, which is faster; here weights are summed. What a split gains has the same form for
//! both: the squared sums of both sides over their weights, of the number for a regression (which makes the variance
//! small) and of each class's weight else (which makes the Gini impurity small).

use super::bins::{Binned, MISSING_BIN};
use super::ensemble::{CodeSet, Ensemble, LeafValue, Node, Test, Tree};
use super::forest::{Cutting, SplitOption, draw_cut, plant, split_options, without_missing};
use crate::params::RandomForestParams;
use crate::random::Random;
use crate::{Error, Progress};

/// The rows to learn from.
#[derive(Clone, Copy)]
pub(crate) struct Weighed<'a> {
    pub(crate) binned: &'a Binned,
    pub(crate) amounts: Amounts<'a>,
    /// Weight of each row; one of 0 is not learned from.
    pub(crate) weights: &'a [f64],
}

/// What each row adds to the sums of a node.
#[derive(Clone, Copy)]
pub(crate) enum Amounts<'a> {
    /// Its weight, to the sum of its class, one of so many.
    Classes(&'a [u16], usize),
    /// Its number times its weight, to the only sum.
    Numbers(&'a [f64]),
}

impl Weighed<'_> {
    fn output_count(&self) -> usize {
        match self.amounts {
            Amounts::Classes(_, count) => count,
            Amounts::Numbers(_) => 1,
        }
    }

    /// The sum that a row adds to, and what it adds a unit of weight.
    fn amount(&self, row: usize) -> (usize, f64) {
        match self.amounts {
            Amounts::Classes(classes, _) => (usize::from(classes[row]), 1.0),
            Amounts::Numbers(numbers) => (0, numbers[row]),
        }
    }
}

/// Fits a forest and returns it with the gain of each column, normalised a tree.
pub(crate) fn fit(
    sample: Weighed<'_>,
    params: &RandomForestParams,
    cutting: Cutting,
    seed: u64,
    progress: &dyn Progress,
) -> Result<(Ensemble, Vec<f64>), Error> {
    let grow =
        |tree: usize| Grower::new(sample, params, cutting, Random::derive(seed, &[tree as u64])).grow();
    plant(
        sample.binned,
        params.n_estimators,
        sample.output_count(),
        progress,
        grow,
    )
}

/// A row of the tree's sample.
#[derive(Clone, Copy)]
struct Entry {
    row: u32,
    /// How often it was drawn.
    draws: u32,
    /// Its weight, times the draws.
    weight: f64,
}

/// The sums of each output, then the weight, then the rows as drawn.
type Sums = [f64];

struct Split {
    purity: f64,
    column: usize,
    test: Test,
}

struct Pending {
    node: usize,
    begin: usize,
    end: usize,
    depth: usize,
}

struct Grower<'a> {
    sample: Weighed<'a>,
    params: &'a RandomForestParams,
    cutting: Cutting,
    random: Random,
    /// What can be tried at a split, in an order that each split shuffles on.
    options: Vec<SplitOption>,
    tried_options: usize,
    outputs: usize,
    /// Sums by bin; all zeros between uses.
    histogram: Vec<f64>,
    left: Vec<f64>,
    /// For each text column that the node was asked about: its categories there, and their sums.
    categories: Vec<(CodeSet, Vec<f64>)>,
    right_entries: Vec<Entry>,
    tree: Tree,
    gains: Vec<f64>,
}

impl<'a> Grower<'a> {
    fn new(sample: Weighed<'a>, params: &'a RandomForestParams, cutting: Cutting, random: Random) -> Self {
        let column_count = sample.binned.columns.len();
        let outputs = sample.output_count();
        let options = split_options(sample.binned);
        Self {
            tried_options: params.max_features.count(options.len()),
            options,
            outputs,
            histogram: vec![0.0; 256 * (outputs + 2)],
            left: Vec::new(),
            categories: vec![(CodeSet::default(), Vec::new()); column_count],
            right_entries: Vec::new(),
            tree: Tree::default(),
            gains: vec![0.0; column_count],
            sample,
            params,
            cutting,
            random,
        }
    }

    fn grow(mut self) -> (Tree, Vec<f64>) {
        let mut entries = self.draw();
        self.tree.nodes.push(Node::EMPTY);
        let mut stack = vec![Pending {
            node: 0,
            begin: 0,
            end: entries.len(),
            depth: 0,
        }];
        while let Some(Pending {
            node,
            begin,
            end,
            depth,
        }) = stack.pop()
        {
            let here = &mut entries[begin..end];
            let mut whole = vec![0.0; self.outputs + 2];
            here.iter().for_each(|entry| self.add(&mut whole, entry));
            let Some(split) = self.find_split(depth, here, &whole) else {
                self.make_leaf(node, &whole);
                continue;
            };
            self.gains[split.column] += split.purity - self.purity_of(&whole);
            let left = self.tree.nodes.len();
            self.tree.nodes.extend([Node::EMPTY; 2]);
            let parent = Node::split(split.column as u16, split.test, left as u32);
            self.tree.nodes[node] = parent;
            let middle = begin + self.partition(here, parent);
            for (node, begin, end) in [(left + 1, middle, end), (left, begin, middle)] {
                stack.push(Pending {
                    node,
                    begin,
                    end,
                    depth: depth + 1,
                });
            }
        }
        (self.tree, self.gains)
    }

    fn draw(&mut self) -> Vec<Entry> {
        let row_count = self.sample.binned.row_count;
        let mut draws = vec![u32::from(!self.params.bootstrap); row_count];
        if self.params.bootstrap {
            (0..row_count).for_each(|_| draws[self.random.below(row_count)] += 1);
        }
        let entry = |(row, (&draws, &weight)): (usize, (&u32, &f64))| Entry {
            row: row as u32,
            draws,
            weight: f64::from(draws) * weight,
        };
        let mut entries: Vec<Entry> = draws
            .iter()
            .zip(self.sample.weights)
            .enumerate()
            .map(entry)
            .collect();
        entries.retain(|entry| entry.weight > 0.0);
        entries
    }

    #[inline]
    fn add(&self, sums: &mut Sums, entry: &Entry) {
        let (output, amount) = self.sample.amount(entry.row as usize);
        sums[output] += amount * entry.weight;
        sums[self.outputs] += entry.weight;
        sums[self.outputs + 1] += f64::from(entry.draws);
    }

    fn purity_of(&self, sums: &Sums) -> f64 {
        let squares: f64 = sums[..self.outputs].iter().map(|sum| sum * sum).sum();
        squares / sums[self.outputs]
    }

    /// The purity when the rows summed in `left` go left; `None` when a side has too few rows or next to no weight.
    fn purity(&self, left: &Sums, whole: &Sums) -> Option<f64> {
        let (outputs, fewest) = (self.outputs, self.params.min_samples_leaf as f64);
        let rows = left[outputs + 1];
        let (left_weight, right_weight) = (left[outputs], whole[outputs] - left[outputs]);
        let least = 1e-12 * whole[outputs];
        let fits = rows >= fewest && whole[outputs + 1] - rows >= fewest;
        if !fits || left_weight <= least || right_weight <= least {
            return None;
        }
        let (mut left_squares, mut right_squares) = (0.0, 0.0);
        for (left, whole) in left.iter().zip(whole).take(outputs) {
            left_squares += left * left;
            right_squares += (whole - left) * (whole - left);
        }
        Some(left_squares / left_weight + right_squares / right_weight)
    }

    fn is_pure(&self, entries: &[Entry]) -> bool {
        let amount = |entry: &Entry| self.sample.amount(entry.row as usize);
        let first = entries.first().map(amount);
        entries.iter().all(|entry| Some(amount(entry)) == first)
    }

    fn make_leaf(&mut self, node: usize, whole: &Sums) {
        let begin = self.tree.values.len() as u32;
        let share = 1.0 / (whole[self.outputs] * self.params.n_estimators as f64);
        let is_number = matches!(self.sample.amounts, Amounts::Numbers(_));
        for (output, &sum) in whole[..self.outputs].iter().enumerate() {
            if is_number || sum > 0.0 {
                self.tree.values.push(LeafValue {
                    class: output as u16,
                    value: (sum * share) as f32,
                });
            }
        }
        // A tree that drew no row with a weight says nothing.
        if self.tree.values.len() as u32 == begin || whole[self.outputs] == 0.0 {
            self.tree.values.truncate(begin as usize);
            self.tree.values.push(LeafValue { class: 0, value: 0.0 });
        }
        self.tree.close_leaf(whole[self.outputs + 1] as u32);
        let count = self.tree.values.len() as u16 - begin as u16;
        self.tree.nodes[node] = Node::leaf(begin, count);
    }

    fn find_split(&mut self, depth: usize, entries: &[Entry], whole: &Sums) -> Option<Split> {
        let fewest = self
            .params
            .min_samples_split
            .max(2 * self.params.min_samples_leaf);
        let too_deep = self.params.max_depth.is_some_and(|limit| depth >= limit);
        if too_deep || whole[self.outputs + 1] < fewest as f64 || self.is_pure(entries) {
            return None;
        }
        let mut best = Split {
            purity: self.purity_of(whole) * (1.0 + 1e-12),
            column: usize::MAX,
            test: Test::Category { code: 0 },
        };
        let mut tried = 0;
        for position in 0..self.options.len() {
            if tried == self.tried_options {
                break;
            }
            let drawn = position + self.random.below(self.options.len() - position);
            self.options.swap(position, drawn);
            // What is constant here offers nothing and does not count as tried.
            let is_useful = match (self.options[position], self.cutting) {
                (SplitOption::Category { column, code }, _) => {
                    self.try_category(column, code, entries, whole, &mut best)
                }
                (SplitOption::Numbers { column }, Cutting::Best) => {
                    self.try_numbers(column, entries, whole, &mut best)
                }
                (SplitOption::Numbers { column }, Cutting::Random) => {
                    self.try_random(column, entries, whole, &mut best)
                }
            };
            tried += usize::from(is_useful);
        }
        for (present, sums) in &mut self.categories {
            *present = CodeSet::default();
            sums.clear();
        }
        (best.column != usize::MAX).then_some(best)
    }

    fn consider(
        &self,
        best: &mut Split,
        left: &Sums,
        whole: &Sums,
        column: usize,
        test: impl FnOnce() -> Test,
    ) {
        if let Some(purity) = self.purity(left, whole).filter(|&purity| purity > best.purity) {
            *best = Split {
                purity,
                column,
                test: test(),
            };
        }
    }

    /// Adds up the rows by bin.
    fn count(&self, sums: &mut [f64], column: usize, entries: &[Entry]) -> CodeSet {
        let bins = &self.sample.binned.columns[column].bins;
        let stride = self.outputs + 2;
        let mut occupied = CodeSet::default();
        for entry in entries {
            let bin = bins[entry.row as usize];
            occupied.insert(bin);
            self.add(&mut sums[usize::from(bin) * stride..][..stride], entry);
        }
        occupied
    }

    /// Looks for a better split that parts one category from the rest; false when all or no rows are of it.
    fn try_category(
        &mut self,
        column: usize,
        code: u8,
        entries: &[Entry],
        whole: &Sums,
        best: &mut Split,
    ) -> bool {
        let (mut present, mut sums) = std::mem::take(&mut self.categories[column]);
        let stride = self.outputs + 2;
        if present.len() == 0 {
            sums.resize(256 * stride, 0.0);
            present = self.count(&mut sums, column, entries);
        }
        let is_useful = present.contains(code) && present.len() > 1;
        if is_useful {
            let left = &sums[usize::from(code) * stride..][..stride];
            self.consider(best, left, whole, column, || Test::Category { code });
        }
        self.categories[column] = (present, sums);
        is_useful
    }

    /// Looks for the best cut of a numeric column; false when the node has one bin only.
    fn try_numbers(&mut self, column: usize, entries: &[Entry], whole: &Sums, best: &mut Split) -> bool {
        let stride = self.outputs + 2;
        let mut histogram = std::mem::take(&mut self.histogram);
        let mut left = std::mem::take(&mut self.left);
        let occupied = self.count(&mut histogram, column, entries);
        let bin = |bin: u8| &histogram[usize::from(bin) * stride..][..stride];
        let numbers = without_missing(occupied);
        let has_missing = numbers != occupied;
        for missing_left in [false, true] {
            if missing_left && !has_missing {
                continue;
            }
            left.clear();
            match missing_left {
                true => left.extend_from_slice(bin(MISSING_BIN)),
                false => left.resize(stride, 0.0),
            }
            for cut in numbers.iter() {
                left.iter_mut()
                    .zip(bin(cut))
                    .for_each(|(left, here)| *left += here);
                self.consider(best, &left, whole, column, || {
                    self.numeric_test(column, cut, missing_left, has_missing, &left, whole)
                });
            }
        }
        for bin in occupied.iter() {
            histogram[usize::from(bin) * stride..][..stride].fill(0.0);
        }
        (self.histogram, self.left) = (histogram, left);
        occupied.len() > 1
    }

    /// Cuts a numeric column anywhere between its least and greatest number here; false when they are in one bin.
    fn try_random(&mut self, column: usize, entries: &[Entry], whole: &Sums, best: &mut Split) -> bool {
        let binned = &self.sample.binned.columns[column];
        let bin = |entry: &Entry| binned.bins[entry.row as usize];
        let present = |entry: &&Entry| !binned.may_be_missing || bin(entry) != MISSING_BIN;
        let numbers = || entries.iter().filter(present).map(bin);
        let (least, greatest) = (numbers().min(), numbers().max());
        let has_missing = numbers().count() < entries.len();
        let (Some(least), Some(greatest)) = (least, greatest) else {
            return false;
        };
        if least == greatest && !has_missing {
            return false;
        }
        let cut = draw_cut(&binned.edges, least, greatest, &mut self.random);
        let missing_left = has_missing && least != greatest && self.random.below(2) == 1;
        let node = Node::split(0, Test::Numeric { cut, missing_left }, 0);
        let mut left = std::mem::take(&mut self.left);
        left.clear();
        left.resize(self.outputs + 2, 0.0);
        for entry in entries.iter().filter(|entry| node.goes_left(bin(entry), &[])) {
            self.add(&mut left, entry);
        }
        self.consider(best, &left, whole, column, || {
            self.numeric_test(column, cut, missing_left, has_missing, &left, whole)
        });
        self.left = left;
        true
    }

    fn numeric_test(
        &self,
        column: usize,
        cut: u8,
        missing_left: bool,
        has_missing: bool,
        left: &Sums,
        whole: &Sums,
    ) -> Test {
        // Without missing rows here, a missing number met later goes with the larger side.
        let rows = self.outputs + 1;
        let larger_left = !has_missing
            && self.sample.binned.columns[column].may_be_missing
            && 2.0 * left[rows] >= whole[rows];
        Test::Numeric {
            cut,
            missing_left: missing_left || larger_left,
        }
    }

    /// Puts the left side's rows first and returns how many they are.
    fn partition(&mut self, entries: &mut [Entry], node: Node) -> usize {
        let bins = &self.sample.binned.columns[node.column()].bins;
        self.right_entries.clear();
        let mut left = 0;
        for position in 0..entries.len() {
            let entry = entries[position];
            if node.goes_left(bins[entry.row as usize], &[]) {
                entries[left] = entry;
                left += 1;
            } else {
                self.right_entries.push(entry);
            }
        }
        entries[left..].copy_from_slice(&self.right_entries);
        left
    }
}
