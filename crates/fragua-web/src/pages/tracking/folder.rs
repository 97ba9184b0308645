//! A folder of artifacts as one zip file, which is made while it is sent and is never whole in memory.
//!
//! What is in it is stored as it is: models and pictures hardly become smaller, and the bytes come from this machine.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fragua_storage::ObjectStream;
use fragua_tracking::{ArtifactEntry, ArtifactPath, Error as TrackingError, Tracking};
use futures::{StreamExt as _, stream};
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use crate::error::Error;
use crate::page::encode;

/// A file this large needs the wider fields of the format.
const LARGE_BYTES: u64 = u32::MAX as u64;

/// Answers with all files below a folder as `name.zip`.
pub(super) async fn send(tracking: &Tracking, folder: ArtifactPath, name: &str) -> Result<Response, Error> {
    let (files, next) = tracking.artifacts_below(&folder, None).await?;
    if files.is_empty() {
        return Err(Error::Missing {
            what: "folder",
            name: folder.to_string(),
        });
    }
    let spool = Spool::default();
    let archive = Archive {
        tracking: tracking.clone(),
        folder,
        files: files.into(),
        next,
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
    Ok((headers, body).into_response())
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

struct Archive {
    tracking: Tracking,
    folder: ArtifactPath,
    files: VecDeque<ArtifactEntry>,
    /// Where the next page of files begins.
    next: Option<String>,
    /// The file on its way.
    file: Option<ObjectStream>,
    /// Nothing once the archive is whole.
    writer: Option<ZipWriter<StreamWriter<Spool>>>,
    spool: Spool,
}

impl Archive {
    async fn advance(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while let Some(writer) = &mut self.writer {
            if let Some(file) = &mut self.file {
                match file.next().await {
                    Some(chunk) => writer.write_all(&chunk?)?,
                    None => self.file = None,
                }
            } else if let Some(entry) = self.files.pop_front() {
                self.begin(&entry).await?;
            } else if let Some(next) = self.next.take() {
                let below = self.tracking.artifacts_below(&self.folder, Some(next)).await;
                let (files, next) = below.map_err(io::Error::other)?;
                self.files = files.into();
                self.next = next;
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

    /// Begins a file. What was deleted since it was listed is left out, and so are keys that are no path: unpacked,
    /// they could lie outside of the folder.
    async fn begin(&mut self, entry: &ArtifactEntry) -> io::Result<()> {
        let Ok(path) = self.folder.join(&entry.name) else {
            return Ok(());
        };
        match self.tracking.open_artifact(&path, None).await {
            Ok((_, stream)) => {
                let options = SimpleFileOptions::default()
                    .compression_method(CompressionMethod::Stored)
                    .large_file(stream.size_bytes() >= LARGE_BYTES);
                if let Some(writer) = &mut self.writer {
                    writer.start_file(entry.name.as_str(), options)?;
                }
                self.file = Some(stream);
                Ok(())
            }
            Err(TrackingError::NotFound(_)) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}
