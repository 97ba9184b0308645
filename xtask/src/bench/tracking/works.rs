//! The work that both servers do.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::rows::{self, Data};
use crate::bench::client::Client;

/// The size of the file that goes up and down.
const FILE_MEBIBYTES: u64 = 64;
/// The size of the largest file.
pub(super) const LARGE_FILE_MEBIBYTES: u64 = 600;
/// A metric is written to one of so many keys, or to as many as there are metrics.
pub(super) const FEW_KEYS: usize = 10;
pub(super) const BATCH: usize = 1_000;
/// Batches that both servers get: each changes more pages of the database than the one before.
const EQUALLY_MANY: (usize, usize) = (BATCHES, BATCHES);
pub(super) const BATCHES: usize = 50;

/// Whom to measure. MLflow does less of the same, so that a measurement ends the same day.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Fragua,
    Mlflow,
}

/// One request, or several that belong together; it is given a number that is another each time.
type Job = Box<dyn Fn(usize) -> Result<()> + Send + Sync>;

/// Something to measure.
pub(super) struct Work {
    pub(super) name: &'static str,
    counts: (usize, usize),
    pub(super) connections: usize,
    /// The bytes that go over the line each time, where it is their rate that matters.
    pub(super) mebibytes: Option<f64>,
    /// Makes the job of one connection.
    pub(super) prepare: fn(&Client, &Data, usize) -> Result<Job>,
}

impl Work {
    const fn new(
        name: &'static str,
        counts: (usize, usize),
        prepare: fn(&Client, &Data, usize) -> Result<Job>,
    ) -> Self {
        Self {
            name,
            counts,
            connections: 1,
            mebibytes: None,
            prepare,
        }
    }

    /// How often each connection does it.
    pub(super) fn count(&self, side: Side) -> usize {
        match side {
            Side::Fragua => self.counts.0,
            Side::Mlflow => self.counts.1,
        }
    }
}

pub(super) fn all() -> Vec<Work> {
    let file = Some(FILE_MEBIBYTES as f64);
    vec![
        Work::new("log-metric, 1 connection", (2_000, 200), log_metric),
        Work {
            connections: 8,
            ..Work::new("log-metric, 8 connections", (2_000, 50), log_metric)
        },
        Work::new(
            "log-batch, 1,000 metrics of 10 keys",
            EQUALLY_MANY,
            |client, data, _| log_batch(client, data, FEW_KEYS),
        ),
        Work::new(
            "log-batch, 1,000 metrics of 1,000 keys",
            EQUALLY_MANY,
            |client, data, _| log_batch(client, data, BATCH),
        ),
        Work::new("create run", (1_000, 100), create_run),
        Work::new("get run with 177 parameters", (1_000, 50), get_run),
        Work::new(
            "search 10,000 runs by metric and parameter",
            (200, 20),
            |client, data, _| {
                search(
                    client,
                    &data.large,
                    "metrics.metric_1 > 0.5 AND params.param_1 = 'value 3'",
                    &[],
                )
            },
        ),
        Work::new(
            "search 2,000 runs, ordered by a metric",
            (200, 10),
            |client, data, _| search(client, &data.small, "", &["metrics.metric_1 DESC"]),
        ),
        Work::new(
            "search 10,000 runs, ordered by a metric",
            (200, 5),
            |client, data, _| search(client, &data.large, "", &["metrics.metric_1 DESC"]),
        ),
        Work::new(
            "10,000 runs with data, page by page of 1,000",
            (5, 1),
            page_through,
        ),
        Work::new("history of 10,000 points", (100, 10), history),
        Work {
            mebibytes: file,
            ..Work::new("upload of 64 MiB", (10, 5), |client, _, _| {
                upload(client, FILE_MEBIBYTES)
            })
        },
        Work {
            mebibytes: file,
            ..Work::new("download of 64 MiB", (10, 5), |client, _, _| {
                download(client, FILE_MEBIBYTES)
            })
        },
        Work {
            mebibytes: Some(LARGE_FILE_MEBIBYTES as f64),
            ..Work::new("upload of 600 MiB", (1, 1), |client, _, _| {
                upload(client, LARGE_FILE_MEBIBYTES)
            })
        },
    ]
}

