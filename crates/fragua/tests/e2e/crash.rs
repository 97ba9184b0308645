//! `kill -9` in the middle of the work, at points that a run reaches by itself: nothing is lost or doubled.

use crate::harness::{Server, fragua, rows_by_dag_run, run, succeed, until_task};

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

    let rows = rows_by_dag_run(&project, "cover_type").await;
    assert_eq!(rows.len(), 10);
    assert!(
        rows.values().all(|count| *count == 1_162),
        "each run has its rows once: {rows:?}"
    );
}
