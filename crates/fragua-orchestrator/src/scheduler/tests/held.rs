//! What the scheduler does itself: waits, choices, runs of other DAGs.

use std::time::Duration;

use fragua_database::Database;
use serde_json::json;

use super::{CATCH_UP, success};
use crate::decide::Ending;
use crate::testing::{Bench, at};
use crate::{DagIsOpen, DagRunState, RunType, TriggerRequest, Waiting};

const TRAIN: &str = "
dag: train
tasks:
  - { id: ready, wait: { dag: load } }
  - { id: fit, needs: [ready], bash: echo }
";

async fn a_wait_for_a_dag_ends_with_its_last_run(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("train.yaml", TRAIN).await;
    let run_id = bench.trigger("train").await;
    let reason = async |bench: &Bench| {
        let orchestrator = bench.orchestrator();
        let instance = orchestrator
            .task_instance("train", &run_id, "ready")
            .await
            .unwrap();
        orchestrator.waiting(&instance).await.unwrap()
    };
    assert_eq!(
        bench.states("train", &run_id).await,
        ["ready:deferred", "fit:none"]
    );
    let load = |reasons| {
        Some(Waiting::Dag {
            dag_id: "load".to_owned(),
            reasons,
        })
    };
    assert_eq!(reason(&bench).await, load(vec![DagIsOpen::Unknown]));
    bench.write("load.yaml", CATCH_UP).await;
    let due = bench.orchestrator().next_runs("load", 1).await.unwrap()[0];
    assert_eq!(
        reason(&bench).await,
        load(vec![DagIsOpen::Running(1), DagIsOpen::Due(due)])
    );
    for _ in 0..3 {
        assert_eq!(
            bench.states("train", &run_id).await,
            ["ready:deferred", "fit:none"]
        );
        bench.advance(Duration::from_secs(6)).await;
        bench.run_queued().await;
    }
    assert_eq!(
        bench.states("train", &run_id).await,
        ["ready:success", "fit:success"]
    );
    assert_eq!(bench.runs("train").await, [(run_id, DagRunState::Success)]);
    let again = bench.trigger("train").await;
    assert_eq!(
        bench.states("train", &again).await,
        ["ready:success", "fit:queued"],
        "nothing to wait for"
    );
}

async fn a_wait_that_takes_too_long_fails(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "w.yaml",
            "dag: w\ntasks: [{ id: t, wait: { dag: nobody }, execution_timeout: 30s }]\n",
        )
        .await;
    let run_id = bench.trigger("w").await;
    assert_eq!(bench.tick().await, Some(at("2025-04-05T12:00:30Z")));
    bench.advance(Duration::from_secs(30)).await;
    assert_eq!(bench.states("w", &run_id).await, ["t:failed"]);
    assert_eq!(
        bench.message("w", &run_id, "t").await.as_deref(),
        Some("the wait was not over after 30s")
    );
}

async fn a_wait_that_cannot_be_understood_fails_with_its_line(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("w.yaml", "dag: w\nparams: { delay: soon }\ntasks:\n  - id: one\n    wait: '{{ params.delay }}s'\n  - id: two\n    wait: '{{ params.nothing }}s'\n").await;
    let run_id = bench.trigger("w").await;
    assert_eq!(bench.states("w", &run_id).await, ["one:failed", "two:failed"]);
    let message = bench.message("w", &run_id, "one").await.unwrap();
    assert!(message.starts_with("\"soons\" is not a duration"), "{message}");
    let message = bench.message("w", &run_id, "two").await.unwrap();
    assert!(
        message.starts_with("task two, argument wait (line 7 of the DAG file): undefined value"),
        "{message}"
    );
}

