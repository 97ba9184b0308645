//! One attempt: its process from the start to the end, and what its end means.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use fragua_base::SharedClock;
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin};
use tokio::sync::watch;
use tokio::time::Instant;

use super::link::Link;
use super::output::Log;
use super::processes::{
    TOKEN_VARIABLE, kill_leftovers, signal_child, signal_group, start_of, usage_of_session,
};
use super::spare::Spares;
use super::wire::{Assignment, Began, Done};
use super::{Pause, WorkerSettings};
use crate::dag::duration::Written;
use crate::exec::spec::{End, Line, Report, Usage, read_report};
use crate::logs::{Mask, Source};
use crate::operator::exit_words;
use crate::{Connection, Error};

/// How often what the processes take is looked at. What has ended by itself has said it by itself.
const SAMPLE: Duration = Duration::from_secs(1);

/// How long pipes may stay open after the process group is gone.
const PIPES_CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// How long a process may take to end what belongs to it, before it is killed itself.
const CLEARS_UP_WITHIN: Duration = Duration::from_millis(500);

/// What the worker wants of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Go,
    /// Stop it and give its task back, for this reason.
    Stop(&'static str),
    /// Its lease is lost: end it at once and say nothing.
    Abandon,
}

/// What the worker wants of an attempt, and until when it may run at all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orders {
    pub(super) order: Order,
    pub(super) held_until: Instant,
}

impl Orders {
    /// Stops an attempt that was told nothing else yet.
    pub(super) fn stop(&mut self, reason: &'static str) {
        if self.order == Order::Go {
            self.order = Order::Stop(reason);
        }
    }
}

/// What the attempts of a worker share.
pub(super) struct Place {
    pub(super) link: Link,
    pub(super) settings: WorkerSettings,
    pub(super) clock: SharedClock,
    pub(super) spares: Spares,
}

/// Runs an attempt and records its end.
pub(super) async fn run(place: &Arc<Place>, assignment: Assignment, orders: watch::Receiver<Orders>) {
    let folder = place
        .settings
        .work_folder
        .join("attempts")
        .join(&assignment.token);
    let (token, key) = (assignment.token.clone(), assignment.key.clone());
    let task_instance = assignment.task_instance.clone();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    let (end, usage) = match made {
        Ok(()) => Box::pin(execute(place, assignment, &folder, orders)).await,
        Err(error) => {
            let message = format!("the folder {} cannot be made: {error}", folder.display());
            (Some(End::Failed { message }), Usage::default())
        }
    };
    if end.is_none() {
        tracing::warn!("the lease of {key} was lost: the attempt is ended, and what it says is not recorded");
    }
    let done = Done {
        task_instance,
        end,
        usage,
    };
    record(place, &token, done)
        .await
        .unwrap_or_else(|error| tracing::error!(%error, "the end of {key} could not be recorded"));
    // What cannot be removed takes space and does no harm.
    let _ = fs::remove_dir_all(folder);
}

