//! The table that batches are cut from.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use anyhow::{Context as _, ensure};
use flate2::read::GzDecoder;

use super::PARTS;
use super::state::Draw;

/// A stratified fifth of the UCI Covertype table; see the folder's README for its origin and licence.
const SAMPLE: &[u8] = include_bytes!("../../../../examples/covertype/data/covertype-sample.csv.gz");

/// A table larger than this is refused: it is held in memory.
const MAXIMUM_BYTES: u64 = 1 << 30;

/// The rows as the text they came in, and where each begins.
pub(super) struct Rows {
    text: Vec<u8>,
    starts: Vec<usize>,
}

impl Rows {
    /// Unpacks the sample that is compiled in.
    pub(super) fn sample() -> anyhow::Result<Self> {
        Self::parse(GzDecoder::new(SAMPLE))
    }

    /// Reads a CSV file, gzip-compressed when its name ends in `.gz`.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path)?;
        if path.extension().is_some_and(|extension| extension == "gz") {
            return Self::parse(GzDecoder::new(file));
        }
        Self::parse(file)
    }

    pub(super) fn parse(from: impl Read) -> anyhow::Result<Self> {
        let mut text = Vec::new();
        from.take(MAXIMUM_BYTES + 1).read_to_end(&mut text)?;
        ensure!(
            text.len() as u64 <= MAXIMUM_BYTES,
            "the table is larger than {MAXIMUM_BYTES} bytes"
        );
        // The reader refuses rows whose number of fields differs from the header's.
        let mut reader = csv::Reader::from_reader(Cursor::new(&text));
        reader.byte_headers()?;
        let mut starts = Vec::new();
        let mut record = csv::ByteRecord::new();
        while reader.read_byte_record(&mut record)? {
            let start = record
                .position()
                .context("a record read from a file has a position")?
                .byte();
            starts.push(usize::try_from(start)?);
        }
        ensure!(
            starts.len() >= PARTS * PARTS,
            "the table has {} rows, at least {} are needed",
            starts.len(),
            PARTS * PARTS
        );
        Ok(Self { text, starts })
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Returns a tenth of a batch, drawn without replacement, in the order of the table.
    pub(super) fn draw(&self, seed: u64, group: usize, draw: Draw) -> anyhow::Result<Vec<Vec<String>>> {
        let first = self.len() * draw.batch / PARTS;
        let end = self.len() * (draw.batch + 1) / PARTS;
        let mut generator =
            SplitMix(seed ^ ((group as u64) << 56) ^ ((draw.batch as u64) << 48) ^ draw.number);
        let mut rows: Vec<usize> = (first..end).collect();
        let count = rows.len() / PARTS;
        for place in 0..count {
            let other = place + generator.below(rows.len() - place);
            rows.swap(place, other);
        }
        rows.truncate(count);
        rows.sort_unstable();
        rows.into_iter().map(|row| self.row(row)).collect()
    }

    fn row(&self, row: usize) -> anyhow::Result<Vec<String>> {
        let end = self.starts.get(row + 1).copied().unwrap_or(self.text.len());
        let line = &self.text[self.starts[row]..end];
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line);
        let record = reader.records().next().context("a row has a record")??;
        Ok(record.iter().map(str::to_owned).collect())
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers on every machine and in every version.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`, which must not be zero. The bias is below 2^-40 for any table that fits.
    fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * bound as u128;
        usize::try_from(wide >> 64).expect("the high half of a product with a usize fits a usize")
    }
}
