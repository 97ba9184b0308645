//! Programs that an operator starts. They belong to the attempt's process group and are stopped with it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::Signal;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::process::{Child, Command};

use super::{Outcome, TaskContext, TaskError, Text};

/// Where programs hand on values, in the folder of their attempt.
const XCOM_FILE: &str = "xcom";
const XCOM_FOLDER: &str = "xcoms";

/// Where a program of ours says why it failed, in the same folder.
pub(super) const REASON_FILE: &str = "reason";

/// The most of a reason that is read.
const LONGEST_REASON: u64 = 2000;

/// A program that ends with this status says that there was nothing to do.
const SKIP_STATUS: i32 = 99;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How the program that ended last did.
static LAST_EXIT: Mutex<Option<ExitStatus>> = Mutex::new(None);

/// Returns how the program that an operator of this process waited for last ended.
pub(crate) fn last_exit() -> Option<ExitStatus> {
    *LAST_EXIT.lock().unwrap_or_else(PoisonError::into_inner)
}

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
    command
        .current_dir(&context.project_folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let child = command.spawn().map_err(|error| {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        TaskError::Failed(format!("{name}: {program} cannot be started: {error}"))
    })?;
    wait(child, name, context, statuses).await
}

/// Returns what a program is given: the variables of the attempt, then those of the task itself, then where it hands on
/// values.
pub(super) fn variables(
    context: &TaskContext,
    own: &BTreeMap<String, Text>,
) -> Result<BTreeMap<String, String>, TaskError> {
    let folder = context.work_folder.join(XCOM_FOLDER);
    // A sensor that looks again finds the folder of the time before.
    std::fs::create_dir_all(&folder)
        .map_err(|error| TaskError::Failed(format!("{}: {error}", folder.display())))?;
    let mut variables = context.environment.clone();
    variables.extend(
        own.iter()
            .map(|(name, value)| (name.clone(), value.as_str().to_owned())),
    );
    for (name, place) in [
        ("FRAGUA_XCOM_FILE", XCOM_FILE),
        ("FRAGUA_XCOM_FOLDER", XCOM_FOLDER),
    ] {
        let path = context.work_folder.join(place).to_string_lossy().into_owned();
        variables.insert(name.to_owned(), path);
    }
    Ok(variables)
}

/// Waits for a program to end, and says what that means.
pub(super) async fn wait(
    mut child: Child,
    name: &str,
    context: &TaskContext,
    statuses: &Statuses,
) -> Result<Outcome, TaskError> {
    let _running = Running::begin();
    let status = child
        .wait()
        .await
        .map_err(|error| TaskError::Failed(format!("{name}: {error}")))?;
    *LAST_EXIT.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    match status.code() {
        Some(0) => Ok(Outcome {
            xcom: read_xcom(
                &context.work_folder.join(XCOM_FILE),
                crate::RETURN_VALUE,
                context.max_xcom_bytes,
            )?,
            more: read_xcoms(&context.work_folder.join(XCOM_FOLDER), context.max_xcom_bytes)?,
            assets: Vec::new(),
        }),
        code => {
            let message = read_reason(context).unwrap_or_else(|| format!("{name} {}", exit_words(status)));
            Err(match code {
                Some(code) if statuses.skip.contains(&code) => TaskError::Skipped(message),
                Some(code) if statuses.fail.contains(&code) => TaskError::FailedForGood(message),
                _ => TaskError::Failed(message),
            })
        }
    }
}

fn read_reason(context: &TaskContext) -> Option<String> {
    let file = std::fs::File::open(context.work_folder.join(REASON_FILE)).ok()?;
    let mut reason = Vec::new();
    file.take(LONGEST_REASON).read_to_end(&mut reason).ok()?;
    let reason = String::from_utf8_lossy(&reason).trim().to_owned();
    (!reason.is_empty()).then_some(reason)
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
