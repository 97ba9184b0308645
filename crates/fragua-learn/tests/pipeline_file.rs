//! The pipeline's file: small, exact, and harmless whatever its bytes are.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use fragua_learn::mlflow_model::{self, ModelInfo};
use fragua_learn::{Categorical, Column, Error, NoProgress, Pipeline, Table, TrainConfig, train};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::sync::LazyLock;

fn table() -> Table {
    let rows = 120;
    let number = |row: usize| {
        if row.is_multiple_of(11) {
            f64::NAN
        } else {
            (row * 7 % 31) as f64 / 2.0
        }
    };
    let words = Categorical::new(
        vec!["x".into(), "y".into(), "z".into()],
        (0..rows).map(|row| row as u32 % 3).collect(),
    );
    let kinds = Categorical::new(
        vec!["no".into(), "yes".into(), "ö".into()],
        (0..rows).map(|row| row as u32 / 5 % 3).collect(),
    );
    Table::new(vec![
        ("n".into(), Column::Numeric((0..rows).map(number).collect())),
        (
            "m".into(),
            Column::Numeric((0..rows).map(|row| (row / 5) as f64).collect()),
        ),
        ("w".into(), Column::Categorical(words.unwrap())),
        ("kind".into(), Column::Categorical(kinds.unwrap())),
    ])
    .unwrap()
}

fn fit(imputer: &str, candidate: Value) -> Pipeline {
    fit_to("kind", imputer, candidate)
}

fn fit_to(target: &str, imputer: &str, candidate: Value) -> Pipeline {
    let config = json!({
        "target": target, "candidates": [candidate], "search": { "n_iter": 1, "cv": 2 },
        "preparation": { "numeric": { "imputer": imputer }, "categorical": { "min_frequency": if imputer == "mean" { 40 } else { 1 } } },
    });
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    train(&table(), &config, &NoProgress).unwrap().pipeline
}

fn fit_calibrated(method: &str, target: &str, model: &str) -> Pipeline {
    let config = json!({
        "target": target, "calibrate": method, "candidates": [{ "model": model }], "search": { "n_iter": 1, "cv": 2 },
    });
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    train(&table(), &config, &NoProgress).unwrap().pipeline
}

fn fit_encoded() -> Pipeline {
    let config = json!({
        "target": "m", "task": "regression", "search": { "n_iter": 1, "cv": 2 },
        "candidates": [{ "model": "extra_trees", "n_estimators": 2 }],
        "preparation": {
            "categorical": { "encoding": "target" }, "numeric": { "scaler": "quantile" },
            "columns": [{ "columns": ["kind"], "categorical": { "encoding": "ordinal" } }],
        },
    });
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    train(&table(), &config, &NoProgress).unwrap().pipeline
}

fn fit_components() -> Pipeline {
    let config = json!({
        "target": "kind", "search": { "n_iter": 1, "cv": 2 }, "candidates": [{ "model": "linear_svm" }],
        "preparation": {
            "pca": { "n_components": 2 },
            "columns": [{ "columns": ["w"], "categorical": { "encoding": "ordinal" } }],
        },
    });
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    train(&table(), &config, &NoProgress).unwrap().pipeline
}

/// Texts by the share of each of three classes.
fn fit_by_classes() -> Pipeline {
    let config = json!({
        "target": "kind", "search": { "n_iter": 1, "cv": 2 },
        "candidates": [{ "model": "random_forest", "n_estimators": 2 }],
        "preparation": { "categorical": { "encoding": "target" }, "numeric": { "imputer": "knn" } },
    });
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    train(&table(), &config, &NoProgress).unwrap().pipeline
}

/// Dates in parts, and a text that is none.
fn dated() -> Table {
    let rows = table().row_count();
    let days =
        (0..rows).map(|row| format!("2025-{:02}-{:02}T{:02}:30", row % 12 + 1, row % 28 + 1, row % 24));
    let codes = (0..rows).map(|row| {
        if row % 9 == 4 {
            fragua_learn::MISSING_CODE
        } else {
            row as u32
        }
    });
    let days = Categorical::new(days.collect(), codes.collect()).unwrap();
    let hours = (0..rows).map(|row| ((row % 24) * 3) as f64 + (row % 12) as f64 / 100.0);
    Table::new(vec![
        ("when".into(), Column::Categorical(days)),
        ("price".into(), Column::Numeric(hours.collect())),
    ])
    .unwrap()
}

fn fit_dates(model: &str) -> Pipeline {
    let config = json!({
        "target": "price", "search": { "n_iter": 1, "cv": 2 }, "candidates": [{ "model": model }],
        "preparation": {
            "categorical": { "encoding": "date", "parts": ["month", "hour"] }, "numeric": { "scaler": "quantile" },
        },
    });
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    train(&dated(), &config, &NoProgress).unwrap().pipeline
}

