//! The form of encrypted files.
//!
//! A file is made of segments: one where the bytes were written at once, else one for each part of the upload. A segment
//! is a header with a random salt, then chunks of 64 KiB, each encrypted with AES-256-GCM and followed by its tag. The key
//! of a segment is derived from the data key, the salt and the number of the part, so that no two segments share one and
//! none can take the place of another. The nonce of a chunk is its number with a mark on the last one: chunks that are
//! moved, lost or added at the end are found, and a range is read without the chunks around it.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use bytes::Bytes;

use crate::encryption::{DataKey, derive};

/// Bytes that are encrypted together.
pub(super) const CHUNK_BYTES: usize = 64 << 10;

/// The same on the disk.
const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

const TAG_BYTES: usize = 16;

/// What files of this form begin with; the last byte counts forms.
const MAGIC: &[u8; 8] = b"fragua\0\x01";

const HEADER_BYTES: usize = 32;

/// How many bytes a segment takes on the disk.
pub(super) fn sealed_size(size_bytes: u64) -> u64 {
    let chunks = size_bytes.div_ceil(CHUNK_BYTES as u64).max(1);
    HEADER_BYTES as u64 + size_bytes + chunks * TAG_BYTES as u64
}

/// Bytes on the disk that are not those that were encrypted.
#[derive(Debug)]
pub(super) struct Forged;

impl fmt::Display for Forged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("encrypted bytes are not those that were written")
    }
}

impl std::error::Error for Forged {}

impl From<Forged> for io::Error {
    fn from(forged: Forged) -> Self {
        Self::new(io::ErrorKind::InvalidData, forged)
    }
}

/// Encrypts and decrypts the chunks of one segment.
struct Cipher(Aes256Gcm);

impl Cipher {
    fn new(key: &DataKey, part_number: u32, header: &[u8; HEADER_BYTES]) -> Self {
        let key = derive(&key.0, &[b"segment", &part_number.to_be_bytes(), header]);
        Self(Aes256Gcm::new(&key.into()))
    }

    fn nonce(index: u64, is_last: bool) -> Nonce<aes_gcm::aead::consts::U12> {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&index.to_be_bytes());
        nonce[11] = u8::from(is_last);
        nonce.into()
    }

    /// Appends the encrypted chunk to `target`.
    fn seal(&self, index: u64, is_last: bool, chunk: &[u8], target: &mut Vec<u8>) {
        let start = target.len();
        target.extend_from_slice(chunk);
        let nonce = Self::nonce(index, is_last);
        let tag = self
            .0
            .encrypt_in_place_detached(&nonce, &[], &mut target[start..])
            .expect("a chunk is far below the limit of the algorithm");
        target.extend_from_slice(&tag);
    }

    /// Returns the bytes of an encrypted chunk, decrypted where they lie.
    fn open<'chunk>(
        &self,
        index: u64,
        is_last: bool,
        sealed: &'chunk mut [u8],
    ) -> Result<&'chunk [u8], Forged> {
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or(Forged)?;
        let (chunk, tag) = sealed.split_at_mut(length);
        let tag: [u8; TAG_BYTES] = (&*tag).try_into().map_err(|_| Forged)?;
        let nonce = Self::nonce(index, is_last);
        self.0
            .decrypt_in_place_detached(&nonce, &[], chunk, &tag.into())
            .map_err(|_| Forged)?;
        Ok(chunk)
    }
}

/// What a new segment is encrypted with.
#[derive(Debug, Clone)]
pub(super) struct SegmentKey {
    pub(super) key: DataKey,
    /// 0 where the bytes are written at once.
    pub(super) part_number: u32,
}

/// Encrypts bytes while they pass.
pub(super) struct Sealer {
    cipher: Cipher,
    /// Bytes of the next chunk, which is not encrypted until it is known whether it is the last one.
    pending: Vec<u8>,
    index: u64,
}

impl Sealer {
    /// Begins a segment and writes its header to `target`.
    pub(super) fn new(key: &SegmentKey, target: &mut Vec<u8>) -> Self {
        let mut header = [0; HEADER_BYTES];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        rand::fill(&mut header[MAGIC.len()..]);
        target.extend_from_slice(&header);
        Self {
            cipher: Cipher::new(&key.key, key.part_number, &header),
            pending: Vec::with_capacity(CHUNK_BYTES),
            index: 0,
        }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], target: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.pending.len() == CHUNK_BYTES {
                self.cipher.seal(self.index, false, &self.pending, target);
                self.index += 1;
                self.pending.clear();
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.pending.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
        }
    }

    pub(super) fn finish(self, target: &mut Vec<u8>) {
        self.cipher.seal(self.index, true, &self.pending, target);
    }
}

