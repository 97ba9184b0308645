//! Forests: deep trees, each split tried on a few random columns.
//!
//! A text column takes part as its categories do: each category is one column to try, as it would be after
//! one-hot encoding, without being encoded.
//!
//! The upper levels of a tree count the bins of the whole table; once a node is small, its rows are copied together
//! and everything below it is grown inside the processor's nearest cache.

use super::bins::{Binned, MISSING_BIN};
use super::ensemble::{CodeSet, Ensemble, LeafValue, Node, Test, Tree};
use crate::params::RandomForestParams;
use crate::progress::check_cancelled;
use crate::random::Random;
use crate::{Error, Progress};
use rayon::prelude::*;

/// A node of at most so many rows is copied together with all below it.
const TILE: usize = 2_048;

/// The rows to learn from.
#[derive(Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) binned: &'a Binned,
    pub(crate) classes: &'a [u16],
    /// Weight of each class.
    pub(crate) weights: &'a [f64],
}

/// Where a column that is tried is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cutting {
    /// Where the classes part best.
    Best,
    /// Anywhere between its least and greatest number.
    Random,
}

/// Fits a forest and returns it with the gain of each column, normalised a tree.
pub(crate) fn fit(
    sample: Sample<'_>,
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
        sample.weights.len(),
        progress,
        grow,
    )
}

/// Grows so many trees side by side; `grow` returns a tree with the gain of each column.
pub(super) fn plant(
    binned: &Binned,
    tree_count: usize,
    class_count: usize,
    progress: &dyn Progress,
    grow: impl Fn(usize) -> (Tree, Vec<f64>) + Sync,
) -> Result<(Ensemble, Vec<f64>), Error> {
    let grown: Vec<(Tree, Vec<f64>)> = (0..tree_count)
        .into_par_iter()
        .map(|tree| {
            check_cancelled(progress)?;
            Ok(grow(tree))
        })
        .collect::<Result<_, Error>>()?;
    let mut importance = vec![0.0; binned.columns.len()];
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
        Ensemble::new(trees, binned, vec![0.0; class_count], false),
        importance,
    ))
}

/// One thing a split can be made on.
#[derive(Clone, Copy)]
pub(super) enum SplitOption {
    Numbers { column: usize },
    Category { column: usize, code: u8 },
}

pub(super) fn split_options(binned: &Binned) -> Vec<SplitOption> {
    let mut options = Vec::new();
    for (column, binned) in binned.columns.iter().enumerate() {
        if binned.categorical {
            let category = |&code: &u8| SplitOption::Category { column, code };
            options.extend(binned.codes.iter().map(category));
        } else {
            options.push(SplitOption::Numbers { column });
        }
    }
    options
}

/// A row of the tree's sample.
#[derive(Clone, Copy)]
struct Entry {
    /// Its position in the columns at hand.
    row: u32,
    class: u16,
    /// How often it was drawn.
    draws: u16,
}

struct Split {
    /// Sum over both sides of squared class weights over the side's weight: greater is purer.
    purity: f64,
    column: usize,
    test: Test,
}

#[derive(Clone, Copy)]
struct Pending {
    node: usize,
    begin: usize,
    end: usize,
    depth: usize,
}

/// What a node holds. Its classes are numbered anew, so that the absent ones cost nothing.
#[derive(Default)]
struct Content {
    /// The classes that are there.
    classes: Vec<u16>,
    /// The number of each class among those that are there.
    numbers: Vec<u8>,
    /// Rows of each, as drawn.
    counts: Vec<u32>,
    /// Weight of a row of each.
    row_weights: Vec<f64>,
    /// Weight of each.
    weights: Vec<f64>,
    weight: f64,
    squares: f64,
    rows: u32,
}

impl Content {
    fn fill(&mut self, entries: &[Entry], row_weights: &[f64]) {
        self.counts.clear();
        self.counts.resize(row_weights.len(), 0);
        for entry in entries {
            self.counts[usize::from(entry.class)] += u32::from(entry.draws);
        }
        self.numbers.resize(row_weights.len(), 0);
        self.classes.clear();
        self.weights.clear();
        self.row_weights.clear();
        for (class, &row_weight) in row_weights.iter().enumerate() {
            if self.counts[class] > 0 {
                self.numbers[class] = self.classes.len() as u8;
                self.classes.push(class as u16);
                self.row_weights.push(row_weight);
                self.weights.push(f64::from(self.counts[class]) * row_weight);
            }
        }
        self.rows = self.counts.iter().sum();
        self.counts.retain(|&count| count > 0);
        self.weight = self.weights.iter().sum();
        self.squares = self.weights.iter().map(|weight| weight * weight).sum();
    }

