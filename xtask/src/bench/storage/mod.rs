//! The role `storage` beside SeaweedFS and Garage: the same signed requests, sent by `wrk`, on the same disk. nginx serving
//! files and plain files written and synced are the limits.
//!
//! Times on a shared machine wander, so what counts are operations a second of processor time, which is that of the server
//! and of all processes below it. The servers take turns; each figure is the median of several turns.

mod files;
mod load;
mod servers;
mod uploads;
mod works;
mod writes;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::wrk::Wrk;
use super::{program, target_folder};
use crate::python;
use crate::test::cargo;
use servers::Programs;
use works::Bench;

/// Of Garage, which is built once.
const GARAGE_VERSION: &str = "2.5.0";

/// How much is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Measure this program in place of one built now with the profile `dist`, as it is shipped.
    #[arg(long)]
    program: Option<PathBuf>,
    /// The program `garage`, in place of one built now from crates.io.
    #[arg(long)]
    garage: Option<PathBuf>,
    /// Leave Garage out, which takes many minutes to build.
    #[arg(long, conflicts_with = "garage")]
    without_garage: bool,
    /// Fragua and the limits alone, for a quick look.
    #[arg(long)]
    without_peers: bool,
    /// Objects that are listed and deleted.
    #[arg(long, default_value_t = 100_000)]
    keys: u32,
    /// Turns that each store has at a work; the median counts.
    #[arg(long, default_value_t = 3)]
    turns: usize,
    /// Where the stores keep their data: a folder on the disk to measure.
    #[arg(long)]
    folder: Option<PathBuf>,
}

pub(super) fn run(options: Options) -> Result<()> {
    let fragua = program(options.program)?;
    println!("Fragua is {}.\n", fragua.display());
    let garage = match (options.without_garage || options.without_peers, options.garage) {
        (true, _) => None,
        (false, Some(garage)) => Some(garage),
        (false, None) => Some(build_garage()?),
    };
    let programs = Programs {
        fragua,
        python: python::environment(python::STORAGE)?,
        garage,
    };
    let folder = options.folder.unwrap_or_else(std::env::temp_dir);
    let folder = folder.join(format!("fragua-bench-storage-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = Wrk::install(&folder, load::SCRIPT).and_then(|wrk| {
        let bench = Bench {
            programs,
            wrk,
            folder: folder.clone(),
            keys: options.keys,
            turns: options.turns,
            without_peers: options.without_peers,
        };
        bench.run()
    });
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn build_garage() -> Result<PathBuf> {
    let root = target_folder()?.join(format!("garage-{GARAGE_VERSION}"));
    let program = root.join("bin/garage");
    if !program.exists() {
        eprintln!("Building Garage {GARAGE_VERSION}, once …");
        let mut install = cargo(&["install", "garage", "--locked", "--version", GARAGE_VERSION]);
        let status = install.arg("--root").arg(&root).status();
        ensure!(
            status.context("cannot run cargo install")?.success(),
            "the build of Garage failed"
        );
    }
    Ok(program)
}