async fn choices_are_made_without_a_worker(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("choose.yaml", "dag: choose\nparams: { way: left, go: true }\ntasks:\n  - { id: which, branch: '{{ params.way }}' }\n  - { id: left, needs: [which], empty: {} }\n  - { group: right, needs: [which], tasks: [{ id: a, empty: {} }, { id: b, needs: [a], empty: {} }] }\n  - { id: join, needs: [left, right], trigger_rule: none_failed_min_one_success, empty: {} }\n  - { id: gate, needs: [join], short_circuit: '{{ params.go }}' }\n  - { id: after, needs: [gate], empty: {} }\n  - { id: end, needs: [after], trigger_rule: all_done, empty: {} }\n").await;
    let orchestrator = bench.orchestrator();
    let run = async |params: serde_json::Value| {
        let params = params.as_object().unwrap().clone();
        let run = orchestrator
            .trigger(
                "choose",
                TriggerRequest {
                    params,
                    ..Default::default()
                },
            )
            .await
            .unwrap();
        (run.state, bench.states("choose", &run.run_id).await)
    };
    let (state, tasks) = run(json!({})).await;
    assert_eq!(state, DagRunState::Success);
    assert_eq!(
        tasks,
        [
            "which:success",
            "left:success",
            "right.a:skipped",
            "right.b:skipped",
            "join:success",
            "gate:success",
            "after:success",
            "end:success",
        ]
    );
    let (_, tasks) = run(json!({ "way": "right", "go": false })).await;
    assert_eq!(
        tasks,
        [
            "which:success",
            "left:skipped",
            "right.a:success",
            "right.b:success",
            "join:success",
            "gate:success",
            "after:skipped",
            "end:skipped",
        ],
        "a short circuit skips all that comes after, whatever the rules say"
    );
    let (state, tasks) = run(json!({ "way": "nowhere" })).await;
    assert_eq!(
        (state, tasks[0].as_str()),
        (DagRunState::Success, "which:failed"),
        "judged by its end"
    );
    let nowhere = orchestrator.dag_runs(Default::default()).await.unwrap();
    let nowhere = nowhere
        .iter()
        .find(|run| run.params["way"] == json!("nowhere"))
        .unwrap();
    assert_eq!(
        bench.message("choose", &nowhere.run_id, "which").await.as_deref(),
        Some(
            "the branch chose \"nowhere\", which does not come directly after it; those that do are left, right.a"
        )
    );
}

const TRIGGERS: &str = "
dag: outer
tasks:
  - id: go
    trigger_dag: { dag: inner, run_id: 'inner {{ ds }}', conf: { rows: '{{ 2 + 3 }}' }, wait_for_completion: true, RESET }
  - { id: after, needs: [go], empty: {} }
";

async fn a_task_starts_a_run_of_another_dag_and_waits_for_it(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write("outer.yaml", &TRIGGERS.replace("RESET", "reset: false"))
        .await;
    let missing = bench.trigger("outer").await;
    assert_eq!(
        bench.message("outer", &missing, "go").await.as_deref(),
        Some("there is no DAG \"inner\" to start a run of")
    );
    bench
        .write(
            "inner.yaml",
            "dag: inner\nparams: { rows: 1 }\ntasks: [{ id: t, bash: echo }]\n",
        )
        .await;
    let orchestrator = bench.orchestrator();
    let first = bench.trigger("outer").await;
    let inner = orchestrator.dag_run("inner", "inner 2025-04-05").await.unwrap();
    assert_eq!(
        (inner.run_type, &inner.params["rows"]),
        (RunType::OperatorTriggered, &json!(5))
    );
    assert_eq!(bench.states("outer", &first).await, ["go:deferred", "after:none"]);
    let go = orchestrator.task_instance("outer", &first, "go").await.unwrap();
    let other = Waiting::Other {
        dag_id: "inner".to_owned(),
        run_id: Some("inner 2025-04-05".to_owned()),
        logical_date: None,
        task_ids: Vec::new(),
    };
    assert_eq!(orchestrator.waiting(&go).await.unwrap(), Some(other));
    assert_eq!(bench.run_queued().await, 1);
    assert_eq!(
        bench.states("outer", &first).await,
        ["go:success", "after:success"]
    );
    let go = orchestrator.task_instance("outer", &first, "go").await.unwrap();
    let handed_on = orchestrator.xcoms(&go).await.unwrap();
    assert_eq!(
        (handed_on[0].key.as_str(), &handed_on[0].value),
        ("trigger_run_id", &json!("inner 2025-04-05"))
    );

    let again = bench.trigger("outer").await;
    assert_eq!(
        bench.message("outer", &again, "go").await.as_deref(),
        Some("DAG \"inner\" has a run \"inner 2025-04-05\" already")
    );
    bench
        .write(
            "outer.yaml",
            &TRIGGERS.replace("RESET", "skip_when_already_exists: true"),
        )
        .await;
    let skipped = bench.trigger("outer").await;
    assert_eq!(
        bench.states("outer", &skipped).await,
        ["go:skipped", "after:skipped"]
    );
    bench
        .write("outer.yaml", &TRIGGERS.replace("RESET", "reset: true"))
        .await;
    let reset = bench.trigger("outer").await;
    assert_eq!(bench.states("inner", "inner 2025-04-05").await, ["t:queued"]);
    let lease = bench.claim_one("t").await;
    assert_eq!(lease.key.attempt, 2);
    bench
        .end(
            &lease,
            Ending::FailedForGood {
                message: "no rows".to_owned(),
            },
        )
        .await;
    assert_eq!(
        bench.states("outer", &reset).await,
        ["go:failed", "after:upstream_failed"]
    );
    assert_eq!(
        bench.message("outer", &reset, "go").await.as_deref(),
        Some("run inner 2025-04-05 is failed")
    );
}

