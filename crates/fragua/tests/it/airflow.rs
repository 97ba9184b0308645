//! Airflow's REST API, spoken to by Airflow's own client, by a script of Airflow 2, and by requests made from our
//! OpenAPI document.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::support::{Project, client, finish};

const EXAMPLE: &str = "
dag: example
description: An example.
schedule: '@daily'
start_date: 2025-04-02
default_args: { owner: ana }
tags: [data, nightly]
params: { rows: { type: integer, default: 5 } }
tasks:
  - { id: first, bash: 'echo told {{ params.rows }}; printf \"\\\"seven\\\"\" > $FRAGUA_XCOM_FILE' }
  - { id: second, needs: [first], bash: 'true' }
";

const MAPPED: &str = "
dag: mapped
schedule: none
tasks:
  - { id: each, expand: [a, b], bash: 'echo item {{ map.item }}' }
";

const BLOCKED: &str = "
dag: blocked
schedule: none
tasks:
  - { id: stuck, pool: nowhere, bash: 'true' }
";

/// Makes a project with the DAGs that the scripts expect. They are paused, so that the schedule makes no run.
fn project() -> Project {
    let project = Project::with_dag("example", EXAMPLE);
    project.write("dags/mapped.yaml", MAPPED);
    project.write("dags/blocked.yaml", BLOCKED);
    project.write("dags/broken.yaml", "dag: broken\n");
    project
}

fn python(variable: &str) -> Command {
    let interpreter = std::env::var_os(variable).unwrap_or_else(|| {
        panic!(
            "{variable} names no interpreter with what the test needs: run the tests with `cargo xtask test`"
        )
    });
    Command::new(interpreter)
}

async fn run_script(script: &str) {
    let project = project();
    let server = project.up(&["--roles", "orchestrator,worker"]).await;
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/clients");
    let mut command = python("FRAGUA_TEST_PYTHON_AIRFLOW");
    command
        .arg(scripts.join(script))
        .env("FRAGUA_AIRFLOW", server.address("orchestrator"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let finished = finish(command).await;
    let (_, said) = server.stop().await;
    assert!(
        finished.ok && finished.stdout.contains("all of it answered"),
        "{}{}\n{said}",
        finished.stdout,
        finished.stderr
    );
}

#[tokio::test]
async fn airflows_own_client_finds_each_route() {
    run_script("airflow_v2.py").await;
}

#[tokio::test]
async fn a_script_of_airflow_2_finds_what_it_uses() {
    run_script("airflow_v1.py").await;
}

/// Names in paths that are there, so that requests reach what lies behind them.
const NAMES: &str = r#"
[parameters]
"path.dag_id" = "example"
"path.dag_run_id" = "mine"
"path.task_id" = "first"
"path.xcom_key" = "return_value"
"path.pool_name" = "default_pool"
"path.try_number" = 1
"path.map_index" = -1
"path.version_number" = 1
"#;

#[tokio::test]
async fn no_request_by_the_document_makes_a_server_error() {
    let project = project();
    let server = project.up(&["--roles", "orchestrator,worker"]).await;
    for arguments in [
        &["dags", "unpause", "example"][..],
        &["dags", "trigger", "example", "--run-id", "mine"],
    ] {
        let finished = project.run(arguments).await;
        assert!(finished.ok, "{}", finished.stderr);
    }
    let work = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(work.path().join("schemathesis.toml"), NAMES).expect("the file can be written");
    // What is deleted is gone for the rest.
    for methods in [["--exclude-method", "DELETE"], ["--include-method", "DELETE"]] {
        let mut command = python("FRAGUA_TEST_PYTHON_SCHEMATHESIS");
        command
            .args(["-m", "schemathesis.cli", "run", "--no-color"])
            .args(["--checks", "not_a_server_error"])
            .args(methods)
            // Bounded, and the same each time.
            .args([
                "--max-examples",
                "3",
                "--seed",
                "1",
                "--generation-database",
                "none",
            ])
            .arg(format!("{}/openapi.json", server.address("orchestrator")))
            .current_dir(work.path())
            .env("HOME", work.path());
        let output = command
            .stdin(Stdio::null())
            .output()
            .await
            .expect("Python starts");
        let report = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        let is_complete = output.status.success() && report.contains("Test cases:");
        assert!(is_complete, "{report}{complaints}");
    }
    let (_, said) = server.stop().await;
    assert!(!said.contains("ERROR"), "{said}");
}

#[tokio::test]
async fn the_document_can_be_read_and_tried_in_a_browser() {
    let project = project();
    let server = project.up(&["--roles", "orchestrator"]).await;
    let address = server.address("orchestrator");
    for (path, kind) in [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/swagger-ui-bundle.js", "text/javascript"),
        ("/openapi.json", "application/json"),
    ] {
        let answer = client()
            .get(format!("{address}{path}"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], kind, "{path}");
    }
    server.stop().await;
}
