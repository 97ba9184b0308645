//! Classifiers with one best answer give scikit-learn's probabilities for the same rows and parameters.

use crate::{python, rows};
use fragua_learn::{NoProgress, Table, TrainConfig, fit};
use serde_json::{Value, json};

const TARGET: &str = "Cover_Type";

/// Rows of three classes, or of the first two.
fn table(class_count: usize) -> Table {
    let whole = rows::sample(&rows::covertype(), TARGET, 3_000, 4);
    let fragua_learn::Column::Numeric(classes) = whole.column(TARGET).unwrap() else {
        panic!("numeric")
    };
    let kept: Vec<usize> = (0..whole.row_count())
        .filter(|&row| classes[row] <= class_count as f64)
        .collect();
    whole.select_rows(&kept)
}

/// Fits the candidate here and `theirs`, a line of Python, there, on every other row; the probabilities for all other rows
/// may differ by less than `near`.
fn check(class_count: usize, candidate: Value, theirs: &str, near: f64) {
    check_prepared(class_count, json!({}), candidate, theirs, near);
}

/// The same with a preparation; `theirs` has a second line then, of what happens to the scaled numbers.
fn check_prepared(class_count: usize, preparation: Value, candidate: Value, theirs: &str, near: f64) {
    let table = table(class_count);
    let part = |odd: usize| -> Vec<usize> { (0..table.row_count()).filter(|row| row % 2 == odd).collect() };
    let (learned, test) = (table.select_rows(&part(0)), table.select_rows(&part(1)));
    let folder = tempfile::tempdir().unwrap();
    rows::write_csv(&learned, &folder.path().join("train.csv"));
    rows::write_csv(&test, &folder.path().join("test.csv"));
    std::fs::write(folder.path().join("model.txt"), theirs).unwrap();
    let config = json!({ "target": TARGET, "candidates": [candidate], "preparation": preparation });
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    let ours = fit(&learned, &config, &NoProgress)
        .unwrap()
        .predict(&test)
        .unwrap();
    let theirs: Vec<Vec<f64>> = python::run("classifiers.py", folder.path());
    assert_eq!(theirs.len(), test.row_count());
    for (row, theirs) in theirs.iter().enumerate() {
        for (ours, theirs) in ours.probabilities_of(row).iter().zip(theirs) {
            assert!(
                (f64::from(*ours) - theirs).abs() < near,
                "{candidate}, {class_count} classes, row {row}: {ours} and {theirs}"
            );
        }
    }
}

#[test]
fn naive_bayes_gives_the_probabilities_of_scikit_learn() {
    for (smoothing, class_count) in [(1e-9, 3), (1e-2, 3), (1e-2, 2)] {
        check(
            class_count,
            json!({ "model": "naive_bayes", "var_smoothing": smoothing }),
            &format!("GaussianNB(var_smoothing={smoothing})"),
            1e-6,
        );
    }
}

/// scikit-learn's decisions are votes as ours; between equal votes it takes the greatest sum of decisions when asked to.
#[test]
fn kernel_machines_decide_as_those_of_scikit_learn() {
    for (class_count, kernel, weight, theirs) in [
        (2, "rbf", "balanced", "class_weight='balanced'"),
        (3, "rbf", "none", "gamma='scale'"),
        (3, "linear", "balanced", "class_weight='balanced'"),
        (3, "poly", "none", "degree=3"),
    ] {
        check(
            class_count,
            json!({ "model": "svc", "kernel": kernel, "C": 0.7, "coef0": 0.5, "class_weight": weight, "tol": 1e-8 }),
            &format!("SVC(C=0.7, kernel='{kernel}', coef0=0.5, {theirs}, tol=1e-8)"),
            1e-5,
        );
    }
}

#[test]
fn more_rows_than_a_kernel_machine_takes_are_refused() {
    let candidate = json!({ "model": "svc", "max_rows": 100 });
    let config = json!({ "target": TARGET, "candidates": [candidate] });
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    let error = fit(&table(2), &config, &NoProgress).unwrap_err().to_string();
    assert!(
        error.starts_with("candidates.max_rows: svc learns from at most 100 rows here, there are "),
        "{error}"
    );
}

/// The decisions agree where their logistic functions do.
#[test]
fn linear_machines_decide_as_those_of_scikit_learn() {
    for class_count in [2, 3] {
        for (weight, theirs) in [("none", "None"), ("balanced", "'balanced'")] {
            check(
                class_count,
                json!({ "model": "linear_svm", "C": 0.3, "class_weight": weight, "tol": 1e-9, "max_iter": 20_000 }),
                &format!("LinearSVC(C=0.3, class_weight={theirs}, tol=1e-9, max_iter=1_000_000, dual=False)"),
                1e-5,
            );
        }
    }
}

#[test]
fn components_are_those_of_scikit_learn() {
    for (components, theirs) in [(json!(3), "3"), (json!(0.8), "0.8")] {
        check_prepared(
            3,
            json!({ "pca": { "n_components": components } }),
            json!({ "model": "naive_bayes", "var_smoothing": 1e-3 }),
            &format!("GaussianNB(var_smoothing=1e-3)\nPCA({theirs}, svd_solver='full')"),
            1e-5,
        );
    }
}

/// With two classes `C` had half of scikit-learn's penalty.
#[test]
fn logistic_regression_of_two_classes_is_penalised_as_in_scikit_learn() {
    for (l1_ratio, solver) in [(0.0, "lbfgs"), (0.6, "saga"), (1.0, "saga")] {
        for class_count in [2, 3] {
            check(
                class_count,
                json!({ "model": "logistic_regression", "C": 0.01, "l1_ratio": l1_ratio, "tol": 1e-9, "max_iter": 20_000 }),
                &format!(
                    "LogisticRegression(C=0.01, l1_ratio={l1_ratio}, solver='{solver}', tol=1e-9, max_iter=20_000)"
                ),
                2e-5,
            );
        }
    }
}
