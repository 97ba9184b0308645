//! DAGs that run when what they wait for was updated.

use std::time::Duration;

use fragua_database::Database;
use serde_json::{Map, json};

use super::success;
use crate::decide::{Ending, Success};
use crate::operator::table_asset;
use crate::testing::{Bench, at};
use crate::{AssetEventQuery, DagRunState, Error, RunType};

const LOAD: &str = "
dag: load
tasks:
  - { id: rows, outlets: ['table://warehouse/sales'], bash: echo }
  - { id: shops, needs: [rows], bash: echo }
";

const REPORT: &str = "
dag: report
schedule: { assets: ['table://warehouse/sales', 'table://warehouse/shops'] }
tasks:
  - { id: t, bash: \"{{ triggering_asset_events | length }} {{ triggering_asset_events['table://warehouse/sales'][0].source_task_id }}\" }
";

fn wrote(table: &str) -> Ending {
    Ending::Success(Success {
        assets: vec![table_asset("warehouse", table)],
        ..Success::default()
    })
}

async fn a_dag_runs_when_each_of_its_assets_was_updated(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("load.yaml", LOAD).await;
    bench.write("report.yaml", REPORT).await;
    let orchestrator = bench.orchestrator();
    bench.trigger("load").await;
    bench.end(&bench.claim_one("rows").await, success()).await;
    assert_eq!(bench.runs("report").await, []);
    let queued = orchestrator.queued_asset_events("report").await.unwrap();
    assert_eq!(queued[0].asset, "table://warehouse/sales");
    let source = queued[0].source.as_ref().unwrap();
    assert_eq!(
        (source.dag_id.as_str(), source.task_id.as_str()),
        ("load", "rows")
    );
    // What the operator says it wrote counts as well as what the file says.
    let shops = bench.claim_one("shops").await;
    bench.clock.advance(Duration::from_secs(5));
    bench.end(&shops, wrote("shops")).await;
    let runs = bench.runs("report").await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    let run = orchestrator.dag_run("report", &runs[0].0).await.unwrap();
    assert_eq!(
        (run.run_type, run.state),
        (RunType::AssetTriggered, DagRunState::Running)
    );
    assert!(
        run.run_id.starts_with("asset_triggered__2025-04-05T12:00:05Z_"),
        "{}",
        run.run_id
    );
    assert_eq!(run.data_interval_start, at("2025-04-05T12:00:00Z"));
    assert_eq!(run.data_interval_end, at("2025-04-05T12:00:05Z"));
    let events = orchestrator
        .triggering_asset_events("report", &run.run_id)
        .await
        .unwrap();
    assert_eq!(events.len(), 2);
    // Each of them knows which run it started.
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    let started = orchestrator.runs_of_asset_events(&ids).await.unwrap();
    let started: Vec<(i64, &str)> = started
        .iter()
        .flat_map(|(id, runs)| runs.iter().map(|run| (*id, run.run_id.as_str())))
        .collect();
    assert_eq!(
        started,
        ids.iter()
            .map(|id| (*id, run.run_id.as_str()))
            .collect::<Vec<_>>()
    );
    assert_eq!(orchestrator.queued_asset_events("report").await.unwrap(), []);
    // Its templates see them.
    let lease = bench.claim_one("t").await;
    let context = bench
        .core
        .task_context(bench.core.database.reader(), &run, &lease.key, &lease.token)
        .await
        .unwrap();
    let seen = &context.run_names.triggering_asset_events;
    assert_eq!(seen.len(), 2);
    assert_eq!(seen["table://warehouse/sales"][0]["source_task_id"], "rows");
    bench.end(&lease, success()).await;
    // Each event started one run.
    bench.tick().await;
    crate::scheduler::plan_everything_active(&bench.core)
        .await
        .unwrap();
    assert_eq!(bench.runs("report").await.len(), 1);
    let assets = orchestrator.assets().await.unwrap();
    let names: Vec<&str> = assets.iter().map(|asset| asset.name.as_str()).collect();
    assert_eq!(names, ["table://warehouse/sales", "table://warehouse/shops"]);
    assert_eq!(assets[0].producers, [("load".to_owned(), "rows".to_owned())]);
    assert_eq!(assets[0].consumers, ["report"]);
    assert_eq!(assets[1].last_event_at, Some(at("2025-04-05T12:00:05Z")));
}

async fn one_of_several_assets_is_enough_where_the_file_says_any(database: Database) {
    let mut bench = Bench::new(database).await;
    let dag = "dag: any\nmax_active_runs: 1\nschedule: { assets: { any: [a, [b, c]] } }\ntasks: [{ id: t, bash: echo }]\n";
    bench.write("any.yaml", dag).await;
    let orchestrator = bench.orchestrator();
    let extra = Map::from_iter([("rows".to_owned(), json!(5))]);
    orchestrator.create_asset_event("b", extra.clone()).await.unwrap();
    assert_eq!(bench.runs("any").await, []);
    orchestrator.create_asset_event("c", Map::new()).await.unwrap();
    assert_eq!(bench.runs("any").await.len(), 1);
    // What comes while as many runs are under way as may be starts one run together.
    for asset in ["a", "a", "b"] {
        orchestrator.create_asset_event(asset, Map::new()).await.unwrap();
    }
    assert_eq!(bench.runs("any").await.len(), 1);
    assert_eq!(orchestrator.queued_asset_events("any").await.unwrap().len(), 3);
    bench.clock.advance(Duration::from_secs(1));
    bench.run_queued().await;
    let runs = bench.runs("any").await;
    assert_eq!(runs.len(), 2, "{runs:?}");
    let events = orchestrator
        .triggering_asset_events("any", &runs[1].0)
        .await
        .unwrap();
    let assets: Vec<&str> = events.iter().map(|event| event.asset.as_str()).collect();
    assert_eq!(assets, ["a", "a", "b"]);
    let query = AssetEventQuery {
        asset: Some("b".to_owned()),
        ..AssetEventQuery::default()
    };
    let of_b = orchestrator.asset_events(&query).await.unwrap();
    assert_eq!(
        (of_b.len(), of_b[1].extra.clone(), of_b[1].source.clone()),
        (2, extra, None)
    );
}

async fn a_dag_waits_for_assets_only_while_it_is_active(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "d.yaml",
            "dag: d\nschedule: { assets: a }\ntasks: [{ id: t, bash: echo }]\n",
        )
        .await;
    let orchestrator = bench.orchestrator();
    orchestrator.set_paused("d", true).await.unwrap();
    orchestrator.create_asset_event("a", Map::new()).await.unwrap();
    let unknown = orchestrator
        .create_asset_event_if_awaited("a", Map::new())
        .await
        .unwrap();
    assert_eq!(unknown, None);
    orchestrator.set_paused("d", false).await.unwrap();
    assert_eq!(bench.runs("d").await, []);
    let known = orchestrator
        .create_asset_event_if_awaited("a", Map::new())
        .await
        .unwrap();
    assert!(known.is_some());
    assert_eq!(bench.runs("d").await.len(), 1);
    bench.remove("d.yaml").await;
    orchestrator.create_asset_event("a", Map::new()).await.unwrap();
    assert_eq!(bench.runs("d").await.len(), 1);
    for wrong in ["", " a", "a\nb", &"a".repeat(301)] {
        let refused = orchestrator.create_asset_event(wrong, Map::new()).await;
        assert!(matches!(refused, Err(Error::InvalidRequest { .. })), "{wrong:?}");
    }
}

