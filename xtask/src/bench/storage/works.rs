//! What is measured.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::files;
use super::load::{Load, Outcome};
use super::servers::{ACCESS_KEY, BUCKET, Programs, SECRET_KEY, Server, Side};
use super::uploads::{self, UPLOADS};
use crate::bench::median;
use crate::bench::process::output;
use crate::bench::wrk::Wrk;

/// Sizes of objects with the names of their requests.
const SIZES: [(&str, u64); 3] = [("4KiB", 4 << 10), ("1MiB", 1 << 20), ("64MiB", 64 << 20)];
const CONNECTIONS: [usize; 2] = [1, 16];

/// All that measuring takes.
pub(super) struct Bench {
    pub(super) programs: Programs,
    pub(super) wrk: Wrk,
    pub(super) folder: PathBuf,
    pub(super) keys: u32,
    /// Of each store; the median counts.
    pub(super) turns: usize,
    pub(super) without_peers: bool,
}

/// What an operation costs a store.
#[derive(Debug, Clone, Copy)]
struct Measured {
    per_second: f64,
    cpu_seconds: f64,
    p99: f64,
}

/// One row of the table: what a work costs each store, and the limit.
struct Line {
    name: String,
    measured: Vec<(Side, Measured)>,
    limit: Option<Measured>,
}

impl Bench {
    pub(super) fn run(&self) -> Result<()> {
        let mut stores = Vec::new();
        for side in self.stores() {
            eprintln!("Starting {} …", side.name());
            let server = self.programs.start(side, &self.folder)?;
            self.prepare(&server)?;
            eprintln!("Filling {} …", side.name());
            for (size, bytes) in SIZES {
                self.once(&server, &format!("put-{size}"), bytes)
                    .with_context(|| side.name())?;
            }
            stores.push(server);
        }
        let nginx = self.programs.start(Side::Nginx, &self.folder)?;
        fill_files(&nginx)?;
        for (size, _) in SIZES {
            // It answers the requests of a store with the files of the same paths, and does not read their signatures.
            let requests = format!("get-{size}");
            fs::copy(stores[0].folder.join(&requests), nginx.folder.join(&requests))?;
        }
        println!(
            "| work | | a second | CPU an operation | 99th percentile | times less CPU than the better peer | share of the limit |"
        );
        println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
        for (size, bytes) in SIZES {
            for connections in CONNECTIONS {
                self.put(&stores, size, bytes, connections)?.print();
                self.get(&stores, &nginx, (size, bytes), connections)?.print();
            }
        }
        self.list_and_delete(&stores)?;
        println!();
        for store in &stores {
            let (name, held) = (store.side.name(), store.running.usage()?.mebibytes);
            uploads::begin_all(store, "put-list").with_context(|| name)?;
            let most = store.running.peak_mebibytes()?;
            println!(
                "{name} holds {held:.0} MiB afterwards, and never held more than {most:.0} MiB, {UPLOADS} uploads of 1 GiB at once in it."
            );
        }
        Ok(())
    }

    fn stores(&self) -> Vec<Side> {
        let mut stores = vec![Side::Fragua];
        if !self.without_peers {
            stores.push(Side::Seaweed);
        }
        if self.programs.garage.is_some() {
            stores.push(Side::Garage);
        }
        stores
    }

    /// Makes the bucket and signs the requests.
    fn prepare(&self, server: &Server) -> Result<()> {
        let mut python = Command::new(&self.programs.python);
        python
            .args(["-c", include_str!("prepare.py"), &server.address])
            .args([ACCESS_KEY, SECRET_KEY, server.side.region()])
            .arg(&server.folder)
            .arg(self.keys.to_string());
        output(&mut python).map(drop)
    }

    fn once(&self, server: &Server, requests: &str, bytes: u64) -> Result<Measured> {
        let connections = if bytes > 1 << 22 { 2 } else { 16 };
        self.load(server, requests, bytes, connections, None)
    }

    fn load(
        &self,
        server: &Server,
        requests: &str,
        bytes: u64,
        connections: usize,
        seconds: Option<u64>,
    ) -> Result<Measured> {
        let before = server.running.usage()?.cpu_seconds;
        let load = Load {
            address: &server.address,
            requests: &server.folder.join(requests),
            bytes,
            connections,
            seconds,
        };
        let outcome = load.run(&self.wrk)?;
        Ok(Measured::of(
            outcome,
            server.running.usage()?.cpu_seconds - before,
        ))
    }

    /// Loads the stores in turns, and with them what is the limit.
    fn turns(
        &self,
        stores: &[Server],
        name: String,
        load: impl Fn(&Server) -> Result<Measured>,
        limit: Option<&dyn Fn() -> Result<Measured>>,
    ) -> Result<Line> {
        let mut all: Vec<Vec<Measured>> = stores.iter().map(|_| Vec::new()).collect();
        let mut limits = Vec::new();
        for _ in 0..self.turns {
            for (store, all) in stores.iter().zip(&mut all) {
                all.push(load(store).with_context(|| store.side.name())?);
            }
            limits.extend(limit.map(|limit| limit()).transpose()?);
        }
        let sides = stores.iter().map(|store| store.side);
        Ok(Line {
            name,
            measured: sides.zip(all.iter().map(|all| Measured::median(all))).collect(),
            limit: (!limits.is_empty()).then(|| Measured::median(&limits)),
        })
    }

