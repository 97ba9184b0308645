//! The unmodified Python client of MLflow against a real listener: every flow that people use every day.

use std::process::{Command, Stdio};
use std::sync::Arc;

use fragua_base::SystemClock;
use fragua_database::testing::TestDatabase;
use fragua_storage::Storage;
use fragua_tracking::{Settings, Tracking};

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_finds_an_mlflow_server() {
    let python = std::env::var_os("FRAGUA_TEST_PYTHON")
        .expect("FRAGUA_TEST_PYTHON names no interpreter with mlflow: run the tests with `cargo xtask test`");
    let folder = tempfile::tempdir().unwrap();
    let objects = TestDatabase::sqlite().await;
    let clock = Arc::new(SystemClock);
    let settings = fragua_storage::Settings::new(folder.path().join("objects"));
    let storage = Storage::open(objects.database.clone(), settings, clock.clone())
        .await
        .unwrap();
    let runs = TestDatabase::sqlite().await;
    let tracking = Tracking::open(runs.database.clone(), storage, Settings::default(), clock)
        .await
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server =
        tokio::spawn(async move { axum::serve(listener, fragua_tracking::mlflow::router(tracking)).await });

    let mut command = Command::new(python);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mlflow_client.py"))
        .current_dir(folder.path())
        .env("MLFLOW_TRACKING_URI", &address)
        .env("HOME", folder.path())
        .env("MPLCONFIGDIR", folder.path())
        .env("MPLBACKEND", "Agg")
        .env("GIT_PYTHON_REFRESH", "quiet")
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        // A fault shows at once and not after minutes of new tries.
        .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        .env_remove("MLFLOW_REGISTRY_URI")
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    server.abort();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
