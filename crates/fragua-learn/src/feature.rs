use crate::prepare::numeric::median;
use crate::table::{Column, Table};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A column that predictions are made from, as training saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Name of the column.
    pub name: String,
    /// Type of its values.
    pub kind: FeatureKind,
    /// Whether values were missing in training.
    pub has_missing: bool,
    /// Smallest number.
    pub minimum: Option<f64>,
    /// Largest number.
    pub maximum: Option<f64>,
    /// Middle number.
    pub median: Option<f64>,
    /// The texts, in order.
    pub categories: Vec<String>,
    /// A value of the first row without gaps; `null` when there is no such row.
    pub example: Value,
}

/// Type of a feature's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// Whole numbers, never missing in training.
    Integer,
    /// Numbers.
    Number,
    /// Texts out of a list.
    Category,
}

/// Describes the columns of `table`; ranges and categories come from `train_rows` alone.
pub(crate) fn describe(table: &Table, train_rows: &[usize]) -> Vec<Feature> {
    let has_gap = |row: usize| table.columns().iter().any(|column| column.is_missing(row));
    let example_row = (0..table.row_count()).find(|&row| !has_gap(row));
    let describe =
        |(name, column): (&String, &Column)| describe_column(name, column, train_rows, example_row);
    table.names().iter().zip(table.columns()).map(describe).collect()
}

fn describe_column(name: &str, column: &Column, train_rows: &[usize], example_row: Option<usize>) -> Feature {
    let has_missing = (0..column.len()).any(|row| column.is_missing(row));
    let mut feature = Feature {
        name: name.to_owned(),
        kind: FeatureKind::Category,
        has_missing,
        minimum: None,
        maximum: None,
        median: None,
        categories: Vec::new(),
        example: Value::Null,
    };
    match column {
        Column::Numeric(values) => {
            // Beyond 2^53 a 64-bit float no longer holds every whole number.
            let is_whole = |value: &f64| value.fract() == 0.0 && value.abs() < 9e15;
            let whole = !has_missing && values.iter().all(is_whole);
            feature.kind = if whole {
                FeatureKind::Integer
            } else {
                FeatureKind::Number
            };
            let number = |value: f64| if whole { json!(value as i64) } else { json!(value) };
            feature.example = example_row.map_or(Value::Null, |row| number(values[row]));
            let mut present: Vec<f32> = train_rows
                .iter()
                .map(|&row| values[row] as f32)
                .filter(|value| !value.is_nan())
                .collect();
            present.sort_unstable_by(f32::total_cmp);
            let exact = train_rows
                .iter()
                .map(|&row| values[row])
                .filter(|value| !value.is_nan());
            feature.minimum = exact.clone().reduce(f64::min);
            feature.maximum = exact.reduce(f64::max);
            feature.median = median(&present).map(f64::from);
        }
        Column::Categorical(values) => {
            let mut categories: Vec<String> = train_rows
                .iter()
                .filter_map(|&row| values.text(row))
                .map(str::to_owned)
                .collect();
            categories.sort_unstable();
            categories.dedup();
            feature.categories = categories;
            feature.example = example_row
                .and_then(|row| values.text(row))
                .map_or(Value::Null, |text| json!(text));
        }
    }
    feature
}
