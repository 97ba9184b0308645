//! Trees, node by node: parents before their children.

use crate::Error;
use crate::codec::{Reader, Writer, damaged};
use crate::prepare::{Preparation, PreparedColumn};
use crate::table::ColumnKind;
use crate::tree::ensemble::{CodeSet, Ensemble, Kind, LeafValue, MAX_SETS, Node, Quantizer, Test};
use crate::tree::one_row::OneRow;
use crate::tree::shared_values::SharedValues;

const LEAF: u8 = 0;
const NUMERIC: u8 = 1;
const CATEGORY: u8 = 2;
const SET: u8 = 3;
const MISSING_LEFT: u8 = 4;

pub(super) fn write_ensemble(writer: &mut Writer, ensemble: &Ensemble) {
    writer.flag(ensemble.softmax);
    ensemble.base.iter().for_each(|&base| writer.single(base));
    writer.count(ensemble.roots.len());
    // A model from an older file does not know the rows of its leaves: 0 says so.
    let mut rows = ensemble.rows.iter().copied().chain(std::iter::repeat(0));
    for (tree, &root) in ensemble.roots.iter().enumerate() {
        let nodes = ensemble.tree_nodes(tree);
        writer.count(nodes.len());
        for (position, node) in nodes.iter().enumerate() {
            let (column, test) = match node.kind(|column| ensemble.is_category(column)) {
                Kind::Split { column, test } => (usize::from(column), test),
                Kind::Leaf { .. } => {
                    writer.byte(LEAF);
                    let values = &ensemble.values[node.values()];
                    writer.count(values.len());
                    for value in values {
                        writer.count(usize::from(value.class));
                        writer.single(value.value);
                    }
                    writer.number(u64::from(rows.next().unwrap_or(0)));
                    continue;
                }
            };
            match test {
                Test::Numeric { cut, missing_left } => {
                    let missing = if missing_left { MISSING_LEFT } else { 0 };
                    writer.byte(NUMERIC | missing);
                    writer.single(ensemble.threshold(column, cut));
                }
                Test::Category { code } => {
                    writer.byte(CATEGORY);
                    writer.byte(code);
                }
                Test::Set { index } => {
                    writer.byte(SET);
                    let words = ensemble.sets[usize::from(index)].0;
                    words
                        .iter()
                        .for_each(|word| writer.0.extend_from_slice(&word.to_le_bytes()));
                }
            }
            writer.count(column);
            // The right child follows the left one; both come after their parent.
            writer.count((node.next - root) as usize - position - 1);
        }
    }
}

pub(super) fn read_ensemble(
    reader: &mut Reader<'_>,
    preparation: &Preparation,
    class_count: usize,
    version: u32,
) -> Result<Ensemble, Error> {
    let softmax = reader.flag()?;
    let base = (0..class_count)
        .map(|_| reader.finite_single())
        .collect::<Result<_, _>>()?;
    let quantizer = |column: &PreparedColumn| match column.kind() {
        ColumnKind::Numeric => Quantizer::Edges(Vec::new()),
        ColumnKind::Categorical => Quantizer::Codes,
    };
    let mut trees = Trees {
        ensemble: Ensemble {
            class_count,
            columns: preparation.columns.iter().map(quantizer).collect(),
            roots: Vec::new(),
            nodes: Vec::new(),
            values: Vec::new(),
            rows: Vec::new(),
            sets: Vec::new(),
            base,
            softmax,
            one_row: OneRow::default(),
        },
        values: SharedValues::new(),
        leaf: Vec::new(),
        numbers: Vec::new(),
        has_rows: version >= 4,
    };
    let tree_count = reader.count(2)?;
    for _ in 0..tree_count {
        trees.read_tree(reader)?;
    }
    trees.finish()
}

/// A node that compares with a number: its edge is known once all are read.
struct Number {
    node: u32,
    column: u16,
    threshold: f32,
    missing_left: bool,
}

struct Trees {
    ensemble: Ensemble,
    values: SharedValues<LeafValue>,
    /// The values of the leaf at hand.
    leaf: Vec<LeafValue>,
    numbers: Vec<Number>,
    /// Whether leaves say how many rows they have.
    has_rows: bool,
}

