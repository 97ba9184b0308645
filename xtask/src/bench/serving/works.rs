//! What is measured.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::load::{Load, Outcome};
use super::servers::{ALIAS, MODEL, Place, Server, Side};
use super::{Line, Unit, Work};
use crate::bench::client::Client;
use crate::bench::median;
use crate::bench::wrk::Wrk;

/// Turns of each server; the median counts.
const TURNS: usize = 3;
/// How long a turn is, after a shorter one that fills caches.
const SECONDS: u64 = 5;
const WARM_SECONDS: u64 = 1;
const STARTS: usize = 3;
const SWAPS: usize = 50;
/// By then the log has let go of the version that answered before, so that the next swap has to read it anew.
const BETWEEN_SWAPS: Duration = Duration::from_secs(1);
/// The connections of a load that no server keeps up with.
const CONNECTIONS: usize = 64;
const BATCH_ROWS: usize = 1_000;
/// A forest that was trained by another program must give the same answer to so many of 100 rows at least.
const LEAST_AGREEMENT: f64 = 80.0;
/// The longest that a swap may take, and a load that swaps go on under.
const SWAP_TIMEOUT: Duration = Duration::from_secs(60);
const LONGEST_LOAD_SECONDS: u64 = 3_600;

/// All that measuring takes.
pub(super) struct Bench {
    pub(super) place: Place,
    pub(super) wrk: Wrk,
    pub(super) without_peer: bool,
}

/// One way to ask: rows a request, and connections.
struct Asking<'a> {
    path: &'static str,
    bodies: &'a Path,
    rows: usize,
    connections: usize,
}

/// What a load cost and how fast it was answered.
struct Measured {
    cpu_seconds_per_row: f64,
    rows_per_second: f64,
    p50: f64,
    p99: f64,
}

impl Bench {
    /// The servers that have a model.
    fn sides(&self) -> Vec<Side> {
        let mut sides = vec![Side::Onnx, Side::Own];
        if !self.without_peer {
            sides.push(Side::Fastapi);
        }
        sides
    }

    /// Asks all servers for the same rows, because a wrong answer costs nothing.
    ///
    /// # Errors
    /// The ONNX file does not answer as the pickle, or a forest of ours answers something else altogether.
    pub(super) fn compare_answers(&self) -> Result<()> {
        eprintln!("Comparing answers …");
        let mut answers = Vec::new();
        for side in self.sides() {
            let mut server = self.place.start(side)?;
            answers.push((side, self.answers(&server.client).with_context(|| side.name())?));
            server.running.end()?;
        }
        let (_, first) = &answers[0];
        for (side, other) in &answers[1..] {
            let same = first
                .iter()
                .zip(other)
                .filter(|(one, other)| one == other)
                .count();
            let share = same as f64 / first.len() as f64 * 100.0;
            println!(
                "{} and {} answer {same} of {} rows alike.",
                Side::Onnx.name(),
                side.name(),
                first.len()
            );
            let least = if *side == Side::Own {
                LEAST_AGREEMENT
            } else {
                100.0
            };
            ensure!(
                first.len() == other.len() && share >= least,
                "they are no two servers of the same model"
            );
        }
        Ok(())
    }

    /// Returns the class of each row that loads ask for: first those that come alone, then those of a batch.
    fn answers(&self, client: &Client) -> Result<Vec<Value>> {
        let mut classes = Vec::new();
        for record in std::fs::read_to_string(self.place.records())?.lines() {
            let answer = client.post_text("/predict", record)?;
            classes.push(answer["Prediction"].clone());
        }
        let batch = std::fs::read_to_string(self.place.batch())?;
        let answer = client.post_text("/invocations", batch.trim_end())?;
        let rows = answer["predictions"].as_array().context("no predictions")?;
        ensure!(
            rows.len() == BATCH_ROWS,
            "{} rows are answered of {BATCH_ROWS}",
            rows.len()
        );
        classes.extend(rows.iter().map(|row| match row {
            // Fragua gives the class first, then the probabilities.
            Value::Object(record) => record.values().next().cloned().unwrap_or_default(),
            class => class.clone(),
        }));
        ensure!(classes.iter().all(Value::is_number), "a class is no number");
        Ok(classes)
    }

