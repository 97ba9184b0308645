//! A YAML file with the arguments of one operator.

use serde_json::{Map, Value};

use super::ArgumentError;
use crate::dag::parse::plain;
use crate::dag::{Document, read_document};

/// The arguments of one operator in a file of their own, whose mistakes are told with line and column.
#[derive(Debug)]
pub struct ArgumentFile {
    document: Document,
}

impl ArgumentFile {
    /// Reads the text of a file; an empty one has no arguments.
    ///
    /// # Errors
    /// The text is no YAML; the error tells where.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let mut document = read_document(text).map_err(|error| error.to_string())?;
        if document.value.is_null() {
            document.value = Value::Object(Map::new());
        }
        Ok(Self { document })
    }

    /// Returns the arguments.
    pub fn arguments(&self) -> &Value {
        &self.document.value
    }

    /// Tells what is wrong with an argument, and where it stands: `LINE:COLUMN: MESSAGE`.
    pub fn tell(&self, error: &ArgumentError) -> String {
        let message = plain(&error.pointer, &error.message);
        match self.document.place(&error.pointer) {
            Some(place) => format!("{}:{}: {message}", place.line, place.column),
            None => message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::parse_arguments;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Arguments {
        #[serde(default)]
        _trees: Vec<Trees>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Trees {
        #[serde(rename = "n_estimators")]
        _count: usize,
    }

    #[test]
    fn a_mistake_is_told_with_its_line_its_column_and_the_nearest_name() {
        let check = |text: &str, expected: &str| {
            let file = ArgumentFile::read(text).unwrap();
            let error = parse_arguments::<Arguments>(file.arguments()).unwrap_err();
            assert_eq!(file.tell(&error), expected);
        };
        check(
            "_trees:\n  - n_estimatrs: 5\n",
            "2:5: unknown key `n_estimatrs`; did you mean n_estimators?",
        );
        check(
            "_trees:\n  - n_estimators: many\n",
            "2:5: n_estimators: expected a whole number, found string \"many\"",
        );
        check("zzz: 1\n", "1:1: unknown key `zzz`, expected `_trees`");
        assert!(ArgumentFile::read("a: [1\n").unwrap_err().contains("line"));
        assert_eq!(
            ArgumentFile::read("").unwrap().arguments(),
            &serde_json::json!({})
        );
    }
}
