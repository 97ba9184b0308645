//! Reading and writing comma-separated text.

use crate::files::{Intake, Ledger, ReadOptions, ReadReport};
use crate::table::{Cell, Column, ColumnKind, Table, TableBuilder, check_number, shorten};
use crate::{Categorical, Error, MISSING_CODE};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Read, Write};

/// Reads CSV with a header line; a column is numeric when the values that are there are numbers. A few others among them are
/// refused: at most one cell in ten, or one different text in ten.
///
/// Empty fields, `NA` and `NaN` are missing.
///
/// # Errors
/// The text is not CSV, a row is shorter or longer than the header, a number is not finite. Rows are
/// counted from 1 after the header.
pub fn read_csv(reader: impl Read) -> Result<Table, Error> {
    Ok(read(reader, &ReadOptions::default())?.0)
}

/// Reads CSV whose columns have known kinds; columns of the file that are not named are skipped.
///
/// # Errors
/// As [`read_csv`]; also a named column that is absent and a text where a number belongs.
pub fn read_csv_typed(reader: impl Read, kinds: &[(String, ColumnKind)]) -> Result<Table, Error> {
    let options = ReadOptions {
        kinds: Some(kinds.to_vec()),
        ..ReadOptions::default()
    };
    Ok(read(reader, &options)?.0)
}

/// Writes a table with a header; a missing value is an empty field, numbers have as many digits as they need to be read
/// back.
///
/// # Errors
/// The writer fails.
pub fn write_csv(table: &Table, writer: impl Write) -> Result<(), Error> {
    let failed =
        |error: &dyn std::fmt::Display| Error::Data(format!("the CSV file cannot be written: {error}"));
    let mut writer = csv::Writer::from_writer(writer);
    writer
        .write_record(table.names())
        .map_err(|error| failed(&error))?;
    for row in 0..table.row_count() {
        let fields = (0..table.names().len()).map(|column| match table.cell(row, column) {
            Cell::Missing => Cow::Borrowed(""),
            Cell::Number(number) => Cow::Owned(number.to_string()),
            Cell::Text(text) => text,
        });
        let fields: Vec<Cow<'_, str>> = fields.collect();
        writer
            .write_record(fields.iter().map(|field| field.as_bytes()))
            .map_err(|error| failed(&error))?;
    }
    writer.flush().map_err(|error| failed(&error))
}

/// Returns the header's names; what they hold is text until somebody knows better.
pub(crate) fn columns(reader: impl Read) -> Result<Vec<(String, ColumnKind)>, Error> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let names = header(&mut reader)?.into_iter();
    Ok(names.map(|name| (name, ColumnKind::Categorical)).collect())
}

pub(crate) fn read(reader: impl Read, options: &ReadOptions) -> Result<(Table, ReadReport), Error> {
    // Lengths are checked here, so that a row of another length can be left out.
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let names = header(&mut reader)?;
    match &options.kinds {
        Some(kinds) => read_typed(&mut reader, &names, kinds, options),
        None => read_untyped(&mut reader, names, options),
    }
}

fn read_untyped<R: Read>(
    reader: &mut csv::Reader<R>,
    names: Vec<String>,
    options: &ReadOptions,
) -> Result<(Table, ReadReport), Error> {
    let mut ledger = Ledger::new(options.on_bad_cell);
    let mut columns: Vec<Text> = names.iter().map(|_| Text::default()).collect();
    // Where each row of the table was in the file.
    let mut numbers = Vec::new();
    each_record(reader, names.len(), |row, record| {
        match record {
            Err(message) => ledger.bad_row(row, message)?,
            Ok(record) => {
                numbers.push(row);
                for (column, field) in columns.iter_mut().zip(record) {
                    column.push(field);
                }
            }
        }
        Ok(())
    })?;
    let mut is_left_out = vec![false; numbers.len()];
    let typed = names.into_iter().zip(columns).map(|(name, column)| {
        let declared = options.types.get(&name).map(|&kind| ColumnKind::from(kind));
        let column = column.into_column(&name, declared, |place, message| {
            is_left_out[place] |= ledger.bad_cell(numbers[place], &name, message)?;
            Ok(())
        })?;
        Ok((name, column))
    });
    let mut table = Table::new(typed.collect::<Result<_, Error>>()?)?;
    let mut report = ledger.report;
    if is_left_out.contains(&true) {
        let rows: Vec<usize> = (0..numbers.len()).filter(|&place| !is_left_out[place]).collect();
        report.skipped_rows += numbers.len() - rows.len();
        table = table.select_rows(&rows);
    }
    report.rows = table.row_count();
    Ok((table, report))
}

