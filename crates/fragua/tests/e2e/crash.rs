//! `kill -9` in the middle of the work, at points that a run reaches by itself: nothing is lost or doubled.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use futures::StreamExt as _;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::Value;

use crate::harness::{Server, fragua, http, succeed};

/// Returns how many task instances of a task are in a state, over all runs of its DAG.
async fn count(server: &Server, dag: &str, task: &str, state: &str) -> usize {
    let runs_url = format!("{}/api/v2/dags/{dag}/dagRuns", server.address("orchestrator"));
    let runs = get_json(&format!("{runs_url}?limit=100")).await;
    let mut count = 0;
    for run in runs["dag_runs"].as_array().unwrap() {
        let run = run["dag_run_id"].as_str().unwrap();
        let instances = get_json(&format!("{runs_url}/{run}/taskInstances")).await;
        let instances = instances["task_instances"].as_array().unwrap();
        count += instances
            .iter()
            .filter(|one| one["task_id"] == task && one["state"] == state)
            .count();
    }
    count
}

async fn get_json(url: &str) -> Value {
    let response = http().get(url).send().await.unwrap();
    response.error_for_status().unwrap().json().await.unwrap()
}

/// Waits, by the events that the pages listen to, until so many instances of a task are in a state.
async fn until_task(server: &Server, dag: &str, task: &str, state: &str, wanted: usize) {
    let events = http()
        .get(format!("{}/events", server.address("orchestrator")))
        .send()
        .await
        .unwrap();
    let mut events = events.error_for_status().unwrap().bytes_stream();
    while count(server, dag, task, state).await < wanted {
        events
            .next()
            .await
            .expect("the event stream goes on while the server runs")
            .unwrap();
    }
}

fn run(project: &Path, arguments: &[&str]) -> Command {
    let mut command = fragua();
    command.args(arguments).arg("--project").arg(project);
    command
}

/// Rows of the warehouse by DAG run.
async fn rows_by_dag_run(project: &Path) -> BTreeMap<String, i64> {
    let url = format!("sqlite:{}", project.join(".fragua/warehouse.db").display());
    let database = fragua_database::Database::open(&url, "connections.warehouse.url")
        .await
        .unwrap();
    let sql = "SELECT fragua_dag_run_id, COUNT(*) FROM cover_type GROUP BY 1";
    let statement = Statement::from_string(database.reader().get_database_backend(), sql);
    let rows = database.reader().query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap()))
        .collect()
}

#[tokio::test]
async fn killed_in_a_load_and_in_a_training_every_run_still_reaches_success_and_no_row_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    let initialised = fragua()
        .arg("init")
        .arg(&project)
        .args(["--example", "covertype"])
        .output()
        .unwrap();
    assert!(
        initialised.status.success(),
        "{}",
        String::from_utf8_lossy(&initialised.stderr)
    );

    for loads in [0, 2, 5] {
        let server = Server::start(&project);
        until_task(&server, "data_loading_dag", "load_dataset", "success", loads).await;
        until_task(&server, "data_loading_dag", "load_dataset", "running", 1).await;
        server.kill();
    }

    let server = Server::start(&project);
    let triggered = run(&project, &["dags", "trigger", "model_training_dag", "--json"])
        .output()
        .unwrap();
    let triggered = succeed(&triggered);
    until_task(&server, "model_training_dag", "train_model", "running", 1).await;
    server.kill();

    let server = Server::start(&project);
    until_task(&server, "model_training_dag", "promote_model", "success", 1).await;
    let runs = succeed(
        &run(&project, &["dag-runs", "list", "data_loading_dag", "--json"])
            .output()
            .unwrap(),
    );
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.len(), 10, "{runs:?}");
    assert!(runs.iter().all(|run| run["state"] == "success"), "{runs:?}");
    let training = run(
        &project,
        &[
            "dag-runs",
            "show",
            "model_training_dag",
            triggered["dag_run_id"].as_str().unwrap(),
            "--json",
        ],
    );
    let training = succeed(&{ training }.output().unwrap());
    assert_eq!(training["state"], "success", "{training}");
    server.stop();

    let rows = rows_by_dag_run(&project).await;
    assert_eq!(rows.len(), 10);
    assert!(
        rows.values().all(|count| *count == 1_162),
        "each run has its rows once: {rows:?}"
    );
}
