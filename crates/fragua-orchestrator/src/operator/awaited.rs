//! An object that a sensor waits for in the program's own store.

use serde::{Deserialize, Serialize};

/// What is waited for. Whoever hears that an object came can tell whether it is this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedObject {
    /// The bucket.
    pub bucket: String,
    /// Its key.
    pub key: AwaitedKey,
}

/// Which keys will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwaitedKey {
    /// This one.
    Exactly(String),
    /// Any that begins so.
    Prefix(String),
    /// Any that is like this: `*` stands for any text, `?` for one character.
    Like(String),
}

impl AwaitedObject {
    /// Returns whether an object is what is waited for.
    pub fn is(&self, bucket: &str, key: &str) -> bool {
        self.bucket == bucket && self.key.is(key)
    }
}

impl AwaitedKey {
    /// Returns whether a key will do.
    pub fn is(&self, key: &str) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == key,
            Self::Prefix(prefix) => key.starts_with(prefix.as_str()),
            Self::Like(pattern) => is_like(pattern, key),
        }
    }

    /// Returns what all keys that will do begin with.
    pub(crate) fn beginning(&self) -> &str {
        match self {
            Self::Exactly(text) | Self::Prefix(text) => text,
            Self::Like(pattern) => pattern.split(['*', '?']).next().unwrap_or_default(),
        }
    }
}

/// Each row says which beginnings of the text the pattern so far is like.
fn is_like(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    for sign in pattern.chars() {
        let mut next = vec![false; text.len() + 1];
        next[0] = row[0] && sign == '*';
        for (at, character) in text.iter().enumerate() {
            next[at + 1] = match sign {
                '*' => next[at] || row[at + 1],
                '?' => row[at],
                sign => row[at] && sign == *character,
            };
        }
        row = next;
    }
    row[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        let check = |pattern: &str, key: &str, expected: bool| {
            assert_eq!(is_like(pattern, key), expected, "{pattern} {key}");
        };
        check("in/*.csv", "in/1.csv", true);
        check("in/*.csv", "in/2025/1.csv", true);
        check("in/*.csv", "in/.csv", true);
        check("in/*.csv", "in/1.csv.gz", false);
        check("in/?.csv", "in/ñ.csv", true);
        check("in/?.csv", "in/12.csv", false);
        check("*a*b*", "xaxbx", true);
        check("*a*b*", "xbxax", false);
        check("", "", true);
        check("", "a", false);
        assert_eq!(
            AwaitedKey::Like("in/2025-*/a?".to_owned()).beginning(),
            "in/2025-"
        );
    }
}