async fn a_task_waits_for_tasks_of_another_dag(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("up.yaml", "dag: up\nschedule: '@daily'\nstart_date: 2025-04-03\ncatchup: true\nmax_active_runs: 1\ntasks: [{ id: rows, bash: echo }, { id: slow, needs: [rows], bash: echo }]\n").await;
    bench.write("down.yaml", "dag: down\nschedule: '@daily'\nstart_date: 2025-04-04\ncatchup: true\ntasks:\n  - { id: task, external_task: { dag: up, task: rows, delta: 1d } }\n  - { id: run, external_task: { dag: up, delta: 1d, failed_states: [failed] } }\n  - { id: soft, external_task: { dag: up, task: nothing, check_existence: true, soft_fail: true } }\n  - { id: hard, external_task: { dag: nowhere, check_existence: true } }\n  - { id: patient, external_task: { dag: up, task: nothing, timeout: 1h } }\n").await;
    let run_id = "scheduled__2025-04-04T00:00:00Z";
    assert_eq!(
        bench.states("down", run_id).await,
        [
            "task:deferred",
            "run:deferred",
            "soft:skipped",
            "hard:failed",
            "patient:deferred"
        ]
    );
    assert_eq!(
        bench.message("down", run_id, "hard").await.as_deref(),
        Some("there is no DAG \"nowhere\"")
    );
    let lease = bench.claim_one("rows").await;
    bench.end(&lease, success()).await;
    assert_eq!(
        bench.states("down", run_id).await[..2],
        ["task:success", "run:deferred"]
    );
    let lease = bench.claim_one("slow").await;
    bench
        .end(
            &lease,
            Ending::FailedForGood {
                message: "no rows".to_owned(),
            },
        )
        .await;
    assert_eq!(bench.states("down", run_id).await[1], "run:failed");
    bench.advance(Duration::from_secs(3600)).await;
    assert_eq!(
        bench.message("down", run_id, "patient").await.as_deref(),
        Some("the wait was not over after 1h")
    );
    assert_eq!(
        bench.runs("down").await,
        [(run_id.to_owned(), DagRunState::Failed)]
    );
}

async fn a_task_waits_for_a_time(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("time.yaml", "dag: time\ntimezone: Europe/Madrid\nschedule: '@daily'\nstart_date: 2025-04-04\ntasks:\n  - { id: today, time: '14:30' }\n  - { id: past, time: '06:00' }\n  - { id: delta, time_delta: 15h }\n  - { id: soft, time: { at: '23:00', timeout: 10m, soft_fail: true } }\n").await;
    let run_id = bench.runs("time").await[0].0.clone();
    // It is noon in UTC, two in Madrid, whose day began at ten in the evening.
    assert_eq!(
        bench.states("time", &run_id).await,
        [
            "today:deferred",
            "past:success",
            "delta:deferred",
            "soft:deferred"
        ]
    );
    assert_eq!(bench.tick().await, Some(at("2025-04-05T12:10:00Z")));
    bench.advance(Duration::from_secs(600)).await;
    assert_eq!(bench.states("time", &run_id).await[3], "soft:skipped");
    bench.advance(Duration::from_secs(1200)).await;
    assert_eq!(bench.states("time", &run_id).await[0], "today:success");
    bench.advance(Duration::from_secs(1800)).await;
    assert_eq!(bench.states("time", &run_id).await[2], "delta:success");
}

fragua_database::each_engine!(engines:
    a_wait_for_a_dag_ends_with_its_last_run,
    a_wait_that_takes_too_long_fails,
    a_wait_that_cannot_be_understood_fails_with_its_line,
    choices_are_made_without_a_worker,
    a_task_starts_a_run_of_another_dag_and_waits_for_it,
    a_task_waits_for_tasks_of_another_dag,
    a_task_waits_for_a_time,
);
