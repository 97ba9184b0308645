//! `wrk`, which keeps a server busy.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bench::process::kill;
use crate::{packages, server};

const SCRIPT: &str = include_str!("requests.lua");

/// The program and its script.
pub(super) struct Wrk {
    program: PathBuf,
    script: PathBuf,
}

/// What is asked for, and how.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    /// Where requests go to.
    pub(super) url: &'a str,
    /// Their bodies, one a line.
    pub(super) bodies: &'a Path,
    pub(super) connections: usize,
    pub(super) seconds: u64,
}

/// What came of a load.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    /// Requests that were answered.
    pub(super) requests: u64,
    pub(super) seconds: f64,
    /// Half of the answers took this many seconds at most, and 99 of 100.
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// Requests without an answer or with one that says no.
    pub(super) failed: u64,
    /// Answers of each version, where they were counted.
    pub(super) versions: BTreeMap<String, u64>,
}

/// A load that goes on until it is told to end.
pub(super) struct Lasting(Child);

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

    fn command(&self, load: Load<'_>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--threads", "1", "--timeout", "60s", "--script"])
            .arg(&self.script)
            .args(["--connections", &load.connections.to_string()])
            .args(["--duration", &format!("{}s", load.seconds)])
            .args([load.url, "--"])
            .arg(load.bodies)
            .stdin(Stdio::null());
        command
    }

    /// Loads a server for a while.
    pub(super) fn run(&self, load: Load<'_>) -> Result<Outcome> {
        let output = self.command(load).output().context("cannot run wrk")?;
        read(&output.stdout).with_context(|| format!("wrk at {}", load.url))
    }

    /// Loads a server until [`Lasting::end`], for the seconds of `load` at most, and counts the answers of each version.
    pub(super) fn start(&self, load: Load<'_>) -> Result<Lasting> {
        let mut command = self.command(load);
        let child = command.arg("versions").stdout(Stdio::piped()).spawn();
        Ok(Lasting(child.context("cannot run wrk")?))
    }
}

impl Lasting {
    /// Ends the load as Ctrl-C does.
    pub(super) fn end(mut self) -> Result<Outcome> {
        ensure!(self.0.try_wait()?.is_none(), "wrk ended too soon");
        kill("-INT", self.0.id())?;
        let mut output = Vec::new();
        if let Some(mut stdout) = self.0.stdout.take() {
            std::io::Read::read_to_end(&mut stdout, &mut output)?;
        }
        self.0.wait()?;
        read(&output)
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(output: &[u8]) -> Result<Outcome> {
    let text = String::from_utf8_lossy(output);
    let told = text
        .lines()
        .last()
        .and_then(|line| serde_json::from_str::<Value>(line).ok())
        .with_context(|| format!("it tells no figures: {text}"))?;
    let number = |name: &str| told[name].as_u64().with_context(|| format!("it tells no {name}"));
    let seconds = |name: &str| Ok::<f64, anyhow::Error>(number(name)? as f64 / 1e6);
    let versions = told["versions"].as_object().into_iter().flatten();
    Ok(Outcome {
        requests: number("requests")?,
        seconds: seconds("microseconds")?,
        p50: seconds("p50")?,
        p99: seconds("p99")?,
        failed: number("broken")? + number("refused")?,
        versions: versions
            .filter_map(|(version, count)| Some((version.clone(), count.as_u64()?)))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_wrk_is_read() {
        let output = b"Running 1s test\n  5 requests\n{\"requests\":5,\"microseconds\":2000000,\"p50\":1500,\"p99\":9000,\
            \"broken\":1,\"refused\":2,\"versions\":{\"7\":5}}\n";
        let expected = Outcome {
            requests: 5,
            seconds: 2.0,
            p50: 0.0015,
            p99: 0.009,
            failed: 3,
            versions: BTreeMap::from([("7".to_owned(), 5)]),
        };
        assert_eq!(read(output).unwrap(), expected);
        assert!(read(b"unable to connect\n").is_err());
    }
}
