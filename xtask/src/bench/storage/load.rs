//! Loads of signed requests.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::writes;
use crate::bench::wrk::{Told, Wrk};

/// Sends the requests of a file in turn.
pub(super) const SCRIPT: &str = include_str!("requests.lua");
/// A load of each request once may take this long.
const LONGEST_SECONDS: u64 = 3_600;

/// What is sent, and for how long.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) address: &'a str,
    /// `METHOD ADDRESS`, one a line.
    pub(super) requests: &'a Path,
    /// How many bytes each request carries; those that carry some are sent by [`writes`].
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

impl Load<'_> {
    /// Sends the requests; one that is refused or not answered is an error.
    pub(super) fn run(self, wrk: &Wrk) -> Result<Outcome> {
        if self.bytes > 0 {
            return writes::send(self);
        }
        let seconds = self.seconds.unwrap_or(LONGEST_SECONDS);
        let mut command = wrk.command(self.address, self.connections, seconds);
        command.arg(self.requests);
        if self.seconds.is_none() {
            command.arg("once");
        }
        let output = command.output().context("cannot run wrk")?;
        read(&output.stdout).with_context(|| format!("{} at {}", self.requests.display(), self.address))
    }
}

fn read(output: &[u8]) -> Result<Outcome> {
    let told = Told::read(output)?;
    let (requests, failed) = (told.number("requests")?, told.number("failed")?);
    ensure!(
        requests > 0 && failed == 0,
        "{failed} requests failed beside {requests} that were answered"
    );
    Ok(Outcome {
        requests,
        seconds: told.seconds("microseconds")?,
        p99: told.seconds("p99")?,
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
