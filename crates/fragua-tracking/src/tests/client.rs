//! Our client against our server, over a socket.

use std::path::Path;

use fragua_base::{ErrorKind, Timestamp};
use fragua_database::testing::TestDatabase;

use super::{Bench, metric};
use crate::runs::{Batch, NewRun, Param, RunStatus, RunUpdate, Tag};
use crate::{ClientError, LoggedModelStatus, MlflowClient, Query};

struct Server {
    bench: Bench,
    client: MlflowClient,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
    _database: TestDatabase,
}

impl Server {
    async fn start() -> Self {
        let database = TestDatabase::sqlite().await;
        let bench = Bench::open(database.database.clone()).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let router = crate::mlflow::router(bench.tracking.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        let client = MlflowClient::new(&address, None).unwrap();
        Self {
            bench,
            client,
            task,
            _database: database,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_training_is_logged_registered_and_found_again() {
    let server = Server::start().await;
    let client = &server.client;
    client.check_health().await.unwrap();
    let experiment = client.get_or_create_experiment("forest").await.unwrap();
    assert_eq!(
        client.get_or_create_experiment("forest").await.unwrap(),
        experiment
    );
    assert_eq!(client.experiment_by_name("nobody").await.unwrap(), None);
    let new = NewRun {
        experiment_id: Some(experiment.id),
        run_name: Some("one".to_owned()),
        start_time: Some(Timestamp::from_millis(5)),
        tags: vec![Tag::new("k", "v")],
        ..NewRun::default()
    };
    let run = client.create_run(new).await.unwrap();
    let id = run.info.run_id.as_str();
    let batch = Batch {
        metrics: (0..1200)
            .map(|at| metric("loss", at as f64, at, at))
            .chain([metric("nan", f64::NAN, 0, 0)])
            .collect(),
        params: (0..130).map(|at| Param::new(format!("p{at}"), "x")).collect(),
        tags: vec![Tag::new("t", "1")],
    };
    client.log_batch(id, batch).await.unwrap();
    client.set_tag(id, "t", "2").await.unwrap();
    let update = RunUpdate {
        status: Some(RunStatus::Finished),
        ..RunUpdate::default()
    };
    client.update_run(id, update).await.unwrap();
    let run = client.run(id).await.unwrap();
    let stored = server.bench.tracking.run(id).await.unwrap();
    assert_eq!(
        (&run.info, &run.params, &run.tags),
        (&stored.info, &stored.params, &stored.tags)
    );
    assert!(run.metric("nan").unwrap().is_nan());
    assert_eq!(
        (run.metric("loss"), run.params.len(), run.tag("t")),
        (Some(1199.0), 130, Some("2"))
    );
    assert_eq!(client.metric_history(id, "loss").await.unwrap().len(), 1200);
    let query = Query {
        filter: "params.p0 = 'x'".to_owned(),
        max_results: Some(1),
        ..Query::default()
    };
    let page = client.search_runs(&[experiment.id], &query).await.unwrap();
    assert_eq!((page.items[0].info.run_id.as_str(), page.next), (id, None));

    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "MLmodel", "flavors: {}\n");
    write(folder.path(), "data/tree 1.bin", "12345");
    let model = client.log_model_folder(id, "model", folder.path()).await.unwrap();
    assert_eq!(
        (model.status, model.params.len()),
        (LoggedModelStatus::Ready, 130)
    );
    assert_eq!(
        client.run(id).await.unwrap().model_outputs[0].model_id,
        model.model_id
    );
    let source = format!("models:/{}", model.model_id);
    let version = client
        .register_model_version("cover", &source, Some(id), Some(&model.model_id))
        .await
        .unwrap();
    assert_eq!((version.version, version.run_id.as_deref()), (1, Some(id)));
    assert!(client.resolve_alias("cover", "champion").await.unwrap().is_none());
    assert!(
        client
            .resolve_alias("nobody", "champion")
            .await
            .unwrap()
            .is_none()
    );
    client.set_alias("cover", "champion", 1).await.unwrap();
    let champion = client.resolve_alias("cover", "champion").await.unwrap().unwrap();
    client
        .set_version_tag("cover", 1, &Tag::new("checked", "yes"))
        .await
        .unwrap();
    assert_eq!(
        client.version("cover", 1).await.unwrap().unwrap().tag("checked"),
        Some("yes")
    );
    assert_eq!(
        client.model("cover").await.unwrap().unwrap().aliases[0].alias,
        "champion"
    );
    assert!(
        client.model("nobody").await.unwrap().is_none()
            && client.version("cover", 2).await.unwrap().is_none()
    );

    let uri = client
        .download_uri(&champion.name, champion.version)
        .await
        .unwrap();
    assert_eq!(uri, model.artifact_uri);
    let target = tempfile::tempdir().unwrap();
    assert_eq!(client.download_artifacts(&uri, target.path()).await.unwrap(), 2);
    assert_eq!(
        std::fs::read_to_string(target.path().join("data/tree 1.bin")).unwrap(),
        "12345"
    );
    let text = std::fs::read_to_string(target.path().join("MLmodel")).unwrap();
    assert_eq!(
        text,
        format!(
            "flavors: {{}}\nmodel_id: {}\nrun_id: {id}\nartifact_path: {uri}\n",
            model.model_id
        )
    );
    assert_eq!(
        client.read_artifact(&uri, "data/tree 1.bin", 5).await.unwrap(),
        b"12345"
    );
    let too_small = client
        .read_artifact(&uri, "data/tree 1.bin", 4)
        .await
        .unwrap_err();
    assert_eq!(too_small.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_model_without_its_description_is_marked_as_failed() {
    let server = Server::start().await;
    let run = server.client.create_run(NewRun::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = server
        .client
        .log_model_folder(&run.info.run_id, "model", folder.path())
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::File { .. }), "{error}");
    let query = crate::LoggedModelQuery {
        experiment_ids: vec![run.info.experiment_id],
        ..Default::default()
    };
    let found = server.bench.tracking.search_logged_models(&query).await.unwrap();
    assert_eq!(found.items[0].status, LoggedModelStatus::UploadFailed);
}

#[tokio::test]
async fn errors_say_what_the_server_said() {
    let server = Server::start().await;
    let error = server.client.run("nobody").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.error_code()),
        (ErrorKind::NotFound, Some("RESOURCE_DOES_NOT_EXIST"))
    );
    assert_eq!(
        error.to_string(),
        "the tracking server refused with 404 RESOURCE_DOES_NOT_EXIST: Run with id=nobody not found"
    );
    for (uri, path) in [
        ("s3://bucket/x", "y"),
        ("file:///etc", "passwd"),
        ("mlflow-artifacts:/0", "../x"),
        ("mlflow-artifacts://elsewhere/0", "x"),
    ] {
        let error = server.client.read_artifact(uri, path, 10).await.unwrap_err();
        assert!(matches!(error, ClientError::Invalid(_)), "{uri}: {error}");
    }
    for address in ["", "127.0.0.1:8084", "ftp://host", "http://"] {
        assert!(
            matches!(
                MlflowClient::new(address, None),
                Err(ClientError::InvalidAddress { .. })
            ),
            "{address}"
        );
    }
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let error = MlflowClient::new(&address, None)
        .unwrap()
        .check_health()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}
