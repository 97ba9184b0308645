//! Which candidates are not worth another fold.

/// Folds that are scored before any candidate is given up.
const FEWEST_FOLDS: usize = 2;
/// Standard errors of the mean gap that a hopeless candidate is behind by.
const ERRORS: f64 = 3.0;

/// Tells for each candidate's scores, fold by fold, whether it is hopeless: behind the leader on each fold, and by more than
/// three standard errors of the gap on average. The leader has the greatest mean; scores that are undefined are behind.
pub(super) fn hopeless(scores: &[&[f64]]) -> Vec<bool> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let means = scores.iter().map(|scores| mean(scores));
    let leader = means
        .enumerate()
        .filter(|(_, mean)| !mean.is_nan())
        .max_by(|one, two| one.1.total_cmp(&two.1).then(two.0.cmp(&one.0)));
    let Some((leader, _)) = leader else {
        return vec![false; scores.len()];
    };
    let is_hopeless = |own: &&[f64]| {
        let folds = own.len();
        if folds < FEWEST_FOLDS {
            return false;
        }
        let gaps: Vec<f64> = scores[leader]
            .iter()
            .zip(*own)
            .map(|(best, own)| best - own)
            .collect();
        let mean_gap = mean(&gaps);
        if mean_gap.is_nan() {
            return true;
        }
        let squares: f64 = gaps.iter().map(|gap| (gap - mean_gap).powi(2)).sum();
        let error = (squares / (folds - 1) as f64 / folds as f64).sqrt();
        gaps.iter().all(|&gap| gap > 0.0) && mean_gap > ERRORS * error
    };
    scores.iter().map(is_hopeless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_are_surely_behind_are_hopeless() {
        let scores: [&[f64]; 5] = [
            &[0.90, 0.92, 0.91],
            // A little behind on each fold, always by about as much.
            &[0.88, 0.90, 0.89],
            // Far behind on average, but ahead once.
            &[0.91, 0.50, 0.50],
            // Behind on each, by very different gaps.
            &[0.89, 0.50, 0.90],
            &[f64::NAN, 0.99, 0.99],
        ];
        assert_eq!(hopeless(&scores), [false, true, false, false, true]);
        let one_fold: [&[f64]; 2] = [&[0.9], &[0.1]];
        assert_eq!(hopeless(&one_fold), [false, false]);
        let undefined: [&[f64]; 2] = [&[f64::NAN; 2], &[f64::NAN; 2]];
        assert_eq!(hopeless(&undefined), [false, false]);
    }
}