    /// The purity when the rows counted in `left` go left; `None` when a side has fewer than `fewest`.
    #[inline]
    fn purity(&self, left: &[u32], fewest: u32) -> Option<f64> {
        let (mut rows, mut weight, mut left_squares, mut right_squares) = (0, 0.0, 0.0, 0.0);
        for ((&count, &row_weight), &whole) in left.iter().zip(&self.row_weights).zip(&self.weights) {
            let here = f64::from(count) * row_weight;
            rows += count;
            weight += here;
            left_squares += here * here;
            right_squares += (whole - here) * (whole - here);
        }
        let fits = rows >= fewest && self.rows - rows >= fewest;
        fits.then(|| left_squares / weight + right_squares / (self.weight - weight))
    }
}

struct Grower<'a> {
    sample: Sample<'a>,
    params: &'a RandomForestParams,
    cutting: Cutting,
    random: Random,
    /// What can be tried at a split, in an order that each split shuffles on.
    options: Vec<SplitOption>,
    tried_options: usize,
    content: Content,
    /// Rows by bin and class number; all zeros between uses.
    histogram: Vec<u32>,
    /// Rows by bin of the one class in the lower half, of the other in the upper half; all zeros between uses.
    pairs: Box<[u64; 256]>,
    left: Vec<u32>,
    /// The bins of the column that is tried, row after row.
    bins: Vec<u8>,
    /// The draws of each row of the node, 16 bits a class number; empty where they do not fit.
    lanes: Vec<u64>,
    /// For each text column that the node was asked about: its categories there, and their rows by class number.
    categories: Vec<(CodeSet, Vec<u32>)>,
    right_entries: Vec<Entry>,
    tile_bins: Vec<u8>,
    tile_entries: Vec<Entry>,
    tree: Tree,
    gains: Vec<f64>,
}

