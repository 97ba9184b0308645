//! Tensors of the Open Inference Protocol, made into rows of a model and back.
//!
//! A table is one tensor a column, of shape `[n]` or `[n, 1]`, or one tensor of shape `[n, k]` for a model whose `k` columns
//! are all numbers. Data comes flat or nested, row after row.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::row::{Cell, FieldErrorKind, Row, cell};
use crate::signature::{DataType, Feature};

/// Largest number of dimensions of a tensor.
const MAX_DIMENSIONS: usize = 2;

/// An inference request.
#[derive(Debug, Deserialize)]
pub(crate) struct InferRequest {
    /// Repeated in the answer.
    #[serde(default)]
    pub(crate) id: Option<String>,
    inputs: Vec<InputTensor>,
    /// The outputs that are wanted; all of them where none is named.
    #[serde(default)]
    pub(crate) outputs: Vec<WantedOutput>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct WantedOutput {
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
struct InputTensor {
    name: String,
    shape: Vec<u64>,
    datatype: TensorType,
    data: Value,
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
}

/// The types of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum TensorType {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Fp32,
    Fp64,
    Bytes,
}

impl TensorType {
    fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Whether a JSON value is of this type.
    fn holds(self, value: &Value) -> bool {
        match self {
            Self::Bool => value.is_boolean() || matches!(value.as_u64(), Some(0 | 1)),
            Self::Uint8 | Self::Uint16 | Self::Uint32 | Self::Uint64 => value.is_u64(),
            Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64 => value.is_i64() || value.is_u64(),
            // A missing number travels as null: JSON has no NaN.
            Self::Fp16 | Self::Fp32 | Self::Fp64 => value.is_number() || value.is_null(),
            Self::Bytes => value.is_string() || value.is_null(),
        }
    }
}

/// Returns the protocol's name of a column's type.
pub(crate) fn datatype(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Boolean => TensorType::Bool.name(),
        DataType::Integer => TensorType::Int32.name(),
        DataType::Long => TensorType::Int64.name(),
        DataType::Float => TensorType::Fp32.name(),
        DataType::Double => TensorType::Fp64.name(),
        DataType::Text => TensorType::Bytes.name(),
    }
}

/// Reads a request.
///
/// # Errors
/// One sentence that names the place.
pub(crate) fn parse(body: &[u8]) -> Result<InferRequest, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is no inference request: {error}"))
}

impl InferRequest {
    /// Makes rows of the tensors. Tensors that are no columns of the model are left out.
    ///
    /// # Errors
    /// One sentence that names tensor and row; also for more than `max_rows`.
    pub(crate) fn rows(self, features: &[Feature], max_rows: usize) -> Result<Vec<Row>, String> {
        let mut tensors = BTreeMap::new();
        let single = self.inputs.len() == 1;
        for tensor in self.inputs {
            let tensor = tensor.checked(max_rows)?;
            if let Some(twice) = tensors.insert(tensor.name.clone(), tensor) {
                return Err(format!("input {:?} is given twice", twice.name));
            }
        }
        let is_matrix =
            single && features.len() > 1 && !features.iter().any(|f| tensors.contains_key(&f.name));
        if is_matrix && let Some((_, matrix)) = tensors.pop_first() {
            return matrix.into_rows(features);
        }
        let mut columns = Vec::with_capacity(features.len());
        let mut row_count = None;
        for feature in features {
            let Some(tensor) = tensors.remove(&feature.name) else {
                if feature.required {
                    return Err(format!("input {:?} is missing", feature.name));
                }
                columns.push(None);
                continue;
            };
            if tensor.width != 1 {
                return Err(format!(
                    "input {:?} has {} values a row; a column has one, as in the shape [{}, 1]",
                    tensor.name, tensor.width, tensor.rows
                ));
            }
            let rows = *row_count.get_or_insert(tensor.rows);
            if rows != tensor.rows {
                return Err(format!(
                    "input {:?} has {} rows where the inputs before it have {rows}",
                    tensor.name, tensor.rows
                ));
            }
            columns.push(Some(tensor.values.into_iter()));
        }
        (0..row_count.unwrap_or(0))
            .map(|row| {
                let cells = features.iter().zip(&mut columns).map(|(feature, column)| {
                    match column.as_mut().and_then(Iterator::next) {
                        Some(value) => read(feature, &value, row),
                        None => Ok(Cell::Missing),
                    }
                });
                Ok(Row(cells.collect::<Result<_, String>>()?))
            })
            .collect()
    }
}

