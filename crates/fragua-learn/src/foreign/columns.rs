//! From the columns of a table to what a model takes.

use super::trees::Real;
use crate::table::{Column, MISSING_CODE, Table};
use crate::{Error, Feature, FeatureKind};
use serde_json::Value;
use std::collections::HashMap;

/// Most columns of a model.
pub(super) const MAX_COLUMNS: usize = 100_000;

/// A feature of which a file says nothing but its name.
pub(super) fn feature(name: impl Into<String>, kind: FeatureKind) -> Feature {
    Feature {
        name: name.into(),
        kind,
        has_missing: true,
        minimum: None,
        maximum: None,
        median: None,
        categories: Vec::new(),
        example: Value::Null,
    }
}

/// Returns the names of the features: the model's own where the caller has the same ones or none, else the caller's in
/// their order.
pub(super) fn names(own: Vec<String>, columns: &[String]) -> Result<Vec<String>, String> {
    let is_distinct = |names: &[String]| {
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort_unstable();
        sorted.windows(2).all(|pair| pair[0] != pair[1])
    };
    let known: std::collections::HashSet<&String> = columns.iter().collect();
    let names = if columns.is_empty() || own.iter().all(|name| known.contains(name)) {
        own
    } else if own.len() == columns.len() {
        columns.to_vec()
    } else {
        return Err(format!(
            "it takes {} columns, its signature has {}",
            own.len(),
            columns.len()
        ));
    };
    if is_distinct(&names) {
        Ok(names)
    } else {
        Err("two of its columns have the same name".to_owned())
    }
}

/// How a column of texts becomes numbers.
pub(super) type Codes = HashMap<String, f64>;

/// Returns the rows side by side, one number a feature; `codes` of a feature are those of its categories. A category that
/// is not known is a missing value.
pub(super) fn matrix<T: Real>(
    features: &[Feature],
    codes: &[Option<Codes>],
    table: &Table,
) -> Result<Vec<T>, Error> {
    let width = features.len();
    let mut matrix = vec![T::default(); width * table.row_count()];
    for (position, (feature, codes)) in features.iter().zip(codes).enumerate() {
        let column = feature.column_of(table)?;
        let slots = matrix.iter_mut().skip(position).step_by(width);
        match column.as_ref() {
            Column::Numeric(values) => slots.zip(values).for_each(|(slot, &value)| *slot = T::of(value)),
            Column::Categorical(values) => {
                let number = |text: &String| {
                    let known = codes.as_ref().and_then(|codes| codes.get(text));
                    T::of(known.copied().unwrap_or(f64::NAN))
                };
                let numbers: Vec<T> = values.dictionary().iter().map(number).collect();
                slots.zip(values.codes()).for_each(|(slot, &code)| {
                    *slot = match code {
                        MISSING_CODE => T::of(f64::NAN),
                        code => numbers[code as usize],
                    }
                });
            }
        }
    }
    Ok(matrix)
}
