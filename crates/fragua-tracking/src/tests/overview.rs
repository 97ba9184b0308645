use fragua_database::Database;

use super::{Bench, metric};
use crate::{Batch, Query, Tag, ViewType};

fn filter(text: &str) -> Query {
    Query {
        filter: text.to_owned(),
        ..Query::default()
    }
}

async fn runs_are_counted_as_they_are_found(database: Database) {
    let bench = Bench::open(database).await;
    let (one, other) = (bench.experiment("one").await, bench.experiment("other").await);
    for place in 0..5 {
        let run = bench.run(one, "run").await;
        bench
            .log(&run, &[metric("m", f64::from(place), 1, 0)], &[], &[])
            .await;
    }
    let gone = bench.run(one, "gone").await;
    bench.tracking.delete_run(&gone.info.run_id).await.unwrap();
    bench.run(other, "elsewhere").await;
    for (query, expected) in [
        (filter(""), 5),
        (filter("metrics.m > 2"), 2),
        (filter("metrics.m > 9"), 0),
        (
            Query {
                view: ViewType::DeletedOnly,
                ..Query::default()
            },
            1,
        ),
        (
            Query {
                max_results: Some(2),
                page_token: Some(Query::page_token_at(4)),
                ..Query::default()
            },
            5,
        ),
    ] {
        assert_eq!(
            bench.tracking.count_runs(&[one], &query).await.unwrap(),
            expected,
            "{query:?}"
        );
    }
    let last = Query {
        page_token: Some(Query::page_token_at(4)),
        ..Query::default()
    };
    assert_eq!(
        bench
            .tracking
            .search_runs(&[one], &last)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
}

async fn children_are_counted_and_runs_come_in_the_order_asked_for(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("one").await;
    let parent = bench.run(experiment, "parent").await.info.run_id;
    let lone = bench.run(experiment, "lone").await.info.run_id;
    let mut children = Vec::new();
    for _ in 0..3 {
        let child = bench.run(experiment, "child").await.info.run_id;
        let batch = Batch {
            tags: vec![Tag::new("mlflow.parentRunId", parent.clone())],
            ..Batch::default()
        };
        bench.tracking.log_batch(&child, batch).await.unwrap();
        children.push(child);
    }
    bench.tracking.delete_run(&children[0]).await.unwrap();
    let counts = bench
        .tracking
        .child_counts(&[parent.clone(), lone.clone()])
        .await
        .unwrap();
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(parent.clone(), 2)]);
    let wanted = [lone, "ghost".to_owned(), children[0].clone(), parent];
    let found = bench.tracking.runs(&wanted).await.unwrap();
    let ids: Vec<&str> = found.iter().map(|run| run.info.run_id.as_str()).collect();
    assert_eq!(ids, [&wanted[0], &wanted[2], &wanted[3]]);
}

fragua_database::each_engine!(
    overview: runs_are_counted_as_they_are_found,
    children_are_counted_and_runs_come_in_the_order_asked_for,
);
