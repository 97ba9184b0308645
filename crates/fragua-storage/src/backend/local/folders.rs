//! The names of files: where they are written and where readers look for them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fragua_base::random_hex;

use crate::Error;

/// An instance locks its file under the first of these names and then gives it the second, so that nobody sees
/// a lock that is not held yet.
const NEW_LOCK_FILE: &str = "lock.new";
pub(super) const LOCK_FILE: &str = "lock";

/// The folders of one root, held by this process.
#[derive(Debug)]
pub(super) struct Folders {
    /// Where this instance writes.
    pub(super) incoming: PathBuf,
    /// Where all instances read.
    pub(super) blobs: PathBuf,
    // Held, not used: the lock lives as long as the file is open.
    _lock: File,
}

impl Folders {
    /// Makes the folders and takes the lock.
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        let (all_incoming, blobs) = (root.join("incoming"), root.join("blobs"));
        let incoming = all_incoming.join(random_hex(16));
        let named = |path: &Path| Error::disk(format!("cannot make the folder {}", path.display()));
        std::fs::create_dir_all(&blobs).map_err(named(&blobs))?;
        std::fs::create_dir_all(&incoming).map_err(named(&incoming))?;
        // What is written below a folder is as durable as the folder's own name.
        let synced = File::open(root).and_then(|root| root.sync_all());
        synced.map_err(named(root))?;
        let new_lock = incoming.join(NEW_LOCK_FILE);
        let lock = File::create(&new_lock).map_err(named(&incoming))?;
        lock.lock()
            .map_err(Error::disk("cannot lock the folder of incoming objects"))?;
        std::fs::rename(new_lock, incoming.join(LOCK_FILE)).map_err(named(&incoming))?;
        Ok(Self {
            incoming,
            blobs,
            _lock: lock,
        })
    }

    /// Returns where readers look for a blob. Ids are our own hexadecimal digits.
    pub(super) fn blob(&self, id: &str) -> PathBuf {
        self.blobs.join(&id[..2]).join(id)
    }

    /// Returns where the folders of all instances are.
    pub(super) fn all_incoming(&self) -> &Path {
        self.incoming
            .parent()
            .expect("the folder is made inside of another")
    }

    /// Removes a blob; returns whether it is gone. The first name goes last, so that what is broken off is found again.
    pub(super) fn remove(&self, id: &str) -> bool {
        remove_file(&self.blob(id)) && remove_file(&self.incoming.join(id))
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        // What is still inside tells the next start what to look at; an empty folder tells nothing.
        let empty = std::fs::read_dir(&self.incoming).is_ok_and(|entries| entries.count() == 1);
        if empty && std::fs::remove_file(self.incoming.join(LOCK_FILE)).is_ok() {
            drop(std::fs::remove_dir(&self.incoming));
        }
    }
}

/// Some file systems have no second names. A move is as atomic; a crash before the commit then leaves a file
/// that nobody finds.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            std::fs::rename(from, to)
        }
        other => other,
    }
}

/// Returns the files in a folder whose names are those of blobs.
pub(super) fn blob_names(folder: &Path) -> io::Result<Vec<String>> {
    let mut blobs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let is_id = |name: &&str| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        blobs.extend(name.to_str().filter(is_id).map(str::to_owned));
    }
    Ok(blobs)
}

/// Removes a file; returns whether it is gone.
pub(super) fn remove_file(path: &Path) -> bool {
    match std::fs::remove_file(path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot remove a blob; the next start tries again");
            false
        }
    }
}

/// A blob that has no row yet, whichever names it has: removed when dropped unless kept, as when a client leaves.
#[derive(Debug)]
pub(super) struct Incoming {
    folders: Arc<Folders>,
    id: String,
    is_kept: bool,
}

impl Incoming {
    pub(super) fn new(folders: &Arc<Folders>) -> Self {
        Self {
            folders: Arc::clone(folders),
            id: random_hex(16),
            is_kept: false,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the file under its first name.
    pub(super) fn path(&self) -> PathBuf {
        self.folders.incoming.join(&self.id)
    }

    /// Gives the file its second name and makes its bytes and that name durable.
    ///
    /// The name comes first: a file system with a journal then has both on the disk with the first sync, and the second
    /// finds nothing to do. A crash between them leaves a file without a row, which is found by its first name.
    pub(super) fn publish(&self, file: &File) -> io::Result<()> {
        let (first, path) = (self.path(), self.folders.blob(&self.id));
        let folder = path.parent().expect("a blob lies in a folder");
        if let Err(error) = link(&first, &path) {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            std::fs::create_dir_all(folder)?;
            File::open(&self.folders.blobs)?.sync_all()?;
            link(&first, &path)?;
        }
        file.sync_all()?;
        File::open(folder)?.sync_all()
    }

    /// Leaves the blob to a row and returns its id.
    pub(super) fn keep(mut self) -> String {
        self.is_kept = true;
        std::mem::take(&mut self.id)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.is_kept {
            self.folders.remove(&self.id);
        }
    }
}
