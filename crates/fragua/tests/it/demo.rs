//! `fragua demo` where something is in its way. The whole demo is an end-to-end test.

use std::net::TcpListener;

use crate::support::Project;

/// The demo's two DAGs with little in them; the demo keeps files that are there.
fn project(training: &str) -> Project {
    let project = Project::with_dag(
        "data_loading_dag",
        "dag: data_loading_dag\nschedule: none\ntasks:\n  - id: load_dataset\n    bash: \"true\"\n",
    );
    let training = format!(
        "dag: model_training_dag\nschedule: none\ntasks:\n  - id: train_model\n    bash: {training:?}\n"
    );
    project.write("dags/model_training_dag.yaml", &training);
    project.write("fragua.toml", "");
    project
}

#[tokio::test]
async fn a_failed_run_shows_the_last_lines_of_its_log_and_fails() {
    let project = project("echo the last words; exit 3");
    let finished = project
        .run(&["demo", "--exit", "--json", "--ports", "auto"])
        .await;
    assert!(!finished.ok);
    assert_eq!(finished.stdout, "");
    for part in [
        "of model_training_dag failed",
        "task train_model",
        "the last words",
    ] {
        assert!(
            finished.stderr.contains(part),
            "{part} is not in {}",
            finished.stderr
        );
    }
    assert!(!project.path(".fragua/endpoints.json").exists());
}

#[tokio::test]
async fn free_ports_are_taken_when_one_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let project = project("exit 3");
    project.write("fragua.toml", &format!("[orchestrator]\nport = {port}\n"));
    let finished = project.run(&["demo", "--exit"]).await;
    let note = "a port of the settings is in use, so free ones were taken";
    assert!(finished.stderr.contains(note), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("addresses answer"),
        "{}",
        finished.stderr
    );
}

#[tokio::test]
async fn a_folder_with_other_files_is_left_alone() {
    let project = Project::without_file();
    project.write("notes.txt", "");
    let finished = project.run(&["demo", "--exit"]).await;
    assert!(!finished.ok);
    assert!(
        finished.stderr.contains("holds files that are no Fragua project"),
        "{}",
        finished.stderr
    );
    assert!(!project.path("fragua.toml").exists());
}
