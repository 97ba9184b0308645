//! One attempt: its process from the start to the end, and what its end means.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fragua_base::Timestamp;
use nix::sys::signal::Signal;
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

use super::output::Log;
use super::processes::{TOKEN_VARIABLE, kill_leftovers, peak_memory_bytes, signal_group, start_of};
use crate::core::Core;
use crate::dag::duration::Written;
use crate::decide::{Ending, Success};
use crate::exec::spec::{End, Report, Spec, read_report};
use crate::logs::{Mask, Source};
use crate::operator::{TaskContext, exit_words};
use crate::scheduler::attempts::{Ended, Lease, assignment, end};
use crate::store::{self, millis};
use crate::{AttemptState, Error, Task};

/// How often the memory of a process is looked at. The kernel keeps the peak, so little is missed in between.
const SAMPLE: Duration = Duration::from_secs(1);

/// How long pipes may stay open after the process group is gone.
const PIPES_CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// What the worker wants of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Go,
    /// Stop it and give its task back, for this reason.
    Stop(&'static str),
    /// Its lease is lost: end it at once and say nothing.
    Abandon,
}

/// Runs an attempt and records its end.
pub(super) async fn run(core: &Arc<Core>, lease: Lease, orders: watch::Receiver<Order>) {
    let folder = core.settings.work_folder.join("attempts").join(&lease.token);
    let outcome = match prepare(core, &lease, &folder).await {
        Ok(prepared) => execute(core, &lease, prepared, orders).await,
        Err(message) => Some(Ending::FailedForGood { message }.into()),
    };
    match outcome {
        Some(ended) => record(core, &lease, ended).await,
        None => note_abandoned(core, &lease).await,
    }
    // What cannot be removed takes space and does no harm.
    let _ = fs::remove_dir_all(folder);
}

struct Prepared {
    task: Task,
    context: TaskContext,
    environment: Vec<(OsString, OsString)>,
    mask: Mask,
}

