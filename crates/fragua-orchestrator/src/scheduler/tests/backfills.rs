//! Backfills.

use fragua_database::Database;
use serde_json::json;

use super::RETRY;
use crate::testing::{Bench, at, count};
use crate::{BackfillRequest, BackfillState, DagRunState, Error, Fate, Reprocess, RunType};

const DAILY: &str = "
dag: daily
schedule: '@daily'
start_date: 2025-04-04
catchup: true
max_active_runs: 1
params: { rows: 1 }
tasks: [{ id: t, bash: echo }]
";

fn march(from: &str, to: &str) -> BackfillRequest {
    BackfillRequest {
        from: at(&format!("2025-03-{from}")),
        to: at(&format!("2025-03-{to}")),
        max_active_runs: 2,
        reprocess: Reprocess::None,
        is_reversed: false,
        params: serde_json::Map::new(),
        dry_run: false,
    }
}

async fn a_backfill_makes_the_runs_of_a_range_beside_the_schedule(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("daily.yaml", DAILY).await;
    let orchestrator = bench.orchestrator().acting_as("ana");
    let dry = BackfillRequest {
        dry_run: true,
        ..march("10", "14")
    };
    let (_, runs) = orchestrator.backfill("daily", &dry).await.unwrap();
    assert_eq!(runs.len(), 5);
    assert!(runs.iter().all(|run| run.fate == Fate::Made));
    assert_eq!(bench.runs("daily").await.len(), 1, "a dry run makes nothing");

    let params = json!({ "rows": 5 }).as_object().unwrap().clone();
    let request = BackfillRequest {
        is_reversed: true,
        params,
        ..march("10", "14")
    };
    let (backfill, _) = orchestrator.backfill("daily", &request).await.unwrap();
    let running = async || -> Vec<String> {
        let runs = bench.runs("daily").await.into_iter();
        runs.filter(|(_, state)| *state == DagRunState::Running)
            .map(|(run_id, _)| run_id)
            .collect()
    };
    let last_two = ["backfill__2025-03-13T00:00:00Z", "backfill__2025-03-14T00:00:00Z"];
    assert_eq!(
        running().await[..2],
        last_two,
        "the last dates first, two at a time"
    );
    assert_eq!(running().await.len(), 3, "the schedule's run has its own limit");
    let run = orchestrator.dag_run("daily", last_two[0]).await.unwrap();
    assert_eq!(
        (run.run_type, &run.params["rows"]),
        (RunType::Backfill, &json!(5))
    );

    orchestrator
        .set_backfill_paused(&backfill.id, true)
        .await
        .unwrap();
    assert_eq!(bench.run_queued().await, 3);
    assert_eq!(running().await, Vec::<String>::new());
    orchestrator
        .set_backfill_paused(&backfill.id, false)
        .await
        .unwrap();
    assert_eq!(running().await.len(), 2);
    let cancelled = orchestrator.cancel_backfill(&backfill.id).await.unwrap();
    assert_eq!(
        (cancelled.state, cancelled.ended_at),
        (BackfillState::Cancelled, Some(bench.core.now()))
    );
    assert_eq!(bench.run_queued().await, 2);
    let states = count(bench.runs("daily").await.iter().map(|(_, state)| state.as_str()));
    assert_eq!(
        states,
        [("failed", 1), ("success", 5)].into(),
        "what had not started never will"
    );
    let again = orchestrator.cancel_backfill(&backfill.id).await;
    assert!(matches!(again, Err(Error::InvalidRequest { .. })));

    // What failed is done again; then all of it.
    let failed_ones = BackfillRequest {
        reprocess: Reprocess::Failed,
        ..march("09", "14")
    };
    let (again, runs) = orchestrator.backfill("daily", &failed_ones).await.unwrap();
    let fates = count(runs.iter().map(|run| run.fate.as_str()));
    assert_eq!(fates, [("again", 1), ("exists", 4), ("made", 1)].into());
    assert_eq!(bench.run_queued().await, 2);
    assert_eq!(
        orchestrator.find_backfill(&again.id).await.unwrap().state,
        BackfillState::Completed
    );
    let all = BackfillRequest {
        reprocess: Reprocess::Completed,
        max_active_runs: 9,
        ..march("09", "14")
    };
    let (all, _) = orchestrator.backfill("daily", &all).await.unwrap();
    assert_eq!(bench.run_queued().await, 6);
    assert_eq!(
        orchestrator.find_backfill(&all.id).await.unwrap().state,
        BackfillState::Completed
    );
    assert_eq!(orchestrator.backfills(Some("daily")).await.unwrap().len(), 3);
    let entries = orchestrator.audit_log(Some("daily"), 100, 0).await.unwrap();
    let events = count(entries.iter().map(|entry| entry.event.as_str()));
    assert_eq!(events, [("create_backfill", 3), ("set_backfill_state", 3)].into());
    assert!(entries.iter().all(|entry| entry.owner == "ana"));
}

