//! Processes that are started before there is an attempt for them. Each runs one attempt at most, and leaves nothing to the
//! next: no environment, no module, no file that it read.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::WorkerSettings;
use crate::exec::spec::Line;

/// How long a process waits for an attempt before it is dismissed: an idle worker holds none.
const KEPT: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(super) struct Spares(Arc<Shared>);

struct Shared {
    program: PathBuf,
    project_folder: PathBuf,
    python: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    spare: Option<Spare>,
    /// Counts the spares, so that each is dismissed by its own time.
    number: u64,
    is_over: bool,
}

struct Spare {
    child: Child,
    has_python: bool,
}

impl Spares {
    pub(super) fn new(settings: &WorkerSettings) -> Self {
        Self(Arc::new(Shared {
            program: settings.exec_task.clone(),
            project_folder: settings.project_folder.clone(),
            python: settings.python.clone(),
            state: Mutex::default(),
        }))
    }

    /// Returns a process that waits to be told what to do, and starts the next.
    pub(super) fn take(&self, needs_python: bool) -> io::Result<Child> {
        let spare = self.state().spare.take();
        // One that ended meanwhile is replaced; one that cannot do what is needed would not be quicker.
        let ready = spare
            .filter(|spare| spare.has_python || !needs_python)
            .and_then(|mut spare| matches!(spare.child.try_wait(), Ok(None)).then_some(spare.child));
        let child = match ready {
            Some(child) => child,
            None => self.0.spawn()?,
        };
        let spares = self.clone();
        tokio::spawn(async move { spares.prepare(needs_python).await });
        Ok(child)
    }

    async fn prepare(&self, with_python: bool) {
        if self.state().spare.is_some() {
            return;
        }
        let Ok(mut child) = self.0.spawn() else { return };
        if with_python && let Some(stdin) = &mut child.stdin {
            let python = self.0.python.clone();
            let mut line = serde_json::to_vec(&Line::Prepare { python }).unwrap_or_default();
            line.push(b'\n');
            if stdin.write_all(&line).await.is_err() {
                return;
            }
        }
        let number = {
            let mut state = self.state();
            if state.is_over || state.spare.is_some() {
                return;
            }
            state.number += 1;
            state.spare = Some(Spare {
                child,
                has_python: with_python,
            });
            state.number
        };
        tokio::time::sleep(KEPT).await;
        let mut state = self.state();
        if state.number == number {
            state.spare = None;
        }
    }

    /// Lets go of what waits: its standard input ends, and so does it.
    pub(super) fn dismiss(&self) {
        let mut state = self.state();
        state.is_over = true;
        state.spare = None;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // What a panicking holder left is still whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Starts a process that makes a session of its own. Were it made for it, between fork and exec, the memory of this
    /// process would have to be marked as shared for that moment, which takes longer than all the rest.
    fn spawn(&self) -> io::Result<Child> {
        // Our own settings hold secrets that a task has no business with.
        let is_ours = |name: &OsString| {
            let name = name.to_string_lossy();
            ["FRAGUA_", "AIRFLOW_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        Command::new(&self.program)
            .arg("exec-task")
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| !is_ours(name)))
            .current_dir(&self.project_folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}
