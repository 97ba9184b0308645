//! More rows of small classes, fewer of large ones: for the rows that are learned from, never for those that are
//! measured on.
//!
//! Neighbours are the nearest rows by the squared differences of the scaled numbers. Texts that differ add, as in
//! SMOTE-NC, the squared median of the deviations of the numbers within the class.

use crate::config::{Resampling, ResamplingMethod};
use crate::prepare::{Matrix, Preparation, PreparedColumn};
use crate::random::Random;
use crate::target::{Target, Truth};
use crate::{Error, Progress};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Most pairs of rows that are compared with each other.
const MAX_PAIRS: u64 = 20_000_000_000;

/// Rows that a step keeps, in their order and perhaps more than once, and rows that it makes.
#[derive(Default)]
struct Step {
    kept: Vec<usize>,
    made: Vec<(Vec<f32>, u16)>,
}

/// Applies all steps in their order.
pub(crate) fn resample(
    steps: &[Resampling],
    preparation: &Preparation,
    mut matrix: Matrix,
    mut target: Target,
    seed: u64,
    progress: &dyn Progress,
) -> Result<(Matrix, Target), Error> {
    for (number, step) in steps.iter().enumerate() {
        crate::progress::check_cancelled(progress)?;
        let Truth::Classes(classes) = &target.truth else {
            return Err(Error::config("resampling", "numbers have no classes to balance"));
        };
        let sample = Sample {
            step,
            preparation,
            matrix: &matrix,
            classes,
            by_class: by_class(classes, target.labels.len()),
        };
        let done = sample.run(Random::derive(seed, &[number as u64]))?;
        let mut next = target.select(&done.kept);
        matrix = matrix.select(&done.kept);
        if let Truth::Classes(classes) = &mut next.truth {
            classes.extend(done.made.iter().map(|(_, class)| *class));
        }
        match &mut next.weights {
            Some(_) if !done.made.is_empty() => {
                let message = "rows that are made up have no weight; use random_over or class weights";
                return Err(Error::config(format!("resampling[{number}].method"), message));
            }
            _ => {}
        }
        for (row, _) in done.made {
            matrix.values.extend(row);
            matrix.row_count += 1;
        }
        target = next;
    }
    Ok((matrix, target))
}

fn by_class(classes: &[u16], class_count: usize) -> Vec<Vec<usize>> {
    let mut by_class = vec![Vec::new(); class_count];
    for (row, &class) in classes.iter().enumerate() {
        by_class[usize::from(class)].push(row);
    }
    by_class
}

struct Sample<'a> {
    step: &'a Resampling,
    preparation: &'a Preparation,
    matrix: &'a Matrix,
    classes: &'a [u16],
    by_class: Vec<Vec<usize>>,
}

