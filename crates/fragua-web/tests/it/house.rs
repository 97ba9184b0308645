//! Façades over fresh databases and folders.

use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use fragua_auth::Auth;
use fragua_base::{Endpoints, ManualClock, SharedClock, Timestamp};
use fragua_database::Database;
use fragua_database::testing::TestDatabase;
use fragua_learn::mlflow_model::{self, ModelInfo};
use fragua_learn::{Categorical, Column, NoProgress, Table, TrainConfig, train};
use fragua_storage::{BucketName, ObjectKey, PutOptions, Storage};
use fragua_tracking::{Batch, Metric, NewRun, NewVersion, Param, RunStatus, RunUpdate, Tag, Tracking};
use fragua_web::{ServedAlias, Site};
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub(crate) struct House {
    pub(crate) storage: Storage,
    pub(crate) tracking: Tracking,
    pub(crate) auth: Auth,
    pub(crate) clock: SharedClock,
    databases: [TestDatabase; 2],
    folder: tempfile::TempDir,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2025-04-02T12:00:00Z").unwrap()
}

/// Returns a site whose roles all have an address.
pub(crate) fn site(clock: &SharedClock) -> Site {
    let at = |port: u16| Some(format!("http://127.0.0.1:{port}"));
    let endpoints = Endpoints {
        orchestrator: at(8080),
        tracking: at(8084),
        storage: at(9000),
        console: at(8083),
        serving: at(8085),
        app: at(8086),
        source: None,
    };
    let served = ServedAlias {
        model: "cover_type_class".to_owned(),
        alias: "champion".to_owned(),
    };
    Site::new(endpoints, served, clock.clone(), CancellationToken::new())
}

impl House {
    pub(crate) async fn open() -> Self {
        let databases = [TestDatabase::sqlite().await, TestDatabase::sqlite().await];
        let folder = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(ManualClock::at(now()));
        let webhook = fragua_storage::Webhook {
            url: fragua_base::Secret::new("https://example.org/rows"),
            secret: None,
        };
        let settings = fragua_storage::Settings {
            webhooks: fragua_storage::WebhookSettings {
                webhooks: [("rows".to_owned(), webhook)].into(),
                ..Default::default()
            },
            secret_key: Some(fragua_base::Secret::new(format!("{}=", "A".repeat(43)))),
            // Objects are files, so that a test can spoil them.
            small_object_bytes: 0,
            ..fragua_storage::Settings::new(folder.path().join("objects"))
        };
        let storage = Storage::open(databases[0].database.clone(), settings, clock.clone())
            .await
            .unwrap();
        let settings = fragua_tracking::Settings::default();
        let tracking = Tracking::open(
            databases[1].database.clone(),
            storage.clone(),
            settings,
            clock.clone(),
        )
        .await
        .unwrap();
        let auth = Auth::open(databases[0].database.clone(), clock.clone())
            .await
            .unwrap();
        Self {
            storage,
            tracking,
            auth,
            clock,
            databases,
            folder,
        }
    }

    pub(crate) fn site(&self) -> Site {
        site(&self.clock)
    }

    /// Returns the pages of the object store.
    pub(crate) fn console(&self) -> Router {
        let site = self.site().with_artifacts_in("mlflows3");
        fragua_web::console_pages(self.storage.clone(), self.auth.clone(), site)
    }

    pub(crate) async fn put(&self, bucket: &str, key: &str, bytes: &'static [u8]) {
        let bucket = BucketName::parse(bucket).unwrap();
        self.storage.ensure_bucket(&bucket).await.unwrap();
        let key = ObjectKey::parse(key).unwrap();
        self.storage
            .put_bytes(&bucket, &key, PutOptions::default(), bytes)
            .await
            .unwrap();
    }

