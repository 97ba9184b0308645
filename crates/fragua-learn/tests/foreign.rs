//! Our own models as ONNX files answer as they do as pipelines, and what cannot be read is refused in words.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use fragua_learn::mlflow_model::{self, ModelInfo, ONNX_FILE};
use fragua_learn::{
    Categorical, Column, ForeignModel, Label, MISSING_CODE, ModelFormat, NoProgress, Pipeline, Predictor,
    Table, Task, TrainConfig, fit,
};
use serde_json::{Value, json};

const ROWS: usize = 240;

/// Numbers with gaps, whole numbers, texts with gaps; a class of two, three and a number.
fn table() -> Table {
    let noise = |row: usize, step: usize| (((row * step) % 97) as f64 / 97.0 - 0.5) * 4.0;
    let gap = |row: usize, every: usize, value: f64| if row % every == 3 { f64::NAN } else { value };
    let numbers = |body: &dyn Fn(usize) -> f64| Column::Numeric((0..ROWS).map(body).collect());
    let texts = |words: &[&str], code: &dyn Fn(usize) -> u32| {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Column::Categorical(Categorical::new(words, (0..ROWS).map(code).collect()).unwrap())
    };
    let score =
        |row: usize| noise(row, 31) + f64::from(u8::from(row.is_multiple_of(5))) * 2.0 + noise(row, 53) * 0.3;
    let class = |row: usize| u32::from(score(row) > -0.5) + u32::from(score(row) > 0.7);
    let columns = vec![
        ("a", numbers(&|row| gap(row, 11, noise(row, 31)))),
        ("b", numbers(&|row| noise(row, 53))),
        ("n", numbers(&|row| (row % 7) as f64)),
        (
            "c",
            texts(&["x", "y", "zé", "u", "v"], &|row| match row % 13 {
                4 => MISSING_CODE,
                _ => (row % 5) as u32,
            }),
        ),
        ("two", numbers(&|row| f64::from(class(row) > 1))),
        ("three", texts(&["low", "mid", "high"], &class)),
        ("number", numbers(&|row| score(row) * 3.0 + 0.25)),
    ];
    Table::new(
        columns
            .into_iter()
            .map(|(name, column)| (name.to_owned(), column))
            .collect(),
    )
    .unwrap()
}

fn trained(target: &str, candidate: &Value, preparation: &Value, calibrate: &Value) -> (Pipeline, Table) {
    let others: Vec<&str> = ["two", "three", "number"]
        .into_iter()
        .filter(|name| *name != target)
        .collect();
    let config = json!({
        "target": target, "exclude": others, "candidates": [candidate], "preparation": preparation,
        "calibrate": calibrate,
    });
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    let table = table();
    (fit(&table, &config, &NoProgress).unwrap(), table)
}

fn exported(pipeline: &Pipeline) -> Result<ForeignModel, fragua_learn::Error> {
    let files = mlflow_model::files(pipeline, &ModelInfo::default());
    let file = files.iter().find(|file| file.name == ONNX_FILE).unwrap();
    ForeignModel::load(ModelFormat::Onnx, &file.bytes, &[])
}

#[track_caller]
fn check(target: &str, candidate: Value, preparation: Value, calibrate: Value) {
    let (pipeline, table) = trained(target, &candidate, &preparation, &calibrate);
    let model = exported(&pipeline).unwrap();
    // A curve is steeper than what it is laid on.
    let tolerance = if calibrate.is_null() { 1e-6 } else { 1e-5 };
    assert_eq!(model.labels(), pipeline.labels(), "{candidate}");
    assert_eq!(model.task(), pipeline.task());
    let names = |features: &[fragua_learn::Feature]| -> Vec<(String, fragua_learn::FeatureKind)> {
        features
            .iter()
            .map(|feature| (feature.name.clone(), feature.kind))
            .collect()
    };
    assert_eq!(names(model.features()), names(pipeline.features()));
    let (ours, theirs) = (pipeline.predict(&table).unwrap(), model.predict(&table).unwrap());
    for row in 0..ROWS {
        match (&ours.labels[row], &theirs.labels[row]) {
            (Label::Number(one), Label::Number(two)) => {
                assert!(
                    (one - two).abs() < 1e-6 * one.abs().max(1.0),
                    "{candidate} row {row}: {one} and {two}"
                );
                continue;
            }
            (one, two) => assert_eq!(one, two, "{candidate} row {row}"),
        }
        for (one, two) in ours
            .probabilities_of(row)
            .iter()
            .zip(theirs.probabilities_of(row))
        {
            assert!(
                (one - two).abs() < tolerance,
                "{candidate} row {row}: {one} and {two}"
            );
        }
    }
    assert_eq!(ours.classes, theirs.classes);
    let predictor = Predictor::from(model);
    assert_eq!(predictor.output_names().len(), pipeline.labels().len() + 1);
    assert!(predictor.explain(&table).is_err());
}

