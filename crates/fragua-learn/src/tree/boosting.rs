//! Gradient boosting: each round adds one small tree a class, fitted to the gradient of the log loss.

use super::bins::Binned;
use super::ensemble::{Ensemble, LeafValue, MAX_SETS, Node, Tree};
use super::forest::Sample;
use super::grow::{Grower, Leaf, Scale};
use crate::params::GradientBoostingParams;
use crate::progress::check_cancelled;
use crate::random::Random;
use crate::{Error, Progress, split};
use rayon::prelude::*;

/// Rows whose gradients are computed by one thread at a time.
const BLOCK: usize = 8_192;

/// Fits the trees and returns them with the gain of each column.
pub(crate) fn fit(
    sample: Sample<'_>,
    params: &GradientBoostingParams,
    monotone: &[i8],
    seed: u64,
    progress: &dyn Progress,
) -> Result<(Ensemble, Vec<f64>), Error> {
    let class_count = sample.weights.len();
    let base = base_scores(sample);
    // With two classes one tree moves both scores, in opposite directions.
    let tree_classes: Vec<u16> = if class_count == 2 {
        vec![1]
    } else {
        (0..class_count as u16).collect()
    };
    let mut boosting = Boosting {
        sample,
        params,
        monotone,
        seed,
        dither: dither(sample.classes.len(), seed),
        scores: base
            .iter()
            .map(|&base| vec![base; sample.classes.len()])
            .collect(),
        set_count: 0,
    };
    let (learning, held_out) = boosting.hold_out()?;
    let mut importance = vec![0.0; sample.binned.columns.len()];
    let mut rounds: Vec<Vec<Grown>> = Vec::new();
    let mut best = (0, boosting.loss(&held_out));
    for round in 0..params.n_estimators {
        check_cancelled(progress)?;
        rounds.push(boosting.round(round, &tree_classes, &learning));
        let Some(patience) = params.n_iter_no_change else {
            continue;
        };
        let loss = boosting.loss(&held_out);
        if loss < best.1 {
            best = (round + 1, loss);
        } else if round + 1 >= best.0 + patience {
            break;
        }
    }
    if params.n_iter_no_change.is_some() {
        rounds.truncate(best.0.max(1));
    }
    let mut trees = Vec::with_capacity(rounds.len() * tree_classes.len());
    for grown in rounds.into_iter().flatten() {
        let gains = importance.iter_mut().zip(grown.gains);
        gains.for_each(|(sum, gain)| *sum += gain);
        trees.push(grown.tree);
    }
    Ok((Ensemble::new(trees, sample.binned, base, true), importance))
}

/// The logarithm of each class's weighted share.
fn base_scores(sample: Sample<'_>) -> Vec<f32> {
    let mut weights = vec![0.0; sample.weights.len()];
    for &class in sample.classes {
        weights[usize::from(class)] += sample.weights[usize::from(class)];
    }
    let total: f64 = weights.iter().sum();
    // A class without rows in this fold starts as rare as half a row.
    weights
        .iter()
        .map(|weight| (weight.max(0.5) / total).ln() as f32)
        .collect()
}

/// A number in `-0.5..0.5` for each row, which decides how its gradient is rounded.
fn dither(rows: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::derive(seed, &[u64::MAX]);
    (0..rows).map(|_| random.unit() as f32 - 0.5).collect()
}

/// A tree with the gain of each column.
struct Grown {
    tree: Tree,
    gains: Vec<f64>,
}

struct Boosting<'a> {
    sample: Sample<'a>,
    params: &'a GradientBoostingParams,
    /// For each column: 1 when the score of the tree's class must not fall with it, -1 when it must not rise.
    monotone: &'a [i8],
    seed: u64,
    dither: Vec<f32>,
    /// Scores of the rows, class after class.
    scores: Vec<Vec<f32>>,
    /// Sets of categories in the trees so far.
    set_count: usize,
}