/// A part of a file that is encrypted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) part_number: u32,
    pub(super) size_bytes: u64,
}

/// How many bytes segments take on the disk.
pub(super) fn file_size(segments: &[Segment]) -> u64 {
    segments
        .iter()
        .map(|segment| sealed_size(segment.size_bytes))
        .sum()
}

/// What it takes to read an encrypted file.
#[derive(Debug, Clone)]
pub(super) struct Seal {
    pub(super) key: DataKey,
    pub(super) segments: Vec<Segment>,
}

/// Bytes of one segment that are read together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SealedPiece {
    key: DataKey,
    segment: Segment,
    /// Where the segment begins in the file.
    offset: u64,
    /// The bytes wanted, by their offsets within the segment.
    range: Range<u64>,
}

impl Seal {
    /// Cuts all bytes in pieces as [`Seal::pieces`] does.
    pub(super) fn all_pieces(self, piece_bytes: u64) -> impl Iterator<Item = SealedPiece> + Send {
        let size_bytes = self.segments.iter().map(|segment| segment.size_bytes).sum();
        self.pieces(0..size_bytes, piece_bytes)
    }

    /// Cuts a range in pieces of at most `piece_bytes`, a multiple of the size of chunks.
    pub(super) fn pieces(
        self,
        range: Range<u64>,
        piece_bytes: u64,
    ) -> impl Iterator<Item = SealedPiece> + Send {
        let (mut begin, mut offset) = (0, 0);
        let located = self.segments.into_iter().map(move |segment| {
            let here = (segment, begin, offset);
            begin += segment.size_bytes;
            offset += sealed_size(segment.size_bytes);
            here
        });
        located.flat_map(move |(segment, begin, offset)| {
            let start = range.start.max(begin) - begin;
            let end = range.end.min(begin + segment.size_bytes).saturating_sub(begin);
            let key = self.key.clone();
            let starts =
                std::iter::successors(Some(start), move |at| Some((at / piece_bytes + 1) * piece_bytes));
            starts.take_while(move |at| *at < end).map(move |at| SealedPiece {
                key: key.clone(),
                segment,
                offset,
                range: at..end.min((at / piece_bytes + 1) * piece_bytes),
            })
        })
    }
}

/// Where the bytes of a blob lie.
pub(super) trait Source {
    /// Fills a buffer with the bytes at an offset.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for File {
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl Source for Bytes {
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.saturating_add(buffer.len());
        let bytes = self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

impl SealedPiece {
    /// Reads and decrypts the chunks that the piece lies in.
    pub(super) fn read(&self, source: &impl Source) -> io::Result<Bytes> {
        let mut header = [0; HEADER_BYTES];
        source.fill(&mut header, self.offset)?;
        if !header.starts_with(MAGIC) {
            return Err(Forged.into());
        }
        let cipher = Cipher::new(&self.key, self.segment.part_number, &header);
        let chunk_bytes = CHUNK_BYTES as u64;
        let last_of_segment = self.segment.size_bytes.div_ceil(chunk_bytes).max(1) - 1;
        let (first, last) = (self.range.start / chunk_bytes, (self.range.end - 1) / chunk_bytes);
        let body = HEADER_BYTES as u64;
        let start = body + first * SEALED_CHUNK_BYTES as u64;
        let end = (body + (last + 1) * SEALED_CHUNK_BYTES as u64).min(sealed_size(self.segment.size_bytes));
        let mut sealed = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        source.fill(&mut sealed, self.offset + start)?;
        let mut bytes = Vec::with_capacity(sealed.len());
        for (index, chunk) in (first..).zip(sealed.chunks_mut(SEALED_CHUNK_BYTES)) {
            bytes.extend_from_slice(cipher.open(index, index == last_of_segment, chunk)?);
        }
        let skipped = self.range.start - first * chunk_bytes;
        let within = |at: u64| usize::try_from(at).map_err(io::Error::other);
        let wanted = within(skipped)?..within(skipped + self.range.end - self.range.start)?;
        Ok(Bytes::from(bytes).slice(wanted))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const PIECE: u64 = 2 * CHUNK_BYTES as u64;

    fn data_key(byte: u8) -> DataKey {
        DataKey([byte; 32])
    }

    fn plain(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index % 251) as u8).collect()
    }

    fn sealed(part_number: u32, bytes: &[u8]) -> Vec<u8> {
        let key = SegmentKey {
            key: data_key(1),
            part_number,
        };
        let mut file = Vec::new();
        let mut sealer = Sealer::new(&key, &mut file);
        bytes.chunks(1000).for_each(|chunk| sealer.push(chunk, &mut file));
        sealer.finish(&mut file);
        assert_eq!(file.len() as u64, sealed_size(bytes.len() as u64));
        file
    }

    fn seal(segments: &[(u32, usize)]) -> Seal {
        let segment = |(part_number, size): &(u32, usize)| Segment {
            part_number: *part_number,
            size_bytes: *size as u64,
        };
        Seal {
            key: data_key(1),
            segments: segments.iter().map(segment).collect(),
        }
    }

    fn open(file: &[u8], seal: Seal, range: Range<usize>) -> io::Result<Vec<u8>> {
        let mut on_disk = tempfile::tempfile().unwrap();
        on_disk.write_all(file).unwrap();
        let mut bytes = Vec::new();
        for piece in seal.pieces(range.start as u64..range.end as u64, PIECE) {
            bytes.extend_from_slice(&piece.read(&on_disk)?);
        }
        Ok(bytes)
    }

    #[test]
    fn every_size_and_range_is_read_as_it_was_written() {
        let chunk = CHUNK_BYTES;
        for size in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 5 * chunk + 17] {
            let (bytes, file) = (plain(size), sealed(0, &plain(size)));
            for start in [0, 1, chunk - 1, chunk, 2 * chunk, 3 * chunk + 5] {
                for end in [1, chunk, chunk + 1, 4 * chunk, size] {
                    let range = start.min(size)..end.clamp(start.min(size), size);
                    let read = open(&file, seal(&[(0, size)]), range.clone()).unwrap();
                    assert_eq!(read, bytes[range.clone()], "{range:?} of {size}");
                }
            }
        }
    }

