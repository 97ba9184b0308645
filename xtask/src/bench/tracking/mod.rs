//! Tracking beside MLflow's own server: both over SQLite, on copies of one database, asked the same by the same client.
//!
//! Times on a shared machine wander, so what counts are the ratios. Processor time is that of the server and of all
//! processes below it.

mod peers;
mod rows;
mod works;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::process::output;
use super::{median, program};
use crate::python;
use peers::Peer;
use works::{Side, Work};

pub(super) fn run(chosen: Option<PathBuf>) -> Result<()> {
    let program = program(chosen)?;
    println!("Fragua is {}.\n", program.display());
    let python = python::environment(python::CLIENTS)?;
    let folder = std::env::temp_dir().join(format!("fragua-bench-tracking-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = compare(&program, &python, &folder);
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn compare(program: &Path, python: &Path, folder: &Path) -> Result<()> {
    eprintln!("Making a database with MLflow, filling it through Fragua …");
    let ours = folder.join("fragua.db");
    peers::make_database(python, &ours)?;
    let data = {
        let mut fragua = peers::fragua(program, folder, &ours)?;
        let data = rows::fill(&fragua.client)?;
        fragua.running.stop()?;
        data
    };
    let theirs = folder.join("mlflow.db");
    peers::copy_database(python, &ours, &theirs)?;

    eprintln!("Starting both …");
    let fragua = peers::fragua(program, folder, &ours)?;
    let mlflow = peers::mlflow(python, folder, &theirs)?;
    println!("| work | Fragua | MLflow | times as fast | Fragua CPU | MLflow CPU | times less CPU |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    print_starts(&fragua, &mlflow)?;
    for work in works::all() {
        let one = measure(&work, &fragua, Side::Fragua, &data).with_context(|| work.name.to_owned())?;
        let other = measure(&work, &mlflow, Side::Mlflow, &data).with_context(|| work.name.to_owned())?;
        println!(
            "| {} | {} | {} | {:.0} | {:.2} ms | {:.2} ms | {:.0} |",
            work.name,
            one.describe(&work),
            other.describe(&work),
            one.speed_over(&other, &work),
            one.cpu_milliseconds,
            other.cpu_milliseconds,
            other.cpu_milliseconds / one.cpu_milliseconds
        );
    }
    println!();
    println!(
        "Fragua has held {:.0} MiB at most, with files of {} MiB going through it.",
        fragua.running.peak_mebibytes()?,
        works::LARGE_FILE_MEBIBYTES
    );
    for keys in [works::FEW_KEYS, works::BATCH] {
        let database = folder.join(format!("driver-{keys}.db"));
        let driver = bare_driver(python, &database, keys)?;
        println!(
            "Python's bare SQLite driver takes {:.1} ms, {:.1} ms of them processor time, for {} metrics of {keys} keys.",
            driver.seconds * 1e3,
            driver.cpu_milliseconds,
            works::BATCH
        );
    }
    Ok(())
}

fn print_starts(fragua: &Peer, mlflow: &Peer) -> Result<()> {
    let (one, other) = (fragua.running.usage()?, mlflow.running.usage()?);
    println!(
        "| start to healthy | {:.2} s | {:.2} s | {:.0} | {:.0} ms | {:.0} ms | {:.0} |",
        fragua.start_seconds,
        mlflow.start_seconds,
        mlflow.start_seconds / fragua.start_seconds,
        fragua.start_usage.cpu_seconds * 1e3,
        mlflow.start_usage.cpu_seconds * 1e3,
        mlflow.start_usage.cpu_seconds / fragua.start_usage.cpu_seconds.max(0.01)
    );
    println!(
        "| idle memory | {:.0} MiB | {:.0} MiB | {:.0} | | | |",
        one.mebibytes,
        other.mebibytes,
        other.mebibytes / one.mebibytes
    );
    Ok(())
}

/// What one work cost one server.
struct Measured {
    /// The median of the times until an answer.
    seconds: f64,
    /// Answers in a second over all connections.
    rate: f64,
    cpu_milliseconds: f64,
}

impl Measured {
    fn describe(&self, work: &Work) -> String {
        match (work.mebibytes, work.connections) {
            (Some(mebibytes), _) => format!("{:.0} MiB/s", mebibytes / self.seconds),
            (None, 1) => format!("{:.2} ms", self.seconds * 1e3),
            (None, _) => format!("{:.0}/s", self.rate),
        }
    }

    fn speed_over(&self, other: &Self, work: &Work) -> f64 {
        if work.connections == 1 {
            other.seconds / self.seconds
        } else {
            self.rate / other.rate
        }
    }
}

fn measure(work: &Work, peer: &Peer, side: Side, data: &rows::Data) -> Result<Measured> {
    let count = work.count(side);
    let mut prepared = Vec::with_capacity(work.connections);
    for connection in 0..work.connections {
        let client = peer.client.another();
        let job = (work.prepare)(&client, data, connection)?;
        // The first request fills caches on both sides.
        job(0)?;
        prepared.push((client, job));
    }
    let before = peer.running.usage()?;
    let begin = Instant::now();
    let times: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = prepared
            .iter()
            .map(|(client, job)| {
                scope.spawn(move || {
                    (1..=count)
                        .map(|number| {
                            let before = client.waited();
                            job(number)?;
                            Ok((client.waited() - before).as_secs_f64())
                        })
                        .collect::<Result<Vec<f64>>>()
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a connection's thread panicked")))
        });
        joined.collect::<Result<_>>()
    })?;
    let elapsed = begin.elapsed().as_secs_f64();
    let after = peer.running.usage()?;
    let all = (count * work.connections) as f64;
    Ok(Measured {
        seconds: median(times.into_iter().flatten()),
        rate: all / elapsed,
        cpu_milliseconds: (after.cpu_seconds - before.cpu_seconds) * 1e3 / all,
    })
}

/// What one batch costs with nothing around SQLite: MLflow's tables, indexes and settings, and the mean of as many
/// batches as both servers get.
fn bare_driver(python: &Path, database: &Path, keys: usize) -> Result<Measured> {
    const SCRIPT: &str = r#"
import sqlite3, sys, time
database, batches, size, keys = sys.argv[1], *map(int, sys.argv[2:])
connection = sqlite3.connect(database, isolation_level=None)
connection.executescript("""
PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
CREATE TABLE metrics (key VARCHAR(250), value FLOAT, timestamp BIGINT, run_uuid VARCHAR(32), step BIGINT,
    is_nan BOOLEAN, PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE INDEX of_run ON metrics (run_uuid);
CREATE INDEX of_key ON metrics (run_uuid, key, step);
CREATE TABLE latest_metrics (key VARCHAR(250), value FLOAT, timestamp BIGINT, step BIGINT, is_nan BOOLEAN,
    run_uuid VARCHAR(32), PRIMARY KEY (key, run_uuid));
CREATE INDEX latest_of_run ON latest_metrics (run_uuid);
""")
steps, run = size // keys, "a" * 32
begin, begin_cpu = time.perf_counter(), time.process_time()
for batch in range(batches):
    rows = [(f"metric_{at % keys}", at / 7, 1700000000000 + batch * steps + at // keys, run, batch * steps + at // keys, 0)
        for at in range(size)]
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT OR IGNORE INTO metrics VALUES (?, ?, ?, ?, ?, ?)", sorted(rows))
    latest = [(key, value, timestamp, step, is_nan, run) for key, value, timestamp, run, step, is_nan in rows[-keys:]]
    connection.executemany("INSERT OR REPLACE INTO latest_metrics VALUES (?, ?, ?, ?, ?, ?)", sorted(latest))
    connection.execute("COMMIT")
print((time.perf_counter() - begin) / batches, (time.process_time() - begin_cpu) / batches)
"#;
    let mut command = Command::new(python);
    command
        .args(["-c", SCRIPT])
        .arg(database)
        .args([works::BATCHES, works::BATCH, keys].map(|number| number.to_string()));
    let printed = output(&mut command).context("the bare driver")?;
    let (seconds, cpu_seconds) = printed
        .trim()
        .split_once(' ')
        .context("the bare driver says no times")?;
    let (seconds, cpu_seconds): (f64, f64) = (seconds.parse()?, cpu_seconds.parse()?);
    Ok(Measured {
        seconds,
        rate: 1.0 / seconds,
        cpu_milliseconds: cpu_seconds * 1e3,
    })
}
