//! On the same rows the forest is at least as accurate as scikit-learn's.

use crate::{python, rows};
use fragua_learn::{NoProgress, TrainConfig, train};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Theirs {
    accuracy: f64,
    f1_macro: f64,
}

#[test]
fn the_forest_is_at_least_as_accurate_as_scikit_learns() {
    let target = "Cover_Type";
    let table = rows::sample(&rows::covertype(), target, 15_000, 42);
    let config: TrainConfig = serde_json::from_value(json!({
        "target": target,
        "candidates": [{ "model": "random_forest", "n_estimators": 100 }],
        "search": { "n_iter": 1, "cv": 2 },
    }))
    .unwrap();
    let report = train(&table, &config, &NoProgress).unwrap();
    let folder = tempfile::tempdir().unwrap();
    rows::write_csv(
        &table.select_rows(&report.train_rows),
        &folder.path().join("train.csv"),
    );
    rows::write_csv(
        &table.select_rows(&report.test_rows),
        &folder.path().join("test.csv"),
    );
    let theirs: Theirs = python::run("forest.py", folder.path());
    let ours = &report.metrics;
    println!(
        "accuracy {:.4} and {:.4}, macro F1 {:.4} and {:.4}",
        ours["accuracy"], theirs.accuracy, ours["f1_macro"], theirs.f1_macro
    );
    assert!(
        ours["accuracy"] >= theirs.accuracy,
        "accuracy {} below {}",
        ours["accuracy"],
        theirs.accuracy
    );
    assert!(ours["accuracy"] > report.baseline["accuracy"]);
}

/// Fitted without a limit on a leaf's step, rare classes threw the scores so far that accuracy fell below 0.1.
#[test]
fn boosting_does_not_diverge_at_a_high_learning_rate() {
    let target = "Cover_Type";
    let table = rows::sample(&rows::covertype(), target, 6_000, 5);
    for learning_rate in [0.3, 0.6] {
        let config: TrainConfig = serde_json::from_value(json!({
            "target": target,
            "candidates": [{ "model": "gradient_boosting", "learning_rate": learning_rate, "max_leaf_nodes": 63 }],
            "search": { "n_iter": 1, "cv": 2 },
        }))
        .unwrap();
        let accuracy = train(&table, &config, &NoProgress).unwrap().metrics["accuracy"];
        assert!(accuracy > 0.74, "learning rate {learning_rate}: {accuracy}");
    }
}
