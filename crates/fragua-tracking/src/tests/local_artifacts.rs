//! Files that an MLflow without a proxy left in folders of this machine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use fragua_database::testing::TestDatabase;
use fragua_storage::ByteRange;
use sea_orm::ConnectionTrait as _;

use super::{Bench, assert_invalid, assert_missing};
use crate::{ArtifactEntry, ExperimentId, KeptReason, NewVersion, PurgeRequest, Settings};

/// Tracking that may show what is in `mlruns`, and a folder for what lies around it.
struct Machine {
    bench: Bench,
    database: TestDatabase,
    folder: tempfile::TempDir,
}

impl Machine {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::sqlite().await;
        let settings = Settings {
            local_artifacts: vec![Arc::from(folder.path().join("mlruns"))],
            ..Settings::default()
        };
        Self {
            bench: Bench::open_with(database.database.clone(), settings).await,
            database,
            folder,
        }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Returns the id of a run whose files MLflow says to be at `uri`.
    async fn run_at(&self, uri: &str) -> String {
        let run_id = self.bench.run(ExperimentId(0), "local").await.info.run_id;
        let change = format!("UPDATE runs SET artifact_uri = '{uri}' WHERE run_uuid = '{run_id}'");
        let writer = self.database.database.writer();
        writer.execute_unprepared(&change).await.unwrap();
        run_id
    }
}

