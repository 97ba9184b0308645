//! What failures lead to: a run that ends at once, a DAG that is paused.

use fragua_database::Database;

use super::{failed, success};
use crate::testing::Bench;
use crate::{AttemptState, DagRunState, TaskState};

async fn a_dag_that_fails_fast_ends_with_its_first_failure(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "d.yaml",
            "dag: d\nfail_fast: true\ntasks:\n  - { id: up, setup: true, empty: {} }\n  \
             - { id: a, needs: [up], bash: echo }\n  - { id: b, needs: [up], bash: echo }\n  \
             - { id: later, needs: [a, b], bash: echo }\n  - { id: far, needs: [later], wait: 5s }\n  \
             - { id: down, needs: [up, far], teardown: true, bash: echo }\n",
        )
        .await;
    let run_id = bench.trigger("d").await;
    let leases = bench.claim(2).await;
    let (a, b) = (&leases[0], &leases[1]);
    bench.end(a, failed()).await;
    let states = bench.states("d", &run_id).await;
    assert_eq!(
        states,
        [
            "up:success",
            "a:failed",
            "b:failed",
            "later:skipped",
            "far:skipped",
            "down:queued"
        ]
    );
    let message = bench.message("d", &run_id, "b").await.unwrap();
    assert_eq!(message, "a failed, and the DAG fails fast");
    // What ran is told to end: its lease is gone.
    let held = bench.heartbeat().await;
    assert!(held.tokens.is_empty(), "{held:?}");
    let late = crate::scheduler::attempts::end(&bench.core, &b.token, success().into()).await;
    assert!(late.is_err());
    bench.end(&bench.claim_one("down").await, success()).await;
    assert_eq!(bench.runs("d").await, [(run_id.clone(), DagRunState::Failed)]);
    let instance = bench
        .orchestrator()
        .task_instance("d", &run_id, "a")
        .await
        .unwrap();
    let attempts = bench.orchestrator().attempts(&instance).await.unwrap();
    assert_eq!(attempts[0].state, AttemptState::Failed);
    assert_eq!(instance.state, TaskState::Failed);
}

async fn a_dag_that_fails_again_and_again_is_paused(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "d.yaml",
            "dag: d\nmax_consecutive_failed_dag_runs: 2\ntasks: [{ id: t, bash: echo }]\n",
        )
        .await;
    let orchestrator = bench.orchestrator();
    let run = async |bench: &Bench, ending| {
        bench.clock.advance(std::time::Duration::from_secs(1));
        bench.trigger("d").await;
        bench.end(&bench.claim_one("t").await, ending).await;
        bench.orchestrator().dag("d").await.unwrap().is_paused
    };
    assert!(!run(&bench, failed()).await);
    assert!(!run(&bench, success()).await);
    assert!(!run(&bench, failed()).await);
    assert!(run(&bench, failed()).await);
    let log = orchestrator.audit_log(Some("d"), 100, 0).await.unwrap();
    let paused = log.iter().find(|entry| entry.event == "pause_dag").unwrap();
    assert_eq!(paused.owner, "scheduler");
    let reason = paused.extra["reason"].as_str().unwrap();
    assert_eq!(reason, "its last 2 runs failed (max_consecutive_failed_dag_runs)");
    // Who unpauses it wants it to go on, until it fails once more.
    bench.clock.advance(std::time::Duration::from_secs(1));
    orchestrator.set_paused("d", false).await.unwrap();
    crate::scheduler::plan_everything_active(&bench.core)
        .await
        .unwrap();
    assert!(!orchestrator.dag("d").await.unwrap().is_paused);
    assert!(!run(&bench, success()).await);
    assert!(!run(&bench, failed()).await);
    assert!(run(&bench, failed()).await);
}

fragua_database::each_engine!(engines:
    a_dag_that_fails_fast_ends_with_its_first_failure,
    a_dag_that_fails_again_and_again_is_paused,
);