/// Runs the process to its end. Returns no end when the attempt was abandoned.
async fn execute(
    place: &Arc<Place>,
    mut assignment: Assignment,
    folder: &Path,
    orders: watch::Receiver<Orders>,
) -> (Option<End>, Usage) {
    let failed = |message: String| (Some(End::Failed { message }), Usage::default());
    let (key, token) = (assignment.key.clone(), assignment.token.clone());
    let log = match Log::open(place, &assignment, mask(&assignment), folder) {
        Ok(log) => log,
        Err(message) => return failed(message),
    };
    log.say(format!("attempt {} of {} begins", key.attempt, key.task_id))
        .await;
    let timeout = assignment.spec.task.execution_timeout;
    let grace = Duration::from_millis(assignment.stop_grace_millis);
    let mut started = start(place, &mut assignment, folder, &orders).await;
    if started.is_err() {
        // One that waited may have ended just now.
        started = start(place, &mut assignment, folder, &orders).await;
    }
    let (mut child, lifeline) = match started {
        Ok(started) => started,
        Err(error) => {
            let program = place.settings.exec_task.display();
            let message = format!("{program} cannot be started: {error}");
            log.say(message.clone()).await;
            log.close().await;
            return failed(message);
        }
    };
    let process_id = child.id().unwrap_or_default();
    let began = Began {
        task_instance: assignment.task_instance,
        process_id,
        process_start: start_of(process_id),
    };
    // Who only looks at it need not hold it up.
    let noting = tokio::spawn({
        let (place, token) = (place.clone(), token.clone());
        async move { place.link.began(&token, &began).await }
    });
    let mut out = log.follow(Source::Out, child.stdout.take());
    let mut err = log.follow(Source::Err, child.stderr.take());
    let watched = Watched {
        process_id,
        deadline: timeout.map(|timeout| Instant::now() + timeout),
        lifeline: Some(lifeline),
        usage: Usage::default(),
    };
    let (stopped, status, sampled) = watched.wait(&mut child, orders, grace).await;
    signal_group(process_id, Signal::SIGKILL);
    let is_cut_off = !matches!(&status, Ok(status) if status.code().is_some());
    if stopped.is_some() || is_cut_off {
        // What left the group is not ended by a process that could not do it any more.
        kill_leftovers(None, &token).await;
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
    if let Ok(Err(error)) = noting.await {
        tracing::warn!(%error, "the process of {key} could not be noted");
    }

    let report = read_report(folder);
    if let Some(report) = report.as_ref().filter(|report| report.left_behind > 0) {
        log.say(format!(
            "what the task left behind was ended (processes: {})",
            report.left_behind
        ))
        .await;
    }
    let (end, usage) = conclude(report, stopped, status, sampled, timeout);
    let end = (stopped != Some(Stopped::Abandoned)).then_some(end);
    let last_words = match &end {
        Some(end) => words(end, &usage),
        None => "the lease was lost, the attempt is abandoned".to_owned(),
    };
    log.say(last_words).await;
    // The end is told after the last line of the log has arrived.
    log.close().await;
    (end, usage)
}

fn mask(assignment: &Assignment) -> Mask {
    let connections = assignment.spec.connections.values();
    let connections = connections.flat_map(|url| Connection::new(url.clone()).secrets());
    Mask::new(connections.chain(assignment.secrets.values().cloned()))
}

/// Tells a process what to do. Its standard input stays open: its end tells the process that this worker is gone.
async fn start(
    place: &Place,
    assignment: &mut Assignment,
    folder: &Path,
    orders: &watch::Receiver<Orders>,
) -> std::io::Result<(Child, ChildStdin)> {
    let settings = &place.settings;
    let spec = &mut assignment.spec;
    spec.place(&settings.project_folder, folder, &settings.python);
    for (name, value) in &assignment.secrets {
        spec.set_variable(name, value);
    }
    for (name, value) in [
        ("FRAGUA_DAG_ID", &assignment.key.dag_id),
        ("FRAGUA_DAG_RUN_ID", &assignment.key.run_id),
        ("FRAGUA_TASK_ID", &assignment.key.task_id),
        (TOKEN_VARIABLE, &assignment.token),
    ] {
        spec.set_variable(name, value);
    }
    spec.held_until = on_the_clock(orders.borrow().held_until);
    let mut line = serde_json::to_vec(&Line::Run(Box::new(spec.clone())))?;
    line.push(b'\n');
    let mut child = place.spares.take(spec.task.operator == "python")?;
    let mut lifeline = child.stdin.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
    lifeline.write_all(&line).await?;
    Ok((child, lifeline))
}

/// Returns an instant as the processes of this machine see it: milliseconds of a clock that also counts while it sleeps.
fn on_the_clock(at: Instant) -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    let at = now + at.saturating_duration_since(Instant::now());
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
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
    /// Its end lets the process end all that belongs to it, and then itself.
    lifeline: Option<ChildStdin>,
    usage: Usage,
}

