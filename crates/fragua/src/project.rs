//! The project's folder: `.fragua/` with its lock files and `endpoints.json`.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use fragua_base::{Endpoints, Secret};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::settings::Role;

/// How long a lock whose owner is gone is waited for: a process that was killed while it started a task leaves its
/// locks to that child, which holds them until it begins its own program.
const LEFT_BEHIND: Duration = Duration::from_secs(3);

/// How often such a lock is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Names who runs this program, as the system knows them.
pub(crate) fn user() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    user.map(|user| user.name)
}

/// The folder for the program's own files, in the project's.
const STATE: &str = ".fragua";
const LOCKS: &str = "locks";

/// A project's folder.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    folder: PathBuf,
    /// In the place of `.fragua/`, for a project that has none yet and is only read.
    scratch: Option<Arc<TempDir>>,
}

impl Project {
    /// Opens the folder and makes `.fragua/` in it.
    ///
    /// # Errors
    /// When the folder does not exist or cannot be written.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let project = Self {
            folder: absolute(folder)?,
            scratch: None,
        };
        let state = project.state_folder();
        let locks = state.join(LOCKS);
        fs::create_dir_all(&locks).with_context(|| project.unwritable(&locks))?;
        // What is in the folder belongs to this machine, never to a repository.
        let ignore = state.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").with_context(|| project.unwritable(&ignore))?;
        }
        Ok(project)
    }

    /// Opens the folder to read what is there. A project that was never started has no state: it is seen as one with an
    /// empty state, which is gone afterwards.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_to_read(folder: &Path) -> anyhow::Result<Self> {
        if Self::was_started(folder) {
            return Self::open(folder);
        }
        let scratch = TempDir::new().context("there is no place for temporary files")?;
        Self::open(scratch.path())?;
        Ok(Self {
            folder: absolute(folder)?,
            scratch: Some(Arc::new(scratch)),
        })
    }

    /// Returns whether the project in the folder has a state; a new one has no more than its schemas.
    pub(crate) fn was_started(folder: &Path) -> bool {
        folder.join(STATE).join(LOCKS).is_dir()
    }

    /// Returns whether this is a project that was never started and is only read.
    pub(crate) fn is_scratch(&self) -> bool {
        self.scratch.is_some()
    }

    /// Says who must be able to write where.
    fn unwritable(&self, path: &Path) -> String {
        let user = user().unwrap_or_else(|| nix::unistd::getuid().to_string());
        format!(
            "{} cannot be written: the user {user} must be able to write in the project's folder {}",
            path.display(),
            self.folder.display()
        )
    }

    /// Returns the project's folder as an absolute path.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the folder for the program's own files.
    pub(crate) fn state_folder(&self) -> PathBuf {
        let folder = self
            .scratch
            .as_ref()
            .map_or(self.folder.as_path(), |scratch| scratch.path());
        folder.join(STATE)
    }

    /// Returns a secret that is kept in a file of `.fragua/` which its owner alone can read. It is made once.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(crate) fn secret(&self, name: &str, make: impl FnOnce() -> Secret) -> anyhow::Result<Secret> {
        let path = self.state_folder().join(name);
        if !path.exists() {
            // Temporary files are made with mode 0600.
            let mut file = tempfile::NamedTempFile::new_in(self.state_folder())?;
            writeln!(file, "{}", make().expose())?;
            file.as_file().sync_all()?;
            match file.persist_noclobber(&path) {
                // Another process was first: its secret counts.
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
                kept => {
                    kept.with_context(|| format!("{} cannot be written", path.display()))?;
                }
            }
        }
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Secret::new(text.trim_end()))
    }

    /// Returns a path of a setting: relative ones start at the project's folder.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(STATE) {
            Ok(path) => self.state_folder().join(path),
            Err(_) => self.folder.join(path),
        }
    }

    /// Takes the roles for this process.
    ///
    /// # Errors
    /// When another process has one of them for this project.
    pub(crate) fn claim(&self, roles: &BTreeSet<Role>) -> anyhow::Result<Claim> {
        let mut locks = Vec::with_capacity(roles.len());
        for role in roles {
            locks.push(self.lock(*role)?);
        }
        Ok(Claim {
            project: self.clone(),
            roles: roles.clone(),
            _locks: locks,
        })
    }

    fn lock(&self, role: Role) -> anyhow::Result<Flock<File>> {
        let path = self.lock_path(role);
        let started = Instant::now();
        loop {
            let file = open_lock(&path).with_context(|| self.unwritable(&path))?;
            let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut lock) => {
                    lock.set_len(0)?;
                    write!(lock, "{}", std::process::id())?;
                    return Ok(lock);
                }
                Err((file, Errno::EWOULDBLOCK)) => file,
                Err((_, error)) => {
                    return Err(io::Error::from(error))
                        .with_context(|| format!("{} cannot be locked", path.display()));
                }
            };
            let mut owner = String::new();
            file.read_to_string(&mut owner)?;
            if is_gone(&owner) && started.elapsed() < LEFT_BEHIND {
                std::thread::sleep(LOOK_AGAIN);
                continue;
            }
            anyhow::bail!(
                "the role {role} already runs for the project {} (process {}): stop that one, or start other roles \
                 here with --roles",
                self.folder.display(),
                owner.trim(),
            )
        }
    }

    fn lock_path(&self, role: Role) -> PathBuf {
        self.state_folder().join(LOCKS).join(role.name())
    }

    /// Returns whether some process has the role.
    pub(crate) fn is_claimed(&self, role: Role) -> bool {
        let Ok(file) = File::open(self.lock_path(role)) else {
            return false;
        };
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => false,
            Err((_, error)) => error == Errno::EWOULDBLOCK,
        }
    }

    /// Returns the path of the file that says where the roles answer.
    pub(crate) fn endpoints_path(&self) -> PathBuf {
        self.state_folder().join("endpoints.json")
    }

    /// Returns where the roles of this project answer; nothing while none was started.
    ///
    /// # Errors
    /// When the file cannot be read or is not what this program writes.
    pub(crate) fn endpoints(&self) -> anyhow::Result<Endpoints> {
        let path = self.endpoints_path();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged: delete it", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Endpoints::default()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    /// Returns the endpoints of roles that a process has right now.
    ///
    /// # Errors
    /// As [`Self::endpoints`].
    pub(crate) fn live_endpoints(&self) -> anyhow::Result<Endpoints> {
        let mut endpoints = self.endpoints()?;
        for role in Role::ALL {
            if !self.is_claimed(role) {
                clear(&mut endpoints, role);
            }
        }
        Ok(endpoints)
    }

    /// Replaces the file in one step: a reader sees the old content or the new, never a part.
    fn write_endpoints(&self, endpoints: &Endpoints) -> anyhow::Result<()> {
        let path = self.endpoints_path();
        if endpoints.iter().next().is_none() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("{} cannot be removed", path.display()))
                }
                _ => Ok(()),
            };
        }
        let mut text = serde_json::to_string_pretty(endpoints)?;
        text.push('\n');
        let mut file = tempfile::NamedTempFile::new_in(self.state_folder())?;
        file.write_all(text.as_bytes())?;
        file.persist(&path)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(())
    }

    /// Changes the file while no other process of the project does.
    fn change_endpoints(&self, change: impl FnOnce(&mut Endpoints)) -> anyhow::Result<()> {
        let path = self.state_folder().join(LOCKS).join("endpoints");
        let file = open_lock(&path).with_context(|| self.unwritable(&path))?;
        let _lock = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| io::Error::from(error))
            .with_context(|| format!("{} cannot be locked", path.display()))?;
        // A damaged file holds nothing worth keeping.
        let mut endpoints = self.live_endpoints().unwrap_or_default();
        change(&mut endpoints);
        self.write_endpoints(&endpoints)
    }
}

