//! A finished set of trees.
//!
//! Leaf values are whole multiples of a power of two so small that every sum over the trees is exact in 32
//! bits. The scores, and so the labels, are then the same in whatever order a runtime adds the trees up.

use super::bins::{Binned, MISSING_BIN};
use super::one_row::OneRow;
use super::shared_values::{Bits, SharedValues};

/// One node, 8 bytes: trees are walked through on the bins of a row, one byte a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Index of the left child, the right one is next to it; of a leaf, where its values begin.
    pub(crate) next: u32,
    /// The column, with [`SET`] when a set of categories goes left.
    column: u16,
    /// Bins from `low` on, `span` of them and one more, go left, counted around from 255 to 0: so one comparison
    /// serves numbers, missing numbers on either side, and categories. A set's index takes both bytes.
    low: u8,
    span: u8,
}

const SET: u16 = 1 << 15;
/// What only a leaf has in `span`: a split that sends every bin to the left is none.
const LEAF_SPAN: u8 = 255;
/// Most sets of categories in an ensemble; their high byte is never [`LEAF_SPAN`].
pub(crate) const MAX_SETS: usize = 0xFF00;

/// What a node asks of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// Bins up to `cut` go left; missing numbers where it says.
    Numeric { cut: u8, missing_left: bool },
    /// One category goes left.
    Category { code: u8 },
    /// The categories of a set go left.
    Set { index: u16 },
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its values.
    Leaf {
        begin: u32,
        count: u16,
    },
    Split {
        column: u16,
        test: Test,
    },
}

impl Node {
    pub(crate) const EMPTY: Self = Self::leaf(0, 1);

    /// A leaf of `count` values, 1 to 256.
    pub(crate) const fn leaf(begin: u32, count: u16) -> Self {
        Self {
            next: begin,
            column: 0,
            low: (count - 1) as u8,
            span: LEAF_SPAN,
        }
    }

    pub(crate) fn split(column: u16, test: Test, left: u32) -> Self {
        let (column, [low, span]) = match test {
            Test::Numeric {
                cut,
                missing_left: false,
            } => (column, [0, cut]),
            // The missing bin is the last one: counted around, it comes right before bin 0.
            Test::Numeric {
                cut,
                missing_left: true,
            } => (column, [MISSING_BIN, cut + 1]),
            Test::Category { code } => (column, [code, 0]),
            Test::Set { index } => (column | SET, index.to_le_bytes()),
        };
        debug_assert!(span != LEAF_SPAN, "a split that parts nothing");
        Self {
            next: left,
            column,
            low,
            span,
        }
    }

    pub(crate) fn kind(self, is_category: impl Fn(usize) -> bool) -> Kind {
        if self.is_leaf() {
            return Kind::Leaf {
                begin: self.next,
                count: u16::from(self.low) + 1,
            };
        }
        let test = match (self.set(), is_category(self.column()), self.low) {
            (Some(index), ..) => Test::Set { index },
            (None, true, code) => Test::Category { code },
            (None, false, MISSING_BIN) => Test::Numeric {
                cut: self.span - 1,
                missing_left: true,
            },
            (None, false, _) => Test::Numeric {
                cut: self.span,
                missing_left: false,
            },
        };
        Kind::Split {
            column: self.column() as u16,
            test,
        }
    }

    pub(crate) fn is_leaf(self) -> bool {
        self.span == LEAF_SPAN
    }

    pub(crate) fn column(self) -> usize {
        usize::from(self.column & !SET)
    }

    fn set(self) -> Option<u16> {
        (self.column & SET != 0).then(|| u16::from_le_bytes([self.low, self.span]))
    }

    /// Tells whether a bin goes left; of a leaf, any does.
    #[inline]
    pub(crate) fn goes_left(self, bin: u8, sets: &[CodeSet]) -> bool {
        if self.column & SET != 0 {
            return sets[usize::from(u16::from_le_bytes([self.low, self.span]))].contains(bin);
        }
        bin.wrapping_sub(self.low) <= self.span
    }

    /// Where the values of a leaf are.
    pub(crate) fn values(self) -> std::ops::Range<usize> {
        self.next as usize..self.next as usize + usize::from(self.low) + 1
    }
}

/// A set of bins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CodeSet(pub(crate) [u64; 4]);

impl CodeSet {
    #[inline]
    pub(crate) fn insert(&mut self, code: u8) {
        self.0[usize::from(code >> 6)] |= 1 << (code & 63);
    }

    pub(crate) fn remove(&mut self, code: u8) {
        self.0[usize::from(code >> 6)] &= !(1 << (code & 63));
    }

    #[inline]
    pub(crate) fn contains(self, code: u8) -> bool {
        self.0[usize::from(code >> 6)] >> (code & 63) & 1 == 1
    }

    pub(crate) fn len(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The codes in rising order.
    #[inline]
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (0u8..4).flat_map(move |word| {
            let mut rest = self.0[usize::from(word)];
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as u8;
                rest = rest.checked_sub(1)? & rest;
                Some(word * 64 + bit)
            })
        })
    }
}

