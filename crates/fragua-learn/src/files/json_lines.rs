//! Reading a JSON object a line.

use super::{Intake, ReadOptions, ReadReport};
use crate::Error;
use crate::table::{Cell, ColumnKind, Table, TableBuilder, shorten};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::io::{BufRead, Read as _};

/// Longest line in bytes.
const MAX_LINE: u64 = 64 << 20;
/// Most columns; objects that have a key of their own each are no table.
const MAX_COLUMNS: usize = 100_000;

/// Returns the keys of the first row with the kinds of its values.
pub(super) fn columns(mut reader: impl BufRead) -> Result<Vec<(String, ColumnKind)>, Error> {
    let mut line = Vec::new();
    let failed = |message: String| Error::Row { row: 1, message };
    (&mut reader)
        .take(MAX_LINE)
        .read_until(b'\n', &mut line)
        .map_err(|error| failed(error.to_string()))?;
    let text = line.trim_ascii();
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let object: Map<String, Value> =
        serde_json::from_slice(text).map_err(|error| failed(format!("expected a JSON object: {error}")))?;
    let kind = |value: &Value| match value {
        Value::Number(_) | Value::Bool(_) => ColumnKind::Numeric,
        _ => ColumnKind::Categorical,
    };
    Ok(object
        .into_iter()
        .map(|(name, value)| (name, kind(&value)))
        .collect())
}

/// Reads all lines; empty ones are passed over, but counted in the numbers of rows.
pub(super) fn read(mut reader: impl BufRead, options: &ReadOptions) -> Result<(Table, ReadReport), Error> {
    let builder = TableBuilder::typed(options.kinds.iter().flatten().cloned()).declare(&options.types);
    let mut places: HashMap<String, usize> = builder.names().iter().cloned().zip(0..).collect();
    let mut was_seen = vec![false; places.len()];
    let mut intake = Intake::new(builder, options.on_bad_cell);
    let mut line = Vec::new();
    for row in 1.. {
        line.clear();
        let failed = |message: String| Error::Row { row, message };
        (&mut reader)
            .take(MAX_LINE + 1)
            .read_until(b'\n', &mut line)
            .map_err(|error| failed(error.to_string()))?;
        if line.is_empty() {
            break;
        }
        if line.len() as u64 > MAX_LINE {
            return Err(failed(format!("the line is longer than {MAX_LINE} bytes")));
        }
        let text = line.trim_ascii();
        let text = if row == 1 {
            text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
        } else {
            text
        };
        if text.is_empty() {
            continue;
        }
        let object: Map<String, Value> = match serde_json::from_slice(text) {
            Ok(object) => object,
            Err(error) => {
                intake.bad_row(row, format!("expected a JSON object: {error}"))?;
                continue;
            }
        };
        if options.kinds.is_none() {
            for name in object
                .keys()
                .filter(|name| !places.contains_key(*name))
                .collect::<Vec<_>>()
            {
                if places.len() == MAX_COLUMNS {
                    return Err(failed(format!(
                        "more than {MAX_COLUMNS} different keys up to here"
                    )));
                }
                intake.add_column(name.clone());
                places.insert(name.clone(), was_seen.len());
                was_seen.push(true);
            }
        }
        let mut cells: Vec<Result<Cell<'_>, String>> = was_seen.iter().map(|_| Ok(Cell::Missing)).collect();
        for (name, value) in &object {
            if let Some(&place) = places.get(name) {
                was_seen[place] = true;
                cells[place] = Cell::from_json(value).ok_or_else(|| {
                    format!(
                        "expected a number or a text, got {:?}",
                        shorten(&value.to_string())
                    )
                });
            }
        }
        intake.push(row, cells)?;
    }
    let (table, report) = intake.finish()?;
    if let Some(place) = was_seen.iter().position(|was_seen| !was_seen) {
        let seen = table.names().iter().zip(&was_seen);
        return Err(Error::MissingColumn {
            name: table.names()[place].clone(),
            present: seen
                .filter(|(_, was_seen)| **was_seen)
                .map(|(name, _)| name.clone())
                .collect(),
        });
    }
    Ok((table, report))
}
