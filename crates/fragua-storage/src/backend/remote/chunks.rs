//! A body on its way to another S3.

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;

use crate::Error;
use crate::checksum::{BodyDigest, BodyHasher, Expected};
use crate::stream::BodyStream;

/// Bodies up to this size are sent in one request, larger ones in parts of it. S3 takes 10,000 parts.
pub(super) const PART_BYTES: usize = 16 << 20;
pub(super) const MAX_OBJECT_BYTES: u64 = PART_BYTES as u64 * 10_000;

/// A body cut in parts and summed up on its way.
pub(super) struct Chunks<'body> {
    body: BodyStream<'body>,
    rest: BytesMut,
    hasher: BodyHasher,
    expected: Expected,
    received: u64,
    limit_bytes: u64,
}

impl<'body> Chunks<'body> {
    pub(super) fn new(body: BodyStream<'body>, expected: Expected, limit_bytes: u64) -> Self {
        let hasher = BodyHasher::new(expected.sums());
        Self {
            body,
            rest: BytesMut::new(),
            hasher,
            expected,
            received: 0,
            limit_bytes,
        }
    }

    /// Returns the next part, empty at the end; only the last one is smaller than the others.
    pub(super) async fn next(&mut self) -> Result<Bytes, Error> {
        while self.rest.len() < PART_BYTES {
            let Some(chunk) = self.body.try_next().await.map_err(Error::Body)? else {
                break;
            };
            self.received += chunk.len() as u64;
            if self.received > self.limit_bytes {
                return Err(Error::TooLarge {
                    limit_bytes: self.limit_bytes,
                });
            }
            self.hasher.update(&chunk);
            self.rest.extend_from_slice(&chunk);
        }
        let length = self.rest.len().min(PART_BYTES);
        Ok(self.rest.split_to(length).freeze())
    }

    pub(super) fn finish(self) -> Result<BodyDigest, Error> {
        self.hasher.finish(self.expected)
    }
}
