//! A saved model gives the same labels in onnxruntime and through MLflow as here, for every test row.

use crate::{python, rows};
use fragua_learn::mlflow_model::{self, ModelInfo};
use fragua_learn::{NoProgress, Pipeline, Table, TrainConfig, TrainReport, train};
use serde::Deserialize;
use serde_json::{Value, json};

const TARGET: &str = "Cover_Type";

#[derive(Deserialize)]
struct Answers {
    /// Labels from onnxruntime, all rows at once.
    onnxruntime: Vec<String>,
    /// Labels from onnxruntime, row by row, of the first rows.
    one_by_one: Vec<String>,
    /// Labels from `mlflow.pyfunc`.
    pyfunc: Vec<String>,
    probabilities: Vec<Vec<f64>>,
    columns: Vec<String>,
    example_label: String,
}

fn fit(table: &Table, preparation: Value, candidate: Value) -> TrainReport {
    fit_calibrated(table, preparation, candidate, Value::Null)
}

fn fit_calibrated(table: &Table, preparation: Value, candidate: Value, calibrate: Value) -> TrainReport {
    let config = json!({
        "target": TARGET, "preparation": preparation, "candidates": [candidate], "calibrate": calibrate,
        "search": { "n_iter": 1, "cv": 2 },
    });
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    train(table, &config, &NoProgress).unwrap()
}

fn check(table: &Table, preparation: Value, candidate: Value) {
    check_report(table, &fit(table, preparation, candidate));
}

fn check_report(table: &Table, report: &TrainReport) {
    let pipeline = Pipeline::load(&report.pipeline.to_bytes()).unwrap();
    assert_eq!(
        pipeline.to_bytes(),
        report.pipeline.to_bytes(),
        "the pipeline's own file"
    );

    let folder = tempfile::tempdir().unwrap();
    let info = ModelInfo {
        created_at: "2026-01-31 12:00:00.000000".to_owned(),
        ..ModelInfo::default()
    };
    mlflow_model::write(&folder.path().join("model"), &pipeline, &info).unwrap();
    let test = table.select_rows(&report.test_rows);
    rows::write_csv(&test, &folder.path().join("test.csv"));
    let answers: Answers = python::run("models.py", folder.path());

    let ours = pipeline.predict(&test).unwrap();
    let labels = rows::texts(&ours.labels);
    assert_eq!(answers.onnxruntime, labels);
    assert_eq!(answers.pyfunc, labels);
    assert_eq!(answers.one_by_one, labels[..answers.one_by_one.len()]);
    for (row, theirs) in answers.probabilities.iter().enumerate() {
        for (ours, theirs) in ours.probabilities_of(row).iter().zip(theirs) {
            assert!(
                (f64::from(*ours) - theirs).abs() < 1e-5,
                "row {row}: {ours} and {theirs}"
            );
        }
    }
    assert_eq!(answers.columns[0], "label");
    assert_eq!(answers.columns[1], format!("proba_{}", pipeline.labels()[0]));
    assert!(rows::texts(pipeline.labels()).contains(&answers.example_label));
}

fn forest() -> Value {
    json!({ "model": "random_forest", "n_estimators": 30, "class_weight": "balanced" })
}

fn extra_trees() -> Value {
    json!({ "model": "extra_trees", "n_estimators": 30, "max_depth": 12 })
}

fn boosting() -> Value {
    json!({ "model": "gradient_boosting", "n_estimators": 20 })
}

fn boosting_by_groups() -> Value {
    json!({ "model": "gradient_boosting", "n_estimators": 10, "max_cat_to_onehot": 1, "subsample": 0.7 })
}

fn logistic() -> Value {
    json!({ "model": "logistic_regression", "max_iter": 50 })
}

fn machines() -> Value {
    json!({ "model": "linear_svm", "C": 0.5, "class_weight": "balanced" })
}

fn kernel_machines() -> Value {
    json!({ "model": "svc", "C": 3.0 })
}

fn bayes() -> Value {
    json!({ "model": "naive_bayes", "var_smoothing": 1e-3 })
}

fn small() -> Table {
    rows::sample(&rows::covertype(), TARGET, 4_000, 1)
}

#[test]
fn forest_on_whole_rows() {
    check(&small(), json!({}), forest());
}

#[test]
fn extra_trees_on_whole_rows() {
    check(&small(), json!({}), extra_trees());
}

#[test]
fn boosting_on_whole_rows() {
    check(&small(), json!({}), boosting());
}

#[test]
fn logistic_regression_on_whole_rows() {
    check(&small(), json!({}), logistic());
}

