//! Values of parameters that are not plain numbers.

use super::Task;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// What boosting makes small when it learns numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumberLoss {
    /// Squared errors: predicts means.
    #[default]
    SquaredError,
    /// Absolute errors: predicts medians.
    AbsoluteError,
    /// Squared errors up to the 90 % quantile of their sizes, absolute ones above.
    Huber,
}

/// How alike a support vector machine finds two rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KernelKind {
    /// exp(-`gamma` × squared distance).
    #[default]
    Rbf,
    /// The product of the rows.
    Linear,
    /// (`gamma` × product + `coef0`) to the power of `degree`.
    Poly,
}

/// The factor in a kernel: `scale`, `auto`, or a number above 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected scale, auto, or a number above 0")]
pub enum Gamma {
    /// A rule by name.
    Rule(GammaRule),
    /// A number.
    Value(f64),
}

/// Rules for the factor in a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GammaRule {
    /// One over the number of prepared columns, times the variance of all their numbers together.
    Scale,
    /// One over the number of prepared columns.
    Auto,
}

/// Which leaf of a boosted tree is split next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrowPolicy {
    /// The one that gains most.
    #[default]
    LeafWise,
    /// The one nearest the root; among those, the one that gains most.
    DepthWise,
}

/// Columns tried at a split: `auto` (`sqrt` for classes, all for numbers), `sqrt`, `log2`, `null` for all, a count, or a
/// share such as 0.5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum MaxFeatures {
    /// A rule by name.
    Rule(FeatureRule),
    /// A count of columns.
    Count(usize),
    /// A share of the columns, above 0 and at most 1.
    Share(f64),
    /// All columns.
    All,
}

/// Rules for the number of columns tried at a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeatureRule {
    /// The square root of the number of columns for classes, all for numbers.
    Auto,
    /// The square root of the number of columns.
    Sqrt,
    /// The binary logarithm of the number of columns.
    Log2,
}

impl Default for MaxFeatures {
    fn default() -> Self {
        Self::Rule(FeatureRule::Auto)
    }
}

impl MaxFeatures {
    /// Returns what `auto` means for a task; everything else as it is.
    pub(crate) fn resolve(self, task: Task) -> Self {
        match (self, task) {
            (Self::Rule(FeatureRule::Auto), Task::Classification) => Self::Rule(FeatureRule::Sqrt),
            (Self::Rule(FeatureRule::Auto), Task::Regression) => Self::All,
            _ => self,
        }
    }

    pub(crate) fn count(self, columns: usize) -> usize {
        let count = match self {
            Self::Rule(FeatureRule::Auto | FeatureRule::Sqrt) => (columns as f64).sqrt() as usize,
            Self::Rule(FeatureRule::Log2) => (columns as f64).log2() as usize,
            Self::Count(count) => count,
            Self::Share(share) => (columns as f64 * share) as usize,
            Self::All => columns,
        };
        count.clamp(1, columns.max(1))
    }
}

impl<'de> Deserialize<'de> for MaxFeatures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_json::Value;
        let value = Value::deserialize(deserializer)?;
        let read = match &value {
            Value::Null => Some(Self::All),
            Value::String(name) if name == "auto" => Some(Self::Rule(FeatureRule::Auto)),
            Value::String(name) if name == "sqrt" => Some(Self::Rule(FeatureRule::Sqrt)),
            Value::String(name) if name == "log2" => Some(Self::Rule(FeatureRule::Log2)),
            Value::Number(number) => match number.as_u64() {
                Some(count) => usize::try_from(count)
                    .ok()
                    .filter(|&count| count > 0)
                    .map(Self::Count),
                None => number
                    .as_f64()
                    .filter(|&share| share > 0.0 && share <= 1.0)
                    .map(Self::Share),
            },
            _ => None,
        };
        read.ok_or_else(|| {
            D::Error::custom(format!(
                "expected auto, sqrt, log2, null, a count or a share above 0 and up to 1.0, got {value}"
            ))
        })
    }
}

/// Weights of the classes: `none`, `balanced`, or a map from class to weight (others weigh 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// All rows weigh the same.
    #[default]
    None,
    /// Classes weigh the same: rows weigh rows / (classes × rows of the class).
    Balanced,
    /// Weights by class; classes that are not named weigh 1.
    #[serde(untagged)]
    Map(BTreeMap<String, f64>),
}

impl<'de> Deserialize<'de> for ClassWeight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_json::Value;
        let value = Value::deserialize(deserializer)?;
        let expected = "expected none, balanced, or a map from class to a weight above 0";
        match &value {
            Value::Null => Ok(Self::None),
            Value::String(name) if name == "none" => Ok(Self::None),
            Value::String(name) if name == "balanced" => Ok(Self::Balanced),
            Value::Object(_) => {
                let weights: BTreeMap<String, f64> = serde_json::from_value(value)
                    .map_err(|error| D::Error::custom(format!("{expected}: {error}")))?;
                match weights
                    .iter()
                    .find(|(_, weight)| !(weight.is_finite() && **weight > 0.0))
                {
                    Some((class, weight)) => {
                        Err(D::Error::custom(format!("{expected}, got {weight} for {class}")))
                    }
                    None => Ok(Self::Map(weights)),
                }
            }
            other => Err(D::Error::custom(format!("{expected}, got {other}"))),
        }
    }
}
