//! One row through an ensemble: small trees are asked by masks, large ones walked where they are packed. What fits neither
//! is walked as it is.
//!
//! Sums over trees are exact, so the trees may add to the scores in any order.

use super::bins::MISSING_BIN;
use super::ensemble::{Ensemble, Kind, Node, Quantizer, Test};
use super::lanes::walk_all;
use super::packed::{Packed, Place};
use super::row_masks::RowMasks;

/// Buffers for one row.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowBuffers {
    bins: Vec<u8>,
    answers: Vec<u8>,
    open: Vec<u32>,
}

/// How an ensemble is asked about one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum OneRow {
    #[default]
    Walk,
    Masks(RowMasks),
    Packed(Questions),
}

impl OneRow {
    pub(super) fn new(ensemble: &Ensemble) -> Self {
        if let Some(masks) = RowMasks::new(ensemble) {
            return Self::Masks(masks);
        }
        Questions::new(ensemble).map_or(Self::Walk, Self::Packed)
    }
}

impl Ensemble {
    /// Writes the scores of one row over `scores`; the buffers may hold anything.
    pub(crate) fn score_row(&self, values: &[f32], buffers: &mut RowBuffers, scores: &mut Vec<f32>) {
        let RowBuffers { bins, answers, open } = buffers;
        bins.clear();
        let columns = self.columns.iter().zip(values);
        bins.extend(columns.map(|(column, &value)| column.bin(value)));
        scores.clear();
        scores.extend_from_slice(&self.base);
        let mut add = |values: std::ops::Range<usize>| {
            for value in &self.values[values] {
                scores[usize::from(value.class)] += value.value;
            }
        };
        match &self.one_row {
            OneRow::Masks(masks) => masks.add_to(bins, open, scores),
            OneRow::Packed(questions) => {
                questions.answer(&self.columns, bins, answers);
                questions.packed.walk(answers, |_, leaf| add(values_of(leaf)));
            }
            OneRow::Walk => {
                let roots = self.roots.iter().map(|&root| self.nodes[root as usize]);
                walk_all(roots, |node: Node| {
                    if node.is_leaf() {
                        add(node.values());
                        return None;
                    }
                    let goes_left = node.goes_left(bins[node.column()], &self.sets);
                    Some(self.nodes[(node.next + u32::from(!goes_left)) as usize])
                });
            }
        }
    }
}

/// The number of a packed leaf tells where its values are: the upper bits where they begin, the lower eight how many follow
/// the first.
fn number_of(leaf: Node) -> u32 {
    let values = leaf.values();
    u32::try_from(values.start << 8 | (values.len() - 1)).unwrap_or(u32::MAX)
}

fn values_of(leaf: u32) -> std::ops::Range<usize> {
    let begin = (leaf >> 8) as usize;
    begin..begin + (leaf & 0xFF) as usize + 1
}

/// Packed trees with what they ask.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Questions {
    groups: Vec<Group>,
    packed: Packed,
}

/// Questions about one column: of numbers one for each cut, of categories one for each code.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Group {
    column: usize,
    /// Whether missing numbers go left.
    missing_left: bool,
    /// Whether a yes leads to the left; it leads away from the side where most rows go.
    yes_is_left: bool,
}

impl Group {
    fn of(column: usize, test: Test, yes_is_left: bool) -> Self {
        Self {
            column,
            missing_left: matches!(
                test,
                Test::Numeric {
                    missing_left: true,
                    ..
                }
            ),
            yes_is_left,
        }
    }

    fn number(self) -> usize {
        self.column * 4 + usize::from(self.missing_left) * 2 + usize::from(self.yes_is_left)
    }
}

