//! Trees of any origin as one flat list of nodes, and the walk through them.
//!
//! Every comparison becomes "at most": a value below `t` is at most the number before `t`, and "above" is "at most"
//! with the sides swapped. Only equality, sets and zeros that count as missing are asked in another way.

use super::one_row::{Asked, AtMost, OneRow};
use crate::tree::lanes::walk_all;
use crate::tree::shared_values::{Bits, SharedValues};
use std::ops::{AddAssign, Range};

/// Rows that are walked at once, so that the processor waits for many nodes together.
const LANES: usize = 8;
/// Bytes that the processor reads at once.
const LINE: usize = 64;
const LEAF: u32 = 1 << 31;
const MISSING_IS_TRUE: u32 = 1 << 30;
const SPECIAL: u32 = 1 << 29;
const FEATURE: u32 = SPECIAL - 1;
/// Most nodes, leaf values and special tests of a model.
const MAX_NODES: usize = 1 << 28;
/// Most words of 32 categories in all sets of a model.
pub(super) const MAX_WORDS: usize = 1 << 25;
/// Numbers this near to 0 are zeros to LightGBM.
const NEARLY_ZERO: f64 = 1e-35;

/// The numbers that trees compare: of 32 or of 64 bits.
pub(super) trait Real: Copy + PartialOrd + AddAssign + Default + Send + Sync + 'static {
    fn is_missing(self) -> bool;
    /// The number before this one; below the least there is none, and nothing is at most NaN.
    fn before(self) -> Self;
    fn double(self) -> f64;
    fn of(number: f64) -> Self;
    /// A number whose bits are a position, and the position of such a number.
    fn of_position(position: u32) -> Self;
    fn position(self) -> u32;
}

macro_rules! real {
    ($($number:ty),*) => {$(
        impl Real for $number {
            fn is_missing(self) -> bool {
                self.is_nan()
            }
            fn before(self) -> Self {
                if self == Self::NEG_INFINITY { Self::NAN } else { self.next_down() }
            }
            fn double(self) -> f64 {
                f64::from(self)
            }
            fn of(number: f64) -> Self {
                number as Self
            }
            fn of_position(position: u32) -> Self {
                Self::from_bits(position.into())
            }
            fn position(self) -> u32 {
                self.to_bits() as u32
            }
        }
    )*};
}
real!(f32, f64);

/// What a node asks of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test<T> {
    AtMost(T),
    Below(T),
    AtLeast(T),
    Above(T),
    Equal(T),
    NotEqual(T),
    /// The whole part of the value is the number of a bit that is set.
    InSet(Vec<u32>),
    /// As `AtMost`, but zeros go where missing values go.
    AtMostOrZero(T),
}

/// A node as its file describes it; nodes are named by their positions in a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part<T> {
    Branch {
        feature: usize,
        test: Test<T>,
        /// Whether a missing value passes the test.
        missing: bool,
        when_true: usize,
        when_false: usize,
    },
    /// What the leaf adds to some outputs.
    Leaf(Vec<(u32, T)>),
}

/// What a leaf adds to an output.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeafValue<T> {
    pub(super) output: u32,
    pub(super) value: T,
}

impl<T: Real> Bits for LeafValue<T> {
    fn bits(&self) -> (u32, u64) {
        (self.output, self.value.double().to_bits())
    }
}

#[derive(Clone, Copy, Debug)]
struct Node<T> {
    /// What values are compared with. Of a special test and of a leaf, its position.
    threshold: T,
    /// The feature, and what kind of node this is.
    feature: u32,
    /// The next node where the test does not hold and where it does, picked by an index rather than a branch: nobody
    /// foresees which it is. A leaf leads to itself, so that those who walk together can wait there for each other.
    next: [u32; 2],
}

impl<T: Real> Node<T> {
    /// Whether a value passes a test that is not special.
    fn admits(&self, value: T) -> bool {
        (value <= self.threshold) | (value.is_missing() & (self.feature & MISSING_IS_TRUE != 0))
    }
}

#[derive(Clone, Debug)]
enum Special<T> {
    Equal(T),
    AtMostOrZero(T),
    InSet(Range<usize>),
}

