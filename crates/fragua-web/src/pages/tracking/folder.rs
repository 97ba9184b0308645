//! A folder of artifacts as one zip file.

use std::collections::VecDeque;
use std::io;

use axum::response::Response;
use fragua_storage::ObjectStream;
use fragua_tracking::{ArtifactEntry, ArtifactPath, Error as TrackingError, Tracking};

use crate::error::Error;
use crate::pages::archive;

/// Answers with all files below a folder as `name.zip`.
pub(super) async fn send(tracking: &Tracking, folder: ArtifactPath, name: &str) -> Result<Response, Error> {
    let (files, next) = tracking.artifacts_below(&folder, None).await?;
    if files.is_empty() {
        return Err(Error::Missing {
            what: "folder",
            name: folder.to_string(),
        });
    }
    let files = Below {
        tracking: tracking.clone(),
        folder,
        files: files.into(),
        next,
    };
    Ok(archive::send(files, name))
}

struct Below {
    tracking: Tracking,
    folder: ArtifactPath,
    files: VecDeque<ArtifactEntry>,
    /// Where the next page of files begins.
    next: Option<String>,
}

impl archive::Files for Below {
    /// What was deleted since it was listed is left out, and so are keys that are no path: unpacked, they could lie
    /// outside of the folder.
    async fn next(&mut self) -> io::Result<Option<(String, ObjectStream)>> {
        loop {
            let Some(entry) = self.files.pop_front() else {
                let Some(next) = self.next.take() else {
                    return Ok(None);
                };
                let below = self.tracking.artifacts_below(&self.folder, Some(next)).await;
                let (files, next) = below.map_err(io::Error::other)?;
                self.files = files.into();
                self.next = next;
                continue;
            };
            let Ok(path) = self.folder.join(&entry.name) else {
                continue;
            };
            match self.tracking.open_artifact(&path, None).await {
                Ok((_, stream)) => return Ok(Some((entry.name, stream))),
                Err(TrackingError::NotFound(_)) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}
