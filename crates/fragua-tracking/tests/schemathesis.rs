//! Requests made from our OpenAPI document: none of them may end in a server error.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each program uses a part of it")]
mod support;

use std::process::{Command, Stdio};

use support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn no_request_by_the_document_makes_a_server_error() {
    let python = std::env::var_os("FRAGUA_TEST_PYTHON_SCHEMATHESIS").expect(
        "FRAGUA_TEST_PYTHON_SCHEMATHESIS names no interpreter with schemathesis: run the tests with `cargo xtask test`",
    );
    let server = Server::start().await;
    let work = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command
        .args(["-m", "schemathesis.cli", "run", "--no-color"])
        .args(["--checks", "not_a_server_error"])
        // Bounded, and the same each time.
        .args([
            "--max-examples",
            "10",
            "--seed",
            "1",
            "--generation-database",
            "none",
        ])
        .arg(format!("{}/openapi.json", server.address()))
        .current_dir(work.path())
        .env("HOME", work.path())
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && report.contains("Test cases:"),
        "{report}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    server.stop().await;
}