fn names(entries: &[ArtifactEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[tokio::test]
async fn files_of_an_mlflow_without_a_proxy_were_not_shown() {
    let machine = Machine::start().await;
    let tracking = &machine.bench.tracking;
    machine.write("mlruns/0/r/artifacts/model/MLmodel", "flavors: {}\n");
    machine.write("mlruns/0/r/artifacts/año.txt", "buenos días");
    let here = format!(
        "file://{}",
        machine.folder.path().join("mlruns/0/r/artifacts").display()
    );
    // The second one as the database of another machine says it.
    for uri in [
        here.as_str(),
        "/home/ana/mlruns/0/r/artifacts",
        "./mlruns/0/r/artifacts",
    ] {
        let run_id = machine.run_at(uri).await;
        let root = tracking.run_artifact(&run_id, "").await.unwrap();
        assert!(root.is_read_only());
        let listed = tracking.list_artifacts(&root).await.unwrap();
        assert_eq!(names(&listed), ["año.txt", "model"], "{uri}");
        assert_eq!((listed[0].size_bytes, listed[1].is_dir), (12, true));
        let (some, is_cut) = tracking.first_artifacts(&root, 1).await.unwrap();
        assert_eq!((names(&some), is_cut), (vec!["año.txt"], true));
        let (all, _) = tracking.artifacts_below(&root, None).await.unwrap();
        assert_eq!(names(&all), ["año.txt", "model/MLmodel"]);

        let note = root.join("año.txt").unwrap();
        let text = tracking.read_artifact(&note, 100).await.unwrap();
        assert_eq!(text, "buenos días");
        let range = ByteRange::Between { first: 1, last: 3 };
        let (meta, stream) = tracking.open_artifact(&note, Some(range)).await.unwrap();
        assert_eq!((meta.size_bytes, stream.range()), (12, 1..4));
        assert_eq!(meta.content_type, "text/plain");
        assert_eq!(stream.into_bytes(10).await.unwrap(), "uen");
        let model = tracking
            .resolve_model(&format!("runs:/{run_id}/model"))
            .await
            .unwrap();
        let file = model.artifact_prefix.join("MLmodel").unwrap();
        assert_eq!(tracking.artifact_size(&file).await.unwrap(), 12);

        assert_missing(tracking.artifact_size(&root.join("nothing").unwrap()).await);
        assert_missing(tracking.artifact_size(&root.join("model").unwrap()).await);
        assert_missing(tracking.artifact_size(&root.join("año.txt/x").unwrap()).await);
        let nowhere = root.join("nothing").unwrap();
        assert_eq!(tracking.list_artifacts(&nowhere).await.unwrap(), []);
        assert_eq!(tracking.list_artifacts(&note).await.unwrap(), []);
    }
}

#[tokio::test]
async fn nothing_outside_of_the_folders_of_the_setting_is_read() {
    let machine = Machine::start().await;
    let tracking = &machine.bench.tracking;
    machine.write("mlruns/0/r/artifacts/a.txt", "fine");
    machine.write("secret/key", "outside");
    let outside = machine.folder.path().join("secret");
    let files = machine.folder.path().join("mlruns/0/r/artifacts");
    symlink(&outside, files.join("linked")).unwrap();
    symlink(outside.join("key"), files.join("link.txt")).unwrap();
    symlink(&outside, machine.folder.path().join("mlruns/0/out")).unwrap();
    let made = Command::new("mkfifo").arg(files.join("pipe")).status();
    assert!(made.unwrap().success());

    let root = tracking.artifact_at("mlruns/0/r/artifacts").unwrap();
    assert_eq!(names(&tracking.list_artifacts(&root).await.unwrap()), ["a.txt"]);
    let (below, _) = tracking.artifacts_below(&root, None).await.unwrap();
    assert_eq!(names(&below), ["a.txt"]);
    for path in ["linked/key", "link.txt", "pipe"] {
        let path = root.join(path).unwrap();
        assert_missing(tracking.open_artifact(&path, None).await.map(|(meta, _)| meta));
    }
    assert_eq!(
        tracking
            .list_artifacts(&root.join("linked").unwrap())
            .await
            .unwrap(),
        []
    );
    let out = tracking.artifact_at("mlruns/0/out").unwrap();
    assert_eq!(tracking.list_artifacts(&out).await.unwrap(), []);
    for path in ["../x", "..", "/etc/passwd", "a/../../x", "%2e%2e/x", "a\0b"] {
        assert_invalid(root.join(path));
    }
    for uri in [
        "/etc",
        "file:///etc",
        "file:///proc/self/root/etc",
        &outside.display().to_string(),
        "mlruns/../secret",
        "file:///x/mlruns/%2e%2e/secret",
        "/x/mlruns/%2e%2e/secret",
        "/x/mlruns/a%252e%252e/..",
        "file://other/x/mlruns/0",
        "http://127.0.0.1/mlruns/0",
        "C:\\mlruns\\0",
    ] {
        assert_invalid(tracking.artifact_at(uri));
    }
    // Without the setting nothing is local.
    let without = Bench::open(TestDatabase::sqlite().await.database.clone()).await;
    assert_invalid(without.tracking.artifact_at("mlruns/0/r/artifacts"));
    assert_eq!(
        without
            .tracking
            .folder_to_allow("/srv/mlruns/0/r/artifacts")
            .as_deref(),
        Some("/srv/mlruns")
    );
    assert_eq!(tracking.folder_to_allow("/srv/mlruns/0/r/artifacts"), None);
    assert_eq!(tracking.folder_to_allow("s3://other/0/r/artifacts"), None);
}

#[tokio::test]
async fn nothing_is_written_to_a_local_folder() {
    let machine = Machine::start().await;
    let tracking = &machine.bench.tracking;
    machine.write("mlruns/0/r/artifacts/model/MLmodel", "flavors: {}\n");
    let file = machine.folder.path().join("mlruns/0/r/artifacts/model/MLmodel");
    let run_id = machine.run_at("/home/ana/mlruns/0/r/artifacts").await;
    let path = tracking.run_artifact(&run_id, "model/MLmodel").await.unwrap();
    let bytes = || futures::stream::iter([Ok(bytes::Bytes::from_static(b"new"))]);
    assert_invalid(tracking.put_artifact(&path, None, None, bytes()).await);
    assert_invalid(tracking.delete_artifact(&path).await);
    assert_invalid(tracking.begin_upload(&path).await.map(|_| ()));

    // A version made of it keeps the address that clients of that machine know.
    tracking.create_model("local", None, Vec::new()).await.unwrap();
    let new = NewVersion {
        name: "local".to_owned(),
        source: format!("runs:/{run_id}/model"),
        run_id: Some(run_id.clone()),
        ..NewVersion::default()
    };
    let version = tracking.create_version(new).await.unwrap();
    let place = tracking.artifact_at(version.download_uri()).unwrap();
    assert!(place.is_read_only());
    assert_eq!(
        names(&tracking.list_artifacts(&place).await.unwrap()),
        ["MLmodel"]
    );

    tracking.delete_model("local").await.unwrap();
    tracking.delete_run(&run_id).await.unwrap();
    let plan = tracking.purge_plan(&PurgeRequest::default()).await.unwrap();
    let report = tracking.purge(&plan, |_| ()).await.unwrap();
    assert_eq!(report.runs, 1);
    assert!(matches!(report.kept[0].reason, KeptReason::FilesElsewhere { .. }));
    assert!(Path::exists(&file));
}