impl Trees {
    fn read_tree(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let root = self.ensemble.nodes.len();
        let size = reader.count(2)?;
        if size == 0 || root + size > u32::MAX as usize {
            return Err(damaged("the size of a tree is out of range"));
        }
        self.ensemble.roots.push(root as u32);
        // Each node but the root has one parent: nothing is walked twice.
        let mut has_parent = vec![false; size];
        has_parent[0] = true;
        for position in 0..size {
            let node = self.read_node(reader, root + position, root + size)?;
            if !node.is_leaf() {
                let left = node.next as usize - root;
                if has_parent[left] || has_parent[left + 1] {
                    return Err(damaged("a node has two parents"));
                }
                has_parent[left..=left + 1].fill(true);
            }
            self.ensemble.nodes.push(node);
        }
        if has_parent.contains(&false) {
            return Err(damaged("a node has no parent"));
        }
        Ok(())
    }

    /// Reads the node at `index` of a tree that ends at `end`.
    fn read_node(&mut self, reader: &mut Reader<'_>, index: usize, end: usize) -> Result<Node, Error> {
        let tag = reader.byte()?;
        let ensemble = &mut self.ensemble;
        let (test, threshold) = match tag & !MISSING_LEFT {
            LEAF => {
                let count = reader.count(5)?;
                if !(1..=256).contains(&count) {
                    return Err(damaged("the number of a leaf's values is out of range"));
                }
                self.leaf.clear();
                for _ in 0..count {
                    let class = reader.below(ensemble.class_count)? as u16;
                    let value = reader.finite_single()?;
                    self.leaf.push(LeafValue { class, value });
                }
                if self.has_rows {
                    ensemble.rows.push(reader.below(1 << 32)? as u32);
                }
                let leaf = self.values.number(&self.leaf);
                let begin = self.values.range(leaf as usize).start;
                return Ok(Node::leaf(begin as u32, count as u16));
            }
            NUMERIC => {
                let test = Test::Numeric {
                    cut: 0,
                    missing_left: false,
                };
                (test, Some(reader.finite_single()?))
            }
            CATEGORY => (Test::Category { code: reader.byte()? }, None),
            SET => {
                let mut words = [0; 4];
                for word in &mut words {
                    *word = reader.word()?;
                }
                if ensemble.sets.len() == MAX_SETS {
                    return Err(damaged("there are too many sets of categories"));
                }
                ensemble.sets.push(CodeSet(words));
                let index = ensemble.sets.len() as u16 - 1;
                (Test::Set { index }, None)
            }
            _ => return Err(damaged("an unknown kind of node")),
        };
        let column = reader.below(ensemble.columns.len())?;
        if threshold.is_some() == ensemble.is_category(column) {
            return Err(damaged("a node does not fit its column"));
        }
        let left = reader.below(end)? + index + 1;
        if left + 1 >= end {
            return Err(damaged("a node's child is outside the tree"));
        }
        if let Some(threshold) = threshold {
            self.numbers.push(Number {
                node: index as u32,
                column: column as u16,
                threshold,
                missing_left: tag & MISSING_LEFT != 0,
            });
        }
        Ok(Node::split(column as u16, test, left as u32))
    }

    /// Finds the edges that the nodes compare with, and gives each node its own.
    fn finish(mut self) -> Result<Ensemble, Error> {
        // All leaves know their rows, or none does: the model came from an older file once.
        match self.ensemble.rows.iter().filter(|&&rows| rows == 0).count() {
            0 => {}
            unknown if unknown == self.ensemble.rows.len() => self.ensemble.rows.clear(),
            _ => return Err(damaged("a leaf has no rows")),
        }
        let mut edges: Vec<Vec<f32>> = vec![Vec::new(); self.ensemble.columns.len()];
        for number in &self.numbers {
            edges[usize::from(number.column)].push(number.threshold);
        }
        for edges in &mut edges {
            edges.sort_unstable_by(f32::total_cmp);
            edges.dedup();
            if edges.len() > 255 {
                return Err(damaged("a column is compared with too many numbers"));
            }
        }
        for number in &self.numbers {
            let edges = &edges[usize::from(number.column)];
            let cut = edges.partition_point(|&edge| edge < number.threshold) as u8;
            if cut == 254 && number.missing_left {
                return Err(damaged("a node sends every row to the left"));
            }
            let test = Test::Numeric {
                cut,
                missing_left: number.missing_left,
            };
            let node = &mut self.ensemble.nodes[number.node as usize];
            *node = Node::split(number.column, test, node.next);
        }
        for (column, edges) in self.ensemble.columns.iter_mut().zip(edges) {
            if let Quantizer::Edges(slot) = column {
                *slot = edges;
            }
        }
        self.ensemble.values = self.values.into_values();
        Ok(self.ensemble.ready())
    }
}
