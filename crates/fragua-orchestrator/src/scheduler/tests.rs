//! The rules in SQL, on each engine, under a manual clock.

use std::time::Duration;

use fragua_database::Database;
use serde_json::json;

use super::attempts;
use crate::decide::Ending;
use crate::testing::{Bench, WORKER, at, count};
use crate::{AttemptState, Clearing, DagIsOpen, DagRunState, Error, TaskState, TriggerRequest, Waiting};

const CATCH_UP: &str = "
dag: load
schedule: '@daily'
start_date: 2025-04-02
end_date: 2025-04-11
catchup: true
max_active_runs: 1
params: { seconds: 6 }
tasks:
  - { id: pause, wait: '{{ params.seconds }}s' }
  - { id: rows, needs: [pause], bash: echo }
";

const TRAIN: &str = "
dag: train
tasks:
  - { id: ready, wait: { dag: load } }
  - { id: fit, needs: [ready], bash: echo }
";

const RETRY: &str = "
dag: retry
default_args: { retries: 1, retry_delay: 10s }
tasks:
  - { id: first, bash: echo }
  - { id: second, needs: [first], bash: echo }
";

fn failed() -> Ending {
    Ending::Failed {
        message: "no rows".to_owned(),
    }
}

fn success() -> Ending {
    Ending::Success { xcom: None }
}

async fn catch_up_runs_each_missed_day_in_turn(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("load.yaml", CATCH_UP).await;
    let mut made = Vec::new();
    for day in ["2025-04-02", "2025-04-03", "2025-04-04"] {
        let run_id = format!("scheduled__{day}T00:00:00Z");
        let runs = bench.runs("load").await;
        assert_eq!(
            runs.last(),
            Some(&(run_id.clone(), DagRunState::Running)),
            "one run at a time"
        );
        assert_eq!(
            bench.states("load", &run_id).await,
            ["pause:deferred", "rows:none"]
        );
        assert_eq!(bench.run_queued().await, 0, "a wait needs no worker");
        bench.advance(Duration::from_secs(6)).await;
        assert_eq!(
            bench.states("load", &run_id).await,
            ["pause:success", "rows:queued"]
        );
        assert_eq!(bench.run_queued().await, 1);
        made.push((run_id, DagRunState::Success));
    }
    assert_eq!(bench.runs("load").await, made, "the fifth is not over");
    let next = bench.tick().await;
    assert_eq!(next, Some(at("2025-04-06")), "sleeps until the next day is over");
    bench.clock.set(at("2025-04-20"));
    bench.tick().await;
    while bench
        .runs("load")
        .await
        .last()
        .is_some_and(|(_, state)| !state.is_finished())
    {
        bench.advance(Duration::from_secs(6)).await;
        bench.run_queued().await;
    }
    let runs = bench.runs("load").await;
    assert_eq!(
        count(runs.iter().map(|(_, state)| state.as_str())),
        [("success", 10)].into()
    );
    assert_eq!(runs.last().unwrap().0, "scheduled__2025-04-11T00:00:00Z");
    assert_eq!(bench.tick().await, None, "nothing is left to do by the clock");
}

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

async fn a_failure_is_tried_again_after_its_delay(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    bench.end(&lease, failed()).await;
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:up_for_retry", "second:none"]
    );
    assert_eq!(bench.claim(1).await.len(), 0);
    assert_eq!(bench.tick().await, Some(at("2025-04-05T12:00:10Z")));
    let next = bench.advance(Duration::from_millis(9_999)).await;
    assert_eq!(next, Some(at("2025-04-05T12:00:10Z")));
    bench.advance(Duration::from_millis(1)).await;
    let lease = bench.claim_one("first").await;
    assert_eq!(lease.key.attempt, 2);
    bench.end(&lease, failed()).await;
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:failed", "second:upstream_failed"]
    );
    assert_eq!(bench.runs("retry").await, [(run_id.clone(), DagRunState::Failed)]);
    assert_eq!(
        bench.message("retry", &run_id, "first").await.as_deref(),
        Some("no rows")
    );
    let transitions = bench.orchestrator().transitions("retry", &run_id).await.unwrap();
    let of_first: Vec<String> = transitions
        .iter()
        .filter(|transition| {
            transition
                .task
                .as_ref()
                .is_some_and(|(task_id, _)| task_id == "first")
        })
        .map(|transition| transition.to.clone())
        .collect();
    assert_eq!(
        of_first,
        ["queued", "running", "up_for_retry", "queued", "running", "failed"]
    );
}

