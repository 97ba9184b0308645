//! A database that MLflow made is opened in place, and MLflow reads what was written to it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use fragua_base::{SystemClock, Timestamp};
use fragua_database::Database;
use fragua_storage::Storage;
use fragua_tracking::{Batch, Metric, NewRun, Query, Settings, Tag, Tracking};

fn python(script: &str, database: &Path) -> String {
    let python = std::env::var_os("FRAGUA_TEST_PYTHON")
        .expect("FRAGUA_TEST_PYTHON names no interpreter with mlflow: run the tests with `cargo xtask test`");
    let folder = database.parent().expect("the file lies in a folder");
    let output = Command::new(python)
        .args(["-c", script])
        .arg(format!("sqlite:///{}", database.display()))
        .current_dir(folder)
        .env("HOME", folder)
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .output()
        .expect("the interpreter starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[tokio::test]
async fn a_database_of_mlflow_is_opened_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mlflow.db");
    python(
        r#"
import sys
from mlflow.entities import Metric, Param, RunTag
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

store = SqlAlchemyStore(sys.argv[1], "mlflow-artifacts:/")
experiment = store.create_experiment("theirs")
run = store.create_run(experiment, "ana", 1000, [RunTag("team", "forest")], "first")
metrics = [Metric("score", 0.5, 1, 0), Metric("score", float("nan"), 2, 1), Metric("loss", 2.0, 1, 0)]
store.log_batch(run.info.run_id, metrics, [Param("side", "left")], [])
Registry(sys.argv[1]).create_registered_model("cover")
"#,
        &path,
    );

    let database = Database::open(&format!("sqlite:///{}", path.display()), "tracking.database_url")
        .await
        .unwrap();
    let clock = Arc::new(SystemClock);
    let settings = fragua_storage::Settings::new(folder.path().join("objects"));
    let storage = Storage::open(database.clone(), settings, clock.clone())
        .await
        .unwrap();
    let tracking = Tracking::open(database.clone(), storage, Settings::default(), clock)
        .await
        .unwrap();
    let experiment = tracking.experiment_by_name("theirs").await.unwrap().unwrap();
    let query = Query {
        filter: "params.side = 'left' AND tags.team = 'forest' AND metrics.loss = 2".to_owned(),
        ..Query::default()
    };
    let found = tracking
        .search_runs(&[experiment.id], &query)
        .await
        .unwrap()
        .items;
    assert_eq!((found.len(), found[0].info.run_name.as_str()), (1, "first"));
    assert!(found[0].metric("score").unwrap().is_nan());
    assert_eq!(tracking.model("cover").await.unwrap().name, "cover");
    let new = NewRun {
        experiment_id: Some(experiment.id),
        run_name: Some("second".to_owned()),
        ..NewRun::default()
    };
    let run = tracking.create_run(new).await.unwrap();
    let batch = Batch {
        metrics: vec![Metric::new("score", 0.75, Timestamp::from_millis(5), 0)],
        params: Vec::new(),
        tags: vec![Tag::new("team", "forest")],
    };
    tracking.log_batch(&run.info.run_id, batch).await.unwrap();
    drop(tracking);
    database.close().await;

    let names = python(
        r#"
import sys
from mlflow.entities import ViewType
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

store = SqlAlchemyStore(sys.argv[1], "mlflow-artifacts:/")
experiment = store.get_experiment_by_name("theirs").experiment_id
runs = store.search_runs([experiment], "tags.team = 'forest'", ViewType.ACTIVE_ONLY, order_by=["metrics.score"])
print([(run.info.run_name, run.info.status, str(run.data.metrics["score"])) for run in runs])
"#,
        &path,
    );
    assert!(
        names.contains("[('second', 'RUNNING', '0.75'), ('first', 'RUNNING', 'nan')]"),
        "{names}"
    );
}
