//! Data frames as MLflow's scoring protocol carries them, made into rows as MLflow makes them.
//!
//! The rules are those of `mlflow.pyfunc`'s schema enforcement on pandas: columns by name, extra ones dropped,
//! numbers in text accepted, `null` a missing value except where a whole number belongs.

mod split;

use std::collections::BTreeSet;

use bytes::Bytes;
use fragua_learn::{Format, ReadOptions, columns_of, read_bytes};
use serde_json::{Map, Value};

use crate::row::{Cell, Row, integer_in, number_in};
use crate::signature::{DataType, Feature};

/// Why a request is no data frame for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// The request does not have the form of the protocol, or a value does not convert.
    BadRequest(String),
    /// The frame lacks columns of the signature.
    MissingColumns(String),
    /// More rows than one request may hold.
    TooManyRows(usize),
}

const FORMS: [&str; 4] = ["dataframe_split", "dataframe_records", "instances", "inputs"];

/// Texts that pandas reads as a missing value in CSV.
const CSV_MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Reads a JSON request.
pub(crate) fn rows_of_json(
    features: &[Feature],
    body: &[u8],
    max_rows: usize,
) -> Result<Vec<Row>, FrameError> {
    match split::read_split(features, body, max_rows) {
        Some(rows) => Ok(rows),
        None => rows_of_whole_json(features, body, max_rows),
    }
}

fn rows_of_whole_json(features: &[Feature], body: &[u8], max_rows: usize) -> Result<Vec<Row>, FrameError> {
    let request = parse_json(body)?;
    let form_of = || format!("exactly one of {}", FORMS.join(", "));
    let Value::Object(mut request) = request else {
        return Err(FrameError::BadRequest(format!(
            "the body must be a JSON object with {}",
            form_of()
        )));
    };
    let given: Vec<&str> = FORMS
        .into_iter()
        .filter(|form| request.contains_key(*form))
        .collect();
    let [form] = given.as_slice() else {
        let found = if given.is_empty() {
            "none of them".to_owned()
        } else {
            given.join(" and ")
        };
        return Err(FrameError::BadRequest(format!(
            "the body must be a JSON object with {}; it has {found}",
            form_of()
        )));
    };
    let frame = request.remove(*form).unwrap_or_default();
    let reader = Reader { features, max_rows };
    match (*form, frame) {
        ("dataframe_split", frame) => reader.split(frame),
        ("dataframe_records", Value::Array(records)) => reader.records(form, &records),
        ("dataframe_records", _) => Err(FrameError::BadRequest(
            "dataframe_records must be a list of records".to_owned(),
        )),
        (_, Value::Object(columns)) => reader.columns(form, &columns),
        (_, Value::Array(records)) => reader.records(form, &records),
        (_, _) => Err(FrameError::BadRequest(format!(
            "{form} must be a list of records or an object of columns"
        ))),
    }
}

