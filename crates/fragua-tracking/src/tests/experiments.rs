use fragua_database::Database;

use super::{Bench, assert_invalid, assert_missing, assert_taken};
use crate::{Change, ExperimentId, LifecycleStage, NewExperiment, NewRun, Query, Tag, ViewType};

fn named(name: &str) -> NewExperiment {
    NewExperiment {
        name: name.to_owned(),
        ..NewExperiment::default()
    }
}

async fn names_are_unique_also_among_the_deleted(database: Database) {
    let bench = Bench::open(database).await;
    let id = bench.experiment("forest").await;
    assert_taken(bench.tracking.create_experiment(named("forest")).await);
    // Names have case.
    bench.experiment("Forest").await;
    bench.tracking.delete_experiment(id).await.unwrap();
    assert_taken(bench.tracking.create_experiment(named("forest")).await);
    assert_invalid(bench.tracking.get_or_create_experiment("forest").await);
    let other = bench.experiment("other").await;
    assert_taken(bench.tracking.rename_experiment(other, "forest").await);
    assert_invalid(bench.tracking.rename_experiment(id, "new name").await);
    bench.tracking.rename_experiment(other, "other").await.unwrap();
    for bad in ["", "  ", &"x".repeat(257)] {
        assert_invalid(bench.tracking.create_experiment(named(bad)).await);
    }
    let elsewhere = NewExperiment {
        artifact_location: Some("file:///etc".to_owned()),
        ..named("elsewhere")
    };
    assert_invalid(bench.tracking.create_experiment(elsewhere).await);
}

async fn deleting_and_restoring_takes_the_runs_along(database: Database) {
    let bench = Bench::open(database).await;
    let id = bench.experiment("forest").await;
    let (one, two) = (bench.run(id, "one").await, bench.run(id, "two").await);
    bench.tracking.delete_run(&one.info.run_id).await.unwrap();
    bench.tracking.delete_experiment(id).await.unwrap();
    assert_missing(bench.tracking.delete_experiment(id).await);
    let stage = async |run: &crate::Run| {
        bench
            .tracking
            .run_info(&run.info.run_id)
            .await
            .unwrap()
            .lifecycle_stage
    };
    assert_eq!(
        (stage(&one).await, stage(&two).await),
        (LifecycleStage::Deleted, LifecycleStage::Deleted)
    );
    let new = NewRun {
        experiment_id: Some(id),
        ..NewRun::default()
    };
    assert_invalid(bench.tracking.create_run(new).await);
    bench.tracking.restore_experiment(id).await.unwrap();
    assert_missing(bench.tracking.restore_experiment(id).await);
    assert_eq!(
        (stage(&one).await, stage(&two).await),
        (LifecycleStage::Active, LifecycleStage::Active)
    );
    let counts = bench.tracking.run_counts(&[ExperimentId(0), id]).await.unwrap();
    assert_eq!((counts.get(&ExperimentId(0)), counts.get(&id)), (None, Some(&2)));
}

async fn tags_are_set_and_removed(database: Database) {
    let bench = Bench::open(database).await;
    let id = bench.experiment("forest").await;
    let mut changes = bench.tracking.changes();
    bench
        .tracking
        .set_experiment_tag(id, Tag::new("team", "one"))
        .await
        .unwrap();
    assert_eq!(
        changes.recv().await.unwrap(),
        Change::ExperimentChanged { experiment_id: id }
    );
    bench
        .tracking
        .set_experiment_tag(id, Tag::new("team", "two"))
        .await
        .unwrap();
    assert_eq!(
        bench.tracking.experiment(id).await.unwrap().tags,
        [Tag::new("team", "two")]
    );
    bench.tracking.delete_experiment_tag(id, "team").await.unwrap();
    assert_missing(bench.tracking.delete_experiment_tag(id, "team").await);
    assert_missing(
        bench
            .tracking
            .set_experiment_tag(ExperimentId(99), Tag::new("a", "b"))
            .await,
    );
    assert_invalid(bench.tracking.set_experiment_tag(id, Tag::new("../a", "b")).await);
}

async fn lists_are_filtered_ordered_and_cut_into_pages(database: Database) {
    let bench = Bench::open(database).await;
    for (name, team) in [("ash", "a"), ("birch", "b"), ("cedar", "a")] {
        bench.clock.advance(std::time::Duration::from_secs(1));
        let tags = vec![Tag::new("team", team)];
        bench
            .tracking
            .create_experiment(NewExperiment { tags, ..named(name) })
            .await
            .unwrap();
    }
    let names = async |filter: &str, order: &[&str]| {
        let order_by = order.iter().map(|term| (*term).to_owned()).collect();
        let query = Query {
            filter: filter.to_owned(),
            order_by,
            ..Query::default()
        };
        let page = bench.tracking.search_experiments(&query).await.unwrap();
        page.items
            .into_iter()
            .map(|experiment| experiment.name)
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (filter, order, expected) in [
        ("", &[][..], "cedar birch ash Default"),
        ("", &["name"], "Default ash birch cedar"),
        ("", &["name DESC"], "cedar birch ash Default"),
        ("tags.team = 'a'", &[], "cedar ash"),
        ("tags.team != 'a'", &[], "birch"),
        ("tags.team IS NULL", &[], "Default"),
        ("name LIKE '%r%'", &["creation_time"], "birch cedar"),
        ("attribute.name ILIKE 'd%'", &[], "Default"),
        ("name LIKE 'd%'", &[], ""),
        ("creation_time > 2000", &[], "cedar birch"),
        ("experiment_id = '0'", &[], "Default"),
        ("experiment_id != 0", &["experiment_id"], "ash birch cedar"),
        ("experiment_id IN ('0', '1')", &["experiment_id"], "Default ash"),
    ] {
        assert_eq!(names(filter, order).await, expected, "{filter} {order:?}");
    }
    let mut seen = Vec::new();
    let mut query = Query {
        max_results: Some(3),
        view: ViewType::All,
        ..Query::default()
    };
    loop {
        let page = bench.tracking.search_experiments(&query).await.unwrap();
        seen.push(page.items.len());
        match page.next {
            Some(token) => query.page_token = Some(token),
            None => break,
        }
    }
    assert_eq!(seen, [3, 1]);
    for most in [0, 50_001] {
        let query = Query {
            max_results: Some(most),
            ..Query::default()
        };
        assert_invalid(bench.tracking.search_experiments(&query).await);
    }
}

fragua_database::each_engine!(
    experiments: names_are_unique_also_among_the_deleted,
    deleting_and_restoring_takes_the_runs_along,
    tags_are_set_and_removed,
    lists_are_filtered_ordered_and_cut_into_pages,
);