async fn prepare(core: &Core, lease: &Lease, folder: &Path) -> Result<Prepared, String> {
    let words = |error: Error| error.to_string();
    let (dag, run) = assignment(core, lease).await.map_err(words)?;
    let task = dag
        .task(&lease.key.task_id)
        .ok_or("the DAG of this run has no such task")?;
    let context = core
        .task_context(core.database.reader(), &run, &lease.key, &lease.token)
        .await
        .map_err(words)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| format!("the folder {} cannot be made: {error}", folder.display()))?;
    let made = match &core.settings.task_variables {
        Some(variables) => variables.variables(&lease.key).await?,
        None => BTreeMap::new(),
    };
    let secrets = context
        .connections
        .values()
        .flat_map(crate::operator::Connection::secrets);
    let mask = Mask::new(secrets.chain(made.values().map(|secret| secret.expose().to_owned())));
    // Our own settings hold secrets that a task has no business with.
    let is_ours = |name: &OsString| {
        let name = name.to_string_lossy();
        ["FRAGUA_", "AIRFLOW_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    let inherited = std::env::vars_os().filter(|(name, _)| !is_ours(name));
    let ids = [
        ("FRAGUA_DAG_ID", &lease.key.dag_id),
        ("FRAGUA_DAG_RUN_ID", &lease.key.run_id),
        ("FRAGUA_TASK_ID", &lease.key.task_id),
        (TOKEN_VARIABLE, &lease.token),
    ];
    let environment = inherited
        .chain(
            core.settings
                .environment
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
        .chain(
            made.iter()
                .map(|(name, value)| (name.into(), value.expose().into())),
        )
        .chain(ids.map(|(name, value)| (name.into(), value.into())))
        .collect();
    Ok(Prepared {
        task: task.clone(),
        context,
        environment,
        mask,
    })
}

/// Runs the process to its end. Returns nothing when the attempt was abandoned.
async fn execute(
    core: &Arc<Core>,
    lease: &Lease,
    prepared: Prepared,
    orders: watch::Receiver<Order>,
) -> Option<Ended> {
    let failed = |message: String| Some(Ended::from(Ending::Failed { message }));
    let log = match Log::open(core, &lease.key, prepared.mask) {
        Ok(log) => log,
        Err(message) => return failed(message),
    };
    log.say(format!(
        "attempt {} of {} begins",
        lease.key.attempt, lease.key.task_id
    ))
    .await;
    let folder = prepared.context.work_folder.clone();
    let timeout = prepared.task.execution_timeout;
    let spec = Spec::new(prepared.task, prepared.context);
    let mut child = match spawn(core, prepared.environment) {
        Ok(child) => child,
        Err(error) => {
            let message = format!("{} cannot be started: {error}", core.settings.exec_task.display());
            log.say(message.clone()).await;
            log.close().await;
            return failed(message);
        }
    };
    let process_id = child.id().unwrap_or_default();
    let noted = store::attempts::set_process(
        core.database.writer(),
        &lease.task_instance,
        &lease.token,
        process_id,
        start_of(process_id),
    );
    if let Err(error) = noted.await {
        tracing::warn!(%error, "the process of {} could not be noted", lease.key);
    }
    let mut out = log.follow(Source::Out, child.stdout().take());
    let mut err = log.follow(Source::Err, child.stderr().take());
    // Held until the process has ended: its end tells the process that this worker is gone.
    let mut lifeline = child.stdin().take();
    if let Some(lifeline) = &mut lifeline {
        let mut line = serde_json::to_vec(&spec).unwrap_or_default();
        line.push(b'\n');
        // A process that ended before it read all of it says why by itself.
        let _ = lifeline.write_all(&line).await;
    }
    let watched = Watched {
        process_id,
        deadline: timeout.map(|timeout| Instant::now() + timeout),
        peak: None,
    };
    let (stopped, status, peak) = watched.wait(&mut child, orders, core.settings.stop_grace).await;
    drop(lifeline);
    signal_group(process_id, Signal::SIGKILL);
    if stopped.is_some() {
        // What was told to stop may have left the group before.
        kill_leftovers(None, &lease.token).await;
    }
    let closed = tokio::time::timeout(PIPES_CLOSE_WITHIN, async {
        (&mut out).await.and((&mut err).await)
    })
    .await;
    if closed.is_err() {
        log.say(
            "a process that the task left behind keeps its output open; what it says is not read".to_owned(),
        )
        .await;
        out.abort();
        err.abort();
    }

    let report = read_report(&folder);
    let ended = match stopped {
        Some(Stopped::Abandoned) => None,
        _ => Some(conclude(report, stopped, status, peak, timeout, core.now())),
    };
    let last_words = match &ended {
        Some(ended) => words(ended),
        None => "the lease was lost, the attempt is abandoned".to_owned(),
    };
    log.say(last_words).await;
    log.close().await;
    ended
}

fn spawn(core: &Core, environment: Vec<(OsString, OsString)>) -> std::io::Result<Box<dyn ChildWrapper>> {
    let mut command = CommandWrap::with_new(&core.settings.exec_task, |command| {
        command
            .arg("exec-task")
            .env_clear()
            .envs(environment)
            .current_dir(&core.settings.project_folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    });
    command.wrap(ProcessSession);
    command.spawn()
}

/// Why a process was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    TimedOut,
    Asked(&'static str),
    Abandoned,
}

struct Watched {
    process_id: u32,
    deadline: Option<Instant>,
    peak: Option<u64>,
}

impl Watched {
    /// Waits for the end; stops the group when time is up or the worker says so: politely, and after a while not.
    async fn wait(
        mut self,
        child: &mut Box<dyn ChildWrapper>,
        mut orders: watch::Receiver<Order>,
        grace: Duration,
    ) -> (Option<Stopped>, std::io::Result<ExitStatus>, Option<u64>) {
        let process_id = self.process_id;
        let mut stopped = None;
        let mut kill_at: Option<Instant> = None;
        let mut samples = tokio::time::interval(SAMPLE);
        let mut ending = child.wait();
        let status = loop {
            let order = *orders.borrow_and_update();
            let wanted = match order {
                Order::Abandon => Some(Stopped::Abandoned),
                Order::Stop(reason) => Some(Stopped::Asked(reason)),
                Order::Go if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                    Some(Stopped::TimedOut)
                }
                Order::Go => None,
            };
            match wanted {
                Some(Stopped::Abandoned) if stopped != Some(Stopped::Abandoned) => {
                    stopped = wanted;
                    signal_group(process_id, Signal::SIGKILL);
                }
                Some(_) if stopped.is_none() => {
                    stopped = wanted;
                    kill_at = Some(Instant::now() + grace);
                    signal_group(process_id, Signal::SIGTERM);
                }
                _ => {}
            }
            let next = if stopped.is_some() { kill_at } else { self.deadline };
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                status = &mut ending => break status,
                Ok(()) = orders.changed() => {}
                () = tokio::time::sleep_until(next.unwrap_or(far)) => {
                    if stopped.is_some() && kill_at.is_some() {
                        kill_at = None;
                        signal_group(process_id, Signal::SIGKILL);
                    }
                }
                _ = samples.tick() => self.peak = self.peak.max(peak_memory_bytes(process_id)),
            }
        };
        (stopped, status, self.peak)
    }
}

/// Says what an end means: the report where there is one, else what happened to the process.
fn conclude(
    report: Option<Report>,
    stopped: Option<Stopped>,
    status: std::io::Result<ExitStatus>,
    peak: Option<u64>,
    timeout: Option<Duration>,
    now: Timestamp,
) -> Ended {
    let peak_memory_bytes = peak.max(report.as_ref().and_then(|report| report.peak_memory_bytes));
    let ending = match (report.map(|report| report.end), stopped) {
        (Some(End::Success { xcoms }), _) => Ending::Success(Success {
            xcoms,
            skips: Vec::new(),
        }),
        (Some(End::Reschedule { millis }), None) => Ending::Reschedule {
            at: now.plus(Duration::from_millis(millis)),
        },
        (Some(End::Skipped { message }), None) => Ending::Skipped { message },
        (_, Some(Stopped::Asked(reason))) => Ending::HandedBack {
            message: format!("stopped: {reason}"),
        },
        (_, Some(_)) => {
            let timeout = Written(timeout.unwrap_or_default());
            Ending::Failed {
                message: format!("was stopped after {timeout}, the task's execution_timeout"),
            }
        }
        (Some(End::Failed { message }), None) => Ending::Failed { message },
        (Some(End::FailedForGood { message }), None) => Ending::FailedForGood { message },
        (None, None) => {
            let how = match &status {
                Ok(status) => format!("the task's process {}", exit_words(*status)),
                Err(error) => format!("the task's process cannot be waited for: {error}"),
            };
            let memory = peak_memory_bytes.map(|peak| format!(", peak memory {}", human_bytes(peak)));
            Ending::Failed {
                message: format!("{how}{}", memory.unwrap_or_default()),
            }
        }
    };
    Ended {
        ending,
        peak_memory_bytes,
    }
}

fn words(ended: &Ended) -> String {
    let memory = ended
        .peak_memory_bytes
        .map(|peak| format!(", peak memory {}", human_bytes(peak)));
    let memory = memory.unwrap_or_default();
    match &ended.ending {
        Ending::Success(_) => format!("succeeded{memory}"),
        Ending::Reschedule { at } => format!("not yet: looks again at {}", at.to_rfc3339()),
        Ending::Skipped { message } => format!("skipped: {message}"),
        Ending::Failed { message } | Ending::FailedForGood { message } => format!("failed: {message}"),
        Ending::Lost { message } | Ending::HandedBack { message } => message.clone(),
    }
}

/// Writes a size with one digit after the point: `2.1 GiB`.
fn human_bytes(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} bytes")
    } else {
        format!("{size:.1} {}", units[unit])
    }
}