/// Trees, ready to be walked.
#[derive(Clone, Debug)]
pub(super) struct Trees<T> {
    nodes: Vec<Node<T>>,
    roots: Vec<u32>,
    /// How many leaves that differ there are before each tree, and in all.
    leaves_before: Vec<usize>,
    leaves: SharedValues<LeafValue<T>>,
    specials: Vec<Special<T>>,
    words: Vec<u32>,
    /// Number of features that the tests name at least.
    width: usize,
    outputs: usize,
    /// The same trees for one row at a time, where they can be packed.
    one_row: Option<OneRow<T>>,
}

impl<T: Real> Trees<T> {
    /// No trees yet, which add to so many outputs.
    pub(super) fn new(outputs: usize) -> Self {
        Self {
            nodes: Vec::new(),
            roots: Vec::new(),
            leaves_before: vec![0],
            leaves: SharedValues::new(),
            specials: Vec::new(),
            words: Vec::new(),
            width: 0,
            outputs,
            one_row: None,
        }
    }

    /// Packs the trees, once all are there.
    pub(super) fn packed(mut self) -> Self {
        self.leaves.close();
        if self.specials.is_empty() {
            self.one_row = OneRow::new(&self.roots, self.nodes.len(), |at| {
                let node = &self.nodes[at as usize];
                if node.feature & LEAF != 0 {
                    return Asked::Leaf(node.threshold.position());
                }
                let test = AtMost {
                    feature: node.feature & FEATURE,
                    missing_passes: node.feature & MISSING_IS_TRUE != 0,
                    threshold: node.threshold,
                };
                Asked::AtMost {
                    test,
                    next: node.next,
                }
            });
        }
        self
    }

    pub(super) fn count(&self) -> usize {
        self.roots.len()
    }

    /// Number of features that a row must have.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Adds a tree. Nodes that the root does not lead to are left out; several nodes may lead to the same one.
    ///
    /// # Errors
    /// A node leads out of the list or back to itself, or names an output that is not there.
    pub(super) fn add(&mut self, root: usize, parts: &[Part<T>]) -> Result<(), String> {
        const UNSEEN: u32 = u32::MAX;
        // Where each part went; the children of the parts on the way are not known yet.
        let mut places = vec![UNSEEN; parts.len()];
        let mut is_open = vec![false; parts.len()];
        // What is to be done: a part with its parent's place and side, or the end of a part.
        enum Step {
            Visit(usize, Option<(u32, bool)>),
            Close(usize),
        }
        let mut steps = vec![Step::Visit(root, None)];
        while let Some(step) = steps.pop() {
            let (index, parent) = match step {
                Step::Close(index) => {
                    is_open[index] = false;
                    continue;
                }
                Step::Visit(index, parent) => (index, parent),
            };
            let part = parts
                .get(index)
                .ok_or_else(|| format!("a node leads to node {index} of {}", parts.len()))?;
            if is_open[index] {
                return Err(format!("node {index} leads back to itself"));
            }
            let is_new = places[index] == UNSEEN;
            if is_new {
                let place = self.push(part)?;
                places[index] = place;
                if let Part::Branch {
                    when_true,
                    when_false,
                    ..
                } = part
                {
                    is_open[index] = true;
                    let swapped = swaps(part);
                    steps.push(Step::Close(index));
                    steps.push(Step::Visit(*when_false, Some((place, swapped))));
                    steps.push(Step::Visit(*when_true, Some((place, !swapped))));
                }
            }
            match parent {
                Some((parent, side)) => self.nodes[parent as usize].next[usize::from(side)] = places[index],
                None => self.roots.push(places[index]),
            }
        }
        self.leaves_before.push(self.leaves.len());
        Ok(())
    }

