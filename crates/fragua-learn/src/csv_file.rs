//! Reading comma-separated text.

use crate::table::{Cell, Column, ColumnKind, Table, TableBuilder, check_number, shorten};
use crate::{Categorical, Error, MISSING_CODE};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;

/// Reads CSV with a header line; a column is numeric when every value that is there is a number.
///
/// Empty fields, `NA` and `NaN` are missing.
///
/// # Errors
/// The text is not CSV, a row is shorter or longer than the header, a number is not finite. Rows are
/// counted from 1 after the header.
pub fn read_csv(reader: impl Read) -> Result<Table, Error> {
    let mut reader = csv::Reader::from_reader(reader);
    let names = header(&mut reader)?;
    let mut columns: Vec<Text> = names.iter().map(|_| Text::default()).collect();
    each_record(&mut reader, |_, record| {
        for (column, field) in columns.iter_mut().zip(record) {
            column.push(field);
        }
        Ok(())
    })?;
    let typed = names.into_iter().zip(columns).map(|(name, column)| {
        let column = column.into_column(&name)?;
        Ok((name, column))
    });
    Table::new(typed.collect::<Result<_, Error>>()?)
}

/// Reads CSV whose columns have known kinds; columns of the file that are not named are skipped.
///
/// # Errors
/// As [`read_csv`]; also a named column that is absent and a text where a number belongs.
pub fn read_csv_typed(reader: impl Read, kinds: &[(String, ColumnKind)]) -> Result<Table, Error> {
    let mut reader = csv::Reader::from_reader(reader);
    let names = header(&mut reader)?;
    let position = |name: &String| {
        let found = names.iter().position(|known| known == name);
        found.ok_or_else(|| Error::MissingColumn {
            name: name.clone(),
            present: names.clone(),
        })
    };
    let positions = kinds
        .iter()
        .map(|(name, _)| position(name))
        .collect::<Result<Vec<_>, _>>()?;
    let mut builder = TableBuilder::typed(kinds.iter().cloned());
    each_record(&mut reader, |row, record| {
        let mut cells = Vec::with_capacity(kinds.len());
        for ((name, kind), &position) in kinds.iter().zip(&positions) {
            cells.push(cell(&record[position], *kind).map_err(|message| Error::Cell {
                row,
                column: name.clone(),
                message,
            })?);
        }
        builder.push_row(cells)
    })?;
    builder.finish()
}

fn header<R: Read>(reader: &mut csv::Reader<R>) -> Result<Vec<String>, Error> {
    let header = reader.headers().map_err(|error| Error::Row {
        row: 0,
        message: error.to_string(),
    })?;
    if header.is_empty() {
        return Err(Error::Row {
            row: 0,
            message: "the file is empty; expected a header line".to_owned(),
        });
    }
    Ok(header
        .iter()
        .map(|name| name.trim().trim_start_matches('\u{feff}').to_owned())
        .collect())
}

fn each_record<R: Read>(
    reader: &mut csv::Reader<R>,
    mut visit: impl FnMut(usize, &csv::StringRecord) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut record = csv::StringRecord::new();
    for row in 1.. {
        let more = reader.read_record(&mut record).map_err(|error| Error::Row {
            row,
            message: explain(&error),
        })?;
        if !more {
            break;
        }
        visit(row, &record)?;
    }
    Ok(())
}

fn explain(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{len} fields, the header has {expected_len}"),
        csv::ErrorKind::Utf8 { .. } => "not UTF-8".to_owned(),
        csv::ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

fn is_missing(field: &str) -> bool {
    field.is_empty() || field == "NA" || field.eq_ignore_ascii_case("nan")
}

fn cell(field: &str, kind: ColumnKind) -> Result<Cell<'_>, String> {
    let field = field.trim();
    if is_missing(field) {
        return Ok(Cell::Missing);
    }
    match kind {
        ColumnKind::Categorical => Ok(Cell::Text(Cow::Borrowed(field))),
        ColumnKind::Numeric => match field.parse() {
            Ok(number) => Ok(Cell::Number(number)),
            Err(_) => Err(format!("expected a number, got the text {:?}", shorten(field))),
        },
    }
}

/// A column whose kind is not known yet: distinct texts, and one code a row.
#[derive(Default)]
struct Text {
    dictionary: Vec<String>,
    codes: Vec<u32>,
    index: HashMap<String, u32>,
}

impl Text {
    fn push(&mut self, field: &str) {
        let field = field.trim();
        if is_missing(field) {
            self.codes.push(MISSING_CODE);
            return;
        }
        if let Some(&code) = self.index.get(field) {
            self.codes.push(code);
            return;
        }
        let code = self.dictionary.len() as u32;
        self.dictionary.push(field.to_owned());
        self.index.insert(field.to_owned(), code);
        self.codes.push(code);
    }

    fn into_column(self, name: &str) -> Result<Column, Error> {
        let numbers: Result<Vec<f64>, _> = self.dictionary.iter().map(|text| text.parse::<f64>()).collect();
        let Ok(numbers) = numbers else {
            return Ok(Column::Categorical(Categorical::new(
                self.dictionary,
                self.codes,
            )?));
        };
        for (code, &number) in numbers.iter().enumerate() {
            check_number(number).map_err(|message| {
                let row = self
                    .codes
                    .iter()
                    .position(|&used| used as usize == code)
                    .map_or(0, |row| row + 1);
                Error::Cell {
                    row,
                    column: name.to_owned(),
                    message,
                }
            })?;
        }
        let value = |&code: &u32| {
            if code == MISSING_CODE {
                f64::NAN
            } else {
                numbers[code as usize]
            }
        };
        Ok(Column::Numeric(self.codes.iter().map(value).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_and_gaps_are_missing() {
        let table = read_csv("n,t,m\n1,x,2.5\n,y,NA\n-3e2,,nan\n".as_bytes()).unwrap();
        assert_eq!(table.row_count(), 3);
        assert_eq!(table.cell(2, 0), Cell::Number(-300.0));
        assert_eq!(table.cell(1, 0), Cell::Missing);
        assert_eq!(table.cell(1, 1), Cell::Text("y".into()));
        assert_eq!(table.cell(2, 1), Cell::Missing);
        assert_eq!(table.cell(1, 2), Cell::Missing);
    }

    #[test]
    fn errors_name_row_and_column() {
        let check = |text: &str, expected: &str| {
            assert_eq!(read_csv(text.as_bytes()).unwrap_err().to_string(), expected)
        };
        check("", "row 0: the file is empty; expected a header line");
        check("a,b\n1,2\n3\n", "row 2: 1 fields, the header has 2");
        check(
            "a\n1\ninf\n",
            "row 2, column `a`: inf is outside ±3.4e38, the range models calculate in",
        );
        check("a,a\n1,2\n", "column `a` appears twice");
        let kinds = [("a".to_owned(), ColumnKind::Numeric)];
        let error = read_csv_typed("b,a\nx,1\ny,z\n".as_bytes(), &kinds).unwrap_err();
        assert_eq!(
            error.to_string(),
            "row 2, column `a`: expected a number, got the text \"z\""
        );
        assert!(matches!(
            read_csv_typed("b\n1\n".as_bytes(), &kinds),
            Err(Error::MissingColumn { .. })
        ));
    }
}