impl Sample<'_> {
    fn run(&self, mut random: Random) -> Result<Step, Error> {
        match self.step.method {
            ResamplingMethod::RandomOver => Ok(self.random_over(&mut random)),
            ResamplingMethod::RandomUnder => Ok(self.random_under(&mut random)),
            ResamplingMethod::TomekLinks => self.without_tomek_links(),
            ResamplingMethod::EditedNeighbours => self.edited_neighbours(),
            ResamplingMethod::Smote
            | ResamplingMethod::SmoteNc
            | ResamplingMethod::BorderlineSmote
            | ResamplingMethod::Adasyn => self.make_rows(&mut random),
        }
    }

    fn all_rows(&self) -> Vec<usize> {
        (0..self.classes.len()).collect()
    }

    /// How many rows each class lacks to be as large as asked, for those that have any.
    fn lacking(&self) -> Vec<(u16, usize)> {
        let largest = self.by_class.iter().map(Vec::len).max().unwrap_or(0);
        let wanted = (largest as f64 * self.step.ratio).round() as usize;
        let lacks = |(class, rows): (usize, &Vec<usize>)| (class as u16, wanted.saturating_sub(rows.len()));
        self.by_class
            .iter()
            .enumerate()
            .filter(|(_, rows)| !rows.is_empty())
            .map(lacks)
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn random_over(&self, random: &mut Random) -> Step {
        let mut kept = self.all_rows();
        for (class, count) in self.lacking() {
            let rows = &self.by_class[usize::from(class)];
            kept.extend((0..count).map(|_| rows[random.below(rows.len())]));
        }
        Step {
            kept,
            made: Vec::new(),
        }
    }

    fn random_under(&self, random: &mut Random) -> Step {
        let smallest = self
            .by_class
            .iter()
            .map(Vec::len)
            .filter(|&count| count > 0)
            .min();
        let wanted = (smallest.unwrap_or(0) as f64 / self.step.ratio).round() as usize;
        let mut kept = Vec::new();
        for rows in &self.by_class {
            let mut rows = rows.clone();
            if rows.len() > wanted {
                random.shuffle(&mut rows);
                rows.truncate(wanted);
            }
            kept.extend(rows);
        }
        kept.sort_unstable();
        Step {
            kept,
            made: Vec::new(),
        }
    }

    /// The smallest class, the first of equals; its rows are never left out.
    fn smallest_class(&self) -> u16 {
        let sizes = self.by_class.iter().map(Vec::len).enumerate();
        let smallest = sizes.filter(|(_, size)| *size > 0).min_by_key(|(_, size)| *size);
        smallest.map_or(0, |(class, _)| class as u16)
    }

    /// Leaves out rows of larger classes that are, each of the other, the nearest neighbour of a row of another class.
    fn without_tomek_links(&self) -> Result<Step, Error> {
        let space = Space::new(self, None);
        let rows = self.all_rows();
        let nearest = space.neighbours(&rows, &rows, 1)?;
        let smallest = self.smallest_class();
        let is_linked = |row: usize| {
            let other = nearest[row].first().copied();
            other.is_some_and(|other| {
                self.classes[other] != self.classes[row] && nearest[other].first() == Some(&row)
            })
        };
        let stays = |row: &usize| self.classes[*row] == smallest || !is_linked(*row);
        Ok(Step {
            kept: rows.iter().copied().filter(stays).collect(),
            made: Vec::new(),
        })
    }

    /// Leaves out rows of larger classes that have a neighbour of another class.
    fn edited_neighbours(&self) -> Result<Step, Error> {
        let space = Space::new(self, None);
        let rows = self.all_rows();
        let nearest = space.neighbours(&rows, &rows, self.step.n_neighbors)?;
        let smallest = self.smallest_class();
        let agree = |row: usize| {
            nearest[row]
                .iter()
                .all(|&other| self.classes[other] == self.classes[row])
        };
        let stays = |row: &usize| self.classes[*row] == smallest || agree(*row);
        let kept: Vec<usize> = rows.iter().copied().filter(stays).collect();
        // A class must not vanish.
        let lost = |class: &Vec<usize>| {
            !class.is_empty()
                && kept
                    .iter()
                    .all(|&row| self.classes[row] != self.classes[class[0]])
        };
        if self.by_class.iter().any(lost) {
            let message =
                "every row of a class has a neighbour of another class; nothing of it would be left";
            return Err(Error::config("resampling", message));
        }
        Ok(Step {
            kept,
            made: Vec::new(),
        })
    }

    /// Makes rows between those of a small class and their neighbours of the same class.
    fn make_rows(&self, random: &mut Random) -> Result<Step, Error> {
        let mut step = Step {
            kept: self.all_rows(),
            made: Vec::new(),
        };
        for (class, count) in self.lacking() {
            let own = &self.by_class[usize::from(class)];
            if own.len() < 2 {
                let message =
                    "a class has 1 training row, which has no neighbour of its class to make rows with";
                return Err(Error::config("resampling", message));
            }
            let space = Space::new(self, Some(own));
            let bases = self.bases(&space, own, class, count, random)?;
            let mut distinct = bases.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let nearest = space.neighbours(&distinct, own, self.step.k_neighbors)?;
            let nearest: BTreeMap<usize, Vec<usize>> = distinct.into_iter().zip(nearest).collect();
            for base in bases {
                let row = self.between(base, &nearest[&base], random);
                step.made.push((row, class));
            }
        }
        Ok(step)
    }

    /// The rows that new ones are made from, one for each new row.
    fn bases(
        &self,
        space: &Space,
        own: &[usize],
        class: u16,
        count: usize,
        random: &mut Random,
    ) -> Result<Vec<usize>, Error> {
        let others_near = |count: usize| -> Result<Vec<(usize, usize)>, Error> {
            let nearest = space.neighbours(own, &self.all_rows(), count)?;
            let others = |near: &Vec<usize>| near.iter().filter(|&&row| self.classes[row] != class).count();
            Ok(nearest.iter().map(|near| (others(near), near.len())).collect())
        };
        let mut draw = |from: &[usize]| (0..count).map(|_| from[random.below(from.len())]).collect();
        match self.step.method {
            ResamplingMethod::BorderlineSmote => {
                let others = others_near(self.step.m_neighbors)?;
                let in_danger = |(others, all): &(usize, usize)| 2 * others >= *all && others < all;
                let danger: Vec<usize> = own
                    .iter()
                    .zip(&others)
                    .filter(|(_, others)| in_danger(others))
                    .map(|(&row, _)| row)
                    .collect();
                // Where no row is at the border, none is made.
                Ok(if danger.is_empty() {
                    Vec::new()
                } else {
                    draw(&danger)
                })
            }
            ResamplingMethod::Adasyn => {
                let others = others_near(self.step.k_neighbors)?;
                let share = |&(others, all): &(usize, usize)| others as f64 / all.max(1) as f64;
                let total: f64 = others.iter().map(share).sum();
                let repeated = |(&row, others): (&usize, &(usize, usize))| {
                    let number = (share(others) / total * count as f64).round_ties_even() as usize;
                    std::iter::repeat_n(row, number)
                };
                // Where no row has a neighbour of another class, none is made.
                Ok(if total > 0.0 {
                    own.iter().zip(&others).flat_map(repeated).collect()
                } else {
                    Vec::new()
                })
            }
            _ => Ok(draw(own)),
        }
    }

    /// A row on the way to a neighbour; its texts are those that most neighbours have, the nearest first of equals.
    fn between(&self, base: usize, nearest: &[usize], random: &mut Random) -> Vec<f32> {
        let other = nearest[random.below(nearest.len())];
        let way = random.unit();
        let column = |(position, prepared): (usize, &PreparedColumn)| match prepared {
            PreparedColumn::Numeric(_) | PreparedColumn::Encoded(_) | PreparedColumn::Date(_) => {
                let (from, to) = (self.matrix.row(base)[position], self.matrix.row(other)[position]);
                (f64::from(from) + way * (f64::from(to) - f64::from(from))) as f32
            }
            PreparedColumn::Categorical(_) => {
                let code = |row: &usize| self.matrix.row(*row)[position];
                let count = |wanted: f32| nearest.iter().filter(|row| code(row) == wanted).count();
                let mut best = code(&nearest[0]);
                for row in nearest {
                    if count(code(row)) > count(best) {
                        best = code(row);
                    }
                }
                best
            }
        };
        self.preparation.columns.iter().enumerate().map(column).collect()
    }
}

