//! Which figures people ask for first.

/// Ranked: the figure that says most about a classifier or a regression comes first.
const WANTED: [&str; 9] = [
    "accuracy",
    "f1_macro",
    "f1_weighted",
    "f1",
    "roc_auc",
    "log_loss",
    "rmse",
    "r2",
    "mean_test_score",
];

/// Figures beside the result: what a trivial model reaches, what the search saw.
const ASIDE: [&str; 3] = ["baseline_", "cv_", "training_"];

/// Returns where a metric belongs among others: small comes first. Metrics without a place keep the order of their names.
pub(crate) fn rank(metric: &str) -> usize {
    let metric = metric.to_ascii_lowercase();
    let is_aside = ASIDE.iter().any(|start| metric.starts_with(start));
    let exact = WANTED.iter().position(|wanted| metric == *wanted);
    let ending = WANTED.iter().position(|wanted| {
        let rest = metric.strip_suffix(wanted);
        rest.is_some_and(|rest| rest.ends_with(['_', '.', '/', '-']))
            || metric.starts_with(&format!("{wanted}_"))
    });
    match (exact, ending) {
        (Some(place), _) => place,
        (None, Some(place)) if !is_aside => WANTED.len() + place,
        (None, Some(place)) => WANTED.len() * 3 + place,
        (None, None) if !is_aside => WANTED.len() * 2,
        (None, None) => WANTED.len() * 4,
    }
}

/// Tells whether a small value of a metric is a good one.
pub(crate) fn less_is_better(metric: &str) -> bool {
    const WORDS: [&str; 11] = [
        "loss", "error", "seconds", "time", "std", "rmse", "mae", "mse", "duration", "rank", "brier",
    ];
    let metric = metric.to_ascii_lowercase();
    metric
        .split(['_', '.', '-', '/', ' '])
        .any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_comes_before_what_stands_beside_it() {
        let mut metrics = [
            "baseline_accuracy",
            "cv_f1_macro_mean",
            "log_loss",
            "train_rows",
            "f1_macro",
            "test_accuracy",
            "accuracy",
            "roc_auc_ovr",
        ];
        metrics.sort_by_key(|metric| rank(metric));
        assert_eq!(
            metrics,
            [
                "accuracy",
                "f1_macro",
                "log_loss",
                "test_accuracy",
                "roc_auc_ovr",
                "train_rows",
                "baseline_accuracy",
                "cv_f1_macro_mean",
            ]
        );
    }

    #[test]
    fn knows_which_metrics_are_better_small() {
        for (metric, expected) in [
            ("log_loss", true),
            ("brier_score", true),
            ("val.loss", true),
            ("fit seconds", true),
            ("rank_test_score", true),
            ("accuracy", false),
            ("f1_macro", false),
            ("lossless_share", false),
        ] {
            assert_eq!(less_is_better(metric), expected, "{metric}");
        }
    }
}