#[test]
fn classifiers_of_ours() {
    for target in ["two", "three"] {
        for candidate in [
            json!({ "model": "random_forest", "n_estimators": 12 }),
            json!({ "model": "extra_trees", "n_estimators": 6 }),
            json!({ "model": "gradient_boosting", "n_estimators": 8 }),
            json!({ "model": "gradient_boosting", "n_estimators": 8, "max_cat_to_onehot": 1 }),
            json!({ "model": "logistic_regression" }),
            json!({ "model": "linear_svm" }),
            json!({ "model": "svc" }),
            json!({ "model": "svc", "kernel": "poly", "coef0": 1.0 }),
            json!({ "model": "naive_bayes" }),
        ] {
            check(target, candidate, json!({}), Value::Null);
        }
    }
}

#[test]
fn preparations_and_calibrations_of_ours() {
    let boosting = || json!({ "model": "gradient_boosting", "n_estimators": 6 });
    let logistic = || json!({ "model": "logistic_regression" });
    for calibrate in ["sigmoid", "isotonic"] {
        for target in ["two", "three"] {
            check(target, boosting(), json!({}), json!(calibrate));
        }
    }
    check(
        "three",
        boosting(),
        json!({ "numeric": { "imputer": "none" } }),
        Value::Null,
    );
    check(
        "three",
        logistic(),
        json!({ "categorical": { "encoding": "target" } }),
        Value::Null,
    );
    check(
        "three",
        logistic(),
        json!({ "numeric": { "scaler": "quantile" }, "pca": { "n_components": 2 } }),
        Value::Null,
    );
}

#[test]
fn regressions_of_ours() {
    for candidate in [
        json!({ "model": "random_forest", "n_estimators": 12 }),
        json!({ "model": "gradient_boosting", "n_estimators": 12 }),
        json!({ "model": "linear_regression" }),
    ] {
        check("number", candidate, json!({}), Value::Null);
    }
}

#[test]
fn graphs_inside_graphs_are_refused() {
    let knn = json!({ "numeric": { "imputer": "knn" } });
    let (pipeline, _) = trained(
        "two",
        &json!({ "model": "logistic_regression" }),
        &knn,
        &Value::Null,
    );
    let error = exported(&pipeline).unwrap_err().to_string();
    assert!(error.contains("a graph of its own"), "{error}");
}

#[test]
fn rows_that_do_not_fit_are_told() {
    let (pipeline, table) = trained(
        "two",
        &json!({ "model": "random_forest", "n_estimators": 3 }),
        &json!({}),
        &Value::Null,
    );
    let model = exported(&pipeline).unwrap();
    let refused = |column: &str, values: Column| {
        let names: Vec<String> = table.names().to_vec();
        let columns = names.into_iter().zip(table.columns().iter().cloned());
        let columns = columns.map(|(name, own)| {
            if name == column {
                (name, values.clone())
            } else {
                (name, own)
            }
        });
        model
            .predict(&Table::new(columns.collect()).unwrap())
            .unwrap_err()
            .to_string()
    };
    let text = Categorical::new(vec!["x".to_owned()], vec![0; ROWS]).unwrap();
    assert_eq!(
        refused("b", Column::Categorical(text)),
        "row 1, column `b`: expected a number, got a text"
    );
    let mut whole: Vec<f64> = vec![1.0; ROWS];
    whole[2] = 0.5;
    assert_eq!(
        refused("n", Column::Numeric(whole)),
        "row 3, column `n`: expected a whole number, got 0.5"
    );
    let error = model
        .predict(&table.select_columns(&["a", "b"]).unwrap())
        .unwrap_err();
    assert!(
        error.to_string().contains("column `n` is not in the table"),
        "{error}"
    );
    assert_eq!(model.task(), Task::Classification);
    let none = model.predict(&table.select_rows(&[])).unwrap();
    assert_eq!((none.labels.len(), none.probabilities.len()), (0, 0));
}

#[test]
fn what_is_no_model_is_refused() {
    let check = |format, bytes: &[u8], needle: &str| {
        let error = ForeignModel::load(format, bytes, &[]).unwrap_err().to_string();
        assert!(error.contains(needle), "{error}");
    };
    check(ModelFormat::Onnx, b"", "ONNX file: it has no graph");
    check(ModelFormat::Onnx, b"\x80\x04\x95pickle", "ONNX file: ");
    check(
        ModelFormat::LightGbm,
        b"PK\x03\x04",
        "LightGBM file: its first line is not `tree`",
    );
    check(
        ModelFormat::LightGbm,
        b"tree\nmax_feature_idx=99999999\n",
        "too many features",
    );
    let ranking = b"tree\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=lambdarank\n";
    check(ModelFormat::LightGbm, ranking, "scores that rank");
    check(ModelFormat::XgBoost, b"{}", "XGBoost file: it has no `learner`");
    check(ModelFormat::XgBoost, b"binf", "neither JSON nor UBJSON");
}