fn read(feature: &Feature, value: &Value, row: usize) -> Result<Cell, String> {
    cell(feature, value)
        .map_err(|kind: FieldErrorKind| format!("input {:?}, row {row}: {}", feature.name, kind.message()))
}

/// A tensor whose data is as its shape and type say.
struct Tensor {
    name: String,
    rows: usize,
    width: usize,
    values: Vec<Value>,
}

impl InputTensor {
    fn checked(self, max_rows: usize) -> Result<Tensor, String> {
        let (name, shape) = (self.name, self.shape);
        if self.parameters.contains_key("binary_data_size") {
            return Err(format!(
                "input {name:?}: binary data is not read here; send it in \"data\""
            ));
        }
        let (rows, width) = match shape.as_slice() {
            [rows] => (*rows, 1),
            [rows, width] => (*rows, *width),
            _ => {
                return Err(format!(
                    "input {name:?} has {} dimensions; a table has 1 or {MAX_DIMENSIONS}",
                    shape.len()
                ));
            }
        };
        let size = rows
            .checked_mul(width)
            .and_then(|size| usize::try_from(size).ok());
        let values = flat(self.data, 0).ok_or_else(|| {
            format!("input {name:?}: data is a list of values, or a list of lists, one a row")
        })?;
        if size != Some(values.len()) {
            return Err(format!(
                "input {name:?} has {} values where its shape {shape:?} asks for another number",
                values.len()
            ));
        }
        if let Some(index) = values.iter().position(|value| !self.datatype.holds(value)) {
            let width = width.max(1) as usize;
            return Err(format!(
                "input {name:?}, row {}: {} is no {}",
                index / width,
                short(&values[index]),
                self.datatype.name()
            ));
        }
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        if rows > max_rows {
            return Err(format!(
                "{rows} rows are more than the {max_rows} that one request may hold; send them in parts"
            ));
        }
        Ok(Tensor {
            name,
            rows,
            width: width as usize,
            values,
        })
    }
}

impl Tensor {
    fn into_rows(self, features: &[Feature]) -> Result<Vec<Row>, String> {
        if let Some(text) = features
            .iter()
            .find(|feature| feature.data_type == DataType::Text)
        {
            return Err(format!(
                "input {:?} is no column of the model; column {:?} holds texts, so send one tensor a column",
                self.name, text.name
            ));
        }
        if self.width != features.len() {
            return Err(format!(
                "input {:?} has {} values a row where the model has {} columns",
                self.name,
                self.width,
                features.len()
            ));
        }
        self.values
            .chunks(self.width.max(1))
            .enumerate()
            .map(|(row, values)| {
                let cells = features.iter().zip(values);
                let cells = cells.map(|(feature, value)| read(feature, value, row));
                Ok(Row(cells.collect::<Result<_, String>>()?))
            })
            .collect()
    }
}

