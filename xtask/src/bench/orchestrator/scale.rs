//! Many DAGs with many past runs.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::dags::Shape;
use super::peers::{Peer, Place, Side};
use super::works::{trigger, until};
use super::{Line, Unit};
use crate::bench::client::Client;
use crate::bench::median;

const DAGS: usize = 1_000;
const RUNS_EACH: usize = 100;
/// How many tasks each DAG has.
const TASKS: usize = 3;
/// How many DAGs a list shows, and how many runs a grid, as Airflow's pages ask for.
const DAGS_SHOWN: usize = 50;
const RUNS_SHOWN: usize = 10;
/// How often each page is asked for.
const TIMES: usize = 20;
/// What follows from a start is over after this long.
const SETTLE: Duration = Duration::from_secs(60);
/// How long an idle server is watched: longer than anything that comes round.
const WATCH: Duration = Duration::from_secs(60);

pub(super) fn measure(side: Side<'_>, folder: PathBuf) -> Result<Vec<Line>> {
    let place = Place::make(side, folder)?;
    for number in 0..DAGS {
        place.write(&Shape {
            is_scheduled: true,
            ..Shape::chain(&format!("scale_{number:04}"), TASKS, "true")
        })?;
    }
    let mut peer = place.start()?;
    let begin = Instant::now();
    until("all DAGs", Duration::from_millis(500), || {
        let dags = peer.client.get("/api/v2/dags?limit=1")?;
        Ok((dags["total_entries"] == DAGS).then_some(()))
    })?;
    let read_seconds = peer.start_seconds + begin.elapsed().as_secs_f64();
    let run = trigger(&peer.client, "/api/v2/dags/scale_0000")?;
    until("the run", Duration::from_millis(500), || {
        Ok((peer.client.get(&run)?["state"] == "success").then_some(()))
    })?;
    peer.stop()?;
    fill(&place)?;

    let peer = place.start()?;
    let start = Line {
        name: format!("start to healthy scheduler with {DAGS} DAGs"),
        value: peer.start_seconds,
        unit: Unit::Seconds,
        cpu_seconds: Some(peer.start_usage.cpu_seconds),
    };
    std::thread::sleep(SETTLE);
    let before = peer.usage()?;
    let watched = Instant::now();
    std::thread::sleep(WATCH);
    let used = peer.usage()?.cpu_seconds - before.cpu_seconds;
    let idle = used / watched.elapsed().as_secs_f64() * 100.0;
    let line = |name: &str, value, unit| Line {
        name: format!("{name} with {DAGS} DAGs and {} runs", DAGS * RUNS_EACH),
        value,
        unit,
        cpu_seconds: None,
    };
    let (list, grid) = match side {
        Side::Fragua(_) => (fragua_list as Page, fragua_grid as Page),
        Side::Airflow(_) => (airflow_list as Page, airflow_grid as Page),
    };
    let lines = vec![
        Line {
            name: format!("{DAGS} new DAG files read"),
            value: read_seconds,
            unit: Unit::Seconds,
            cpu_seconds: None,
        },
        start,
        line("idle processor time", idle, Unit::Percent),
        line("idle memory", peer.own_mebibytes(), Unit::Mebibytes),
        page(&peer, line("list page", 0.0, Unit::Seconds), list)?,
        page(&peer, line("grid page", 0.0, Unit::Seconds), grid)?,
    ];
    Ok(lines)
}

fn fill(place: &Place<'_>) -> Result<()> {
    const SCRIPT: &str = include_str!("fill.py");
    let output = Command::new("python3")
        .args(["-c", SCRIPT, place.side.name()])
        .arg(place.database())
        .arg(RUNS_EACH.to_string())
        .stdin(Stdio::null())
        .output()
        .context("cannot run Python")?;
    ensure!(
        output.status.success(),
        "the past runs cannot be made: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Asks for all that a page is made of.
type Page = fn(&Client) -> Result<()>;

fn page(peer: &Peer, line: Line, ask: Page) -> Result<Line> {
    let client = peer.client.another();
    // The first one fills caches on both sides.
    ask(&client)?;
    let before = peer.usage()?.cpu_seconds;
    let mut seconds = Vec::new();
    for _ in 0..TIMES {
        let begin = Instant::now();
        ask(&client)?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let cpu_seconds = (peer.usage()?.cpu_seconds - before) / TIMES as f64;
    Ok(Line {
        value: median(seconds),
        cpu_seconds: Some(cpu_seconds),
        ..line
    })
}

fn fragua_list(client: &Client) -> Result<()> {
    holds(client, "/dags", "scale_0000")
}

fn fragua_grid(client: &Client) -> Result<()> {
    holds(client, "/dags/scale_0500", "past__1")
}

fn holds(client: &Client, path: &str, text: &str) -> Result<()> {
    let page = client.get_text(path)?;
    ensure!(page.contains(text), "{path} does not show {text}");
    Ok(())
}

/// What Airflow's list of DAGs asks its server for.
fn airflow_list(client: &Client) -> Result<()> {
    let list = client.get(&format!("/ui/dags?limit={DAGS_SHOWN}&dag_runs_limit=14"))?;
    let shown = list["dags"].as_array().map_or(0, Vec::len);
    ensure!(shown == DAGS_SHOWN, "the list shows {shown} DAGs");
    Ok(())
}

/// What Airflow's grid of a DAG asks its server for.
fn airflow_grid(client: &Client) -> Result<()> {
    let dag = "scale_0500";
    client.get(&format!("/ui/grid/structure/{dag}?limit={RUNS_SHOWN}"))?;
    let runs = client.get(&format!(
        "/ui/grid/runs/{dag}?limit={RUNS_SHOWN}&order_by=-run_after"
    ))?;
    let runs: Vec<&Value> = runs.as_array().into_iter().flatten().collect();
    ensure!(runs.len() == RUNS_SHOWN, "the grid shows {} runs", runs.len());
    let named = runs
        .iter()
        .filter_map(|run| run["run_id"].as_str())
        .map(|run_id| format!("run_ids={run_id}"));
    let named: Vec<String> = named.collect();
    let summaries = client.get_text(&format!("/ui/grid/ti_summaries/{dag}?{}", named.join("&")))?;
    let lines = summaries.lines().count();
    ensure!(lines == RUNS_SHOWN, "the grid has {lines} columns");
    Ok(())
}
