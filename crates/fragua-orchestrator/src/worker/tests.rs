//! What a worker may rely on when answers are lost, and what is refused when they are late.

use std::time::Duration;

use bytes::Bytes;
use fragua_database::Database;

use super::desk;
use super::wire::{Began, Done, HeartbeatRequest, LeaseRequest};
use crate::exec::spec::{End, Usage};
use crate::testing::{Bench, WORKER};
use crate::{AttemptState, Error, TaskState, logs};

const DAG: &str = "dag: d\nstart_date: 2025-04-01\ntasks:\n  - { id: t, bash: 'true' }\n";

fn request(holding: &[&str]) -> LeaseRequest {
    LeaseRequest {
        worker: WORKER.to_owned(),
        free: 2,
        holding: holding.iter().map(|token| (*token).to_owned()).collect(),
        wait_millis: 0,
    }
}

fn done(task_instance: &str, end: Option<End>) -> Done {
    Done {
        task_instance: task_instance.to_owned(),
        end,
        usage: Usage {
            exit_signal: Some(9),
            cpu_millis: Some(20),
            ..Usage::default()
        },
    }
}

fn failed() -> Option<End> {
    Some(End::FailedForGood {
        message: "no rows".to_owned(),
    })
}

async fn an_answer_that_is_lost_is_given_again(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("d.yaml", DAG).await;
    let run_id = bench.trigger("d").await;
    let first = desk::lease(&bench.core, &request(&[])).await.unwrap().assignments;
    let again = desk::lease(&bench.core, &request(&[])).await.unwrap().assignments;
    assert_eq!((first.len(), again.len()), (1, 1));
    assert_eq!(first[0].token, again[0].token, "it is the same attempt");
    let token = first[0].token.as_str();
    let third = desk::lease(&bench.core, &request(&[token])).await.unwrap();
    assert!(third.assignments.is_empty(), "what it has it is not given again");

    let end = || done(&first[0].task_instance, failed());
    desk::done(&bench.core, token, end()).await.unwrap();
    desk::done(&bench.core, token, end()).await.unwrap();
    let instance = bench
        .orchestrator()
        .task_instance("d", &run_id, "t")
        .await
        .unwrap();
    assert_eq!((instance.state, instance.failures), (TaskState::Failed, 1));
    let attempts = bench.orchestrator().attempts(&instance).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].exit_signal, Some(9));
    assert_eq!(attempts[0].cpu_time, Some(Duration::from_millis(20)));
}

async fn what_an_attempt_says_late_is_refused(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("d.yaml", DAG).await;
    let run_id = bench.trigger("d").await;
    let first = desk::lease(&bench.core, &request(&[]))
        .await
        .unwrap()
        .assignments
        .remove(0);
    desk::log(&bench.core, &first.token, 0, Bytes::from_static(b"begins\n"))
        .await
        .unwrap();
    bench.advance(Duration::from_secs(31)).await;
    let second = desk::lease(&bench.core, &request(&[]))
        .await
        .unwrap()
        .assignments
        .remove(0);
    assert_ne!(first.token, second.token);

    let heartbeat = HeartbeatRequest {
        worker: WORKER.to_owned(),
        tokens: vec![first.token.clone(), second.token.clone()],
        wait_millis: 60_000,
    };
    let held = desk::heartbeat(&bench.core, &heartbeat).await.unwrap();
    assert_eq!(
        (held.tokens, held.lost),
        (vec![second.token.clone()], vec![first.token.clone()])
    );
    let late = desk::log(&bench.core, &first.token, 7, Bytes::from_static(b"late\n")).await;
    assert!(matches!(late, Err(Error::StaleToken { .. })), "{late:?}");
    let late = desk::done(&bench.core, &first.token, done(&first.task_instance, failed())).await;
    assert!(matches!(late, Err(Error::StaleToken { .. })), "{late:?}");
    desk::done(&bench.core, &first.token, done(&first.task_instance, None))
        .await
        .unwrap();
    let began = Began {
        task_instance: first.task_instance.clone(),
        process_id: 7,
        process_start: None,
    };
    desk::began(&bench.core, &first.token, &began).await.unwrap();

    let instance = bench
        .orchestrator()
        .task_instance("d", &run_id, "t")
        .await
        .unwrap();
    assert_eq!((instance.state, instance.attempt), (TaskState::Running, 2));
    let attempts = bench.orchestrator().attempts(&instance).await.unwrap();
    let states: Vec<AttemptState> = attempts.iter().map(|attempt| attempt.state).collect();
    assert_eq!(states, [AttemptState::Lost, AttemptState::Running]);
    assert_eq!(
        attempts[1].process_id, None,
        "nothing of the first is noted at the second"
    );
}