/// Where rows lie: scaled numbers, and codes of texts.
struct Space {
    numbers: Vec<f64>,
    number_count: usize,
    texts: Vec<u8>,
    text_count: usize,
    /// What a text that differs adds to a squared distance.
    difference: f64,
}

impl Space {
    /// `within` are the rows whose deviations say how far texts that differ are apart; all rows by default.
    fn new(sample: &Sample<'_>, within: Option<&[usize]>) -> Self {
        let columns = &sample.preparation.columns;
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for row in 0..sample.matrix.row_count {
            for (column, &value) in columns.iter().zip(sample.matrix.row(row)) {
                match column.number() {
                    Some(column) => numbers.push(column.scaled(value)),
                    None => texts.push(value as u8),
                }
            }
        }
        let number_count = columns.iter().filter(|column| column.number().is_some()).count();
        let all: Vec<usize> = (0..sample.matrix.row_count).collect();
        let within = within.unwrap_or(&all);
        let deviation = |position: usize| {
            let values = || within.iter().map(|row| numbers[row * number_count + position]);
            let mean = values().sum::<f64>() / within.len() as f64;
            (values().map(|value| (value - mean).powi(2)).sum::<f64>() / within.len() as f64).sqrt()
        };
        let mut deviations: Vec<f64> = (0..number_count).map(deviation).collect();
        deviations.sort_unstable_by(f64::total_cmp);
        // Without numbers only the count of texts that differ matters.
        let median = if deviations.is_empty() {
            1.0
        } else {
            crate::metrics::quantile(&deviations, 0.5)
        };
        Self {
            numbers,
            number_count,
            texts,
            text_count: columns.len() - number_count,
            difference: median * median,
        }
    }

