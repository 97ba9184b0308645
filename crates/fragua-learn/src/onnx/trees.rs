//! The attributes of `TreeEnsembleClassifier` and `TreeEnsembleRegressor`.

use super::encoder::{Message, attribute};
use super::graph::integers;
use crate::Label;
use crate::tree::ensemble::{Ensemble, Kind, Test};
use std::collections::HashMap;

/// Where a column's values lie among the features of the ONNX graph.
pub(crate) enum Position {
    Number(usize),
    /// The feature of each code's one-hot column.
    OneHot(HashMap<u8, usize>),
}

/// A score so low that softmax makes it 0.
const NEVER: f32 = -1e30;

/// Nodes and leaf values as the parallel lists that the operator takes.
#[derive(Default)]
struct Lists {
    tree: Vec<i64>,
    node: Vec<i64>,
    feature: Vec<i64>,
    threshold: Vec<f32>,
    when_true: Vec<i64>,
    when_false: Vec<i64>,
    mode: Vec<&'static str>,
    missing_true: Vec<i64>,
    leaf_tree: Vec<i64>,
    leaf_node: Vec<i64>,
    leaf_class: Vec<i64>,
    leaf_value: Vec<f32>,
}

/// The attributes of `TreeEnsembleRegressor`, whose only target is the score.
pub(crate) fn number_attributes(ensemble: &Ensemble, columns: &[Position]) -> Vec<Message> {
    let mut attributes = Lists::of(ensemble, columns).attributes("target");
    attributes.extend([
        attribute::int("n_targets", 1),
        attribute::text("aggregate_function", "SUM"),
        attribute::text("post_transform", "NONE"),
        attribute::floats("base_values", &ensemble.base),
    ]);
    attributes
}

/// The attributes of `TreeEnsembleClassifier`.
pub(crate) fn attributes(ensemble: &Ensemble, columns: &[Position], labels: &[Label]) -> Vec<Message> {
    let mut attributes = Lists::of(ensemble, columns).attributes("class");
    attributes.push(attribute::text(
        "post_transform",
        if ensemble.softmax { "SOFTMAX" } else { "NONE" },
    ));
    // Runtimes have rules of their own for exactly two classes, about which score counts and what base values
    // mean. A third class that can never win keeps them to the rules for many.
    let has_stand_in = labels.len() == 2;
    if ensemble.softmax {
        let mut base = ensemble.base.clone();
        base.extend(has_stand_in.then_some(NEVER));
        attributes.push(attribute::floats("base_values", &base));
    }
    attributes.push(match integers(labels) {
        Some(mut numbers) => {
            let unused = (0..3)
                .find(|number| !numbers.contains(number))
                .filter(|_| has_stand_in);
            numbers.extend(unused);
            attribute::ints("classlabels_int64s", &numbers)
        }
        None => {
            let mut texts: Vec<String> = labels.iter().map(ToString::to_string).collect();
            let unused = texts.concat() + "_";
            texts.extend(has_stand_in.then_some(unused));
            attribute::texts("classlabels_strings", &texts)
        }
    });
    attributes
}

impl Lists {
    fn of(ensemble: &Ensemble, columns: &[Position]) -> Self {
        let mut lists = Self::default();
        for tree in 0..ensemble.roots.len() {
            lists.add_tree(ensemble, tree, columns);
        }
        lists
    }

    /// The lists as attributes; those of the leaves begin with what a leaf's value is for.
    fn attributes(&self, leaf: &str) -> Vec<Message> {
        let of_leaf = |what: &str| format!("{leaf}_{what}");
        let mut attributes = vec![
            attribute::ints("nodes_treeids", &self.tree),
            attribute::ints("nodes_nodeids", &self.node),
            attribute::ints("nodes_featureids", &self.feature),
            attribute::floats("nodes_values", &self.threshold),
            attribute::ints("nodes_truenodeids", &self.when_true),
            attribute::ints("nodes_falsenodeids", &self.when_false),
            attribute::texts("nodes_modes", &self.mode),
            attribute::ints(&of_leaf("treeids"), &self.leaf_tree),
            attribute::ints(&of_leaf("nodeids"), &self.leaf_node),
            attribute::ints(&of_leaf("ids"), &self.leaf_class),
            attribute::floats(&of_leaf("weights"), &self.leaf_value),
        ];
        if self.missing_true.contains(&1) {
            attributes.push(attribute::ints(
                "nodes_missing_value_tracks_true",
                &self.missing_true,
            ));
        }
        attributes
    }

