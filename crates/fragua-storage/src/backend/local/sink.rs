//! A body on its way to a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;

use bytes::Bytes;

use super::folders::Incoming;
use super::roots::Roots;
use super::sealed::{Sealer, SegmentKey};
use crate::Error;
use crate::checksum::{BodyDigest, BodyHasher, Expected, Sums};
use crate::store::small::SmallBlob;

/// Bytes that are written before the disk is told to begin with them, so that the sync at the end finds little to do.
const WRITE_BACK_BYTES: u64 = 8 << 20;

/// Bytes that have no row yet.
#[derive(Debug)]
pub(super) enum NewBlob {
    /// A file that is in place.
    File(Incoming),
    /// To be written with the row.
    Small(SmallBlob),
}

impl NewBlob {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::File(incoming) => incoming.id(),
            Self::Small(small) => &small.id,
        }
    }

    /// Leaves a file to a row. Returns the id, and the bytes that are no file.
    pub(super) fn keep(self) -> (String, Option<SmallBlob>) {
        match self {
            Self::File(incoming) => (incoming.keep(), None),
            Self::Small(small) => (small.id.clone(), Some(small)),
        }
    }
}

/// A body that was received whole and has no row yet.
#[derive(Debug)]
pub(super) struct StoredBlob {
    pub(super) blob: NewBlob,
    pub(super) digest: BodyDigest,
}

impl StoredBlob {
    /// Returns the ETag: the MD5 where it was computed. Else the id, which no other bytes ever have, in the form that
    /// tells S3's clients that it is no MD5.
    pub(super) fn etag(&self) -> String {
        match self.digest.md5 {
            Some(md5) => hex::encode(md5),
            None => format!("{}-1", self.blob.id()),
        }
    }
}

/// What is done with a body on its way.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) sums: Sums,
    /// What it is encrypted with.
    pub(super) key: Option<SegmentKey>,
}

/// Chunks of a body that are written together.
#[derive(Default)]
pub(super) struct Batch {
    chunks: Vec<Bytes>,
    pub(super) bytes: usize,
}

impl Batch {
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }
}

impl Batch {
    /// Hashes and encrypts a whole body in memory.
    pub(super) fn into_bytes(self, plan: &Plan, expected: Expected) -> Result<(Bytes, BodyDigest), Error> {
        let mut hasher = BodyHasher::new(plan.sums);
        let mut bytes = Vec::with_capacity(self.bytes);
        let mut sealer = plan.key.as_ref().map(|key| Sealer::new(key, &mut bytes));
        for chunk in &self.chunks {
            hasher.update(chunk);
            match &mut sealer {
                Some(sealer) => sealer.push(chunk, &mut bytes),
                None => bytes.extend_from_slice(chunk),
            }
        }
        let digest = hasher.finish(expected)?;
        if let Some(sealer) = sealer {
            sealer.finish(&mut bytes);
        }
        Ok((bytes.into(), digest))
    }
}

/// A file that is being written.
pub(super) struct Sink {
    incoming: Incoming,
    file: File,
    hasher: BodyHasher,
    sealer: Option<Sealer>,
    /// Where the bytes begin that the disk was not told of yet.
    not_begun: u64,
}

impl Sink {
    fn create(roots: &Roots, plan: &Plan) -> io::Result<Self> {
        let incoming = Incoming::new(roots.draw());
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(incoming.path())?;
        let sealer = match &plan.key {
            None => None,
            Some(key) => {
                let mut header = Vec::new();
                let sealer = Sealer::new(key, &mut header);
                file.write_all(&header)?;
                Some(sealer)
            }
        };
        Ok(Self {
            incoming,
            file,
            hasher: BodyHasher::new(plan.sums),
            sealer,
            not_begun: 0,
        })
    }

