//! Which rows are learned from and which are held out: at random, by time, or by group.

use crate::config::{Folds, TrainConfig};
use crate::random::Random;
use crate::table::{Column, MISSING_CODE, Table};
use crate::target::Target;
use crate::{Error, split};
use std::collections::HashMap;

/// What rows are parted by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Parting {
    /// Classes keep their shares.
    Stratified,
    /// The place of each row's time among all times.
    Time(Vec<u32>),
    /// The group of each row.
    Group(Vec<u32>),
}

/// One fold; the rows are in rising order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FoldRows {
    pub(crate) learned: Vec<usize>,
    pub(crate) held_out: Vec<usize>,
}

impl Parting {
    /// Reads the column that rows are parted by.
    pub(crate) fn new(table: &Table, config: &TrainConfig) -> Result<Self, Error> {
        let (name, is_time) = match &config.search.folds {
            Folds::Stratified => return Ok(Self::Stratified),
            Folds::Time(name) => (name, true),
            Folds::Group(name) => (name, false),
        };
        let column = table.column(name)?;
        if let Some(row) = (0..column.len()).find(|&row| column.is_missing(row)) {
            let what = if is_time { "time" } else { "group" };
            return Err(Error::Cell {
                row: row + 1,
                column: name.clone(),
                message: format!("the {what} of search.folds is missing; leave such rows out of the table"),
            });
        }
        let places = places(column);
        Ok(if is_time {
            Self::Time(places)
        } else {
            Self::Group(places)
        })
    }

    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let pick = |values: &Vec<u32>| rows.iter().map(|&row| values[row]).collect();
        match self {
            Self::Stratified => Self::Stratified,
            Self::Time(places) => Self::Time(pick(places)),
            Self::Group(groups) => Self::Group(pick(groups)),
        }
    }

    /// Holds a share of the rows out: of each class, the latest ones, or whole groups; returns the rows to learn from and
    /// those held out.
    pub(crate) fn hold_out(
        &self,
        target: &Target,
        test_size: f64,
        seed: u64,
    ) -> Result<(Vec<usize>, Vec<usize>), Error> {
        match self {
            Self::Stratified => {
                let (strata, stratum_count) = target.strata();
                split::stratified_split(&strata, stratum_count, test_size, seed)
            }
            Self::Time(places) => {
                let order = by_time(places);
                let held_out = (order.len() as f64 * test_size).ceil() as usize;
                if held_out == 0 || held_out >= order.len() {
                    return Err(Error::Data(format!(
                        "{held_out} of {} rows held out: one side is too small",
                        order.len()
                    )));
                }
                let (learned, held_out) = order.split_at(order.len() - held_out);
                Ok((sorted(learned), sorted(held_out)))
            }
            Self::Group(groups) => {
                let mut names = groups.clone();
                names.sort_unstable();
                names.dedup();
                Random::derive(seed, &[]).shuffle(&mut names);
                let held_out = (names.len() as f64 * test_size).ceil() as usize;
                if names.len() < 2 || held_out >= names.len() {
                    let message = format!(
                        "{held_out} of {} groups held out: none would be left to learn from",
                        names.len()
                    );
                    return Err(Error::Data(message));
                }
                let names = &names[..held_out];
                let (held_out, learned) = (0..groups.len()).partition(|&row| names.contains(&groups[row]));
                Ok((learned, held_out))
            }
        }
    }

    /// Parts rows into folds: of each class alike; each time rows later than those that are learned from, as
    /// scikit-learn's `TimeSeriesSplit`; or whole groups, as its `GroupKFold`.
    pub(crate) fn folds(&self, target: &Target, count: usize, seed: u64) -> Result<Vec<FoldRows>, Error> {
        let rows = target.len();
        let held_out = match self {
            Self::Stratified => {
                let (strata, stratum_count) = target.strata();
                split::stratified_folds(&strata, stratum_count, count, seed)?
            }
            Self::Group(groups) => group_folds(groups, count)?,
            Self::Time(places) => {
                let order = by_time(places);
                let size = rows / (count + 1);
                if size == 0 {
                    let message = format!(
                        "{rows} training rows are too few for the {count} folds of search.cv, each later than rows to learn from"
                    );
                    return Err(Error::Data(message));
                }
                let fold = |fold: usize| {
                    let begin = rows - (count - fold) * size;
                    FoldRows {
                        learned: sorted(&order[..begin]),
                        held_out: sorted(&order[begin..begin + size]),
                    }
                };
                return Ok((0..count).map(fold).collect());
            }
        };
        let fold = |held_out: Vec<usize>| {
            let mut is_held_out = vec![false; rows];
            held_out.iter().for_each(|&row| is_held_out[row] = true);
            FoldRows {
                learned: (0..rows).filter(|&row| !is_held_out[row]).collect(),
                held_out,
            }
        };
        Ok(held_out.into_iter().map(fold).collect())
    }
}

