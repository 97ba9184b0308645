//! Regressors beside scikit-learn's, and their files in onnxruntime and MLflow.

use crate::{python, rows};
use fragua_learn::mlflow_model::{self, ModelInfo};
use fragua_learn::{Column, Label, NoProgress, Pipeline, Table, TrainConfig, fit};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TARGET: &str = "Elevation";

/// Part of the example's rows, with a weight a row.
fn table() -> Table {
    let small = rows::sample(&rows::covertype(), "Cover_Type", 3_000, 1);
    let weights = (0..small.row_count()).map(|row| (row % 4) as f64).collect();
    let columns = small.names().iter().cloned().zip(small.columns().to_vec());
    let weight = ("weight".to_owned(), Column::Numeric(weights));
    Table::new(columns.chain([weight]).collect()).unwrap()
}

fn fitted(table: &Table, candidate: Value, extra: Value) -> Pipeline {
    let mut config =
        json!({ "target": TARGET, "candidates": [candidate], "task": "regression", "exclude": ["weight"] });
    for (key, value) in extra.as_object().unwrap() {
        config[key] = value.clone();
    }
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    fit(table, &config, &NoProgress).unwrap()
}

fn numbers(pipeline: &Pipeline, table: &Table) -> Vec<f64> {
    let number = |label: &Label| match label {
        Label::Number(number) => *number,
        other => panic!("{other}"),
    };
    pipeline
        .predict(table)
        .unwrap()
        .labels
        .iter()
        .map(number)
        .collect()
}

fn halves(table: &Table) -> (Table, Table) {
    let part = |odd: usize| -> Vec<usize> { (0..table.row_count()).filter(|row| row % 2 == odd).collect() };
    (table.select_rows(&part(0)), table.select_rows(&part(1)))
}

/// The same predictions as those of scikit-learn's linear models with the same penalty.
#[test]
fn linear_regressions_predict_what_those_of_scikit_learn_do() {
    let (learned, test) = halves(&table());
    let folder = tempfile::tempdir().unwrap();
    rows::write_csv(&learned, &folder.path().join("train.csv"));
    rows::write_csv(&test, &folder.path().join("test.csv"));
    let theirs: BTreeMap<String, Vec<f64>> = python::run("linear_regression.py", folder.path());
    for (name, alpha, l1_ratio, weight) in [
        ("least squares", 0.0, 0.0, false),
        ("ridge", 2.0, 0.0, false),
        ("lasso", 3.0, 1.0, false),
        ("elastic net", 0.5, 0.4, false),
        ("weighted", 0.5, 0.4, true),
    ] {
        let candidate = json!({
            "model": "linear_regression", "alpha": alpha, "l1_ratio": l1_ratio, "tol": 1e-12, "max_iter": 100_000,
        });
        let extra = if weight {
            json!({ "weight": "weight" })
        } else {
            json!({})
        };
        let ours = numbers(&fitted(&learned, candidate, extra), &test);
        for (ours, theirs) in ours.iter().zip(&theirs[name]) {
            assert!(
                (ours - theirs).abs() < 1e-5 * theirs.abs(),
                "{name}: {ours} and {theirs}"
            );
        }
    }
}

#[derive(Deserialize)]
struct Figures {
    r2: f64,
}

/// Not the same trees, but as good ones.
#[test]
fn tree_regressions_explain_as_much_as_those_of_scikit_learn() {
    let (learned, test) = halves(&table());
    let folder = tempfile::tempdir().unwrap();
    rows::write_csv(&learned, &folder.path().join("train.csv"));
    rows::write_csv(&test, &folder.path().join("test.csv"));
    let theirs: BTreeMap<String, Figures> = python::run("tree_regression.py", folder.path());
    for (name, candidate, weighted) in [
        ("forest", json!({ "model": "random_forest" }), false),
        ("extra trees", json!({ "model": "extra_trees" }), false),
        ("boosting", json!({ "model": "gradient_boosting" }), false),
        (
            "absolute",
            json!({ "model": "gradient_boosting", "loss": "absolute_error" }),
            false,
        ),
        ("weighted forest", json!({ "model": "random_forest" }), true),
        ("weighted boosting", json!({ "model": "gradient_boosting" }), true),
    ] {
        let extra = if weighted {
            json!({ "weight": "weight" })
        } else {
            json!({})
        };
        let ours = fitted(&learned, candidate, extra)
            .evaluate(&test)
            .unwrap()
            .metrics["r2"];
        assert!(
            ours > theirs[name].r2 - 0.02,
            "{name}: {ours} and {}",
            theirs[name].r2
        );
    }
}