    #[test]
    fn segments_follow_one_another() {
        let chunk = CHUNK_BYTES;
        let parts = [(1, chunk), (3, 2 * chunk + 9), (4, 0), (7, 5)];
        let file: Vec<u8> = parts
            .iter()
            .flat_map(|(number, size)| sealed(*number, &plain(*size)))
            .collect();
        let bytes: Vec<u8> = parts.iter().flat_map(|(_, size)| plain(*size)).collect();
        for range in [
            0..bytes.len(),
            chunk - 1..chunk + 1,
            3 * chunk..bytes.len(),
            bytes.len() - 1..bytes.len(),
        ] {
            assert_eq!(open(&file, seal(&parts), range.clone()).unwrap(), bytes[range]);
        }
        assert_eq!(file_size(&seal(&parts).segments), file.len() as u64);
    }

    #[test]
    fn what_was_changed_is_not_read() {
        let chunk = CHUNK_BYTES;
        let size = 2 * chunk + 5;
        let file = sealed(0, &plain(size));
        let refused = |file: &[u8], layout: &[(u32, usize)]| {
            let whole = layout.iter().map(|(_, size)| size).sum();
            let error = open(file, seal(layout), 0..whole).unwrap_err();
            matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            )
        };
        for position in [0, 9, HEADER_BYTES, HEADER_BYTES + chunk, file.len() - 1] {
            let mut changed = file.clone();
            changed[position] ^= 1;
            assert!(refused(&changed, &[(0, size)]), "{position}");
        }
        let first = HEADER_BYTES..HEADER_BYTES + SEALED_CHUNK_BYTES;
        let second = first.end..first.end + SEALED_CHUNK_BYTES;
        let reordered = [
            &file[..first.start],
            &file[second.clone()],
            &file[first.clone()],
            &file[second.end..],
        ];
        assert!(refused(&reordered.concat(), &[(0, size)]));
        assert!(refused(&file[..second.end], &[(0, size)]));
        // Who can change the row as well cuts at a chunk's end: the mark of the last one is missing.
        assert!(refused(&file[..second.end], &[(0, 2 * chunk)]));
        assert!(refused(
            &[&file[..], &file[second]].concat(),
            &[(0, size + chunk)]
        ));
        // Parts of one size, one in the place of the other.
        let swapped = [sealed(2, &plain(9)), sealed(1, &plain(9))].concat();
        assert!(refused(&swapped, &[(1, 9), (2, 9)]));
        let mut other_key = seal(&[(0, size)]);
        other_key.key = data_key(2);
        assert!(open(&file, other_key, 0..1).is_err());
    }
}
