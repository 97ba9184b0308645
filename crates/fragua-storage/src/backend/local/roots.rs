//! The folders, on several disks, that blobs are spread over.
//!
//! A row does not say in which of them its blob lies: it is looked for. So a root may be added, and files may be moved from
//! one to another while nobody writes.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fragua_base::random_hex;
use nix::sys::statvfs::statvfs;

use super::folders::Folders;
use crate::{DiskSpace, Error};

/// At least one root.
#[derive(Debug)]
pub(super) struct Roots {
    first: Arc<Folders>,
    more: Vec<Arc<Folders>>,
}

impl Roots {
    /// Makes the folders and takes their locks.
    pub(super) fn open(root: &Path, more: &[PathBuf]) -> Result<Self, Error> {
        let first = Arc::new(Folders::open(root)?);
        let more = more.iter().map(|root| Folders::open(root).map(Arc::new));
        let roots = Self {
            first,
            more: more.collect::<Result<_, _>>()?,
        };
        let mut seen = BTreeSet::new();
        for folders in roots.all() {
            let path = folders.blobs.canonicalize();
            let path = path.map_err(Error::disk("cannot find a folder that was just made"))?;
            if !seen.insert(path) {
                return Err(Error::InvalidSetting {
                    setting: "more_roots",
                    reason: format!("names the folder of {} twice", folders.blobs.display()),
                });
            }
        }
        Ok(roots)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Folders>> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// Returns where a new blob goes: drawn by the room that is left, so that the disks fill up together. It blocks.
    pub(super) fn draw(&self) -> &Arc<Folders> {
        if self.more.is_empty() {
            return &self.first;
        }
        let rooms: Vec<u64> = self
            .all()
            .map(|folders| space(&folders.blobs).map_or(0, |(_, space)| space.free_bytes))
            .collect();
        let drawn = u64::from_str_radix(&random_hex(8), 16).unwrap_or(0);
        let place = weighed(&rooms, drawn);
        self.all().nth(place).unwrap_or(&self.first)
    }

    /// Returns where a blob lies, and the first root for one that is nowhere. It blocks.
    pub(super) fn of(&self, blob: &str) -> &Arc<Folders> {
        let lies_in = |folders: &&Arc<Folders>| folders.blob(blob).exists();
        self.more.iter().find(lies_in).unwrap_or(&self.first)
    }

    /// Removes a blob wherever it lies; returns whether it is gone.
    pub(super) fn remove(&self, blob: &str) -> bool {
        self.all().all(|folders| folders.remove(blob))
    }

    /// Returns the room on all disks; of roots on one disk it counts once.
    pub(super) fn space(&self) -> Result<DiskSpace, Error> {
        let (mut disks, mut sum) = (BTreeSet::new(), DiskSpace::default());
        for folders in self.all() {
            let (disk, space) =
                space(&folders.blobs).map_err(Error::disk("cannot ask for the room on the disk"))?;
            if disks.insert(disk) {
                sum.total_bytes += space.total_bytes;
                sum.free_bytes += space.free_bytes;
            }
        }
        Ok(sum)
    }
}

/// Returns the position that a number falls on when each has a share as large as its weight.
fn weighed(weights: &[u64], drawn: u64) -> usize {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let mut rest = u128::from(drawn).checked_rem(sum).unwrap_or(0);
    for (position, weight) in weights.iter().enumerate() {
        match rest.checked_sub(u128::from(*weight)) {
            None => return position,
            Some(left) => rest = left,
        }
    }
    0
}

/// Returns the number of the disk that a folder is on, and its room.
fn space(folder: &Path) -> io::Result<(u64, DiskSpace)> {
    let space = statvfs(folder)?;
    let unit = space.fragment_size();
    let room = DiskSpace {
        total_bytes: space.blocks().saturating_mul(unit),
        free_bytes: space.blocks_available().saturating_mul(unit),
    };
    Ok((space.filesystem_id(), room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_drawn_by_its_room() {
        for (drawn, expected) in [(0, 0), (9, 0), (10, 2), (39, 2), (40, 0), (50, 2)] {
            assert_eq!(weighed(&[10, 0, 30], drawn), expected, "{drawn}");
        }
        assert_eq!(weighed(&[0, 0], 7), 0);
        assert_eq!(weighed(&[u64::MAX, u64::MAX], u64::MAX), 1);
    }

    #[test]
    fn a_blob_is_found_in_each_root_and_a_root_is_named_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let roots = Roots::open(&at("a"), &[at("b"), at("c")]).unwrap();
        for (name, id) in ["a", "b", "c"].iter().zip(["00", "11", "22"]) {
            let id = id.repeat(16);
            let path = at(name).join("blobs").join(&id[..2]).join(&id);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "x").unwrap();
            assert_eq!(roots.of(&id).blob(&id), path);
            assert!(roots.remove(&id) && !path.exists());
            assert!(roots.remove(&id), "it is gone");
        }
        let one = super::space(folder.path()).unwrap().1;
        assert_eq!(roots.space().unwrap().total_bytes, one.total_bytes);
        drop(roots);
        let twice = Roots::open(&at("a"), &[at("b"), at("c/../b")]).unwrap_err();
        assert!(twice.to_string().contains("twice"), "{twice}");
    }
}
