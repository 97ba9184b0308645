//! What the probabilities of classes go through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of curve that calibrates probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationMethod {
    /// Platt's: a straight line through the log odds. Asks for few rows.
    Sigmoid,
    /// Any rising curve, in straight lines. Wants about 1,000 rows or more.
    Isotonic,
}

impl CalibrationMethod {
    /// Returns the name used in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sigmoid => "sigmoid",
            Self::Isotonic => "isotonic",
        }
    }
}
