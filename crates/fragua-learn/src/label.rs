use serde::{Deserialize, Serialize};
use std::fmt;

/// A class: an integer or a text, as the target column held it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// The target column was numeric.
    Integer(i64),
    /// The target column was text.
    Text(String),
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::Integer(number) => write!(formatter, "{number}"),
            Label::Text(text) => formatter.write_str(text),
        }
    }
}
