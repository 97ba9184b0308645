//! Walking rows through trees.
//!
//! Rows become bins first, one byte a column. Small trees are then asked without walking: for each bin of a column
//! a mask says which leaves a row can still reach, and the leftmost leaf that all columns leave is the row's. Large
//! trees are walked by several rows at once, so that the processor waits for many nodes together. A few rows go
//! through the trees one by one, see [`super::one_row`].

use super::bins::MISSING_BIN;
use super::ensemble::{Ensemble, LeafValue, Node, Quantizer};
use super::one_row::RowBuffers;
use crate::prepare::Matrix;
use rayon::prelude::*;

/// Most rows that go through the trees together: enough to pay for fetching a large tree.
const BLOCK: usize = 8_192;
/// Fewer rows do not pay for the masks of a tree.
const MASKS_FROM_ROWS: usize = 512;
/// Leaves that a mask has room for.
const MASK_LEAVES: usize = 64;
/// Rows that are walked at once.
const LANES: usize = 8;

/// Some rows as bins, column after column.
struct Bins {
    rows: usize,
    bins: Vec<u8>,
}

impl Bins {
    fn column(&self, column: usize) -> &[u8] {
        &self.bins[column * self.rows..(column + 1) * self.rows]
    }
}

impl Quantizer {
    pub(super) fn bin(&self, value: f32) -> u8 {
        match self {
            Quantizer::Codes => value as u8,
            Quantizer::Edges(_) if value.is_nan() => MISSING_BIN,
            Quantizer::Edges(edges) => edges.partition_point(|&edge| edge < value) as u8,
        }
    }
}

impl Ensemble {
    /// Returns the scores of all rows, one row after the other.
    pub(crate) fn scores(&self, matrix: &Matrix) -> Vec<f32> {
        let mut scores = vec![0.0; matrix.row_count * self.class_count];
        if matrix.row_count == 0 {
            return scores;
        }
        let threads = rayon::current_num_threads();
        let block = matrix.row_count.div_ceil(threads).clamp(LANES, BLOCK);
        let score = |(rows, scores): (&[f32], &mut [f32])| self.score_block(rows, scores);
        if matrix.row_count <= LANES {
            score((&matrix.values, &mut scores));
        } else {
            (matrix.values.par_chunks(block * matrix.width))
                .zip(scores.par_chunks_mut(block * self.class_count))
                .for_each(score);
        }
        scores
    }

    fn score_block(&self, values: &[f32], scores: &mut [f32]) {
        let width = self.columns.len();
        if values.len() < LANES * width {
            let (mut buffers, mut row) = (RowBuffers::default(), Vec::new());
            for (values, scores) in values
                .chunks_exact(width)
                .zip(scores.chunks_exact_mut(self.class_count))
            {
                self.score_row(values, &mut buffers, &mut row);
                scores.copy_from_slice(&row);
            }
            return;
        }
        let bins = self.bins(values);
        let rows = bins.rows;
        let mut by_class: Vec<f32> = self
            .base
            .iter()
            .flat_map(|&base| std::iter::repeat_n(base, rows))
            .collect();
        let mut masks = Masks::default();
        for tree in 0..self.roots.len() {
            // A tree of so many leaves has one split less.
            if rows >= MASKS_FROM_ROWS && self.tree_nodes(tree).len() < 2 * MASK_LEAVES {
                masks.add_tree(self, tree, &bins, &mut by_class);
            } else {
                self.add_tree(self.roots[tree], &bins, &mut by_class);
            }
        }
        for (class, of_class) in by_class.chunks_exact(rows).enumerate() {
            let slots = scores.iter_mut().skip(class).step_by(self.class_count);
            slots.zip(of_class).for_each(|(slot, &score)| *slot = score);
        }
    }

    fn bins(&self, values: &[f32]) -> Bins {
        let width = self.columns.len();
        let rows = values.len() / width;
        let mut bins = vec![0; values.len()];
        for (position, (column, bins)) in self.columns.iter().zip(bins.chunks_exact_mut(rows)).enumerate() {
            let values = values.iter().skip(position).step_by(width);
            bins.iter_mut()
                .zip(values)
                .for_each(|(bin, &value)| *bin = column.bin(value));
        }
        Bins { rows, bins }
    }