/// Python's encoder writes missing numbers as `NaN`, which JSON does not know; they are read as `null`.
fn parse_json(body: &[u8]) -> Result<Value, FrameError> {
    let error = match serde_json::from_slice(body) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let with_nulls = nan_to_null(body).and_then(|body| serde_json::from_slice(&body).ok());
    with_nulls.ok_or_else(|| {
        FrameError::BadRequest(format!(
            "the body is not valid JSON: line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

/// Replaces the word `NaN` outside of strings; `None` when there is none.
fn nan_to_null(body: &[u8]) -> Option<Vec<u8>> {
    let mut replaced = Vec::with_capacity(body.len() + 64);
    let mut found = false;
    let mut in_string = false;
    let mut index = 0;
    while index < body.len() {
        let byte = body[index];
        if in_string && byte == b'\\' {
            replaced.extend(body.iter().skip(index).take(2));
            index += 2;
            continue;
        }
        if byte == b'"' {
            in_string = !in_string;
        }
        if !in_string && body[index..].starts_with(b"NaN") {
            replaced.extend_from_slice(b"null");
            index += 3;
            found = true;
            continue;
        }
        replaced.push(byte);
        index += 1;
    }
    found.then_some(replaced)
}

/// Reads a CSV request: a header row, then rows.
pub(crate) fn rows_of_csv(
    features: &[Feature],
    body: &[u8],
    max_rows: usize,
) -> Result<Vec<Row>, FrameError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(body);
    let not_csv = |error: csv::Error| match error.position() {
        Some(position) => {
            FrameError::BadRequest(format!("line {} is not valid CSV in UTF-8", position.line()))
        }
        None => FrameError::BadRequest("the body is not valid CSV in UTF-8".to_owned()),
    };
    let header = reader.headers().map_err(not_csv)?.clone();
    if header.is_empty() {
        return Err(FrameError::BadRequest(
            "the CSV body is empty; it must begin with a header row".to_owned(),
        ));
    }
    let places = places(features, header.iter(), |name| {
        header.iter().position(|column| column == name)
    })?;
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(not_csv)? {
        if rows.len() == max_rows {
            return Err(FrameError::TooManyRows(max_rows + 1));
        }
        let number = rows.len();
        if record.len() > header.len() {
            return Err(FrameError::BadRequest(format!(
                "row {number} has {} fields where the header has {}",
                record.len(),
                header.len()
            )));
        }
        let cells = features.iter().zip(&places).map(|(feature, place)| {
            let text = place.and_then(|place| record.get(place)).unwrap_or_default();
            cell_of_csv(feature, text).ok_or_else(|| does_not_convert(feature, number))
        });
        rows.push(Row(cells.collect::<Result<_, _>>()?));
    }
    Ok(rows)
}

/// Reads a Parquet request; its columns may unpack to `max_bytes` in all.
pub(crate) fn rows_of_parquet(
    features: &[Feature],
    body: Bytes,
    max_rows: usize,
    max_bytes: u64,
) -> Result<Vec<Row>, FrameError> {
    let bad = |error: fragua_learn::Error| FrameError::BadRequest(error.to_string());
    let mut options = ReadOptions {
        format: Some(Format::Parquet),
        max_bytes,
        ..ReadOptions::default()
    };
    let present = columns_of(body.clone(), &options).map_err(bad)?;
    let found = |name: &str| present.iter().any(|(column, _)| column == name);
    let asked = || features.iter().filter(|feature| found(&feature.name));
    // Where in the table that is read, which has no other columns.
    let given = present.iter().map(|(name, _)| name.as_str());
    let places = places(features, given, |name| {
        asked().position(|feature| feature.name == name)
    })?;
    options.kinds = Some(
        asked()
            .map(|feature| (feature.name.clone(), feature.data_type.column_kind()))
            .collect(),
    );
    let (table, _) = read_bytes(body, &options).map_err(bad)?;
    Reader { features, max_rows }.check_rows(table.row_count())?;
    let cell = |row: usize, feature: &Feature, place: Option<usize>| {
        let missing = || cell_of_json(feature, &Value::Null);
        match place.map(|place| table.cell(row, place)) {
            None | Some(fragua_learn::Cell::Missing) => missing(),
            Some(fragua_learn::Cell::Text(text)) => Some(Cell::Text(text.into_owned())),
            Some(fragua_learn::Cell::Number(number)) => cell_of_number(feature, number),
        }
    };
    let rows = (0..table.row_count()).map(|row| {
        let cells = features
            .iter()
            .zip(&places)
            .map(|(feature, place)| cell(row, feature, *place).ok_or_else(|| does_not_convert(feature, row)));
        Ok(Row(cells.collect::<Result<_, _>>()?))
    });
    rows.collect()
}

struct Reader<'a> {
    features: &'a [Feature],
    max_rows: usize,
}

impl Reader<'_> {
    fn check_rows(&self, rows: usize) -> Result<(), FrameError> {
        if rows > self.max_rows {
            return Err(FrameError::TooManyRows(rows));
        }
        Ok(())
    }

    fn split(&self, frame: Value) -> Result<Vec<Row>, FrameError> {
        let bad = |text: &str| FrameError::BadRequest(text.to_owned());
        let Value::Object(frame) = frame else {
            return Err(bad(
                "dataframe_split must be an object with data, columns and, if wanted, index",
            ));
        };
        if frame
            .keys()
            .any(|key| !matches!(key.as_str(), "data" | "columns" | "index"))
        {
            return Err(bad(
                "dataframe_split may have the keys data, columns and index only",
            ));
        }
        let Some(Value::Array(data)) = frame.get("data") else {
            return Err(bad("dataframe_split must have data, a list of rows"));
        };
        let columns = match frame.get("columns") {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(columns)) => columns,
            Some(_) => return Err(bad("columns of dataframe_split must be a list of names")),
        };
        self.check_rows(data.len())?;
        for (number, row) in data.iter().enumerate() {
            let Value::Array(row) = row else {
                return Err(FrameError::BadRequest(format!(
                    "row {number} of dataframe_split is not a list"
                )));
            };
            if frame.contains_key("columns") && row.len() != columns.len() {
                return Err(FrameError::BadRequest(format!(
                    "row {number} of dataframe_split has {} values where there are {} columns",
                    row.len(),
                    columns.len()
                )));
            }
        }
        let given = columns.iter().filter_map(Value::as_str);
        let places = places(self.features, given, |name| {
            columns.iter().position(|column| column.as_str() == Some(name))
        })?;
        self.rows(data.len(), |number, index| {
            places[index].and_then(|place| data[number].get(place))
        })
    }

    fn records(&self, form: &str, records: &[Value]) -> Result<Vec<Row>, FrameError> {
        self.check_rows(records.len())?;
        let mut given = Vec::with_capacity(records.len());
        for (number, record) in records.iter().enumerate() {
            let Value::Object(record) = record else {
                let missing = self
                    .features
                    .iter()
                    .map(|feature| feature.name.as_str())
                    .collect();
                return Err(missing_columns(
                    missing,
                    &format!("; row {number} of {form} is not a record with names"),
                ));
            };
            given.push(record);
        }
        // A column is there as soon as one record has it; where another one lacks it, its value is missing.
        let names = given.iter().flat_map(|record| record.keys().map(String::as_str));
        places(self.features, names, |name| {
            given.iter().position(|record| record.contains_key(name))
        })?;
        self.rows(records.len(), |number, index| {
            given[number].get(&self.features[index].name)
        })
    }

    fn columns(&self, form: &str, columns: &Map<String, Value>) -> Result<Vec<Row>, FrameError> {
        let found: Vec<Option<&Value>> = self
            .features
            .iter()
            .map(|feature| columns.get(&feature.name))
            .collect();
        let given = columns.keys().map(String::as_str);
        places(self.features, given, |name| {
            columns.contains_key(name).then_some(0)
        })?;
        // Values that are no lists stand for one row, as in pandas.
        let lengths = found
            .iter()
            .flatten()
            .map(|column| column.as_array().map_or(1, Vec::len));
        let row_count = lengths.clone().max().unwrap_or(0);
        if lengths.clone().min() != lengths.max() {
            return Err(FrameError::MissingColumns(format!(
                "the columns of {form} must have the same number of values"
            )));
        }
        self.check_rows(row_count)?;
        self.rows(row_count, |number, index| match found[index] {
            Some(Value::Array(values)) => values.get(number),
            other => other,
        })
    }

    fn rows<'v>(
        &self,
        count: usize,
        value: impl Fn(usize, usize) -> Option<&'v Value>,
    ) -> Result<Vec<Row>, FrameError> {
        let mut rows = Vec::with_capacity(count);
        for number in 0..count {
            let cells = self.features.iter().enumerate().map(|(index, feature)| {
                let value = value(number, index).unwrap_or(&Value::Null);
                cell_of_json(feature, value).ok_or_else(|| does_not_convert(feature, number))
            });
            rows.push(Row(cells.collect::<Result<_, _>>()?));
        }
        Ok(rows)
    }
}

