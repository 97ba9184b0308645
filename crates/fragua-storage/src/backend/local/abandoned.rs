//! What an instance that is gone left in its folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::folders::{Folders, LOCK_FILE, blob_names, remove_file};

/// The folder of an instance that is gone, locked while it is tidied up.
#[derive(Debug)]
pub(super) struct Abandoned {
    folders: Arc<Folders>,
    /// The instance's own.
    folder: PathBuf,
    /// Blobs that may or may not have a row.
    pub(super) blobs: Vec<String>,
    _lock: File,
}

impl Abandoned {
    /// Returns `None` when the instance is alive, or just beginning or ending.
    pub(super) fn open(folders: &Arc<Folders>, folder: PathBuf) -> io::Result<Option<Self>> {
        let lock = match OpenOptions::new().write(true).open(folder.join(LOCK_FILE)) {
            Ok(lock) => lock,
            // Between making its folder and its lock, an instance has written nothing.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        let blobs = blob_names(&folder)?;
        Ok(Some(Self {
            folders: Arc::clone(folders),
            folder,
            blobs,
            _lock: lock,
        }))
    }

    /// Removes blobs that have no row with both names, the first name of the others, and the folder.
    pub(super) async fn tidy(self, needed: &[String]) -> usize {
        let needed = needed.to_vec();
        let tidied = tokio::task::spawn_blocking(move || {
            let mut removed = 0;
            for blob in &self.blobs {
                if !needed.contains(blob) {
                    remove_file(&self.folders.blob(blob));
                    removed += 1;
                }
                remove_file(&self.folder.join(blob));
            }
            remove_file(&self.folder.join(LOCK_FILE));
            drop(std::fs::remove_dir(&self.folder));
            removed
        });
        tidied.await.unwrap_or(0)
    }
}