impl Watched {
    /// Waits for the end; stops what runs when time is up or the worker says so: politely, and after a while not.
    async fn wait(
        mut self,
        child: &mut Child,
        mut orders: watch::Receiver<Orders>,
        grace: Duration,
    ) -> (Option<Stopped>, std::io::Result<ExitStatus>, Usage) {
        let process_id = self.process_id;
        let mut stopped = None;
        let mut next_step: Option<Instant> = None;
        let mut held_until = orders.borrow().held_until;
        let mut samples = tokio::time::interval(SAMPLE);
        samples.tick().await;
        let mut ending = std::pin::pin!(child.wait());
        let status = loop {
            let wanted = *orders.borrow_and_update();
            if wanted.held_until > held_until
                && let Some(lifeline) = &mut self.lifeline
            {
                held_until = wanted.held_until;
                let line = format!("{}\n", on_the_clock(held_until));
                // One that ended says so by itself; one that does not read is frozen, and must not hold us up.
                let _ = tokio::time::timeout(PIPES_CLOSE_WITHIN, lifeline.write_all(line.as_bytes())).await;
            }
            let wanted = match wanted.order {
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
                    next_step = Some(Instant::now());
                }
                Some(_) if stopped.is_none() => {
                    stopped = wanted;
                    next_step = Some(Instant::now() + grace);
                    signal_child(process_id, Signal::SIGTERM);
                }
                _ => {}
            }
            let next = if stopped.is_some() {
                next_step
            } else {
                self.deadline
            };
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                status = &mut ending => break status,
                Ok(()) = orders.changed() => {}
                () = tokio::time::sleep_until(next.unwrap_or(far)) => {
                    if stopped.is_some() && next_step.is_some() {
                        // First all that belongs to it, wherever it went; then itself.
                        next_step = match self.lifeline.take() {
                            Some(_) => Some(Instant::now() + CLEARS_UP_WITHIN),
                            None => {
                                signal_child(process_id, Signal::SIGKILL);
                                None
                            }
                        };
                    }
                }
                _ = samples.tick() => self.usage = std::mem::take(&mut self.usage).or(usage_of_session(process_id)),
            }
        };
        (stopped, status, self.usage)
    }
}

/// Says what an end means: the report where there is one, else what happened to the process.
fn conclude(
    report: Option<Report>,
    stopped: Option<Stopped>,
    status: std::io::Result<ExitStatus>,
    sampled: Usage,
    timeout: Option<Duration>,
) -> (End, Usage) {
    let (end, reported) = report.map(|report| (report.end, report.usage)).unzip();
    let mut usage = reported.unwrap_or_default().or(sampled);
    if let (None, Ok(status)) = (&end, &status) {
        (usage.exit_status, usage.exit_signal) = (status.code(), status.signal());
    }
    // A signal that nobody here sent is most often the kernel's, for want of memory.
    let killed = |how: String| match (usage.exit_signal, usage.peak_memory_bytes) {
        (Some(_), Some(peak)) => format!("{how} after {}", human_bytes(peak)),
        _ => how,
    };
    let end = match (end, stopped) {
        (Some(end @ End::Success { .. }), _) => end,
        (_, Some(Stopped::Asked(reason))) => End::HandedBack {
            message: format!("stopped: {reason}"),
        },
        (_, Some(_)) => {
            let timeout = Written(timeout.unwrap_or_default());
            End::Failed {
                message: format!("was stopped after {timeout}, the task's execution_timeout"),
            }
        }
        (Some(End::Failed { message }), None) => End::Failed {
            message: killed(message),
        },
        (Some(end), None) => end,
        (None, None) => {
            let how = match &status {
                Ok(status) => format!("the task's process {}", exit_words(*status)),
                Err(error) => format!("the task's process cannot be waited for: {error}"),
            };
            End::Failed { message: killed(how) }
        }
    };
    (end, usage)
}

