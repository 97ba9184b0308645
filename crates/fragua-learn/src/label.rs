use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// An answer: a class as the target column held it, or the number that a regression predicts.
///
/// Numbers are compared and hashed by their bits in the order of [`f64::total_cmp`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// A class of a numeric target column.
    Integer(i64),
    /// A class of a text target column.
    Text(String),
    /// A number between others; never a class.
    Number(f64),
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |label: &Self| match label {
            Label::Integer(_) => 0,
            Label::Text(_) => 1,
            Label::Number(_) => 2,
        };
        match (self, other) {
            (Label::Integer(one), Label::Integer(two)) => one.cmp(two),
            (Label::Text(one), Label::Text(two)) => one.cmp(two),
            (Label::Number(one), Label::Number(two)) => one.total_cmp(two),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Label::Integer(number) => number.hash(state),
            Label::Text(text) => text.hash(state),
            Label::Number(number) => number.to_bits().hash(state),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::Integer(number) => write!(formatter, "{number}"),
            Label::Text(text) => formatter.write_str(text),
            Label::Number(number) => write!(formatter, "{number}"),
        }
    }
}