async fn a_piece_of_a_log_that_comes_twice_is_one(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("d.yaml", DAG).await;
    bench.trigger("d").await;
    let attempt = desk::lease(&bench.core, &request(&[]))
        .await
        .unwrap()
        .assignments
        .remove(0);
    for (offset, piece, next) in [
        (0, "one\ntw", 6),
        (0, "one\ntw", 6),
        (6, "o\n", 8),
        (4, "two\nthree\n", 14),
    ] {
        let piece = Bytes::from_static(piece.as_bytes());
        assert_eq!(
            desk::log(&bench.core, &attempt.token, offset, piece)
                .await
                .unwrap(),
            next
        );
    }
    let path = logs::path(&bench.core.settings.logs_folder, &attempt.key);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\nthree\n");
    let beyond = bench.core.settings.max_log_bytes + 1_000_000;
    let refused = desk::log(&bench.core, &attempt.token, beyond, Bytes::from_static(b"x")).await;
    assert!(
        matches!(refused, Err(Error::InvalidRequest { .. })),
        "{refused:?}"
    );
}

async fn a_worker_that_nobody_knows_is_told_so(database: Database) {
    let bench = Bench::new(database).await;
    let unknown = LeaseRequest {
        worker: "nobody".to_owned(),
        ..request(&[])
    };
    let refused = desk::lease(&bench.core, &unknown).await;
    assert!(
        matches!(refused, Err(Error::WorkerNotFound { .. })),
        "{refused:?}"
    );
}

async fn a_clock_that_jumps_back_does_not_keep_a_lost_worker(database: Database) {
    use fragua_base::Clock as _;
    let mut bench = Bench::new(database).await;
    bench.write("d.yaml", DAG).await;
    let run_id = bench.trigger("d").await;
    let attempt = bench.claim_one("t").await;
    let an_hour_before = bench.clock.now().as_millis() - 3_600_000;
    bench
        .clock
        .set(fragua_base::Timestamp::from_millis(an_hour_before));
    bench.tick().await;
    assert_eq!(
        bench.states("d", &run_id).await,
        ["t:running"],
        "a worker that lives keeps it"
    );
    assert_eq!(bench.heartbeat().await.tokens, [attempt.token]);
    bench.advance(Duration::from_secs(31)).await;
    assert_eq!(
        bench.states("d", &run_id).await,
        ["t:queued"],
        "and it is missed after the length of a lease"
    );
}

async fn the_list_of_workers_says_what_each_does(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("d.yaml", DAG).await;
    bench.trigger("d").await;
    bench.claim_one("t").await;
    let workers = bench.orchestrator().workers().await.unwrap();
    assert_eq!(workers.len(), 1);
    assert_eq!(
        (workers[0].running, workers[0].is_alive, workers[0].is_remote),
        (1, true, false)
    );
    assert_eq!(workers[0].version, env!("CARGO_PKG_VERSION"));
    bench.advance(Duration::from_secs(100)).await;
    let workers = bench.orchestrator().workers().await.unwrap();
    assert_eq!(
        (workers[0].running, workers[0].is_alive),
        (0, false),
        "one that fell silent is shown as such"
    );
    desk::leave(&bench.core, WORKER).await.unwrap();
    assert_eq!(bench.orchestrator().workers().await.unwrap(), []);
}

fragua_database::each_engine!(
    engines: an_answer_that_is_lost_is_given_again,
    what_an_attempt_says_late_is_refused,
    a_piece_of_a_log_that_comes_twice_is_one,
    a_worker_that_nobody_knows_is_told_so,
    a_clock_that_jumps_back_does_not_keep_a_lost_worker,
    the_list_of_workers_says_what_each_does,
);
