//! Tables in files: CSV, JSON lines and Parquet.

mod intake;
mod json_lines;
mod parquet;

pub use intake::{BadCell, Intake, OnBadCell, ReadReport};
pub use parquet::write_parquet;

pub(crate) use intake::Ledger;

use crate::Error;
use crate::config::ColumnType;
use crate::csv_file;
use crate::table::{ColumnKind, Table};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::path::Path;

/// Formats of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated text with a header.
    Csv,
    /// A JSON object a line. Columns are the keys of all rows, in the order they first appear; one that a row has not
    /// is missing there. A column takes the kind of its first value that is there.
    JsonLines,
    /// Parquet, without nested columns. Booleans are 1 and 0; dates and times are texts such as `2026-01-31`,
    /// `2026-01-31T12:00:00` and, for those with a time zone, `2026-01-31T12:00:00Z` in UTC.
    Parquet,
}

impl Format {
    /// Returns what the name of a file says: `.jsonl` or `.ndjson`, and `.parquet`, whether `.gz` follows or not; any other
    /// name is CSV.
    pub fn of(path: &Path) -> Self {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        if name.ends_with(".jsonl") || name.ends_with(".ndjson") {
            Self::JsonLines
        } else if name.ends_with(".parquet") {
            Self::Parquet
        } else {
            Self::Csv
        }
    }
}

/// How a table is read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The format; `None` goes by the name of the file.
    pub format: Option<Format>,
    /// The columns to read, with their kinds, in this order; `None` reads all columns and finds their kinds.
    pub kinds: Option<Vec<(String, ColumnKind)>>,
    /// What columns hold whose kinds are to be found, where that is known.
    pub types: BTreeMap<String, ColumnType>,
    /// What to do with cells that cannot be read.
    pub on_bad_cell: OnBadCell,
    /// Most bytes that a file may unpack to: 16 GiB unless it is set.
    pub max_bytes: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            kinds: None,
            types: BTreeMap::new(),
            on_bad_cell: OnBadCell::Refuse,
            max_bytes: 16 << 30,
        }
    }
}

/// Reads a file row by row, Parquet in batches of rows; CSV and JSON lines may be packed by gzip, which their first bytes
/// tell.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Row`] and [`Error::Cell`] with the place of what the policy refuses;
/// [`Error::MissingColumn`] for a column that is asked for; [`Error::Data`] for a damaged or nested Parquet file and one that
/// unpacks to too much.
pub fn read_table(path: &Path, options: &ReadOptions) -> Result<(Table, ReadReport), Error> {
    let failed = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    match options.format.unwrap_or_else(|| Format::of(path)) {
        Format::Parquet => parquet::read(file, options),
        format => {
            let mut first = Vec::new();
            (&mut file).take(2).read_to_end(&mut first).map_err(failed)?;
            file.rewind().map_err(failed)?;
            read_text(file, &first, format, options)
        }
    }
}

/// Reads a table that lies in memory, of the format that `options` names; CSV when it names none.
///
/// # Errors
/// As [`read_table`].
pub fn read_bytes(bytes: impl Into<Bytes>, options: &ReadOptions) -> Result<(Table, ReadReport), Error> {
    let bytes = bytes.into();
    match options.format.unwrap_or(Format::Csv) {
        Format::Parquet => parquet::read(bytes, options),
        format => read_text(&*bytes, &bytes[..bytes.len().min(2)], format, options),
    }
}

/// Returns the columns of a table that lies in memory, in its order, with the kinds to read them as when nothing else is
/// known: those of a Parquet file; texts for CSV; of JSON lines those of the first row, which alone is looked at.
///
/// # Errors
/// As [`read_table`].
pub fn columns_of(
    bytes: impl Into<Bytes>,
    options: &ReadOptions,
) -> Result<Vec<(String, ColumnKind)>, Error> {
    let bytes = bytes.into();
    match options.format.unwrap_or(Format::Csv) {
        Format::Parquet => parquet::columns(bytes),
        format => {
            let reader = unpacked(&*bytes, &bytes[..bytes.len().min(2)], options);
            match format {
                Format::JsonLines => json_lines::columns(BufReader::new(reader)),
                _ => csv_file::columns(reader),
            }
        }
    }
}

fn read_text<'a>(
    reader: impl Read + 'a,
    first: &[u8],
    format: Format,
    options: &ReadOptions,
) -> Result<(Table, ReadReport), Error> {
    let reader = unpacked(reader, first, options);
    if format == Format::JsonLines {
        json_lines::read(BufReader::new(reader), options)
    } else {
        csv_file::read(reader, options)
    }
}

/// Returns what the reader holds, gzip taken away.
fn unpacked<'a>(reader: impl Read + 'a, first: &[u8], options: &ReadOptions) -> Limited<Box<dyn Read + 'a>> {
    let reader: Box<dyn Read + 'a> = if first == [0x1f, 0x8b] {
        Box::new(MultiGzDecoder::new(reader))
    } else {
        Box::new(reader)
    };
    Limited {
        reader,
        left: options.max_bytes,
    }
}

/// Ends in an error rather than read more bytes than allowed.
struct Limited<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other("the rows unpack to more bytes than are allowed"))?;
        Ok(read)
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