/// Finds the place of each feature; `None` stands for one that may be absent and is. `given` are the names there are, which a
/// refusal tells as far as the model does not take them: one of them may be misspelt.
fn places<'a>(
    features: &[Feature],
    given: impl Iterator<Item = &'a str>,
    find: impl Fn(&str) -> Option<usize>,
) -> Result<Vec<Option<usize>>, FrameError> {
    let places: Vec<Option<usize>> = features.iter().map(|feature| find(&feature.name)).collect();
    let missing: Vec<&str> = features
        .iter()
        .zip(&places)
        .filter(|(feature, place)| feature.required && place.is_none())
        .map(|(feature, _)| feature.name.as_str())
        .collect();
    if missing.is_empty() {
        Ok(places)
    } else {
        const MOST: usize = 20;
        let surplus: BTreeSet<&str> = given
            .filter(|name| features.iter().all(|feature| feature.name != *name))
            .collect();
        let told: Vec<&str> = surplus.into_iter().take(MOST).collect();
        let remark = match told.is_empty() {
            true => String::new(),
            false => format!("; it does not take: {}", told.join(", ")),
        };
        Err(missing_columns(missing, &remark))
    }
}

fn missing_columns(missing: Vec<&str>, remark: &str) -> FrameError {
    FrameError::MissingColumns(format!(
        "the model takes columns that are missing: {}{remark}",
        missing.join(", ")
    ))
}

