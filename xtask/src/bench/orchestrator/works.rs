//! What is measured on a few DAGs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::Value;

use super::dags::Shape;
use super::peers::{Peer, Place, Side};
use super::{Line, Unit, Work};
use crate::bench::client::Client;
use crate::bench::median;
use crate::bench::process::kill;

/// The end of everything that is waited for.
const TIMEOUT: Duration = Duration::from_secs(600);
/// What a server does after its start is over after this long.
const SETTLE: Duration = Duration::from_secs(5);
/// What a trigger says; a run has no logical date unless it is given one.
pub(super) const NO_DATE: &str = r#"{"logical_date": null}"#;

pub(super) fn measure(work: Work, side: Side<'_>, folder: PathBuf) -> Result<Vec<Line>> {
    let mark = folder.join("mark");
    let place = Place::make(side, folder)?;
    // Airflow takes long enough for one time to say something.
    let times = if side.is_airflow() { 1 } else { 5 };
    let lines = |name: &str, measured: Measured| {
        vec![Line {
            name: name.to_owned(),
            value: measured.seconds,
            unit: Unit::Seconds,
            cpu_seconds: measured.cpu_seconds,
        }]
    };
    Ok(match work {
        Work::Start => start(&place)?,
        Work::FirstTask => {
            // Seconds and nanoseconds, written by the task itself: no clock of a server takes part.
            let command = format!("date +%s.%N > {0}.part && mv {0}.part {0}", mark.display());
            let server = Server::start(&place, &Shape::chain("first", 1, &command))?;
            let seconds = repeat(times * 2, || server.first_task(&mark))?;
            lines("trigger to first task", seconds)
        }
        Work::Chain => {
            let server = Server::start(&place, &Shape::chain("chain", 100, "true"))?;
            lines("chain of 100 no-op tasks", repeat(times, || server.runs(1))?)
        }
        Work::Parallel => {
            let shape = Shape {
                is_chain: false,
                ..Shape::chain("parallel", 100, "true")
            };
            let server = Server::start(&place, &shape)?;
            lines("100 parallel no-op tasks", repeat(times, || server.runs(1))?)
        }
        Work::Runs => {
            let server = Server::start(&place, &Shape::chain("ten", 10, "true"))?;
            lines("10 runs of 10 no-op tasks", repeat(times, || server.runs(10))?)
        }
        Work::Hop => {
            let hops = 20;
            let shape = Shape {
                command: None,
                ..Shape::chain("hops", hops, "")
            };
            let server = Server::start(&place, &shape)?;
            let all = repeat(times * 2, || server.runs(1))?;
            let each = |seconds: f64| seconds / hops as f64;
            let one = Measured {
                seconds: each(all.seconds),
                cpu_seconds: all.cpu_seconds.map(each),
            };
            lines("scheduler hop without a process", one)
        }
        Work::File => {
            let shape = Shape::chain("changing", 1, "true");
            let server = Server::start(&place, &shape)?;
            let mut versions = 1..;
            let seen = || server.change(&place, shape_of(&mut versions));
            lines("changed DAG file seen", repeat(times, seen)?)
        }
        Work::LostWorker => lines("lost worker noticed", lost_worker(&place)?),
        Work::Scale => bail!("it has a module of its own"),
    })
}

fn shape_of(versions: &mut impl Iterator<Item = u32>) -> Shape {
    let version = versions.next().unwrap_or_default();
    Shape {
        description: format!("version {version}"),
        ..Shape::chain("changing", 1, "true")
    }
}

/// What something took.
#[derive(Debug, Clone, Copy)]
struct Measured {
    seconds: f64,
    cpu_seconds: Option<f64>,
}

/// Returns the medians of several times.
fn repeat(times: usize, mut one: impl FnMut() -> Result<Measured>) -> Result<Measured> {
    let all = (0..times).map(|_| one()).collect::<Result<Vec<_>>>()?;
    let cpu_seconds: Vec<f64> = all.iter().filter_map(|one| one.cpu_seconds).collect();
    Ok(Measured {
        seconds: median(all.iter().map(|one| one.seconds)),
        cpu_seconds: (!cpu_seconds.is_empty()).then(|| median(cpu_seconds)),
    })
}

fn start(place: &Place<'_>) -> Result<Vec<Line>> {
    let mut peers = Vec::new();
    for is_last in [false, false, true] {
        let mut peer = place.start()?;
        if is_last {
            std::thread::sleep(SETTLE);
        } else {
            peer.stop()?;
        }
        peers.push(peer);
    }
    let idle = peers.last().map_or(0.0, Peer::own_mebibytes);
    Ok(vec![
        Line {
            name: "start to healthy scheduler".to_owned(),
            value: median(peers.iter().map(|peer| peer.start_seconds)),
            unit: Unit::Seconds,
            cpu_seconds: Some(median(peers.iter().map(|peer| peer.start_usage.cpu_seconds))),
        },
        Line {
            name: "idle memory".to_owned(),
            value: idle,
            unit: Unit::Mebibytes,
            cpu_seconds: None,
        },
    ])
}

/// A server with one DAG.
struct Server {
    peer: Peer,
    dag: String,
}

impl Server {
    fn start(place: &Place<'_>, shape: &Shape) -> Result<Self> {
        let warm = Shape::chain("warm", 1, "true");
        place.write(shape)?;
        place.write(&warm)?;
        let mut peer = place.start()?;
        let dag = |shape: &Shape| format!("/api/v2/dags/{}", shape.dag_id);
        for shape in [shape, &warm] {
            until("the DAG", Duration::from_millis(50), || {
                Ok(peer.client.get(&dag(shape)).ok())
            })?;
        }
        std::thread::sleep(SETTLE);
        // A server closes a connection that says nothing for so long.
        peer.client = peer.client.another();
        let mut server = Self {
            peer,
            dag: dag(&warm),
        };
        // A first run fills caches on both sides.
        server.runs(1)?;
        server.dag = dag(shape);
        Ok(server)
    }