/// What a leaf adds to the score of one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LeafValue {
    pub(crate) class: u16,
    pub(crate) value: f32,
}

impl Bits for LeafValue {
    fn bits(&self) -> (u32, u64) {
        (self.class.into(), self.value.to_bits().into())
    }
}

/// One tree on the bins of training; node 0 is the root, children come after their parents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) values: Vec<LeafValue>,
    /// For each value: the rows of the tree's sample in its leaf, at least 1.
    pub(crate) rows: Vec<u32>,
    pub(crate) sets: Vec<CodeSet>,
}

impl Tree {
    /// Says how many rows the leaf has whose values were pushed last.
    pub(super) fn close_leaf(&mut self, rows: u32) {
        self.rows.resize(self.values.len(), rows.max(1));
    }
}

/// How the trees read a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Quantizer {
    /// A number falls in the first bin whose edge is not below it.
    Edges(Vec<f32>),
    /// A category's bin is its code.
    Codes,
}

/// Trees whose leaf values add up to scores.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ensemble {
    pub(crate) class_count: usize,
    /// How each column becomes a byte; the edges are those that some node asks for.
    pub(crate) columns: Vec<Quantizer>,
    /// Index of each tree's root.
    pub(crate) roots: Vec<u32>,
    pub(crate) nodes: Vec<Node>,
    /// Leaves that say the same share their values.
    pub(crate) values: Vec<LeafValue>,
    /// For each leaf, in the order of the nodes: the rows of the tree's sample in it, at least 1. Empty when the model
    /// comes from a file older than version 4, which did not keep them.
    pub(crate) rows: Vec<u32>,
    pub(crate) sets: Vec<CodeSet>,
    /// Scores before the first tree.
    pub(crate) base: Vec<f32>,
    /// Whether scores become probabilities by softmax; else they are probabilities already.
    pub(crate) softmax: bool,
    /// The same trees for one row at a time.
    pub(crate) one_row: OneRow,
}

impl Ensemble {
    pub(crate) fn new(trees: Vec<Tree>, binned: &Binned, base: Vec<f32>, softmax: bool) -> Self {
        let columns = binned.columns.iter().map(|column| match column.categorical {
            true => Quantizer::Codes,
            false => Quantizer::Edges(column.edges.clone()),
        });
        let mut ensemble = Self {
            class_count: base.len(),
            columns: columns.collect(),
            roots: Vec::with_capacity(trees.len()),
            nodes: Vec::with_capacity(trees.iter().map(|tree| tree.nodes.len()).sum()),
            values: Vec::with_capacity(trees.iter().map(|tree| tree.values.len()).sum()),
            rows: Vec::new(),
            sets: Vec::new(),
            base,
            softmax,
            one_row: OneRow::default(),
        };
        for tree in trees {
            let first_node = ensemble.nodes.len() as u32;
            let first_value = ensemble.values.len() as u32;
            let first_set = ensemble.sets.len() as u16;
            ensemble.roots.push(first_node);
            ensemble.nodes.extend(tree.nodes.iter().map(|&node| {
                let mut moved = node;
                moved.next += if node.is_leaf() { first_value } else { first_node };
                if let Some(index) = node.set() {
                    [moved.low, moved.span] = (index + first_set).to_le_bytes();
                }
                moved
            }));
            let leaves = tree.nodes.iter().filter(|node| node.is_leaf());
            (ensemble.rows).extend(leaves.map(|leaf| tree.rows[leaf.values().start]));
            ensemble.values.extend(tree.values);
            ensemble.sets.extend(tree.sets);
        }
        ensemble.make_sums_exact();
        ensemble.share_values();
        ensemble.keep_used_edges();
        ensemble.ready()
    }

    /// Lays the finished trees out for one row.
    pub(crate) fn ready(mut self) -> Self {
        self.one_row = OneRow::new(&self);
        self
    }

    fn share_values(&mut self) {
        let mut shared = SharedValues::new();
        for node in self.nodes.iter_mut().filter(|node| node.is_leaf()) {
            let leaf = shared.number(&self.values[node.values()]);
            node.next = shared.range(leaf as usize).start as u32;
        }
        self.values = shared.into_values();
    }

    /// Rounds leaf values and base scores to multiples of one power of two, see the module's text.
    fn make_sums_exact(&mut self) {
        let mut bound: Vec<f64> = self.base.iter().map(|&base| f64::from(base).abs()).collect();
        for tree in 0..self.roots.len() {
            let mut largest = vec![0.0f64; self.class_count];
            for leaf in self.tree_nodes(tree).iter().filter(|node| node.is_leaf()) {
                for value in &self.values[leaf.values()] {
                    let slot = &mut largest[usize::from(value.class)];
                    *slot = slot.max(f64::from(value.value).abs());
                }
            }
            bound
                .iter_mut()
                .zip(largest)
                .for_each(|(bound, largest)| *bound += largest);
        }
        let bound = bound.into_iter().fold(f64::MIN_POSITIVE, f64::max);
        // 24 bits hold the sum; one of them is left for the rounding of the parts.
        let unit = (bound.log2().ceil() as i32 - 23).clamp(-100, 100);
        let unit = 2f64.powi(unit);
        let round = |value: &mut f32| *value = ((f64::from(*value) / unit).round() * unit) as f32;
        self.base.iter_mut().for_each(round);
        self.values.iter_mut().for_each(|value| round(&mut value.value));
    }

