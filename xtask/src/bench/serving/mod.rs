//! The role `serving` beside the API of the old stack: one scikit-learn forest, as an ONNX file here and as a pickle behind
//! FastAPI there, loaded by `wrk` with the same requests.
//!
//! Times on a shared machine wander, so what counts are the ratios of processor time, which is that of the server and of
//! all processes below it. The servers take turns; each figure is the median of several turns.

mod load;
mod servers;
mod works;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use super::wrk::Wrk;
use super::{program, target_folder};
use crate::python;
use crate::test::cargo;
use servers::{Place, Side};
use works::Bench;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// From the start to the first answer of `/predict`.
    Start,
    /// One row a request, and the memory held afterwards.
    Row,
    /// 1,000 rows a request, and the memory held afterwards.
    Batch,
    /// Another version of the model, 50 times, while requests come.
    Swaps,
}

/// One row of the table: a figure for each side that has one.
#[derive(Debug)]
struct Line {
    name: String,
    unit: Unit,
    values: Vec<(Side, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    PerSecond,
    Mebibytes,
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::Seconds if value < 1e-3 => format!("{:.1} µs", value * 1e6),
            Self::Seconds if value < 1.0 => format!("{:.2} ms", value * 1e3),
            Self::Seconds => format!("{value:.2} s"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Mebibytes => format!("{value:.0} MiB"),
        }
    }
}

pub(super) fn run(chosen: Option<PathBuf>, only: &[Work], without_peer: bool) -> Result<()> {
    let program = program(chosen)?;
    println!("Fragua is {}.\n", program.display());
    let works: Vec<Work> = Work::value_variants()
        .iter()
        .copied()
        .filter(|work| only.is_empty() || only.contains(work))
        .collect();
    let bare = works.contains(&Work::Row).then(build_bare).transpose()?;
    let python = python::environment(python::SERVING)?;
    let folder = std::env::temp_dir().join(format!("fragua-bench-serving-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let wrk = Wrk::install(&folder, load::SCRIPT)?;
    let result = Place::make(program, python, bare, folder.clone()).and_then(|place| {
        measure(
            &Bench {
                place,
                wrk,
                without_peer,
            },
            &works,
        )
    });
    let _ = std::fs::remove_dir_all(&folder);
    result
}

/// Builds the handler without a model as the program is built. It is an example of this package, which needs little more
/// than it does.
fn build_bare() -> Result<PathBuf> {
    let build = [
        "build",
        "--profile",
        "dist",
        "--package",
        "xtask",
        "--example",
        "bare",
    ];
    let status = cargo(&build).status().context("cannot run cargo build")?;
    ensure!(status.success(), "the build failed");
    Ok(target_folder()?.join("dist/examples/bare"))
}

fn measure(bench: &Bench, works: &[Work]) -> Result<()> {
    bench.compare_answers()?;
    let mut lines = Vec::new();
    if works.contains(&Work::Start) {
        lines.extend(bench.starts()?);
    }
    lines.extend(bench.loads(works)?);
    if !lines.is_empty() {
        print(&lines);
    }
    if let Some(shares) = shares_of_bare(&lines) {
        println!("\n{shares}");
    }
    if works.contains(&Work::Swaps) {
        println!("\n{}", bench.swaps()?);
    }
    Ok(())
}

impl Line {
    fn of(&self, side: Side) -> Option<f64> {
        let found = self.values.iter().find(|(known, _)| *known == side);
        found.map(|(_, value)| *value)
    }
}

/// Says how near Fragua comes to the handler that has no model, under the heaviest load of single rows.
fn shares_of_bare(lines: &[Line]) -> Option<String> {
    let has_bare = |line: &&Line| line.unit == Unit::PerSecond && line.of(Side::Bare).is_some();
    let line = lines.iter().rfind(has_bare)?;
    let share = |side| Some(line.of(side)? / line.of(Side::Bare)? * 100.0);
    Some(format!(
        "Of the requests that the empty handler answers in a second Fragua answers {:.0} % with the ONNX file and {:.0} % with \
         its own forest.",
        share(Side::Onnx)?,
        share(Side::Own)?
    ))
}

fn print(lines: &[Line]) {
    let sides = [Side::Onnx, Side::Own, Side::Fastapi, Side::Bare];
    let names = sides.map(Side::name).join(" | ");
    println!("\n| work | {names} | times better, ONNX | times better, own forest |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for line in lines {
        let cells = sides.map(|side| {
            line.of(side)
                .map(|value| line.unit.write(value))
                .unwrap_or_default()
        });
        let ratio = |side| {
            let (ours, theirs) = (line.of(side)?, line.of(Side::Fastapi)?);
            let times = match line.unit {
                Unit::PerSecond => ours / theirs,
                Unit::Seconds | Unit::Mebibytes => theirs / ours,
            };
            Some(match times {
                ..10.0 => format!("{times:.1}"),
                _ => format!("{times:.0}"),
            })
        };
        let ratios = [Side::Onnx, Side::Own].map(|side| ratio(side).unwrap_or_default());
        println!(
            "| {} | {} | {} |",
            line.name,
            cells.join(" | "),
            ratios.join(" | ")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_with_their_unit() {
        assert_eq!(Unit::Seconds.write(0.000_021_4), "21.4 µs");
        assert_eq!(Unit::Seconds.write(0.0123), "12.30 ms");
        assert_eq!(Unit::Seconds.write(83.0), "83.00 s");
        assert_eq!(Unit::PerSecond.write(12_345.6), "12346/s");
    }

    #[test]
    fn the_heaviest_load_is_compared_with_the_empty_handler() {
        let line = |unit, bare| Line {
            name: String::new(),
            unit,
            values: vec![(Side::Onnx, 30.0), (Side::Own, 60.0), (Side::Bare, bare)],
        };
        let lines = [
            line(Unit::PerSecond, 1.0),
            line(Unit::PerSecond, 120.0),
            line(Unit::Seconds, 2.0),
        ];
        let shares = shares_of_bare(&lines).unwrap();
        assert!(shares.contains("25 % with the ONNX file and 50 %"), "{shares}");
        assert_eq!(shares_of_bare(&lines[2..]), None);
    }
}