impl Boosting<'_> {
    /// Parts the rows in those to learn from and those that tell when to stop.
    fn hold_out(&self) -> Result<(Vec<u32>, Vec<u32>), Error> {
        let classes = self.sample.classes;
        if self.params.n_iter_no_change.is_none() {
            return Ok(((0..classes.len() as u32).collect(), Vec::new()));
        }
        let fraction = self.params.validation_fraction;
        let (learning, held_out) = split::hold_out(classes, self.scores.len(), fraction, self.seed);
        if held_out.is_empty() {
            let message = format!("{fraction} of {} rows is no row to stop by", classes.len());
            return Err(Error::config("validation_fraction", message));
        }
        let narrow = |rows: Vec<usize>| rows.into_iter().map(|row| row as u32).collect();
        Ok((narrow(learning), narrow(held_out)))
    }

    /// Adds one tree a class; `learning` are the rows to learn from, in rising order.
    fn round(&mut self, round: usize, tree_classes: &[u16], learning: &[u32]) -> Vec<Grown> {
        let mut random = Random::derive(self.seed, &[round as u64]);
        let rows = self.draw_rows(learning, &mut random);
        let columns = self.draw_columns(&mut random);
        let others = others(&rows, self.sample.classes.len());
        let normalisers = self.normalisers();
        let may_group = self.set_count + tree_classes.len() * self.params.max_leaf_nodes <= MAX_SETS;
        let this = &*self;
        let grow = |&class: &u16| {
            let scale = Scale::new(rows.len(), this.heaviest(), this.factor());
            let gradients = this.gradients(usize::from(class), &normalisers, round, scale);
            let grower = Grower::new(this.sample.binned, this.params, &gradients, scale).with_columns(
                &columns,
                this.monotone,
                may_group,
            );
            let (mut tree, leaves, rows, gains) = grower.grow(rows.clone());
            let moves = this.finish(&mut tree, &leaves, rows, &others, class);
            (Grown { tree, gains }, moves)
        };
        let grown: Vec<(Grown, Moves)> = tree_classes.par_iter().map(grow).collect();
        let move_scores = |(scores, class): (&mut Vec<f32>, usize)| match self.sample.weights.len() {
            2 => grown[0].1.add(scores, if class == 1 { 1.0 } else { -1.0 }),
            _ => grown[class].1.add(scores, 1.0),
        };
        self.scores
            .par_iter_mut()
            .enumerate()
            .map(|(class, scores)| (scores, class))
            .for_each(move_scores);
        self.set_count += grown
            .iter()
            .map(|(grown, _)| grown.tree.sets.len())
            .sum::<usize>();
        grown.into_iter().map(|(grown, _)| grown).collect()
    }

    fn draw_rows(&self, learning: &[u32], random: &mut Random) -> Vec<u32> {
        if self.params.subsample >= 1.0 {
            return learning.to_vec();
        }
        let drawn: Vec<u32> = (learning.iter().copied())
            .filter(|_| random.unit() < self.params.subsample)
            .collect();
        if drawn.is_empty() {
            learning.to_vec()
        } else {
            drawn
        }
    }

    fn draw_columns(&self, random: &mut Random) -> Vec<usize> {
        let mut columns: Vec<usize> = (0..self.sample.binned.columns.len()).collect();
        if self.params.colsample_bytree < 1.0 {
            let count = (columns.len() as f64 * self.params.colsample_bytree).round() as usize;
            random.shuffle(&mut columns);
            columns.truncate(count.max(1));
            columns.sort_unstable();
        }
        columns
    }

    fn heaviest(&self) -> f64 {
        self.sample.weights.iter().copied().fold(0.0, f64::max)
    }

    /// Friedman's factor for the redundant class; with two classes the score is half the log odds.
    fn factor(&self) -> f64 {
        match self.scores.len() {
            2 => 2.0,
            classes => classes as f64 / (classes as f64 - 1.0),
        }
    }

    /// The logarithm of each row's summed exponentials.
    fn normalisers(&self) -> Vec<f32> {
        let mut normalisers = vec![0.0; self.sample.classes.len()];
        let block = |(block, slots): (usize, &mut [f32])| {
            let rows = block * BLOCK..block * BLOCK + slots.len();
            let mut largest = self.scores[0][rows.clone()].to_vec();
            for scores in &self.scores[1..] {
                let pairs = largest.iter_mut().zip(&scores[rows.clone()]);
                pairs
                    .for_each(|(largest, &score)| *largest = if score > *largest { score } else { *largest });
            }
            for scores in &self.scores {
                let pairs = slots.iter_mut().zip(&scores[rows.clone()]).zip(&largest);
                pairs.for_each(|((sum, &score), &largest)| *sum += exp(score - largest));
            }
            let pairs = slots.iter_mut().zip(&largest);
            pairs.for_each(|(sum, &largest)| *sum = largest + sum.ln());
        };
        normalisers.par_chunks_mut(BLOCK).enumerate().for_each(block);
        normalisers
    }

    /// Gradients of the weighted log loss for one class, packed for the histograms.
    fn gradients(&self, class: usize, normalisers: &[f32], round: usize, scale: Scale) -> Vec<u64> {
        let mut gradients = vec![0; normalisers.len()];
        // Each round rounds the same row in another way, evenly over the rounds.
        let shift = (round as f64 * 0.618_033_988_749_894_9).fract() as f32;
        let factor = self.factor() as f32;
        let weights: Vec<f32> = self.sample.weights.iter().map(|&weight| weight as f32).collect();
        let block = |(block, slots): (usize, &mut [u64])| {
            let rows = block * BLOCK..block * BLOCK + slots.len();
            let mut shares = [0.0f32; BLOCK];
            let scores = self.scores[class][rows.clone()]
                .iter()
                .zip(&normalisers[rows.clone()]);
            for (share, (&score, &normaliser)) in shares.iter_mut().zip(scores) {
                *share = exp(score - normaliser);
            }
            let rows = self.sample.classes[rows.clone()].iter().zip(&self.dither[rows]);
            for ((slot, &share), (&truth, &dither)) in slots.iter_mut().zip(&shares).zip(rows) {
                let weight = weights[usize::from(truth)];
                let hit = f32::from(u8::from(usize::from(truth) == class));
                let dither = dither + shift;
                let dither = if dither >= 0.5 { dither - 1.0 } else { dither };
                let share = share.min(1.0);
                *slot = scale.pack(
                    weight * (share - hit),
                    weight * factor * share * (1.0 - share),
                    dither,
                );
            }
        };
        gradients.par_chunks_mut(BLOCK).enumerate().for_each(block);
        gradients
    }

    /// Writes the leaves' values into the tree and returns how far each row's score moves.
    fn finish(&self, tree: &mut Tree, leaves: &[Leaf], rows: Vec<u32>, others: &[u32], class: u16) -> Moves {
        let mut moves = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            let value = (leaf.value * self.params.learning_rate) as f32;
            let begin = tree.values.len() as u32;
            tree.values.push(LeafValue { class, value });
            if self.scores.len() == 2 {
                tree.values.push(LeafValue {
                    class: 0,
                    value: -value,
                });
            }
            tree.nodes[leaf.node] = Node::leaf(begin, tree.values.len() as u16 - begin as u16);
            moves.push((value, leaf.begin..leaf.end));
        }
        let walked: Vec<f32> = others
            .par_iter()
            .map(|&row| walk(tree, self.sample.binned, row))
            .collect();
        Moves {
            rows,
            moves,
            walked: others.iter().copied().zip(walked).collect(),
        }
    }

    /// The mean loss of some rows.
    fn loss(&self, rows: &[u32]) -> f64 {
        let (mut loss, mut total) = (0.0, 0.0);
        for &row in rows {
            let row = row as usize;
            let truth = usize::from(self.sample.classes[row]);
            let scores = || self.scores.iter().map(|scores| f64::from(scores[row]));
            let largest = scores().fold(f64::MIN, f64::max);
            let sum: f64 = scores().map(|score| (score - largest).exp()).sum();
            let weight = self.sample.weights[truth];
            loss += weight * (largest + sum.ln() - f64::from(self.scores[truth][row]));
            total += weight;
        }
        loss / total
    }
}