    fn put(&self, stores: &[Server], size: &str, bytes: u64, connections: usize) -> Result<Line> {
        let requests = format!("put-{size}");
        let folder = self.folder.join("plain");
        let files = || {
            let (outcome, cpu_seconds) =
                files::write(&folder, bytes, connections, seconds(bytes, connections))?;
            Ok(Measured::of(outcome, cpu_seconds))
        };
        self.turns(
            stores,
            format!("PUT {size}, {connections} at a time"),
            |store| {
                self.load(
                    store,
                    &requests,
                    bytes,
                    connections,
                    Some(seconds(bytes, connections)),
                )
            },
            Some(&files),
        )
    }

    fn get(
        &self,
        stores: &[Server],
        nginx: &Server,
        (size, bytes): (&str, u64),
        connections: usize,
    ) -> Result<Line> {
        let requests = format!("get-{size}");
        let load = |store: &Server| {
            self.load(
                store,
                &requests,
                0,
                connections,
                Some(seconds(bytes, connections)),
            )
        };
        self.turns(
            stores,
            format!("GET {size}, {connections} at a time"),
            load,
            Some(&|| load(nginx)),
        )
    }

    fn list_and_delete(&self, stores: &[Server]) -> Result<()> {
        let filled = format!("PUT of {} objects of 16 bytes", self.keys);
        self.each(stores, filled, |store| self.once(store, "put-list", 16))?
            .print();
        let listed = format!("LIST, a page of 1,000 of {} keys", self.keys);
        let list = |store: &Server| self.load(store, "list", 0, 1, Some(seconds(0, 1)));
        self.turns(stores, listed, list, None)?.print();
        let deleted = "DELETE of all of them".to_owned();
        self.each(stores, deleted, |store| self.once(store, "delete-list", 0))?
            .print();
        Ok(())
    }

    /// Has each store do what can be done once only.
    fn each(
        &self,
        stores: &[Server],
        name: String,
        load: impl Fn(&Server) -> Result<Measured>,
    ) -> Result<Line> {
        let measured = stores.iter().map(|store| {
            let measured = load(store).with_context(|| store.side.name())?;
            Ok((store.side, measured))
        });
        Ok(Line {
            name,
            measured: measured.collect::<Result<_>>()?,
            limit: None,
        })
    }
}

/// How long a turn is: sixteen large objects on their way take a while until the first one is whole. Longer turns would fill
/// the disk: SeaweedFS gives no room back.
fn seconds(bytes: u64, connections: usize) -> u64 {
    match (bytes > 1 << 22, connections) {
        (false, _) => 3,
        (true, 1) => 6,
        (true, _) => 12,
    }
}

/// Writes the files that nginx serves.
fn fill_files(nginx: &Server) -> Result<()> {
    for (size, bytes) in SIZES {
        let folder = nginx.folder.join("data").join(BUCKET).join(size);
        fs::create_dir_all(&folder)?;
        let bytes = vec![b'x'; usize::try_from(bytes)?];
        for number in 0..objects(size) {
            fs::write(folder.join(format!("{number:06}")), &bytes)?;
        }
    }
    Ok(())
}

/// Objects of a size, as `prepare.py` signs requests for them.
fn objects(size: &str) -> usize {
    match size {
        "4KiB" => 8_000,
        "1MiB" => 400,
        _ => 8,
    }
}

impl Measured {
    fn of(outcome: Outcome, cpu_seconds: f64) -> Self {
        let requests = outcome.requests as f64;
        Self {
            per_second: requests / outcome.seconds,
            cpu_seconds: cpu_seconds / requests,
            p99: outcome.p99,
        }
    }

    fn median(all: &[Self]) -> Self {
        let of = |pick: fn(&Self) -> f64| median(all.iter().map(pick));
        Self {
            per_second: of(|one| one.per_second),
            cpu_seconds: of(|one| one.cpu_seconds),
            p99: of(|one| one.p99),
        }
    }
}

impl Line {
    fn print(&self) {
        let peers = self.measured.iter().filter(|(side, _)| *side != Side::Fragua);
        let best = peers.map(|(_, peer)| peer.cpu_seconds).reduce(f64::min);
        for (side, measured) in &self.measured {
            let is_ours = *side == Side::Fragua;
            let ratio = best.filter(|_| is_ours).map(|best| best / measured.cpu_seconds);
            let share = self
                .limit
                .map(|limit| measured.per_second / limit.per_second * 100.0);
            println!(
                "| {} | {} | {} | {} | {} |",
                self.name,
                side.name(),
                measured.cells(),
                ratio.map(|ratio| format!("{ratio:.1}")).unwrap_or_default(),
                share.map(|share| format!("{share:.0} %")).unwrap_or_default(),
            );
        }
        if let Some(limit) = self.limit {
            println!("| {} | limit | {} | | |", self.name, limit.cells());
        }
    }
}

impl Measured {
    fn cells(&self) -> String {
        format!(
            "{:.0} | {} | {:.2} ms",
            self.per_second,
            microseconds(self.cpu_seconds),
            self.p99 * 1e3
        )
    }
}

fn microseconds(seconds: f64) -> String {
    match seconds {
        ..1e-3 => format!("{:.0} µs", seconds * 1e6),
        _ => format!("{:.1} ms", seconds * 1e3),
    }
}