    fn push(&mut self, part: &Part<T>) -> Result<u32, String> {
        let place = self.nodes.len();
        if place >= MAX_NODES || self.leaves.values().len() >= MAX_NODES {
            return Err(format!("the trees have more than {MAX_NODES} nodes"));
        }
        let node = match part {
            Part::Leaf(values) => {
                if let Some((output, _)) = values.iter().find(|value| value.0 as usize >= self.outputs) {
                    return Err(format!(
                        "a leaf adds to output {output}, where there are {}",
                        self.outputs
                    ));
                }
                let value = |&(output, value): &(u32, T)| LeafValue { output, value };
                let leaf: Vec<LeafValue<T>> = values.iter().map(value).collect();
                Node {
                    threshold: T::of_position(self.leaves.number(&leaf)),
                    feature: LEAF,
                    next: [place as u32; 2],
                }
            }
            Part::Branch {
                feature,
                test,
                missing,
                ..
            } => {
                let feature_bits = u32::try_from(*feature)
                    .ok()
                    .filter(|&feature| feature < FEATURE)
                    .ok_or_else(|| format!("a node asks feature {feature}"))?;
                self.width = self.width.max(feature + 1);
                if matches!(test, Test::InSet(words) if self.words.len() + words.len() > MAX_WORDS) {
                    return Err("its sets of categories are too large".to_owned());
                }
                let (test, missing) = self.translate(test, *missing);
                let missing = if missing { MISSING_IS_TRUE } else { 0 };
                let (threshold, special) = match test {
                    Ok(threshold) => (threshold, 0),
                    Err(special) => {
                        self.specials.push(special);
                        (T::of_position(self.specials.len() as u32 - 1), SPECIAL)
                    }
                };
                Node {
                    threshold,
                    feature: feature_bits | missing | special,
                    next: [0, 0],
                }
            }
        };
        self.nodes.push(node);
        Ok(place as u32)
    }

    /// Returns the threshold or the special test, and whether missing values pass it.
    fn translate(&mut self, test: &Test<T>, missing: bool) -> (Result<T, Special<T>>, bool) {
        match test {
            Test::AtMost(threshold) => (Ok(*threshold), missing),
            Test::Below(threshold) => (Ok(threshold.before()), missing),
            Test::AtLeast(threshold) => (Ok(threshold.before()), !missing),
            Test::Above(threshold) => (Ok(*threshold), !missing),
            Test::Equal(value) => (Err(Special::Equal(*value)), missing),
            // NaN differs from every number, whatever the file says of missing values.
            Test::NotEqual(value) => (Err(Special::Equal(*value)), false),
            Test::AtMostOrZero(threshold) => (Err(Special::AtMostOrZero(*threshold)), missing),
            Test::InSet(words) => {
                let begin = self.words.len();
                self.words.extend(words);
                (Err(Special::InSet(begin..self.words.len())), missing)
            }
        }
    }

    #[inline]
    fn holds(&self, node: &Node<T>, value: T) -> bool {
        if node.feature & SPECIAL != 0 {
            let missing = node.feature & MISSING_IS_TRUE != 0;
            return self.holds_special(node.threshold.position() as usize, value, missing);
        }
        node.admits(value)
    }

    #[cold]
    fn holds_special(&self, special: usize, value: T, missing: bool) -> bool {
        if value.is_missing() {
            return missing;
        }
        match &self.specials[special] {
            Special::Equal(other) => value == *other,
            Special::AtMostOrZero(_) if value.double().abs() <= NEARLY_ZERO => missing,
            Special::AtMostOrZero(threshold) => value <= *threshold,
            Special::InSet(words) => {
                let number = value.double().trunc();
                let bits = &self.words[words.clone()];
                // Negative numbers and those behind the last bit are in no set.
                (0.0..(bits.len() * 32) as f64).contains(&number)
                    && bits[number as usize / 32] >> (number as usize % 32) & 1 == 1
            }
        }
    }

