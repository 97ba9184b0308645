use std::time::Duration;

use bytes::Bytes;
use fragua_database::Database;
use futures::stream;
use sea_orm::{ConnectionTrait as _, Statement};

use super::{Bench, metric};
use crate::{
    ArtifactPath, Dataset, DatasetInput, ExperimentId, ModelOutput, NewLoggedModel, NewVersion, PurgePlan,
    PurgeReport, PurgeRequest, Run, Tag,
};

impl Bench {
    async fn purge(&self, request: PurgeRequest) -> (PurgePlan, PurgeReport) {
        let plan = self.tracking.purge_plan(&request).await.unwrap();
        let report = self.tracking.purge(&plan, |_| ()).await.unwrap();
        (plan, report)
    }

    async fn file(&self, uri: &str) -> ArtifactPath {
        let path = self.tracking.artifact_at(uri).unwrap().join("note.txt").unwrap();
        let body = stream::iter([Ok(Bytes::from_static(b"12345"))]);
        self.tracking.put_artifact(&path, None, None, body).await.unwrap();
        path
    }

    /// A run with something in every table, and the logged model that it made.
    async fn full_run(&self, experiment: ExperimentId, name: &str) -> (Run, String) {
        let run = self.run(experiment, name).await;
        self.log(&run, &[metric("a", 1.0, 1, 0)], &[("p", "1")], &[("t", "1")])
            .await;
        let run_id = &run.info.run_id;
        let dataset = Dataset {
            name: "rows".to_owned(),
            digest: "d1".to_owned(),
            source_type: "code".to_owned(),
            source: "{}".to_owned(),
            schema: None,
            profile: None,
        };
        let tags = vec![Tag::new("mlflow.data.context", "training")];
        let inputs = vec![DatasetInput { dataset, tags }];
        self.tracking
            .log_inputs(run_id, inputs, Vec::new())
            .await
            .unwrap();
        let new = NewLoggedModel {
            experiment_id: Some(experiment),
            source_run_id: Some(run_id.clone()),
            tags: vec![Tag::new("t", "1")],
            ..NewLoggedModel::default()
        };
        let model = self.tracking.create_logged_model(new).await.unwrap();
        let mut measured = metric("b", 1.0, 1, 0);
        measured.model_id = Some(model.model_id.clone());
        self.log(&run, &[measured], &[], &[]).await;
        let output = ModelOutput {
            model_id: model.model_id.clone(),
            step: 0,
        };
        self.tracking.log_outputs(run_id, &[output]).await.unwrap();
        self.file(&run.info.artifact_uri).await;
        self.file(&model.artifact_uri).await;
        (run, model.model_id)
    }
}

async fn rows(database: &Database) -> Vec<(&'static str, i64)> {
    let mut counts = Vec::new();
    for table in [
        "experiments",
        "experiment_tags",
        "runs",
        "metrics",
        "latest_metrics",
        "params",
        "tags",
        "datasets",
        "inputs",
        "input_tags",
        "logged_models",
        "logged_model_metrics",
        "logged_model_params",
        "logged_model_tags",
    ] {
        let reader = database.reader();
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let statement = Statement::from_string(reader.get_database_backend(), sql);
        let row = reader.query_one_raw(statement).await.unwrap().unwrap();
        counts.push((table, row.try_get_by_index(0).unwrap()));
    }
    counts
}

async fn a_deleted_experiment_goes_with_all_its_rows_and_files(database: Database) {
    let bench = Bench::open(database.clone()).await;
    let other = bench.experiment("other").await;
    let kept = bench.full_run(other, "kept").await;
    let before = rows(&database).await;
    let gone = bench.experiment("gone").await;
    let tag = Tag::new("t", "1");
    bench.tracking.set_experiment_tag(gone, tag).await.unwrap();
    let (run, model) = bench.full_run(gone, "gone").await;
    let files = bench.tracking.artifact_at(&run.info.artifact_uri).unwrap();
    bench.tracking.delete_experiment(gone).await.unwrap();

    let (plan, report) = bench.purge(PurgeRequest::default()).await;
    assert_eq!((plan.experiments.len(), plan.runs.len(), plan.len()), (1, 1, 3));
    let expected = PurgeReport {
        experiments: 1,
        runs: 1,
        logged_models: 1,
        files: 2,
        bytes: 10,
        kept: Vec::new(),
    };
    assert_eq!(report, expected);
    assert_eq!(rows(&database).await, before);
    super::assert_missing(bench.tracking.run(&run.info.run_id).await);
    super::assert_missing(bench.tracking.logged_model(&model).await);
    assert!(bench.tracking.list_artifacts(&files).await.unwrap().is_empty());
    let kept = bench.tracking.artifact_at(&kept.0.info.artifact_uri).unwrap();
    assert_eq!(bench.tracking.list_artifacts(&kept).await.unwrap().len(), 1);
    // The name is free again.
    bench.experiment("gone").await;
}

