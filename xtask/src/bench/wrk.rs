//! `wrk`, which keeps a server busy as a script says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{packages, server};

/// The program and its script.
pub(super) struct Wrk {
    program: PathBuf,
    script: PathBuf,
}

/// What a script printed in the end: one line of JSON with whole numbers.
pub(super) struct Told(Value);

impl Wrk {
    /// Finds the program, which is installed when it is missing, and writes the script.
    pub(super) fn install(folder: &Path, script: &str) -> Result<Self> {
        packages::install(&["wrk"])?;
        let path = folder.join("requests.lua");
        fs::write(&path, script).context("cannot write the script of wrk")?;
        Ok(Self {
            program: server::program("wrk", &["/usr/bin"]).map_err(anyhow::Error::msg)?,
            script: path,
        })
    }

    /// A load of so many seconds; what is added goes to the script.
    pub(super) fn command(&self, url: &str, connections: usize, seconds: u64) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--threads", "1", "--timeout", "300s", "--script"])
            .arg(&self.script)
            .args(["--connections", &connections.to_string()])
            .args(["--duration", &format!("{seconds}s")])
            .args([url, "--"])
            .stdin(Stdio::null());
        command
    }
}

impl Told {
    /// Reads what `wrk` printed.
    pub(super) fn read(output: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(output);
        let last = text.lines().last();
        let told = last.and_then(|line| serde_json::from_str(line).ok());
        told.map(Self)
            .with_context(|| format!("wrk tells no figures: {text}"))
    }

    pub(super) fn number(&self, name: &str) -> Result<u64> {
        let number = self.0[name].as_u64();
        number.with_context(|| format!("wrk tells no {name}"))
    }

    /// A number of microseconds in seconds.
    pub(super) fn seconds(&self, name: &str) -> Result<f64> {
        Ok(self.number(name)? as f64 / 1e6)
    }

    /// Numbers by their names.
    pub(super) fn counts(&self, name: &str) -> impl Iterator<Item = (String, u64)> {
        let counts = self.0[name].as_object().into_iter().flatten();
        counts.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)))
    }
}
