//! `wrk`, which sends signed requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{packages, server};

const SCRIPT: &str = include_str!("requests.lua");
/// A load of each request once may take this long.
const LONGEST_SECONDS: u64 = 3_600;

/// The program and its script.
pub(super) struct Wrk {
    program: PathBuf,
    script: PathBuf,
}

/// What is sent, and for how long.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) address: &'a str,
    /// `METHOD ADDRESS`, one a line.
    pub(super) requests: &'a Path,
    /// What a `PUT` carries.
    pub(super) bytes: u64,
    pub(super) connections: usize,
    /// `None` sends each request once.
    pub(super) seconds: Option<u64>,
}

/// What came of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    pub(super) requests: u64,
    pub(super) seconds: f64,
    /// 99 of 100 answers took this many seconds at most.
    pub(super) p99: f64,
}

impl Wrk {
    /// Finds the program, which is installed when it is missing, and writes the script.
    pub(super) fn install(folder: &Path) -> Result<Self> {
        packages::install(&["wrk"])?;
        let script = folder.join("requests.lua");
        fs::write(&script, SCRIPT).context("cannot write the script of wrk")?;
        Ok(Self {
            program: server::program("wrk", &["/usr/bin"]).map_err(anyhow::Error::msg)?,
            script,
        })
    }

    /// Sends requests; one that is refused or not answered is an error.
    pub(super) fn run(&self, load: Load<'_>) -> Result<Outcome> {
        let mut command = Command::new(&self.program);
        command
            .args(["--threads", "1", "--timeout", "300s", "--script"])
            .arg(&self.script)
            .args(["--connections", &load.connections.to_string()])
            .args([
                "--duration",
                &format!("{}s", load.seconds.unwrap_or(LONGEST_SECONDS)),
            ])
            .args([load.address, "--"])
            .arg(load.requests)
            .arg(load.bytes.to_string());
        if load.seconds.is_none() {
            command.arg("once");
        }
        let output = command.stdin(Stdio::null()).output().context("cannot run wrk")?;
        read(&output.stdout).with_context(|| format!("{} at {}", load.requests.display(), load.address))
    }
}

fn read(output: &[u8]) -> Result<Outcome> {
    let text = String::from_utf8_lossy(output);
    let told = text
        .lines()
        .last()
        .and_then(|line| serde_json::from_str::<Value>(line).ok())
        .with_context(|| format!("wrk tells no figures: {text}"))?;
    let number = |name: &str| {
        told[name]
            .as_u64()
            .with_context(|| format!("wrk tells no {name}"))
    };
    let (requests, failed) = (number("requests")?, number("failed")?);
    ensure!(
        requests > 0 && failed == 0,
        "{failed} requests failed beside {requests} that were answered"
    );
    Ok(Outcome {
        requests,
        seconds: number("microseconds")? as f64 / 1e6,
        p99: number("p99")? as f64 / 1e6,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_wrk_is_read_and_a_failure_is_one() {
        let line = |failed| {
            let told =
                format!("{{\"requests\":8,\"microseconds\":2000000,\"p99\":9000,\"failed\":{failed}}}");
            read(format!("Running\n{told}\n").as_bytes())
        };
        let expected = Outcome {
            requests: 8,
            seconds: 2.0,
            p99: 0.009,
        };
        assert_eq!(line(0).unwrap(), expected);
        assert!(line(1).is_err());
        assert!(read(b"unable to connect\n").is_err());
    }
}
