//! Random forest: deep trees on bootstrap samples, each split tried on a few random columns.
//!
//! A text column takes part as its categories do: each category is one column to try, as it would be after
//! one-hot encoding, without being encoded.

use super::bins::{Binned, BinnedColumn, MISSING_BIN};
use super::ensemble::{Ensemble, LeafValue, Node, NodeKind, Tree};
use crate::params::RandomForestParams;
use crate::progress::check_cancelled;
use crate::random::Random;
use crate::{Error, Progress};
use rayon::prelude::*;

/// Below this many rows a node sorts its rows; above, it counts them into a histogram.
const SORT_BELOW: usize = 128;

/// The rows to learn from.
#[derive(Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) binned: &'a Binned,
    pub(crate) classes: &'a [u16],
    /// Weight of each class.
    pub(crate) weights: &'a [f64],
}

/// Fits a forest and returns it with the gain of each column, normalised a tree.
pub(crate) fn fit(
    sample: Sample<'_>,
    params: &RandomForestParams,
    seed: u64,
    progress: &dyn Progress,
) -> Result<(Ensemble, Vec<f64>), Error> {
    let grow = |tree: usize| {
        check_cancelled(progress)?;
        Ok(Grower::new(sample, params, Random::derive(seed, &[tree as u64])).grow())
    };
    let grown: Vec<(Tree, Vec<f64>)> = (0..params.n_estimators)
        .into_par_iter()
        .map(grow)
        .collect::<Result<_, Error>>()?;
    let mut importance = vec![0.0; sample.binned.columns.len()];
    let mut trees = Vec::with_capacity(grown.len());
    for (tree, gains) in grown {
        let total: f64 = gains.iter().sum();
        if total > 0.0 {
            importance
                .iter_mut()
                .zip(gains)
                .for_each(|(sum, gain)| *sum += gain / total);
        }
        trees.push(tree);
    }
    Ok((
        Ensemble::new(trees, vec![0.0; sample.weights.len()], false),
        importance,
    ))
}

/// One thing a split can be made on.
#[derive(Clone, Copy)]
enum SplitOption {
    Numbers { column: usize },
    Category { column: usize, code: u8 },
}

fn split_options(binned: &Binned) -> Vec<SplitOption> {
    let mut options = Vec::new();
    for (column, binned) in binned.columns.iter().enumerate() {
        if binned.categorical {
            options.extend(
                binned
                    .codes
                    .iter()
                    .map(|&code| SplitOption::Category { column, code }),
            );
        } else {
            options.push(SplitOption::Numbers { column });
        }
    }
    options
}

/// A set of bytes.
#[derive(Clone, Copy, Default)]
struct CodeSet([u64; 4]);

impl CodeSet {
    fn of(bins: &[u8], rows: &[u32]) -> Self {
        let mut set = Self::default();
        for &row in rows {
            let bin = bins[row as usize];
            set.0[usize::from(bin >> 6)] |= 1 << (bin & 63);
        }
        set
    }

    fn contains(&self, code: u8) -> bool {
        self.0[usize::from(code >> 6)] >> (code & 63) & 1 == 1
    }

    fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

struct Split {
    /// Sum over both sides of squared class weights over the side's weight: greater is purer.
    purity: f64,
    column: usize,
    cut: u8,
    missing_left: bool,
}

/// The two sides of a cut while it moves through a column.
struct Sides {
    left: Vec<f64>,
    left_weight: f64,
    left_squares: f64,
    right_squares: f64,
    left_rows: usize,
}

/// What a node holds, in class weights.
struct Content {
    classes: Vec<f64>,
    weight: f64,
    squares: f64,
    rows: usize,
}

impl Sides {
    fn reset(&mut self, node: &Content) {
        self.left.fill(0.0);
        self.left_weight = 0.0;
        self.left_squares = 0.0;
        self.right_squares = node.squares;
        self.left_rows = 0;
    }

    fn move_left(&mut self, node: &Content, class: usize, weight: f64, rows: u32) {
        let right = node.classes[class] - self.left[class];
        self.left_squares += weight * (2.0 * self.left[class] + weight);
        self.right_squares -= weight * (2.0 * right - weight);
        self.left[class] += weight;
        self.left_weight += weight;
        self.left_rows += rows as usize;
    }

