use fragua_database::Database;

use super::{Bench, assert_invalid, assert_missing, metric};
use crate::{Batch, ExperimentId, Metric};

const DEFAULT: ExperimentId = ExperimentId(0);

async fn the_latest_value_follows_step_time_and_value(database: Database) {
    let bench = Bench::open(database).await;
    let run = bench.run(DEFAULT, "one").await;
    let latest = async || {
        bench
            .tracking
            .run(&run.info.run_id)
            .await
            .unwrap()
            .metric("m")
            .unwrap()
    };
    for (value, millis, step, expected) in [
        (1.0, 100, 0, 1.0),
        (2.0, 50, 0, 1.0),
        (3.0, 100, 0, 3.0),
        (2.5, 100, 0, 3.0),
        (0.5, 1, 2, 0.5),
        (9.0, 999, 1, 0.5),
        (-1.0, 0, -5, 0.5),
        (0.25, 2, 2, 0.25),
    ] {
        bench
            .log(&run, &[metric("m", value, millis, step)], &[], &[])
            .await;
        assert_eq!(latest().await, expected, "{value} {millis} {step}");
    }
    // Within one batch too, whatever the order.
    bench
        .log(
            &run,
            &[
                metric("m", 7.0, 0, 9),
                metric("m", 6.0, 0, 8),
                metric("m", 5.0, 0, 9),
            ],
            &[],
            &[],
        )
        .await;
    assert_eq!(latest().await, 7.0);
    bench.log(&run, &[metric("m", f64::NAN, 0, 10)], &[], &[]).await;
    assert!(latest().await.is_nan());
}