    fn trigger(&self) -> Result<String> {
        trigger(&self.peer.client, &self.dag)
    }

    /// Triggers runs at once and waits until all have succeeded. They are asked for ever more seldom, because each
    /// answer costs the server; when each was over it says itself.
    fn runs(&self, count: usize) -> Result<Measured> {
        let before = self.peer.usage()?;
        let begin = now()?;
        let runs = (0..count)
            .map(|_| self.trigger())
            .collect::<Result<Vec<String>>>()?;
        let mut last = begin;
        for path in runs {
            last = last.max(self.end_of(&path, begin)?);
        }
        let cpu_seconds = Some(self.peer.usage()?.cpu_seconds - before.cpu_seconds);
        Ok(Measured {
            seconds: last - begin,
            cpu_seconds,
        })
    }

    fn end_of(&self, path: &str, begin: f64) -> Result<f64> {
        loop {
            let run = self.peer.client.get(path)?;
            match run["state"].as_str() {
                Some("success") => return instant(&run["end_date"]),
                Some("queued" | "running") => {}
                other => bail!("the run {path} is {other:?}"),
            }
            let elapsed = now()? - begin;
            ensure!(elapsed < TIMEOUT.as_secs_f64(), "the run {path} does not end");
            std::thread::sleep(Duration::from_secs_f64((elapsed / 10.0).clamp(0.02, 1.0)));
        }
    }

    fn first_task(&self, mark: &Path) -> Result<Measured> {
        let _ = fs::remove_file(mark);
        let before = self.peer.usage()?;
        let begin = now()?;
        let path = self.trigger()?;
        let written = until("the first task", Duration::from_millis(1), || {
            Ok(fs::read_to_string(mark).ok())
        })?;
        self.end_of(&path, begin)?;
        let cpu_seconds = Some(self.peer.usage()?.cpu_seconds - before.cpu_seconds);
        Ok(Measured {
            seconds: written.trim().parse::<f64>()? - begin,
            cpu_seconds,
        })
    }

    fn change(&self, place: &Place<'_>, shape: Shape) -> Result<Measured> {
        // A file that was just written is looked at sooner by some.
        std::thread::sleep(Duration::from_secs(1));
        let begin = Instant::now();
        place.write(&shape)?;
        let ask = if place.side.is_airflow() { 500 } else { 5 };
        until("the changed DAG", Duration::from_millis(ask), || {
            let dag = self.peer.client.get(&self.dag)?;
            Ok((dag["description"] == shape.description.as_str()).then_some(()))
        })?;
        Ok(Measured {
            seconds: begin.elapsed().as_secs_f64(),
            cpu_seconds: None,
        })
    }
}

/// Kills the worker that runs a task, and waits until the task does not count as running any more.
fn lost_worker(place: &Place<'_>) -> Result<Measured> {
    place.write(&Shape::chain("long", 1, "sleep 3600"))?;
    let peer = if place.side.is_airflow() {
        place.start()?
    } else {
        place.start_apart()?
    };
    let mut client = peer.client.another();
    until("the DAG", Duration::from_millis(50), || {
        Ok(client.get("/api/v2/dags/long").ok())
    })?;
    let task = format!("{}/taskInstances/t0", trigger(&client, "/api/v2/dags/long")?);
    let state = |client: &Client| -> Result<Value> { Ok(client.get(&task)?["state"].take()) };
    until("the running task", Duration::from_millis(500), || {
        Ok((state(&client)? == "running").then_some(()))
    })?;
    std::thread::sleep(SETTLE);
    client = client.another();
    // Of Airflow the scheduler stays: its children are the workers.
    let worker = &peer.processes[1];
    let family = worker.family();
    let lost = if place.side.is_airflow() {
        &family[1..]
    } else {
        &family[..]
    };
    let begin = Instant::now();
    for process in lost {
        // A task may end with its worker by itself.
        let _ = kill("-KILL", *process);
    }
    until("another state of the task", Duration::from_millis(500), || {
        Ok((state(&client)? != "running").then_some(()))
    })?;
    Ok(Measured {
        seconds: begin.elapsed().as_secs_f64(),
        cpu_seconds: None,
    })
}

/// Starts a run and returns its path.
pub(super) fn trigger(client: &Client, dag: &str) -> Result<String> {
    let run = client.post_text(&format!("{dag}/dagRuns"), NO_DATE)?;
    let run_id = run["dag_run_id"].as_str().context("the run has no name")?;
    // Names hold a time zone, whose sign means a space in some places.
    Ok(format!("{dag}/dagRuns/{}", run_id.replace('+', "%2B")))
}

/// Asks until there is an answer.
pub(super) fn until<T>(what: &str, every: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = ask()? {
            return Ok(found);
        }
        ensure!(
            begin.elapsed() < TIMEOUT,
            "no {what} after {} s",
            TIMEOUT.as_secs()
        );
        std::thread::sleep(every);
    }
}

fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}

fn instant(written: &Value) -> Result<f64> {
    let written = written.as_str().context("there is no instant")?;
    let at: Timestamp = written
        .parse()
        .with_context(|| format!("{written} is no instant"))?;
    Ok(at.as_microsecond() as f64 / 1e6)
}
