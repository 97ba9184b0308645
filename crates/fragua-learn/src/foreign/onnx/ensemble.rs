//! `TreeEnsembleClassifier` and `TreeEnsembleRegressor`, with onnxruntime's rules for two classes.

use super::message::Attributes;
use super::tensor::{Data, Tensor};
use super::transform::{Second, Transform};
use crate::foreign::trees::{Part, Real, Test, Trees};
use std::collections::HashMap;
use std::sync::Arc;

/// Classes of a classifier, as numbers or as texts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Classes {
    Integers(Vec<i64>),
    Texts(Vec<Arc<str>>),
}

impl Classes {
    /// Takes the classes out of the attributes; scikit-learn's converters write `classlabels_int64s` or `_ints`.
    pub(super) fn take(attributes: &mut Attributes, integers: &str) -> Result<Self, String> {
        let texts = attributes.take_texts("classlabels_strings")?.unwrap_or_default();
        if !texts.is_empty() {
            return Ok(Self::Texts(texts));
        }
        let numbers = attributes.take_ints(integers)?.unwrap_or_default();
        if numbers.is_empty() {
            return Err("it names no classes".to_owned());
        }
        Ok(Self::Integers(numbers))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Integers(classes) => classes.len(),
            Self::Texts(classes) => classes.len(),
        }
    }

    /// Returns the classes at some positions.
    pub(super) fn pick(&self, positions: &[usize]) -> Data {
        match self {
            Self::Integers(classes) => Data::I64(positions.iter().map(|&at| classes[at]).collect()),
            Self::Texts(classes) => Data::Text(positions.iter().map(|&at| classes[at].clone()).collect()),
        }
    }

    pub(super) fn to_data(&self) -> Data {
        match self {
            Self::Integers(classes) => Data::I64(classes.clone()),
            Self::Texts(classes) => Data::Text(classes.clone()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Aggregate {
    Sum,
    Average,
    Least,
    Greatest,
}

#[derive(Clone, Debug)]
enum Forest {
    Single(Trees<f32>),
    Double(Trees<f64>),
}

/// Trees with what becomes of their scores.
#[derive(Clone, Debug)]
pub(super) struct Ensemble {
    forest: Forest,
    outputs: usize,
    base: Vec<f64>,
    transform: Transform,
    aggregate: Aggregate,
    /// `None` for numbers.
    classes: Option<Classes>,
    /// Whether one score tells two classes apart.
    is_binary: bool,
    all_positive: bool,
}

/// Numbers of an attribute, in 32 bits or, under another name, in 64.
fn numbers(attributes: &mut Attributes, name: &str) -> Result<(Vec<f64>, bool), String> {
    let tensor = attributes.take_tensor(&format!("{name}_as_tensor"))?;
    if let Some(tensor) = tensor.filter(|tensor| tensor.data.len() > 0) {
        let is_double = matches!(tensor.data, Data::F64(_));
        return Ok((tensor.doubles()?.into_owned(), is_double));
    }
    let numbers = attributes.take_floats(name)?.unwrap_or_default();
    Ok((numbers.into_iter().map(f64::from).collect(), false))
}

impl Ensemble {
    pub(super) fn classifier(attributes: &mut Attributes) -> Result<Self, String> {
        let classes = Classes::take(attributes, "classlabels_int64s")?;
        Self::read(attributes, "class", Some(classes))
    }

    pub(super) fn regressor(attributes: &mut Attributes) -> Result<Self, String> {
        Self::read(attributes, "target", None)
    }

    pub(super) fn classes(&self) -> Option<&Classes> {
        self.classes.as_ref()
    }

    fn read(attributes: &mut Attributes, leaf: &str, classes: Option<Classes>) -> Result<Self, String> {
        let outputs = match &classes {
            Some(classes) => classes.len(),
            None => usize::try_from(attributes.int_or("n_targets", 1)?).unwrap_or(0),
        };
        if outputs == 0 || outputs > usize::from(u16::MAX) {
            return Err(format!("it has {outputs} outputs"));
        }
        let aggregate = match attributes.text_or("aggregate_function", "SUM")? {
            "SUM" => Aggregate::Sum,
            "AVERAGE" => Aggregate::Average,
            "MIN" => Aggregate::Least,
            "MAX" => Aggregate::Greatest,
            name => return Err(format!("its aggregate function {name} is not known")),
        };
        let transform = Transform::read(attributes)?;
        let (base, base_is_double) = numbers(attributes, "base_values")?;
        let (weights, weights_are_double) = numbers(attributes, &format!("{leaf}_weights"))?;
        let (thresholds, thresholds_are_double) = numbers(attributes, "nodes_values")?;
        let of_leaves = |attributes: &mut Attributes, what: &str| {
            let numbers = attributes
                .take_ints(&format!("{leaf}_{what}"))?
                .unwrap_or_default();
            if numbers.len() == weights.len() {
                Ok(numbers)
            } else {
                Err(format!(
                    "{leaf}_{what} has {} entries of {}",
                    numbers.len(),
                    weights.len()
                ))
            }
        };
        let leaf_trees = of_leaves(attributes, "treeids")?;
        let leaf_nodes = of_leaves(attributes, "nodeids")?;
        let leaf_outputs = of_leaves(attributes, "ids")?;
        if !(base.is_empty() || base.len() == 1 || base.len() == outputs) {
            return Err(format!("it has {} base values for {outputs} outputs", base.len()));
        }
        let is_of_one_output = leaf_outputs.windows(2).all(|pair| pair[0] == pair[1]);
        let all_positive = weights.iter().all(|&weight| weight >= 0.0);
        // Forests say of each leaf what it adds to each class, which is mostly nothing. Where there are more than two classes,
        // nothing is negative and no class has a base alone, one that only gets zeros never wins: they may be left out.
        let keeps_zeros = classes.is_none()
            || outputs <= 2
            || base.len() == 1
            || aggregate != Aggregate::Sum
            || !all_positive;
        let leaves = Leaves {
            trees: leaf_trees,
            nodes: leaf_nodes,
            outputs: leaf_outputs,
            keeps_zeros,
        };
        let is_double = base_is_double || weights_are_double || thresholds_are_double;
        let forest = if is_double {
            Forest::Double(read_trees(attributes, &thresholds, &leaves, &weights, outputs)?)
        } else {
            Forest::Single(read_trees(attributes, &thresholds, &leaves, &weights, outputs)?)
        };
        Ok(Self {
            forest,
            outputs,
            base,
            transform,
            aggregate,
            is_binary: classes.is_some() && outputs == 2 && is_of_one_output && !weights.is_empty(),
            classes,
            all_positive,
        })
    }

    /// Returns the labels, where there are classes, and the scores.
    pub(super) fn run(&self, input: &Tensor) -> Result<Vec<Tensor>, String> {
        match &self.forest {
            // A tree of 32 bits compares numbers of 32 bits.
            Forest::Single(trees) => self.run_trees(trees, input.matrix()?, &input.singles()?),
            Forest::Double(trees) => self.run_trees(trees, input.matrix()?, &input.doubles()?),
        }
    }

    fn run_trees<T: Real>(
        &self,
        trees: &Trees<T>,
        (row_count, width): (usize, usize),
        rows: &[T],
    ) -> Result<Vec<Tensor>, String> {
        if width < trees.width() {
            return Err(format!(
                "its trees ask feature {}, it is given {width}",
                trees.width() - 1
            ));
        }
        let mut sums = vec![T::default(); row_count * self.outputs];
        let mut has_score = vec![false; sums.len()];
        let is_sum = matches!(self.aggregate, Aggregate::Sum | Aggregate::Average);
        trees.visit(rows, width, |row, values| {
            for value in values {
                let at = row * self.outputs + value.output as usize;
                let (slot, has_score) = (&mut sums[at], &mut has_score[at]);
                if is_sum {
                    *slot += value.value;
                } else if !*has_score
                    || (self.aggregate == Aggregate::Least && value.value < *slot)
                    || (self.aggregate == Aggregate::Greatest && value.value > *slot)
                {
                    *slot = value.value;
                }
                *has_score = true;
            }
        });
        let divisor = match self.aggregate {
            Aggregate::Average => trees.count().max(1) as f64,
            _ => 1.0,
        };
        let mut scores = Vec::with_capacity(sums.len());
        let mut labels = Vec::new();
        let mut row_scores = Vec::with_capacity(self.outputs);
        for (sums, has_score) in sums
            .chunks_exact(self.outputs)
            .zip(has_score.chunks_exact(self.outputs))
        {
            row_scores.clear();
            row_scores.extend(sums.iter().map(|sum| T::of(sum.double() / divisor).double()));
            if self.classes.is_some() {
                labels.push(self.finish_classes(&mut row_scores, has_score));
            } else {
                self.finish_numbers(&mut row_scores);
            }
            scores.extend(row_scores.iter().map(|&score| score as f32));
        }
        let width = scores.len() / row_count.max(1);
        let width = if row_count == 0 { self.outputs } else { width };
        let scores = Tensor::new(vec![row_count, width], Data::F32(scores));
        Ok(match &self.classes {
            Some(classes) => vec![Tensor::list(classes.pick(&labels)), scores],
            None => vec![scores],
        })
    }

    fn finish_numbers(&self, scores: &mut Vec<f64>) {
        if self.base.len() == scores.len() {
            scores
                .iter_mut()
                .zip(&self.base)
                .for_each(|(score, base)| *score += base);
        }
        if scores.len() > 1 || self.transform == Transform::Probit {
            self.transform.apply(scores, Second::Absent);
        }
    }

    /// Ends the scores of a row and returns the position of its class. What one and two base values mean for two classes is
    /// onnxruntime's custom, not ONNX's.
    fn finish_classes(&self, scores: &mut Vec<f64>, has_score: &[bool]) -> usize {
        if self.outputs != 2 {
            let mut best = None;
            for (class, score) in scores.iter_mut().enumerate() {
                let base = self.base.get(class);
                *score += base.copied().unwrap_or(0.0);
                if (has_score[class] || base.is_some()) && best.is_none_or(|(_, most)| *score > most) {
                    best = Some((class, *score));
                }
            }
            self.transform.apply(scores, Second::Absent);
            return best.map_or(0, |(class, _)| class);
        }
        let [mut first, mut second] = [scores[0], scores[1]];
        let [has_first, has_second] = [has_score[0], has_score[1]];
        match self.base.as_slice() {
            [_, base] if has_second => {
                second = base + first;
                first = -second;
            }
            [base_first, _] => first += base_first,
            [base] => first += base,
            _ => {}
        }
        let decisive = match (has_first, has_second) {
            (_, true) => second,
            (true, false) => first,
            (false, false) => 0.0,
        };
        let (is_second, rest) = if self.is_binary && self.all_positive {
            (decisive > 0.5, Second::Complement)
        } else {
            (decisive > 0.0, Second::Opposite)
        };
        // A class that no leaf spoke of has no score, whatever was added to it.
        scores[0] = if has_first { first } else { 0.0 };
        scores[1] = if has_second { second } else { 0.0 };
        if !has_second && self.base.len() != 2 {
            scores.truncate(1);
            self.transform.apply(scores, rest);
            scores.resize(2, 0.0);
        } else {
            self.transform.apply(scores, Second::Absent);
        }
        usize::from(is_second)
    }
}

/// The lists about leaves, one entry for each output that a leaf adds to.
struct Leaves {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    outputs: Vec<i64>,
    /// Whether zeros matter beside other values of a leaf.
    keeps_zeros: bool,
}

fn read_trees<T: Real>(
    attributes: &mut Attributes,
    thresholds: &[f64],
    leaves: &Leaves,
    weights: &[f64],
    outputs: usize,
) -> Result<Trees<T>, String> {
    let modes = attributes.take_texts("nodes_modes")?.unwrap_or_default();
    let count = modes.len();
    let mut of_nodes = |what: &str| {
        let numbers = attributes.take_ints(what)?.unwrap_or_default();
        if numbers.len() == count {
            Ok(numbers)
        } else {
            Err(format!("{what} has {} entries of {count}", numbers.len()))
        }
    };
    let tree_ids = of_nodes("nodes_treeids")?;
    let node_ids = of_nodes("nodes_nodeids")?;
    let features = of_nodes("nodes_featureids")?;
    let when_true = of_nodes("nodes_truenodeids")?;
    let when_false = of_nodes("nodes_falsenodeids")?;
    let missing = attributes
        .take_ints("nodes_missing_value_tracks_true")?
        .unwrap_or_default();
    if thresholds.len() != count || !(missing.is_empty() || missing.len() == count) {
        return Err("its lists of nodes differ in length".to_owned());
    }
    // Nodes of a tree in the order of the list, trees in the order of their first nodes.
    let mut trees: Vec<Vec<usize>> = Vec::new();
    let mut numbers: HashMap<i64, usize> = HashMap::new();
    let mut last = (0, usize::MAX);
    for (node, &id) in tree_ids.iter().enumerate() {
        if last.0 != id || trees.is_empty() {
            last = (id, *numbers.entry(id).or_insert(trees.len()));
            if last.1 == trees.len() {
                trees.push(Vec::new());
            }
        }
        trees[last.1].push(node);
    }
    // Converters list the values of a leaf together and leaves as nodes: then sorting finds nothing to do, and the values
    // of the next leaf are those that come next.
    let id_of_value = |&at: &usize| (leaves.trees[at], leaves.nodes[at]);
    let mut values: Vec<usize> = (0..weights.len()).collect();
    values.sort_by_key(id_of_value);
    let mut next = 0;
    let mut values_of = |id: (i64, i64)| -> Result<Vec<(u32, T)>, String> {
        if values.get(next).map(id_of_value) != Some(id) {
            next = values.partition_point(|at| id_of_value(at) < id);
        }
        let rest = &values[next..];
        let count = rest.iter().take_while(|at| id_of_value(at) == id).count();
        next += count;
        // A leaf of zeros alone keeps them: the first of its classes may win.
        let is_empty = rest[..count].iter().all(|&at| weights[at] == 0.0);
        let matters = |at: &&usize| leaves.keeps_zeros || is_empty || weights[**at] != 0.0;
        let of_leaf = rest[..count].iter().filter(matters).map(|&at| {
            let output = u32::try_from(leaves.outputs[at]).map_err(|_| "a leaf adds to a negative output")?;
            Ok((output, T::of(weights[at])))
        });
        of_leaf.collect()
    };
    let mut result = Trees::new(outputs);
    for nodes in trees {
        let positions = Positions::new(nodes.iter().map(|&node| node_ids[node]))
            .map_err(|twice| format!("tree {} has node {twice} twice", tree_ids[nodes[0]]))?;
        let part = |&node: &usize| -> Result<Part<T>, String> {
            let id = (tree_ids[node], node_ids[node]);
            let threshold = T::of(thresholds[node]);
            let test = match &*modes[node] {
                "LEAF" => return values_of(id).map(Part::Leaf),
                "BRANCH_LEQ" => Test::AtMost(threshold),
                "BRANCH_LT" => Test::Below(threshold),
                "BRANCH_GTE" => Test::AtLeast(threshold),
                "BRANCH_GT" => Test::Above(threshold),
                "BRANCH_EQ" => Test::Equal(threshold),
                "BRANCH_NEQ" => Test::NotEqual(threshold),
                mode => return Err(format!("its nodes' mode {mode} is not known")),
            };
            let child = |child: i64| {
                positions.find(child).ok_or_else(|| {
                    format!(
                        "node {} of tree {} leads to node {child}, which is not there",
                        id.1, id.0
                    )
                })
            };
            Ok(Part::Branch {
                feature: usize::try_from(features[node]).map_err(|_| "a node asks a negative feature")?,
                test,
                missing: missing.get(node) == Some(&1),
                when_true: child(when_true[node])?,
                when_false: child(when_false[node])?,
            })
        };
        let parts: Vec<Part<T>> = nodes.iter().map(part).collect::<Result<_, _>>()?;
        // The root is the node that no other leads to.
        let mut is_child = vec![false; parts.len()];
        for part in &parts {
            if let Part::Branch {
                when_true,
                when_false,
                ..
            } = part
            {
                is_child[*when_true] = true;
                is_child[*when_false] = true;
            }
        }
        let root = is_child.iter().position(|is_child| !is_child);
        let root = root.ok_or_else(|| format!("tree {} has no root", tree_ids[nodes[0]]))?;
        result
            .add(root, &parts)
            .map_err(|error| format!("tree {}: {error}", tree_ids[nodes[0]]))?;
    }
    Ok(result.packed())
}

/// Positions in a list by the numbers there, which mostly count up from 0.
struct Positions(Vec<(i64, usize)>);

impl Positions {
    /// `Err` holds a number that is there twice.
    fn new(numbers: impl Iterator<Item = i64>) -> Result<Self, i64> {
        let mut sorted: Vec<(i64, usize)> = numbers.zip(0..).collect();
        sorted.sort_unstable();
        match sorted.array_windows().find(|[one, next]| one.0 == next.0) {
            Some([twice, _]) => Err(twice.0),
            None => Ok(Self(sorted)),
        }
    }

    fn find(&self, number: i64) -> Option<usize> {
        let direct = usize::try_from(number).ok().and_then(|at| self.0.get(at));
        match direct {
            Some((found, position)) if *found == number => Some(*position),
            _ => {
                let found = self.0.binary_search_by_key(&number, |(number, _)| *number);
                found.ok().map(|at| self.0[at].1)
            }
        }
    }
}