fn absolute(folder: &Path) -> anyhow::Result<PathBuf> {
    fs::canonicalize(folder)
        .with_context(|| format!("the project's folder {} cannot be opened", folder.display()))
}

/// Whether the process that wrote its number into a lock file has ended.
fn is_gone(owner: &str) -> bool {
    let owner = owner.trim().parse().map(Pid::from_raw);
    owner.is_ok_and(|owner| kill(owner, None) == Err(Errno::ESRCH))
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Takes a role's addresses away.
fn clear(endpoints: &mut Endpoints, role: Role) {
    match role {
        Role::Orchestrator => endpoints.orchestrator = None,
        Role::Worker => {}
        Role::Tracking => endpoints.tracking = None,
        Role::Storage => {
            endpoints.storage = None;
            endpoints.console = None;
        }
        Role::Serving => endpoints.serving = None,
        Role::App => endpoints.app = None,
        Role::Source => endpoints.source = None,
    }
}

/// Roles that this process has for a project. The system gives them free when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Claim {
    project: Project,
    roles: BTreeSet<Role>,
    _locks: Vec<Flock<File>>,
}

impl Claim {
    /// Takes this process's roles out of `endpoints.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn withdraw(&self) -> anyhow::Result<()> {
        self.project.change_endpoints(|endpoints| {
            for role in &self.roles {
                clear(endpoints, *role);
            }
        })
    }

    /// Says in `endpoints.json` where this process's roles answer, beside those of other processes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn publish(&self, own: &Endpoints) -> anyhow::Result<()> {
        self.project.change_endpoints(|endpoints| merge(endpoints, own))
    }
}