    fn add_tree(&mut self, ensemble: &Ensemble, tree: usize, columns: &[Position]) {
        let root = i64::from(ensemble.roots[tree]);
        let nodes = ensemble.tree_nodes(tree);
        // Sets become chains of nodes, which come behind the tree's own.
        let mut extra = nodes.len() as i64;
        for (position, node) in nodes.iter().enumerate() {
            self.begin(tree, position as i64);
            let Kind::Split { column, test } = node.kind(|column| ensemble.is_category(column)) else {
                self.leaf(ensemble, tree, position, node.values());
                continue;
            };
            let (left, right) = (i64::from(node.next) - root, i64::from(node.next) - root + 1);
            match (test, &columns[usize::from(column)]) {
                (Test::Numeric { cut, missing_left }, Position::Number(feature)) => {
                    let threshold = ensemble.threshold(usize::from(column), cut);
                    self.branch(*feature, threshold, left, right, missing_left);
                }
                (Test::Category { code }, Position::OneHot(features)) => {
                    // At most a half in the one-hot column means another category: the right side. A code
                    // without a column is one that was never met, so the comparison holds for any column.
                    match features.get(&code) {
                        Some(&feature) => self.branch(feature, 0.5, right, left, false),
                        None => self.branch(0, f32::MAX, right, right, false),
                    }
                }
                (Test::Set { index }, Position::OneHot(features)) => {
                    let codes = ensemble.sets[usize::from(index)].iter();
                    let members: Vec<usize> = codes.filter_map(|code| features.get(&code)).copied().collect();
                    self.chain(tree, &members, left, right, &mut extra);
                }
                _ => unreachable!("the columns are those the trees were grown on"),
            }
        }
    }

    fn begin(&mut self, tree: usize, node: i64) {
        self.tree.push(tree as i64);
        self.node.push(node);
    }

    /// Asks for one category after the other. Only the side that a comparison leads to may be shared by several nodes,
    /// and that is the left one.
    fn chain(&mut self, tree: usize, members: &[usize], left: i64, right: i64, extra: &mut i64) {
        for (position, &feature) in members.iter().enumerate() {
            if position > 0 {
                self.begin(tree, *extra);
                *extra += 1;
            }
            let next = if position + 1 < members.len() {
                *extra
            } else {
                right
            };
            self.branch(feature, 0.5, left, next, false);
            *self.mode.last_mut().expect("a branch was added") = "BRANCH_GT";
        }
        if members.is_empty() {
            self.branch(0, f32::MAX, right, right, false);
        }
    }

    fn branch(
        &mut self,
        feature: usize,
        threshold: f32,
        when_true: i64,
        when_false: i64,
        missing_true: bool,
    ) {
        self.feature.push(feature as i64);
        self.threshold.push(threshold);
        self.when_true.push(when_true);
        self.when_false.push(when_false);
        self.mode.push("BRANCH_LEQ");
        self.missing_true.push(i64::from(missing_true));
    }

    fn leaf(&mut self, ensemble: &Ensemble, tree: usize, position: usize, values: std::ops::Range<usize>) {
        self.feature.push(0);
        self.threshold.push(0.0);
        self.when_true.push(0);
        self.when_false.push(0);
        self.mode.push("LEAF");
        self.missing_true.push(0);
        for value in &ensemble.values[values] {
            self.leaf_tree.push(tree as i64);
            self.leaf_node.push(position as i64);
            self.leaf_class.push(i64::from(value.class));
            self.leaf_value.push(value.value);
        }
    }
}
