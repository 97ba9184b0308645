//! Fragua's orchestrator beside Airflow: both over SQLite, four tasks at once, the same DAGs, asked by the same client.
//!
//! One side is measured after the other, because Airflow is never idle. Times on a shared machine wander, so what
//! counts are the ratios. Processor time is that of the server and of all processes below it.

mod dags;
mod peers;
mod scale;
mod works;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use super::program;
use crate::python;
use peers::Side;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// From the start to a scheduler that says it is healthy, and the memory held then.
    Start,
    /// From a trigger to the first command of the run.
    FirstTask,
    /// 100 tasks, one after the other.
    Chain,
    /// 100 tasks that wait for nothing.
    Parallel,
    /// 10 runs of 10 tasks, one after the other in each.
    Runs,
    /// Tasks that have nothing to do, one after the other.
    Hop,
    /// From a changed DAG file to the changed DAG.
    File,
    /// From the end of a worker to a task that is given to another.
    LostWorker,
    /// 1,000 DAGs with 100 runs each: pages, and what an idle scheduler takes.
    Scale,
}

/// One row of the table.
struct Line {
    name: String,
    value: f64,
    unit: Unit,
    cpu_seconds: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Mebibytes,
    /// Of one processor.
    Percent,
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::Seconds => write_seconds(value),
            Self::Mebibytes => format!("{value:.0} MiB"),
            Self::Percent => format!("{value:.2} %"),
        }
    }
}

fn write_seconds(seconds: f64) -> String {
    match seconds {
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

pub(super) fn run(chosen: Option<PathBuf>, only: &[Work], without_peer: bool) -> Result<()> {
    let program = program(chosen)?;
    let python = match without_peer {
        true => None,
        false => Some(python::environment(python::AIRFLOW_SERVER)?),
    };
    let works: Vec<Work> = Work::value_variants()
        .iter()
        .copied()
        .filter(|work| only.is_empty() || only.contains(work))
        .collect();
    let folder = std::env::temp_dir().join(format!("fragua-bench-orchestrator-{}", std::process::id()));
    let sides = [Some(Side::Fragua(&program)), python.as_deref().map(Side::Airflow)];
    let measured: Result<Vec<Vec<Line>>> = sides
        .into_iter()
        .flatten()
        .map(|side| measure(side, &works, &folder.join(side.name())))
        .collect();
    let _ = std::fs::remove_dir_all(&folder);
    print(&measured?);
    Ok(())
}

fn measure(side: Side<'_>, works: &[Work], folder: &Path) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for work in works {
        let name = work.to_possible_value();
        let name = name.as_ref().map_or("", |name| name.get_name());
        eprintln!("{}: {name} …", side.name());
        let folder = folder.join(name);
        let found = match work {
            Work::Scale => scale::measure(side, folder),
            work => works::measure(*work, side, folder),
        };
        lines.extend(found.with_context(|| format!("{name} with {}", side.name()))?);
    }
    Ok(lines)
}

fn print(measured: &[Vec<Line>]) {
    let Some(ours) = measured.first() else { return };
    let theirs = measured.get(1);
    println!("| work | Fragua | Airflow | times as fast | Fragua CPU | Airflow CPU | times less CPU |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (at, line) in ours.iter().enumerate() {
        let peer = theirs.and_then(|theirs| theirs.get(at));
        let cpu = |line: &Line| line.cpu_seconds.map(write_seconds);
        let peer_cpu = peer.and_then(|peer| peer.cpu_seconds);
        // What the kernel counts in hundredths of a second may be none.
        let ratio = |one: f64, other: f64, least: f64| format!("{:.0}", other / one.max(least));
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            line.name,
            line.unit.write(line.value),
            peer.map(|peer| line.unit.write(peer.value)).unwrap_or_default(),
            peer.map(|peer| ratio(line.value, peer.value, f64::MIN_POSITIVE))
                .unwrap_or_default(),
            cpu(line).unwrap_or_default(),
            peer.and_then(cpu).unwrap_or_default(),
            line.cpu_seconds
                .zip(peer_cpu)
                .map(|(one, other)| ratio(one, other, 0.01))
                .unwrap_or_default(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_with_their_unit() {
        assert_eq!(Unit::Seconds.write(0.0123), "12.3 ms");
        assert_eq!(Unit::Seconds.write(83.0), "83.00 s");
        assert_eq!(Unit::Percent.write(0.125), "0.12 %");
    }
}