#[test]
fn linear_machines_on_whole_rows() {
    check(&small(), json!({}), machines());
}

#[test]
fn kernel_machines_on_whole_rows() {
    let table = rows::sample(&rows::covertype(), TARGET, 1_200, 1);
    for kernel in ["rbf", "linear", "poly"] {
        check(
            &table,
            json!({ "numeric": { "scaler": "robust" } }),
            json!({ "model": "svc", "kernel": kernel, "coef0": 1.0 }),
        );
    }
    let calibrated = fit_calibrated(&of_two_classes(), json!({}), kernel_machines(), json!("sigmoid"));
    check_report(&of_two_classes(), &calibrated);
}

#[test]
fn naive_bayes_on_whole_rows() {
    check(&small(), json!({}), bayes());
    check(
        &small(),
        json!({ "numeric": { "scaler": "quantile" }, "categorical": { "drop": "none" } }),
        json!({ "model": "naive_bayes" }),
    );
}

#[test]
fn texts_by_the_share_of_each_class() {
    for candidate in [forest(), boosting(), logistic()] {
        check(
            &small(),
            json!({ "categorical": { "encoding": "target" }, "pca": if candidate == logistic() { json!({ "n_components": 12 }) } else { Value::Null } }),
            candidate,
        );
    }
}

#[test]
fn components_of_numbers() {
    for (components, scaler, candidate) in [
        (json!(4), "standard", logistic()),
        (json!(0.9), "quantile", bayes()),
    ] {
        check(
            &small(),
            json!({
                "pca": { "n_components": components }, "numeric": { "scaler": scaler },
                "columns": [{ "columns": ["Soil_Type"], "categorical": { "encoding": "ordinal" } }],
            }),
            candidate,
        );
    }
}

#[test]
fn every_model_with_filled_gaps() {
    let table = rows::with_gaps(&small(), TARGET, 15);
    for candidate in [forest(), boosting(), logistic(), machines(), bayes()] {
        check(
            &table,
            json!({ "numeric": { "imputer": "most_frequent" } }),
            candidate,
        );
    }
}

#[test]
fn trees_that_see_gaps() {
    let table = rows::with_gaps(&small(), TARGET, 15);
    for candidate in [forest(), extra_trees(), boosting(), boosting_by_groups()] {
        check(
            &table,
            json!({ "numeric": { "imputer": "none" }, "categorical": { "imputer": "none" } }),
            candidate,
        );
    }
}

#[test]
fn trees_that_meet_gaps_only_after_training() {
    let whole = small();
    let report = fit(&whole, json!({ "numeric": { "imputer": "none" } }), forest());
    let gaps = rows::with_gaps(&whole, TARGET, 15);
    assert_eq!(
        report.pipeline.predict(&gaps).unwrap().labels.len(),
        whole.row_count()
    );
}

#[test]
fn gaps_filled_from_neighbours() {
    let table = rows::with_gaps(&rows::sample(&rows::covertype(), TARGET, 1_500, 1), TARGET, 15);
    for weights in ["uniform", "distance"] {
        let preparation = json!({ "numeric": { "imputer": "knn", "weights": weights } });
        check(&table, preparation.clone(), forest());
        check(&table, preparation, logistic());
    }
}

#[test]
fn words_as_classes_and_kept_first_category() {
    let table = rows::with_words(&small(), TARGET);
    for candidate in [forest(), boosting(), logistic()] {
        check(&table, json!({ "categorical": { "drop": "none" } }), candidate);
    }
}

/// Rows of the first two classes.
fn of_two_classes() -> Table {
    let table = small();
    let fragua_learn::Column::Numeric(classes) = table.column(TARGET).unwrap() else {
        panic!("numeric")
    };
    let kept: Vec<usize> = (0..table.row_count()).filter(|&row| classes[row] < 3.0).collect();
    table.select_rows(&kept)
}

#[test]
fn calibrated_probabilities() {
    for table in [small(), of_two_classes()] {
        for candidate in [forest(), boosting(), logistic(), machines()] {
            for method in ["sigmoid", "isotonic"] {
                let report = fit_calibrated(&table, json!({}), candidate.clone(), json!(method));
                assert!(report.pipeline.calibration().is_some());
                check_report(&table, &report);
            }
        }
    }
}

#[test]
fn two_classes() {
    let table = of_two_classes();
    for candidate in [
        forest(),
        extra_trees(),
        boosting(),
        boosting_by_groups(),
        logistic(),
        machines(),
        kernel_machines(),
        bayes(),
    ] {
        check(&table, json!({}), candidate);
    }
}
