//! Started servers: waiting for them, what they use, ending them.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// How often the files and ports of a start are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// A start that takes longer has failed.
const START_TIMEOUT: Duration = Duration::from_secs(180);
/// What Linux counts processor time in, for every program: `sysconf(_SC_CLK_TCK)`.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a program and the processes below it have used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) mebibytes: f64,
}

/// A started program, killed when a measurement fails.
pub(super) struct Running {
    name: &'static str,
    child: Child,
}

impl Running {
    pub(super) fn new(name: &'static str, child: Child) -> Self {
        Self { name, child }
    }

    /// Returns what the program and all below it have used until now.
    pub(super) fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        for process in self.family() {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            usage.cpu_seconds += cpu_ticks(&stat).unwrap_or(0.0) / TICKS_PER_SECOND;
            usage.mebibytes += resident_kibibytes(&status).unwrap_or(0.0) / 1024.0;
        }
        ensure!(usage.mebibytes > 0.0, "{} has ended", self.name);
        Ok(usage)
    }

    /// Returns the memory of the program and all below it, where what several of them share counts once.
    pub(super) fn own_mebibytes(&self) -> f64 {
        let own = |process: u32| {
            let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
            kibibytes(&rollup, "Pss:").unwrap_or(0.0) / 1024.0
        };
        self.family().into_iter().map(own).sum()
    }

    /// Returns the numbers of the program and of all processes below it.
    pub(super) fn family(&self) -> Vec<u32> {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A process may end while this looks at it.
            if let Some(parent) = fs::read_to_string(entry.path().join("stat"))
                .ok()
                .as_deref()
                .and_then(parent)
            {
                children.entry(parent).or_default().push(process);
            }
        }
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(process) = family.get(next) {
            family.extend(children.remove(process).unwrap_or_default());
            next += 1;
        }
        family
    }

    /// Returns the most memory that the program itself has held at once.
    pub(super) fn peak_mebibytes(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kibibytes = kibibytes(&status, "VmHWM:").context("the process's status has no VmHWM")?;
        Ok(kibibytes / 1024.0)
    }

    /// Ends it as people do and waits, so that the next start finds nothing of it.
    pub(super) fn stop(&mut self) -> Result<()> {
        let status = self.end()?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }

    /// As [`Self::stop`], for a program that may end as it likes.
    pub(super) fn end(&mut self) -> Result<ExitStatus> {
        kill("-TERM", self.child.id())?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // First as people do: a server that is killed leaves its workers behind.
        let _ = kill("-TERM", self.child.id());
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a program, which is not heard, and waits until `look` finds what says that it answers. Returns that and the
/// seconds it took.
pub(super) fn start<T>(
    name: &'static str,
    mut command: Command,
    look: impl Fn() -> Option<T>,
) -> Result<(Running, T, f64)> {
    let begin = Instant::now();
    let mut running = spawn(name, &mut command)?;
    let found = wait_for("answer", begin, &mut running, look)?;
    Ok((running, found, begin.elapsed().as_secs_f64()))
}

/// Starts a program, which is not heard.
pub(super) fn spawn(name: &'static str, command: &mut Command) -> Result<Running> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    Ok(Running::new(name, child))
}

/// Runs a program and returns what it prints.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Ports that were free a moment ago, all different, for servers that cannot be told to take any free one and say which.
pub(super) fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    // Held together, so that none is given twice.
    let mut held = Vec::new();
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Returns the processor seconds that this program has used.
pub(super) fn own_cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    Ok(cpu_ticks(&stat).context("/proc/self/stat tells no times")? / TICKS_PER_SECOND)
}

/// Sends a signal to one process.
pub(super) fn kill(signal: &str, process: u32) -> Result<()> {
    let status = Command::new("kill")
        .args([signal, &process.to_string()])
        .stderr(Stdio::null())
        .status()
        .context("cannot run kill")?;
    ensure!(status.success(), "process {process} cannot be ended");
    Ok(())
}

pub(super) fn wait_for<T>(
    what: &str,
    begin: Instant,
    running: &mut Running,
    look: impl Fn() -> Option<T>,
) -> Result<T> {
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if let Some(status) = running.child.try_wait()? {
            bail!("{} ended with {status} before {what} was there", running.name);
        }
        ensure!(
            begin.elapsed() < START_TIMEOUT,
            "no {what} after {} s",
            START_TIMEOUT.as_secs()
        );
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Asks `GET path` of a plain HTTP server and returns the status.
pub(super) fn status_of(base: &str, path: &str) -> Result<u16> {
    let host = base
        .strip_prefix("http://")
        .with_context(|| format!("{base} is no http:// address"))?;
    let address = host
        .to_socket_addrs()?
        .next()
        .with_context(|| format!("{host} has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    status_line(&answer).with_context(|| format!("{base}{path} does not speak HTTP"))
}

fn status_line(answer: &str) -> Option<u16> {
    let mut words = answer.lines().next()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

/// The fields of `/proc/PROCESS/stat` behind the name, which may hold spaces: state, parent, and so on.
fn fields(stat: &str) -> Vec<&str> {
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    behind_name.split_whitespace().collect()
}

fn parent(stat: &str) -> Option<u32> {
    fields(stat).get(1)?.parse().ok()
}

/// Processor time of the process and of its children that ended, in user and kernel mode.
fn cpu_ticks(stat: &str) -> Option<f64> {
    fields(stat)
        .get(11..15)?
        .iter()
        .map(|ticks| ticks.parse::<f64>().ok())
        .sum()
}

fn resident_kibibytes(status: &str) -> Option<f64> {
    kibibytes(status, "VmRSS:")
}

fn kibibytes(status: &str, name: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines() {
        assert_eq!(status_line("HTTP/1.1 200 OK\r\nx: y\r\n\r\n"), Some(200));
        assert_eq!(status_line("HTTP/1.0 503\r\n"), Some(503));
        assert_eq!(status_line("SSH-2.0-x"), None);
        assert_eq!(status_line(""), None);
    }

    #[test]
    fn resident_memory() {
        assert_eq!(
            resident_kibibytes("VmPeak:\t 9 kB\nVmRSS:\t   81920 kB\n"),
            Some(81920.0)
        );
        assert_eq!(resident_kibibytes("VmPeak:\t 9 kB\n"), None);
    }

    #[test]
    fn times_and_parents_of_processes() {
        let stat = "77 (a name) with) S 12 77 77 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1";
        assert_eq!(parent(stat), Some(12));
        assert_eq!(cpu_ticks(stat), Some(100.0));
        assert_eq!(cpu_ticks("77 (x) S 12"), None);
    }
}
