//! A look into a Parquet file: its foot is read, and of its columns the pages that hold the rows shown.

use std::io::{self, Read};
use std::sync::Arc;

use arrow_cast::display::{ArrayFormatter, FormatOptions};
use bytes::{Buf as _, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Bytes that are asked for at once where it is not known how many are needed.
const CHUNK_BYTES: u64 = 64 * 1024;

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

/// Reads `limit` rows from the row `first` on, and of each the first columns. It blocks.
pub(super) fn rows(file: File, first: usize, limit: usize, most_columns: usize) -> Result<Rows> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let schema = Arc::clone(builder.schema());
    let fields = schema.fields().iter().take(most_columns);
    let head: Vec<String> = fields.map(|field| field.name().clone()).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), 0..head.len());
    let batches = builder
        .with_projection(mask)
        .with_offset(first)
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
            let cells = columns.iter().map(|column| column.value(row).try_to_string());
            rows.push(cells.collect::<std::result::Result<_, _>>()?);
        }
    }
    Ok((head, rows))
}