async fn a_lease_that_runs_out_goes_back_without_using_up_a_retry(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    let lost = bench.claim_one("first").await;
    bench.advance(Duration::from_secs(20)).await;
    let held = attempts::heartbeat(&bench.core, WORKER).await.unwrap();
    assert_eq!(held.tokens, [lost.token.as_str()]);
    assert_eq!(
        bench.advance(Duration::from_secs(29)).await,
        Some(at("2025-04-05T12:00:50Z"))
    );
    assert_eq!(bench.states("retry", &run_id).await[0], "first:running");
    bench.advance(Duration::from_secs(1)).await;
    assert_eq!(bench.states("retry", &run_id).await[0], "first:queued");
    let instance = bench
        .orchestrator()
        .task_instance("retry", &run_id, "first")
        .await
        .unwrap();
    assert_eq!((instance.failures, instance.lost), (0, 1));
    assert!(instance.message.unwrap().starts_with("worker lost"));

    let lease = bench.claim_one("first").await;
    let stale = attempts::end(&bench.core, &lost.token, success().into()).await;
    assert!(matches!(stale, Err(Error::StaleToken { .. })), "{stale:?}");
    assert_eq!(
        attempts::heartbeat(&bench.core, WORKER).await.unwrap().tokens,
        [lease.token.as_str()]
    );
    assert_eq!(
        bench.states("retry", &run_id).await[0],
        "first:running",
        "a stale token changes nothing"
    );
    bench.end(&lease, success()).await;
    let instance = bench
        .orchestrator()
        .task_instance("retry", &run_id, "first")
        .await
        .unwrap();
    let attempts = bench.orchestrator().attempts(&instance).await.unwrap();
    let states: Vec<AttemptState> = attempts.iter().map(|attempt| attempt.state).collect();
    assert_eq!(states, [AttemptState::Lost, AttemptState::Success]);
}

async fn a_task_that_is_lost_again_and_again_fails(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    for _ in 0..=bench.core.settings.lost_attempts {
        let lease = bench.claim_one("first").await;
        attempts::lose(&bench.core, &lease.token, "the machine went down")
            .await
            .unwrap();
    }
    assert_eq!(bench.states("retry", &run_id).await[0], "first:failed");
}

async fn two_workers_never_take_the_same_task(database: Database) {
    let mut bench = Bench::new(database).await;
    let tasks: String = (0..20)
        .map(|number| format!("  - {{ id: t{number}, bash: echo }}\n"))
        .collect();
    bench
        .write("many.yaml", &format!("dag: many\ntasks:\n{tasks}"))
        .await;
    bench.trigger("many").await;
    let claims = (0..4).map(|worker| {
        let core = bench.core.clone();
        tokio::spawn(async move {
            attempts::claim(&core, &format!("worker-{worker}"), 10)
                .await
                .unwrap()
        })
    });
    let mut taken = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        taken.extend(claim.await.unwrap().into_iter().map(|lease| lease.key.task_id));
    }
    taken.extend(bench.claim(20).await.into_iter().map(|lease| lease.key.task_id));
    assert_eq!(taken.len(), 20);
    assert!(count(taken).values().all(|times| *times == 1));
}

async fn what_ends_at_once_is_counted_once(database: Database) {
    let mut bench = Bench::new(database).await;
    let tasks: String = (0..8)
        .map(|number| format!("  - {{ id: t{number}, bash: echo }}\n"))
        .collect();
    let needs: Vec<String> = (0..8).map(|number| format!("t{number}")).collect();
    let text = format!(
        "dag: join\ntasks:\n{tasks}  - {{ id: last, needs: [{}], bash: echo }}\n",
        needs.join(", ")
    );
    bench.write("join.yaml", &text).await;
    let run_id = bench.trigger("join").await;
    let leases = bench.claim(8).await;
    let ends = leases.into_iter().map(|lease| {
        let core = bench.core.clone();
        tokio::spawn(async move { attempts::end(&core, &lease.token, success().into()).await })
    });
    for end in ends.collect::<Vec<_>>() {
        end.await.unwrap().unwrap();
    }
    assert_eq!(bench.run_queued().await, 1);
    assert_eq!(bench.runs("join").await, [(run_id.clone(), DagRunState::Success)]);
    let transitions = bench.orchestrator().transitions("join", &run_id).await.unwrap();
    let queued = transitions.iter().filter(|transition| {
        transition.to == "queued"
            && transition
                .task
                .as_ref()
                .is_some_and(|(task_id, _)| task_id == "last")
    });
    assert_eq!(queued.count(), 1);
}

async fn cleared_tasks_start_over_with_what_comes_after(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    bench.run_queued().await;
    let orchestrator = bench.orchestrator();
    let dry = Clearing {
        dry_run: true,
        downstream: true,
        task_ids: vec!["first".to_owned()],
        only_failed: false,
    };
    assert_eq!(
        orchestrator
            .clear_tasks("retry", &run_id, &dry)
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:success", "second:success"]
    );
    let cleared = orchestrator
        .clear("retry", &run_id, &["first".to_owned()])
        .await
        .unwrap();
    assert!(
        cleared
            .iter()
            .all(|instance| instance.state == TaskState::Success)
    );
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:queued", "second:none"]
    );
    assert_eq!(
        bench.runs("retry").await,
        [(run_id.clone(), DagRunState::Running)]
    );

    let lease = bench.claim_one("first").await;
    assert_eq!(
        lease.key.attempt, 2,
        "attempts count on, so that their logs stay apart"
    );
    orchestrator.clear("retry", &run_id, &[]).await.unwrap();
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:restarting", "second:none"]
    );
    let held = attempts::heartbeat(&bench.core, WORKER).await.unwrap();
    assert_eq!(held.to_restart, [lease.token.as_str()]);
    bench
        .end(
            &lease,
            Ending::HandedBack {
                message: "stopped".to_owned(),
            },
        )
        .await;
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:queued", "second:none"]
    );
    assert_eq!(bench.run_queued().await, 2);
    assert_eq!(
        bench.runs("retry").await,
        [(run_id.clone(), DagRunState::Success)]
    );
    let unknown = orchestrator.clear("retry", &run_id, &["third".to_owned()]).await;
    assert!(matches!(unknown, Err(Error::TaskNotFound { .. })));
}

