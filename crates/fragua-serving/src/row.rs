//! Rows as clients send them: JSON records checked against the signature by pydantic's rules.
//!
//! A good record is read straight from its bytes into cells ([`read_record`]). Only when that fails the record
//! is parsed again as a JSON value, slowly, to say everything that is wrong with it ([`check_record`]).

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::signature::{DataType, Feature, position};

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value; the pipeline imputes it.
    Missing,
    /// A number; booleans are 0 and 1.
    Number(f64),
    /// A text.
    Text(String),
}

impl Cell {
    /// Returns the number, NaN where there is none.
    pub(crate) fn number(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Missing | Self::Text(_) => f64::NAN,
        }
    }

    /// Returns the text, where there is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Missing | Self::Number(_) => None,
        }
    }
}

/// Values in the order of a model's features.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(pub Vec<Cell>);

/// What is wrong with one field of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// Name of the field.
    pub field: String,
    /// What is wrong.
    pub kind: FieldErrorKind,
    /// What was sent: the field's value, or the whole record where the field is missing.
    pub input: Value,
}

/// The ways in which a value can miss its type, by pydantic's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// The field is not there.
    Missing,
    /// Neither a number nor a text.
    FloatType,
    /// A text that is no number.
    FloatParsing,
    /// Neither a number nor a text, where a whole number belongs.
    IntType,
    /// A text that is no whole number.
    IntParsing,
    /// A number too large for a whole number.
    IntParsingSize,
    /// A number with a fraction, where a whole number belongs.
    IntFromFloat,
    /// Neither a boolean nor something that stands for one.
    BoolType,
    /// A text or number that stands for no boolean.
    BoolParsing,
    /// Something other than a text.
    StringType,
}

impl FieldErrorKind {
    /// Returns pydantic's name of the error.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::FloatType => "float_type",
            Self::FloatParsing => "float_parsing",
            Self::IntType => "int_type",
            Self::IntParsing => "int_parsing",
            Self::IntParsingSize => "int_parsing_size",
            Self::IntFromFloat => "int_from_float",
            Self::BoolType => "bool_type",
            Self::BoolParsing => "bool_parsing",
            Self::StringType => "string_type",
        }
    }

    /// Returns pydantic's sentence for the error.
    pub fn message(self) -> &'static str {
        match self {
            Self::Missing => "Field required",
            Self::FloatType => "Input should be a valid number",
            Self::FloatParsing => "Input should be a valid number, unable to parse string as a number",
            Self::IntType => "Input should be a valid integer",
            Self::IntParsing => "Input should be a valid integer, unable to parse string as an integer",
            Self::IntParsingSize => "Unable to parse input string as an integer, exceeded maximum size",
            Self::IntFromFloat => "Input should be a valid integer, got a number with a fractional part",
            Self::BoolType => "Input should be a valid boolean",
            Self::BoolParsing => "Input should be a valid boolean, unable to interpret input",
            Self::StringType => "Input should be a valid string",
        }
    }
}

/// Checks a record and returns its row.
///
/// # Errors
/// Everything that is wrong, in the order of the features.
pub(crate) fn check_record(
    features: &[Feature],
    record: &Map<String, Value>,
) -> Result<Row, Vec<FieldError>> {
    let mut cells = Vec::with_capacity(features.len());
    let mut errors = Vec::new();
    for feature in features {
        let outcome = match record.get(&feature.name) {
            Some(value) => cell(feature, value).map_err(|kind| (kind, value.clone())),
            None if !feature.required => Ok(Cell::Missing),
            None => Err((FieldErrorKind::Missing, Value::Object(record.clone()))),
        };
        match outcome {
            Ok(cell) => cells.push(cell),
            Err((kind, input)) => errors.push(FieldError {
                field: feature.name.clone(),
                kind,
                input,
            }),
        }
    }
    if errors.is_empty() {
        Ok(Row(cells))
    } else {
        Err(errors)
    }
}

pub(crate) fn cell(feature: &Feature, value: &Value) -> Result<Cell, FieldErrorKind> {
    match value {
        Value::Null => from_null(feature),
        Value::Bool(boolean) => from_boolean(feature, *boolean),
        Value::Number(number) => from_number(feature, number.as_f64().unwrap_or(f64::NAN), number.is_f64()),
        Value::String(text) => from_text(feature, text),
        Value::Array(_) | Value::Object(_) => Err(type_error(feature)),
    }
}

fn type_error(feature: &Feature) -> FieldErrorKind {
    match feature.data_type {
        DataType::Boolean => FieldErrorKind::BoolType,
        DataType::Integer | DataType::Long => FieldErrorKind::IntType,
        DataType::Float | DataType::Double => FieldErrorKind::FloatType,
        DataType::Text => FieldErrorKind::StringType,
    }
}

fn from_null(feature: &Feature) -> Result<Cell, FieldErrorKind> {
    if feature.required {
        return Err(type_error(feature));
    }
    Ok(Cell::Missing)
}

fn from_boolean(feature: &Feature, boolean: bool) -> Result<Cell, FieldErrorKind> {
    match feature.data_type {
        DataType::Text => Err(FieldErrorKind::StringType),
        _ => Ok(Cell::Number(f64::from(u8::from(boolean)))),
    }
}

