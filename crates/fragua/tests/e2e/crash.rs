//! `kill -9` in the middle of the work, at points that a run reaches by itself: nothing is lost or doubled.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use futures::StreamExt as _;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::Value;

use crate::harness::{Server, fragua, succeed};

/// Waits until the events of the orchestrator have named a task instance in a state, `count` times.
async fn until_task(server: &Server, task: &str, state: &str, count: usize) {
    let url = format!(
        "{}/api/v2/dags/~/dagRuns/~/taskInstances?limit=100",
        server.address("orchestrator")
    );
    let events = reqwest::get(format!("{}/events", server.address("orchestrator")))
        .await
        .unwrap();
    let mut events = events.error_for_status().unwrap().bytes_stream();
    loop {
        let listed: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
        let instances = listed["task_instances"].as_array().unwrap();
        let reached = instances
            .iter()
            .filter(|instance| instance["task_id"] == task && instance["state"] == state)
            .count();
        if reached >= count {
            return;
        }
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
        until_task(&server, "load_dataset", "success", loads).await;
        until_task(&server, "load_dataset", "running", 1).await;
        server.kill();
    }

    let server = Server::start(&project);
    let triggered = run(&project, &["dags", "trigger", "model_training_dag", "--json"])
        .output()
        .unwrap();
    let triggered = succeed(&triggered);
    until_task(&server, "train_model", "running", 1).await;
    server.kill();

    let server = Server::start(&project);
    until_task(&server, "promote_model", "success", 1).await;
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
