//! Files written as a store has to write them, and nothing around it: the most that a disk gives.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::load::Outcome;
use crate::bench::process::own_cpu_seconds;

/// What is written in one go.
const PIECE: usize = 256 * 1024;

/// Writes files of so many bytes to temporary names, syncs and renames them, from some threads for a while. Returns what
/// came of it and the processor seconds it took.
pub(super) fn write(folder: &Path, bytes: u64, threads: usize, seconds: u64) -> Result<(Outcome, f64)> {
    fs::create_dir_all(folder)?;
    let begin = Instant::now();
    let before = own_cpu_seconds()?;
    let end = begin + Duration::from_secs(seconds);
    let written: Vec<Result<Vec<f64>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || write_until(folder, bytes, thread, end)))
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let panicked = |_| Err(anyhow::anyhow!("a thread panicked"));
            thread.join().unwrap_or_else(panicked)
        });
        joined.collect()
    });
    let elapsed = begin.elapsed().as_secs_f64();
    let cpu_seconds = own_cpu_seconds()? - before;
    let mut times: Vec<f64> = written.into_iter().collect::<Result<Vec<_>>>()?.concat();
    times.sort_by(f64::total_cmp);
    let outcome = Outcome {
        requests: times.len() as u64,
        seconds: elapsed,
        p99: times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN),
    };
    fs::remove_dir_all(folder)?;
    Ok((outcome, cpu_seconds))
}

fn write_until(folder: &Path, bytes: u64, thread: usize, end: Instant) -> Result<Vec<f64>> {
    let piece = vec![b'x'; PIECE.min(usize::try_from(bytes)?)];
    let mut times = Vec::new();
    while Instant::now() < end {
        let begin = Instant::now();
        let temporary = folder.join(format!("{thread}.temporary"));
        let mut file = File::create(&temporary)?;
        let mut left = bytes;
        while left > 0 {
            let length = left.min(piece.len() as u64);
            file.write_all(&piece[..usize::try_from(length)?])?;
            left -= length;
        }
        file.sync_data().context("cannot sync")?;
        fs::rename(&temporary, folder.join(format!("{thread}-{}", times.len() % 100)))?;
        File::open(folder)?.sync_all()?;
        times.push(begin.elapsed().as_secs_f64());
    }
    Ok(times)
}