impl<'a> Grower<'a> {
    fn new(sample: Sample<'a>, params: &'a RandomForestParams, cutting: Cutting, random: Random) -> Self {
        let column_count = sample.binned.columns.len();
        let options = split_options(sample.binned);
        Self {
            tried_options: params.max_features.count(options.len()),
            options,
            content: Content::default(),
            histogram: vec![0; 256 * sample.weights.len()],
            pairs: Box::new([0; 256]),
            left: Vec::new(),
            bins: Vec::new(),
            lanes: Vec::new(),
            categories: vec![(CodeSet::default(), Vec::new()); column_count],
            right_entries: Vec::new(),
            tile_bins: Vec::new(),
            tile_entries: Vec::new(),
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
        let columns: Vec<&[u8]> = self
            .sample
            .binned
            .columns
            .iter()
            .map(|column| &column.bins[..])
            .collect();
        self.tree.nodes.push(Node::EMPTY);
        let root = Pending {
            node: 0,
            begin: 0,
            end: entries.len(),
            depth: 0,
        };
        self.grow_from(root, &columns, &mut entries, TILE);
        self.tree.nodes.shrink_to_fit();
        self.tree.values.shrink_to_fit();
        self.tree.rows.shrink_to_fit();
        (self.tree, self.gains)
    }

    fn draw(&mut self) -> Vec<Entry> {
        let row_count = self.sample.binned.row_count;
        let mut draws = vec![u16::from(!self.params.bootstrap); row_count];
        if self.params.bootstrap {
            (0..row_count).for_each(|_| {
                let drawn = &mut draws[self.random.below(row_count)];
                *drawn = drawn.saturating_add(1);
            });
        }
        let entry = |(row, (&draws, &class))| Entry {
            row: row as u32,
            class,
            draws,
        };
        (draws.iter().zip(self.sample.classes).enumerate())
            .filter(|(_, (draws, _))| **draws > 0)
            .map(entry)
            .collect()
    }

    /// Grows a node and all below it; nodes of at most `tile` rows are copied together first.
    fn grow_from(&mut self, first: Pending, columns: &[&[u8]], entries: &mut [Entry], tile: usize) {
        let mut stack = vec![first];
        while let Some(pending) = stack.pop() {
            let here = &mut entries[pending.begin..pending.end];
            if here.len() <= tile {
                self.grow_tile(pending, here);
                continue;
            }
            let mut content = std::mem::take(&mut self.content);
            content.fill(here, self.sample.weights);
            let split = self.find_split(pending.depth, columns, here, &content);
            match &split {
                None => self.make_leaf(pending.node, &content),
                Some(split) => self.gains[split.column] += split.purity - content.squares / content.weight,
            }
            self.content = content;
            let Some(split) = split else { continue };
            let left = self.tree.nodes.len();
            self.tree.nodes.extend([Node::EMPTY; 2]);
            let node = Node::split(split.column as u16, split.test, left as u32);
            self.tree.nodes[pending.node] = node;
            let middle = pending.begin + self.partition(columns[split.column], here, node);
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
    }

    fn grow_tile(&mut self, pending: Pending, entries: &[Entry]) {
        let rows = entries.len();
        let mut bins = std::mem::take(&mut self.tile_bins);
        let mut local = std::mem::take(&mut self.tile_entries);
        bins.resize(rows * self.sample.binned.columns.len(), 0);
        local.clear();
        for (position, entry) in entries.iter().enumerate() {
            let slots = bins.iter_mut().skip(position).step_by(rows);
            let row = self.sample.binned.row(entry.row);
            slots.zip(row).for_each(|(slot, &bin)| *slot = bin);
            local.push(Entry {
                row: position as u32,
                ..*entry
            });
        }
        let columns: Vec<&[u8]> = bins.chunks_exact(rows).collect();
        let root = Pending {
            begin: 0,
            end: rows,
            ..pending
        };
        self.grow_from(root, &columns, &mut local, 0);
        self.tile_bins = bins;
        self.tile_entries = local;
    }

    fn make_leaf(&mut self, node: usize, content: &Content) {
        let begin = self.tree.values.len() as u32;
        let share = 1.0 / (content.weight * self.params.n_estimators as f64);
        let value = |(&class, weight): (&u16, &f64)| LeafValue {
            class,
            value: (weight * share) as f32,
        };
        let values = content.classes.iter().zip(&content.weights).map(value);
        self.tree.values.extend(values);
        self.tree.close_leaf(content.rows);
        self.tree.nodes[node] = Node::leaf(begin, content.classes.len() as u16);
    }

    fn find_split(
        &mut self,
        depth: usize,
        columns: &[&[u8]],
        entries: &[Entry],
        content: &Content,
    ) -> Option<Split> {
        let fewest = self
            .params
            .min_samples_split
            .max(2 * self.params.min_samples_leaf);
        let is_pure = content.classes.len() < 2;
        let too_deep = self.params.max_depth.is_some_and(|limit| depth >= limit);
        if is_pure || too_deep || (content.rows as usize) < fewest {
            return None;
        }
        let mut best = Split {
            purity: content.squares / content.weight * (1.0 + 1e-12),
            column: usize::MAX,
            test: Test::Category { code: 0 },
        };
        self.lanes.clear();
        let fits = content.classes.len() <= 4 && content.rows <= u32::from(u16::MAX);
        if fits && self.cutting == Cutting::Random {
            let lanes =
                |entry: &Entry| u64::from(entry.draws) << (16 * content.numbers[usize::from(entry.class)]);
            self.lanes.extend(entries.iter().map(lanes));
        }
        let mut tried = 0;
        for position in 0..self.options.len() {
            if tried == self.tried_options {
                break;
            }
            let drawn = position + self.random.below(self.options.len() - position);
            self.options.swap(position, drawn);
            // What is constant here offers nothing and does not count as tried.
            let is_useful = match self.options[position] {
                SplitOption::Category { column, code } => {
                    self.try_category(column, code, columns[column], entries, content, &mut best)
                }
                SplitOption::Numbers { column } => {
                    let bins = columns[column];
                    match (self.cutting, content.classes.len()) {
                        (Cutting::Random, _) => self.try_random(column, bins, entries, content, &mut best),
                        (Cutting::Best, 2) => self.try_pair(column, bins, entries, content, &mut best),
                        (Cutting::Best, _) => self.try_numbers(column, bins, entries, content, &mut best),
                    }
                }
            };
            tried += usize::from(is_useful);
        }
        for (present, counts) in &mut self.categories {
            for code in present.iter() {
                let begin = usize::from(code) * content.classes.len();
                counts[begin..begin + content.classes.len()].fill(0);
            }
            *present = CodeSet::default();
        }
        (best.column != usize::MAX).then_some(best)
    }

    fn fewest(&self) -> u32 {
        u32::try_from(self.params.min_samples_leaf).unwrap_or(u32::MAX)
    }

    /// Looks for a better split that parts one category from the rest; false when all or no rows are of it.
    fn try_category(
        &mut self,
        column: usize,
        code: u8,
        bins: &[u8],
        entries: &[Entry],
        content: &Content,
        best: &mut Split,
    ) -> bool {
        let (fewest, class_count) = (self.fewest(), content.classes.len());
        let (present, counts) = &mut self.categories[column];
        if present.len() == 0 {
            counts.resize(256 * self.sample.weights.len(), 0);
            for entry in entries {
                let bin = bins[entry.row as usize];
                let number = content.numbers[usize::from(entry.class)];
                present.insert(bin);
                counts[usize::from(bin) * class_count + usize::from(number)] += u32::from(entry.draws);
            }
        }
        if !present.contains(code) || present.len() == 1 {
            return false;
        }
        let counts = &counts[usize::from(code) * class_count..][..class_count];
        consider(
            best,
            content.purity(counts, fewest),
            column,
            Test::Category { code },
        );
        true
    }

    /// Looks for the best cut of a numeric column; false when the node has one bin only.
    fn try_numbers(
        &mut self,
        column: usize,
        bins: &[u8],
        entries: &[Entry],
        content: &Content,
        best: &mut Split,
    ) -> bool {
        let class_count = content.classes.len();
        let mut occupied = CodeSet::default();
        for entry in entries {
            let bin = bins[entry.row as usize];
            let number = content.numbers[usize::from(entry.class)];
            occupied.insert(bin);
            self.histogram[usize::from(bin) * class_count + usize::from(number)] += u32::from(entry.draws);
        }
        let numbers = without_missing(occupied);
        let has_missing = numbers != occupied;
        let fewest = self.fewest();
        for missing_left in [false, true] {
            if missing_left && !has_missing {
                continue;
            }
            self.left.clear();
            match missing_left {
                true => self
                    .left
                    .extend(&self.histogram[255 * class_count..256 * class_count]),
                false => self.left.resize(class_count, 0),
            }
            for cut in numbers.iter() {
                let here = &self.histogram[usize::from(cut) * class_count..][..class_count];
                self.left
                    .iter_mut()
                    .zip(here)
                    .for_each(|(left, here)| *left += here);
                let test = self.numeric_test(column, cut, missing_left, has_missing, content, &self.left);
                consider(best, content.purity(&self.left, fewest), column, test);
            }
        }
        for bin in occupied.iter() {
            self.histogram[usize::from(bin) * class_count..][..class_count].fill(0);
        }
        occupied.len() > 1
    }

    /// The same as [`Self::try_numbers`] for two classes, whose counts fit one number.
    fn try_pair(
        &mut self,
        column: usize,
        bins: &[u8],
        entries: &[Entry],
        content: &Content,
        best: &mut Split,
    ) -> bool {
        let mut occupied = CodeSet::default();
        for entry in entries {
            let bin = bins[entry.row as usize];
            let number = content.numbers[usize::from(entry.class)];
            occupied.insert(bin);
            self.pairs[usize::from(bin)] += u64::from(entry.draws) << (32 * number);
        }
        let numbers = without_missing(occupied);
        let has_missing = numbers != occupied;
        let fewest = self.fewest();
        let [first, second] = [content.row_weights[0], content.row_weights[1]];
        let [all_first, all_second] = [content.weights[0], content.weights[1]];
        for missing_left in [false, true] {
            if missing_left && !has_missing {
                continue;
            }
            let mut left = if missing_left {
                self.pairs[usize::from(MISSING_BIN)]
            } else {
                0
            };
            for cut in numbers.iter() {
                left += self.pairs[usize::from(cut)];
                let counts = [left as u32, (left >> 32) as u32];
                let rows = counts[0] + counts[1];
                if rows < fewest || content.rows - rows < fewest {
                    continue;
                }
                let (a, b) = (f64::from(counts[0]) * first, f64::from(counts[1]) * second);
                let (c, d) = (all_first - a, all_second - b);
                let (left_weight, right_weight) = (a + b, c + d);
                // The same sum over one denominator: divisions are what takes time here.
                let purity = ((a * a + b * b) * right_weight + (c * c + d * d) * left_weight)
                    / (left_weight * right_weight);
                if purity > best.purity {
                    let test = self.numeric_test(column, cut, missing_left, has_missing, content, &counts);
                    consider(best, Some(purity), column, test);
                }
            }
        }
        occupied.iter().for_each(|bin| self.pairs[usize::from(bin)] = 0);
        occupied.len() > 1
    }

    fn numeric_test(
        &self,
        column: usize,
        cut: u8,
        missing_left: bool,
        has_missing: bool,
        content: &Content,
        left: &[u32],
    ) -> Test {
        // Without missing rows here, a missing number met later goes with the larger side.
        let larger_left = !has_missing
            && self.sample.binned.columns[column].may_be_missing
            && 2 * u64::from(left.iter().sum::<u32>()) >= u64::from(content.rows);
        Test::Numeric {
            cut,
            missing_left: missing_left || larger_left,
        }
    }

    /// Cuts a numeric column anywhere between its least and greatest number here; false when they are in one bin.
    fn try_random(
        &mut self,
        column: usize,
        bins: &[u8],
        entries: &[Entry],
        content: &Content,
        best: &mut Split,
    ) -> bool {
        let (mut least, mut greatest, mut has_missing) = (u8::MAX, 0, false);
        self.bins.clear();
        self.bins
            .extend(entries.iter().map(|entry| bins[entry.row as usize]));
        if self.sample.binned.columns[column].may_be_missing {
            for &bin in &self.bins {
                let is_missing = bin == MISSING_BIN;
                has_missing |= is_missing;
                least = least.min(bin);
                greatest = greatest.max(if is_missing { 0 } else { bin });
            }
        } else {
            for &bin in &self.bins {
                least = least.min(bin);
                greatest = greatest.max(bin);
            }
        }
        if least >= greatest && !(has_missing && least != MISSING_BIN) {
            return false;
        }
        let edges = &self.sample.binned.columns[column].edges;
        let cut = draw_cut(edges, least, greatest, &mut self.random);
        let missing_left = has_missing && least != greatest && self.random.below(2) == 1;
        // The node's own comparison, see `Node`.
        let (low, span) = if missing_left {
            (MISSING_BIN, cut + 1)
        } else {
            (0, cut)
        };
        let is_left = |bin: u8| bin.wrapping_sub(low) <= span;
        self.left.clear();
        self.left.resize(content.classes.len(), 0);
        if self.lanes.len() == entries.len() {
            let count = |(&lanes, &bin): (&u64, &u8)| if is_left(bin) { lanes } else { 0 };
            let counts: u64 = self.lanes.iter().zip(&self.bins).map(count).sum();
            let of = |number: usize| (counts >> (16 * number)) as u32 & 0xFFFF;
            (self.left.iter_mut().enumerate()).for_each(|(number, left)| *left = of(number));
        } else {
            for (entry, &bin) in entries.iter().zip(&self.bins) {
                let number = content.numbers[usize::from(entry.class)];
                self.left[usize::from(number)] += u32::from(entry.draws) * u32::from(is_left(bin));
            }
        }
        let test = self.numeric_test(column, cut, missing_left, has_missing, content, &self.left);
        consider(best, content.purity(&self.left, self.fewest()), column, test);
        true
    }

    /// Puts the left side's rows first and returns how many they are.
    fn partition(&mut self, bins: &[u8], entries: &mut [Entry], node: Node) -> usize {
        self.right_entries
            .resize(self.right_entries.len().max(entries.len()), entries[0]);
        let (mut left, mut right) = (0, 0);
        for position in 0..entries.len() {
            let entry = entries[position];
            let goes_left = node.goes_left(bins[entry.row as usize], &[]);
            entries[left] = entry;
            self.right_entries[right] = entry;
            left += usize::from(goes_left);
            right += usize::from(!goes_left);
        }
        entries[left..].copy_from_slice(&self.right_entries[..right]);
        left
    }
}

pub(super) fn without_missing(mut occupied: CodeSet) -> CodeSet {
    occupied.remove(MISSING_BIN);
    occupied
}

/// Draws the last bin that goes left, between the least and the greatest one here.
pub(super) fn draw_cut(edges: &[f32], least: u8, greatest: u8, random: &mut Random) -> u8 {
    if least == greatest {
        // All numbers are alike: the missing ones are what can be parted.
        return greatest;
    }
    let (low, high) = (edges[usize::from(least)], edges[usize::from(greatest) - 1]);
    let drawn = (f64::from(low) + random.unit() * (f64::from(high) - f64::from(low))) as f32;
    let cut = edges.partition_point(|&edge| edge < drawn) as u8;
    cut.clamp(least, greatest - 1)
}

#[inline]
fn consider(best: &mut Split, purity: Option<f64>, column: usize, test: Test) {
    if let Some(purity) = purity.filter(|&purity| purity > best.purity) {
        *best = Split { purity, column, test };
    }
}