    /// Adds what one tree says about all rows.
    fn add_tree(&self, root: u32, bins: &Bins, by_class: &mut [f32]) {
        for first in (0..bins.rows).step_by(LANES) {
            let lanes: [usize; LANES] = std::array::from_fn(|lane| (first + lane).min(bins.rows - 1));
            let bin = |lane: usize, column: usize| bins.bins[column * bins.rows + lanes[lane]];
            let leaves = self.walk([root; LANES], bin);
            for (row, leaf) in (first..bins.rows).zip(leaves) {
                for value in &self.values[leaf.values()] {
                    by_class[usize::from(value.class) * bins.rows + row] += value.value;
                }
            }
        }
    }

    /// Walks from the given nodes to leaves; `bin` knows the bin of a lane's row in a column.
    #[inline]
    fn walk<const COUNT: usize>(
        &self,
        mut at: [u32; COUNT],
        bin: impl Fn(usize, usize) -> u8,
    ) -> [Node; COUNT] {
        loop {
            let mut has_arrived = true;
            for (lane, at) in at.iter_mut().enumerate() {
                let node = self.nodes[*at as usize];
                if !node.is_leaf() {
                    has_arrived = false;
                    let goes_left = node.goes_left(bin(lane, node.column()), &self.sets);
                    *at = node.next + u32::from(!goes_left);
                }
            }
            if has_arrived {
                return at.map(|index| self.nodes[index as usize]);
            }
        }
    }
}

/// The masks of one tree, made anew for each.
#[derive(Default)]
struct Masks {
    /// For each column that the tree asks: the leaves that each bin leaves open.
    tables: Vec<(usize, Box<[u64; 256]>)>,
    /// The values of the leaves, from left to right.
    leaves: Vec<std::ops::Range<usize>>,
    /// The leaves that are open to each row.
    open: Vec<u64>,
}

impl Masks {
    fn add_tree(&mut self, ensemble: &Ensemble, tree: usize, bins: &Bins, by_class: &mut [f32]) {
        self.tables.clear();
        self.leaves.clear();
        self.add_node(ensemble, ensemble.roots[tree] as usize);
        self.open.clear();
        self.open.resize(bins.rows, u64::MAX);
        for tables in self.tables.chunks(4) {
            let table = |at: usize| (&*tables[at].1, bins.column(tables[at].0));
            match tables.len() {
                4 => close(&mut self.open, [table(0), table(1), table(2), table(3)]),
                3 => close(&mut self.open, [table(0), table(1), table(2)]),
                2 => close(&mut self.open, [table(0), table(1)]),
                _ => close(&mut self.open, [table(0)]),
            }
        }
        for class in 0..ensemble.class_count {
            let mut values = [0.0f32; MASK_LEAVES];
            let mut is_used = false;
            for (slot, leaf) in values.iter_mut().zip(&self.leaves) {
                let of_class = |value: &&LeafValue| usize::from(value.class) == class;
                if let Some(value) = ensemble.values[leaf.clone()].iter().find(of_class) {
                    *slot = value.value;
                    is_used = true;
                }
            }
            if is_used {
                let scores = &mut by_class[class * bins.rows..(class + 1) * bins.rows];
                for (score, open) in scores.iter_mut().zip(&self.open) {
                    *score += values[open.trailing_zeros() as usize % MASK_LEAVES];
                }
            }
        }
    }

    /// Adds a node and all below it; returns the mask of their leaves.
    fn add_node(&mut self, ensemble: &Ensemble, index: usize) -> u64 {
        let node = ensemble.nodes[index];
        if node.is_leaf() {
            self.leaves.push(node.values());
            return 1 << (self.leaves.len() - 1);
        }
        let left = self.add_node(ensemble, node.next as usize);
        let right = self.add_node(ensemble, node.next as usize + 1);
        let column = node.column();
        let position = match self.tables.iter().position(|(known, _)| *known == column) {
            Some(position) => position,
            None => {
                self.tables.push((column, Box::new([u64::MAX; 256])));
                self.tables.len() - 1
            }
        };
        // Whoever goes right cannot reach the leaves on the left. Who goes left reaches one of them, and that is the
        // leftmost one of those left open.
        for (bin, open) in self.tables[position].1.iter_mut().enumerate() {
            let closed = if node.goes_left(bin as u8, &ensemble.sets) {
                0
            } else {
                left
            };
            *open &= !closed;
        }
        left | right
    }
}

/// Closes the leaves that some columns rule out.
fn close<const COLUMNS: usize>(open: &mut [u64], columns: [(&[u64; 256], &[u8]); COLUMNS]) {
    let rows = open.len();
    let columns = columns.map(|(table, bins)| (table, &bins[..rows]));
    for (row, open) in open.iter_mut().enumerate() {
        for (table, bins) in columns {
            *open &= table[usize::from(bins[row])];
        }
    }
}
