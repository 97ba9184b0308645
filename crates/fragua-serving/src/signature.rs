//! The columns that a model takes: names, types, order, and what training saw in them.

use fragua_learn::ColumnKind;
use serde::Deserialize;
use serde_json::Value;

/// The type of a column in MLflow's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    /// `boolean`
    Boolean,
    /// `integer`, 32 bits.
    Integer,
    /// `long`, 64 bits.
    Long,
    /// `float`, 32 bits.
    Float,
    /// `double`, 64 bits.
    Double,
    /// `string`
    #[serde(rename = "string")]
    Text,
}

impl DataType {
    /// Returns whether only whole numbers are of this type.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Integer | Self::Long)
    }

    /// Returns what a table holds of it.
    pub(crate) fn column_kind(self) -> ColumnKind {
        match self {
            Self::Text => ColumnKind::Categorical,
            _ => ColumnKind::Numeric,
        }
    }

    /// Returns MLflow's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Text => "string",
        }
    }
}

/// The numbers training saw in a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The one in the middle.
    pub median: f64,
}

/// One column that the model takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Name, as requests spell it.
    pub name: String,
    /// Type of its values.
    pub data_type: DataType,
    /// Whether a request must give it.
    pub required: bool,
    /// The numbers seen in training, for a numeric column.
    pub range: Option<Range>,
    /// The texts seen in training, for a categorical column. Others are accepted and count as unknown.
    pub categories: Vec<String>,
    /// The value of the stored example row.
    pub example: Value,
}

impl Feature {
    /// Returns whether its values are texts.
    pub fn is_text(&self) -> bool {
        self.data_type == DataType::Text
    }
}

/// One entry of the `inputs` list in an `MLmodel` file's signature.
#[derive(Debug, Deserialize)]
pub(crate) struct ColumnSpec {
    pub(crate) name: Option<String>,
    #[serde(rename = "type")]
    pub(crate) data_type: String,
    #[serde(default = "required_unless_told")]
    pub(crate) required: bool,
}

fn required_unless_told() -> bool {
    true
}

/// Finds `name` among `features`. `expected` is where it stands when a client keeps the signature's order,
/// which makes the usual look-up one comparison.
pub(crate) fn position(features: &[Feature], name: &str, expected: usize) -> Option<usize> {
    if features.get(expected).is_some_and(|feature| feature.name == name) {
        return Some(expected);
    }
    features.iter().position(|feature| feature.name == name)
}