fn log_metric(client: &Client, data: &Data, _connection: usize) -> Result<Job> {
    let run_id = rows::create_run(client, &data.fresh)?;
    let client = client.clone();
    Ok(Box::new(move |number| {
        let mut metric = rows::metric("loss", 1.0 / (number + 1) as f64, number);
        metric["run_id"] = json!(run_id);
        client.post("/api/2.0/mlflow/runs/log-metric", &metric).map(drop)
    }))
}

fn log_batch(client: &Client, data: &Data, keys: usize) -> Result<Job> {
    let run_id = rows::create_run(client, &data.fresh)?;
    let client = client.clone();
    Ok(Box::new(move |number| {
        let steps = BATCH / keys;
        let metrics: Vec<Value> = (0..BATCH)
            .map(|at| {
                rows::metric(
                    &format!("metric_{}", at % keys),
                    at as f64 / 7.0,
                    number * steps + at / keys,
                )
            })
            .collect();
        let batch = json!({ "run_id": run_id, "metrics": metrics });
        client.post("/api/2.0/mlflow/runs/log-batch", &batch).map(drop)
    }))
}

fn create_run(client: &Client, data: &Data, _connection: usize) -> Result<Job> {
    let (client, body) = (client.clone(), rows::new_run(&data.fresh).to_string());
    Ok(Box::new(move |_| {
        client.post_text("/api/2.0/mlflow/runs/create", &body).map(drop)
    }))
}

fn get_run(client: &Client, data: &Data, _connection: usize) -> Result<Job> {
    let path = format!("/api/2.0/mlflow/runs/get?run_id={}", data.many_params);
    let client = client.clone();
    Ok(Box::new(move |_| {
        let answer = client.get(&path)?;
        let params = answer["run"]["data"]["params"].as_array().map_or(0, Vec::len);
        ensure!(params == 177, "the run has {params} parameters");
        Ok(())
    }))
}

/// One page of 100 runs.
fn search(client: &Client, experiment: &str, filter: &str, order_by: &[&str]) -> Result<Job> {
    let body = json!({
        "experiment_ids": [experiment], "filter": filter, "order_by": order_by, "max_results": 100,
    });
    let (client, body) = (client.clone(), body.to_string());
    Ok(Box::new(move |_| {
        let answer = client.post_text("/api/2.0/mlflow/runs/search", &body)?;
        let runs = answer["runs"].as_array().map_or(0, Vec::len);
        ensure!(runs == 100, "the page has {runs} runs");
        Ok(())
    }))
}

fn page_through(client: &Client, data: &Data, _connection: usize) -> Result<Job> {
    let (client, experiment) = (client.clone(), data.large.clone());
    Ok(Box::new(move |_| {
        let (mut runs, mut token) = (0, Value::Null);
        loop {
            let mut body = json!({ "experiment_ids": [experiment], "max_results": 1_000 });
            if token.is_string() {
                body["page_token"] = token;
            }
            let mut answer = client.post("/api/2.0/mlflow/runs/search", &body)?;
            runs += answer["runs"].as_array().map_or(0, Vec::len);
            token = answer["next_page_token"].take();
            if token.as_str().is_none_or(str::is_empty) {
                ensure!(runs == rows::LARGE, "there are {runs} runs");
                return Ok(());
            }
        }
    }))
}

fn history(client: &Client, data: &Data, _connection: usize) -> Result<Job> {
    let path = format!(
        "/api/2.0/mlflow/metrics/get-history?run_id={}&metric_key=loss&max_results=25000",
        data.long_history
    );
    let client = client.clone();
    Ok(Box::new(move |_| {
        let answer = client.get(&path)?;
        let points = answer["metrics"].as_array().map_or(0, Vec::len);
        ensure!(points == 10_000, "the history has {points} points");
        Ok(())
    }))
}

fn file_path(mebibytes: u64) -> String {
    format!("/api/2.0/mlflow-artifacts/artifacts/bench/{mebibytes}.bin")
}

fn upload(client: &Client, mebibytes: u64) -> Result<Job> {
    let client = client.clone();
    Ok(Box::new(move |_| {
        let length = mebibytes * 1024 * 1024;
        client.put(&file_path(mebibytes), length)
    }))
}

fn download(client: &Client, mebibytes: u64) -> Result<Job> {
    upload(client, mebibytes)?(0).context("cannot upload what is to be downloaded")?;
    let client = client.clone();
    Ok(Box::new(move |_| {
        let length = client.download(&file_path(mebibytes))?;
        ensure!(length == mebibytes * 1024 * 1024, "the file has {length} bytes");
        Ok(())
    }))
}
