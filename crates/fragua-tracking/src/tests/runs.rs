use fragua_base::Timestamp;
use fragua_database::Database;

use super::{Bench, assert_invalid, assert_missing, metric};
use crate::runs::{Batch, Dataset, DatasetInput, ModelOutput, NewRun, Param, RunStatus, RunUpdate, Tag};
use crate::{Change, ExperimentId, LifecycleStage, Query};

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

async fn several_runs_change_together_or_not_at_all(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    let one = bench.run(DEFAULT, "one").await.info.run_id;
    let two = bench.run(DEFAULT, "two").await.info.run_id;
    let both = [one.as_str(), two.as_str()];
    let with_ghost = [one.as_str(), "ghost", two.as_str()];
    let team = |value: &str| Tag::new("team", value);

    tracking.tag_runs(&both, team("north")).await.unwrap();
    tracking.tag_runs(&both, team("south")).await.unwrap();
    assert_missing(tracking.tag_runs(&with_ghost, team("lost")).await);
    assert_invalid(tracking.tag_runs(&both, Tag::new("", "x")).await);
    assert_invalid(tracking.tag_runs(&both, Tag::new("mlflow.runName", "x")).await);
    for id in both {
        assert_eq!(tracking.run(id).await.unwrap().tag("team"), Some("south"));
    }

    let stage = async |id: &str| tracking.run_info(id).await.unwrap().lifecycle_stage;
    assert_missing(tracking.delete_runs(&with_ghost).await);
    assert_eq!(stage(&one).await, LifecycleStage::Active);
    let mut changes = tracking.changes();
    tracking.delete_runs(&both).await.unwrap();
    for id in both {
        assert_eq!(stage(id).await, LifecycleStage::Deleted);
        let run_id = id.to_owned();
        assert_eq!(changes.recv().await.unwrap(), Change::RunChanged { run_id });
    }
    tracking.restore_runs(&[&one]).await.unwrap();
    assert_invalid(tracking.tag_runs(&both, team("half")).await);
    assert_eq!(tracking.run(&one).await.unwrap().tag("team"), Some("south"));
    tracking.restore_runs(&both).await.unwrap();
    assert_eq!(stage(&two).await, LifecycleStage::Active);
}

async fn the_history_of_models_stays_a_list_when_it_outgrows_its_tag(database: Database) {
    let bench = Bench::open(database).await;
    let run = bench.run(DEFAULT, "one").await.info.run_id;
    let model = |number: usize| {
        serde_json::json!({
            "artifact_path": format!("model-{number}"),
            "run_id": "r",
            "utc_time_created": "2025-01-01 00:00:00",
            "flavors": {"sklearn": {"pickled_model": "model.pkl", "config": "c".repeat(9_000), "code": "x".repeat(300)}},
            "signature": {"inputs": "s".repeat(9_000)},
        })
    };
    let history = async || -> Vec<serde_json::Value> {
        let run = bench.tracking.run(&run).await.unwrap();
        serde_json::from_str(run.tag("mlflow.log-model.history").unwrap()).unwrap()
    };
    for number in 0..40 {
        bench.tracking.note_model(&run, model(number)).await.unwrap();
    }
    let kept = history().await;
    assert!((10..40).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.last().unwrap()["artifact_path"], "model-39");
    assert_eq!(kept[0]["flavors"]["sklearn"]["pickled_model"], "model.pkl");
    assert_eq!(kept[0]["flavors"]["sklearn"].get("config"), None);
    assert_eq!(kept[0].get("signature"), None);

    let mut huge = model(40);
    huge["flavors"]["sklearn"]["code"] = "x".repeat(9_000).into();
    assert_invalid(bench.tracking.note_model(&run, huge).await);
    assert_eq!(history().await, kept);
}

async fn runs_are_ordered_by_how_long_they_took(database: Database) {
    let bench = Bench::open(database).await;
    for (name, millis) in [("long", Some(9_000)), ("unended", None), ("short", Some(10))] {
        let info = bench.run(DEFAULT, name).await.info;
        if let Some(millis) = millis {
            let end = Timestamp::from_millis(info.start_time.unwrap().as_millis() + millis);
            let update = RunUpdate {
                end_time: Some(end),
                ..RunUpdate::default()
            };
            bench.tracking.update_run(&info.run_id, update).await.unwrap();
        }
    }
    for (order, expected) in [
        ("duration", ["short", "long", "unended"]),
        ("attributes.duration DESC", ["long", "short", "unended"]),
    ] {
        let query = Query {
            order_by: vec![order.to_owned()],
            ..Query::default()
        };
        let found = bench.tracking.search_runs(&[DEFAULT], &query).await.unwrap();
        let names: Vec<&str> = found.items.iter().map(|run| run.info.run_name.as_str()).collect();
        assert_eq!(names, expected, "{order}");
    }
    let filtered = Query {
        filter: "attributes.duration > 1".to_owned(),
        ..Query::default()
    };
    assert_invalid(bench.tracking.search_runs(&[DEFAULT], &filtered).await);
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
    several_runs_change_together_or_not_at_all,
    the_history_of_models_stays_a_list_when_it_outgrows_its_tag,
    runs_are_ordered_by_how_long_they_took,
);