async fn what_is_younger_or_elsewhere_or_active_stays(database: Database) {
    let bench = Bench::open(database).await;
    let [one, two] = [bench.experiment("one").await, bench.experiment("two").await];
    let mut runs = Vec::new();
    for (experiment, name) in [(one, "old"), (one, "young"), (two, "elsewhere"), (one, "active")] {
        runs.push(bench.run(experiment, name).await.info.run_id);
    }
    for old in [&runs[0], &runs[2]] {
        bench.tracking.delete_run(old).await.unwrap();
    }
    bench.clock.advance(Duration::from_secs(60));
    bench.tracking.delete_run(&runs[1]).await.unwrap();
    let request = PurgeRequest {
        older_than: Some(Duration::from_secs(30)),
        experiment: Some(one),
    };
    let (_, report) = bench.purge(request).await;
    assert_eq!(report.runs, 1);
    super::assert_missing(bench.tracking.run(&runs[0]).await);
    for stays in &runs[1..] {
        bench.tracking.run(stays).await.unwrap();
    }
    let (_, report) = bench.purge(PurgeRequest::default()).await;
    assert_eq!(report.runs, 2);
    bench.tracking.run(&runs[3]).await.unwrap();
}

async fn what_was_restored_after_the_plan_stays_with_its_files(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("one").await;
    let (run, _) = bench.full_run(experiment, "back").await;
    let run_id = &run.info.run_id;
    bench.tracking.delete_run(run_id).await.unwrap();
    let plan = bench.tracking.purge_plan(&PurgeRequest::default()).await.unwrap();
    bench.tracking.restore_run(run_id).await.unwrap();
    let report = bench.tracking.purge(&plan, |_| ()).await.unwrap();
    assert_eq!((report.runs, report.files, report.kept.len()), (0, 0, 1));
    let files = bench.tracking.artifact_at(&run.info.artifact_uri).unwrap();
    assert_eq!(bench.tracking.list_artifacts(&files).await.unwrap().len(), 1);
}

async fn files_that_are_gone_already_are_no_fault(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("one").await;
    let (run, model) = bench.full_run(experiment, "gone").await;
    let files = bench.tracking.artifact_at(&run.info.artifact_uri).unwrap();
    // As after a crash between files and rows.
    bench.tracking.delete_artifact(&files).await.unwrap();
    bench.tracking.delete_run(&run.info.run_id).await.unwrap();
    bench.tracking.delete_logged_model(&model).await.unwrap();
    let (_, report) = bench.purge(PurgeRequest::default()).await;
    assert_eq!((report.runs, report.logged_models, report.files), (1, 1, 1));
}

async fn what_a_registered_version_is_made_of_stays(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("one").await;
    let (run, model) = bench.full_run(experiment, "used").await;
    bench
        .tracking
        .create_model("cover", None, Vec::new())
        .await
        .unwrap();
    let new = NewVersion {
        name: "cover".to_owned(),
        source: format!("models:/{model}"),
        run_id: Some(run.info.run_id.clone()),
        model_id: Some(model),
        ..NewVersion::default()
    };
    bench.tracking.create_version(new).await.unwrap();
    bench.tracking.delete_experiment(experiment).await.unwrap();
    let (_, report) = bench.purge(PurgeRequest::default()).await;
    assert_eq!((report.runs, report.logged_models, report.experiments), (0, 0, 0));
    assert_eq!(report.kept.len(), 3);
    bench.tracking.delete_version("cover", 1).await.unwrap();
    let (_, report) = bench.purge(PurgeRequest::default()).await;
    assert_eq!((report.runs, report.logged_models, report.experiments), (1, 1, 1));
}

async fn the_default_experiment_stays(database: Database) {
    let bench = Bench::open(database).await;
    bench.run(ExperimentId(0), "in the default").await;
    bench.tracking.delete_experiment(ExperimentId(0)).await.unwrap();
    let (_, report) = bench.purge(PurgeRequest::default()).await;
    assert_eq!((report.runs, report.experiments, report.kept.len()), (1, 0, 1));
    bench.tracking.restore_experiment(ExperimentId(0)).await.unwrap();
}

fragua_database::each_engine!(
    purges: a_deleted_experiment_goes_with_all_its_rows_and_files,
    what_is_younger_or_elsewhere_or_active_stays,
    what_was_restored_after_the_plan_stays_with_its_files,
    files_that_are_gone_already_are_no_fault,
    what_a_registered_version_is_made_of_stays,
    the_default_experiment_stays,
);
