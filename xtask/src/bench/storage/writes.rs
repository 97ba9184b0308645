//! Loads of objects: what they carry is sent from where it lies, so that little is spent on this side.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::load::{Load, Outcome};
use crate::bench::client::Client;

/// Sends the requests of a file in turn, over so many connections; one that is refused is an error.
pub(super) fn send(load: Load<'_>) -> Result<Outcome> {
    let path = load.requests.display();
    let signed = fs::read_to_string(load.requests).with_context(|| path.to_string())?;
    let places: Vec<&str> = signed
        .lines()
        .filter_map(|line| line.strip_prefix("PUT "))
        .collect();
    ensure!(!places.is_empty(), "{path} has no PUT");
    let next = &AtomicUsize::new(0);
    let begin = Instant::now();
    let end = load.seconds.map(|seconds| begin + Duration::from_secs(seconds));
    let client = &Client::new(load.address);
    let connection = || -> Result<Vec<f64>> {
        let client = client.another();
        let mut times = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let is_over = match end {
                Some(end) => Instant::now() >= end,
                None => number >= places.len(),
            };
            if is_over {
                return Ok(times);
            }
            let asked = Instant::now();
            client.put(places[number % places.len()], load.bytes)?;
            times.push(asked.elapsed().as_secs_f64());
        }
    };
    let times: Vec<Vec<f64>> = thread::scope(|scope| {
        let connections: Vec<_> = (0..load.connections).map(|_| scope.spawn(connection)).collect();
        let ends = connections.into_iter().map(|end| end.join());
        ends.map(|end| end.unwrap_or_else(|_| bail!("a connection panicked")))
            .collect::<Result<_>>()
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let mut times = times.concat();
    times.sort_by(f64::total_cmp);
    Ok(Outcome {
        requests: times.len() as u64,
        seconds,
        p99: times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN),
    })
}