    pub(super) fn starts(&self) -> Result<Vec<Line>> {
        eprintln!("Starting …");
        let mut lines = Vec::new();
        let mut add = |name: &str, starts: Vec<(Side, Vec<(f64, f64)>)>| {
            let values = |pick: fn(&(f64, f64)) -> f64| {
                let values = starts
                    .iter()
                    .map(|(side, all)| (*side, median(all.iter().map(pick))));
                values.collect::<Vec<_>>()
            };
            for (name, values) in [
                (name.to_owned(), values(|start| start.0)),
                (format!("{name}, CPU"), values(|start| start.1)),
            ] {
                let unit = Unit::Seconds;
                lines.push(Line { name, unit, values });
            }
        };
        let times = |start: &dyn Fn() -> Result<Server>| {
            let one = |_| {
                let mut server = start()?;
                server.running.end()?;
                Ok((server.start_seconds, server.start_cpu_seconds))
            };
            (0..STARTS).map(one).collect::<Result<Vec<(f64, f64)>>>()
        };
        let alone = self
            .sides()
            .into_iter()
            .map(|side| Ok((side, times(&|| self.place.start(side))?)));
        add("start to the first answer", alone.collect::<Result<_>>()?);
        let all = times(&|| self.place.start_all_roles())?;
        add("start of all roles to the first answer", vec![(Side::Onnx, all)]);
        Ok(lines)
    }

    /// Loads the servers with the works of this kind, which take turns.
    pub(super) fn loads(&self, works: &[Work]) -> Result<Vec<Line>> {
        let (records, batch) = (self.place.records(), self.place.batch());
        let row = |connections| Asking {
            path: "/predict",
            bodies: &records,
            rows: 1,
            connections,
        };
        // Two keep a server busy while one is on its way.
        let rows = Asking {
            path: "/invocations",
            bodies: &batch,
            rows: BATCH_ROWS,
            connections: 2,
        };
        let mut askings = Vec::new();
        if works.contains(&Work::Row) {
            askings.extend([
                ("one row, 1 connection", row(1)),
                ("one row, 64 connections", row(CONNECTIONS)),
            ]);
        }
        if works.contains(&Work::Batch) {
            askings.push(("1,000 rows, 2 connections", rows));
        }
        if askings.is_empty() {
            return Ok(Vec::new());
        }
        let mut sides = self.sides();
        if works.contains(&Work::Row) {
            sides.push(Side::Bare);
        }
        let start = |side| Ok((side, self.place.start(side)?));
        let servers = sides
            .into_iter()
            .map(start)
            .collect::<Result<Vec<(Side, Server)>>>()?;
        let mut lines = Vec::new();
        for (name, asking) in askings {
            eprintln!("Asking for {name} …");
            // A batch is nothing to a handler that knows records alone.
            let asked = servers
                .iter()
                .filter(|(side, _)| *side != Side::Bare || asking.rows == 1);
            let asked: Vec<&(Side, Server)> = asked.collect();
            let mut measured: Vec<Vec<Measured>> = asked.iter().map(|_| Vec::new()).collect();
            for _ in 0..TURNS {
                for ((side, server), measured) in asked.iter().zip(&mut measured) {
                    measured.push(self.load(server, &asking).with_context(|| side.name())?);
                }
            }
            let line = |what: &str, unit, pick: fn(&Measured) -> f64| Line {
                name: format!("{name}: {what}"),
                unit,
                values: asked
                    .iter()
                    .zip(&measured)
                    .map(|((side, _), measured)| (*side, median(measured.iter().map(pick))))
                    .collect(),
            };
            lines.extend([
                line("CPU a row", Unit::Seconds, |one| one.cpu_seconds_per_row),
                line("rows", Unit::PerSecond, |one| one.rows_per_second),
                line("median", Unit::Seconds, |one| one.p50),
                line("99th percentile", Unit::Seconds, |one| one.p99),
            ]);
        }
        let held = servers
            .iter()
            .map(|(side, server)| Ok((*side, server.running.usage()?.mebibytes)));
        lines.push(Line {
            name: "memory afterwards".to_owned(),
            unit: Unit::Mebibytes,
            values: held.collect::<Result<_>>()?,
        });
        Ok(lines)
    }

