//! Which part of a score each column has: Shapley values along the trees.
//!
//! A tree is a game of the columns: what it says when only some of them are known is the mean of its leaves, where a
//! split on an unknown column sends rows both ways by the shares of the training's rows (Lundberg, Erion, Lee 2018:
//! the path-dependent TreeSHAP). A leaf's part of that is a product with one factor for each column on its path: the
//! column's share `z` of the rows while it is unknown, and 1 or 0 (`o`) once it is known. By Owen's multilinear
//! extension the Shapley value of a column is then
//!
//! `value × (o − z) × ∫₀¹ Π over the other columns ((1 − t) z + t o) dt`
//!
//! and since that is a polynomial of `t`, a Gauss-Legendre rule with enough points gives the integral exactly. No number
//! in it is negative but `o − z`, so nothing cancels out, however deep the trees are.

use super::ensemble::{Ensemble, Node};
use crate::prepare::Matrix;
use rayon::prelude::*;

/// The parts of the scores of some rows.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The mean score of each class over the training's rows: what is said when no column is known.
    pub(crate) base: Vec<f64>,
    /// Row after row, class after class: one number a column.
    pub(crate) parts: Vec<f64>,
}

/// What does not depend on the rows that are explained.
struct Explainer<'a> {
    ensemble: &'a Ensemble,
    /// The column that each column of the trees counts as, below `column_count`.
    sources: &'a [usize],
    column_count: usize,
    /// The share of its parent's rows that each node has; 1 at the roots.
    shares: Vec<f64>,
    /// Where the integrand is looked at, and with what weight.
    points: Vec<(f64, f64)>,
}

impl Ensemble {
    /// Tells whether the leaves know their rows.
    pub(crate) fn can_explain(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Leaves that explaining one row goes to.
    pub(crate) fn leaf_count(&self) -> usize {
        self.nodes.iter().filter(|node| node.is_leaf()).count()
    }

    /// Explains all rows; the leaves must know their rows, see [`Self::can_explain`].
    ///
    /// `sources` says for each column of the trees which of `column_count` columns it counts as: those that count as one are
    /// known or unknown together.
    pub(crate) fn explain(&self, matrix: &Matrix, sources: &[usize], column_count: usize) -> Parts {
        let explainer = Explainer::new(self, sources, column_count);
        let width = self.class_count * column_count;
        let mut parts = vec![0.0; matrix.row_count * width];
        if width > 0 {
            (parts.par_chunks_mut(width))
                .enumerate()
                .for_each(|(row, parts)| explainer.explain(matrix.row(row), parts));
        }
        Parts {
            base: explainer.base(),
            parts,
        }
    }
}

impl<'a> Explainer<'a> {
    fn new(ensemble: &'a Ensemble, sources: &'a [usize], column_count: usize) -> Self {
        let nodes = &ensemble.nodes;
        let rows: Vec<f64> = (0..ensemble.roots.len())
            .flat_map(|tree| ensemble.tree_rows(tree))
            .collect();
        let mut shares = vec![1.0; nodes.len()];
        let mut levels = vec![0usize; nodes.len()];
        let mut is_used = vec![false; column_count];
        for (index, node) in nodes.iter().enumerate().filter(|(_, node)| !node.is_leaf()) {
            is_used[sources[node.column()]] = true;
            for child in [node.next as usize, node.next as usize + 1] {
                shares[child] = rows[child] / rows[index];
                levels[child] = levels[index] + 1;
            }
        }
        let deepest = levels.into_iter().max().unwrap_or(0);
        let used = is_used.into_iter().filter(|&is_used| is_used).count();
        // The product over the other columns of a path has a degree of one less than it has columns; so many points are
        // exact up to twice their number less one.
        let points = gauss_legendre(deepest.min(used).div_ceil(2).max(1));
        Self {
            ensemble,
            sources,
            column_count,
            shares,
            points,
        }
    }

    fn base(&self) -> Vec<f64> {
        let ensemble = self.ensemble;
        let mut base: Vec<f64> = ensemble.base.iter().map(|&base| f64::from(base)).collect();
        let mut reached = self.shares.clone();
        for (index, node) in ensemble.nodes.iter().enumerate() {
            if node.is_leaf() {
                for value in &ensemble.values[node.values()] {
                    base[usize::from(value.class)] += reached[index] * f64::from(value.value);
                }
            } else {
                reached[node.next as usize] *= reached[index];
                reached[node.next as usize + 1] *= reached[index];
            }
        }
        base
    }