/// The place of each value among all different ones, in order.
fn places(column: &Column) -> Vec<u32> {
    match column {
        Column::Numeric(values) => {
            let mut different = values.clone();
            different.sort_unstable_by(f64::total_cmp);
            different.dedup();
            let place = |value: &f64| different.partition_point(|other| other < value) as u32;
            values.iter().map(place).collect()
        }
        Column::Categorical(values) => {
            let mut different: Vec<&str> = values.dictionary().iter().map(String::as_str).collect();
            different.sort_unstable();
            let of_code: Vec<u32> = values
                .dictionary()
                .iter()
                .map(|text| different.partition_point(|other| *other < text.as_str()) as u32)
                .collect();
            let place = |&code: &u32| match code {
                MISSING_CODE => u32::MAX,
                code => of_code[code as usize],
            };
            values.codes().iter().map(place).collect()
        }
    }
}

/// Rows from the earliest to the latest; those of one time as they come in the table.
fn by_time(places: &[u32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&row| places[row]);
    order
}

fn sorted(rows: &[usize]) -> Vec<usize> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows
}

/// The largest group goes to the fold with the fewest rows, then the next one.
fn group_folds(groups: &[u32], count: usize) -> Result<Vec<Vec<usize>>, Error> {
    let mut sizes: HashMap<u32, usize> = HashMap::new();
    groups
        .iter()
        .for_each(|&group| *sizes.entry(group).or_default() += 1);
    if sizes.len() < count {
        let message = format!(
            "the training rows are of {} groups, fewer than the {count} folds of search.cv",
            sizes.len()
        );
        return Err(Error::Data(message));
    }
    let mut order: Vec<(u32, usize)> = sizes.into_iter().collect();
    order.sort_unstable_by_key(|&(group, size)| (std::cmp::Reverse(size), group));
    let mut totals = vec![0; count];
    let mut fold_of: HashMap<u32, usize> = HashMap::new();
    for (group, size) in order {
        let least = totals.iter().min().copied().unwrap_or(0);
        let fold = totals.iter().position(|&total| total == least).unwrap_or(0);
        totals[fold] += size;
        fold_of.insert(group, fold);
    }
    let mut folds = vec![Vec::new(); count];
    for (row, group) in groups.iter().enumerate() {
        folds[fold_of[group]].push(row);
    }
    Ok(folds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Truth;

    fn target(rows: usize) -> Target {
        Target {
            labels: Vec::new(),
            truth: Truth::Numbers(vec![0.0; rows]),
            weights: None,
        }
    }

    /// The folds of scikit-learn's `TimeSeriesSplit(n_splits=3)` on 10 rows in order.
    #[test]
    fn folds_by_time_learn_from_what_was_before() {
        let parting = Parting::Time(vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        let folds = parting.folds(&target(10), 3, 1).unwrap();
        let earliest_first = |rows: &[usize]| rows.iter().rev().map(|row| 9 - row).collect::<Vec<_>>();
        let parts: Vec<_> = folds
            .iter()
            .map(|fold| (fold.learned.len(), earliest_first(&fold.held_out)))
            .collect();
        assert_eq!(parts, [(4, vec![4, 5]), (6, vec![6, 7]), (8, vec![8, 9])]);
        assert_eq!(earliest_first(&folds[0].learned), [0, 1, 2, 3]);
        let (learned, held_out) = parting.hold_out(&target(10), 0.25, 1).unwrap();
        assert_eq!((learned.len(), held_out), (7, vec![0, 1, 2]));
    }

    /// The folds of scikit-learn's `GroupKFold(n_splits=2)`.
    #[test]
    fn folds_by_group_hold_out_whole_groups_of_like_size() {
        let groups = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3];
        let folds = Parting::Group(groups.to_vec()).folds(&target(10), 2, 1).unwrap();
        let held_out: Vec<_> = folds.iter().map(|fold| fold.held_out.clone()).collect();
        assert_eq!(held_out, [vec![0, 1, 2, 3, 9], vec![4, 5, 6, 7, 8]]);
        assert_eq!(folds[0].learned, [4, 5, 6, 7, 8]);
        let (learned, held_out) = Parting::Group(groups.to_vec())
            .hold_out(&target(10), 0.3, 7)
            .unwrap();
        let of = |rows: &[usize]| {
            rows.iter()
                .map(|&row| groups[row])
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert!(of(&learned).is_disjoint(&of(&held_out)));
        assert_eq!(of(&held_out).len(), 2);
    }

    #[test]
    fn too_few_groups_or_rows_are_refused() {
        let error = Parting::Group(vec![1, 1, 2]).folds(&target(3), 3, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the training rows are of 2 groups, fewer than the 3 folds of search.cv"
        );
        assert!(Parting::Time(vec![1, 2, 3]).folds(&target(3), 3, 1).is_err());
        assert!(Parting::Group(vec![1, 1]).hold_out(&target(2), 0.5, 1).is_err());
    }
}
