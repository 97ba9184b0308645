//! One row without a table is answered as the same row in a table, bit for bit.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use fragua_learn::{
    Cell, ColumnKind, Label, NoProgress, Pipeline, RowAnswer, RowScratch, Table, TableBuilder, TrainConfig,
    fit, train,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

const KINDS: [(&str, ColumnKind); 4] = [
    ("n", ColumnKind::Numeric),
    ("m", ColumnKind::Numeric),
    ("w", ColumnKind::Categorical),
    ("d", ColumnKind::Categorical),
];
const WORDS: [&str; 5] = ["x", "y", "z", "rare", ""];
const DATES: [&str; 4] = ["2026-01-31", "2025-07-01T12:30:00", "2024-02-29", ""];

fn learned() -> Table {
    let kinds = KINDS
        .into_iter()
        .chain([("kind", ColumnKind::Categorical), ("amount", ColumnKind::Numeric)]);
    let mut builder = TableBuilder::typed(kinds.map(|(name, kind)| (name.to_owned(), kind)));
    for row in 0..150usize {
        let number = if row.is_multiple_of(11) {
            f64::NAN
        } else {
            (row * 7 % 31) as f64 / 2.0
        };
        let word = if row == 77 {
            "rare"
        } else {
            WORDS[[0, 1, 2, 4][row % 4]]
        };
        let cells = [
            Cell::Number(number),
            Cell::Number((row / 5) as f64),
            Cell::Text(word.into()),
            Cell::Text(DATES[row * 3 % 4].into()),
            Cell::Text(["no", "yes", "ö"][(row / 5 + row % 2) % 3].into()),
            Cell::Number((row * row % 17) as f64 - number.max(0.0) * 1.5),
        ];
        builder.push_row(cells).unwrap();
    }
    builder.finish().unwrap()
}