async fn values_of_many_clients_are_written_together_and_answered_apart(database: Database) {
    let bench = Bench::open(database.clone()).await;
    let (one, other) = (bench.run(DEFAULT, "one").await, bench.run(DEFAULT, "other").await);
    let deleted = bench.run(DEFAULT, "deleted").await;
    bench.tracking.delete_run(&deleted.info.run_id).await.unwrap();
    let ids = [&one.info.run_id, &other.info.run_id, &deleted.info.run_id].map(String::as_str);
    // While SQLite's one writer is held, they stand in line.
    let held = database.begin().await.unwrap();
    let clients: Vec<_> = (0..40_i64)
        .map(|number| {
            let tracking = bench.tracking.clone();
            let run_id = [ids[0], ids[1], ids[2], "missing"][number as usize % 4].to_owned();
            let metrics = vec![metric("m", number as f64, 0, number)];
            tokio::spawn(async move {
                let batch = Batch {
                    metrics,
                    ..Batch::default()
                };
                tracking.log_batch(&run_id, batch).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    held.commit().await.unwrap();
    for (number, client) in clients.into_iter().enumerate() {
        let answer = client.await.unwrap();
        match number % 4 {
            2 => assert_invalid(answer),
            3 => assert_missing(answer),
            _ => answer.unwrap(),
        }
    }
    for (run_id, latest) in [(ids[0], 36.0), (ids[1], 37.0)] {
        let history = bench
            .tracking
            .metric_history(run_id, "m", None, None)
            .await
            .unwrap();
        assert_eq!(history.items.len(), 10);
        assert_eq!(
            bench.tracking.run(run_id).await.unwrap().metric("m"),
            Some(latest)
        );
    }
    let history = bench
        .tracking
        .metric_history(ids[2], "m", None, None)
        .await
        .unwrap();
    assert_eq!(history.items, []);
}

async fn histories_are_ordered_without_repeats(database: Database) {
    let bench = Bench::open(database).await;
    let run = bench.run(DEFAULT, "one").await;
    let id = &run.info.run_id;
    let values = [
        metric("m", 3.0, 30, 3),
        metric("m", 1.0, 10, 1),
        metric("m", 1.0, 10, 1),
        metric("m", f64::NAN, 10, 1),
        metric("m", 2.0, 10, 1),
        metric("m", f64::INFINITY, 20, 1),
        metric("M", 5.0, 0, 0),
    ];
    bench.log(&run, &values, &[], &[]).await;
    bench.log(&run, &values, &[], &[]).await;
    let shown = |items: Vec<Metric>| {
        items
            .iter()
            .map(|item| item.value.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let all = bench.tracking.metric_history(id, "m", None, None).await.unwrap();
    assert_eq!(shown(all.items), format!("NaN 1 2 {} 3", f64::MAX));
    assert_eq!(all.next, None);
    let first = bench
        .tracking
        .metric_history(id, "m", Some(3), None)
        .await
        .unwrap();
    assert_eq!(shown(first.items), "NaN 1 2");
    let second = bench
        .tracking
        .metric_history(id, "m", Some(3), first.next.as_deref())
        .await
        .unwrap();
    assert_eq!(
        (shown(second.items), second.next),
        (format!("{} 3", f64::MAX), None)
    );
    assert!(
        bench
            .tracking
            .metric_history(id, "nothing", None, None)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert!(
        bench
            .tracking
            .metric_history("nobody", "m", None, None)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_invalid(bench.tracking.metric_history(id, "m", None, Some("?")).await);
}

async fn a_history_is_cut_by_the_server(database: Database) {
    let bench = Bench::open(database).await;
    let run = bench.run(DEFAULT, "one").await;
    for batch in 0..2 {
        let values: Vec<_> = (0..750)
            .map(|at| metric("m", 0.5, batch * 750 + at, at))
            .collect();
        bench.log(&run, &values, &[], &[]).await;
    }
    let page = bench
        .tracking
        .metric_history(&run.info.run_id, "m", Some(1_000_000), None)
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.next.is_some()), (1_000, true));
}

async fn a_chart_keeps_first_last_and_the_number_of_points(database: Database) {
    let bench = Bench::open(database).await;
    let (long, short, single) = (
        bench.run(DEFAULT, "long").await,
        bench.run(DEFAULT, "short").await,
        bench.run(DEFAULT, "single").await,
    );
    let values: Vec<_> = (0..1000).map(|at| metric("m", at as f64, at, at)).collect();
    bench.log(&long, &values, &[], &[]).await;
    bench.log(&short, &values[..3], &[], &[]).await;
    bench.log(&single, &values[5..6], &[], &[]).await;
    let ids: Vec<_> = [&long, &short, &single]
        .iter()
        .map(|run| run.info.run_id.clone())
        .collect();
    let points = async |id: &String, most, steps| {
        let series = bench
            .tracking
            .metric_chart(std::slice::from_ref(id), "m", most, steps)
            .await
            .unwrap();
        assert_eq!(series.len(), 1);
        series[0]
            .points
            .iter()
            .map(|point| point.step)
            .collect::<Vec<_>>()
    };
    for most in [2, 3, 10, 77, 999] {
        let steps = points(&ids[0], most, None).await;
        assert_eq!(
            (steps.len() as u64, steps[0], steps[steps.len() - 1]),
            (most, 0, 999)
        );
        assert!(steps.is_sorted());
        let gaps = steps.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(
            gaps.clone().max().unwrap() - gaps.min().unwrap() <= 1,
            "{steps:?}"
        );
    }
    assert_eq!(points(&ids[0], 5_000, None).await.len(), 1000);
    assert_eq!(
        points(&ids[0], 10, Some((100, 104))).await,
        [100, 101, 102, 103, 104]
    );
    assert_eq!(points(&ids[1], 10, None).await, [0, 1, 2]);
    assert_eq!(points(&ids[2], 10, None).await, [5]);
    let all = bench.tracking.metric_chart(&ids, "m", 10, None).await.unwrap();
    assert_eq!(
        all.iter().map(|series| series.points.len()).sum::<usize>(),
        10 + 3 + 1
    );
    let many = vec!["x".to_owned(); 101];
    assert_invalid(bench.tracking.metric_chart(&many, "m", 10, None).await);
}

async fn many_writers_of_one_run_leave_the_highest_step_as_the_latest(database: Database) {
    let bench = Bench::open(database).await;
    let run = bench.run(DEFAULT, "one").await;
    let writers = (0..8).map(|writer| {
        let (tracking, id) = (bench.tracking.clone(), run.info.run_id.clone());
        tokio::spawn(async move {
            for at in 0..5 {
                let step = at * 8 + writer;
                let metrics = vec![metric("m", step as f64, 0, step), metric("n", 1.0, 0, step)];
                tracking
                    .log_batch(
                        &id,
                        Batch {
                            metrics,
                            ..Batch::default()
                        },
                    )
                    .await
                    .unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(
        bench.tracking.run(&run.info.run_id).await.unwrap().metric("m"),
        Some(39.0)
    );
    let history = bench
        .tracking
        .metric_history(&run.info.run_id, "m", None, None)
        .await
        .unwrap();
    assert_eq!(history.items.len(), 40);
}

fragua_database::each_engine!(
    metrics: the_latest_value_follows_step_time_and_value,
    values_of_many_clients_are_written_together_and_answered_apart,
    histories_are_ordered_without_repeats,
    a_history_is_cut_by_the_server,
    a_chart_keeps_first_last_and_the_number_of_points,
    many_writers_of_one_run_leave_the_highest_step_as_the_latest,
);