    fn distance(&self, one: usize, two: usize) -> f64 {
        let numbers = |row: usize| &self.numbers[row * self.number_count..(row + 1) * self.number_count];
        let texts = |row: usize| &self.texts[row * self.text_count..(row + 1) * self.text_count];
        let squares: f64 = numbers(one)
            .iter()
            .zip(numbers(two))
            .map(|(one, two)| (one - two) * (one - two))
            .sum();
        let different = texts(one)
            .iter()
            .zip(texts(two))
            .filter(|(one, two)| one != two)
            .count();
        squares + self.difference * different as f64
    }

    /// Returns the nearest rows of `among` to each of `rows`, not counting itself, the earlier one of equals first.
    fn neighbours(&self, rows: &[usize], among: &[usize], count: usize) -> Result<Vec<Vec<usize>>, Error> {
        let pairs = rows.len() as u64 * among.len() as u64;
        if pairs > MAX_PAIRS {
            let message = format!(
                "{} rows would be compared with {} others, which takes too long; use random_over or random_under",
                rows.len(),
                among.len()
            );
            return Err(Error::config("resampling", message));
        }
        if self.numbers.iter().any(|number| number.is_nan()) {
            let message = "rows with missing numbers have no neighbours; fill them";
            return Err(Error::config("preparation.numeric.imputer", message));
        }
        let nearest = |&row: &usize| {
            let mut others: Vec<(f64, usize)> = among
                .iter()
                .filter(|&&other| other != row)
                .map(|&other| (self.distance(row, other), other))
                .collect();
            let nearer =
                |one: &(f64, usize), two: &(f64, usize)| one.0.total_cmp(&two.0).then(one.1.cmp(&two.1));
            if others.len() > count {
                others.select_nth_unstable_by(count, nearer);
                others.truncate(count);
            }
            others.sort_unstable_by(nearer);
            others.into_iter().map(|(_, other)| other).collect()
        };
        Ok(rows.par_iter().map(nearest).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Label;
    use crate::NoProgress;
    use crate::config::PreparationConfig;
    use crate::table::{Categorical, Column, Table};
    use serde_json::{Value, json};

    /// Rows of two numbers and a text, unscaled, with their classes.
    fn rows(rows: &[(f64, f64, u32, u16)]) -> (Preparation, Matrix, Target) {
        let words = ["a", "b", "c"].map(str::to_owned).to_vec();
        let codes = rows.iter().map(|row| row.2).collect();
        let table = Table::new(vec![
            (
                "x".into(),
                Column::Numeric(rows.iter().map(|row| row.0).collect()),
            ),
            (
                "y".into(),
                Column::Numeric(rows.iter().map(|row| row.1).collect()),
            ),
            (
                "w".into(),
                Column::Categorical(Categorical::new(words, codes).unwrap()),
            ),
        ])
        .unwrap();
        let config: PreparationConfig =
            serde_json::from_value(json!({ "numeric": { "scaler": "none" } })).unwrap();
        let target = Target {
            labels: Vec::new(),
            truth: Truth::Numbers(vec![0.0; rows.len()]),
            weights: None,
        };
        let (preparation, matrix) = Preparation::fit(&table, &target, &config, 0, &NoProgress).unwrap();
        let classes: Vec<u16> = rows.iter().map(|row| row.3).collect();
        let count = i64::from(*classes.iter().max().unwrap()) + 1;
        let target = Target {
            labels: (0..count).map(Label::Integer).collect(),
            truth: Truth::Classes(classes),
            weights: None,
        };
        (preparation, matrix, target)
    }

    fn run(step: Value, (preparation, matrix, target): &(Preparation, Matrix, Target)) -> (Matrix, Vec<u16>) {
        let steps: Vec<Resampling> = serde_json::from_value(json!([step])).unwrap();
        let (matrix, target) = resample(
            &steps,
            preparation,
            matrix.clone(),
            target.clone(),
            7,
            &NoProgress,
        )
        .unwrap();
        let Truth::Classes(classes) = target.truth else {
            panic!("classes")
        };
        assert_eq!(matrix.row_count, classes.len());
        assert_eq!(matrix.values.len(), classes.len() * matrix.width);
        (matrix, classes)
    }

    fn counts(classes: &[u16]) -> Vec<usize> {
        by_class(classes, 3).iter().map(Vec::len).collect()
    }

    /// Six rows of class 0 near the origin, three of class 1 far away, two of class 2 still farther.
    fn three_classes() -> (Preparation, Matrix, Target) {
        rows(&[
            (0.0, 0.0, 0, 0),
            (0.0, 1.0, 0, 0),
            (1.0, 0.0, 1, 0),
            (1.0, 1.0, 0, 0),
            (2.0, 0.0, 1, 0),
            (0.0, 2.0, 0, 0),
            (10.0, 10.0, 1, 1),
            (10.0, 12.0, 1, 1),
            (12.0, 10.0, 2, 1),
            (30.0, 30.0, 2, 2),
            (34.0, 30.0, 2, 2),
        ])
    }

    #[test]
    fn random_rows_are_repeated_or_left_out_until_classes_are_alike() {
        let whole = three_classes();
        let (matrix, classes) = run(json!({ "method": "random_over" }), &whole);
        assert_eq!(counts(&classes), [6, 6, 6]);
        assert_eq!(matrix.values[..whole.1.values.len()], whole.1.values);
        let known: Vec<&[f32]> = (0..11).map(|row| whole.1.row(row)).collect();
        assert!((11..18).all(|row| known.contains(&matrix.row(row))));
        let (_, classes) = run(json!({ "method": "random_over", "ratio": 0.5 }), &whole);
        assert_eq!(counts(&classes), [6, 3, 3]);
        let (_, classes) = run(json!({ "method": "random_under" }), &whole);
        assert_eq!(counts(&classes), [2, 2, 2]);
        let (_, classes) = run(json!({ "method": "random_under", "ratio": 0.5 }), &whole);
        assert_eq!(counts(&classes), [4, 3, 2]);
    }

    #[test]
    fn smote_makes_rows_between_rows_of_the_class() {
        let whole = three_classes();
        for method in ["smote", "smote_nc"] {
            let (matrix, classes) = run(json!({ "method": method }), &whole);
            assert_eq!(counts(&classes), [6, 6, 6]);
            for (row, class) in classes.iter().enumerate().skip(11) {
                let [x, y, word] = matrix.row(row) else {
                    panic!("three columns")
                };
                if *class == 2 {
                    // Between two rows on a line, both of word c.
                    assert!(
                        (30.0..=34.0).contains(x) && *y == 30.0 && *word == 2.0,
                        "{x} {y} {word}"
                    );
                } else {
                    // On a side of the triangle.
                    let on_a_side = *x == 10.0 || *y == 10.0 || (x + y - 22.0).abs() < 1e-5;
                    assert!(
                        on_a_side && (10.0..=12.0).contains(x) && (10.0..=12.0).contains(y),
                        "{x} {y}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_made_row_has_the_text_of_most_neighbours() {
        let whole = rows(&[
            (0.0, 0.0, 0, 0),
            (0.1, 0.0, 0, 0),
            (0.2, 0.0, 0, 0),
            (0.3, 0.0, 0, 0),
            (0.4, 0.0, 0, 0),
            (0.5, 0.0, 0, 0),
            (5.0, 5.0, 0, 1),
            (5.0, 6.0, 1, 1),
            (6.0, 5.0, 1, 1),
            (6.0, 6.0, 1, 1),
        ]);
        let (matrix, classes) = run(json!({ "method": "smote", "k_neighbors": 3 }), &whole);
        assert_eq!(counts(&classes)[..2], [6, 6]);
        // Each of the four has at least two neighbours with word b among its three.
        assert!((10..12).all(|row| matrix.row(row)[2] == 1.0));
    }

    #[test]
    fn borderline_smote_starts_from_rows_at_the_border_only() {
        // Class 1: two rows amid class 0, and a far group. Of their two neighbours one is of class 0 for the former, none for
        // the latter.
        let whole = rows(&[
            (0.0, 0.0, 0, 0),
            (0.0, 1.0, 0, 0),
            (1.0, 0.0, 0, 0),
            (1.0, 1.0, 0, 0),
            (0.5, 2.0, 0, 0),
            (2.0, 0.5, 0, 0),
            (2.0, 2.0, 0, 0),
            (0.4, 0.5, 0, 1),
            (0.6, 0.5, 0, 1),
            (50.0, 0.0, 0, 1),
            (50.0, 1.0, 0, 1),
            (50.0, 2.0, 0, 1),
        ]);
        let step = json!({ "method": "borderline_smote", "k_neighbors": 1, "m_neighbors": 2 });
        let (matrix, classes) = run(step, &whole);
        assert_eq!(counts(&classes)[..2], [7, 7]);
        for row in 12..14 {
            let [x, y, _] = matrix.row(row) else {
                panic!("three columns")
            };
            assert!((0.4..=0.6).contains(x) && *y == 0.5, "{x} {y}");
        }
    }

    #[test]
    fn adasyn_makes_most_rows_where_the_other_class_is_near() {
        let whole = rows(&[
            (0.0, 0.0, 0, 0),
            (0.0, 1.0, 0, 0),
            (1.0, 0.0, 0, 0),
            (1.0, 1.0, 0, 0),
            (0.5, 1.5, 0, 0),
            (1.5, 0.5, 0, 0),
            (1.5, 1.5, 0, 0),
            (2.0, 1.0, 0, 0),
            (0.5, 0.5, 0, 1),
            (50.0, 0.0, 0, 1),
            (50.0, 0.1, 0, 1),
            (50.0, 0.2, 0, 1),
        ]);
        // Of the nearest two, the first row of class 1 has two of class 0, the others none: all rows start from it.
        let (matrix, classes) = run(json!({ "method": "adasyn", "k_neighbors": 2 }), &whole);
        assert_eq!(counts(&classes)[..2], [8, 8]);
        for row in 12..16 {
            let [x, y, _] = matrix.row(row) else {
                panic!("three columns")
            };
            // On the way from there to its nearest two of class 1.
            let way = (x - 0.5) / 49.5;
            let to = (y - 0.5 + 0.5 * way) / way;
            assert!((to - 0.1).abs() < 1e-3 || (to - 0.2).abs() < 1e-3, "{x} {y}");
        }
    }

    #[test]
    fn tomek_links_lose_their_row_of_the_larger_class() {
        // 3.0 and 3.1 are each other's nearest, of different classes; 0 and 0.5 are of the same.
        let whole = rows(&[
            (0.0, 0.0, 0, 0),
            (0.5, 0.0, 0, 0),
            (3.0, 0.0, 0, 0),
            (3.1, 0.0, 0, 1),
            (9.0, 0.0, 0, 1),
        ]);
        let (matrix, classes) = run(json!({ "method": "tomek_links" }), &whole);
        assert_eq!(classes, [0, 0, 1, 1]);
        assert_eq!(matrix.column(0).collect::<Vec<_>>(), [0.0, 0.5, 3.1, 9.0]);
    }

    #[test]
    fn edited_neighbours_lose_rows_of_larger_classes_amid_others() {
        let whole = rows(&[
            (0.0, 0.0, 0, 0),
            (0.1, 0.0, 0, 0),
            (0.2, 0.0, 0, 0),
            (5.0, 0.0, 0, 0),
            (5.1, 0.0, 0, 1),
            (5.2, 0.0, 0, 1),
            (5.3, 0.0, 0, 1),
        ]);
        let (matrix, _) = run(json!({ "method": "edited_neighbours", "n_neighbors": 2 }), &whole);
        assert_eq!(
            matrix.column(0).collect::<Vec<_>>(),
            [0.0, 0.1, 0.2, 5.1, 5.2, 5.3].map(|value: f64| value as f32)
        );
    }

    #[test]
    fn rows_that_cannot_be_made_are_refused() {
        let (preparation, matrix, mut target) = rows(&[(0.0, 0.0, 0, 0), (1.0, 0.0, 0, 0), (2.0, 0.0, 0, 1)]);
        let try_it = |method: &str, target: &Target| {
            let steps: Vec<Resampling> = serde_json::from_value(json!([{ "method": method }])).unwrap();
            let result = resample(
                &steps,
                &preparation,
                matrix.clone(),
                target.clone(),
                7,
                &NoProgress,
            );
            result.map(drop).unwrap_err().to_string()
        };
        assert_eq!(
            try_it("smote", &target),
            "resampling: a class has 1 training row, which has no neighbour of its class to make rows with"
        );
        target.truth = Truth::Numbers(vec![1.0, 2.0, 3.0]);
        assert_eq!(
            try_it("smote", &target),
            "resampling: numbers have no classes to balance"
        );
    }
}