/// A pipeline of every kind of model with every kind of preparation, and the calibrated ones.
static PIPELINES: LazyLock<Vec<Pipeline>> = LazyLock::new(|| {
    let models = [
        ("kind", json!({ "model": "random_forest", "n_estimators": 37 })),
        ("kind", json!({ "model": "extra_trees", "n_estimators": 5 })),
        (
            "kind",
            json!({ "model": "gradient_boosting", "n_estimators": 11 }),
        ),
        (
            "kind",
            json!({ "model": "gradient_boosting", "n_estimators": 3, "max_leaf_nodes": 99, "min_samples_leaf": 1 }),
        ),
        ("kind", json!({ "model": "logistic_regression" })),
        ("kind", json!({ "model": "linear_svm" })),
        ("kind", json!({ "model": "svc" })),
        ("kind", json!({ "model": "naive_bayes" })),
        ("amount", json!({ "model": "random_forest", "n_estimators": 20 })),
        (
            "amount",
            json!({ "model": "gradient_boosting", "n_estimators": 16 }),
        ),
        ("amount", json!({ "model": "linear_regression" })),
    ];
    let date = json!({ "columns": ["d"], "categorical": { "encoding": "date" } });
    let preparations = [
        json!({}),
        json!({ "numeric": { "imputer": "mean", "scaler": "robust" }, "categorical": { "min_frequency": 2 } }),
        json!({ "numeric": { "imputer": "constant", "scaler": "quantile" },
                "categorical": { "imputer": "constant", "drop": "first" }, "columns": [date] }),
        json!({ "numeric": { "imputer": "knn", "scaler": "min_max" }, "categorical": { "encoding": "ordinal" } }),
        json!({ "numeric": { "imputer": "most_frequent" }, "categorical": { "encoding": "target" },
                "columns": [date], "pca": { "n_components": 2 } }),
    ];
    let table = learned();
    let config = |target: &str, candidate: &Value, preparation: &Value| -> TrainConfig {
        let other = if target == "kind" { "amount" } else { "kind" };
        serde_json::from_value(json!({
            "target": target, "exclude": [other], "candidates": [candidate], "preparation": preparation,
            "search": { "n_iter": 1, "cv": 2 },
        }))
        .unwrap()
    };
    let mut pipelines = Vec::new();
    for (target, model) in &models {
        for preparation in &preparations {
            let mut preparation = preparation.clone();
            let name = model["model"].as_str().unwrap();
            if ["random_forest", "extra_trees", "gradient_boosting"].contains(&name) {
                // Refused: trees split the numbers as they are.
                preparation.as_object_mut().unwrap().remove("pca");
            }
            pipelines.push(fit(&table, &config(target, model, &preparation), &NoProgress).unwrap());
        }
    }
    let gaps = json!({ "numeric": { "imputer": "none" }, "categorical": { "imputer": "none" } });
    for (target, model) in [
        &models[0], &models[1], &models[2], &models[3], &models[8], &models[9],
    ] {
        pipelines.push(fit(&table, &config(target, model, &gaps), &NoProgress).unwrap());
    }
    for method in ["sigmoid", "isotonic"] {
        for (target, model) in &models[..8] {
            let mut calibrated = config(target, model, &json!({}));
            calibrated.calibrate = serde_json::from_value(json!(method)).unwrap();
            pipelines.push(train(&table, &calibrated, &NoProgress).unwrap().pipeline);
        }
    }
    pipelines
});

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// Compares rows one by one with the table of them all; columns are those of the pipeline.
fn check(pipeline: &Pipeline, rows: &[[Cell<'static>; 4]], scratch: &mut RowScratch) {
    let mut builder = pipeline.table_builder();
    rows.iter().for_each(|row| builder.push_row(row.clone()).unwrap());
    let expected = pipeline.predict(&builder.finish().unwrap()).unwrap();
    for (row, cells) in rows.iter().enumerate() {
        let answer = pipeline.predict_row(cells.clone(), scratch).unwrap();
        match (answer, &expected.labels[row]) {
            (RowAnswer::Number(number), Label::Number(expected)) => {
                assert_eq!(number.to_bits(), expected.to_bits(), "{cells:?}");
            }
            (RowAnswer::Class { class, probabilities }, label) => {
                assert_eq!(
                    class,
                    expected.classes[row],
                    "{} {cells:?}",
                    pipeline.model_name()
                );
                assert_eq!(&pipeline.labels()[usize::from(class)], label);
                assert_eq!(
                    bits(probabilities),
                    bits(expected.probabilities_of(row)),
                    "{} {cells:?}",
                    pipeline.model_name()
                );
            }
            (answer, label) => panic!("{answer:?} and {label}"),
        }
    }
}

fn cells() -> impl Strategy<Value = [Cell<'static>; 4]> {
    let number = || {
        prop_oneof![
            Just(Cell::Missing),
            Just(Cell::Number(f64::NAN)),
            (-5.0..40.0f64).prop_map(Cell::Number),
            (-4i32..40).prop_map(|number| Cell::Number(f64::from(number) / 2.0)),
            Just(Cell::Number(3e38)),
        ]
    };
    let word = prop::sample::select([&WORDS[..], &["never seen", "ö"]].concat());
    let date = prop::sample::select([&DATES[..], &["no date", "2031-12-01"]].concat());
    let text = |text: &'static str| Cell::Text(text.into());
    (number(), number(), word, date).prop_map(move |(n, m, w, d)| [n, m, text(w), text(d)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_is_answered_as_in_a_table(rows in prop::collection::vec(cells(), 1..20)) {
        // One scratch for all: what a row of another pipeline left there does no harm.
        let mut scratch = RowScratch::default();
        PIPELINES.iter().for_each(|pipeline| check(pipeline, &rows, &mut scratch));
    }
}

#[test]
fn a_row_of_the_wrong_shape_or_kind_is_refused_by_name() {
    let pipeline = &PIPELINES[0];
    let refused = |cells: Vec<Cell<'static>>| {
        let mut scratch = RowScratch::default();
        pipeline.predict_row(cells, &mut scratch).unwrap_err().to_string()
    };
    let gap = || Cell::Missing;
    assert_eq!(refused(vec![gap(); 3]), "row 1: 3 cells, expected 4");
    assert_eq!(refused(vec![gap(); 5]), "row 1: 5 cells, expected 4");
    assert_eq!(
        refused(vec![gap(), Cell::Text("7".into()), gap(), gap()]),
        "row 1, column `m`: expected a number, got a text"
    );
    assert_eq!(
        refused(vec![gap(), gap(), Cell::Number(7.0), gap()]),
        "row 1, column `w`: expected a text, got a number"
    );
}

#[test]
fn a_refused_row_does_not_harm_the_next() {
    let mut scratch = RowScratch::default();
    let good = [
        Cell::Number(1.0),
        Cell::Number(2.0),
        Cell::Text("x".into()),
        Cell::Missing,
    ];
    let pipeline = &PIPELINES[0];
    pipeline
        .predict_row(good[..2].to_vec(), &mut scratch)
        .unwrap_err();
    check(pipeline, &[good], &mut scratch);
}
