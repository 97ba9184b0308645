//! The process of one attempt: reads what it is to do, does it, writes how it ended.

pub(crate) mod spec;

use std::io::{self, BufRead as _, Read as _};
use std::process::ExitCode;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{getpgrp, getpid};
use tokio::signal::unix::{SignalKind, signal};

use self::spec::{End, Report, Spec, write_report};
use crate::operator::{OperatorCatalog, Outcome, TaskContext, TaskError, any_running};
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
    let folder = context.work_folder.clone();
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
        Ok(Ok(Outcome { xcom })) => End::Success { xcom },
        Ok(Err(TaskError::Failed(message))) => End::Failed { message },
        Ok(Err(TaskError::FailedForGood(message))) => End::FailedForGood { message },
        Ok(Err(TaskError::Skipped(message))) => End::Skipped { message },
        Err(panicked) => End::Failed {
            message: format!("the operator panicked: {panicked}"),
        },
    };
    match &end {
        End::Success { .. } => {}
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