    /// Hashes, encrypts and writes a batch, to a new file when there is none yet.
    pub(super) fn write(sink: Option<Self>, roots: &Roots, plan: &Plan, batch: Batch) -> Result<Self, Error> {
        let action = "cannot write an object's bytes";
        let mut sink = match sink {
            Some(sink) => sink,
            None => Self::create(roots, plan).map_err(Error::disk(action))?,
        };
        let mut sealed = Vec::new();
        for chunk in &batch.chunks {
            sink.hasher.update(chunk);
            if let Some(sealer) = &mut sink.sealer {
                sealed.clear();
                sealer.push(chunk, &mut sealed);
                sink.file.write_all(&sealed).map_err(Error::disk(action))?;
            } else {
                sink.file.write_all(chunk).map_err(Error::disk(action))?;
            }
        }
        let written = sink.hasher.size_bytes();
        if written - sink.not_begun >= WRITE_BACK_BYTES {
            begin_write_back(&sink.file, sink.not_begun..written);
            sink.not_begun = written;
        }
        Ok(sink)
    }

    pub(super) fn finish(mut self, expected: Expected) -> Result<StoredBlob, Error> {
        let digest = self.hasher.finish(expected)?;
        if let Some(sealer) = self.sealer {
            let mut last = Vec::new();
            sealer.finish(&mut last);
            self.file
                .write_all(&last)
                .map_err(Error::disk("cannot write an object's bytes"))?;
        }
        let published = self.incoming.publish(&self.file);
        published.map_err(Error::disk("cannot put an object's bytes in place"))?;
        Ok(StoredBlob {
            blob: NewBlob::File(self.incoming),
            digest,
        })
    }
}

/// Lets the disk begin with bytes of a file while more of them arrive. It promises nothing: only the sync at the end
/// makes them durable.
///
/// What Linux does with this advice is to start writing the range without waiting for it. Pages that are still being
/// written stay in memory, so that who reads the object next finds most of it there. The call that says the same by name,
/// `sync_file_range`, has no safe wrapper.
#[cfg(target_os = "linux")]
fn begin_write_back(file: &File, range: Range<u64>) {
    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
    let bounds = (i64::try_from(range.start), i64::try_from(range.end - range.start));
    if let (Ok(offset), Ok(length)) = bounds {
        // A file system that does not take the advice syncs later what it has not begun.
        let _ = posix_fadvise(file, offset, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

/// Elsewhere the sync at the end does all the work.
#[cfg(not(target_os = "linux"))]
fn begin_write_back(_file: &File, _range: Range<u64>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_had_nothing_to_do_until_the_last_byte_was_there() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::open(root.path(), &[]).unwrap();
        let mebibyte = Bytes::from(vec![7; 1 << 20]);
        let plan = Plan {
            sums: Expected::default().sums(),
            key: None,
        };
        let mut sink = None;
        for (mebibytes, begun) in [(3, 0), (6, 9), (1, 9), (7, 17)] {
            let mut batch = Batch::default();
            (0..mebibytes).for_each(|_| batch.push(mebibyte.clone()));
            let written = Sink::write(sink, &roots, &plan, batch).unwrap();
            assert_eq!(written.not_begun, begun << 20);
            sink = Some(written);
        }
        let stored = sink.unwrap().finish(Expected::default()).unwrap();
        assert_eq!(stored.digest.size_bytes, 17 << 20);
        assert_eq!(
            std::fs::read(roots.draw().blob(stored.blob.id())).unwrap(),
            mebibyte.repeat(17)
        );
    }

    #[test]
    fn bytes_whose_client_left_before_their_row_stayed_until_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::open(root.path(), &[]).unwrap();
        let plan = Plan {
            sums: Expected::default().sums(),
            key: None,
        };
        let store = || {
            let sink = Sink::write(None, &roots, &plan, Batch::default()).unwrap();
            sink.finish(Expected::default()).unwrap().blob
        };
        let folders = roots.draw();
        let (left, kept) = (store(), store().keep().0);
        let path = folders.blob(left.id());
        assert!(path.exists());
        drop(left);
        assert!(!path.exists() && folders.blob(&kept).exists());
        // The one that is kept, and the lock.
        assert_eq!(std::fs::read_dir(&folders.incoming).unwrap().count(), 2);
    }
}