    fn explain(&self, row: &[f32], parts: &mut [f64]) {
        let bins: Vec<u8> = self
            .ensemble
            .columns
            .iter()
            .zip(row)
            .map(|(column, &value)| column.bin(value))
            .collect();
        let mut path = Path::new(&self.points, self.column_count);
        for &root in &self.ensemble.roots {
            self.explain_tree(root, &bins, &mut path, parts);
        }
    }

    fn explain_tree(&self, root: u32, bins: &[u8], path: &mut Path<'_>, parts: &mut [f64]) {
        let ensemble = self.ensemble;
        // Deep trees would not fit the program's own stack.
        let mut stack = vec![Move::Down {
            node: root,
            step: None,
        }];
        while let Some(next) = stack.pop() {
            let Move::Down { node, step } = next else {
                path.step_back();
                continue;
            };
            if let Some(step) = step {
                path.step(step);
                stack.push(Move::Up);
            }
            let split = ensemble.nodes[node as usize];
            if split.is_leaf() {
                path.add_leaf(ensemble, split, parts);
                continue;
            }
            let goes_left = split.goes_left(bins[split.column()], &ensemble.sets);
            for (child, is_followed) in [(split.next + 1, !goes_left), (split.next, goes_left)] {
                let step = Step {
                    column: self.sources[split.column()],
                    share: self.shares[child as usize],
                    is_followed,
                };
                stack.push(Move::Down {
                    node: child,
                    step: Some(step),
                });
            }
        }
    }
}

enum Move {
    Down { node: u32, step: Option<Step> },
    Up,
}

/// From a node to a child.
#[derive(Clone, Copy)]
struct Step {
    column: usize,
    /// The share of the node's rows that take it.
    share: f64,
    /// Whether the explained row takes it.
    is_followed: bool,
}

/// A column on the path, with all its splits so far taken together.
#[derive(Clone, Copy)]
struct OnPath {
    column: usize,
    share: f64,
    is_followed: bool,
}

/// The columns between a root and the node at hand, and their product at each point.
struct Path<'a> {
    points: &'a [(f64, f64)],
    columns: Vec<OnPath>,
    /// Where each column is among those of the path.
    positions: Vec<Option<usize>>,
    /// The factor of each column of the path, point after point.
    factors: Vec<f64>,
    /// The products of all factors, level after level.
    products: Vec<f64>,
    /// What each step changed: a column that was not there, or how it was before.
    history: Vec<(usize, Option<OnPath>)>,
}

