//! Holding rows out, with the share of each class kept.

use crate::Error;
use crate::random::Random;

/// Splits rows in two with the share of each class kept; both lists are in rising order.
///
/// `classes` holds the class of each row, as an index below `class_count`.
///
/// # Errors
/// A class has fewer than two rows, or one side would be smaller than the number of classes.
pub fn stratified_split(
    classes: &[u16],
    class_count: usize,
    test_size: f64,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), Error> {
    let mut random = Random::derive(seed, &[]);
    let by_class = shuffled_by_class(classes, class_count, &mut random);
    if by_class.iter().any(|rows| rows.len() < 2) {
        return Err(Error::Data(
            "a class has fewer than 2 rows, too few to hold one out".to_owned(),
        ));
    }
    let test_total = (classes.len() as f64 * test_size).ceil() as usize;
    if test_total < class_count || classes.len() - test_total < class_count {
        let message = format!(
            "{test_total} of {} rows held out: one side is too small",
            classes.len()
        );
        return Err(Error::Data(message));
    }
    Ok(part(&by_class, test_total))
}

/// Parts rows as [`stratified_split`] does, without asking that each class has rows on both sides.
pub(crate) fn hold_out(
    classes: &[u16],
    class_count: usize,
    share: f64,
    seed: u64,
) -> (Vec<usize>, Vec<usize>) {
    let mut random = Random::derive(seed, &[]);
    let by_class = shuffled_by_class(classes, class_count, &mut random);
    let total = (classes.len() as f64 * share).ceil() as usize;
    part(&by_class, total)
}

/// Returns a share of the rows of each class, at least one of those it has, in rising order. With the same seed a smaller
/// share is part of a larger one.
pub(crate) fn share_of(classes: &[u16], class_count: usize, share: f64, seed: u64) -> Vec<usize> {
    let mut random = Random::derive(seed, &[]);
    let by_class = shuffled_by_class(classes, class_count, &mut random);
    let mut taken: Vec<usize> = by_class
        .iter()
        .flat_map(|rows| {
            &rows[..((rows.len() as f64 * share).round() as usize).clamp(1.min(rows.len()), rows.len())]
        })
        .copied()
        .collect();
    taken.sort_unstable();
    taken
}

/// Takes `total` rows from all classes by their sizes; returns the rows left and those taken.
fn part(by_class: &[Vec<usize>], total: usize) -> (Vec<usize>, Vec<usize>) {
    let sizes: Vec<usize> = by_class.iter().map(Vec::len).collect();
    let quota = allocate(&sizes, total);
    let (mut left, mut taken) = (Vec::new(), Vec::new());
    for (rows, count) in by_class.iter().zip(quota) {
        // Each class keeps a row to learn from.
        let count = count.min(rows.len().saturating_sub(1));
        taken.extend_from_slice(&rows[..count]);
        left.extend_from_slice(&rows[count..]);
    }
    left.sort_unstable();
    taken.sort_unstable();
    (left, taken)
}

/// Shares `total` among classes by their sizes; what rounding leaves goes to the largest remainders.
fn allocate(sizes: &[usize], total: usize) -> Vec<usize> {
    let all: usize = sizes.iter().sum();
    let mut quota: Vec<usize> = sizes.iter().map(|&size| size * total / all.max(1)).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(sizes[class] * total % all.max(1)));
    let left = total - quota.iter().sum::<usize>();
    order.iter().take(left).for_each(|&class| quota[class] += 1);
    quota
}

/// Splits rows into folds with the share of each class kept; returns the rows of each fold in rising order.
///
/// # Errors
/// A class has fewer rows than there are folds.
pub fn stratified_folds(
    classes: &[u16],
    class_count: usize,
    folds: usize,
    seed: u64,
) -> Result<Vec<Vec<usize>>, Error> {
    let mut random = Random::derive(seed, &[]);
    let by_class = shuffled_by_class(classes, class_count, &mut random);
    if let Some(rows) = by_class.iter().find(|rows| rows.len() < folds) {
        let message = format!(
            "a class has {} training rows, fewer than the {folds} folds of search.cv",
            rows.len()
        );
        return Err(Error::Data(message));
    }
    let mut result = vec![Vec::new(); folds];
    // Dealing on where the class before ended keeps the folds equally large.
    for (dealt, row) in by_class.into_iter().flatten().enumerate() {
        result[dealt % folds].push(row);
    }
    result.iter_mut().for_each(|rows| rows.sort_unstable());
    Ok(result)
}

fn shuffled_by_class(classes: &[u16], class_count: usize, random: &mut Random) -> Vec<Vec<usize>> {
    let mut by_class = vec![Vec::new(); class_count];
    classes
        .iter()
        .enumerate()
        .for_each(|(row, &class)| by_class[usize::from(class)].push(row));
    by_class.iter_mut().for_each(|rows| random.shuffle(rows));
    by_class
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(rows: &[usize], classes: &[u16]) -> [usize; 3] {
        let mut counts = [0; 3];
        rows.iter()
            .for_each(|&row| counts[usize::from(classes[row])] += 1);
        counts
    }

    proptest! {
        #[test]
        fn every_row_lands_once_and_classes_keep_their_share(
            mut classes in prop::collection::vec(0u16..3, 30..200), seed in any::<u64>(), test_size in 0.15f64..0.8
        ) {
            classes.extend([0, 0, 0, 1, 1, 1, 2, 2, 2]);
            let (train, test) = stratified_split(&classes, 3, test_size, seed).unwrap();
            let mut all: Vec<usize> = train.iter().chain(&test).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..classes.len()).collect::<Vec<_>>());
            let (whole, held) = (counts(&(0..classes.len()).collect::<Vec<_>>(), &classes), counts(&test, &classes));
            let share = test.len() as f64 / classes.len() as f64;
            for class in 0..3 {
                prop_assert!((held[class] as f64 - whole[class] as f64 * share).abs() <= 1.5);
            }

            let folds = stratified_folds(&classes, 3, 3, seed).unwrap();
            let mut all: Vec<usize> = folds.iter().flatten().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..classes.len()).collect::<Vec<_>>());
            for fold in &folds {
                let held = counts(fold, &classes);
                for class in 0..3 {
                    prop_assert!((held[class] as f64 - whole[class] as f64 / 3.0).abs() < 1.0);
                }
            }
        }
    }

    #[test]
    fn too_few_rows_of_a_class_are_refused() {
        assert!(stratified_split(&[0, 0, 0, 1], 2, 0.5, 1).is_err());
        assert!(stratified_split(&[0, 0, 0, 1, 1], 2, 0.1, 1).is_err());
        let error = stratified_folds(&[0, 0, 0, 1, 1], 2, 3, 1)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "a class has 2 training rows, fewer than the 3 folds of search.cv"
        );
    }
}