/// One file of each kind of model and preparation.
static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    vec![
        fit("median", json!({ "model": "random_forest", "n_estimators": 3 })).to_bytes(),
        fit(
            "none",
            json!({ "model": "gradient_boosting", "n_estimators": 2, "min_samples_leaf": 5 }),
        )
        .to_bytes(),
        fit(
            "none",
            json!({ "model": "gradient_boosting", "n_estimators": 2, "min_samples_leaf": 2, "max_cat_to_onehot": 1 }),
        )
        .to_bytes(),
        fit("none", json!({ "model": "extra_trees", "n_estimators": 3 })).to_bytes(),
        fit("knn", json!({ "model": "logistic_regression" })).to_bytes(),
        fit("mean", json!({ "model": "logistic_regression" })).to_bytes(),
        fit_encoded().to_bytes(),
        fit_to("m", "median", json!({ "model": "linear_regression" })).to_bytes(),
        fit_to("m", "none", json!({ "model": "gradient_boosting", "n_estimators": 3, "min_samples_leaf": 5, "loss": "huber" }))
            .to_bytes(),
        fit_calibrated("sigmoid", "kind", "logistic_regression").to_bytes(),
        fit_calibrated("isotonic", "w", "logistic_regression").to_bytes(),
        fit("median", json!({ "model": "naive_bayes" })).to_bytes(),
        fit_calibrated("sigmoid", "w", "linear_svm").to_bytes(),
        fit_components().to_bytes(),
        fit_by_classes().to_bytes(),
        fit("median", json!({ "model": "svc", "kernel": "poly" })).to_bytes(),
        fit_dates("linear_regression").to_bytes(),
        fit_dates("extra_trees").to_bytes(),
    ]
});

const HEADER: usize = 52;

fn unpack(file: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    flate2::read::ZlibDecoder::new(&file[HEADER..])
        .read_to_end(&mut content)
        .unwrap();
    content
}

/// A file with a right header around any content, so that the checks behind the checksum are met.
fn pack(content: &[u8]) -> Vec<u8> {
    pack_as(7, content)
}

fn pack_as(version: u32, content: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(content).unwrap();
    let packed = packer.finish().unwrap();
    let mut file = b"FRAGUAPL".to_vec();
    file.extend(version.to_le_bytes());
    file.extend((content.len() as u64).to_le_bytes());
    // Up to version 2 the checksum was that of the content alone.
    let versioned = [&version.to_le_bytes()[..], &packed].concat();
    file.extend(Sha256::digest(if version < 3 { &packed } else { &versioned }));
    file.extend(packed);
    file
}

/// Loads a file; one that is taken must be able to predict, too.
fn load_and_use(file: &[u8]) -> Result<(), Error> {
    let pipeline = Pipeline::load(file)?;
    // A changed name of a column is a fair reason not to predict or explain.
    for table in [table(), dated()] {
        let _ = pipeline.predict(&table);
        let _ = pipeline.explain(&table);
    }
    Ok(())
}

/// The hour of a date decides; a model of trees and a linear one see it, row by row and after they are read back.
#[test]
fn dates_are_learned_from_and_models_with_them_have_no_onnx_file() {
    for model in ["linear_regression", "extra_trees"] {
        let pipeline = fit_dates(model);
        let whole = pipeline.predict(&dated()).unwrap();
        let read = Pipeline::load(&pipeline.to_bytes()).unwrap();
        for row in [0, 4, 7, 30] {
            let one = read.predict(&dated().select_rows(&[row])).unwrap();
            assert_eq!(one.labels[0], whole.labels[row]);
        }
        assert!(
            pipeline.evaluate(&dated()).unwrap().metrics["r2"] > 0.7,
            "{model}"
        );
        let explained = pipeline.explain(&dated()).unwrap();
        assert_eq!(explained.of(0, 0).len(), 1, "all parts are one column");
        let files = mlflow_model::files(&pipeline, &ModelInfo::default());
        let names: Vec<&str> = files.iter().map(|file| file.name).collect();
        assert!(
            names.contains(&"pipeline.fragua") && !names.contains(&"model.onnx"),
            "{names:?}"
        );
        let described = String::from_utf8(files[0].bytes.clone()).unwrap();
        assert!(
            described.contains("\"without_onnx\":\"the date encoding cannot be written as ONNX"),
            "{described}"
        );
        assert!(!described.contains("python_function"));
    }
    let config = json!({
        "target": "price", "candidates": [{ "model": "extra_trees", "n_estimators": 2 }],
        "preparation": { "categorical": { "encoding": "ordinal", "parts": ["month"] } },
    });
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    let error = train(&dated(), &config, &NoProgress).unwrap_err().to_string();
    assert_eq!(
        error,
        "preparation.categorical.parts: only the date encoding has parts"
    );
}

