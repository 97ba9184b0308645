//! The two servers that are asked.

use std::io::BufReader;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request, Response, Uri, header};
use fragua_base::SystemClock;
use fragua_database::testing::TestDatabase;
use fragua_storage::Storage;
use fragua_tracking::{Settings, Tracking};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tower::ServiceExt as _;

/// Where a request goes. Neither way touches the path, which for other clients is a thing to tidy up.
pub(crate) enum Server {
    Routes(Router),
    Address(Box<Client<HttpConnector, Body>>, String),
}

impl Server {
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Response<Bytes> {
        let response = match self {
            Self::Routes(router) => {
                let host = HeaderValue::from_static("localhost");
                request.headers_mut().insert(header::HOST, host);
                router.clone().oneshot(request).await.unwrap().map(Body::new)
            }
            Self::Address(client, address) => {
                let uri = format!("{address}{}", request.uri());
                *request.uri_mut() = uri.parse::<Uri>().unwrap();
                client.request(request).await.unwrap().map(Body::new)
            }
        };
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }
}

/// Our routes over a fresh database.
pub(crate) struct Fragua {
    pub(crate) server: Server,
    _database: TestDatabase,
    _objects: TempDir,
}

impl Fragua {
    pub(crate) async fn open() -> Self {
        let database = TestDatabase::sqlite().await;
        let objects = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let settings = fragua_storage::Settings::new(objects.path());
        let storage = Storage::open(database.database.clone(), settings, clock.clone())
            .await
            .unwrap();
        let tracking = Tracking::open(database.database.clone(), storage, Settings::default(), clock)
            .await
            .unwrap();
        Self {
            server: Server::Routes(fragua_tracking::mlflow::router(tracking)),
            _database: database,
            _objects: objects,
        }
    }
}

/// The real server over a fresh database. It ends with this value.
pub(crate) struct Mlflow {
    pub(crate) server: Server,
    process: Child,
    _folder: TempDir,
}

impl Mlflow {
    pub(crate) async fn start() -> Self {
        let python = std::env::var_os("FRAGUA_TEST_PYTHON").expect(
            "FRAGUA_TEST_PYTHON names no interpreter with mlflow: run the tests with `cargo xtask test`",
        );
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut process = Command::new(python)
            .args(["-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"])
            .args(["--port", &free.port().to_string()])
            .args(["--backend-store-uri", "sqlite:///mlflow.db"])
            .args(["--artifacts-destination", "artifacts"])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Its workers are ended with it.
            .process_group(0)
            .spawn()
            .expect("the interpreter starts");
        let log = BufReader::new(process.stderr.take().expect("it is piped"));
        let (told, started) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || follow(log, told));
        let started = started.await.expect("the log is followed");
        let server = Server::Address(
            Box::new(Client::builder(TokioExecutor::new()).build_http()),
            format!("http://{free}"),
        );
        let mlflow = Self {
            server,
            process,
            _folder: folder,
        };
        started.unwrap_or_else(|log| panic!("mlflow server does not start:\n{log}"));
        mlflow
    }
}

/// Reads the log of a server to its end and tells when the server answers.
fn follow(log: impl std::io::BufRead, told: tokio::sync::oneshot::Sender<Result<(), String>>) {
    let mut told = Some(told);
    let mut seen = String::new();
    for line in log.lines().map_while(Result::ok) {
        let Some(waiting) = told.take() else { continue };
        if line.contains("Application startup complete") {
            // Who waits may have gone.
            let _ = waiting.send(Ok(()));
        } else {
            seen += &format!("{line}\n");
            told = Some(waiting);
        }
    }
    if let Some(waiting) = told {
        let _ = waiting.send(Err(seen));
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.process.id()).expect("it is a process id"));
        // It may have ended by itself.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.process.wait();
    }
}
