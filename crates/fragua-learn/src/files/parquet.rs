//! Reading and writing Parquet.

use super::{Intake, ReadOptions, ReadReport};
use crate::Error;
use crate::table::{Cell, Column, ColumnKind, Table, TableBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use arrow_array::{Array as _, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Rows that are unpacked, or packed, at a time.
const BATCH: usize = 8_192;

/// Reads the columns that are asked for, or all.
pub(super) fn read<R: ChunkReader + 'static>(
    reader: R,
    options: &ReadOptions,
) -> Result<(Table, ReadReport), Error> {
    // The library promises errors for damaged files, but has panicked at some; they must not end a server.
    catch_unwind(AssertUnwindSafe(|| read_checked(reader, options)))
        .unwrap_or_else(|_| Err(damaged("its parts contradict each other")))
}

/// Returns the columns with their kinds.
pub(super) fn columns<R: ChunkReader + 'static>(reader: R) -> Result<Vec<(String, ColumnKind)>, Error> {
    let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let opened = catch_unwind(AssertUnwindSafe(|| {
        ParquetRecordBatchReaderBuilder::try_new_with_options(reader, plain)
    }));
    let builder = opened
        .unwrap_or_else(|_| {
            Err(ParquetError::General(
                "its parts contradict each other".to_owned(),
            ))
        })
        .map_err(damaged)?;
    let fields = builder.schema().fields().iter();
    fields
        .map(|field| Ok((field.name().clone(), kind_of(field)?)))
        .collect()
}

