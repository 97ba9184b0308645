//! The process of one attempt: reads what it is to do, does it, writes how it ended.

pub(crate) mod spec;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitCode;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::time::TimeValLike as _;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{getpgrp, getpid, read, setsid};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use self::spec::{End, Line, Report, Spec, Usage, write_report};
use crate::RETURN_VALUE;
use crate::operator::{
    self, OperatorCatalog, Outcome, TaskContext, TaskError, any_running, last_exit, too_large,
};
use crate::template::Renderer;
use crate::worker::descendants;

/// The longest specification that is read.
const LONGEST_SPEC: usize = 64 * 1024 * 1024;

/// How often the end of the lease is looked at, which may come nearer while the machine sleeps.
const LONGEST_POLL: Duration = Duration::from_secs(10);

/// How often descendants are looked for at most before the group is killed.
const MOST_LOOKS: usize = 100;

/// Runs one attempt: reads what it is to do from standard input, runs the operator, and leaves a report in the attempt's
/// folder. It may be started before there is an attempt for it. Standard input must stay open: when it ends, whoever started
/// this process is gone, and everything that belongs to the attempt is killed. So it is when the lease runs out and nobody
/// said that it was prolonged.
pub async fn exec_task(catalog: OperatorCatalog) -> ExitCode {
    // Only a shell in which somebody tries this by hand has made it the leader of a group already.
    let _ = setsid();
    let mut orders = Orders::default();
    let spec = match orders.read_spec() {
        Ok(Some(spec)) => spec,
        // Nobody needs it.
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the task cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    // What outlives its parent, in whatever session, stays below this process and is found.
    if let Err(error) = set_child_subreaper(true) {
        eprintln!("processes that the task leaves behind may go on: {error}");
    }
    let held_until = spec.held_until;
    std::thread::spawn(move || orders.watch(held_until));
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
                end_what_is_left();
                // As if the signal had not been caught.
                return ExitCode::from(128 + 15);
            }
            // The program that the operator started was told too, and may be cleaning up.
            running.await
        }
    };
    let end = match result {
        Ok(Ok(mut outcome)) => {
            let assets = std::mem::take(&mut outcome.assets);
            match handed_on(&pushes, outcome, most) {
                Ok(xcoms) => End::Success { xcoms, assets },
                Err(message) => End::FailedForGood { message },
            }
        }
        Ok(Err(TaskError::Reschedule { after, object })) => End::Reschedule {
            millis: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            object,
        },
        Ok(Err(TaskError::Failed(message))) => End::Failed { message },
        Ok(Err(TaskError::FailedForGood(message))) => End::FailedForGood { message },
        Ok(Err(TaskError::Skipped(message))) => End::Skipped { message },
        Err(panicked) => End::Failed {
            message: format!("the operator panicked: {panicked}"),
        },
    };
    let left_behind = end_what_is_left();
    let report = Report {
        end,
        usage: usage(),
        left_behind,
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

/// Standard input, line by line.
#[derive(Default)]
struct Orders {
    read: Vec<u8>,
}

impl Orders {
    /// Returns what is to be done, once it is said; nothing when standard input ends before.
    fn read_spec(&mut self) -> io::Result<Option<Spec>> {
        loop {
            let Some(line) = self.next_line()? else {
                return Ok(None);
            };
            match serde_json::from_slice(&line)? {
                Line::Prepare { python } => operator::prepare_python(&python),
                Line::Run(spec) => return Ok(Some(*spec)),
            }
        }
    }

    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.read[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.read, rest);
                line.pop();
                return Ok(Some(line));
            }
            searched = self.read.len();
            if searched > LONGEST_SPEC {
                return Err(io::Error::other("a line has no end"));
            }
            let mut piece = vec![0; 64 * 1024];
            match read(io::stdin(), &mut piece) {
                Ok(0) => return Ok(None),
                Ok(length) => self.read.extend_from_slice(&piece[..length]),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends everything when standard input does, or when the lease runs out.
    fn watch(mut self, mut held_until: u64) {
        loop {
            let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
            let left = Duration::from_millis(held_until).saturating_sub(now);
            if left.is_zero() {
                eprintln!("the lease ran out and was not prolonged: the attempt is ended");
                kill_all();
            }
            let has_line = self.read.contains(&b'\n');
            let timeout = PollTimeout::try_from(left.min(LONGEST_POLL)).unwrap_or(PollTimeout::MAX);
            let stdin = io::stdin();
            let mut watched = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            if !has_line && !poll(&mut watched, timeout).is_ok_and(|ready| ready > 0) {
                continue;
            }
            match self.next_line() {
                Ok(Some(line)) => {
                    let until = String::from_utf8_lossy(&line).trim().parse();
                    held_until = until.unwrap_or(held_until).max(held_until);
                }
                Ok(None) | Err(_) => kill_all(),
            }
        }
    }
}

/// Ends everything that belongs to this attempt. Only a process that leads its group may end that: otherwise the group is
/// that of a shell where somebody tries this by hand.
fn kill_all() -> ! {
    // What forks while it is looked for is found the next time.
    for _ in 0..MOST_LOOKS {
        let found = descendants();
        if found.is_empty() {
            break;
        }
        for process_id in found {
            let _ = kill(process_id, Signal::SIGKILL);
        }
    }
    if getpgrp() == getpid() {
        let _ = killpg(getpgrp(), Signal::SIGKILL);
    }
    std::process::exit(1);
}

/// Ends what the task left behind, and returns how many processes that were.
fn end_what_is_left() -> usize {
    operator::dismiss_python();
    let mut ended = BTreeSet::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {
                for process_id in descendants() {
                    let _ = kill(process_id, Signal::SIGKILL);
                    ended.insert(process_id);
                }
                let _ = waitpid(None, None);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            // No child is left.
            Err(_) => return ended.len(),
        }
    }
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

/// What this process and those that it waited for took, and how the program that the operator started ended.
fn usage() -> Usage {
    let of = |who| getrusage(who).ok();
    let all = [of(UsageWho::RUSAGE_SELF), of(UsageWho::RUSAGE_CHILDREN)];
    let kibibytes = all
        .iter()
        .flatten()
        .filter_map(|usage| u64::try_from(usage.max_rss()).ok())
        .max();
    let times = all
        .iter()
        .flatten()
        .flat_map(|usage| [usage.user_time(), usage.system_time()]);
    let millis: i64 = times.map(|time| time.num_milliseconds()).sum();
    let last = last_exit();
    Usage {
        peak_memory_bytes: kibibytes.filter(|most| *most > 0).map(|most| most * 1024),
        cpu_millis: u64::try_from(millis).ok(),
        exit_status: last.and_then(|status| status.code()),
        exit_signal: last.and_then(|status| status.signal()),
    }
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
            ..Outcome::default()
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