impl Questions {
    /// Packs trees that ask for no sets of categories; `None` where there are some, or the trees do not fit.
    fn new(ensemble: &Ensemble) -> Option<Self> {
        if !ensemble.sets.is_empty() {
            return None;
        }
        let is_category = |column: usize| ensemble.is_category(column);
        let mut yes_is_left = Vec::with_capacity(ensemble.nodes.len());
        for tree in 0..ensemble.roots.len() {
            let (root, rows) = (ensemble.roots[tree] as usize, ensemble.tree_rows(tree));
            for node in ensemble.tree_nodes(tree) {
                let left = (node.next as usize).wrapping_sub(root);
                yes_is_left.push(!node.is_leaf() && rows[left] < rows[left + 1]);
            }
        }
        let mut groups: Vec<Option<Group>> = vec![None; ensemble.columns.len() * 4];
        for (node, &yes_is_left) in ensemble.nodes.iter().zip(&yes_is_left) {
            if let Kind::Split { column, test } = node.kind(is_category) {
                let group = Group::of(column.into(), test, yes_is_left);
                groups[group.number()] = Some(group);
            }
        }
        let mut first_questions = vec![0; groups.len()];
        let mut question_count = 0;
        for group in groups.iter().flatten() {
            first_questions[group.number()] = question_count;
            question_count += match &ensemble.columns[group.column] {
                Quantizer::Edges(edges) => edges.len(),
                Quantizer::Codes => 256,
            };
        }
        let place = |at: usize| {
            let node = ensemble.nodes[at];
            let (column, test) = match node.kind(is_category) {
                Kind::Leaf { .. } => return Place::Leaf(number_of(node)),
                Kind::Split { column, test } => (column, test),
            };
            let (Test::Numeric { cut: of_group, .. } | Test::Category { code: of_group }) = test else {
                unreachable!("there are no sets")
            };
            let group = Group::of(column.into(), test, yes_is_left[at]);
            let (left, right) = (node.next as usize, node.next as usize + 1);
            let (no, yes) = if yes_is_left[at] {
                (right, left)
            } else {
                (left, right)
            };
            Place::Split {
                question: first_questions[group.number()] + usize::from(of_group),
                no,
                yes,
            }
        };
        let roots = ensemble.roots.iter().map(|&root| root as usize);
        let packed = Packed::new(roots, ensemble.nodes.len(), question_count, place)?;
        Some(Self {
            groups: groups.into_iter().flatten().collect(),
            packed,
        })
    }

    /// Writes the answers for a row over `answers`.
    fn answer(&self, columns: &[Quantizer], bins: &[u8], answers: &mut Vec<u8>) {
        answers.clear();
        for group in &self.groups {
            let (bin, begin) = (bins[group.column], answers.len());
            let (if_left, if_right) = (u8::from(group.yes_is_left), u8::from(!group.yes_is_left));
            match &columns[group.column] {
                Quantizer::Edges(edges) => {
                    // Cuts below its bin send a row to the right.
                    let below = match group.missing_left && bin == MISSING_BIN {
                        true => 0,
                        false => usize::from(bin).min(edges.len()),
                    };
                    answers.resize(begin + below, if_right);
                    answers.resize(begin + edges.len(), if_left);
                }
                Quantizer::Codes => {
                    answers.resize(begin + 256, if_right);
                    answers[begin + usize::from(bin)] = if_left;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::table::{Categorical, Column};
    use crate::{NoProgress, Table, fit};
    use serde_json::{Value, json};

    /// Trees of one kind for classes that follow both columns and a noise.
    fn trees(candidate: Value) -> Ensemble {
        let rows = 0..600u32;
        let noise = |row: u32| row.wrapping_mul(2_654_435_761) >> 16;
        let words = ["a", "b", "c", "d", "e", "f", "g", "h"]
            .map(str::to_owned)
            .to_vec();
        let codes = rows.clone().map(|row| noise(row) % 8).collect();
        let class = |row: u32| (noise(row) % 8 + row / 100 + noise(row + 1) % 3) % 2;
        let columns = vec![
            (
                "number".to_owned(),
                Column::Numeric(rows.clone().map(f64::from).collect()),
            ),
            (
                "word".to_owned(),
                Column::Categorical(Categorical::new(words, codes).unwrap()),
            ),
            (
                "class".to_owned(),
                Column::Numeric(rows.map(class).map(f64::from).collect()),
            ),
        ];
        let config =
            json!({ "target": "class", "candidates": [candidate], "search": { "n_iter": 1, "cv": 2 } });
        let config = serde_json::from_value(config).unwrap();
        let table = Table::new(columns).unwrap();
        let Model::Trees(ensemble) = fit(&table, &config, &NoProgress).unwrap().model else {
            panic!("trees")
        };
        ensemble
    }

    #[test]
    fn every_kind_of_trees_is_asked_in_its_way() {
        let forest = trees(json!({ "model": "random_forest", "n_estimators": 3 }));
        assert!(matches!(forest.one_row, OneRow::Packed(_)));
        let boosting = json!({ "model": "gradient_boosting", "n_estimators": 3 });
        assert!(matches!(trees(boosting.clone()).one_row, OneRow::Masks(_)));
        let mut large = boosting;
        large["max_leaf_nodes"] = json!(100);
        large["min_samples_leaf"] = json!(1);
        let large = trees(large);
        assert!(!large.sets.is_empty());
        assert!(matches!(large.one_row, OneRow::Walk));
    }
}