/// Records the end; a database that is away is asked again for as long as the lease can last.
async fn record(core: &Core, lease: &Lease, ended: Ended) {
    let given_up = Instant::now() + core.settings.lease;
    loop {
        match end(core, &lease.token, ended.clone()).await {
            Ok(()) => return,
            Err(error @ Error::StaleToken { .. }) => {
                tracing::warn!(%error, "the end of {} is refused", lease.key);
                return note_abandoned(core, lease).await;
            }
            Err(error) if Instant::now() < given_up => {
                tracing::error!(%error, "the end of {} could not be recorded, trying again", lease.key);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => {
                tracing::error!(%error, "the end of {} could not be recorded", lease.key);
                return;
            }
        }
    }
}

async fn note_abandoned(core: &Core, lease: &Lease) {
    let ended = store::attempts::Ended {
        state: AttemptState::Stopped,
        at: millis(core.now()),
        peak_memory_bytes: None,
        message: Some("the lease was lost".to_owned()),
    };
    let noted = store::attempts::end(core.database.writer(), &lease.task_instance, &lease.token, ended).await;
    if let Err(error) = noted {
        tracing::warn!(%error, "the end of {} could not be noted", lease.key);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn an_end_is_concluded_from_report_stop_and_status() {
        let report = |end: End| {
            Some(Report {
                end,
                peak_memory_bytes: Some(1024),
            })
        };
        let failed = || End::Failed {
            message: "no rows".to_owned(),
        };
        let check = |report: Option<Report>, stopped: Option<Stopped>, raw: i32, expected: Ending| {
            let status = Ok(ExitStatus::from_raw(raw));
            let ended = conclude(
                report,
                stopped,
                status,
                Some(2_254_857_830),
                Some(Duration::from_secs(30)),
                Timestamp::default(),
            );
            assert_eq!(ended.ending, expected);
            assert_eq!(ended.peak_memory_bytes, Some(2_254_857_830));
        };
        let message = |text: &str| text.to_owned();
        check(
            report(End::Success {
                xcoms: BTreeMap::new(),
            }),
            None,
            0,
            Ending::success(),
        );
        check(
            report(End::Reschedule { millis: 5 }),
            None,
            0,
            Ending::Reschedule {
                at: Timestamp::from_millis(5),
            },
        );
        check(
            report(failed()),
            None,
            0,
            Ending::Failed {
                message: message("no rows"),
            },
        );
        check(
            None,
            None,
            9,
            Ending::Failed {
                message: message("the task's process was killed by signal 9 (SIGKILL), peak memory 2.1 GiB"),
            },
        );
        check(
            None,
            Some(Stopped::TimedOut),
            15,
            Ending::Failed {
                message: message("was stopped after 30s, the task's execution_timeout"),
            },
        );
        check(
            report(failed()),
            Some(Stopped::Asked("the end")),
            0,
            Ending::HandedBack {
                message: message("stopped: the end"),
            },
        );
        check(
            report(End::Success {
                xcoms: BTreeMap::new(),
            }),
            Some(Stopped::Asked("the end")),
            0,
            Ending::success(),
        );
    }
}
