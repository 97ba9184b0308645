//! Runs by hand, their names, versions and ends.

use std::time::Duration;

use fragua_database::Database;
use serde_json::json;

use super::{CATCH_UP, RETRY, failed, success};
use crate::scheduler::attempts;
use crate::testing::{Bench, at};
use crate::{DagRunState, Error, TriggerRequest};

async fn a_manual_run_gets_its_params_checked(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write("c.yaml", "dag: c\nparams:\n  confirm: { type: string, required: true, enum: [yes sure], description: Write yes sure. }\n  n: 5\ntasks: [{ id: t, bash: echo }]\n")
        .await;
    let orchestrator = bench.orchestrator();
    let trigger = async |params: serde_json::Value| {
        let params = params.as_object().unwrap().clone();
        orchestrator
            .trigger(
                "c",
                TriggerRequest {
                    params,
                    ..Default::default()
                },
            )
            .await
    };
    let check = async |params: serde_json::Value, expected: &str| {
        assert_eq!(trigger(params).await.unwrap_err().to_string(), expected);
    };
    check(json!({}), "parameter \"confirm\" must be given: Write yes sure.").await;
    check(
        json!({ "confirm": "no" }),
        "parameter \"confirm\" must be \"yes sure\", not \"no\"",
    )
    .await;
    check(
        json!({ "confirm": "yes sure", "m": 1 }),
        "parameter \"m\" is not one of this DAG: it has confirm, n",
    )
    .await;
    let run = trigger(json!({ "confirm": "yes sure" })).await.unwrap();
    assert_eq!(
        serde_json::Value::Object(run.params),
        json!({ "confirm": "yes sure", "n": 5 })
    );
    assert!(matches!(
        orchestrator.trigger("d", TriggerRequest::default()).await,
        Err(Error::DagNotFound { .. })
    ));
}

async fn a_run_has_one_name(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let orchestrator = bench.orchestrator();
    let trigger = async |run_id: &str| {
        let run_id = Some(run_id.to_owned());
        orchestrator
            .trigger(
                "retry",
                TriggerRequest {
                    run_id,
                    ..Default::default()
                },
            )
            .await
    };
    assert_eq!(trigger("first").await.unwrap().run_id, "first");
    assert!(matches!(trigger("first").await, Err(Error::DagRunExists { .. })));
    assert!(trigger("First").await.is_ok(), "names are told apart by case");
    for wrong in ["", "a/b", " a", "a\n", &"x".repeat(251)] {
        assert!(
            matches!(trigger(wrong).await, Err(Error::InvalidRequest { .. })),
            "{wrong:?}"
        );
    }
    assert_eq!(bench.runs("retry").await.len(), 2);
}

async fn a_run_keeps_the_version_it_began_with(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    bench
        .write("retry.yaml", "dag: retry\ntasks: [{ id: other, bash: echo }]\n")
        .await;
    bench.end(&lease, success()).await;
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:success", "second:queued"]
    );
    let again = bench.trigger("retry").await;
    assert_eq!(bench.states("retry", &again).await, ["other:queued"]);
    let orchestrator = bench.orchestrator();
    let old = orchestrator.dag_run("retry", &run_id).await.unwrap();
    assert_eq!(orchestrator.dag_of_run(&old).await.unwrap().tasks.len(), 2);
    let comment = "# only a comment\ndag: retry\ntasks: [{ id: other, bash: echo }]\n";
    let version = orchestrator.dag("retry").await.unwrap().version;
    bench.write("retry.yaml", comment).await;
    assert_eq!(
        orchestrator.dag("retry").await.unwrap().version,
        version,
        "a comment makes no version"
    );
    assert_eq!(
        orchestrator.dag_source("retry").await.unwrap().as_deref(),
        Some(comment)
    );
}

async fn a_run_goes_on_when_its_dag_is_removed(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    bench.remove("retry.yaml").await;
    bench.end(&lease, failed()).await;
    bench.advance(Duration::from_secs(10)).await;
    assert_eq!(bench.run_queued().await, 2);
    assert_eq!(bench.runs("retry").await, [(run_id, DagRunState::Success)]);
    let gone = bench
        .orchestrator()
        .trigger("retry", TriggerRequest::default())
        .await;
    assert!(matches!(gone, Err(Error::DagNotFound { .. })));
}

async fn a_run_that_takes_too_long_fails(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("slow.yaml", "dag: slow\ndagrun_timeout: 1m\ntasks:\n  - { id: a, bash: echo }\n  - { id: b, needs: [a], bash: echo }\n").await;
    let run_id = bench.trigger("slow").await;
    let lease = bench.claim_one("a").await;
    for _ in 0..3 {
        bench.advance(Duration::from_secs(20)).await;
        bench.heartbeat().await;
    }
    assert_eq!(bench.runs("slow").await, [(run_id.clone(), DagRunState::Failed)]);
    assert_eq!(bench.states("slow", &run_id).await, ["a:skipped", "b:skipped"]);
    assert_eq!(
        bench.message("slow", &run_id, "a").await.as_deref(),
        Some("the run was not over after 1m")
    );
    assert!(
        bench.heartbeat().await.tokens.is_empty(),
        "the lease was taken away"
    );
    let late = attempts::end(&bench.core, &lease.token, success().into()).await;
    assert!(matches!(late, Err(Error::StaleToken { .. })));
}

async fn a_list_of_dags_shows_their_newest_runs(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write("load.yaml", &CATCH_UP.replace("catchup: true", "catchup: false"))
        .await;
    bench.write("retry.yaml", RETRY).await;
    for number in 0..20 {
        let run_id = Some(format!("run-{number:02}"));
        bench
            .orchestrator()
            .trigger(
                "retry",
                TriggerRequest {
                    run_id,
                    ..Default::default()
                },
            )
            .await
            .unwrap();
        bench.advance(Duration::from_secs(1)).await;
    }
    let dags = bench.orchestrator().list_dags().await.unwrap();
    let names: Vec<&str> = dags.iter().map(|dag| dag.dag.dag_id.as_str()).collect();
    assert_eq!(names, ["load", "retry"]);
    assert_eq!(
        dags[0].next_run.unwrap().to_string(),
        "covers 2025-04-05, runs 2025-04-06 00:00 UTC"
    );
    assert_eq!(dags[1].next_run, None);
    assert_eq!(dags[1].recent_runs.len(), 14);
    assert_eq!(dags[1].recent_runs[0].run_id, "run-19");
    let next = bench.orchestrator().next_runs("load", 3).await.unwrap();
    assert_eq!(next.len(), 3);
    assert_eq!(next[2].data_interval_start, at("2025-04-07"));
}

fragua_database::each_engine!(engines:
    a_manual_run_gets_its_params_checked,
    a_run_has_one_name,
    a_run_keeps_the_version_it_began_with,
    a_run_goes_on_when_its_dag_is_removed,
    a_run_that_takes_too_long_fails,
    a_list_of_dags_shows_their_newest_runs,
);
