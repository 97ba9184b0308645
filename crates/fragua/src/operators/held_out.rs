//! The rows that were kept from training, as an artifact: what champion and candidate are both judged on.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use fragua_learn::{Cell, ColumnKind, Table, TableBuilder};

/// Where the rows lie among a run's artifacts.
pub(super) const ARTIFACT: &str = "held_out/rows.csv.gz";

/// Unpacked rows larger than this are refused.
const MAXIMUM_BYTES: u64 = 1 << 30;

/// Writes the given rows as CSV: the names, then the kinds of the columns, then a line a row; compressed.
pub(super) fn pack(table: &Table, rows: &[usize]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(GzEncoder::new(Vec::new(), Compression::default()));
    writer.write_record(table.names())?;
    writer.write_record(table.columns().iter().map(|column| match column.kind() {
        ColumnKind::Numeric => "number",
        ColumnKind::Categorical => "text",
    }))?;
    for &row in rows {
        let cells = (0..table.names().len()).map(|column| match table.cell(row, column) {
            Cell::Missing => String::new(),
            Cell::Number(number) => number.to_string(),
            Cell::Text(text) => text.into_owned(),
        });
        writer.write_record(cells)?;
    }
    let mut compressed = writer.into_inner().context("the rows fit in memory")?;
    compressed.flush()?;
    Ok(compressed.finish()?)
}

/// Reads what [`pack`] wrote.
///
/// # Errors
/// When the bytes are something else, or unpack to more than a gibibyte.
pub(super) fn unpack(bytes: &[u8]) -> anyhow::Result<Table> {
    let mut text = Vec::new();
    GzDecoder::new(bytes)
        .take(MAXIMUM_BYTES + 1)
        .read_to_end(&mut text)?;
    ensure!(
        text.len() as u64 <= MAXIMUM_BYTES,
        "the held-out rows unpack to more than {MAXIMUM_BYTES} bytes"
    );
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let names = reader.headers()?.clone();
    let mut records = reader.records();
    let kinds = records.next().context("the kinds of the columns are missing")??;
    let columns = names.iter().zip(&kinds).map(|(name, kind)| {
        let kind = if kind == "text" {
            ColumnKind::Categorical
        } else {
            ColumnKind::Numeric
        };
        (name.to_owned(), kind)
    });
    let columns: Vec<_> = columns.collect();
    let mut builder = TableBuilder::typed(columns.iter().cloned());
    for record in records {
        let record = record?;
        let cells = columns
            .iter()
            .zip(&record)
            .map(|((name, kind), text)| match kind {
                _ if text.is_empty() => Ok(Cell::Missing),
                ColumnKind::Categorical => Ok(Cell::Text(text.into())),
                ColumnKind::Numeric => text
                    .parse()
                    .map(Cell::Number)
                    .with_context(|| format!("column {name} holds {text:?}")),
            });
        builder.push_row(cells.collect::<anyhow::Result<Vec<_>>>()?)?;
    }
    Ok(builder.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let mut builder = TableBuilder::new(["height".to_owned(), "kind, of".to_owned()]);
        for (height, kind) in [
            (Cell::Number(1.5), Cell::Text("a \"b\"".into())),
            (Cell::Missing, Cell::Text("7".into())),
            (Cell::Number(-3.0), Cell::Missing),
            (Cell::Number(0.1), Cell::Text("left out".into())),
        ] {
            builder.push_row([height, kind]).unwrap();
        }
        let table = builder.finish().unwrap();
        let unpacked = unpack(&pack(&table, &[1, 0, 2]).unwrap()).unwrap();
        assert_eq!(unpacked.names(), table.names());
        assert_eq!(unpacked.row_count(), 3);
        for (row, original) in [1, 0, 2].into_iter().enumerate() {
            for column in 0..2 {
                assert_eq!(
                    format!("{:?}", unpacked.cell(row, column)),
                    format!("{:?}", table.cell(original, column))
                );
            }
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [&b""[..], b"not gzip", &[0x1f, 0x8b, 8, 0]] {
            assert!(unpack(bytes).is_err());
        }
    }
}
