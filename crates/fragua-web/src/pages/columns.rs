//! A look into a Parquet file: its foot is read, and of its columns the pages that hold the rows shown.

use std::io::{self, Read};
use std::sync::Arc;

use arrow_cast::display::{ArrayFormatter, FormatOptions};
use bytes::{Buf as _, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use crate::format;

/// Bytes that are asked for at once where it is not known how many are needed.
const CHUNK_BYTES: u64 = 64 * 1024;
/// The largest foot of a file, and the most bytes of the columns shown, unpacked: what is larger has no look.
const MOST_FOOT_BYTES: u32 = 16 << 20;
const MOST_UNPACKED_BYTES: i64 = 256 << 20;

/// Names of the columns, and the cells of each row.
pub(super) type Rows = (Vec<String>, Vec<Vec<String>>);

/// Reads so many bytes from an offset on.
type ReadAt = dyn Fn(u64, usize) -> io::Result<Bytes> + Send + Sync;

/// A file of which parts are read as they are needed.
pub(super) struct File {
    size: u64,
    read: Arc<ReadAt>,
}

impl File {
    pub(super) fn new(
        size: u64,
        read: impl Fn(u64, usize) -> io::Result<Bytes> + Send + Sync + 'static,
    ) -> Self {
        let read = Arc::new(read);
        Self { size, read }
    }
}

impl Length for File {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for File {
    type T = Chunks;

    fn get_read(&self, start: u64) -> Result<Chunks> {
        Ok(Chunks {
            read: Arc::clone(&self.read),
            position: start,
            end: self.size,
            chunk: Bytes::new(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // A damaged file may name any place.
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(ParquetError::EOF("the file ends before".to_owned()));
        }
        if length as i64 > MOST_UNPACKED_BYTES {
            return Err(too_large());
        }
        match length {
            0 => Ok(Bytes::new()),
            _ => Ok((self.read)(start, length)?),
        }
    }
}

/// Reads on from an offset, a chunk at a time.
pub(super) struct Chunks {
    read: Arc<ReadAt>,
    position: u64,
    end: u64,
    chunk: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.position);
        if self.chunk.is_empty() && left > 0 {
            let length = left.min(CHUNK_BYTES);
            self.chunk = (self.read)(self.position, length as usize)?;
            self.position += length;
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

fn too_large() -> ParquetError {
    ParquetError::General("it is too large to be looked into".to_owned())
}

/// The last bytes of a file say how long its foot is, and are read before it is believed.
fn check_foot(file: &File) -> Result<()> {
    const TAIL: usize = 8;
    let start = file.size.checked_sub(TAIL as u64);
    let start = start.ok_or_else(|| ParquetError::EOF("the file has no foot".to_owned()))?;
    match file.get_bytes(start, TAIL)?.get_u32_le() {
        ..=MOST_FOOT_BYTES => Ok(()),
        _ => Err(too_large()),
    }
}

/// Finds the groups of rows that hold those wanted, and the number of rows before them.
fn groups_of(
    metadata: &ParquetMetaData,
    mask: &ProjectionMask,
    first: usize,
    limit: usize,
) -> Result<(Vec<usize>, usize)> {
    let (mut groups, mut before, mut begin, mut bytes) = (Vec::new(), 0, 0usize, 0i64);
    for (position, group) in metadata.row_groups().iter().enumerate() {
        let end = begin.saturating_add(usize::try_from(group.num_rows()).unwrap_or(0));
        if end <= first {
            before = end;
        } else if begin < first.saturating_add(limit) {
            groups.push(position);
            let columns = group.columns().iter().enumerate();
            let shown = columns.filter(|(leaf, _)| mask.leaf_included(*leaf));
            bytes = shown.fold(bytes, |sum, (_, column)| {
                sum.saturating_add(column.uncompressed_size().max(0))
            });
        }
        begin = end;
    }
    match bytes {
        ..=MOST_UNPACKED_BYTES => Ok((groups, before.min(first))),
        _ => Err(too_large()),
    }
}

/// Reads `limit` rows from the row `first` on, and of each the first columns with so many characters a cell. It blocks.
pub(super) fn rows(
    file: File,
    first: usize,
    limit: usize,
    (most_columns, most_chars): (usize, usize),
) -> Result<Rows> {
    check_foot(&file)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let schema = Arc::clone(builder.schema());
    let fields = schema.fields().iter().take(most_columns);
    let head: Vec<String> = fields.map(|field| field.name().clone()).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), 0..head.len());
    let (groups, before) = groups_of(builder.metadata(), &mask, first, limit)?;
    let batches = builder
        .with_projection(mask)
        .with_row_groups(groups)
        .with_offset(first - before)
        .with_limit(limit)
        .with_batch_size(limit)
        .build()?;
    let options = FormatOptions::new();
    let mut rows = Vec::new();
    for batch in batches {
        let batch = batch?;
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| {
                let cell = column.value(row).try_to_string()?;
                Ok::<_, ParquetError>(format::shorten(&cell, most_chars))
            });
            rows.push(cells.collect::<std::result::Result<_, _>>()?);
        }
    }
    Ok((head, rows))
}
