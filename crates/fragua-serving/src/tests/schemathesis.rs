//! Requests made from our OpenAPI document, bodies and all: none of them may end in a server error.

use std::process::{Command, Stdio};

use super::support::{Role, forest, settings};

#[tokio::test(flavor = "multi_thread")]
async fn no_request_by_the_document_makes_a_server_error() {
    let python = std::env::var_os("FRAGUA_TEST_PYTHON_SCHEMATHESIS").expect(
        "FRAGUA_TEST_PYTHON_SCHEMATHESIS names no interpreter with schemathesis: run the tests with `cargo xtask test`",
    );
    let test = fragua_database::testing::TestDatabase::sqlite().await;
    let role = Role::with_database(settings(), test.database.clone()).await;
    role.registry.put("3", forest());
    role.registry.point(Some("3"));
    role.serving.follow_alias().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = crate::api::router(role.serving.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let work = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command
        .args(["-m", "schemathesis.cli", "run", "--no-color"])
        .args(["--checks", "not_a_server_error"])
        // Bounded, and the same each time.
        .args([
            "--max-examples",
            "25",
            "--seed",
            "1",
            "--generation-database",
            "none",
        ])
        .arg(format!("http://{address}/openapi.json"))
        .current_dir(work.path())
        .env("HOME", work.path())
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    server.abort();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && report.contains("Test cases:"),
        "{report}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