fn read_typed<R: Read>(
    reader: &mut csv::Reader<R>,
    names: &[String],
    kinds: &[(String, ColumnKind)],
    options: &ReadOptions,
) -> Result<(Table, ReadReport), Error> {
    let position = |name: &String| {
        let found = names.iter().position(|known| known == name);
        found.ok_or_else(|| Error::MissingColumn {
            name: name.clone(),
            present: names.to_vec(),
        })
    };
    let positions = kinds
        .iter()
        .map(|(name, _)| position(name))
        .collect::<Result<Vec<_>, _>>()?;
    let builder = TableBuilder::typed(kinds.iter().cloned());
    let mut intake = Intake::new(builder, options.on_bad_cell);
    each_record(reader, names.len(), |row, record| match record {
        Err(message) => intake.bad_row(row, message),
        Ok(record) => {
            let columns = kinds.iter().zip(&positions);
            intake.push(
                row,
                columns.map(|((_, kind), &position)| cell(&record[position], *kind)),
            )
        }
    })?;
    intake.finish()
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

/// Visits all records with their rows, or with why one cannot be read.
fn each_record<R: Read>(
    reader: &mut csv::Reader<R>,
    width: usize,
    mut visit: impl FnMut(usize, Result<&csv::StringRecord, String>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut record = csv::StringRecord::new();
    for row in 1.. {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) if record.len() == width => visit(row, Ok(&record))?,
            Ok(true) => visit(
                row,
                Err(format!("{} fields, the header has {width}", record.len())),
            )?,
            Err(error) => match error.kind() {
                csv::ErrorKind::Utf8 { .. } => visit(row, Err("not UTF-8".to_owned()))?,
                // Nothing can be read after it.
                csv::ErrorKind::Io(error) => {
                    let message = error.to_string();
                    return Err(Error::Row { row, message });
                }
                _ => visit(row, Err(error.to_string()))?,
            },
        }
    }
    Ok(())
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

    /// Finds the kind of the column where it is not declared; `bad` is told the place of each cell that is no number there
    /// or is too large, which is missing then.
    fn into_column(
        self,
        name: &str,
        declared: Option<ColumnKind>,
        mut bad: impl FnMut(usize, String) -> Result<(), Error>,
    ) -> Result<Column, Error> {
        let numbers: Vec<Option<f64>> = self.dictionary.iter().map(|text| text.parse().ok()).collect();
        let present = || self.codes.iter().filter(|&&code| code != MISSING_CODE);
        let all = present().count();
        let texts = present()
            .filter(|&&code| numbers[code as usize].is_none())
            .count();
        let different = numbers.iter().filter(|number| number.is_none()).count();
        let found = || match 10 * texts <= all || 10 * different <= numbers.len() {
            true => ColumnKind::Numeric,
            false => ColumnKind::Categorical,
        };
        if declared.unwrap_or_else(found) == ColumnKind::Categorical {
            let texts = Categorical::new(self.dictionary, self.codes)?;
            return Ok(Column::Categorical(texts));
        }
        let no_number = |text: &str| {
            let message = format!("expected a number, got the text {:?}", shorten(text));
            match declared {
                Some(_) => message,
                None => format!(
                    "{message}; of the column's {all} cells {} are numbers. If they are texts, say so in the \
                     configuration: `types: {{{name}: text}}`",
                    all - texts
                ),
            }
        };
        let mut values = Vec::with_capacity(self.codes.len());
        for (place, &code) in self.codes.iter().enumerate() {
            let number = match numbers.get(code as usize) {
                None => Ok(f64::NAN),
                Some(None) => Err(no_number(&self.dictionary[code as usize])),
                Some(&Some(number)) => check_number(number).map(|()| number),
            };
            values.push(match number {
                Ok(number) => number,
                Err(message) => {
                    bad(place, message)?;
                    f64::NAN
                }
            });
        }
        Ok(Column::Numeric(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OnBadCell;
    use crate::config::ColumnType;

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
    fn a_bad_cell_among_numbers_does_not_make_a_column_one_of_texts() {
        let numbers = |bad: &str| {
            let rows = (0..10_000).map(|row| {
                if row == 41 {
                    format!("{bad}\n")
                } else {
                    format!("{row}\n")
                }
            });
            format!("a\n{}", rows.collect::<String>())
        };
        let text = numbers("abc");
        let read = |text: &str, on_bad_cell, declared: Option<ColumnType>| {
            let options = ReadOptions {
                on_bad_cell,
                types: declared.map(|kind| ("a".to_owned(), kind)).into_iter().collect(),
                ..ReadOptions::default()
            };
            read(text.as_bytes(), &options)
        };
        assert_eq!(
            read(&text, OnBadCell::Refuse, None).unwrap_err().to_string(),
            "row 42, column `a`: expected a number, got the text \"abc\"; of the column's 10000 cells 9999 are numbers. \
             If they are texts, say so in the configuration: `types: {a: text}`"
        );
        let (table, report) = read(&text, OnBadCell::Null, None).unwrap();
        assert_eq!((table.row_count(), report.bad_cells), (10_000, 1));
        assert_eq!(
            (table.cell(41, 0), table.cell(42, 0)),
            (Cell::Missing, Cell::Number(42.0))
        );
        let (table, report) = read(&text, OnBadCell::Skip, None).unwrap();
        assert_eq!((table.row_count(), report.skipped_rows), (9_999, 1));
        let (table, report) = read(&text, OnBadCell::Refuse, Some(ColumnType::Text)).unwrap();
        assert_eq!((table.cell(0, 0), report.bad_cells), (Cell::Text("0".into()), 0));

        // A mark for what is missing is one text however often it stands there.
        let marked: String = (0..40)
            .map(|row| {
                if row % 2 == 0 {
                    "?\n".to_owned()
                } else {
                    format!("{row}\n")
                }
            })
            .collect();
        let error = read(&format!("a\n{marked}"), OnBadCell::Refuse, None).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("row 1, column `a`: expected a number, got the text \"?\"")
        );
        // Codes of which many are digits are texts, and numbers only when that is said.
        let codes = "a\n101\n102\nA1\nB2\n";
        assert_eq!(
            read(codes, OnBadCell::Refuse, None).unwrap().0.cell(0, 0),
            Cell::Text("101".into())
        );
        assert_eq!(
            read(codes, OnBadCell::Refuse, Some(ColumnType::Number))
                .unwrap_err()
                .to_string(),
            "row 3, column `a`: expected a number, got the text \"A1\""
        );
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
