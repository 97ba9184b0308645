//! How long `fragua up` takes until every role answers, and the memory it holds then.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::process::{Running, status_of, wait_for};
use super::{median, program};

/// Starts measured.
const RUNS: usize = 5;
/// Airflow, MLflow and FastAPI of the stack that Fragua takes the place of, each measured on a quiet machine.
const OLD_SECONDS: [f64; 3] = [13.5, 16.0, 6.0];
const OLD_MEBIBYTES: [f64; 3] = [685.0, 416.0, 745.0];

/// One start.
#[derive(Debug, Clone, Copy)]
struct Measure {
    seconds: f64,
    mebibytes: f64,
}

pub(super) fn run(chosen: Option<PathBuf>) -> Result<()> {
    let program = program(chosen)?;
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
    let mut running = Running::new("fragua", up.spawn().context("cannot start fragua up")?);
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
    let mebibytes = running.usage()?.mebibytes;
    running.stop()?;
    Ok(Measure { seconds, mebibytes })
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
