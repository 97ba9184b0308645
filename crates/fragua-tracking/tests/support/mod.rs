//! A server on a port of its own, and Python scripts that speak to it with the unmodified client.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use fragua_base::SystemClock;
use fragua_database::testing::TestDatabase;
use fragua_storage::Storage;
use fragua_tracking::{Settings, Tracking, WebhookSettings};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Which MLflow a script runs with, by the variable that names its interpreter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Client {
    /// The one of today.
    Mlflow3,
    /// The last one of the series before.
    Mlflow2,
}

impl Client {
    fn interpreter(self) -> std::ffi::OsString {
        let variable = match self {
            Self::Mlflow3 => "FRAGUA_TEST_PYTHON",
            Self::Mlflow2 => "FRAGUA_TEST_PYTHON_MLFLOW_2",
        };
        let found = std::env::var_os(variable);
        found.unwrap_or_else(|| {
            panic!("{variable} names no interpreter with mlflow: run the tests with `cargo xtask test`")
        })
    }
}

/// A tracking server with an empty database.
pub(crate) struct Server {
    pub(crate) runs: TestDatabase,
    pub(crate) storage: Storage,
    address: String,
    folder: TempDir,
    _objects: TestDatabase,
    listener: JoinHandle<()>,
    delivery: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let objects = TestDatabase::sqlite().await;
        let clock = Arc::new(SystemClock);
        let settings = fragua_storage::Settings::new(folder.path().join("objects"));
        let storage = Storage::open(objects.database.clone(), settings, clock.clone())
            .await
            .unwrap();
        let runs = TestDatabase::sqlite().await;
        let settings = Settings {
            webhooks: WebhookSettings {
                allowed_schemes: vec!["http".to_owned()],
                allow_private_addresses: true,
                ..WebhookSettings::default()
            },
            ..Settings::default()
        };
        let tracking = Tracking::open(runs.database.clone(), storage.clone(), settings, clock)
            .await
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let delivery = tokio::spawn(tracking.deliver_webhooks(shutdown.clone()));
        let router = fragua_tracking::mlflow::router(tracking);
        let listener = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            runs,
            storage,
            address,
            folder,
            _objects: objects,
            listener,
            delivery,
            shutdown,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Runs a script of `tests/clients` to its end.
    pub(crate) async fn run(&self, client: Client, script: &str) {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let work = self.folder.path().join("work");
        std::fs::create_dir(&work).unwrap();
        let mut command = Command::new(client.interpreter());
        command
            .arg(scripts.join(script))
            .current_dir(&work)
            .env("MLFLOW_TRACKING_URI", &self.address)
            .env("HOME", &work)
            .env("TMPDIR", &work)
            .env("MPLCONFIGDIR", &work)
            .env("MPLBACKEND", "Agg")
            .env("GIT_PYTHON_REFRESH", "quiet")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            // A fault shows at once and not after minutes of new tries.
            .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
            .env_remove("MLFLOW_REGISTRY_URI")
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        assert!(
            output.status.success(),
            "{script} with {client:?}:\n{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub(crate) async fn stop(self) {
        self.listener.abort();
        self.shutdown.cancel();
        self.delivery.await.unwrap();
    }
}