    fn load(&self, server: &Server, asking: &Asking<'_>) -> Result<Measured> {
        let url = format!("{}{}", server.address, asking.path);
        let load = |seconds| Load {
            url: &url,
            bodies: asking.bodies,
            connections: asking.connections,
            seconds,
        };
        load(WARM_SECONDS).run(&self.wrk)?;
        server.settle()?;
        let before = server.running.usage()?.cpu_seconds;
        let outcome = load(SECONDS).run(&self.wrk)?;
        let used = server.running.usage()?.cpu_seconds - before;
        server.settle()?;
        ensure_answered(&outcome)?;
        let rows = outcome.requests as f64 * asking.rows as f64;
        Ok(Measured {
            cpu_seconds_per_row: used / rows,
            rows_per_second: rows / outcome.seconds,
            p50: outcome.p50,
            p99: outcome.p99,
        })
    }

    /// Moves the alias to and fro between two versions while requests come, and returns a sentence about it.
    pub(super) fn swaps(&self) -> Result<String> {
        eprintln!("Moving the alias …");
        let server = self.place.start(Side::Onnx)?;
        let registry = Client::new(server.registry.as_deref().context("there is no registry")?);
        let url = format!("{}/predict", server.address);
        let records = self.place.records();
        let load = Load {
            url: &url,
            bodies: &records,
            connections: CONNECTIONS,
            seconds: LONGEST_LOAD_SECONDS,
        };
        let lasting = load.start(&self.wrk)?;
        let (mut took, loads) = (Vec::new(), loads(&server.client)?);
        for at in 0..SWAPS {
            std::thread::sleep(BETWEEN_SWAPS);
            let version = if at % 2 == 0 { 2 } else { 1 };
            let begin = Instant::now();
            let alias = json!({ "name": MODEL, "alias": ALIAS, "version": version.to_string() });
            registry.post("/api/2.0/mlflow/registered-models/alias", &alias)?;
            while server.client.post_text("/predict", &self.place.record)?["Model Version"] != version {
                ensure!(
                    begin.elapsed() < SWAP_TIMEOUT,
                    "version {version} does not come to answer"
                );
                std::thread::sleep(Duration::from_millis(1));
            }
            took.push(begin.elapsed().as_secs_f64());
        }
        let outcome = lasting.end()?;
        let loads = self::loads(&server.client)? - loads;
        let versions: Vec<String> = outcome
            .versions
            .iter()
            .map(|(version, count)| format!("{count} by version {version}"))
            .collect();
        ensure_answered(&outcome)?;
        Ok(format!(
            "{SWAPS} swaps under the load of {CONNECTIONS} connections, {loads} of which read the version anew: {} of {} requests \
             failed, {}; half of the swaps took {} at most from the moved alias to the first answer; at most {:.0} MiB were held.",
            outcome.failed,
            outcome.requests,
            versions.join(", "),
            Unit::Seconds.write(median(took)),
            server.running.peak_mebibytes()?,
        ))
    }
}

/// Returns how many versions the server has read into memory.
fn loads(client: &Client) -> Result<u64> {
    const NAME: &str = "fragua_serving_model_loads_total{outcome=\"loaded\"} ";
    let metrics = client.get_text("/metrics")?;
    let count = metrics.lines().find_map(|line| line.strip_prefix(NAME));
    let count = count.context("/metrics tells no loads of models")?;
    Ok(count.parse()?)
}

fn ensure_answered(outcome: &Outcome) -> Result<()> {
    ensure!(
        outcome.requests > 0 && outcome.failed == 0,
        "{} requests failed beside {} that were answered",
        outcome.failed,
        outcome.requests
    );
    Ok(())
}
