//! The rows that tests learn from.

use flate2::read::GzDecoder;
use fragua_learn::{Categorical, Column, Label, MISSING_CODE, Table, read_csv, split};
use std::fs::File;
use std::path::Path;

/// The rows of the example project: 10 numbers, 2 texts, and the class in the last column.
pub(crate) fn covertype() -> Table {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/covertype/data/covertype-sample.csv.gz");
    read_csv(GzDecoder::new(File::open(path).unwrap())).unwrap()
}

/// A stratified part of a table with the given number of rows.
pub(crate) fn sample(table: &Table, target: &str, rows: usize, seed: u64) -> Table {
    let Column::Numeric(values) = table.column(target).unwrap() else {
        panic!("{target} is not numeric")
    };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let classes: Vec<u16> = values.iter().map(|value| (value - least) as u16).collect();
    let count = usize::from(*classes.iter().max().unwrap()) + 1;
    let share = rows as f64 / table.row_count() as f64;
    let (_, taken) = split::stratified_split(&classes, count, share, seed).unwrap();
    table.select_rows(&taken)
}

/// A copy with about one cell in `every` made missing, apart from the target's.
pub(crate) fn with_gaps(table: &Table, target: &str, every: u64) -> Table {
    let columns = table
        .names()
        .iter()
        .zip(table.columns())
        .enumerate()
        .map(|(position, (name, column))| {
            let is_gap = |row: usize| {
                let mixed = (row as u64 * 31 + position as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                name != target && (mixed >> 33).is_multiple_of(every)
            };
            let column = match column {
                Column::Numeric(values) => {
                    let gap = |(row, &value): (usize, &f64)| if is_gap(row) { f64::NAN } else { value };
                    Column::Numeric(values.iter().enumerate().map(gap).collect())
                }
                Column::Categorical(values) => {
                    let gap = |(row, &code): (usize, &u32)| if is_gap(row) { MISSING_CODE } else { code };
                    let codes = values.codes().iter().enumerate().map(gap).collect();
                    Column::Categorical(Categorical::new(values.dictionary().to_vec(), codes).unwrap())
                }
            };
            (name.clone(), column)
        });
    Table::new(columns.collect()).unwrap()
}

/// A copy whose target holds a word for each number.
pub(crate) fn with_words(table: &Table, target: &str) -> Table {
    let columns = table.names().iter().zip(table.columns()).map(|(name, column)| {
        let column = match column {
            Column::Numeric(values) if name == target => {
                let words = (0..10).map(|number| format!("class é {}", 9 - number)).collect();
                let codes = values.iter().map(|&value| value as u32).collect();
                Column::Categorical(Categorical::new(words, codes).unwrap())
            }
            other => other.clone(),
        };
        (name.clone(), column)
    });
    Table::new(columns.collect()).unwrap()
}

/// Writes a table as CSV with empty fields where values are missing.
pub(crate) fn write_csv(table: &Table, path: &Path) {
    let mut writer = csv::Writer::from_path(path).unwrap();
    writer.write_record(table.names()).unwrap();
    for row in 0..table.row_count() {
        let field = |column| match table.cell(row, column) {
            fragua_learn::Cell::Missing => String::new(),
            fragua_learn::Cell::Number(number) => number.to_string(),
            fragua_learn::Cell::Text(text) => text.into_owned(),
        };
        writer.write_record((0..table.names().len()).map(field)).unwrap();
    }
    writer.flush().unwrap();
}

/// Labels as the texts Python prints.
pub(crate) fn texts(labels: &[Label]) -> Vec<String> {
    labels.iter().map(ToString::to_string).collect()
}
