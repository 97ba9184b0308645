//! Large trees in four bytes a node, for one row at a time.
//!
//! A single row mostly waits for memory, and nothing that it read helps the next row. So nodes are small, and what
//! they ask is answered beforehand, each question once for all trees. A node is then the number of its question and
//! how far away that node is which a yes leads to; a no leads to the node right behind it.

use super::lanes::walk_all;
use std::hint::select_unpredictable;

/// A node without a question; its other bits are the number of the leaf.
const LEAF: u32 = 1 << 31;
/// The bits of a node that is none.
const NODE_BITS: u32 = 31;

/// A node as it is asked for.
pub(crate) enum Place {
    /// Its number.
    Leaf(u32),
    /// Where it goes on.
    Split { question: usize, no: usize, yes: usize },
}

/// Trees whose questions and distances fit in so few bits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packed {
    nodes: Vec<u32>,
    roots: Vec<u32>,
    /// How many bits of a node tell the distance; those above are the question.
    distance_bits: u32,
}

impl Packed {
    /// Packs trees of `node_count` nodes in all; `None` when they do not fit, or several nodes lead to one.
    pub(crate) fn new(
        roots: impl Iterator<Item = usize>,
        node_count: usize,
        question_count: usize,
        place: impl Fn(usize) -> Place,
    ) -> Option<Self> {
        let distance_bits = NODE_BITS.checked_sub(usize::BITS - question_count.leading_zeros())?;
        let mut nodes: Vec<u32> = Vec::with_capacity(node_count);
        let mut packed_roots = Vec::new();
        // Where a yes leads to, and the node that asked.
        let mut waiting = Vec::new();
        for root in roots {
            packed_roots.push(nodes.len() as u32);
            let mut next = Some(root);
            while let Some(at) = next {
                if nodes.len() == node_count {
                    return None;
                }
                match place(at) {
                    Place::Split { question, no, yes } => {
                        waiting.push((yes, nodes.len()));
                        nodes.push((question as u32) << distance_bits);
                        next = Some(no);
                    }
                    Place::Leaf(number) if number & LEAF != 0 => return None,
                    Place::Leaf(number) => {
                        nodes.push(LEAF | number);
                        next = None;
                        if let Some((yes, asked)) = waiting.pop() {
                            let distance = nodes.len() - asked;
                            if distance >> distance_bits != 0 {
                                return None;
                            }
                            nodes[asked] |= distance as u32;
                            next = Some(yes);
                        }
                    }
                }
            }
        }
        Some(Self {
            nodes,
            roots: packed_roots,
            distance_bits,
        })
    }

    /// Calls `visit` with each tree and the number of its leaf, in any order; an answer is 0 for no.
    #[inline]
    pub(crate) fn walk(&self, answers: &[u8], mut visit: impl FnMut(u32, u32)) {
        let distance = (1 << self.distance_bits) - 1;
        walk_all((0u32..).zip(self.roots.iter().copied()), |(tree, at)| {
            let node = self.nodes[at as usize];
            if node & LEAF != 0 {
                visit(tree, node & !LEAF);
                return None;
            }
            let is_yes = answers[(node >> self.distance_bits) as usize] != 0;
            Some((tree, at + select_unpredictable(is_yes, node & distance, 1)))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain: node `n` asks question `n`, a no leads to its leaf and a yes on.
    fn chain(length: usize, question_count: usize, node_count: usize) -> Option<Packed> {
        Packed::new([0].into_iter(), node_count, question_count, |at| match at {
            _ if at >= length => Place::Leaf(at as u32),
            _ => Place::Split {
                question: at,
                no: 1_000 + at,
                yes: at + 1,
            },
        })
    }

    #[test]
    fn a_row_goes_where_its_answers_lead() {
        let packed = chain(3, 3, 7).expect("it fits");
        for (answers, leaf) in [
            ([0, 1, 1], 1_000),
            ([1, 0, 1], 1_001),
            ([1, 1, 0], 1_002),
            ([1, 1, 1], 3),
        ] {
            let mut leaves = Vec::new();
            packed.walk(&answers, |tree, leaf| leaves.push((tree, leaf)));
            assert_eq!(leaves, [(0, leaf)]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(chain(3, 3, 6).is_none(), "more nodes than there are");
        assert!(chain(3, 1 << 31, 7).is_none(), "no bit for the question");
        let long = |yes: usize| {
            Packed::new([0].into_iter(), 9, 1 << 29, |at| match at {
                0 => Place::Split {
                    question: 0,
                    no: 1,
                    yes: 9,
                },
                _ if at < yes => Place::Split {
                    question: 0,
                    no: at + 1,
                    yes: 9,
                },
                _ => Place::Leaf(0),
            })
        };
        assert!(long(1).is_none(), "a distance of 2 in one bit");
    }
}
