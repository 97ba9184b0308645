//! A finished set of trees.
//!
//! Leaf values are whole multiples of a power of two so small that every sum over the trees is exact in 32
//! bits. The scores, and so the labels, are then the same in whatever order a runtime adds the trees up.

use crate::prepare::Matrix;
use rayon::prelude::*;

/// One node, 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Node {
    /// Upper edge of the left side, or the code of the category that goes left.
    pub(crate) threshold: f32,
    /// Index of the left child; of a leaf, where its values begin.
    pub(crate) left: u32,
    /// Index of the right child; of a leaf, where its values end.
    pub(crate) right: u32,
    pub(crate) feature: u16,
    pub(crate) kind: NodeKind,
    /// Whether a missing number goes left.
    pub(crate) missing_left: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NodeKind {
    #[default]
    Leaf,
    /// `value <= threshold` goes left.
    Numeric,
    /// `code == threshold` goes left.
    Category,
}

/// What a leaf adds to the score of one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LeafValue {
    pub(crate) class: u16,
    pub(crate) value: f32,
}

/// One tree; node 0 is the root, children come after their parents, the right one next to the left one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) values: Vec<LeafValue>,
}

/// Trees whose leaf values add up to scores.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ensemble {
    pub(crate) class_count: usize,
    /// Index of each tree's root.
    pub(crate) roots: Vec<u32>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) values: Vec<LeafValue>,
    /// Scores before the first tree.
    pub(crate) base: Vec<f32>,
    /// Whether scores become probabilities by softmax; else they are probabilities already.
    pub(crate) softmax: bool,
}

const BLOCK: usize = 256;

impl Ensemble {
    pub(crate) fn new(trees: Vec<Tree>, base: Vec<f32>, softmax: bool) -> Self {
        let mut ensemble = Self {
            class_count: base.len(),
            roots: Vec::with_capacity(trees.len()),
            nodes: Vec::with_capacity(trees.iter().map(|tree| tree.nodes.len()).sum()),
            values: Vec::with_capacity(trees.iter().map(|tree| tree.values.len()).sum()),
            base,
            softmax,
        };
        for tree in trees {
            let first_node = ensemble.nodes.len() as u32;
            ensemble.roots.push(first_node);
            for node in tree.nodes {
                let node = match node.kind {
                    NodeKind::Leaf => {
                        let begin = ensemble.values.len() as u32;
                        ensemble
                            .values
                            .extend(&tree.values[node.left as usize..node.right as usize]);
                        Node {
                            left: begin,
                            right: ensemble.values.len() as u32,
                            ..node
                        }
                    }
                    _ => Node {
                        left: node.left + first_node,
                        right: node.right + first_node,
                        ..node
                    },
                };
                ensemble.nodes.push(node);
            }
        }
        ensemble.make_sums_exact();
        ensemble
    }

    /// Rounds leaf values and base scores to multiples of one power of two, see the module's text.
    fn make_sums_exact(&mut self) {
        let mut bound: Vec<f64> = self.base.iter().map(|&base| f64::from(base).abs()).collect();
        for tree in 0..self.roots.len() {
            let mut largest = vec![0.0f64; self.class_count];
            for leaf in self
                .tree_nodes(tree)
                .iter()
                .filter(|node| node.kind == NodeKind::Leaf)
            {
                for value in &self.values[leaf.left as usize..leaf.right as usize] {
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

    /// Returns the nodes of one tree, the root first; their children are counted from the first tree's root.
    pub(crate) fn tree_nodes(&self, tree: usize) -> &[Node] {
        let end = self
            .roots
            .get(tree + 1)
            .map_or(self.nodes.len(), |&next| next as usize);
        &self.nodes[self.roots[tree] as usize..end]
    }

    /// Returns the scores of all rows, one row after the other.
    pub(crate) fn scores(&self, matrix: &Matrix) -> Vec<f32> {
        let mut scores = vec![0.0; matrix.row_count * self.class_count];
        let block = |(rows, scores): (&[f32], &mut [f32])| self.score_block(rows, matrix.width, scores);
        let rows = matrix.width * BLOCK;
        if matrix.row_count <= BLOCK {
            block((&matrix.values, &mut scores));
        } else {
            matrix
                .values
                .par_chunks(rows)
                .zip(scores.par_chunks_mut(BLOCK * self.class_count))
                .for_each(block);
        }
        scores
    }

    /// Tree by tree, so that a tree stays in the cache while a block of rows runs through it.
    fn score_block(&self, rows: &[f32], width: usize, scores: &mut [f32]) {
        for scores in scores.chunks_exact_mut(self.class_count) {
            scores.copy_from_slice(&self.base);
        }
        for &root in &self.roots {
            for (row, scores) in rows
                .chunks_exact(width)
                .zip(scores.chunks_exact_mut(self.class_count))
            {
                for value in self.leaf_values(root, row) {
                    scores[usize::from(value.class)] += value.value;
                }
            }
        }
    }

    fn leaf_values(&self, root: u32, row: &[f32]) -> &[LeafValue] {
        let mut node = &self.nodes[root as usize];
        loop {
            let goes_left = match node.kind {
                NodeKind::Leaf => return &self.values[node.left as usize..node.right as usize],
                NodeKind::Numeric => {
                    let value = row[usize::from(node.feature)];
                    value <= node.threshold || (node.missing_left && value.is_nan())
                }
                NodeKind::Category => row[usize::from(node.feature)] == node.threshold,
            };
            node = &self.nodes[if goes_left { node.left } else { node.right } as usize];
        }
    }
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
