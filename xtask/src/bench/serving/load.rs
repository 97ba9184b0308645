//! Loads of one server.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::bench::process::kill;
use crate::bench::wrk::{Told, Wrk};

/// Asks for the rows of a file in turn.
pub(super) const SCRIPT: &str = include_str!("requests.lua");

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

impl Load<'_> {
    fn command(self, wrk: &Wrk) -> Command {
        let mut command = wrk.command(self.url, self.connections, self.seconds);
        command.arg(self.bodies);
        command
    }

    /// Loads a server for a while.
    pub(super) fn run(self, wrk: &Wrk) -> Result<Outcome> {
        let output = self.command(wrk).output().context("cannot run wrk")?;
        read(&output.stdout).with_context(|| format!("the load of {}", self.url))
    }

    /// Loads a server until [`Lasting::end`], for the seconds of `self` at most, and counts the answers of each version.
    pub(super) fn start(self, wrk: &Wrk) -> Result<Lasting> {
        let mut command = self.command(wrk);
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
    let told = Told::read(output)?;
    Ok(Outcome {
        requests: told.number("requests")?,
        seconds: told.seconds("microseconds")?,
        p50: told.seconds("p50")?,
        p99: told.seconds("p99")?,
        failed: told.number("broken")? + told.number("refused")?,
        versions: told.counts("versions").collect(),
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
