//! Variables: the environment of the process and the project's `.env`. The environment is only read, never set.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use toml::Value;

use super::error::Problem;
use super::foreign::{self, Notice};
use super::layer::{Entry, Layer, Origin};
use super::schema::Schema;

/// A variable's value and where it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// Variables by name, all of one source.
pub(crate) type Variables = BTreeMap<String, Variable>;

/// Returns pairs as variables of the environment.
pub(crate) fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Variables {
    pairs
        .into_iter()
        .map(|(name, value)| {
            let origin = Origin::Environment { name: name.clone() };
            (name, Variable { value, origin })
        })
        .collect()
}

/// Reads a `.env` file; one that does not exist gives no variables.
pub(crate) fn read_dot_env(path: &Path) -> Result<Variables, Problem> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Variables::new()),
        Err(error) => {
            return Err(Problem::Unreadable {
                path: path.to_owned(),
                cause: error.to_string(),
            });
        }
    };
    let mut variables = Variables::new();
    for pair in dotenvy::from_read_iter(text.as_bytes()) {
        // The text of a broken line may be a secret; only its place is told.
        let (name, value) = pair.map_err(|error| {
            let line = broken_line(&text, &error);
            Problem::Syntax {
                path: path.to_owned(),
                line,
                column: 1,
                message: "is not NAME=value; quote a value that has spaces or special characters".to_owned(),
            }
        })?;
        let origin = Origin::DotEnv {
            path: path.to_owned(),
            line: line_of(&text, &name),
            name: name.clone(),
        };
        variables.insert(name, Variable { value, origin });
    }
    Ok(variables)
}

/// Returns the last line that sets `name`, from 1: it is the one that counts.
fn line_of(text: &str, name: &str) -> usize {
    let sets_name = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        line.strip_prefix(name)
            .is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| sets_name(line))
        .last()
        .map_or(1, |(index, _)| index + 1)
}

fn broken_line(text: &str, error: &dotenvy::Error) -> usize {
    let dotenvy::Error::LineParse(content, _) = error else {
        return 1;
    };
    let first = content.lines().next().unwrap_or_default();
    text.lines()
        .position(|line| line == first)
        .map_or(1, |index| index + 1)
}

/// What one source of variables says.
#[derive(Debug, Default)]
pub(super) struct Translated {
    pub(super) layer: Layer,
    pub(super) notices: Vec<Notice>,
    pub(super) problems: Vec<Problem>,
}

/// Turns variables into a layer. In one source, `FRAGUA__…` wins over a foreign name for the same key.
pub(super) fn translate(variables: &Variables, schema: &Schema) -> Translated {
    let mut translated = foreign::translate(variables);
    for (name, variable) in variables {
        let Some(path) = name.strip_prefix("FRAGUA__") else {
            continue;
        };
        let key = path.to_ascii_lowercase().replace("__", ".");
        match own(&key, variable, schema) {
            Ok((key, entry)) => {
                translated.layer.insert(key, entry);
            }
            Err(problem) => translated.problems.push(problem),
        }
    }
    translated
}

fn own(key: &str, variable: &Variable, schema: &Schema) -> Result<(String, Entry), Problem> {
    let file_key = key.strip_suffix("_file").filter(|_| !schema.knows(key));
    let Some(key) = file_key.filter(|key| schema.knows(key)) else {
        return Ok((
            key.to_owned(),
            Entry {
                value: Value::String(variable.value.clone()),
                origin: variable.origin.clone(),
            },
        ));
    };
    let text = std::fs::read_to_string(&variable.value).map_err(|error| Problem::BadValue {
        key: key.to_owned(),
        origin: variable.origin.clone(),
        message: format!("the file {} cannot be read: {error}", variable.value),
    })?;
    let origin = Origin::SecretFile {
        path: variable.value.clone().into(),
        named_by: Box::new(variable.origin.clone()),
    };
    // Editors and `echo` end a file with a line end that is no part of the secret.
    let value = Value::String(text.trim_end_matches(['\r', '\n']).to_owned());
    Ok((key.to_owned(), Entry { value, origin }))
}
