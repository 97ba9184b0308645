//! Programs that an operator starts. They belong to the attempt's process group and are stopped with it.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::process::Command;

use super::{Outcome, TaskContext, TaskError};

/// A program that ends with this status says that there was nothing to do.
const SKIP_STATUS: i32 = 99;

/// The largest value a program may hand on.
const LARGEST_XCOM_BYTES: u64 = 1024 * 1024;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Says whether this process waits for a program that an operator started.
pub(crate) fn any_running() -> bool {
    RUNNING.load(Ordering::SeqCst) > 0
}

struct Running;

impl Running {
    fn begin() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs a program in the project's folder until it ends. What it writes to the file named by `FRAGUA_XCOM_FILE` is
/// handed on: JSON as such, anything else as text.
pub(crate) async fn run(
    mut command: Command,
    name: &str,
    context: &TaskContext,
) -> Result<Outcome, TaskError> {
    let xcom_file = context.work_folder.join("xcom");
    command
        .current_dir(&context.project_folder)
        .env("FRAGUA_XCOM_FILE", &xcom_file)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let _running = Running::begin();
    let mut child = command.spawn().map_err(|error| {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        TaskError::Failed(format!("{name}: {program} cannot be started: {error}"))
    })?;
    let status = child
        .wait()
        .await
        .map_err(|error| TaskError::Failed(format!("{name}: {error}")))?;
    match status.code() {
        Some(0) => Ok(Outcome {
            xcom: read_xcom(&xcom_file)?,
        }),
        Some(SKIP_STATUS) => Err(TaskError::Skipped(format!(
            "{name} ended with status {SKIP_STATUS}"
        ))),
        _ => Err(TaskError::Failed(format!("{name} {}", exit_words(status)))),
    }
}

fn read_xcom(path: &Path) -> Result<Option<Value>, TaskError> {
    let Ok(metadata) = path.metadata() else {
        return Ok(None);
    };
    if metadata.len() > LARGEST_XCOM_BYTES {
        return Err(TaskError::FailedForGood(format!(
            "the value handed on has {} bytes, more than {LARGEST_XCOM_BYTES}: write it to a table or an object instead",
            metadata.len()
        )));
    }
    let bytes =
        std::fs::read(path).map_err(|error| TaskError::Failed(format!("the value handed on: {error}")))?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches('\n');
    Ok(Some(
        serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    ))
}

/// Says how a process ended: `ended with status 3`, `was killed by signal 9 (SIGKILL)`.
pub(crate) fn exit_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("was killed by signal {number} ({signal})"),
            Err(_) => format!("was killed by signal {number}"),
        },
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_said_in_words() {
        let check = |raw: i32, expected: &str| assert_eq!(exit_words(ExitStatus::from_raw(raw)), expected);
        check(3 << 8, "ended with status 3");
        check(9, "was killed by signal 9 (SIGKILL)");
        check(15, "was killed by signal 15 (SIGTERM)");
    }
}