    /// Calls `visit` with the row and the values of its leaf, for every row and tree; the trees of a row come in order.
    ///
    /// `rows` has `width` numbers a row, at least [`Self::width`].
    pub(super) fn visit(&self, rows: &[T], width: usize, mut visit: impl FnMut(usize, &[LeafValue<T>])) {
        let row_count = rows.len() / width.max(1);
        if row_count < LANES {
            let mut leaves = vec![0; self.roots.len()];
            for (row, values_of_row) in rows.chunks_exact(width.max(1)).enumerate() {
                self.walk_row(values_of_row, &mut leaves);
                leaves
                    .iter()
                    .for_each(|&leaf| visit(row, self.leaves.of(leaf as usize)));
            }
            return;
        }
        let walk = match (
            self.specials.is_empty(),
            rows.iter().any(|value| value.is_missing()),
        ) {
            (true, false) => Self::walk::<false, false>,
            (true, true) => Self::walk::<false, true>,
            (false, _) => Self::walk::<true, true>,
        };
        for tree in 0..self.roots.len() {
            self.fetch(tree);
            for first in (0..row_count).step_by(LANES) {
                let begins = std::array::from_fn(|lane| (first + lane).min(row_count - 1) * width);
                let leaves = walk(self, self.roots[tree], begins, rows);
                (first..row_count)
                    .zip(leaves)
                    .for_each(|(row, at)| visit(row, self.leaves.of(self.leaf_of(at))));
            }
        }
    }

    /// The number of the leaf that a node is.
    fn leaf_of(&self, at: u32) -> usize {
        self.nodes[at as usize].threshold.position() as usize
    }

    /// Reads a tree from its first node and leaf to the last: memory is quick in order, and many rows find them near then.
    fn fetch(&self, tree: usize) {
        fn touch<E>(list: &[E], word: impl Fn(&E) -> u32) {
            let of_lines = list.iter().step_by(LINE / size_of::<E>());
            std::hint::black_box(of_lines.fold(0, |all, element| all ^ word(element)));
        }
        let next = self
            .roots
            .get(tree + 1)
            .map_or(self.nodes.len(), |&root| root as usize);
        touch(&self.nodes[self.roots[tree] as usize..next], |node| node.feature);
        let leaves = self.leaves_before[tree]..self.leaves_before[tree + 1];
        if !leaves.is_empty() {
            let values = self.leaves.range(leaves.start).start..self.leaves.range(leaves.end - 1).end;
            touch(self.leaves.ends(leaves), |end| *end);
            touch(&self.leaves.values()[values], |value| value.output);
        }
    }

    /// Finds the leaf of a row in each tree.
    fn walk_row(&self, row: &[T], leaves: &mut [u32]) {
        if let Some(one_row) = &self.one_row {
            one_row.walk(row, |tree, leaf| leaves[tree as usize] = leaf);
            return;
        }
        walk_all(
            self.roots.iter().copied().enumerate(),
            |(tree, at): (usize, u32)| {
                let node = &self.nodes[at as usize];
                if node.feature & LEAF != 0 {
                    leaves[tree] = node.threshold.position();
                    return None;
                }
                let holds = self.holds(node, row[(node.feature & FEATURE) as usize]);
                Some((tree, node.next[usize::from(holds)]))
            },
        );
    }

    /// Walks from a root to leaves, each lane with the row that begins at its place.
    #[inline]
    fn walk<const SPECIALS: bool, const MISSING: bool>(
        &self,
        root: u32,
        begins: [usize; LANES],
        rows: &[T],
    ) -> [u32; LANES] {
        let mut at = [root; LANES];
        loop {
            let mut all = LEAF;
            for lane in 0..LANES {
                let node = &self.nodes[at[lane] as usize];
                let value = rows[begins[lane] + (node.feature & FEATURE) as usize];
                let holds = match (SPECIALS, MISSING) {
                    (true, _) => self.holds(node, value),
                    (false, true) => node.admits(value),
                    (false, false) => value <= node.threshold,
                };
                at[lane] = node.next[usize::from(holds)];
                all &= node.feature;
            }
            if all & LEAF != 0 {
                return at;
            }
        }
    }

    /// Adds what the trees say of each row to its sums, one for each output.
    pub(super) fn add_to(&self, rows: &[T], width: usize, sums: &mut [T]) {
        self.visit(rows, width, |row, values| {
            for value in values {
                sums[row * self.outputs + value.output as usize] += value.value;
            }
        });
    }
}

