//! Over the registry of this program, with its database and its object store.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use fragua_base::{SharedClock, SystemClock};
use fragua_database::testing::TestDatabase;
use fragua_storage::Storage;
use fragua_tracking::client::MlflowClient;
use fragua_tracking::{Batch, Metric, NewRun, NewVersion, Tracking};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::support::{broken, forest, settings, text_forest};
use crate::source::memory::Files;
use crate::{Followed, ModelSource, ProblemKind, Serving, Settings, State, api};

struct House {
    tracking: Tracking,
    _databases: [TestDatabase; 2],
    _folder: tempfile::TempDir,
}

impl House {
    async fn open() -> Self {
        let databases = [TestDatabase::sqlite().await, TestDatabase::sqlite().await];
        let folder = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let storage_settings = fragua_storage::Settings::new(folder.path());
        let storage = Storage::open(databases[0].database.clone(), storage_settings, clock.clone())
            .await
            .unwrap();
        let tracking = Tracking::open(
            databases[1].database.clone(),
            storage,
            fragua_tracking::Settings::default(),
            clock,
        )
        .await
        .unwrap();
        tracking.create_model("forest", None, Vec::new()).await.unwrap();
        Self {
            tracking,
            _databases: databases,
            _folder: folder,
        }
    }

    /// Logs a model to a run and registers it; returns its version.
    async fn register(&self, files: Files) -> i32 {
        let run = self.tracking.create_run(NewRun::default()).await.unwrap();
        let run_id = run.info.run_id;
        for (name, bytes) in files {
            let path = self
                .tracking
                .run_artifact(&run_id, &format!("model/{name}"))
                .await
                .unwrap();
            let body = futures::stream::iter([Ok(Bytes::from(bytes))]);
            self.tracking.put_artifact(&path, None, None, body).await.unwrap();
        }
        let batch = Batch {
            metrics: vec![Metric {
                key: "accuracy".to_owned(),
                value: 0.875,
                timestamp: fragua_base::Timestamp::from_millis(1),
                step: 0,
                model_id: None,
                dataset_name: None,
                dataset_digest: None,
            }],
            ..Batch::default()
        };
        self.tracking.log_batch(&run_id, batch).await.unwrap();
        let new = NewVersion {
            name: "forest".to_owned(),
            source: format!("{}/model", run.info.artifact_uri),
            run_id: Some(run_id),
            ..NewVersion::default()
        };
        self.tracking.create_version(new).await.unwrap().version
    }

    async fn point(&self, version: i32) {
        self.tracking
            .set_alias("forest", "champion", version)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_alias_of_this_programs_registry_is_followed() {
    let house = House::open().await;
    let source = ModelSource::Local(house.tracking.clone());
    follows(&house, source, settings()).await;
}

#[tokio::test]
async fn the_alias_of_a_registry_behind_http_is_followed() {
    // Another test of this process may have installed it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let house = House::open().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = fragua_tracking::mlflow::router(house.tracking.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let source = ModelSource::Remote(MlflowClient::new(&address, None).unwrap());
    let often = Settings {
        poll_every: Some(Duration::from_millis(10)),
        ..settings()
    };
    follows(&house, source.clone(), often).await;
    server.abort();

    let serving = Serving::open(source, settings(), Arc::new(SystemClock)).unwrap();
    assert_eq!(serving.follow_alias().await, Followed::TryAgain);
    let state = serving.state();
    let problem = state.problem.as_ref().unwrap();
    assert_eq!(problem.kind, ProblemKind::Unreachable);
    assert!(problem.message.contains("did not answer"), "{}", problem.message);
}

/// The whole life of an alias: nothing, a model, another one, a broken one, nothing again.
async fn follows(house: &House, source: ModelSource, settings: Settings) {
    let serving = Serving::open(source, settings, Arc::new(SystemClock)).unwrap();
    let shutdown = CancellationToken::new();
    let (following, stop) = (serving.clone(), shutdown.clone());
    let running = tokio::spawn(async move { following.run(stop).await });
    let mut states = serving.watch();
    let serves = |version: i32| {
        move |state: &Arc<State>| {
            let found = state.model.as_ref().map(|model| model.version.clone());
            found == Some(version.to_string()) && state.problem.is_none()
        }
    };
    let is_problem = |kind: ProblemKind| {
        move |state: &Arc<State>| state.problem.as_ref().is_some_and(|problem| problem.kind == kind)
    };
    states
        .wait_for(is_problem(ProblemKind::NotRegistered))
        .await
        .unwrap();

    let first = house.register(forest()).await;
    house.point(first).await;
    states.wait_for(serves(first)).await.unwrap();
    let model = serving.current().unwrap();
    assert_eq!(model.metrics.get("accuracy"), Some(&0.875));
    assert!(model.run_id.is_some());

    let second = house.register(text_forest()).await;
    house.point(second).await;
    states.wait_for(serves(second)).await.unwrap();
    let record = r#"{"Elevation":2990,"Slope":3.5,"Area":"Rawah"}"#;
    let request = Request::post("/predict").header("content-type", "application/json");
    let answered = api::router(serving.clone())
        .oneshot(request.body(Body::from(record)).unwrap())
        .await
        .unwrap();
    assert_eq!(answered.status(), StatusCode::OK);

    let third = house.register(broken()).await;
    house.point(third).await;
    states
        .wait_for(is_problem(ProblemKind::Unservable))
        .await
        .unwrap();
    assert_eq!(serving.current().unwrap().version, second.to_string());

    house.tracking.delete_alias("forest", "champion").await.unwrap();
    states
        .wait_for(is_problem(ProblemKind::NotRegistered))
        .await
        .unwrap();
    assert!(serving.current().is_none());
    shutdown.cancel();
    running.await.unwrap();
}
