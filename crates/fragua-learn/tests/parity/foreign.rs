//! Models that were trained elsewhere predict here what they predict in onnxruntime, LightGBM and XGBoost.

use crate::{python, rows};
use fragua_learn::{ForeignModel, Label, ModelFormat, Table, TableBuilder, Task};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
    tables: BTreeMap<String, Map<String, Value>>,
    /// What the converters themselves refused.
    failures: BTreeMap<String, String>,
    /// What gives scores where probabilities belong.
    refused: Vec<String>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    format: String,
    file: String,
    table: String,
    columns: Vec<String>,
    labels: Option<Vec<String>>,
    probabilities: Option<Vec<Vec<f64>>>,
    numbers: Option<Vec<f64>>,
}

fn table(columns: &Map<String, Value>) -> Table {
    let lists: Vec<&Vec<Value>> = columns.values().map(|list| list.as_array().unwrap()).collect();
    let mut builder = TableBuilder::new(columns.keys().cloned());
    for row in 0..lists[0].len() {
        let cells = lists
            .iter()
            .map(|list| fragua_learn::Cell::from_json(&list[row]).unwrap());
        builder.push_row(cells).unwrap();
    }
    builder.finish().unwrap()
}

fn format(name: &str) -> ModelFormat {
    match name {
        "onnx" => ModelFormat::Onnx,
        "lightgbm" => ModelFormat::LightGbm,
        _ => ModelFormat::XgBoost,
    }
}

/// Says what is different; nothing when all is equal.
fn check(case: &Case, table: &Table, folder: &Path) -> Result<(), String> {
    let bytes = std::fs::read(folder.join(&case.file)).unwrap();
    let text = |error: fragua_learn::Error| error.to_string();
    let model = ForeignModel::load(format(&case.format), &bytes, &case.columns).map_err(text)?;
    let together = model.predict(table).map_err(text)?;
    // onnxruntime adds up hundreds of kernels in 32 bits.
    let is_rough = ["svc_poly", "svr"].iter().any(|name| case.name.starts_with(name));
    let tolerance = if is_rough { 1e-5 } else { 1.5e-6 };
    let is_near = |ours: f64, theirs: f64| (ours - theirs).abs() <= tolerance * theirs.abs().max(1.0);
    for row in 0..table.row_count() {
        let alone = model.predict(&table.select_rows(&[row])).map_err(text)?;
        if alone.labels[0] != together.labels[row] || alone.probabilities != *together.probabilities_of(row) {
            return Err(format!(
                "row {row}: alone {alone:?}, together {:?}",
                together.labels[row]
            ));
        }
    }
    if let Some(numbers) = &case.numbers {
        assert_eq!((model.task(), model.labels().len()), (Task::Regression, 0));
        for (row, (ours, theirs)) in together.labels.iter().zip(numbers).enumerate() {
            let Label::Number(ours) = ours else {
                panic!("{ours:?}")
            };
            if !is_near(*ours, *theirs) {
                return Err(format!("row {row}: {ours}, they say {theirs}"));
            }
        }
        return Ok(());
    }
    let probabilities = case.probabilities.as_ref().unwrap();
    for (row, theirs) in probabilities.iter().enumerate() {
        let ours = together.probabilities_of(row);
        let all_near = ours
            .iter()
            .zip(theirs)
            .all(|(ours, theirs)| is_near(f64::from(*ours), *theirs));
        if ours.len() != theirs.len() || !all_near {
            return Err(format!("row {row}: {ours:?}, they say {theirs:?}"));
        }
    }
    let labels = rows::texts(&together.labels);
    let first = labels
        .iter()
        .zip(case.labels.as_ref().unwrap())
        .position(|(ours, theirs)| ours != theirs);
    match first {
        None => Ok(()),
        Some(row) => Err(format!(
            "row {row}: {}, they say {}",
            labels[row],
            case.labels.as_ref().unwrap()[row]
        )),
    }
}

#[test]
fn models_of_other_libraries_predict_as_they_do_there() {
    let folder = tempfile::tempdir().unwrap();
    let count: usize = python::run_in("FRAGUA_TEST_PYTHON_CONVERTERS", "foreign.py", folder.path());
    let cases: Cases =
        serde_json::from_slice(&std::fs::read(folder.path().join("cases.json")).unwrap()).unwrap();
    assert_eq!(cases.cases.len(), count);
    assert!(count > 150, "{count} models");
    assert_eq!(cases.failures, BTreeMap::new());
    let tables: BTreeMap<&String, Table> = cases
        .tables
        .iter()
        .map(|(name, columns)| (name, table(columns)))
        .collect();
    let mut different = String::new();
    for case in &cases.cases {
        if let Err(error) = check(case, &tables[&case.table], folder.path()) {
            writeln!(different, "{}: {error}", case.name).unwrap();
        }
    }
    assert!(different.is_empty(), "{different}");
    for file in cases.refused {
        let bytes = std::fs::read(folder.path().join(&file)).unwrap();
        let error = ForeignModel::load(ModelFormat::Onnx, &bytes, &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("where probabilities belong"), "{file}: {error}");
    }
}