    fn purity(&self, node: &Content) -> f64 {
        self.left_squares / self.left_weight + self.right_squares / (node.weight - self.left_weight)
    }
}

struct Pending {
    node: usize,
    begin: usize,
    end: usize,
    depth: usize,
}

struct Grower<'a> {
    sample: Sample<'a>,
    params: &'a RandomForestParams,
    random: Random,
    /// Distinct rows of the sample, kept in the order of the leaves.
    rows: Vec<u32>,
    /// How often each row of the table was drawn.
    draws: Vec<u32>,
    /// What can be tried at a split, in an order that each split shuffles on.
    options: Vec<SplitOption>,
    tried_options: usize,
    /// The categories present in the node, for each column where that was asked.
    present: Vec<Option<CodeSet>>,
    histogram: Vec<u32>,
    /// Rows of a small node as bin, class and draws, packed so that sorting is by bin.
    keys: Vec<u64>,
    sides: Sides,
    right_rows: Vec<u32>,
    tree: Tree,
    gains: Vec<f64>,
}

impl<'a> Grower<'a> {
    fn new(sample: Sample<'a>, params: &'a RandomForestParams, mut random: Random) -> Self {
        let row_count = sample.binned.row_count;
        let mut draws = vec![u32::from(!params.bootstrap); row_count];
        if params.bootstrap {
            (0..row_count).for_each(|_| draws[random.below(row_count)] += 1);
        }
        let column_count = sample.binned.columns.len();
        let options = split_options(sample.binned);
        let class_count = sample.weights.len();
        Self {
            rows: (0..row_count as u32)
                .filter(|&row| draws[row as usize] > 0)
                .collect(),
            draws,
            tried_options: params.max_features.count(options.len()),
            options,
            present: vec![None; column_count],
            histogram: vec![0; 256 * class_count],
            keys: Vec::with_capacity(SORT_BELOW),
            sides: Sides {
                left: vec![0.0; class_count],
                left_weight: 0.0,
                left_squares: 0.0,
                right_squares: 0.0,
                left_rows: 0,
            },
            right_rows: Vec::new(),
            tree: Tree::default(),
            gains: vec![0.0; column_count],
            sample,
            params,
            random,
        }
    }

    fn grow(mut self) -> (Tree, Vec<f64>) {
        self.tree.nodes.push(Node::default());
        let mut stack = vec![Pending {
            node: 0,
            begin: 0,
            end: self.rows.len(),
            depth: 0,
        }];
        while let Some(pending) = stack.pop() {
            let content = self.content(&pending);
            let Some(split) = self.find_split(&pending, &content) else {
                self.make_leaf(pending.node, &content);
                continue;
            };
            self.gains[split.column] += split.purity - content.squares / content.weight;
            let middle = self.partition(&pending, &split);
            let left = self.tree.nodes.len();
            self.tree.nodes.extend([Node::default(); 2]);
            let column = &self.sample.binned.columns[split.column];
            self.tree.nodes[pending.node] = Node {
                threshold: column.threshold(split.cut),
                left: left as u32,
                right: left as u32 + 1,
                feature: split.column as u16,
                kind: if column.categorical {
                    NodeKind::Category
                } else {
                    NodeKind::Numeric
                },
                missing_left: split.missing_left,
            };
            let depth = pending.depth + 1;
            stack.push(Pending {
                node: left + 1,
                begin: middle,
                end: pending.end,
                depth,
            });
            stack.push(Pending {
                node: left,
                begin: pending.begin,
                end: middle,
                depth,
            });
        }
        (self.tree, self.gains)
    }

    fn content(&self, pending: &Pending) -> Content {
        let mut counts = vec![0u32; self.sample.weights.len()];
        for &row in &self.rows[pending.begin..pending.end] {
            counts[usize::from(self.sample.classes[row as usize])] += self.draws[row as usize];
        }
        let classes: Vec<f64> = counts
            .iter()
            .zip(self.sample.weights)
            .map(|(&count, weight)| f64::from(count) * weight)
            .collect();
        Content {
            weight: classes.iter().sum(),
            squares: classes.iter().map(|weight| weight * weight).sum(),
            rows: counts.iter().map(|&count| count as usize).sum(),
            classes,
        }
    }

    fn make_leaf(&mut self, node: usize, content: &Content) {
        let begin = self.tree.values.len() as u32;
        let share = 1.0 / (content.weight * self.params.n_estimators as f64);
        let occupied = content
            .classes
            .iter()
            .enumerate()
            .filter(|(_, weight)| **weight > 0.0);
        self.tree.values.extend(occupied.map(|(class, weight)| LeafValue {
            class: class as u16,
            value: (weight * share) as f32,
        }));
        let end = self.tree.values.len() as u32;
        self.tree.nodes[node] = Node {
            left: begin,
            right: end,
            ..Node::default()
        };
    }