/// The rows that are not among some, both in rising order.
fn others(rows: &[u32], row_count: usize) -> Vec<u32> {
    let mut rows = rows.iter().copied().peekable();
    (0..row_count as u32)
        .filter(|row| rows.next_if_eq(row).is_none())
        .collect()
}

/// How far the scores move: rows leaf by leaf, and those that were walked through the tree.
struct Moves {
    rows: Vec<u32>,
    moves: Vec<(f32, std::ops::Range<usize>)>,
    walked: Vec<(u32, f32)>,
}

impl Moves {
    fn add(&self, scores: &mut [f32], sign: f32) {
        for (value, rows) in &self.moves {
            let rows = &self.rows[rows.clone()];
            rows.iter().for_each(|&row| scores[row as usize] += sign * value);
        }
        for &(row, value) in &self.walked {
            scores[row as usize] += sign * value;
        }
    }
}

fn walk(tree: &Tree, binned: &Binned, row: u32) -> f32 {
    let bins = binned.row(row);
    let mut node = tree.nodes[0];
    while !node.is_leaf() {
        let goes_left = node.goes_left(bins[node.column()], &tree.sets);
        node = tree.nodes[node.next as usize + usize::from(!goes_left)];
    }
    tree.values[node.values()][0].value
}

/// e to the power of a number not much above 0, the same on every machine and fast over many.
fn exp(x: f32) -> f32 {
    /// Added to a small number, leaves it rounded in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x > -87.0 { x } else { -87.0 };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let rest = (x - power * 0.693_359_4) + power * 2.121_944_4e-4;
    let mut sum = 1.987_569_2e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        sum = sum * rest + coefficient;
    }
    let fraction = sum * rest * rest + rest + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    fraction * f32::from_bits(exponent << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_right_to_the_last_bits() {
        for step in 0..8_700 {
            let x = 0.5 - step as f32 / 100.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / exact - 1.0).abs() < 3e-7, "{x}: {ours} and {exact}");
        }
        assert!(exp(-1e30) < 2e-38);
    }

    #[test]
    fn others_are_all_but_the_given_rows() {
        assert_eq!(others(&[1, 2, 5], 6), [0, 3, 4]);
        assert_eq!(others(&[], 2), [0, 1]);
    }
}