/// Tells whether a test is asked as its opposite.
fn swaps<T>(part: &Part<T>) -> bool {
    matches!(
        part,
        Part::Branch {
            test: Test::AtLeast(_) | Test::Above(_) | Test::NotEqual(_),
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(test: Test<f32>, missing: bool) -> Part<f32> {
        Part::Branch {
            feature: 0,
            test,
            missing,
            when_true: 1,
            when_false: 2,
        }
    }

    fn said(test: Test<f32>, missing: bool, value: f32) -> bool {
        let mut trees = Trees::new(1);
        let leaves = [Part::Leaf(vec![(0, 1.0)]), Part::Leaf(vec![(0, 0.0)])];
        trees
            .add(0, &[&[branch(test, missing)][..], &leaves].concat())
            .unwrap();
        let trees = trees.packed();
        let answers: Vec<f32> = [1, 20]
            .map(|rows| {
                let mut sums = vec![0.0; rows];
                trees.add_to(&vec![value; rows], 1, &mut sums);
                assert!(sums.iter().all(|sum| *sum == sums[0]));
                sums[0]
            })
            .to_vec();
        assert_eq!(answers[0], answers[1], "one row and many");
        answers[0] == 1.0
    }

    #[test]
    fn every_test_is_asked_as_it_is_written() {
        let values = [f32::NEG_INFINITY, -1.0, -0.0, 0.0, 1.0, 1.5, 2.0, f32::INFINITY];
        for threshold in values {
            for value in values {
                assert_eq!(said(Test::AtMost(threshold), true, value), value <= threshold);
                assert_eq!(said(Test::Below(threshold), true, value), value < threshold);
                assert_eq!(said(Test::AtLeast(threshold), true, value), value >= threshold);
                assert_eq!(said(Test::Above(threshold), true, value), value > threshold);
                assert_eq!(said(Test::Equal(threshold), true, value), value == threshold);
                assert_eq!(said(Test::NotEqual(threshold), true, value), value != threshold);
            }
            for missing in [false, true] {
                for test in [Test::AtMost, Test::Below, Test::AtLeast, Test::Above, Test::Equal] {
                    assert_eq!(said(test(threshold), missing, f32::NAN), missing);
                }
                assert!(said(Test::NotEqual(threshold), missing, f32::NAN));
            }
        }
    }

    #[test]
    fn sets_and_zeros() {
        let set = Test::InSet(vec![0b101, 1]);
        for (value, expected) in [
            (0.0, true),
            (1.0, false),
            (2.9, true),
            (32.0, true),
            (33.0, false),
            (64.0, false),
            (-1.0, false),
            (f32::MAX, false),
        ] {
            assert_eq!(said(set.clone(), true, value), expected, "{value}");
        }
        assert!(said(set, true, f32::NAN));
        for missing in [false, true] {
            assert_eq!(said(Test::AtMostOrZero(1.0), missing, 0.0), missing);
            assert!(said(Test::AtMostOrZero(1.0), missing, 0.5));
        }
    }

    #[test]
    fn broken_trees_are_refused() {
        let check = |parts: &[Part<f32>], needle: &str| {
            let error = Trees::new(1).add(0, parts).unwrap_err();
            assert!(error.contains(needle), "{error}");
        };
        check(&[], "node 0 of 0");
        check(
            &[branch(Test::AtMost(0.0), false), Part::Leaf(Vec::new())],
            "node 2 of 2",
        );
        let back = Part::Branch {
            feature: 0,
            test: Test::AtMost(0.0),
            missing: false,
            when_true: 0,
            when_false: 1,
        };
        check(&[back, Part::Leaf(Vec::new())], "back to itself");
        check(&[Part::Leaf(vec![(1, 0.0)])], "output 1");
    }

    #[test]
    fn nodes_may_share_what_they_lead_to() {
        let shared = |when_true| Part::Branch {
            feature: 0,
            test: Test::AtMost(when_true as f32),
            missing: false,
            when_true,
            when_false: 2,
        };
        let mut trees = Trees::new(1);
        trees
            .add(0, &[shared(1), shared(2), Part::Leaf(vec![(0, 3.0)])])
            .unwrap();
        let mut sums = [0.0];
        trees.add_to(&[1.0], 1, &mut sums);
        assert_eq!(sums, [3.0]);
    }
}
