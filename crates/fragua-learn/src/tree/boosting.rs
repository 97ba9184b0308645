//! Gradient boosting: each round adds one small tree a class, fitted to the gradient of the log loss; or one tree in all,
//! fitted to the gradient of a loss of numbers.

use super::bins::Binned;
use super::ensemble::{Ensemble, LeafValue, MAX_SETS, Node, Tree};
use super::grow::{Grower, LONGEST_STEP, Leaf, Scale};
use crate::config::NumberLoss;
use crate::metrics::{quantile, weighted_median};
use crate::params::GradientBoostingParams;
use crate::progress::check_cancelled;
use crate::random::Random;
use crate::{Error, Progress, split};
use rayon::prelude::*;
use std::borrow::Cow;

/// Rows whose gradients are computed by one thread at a time.
const BLOCK: usize = 8_192;

/// Share of the errors that the Huber loss squares.
const HUBER_SHARE: f64 = 0.9;
/// Most steps of a gradient on each side; more would not fit 32-bit floats with their rounding.
const MAX_STEPS: f64 = 2_097_152.0;

/// The rows to learn from.
#[derive(Clone, Copy)]
pub(crate) struct Lesson<'a> {
    pub(crate) binned: &'a Binned,
    pub(crate) goal: Goal<'a>,
    /// Weight of each row, besides that of its class.
    pub(crate) row_weights: Option<&'a [f64]>,
}

/// What the trees are to make small.
#[derive(Clone, Copy)]
pub(crate) enum Goal<'a> {
    /// The log loss of the class of each row, with the weight of each class.
    Classes { classes: &'a [u16], weights: &'a [f64] },
    /// A loss of the number of each row, with a mean of 0 and a deviation of about 1.
    Numbers { truth: &'a [f32], loss: NumberLoss },
}

impl Lesson<'_> {
    fn row_weight(&self, row: usize) -> f64 {
        self.row_weights.map_or(1.0, |weights| weights[row])
    }

    /// The scores to begin with: the logarithm of each class's weighted share, or the number that is best for all rows.
    fn base_scores(&self) -> Vec<f32> {
        match self.goal {
            Goal::Classes { classes, weights } => {
                let mut sums = vec![0.0; weights.len()];
                for (row, &class) in classes.iter().enumerate() {
                    let class = usize::from(class);
                    sums[class] += weights[class] * self.row_weight(row);
                }
                let total: f64 = sums.iter().sum();
                // A class without rows in this fold starts as rare as half a row.
                sums.iter()
                    .map(|weight| (weight.max(0.5) / total).ln() as f32)
                    .collect()
            }
            Goal::Numbers { truth, loss } => {
                let weighted = |row: usize| (f64::from(truth[row]), self.row_weight(row));
                let weighted: Vec<(f64, f64)> = (0..truth.len()).map(weighted).collect();
                vec![match loss {
                    NumberLoss::SquaredError => weighted_mean(&weighted, 0.0),
                    NumberLoss::AbsoluteError | NumberLoss::Huber => weighted_median(weighted),
                } as f32]
            }
        }
    }
}

/// The mean, drawn towards 0 as if so much more weight were there; 0 without any weight.
fn weighted_mean(weighted: &[(f64, f64)], more: f64) -> f64 {
    let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    let sum: f64 = weighted.iter().map(|(value, weight)| value * weight).sum();
    if total > 0.0 { sum / (total + more) } else { 0.0 }
}

/// Fits the trees and returns them with the gain of each column.
pub(crate) fn fit(
    lesson: Lesson<'_>,
    params: &GradientBoostingParams,
    monotone: &[i8],
    seed: u64,
    progress: &dyn Progress,
) -> Result<(Ensemble, Vec<f64>), Error> {
    let base = lesson.base_scores();
    let class_count = base.len();
    let row_count = lesson.binned.row_count;
    // With two classes one tree moves both scores, in opposite directions.
    let tree_classes: Vec<u16> = if class_count == 2 {
        vec![1]
    } else {
        (0..class_count as u16).collect()
    };
    let mut boosting = Boosting {
        lesson,
        params,
        monotone,
        seed,
        dither: dither(row_count, seed),
        scores: base.iter().map(|&base| vec![base; row_count]).collect(),
        set_count: 0,
    };
    let (learning, held_out) = boosting.hold_out()?;
    let mut importance = vec![0.0; lesson.binned.columns.len()];
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
    let softmax = class_count > 1;
    Ok((Ensemble::new(trees, lesson.binned, base, softmax), importance))
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
    lesson: Lesson<'a>,
    params: &'a GradientBoostingParams,
    /// For each column: 1 when the score of the tree's class must not fall with it, -1 when it must not rise.
    monotone: &'a [i8],
    seed: u64,
    dither: Vec<f32>,
    /// Scores of the rows, class after class; the only ones of numbers are the predictions.
    scores: Vec<Vec<f32>>,
    /// Sets of categories in the trees so far.
    set_count: usize,
}