fn flat(data: Value, depth: usize) -> Option<Vec<Value>> {
    let Value::Array(values) = data else { return None };
    if !values.iter().any(Value::is_array) {
        return Some(values);
    }
    if depth + 1 >= MAX_DIMENSIONS {
        return None;
    }
    let mut joined = Vec::new();
    for value in values {
        joined.extend(flat(value, depth + 1)?);
    }
    Some(joined)
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Returns what the protocol tells of a model's columns.
pub(crate) fn input_metadata(features: &[Feature]) -> Value {
    let inputs = features.iter().map(
        |feature| json!({ "name": feature.name, "datatype": datatype(feature.data_type), "shape": [-1] }),
    );
    Value::Array(inputs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(name: &str, data_type: DataType, required: bool) -> Feature {
        Feature {
            name: name.to_owned(),
            data_type,
            required,
            range: None,
            categories: Vec::new(),
            example: Value::Null,
        }
    }

    fn rows(features: &[Feature], request: Value) -> Result<Vec<Row>, String> {
        parse(request.to_string().as_bytes())?.rows(features, 3)
    }

    #[test]
    fn tensors_become_rows() {
        let mixed = [
            feature("a", DataType::Double, true),
            feature("b", DataType::Text, true),
            feature("c", DataType::Long, false),
        ];
        let found = rows(
            &mixed,
            json!({"inputs": [
                {"name": "b", "shape": [2, 1], "datatype": "BYTES", "data": [["x"], ["y"]]},
                {"name": "a", "shape": [2], "datatype": "FP64", "data": [1.5, 2]},
                {"name": "ignored", "shape": [1], "datatype": "BOOL", "data": [true]},
            ]}),
        );
        let expected = [(1.5, "x"), (2.0, "y")].map(|(number, text)| {
            Row(vec![
                Cell::Number(number),
                Cell::Text(text.to_owned()),
                Cell::Missing,
            ])
        });
        assert_eq!(found.unwrap(), expected);

        let numbers = [
            feature("a", DataType::Double, false),
            feature("b", DataType::Double, false),
        ];
        for data in [json!([[1, 2], [3, null]]), json!([1, 2, 3, null])] {
            let matrix =
                json!({"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": data}]});
            let expected = [
                Row(vec![Cell::Number(1.0), Cell::Number(2.0)]),
                Row(vec![Cell::Number(3.0), Cell::Missing]),
            ];
            assert_eq!(rows(&numbers, matrix).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let features = [
            feature("a", DataType::Double, true),
            feature("b", DataType::Text, true),
        ];
        let column = |name: &str, shape: Value, datatype: &str, data: Value| json!({"name": name, "shape": shape, "datatype": datatype, "data": data});
        let a = column("a", json!([1]), "FP64", json!([1]));
        let b = column("b", json!([1]), "BYTES", json!(["x"]));
        for (inputs, needle) in [
            (json!([a]), "input \"b\" is missing"),
            (json!([a, a, b]), "input \"a\" is given twice"),
            (
                json!([column("a", json!([2]), "FP64", json!([1])), b]),
                "has 1 values where its shape [2]",
            ),
            (
                json!([column("a", json!([1, 1, 1]), "FP64", json!([1])), b]),
                "3 dimensions",
            ),
            (
                json!([column("a", json!([1]), "FP64", json!(["1"])), b]),
                "input \"a\", row 0: \"1\" is no FP64",
            ),
            (
                json!([column("a", json!([1]), "FP64", json!(1)), b]),
                "data is a list",
            ),
            (
                json!([column("a", json!([1]), "FP64", json!([[[1]]])), b]),
                "data is a list",
            ),
            (
                json!([column("a", json!([1]), "FP128", json!([1])), b]),
                "unknown variant `FP128`",
            ),
            (
                json!([column("a", json!([u64::MAX, u64::MAX]), "FP64", json!([1])), b]),
                "asks for another number",
            ),
            (
                json!([column("a", json!([2]), "FP64", json!([1, 2])), b]),
                "input \"b\" has 1 rows where the inputs before it have 2",
            ),
            (
                json!([column("a", json!([4]), "FP64", json!([1, 2, 3, 4])), b]),
                "4 rows are more than the 3",
            ),
            (
                json!([column("a", json!([1]), "BYTES", json!(["one"])), b]),
                "input \"a\", row 0: Input should be a valid number, unable",
            ),
            (
                json!([column("x", json!([1, 2]), "FP64", json!([1, 2]))]),
                "column \"b\" holds texts",
            ),
        ] {
            let error = rows(&features, json!({"inputs": inputs})).unwrap_err();
            assert!(error.contains(needle), "{error:?} lacks {needle:?}");
        }
        assert!(
            rows(&features, json!({}))
                .unwrap_err()
                .contains("missing field `inputs`")
        );
    }
}