async fn a_backfill_that_cannot_be_is_refused(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("daily.yaml", DAILY).await;
    bench.write("retry.yaml", RETRY).await;
    let orchestrator = bench.orchestrator();
    let refused = async |dag_id: &str, request: BackfillRequest| {
        orchestrator
            .backfill(dag_id, &request)
            .await
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused("daily", march("14", "10")).await,
        "from_date must not be after to_date"
    );
    assert_eq!(
        refused("nothing", march("10", "14")).await,
        "there is no DAG \"nothing\""
    );
    let none = BackfillRequest {
        max_active_runs: 0,
        ..march("10", "14")
    };
    assert_eq!(refused("daily", none).await, "max_active_runs must be at least 1");
    assert!(
        refused("retry", march("10", "14"))
            .await
            .starts_with("dag_id must name a DAG whose schedule has ticks")
    );
    let many = BackfillRequest {
        from: at("1900-01-01"),
        ..march("10", "14")
    };
    assert!(
        refused("daily", many)
            .await
            .starts_with("to_date must leave at most 10000 runs")
    );
    assert!(matches!(
        orchestrator.find_backfill("x").await,
        Err(Error::BackfillNotFound { .. })
    ));
    assert_eq!(bench.runs("daily").await.len(), 1);
}

async fn a_date_that_a_backfill_covered_gets_no_second_run(database: Database) {
    let mut bench = Bench::new(database).await;
    let dag = DAILY.replace("start_date: 2025-04-04", "start_date: 2025-04-01");
    bench.write("daily.yaml", &dag).await;
    let orchestrator = bench.orchestrator();
    let request = BackfillRequest {
        from: at("2025-04-02"),
        to: at("2025-04-03"),
        ..march("01", "01")
    };
    orchestrator.backfill("daily", &request).await.unwrap();
    let next = orchestrator.next_runs("daily", 1).await.unwrap();
    assert_eq!(next[0].data_interval_start, at("2025-04-04"));
    bench.run_queued().await;
    let mut runs: Vec<String> = bench
        .runs("daily")
        .await
        .into_iter()
        .map(|(run_id, _)| run_id)
        .collect();
    runs.sort();
    assert_eq!(
        runs,
        [
            "backfill__2025-04-02T00:00:00Z",
            "backfill__2025-04-03T00:00:00Z",
            "scheduled__2025-04-01T00:00:00Z",
            "scheduled__2025-04-04T00:00:00Z",
        ]
    );
    let next = orchestrator.dag("daily").await.unwrap().next_run.unwrap();
    assert_eq!(next.data_interval_start, at("2025-04-05"));
}

fragua_database::each_engine!(engines:
    a_date_that_a_backfill_covered_gets_no_second_run,
    a_backfill_makes_the_runs_of_a_range_beside_the_schedule,
    a_backfill_that_cannot_be_is_refused,
);
