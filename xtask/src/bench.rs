//! `cargo xtask bench`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use serde_json::Value;

use crate::test::cargo;

/// Starts measured.
const RUNS: usize = 5;
/// How often the files and roles of a start are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// A start that takes longer has failed.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Airflow, MLflow and FastAPI of the stack that Fragua takes the place of, each measured on a quiet machine.
const OLD_SECONDS: [f64; 3] = [13.5, 16.0, 6.0];
const OLD_MEBIBYTES: [f64; 3] = [685.0, 416.0, 745.0];

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The time from `fragua up` until every role answers, and the memory it holds then.
    Start {
        /// Measure this program, such as one of the profile `dist`, in place of a release build made now.
        #[arg(long)]
        program: Option<PathBuf>,
    },
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Start { program } => start(program),
        }
    }
}

/// One start.
#[derive(Debug, Clone, Copy)]
struct Measure {
    seconds: f64,
    mebibytes: f64,
}

fn start(program: Option<PathBuf>) -> Result<()> {
    let program = match program {
        Some(program) => {
            fs::canonicalize(&program).with_context(|| format!("cannot find {}", program.display()))?
        }
        None => build_release()?,
    };
    let folder = std::env::temp_dir().join(format!("fragua-bench-{}", std::process::id()));
    let result = measure_starts(&program, &folder.join("project"));
    let _ = fs::remove_dir_all(&folder);
    let measures = result?;

    println!("| start | every role answers after | resident memory |");
    println!("| --- | ---: | ---: |");
    for (index, measure) in measures.iter().enumerate() {
        let name = if index == 0 {
            "1 (new project)".to_owned()
        } else {
            (index + 1).to_string()
        };
        println!(
            "| {name} | {:.3} s | {:.1} MiB |",
            measure.seconds, measure.mebibytes
        );
    }
    let seconds = median(measures.iter().map(|measure| measure.seconds));
    let mebibytes = median(measures.iter().map(|measure| measure.mebibytes));
    println!("| **median** | **{seconds:.3} s** | **{mebibytes:.1} MiB** |");
    let (one_by_one, slowest) = (
        OLD_SECONDS.iter().sum::<f64>(),
        OLD_SECONDS.iter().copied().fold(0.0, f64::max),
    );
    let together = OLD_MEBIBYTES.iter().sum::<f64>();
    println!();
    println!("Airflow, MLflow and FastAPI, before MinIO, MySQL, PostgreSQL, Redis and Streamlit:");
    println!(
        "- one after the other {one_by_one:.1} s: {:.0} times as long",
        one_by_one / seconds
    );
    println!(
        "- the slowest alone {slowest:.1} s: {:.0} times as long",
        slowest / seconds
    );
    println!(
        "- together {together:.0} MiB: {:.0} times the memory",
        together / mebibytes
    );
    Ok(())
}

fn build_release() -> Result<PathBuf> {
    let status = cargo(&["build", "--release", "--package", "fragua"])
        .status()
        .context("cannot run cargo build")?;
    ensure!(status.success(), "the release build failed");
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps"])
        .output()
        .context("cannot run cargo")?;
    let metadata: Value = serde_json::from_slice(&metadata.stdout).context("cargo metadata is no JSON")?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target folder")?;
    Ok(Path::new(target).join("release/fragua"))
}

fn measure_starts(program: &Path, project: &Path) -> Result<Vec<Measure>> {
    fs::create_dir_all(project)?;
    let mut init = Command::new(program);
    init.arg("init")
        .arg(project)
        .args(["--example", "covertype"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let status = init.status().context("cannot run fragua init")?;
    ensure!(status.success(), "fragua init failed with {status}");
    (0..RUNS).map(|_| measure_start(program, project)).collect()
}

fn measure_start(program: &Path, project: &Path) -> Result<Measure> {
    let endpoints = project.join(".fragua/endpoints.json");
    if endpoints.exists() {
        fs::remove_file(&endpoints)?;
    }
    let mut up = Command::new(program);
    up.arg("up")
        .arg("--project")
        .arg(project)
        .args(["--ports", "auto"]);
    up.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begin = Instant::now();
    let mut running = Running(up.spawn().context("cannot start fragua up")?);
    let roles = wait_for("endpoints.json", begin, &mut running, || roles(&endpoints))?;
    for (role, address) in &roles {
        let path = if role == "storage" {
            "/minio/health/live"
        } else {
            "/health"
        };
        let answers = || (status_of(address, path).ok()? == 200).then_some(());
        wait_for(
            &format!("{role} at {address}{path}"),
            begin,
            &mut running,
            answers,
        )?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let mebibytes = resident_mebibytes(running.0.id())?;
    running.stop()?;
    Ok(Measure { seconds, mebibytes })
}

/// A started program, killed when a measurement fails.
struct Running(Child);

impl Running {
    /// Ends it as people do and waits, so that the next start finds nothing of it.
    fn stop(&mut self) -> Result<()> {
        let asked = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status()?;
        ensure!(asked.success(), "cannot stop fragua");
        let status = self.0.wait()?;
        ensure!(status.success(), "fragua ended with {status}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for<T>(what: &str, begin: Instant, running: &mut Running, look: impl Fn() -> Option<T>) -> Result<T> {
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if let Some(status) = running.0.try_wait()? {
            bail!("fragua ended with {status} before {what} was there");
        }
        ensure!(
            begin.elapsed() < START_TIMEOUT,
            "no {what} after {} s",
            START_TIMEOUT.as_secs()
        );
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Returns role and address of each role, once the file is there and whole.
fn roles(endpoints: &Path) -> Option<Vec<(String, String)>> {
    let endpoints: Value = serde_json::from_slice(&fs::read(endpoints).ok()?).ok()?;
    let roles = endpoints.as_object()?.iter();
    let addresses: Vec<_> = roles
        .filter_map(|(role, address)| Some((role.clone(), address.as_str()?.to_owned())))
        .collect();
    (!addresses.is_empty()).then_some(addresses)
}

/// Asks `GET path` of a plain HTTP server and returns the status.
fn status_of(base: &str, path: &str) -> Result<u16> {
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

fn resident_mebibytes(process: u32) -> Result<f64> {
    let status =
        fs::read_to_string(format!("/proc/{process}/status")).context("cannot read the process's status")?;
    let kibibytes = resident_kibibytes(&status).context("the process's status has no VmRSS")?;
    Ok(kibibytes / 1024.0)
}

fn resident_kibibytes(status: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.trim().strip_suffix(" kB")?.trim().parse().ok()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.5);
    }

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
}