    /// Forgets edges that no node asks for, so that a model read from its file is the same as the one written.
    fn keep_used_edges(&mut self) {
        let mut used = vec![CodeSet::default(); self.columns.len()];
        for node in &self.nodes {
            if let Some((column, cut, _)) = self.numeric(*node) {
                used[column].insert(cut);
            }
        }
        let ranks: Vec<[u8; 256]> = used.iter().map(|&used| ranks(used)).collect();
        for position in 0..self.nodes.len() {
            if let Some((column, cut, missing_left)) = self.numeric(self.nodes[position]) {
                let cut = ranks[column][usize::from(cut)];
                let test = Test::Numeric { cut, missing_left };
                self.nodes[position] = Node::split(column as u16, test, self.nodes[position].next);
            }
        }
        for (column, used) in self.columns.iter_mut().zip(used) {
            if let Quantizer::Edges(edges) = column {
                // A cut above the last edge parts all numbers from the missing ones.
                let edge = |cut| edges.get(usize::from(cut)).copied().unwrap_or(f32::MAX);
                *edges = used.iter().map(edge).collect();
            }
        }
    }

    /// The column, cut and missing side of a node that splits numbers.
    fn numeric(&self, node: Node) -> Option<(usize, u8, bool)> {
        match node.kind(|column| self.is_category(column)) {
            Kind::Split {
                column,
                test: Test::Numeric { cut, missing_left },
            } => Some((usize::from(column), cut, missing_left)),
            _ => None,
        }
    }

    pub(crate) fn is_category(&self, column: usize) -> bool {
        self.columns[column] == Quantizer::Codes
    }

    /// Returns the largest number that a cut sends to the left.
    pub(crate) fn threshold(&self, column: usize, cut: u8) -> f32 {
        match &self.columns[column] {
            Quantizer::Edges(edges) => edges[usize::from(cut)],
            Quantizer::Codes => f32::from(cut),
        }
    }

    /// Returns the nodes of one tree, the root first; their children are counted from the first tree's root.
    pub(crate) fn tree_nodes(&self, tree: usize) -> &[Node] {
        let end = self
            .roots
            .get(tree + 1)
            .map_or(self.nodes.len(), |&next| next as usize);
        &self.nodes[self.roots[tree] as usize..end]
    }

    /// Returns the rows of one tree's sample that come to each of its nodes; where that is not known, one a leaf.
    pub(super) fn tree_rows(&self, tree: usize) -> Vec<f64> {
        let (nodes, root) = (self.tree_nodes(tree), self.roots[tree] as usize);
        // Each of the trees before has one leaf more than splits.
        let mut leaf = (root + tree + nodes.len()).div_ceil(2);
        let mut rows = vec![0.0; nodes.len()];
        // Children come after their parents.
        for (index, node) in nodes.iter().enumerate().rev() {
            rows[index] = if node.is_leaf() {
                leaf -= 1;
                self.rows.get(leaf).map_or(1.0, |&rows| f64::from(rows))
            } else {
                rows[node.next as usize - root] + rows[node.next as usize - root + 1]
            };
        }
        rows
    }
}

/// The position of each code among the codes of a set.
fn ranks(set: CodeSet) -> [u8; 256] {
    let mut ranks = [0; 256];
    for (rank, code) in set.iter().enumerate() {
        ranks[usize::from(code)] = rank as u8;
    }
    ranks
}

/// Turns scores into probabilities.
pub(crate) fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::MIN, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - largest).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comparison_serves_every_test() {
        let check = |test: Test, left: &dyn Fn(u8) -> bool| {
            let node = Node::split(3, test, 0);
            assert!(
                (0..=255).all(|bin| node.goes_left(bin, &[]) == left(bin)),
                "{test:?}"
            );
            let is_category = matches!(test, Test::Category { .. });
            assert_eq!(node.kind(|_| is_category), Kind::Split { column: 3, test });
        };
        for cut in [0, 1, 100, 253] {
            for missing_left in [false, true] {
                check(Test::Numeric { cut, missing_left }, &|bin| {
                    bin <= cut || (missing_left && bin == MISSING_BIN)
                });
            }
        }
        check(
            Test::Numeric {
                cut: 254,
                missing_left: false,
            },
            &|bin| bin < 255,
        );
        for code in [0, 7, 255] {
            check(Test::Category { code }, &|bin| bin == code);
        }
    }

    #[test]
    fn sets_hold_what_was_put_in_in_order() {
        let mut set = CodeSet::default();
        [200, 3, 64, 255, 3].into_iter().for_each(|code| set.insert(code));
        set.remove(64);
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 200, 255]);
        assert_eq!((set.len(), set.contains(200), set.contains(64)), (3, true, false));
    }
}
