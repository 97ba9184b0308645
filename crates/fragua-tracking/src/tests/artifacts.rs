use std::io;

use fragua_database::testing::TestDatabase;
use fragua_storage::ByteRange;
use futures::stream;

use super::{Bench, assert_invalid, assert_missing};
use crate::{ArtifactPath, ExperimentId, NewLoggedModel, NewVersion};

async fn put(bench: &Bench, path: &ArtifactPath, text: &'static str) {
    let chunks = text
        .as_bytes()
        .chunks(2)
        .map(|chunk| Ok::<_, io::Error>(bytes::Bytes::from_static(chunk)));
    let chunks: Vec<_> = chunks.collect();
    bench
        .tracking
        .put_artifact(path, None, None, stream::iter(chunks))
        .await
        .unwrap();
}

async fn listed(bench: &Bench, path: &ArtifactPath) -> Vec<(String, bool, u64)> {
    let entries = bench.tracking.list_artifacts(path).await.unwrap();
    entries
        .into_iter()
        .map(|entry| (entry.name, entry.is_dir, entry.size_bytes))
        .collect()
}

#[tokio::test]
async fn files_are_written_listed_read_and_deleted() {
    let database = TestDatabase::sqlite().await;
    let bench = Bench::open(database.database.clone()).await;
    let run = bench.run(ExperimentId(0), "one").await;
    let id = &run.info.run_id;
    let at = async |path: &str| bench.tracking.run_artifact(id, path).await.unwrap();
    for (path, text) in [
        ("b.txt", "hello"),
        ("a/c.txt", "inner"),
        ("a/d/e.json", "{}"),
        ("ab", "x"),
    ] {
        put(&bench, &at(path).await, text).await;
    }
    let entry = |name: &str, is_dir, size| (name.to_owned(), is_dir, size);
    assert_eq!(
        listed(&bench, &at("").await).await,
        [
            entry("a", true, 0),
            entry("ab", false, 1),
            entry("b.txt", false, 5)
        ]
    );
    assert_eq!(
        listed(&bench, &at("a").await).await,
        [entry("c.txt", false, 5), entry("d", true, 0)]
    );
    assert_eq!(listed(&bench, &at("b.txt").await).await, []);
    assert_eq!(listed(&bench, &at("nothing").await).await, []);

    let range = Some(ByteRange::Between { first: 1, last: 3 });
    let (meta, stream) = bench
        .tracking
        .open_artifact(&at("b.txt").await, range)
        .await
        .unwrap();
    assert_eq!((meta.content_type.as_str(), meta.size_bytes), ("text/plain", 5));
    assert_eq!(stream.into_bytes(10).await.unwrap(), "ell");
    assert_missing(bench.tracking.open_artifact(&at("nothing").await, None).await);
    assert_invalid(bench.tracking.run_artifact(id, "../other").await);
    assert_missing(bench.tracking.run_artifact("nobody", "x").await);

    bench.tracking.delete_artifact(&at("a").await).await.unwrap();
    assert_eq!(
        listed(&bench, &at("").await).await,
        [entry("ab", false, 1), entry("b.txt", false, 5)]
    );
    assert_invalid(
        bench
            .tracking
            .delete_artifact(&ArtifactPath::parse("").unwrap())
            .await,
    );
}

#[tokio::test]
async fn a_failing_upload_leaves_the_old_file() {
    let database = TestDatabase::sqlite().await;
    let bench = Bench::open(database.database.clone()).await;
    let path = ArtifactPath::parse("0/run/artifacts/x").unwrap();
    put(&bench, &path, "old").await;
    let broken = stream::iter([
        Ok(bytes::Bytes::from_static(b"new")),
        Err(io::Error::other("gone")),
    ]);
    assert!(
        bench
            .tracking
            .put_artifact(&path, None, None, broken)
            .await
            .is_err()
    );
    assert_eq!(bench.tracking.read_artifact(&path, 100).await.unwrap(), "old");
}

#[tokio::test]
async fn uris_lead_to_the_files_of_a_model() {
    let database = TestDatabase::sqlite().await;
    let bench = Bench::open(database.database.clone()).await;
    let tracking = &bench.tracking;
    let run = bench.run(ExperimentId(0), "one").await;
    let id = run.info.run_id.clone();
    let new = NewLoggedModel {
        name: Some("model".to_owned()),
        source_run_id: Some(id.clone()),
        ..NewLoggedModel::default()
    };
    let model = tracking.create_logged_model(new).await.unwrap();
    let prefix = format!("0/models/{}/artifacts", model.model_id);
    tracking.create_model("cover", None, Vec::new()).await.unwrap();
    let version = NewVersion {
        name: "cover".to_owned(),
        source: format!("models:/{}", model.model_id),
        ..NewVersion::default()
    };
    let version = tracking.create_version(version).await.unwrap();
    assert_eq!(
        (version.model_id(), version.run_id.as_deref()),
        (Some(model.model_id.as_str()), Some(id.as_str()))
    );
    tracking.set_alias("cover", "champion", 1).await.unwrap();
    for uri in [
        "models:/cover/1",
        "models:/cover@champion",
        "models:/cover/latest",
        &format!("models:/{}", model.model_id),
        &format!("runs:/{id}/model"),
    ] {
        let found = tracking.resolve_model(uri).await.unwrap();
        assert_eq!(found.artifact_prefix.as_str(), prefix, "{uri}");
        assert_eq!(found.run_id.as_deref(), Some(id.as_str()), "{uri}");
        assert_eq!(found.model_id.as_deref(), Some(model.model_id.as_str()), "{uri}");
        assert_eq!(found.version.is_some(), uri.contains("cover"), "{uri}");
    }
    // A folder of the run comes before a logged model of that name.
    let folder = tracking.run_artifact(&id, "model").await.unwrap();
    put(&bench, &folder.join("MLmodel").unwrap(), "flavors: {}").await;
    let found = tracking
        .resolve_model(&format!("runs:/{id}/model"))
        .await
        .unwrap();
    assert_eq!(found.artifact_prefix, folder);
    assert_missing(tracking.resolve_model(&format!("runs:/{id}/other")).await);
    assert_missing(tracking.resolve_model("models:/nobody/1").await);
    assert_invalid(tracking.resolve_model("models:/cover@nobody").await);
    assert_invalid(tracking.resolve_model("file:///etc").await);
}