#[test]
fn a_file_is_read_back_bit_by_bit() {
    for file in FILES.iter() {
        let pipeline = Pipeline::load(file).unwrap();
        assert_eq!(&pipeline.to_bytes(), file);
        assert_eq!(
            Pipeline::load(&pack(&unpack(file))).unwrap().to_bytes(),
            *file,
            "packed another way"
        );
    }
}

/// Files that version 3 of the layout wrote, with the place among [`FILES`] of the same model.
const VERSION_3: [(&[u8], usize); 4] = [
    (include_bytes!("files/version_3_forest.fragua"), 0),
    (include_bytes!("files/version_3_boosting.fragua"), 1),
    (include_bytes!("files/version_3_logistic.fragua"), 4),
    (include_bytes!("files/version_3_numbers.fragua"), 8),
];

/// Version 1 had no sets of categories, version 2 no numbers as answers and no rare categories, version 3 neither the rows of
/// leaves nor calibration, version 4 no components, version 5 no means of linear models; what they have is read as it is.
#[test]
fn files_of_older_versions_are_read() {
    for (file, place) in VERSION_3 {
        let now = Pipeline::load(&FILES[place]).unwrap().predict(&table()).unwrap();
        for version in 1..=3 {
            let older = Pipeline::load(&pack_as(version, &unpack(file))).unwrap();
            assert_eq!(older.predict(&table()).unwrap(), now);
            let saved = older.to_bytes();
            assert_eq!(Pipeline::load(&saved).unwrap().to_bytes(), saved, "saved again");
        }
    }
    // Version 4 of a model without trees is version 3 with no calibration at its end; components came after it.
    let (file, place) = VERSION_3[2];
    let older = Pipeline::load(&pack_as(4, &[unpack(file), vec![0]].concat())).unwrap();
    let now = Pipeline::load(&FILES[place]).unwrap().predict(&table()).unwrap();
    assert_eq!(older.predict(&table()).unwrap(), now);
    for (file, _) in VERSION_3 {
        let older = Pipeline::load(file).unwrap();
        let error = older.explain(&table()).unwrap_err().to_string();
        assert_eq!(
            error,
            "this model was saved by an older version, without what explaining needs; train it again"
        );
    }
}

#[test]
fn other_files_and_newer_versions_are_named() {
    let check = |file: &[u8], expected: &str| {
        assert_eq!(
            Pipeline::load(file).unwrap_err().to_string(),
            format!("pipeline file: {expected}")
        );
    };
    let file = &FILES[0];
    check(b"", "this is not a pipeline file");
    check(b"PK\x03\x04 something else", "this is not a pipeline file");
    let mut newer = file.clone();
    newer[8] = 8;
    check(
        &newer,
        "version 8 of the layout, this program reads up to version 7",
    );
    let mut flipped = file.clone();
    *flipped.last_mut().unwrap() ^= 1;
    check(&flipped, "damaged: the checksum does not match");
    let mut content = unpack(file);
    content.push(0);
    check(&pack(&content), "damaged: there is more after its end");
}

#[test]
fn a_packed_bomb_is_not_unpacked() {
    let mut bomb = pack(&vec![0u8; 50 << 20]);
    bomb[12..20].copy_from_slice(&100u64.to_le_bytes());
    assert_eq!(
        Pipeline::load(&bomb).unwrap_err().to_string(),
        "pipeline file: damaged: its length does not match"
    );
}

#[test]
fn every_shorter_file_is_refused() {
    for file in FILES.iter() {
        for length in 0..file.len() {
            assert!(Pipeline::load(&file[..length]).is_err());
        }
        let content = unpack(file);
        for length in 0..content.len() {
            assert!(
                Pipeline::load(&pack(&content[..length])).is_err(),
                "{length} of {}",
                content.len()
            );
        }
    }
}

#[test]
fn every_flipped_bit_of_a_file_is_noticed() {
    let file = &FILES[2];
    for position in 0..file.len() {
        for bit in 0..8 {
            let mut flipped = file.clone();
            flipped[position] ^= 1 << bit;
            assert!(Pipeline::load(&flipped).is_err(), "byte {position}, bit {bit}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_content_behind_a_right_checksum_never_panics(
        which in 0usize..18, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut content = unpack(&FILES[which]);
        for (position, value) in changes {
            let position = position.index(content.len());
            content[position] = value;
        }
        let _ = load_and_use(&pack(&content));
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(load_and_use(&bytes).is_err());
        let _ = load_and_use(&pack(&bytes));
    }
}