/// Lays the addresses of `over` over those of `endpoints`.
pub(crate) fn merge(endpoints: &mut Endpoints, over: &Endpoints) {
    let lay = |under: &mut Option<String>, over: &Option<String>| {
        if over.is_some() {
            under.clone_from(over);
        }
    };
    lay(&mut endpoints.orchestrator, &over.orchestrator);
    lay(&mut endpoints.tracking, &over.tracking);
    lay(&mut endpoints.storage, &over.storage);
    lay(&mut endpoints.console, &over.console);
    lay(&mut endpoints.serving, &over.serving);
    lay(&mut endpoints.app, &over.app);
    lay(&mut endpoints.source, &over.source);
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use tempfile::TempDir;

    use super::*;

    fn tracking_at(address: &str) -> Endpoints {
        Endpoints {
            tracking: Some(address.to_owned()),
            ..Endpoints::default()
        }
    }

    #[test]
    fn a_role_belongs_to_one_process() {
        let folder = TempDir::new().unwrap();
        let project = Project::open(folder.path()).unwrap();
        let first = project.claim(&BTreeSet::from([Role::Tracking])).unwrap();
        let message = project
            .claim(&BTreeSet::from([Role::App, Role::Tracking]))
            .unwrap_err()
            .to_string();
        assert!(message.contains("the role tracking already runs"), "{message}");
        assert!(message.contains(&std::process::id().to_string()), "{message}");
        assert!(!project.is_claimed(Role::App), "a refused claim keeps nothing");
        drop(first);
        project.claim(&BTreeSet::from([Role::Tracking])).unwrap();
    }

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = TempDir::new().unwrap();
        let project = Project::open(folder.path()).unwrap();
        let first = project.secret("a.key", || Secret::new("first")).unwrap();
        let again = Project::open(folder.path()).unwrap();
        let second = again.secret("a.key", || Secret::new("second")).unwrap();
        assert_eq!((first.expose(), second.expose()), ("first", "first"));
        let mode = fs::metadata(folder.path().join(".fragua/a.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_lock_that_a_killed_process_left_to_its_child_is_waited_for() {
        let folder = TempDir::new().unwrap();
        let project = Project::open(folder.path()).unwrap();
        let path = project.lock_path(Role::Tracking);
        let mut killed = Command::new("true").spawn().unwrap();
        killed.wait().unwrap();
        fs::write(&path, killed.id().to_string()).unwrap();
        let mut child = Command::new("flock")
            .arg(&path)
            .args(["sh", "-c", "echo held; sleep 0.2"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert_eq!(said, "held\n");
        project.claim(&BTreeSet::from([Role::Tracking])).unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named_with_the_user() {
        let folder = TempDir::new().unwrap();
        let check = |result: anyhow::Result<()>| {
            let message = result.unwrap_err().to_string();
            let expected = format!(
                "the user {} must be able to write in the project's folder {}",
                user().unwrap(),
                folder.path().canonicalize().unwrap().display()
            );
            assert!(message.contains(&expected), "{message}");
        };
        // Even the superuser cannot write through these.
        fs::create_dir_all(folder.path().join(".fragua/locks/tracking")).unwrap();
        let project = Project::open(folder.path()).unwrap();
        check(project.claim(&BTreeSet::from([Role::Tracking])).map(drop));
        fs::remove_dir_all(folder.path().join(".fragua")).unwrap();
        fs::write(folder.path().join(".fragua"), "").unwrap();
        check(Project::open(folder.path()).map(drop));
    }

    #[test]
    fn endpoints_of_two_processes_stand_side_by_side() {
        let folder = TempDir::new().unwrap();
        let project = Project::open(folder.path()).unwrap();
        let tracking = project.claim(&BTreeSet::from([Role::Tracking])).unwrap();
        let app = project.claim(&BTreeSet::from([Role::App])).unwrap();
        tracking.publish(&tracking_at("http://one")).unwrap();
        let own = Endpoints {
            app: Some("http://two".to_owned()),
            ..Endpoints::default()
        };
        app.publish(&own).unwrap();
        let keys: Vec<_> = project.endpoints().unwrap().iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["tracking", "app"]);
        tracking.withdraw().unwrap();
        assert_eq!(project.endpoints().unwrap(), own);
        app.withdraw().unwrap();
        assert!(!project.endpoints_path().exists());
    }

    #[test]
    fn what_a_killed_process_left_is_not_live() {
        let folder = TempDir::new().unwrap();
        let project = Project::open(folder.path()).unwrap();
        let claim = project.claim(&BTreeSet::from([Role::Tracking])).unwrap();
        claim.publish(&tracking_at("http://one")).unwrap();
        drop(claim);
        assert_eq!(project.live_endpoints().unwrap(), Endpoints::default());
        let other = project.claim(&BTreeSet::from([Role::App])).unwrap();
        other.withdraw().unwrap();
        assert!(!project.endpoints_path().exists());
    }
}