/// `is_float` tells `1.0` from `1`: pydantic reads 2.0 and 2 differently where a boolean belongs.
fn from_number(feature: &Feature, number: f64, is_float: bool) -> Result<Cell, FieldErrorKind> {
    // 2^63: from here on a float is no 64-bit integer any more.
    const INTEGER_END: f64 = 9_223_372_036_854_775_808.0;
    match feature.data_type {
        DataType::Text => Err(FieldErrorKind::StringType),
        DataType::Float | DataType::Double => Ok(Cell::Number(number)),
        DataType::Boolean if number == 0.0 || number == 1.0 => Ok(Cell::Number(number)),
        DataType::Boolean if is_float && number.fract() != 0.0 => Err(FieldErrorKind::BoolType),
        DataType::Boolean => Err(FieldErrorKind::BoolParsing),
        DataType::Integer | DataType::Long if number.fract() != 0.0 => Err(FieldErrorKind::IntFromFloat),
        DataType::Integer | DataType::Long if is_float && number.abs() >= INTEGER_END => {
            Err(FieldErrorKind::IntParsingSize)
        }
        DataType::Integer | DataType::Long => Ok(Cell::Number(number)),
    }
}

fn from_text(feature: &Feature, text: &str) -> Result<Cell, FieldErrorKind> {
    match feature.data_type {
        DataType::Text => Ok(Cell::Text(text.to_owned())),
        DataType::Float | DataType::Double => number_in(text)
            .map(Cell::Number)
            .ok_or(FieldErrorKind::FloatParsing),
        DataType::Integer | DataType::Long => integer_in(text)
            .map(Cell::Number)
            .ok_or(FieldErrorKind::IntParsing),
        DataType::Boolean => boolean_in(text)
            .map(|boolean| Cell::Number(f64::from(u8::from(boolean))))
            .ok_or(FieldErrorKind::BoolParsing),
    }
}

/// Reads a number as Python's `float()` does: blanks around it, single underscores between digits.
pub(crate) fn number_in(text: &str) -> Option<f64> {
    let text = text.trim();
    if !text.contains('_') {
        return text.parse().ok();
    }
    without_underscores(text)?.parse().ok()
}

/// Reads a whole number as pydantic does: like Python's `int()`, and `7.0` too.
pub(crate) fn integer_in(text: &str) -> Option<f64> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    if fraction.is_some_and(|fraction| fraction.is_empty() || fraction.bytes().any(|byte| byte != b'0')) {
        return None;
    }
    let digits = without_underscores(whole)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let magnitude: f64 = digits.parse().ok()?;
    Some(if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    })
}

/// Drops underscores that stand between two digits; any other underscore makes the text no number.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut digits = String::with_capacity(text.len());
    for (index, character) in text.char_indices() {
        if character != '_' {
            digits.push(character);
            continue;
        }
        let before = index.checked_sub(1).and_then(|before| bytes.get(before));
        let after = bytes.get(index + 1);
        if !before.is_some_and(u8::is_ascii_digit) || !after.is_some_and(u8::is_ascii_digit) {
            return None;
        }
    }
    Some(digits)
}

pub(crate) fn boolean_in(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Some(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

/// Reads a record straight from JSON bytes. `None` when anything at all is wrong with it.
pub(crate) fn read_record(features: &[Feature], json: &[u8]) -> Option<Row> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let row = RecordSeed { features }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(row)
}

struct RecordSeed<'a> {
    features: &'a [Feature],
}

impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
    type Value = Row;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Row, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_> {
    type Value = Row;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut record: A) -> Result<Row, A::Error> {
        let mut cells: Vec<Option<Cell>> = vec![None; self.features.len()];
        let mut expected = 0;
        while let Some(found) = record.next_key_seed(KeySeed {
            features: self.features,
            expected,
        })? {
            let Some(index) = found else {
                record.next_value::<IgnoredAny>()?;
                continue;
            };
            // A key that comes twice counts with its last value, as in Python.
            cells[index] = Some(record.next_value_seed(CellSeed {
                feature: &self.features[index],
            })?);
            expected = index + 1;
        }
        let mut row = Vec::with_capacity(cells.len());
        for (cell, feature) in cells.into_iter().zip(self.features) {
            match cell {
                Some(cell) => row.push(cell),
                None if !feature.required => row.push(Cell::Missing),
                None => return Err(A::Error::custom("a field is missing")),
            }
        }
        Ok(Row(row))
    }
}

struct KeySeed<'a> {
    features: &'a [Feature],
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(position(self.features, name, self.expected))
    }
}

struct CellSeed<'a> {
    feature: &'a Feature,
}

impl<'de> DeserializeSeed<'de> for CellSeed<'_> {
    type Value = Cell;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Cell, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for CellSeed<'_> {
    type Value = Cell;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.feature.data_type.name())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Cell, E> {
        from_null(self.feature).map_err(refusal)
    }

    fn visit_bool<E: serde::de::Error>(self, boolean: bool) -> Result<Cell, E> {
        from_boolean(self.feature, boolean).map_err(refusal)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Cell, E> {
        from_number(self.feature, number as f64, false).map_err(refusal)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Cell, E> {
        from_number(self.feature, number as f64, false).map_err(refusal)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Cell, E> {
        from_number(self.feature, number, true).map_err(refusal)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Cell, E> {
        from_text(self.feature, text).map_err(refusal)
    }
}

fn refusal<E: serde::de::Error>(kind: FieldErrorKind) -> E {
    E::custom(kind.code())
}

#[cfg(test)]
mod tests;