impl<'a> Path<'a> {
    fn new(points: &'a [(f64, f64)], column_count: usize) -> Self {
        Self {
            points,
            columns: Vec::new(),
            positions: vec![None; column_count],
            factors: Vec::new(),
            products: vec![1.0; points.len()],
            history: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        let count = self.points.len();
        let level = self.products.len() - count;
        let known = self.positions[step.column];
        let position = known.unwrap_or(self.columns.len());
        let before = known.map(|position| self.columns[position]);
        let now = OnPath {
            column: step.column,
            share: step.share * before.map_or(1.0, |before| before.share),
            is_followed: step.is_followed && before.is_none_or(|before| before.is_followed),
        };
        self.history.push((position, before));
        match before {
            Some(_) => self.columns[position] = now,
            None => {
                self.columns.push(now);
                self.positions[step.column] = Some(position);
                self.factors.resize(self.factors.len() + count, 1.0);
            }
        }
        for (point, &(at, _)) in self.points.iter().enumerate() {
            let slot = &mut self.factors[position * count + point];
            let factor = factor(now, at);
            self.products
                .push(self.products[level + point] * (factor / *slot));
            *slot = factor;
        }
    }

    fn step_back(&mut self) {
        let count = self.points.len();
        let Some((position, before)) = self.history.pop() else {
            return;
        };
        self.products.truncate(self.products.len() - count);
        match before {
            None => {
                let column = self.columns[position].column;
                self.positions[column] = None;
                self.columns.truncate(position);
                self.factors.truncate(position * count);
            }
            Some(before) => {
                self.columns[position] = before;
                let factors = &mut self.factors[position * count..][..count];
                for (slot, &(at, _)) in factors.iter_mut().zip(self.points) {
                    *slot = factor(before, at);
                }
            }
        }
    }

    fn add_leaf(&self, ensemble: &Ensemble, leaf: Node, parts: &mut [f64]) {
        let count = self.points.len();
        let products = &self.products[self.products.len() - count..];
        let width = self.positions.len();
        for (on_path, factors) in self.columns.iter().zip(self.factors.chunks_exact(count)) {
            let known = f64::from(u8::from(on_path.is_followed));
            let integral: f64 = self
                .points
                .iter()
                .zip(products)
                .zip(factors)
                .map(|(((_, weight), product), factor)| weight * product / factor)
                .sum();
            let part = (known - on_path.share) * integral;
            for value in &ensemble.values[leaf.values()] {
                parts[usize::from(value.class) * width + on_path.column] += part * f64::from(value.value);
            }
        }
    }
}

/// Never 0: every node has rows, and the points lie within 0 and 1.
fn factor(on_path: OnPath, at: f64) -> f64 {
    let known = if on_path.is_followed { at } else { 0.0 };
    on_path.share * (1.0 - at) + known
}

/// Points and weights whose sums are the integrals over 0 to 1 of polynomials up to a degree of `2 count - 1`.
fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    let size = count as f64;
    let point = |number: usize| {
        // Newton's method from the usual first guess of the polynomial's zero; between -1 and 1.
        let mut zero = (std::f64::consts::PI * (number as f64 + 0.75) / (size + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut one, mut two) = (1.0, 0.0);
            for degree in 0..count {
                let degree = degree as f64;
                (one, two) = (
                    ((2.0 * degree + 1.0) * zero * one - degree * two) / (degree + 1.0),
                    one,
                );
            }
            slope = size * (zero * one - two) / (zero * zero - 1.0);
            let step = one / slope;
            zero -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        let weight = 1.0 / ((1.0 - zero * zero) * slope * slope);
        ((1.0 - zero) / 2.0, weight)
    };
    (0..count).map(point).collect()
}

/// What a tree says when only some columns are known, by the definition; for tests.
#[cfg(test)]
pub(crate) fn said_by_known(ensemble: &Ensemble, row: &[f32], known: &[bool]) -> Vec<f64> {
    fn walk(ensemble: &Ensemble, index: usize, row: &[f32], known: &[bool], weight: f64, said: &mut [f64]) {
        fn rows(ensemble: &Ensemble, index: usize) -> f64 {
            let node = ensemble.nodes[index];
            let leaves_before = ensemble.nodes[..index]
                .iter()
                .filter(|node| node.is_leaf())
                .count();
            match node.is_leaf() {
                true => f64::from(ensemble.rows[leaves_before]),
                false => rows(ensemble, node.next as usize) + rows(ensemble, node.next as usize + 1),
            }
        }
        let node = ensemble.nodes[index];
        if node.is_leaf() {
            for value in &ensemble.values[node.values()] {
                said[usize::from(value.class)] += weight * f64::from(value.value);
            }
            return;
        }
        let (left, right) = (node.next as usize, node.next as usize + 1);
        let share = match known[node.column()] {
            true => {
                let bin = ensemble.columns[node.column()].bin(row[node.column()]);
                f64::from(u8::from(node.goes_left(bin, &ensemble.sets)))
            }
            false => rows(ensemble, left) / rows(ensemble, index),
        };
        walk(ensemble, left, row, known, weight * share, said);
        walk(ensemble, right, row, known, weight * (1.0 - share), said);
    }
    let mut said: Vec<f64> = ensemble.base.iter().map(|&base| f64::from(base)).collect();
    for &root in &ensemble.roots {
        walk(ensemble, root as usize, row, known, 1.0, &mut said);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_integrate_polynomials_exactly() {
        for count in 1..40 {
            let points = gauss_legendre(count);
            for power in 0..2 * count {
                let sum: f64 = points
                    .iter()
                    .map(|(at, weight)| weight * at.powi(power as i32))
                    .sum();
                let exact = 1.0 / (power as f64 + 1.0);
                assert!(
                    (sum - exact).abs() < 1e-13,
                    "{count} points, power {power}: {sum}"
                );
            }
        }
    }
}