async fn a_run_that_takes_too_long_fails(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("slow.yaml", "dag: slow\ndagrun_timeout: 1m\ntasks:\n  - { id: a, bash: echo }\n  - { id: b, needs: [a], bash: echo }\n").await;
    let run_id = bench.trigger("slow").await;
    let lease = bench.claim_one("a").await;
    for _ in 0..3 {
        bench.advance(Duration::from_secs(20)).await;
        attempts::heartbeat(&bench.core, WORKER).await.unwrap();
    }
    assert_eq!(bench.runs("slow").await, [(run_id.clone(), DagRunState::Failed)]);
    assert_eq!(bench.states("slow", &run_id).await, ["a:skipped", "b:skipped"]);
    assert_eq!(
        bench.message("slow", &run_id, "a").await.as_deref(),
        Some("the run was not over after 1m")
    );
    assert!(
        attempts::heartbeat(&bench.core, WORKER)
            .await
            .unwrap()
            .tokens
            .is_empty(),
        "the lease was taken away"
    );
    let late = attempts::end(&bench.core, &lease.token, success().into()).await;
    assert!(matches!(late, Err(Error::StaleToken { .. })));
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

async fn a_paused_dag_rests(database: Database) {
    let mut bench = Bench::new(database).await;
    let orchestrator = bench.orchestrator();
    bench
        .write(
            "load.yaml",
            &CATCH_UP.replace("max_active_runs: 1", "max_active_runs: 3"),
        )
        .await;
    assert_eq!(bench.runs("load").await.len(), 3);
    orchestrator.set_paused("load", true).await.unwrap();
    bench.advance(Duration::from_secs(6)).await;
    bench.run_queued().await;
    bench.clock.set(at("2025-04-20"));
    bench.tick().await;
    let runs = bench.runs("load").await;
    assert_eq!(
        count(runs.iter().map(|(_, state)| state.as_str())),
        [("success", 3)].into(),
        "what ran went on"
    );
    let run_id = bench.trigger("load").await;
    assert_eq!(
        orchestrator.dag_run("load", &run_id).await.unwrap().state,
        DagRunState::Queued
    );
    let instance = orchestrator
        .task_instance("load", &run_id, "pause")
        .await
        .unwrap();
    let reason = orchestrator.waiting(&instance).await.unwrap();
    assert_eq!(reason, Some(Waiting::PausedDag));
    orchestrator.set_paused("load", false).await.unwrap();
    assert_eq!(
        orchestrator.dag_run("load", &run_id).await.unwrap().state,
        DagRunState::Running
    );
    assert_eq!(bench.runs("load").await.len(), 6);
}

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

async fn tasks_hand_on_values(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    bench
        .end(
            &lease,
            Ending::Success {
                xcom: Some(json!({ "rows": 5 })),
            },
        )
        .await;
    let lease = bench.claim_one("second").await;
    let (_, run) = attempts::assignment(&bench.core, &lease).await.unwrap();
    let context = bench
        .core
        .task_context(bench.core.database.reader(), &run, &lease.key, &lease.token)
        .await
        .unwrap();
    assert_eq!(context.xcom["first"], json!({ "rows": 5 }));
    let instance = bench
        .orchestrator()
        .task_instance("retry", &run_id, "first")
        .await
        .unwrap();
    assert_eq!(instance.xcom, Some(json!({ "rows": 5 })));
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
    catch_up_runs_each_missed_day_in_turn,
    a_wait_for_a_dag_ends_with_its_last_run,
    a_failure_is_tried_again_after_its_delay,
    a_lease_that_runs_out_goes_back_without_using_up_a_retry,
    a_task_that_is_lost_again_and_again_fails,
    two_workers_never_take_the_same_task,
    what_ends_at_once_is_counted_once,
    cleared_tasks_start_over_with_what_comes_after,
    a_run_that_takes_too_long_fails,
    a_wait_that_takes_too_long_fails,
    a_wait_that_cannot_be_understood_fails_with_its_line,
    a_paused_dag_rests,
    a_manual_run_gets_its_params_checked,
    a_run_has_one_name,
    a_run_keeps_the_version_it_began_with,
    tasks_hand_on_values,
    a_list_of_dags_shows_their_newest_runs,
);
