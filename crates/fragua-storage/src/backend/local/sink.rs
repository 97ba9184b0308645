//! A body on its way to a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use bytes::Bytes;
use fragua_base::random_hex;

use super::folders::{Folders, Incoming};
use crate::Error;
use crate::checksum::{BodyDigest, BodyHasher, Expected, Sums};

/// A file that is in place and has no row yet.
#[derive(Debug)]
pub(super) struct StoredBlob {
    pub(super) id: String,
    pub(super) digest: BodyDigest,
}

impl StoredBlob {
    /// Returns the ETag: the MD5 where it was computed. Else the id, which no other bytes ever have, in the form that
    /// tells S3's clients that it is no MD5.
    pub(super) fn etag(&self) -> String {
        match self.digest.md5 {
            Some(md5) => hex::encode(md5),
            None => format!("{}-1", self.id),
        }
    }
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

/// A file that is being written.
pub(super) struct Sink {
    id: String,
    incoming: Incoming,
    file: File,
    hasher: BodyHasher,
}

impl Sink {
    fn create(folders: &Folders, sums: Sums) -> io::Result<Self> {
        let id = random_hex(16);
        let incoming = Incoming::new(folders, &id);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&incoming.path)?;
        Ok(Self {
            id,
            incoming,
            file,
            hasher: BodyHasher::new(sums),
        })
    }

    /// Hashes and writes a batch, to a new file when there is none yet.
    pub(super) fn write(
        sink: Option<Self>,
        folders: &Folders,
        sums: Sums,
        batch: Batch,
    ) -> Result<Self, Error> {
        let action = "cannot write an object's bytes";
        let mut sink = match sink {
            Some(sink) => sink,
            None => Self::create(folders, sums).map_err(Error::disk(action))?,
        };
        for chunk in &batch.chunks {
            sink.hasher.update(chunk);
            sink.file.write_all(chunk).map_err(Error::disk(action))?;
        }
        Ok(sink)
    }

    pub(super) fn finish(self, folders: &Folders, expected: Expected) -> Result<StoredBlob, Error> {
        let digest = self.hasher.finish(expected)?;
        self.file
            .sync_all()
            .map_err(Error::disk("cannot sync an object's bytes"))?;
        let published = folders.publish(&self.incoming, &self.id);
        published.map_err(Error::disk("cannot put an object's bytes in place"))?;
        self.incoming.keep();
        Ok(StoredBlob { id: self.id, digest })
    }
}
