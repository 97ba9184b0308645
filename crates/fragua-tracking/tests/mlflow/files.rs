//! A file store that MLflow wrote is imported, and Fragua says of it what MLflow says.

use std::path::PathBuf;

use fragua_database::testing::TestDatabase;
use fragua_database::{Database, sqlite_url};
use fragua_tracking::{ImportReport, ImportRequest, Query, Tracking};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::peer::{Mlflow, open, read, sqlalchemy, with_no_models};

/// A file store, and the MLflow that wrote it.
pub(crate) struct FileStore {
    mlflow: Mlflow,
    folder: TempDir,
    url: String,
    has_models: bool,
}

impl FileStore {
    /// Lets the MLflow that the variable names write in every place a file store has.
    pub(crate) fn written_by(variable: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file:{}", folder.path().join("mlruns").display());
        let mut mlflow = Mlflow::start(variable, folder.path());
        mlflow.ask(&json!(["write", url, "theirs"]));
        mlflow.ask(&json!(["write more", url]));
        Self {
            mlflow,
            folder,
            url,
            has_models: variable == "FRAGUA_TEST_PYTHON",
        }
    }

    /// Lets MLflow do a command of one argument, this store.
    fn ask(&mut self, command: &str) -> Value {
        self.mlflow.ask(&json!([command, self.url]))
    }

    /// Returns what MLflow reads in it.
    fn told(&mut self) -> Value {
        let told = self.ask("read");
        match self.has_models {
            true => told,
            false => with_no_models(told),
        }
    }

    pub(crate) async fn import(&self, tracking: &Tracking, dry_run: bool) -> ImportReport {
        let request = ImportRequest {
            folder: self.folder.path().join("mlruns"),
            copy_artifacts: true,
            dry_run,
        };
        let mut last = (0, 0);
        let report = tracking
            .import(&request, |done, total| last = (done, total))
            .await
            .unwrap();
        assert_eq!(last.0, last.1);
        report
    }
}

async fn check(variable: &str, database: &Database) {
    let mut store = FileStore::written_by(variable);
    let told = store.told();
    store.ask("spoil");
    let tracking = open(database, store.folder.path()).await;

    let planned = store.import(&tracking, true).await;
    assert!(tracking.experiment_by_name("theirs").await.unwrap().is_none());
    let report = store.import(&tracking, false).await;
    assert_eq!(report, planned);
    assert_eq!(read(&tracking).await, told);
    assert_eq!((report.experiments, report.runs, report.versions), (2, 2, 1));
    let skipped: Vec<(&str, Option<usize>)> = report
        .skipped
        .iter()
        .map(|skipped| (skipped.file.file_name().unwrap().to_str().unwrap(), skipped.line))
        .collect();
    assert_eq!(skipped.len(), 3, "{:?}", report.skipped);
    for expected in [("loss", Some(2)), ("binary", None), ("link", None)] {
        assert!(skipped.contains(&expected), "{expected:?} of {skipped:?}");
    }

    let experiment = tracking.experiment_by_name("theirs").await.unwrap().unwrap();
    let runs = tracking
        .search_runs(&[experiment.id], &Query::default())
        .await
        .unwrap();
    let run_id = &runs.items[0].info.run_id;
    let note = tracking.run_artifact(run_id, "notes/a.txt").await.unwrap();
    assert_eq!(
        tracking.read_artifact(&note, 10).await.unwrap().as_ref(),
        b"hello"
    );
    let models = told["logged_models"].as_array().unwrap();
    assert_eq!(models.len(), usize::from(store.has_models));
    for model in models {
        let model = tracking
            .logged_model(model["id"].as_str().unwrap())
            .await
            .unwrap();
        let files = tracking.artifact_at(&model.artifact_uri).unwrap();
        assert_eq!(tracking.list_artifacts(&files).await.unwrap()[0].name, "MLmodel");
    }

    let again = store.import(&tracking, false).await;
    assert_eq!(
        (again.experiments, again.runs, again.models, again.files),
        (0, 0, 0, 0)
    );
    assert_eq!(
        again.already_there,
        report.runs + report.logged_models + report.models
    );
    assert_eq!(read(&tracking).await, told);
}

