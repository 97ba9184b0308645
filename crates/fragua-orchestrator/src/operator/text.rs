//! A text in arguments that may be written as a number.

use std::fmt;

use serde::Deserialize;

/// A text; a number or a truth value that stands in its place is taken as it is written. A template that is one
/// expression keeps the type of the expression, so arguments that are texts are best read as this.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, schemars::JsonSchema)]
#[serde(from = "Written")]
#[schemars(with = "Written")]
pub struct Text(String);

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(untagged, expecting = "a text was expected")]
enum Written {
    Text(String),
    Number(serde_json::Number),
    Flag(bool),
}

impl From<Written> for Text {
    fn from(written: Written) -> Self {
        Self(match written {
            Written::Text(text) => text,
            Written::Number(number) => number.to_string(),
            Written::Flag(flag) => flag.to_string(),
        })
    }
}

impl Text {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
