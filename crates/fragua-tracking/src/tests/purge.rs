use std::time::Duration;

use bytes::Bytes;
use fragua_database::Database;
use futures::stream;
use sea_orm::{ConnectionTrait as _, Statement};

use super::{Bench, metric};
use crate::{
    ArtifactPath, Dataset, DatasetInput, DeletedKind, ExperimentId, FolderSize, Kept, KeptReason,
    ModelOutput, NewLoggedModel, NewVersion, PurgePlan, PurgeReport, PurgeRequest, Run, Tag,
};

impl Bench {
    async fn purge(&self, request: PurgeRequest) -> (PurgePlan, PurgeReport) {
        let plan = self.tracking.purge_plan(&request).await.unwrap();
        let preview = self.tracking.purge_preview(&plan).await.unwrap();
        let mut done = 0;
        let report = self.tracking.purge(&plan, |now| done = now).await.unwrap();
        assert_eq!((done, &report), (plan.len(), &preview));
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
        "fragua_purged_files",
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
        size: FolderSize { files: 2, bytes: 10 },
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
        experiments: vec![one],
        ..PurgeRequest::default()
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
    assert_eq!((report.runs, report.size.files, report.kept.len()), (0, 0, 1));
    let files = bench.tracking.artifact_at(&run.info.artifact_uri).unwrap();
    assert_eq!(bench.tracking.list_artifacts(&files).await.unwrap().len(), 1);
}

async fn files_that_are_gone_already_are_no_fault(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("one").await;
    let (run, model) = bench.full_run(experiment, "gone").await;
    let files = bench.tracking.artifact_at(&run.info.artifact_uri).unwrap();
    bench.tracking.delete_artifact(&files).await.unwrap();
    bench.tracking.delete_run(&run.info.run_id).await.unwrap();
    bench.tracking.delete_logged_model(&model).await.unwrap();
    let (_, report) = bench.purge(PurgeRequest::default()).await;
    assert_eq!((report.runs, report.logged_models, report.size.files), (1, 1, 1));
}

/// As when the program ends between the rows and their files.
async fn files_that_a_purge_has_left_go_with_the_next(database: Database) {
    let bench = Bench::open(database.clone()).await;
    let experiment = bench.experiment("one").await;
    let (run, _) = bench.full_run(experiment, "gone").await;
    let files = bench.tracking.artifact_at(&run.info.artifact_uri).unwrap();
    bench.tracking.delete_run(&run.info.run_id).await.unwrap();
    let plan = bench.tracking.purge_plan(&PurgeRequest::default()).await.unwrap();
    let body = stream::iter([Ok(Bytes::from_static(b"12345"))]);
    bench.tracking.purge(&plan, |_| ()).await.unwrap();
    bench
        .tracking
        .put_artifact(&files.join("note.txt").unwrap(), None, None, body)
        .await
        .unwrap();
    let transaction = database.begin().await.unwrap();
    let note = [(run.info.run_id.clone(), files.as_str().to_owned())];
    crate::store::purge::note_files(&transaction, &note)
        .await
        .unwrap();
    transaction.commit().await.unwrap();

    let (plan, report) = bench.purge(PurgeRequest::default()).await;
    assert!(plan.is_empty());
    assert_eq!(report.size, FolderSize { files: 1, bytes: 5 });
    assert!(bench.tracking.list_artifacts(&files).await.unwrap().is_empty());
    let (_, report) = bench.purge(PurgeRequest::default()).await;
    assert_eq!(report, PurgeReport::default());
}

async fn only_what_is_named_goes(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("one").await;
    let (named, model) = bench.full_run(experiment, "named").await;
    let other = bench.run(experiment, "other").await.info.run_id;
    let active = bench.run(experiment, "active").await.info.run_id;
    let named = named.info.run_id;
    for run_id in [&named, &other] {
        bench.tracking.delete_run(run_id).await.unwrap();
    }
    bench.tracking.delete_logged_model(&model).await.unwrap();
    let request = PurgeRequest {
        runs: vec![named.clone(), active.clone()],
        ..PurgeRequest::default()
    };
    let (_, report) = bench.purge(request).await;
    assert_eq!((report.runs, report.logged_models), (1, 0));
    let not_deleted = Kept {
        kind: DeletedKind::Run,
        id: active,
        reason: KeptReason::NotDeleted,
    };
    assert_eq!(report.kept, [not_deleted]);
    super::assert_missing(bench.tracking.run(&named).await);
    let request = PurgeRequest {
        logged_models: vec![model],
        ..PurgeRequest::default()
    };
    let (_, report) = bench.purge(request).await;
    assert_eq!((report.runs, report.logged_models), (0, 1));
    bench.tracking.run(&other).await.unwrap();
    let request = PurgeRequest {
        experiments: vec![ExperimentId(99)],
        ..PurgeRequest::default()
    };
    super::assert_missing(bench.tracking.purge_plan(&request).await);
}

async fn files_of_others_and_in_other_places_stay(database: Database) {
    let bench = Bench::open(database).await;
    let new = crate::NewExperiment {
        name: "elsewhere".to_owned(),
        artifact_location: Some("s3://other/place".to_owned()),
        ..crate::NewExperiment::default()
    };
    let experiment = bench.tracking.create_experiment(new).await.unwrap();
    let run = bench.run(experiment, "gone").await;
    bench.tracking.delete_run(&run.info.run_id).await.unwrap();
    let (_, report) = bench.purge(PurgeRequest::default()).await;
    assert_eq!((report.runs, report.size.files), (1, 0));
    let uri = run.info.artifact_uri;
    assert_eq!(report.kept[0].reason, KeptReason::FilesElsewhere { uri });
}

/// More than go in one transaction.
async fn many_runs_go(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("one").await;
    for _ in 0..205 {
        bench.run(experiment, "many").await;
    }
    bench.tracking.delete_experiment(experiment).await.unwrap();
    let (_, report) = bench.purge(PurgeRequest::default()).await;
    assert_eq!((report.runs, report.experiments), (205, 1));
}

async fn a_deleted_logged_model_is_restored(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("one").await;
    let (_, model) = bench.full_run(experiment, "one").await;
    super::assert_missing(bench.tracking.restore_logged_model(&model).await);
    bench.tracking.delete_logged_model(&model).await.unwrap();
    let plan = bench.tracking.purge_plan(&PurgeRequest::default()).await.unwrap();
    bench.tracking.restore_logged_model(&model).await.unwrap();
    let report = bench.tracking.purge(&plan, |_| ()).await.unwrap();
    assert_eq!(report.kept[0].reason, KeptReason::Restored);
    assert_eq!(
        bench.tracking.logged_model(&model).await.unwrap().metrics.len(),
        1
    );
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
    files_that_a_purge_has_left_go_with_the_next,
    only_what_is_named_goes,
    files_of_others_and_in_other_places_stay,
    many_runs_go,
    a_deleted_logged_model_is_restored,
    what_a_registered_version_is_made_of_stays,
    the_default_experiment_stays,
);
