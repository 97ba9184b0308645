//! The check of rows against the column list and the table's types. Errors name the row, from one, and the column.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ColumnType;
use crate::operator::TaskError;
use crate::operator::load::LoadCell as Cell;
use crate::operator::warehouse::Kind;

/// A row as values in the order of the columns.
pub(super) type Row<'a> = Vec<&'a Value>;

/// Brings each row into the order of the columns: a list must have as many values, a mapping exactly these keys.
pub(super) fn shape<'a>(rows: &'a [Value], columns: &[&str]) -> Result<Vec<Row<'a>>, TaskError> {
    let fault = |index: usize, reason: String| {
        TaskError::Failed(format!("row {} {reason}; no row was written", index + 1))
    };
    rows.iter()
        .enumerate()
        .map(|(index, row)| match row {
            Value::Array(values) if values.len() == columns.len() => Ok(values.iter().collect()),
            Value::Array(values) => {
                let reason = format!(
                    "has {} values, and there are {} columns",
                    values.len(),
                    columns.len()
                );
                Err(fault(index, reason))
            }
            Value::Object(values) => {
                if let Some(unknown) = values.keys().find(|key| !columns.contains(&key.as_str())) {
                    return Err(fault(
                        index,
                        format!("has a value {unknown:?}, which is no column"),
                    ));
                }
                let value = |column: &&str| {
                    values
                        .get(*column)
                        .ok_or_else(|| fault(index, format!("has no value {column:?}")))
                };
                columns.iter().map(value).collect()
            }
            other => Err(fault(index, format!("is {}, not a list of values", words(other)))),
        })
        .collect()
}

/// Says what columns of a new table hold: what was written, or what all rows agree on.
pub(super) fn infer_kinds(
    rows: &[Row<'_>],
    columns: &[&str],
    types: &BTreeMap<String, ColumnType>,
) -> Vec<Kind> {
    let kind = |(index, column): (usize, &&str)| match types.get(*column) {
        Some(column_type) => Kind::from(*column_type),
        None => infer_kind(rows.iter().map(|row| row[index])),
    };
    columns.iter().enumerate().map(kind).collect()
}

fn infer_kind<'a>(values: impl Iterator<Item = &'a Value>) -> Kind {
    let mut kind = None;
    for value in values.filter(|value| !is_empty(value)) {
        let this = match value {
            Value::Number(number) if number.is_i64() => Kind::Integer,
            Value::Number(number) if number.is_f64() => Kind::Float,
            Value::String(text) if looks_like_integer(text) => Kind::Integer,
            Value::String(text) if looks_like_decimal(text) => Kind::Float,
            _ => return Kind::Text,
        };
        kind = Some(match kind {
            Some(Kind::Float) => Kind::Float,
            _ => this,
        });
    }
    kind.unwrap_or(Kind::Text)
}

/// `007` is a code, not a number.
fn looks_like_integer(text: &str) -> bool {
    let digits = text.trim().trim_start_matches('-');
    let padded = digits.len() > 1 && digits.starts_with('0');
    !padded && text.trim().parse::<i64>().is_ok()
}

/// Digits alone that fit no integer would lose some of them.
fn looks_like_decimal(text: &str) -> bool {
    text.contains(['.', 'e', 'E']) && parse_float(text).is_some()
}

fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    text.parse::<f64>()
        .ok()
        .filter(|value| plain && value.is_finite())
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// Says what the columns of a table hold that exists already.
pub(super) fn kinds_of_table(
    columns: &[&str],
    known: &[(String, Kind)],
    table: &str,
) -> Result<Vec<Kind>, TaskError> {
    let kind = |column: &&str| {
        // Engines find columns without regard to case.
        let found = known
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(column))
            .map(|(_, kind)| kind);
        match found {
            Some(Kind::Other(type_name)) => Err(TaskError::FailedForGood(format!(
                "column {column:?} of table {table:?} has the type {type_name}, which cannot be filled from JSON: use a whole number, a number or a text"
            ))),
            Some(kind) => Ok(kind.clone()),
            None => Err(TaskError::FailedForGood(format!(
                "table {table:?} has no column {column:?}; it has {}",
                known
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        }
    };
    columns.iter().map(kind).collect()
}

/// Converts each value to what its column holds.
pub(super) fn convert(
    rows: &[Row<'_>],
    columns: &[&str],
    kinds: &[Kind],
) -> Result<Vec<Vec<Cell>>, TaskError> {
    rows.iter()
        .enumerate()
        .map(|(index, row)| {
            let cells = row.iter().zip(columns.iter().zip(kinds));
            cells
                .map(|(value, (column, kind))| {
                    cell(value, kind).ok_or_else(|| {
                        let value = shortened(value);
                        TaskError::Failed(format!(
                            "row {}, column {column}: {value} does not fit, the column holds {kind}; no row was written",
                            index + 1
                        ))
                    })
                })
                .collect()
        })
        .collect()
}

fn cell(value: &Value, kind: &Kind) -> Option<Cell> {
    match (kind, value) {
        (Kind::Integer, value) if is_empty(value) => Some(Cell::Integer(None)),
        (Kind::Integer, Value::String(text)) => {
            text.trim().parse().ok().map(|number| Cell::Integer(Some(number)))
        }
        (Kind::Integer, Value::Number(number)) => whole(number).map(|number| Cell::Integer(Some(number))),
        (Kind::Float, value) if is_empty(value) => Some(Cell::Float(None)),
        (Kind::Float, Value::String(text)) => parse_float(text).map(|number| Cell::Float(Some(number))),
        (Kind::Float, Value::Number(number)) => number.as_f64().map(|number| Cell::Float(Some(number))),
        (Kind::Text, Value::Null) => Some(Cell::Text(None)),
        (Kind::Text, Value::String(text)) => Some(Cell::Text(Some(text.clone()))),
        (Kind::Text, Value::Number(number)) => Some(Cell::Text(Some(number.to_string()))),
        (Kind::Text, Value::Bool(flag)) => Some(Cell::Text(Some(flag.to_string()))),
        _ => None,
    }
}

/// `7.0` is a whole number too, as far as a double tells whole numbers apart.
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number
            .as_f64()
            .filter(|float| float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0)?;
        Some(float as i64)
    })
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Names a JSON value's type.
pub(super) fn words(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_follow_from_all_rows() {
        let check = |values: Value, expected: Kind| {
            assert_eq!(
                infer_kind(values.as_array().unwrap().iter()),
                expected,
                "{values}"
            );
        };
        check(json!(["1", "-20", " 3 ", ""]), Kind::Integer);
        check(json!([1, "2", null]), Kind::Integer);
        check(json!(["1", "2.5"]), Kind::Float);
        check(json!(["2.5", "1"]), Kind::Float);
        check(json!([1, 2.5]), Kind::Float);
        check(json!(["1e3"]), Kind::Float);
        check(json!(["1", "Rawah"]), Kind::Text);
        check(json!(["C7745"]), Kind::Text);
        check(json!(["007"]), Kind::Text);
        check(json!(["12345678901234567890"]), Kind::Text);
        check(json!(["NaN", "inf"]), Kind::Text);
        check(json!([null, ""]), Kind::Text);
        check(json!([true]), Kind::Text);
    }

    #[test]
    fn values_are_converted_or_refused() {
        let check = |value: Value, kind: Kind, expected: Option<Cell>| {
            assert_eq!(cell(&value, &kind), expected, "{value} as {kind}");
        };
        check(json!("12"), Kind::Integer, Some(Cell::Integer(Some(12))));
        check(json!(12.0), Kind::Integer, Some(Cell::Integer(Some(12))));
        check(json!(12.5), Kind::Integer, None);
        check(json!("12.5"), Kind::Integer, None);
        check(json!("abc"), Kind::Integer, None);
        check(json!(""), Kind::Integer, Some(Cell::Integer(None)));
        check(json!(true), Kind::Integer, None);
        check(json!("1.5"), Kind::Float, Some(Cell::Float(Some(1.5))));
        check(json!(3), Kind::Float, Some(Cell::Float(Some(3.0))));
        check(json!("infinity"), Kind::Float, None);
        check(json!("nan"), Kind::Float, None);
        check(json!(5), Kind::Text, Some(Cell::Text(Some("5".to_owned()))));
        check(json!(""), Kind::Text, Some(Cell::Text(Some(String::new()))));
        check(json!(["x"]), Kind::Text, None);
        check(json!({"x": 1}), Kind::Text, None);
    }

    #[test]
    fn rows_must_have_the_columns() {
        let check = |rows: Value, expected: Result<usize, &str>| {
            let result = shape(rows.as_array().unwrap(), &["a", "b"]).map(|rows| rows.len());
            let result = result.map_err(|error| error.to_string());
            assert_eq!(
                result,
                expected.map_err(|reason| format!("{reason}; no row was written"))
            );
        };
        check(json!([]), Ok(0));
        check(json!([[1, 2], {"b": 2, "a": 1}]), Ok(2));
        check(
            json!([[1, 2], [1]]),
            Err("row 2 has 1 values, and there are 2 columns"),
        );
        check(
            json!([[1, 2, 3]]),
            Err("row 1 has 3 values, and there are 2 columns"),
        );
        check(json!([{"a": 1}]), Err("row 1 has no value \"b\""));
        check(
            json!([{"a": 1, "b": 2, "c": 3}]),
            Err("row 1 has a value \"c\", which is no column"),
        );
        check(json!(["x"]), Err("row 1 is a text, not a list of values"));
    }
}
