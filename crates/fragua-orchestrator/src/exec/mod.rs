//! The process of one attempt: reads what it is to do, does it, writes how it ended.

pub(crate) mod spec;

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Read as _};
use std::process::ExitCode;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{getpgrp, getpid};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use self::spec::{End, Report, Spec, write_report};
use crate::RETURN_VALUE;
use crate::operator::{OperatorCatalog, Outcome, TaskContext, TaskError, any_running, too_large};
use crate::template::Renderer;

/// The longest specification that is read.
const LONGEST_SPEC: u64 = 64 * 1024 * 1024;

/// Runs one attempt: reads its specification from the first line of standard input, runs the operator, and leaves a
/// report in the attempt's folder. Standard input must stay open: when it ends, whoever started this process is gone,
/// and the whole process group is killed.
pub async fn exec_task(catalog: OperatorCatalog) -> ExitCode {
    let spec = match read_spec() {
        Ok(spec) => spec,
        Err(error) => {
            eprintln!("the task cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (task, context) = spec.into_parts();
    if let Err(error) = std::env::set_current_dir(&context.project_folder) {
        eprintln!(
            "the task cannot be started in {}: {error}",
            context.project_folder.display()
        );
        return ExitCode::FAILURE;
    }
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            eprintln!("the task cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    // A task of its own, so that an operator that panics is a failure with a report.
    let pushes = task.clone();
    let (folder, most) = (context.work_folder.clone(), context.max_xcom_bytes);
    let mut running = tokio::spawn(async move { run(&catalog, &task, &context).await });
    let result = tokio::select! {
        result = &mut running => result,
        _ = terminate.recv() => {
            if !any_running() {
                // As if the signal had not been caught.
                return ExitCode::from(128 + 15);
            }
            // The program that the operator started was told too, and may be cleaning up.
            running.await
        }
    };
    let end = match result {
        Ok(Ok(outcome)) => match handed_on(&pushes, outcome, most) {
            Ok(xcoms) => End::Success { xcoms },
            Err(message) => End::FailedForGood { message },
        },
        Ok(Err(TaskError::Reschedule(after))) => End::Reschedule {
            millis: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        },
        Ok(Err(TaskError::Failed(message))) => End::Failed { message },
        Ok(Err(TaskError::FailedForGood(message))) => End::FailedForGood { message },
        Ok(Err(TaskError::Skipped(message))) => End::Skipped { message },
        Err(panicked) => End::Failed {
            message: format!("the operator panicked: {panicked}"),
        },
    };
    match &end {
        End::Success { .. } | End::Reschedule { .. } => {}
        End::Skipped { message } => println!("skipped: {message}"),
        End::Failed { message } | End::FailedForGood { message } => eprintln!("failed: {message}"),
    }
    let report = Report {
        end,
        peak_memory_bytes: peak_memory_bytes(),
    };
    match write_report(&folder, &report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the report cannot be written to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

/// Gathers what a task hands on; one value that is too large makes a failure of it.
fn handed_on(task: &crate::Task, outcome: Outcome, most: u64) -> Result<BTreeMap<String, Value>, String> {
    let mut xcoms = outcome.more;
    let returned = outcome.xcom.filter(|_| !task.keeps_xcom);
    if let Some(Value::Object(mapping)) = returned.as_ref().filter(|_| task.multiple_outputs) {
        xcoms.extend(mapping.clone());
    }
    xcoms.extend(returned.map(|value| (RETURN_VALUE.to_owned(), value)));
    let sizes = xcoms
        .iter()
        .map(|(key, value)| (key, value.to_string().len() as u64));
    match sizes.into_iter().find(|(_, size)| *size > most) {
        Some((key, size)) => Err(too_large(key, size, most)),
        None => Ok(xcoms),
    }
}

fn read_spec() -> io::Result<Spec> {
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    input.by_ref().take(LONGEST_SPEC).read_until(b'\n', &mut line)?;
    drop(input);
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        kill_group();
    });
    serde_json::from_slice(&line).map_err(io::Error::from)
}

/// Ends everything that belongs to this attempt. Only a process that leads its group may: otherwise the group is that
/// of a shell where somebody tries this by hand.
fn kill_group() {
    if getpgrp() == getpid() {
        let _ = killpg(getpgrp(), Signal::SIGKILL);
    }
    std::process::exit(1);
}

async fn run(
    catalog: &OperatorCatalog,
    task: &crate::Task,
    context: &TaskContext,
) -> Result<Outcome, TaskError> {
    let unknown = || TaskError::FailedForGood(format!("this program has no operator {:?}", task.operator));
    let operator = catalog.get(&task.operator).ok_or_else(unknown)?;
    let arguments = Renderer::new(context)
        .arguments(task)
        .map_err(TaskError::failed_for_good)?;
    operator.run(context, arguments).await
}

/// The most memory that this process, or one that it waited for, held at once.
fn peak_memory_bytes() -> Option<u64> {
    let kibibytes = |who| getrusage(who).map_or(0, |usage| usage.max_rss());
    let most = kibibytes(UsageWho::RUSAGE_SELF).max(kibibytes(UsageWho::RUSAGE_CHILDREN));
    u64::try_from(most)
        .ok()
        .filter(|most| *most > 0)
        .map(|most| most * 1024)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_handed_on_follows_the_task() {
        let outcome = || Outcome {
            xcom: Some(json!({ "rows": 5, "name": "x" })),
            more: [("path".to_owned(), json!("/tmp"))].into(),
        };
        let keys = |change: fn(&mut crate::Task)| {
            let mut task = crate::Task::new("t", "bash", Value::Null);
            change(&mut task);
            handed_on(&task, outcome(), 100).map(|xcoms| xcoms.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(
            keys(|_| {}),
            Ok(vec!["path".to_owned(), "return_value".to_owned()])
        );
        assert_eq!(keys(|task| task.keeps_xcom = true), Ok(vec!["path".to_owned()]));
        assert_eq!(
            keys(|task| task.multiple_outputs = true).unwrap(),
            ["name", "path", "return_value", "rows"]
        );
        let task = crate::Task::new("t", "bash", Value::Null);
        let refused = handed_on(&task, outcome(), 10).unwrap_err();
        assert!(
            refused.contains("handed on as return_value has 21 bytes, more than 10"),
            "{refused}"
        );
    }
}