fn words(end: &End, usage: &Usage) -> String {
    match end {
        End::Success { .. } => {
            let memory = usage
                .peak_memory_bytes
                .map(|peak| format!(", peak memory {}", human_bytes(peak)));
            let cpu = usage
                .cpu_millis
                .map(|millis| format!(", CPU time {:.2} s", millis as f64 / 1000.0));
            format!(
                "succeeded{}{}",
                memory.unwrap_or_default(),
                cpu.unwrap_or_default()
            )
        }
        End::Reschedule { millis, .. } => {
            format!(
                "not yet: looks again in {}",
                Written(Duration::from_millis(*millis))
            )
        }
        End::Skipped { message } => format!("skipped: {message}"),
        End::Failed { message } | End::FailedForGood { message } => format!("failed: {message}"),
        End::HandedBack { message } => message.clone(),
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

/// Records the end. An orchestrator that is away is asked again and again: nothing runs any more, so that it does no harm when
/// the lease has run out meanwhile and the end is refused.
async fn record(place: &Place, token: &str, mut done: Done) -> Result<(), Error> {
    let mut pause = Pause::new();
    loop {
        match place.link.done(token, &done).await {
            Ok(()) => return Ok(()),
            Err(error @ Error::StaleToken { .. }) => {
                tracing::warn!(%error, "the end of an attempt is refused");
                done.end = None;
            }
            // It is as large the next time.
            Err(error @ Error::InvalidRequest { .. }) if matches!(done.end, Some(End::Success { .. })) => {
                let message = error.to_string();
                done.end = Some(End::FailedForGood { message });
            }
            Err(error) if done.end.is_none() => return Err(error),
            Err(error) => {
                tracing::error!(%error, "the end of an attempt could not be recorded, trying again");
                tokio::time::sleep(pause.next()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_end_is_concluded_from_report_stop_and_status() {
        let success = || End::Success {
            xcoms: BTreeMap::new(),
            assets: Vec::new(),
        };
        let failed = |message: &str| End::Failed {
            message: message.to_owned(),
        };
        let check = |end: Option<End>, stopped: Option<Stopped>, raw: i32, expected: End| {
            let report = end.map(|end| Report {
                end,
                usage: Usage::default(),
                left_behind: 0,
            });
            let sampled = Usage {
                peak_memory_bytes: Some(2_254_857_830),
                ..Usage::default()
            };
            let status = Ok(ExitStatus::from_raw(raw));
            let (end, usage) = conclude(report, stopped, status, sampled, Some(Duration::from_secs(30)));
            assert_eq!(end, expected);
            assert_eq!(usage.peak_memory_bytes, Some(2_254_857_830));
        };
        let asked = Some(Stopped::Asked("the end"));
        check(Some(success()), None, 0, success());
        check(Some(success()), asked, 0, success());
        check(Some(failed("no rows")), None, 0, failed("no rows"));
        let reschedule = || End::Reschedule {
            millis: 5,
            object: None,
        };
        check(Some(reschedule()), None, 0, reschedule());
        check(
            None,
            None,
            9,
            failed("the task's process was killed by signal 9 (SIGKILL) after 2.1 GiB"),
        );
        check(
            None,
            Some(Stopped::TimedOut),
            15,
            failed("was stopped after 30s, the task's execution_timeout"),
        );
        let handed_back = End::HandedBack {
            message: "stopped: the end".to_owned(),
        };
        check(Some(failed("no rows")), asked, 0, handed_back);
    }

    #[test]
    fn a_program_that_a_signal_ended_is_told_with_its_memory() {
        let report = Report {
            end: End::Failed {
                message: "bash was killed by signal 9 (SIGKILL)".to_owned(),
            },
            usage: Usage {
                peak_memory_bytes: Some(2_254_857_830),
                exit_signal: Some(9),
                ..Usage::default()
            },
            left_behind: 0,
        };
        let status = Ok(ExitStatus::from_raw(0));
        let (end, usage) = conclude(Some(report), None, status, Usage::default(), None);
        let last = words(&end, &usage);
        assert_eq!(
            last,
            "failed: bash was killed by signal 9 (SIGKILL) after 2.1 GiB"
        );
        assert_eq!((usage.exit_signal, usage.exit_status), (Some(9), None));
    }
}