fn read_checked<R: ChunkReader + 'static>(
    reader: R,
    options: &ReadOptions,
) -> Result<(Table, ReadReport), Error> {
    // What Arrow adds to a file's own types only says how to lay the same values out in memory.
    let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(reader, plain).map_err(damaged)?;
    let fields = builder.schema().fields().clone();
    let names = || fields.iter().map(|field| field.name().clone());
    let place = |name: &String| {
        let found = fields.iter().position(|field| field.name() == name);
        found.ok_or_else(|| Error::MissingColumn {
            name: name.clone(),
            present: names().collect(),
        })
    };
    let places: Vec<usize> = match &options.kinds {
        Some(kinds) => kinds
            .iter()
            .map(|(name, _)| place(name))
            .collect::<Result<_, _>>()?,
        None => (0..fields.len()).collect(),
    };
    let held = places
        .iter()
        .map(|&place| Ok((fields[place].name().clone(), kind_of(&fields[place])?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let most_rows = check_size(builder.metadata(), &places, options.max_bytes)?;

    let table = TableBuilder::typed(options.kinds.clone().unwrap_or_else(|| held.clone()));
    let mut intake = Intake::new(table, options.on_bad_cell);
    let mask = ProjectionMask::roots(builder.parquet_schema(), places.iter().copied());
    // A batch has its columns in the order of the file.
    let mut in_order = places.clone();
    in_order.sort_unstable();
    in_order.dedup();
    let of_batch: Vec<usize> = places
        .iter()
        .map(|&place| in_order.partition_point(|&other| other < place))
        .collect();
    let batches = builder
        .with_projection(mask)
        .with_batch_size(BATCH)
        .build()
        .map_err(damaged)?;
    let mut row = 0;
    for batch in batches {
        let batch = batch.map_err(damaged)?;
        if row + batch.num_rows() as u64 > most_rows {
            return Err(damaged("it holds more rows than it says"));
        }
        let columns = of_batch
            .iter()
            .zip(&held)
            .map(|(&at, (name, kind))| Plain::of(batch.column(at), *kind, name))
            .collect::<Result<Vec<_>, _>>()?;
        for at in 0..batch.num_rows() {
            row += 1;
            intake.push(row as usize, columns.iter().map(|column| column.cell(at)))?;
        }
    }
    if row < most_rows {
        return Err(damaged(format!("it says {most_rows} rows and holds {row}")));
    }
    intake.finish()
}

fn damaged(reason: impl std::fmt::Display) -> Error {
    Error::Data(format!("the Parquet file cannot be read: {reason}"))
}

/// Returns the number of rows, once neither they nor what they unpack to is more than allowed.
fn check_size(metadata: &ParquetMetaData, places: &[usize], most: u64) -> Result<u64, Error> {
    let rows = u64::try_from(metadata.file_metadata().num_rows())
        .map_err(|_| damaged("its number of rows is below 0"))?;
    let unpacked: i128 = metadata
        .row_groups()
        .iter()
        .flat_map(|group| group.columns())
        .map(|column| i128::from(column.uncompressed_size().max(0)))
        .sum();
    let in_memory = i128::from(rows) * 8 * places.len() as i128;
    if unpacked.max(in_memory) > i128::from(most) {
        let message = format!("{rows} rows unpack to more than the {most} bytes allowed");
        return Err(damaged(message));
    }
    Ok(rows)
}

/// What a column of a file becomes.
fn kind_of(field: &Field) -> Result<ColumnKind, Error> {
    let kind = field.data_type();
    match kind {
        DataType::Null | DataType::Boolean => Ok(ColumnKind::Numeric),
        DataType::Decimal128(..) | DataType::Decimal256(..) => Ok(ColumnKind::Numeric),
        kind if kind.is_numeric() => Ok(ColumnKind::Numeric),
        DataType::Utf8
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..) => Ok(ColumnKind::Categorical),
        _ => {
            let what = if kind.is_nested() {
                "is nested"
            } else {
                "cannot be read"
            };
            Err(Error::Data(format!(
                "column `{}` {what}: {kind}; expected numbers, booleans, dates, times or texts",
                field.name()
            )))
        }
    }
}

/// A column of a batch as numbers or texts.
enum Plain {
    Numbers(ArrayRef),
    Texts(ArrayRef),
    /// Dates and times as texts, or what is wrong with them.
    Times(Vec<Option<Result<String, String>>>),
}

impl Plain {
    fn of(array: &ArrayRef, kind: ColumnKind, name: &str) -> Result<Self, Error> {
        let failed = |error| damaged(format!("column `{name}`: {error}"));
        let into = |kind: &DataType| cast(array, kind).map_err(failed);
        match (kind, array.data_type()) {
            (ColumnKind::Numeric, _) => Ok(Self::Numbers(into(&DataType::Float64)?)),
            (ColumnKind::Categorical, DataType::Utf8) => Ok(Self::Texts(Arc::clone(array))),
            // Names of time zones need a database; an offset of none does not, and the values are in UTC anyway.
            (ColumnKind::Categorical, DataType::Timestamp(unit, Some(_))) => {
                let utc = into(&DataType::Timestamp(*unit, Some("+00:00".into())))?;
                times(&utc).map_err(failed)
            }
            (ColumnKind::Categorical, _) => times(array).map_err(failed),
        }
    }

    fn cell(&self, row: usize) -> Result<Cell<'_>, String> {
        Ok(match self {
            Self::Numbers(array) | Self::Texts(array) if array.is_null(row) => Cell::Missing,
            Self::Numbers(array) => Cell::Number(array.as_primitive::<Float64Type>().value(row)),
            Self::Texts(array) => Cell::Text(array.as_string::<i32>().value(row).into()),
            Self::Times(times) => match &times[row] {
                None => Cell::Missing,
                Some(Ok(text)) => Cell::Text(text.into()),
                Some(Err(message)) => return Err(message.clone()),
            },
        })
    }
}

fn times(array: &ArrayRef) -> Result<Plain, ArrowError> {
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let text = |row| {
        formatter
            .value(row)
            .try_to_string()
            .map_err(|error| error.to_string())
    };
    let of_row = |row| (!array.is_null(row)).then(|| text(row));
    Ok(Plain::Times((0..array.len()).map(of_row).collect()))
}

/// Writes a table: numbers as DOUBLE, texts as STRING, missing values as nulls; packed by Snappy.
///
/// # Errors
/// The writer fails, or a column has no name that Parquet takes.
pub fn write_parquet(table: &Table, writer: impl Write + Send) -> Result<(), Error> {
    let failed =
        |error: &dyn std::fmt::Display| Error::Data(format!("the Parquet file cannot be written: {error}"));
    let field = |(name, column): (&String, &Column)| {
        let kind = match column.kind() {
            ColumnKind::Numeric => DataType::Float64,
            ColumnKind::Categorical => DataType::Utf8,
        };
        Field::new(name, kind, true)
    };
    let fields: Vec<Field> = table.names().iter().zip(table.columns()).map(field).collect();
    let schema = Arc::new(Schema::new(fields));
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut file = ArrowWriter::try_new(writer, Arc::clone(&schema), Some(properties))
        .map_err(|error| failed(&error))?;
    for begin in (0..table.row_count()).step_by(BATCH) {
        let rows = begin..table.row_count().min(begin + BATCH);
        let array = |column: &Column| -> ArrayRef {
            match column {
                Column::Numeric(values) => {
                    let there = |value: &f64| (!value.is_nan()).then_some(*value);
                    Arc::new(values[rows.clone()].iter().map(there).collect::<Float64Array>())
                }
                Column::Categorical(values) => {
                    Arc::new(rows.clone().map(|row| values.text(row)).collect::<StringArray>())
                }
            }
        };
        let arrays = table.columns().iter().map(array).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(|error| failed(&error))?;
        file.write(&batch).map_err(|error| failed(&error))?;
    }
    file.close().map_err(|error| failed(&error))?;
    Ok(())
}
