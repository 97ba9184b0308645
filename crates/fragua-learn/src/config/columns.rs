//! Columns by name, type or pattern.

use crate::table::ColumnKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names columns: one by its name, or all of a type, all whose name fits a pattern, or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a column, or a map with type (number or text), pattern, or both"
)]
pub enum ColumnSelector {
    /// The column of this name; it must be there.
    Name(String),
    /// All columns that fit; there may be none.
    Fitting(ColumnFilter),
}

/// What columns must be like; everything that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnFilter {
    /// Type of the values.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ColumnType>,
    /// The name, with `*` for any characters and `?` for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// Type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Numbers.
    Number,
    /// Texts.
    Text,
}

impl From<ColumnType> for ColumnKind {
    fn from(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Number => Self::Numeric,
            ColumnType::Text => Self::Categorical,
        }
    }
}

impl From<&str> for ColumnSelector {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl ColumnSelector {
    pub(crate) fn fits(&self, name: &str, kind: ColumnKind) -> bool {
        match self {
            Self::Name(known) => known == name,
            Self::Fitting(filter) => {
                let kind_fits = filter.kind.is_none_or(|wanted| kind == wanted.into());
                let pattern = filter.pattern.as_deref().unwrap_or("*");
                kind_fits && fits_pattern(&name.chars().collect::<Vec<_>>(), pattern)
            }
        }
    }
}

/// Tells whether a whole name fits a pattern.
fn fits_pattern(name: &[char], pattern: &str) -> bool {
    // The lengths of the name's beginnings that the pattern up to here fits.
    let mut fitting = vec![false; name.len() + 1];
    fitting[0] = true;
    for wanted in pattern.chars() {
        let mut next = vec![false; name.len() + 1];
        for length in 0..=name.len() {
            next[length] = match wanted {
                '*' => fitting[..=length].contains(&true),
                _ => length > 0 && fitting[length - 1] && (wanted == '?' || wanted == name[length - 1]),
            };
        }
        fitting = next;
    }
    fitting[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("Soil_*", "Soil_Type", true),
            ("Soil_*", "A_Soil_Type", false),
            ("*Type", "Soil_Type", true),
            ("S?il*e", "Soil_Type", true),
            ("?", "é", true),
            ("??", "é", false),
            ("a*b*c", "a_b_b_c", true),
            ("a*b*c", "a_c_b", false),
        ] {
            let name: Vec<char> = name.chars().collect();
            assert_eq!(fits_pattern(&name, pattern), expected, "{pattern} and {name:?}");
        }
    }
}
