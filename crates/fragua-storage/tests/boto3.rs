//! Clients, unmodified, against the S3 API on a loopback port.

#![allow(clippy::unwrap_used, reason = "all of this program is tests")]

use std::process::Command;
use std::sync::Arc;

use fragua_auth::Auth;
use fragua_base::{Secret, SystemClock};
use fragua_database::testing::TestDatabase;
use fragua_storage::{Settings, Storage, Webhook, WebhookSettings, s3};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_finds_what_it_expects() {
    run("boto3_client.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_finds_versions_tags_and_settings() {
    run("boto3_versions.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_finds_parts_policies_and_forms() {
    run("boto3_edge.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_encrypts_and_decrypts() {
    run("boto3_encryption.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mlflow_keeps_artifacts() {
    run("mlflow_artifacts.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3fs_pandas_and_polars_read_and_write_tables() {
    run_in("FRAGUA_TEST_PYTHON_S3", "tables.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_rclone_and_s3cmd_carry_files_both_ways() {
    run_in("FRAGUA_TEST_PYTHON_S3", "commands.py").await;
}

async fn run(script: &str) {
    run_in("FRAGUA_TEST_PYTHON", script).await;
}

async fn run_in(environment: &str, script: &str) {
    let Some(python) = std::env::var_os(environment) else {
        panic!(
            "{environment} is not set: run `cargo xtask test`, which installs a Python environment and sets it"
        );
    };
    let database = TestDatabase::sqlite().await;
    let root = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock);
    let webhook = Webhook {
        url: Secret::new("https://example.org/rows"),
        secret: None,
    };
    let storage = Storage::open(
        database.database.clone(),
        Settings {
            webhooks: WebhookSettings {
                webhooks: [("rows".to_owned(), webhook)].into(),
                ..WebhookSettings::default()
            },
            secret_key: Some(fragua_auth::new_secret_key()),
            ..Settings::new(root.path())
        },
        clock.clone(),
    )
    .await
    .unwrap();
    let auth = Auth::open(database.database.clone(), clock).await.unwrap();
    let key = auth.root_access_key(None).await.unwrap();
    let settings = s3::Settings {
        domains: vec!["s3.localhost".to_owned()],
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serving =
        tokio::spawn(async move { axum::serve(listener, s3::router(storage, auth, &settings)).await });

    let mut client = Command::new(python);
    client
        .arg(format!("{}/tests/{script}", env!("CARGO_MANIFEST_DIR")))
        .arg(endpoint)
        .env("AWS_ACCESS_KEY_ID", &key.id)
        .env("AWS_SECRET_ACCESS_KEY", key.secret.expose())
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_ENDPOINT_URL");
    let output = tokio::task::spawn_blocking(move || client.output())
        .await
        .unwrap()
        .unwrap();
    serving.abort();
    let (printed, problems) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{printed}\n{problems}");
    assert!(printed.trim_end().ends_with("all checks passed"), "{printed}");
    let incoming = std::fs::read_dir(root.path().join("incoming")).unwrap();
    // The server that ends takes its own folder away while this looks: only files of writes count.
    let left = incoming
        .filter_map(|folder| std::fs::read_dir(folder.unwrap().path()).ok())
        .flatten()
        .filter(|file| file.as_ref().is_ok_and(|file| file.file_name() != "lock"))
        .count();
    assert_eq!(left, 0, "files of writes that ended");
}
