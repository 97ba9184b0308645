//! The rules in SQL, on each engine, under a manual clock.

use std::time::Duration;

use fragua_database::Database;
use serde_json::json;

use super::attempts;
use crate::decide::{Ending, Success};
use crate::testing::{Bench, WORKER, at, count};
use crate::{
    AttemptState, BackfillRequest, BackfillState, Clearing, DagIsOpen, DagRunState, Error, Fate, InstanceId,
    Marking, RETURN_VALUE, Reprocess, RunType, TaskState, TriggerRequest, Waiting,
};

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
    Ending::success()
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
        .write(
            "many.yaml",
            &format!("dag: many\nmax_active_tasks: 20\ntasks:\n{tasks}"),
        )
        .await;
    bench.trigger("many").await;
    let claims = (0..4).map(|worker| {
        let core = bench.core.clone();
        tokio::spawn(async move {
            attempts::claim(&core, &format!("worker-{worker}"), &[], 10)
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
        ..Clearing::default()
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
            Ending::Success(Success {
                xcoms: [(RETURN_VALUE.to_owned(), json!({ "rows": 5 }))].into(),
                skips: Vec::new(),
            }),
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
    let handed_on = bench.orchestrator().xcoms(&instance).await.unwrap();
    assert_eq!(handed_on.len(), 1);
    assert_eq!(
        (handed_on[0].key.as_str(), &handed_on[0].value),
        (RETURN_VALUE, &json!({ "rows": 5 }))
    );
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

async fn delays_grow_with_each_failure(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("grow.yaml", "dag: grow\ntasks: [{ id: t, bash: echo, retries: 3, retry_delay: 10s, retry_exponential_backoff: 3, max_retry_delay: 1m }]\n").await;
    let run_id = bench.trigger("grow").await;
    let mut delays = Vec::new();
    for _ in 0..3 {
        let lease = bench.claim_one("t").await;
        bench.end(&lease, failed()).await;
        let instance = bench
            .orchestrator()
            .task_instance("grow", &run_id, "t")
            .await
            .unwrap();
        let delay = instance.wake_at.unwrap().since(bench.core.now());
        delays.push(delay.as_secs());
        bench.advance(delay).await;
    }
    assert!(
        (10..20).contains(&delays[0]) && (30..=60).contains(&delays[1]),
        "{delays:?}"
    );
    assert_eq!(delays[2], 60, "the cap");
    let lease = bench.claim_one("t").await;
    bench.end(&lease, failed()).await;
    assert_eq!(bench.states("grow", &run_id).await, ["t:failed"]);
}

async fn a_task_that_no_worker_listens_for_fails_after_three_times(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "q.yaml",
            "dag: q\ntasks: [{ id: t, bash: echo, queue: gpu }, { id: u, bash: echo }]\n",
        )
        .await;
    let run_id = bench.trigger("q").await;
    let only = ["default".to_owned()];
    assert_eq!(
        attempts::claim(&bench.core, WORKER, &only, 9)
            .await
            .unwrap()
            .len(),
        1,
        "u alone"
    );
    let ten_minutes = bench.core.settings.task_queued_timeout;
    // A worker that listens to every queue is heard of: the task waits for a slot, as long as it must.
    for _ in 0..5 {
        bench.clock.advance(ten_minutes);
        attempts::heartbeat(&bench.core, WORKER).await.unwrap();
        bench.tick().await;
    }
    let state = async || {
        let instance = bench
            .orchestrator()
            .task_instance("q", &run_id, "t")
            .await
            .unwrap();
        (instance.state, instance.message.unwrap_or_default())
    };
    assert_eq!(state().await.0, TaskState::Queued);
    for _ in 0..2 {
        bench.advance(ten_minutes).await;
        let (state, message) = state().await;
        assert_eq!(state, TaskState::Queued);
        assert_eq!(message, "no worker listened to its queue gpu for 10m");
    }
    bench.advance(ten_minutes).await;
    assert_eq!(
        state().await,
        (
            TaskState::Failed,
            "no worker listened to its queue gpu for 10m, 3 times in a row".to_owned()
        )
    );
}

async fn pools_and_limits_hold_tasks_back_and_say_so(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("p.yaml", "dag: p\nmax_active_tasks: 3\ntasks:\n  - { id: big, bash: echo, pool: small, pool_slots: 2 }\n  - { id: low, bash: echo, pool: small }\n  - { id: high, bash: echo, pool: small, priority_weight: 9 }\n  - { id: huge, bash: echo, pool: small, pool_slots: 3 }\n  - { id: lost, bash: echo, pool: nowhere }\n  - { id: one, bash: echo, max_active_tis_per_dag: 1 }\n  - { id: free, bash: echo }\n").await;
    let orchestrator = bench.orchestrator();
    let pool = crate::Pool {
        name: "small".to_owned(),
        slots: 2,
        description: String::new(),
        include_deferred: false,
    };
    orchestrator.put_pool(pool).await.unwrap();
    let first = bench.trigger("p").await;
    bench.advance(Duration::from_secs(1)).await;
    let second = bench.trigger("p").await;
    let names = |leases: &[attempts::Lease]| -> Vec<String> {
        leases.iter().map(|lease| lease.key.task_id.clone()).collect()
    };
    let leases = bench.claim(3).await;
    assert_eq!(
        names(&leases),
        ["high", "high", "free"],
        "the greatest weight first, then the earliest run"
    );
    let leases = [leases, bench.claim(100).await].concat();
    assert_eq!(names(&leases), ["high", "high", "free", "one", "free"]);
    let waits = async |run_id: &str, task_id: &str| {
        let instance = orchestrator.task_instance("p", run_id, task_id).await.unwrap();
        orchestrator.waiting(&instance).await.unwrap().unwrap()
    };
    let holders = vec![format!("p/{first}/high"), format!("p/{second}/high")];
    let full = Waiting::PoolFull {
        pool: "small".to_owned(),
        slots: 2,
        holders,
    };
    assert_eq!(waits(&first, "low").await, full);
    let small = Waiting::PoolTooSmall {
        pool: "small".to_owned(),
        slots: 2,
        needed: 3,
    };
    assert_eq!(waits(&first, "huge").await, small);
    assert_eq!(
        waits(&first, "lost").await,
        Waiting::NoPool {
            pool: "nowhere".to_owned()
        }
    );
    assert_eq!(waits(&second, "one").await, Waiting::TaskLimit { limit: 1 });
    let used = orchestrator.pool("small").await.unwrap();
    assert_eq!((used.taken, used.queued), (2, 2 * (2 + 1 + 3)));
    // The first run has three tasks under way, which is all it may.
    let lease = leases.iter().find(|lease| lease.key.task_id == "high").unwrap();
    bench.end(lease, success()).await;
    assert_eq!(names(&bench.claim(1).await), ["low"]);
    let pool = crate::Pool {
        slots: -1,
        ..used.pool
    };
    orchestrator.put_pool(pool).await.unwrap();
    assert_eq!(waits(&first, "big").await, Waiting::RunLimit { limit: 3 });
    assert!(matches!(
        orchestrator.delete_pool("default_pool").await,
        Err(Error::InvalidRequest { .. })
    ));
    orchestrator.delete_pool("small").await.unwrap();
    assert!(matches!(
        orchestrator.delete_pool("small").await,
        Err(Error::PoolNotFound { .. })
    ));
}

async fn two_workers_never_exceed_a_pool(database: Database) {
    let mut bench = Bench::new(database).await;
    let tasks: String = (0..20)
        .map(|number| format!("  - {{ id: t{number}, bash: echo, pool: p }}\n"))
        .collect();
    bench
        .write(
            "many.yaml",
            &format!("dag: many\nmax_active_tasks: 20\ntasks:\n{tasks}"),
        )
        .await;
    let pool = crate::Pool {
        name: "p".to_owned(),
        slots: 5,
        description: String::new(),
        include_deferred: false,
    };
    bench.orchestrator().put_pool(pool).await.unwrap();
    bench.trigger("many").await;
    let claims = (0..4).map(|worker| {
        let core = bench.core.clone();
        tokio::spawn(async move {
            attempts::claim(&core, &format!("worker-{worker}"), &[], 4)
                .await
                .unwrap()
                .len()
        })
    });
    let mut taken = 0;
    for claim in claims.collect::<Vec<_>>() {
        taken += claim.await.unwrap();
    }
    assert_eq!(taken, 5);
}

async fn a_task_waits_for_itself_in_the_run_before(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("past.yaml", "dag: past\nschedule: '@daily'\nstart_date: 2025-04-02\ncatchup: true\ntasks:\n  - { id: load, bash: echo, depends_on_past: true }\n  - { id: sum, needs: [load], bash: echo }\n  - { id: last, needs: [sum], bash: echo, wait_for_downstream: true }\n  - { id: mail, needs: [last], bash: echo }\n").await;
    let runs: Vec<String> = bench
        .runs("past")
        .await
        .into_iter()
        .map(|(run_id, _)| run_id)
        .collect();
    assert_eq!(runs.len(), 3);
    let first = |bench: &Bench, run: usize| {
        let (orchestrator, run_id) = (bench.orchestrator(), runs[run].clone());
        async move { orchestrator.task_instance("past", &run_id, "load").await.unwrap() }
    };
    assert_eq!(first(&bench, 0).await.state, TaskState::Queued);
    let waiting = bench
        .orchestrator()
        .waiting(&first(&bench, 1).await)
        .await
        .unwrap();
    let past = |run: usize, task_id: &str, state: TaskState| {
        let tasks = vec![(InstanceId::of(task_id), state)];
        Some(Waiting::Past {
            run_id: runs[run].clone(),
            tasks,
        })
    };
    assert_eq!(waiting, past(0, "load", TaskState::Queued));
    let lease = bench.claim_one("load").await;
    bench
        .end(
            &lease,
            Ending::FailedForGood {
                message: "no rows".to_owned(),
            },
        )
        .await;
    let waiting = bench
        .orchestrator()
        .waiting(&first(&bench, 1).await)
        .await
        .unwrap();
    assert_eq!(
        waiting,
        past(0, "load", TaskState::Failed),
        "until somebody does something about it"
    );
    bench.orchestrator().clear("past", &runs[0], &[]).await.unwrap();
    // Everything but the mails: without the first run's, the second run's last task waits.
    let mut ended: Vec<String> = Vec::new();
    loop {
        let leases = bench.claim(10).await;
        let (mails, others): (Vec<_>, Vec<_>) = leases.iter().partition(|lease| lease.key.task_id == "mail");
        for mail in mails {
            let message = String::new();
            bench.end(mail, Ending::HandedBack { message }).await;
        }
        if others.is_empty() {
            break;
        }
        for lease in others {
            bench.end(lease, success()).await;
            let run = runs.iter().position(|run| *run == lease.key.run_id).unwrap();
            ended.push(format!("{} {run}", lease.key.task_id));
        }
    }
    assert_eq!(
        ended
            .iter()
            .filter(|ended| ended.starts_with("load"))
            .collect::<Vec<_>>(),
        ["load 0", "load 1", "load 2"]
    );
    assert_eq!(
        ended.iter().filter(|ended| ended.starts_with("last")).count(),
        1,
        "{ended:?}"
    );
    let orchestrator = bench.orchestrator();
    let last = orchestrator
        .task_instance("past", &runs[1], "last")
        .await
        .unwrap();
    assert!(matches!(
        orchestrator.waiting(&last).await.unwrap(),
        Some(Waiting::Past { .. })
    ));
    assert!(bench.run_queued().await > 0);
    let states: Vec<DagRunState> = bench
        .runs("past")
        .await
        .into_iter()
        .map(|(_, state)| state)
        .collect();
    assert_eq!(states, [DagRunState::Success; 3]);
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

async fn only_the_newest_interval_goes_on(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("latest.yaml", "dag: latest\nschedule: '@daily'\nstart_date: 2025-04-02\ncatchup: true\ntasks: [{ id: only, latest_only: true }, { id: t, needs: [only], empty: {} }]\n").await;
    let mut states = Vec::new();
    for (run_id, state) in bench.runs("latest").await {
        assert_eq!(state, DagRunState::Success);
        states.push(bench.states("latest", &run_id).await[1].clone());
    }
    assert_eq!(states, ["t:skipped", "t:skipped", "t:success"]);
    let by_hand = bench.trigger("latest").await;
    assert_eq!(bench.states("latest", &by_hand).await[1], "t:success");
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

async fn a_task_is_made_instances_of(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("map.yaml", "dag: map\ntasks:\n  - { id: list, bash: echo }\n  - { id: each, needs: [list], expand: { row: '{{ xcom.list }}', side: [l, r] }, bash: 'echo {{ map.row }} {{ map.side }}' }\n  - { id: sum, needs: [each], bash: echo }\n").await;
    let orchestrator = bench.orchestrator();
    let handed_on = |value: serde_json::Value| {
        Ending::Success(Success {
            xcoms: [(RETURN_VALUE.to_owned(), value)].into(),
            skips: Vec::new(),
        })
    };
    let run_id = bench.trigger("map").await;
    let lease = bench.claim_one("list").await;
    bench.end(&lease, handed_on(json!([1, 2]))).await;
    let leases = bench.claim(9).await;
    let names: Vec<String> = leases
        .iter()
        .map(|lease| lease.key.instance_id().to_string())
        .collect();
    assert_eq!(names, ["each[0]", "each[1]", "each[2]", "each[3]"]);
    let third = orchestrator
        .task_instance("map", &run_id, InstanceId::mapped("each", 2))
        .await
        .unwrap();
    assert_eq!(third.map_values, Some(json!({ "row": 2, "side": "l" })));
    for (index, lease) in leases.iter().enumerate().rev() {
        bench.end(lease, handed_on(json!(index * 10))).await;
    }
    let lease = bench.claim_one("sum").await;
    let (_, run) = attempts::assignment(&bench.core, &lease).await.unwrap();
    let reader = bench.core.database.reader();
    let context = bench
        .core
        .task_context(reader, &run, &lease.key, &lease.token)
        .await
        .unwrap();
    assert_eq!(
        context.xcom["each"],
        json!([0, 10, 20, 30]),
        "in the order of the items"
    );
    bench.end(&lease, success()).await;

    // With another list, the instances there are stay, and those too many are removed.
    orchestrator.clear("map", &run_id, &[]).await.unwrap();
    let lease = bench.claim_one("list").await;
    bench.end(&lease, handed_on(json!([7]))).await;
    let leases = bench.claim(9).await;
    assert_eq!(
        leases.iter().map(|lease| lease.key.attempt).collect::<Vec<_>>(),
        [2, 2]
    );
    for lease in &leases {
        bench.end(lease, success()).await;
    }
    assert_eq!(bench.run_queued().await, 1);
    assert_eq!(
        bench.states("map", &run_id).await,
        [
            "list:success",
            "each:success",
            "each:success",
            "each:removed",
            "each:removed",
            "sum:success"
        ]
    );
    assert_eq!(bench.runs("map").await[0].1, DagRunState::Success);

    // One instance alone starts over.
    let one = Clearing {
        task_ids: vec!["each[1]".to_owned()],
        ..Clearing::default()
    };
    assert_eq!(
        orchestrator
            .clear_tasks("map", &run_id, &one)
            .await
            .unwrap()
            .len(),
        1
    );
    let lease = bench.claim_one("each").await;
    assert_eq!((lease.key.map_index, lease.key.attempt), (Some(1), 3));
    bench.end(&lease, success()).await;
    assert_eq!(bench.runs("map").await[0].1, DagRunState::Success);

    let empty = bench.trigger("map").await;
    let lease = bench.claim_one("list").await;
    bench.end(&lease, handed_on(json!([]))).await;
    assert_eq!(
        bench.states("map", &empty).await,
        ["list:success", "each:skipped", "sum:skipped"]
    );
    let wrong = bench.trigger("map").await;
    let lease = bench.claim_one("list").await;
    bench.end(&lease, handed_on(json!("text"))).await;
    assert_eq!(
        bench.states("map", &wrong).await,
        ["list:success", "each:failed", "sum:upstream_failed"]
    );
    assert_eq!(
        bench.message("map", &wrong, "each").await.as_deref(),
        Some("expand: row is no list")
    );
}

async fn a_value_that_is_too_large_is_refused(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    let fifty_megabytes = json!("x".repeat(50 * 1024 * 1024));
    let ending = Ending::Success(Success {
        xcoms: [("rows".to_owned(), fifty_megabytes)].into(),
        skips: Vec::new(),
    });
    bench.end(&lease, ending).await;
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:failed", "second:upstream_failed"]
    );
    assert_eq!(
        bench.message("retry", &run_id, "first").await.as_deref(),
        Some(
            "the value handed on as rows has 52428802 bytes, more than 1048576: write it to a table or an object and hand on its name"
        )
    );
    assert!(
        bench
            .orchestrator()
            .xcoms_of_run("retry", &run_id)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn an_attempt_hands_on_nothing_of_the_one_before(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    let with = |key: &str| {
        Ending::Success(Success {
            xcoms: [(key.to_owned(), json!(1))].into(),
            skips: Vec::new(),
        })
    };
    bench.end(&lease, with("old")).await;
    let orchestrator = bench.orchestrator();
    let keys = async || {
        let values = orchestrator.xcoms_of_run("retry", &run_id).await.unwrap();
        values.into_iter().map(|value| value.key).collect::<Vec<_>>()
    };
    assert_eq!(keys().await, ["old"]);
    orchestrator.clear("retry", &run_id, &[]).await.unwrap();
    assert!(keys().await.is_empty(), "cleared with its task");
    let lease = bench.claim_one("first").await;
    bench.end(&lease, with("new")).await;
    assert_eq!(keys().await, ["new"]);
}

async fn a_sensor_gives_its_slot_back_and_goes_on_with_the_same_attempt(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    let in_a_minute = bench.core.now().plus(Duration::from_secs(60));
    bench.end(&lease, Ending::Reschedule { at: in_a_minute }).await;
    assert_eq!(bench.states("retry", &run_id).await[0], "first:up_for_reschedule");
    let orchestrator = bench.orchestrator();
    let first = orchestrator
        .task_instance("retry", &run_id, "first")
        .await
        .unwrap();
    assert_eq!(
        orchestrator.waiting(&first).await.unwrap(),
        Some(Waiting::NextLook(in_a_minute))
    );
    assert!(bench.claim(1).await.is_empty());
    bench.advance(Duration::from_secs(60)).await;
    let again = bench.claim_one("first").await;
    assert_eq!(again.key.attempt, 1);
    assert_ne!(again.token, lease.token);
    let late = attempts::end(&bench.core, &lease.token, success().into()).await;
    assert!(matches!(late, Err(Error::StaleToken { .. })));
    bench.end(&again, success()).await;
    let attempts = orchestrator.attempts(&first).await.unwrap();
    assert_eq!(
        attempts.iter().map(|attempt| attempt.state).collect::<Vec<_>>(),
        [AttemptState::Success]
    );
}

async fn a_clock_that_jumps_back_starts_nothing_twice(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "load.yaml",
            &CATCH_UP.replace("max_active_runs: 1", "max_active_runs: 9"),
        )
        .await;
    let before = bench.runs("load").await;
    assert_eq!(before.len(), 3);
    bench.clock.set(at("2025-04-03T12:00:00Z"));
    bench.tick().await;
    super::plan_everything_active(&bench.core).await.unwrap();
    assert_eq!(bench.runs("load").await, before);
    bench.clock.set(at("2025-04-06T00:00:00Z"));
    bench.tick().await;
    super::plan_everything_active(&bench.core).await.unwrap();
    assert_eq!(
        bench.runs("load").await.len(),
        4,
        "the next day comes when it is over"
    );
    assert_eq!(
        bench.states("load", &before[0].0).await,
        ["pause:success", "rows:queued"]
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

const CHAIN: &str = "
dag: chain
schedule: '@daily'
start_date: 2025-04-02
catchup: true
tasks:
  - { id: a, bash: echo }
  - { id: b, needs: [a], bash: echo }
  - { id: c, needs: [b], bash: echo }
";

async fn a_task_marked_by_hand_lets_the_run_go_on_from_there(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write("retry.yaml", &RETRY.replace("retries: 1", "retries: 0"))
        .await;
    let orchestrator = bench.orchestrator();
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    bench.end(&lease, failed()).await;
    assert_eq!(bench.runs("retry").await, [(run_id.clone(), DagRunState::Failed)]);
    let dry = Marking {
        dry_run: true,
        ..Marking::one(&InstanceId::of("first"), TaskState::Success)
    };
    assert_eq!(orchestrator.mark("retry", &run_id, &dry).await.unwrap().len(), 1);
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:failed", "second:upstream_failed"]
    );
    let marking = Marking::one(&InstanceId::of("first"), TaskState::Success);
    let marked = orchestrator.mark("retry", &run_id, &marking).await.unwrap();
    assert_eq!(marked[0].state, TaskState::Failed, "as it stood before");
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:success", "second:queued"]
    );
    assert_eq!(
        bench.runs("retry").await,
        [(run_id.clone(), DagRunState::Running)]
    );

    // What runs is stopped, and what it says later is refused.
    let lease = bench.claim_one("second").await;
    let marking = Marking::one(&InstanceId::of("second"), TaskState::Skipped);
    orchestrator.mark("retry", &run_id, &marking).await.unwrap();
    assert!(
        attempts::heartbeat(&bench.core, WORKER)
            .await
            .unwrap()
            .tokens
            .is_empty()
    );
    let late = attempts::end(&bench.core, &lease.token, failed().into()).await;
    assert!(matches!(late, Err(Error::StaleToken { .. })));
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:success", "second:skipped"]
    );
    assert_eq!(
        bench.runs("retry").await,
        [(run_id.clone(), DagRunState::Success)]
    );

    let marking = Marking::one(&InstanceId::of("first"), TaskState::Failed);
    orchestrator.mark("retry", &run_id, &marking).await.unwrap();
    assert_eq!(
        bench.runs("retry").await[0].1,
        DagRunState::Success,
        "judged by its leaves"
    );
    let wrong = Marking::one(&InstanceId::of("first"), TaskState::Running);
    assert!(matches!(
        orchestrator.mark("retry", &run_id, &wrong).await,
        Err(Error::InvalidRequest { .. })
    ));
    let unknown = Marking::one(&InstanceId::of("third"), TaskState::Failed);
    assert!(matches!(
        orchestrator.mark("retry", &run_id, &unknown).await,
        Err(Error::TaskNotFound { .. })
    ));
}

async fn a_run_marked_by_hand_ends_with_its_tasks(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let orchestrator = bench.orchestrator();
    let failed_run = bench.trigger("retry").await;
    bench.claim_one("first").await;
    orchestrator
        .mark_run("retry", &failed_run, DagRunState::Failed)
        .await
        .unwrap();
    assert_eq!(
        bench.states("retry", &failed_run).await,
        ["first:failed", "second:skipped"]
    );
    let good_run = bench.trigger("retry").await;
    orchestrator
        .mark_run("retry", &good_run, DagRunState::Success)
        .await
        .unwrap();
    assert_eq!(
        bench.states("retry", &good_run).await,
        ["first:success", "second:success"]
    );
    let states = count(bench.runs("retry").await.iter().map(|(_, state)| state.as_str()));
    assert_eq!(states, [("failed", 1), ("success", 1)].into());
    let wrong = orchestrator
        .mark_run("retry", &good_run, DagRunState::Running)
        .await;
    assert!(matches!(wrong, Err(Error::InvalidRequest { .. })));
    let log = orchestrator.audit_log(Some("retry"), 10, 0).await.unwrap();
    let events: Vec<&str> = log.iter().map(|entry| entry.event.as_str()).collect();
    assert_eq!(
        events,
        [
            "mark_dag_run",
            "trigger_dag_run",
            "mark_dag_run",
            "trigger_dag_run"
        ]
    );
    assert_eq!(log[0].run_id.as_deref(), Some(good_run.as_str()));
    assert_eq!(log[0].owner, "anonymous");
}

async fn tasks_are_cleared_and_marked_in_earlier_and_later_runs(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("chain.yaml", CHAIN).await;
    let runs: Vec<String> = bench
        .runs("chain")
        .await
        .into_iter()
        .map(|(run_id, _)| run_id)
        .collect();
    assert_eq!(bench.run_queued().await, 9);
    let orchestrator = bench.orchestrator();
    let concerned = async |clearing: Clearing| -> Vec<String> {
        let clearing = Clearing {
            task_ids: vec!["b".to_owned()],
            dry_run: true,
            ..clearing
        };
        let cleared = orchestrator
            .clear_tasks("chain", &runs[1], &clearing)
            .await
            .unwrap();
        let run = |run_id: &String| runs.iter().position(|run| run == run_id).unwrap();
        cleared
            .iter()
            .map(|instance| format!("{}{}", run(&instance.run_id), instance.task_id))
            .collect()
    };
    assert_eq!(concerned(Clearing::default()).await, ["1b"]);
    let both = Clearing {
        upstream: true,
        downstream: true,
        ..Clearing::default()
    };
    assert_eq!(concerned(both).await, ["1a", "1b", "1c"]);
    assert_eq!(
        concerned(Clearing {
            past: true,
            ..Clearing::default()
        })
        .await,
        ["0b", "1b"]
    );
    let later = Clearing {
        future: true,
        downstream: true,
        ..Clearing::default()
    };
    assert_eq!(concerned(later).await, ["1b", "1c", "2b", "2c"]);
    let clearing = Clearing {
        task_ids: vec!["c".to_owned()],
        past: true,
        future: true,
        ..Clearing::default()
    };
    assert_eq!(
        orchestrator
            .clear_tasks("chain", &runs[1], &clearing)
            .await
            .unwrap()
            .len(),
        3
    );
    assert_eq!(bench.run_queued().await, 3);
    let marking = Marking {
        past: true,
        downstream: true,
        ..Marking::one(&InstanceId::of("b"), TaskState::Skipped)
    };
    assert_eq!(
        orchestrator
            .mark("chain", &runs[1], &marking)
            .await
            .unwrap()
            .len(),
        4
    );
    assert_eq!(
        bench.states("chain", &runs[0]).await,
        ["a:success", "b:skipped", "c:skipped"]
    );
    assert_eq!(
        bench.states("chain", &runs[2]).await,
        ["a:success", "b:success", "c:success"]
    );
    assert_eq!(bench.runs("chain").await[0].1, DagRunState::Success);
}

async fn a_continuous_dag_runs_one_run_after_another(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "c.yaml",
            "dag: c\nschedule: '@continuous'\nmax_active_runs: 1\ntasks: [{ id: t, bash: echo }]\n",
        )
        .await;
    for number in 1..=3 {
        let runs = bench.runs("c").await;
        assert_eq!(
            (runs.len(), runs.last().unwrap().1),
            (number, DagRunState::Running)
        );
        bench.advance(Duration::from_secs(60)).await;
        assert_eq!(bench.runs("c").await.len(), number, "one at a time");
        let lease = bench.claim_one("t").await;
        bench.end(&lease, success()).await;
    }
    let query = crate::DagRunQuery {
        dag_id: Some("c".to_owned()),
        ..Default::default()
    };
    let runs = bench.orchestrator().dag_runs(query).await.unwrap();
    assert!(
        runs.windows(2)
            .all(|pair| pair[0].data_interval_start == pair[1].data_interval_end)
    );
}

async fn a_run_of_a_trigger_timetable_stands_for_its_tick(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("t.yaml", "dag: t\nschedule: '@daily'\ntimetable: trigger\nstart_date: 2025-04-03\ncatchup: true\ntasks: [{ id: t, empty: {} }]\n").await;
    let names: Vec<String> = bench
        .runs("t")
        .await
        .into_iter()
        .map(|(run_id, _)| run_id)
        .collect();
    assert_eq!(
        names,
        [
            "scheduled__2025-04-03T00:00:00Z",
            "scheduled__2025-04-04T00:00:00Z",
            "scheduled__2025-04-05T00:00:00Z"
        ]
    );
    let next = bench.orchestrator().next_runs("t", 1).await.unwrap()[0];
    assert_eq!(
        next.to_string(),
        "stands at 2025-04-06 00:00, runs 2025-04-06 00:00 UTC"
    );
    assert_eq!(bench.tick().await, Some(at("2025-04-06")));
}

async fn variables_and_connections_are_kept_encrypted(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let orchestrator = bench.orchestrator();
    let secret = |text: &str| fragua_base::Secret::new(text);
    orchestrator
        .put_variable("city", &secret("Madrid"), "where")
        .await
        .unwrap();
    orchestrator
        .put_variable("city", &secret("{\"name\": \"Sevilla\"}"), "where")
        .await
        .unwrap();
    let url = "postgres://u:hunter2@h/d";
    orchestrator
        .put_connection("lake", &secret(url), "")
        .await
        .unwrap();
    let rows = crate::store::vault::of_kind(bench.core.database.reader(), "connection")
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0].secret_value.starts_with("gAAAA"),
        "a Fernet token: {}",
        rows[0].secret_value
    );

    bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    let (_, run) = attempts::assignment(&bench.core, &lease).await.unwrap();
    let reader = bench.core.database.reader();
    let context = bench
        .core
        .task_context(reader, &run, &lease.key, &lease.token)
        .await
        .unwrap();
    assert_eq!(context.connection_url("lake").unwrap().expose(), url);
    assert_eq!(context.variables["city"], json!("{\"name\": \"Sevilla\"}"));
    let kept = orchestrator.variables().await.unwrap();
    assert_eq!(
        (kept.len(), kept[0].description.as_str(), kept[0].is_setting),
        (1, "where", false)
    );

    for wrong in ["", "a/b", " a"] {
        let refused = orchestrator.put_variable(wrong, &secret("x"), "").await;
        assert!(matches!(refused, Err(Error::InvalidRequest { .. })), "{wrong:?}");
    }
    let no_address = orchestrator.put_connection("x", &secret("nowhere"), "").await;
    assert!(matches!(no_address, Err(Error::InvalidRequest { .. })));
    orchestrator.delete_variable("city").await.unwrap();
    let gone = orchestrator.delete_variable("city").await;
    assert!(matches!(gone, Err(Error::NotKept { .. })), "{gone:?}");
    let log = orchestrator.audit_log(None, 100, 0).await.unwrap();
    let said = format!("{log:?}");
    assert!(
        said.contains("put_connection") && said.contains("delete_variable"),
        "{said}"
    );
    assert!(!said.contains("hunter2") && !said.contains("Madrid"), "{said}");
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
    delays_grow_with_each_failure,
    a_task_that_no_worker_listens_for_fails_after_three_times,
    pools_and_limits_hold_tasks_back_and_say_so,
    two_workers_never_exceed_a_pool,
    a_task_waits_for_itself_in_the_run_before,
    choices_are_made_without_a_worker,
    only_the_newest_interval_goes_on,
    a_task_starts_a_run_of_another_dag_and_waits_for_it,
    a_task_waits_for_tasks_of_another_dag,
    a_task_waits_for_a_time,
    a_task_is_made_instances_of,
    a_value_that_is_too_large_is_refused,
    an_attempt_hands_on_nothing_of_the_one_before,
    a_sensor_gives_its_slot_back_and_goes_on_with_the_same_attempt,
    a_clock_that_jumps_back_starts_nothing_twice,
    a_run_goes_on_when_its_dag_is_removed,
    a_backfill_makes_the_runs_of_a_range_beside_the_schedule,
    a_backfill_that_cannot_be_is_refused,
    a_task_marked_by_hand_lets_the_run_go_on_from_there,
    a_run_marked_by_hand_ends_with_its_tasks,
    tasks_are_cleared_and_marked_in_earlier_and_later_runs,
    a_continuous_dag_runs_one_run_after_another,
    a_run_of_a_trigger_timetable_stands_for_its_tick,
    variables_and_connections_are_kept_encrypted,
);
