//! The data that both servers begin with.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::bench::client::Client;

pub(super) const SMALL: usize = 2_000;
pub(super) const LARGE: usize = 10_000;
const METRICS: usize = 10;
const PARAMS: usize = 5;
const MANY_PARAMS: usize = 177;
const POINTS: usize = 10_000;
const CONNECTIONS: usize = 8;

/// Where the data is.
pub(super) struct Data {
    /// An experiment of 2,000 runs.
    pub(super) small: String,
    /// An experiment of 10,000 runs.
    pub(super) large: String,
    /// An experiment to write to.
    pub(super) fresh: String,
    /// A run with 177 parameters.
    pub(super) many_params: String,
    /// A run whose metric `loss` has 10,000 points.
    pub(super) long_history: String,
}

pub(super) fn fill(client: &Client) -> Result<Data> {
    let experiment = |name: &str| -> Result<String> {
        let made = client.post("/api/2.0/mlflow/experiments/create", &json!({ "name": name }))?;
        text(&made["experiment_id"])
    };
    let data = Data {
        small: experiment("small")?,
        large: experiment("large")?,
        fresh: experiment("fresh")?,
        many_params: String::new(),
        long_history: String::new(),
    };
    runs(client, &data.small, SMALL)?;
    runs(client, &data.large, LARGE)?;

    let many_params = create_run(client, &data.fresh)?;
    let params: Vec<Value> = (0..MANY_PARAMS).map(|number| param(number, number)).collect();
    for some in params.chunks(100) {
        log_batch(client, &json!({ "run_id": many_params, "params": some }))?;
    }
    let long_history = create_run(client, &data.fresh)?;
    let points: Vec<Value> = (0..POINTS)
        .map(|step| metric("loss", 1.0 / (step + 1) as f64, step))
        .collect();
    for some in points.chunks(1_000) {
        log_batch(client, &json!({ "run_id": long_history, "metrics": some }))?;
    }
    Ok(Data {
        many_params,
        long_history,
        ..data
    })
}

/// Makes runs over several connections.
fn runs(client: &Client, experiment: &str, count: usize) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let client = client.another();
                scope.spawn(move || -> Result<()> {
                    for number in (connection..count).step_by(CONNECTIONS) {
                        let run_id = create_run(&client, experiment)?;
                        log_batch(&client, &json!({
                            "run_id": run_id,
                            "metrics": (0..METRICS).map(|key| metric(&format!("metric_{key}"), value(number, key), 0)).collect::<Vec<_>>(),
                            "params": (0..PARAMS).map(|key| param(key, number % 10)).collect::<Vec<_>>(),
                            "tags": [{"key": "team", "value": format!("team {}", number % 7)}],
                        }))?;
                    }
                    Ok(())
                })
            })
            .collect();
        for thread in threads {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a connection's thread panicked"))??;
        }
        Ok(())
    })
}

/// A value that looks random and is the same in each measurement.
fn value(number: usize, key: usize) -> f64 {
    ((number * 7_919 + key * 104_729) % 10_007) as f64 / 10_007.0
}

pub(super) fn metric(key: &str, value: f64, step: usize) -> Value {
    json!({"key": key, "value": value, "timestamp": 1_700_000_000_000_u64 + step as u64, "step": step})
}

fn param(key: usize, value: usize) -> Value {
    json!({"key": format!("param_{key}"), "value": format!("value {value}")})
}

pub(super) fn create_run(client: &Client, experiment: &str) -> Result<String> {
    let made = client.post("/api/2.0/mlflow/runs/create", &new_run(experiment))?;
    text(&made["run"]["info"]["run_id"])
}

/// What a client sends to make a run.
pub(super) fn new_run(experiment: &str) -> Value {
    json!({
        "experiment_id": experiment,
        "user_id": "bench",
        "start_time": 1_700_000_000_000_u64,
        "tags": [
            {"key": "mlflow.user", "value": "bench"},
            {"key": "mlflow.source.name", "value": "bench.py"},
            {"key": "mlflow.source.type", "value": "LOCAL"},
        ],
    })
}

fn log_batch(client: &Client, batch: &Value) -> Result<()> {
    client.post("/api/2.0/mlflow/runs/log-batch", batch).map(drop)
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).context("the answer has no id")
}