async fn a_schedule_can_be_of_time_and_of_assets(database: Database) {
    let mut bench = Bench::new(database).await;
    let dag = "dag: both\nstart_date: 2025-04-05\nschedule: { time: '@daily', assets: [a, b] }\ntasks: [{ id: t, bash: echo }]\n";
    bench.write("both.yaml", dag).await;
    let orchestrator = bench.orchestrator();
    orchestrator.create_asset_event("a", Map::new()).await.unwrap();
    bench.clock.set(at("2025-04-06"));
    bench.tick().await;
    let runs = bench.runs("both").await;
    assert_eq!(
        runs,
        [("scheduled__2025-04-05T00:00:00Z".to_owned(), DagRunState::Running)]
    );
    orchestrator.create_asset_event("b", Map::new()).await.unwrap();
    assert_eq!(bench.runs("both").await.len(), 2);
    // The next run of the schedule is not moved by that.
    let next = orchestrator.dag("both").await.unwrap().next_run.unwrap();
    assert_eq!(next.data_interval_start, at("2025-04-06"));
    // Events that nobody wants any more can be taken away.
    orchestrator.create_asset_event("a", Map::new()).await.unwrap();
    let forgotten = orchestrator
        .delete_queued_asset_events("both", Some("b"))
        .await
        .unwrap();
    assert_eq!(forgotten, 0);
    let forgotten = orchestrator
        .delete_queued_asset_events("both", Some("a"))
        .await
        .unwrap();
    assert_eq!(forgotten, 1);
    orchestrator.create_asset_event("b", Map::new()).await.unwrap();
    assert_eq!(bench.runs("both").await.len(), 2);
}

async fn two_updates_at_the_same_time_start_one_run(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "d.yaml",
            "dag: d\nschedule: { assets: [a, b] }\ntasks: [{ id: t, bash: echo }]\n",
        )
        .await;
    let orchestrator = bench.orchestrator();
    let (one, other) = tokio::join!(
        orchestrator.create_asset_event("a", Map::new()),
        orchestrator.create_asset_event("b", Map::new()),
    );
    let ids = [one.unwrap().id, other.unwrap().id];
    let runs = bench.runs("d").await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    let events = orchestrator
        .triggering_asset_events("d", &runs[0].0)
        .await
        .unwrap();
    assert!(
        events.iter().all(|event| ids.contains(&event.id)) && events.len() == 2,
        "{events:?}"
    );
}

fragua_database::each_engine!(engines:
    a_dag_runs_when_each_of_its_assets_was_updated,
    one_of_several_assets_is_enough_where_the_file_says_any,
    a_dag_waits_for_assets_only_while_it_is_active,
    a_schedule_can_be_of_time_and_of_assets,
    two_updates_at_the_same_time_start_one_run,
);