    fn find_split(&mut self, pending: &Pending, content: &Content) -> Option<Split> {
        let is_pure = content.classes.iter().filter(|weight| **weight > 0.0).count() < 2;
        let too_deep = self.params.max_depth.is_some_and(|limit| pending.depth >= limit);
        if is_pure
            || too_deep
            || content.rows
                < self
                    .params
                    .min_samples_split
                    .max(2 * self.params.min_samples_leaf)
        {
            return None;
        }
        let purity = content.squares / content.weight * (1.0 + 1e-12);
        let mut best = Split {
            purity,
            column: usize::MAX,
            cut: 0,
            missing_left: false,
        };
        self.present.fill(None);
        let mut tried = 0;
        for position in 0..self.options.len() {
            if tried == self.tried_options {
                break;
            }
            let drawn = position + self.random.below(self.options.len() - position);
            self.options.swap(position, drawn);
            // What is constant here offers nothing and does not count as tried.
            let is_useful = match self.options[position] {
                SplitOption::Numbers { column } => self.try_numbers(column, pending, content, &mut best),
                SplitOption::Category { column, code } => {
                    self.try_category(column, code, pending, content, &mut best)
                }
            };
            tried += usize::from(is_useful);
        }
        (best.column != usize::MAX).then_some(best)
    }

    /// Looks for a better split that parts one category from the rest; false when all or no rows are of it.
    fn try_category(
        &mut self,
        column: usize,
        code: u8,
        pending: &Pending,
        content: &Content,
        best: &mut Split,
    ) -> bool {
        let rows = &self.rows[pending.begin..pending.end];
        let bins = &self.sample.binned.columns[column].bins;
        let present = self.present[column].get_or_insert_with(|| CodeSet::of(bins, rows));
        if !present.contains(code) || present.len() == 1 {
            return false;
        }
        let counts = &mut self.histogram[..self.sample.weights.len()];
        counts.fill(0);
        for &row in rows.iter().filter(|&&row| bins[row as usize] == code) {
            counts[usize::from(self.sample.classes[row as usize])] += self.draws[row as usize];
        }
        let fewest = self.params.min_samples_leaf;
        let mut cuts = Cuts {
            sides: &mut self.sides,
            node: content,
            best,
            column,
            fewest,
        };
        cuts.sides.reset(content);
        for (class, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            cuts.sides.move_left(
                content,
                class,
                f64::from(count) * self.sample.weights[class],
                count,
            );
        }
        cuts.consider(code, false);
        true
    }

    /// Looks for a better split of one numeric column; false when the node has one bin only.
    fn try_numbers(&mut self, column: usize, pending: &Pending, content: &Content, best: &mut Split) -> bool {
        let rows = &self.rows[pending.begin..pending.end];
        let binned = &self.sample.binned.columns[column];
        let fewest = self.params.min_samples_leaf;
        let mut cuts = Cuts {
            sides: &mut self.sides,
            node: content,
            best,
            column,
            fewest,
        };
        if rows.len() >= SORT_BELOW {
            let class_count = self.sample.weights.len();
            let used = if binned.may_be_missing {
                256
            } else {
                binned.bin_count
            };
            let histogram = &mut self.histogram[..used * class_count];
            histogram.fill(0);
            for &row in rows {
                let (bin, class) = (binned.bins[row as usize], self.sample.classes[row as usize]);
                histogram[usize::from(bin) * class_count + usize::from(class)] += self.draws[row as usize];
            }
            return cuts.scan(
                binned,
                &Histogram {
                    counts: histogram,
                    weights: self.sample.weights,
                },
            );
        }
        self.keys.clear();
        let (mut lowest, mut highest) = (u8::MAX, 0);
        for &row in rows {
            let bin = binned.bins[row as usize];
            lowest = lowest.min(bin);
            highest = highest.max(bin);
            let class = u64::from(self.sample.classes[row as usize]);
            self.keys
                .push(u64::from(bin) << 48 | class << 32 | u64::from(self.draws[row as usize]));
        }
        if lowest == highest {
            return false;
        }
        self.keys.sort_unstable();
        cuts.scan(
            binned,
            &Sorted {
                keys: &self.keys,
                weights: self.sample.weights,
            },
        )
    }

