//! Bytes on their way in and out.

use std::fmt;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};

use crate::Error;

/// A body that is being written.
pub type BodyStream<'body> = BoxStream<'body, io::Result<Bytes>>;

/// The bytes of an object, or of a part of it, read as they are asked for.
pub struct ObjectStream {
    // Never locked: the mutex lends a stream that is only `Send` the `Sync` that HTTP bodies ask for.
    inner: Mutex<BodyStream<'static>>,
    range: Range<u64>,
}

impl ObjectStream {
    /// Wraps a stream of the bytes at these offsets.
    pub fn new(range: Range<u64>, stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self {
            inner: Mutex::new(stream.boxed()),
            range,
        }
    }

    /// Returns the offsets of these bytes within the object.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Returns how many bytes the whole stream gives.
    pub fn size_bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Reads all bytes into memory.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when there are more than `limit_bytes`, [`Error::Body`] when reading fails.
    pub async fn into_bytes(mut self, limit_bytes: u64) -> Result<Bytes, Error> {
        if self.size_bytes() > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        let mut bytes = BytesMut::with_capacity(usize::try_from(self.size_bytes()).unwrap_or(0));
        while let Some(chunk) = self.try_next().await.map_err(Error::Body)? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }
}

impl Stream for ObjectStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let inner = self
            .inner
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.poll_next_unpin(context)
    }
}

impl fmt::Debug for ObjectStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ObjectStream")
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}