impl Boosting<'_> {
    /// Parts the rows in those to learn from and those that tell when to stop.
    fn hold_out(&self) -> Result<(Vec<u32>, Vec<u32>), Error> {
        let row_count = self.lesson.binned.row_count;
        if self.params.n_iter_no_change.is_none() {
            return Ok(((0..row_count as u32).collect(), Vec::new()));
        }
        let fraction = self.params.validation_fraction;
        let (learning, held_out) = match self.lesson.goal {
            Goal::Classes { classes, .. } => split::hold_out(classes, self.scores.len(), fraction, self.seed),
            Goal::Numbers { .. } => split::hold_out(&vec![0; row_count], 1, fraction, self.seed),
        };
        if held_out.is_empty() {
            let message = format!("{fraction} of {row_count} rows is no row to stop by");
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
        let others = others(&rows, self.lesson.binned.row_count);
        let slopes = self.slopes(&rows, round);
        let may_group = self.set_count + tree_classes.len() * self.params.max_leaf_nodes <= MAX_SETS;
        let this = &*self;
        let grow = |&class: &u16| {
            let (gradients, scale, longest_step) = match &slopes {
                Slopes::Classes { normalisers } => {
                    let scale = Scale::new(rows.len(), this.heaviest(), this.factor());
                    let gradients = this.gradients(usize::from(class), normalisers, round, scale);
                    (Cow::Owned(gradients), scale, LONGEST_STEP)
                }
                Slopes::Numbers { gradients, scale, .. } => (Cow::Borrowed(gradients), *scale, f64::INFINITY),
            };
            let grower = Grower::new(this.lesson.binned, this.params, &gradients, scale)
                .with_columns(&columns, this.monotone, may_group)
                .with_longest_step(longest_step);
            let (mut tree, leaves, rows, gains) = grower.grow(rows.clone());
            let moves = this.finish(&mut tree, &leaves, rows, &others, class, &slopes);
            (Grown { tree, gains }, moves)
        };
        let grown: Vec<(Grown, Moves)> = tree_classes.par_iter().map(grow).collect();
        let score_count = self.scores.len();
        let move_scores = |(scores, class): (&mut Vec<f32>, usize)| match score_count {
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
        let mut columns: Vec<usize> = (0..self.lesson.binned.columns.len()).collect();
        if self.params.colsample_bytree < 1.0 {
            let count = (columns.len() as f64 * self.params.colsample_bytree).round() as usize;
            random.shuffle(&mut columns);
            columns.truncate(count.max(1));
            columns.sort_unstable();
        }
        columns
    }

    fn heaviest(&self) -> f64 {
        let greatest = |weights: &[f64]| weights.iter().copied().fold(0.0, f64::max);
        let of_class = match self.lesson.goal {
            Goal::Classes { weights, .. } => greatest(weights),
            Goal::Numbers { .. } => 1.0,
        };
        of_class * self.lesson.row_weights.map_or(1.0, greatest)
    }

    /// Friedman's factor for the redundant class; with two classes the score is half the log odds.
    fn factor(&self) -> f64 {
        match self.scores.len() {
            2 => 2.0,
            classes => classes as f64 / (classes as f64 - 1.0),
        }
    }

    /// What the gradients of a round need, or are.
    fn slopes(&self, rows: &[u32], round: usize) -> Slopes {
        match self.lesson.goal {
            Goal::Classes { .. } => Slopes::Classes {
                normalisers: self.normalisers(),
            },
            Goal::Numbers { truth, loss } => self.number_slopes(rows, truth, loss, round),
        }
    }

    /// The logarithm of each row's summed exponentials.
    fn normalisers(&self) -> Vec<f32> {
        let mut normalisers = vec![0.0; self.lesson.binned.row_count];
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
        let Goal::Classes { classes, weights } = self.lesson.goal else {
            unreachable!("only classes have normalisers")
        };
        let mut gradients = vec![0; normalisers.len()];
        let (factor, shift) = (self.factor() as f32, shift(round));
        let weights: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
        let block = |(block, slots): (usize, &mut [u64])| {
            let rows = block * BLOCK..block * BLOCK + slots.len();
            let mut shares = [0.0f32; BLOCK];
            let scores = self.scores[class][rows.clone()]
                .iter()
                .zip(&normalisers[rows.clone()]);
            for (share, (&score, &normaliser)) in shares.iter_mut().zip(scores) {
                *share = exp(score - normaliser);
            }
            let first = rows.start;
            let rows = classes[rows.clone()].iter().zip(&self.dither[rows]);
            for (row, ((slot, &share), (&truth, &dither))) in
                slots.iter_mut().zip(&shares).zip(rows).enumerate()
            {
                let mut weight = weights[usize::from(truth)];
                if let Some(weights) = self.lesson.row_weights {
                    weight *= weights[first + row] as f32;
                }
                let hit = f32::from(u8::from(usize::from(truth) == class));
                let share = share.min(1.0);
                *slot = scale.pack(
                    weight * (share - hit),
                    weight * factor * share * (1.0 - share),
                    turned(dither, shift),
                );
            }
        };
        gradients.par_chunks_mut(BLOCK).enumerate().for_each(block);
        gradients
    }

    /// Gradients of a loss of numbers, packed for the histograms; `rows` are those of this round.
    fn number_slopes(&self, rows: &[u32], truth: &[f32], loss: NumberLoss, round: usize) -> Slopes {
        let error = |row: usize| self.scores[0][row] - truth[row];
        let limit = match loss {
            NumberLoss::SquaredError => f32::INFINITY,
            NumberLoss::AbsoluteError => 0.0,
            NumberLoss::Huber => {
                let size = |&row: &u32| f64::from(error(row as usize).abs());
                let mut sizes: Vec<f64> = rows.iter().map(size).collect();
                sizes.sort_unstable_by(f64::total_cmp);
                quantile(&sizes, HUBER_SHARE) as f32
            }
        };
        let slope = |row: usize| {
            let error = error(row);
            let slope = match loss {
                NumberLoss::SquaredError => error,
                NumberLoss::AbsoluteError if error == 0.0 => 0.0,
                NumberLoss::AbsoluteError => error.signum(),
                NumberLoss::Huber => error.clamp(-limit, limit),
            };
            let weight = self.lesson.row_weight(row) as f32;
            (slope * weight, weight)
        };
        let steepest = (0..truth.len())
            .into_par_iter()
            .map(|row| slope(row).0.abs())
            .reduce(|| f32::MIN_POSITIVE, f32::max);
        let scale = Scale::of_numbers(rows.len(), f64::from(steepest), self.heaviest(), MAX_STEPS);
        let mut gradients = vec![0; truth.len()];
        let shift = shift(round);
        let pack = |(row, slot): (usize, &mut u64)| {
            let (first, second) = slope(row);
            *slot = scale.pack(first, second, turned(self.dither[row], shift));
        };
        gradients
            .par_iter_mut()
            .with_min_len(BLOCK)
            .enumerate()
            .for_each(pack);
        Slopes::Numbers {
            gradients,
            scale,
            limit: f64::from(limit),
        }
    }

    /// The value of a leaf of numbers from its rows as they are, which the packed gradients know only roughly.
    fn number_value(&self, rows: &[u32], truth: &[f32], loss: NumberLoss, limit: f64) -> f64 {
        let left = |&row: &u32| {
            let row = row as usize;
            (
                f64::from(truth[row]) - f64::from(self.scores[0][row]),
                self.lesson.row_weight(row),
            )
        };
        let left: Vec<(f64, f64)> = rows.iter().map(left).collect();
        let penalty = self.params.l2_regularization;
        match loss {
            NumberLoss::SquaredError => weighted_mean(&left, penalty),
            NumberLoss::AbsoluteError | NumberLoss::Huber => {
                let median = weighted_median(left.clone());
                let beyond = |(value, weight): &(f64, f64)| ((value - median).clamp(-limit, limit), *weight);
                let beyond: Vec<(f64, f64)> = left.iter().map(beyond).collect();
                let total: f64 = left.iter().map(|(_, weight)| weight).sum();
                let shrinking = if penalty > 0.0 {
                    total / (total + penalty)
                } else {
                    1.0
                };
                (median + weighted_mean(&beyond, 0.0)) * shrinking
            }
        }
    }

    /// Writes the leaves' values into the tree and returns how far each row's score moves.
    fn finish(
        &self,
        tree: &mut Tree,
        leaves: &[Leaf],
        rows: Vec<u32>,
        others: &[u32],
        class: u16,
        slopes: &Slopes,
    ) -> Moves {
        let mut moves = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            let value = match (self.lesson.goal, slopes) {
                (Goal::Numbers { truth, loss }, Slopes::Numbers { limit, .. }) => self
                    .number_value(&rows[leaf.begin..leaf.end], truth, loss, *limit)
                    .clamp(leaf.bounds[0], leaf.bounds[1]),
                _ => leaf.value,
            };
            let value = (value * self.params.learning_rate) as f32;
            let begin = tree.values.len() as u32;
            tree.values.push(LeafValue { class, value });
            if self.scores.len() == 2 {
                tree.values.push(LeafValue {
                    class: 0,
                    value: -value,
                });
            }
            tree.close_leaf((leaf.end - leaf.begin) as u32);
            tree.nodes[leaf.node] = Node::leaf(begin, tree.values.len() as u16 - begin as u16);
            moves.push((value, leaf.begin..leaf.end));
        }
        let walked: Vec<f32> = others
            .par_iter()
            .map(|&row| walk(tree, self.lesson.binned, row))
            .collect();
        Moves {
            rows,
            moves,
            walked: others.iter().copied().zip(walked).collect(),
        }
    }

    /// The mean loss of some rows.
    fn loss(&self, rows: &[u32]) -> f64 {
        let (mut sum, mut total) = (0.0, 0.0);
        for &row in rows {
            let row = row as usize;
            let (weight, loss) = match self.lesson.goal {
                Goal::Classes { classes, weights } => {
                    let truth = usize::from(classes[row]);
                    let scores = || self.scores.iter().map(|scores| f64::from(scores[row]));
                    let largest = scores().fold(f64::MIN, f64::max);
                    let exponentials: f64 = scores().map(|score| (score - largest).exp()).sum();
                    let loss = largest + exponentials.ln() - f64::from(self.scores[truth][row]);
                    (weights[truth], loss)
                }
                Goal::Numbers { truth, loss } => {
                    let error = f64::from(self.scores[0][row]) - f64::from(truth[row]);
                    let loss = match loss {
                        NumberLoss::SquaredError => error * error,
                        // The limit of the Huber loss moves from round to round, so that it cannot tell when to stop.
                        NumberLoss::AbsoluteError | NumberLoss::Huber => error.abs(),
                    };
                    (1.0, loss)
                }
            };
            let weight = weight * self.lesson.row_weight(row);
            sum += weight * loss;
            total += weight;
        }
        if total > 0.0 { sum / total } else { 0.0 }
    }
}

/// The gradients of a round.
enum Slopes {
    /// Each class's are computed from these, see [`Boosting::normalisers`].
    Classes { normalisers: Vec<f32> },
    Numbers {
        gradients: Vec<u64>,
        scale: Scale,
        /// How far from the others of its leaf an error counts in full.
        limit: f64,
    },
}

/// How far the dither of every row is turned in a round, so that over the rounds it is even for each row.
fn shift(round: usize) -> f32 {
    (round as f64 * 0.618_033_988_749_894_9).fract() as f32
}

#[inline]
fn turned(dither: f32, shift: f32) -> f32 {
    let dither = dither + shift;
    if dither >= 0.5 { dither - 1.0 } else { dither }
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
