use fragua_base::Timestamp;
use fragua_database::Database;

use super::{Bench, assert_invalid, assert_missing, metric};
use crate::runs::{Batch, Dataset, DatasetInput, ModelOutput, NewRun, Param, RunStatus, RunUpdate, Tag};
use crate::{Change, ExperimentId};

const DEFAULT: ExperimentId = ExperimentId(0);

async fn the_name_of_a_run_and_its_tag_are_one_thing(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    let tagged = |name: Option<&str>, tag: &str| NewRun {
        run_name: name.map(str::to_owned),
        tags: vec![Tag::new("mlflow.runName", tag)],
        ..NewRun::default()
    };
    let by_tag = tracking.create_run(tagged(None, "by tag")).await.unwrap();
    assert_eq!(by_tag.info.run_name, "by tag");
    tracking.create_run(tagged(Some("same"), "same")).await.unwrap();
    assert_invalid(tracking.create_run(tagged(Some("one"), "other")).await);
    let invented = tracking.create_run(NewRun::default()).await.unwrap();
    assert_eq!(invented.info.run_name.split('-').count(), 3);
    assert_eq!(
        invented.tag("mlflow.runName"),
        Some(invented.info.run_name.as_str())
    );

    let id = &by_tag.info.run_id;
    let update = RunUpdate {
        run_name: Some("by update".to_owned()),
        ..RunUpdate::default()
    };
    tracking.update_run(id, update).await.unwrap();
    assert_eq!(
        tracking.run(id).await.unwrap().tag("mlflow.runName"),
        Some("by update")
    );
    bench
        .log(&by_tag, &[], &[], &[("mlflow.runName", "by batch")])
        .await;
    assert_eq!(tracking.run_info(id).await.unwrap().run_name, "by batch");
}

async fn a_run_starts_ends_and_is_told(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("forest").await;
    let mut changes = bench.tracking.changes();
    let run = bench.run(experiment, "one").await;
    let id = run.info.run_id.clone();
    assert_eq!(
        changes.recv().await.unwrap(),
        Change::RunChanged { run_id: id.clone() }
    );
    assert_eq!(
        run.info.artifact_uri,
        format!("mlflow-artifacts:/{experiment}/{id}/artifacts")
    );
    assert_eq!((run.info.status, run.info.end_time), (RunStatus::Running, None));
    let end = Timestamp::from_millis(9_000);
    let update = RunUpdate {
        status: Some(RunStatus::Finished),
        end_time: Some(end),
        ..RunUpdate::default()
    };
    bench.tracking.update_run(&id, update).await.unwrap();
    let run = bench.tracking.run(&id).await.unwrap();
    assert_eq!(
        (run.info.status, run.info.end_time),
        (RunStatus::Finished, Some(end))
    );
    assert_missing(bench.tracking.run("nobody").await);
    assert_missing(bench.tracking.update_run("nobody", RunUpdate::default()).await);
    let new = NewRun {
        experiment_id: Some(ExperimentId(77)),
        ..NewRun::default()
    };
    assert_missing(bench.tracking.create_run(new).await);
}

async fn a_deleted_run_takes_nothing_more(database: Database) {
    let bench = Bench::open(database).await;
    let run = bench.run(DEFAULT, "one").await;
    let id = &run.info.run_id;
    bench.tracking.delete_run(id).await.unwrap();
    bench.tracking.delete_run(id).await.unwrap();
    assert_invalid(bench.tracking.log_batch(id, Batch::default()).await);
    assert_invalid(bench.tracking.update_run(id, RunUpdate::default()).await);
    assert_invalid(bench.tracking.log_outputs(id, &[]).await);
    bench.tracking.restore_run(id).await.unwrap();
    bench.tracking.log_batch(id, Batch::default()).await.unwrap();
}

