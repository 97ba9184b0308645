//! `fragua.toml`: reads values with the line each stands on.

use std::io;
use std::path::Path;

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::layer::{Entry, Layer, Origin};

/// Reads a TOML file; a file that does not exist is an empty layer.
pub(super) fn read(path: &Path) -> Result<Layer, Problem> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Layer::new()),
        Err(error) => Err(Problem::Unreadable {
            path: path.to_owned(),
            cause: error.to_string(),
        }),
    }
}

/// Parses the text of the TOML file `path`.
pub(super) fn parse(text: &str, path: &Path) -> Result<Layer, Problem> {
    let table = DeTable::parse(text).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        Problem::Syntax {
            path: path.to_owned(),
            line,
            column,
            message: error.message().to_owned(),
        }
    })?;
    let mut layer = Layer::new();
    let mut place = Place {
        text,
        path,
        layer: &mut layer,
    };
    place.collect("", table.get_ref())?;
    Ok(layer)
}

struct Place<'a> {
    text: &'a str,
    path: &'a Path,
    layer: &'a mut Layer,
}

impl Place<'_> {
    fn collect(&mut self, prefix: &str, table: &DeTable<'_>) -> Result<(), Problem> {
        for (name, value) in table {
            let key = match prefix {
                "" => name.get_ref().to_string(),
                prefix => format!("{prefix}.{}", name.get_ref()),
            };
            if let DeValue::Table(inner) = value.get_ref() {
                self.collect(&key, inner)?;
                continue;
            }
            let (line, column) = position(self.text, name.span().start);
            let plain = toml::Value::deserialize(toml::de::ValueDeserializer::from(value.clone())).map_err(
                |error| Problem::Syntax {
                    path: self.path.to_owned(),
                    line,
                    column,
                    message: error.message().to_owned(),
                },
            )?;
            let origin = Origin::File {
                path: self.path.to_owned(),
                line,
            };
            self.layer.insert(key, Entry { value: plain, origin });
        }
        Ok(())
    }
}

/// Returns line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    (line, before.len() - line_start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_knows_its_line() {
        let layer = parse(
            "# comment\n[serving]\nport = 1\n\n[connections]\nwarehouse = { url = \"x\" }\n",
            Path::new("./fragua.toml"),
        )
        .unwrap();
        let origins: Vec<String> = layer
            .iter()
            .map(|(key, entry)| format!("{key} = {} ({})", entry.value, entry.origin))
            .collect();
        assert_eq!(
            origins,
            [
                "connections.warehouse.url = \"x\" (fragua.toml:6)",
                "serving.port = 1 (fragua.toml:3)"
            ]
        );
    }

    #[test]
    fn a_syntax_error_names_line_and_column() {
        let problem = parse("[serving]\nport = = 1\n", Path::new("fragua.toml")).unwrap_err();
        assert!(problem.to_string().starts_with("fragua.toml:2:"), "{problem}");
    }
}