#[tokio::test]
async fn a_file_store_of_mlflow_3_is_imported_once() {
    for fresh in [
        TestDatabase::sqlite().await,
        TestDatabase::postgres().await,
        TestDatabase::mariadb().await,
    ] {
        check("FRAGUA_TEST_PYTHON", &fresh.database).await;
    }
}

#[tokio::test]
async fn a_file_store_of_mlflow_2_is_imported_once() {
    for fresh in [TestDatabase::sqlite().await, TestDatabase::mariadb().await] {
        check("FRAGUA_TEST_PYTHON_MLFLOW_2", &fresh.database).await;
    }
}

/// Imports, lets MLflow add to the folder, and imports again.
async fn check_growth(variable: &str, database: &Database) {
    let mut store = FileStore::written_by(variable);
    let tracking = open(database, store.folder.path()).await;
    store.import(&tracking, false).await;
    store.ask("grow");
    let told = store.told();

    let planned = store.import(&tracking, true).await;
    let report = store.import(&tracking, false).await;
    assert_eq!(report, planned);
    assert_eq!((report.models, report.versions, report.aliases), (0, 1, 1));
    assert_eq!(report.skipped, []);
    assert_eq!(read(&tracking).await, told);

    // What was deleted here does not come back, and is no fault of the folder.
    tracking.delete_version("cover of theirs", 2).await.unwrap();
    let again = store.import(&tracking, false).await;
    assert_eq!((again.versions, again.aliases, again.tags), (0, 0, 0));
    assert_eq!(again.skipped, []);
    let versions = tracking.search_versions(&Query::default()).await.unwrap().items;
    assert_eq!(versions.len(), 1);
}

#[tokio::test]
async fn a_second_import_passed_over_what_models_that_were_there_lacked() {
    for fresh in [
        TestDatabase::sqlite().await,
        TestDatabase::postgres().await,
        TestDatabase::mariadb().await,
    ] {
        check_growth("FRAGUA_TEST_PYTHON", &fresh.database).await;
    }
    let fresh = TestDatabase::sqlite().await;
    check_growth("FRAGUA_TEST_PYTHON_MLFLOW_2", &fresh.database).await;
}

/// What a client logged that had a database and no server is read where it is.
async fn check_local(variable: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("mlflow.db");
    let mut mlflow = Mlflow::start(variable, folder);
    let url = sqlite_url(&file);
    let told = mlflow.ask(&json!(["log without server", sqlalchemy(&url)]));
    let run_id = told[0].as_str().unwrap();
    let database = Database::open(&url, "tracking.database_url").await.unwrap();
    let tracking = open(&database, folder).await;
    let note = tracking.run_artifact(run_id, "notes/a.txt").await.unwrap();
    assert!(note.is_read_only());
    assert_eq!(
        tracking.read_artifact(&note, 10).await.unwrap().as_ref(),
        b"hello"
    );
    let model = match told[1].as_str() {
        Some(model_id) => format!("models:/{model_id}"),
        None => format!("runs:/{run_id}/model"),
    };
    let model = tracking.resolve_model(&model).await.unwrap();
    let file = model.artifact_prefix.join("MLmodel").unwrap();
    let text = tracking.read_artifact(&file, 100_000).await.unwrap();
    assert!(String::from_utf8_lossy(&text).contains("python_function"));
}

#[tokio::test]
async fn files_of_a_client_without_a_server_are_read_where_they_are() {
    check_local("FRAGUA_TEST_PYTHON").await;
    check_local("FRAGUA_TEST_PYTHON_MLFLOW_2").await;
}

#[tokio::test]
async fn a_folder_that_is_no_file_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = TestDatabase::sqlite().await;
    let tracking = open(&fresh.database, folder.path()).await;
    let request = ImportRequest {
        folder: PathBuf::from(folder.path()),
        copy_artifacts: true,
        dry_run: false,
    };
    let error = tracking.import(&request, |_, _| ()).await.unwrap_err();
    assert!(
        error.to_string().contains("is no file store of MLflow"),
        "{error}"
    );
}