fn does_not_convert(feature: &Feature, row: usize) -> FrameError {
    FrameError::BadRequest(format!(
        "row {row}: the value of column {} does not convert to {}",
        feature.name,
        feature.data_type.name()
    ))
}

fn cell_of_json(feature: &Feature, value: &Value) -> Option<Cell> {
    match (feature.data_type, value) {
        (DataType::Integer | DataType::Long | DataType::Boolean, Value::Null) if feature.required => None,
        (_, Value::Null) => Some(Cell::Missing),
        (_, Value::Array(_) | Value::Object(_)) => None,
        (DataType::Text, Value::String(text)) => Some(Cell::Text(text.clone())),
        (DataType::Text, Value::Number(number)) => Some(Cell::Text(number.to_string())),
        (DataType::Text, Value::Bool(true)) => Some(Cell::Text("True".to_owned())),
        (DataType::Text, Value::Bool(false)) => Some(Cell::Text("False".to_owned())),
        (DataType::Boolean, Value::String(_)) => None,
        (_, Value::Bool(boolean)) => Some(Cell::Number(f64::from(u8::from(*boolean)))),
        (DataType::Float | DataType::Double, Value::Number(number)) => number.as_f64().map(Cell::Number),
        (DataType::Float | DataType::Double, Value::String(text)) => number_in(text).map(Cell::Number),
        (DataType::Integer | DataType::Long, Value::String(text)) => whole_number_in(text),
        (DataType::Integer | DataType::Long | DataType::Boolean, Value::Number(number)) => {
            cell_of_number(feature, number.as_f64()?)
        }
    }
}

fn cell_of_number(feature: &Feature, number: f64) -> Option<Cell> {
    let number = match feature.data_type {
        // pandas cuts the fraction off.
        DataType::Integer | DataType::Long => number.trunc(),
        DataType::Boolean if number != 0.0 && number != 1.0 => return None,
        _ => number,
    };
    Some(Cell::Number(number))
}

fn cell_of_csv(feature: &Feature, text: &str) -> Option<Cell> {
    if CSV_MISSING.contains(&text) {
        return cell_of_json(feature, &Value::Null);
    }
    match feature.data_type {
        DataType::Text => Some(Cell::Text(text.to_owned())),
        DataType::Float | DataType::Double => number_in(text).map(Cell::Number),
        DataType::Integer | DataType::Long => integer_in(text).map(Cell::Number),
        DataType::Boolean => match text {
            "True" | "TRUE" | "true" => Some(Cell::Number(1.0)),
            "False" | "FALSE" | "false" => Some(Cell::Number(0.0)),
            _ => None,
        },
    }
}

/// Python's `int()` of a text takes no fraction, not even `.0`.
fn whole_number_in(text: &str) -> Option<Cell> {
    if text.contains('.') {
        return None;
    }
    integer_in(text).map(Cell::Number)
}

#[cfg(test)]
mod tests;