    /// Puts the left side's rows first and returns where the right side begins.
    fn partition(&mut self, pending: &Pending, split: &Split) -> usize {
        let column = &self.sample.binned.columns[split.column];
        self.right_rows.clear();
        let mut middle = pending.begin;
        for position in pending.begin..pending.end {
            let row = self.rows[position];
            if column.goes_left(column.bins[row as usize], split.cut, split.missing_left) {
                self.rows[middle] = row;
                middle += 1;
            } else {
                self.right_rows.push(row);
            }
        }
        self.rows[middle..pending.end].copy_from_slice(&self.right_rows);
        middle
    }
}

/// The content of a node by bin, in rising order of bins.
trait ByBin {
    /// Calls `visit` with each occupied bin.
    fn each_bin(&self, visit: impl FnMut(usize));
    /// Calls `visit` with class, weight and rows of what lies in the bin.
    fn each_class(&self, bin: usize, visit: impl FnMut(usize, f64, u32));
}

struct Histogram<'a> {
    counts: &'a [u32],
    weights: &'a [f64],
}

impl ByBin for Histogram<'_> {
    fn each_bin(&self, mut visit: impl FnMut(usize)) {
        for (bin, counts) in self.counts.chunks_exact(self.weights.len()).enumerate() {
            if counts.iter().any(|&count| count > 0) {
                visit(bin);
            }
        }
    }

    fn each_class(&self, bin: usize, mut visit: impl FnMut(usize, f64, u32)) {
        let classes = self.weights.len();
        for (class, &count) in self.counts[bin * classes..(bin + 1) * classes].iter().enumerate() {
            if count > 0 {
                visit(class, f64::from(count) * self.weights[class], count);
            }
        }
    }
}

struct Sorted<'a> {
    keys: &'a [u64],
    weights: &'a [f64],
}

impl ByBin for Sorted<'_> {
    fn each_bin(&self, mut visit: impl FnMut(usize)) {
        let mut last = usize::MAX;
        for key in self.keys {
            let bin = (key >> 48) as usize;
            if bin != last {
                visit(bin);
                last = bin;
            }
        }
    }

    fn each_class(&self, bin: usize, mut visit: impl FnMut(usize, f64, u32)) {
        let begin = self.keys.partition_point(|key| ((key >> 48) as usize) < bin);
        for key in self.keys[begin..]
            .iter()
            .take_while(|&key| (key >> 48) as usize == bin)
        {
            let (class, count) = ((key >> 32) as usize & 0xFFFF, *key as u32);
            visit(class, f64::from(count) * self.weights[class], count);
        }
    }
}

/// The search for the best cut of one column.
struct Cuts<'a> {
    sides: &'a mut Sides,
    node: &'a Content,
    best: &'a mut Split,
    column: usize,
    fewest: usize,
}

impl Cuts<'_> {
    fn scan(&mut self, column: &BinnedColumn, content: &impl ByBin) -> bool {
        let mut occupied = [0u8; 256];
        let mut count = 0;
        content.each_bin(|bin| {
            occupied[count] = bin as u8;
            count += 1;
        });
        let occupied = &occupied[..count];
        if count < 2 {
            return false;
        }
        let (numbers, missing) = match occupied.split_last() {
            Some((&MISSING_BIN, numbers)) => (numbers, true),
            _ => (occupied, false),
        };
        // Without missing rows here, a missing number met later goes with the larger side.
        self.sides.reset(self.node);
        let last_cut = if missing { numbers.len() } else { numbers.len() - 1 };
        for &bin in &numbers[..last_cut] {
            self.move_bin(content, bin);
            let larger_left = !missing && column.may_be_missing && 2 * self.sides.left_rows >= self.node.rows;
            self.consider(bin, larger_left);
        }
        if missing {
            self.sides.reset(self.node);
            self.move_bin(content, MISSING_BIN);
            for &bin in &numbers[..numbers.len() - 1] {
                self.move_bin(content, bin);
                self.consider(bin, true);
            }
        }
        true
    }

    fn move_bin(&mut self, content: &impl ByBin, bin: u8) {
        let (sides, node) = (&mut *self.sides, self.node);
        content.each_class(usize::from(bin), |class, weight, rows| {
            sides.move_left(node, class, weight, rows)
        });
    }

    fn consider(&mut self, cut: u8, missing_left: bool) {
        let left = self.sides.left_rows;
        if left < self.fewest || self.node.rows - left < self.fewest {
            return;
        }
        let purity = self.sides.purity(self.node);
        if purity > self.best.purity {
            *self.best = Split {
                purity,
                column: self.column,
                cut,
                missing_left,
            };
        }
    }
}
