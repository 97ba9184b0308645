//! The KNN imputer fills as scikit-learn's, and logistic regression finds the same optimum.

use crate::{python, rows};
use fragua_learn::{NoProgress, TrainConfig, train};
use serde_json::json;

/// Logistic regression behind a KNN imputer, one-hot encoding and scaling gives scikit-learn's probabilities,
/// which only comes about when every step does the same.
#[test]
fn a_whole_linear_pipeline_gives_the_probabilities_of_scikit_learn() {
    let target = "Cover_Type";
    let whole = rows::sample(&rows::covertype(), target, 1_200, 3);
    // Distances must differ for the choice of neighbours to be the same, so one column gets fractions.
    let columns = whole.names().iter().zip(whole.columns()).map(|(name, column)| {
        let column = match column {
            fragua_learn::Column::Numeric(values) if name == "Elevation" => {
                let shifted = values
                    .iter()
                    .enumerate()
                    .map(|(row, value)| value + row as f64 / 4096.0);
                fragua_learn::Column::Numeric(shifted.collect())
            }
            other => other.clone(),
        };
        (name.clone(), column)
    });
    let table = rows::with_gaps(&fragua_learn::Table::new(columns.collect()).unwrap(), target, 12);
    // With an L1 penalty classes weigh alike: scikit-learn's solver for it diverges when weights are as far apart as here.
    for (weights, class_weight, l1_ratio, near) in [
        ("uniform", "balanced", 0.0, 2e-5),
        ("distance", "balanced", 0.0, 2e-5),
        ("uniform", "none", 0.6, 2e-5),
    ] {
        let config: TrainConfig = serde_json::from_value(json!({
            "target": target,
            "preparation": { "numeric": { "imputer": "knn", "n_neighbors": 4, "weights": weights } },
            "candidates": [{ "model": "logistic_regression", "tol": 1e-9, "max_iter": 20_000, "C": 0.3, "l1_ratio": l1_ratio,
                             "class_weight": class_weight }],
            "search": { "n_iter": 1, "cv": 2 },
        }))
        .unwrap();
        let report = train(&table, &config, &NoProgress).unwrap();
        let folder = tempfile::tempdir().unwrap();
        rows::write_csv(
            &table.select_rows(&report.train_rows),
            &folder.path().join("train.csv"),
        );
        let test = table.select_rows(&report.test_rows);
        rows::write_csv(&test, &folder.path().join("test.csv"));
        std::fs::write(
            folder.path().join("weights.txt"),
            format!("{weights} {class_weight} {l1_ratio}"),
        )
        .unwrap();
        let theirs: Vec<Vec<f64>> = python::run("linear_pipeline.py", folder.path());
        let ours = report.pipeline.predict(&test).unwrap();
        assert_eq!(theirs.len(), test.row_count());
        for (row, theirs) in theirs.iter().enumerate() {
            for (ours, theirs) in ours.probabilities_of(row).iter().zip(theirs) {
                assert!(
                    (f64::from(*ours) - theirs).abs() < near,
                    "{weights} {l1_ratio}, row {row}: {ours} and {theirs}"
                );
            }
        }
    }
}