async fn a_batch_is_kept_whole_or_not_at_all(database: Database) {
    let bench = Bench::open(database).await;
    let run = bench.run(DEFAULT, "one").await;
    bench
        .log(&run, &[], &[("depth", "3"), ("empty", "")], &[("k", "1")])
        .await;
    // The same value again is fine.
    bench
        .log(
            &run,
            &[],
            &[("depth", "3"), ("width", "4")],
            &[("k", "2"), ("k", "3")],
        )
        .await;
    let conflict = Batch {
        metrics: vec![metric("loss", 1.0, 0, 0)],
        params: vec![Param::new("height", "1"), Param::new("depth", "4")],
        tags: vec![Tag::new("k", "4")],
    };
    assert_invalid(bench.tracking.log_batch(&run.info.run_id, conflict).await);
    let kept = bench.tracking.run(&run.info.run_id).await.unwrap();
    let params: Vec<_> = kept
        .params
        .iter()
        .map(|param| (param.key.as_str(), param.value.as_str()))
        .collect();
    assert_eq!(params, [("depth", "3"), ("empty", ""), ("width", "4")]);
    assert_eq!((kept.metrics.len(), kept.tag("k")), (0, Some("3")));
    // Keys have case.
    bench.log(&run, &[], &[("Depth", "4")], &[("K", "5")]).await;
    bench.tracking.delete_tag(&run.info.run_id, "k").await.unwrap();
    assert_missing(bench.tracking.delete_tag(&run.info.run_id, "k").await);
    let kept = bench.tracking.run(&run.info.run_id).await.unwrap();
    assert_eq!(
        (kept.param("Depth"), kept.tag("k"), kept.tag("K")),
        (Some("4"), None, Some("5"))
    );
}

fn dataset(name: &str, digest: &str, context: &str) -> DatasetInput {
    DatasetInput {
        dataset: Dataset {
            name: name.to_owned(),
            digest: digest.to_owned(),
            source_type: "sql".to_owned(),
            source: "{}".to_owned(),
            schema: None,
            profile: Some("{\"rows\": 10}".to_owned()),
        },
        tags: vec![Tag::new("mlflow.data.context", context)],
    }
}

async fn inputs_and_outputs_are_kept_once(database: Database) {
    let bench = Bench::open(database).await;
    let (one, two) = (bench.run(DEFAULT, "one").await, bench.run(DEFAULT, "two").await);
    for run in [&one, &two, &one] {
        let datasets = vec![
            dataset("rows", "d1", "training"),
            dataset("rows", "d2", "testing"),
        ];
        bench
            .tracking
            .log_inputs(&run.info.run_id, datasets, vec!["m-0".to_owned()])
            .await
            .unwrap();
    }
    let output = |model_id: &str, step| ModelOutput {
        model_id: model_id.to_owned(),
        step,
    };
    bench
        .tracking
        .log_outputs(&one.info.run_id, &[output("m-1", 0), output("m-2", 5)])
        .await
        .unwrap();
    bench
        .tracking
        .log_outputs(&one.info.run_id, &[output("m-1", 7)])
        .await
        .unwrap();
    let one = bench.tracking.run(&one.info.run_id).await.unwrap();
    assert_eq!(
        one.dataset_inputs,
        [
            dataset("rows", "d1", "training"),
            dataset("rows", "d2", "testing")
        ]
    );
    assert_eq!(one.model_inputs, ["m-0"]);
    assert_eq!(one.model_outputs, [output("m-2", 5), output("m-1", 7)]);
    let two = bench.tracking.run(&two.info.run_id).await.unwrap();
    assert_eq!((two.dataset_inputs.len(), two.model_outputs.len()), (2, 0));
    let nameless = vec![dataset("", "d", "training")];
    assert_invalid(
        bench
            .tracking
            .log_inputs(&two.info.run_id, nameless, Vec::new())
            .await,
    );
}

async fn children_are_found_by_their_parent(database: Database) {
    let bench = Bench::open(database).await;
    let parent = bench.run(DEFAULT, "parent").await;
    for name in ["first", "second", "deleted", "stranger"] {
        let run = bench.run(DEFAULT, name).await;
        if name != "stranger" {
            bench
                .log(
                    &run,
                    &[],
                    &[("n", name)],
                    &[("mlflow.parentRunId", &parent.info.run_id)],
                )
                .await;
        }
        if name == "deleted" {
            bench.tracking.delete_run(&run.info.run_id).await.unwrap();
        }
    }
    let children = bench.tracking.child_runs(&parent.info.run_id).await.unwrap();
    let names: Vec<_> = children.iter().map(|child| child.param("n").unwrap()).collect();
    assert_eq!(names, ["first", "second"]);
    assert_eq!(children[0].parent_run_id(), Some(parent.info.run_id.as_str()));
}

fragua_database::each_engine!(
    runs: the_name_of_a_run_and_its_tag_are_one_thing,
    a_run_starts_ends_and_is_told,
    a_deleted_run_takes_nothing_more,
    a_batch_is_kept_whole_or_not_at_all,
    inputs_and_outputs_are_kept_once,
    children_are_found_by_their_parent,
);