#[derive(Deserialize)]
struct Answers {
    numbers: Vec<String>,
    pyfunc_numbers: Vec<String>,
    columns: Vec<String>,
}

/// Every number is the same in onnxruntime and through MLflow: to the last bit from trees.
#[test]
fn saved_regressors_predict_the_same_in_onnxruntime() {
    let whole = table();
    let gaps = rows::with_gaps(
        &rows::with_gaps(&whole, "nothing", 15)
            .select_columns(&features(&whole))
            .unwrap(),
        "",
        15,
    );
    let target = (TARGET.to_owned(), whole.column(TARGET).unwrap().clone());
    let gaps = gaps.names().iter().cloned().zip(gaps.columns().to_vec());
    let gaps = Table::new(gaps.chain([target]).collect()).unwrap();
    let see = json!({ "numeric": { "imputer": "none" }, "categorical": { "imputer": "none" } });
    let fill = json!({});
    let encode = json!({
        "numeric": { "imputer": "knn", "scaler": "robust" }, "categorical": { "encoding": "target", "imputer": "constant" },
        "columns": [{ "columns": [{ "pattern": "Wild*" }], "categorical": { "encoding": "ordinal" } }],
    });
    let shares = json!({
        "numeric": { "scaler": "quantile" }, "categorical": { "encoding": "target" },
        "columns": [{ "columns": ["Slope"], "numeric": { "scaler": "min_max" } }],
    });
    let mixed = json!({
        "numeric": { "imputer": "none" }, "categorical": { "min_frequency": 0.02, "imputer": "none" },
        "columns": [{ "columns": ["Slope", "Soil_Type"], "numeric": { "imputer": "mean" }, "categorical": { "encoding": "target" } }],
    });
    for (candidate, preparation) in [
        (json!({ "model": "linear_regression" }), &encode),
        (json!({ "model": "linear_regression" }), &shares),
        (json!({ "model": "random_forest", "n_estimators": 10 }), &encode),
        (
            json!({ "model": "gradient_boosting", "n_estimators": 20 }),
            &mixed,
        ),
        (json!({ "model": "random_forest", "n_estimators": 20 }), &see),
        (json!({ "model": "extra_trees", "n_estimators": 20 }), &fill),
        (
            json!({ "model": "gradient_boosting", "n_estimators": 30, "max_cat_to_onehot": 1 }),
            &see,
        ),
        (
            json!({ "model": "gradient_boosting", "n_estimators": 30, "loss": "huber" }),
            &fill,
        ),
        (
            json!({ "model": "linear_regression", "alpha": 0.1, "l1_ratio": 0.5 }),
            &fill,
        ),
    ] {
        let extra = json!({ "preparation": preparation, "exclude": [] });
        let pipeline = fitted(&gaps, candidate.clone(), extra);
        let folder = tempfile::tempdir().unwrap();
        mlflow_model::write(&folder.path().join("model"), &pipeline, &ModelInfo::default()).unwrap();
        rows::write_csv(&gaps, &folder.path().join("test.csv"));
        let answers: Answers = python::run("models.py", folder.path());
        let ours = numbers(&pipeline, &gaps);
        let near = if candidate["model"] == "linear_regression" {
            1e-9
        } else {
            0.0
        };
        assert_eq!(answers.columns, ["prediction"]);
        for (row, ours) in ours.iter().enumerate() {
            let theirs: f64 = answers.numbers[row].parse().unwrap();
            assert!(
                (ours - theirs).abs() <= near * ours.abs(),
                "{candidate}, row {row}: {ours} and {theirs}"
            );
            assert_eq!(answers.pyfunc_numbers[row], answers.numbers[row]);
        }
    }
}

fn features(table: &Table) -> Vec<String> {
    let is_feature = |name: &&String| !["weight", TARGET].contains(&name.as_str());
    table.names().iter().filter(is_feature).cloned().collect()
}
