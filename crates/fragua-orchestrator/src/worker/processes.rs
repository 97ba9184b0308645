//! Processes of attempts, as the kernel tells of them in `/proc`. Where there is no such folder nothing is found.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::exec::spec::Usage;

/// The variable in the environment of an attempt's processes that names the attempt.
pub(crate) const TOKEN_VARIABLE: &str = "FRAGUA_ATTEMPT_TOKEN";

/// How long killed processes may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// Returns when a process started, in the kernel's count. Together with its number it names a process for ever:
/// numbers are used again.
pub(crate) fn start_of(process_id: u32) -> Option<i64> {
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    // The second field is the program's name in brackets, which may hold anything.
    let after_name = stat.rsplit_once(") ")?.1;
    after_name.split(' ').nth(19)?.parse().ok()
}

/// Returns what the processes of a session took so far: the most memory that one of them held at once, and their time on
/// processors with that of those they waited for.
pub(crate) fn usage_of_session(session: u32) -> Usage {
    let (mut ticks, mut peak) = (0, None);
    for process_id in process_ids() {
        let Some(stat) = stat_of(process_id).filter(|stat| stat.session == session) else {
            continue;
        };
        ticks += stat.ticks;
        peak = peak.max(peak_memory_bytes(process_id));
    }
    let a_second = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    let a_second = a_second
        .and_then(|ticks| u64::try_from(ticks).ok())
        .unwrap_or(100);
    Usage {
        peak_memory_bytes: peak,
        cpu_millis: Some(ticks * 1000 / a_second.max(1)),
        ..Usage::default()
    }
}

/// What the kernel tells of a process.
struct Stat {
    is_over: bool,
    parent: u32,
    session: u32,
    ticks: u64,
}

fn stat_of(process_id: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        is_over: matches!(fields.first().copied(), Some("Z" | "X")),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        ticks: (11..15).filter_map(number).sum(),
    })
}

/// Returns the processes that descend from this one and have not ended. One whose parent ended is a child of this process
/// where it adopts them.
pub(crate) fn descendants() -> Vec<Pid> {
    let all: BTreeMap<u32, Stat> = process_ids()
        .filter_map(|process_id| Some((process_id, stat_of(process_id)?)))
        .collect();
    let mut found = vec![std::process::id()];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = all.iter().filter(|(_, stat)| stat.parent == parent);
        found.extend(children.map(|(process_id, _)| *process_id));
        next += 1;
    }
    let alive = found
        .into_iter()
        .skip(1)
        .filter(|process_id| !all[process_id].is_over);
    alive
        .filter_map(|process_id| i32::try_from(process_id).ok().map(Pid::from_raw))
        .collect()
}

fn process_ids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
}

/// Returns the most memory a process held at once so far.
fn peak_memory_bytes(process_id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process_id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Sends a signal to the group of a child that was not waited for yet. One that has just been started leads none so far.
pub(crate) fn signal_child(child: u32, signal: Signal) {
    if let Ok(child) = i32::try_from(child).map(Pid::from_raw)
        && killpg(child, signal).is_err()
    {
        let _ = kill(child, signal);
    }
}

/// Sends a signal to a process group; one that is gone is fine.
pub(crate) fn signal_group(leader: u32, signal: Signal) {
    if let Ok(leader) = i32::try_from(leader) {
        let _ = killpg(Pid::from_raw(leader), signal);
    }
}

/// Kills what an earlier worker left of an attempt: the group of its process if that is still the same one, and every
/// process that carries the attempt's token, wherever it went. Returns when they are gone.
pub(crate) async fn kill_leftovers(process: Option<(u32, i64)>, token: &str) {
    if let Some((process_id, start)) = process
        && start_of(process_id) == Some(start)
    {
        signal_group(process_id, Signal::SIGKILL);
    }
    let deadline = tokio::time::Instant::now() + GONE_WITHIN;
    // A process that is just about to become another program shows no environment for a moment.
    let mut seen_none = 0;
    while seen_none < 2 {
        let left = carriers(token);
        seen_none = if left.is_empty() { seen_none + 1 } else { 0 };
        if tokio::time::Instant::now() > deadline {
            tracing::warn!(?left, "processes of a lost attempt do not end");
            return;
        }
        for process_id in left {
            let _ = kill(process_id, Signal::SIGKILL);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn carriers(token: &str) -> Vec<Pid> {
    let wanted = format!("{TOKEN_VARIABLE}={token}");
    let own = std::process::id();
    let carries = |process_id: &u32| {
        let environment = fs::read(format!("/proc/{process_id}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == wanted.as_bytes())
    };
    process_ids()
        .filter(|process_id| *process_id != own)
        .filter(carries)
        .filter_map(|process_id| i32::try_from(process_id).ok().map(Pid::from_raw))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn leftovers_are_killed_by_token_even_in_another_session() {
        let token = fragua_base::random_hex(16);
        let mut child = Command::new("setsid")
            .args(["sh", "-c", "echo ready; sleep 600; true"])
            .env(TOKEN_VARIABLE, &token)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        child.stdout.take().unwrap().read_exact(&mut ready).unwrap();
        // A child of ours stays as a zombie, without an environment, until it is waited for.
        kill_leftovers(None, &token).await;
        assert_eq!(carriers(&token), []);
        let status = child.wait().unwrap();
        assert!(!status.success());
    }

    #[tokio::test]
    async fn a_number_that_was_used_again_is_left_alone() {
        let mut child = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let start = start_of(child.id()).unwrap();
        kill_leftovers(Some((child.id(), start - 1)), "no-such-token").await;
        assert_eq!(start_of(child.id()), Some(start));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
