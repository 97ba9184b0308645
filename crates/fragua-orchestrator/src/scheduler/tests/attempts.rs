//! Attempts: leases, failures, retries.

use std::time::Duration;

use fragua_database::Database;

use super::{RETRY, failed, success};
use crate::decide::Ending;
use crate::scheduler::attempts;
use crate::testing::{Bench, WORKER, at, count};
use crate::{AttemptState, DagRunState, Error, TaskState, Waiting};

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
    let held = bench.heartbeat().await;
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
    assert_eq!(bench.heartbeat().await.tokens, [lease.token.as_str()]);
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
        bench.heartbeat().await;
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

async fn a_sensor_gives_its_slot_back_and_goes_on_with_the_same_attempt(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    let in_a_minute = bench.core.now().plus(Duration::from_secs(60));
    let reschedule = Ending::Reschedule {
        at: in_a_minute,
        object: None,
    };
    bench.end(&lease, reschedule).await;
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

fragua_database::each_engine!(engines:
    a_failure_is_tried_again_after_its_delay,
    a_lease_that_runs_out_goes_back_without_using_up_a_retry,
    a_task_that_is_lost_again_and_again_fails,
    two_workers_never_take_the_same_task,
    what_ends_at_once_is_counted_once,
    delays_grow_with_each_failure,
    a_task_that_no_worker_listens_for_fails_after_three_times,
    a_sensor_gives_its_slot_back_and_goes_on_with_the_same_attempt,
);
