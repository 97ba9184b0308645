//! Small trees asked by masks, for one row: what [`super::predict`] does a tree at a time for many rows, here for all trees
//! at once.
//!
//! For each bin of a column a mask a tree says which leaves a row can still reach; the leftmost one that all columns
//! leave open is the row's. Masks of every bin would take much memory, so what neighbouring bins close in common is kept
//! once for all of them, and each bin adds the few trees where it closes more.

use super::ensemble::{Ensemble, LeafValue, Node};

/// Leaves that a mask has room for.
const MASK_LEAVES: usize = 32;
/// Neighbouring bins that share masks.
const BLOCK: usize = 8;

/// The masks of all trees.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RowMasks {
    columns: Vec<ColumnMasks>,
    /// The values of all leaves, from left to right, and how many a leaf has.
    values: Vec<LeafValue>,
    values_of_leaf: usize,
    /// The number of each tree's first leaf.
    first_leaves: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq)]
struct ColumnMasks {
    column: usize,
    /// For each block of bins, one mask a tree.
    blocks: Vec<u32>,
    /// Where the masks of each bin end among those of `more`.
    ends: Vec<u32>,
    /// What single bins close besides, with the tree.
    more: Vec<(u32, u32)>,
}

/// A split with the mask of the leaves on its left.
struct Split {
    tree: usize,
    node: Node,
    left: u32,
}

impl RowMasks {
    /// Returns the masks; `None` where trees are too large for them, or their leaves differ in kind. Also where there are
    /// more columns than a tree has nodes: then masks take much memory, and walking is quicker.
    pub(super) fn new(ensemble: &Ensemble) -> Option<Self> {
        let trees = ensemble.roots.len();
        // A tree of so many leaves has one split less.
        let is_small = |tree| ensemble.tree_nodes(tree).len() < 2 * MASK_LEAVES;
        if !(0..trees).all(is_small) {
            return None;
        }
        let values_of_leaf = ensemble.nodes.iter().find(|node| node.is_leaf())?.values().len();
        let mut masks = Self {
            columns: Vec::new(),
            values: Vec::new(),
            values_of_leaf,
            first_leaves: Vec::with_capacity(trees),
        };
        let mut splits = Vec::with_capacity(ensemble.nodes.len() / 2);
        for tree in 0..trees {
            let first = masks.leaf_count();
            masks.first_leaves.push(first as u32);
            masks.add_node(ensemble, tree, ensemble.roots[tree] as usize, &mut splits)?;
        }
        splits.sort_by_key(|split| split.node.column());
        let of_columns = || splits.chunk_by(|one, next| one.node.column() == next.node.column());
        if of_columns().count() * trees > ensemble.nodes.len() {
            return None;
        }
        masks.columns = of_columns()
            .map(|splits| ColumnMasks::new(ensemble, splits))
            .collect();
        Some(masks)
    }

    fn leaf_count(&self) -> usize {
        self.values.len() / self.values_of_leaf
    }

    /// Adds a node and all below it; returns the mask of their leaves.
    fn add_node(
        &mut self,
        ensemble: &Ensemble,
        tree: usize,
        index: usize,
        splits: &mut Vec<Split>,
    ) -> Option<u32> {
        let node = ensemble.nodes[index];
        if node.is_leaf() {
            let values = &ensemble.values[node.values()];
            let position = self.leaf_count() - self.first_leaves[tree] as usize;
            self.values.extend_from_slice(values);
            return (values.len() == self.values_of_leaf).then_some(1 << position);
        }
        let left = self.add_node(ensemble, tree, node.next as usize, splits)?;
        let right = self.add_node(ensemble, tree, node.next as usize + 1, splits)?;
        splits.push(Split { tree, node, left });
        Some(left | right)
    }

    /// Adds what the trees say about a row of these bins; `open` may hold anything.
    pub(super) fn add_to(&self, bins: &[u8], open: &mut Vec<u32>, scores: &mut [f32]) {
        let trees = self.first_leaves.len();
        open.clear();
        open.resize(trees, u32::MAX);
        for masks in &self.columns {
            let bin = usize::from(bins[masks.column]);
            let block = &masks.blocks[bin / BLOCK * trees..][..trees];
            open.iter_mut().zip(block).for_each(|(open, mask)| *open &= mask);
            let begin = bin.checked_sub(1).map_or(0, |before| masks.ends[before] as usize);
            for &(tree, mask) in &masks.more[begin..masks.ends[bin] as usize] {
                open[tree as usize] &= mask;
            }
        }
        for (open, first_leaf) in open.iter().zip(&self.first_leaves) {
            let leaf = (first_leaf + open.trailing_zeros()) as usize;
            for value in &self.values[leaf * self.values_of_leaf..][..self.values_of_leaf] {
                scores[usize::from(value.class)] += value.value;
            }
        }
    }
}

impl ColumnMasks {
    /// The masks of the column that all of `splits` ask.
    fn new(ensemble: &Ensemble, splits: &[Split]) -> Self {
        let trees = ensemble.roots.len();
        let mut blocks = vec![u32::MAX; 256 / BLOCK * trees];
        let mut more: Vec<Vec<(u32, u32)>> = vec![Vec::new(); 256];
        for split in splits {
            // Whoever goes right cannot reach the leaves on the left. Who goes left reaches one of them, and that is the
            // leftmost one of those left open.
            let goes_right = |bin: &usize| !split.node.goes_left(*bin as u8, &ensemble.sets);
            for (block, first) in (0..256).step_by(BLOCK).enumerate() {
                let bins = first..first + BLOCK;
                if bins.clone().all(|bin| goes_right(&bin)) {
                    blocks[block * trees + split.tree] &= !split.left;
                } else {
                    bins.filter(goes_right)
                        .for_each(|bin| more[bin].push((split.tree as u32, !split.left)));
                }
            }
        }
        let end = |end: &mut u32, more: &Vec<(u32, u32)>| {
            *end += more.len() as u32;
            Some(*end)
        };
        Self {
            column: splits[0].node.column(),
            blocks,
            ends: more.iter().scan(0, end).collect(),
            more: more.concat(),
        }
    }
}
