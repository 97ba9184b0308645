//! Files as one zip file, which is made while it is sent and is never whole in memory.
//!
//! What is in it is stored as it is: models and pictures hardly become smaller, and the bytes come from this machine.

use std::future::Future;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fragua_storage::ObjectStream;
use futures::{StreamExt as _, stream};
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use crate::page::encode;

/// A file this large needs the wider fields of the format.
const LARGE_BYTES: u64 = u32::MAX as u64;

/// The files of an archive, one after the other.
pub(super) trait Files: Send + 'static {
    /// Opens the next file and tells the name it gets; nothing at the end.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<(String, ObjectStream)>>> + Send;
}

/// Answers with files as `name.zip`.
pub(super) fn send(files: impl Files, name: &str) -> Response {
    let spool = Spool::default();
    let archive = Archive {
        files,
        file: None,
        writer: Some(ZipWriter::new_stream(spool.clone())),
        spool,
    };
    let disposition = format!("attachment; filename*=UTF-8''{}.zip", encode(name));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/zip")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_str(&disposition).expect("percent-encoded text is a header value"),
        ),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-store"),
        ),
    ];
    let body = Body::from_stream(stream::try_unfold(archive, Archive::advance));
    (headers, body).into_response()
}

/// Keeps what the archive writes until it is sent: a chunk of a file, or the list at the end.
#[derive(Clone, Default)]
struct Spool(Arc<Mutex<Vec<u8>>>);

impl Spool {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Archive<F> {
    files: F,
    /// The file on its way.
    file: Option<ObjectStream>,
    /// Nothing once the archive is whole.
    writer: Option<ZipWriter<StreamWriter<Spool>>>,
    spool: Spool,
}

impl<F: Files> Archive<F> {
    async fn advance(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while let Some(writer) = &mut self.writer {
            if let Some(file) = &mut self.file {
                match file.next().await {
                    Some(chunk) => writer.write_all(&chunk?)?,
                    None => self.file = None,
                }
            } else if let Some((name, stream)) = self.files.next().await? {
                let options = SimpleFileOptions::default()
                    .compression_method(CompressionMethod::Stored)
                    .large_file(stream.size_bytes() >= LARGE_BYTES);
                writer.start_file(name, options)?;
                self.file = Some(stream);
            } else if let Some(writer) = self.writer.take() {
                writer.finish()?;
            }
            let written = self.spool.take();
            if !written.is_empty() {
                return Ok(Some((written, self)));
            }
        }
        Ok(None)
    }
}
