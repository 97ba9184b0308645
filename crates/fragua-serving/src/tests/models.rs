//! Model folders, trained here on a small table.

use std::sync::OnceLock;

use fragua_learn::mlflow_model::{self, ModelInfo};
use fragua_learn::{Categorical, Column, Label, NoProgress, Table, TrainConfig, train};
use serde_json::json;

use crate::source::memory::Files;

/// A forest over `Elevation` (whole numbers), `Slope` (numbers) and `Area` (texts) that answers 1, 2 or 7.
pub(super) fn forest() -> Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES
        .get_or_init(|| folder(|class| Label::Integer([1, 2, 7][class])))
        .clone()
}

/// The same forest with classes that are texts.
pub(super) fn text_forest() -> Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES
        .get_or_init(|| folder(|class| Label::Text(["fir", "pine", "\"fir\""][class].to_owned())))
        .clone()
}

/// The same forest for numbers: it answers about 1.5, 2.25 or 7.
pub(super) fn number_forest() -> Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES
        .get_or_init(|| folder(|class| Label::Number([1.5, 2.25, 7.0][class])))
        .clone()
}

/// The forest with a pipeline file that ends too early.
pub(super) fn broken() -> Files {
    let mut files = forest();
    for (name, bytes) in &mut files {
        if name.contains("pipeline") {
            bytes.truncate(bytes.len() / 2);
        }
    }
    files
}

fn folder(label: impl Fn(usize) -> Label) -> Files {
    let rows = 120;
    let elevation = (0..rows).map(|row| f64::from(1800 + row * 10)).collect();
    let slope = (0..rows).map(|row| f64::from(row % 7) + 0.5).collect();
    let areas = ["Cache", "Neota", "Rawah"].map(str::to_owned).to_vec();
    let area = Categorical::new(areas, (0..rows).map(|row| (row % 3) as u32).collect()).unwrap();
    let classes = (0..rows).map(|row| label(row as usize / 40));
    let table = Table::new(vec![
        ("Elevation".to_owned(), Column::Numeric(elevation)),
        ("Slope".to_owned(), Column::Numeric(slope)),
        ("Area".to_owned(), Column::Categorical(area)),
        ("Class".to_owned(), target(classes.collect())),
    ]);
    let config: TrainConfig = serde_json::from_value(json!({
        "target": "Class",
        "candidates": [{ "model": "random_forest", "n_estimators": 5 }],
    }))
    .unwrap();
    let report = train(&table.unwrap(), &config, &NoProgress).unwrap();
    let info = ModelInfo {
        profile: Some(report.profile),
        ..ModelInfo::default()
    };
    let files = mlflow_model::files(&report.pipeline, &info);
    files
        .into_iter()
        .map(|file| (file.name.to_owned(), file.bytes))
        .collect()
}

fn target(labels: Vec<Label>) -> Column {
    let numbers: Option<Vec<f64>> = labels
        .iter()
        .map(|label| match label {
            Label::Integer(number) => Some(*number as f64),
            Label::Number(number) => Some(*number),
            Label::Text(_) => None,
        })
        .collect();
    if let Some(numbers) = numbers {
        return Column::Numeric(numbers);
    }
    let mut dictionary: Vec<String> = labels.iter().map(Label::to_string).collect();
    dictionary.dedup();
    let code = |label: &Label| {
        dictionary
            .iter()
            .position(|word| *word == label.to_string())
            .unwrap() as u32
    };
    let codes = labels.iter().map(code).collect();
    Column::Categorical(Categorical::new(dictionary.clone(), codes).unwrap())
}