    /// Puts other bytes into the file of an object that holds these.
    pub(crate) fn spoil(&self, bytes: &[u8], other: &[u8]) {
        let folders = std::fs::read_dir(self.folder.path().join("objects/blobs")).unwrap();
        for folder in folders {
            for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                if std::fs::read(&path).unwrap() == bytes {
                    std::fs::write(path, other).unwrap();
                }
            }
        }
    }

    /// Returns the database of tracking.
    pub(crate) fn database(&self) -> &Database {
        &self.databases[1].database
    }

    /// Logs a finished run with two metrics, one of them a curve, and returns its id.
    pub(crate) async fn run(&self, name: &str, accuracy: f64, parent: Option<&str>) -> String {
        let mut tags = vec![
            Tag::new("fragua.dag_id", "model_training_dag"),
            Tag::new("fragua.dag_run_id", "manual__1"),
        ];
        tags.extend(parent.map(|parent| Tag::new("mlflow.parentRunId", parent)));
        let new = NewRun {
            run_name: Some(name.to_owned()),
            start_time: Some(now()),
            tags,
            ..NewRun::default()
        };
        let run_id = self.tracking.create_run(new).await.unwrap().info.run_id;
        let curve = (0..5).map(|step| Metric::new("loss", 1.0 / f64::from(step + 1), now(), i64::from(step)));
        let batch = Batch {
            metrics: curve
                .chain([Metric::new("accuracy", accuracy, now(), 0)])
                .collect(),
            params: vec![Param::new("model", "<forest>")],
            tags: Vec::new(),
        };
        self.tracking.log_batch(&run_id, batch).await.unwrap();
        let update = RunUpdate {
            status: Some(RunStatus::Finished),
            end_time: Some(now().plus(std::time::Duration::from_secs(95))),
            ..RunUpdate::default()
        };
        self.tracking.update_run(&run_id, update).await.unwrap();
        run_id
    }

    /// Logs a parent and three candidates, as MLflow does by itself for a grid search, and returns their ids.
    pub(crate) async fn grid_search(&self) -> Vec<String> {
        let settings = ["cv", "error_score", "n_jobs", "pre_dispatch"].map(|key| Param::new(key, "5"));
        let parent = Batch {
            metrics: vec![Metric::new("test_accuracy", 0.9, now(), 0)],
            params: settings.to_vec(),
            tags: Vec::new(),
        };
        let candidate = |depth: i32| Batch {
            metrics: vec![
                Metric::new("mean_test_score", f64::from(depth) / 10.0, now(), 0),
                Metric::new("rank_test_score", f64::from(9 - depth), now(), 0),
            ],
            params: vec![
                Param::new("criterion", "gini"),
                Param::new("max_depth", depth.to_string()),
            ],
            tags: Vec::new(),
        };
        let mut ids: Vec<String> = Vec::new();
        for batch in [parent, candidate(2), candidate(4), candidate(8)] {
            let new = NewRun {
                tags: ids
                    .first()
                    .map(|parent| Tag::new("mlflow.parentRunId", parent))
                    .into_iter()
                    .collect(),
                ..NewRun::default()
            };
            let run_id = self.tracking.create_run(new).await.unwrap().info.run_id;
            self.tracking.log_batch(&run_id, batch).await.unwrap();
            ids.push(run_id);
        }
        ids
    }

    pub(crate) async fn artifact(&self, run_id: &str, path: &str, bytes: Vec<u8>) {
        let path = self.tracking.run_artifact(run_id, path).await.unwrap();
        let body = futures::stream::iter([Ok(Bytes::from(bytes))]);
        self.tracking.put_artifact(&path, None, None, body).await.unwrap();
    }

    /// Trains a small forest on `Elevation`, `Slope` and `Area`, registers it as `cover_type_class` and makes it champion.
    pub(crate) async fn champion(&self) -> String {
        let run_id = self.run("forest", 0.875, None).await;
        for file in model_files() {
            self.artifact(&run_id, &format!("model/{}", file.0), file.1).await;
        }
        let name = "cover_type_class";
        let _ = self.tracking.create_model(name, None, Vec::new()).await;
        let info = self.tracking.run_info(&run_id).await.unwrap();
        let new = NewVersion {
            name: name.to_owned(),
            source: format!("{}/model", info.artifact_uri),
            run_id: Some(run_id.clone()),
            ..NewVersion::default()
        };
        let version = self.tracking.create_version(new).await.unwrap().version;
        self.tracking.set_alias(name, "champion", version).await.unwrap();
        run_id
    }
}

fn model_files() -> Vec<(String, Vec<u8>)> {
    let rows = 120;
    let areas = ["Cache", "Neota", "Rawah"].map(str::to_owned).to_vec();
    let codes = (0..rows).map(|row| (row % 3) as u32).collect();
    let table = Table::new(vec![
        (
            "Elevation".to_owned(),
            Column::Numeric((0..rows).map(|row| f64::from(1800 + row * 10)).collect()),
        ),
        (
            "Slope".to_owned(),
            Column::Numeric((0..rows).map(|row| f64::from(row % 7) + 0.5).collect()),
        ),
        (
            "Area".to_owned(),
            Column::Categorical(Categorical::new(areas, codes).unwrap()),
        ),
        (
            "Class".to_owned(),
            Column::Numeric((0..rows).map(|row| f64::from(row / 40)).collect()),
        ),
    ]);
    let config: TrainConfig = serde_json::from_value(json!({
        "target": "Class",
        "candidates": [{ "model": "random_forest", "n_estimators": 5 }],
    }))
    .unwrap();
    let report = train(&table.unwrap(), &config, &NoProgress).unwrap();
    let info = ModelInfo {
        profile: Some(report.profile),
        ..ModelInfo::default()
    };
    let files = mlflow_model::files(&report.pipeline, &info);
    files
        .into_iter()
        .map(|file| (file.name.to_owned(), file.bytes))
        .collect()
}
