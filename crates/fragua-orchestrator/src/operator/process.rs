//! Programs that an operator starts. They belong to the attempt's process group and are stopped with it.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use super::{Outcome, TaskContext, TaskError};

/// A program that ends with this status says that there was nothing to do.
const SKIP_STATUS: i32 = 99;

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

/// Which statuses of a program mean more than success and failure.
#[derive(Debug, Clone)]
pub(super) struct Statuses {
    /// There was nothing to do.
    pub(super) skip: Vec<i32>,
    /// It failed, and trying again is no use.
    pub(super) fail: Vec<i32>,
}

/// Statuses as arguments name them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a status such as 99, or a list of them, was expected")]
pub(super) enum ExitCodes {
    One(i32),
    Several(Vec<i32>),
}

impl From<ExitCodes> for Vec<i32> {
    fn from(codes: ExitCodes) -> Self {
        match codes {
            ExitCodes::One(code) => vec![code],
            ExitCodes::Several(codes) => codes,
        }
    }
}

impl Statuses {
    pub(super) fn of(skip: Option<ExitCodes>, fail: Option<ExitCodes>) -> Self {
        Self {
            skip: skip.map_or_else(|| vec![SKIP_STATUS], Vec::from),
            fail: fail.map_or_else(Vec::new, Vec::from),
        }
    }
}

/// Runs a program in the project's folder until it ends. What it writes to the file named by `FRAGUA_XCOM_FILE` is
/// handed on: JSON as such, anything else as text. So is what it writes to files in the folder named by
/// `FRAGUA_XCOM_FOLDER`, each under its name.
pub(crate) async fn run(
    mut command: Command,
    name: &str,
    context: &TaskContext,
    statuses: &Statuses,
) -> Result<Outcome, TaskError> {
    let xcom_file = context.work_folder.join("xcom");
    let xcom_folder = context.work_folder.join("xcoms");
    // A sensor that looks again finds the folder of the time before.
    std::fs::create_dir_all(&xcom_folder)
        .map_err(|error| TaskError::Failed(format!("{}: {error}", xcom_folder.display())))?;
    command
        .current_dir(&context.project_folder)
        .env("FRAGUA_XCOM_FILE", &xcom_file)
        .env("FRAGUA_XCOM_FOLDER", &xcom_folder)
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
            xcom: read_xcom(&xcom_file, crate::RETURN_VALUE, context.max_xcom_bytes)?,
            more: read_xcoms(&xcom_folder, context.max_xcom_bytes)?,
        }),
        Some(status) if statuses.skip.contains(&status) => {
            Err(TaskError::Skipped(format!("{name} ended with status {status}")))
        }
        Some(status) if statuses.fail.contains(&status) => Err(TaskError::FailedForGood(format!(
            "{name} ended with status {status}"
        ))),
        _ => Err(TaskError::Failed(format!("{name} {}", exit_words(status)))),
    }
}

fn read_xcoms(folder: &Path, most: u64) -> Result<BTreeMap<String, Value>, TaskError> {
    let mut values = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let key = entry.file_name().to_string_lossy().into_owned();
        if let Some(value) = read_xcom(&entry.path(), &key, most)? {
            values.insert(key, value);
        }
    }
    Ok(values)
}

fn read_xcom(path: &Path, key: &str, most: u64) -> Result<Option<Value>, TaskError> {
    let Ok(metadata) = path.metadata() else {
        return Ok(None);
    };
    if metadata.len() > most {
        return Err(TaskError::FailedForGood(super::too_large(
            key,
            metadata.len(),
            most,
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
