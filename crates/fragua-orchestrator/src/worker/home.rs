//! The work folder, which one worker holds at a time.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fragua_base::random_hex;
use nix::fcntl::{Flock, FlockArg};

use crate::Error;

/// A work folder that this process holds: no other worker runs in it, and those that did are gone. The system takes
/// the lock back however this process ends.
#[derive(Debug)]
pub(crate) struct Home {
    /// Names the folder for ever, wherever it is mounted.
    pub(crate) id: String,
    _lock: Flock<File>,
}

impl Home {
    /// Takes the folder.
    ///
    /// # Errors
    /// [`Error::WorkerRunning`] when another process has it.
    pub(crate) fn take(folder: &Path) -> Result<Self, Error> {
        let fault = |action, path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { action, path, source }
        };
        let attempts = folder.join("attempts");
        fs::create_dir_all(&attempts).map_err(fault("the work folder cannot be made:", &attempts))?;
        let path = folder.join("worker.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path);
        let file = file.map_err(fault("the lock of the work folder cannot be opened:", &path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, _)| Error::WorkerRunning { lock: path.clone() })?;
        let id = read_or_make_id(&folder.join("worker.id"))
            .map_err(fault("the work folder cannot be named:", &path))?;
        Ok(Self { id, _lock: lock })
    }
}

/// The lock is held, so nobody else makes the name at the same time; a crash leaves the old state or the new one.
fn read_or_make_id(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(id) if id.len() == 32 => return Ok(id),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let id = random_hex(16);
    let unfinished: PathBuf = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    file.write_all(id.as_bytes())?;
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_at_a_time_and_the_name_stays() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::take(folder.path()).unwrap();
        assert!(matches!(
            Home::take(folder.path()),
            Err(Error::WorkerRunning { .. })
        ));
        let id = home.id.clone();
        drop(home);
        assert_eq!(Home::take(folder.path()).unwrap().id, id);
    }
}
