//! Tasks and runs that somebody clears or marks.

use fragua_database::Database;

use super::{RETRY, failed};
use crate::decide::Ending;
use crate::scheduler::attempts;
use crate::testing::{Bench, count};
use crate::{Clearing, DagRunState, Error, InstanceId, Marking, TaskState};

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

async fn a_clear_listed_tasks_in_another_order_than_their_file(database: Database) {
    let mut bench = Bench::new(database).await;
    let dag = "dag: d\ntasks: [{ id: z, bash: echo }, { id: m, needs: [z], bash: echo }, { id: a, needs: [m], bash: echo }]\n";
    bench.write("d.yaml", dag).await;
    let run_id = bench.trigger("d").await;
    let clearing = Clearing {
        dry_run: true,
        downstream: true,
        task_ids: vec!["z".to_owned()],
        ..Clearing::default()
    };
    let listed = bench
        .orchestrator()
        .clear_tasks("d", &run_id, &clearing)
        .await
        .unwrap();
    let listed: Vec<&str> = listed.iter().map(|instance| instance.task_id.as_str()).collect();
    assert_eq!(listed, ["z", "m", "a"]);
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
    let held = bench.heartbeat().await;
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
    assert!(bench.heartbeat().await.tokens.is_empty());
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

async fn work_is_cleared_with_what_it_is_set_up_by(database: Database) {
    let mut bench = Bench::new(database).await;
    bench
        .write(
            "d.yaml",
            "dag: d\ntasks:\n  - { id: old, setup: true, empty: {} }\n  - { id: gone, needs: [old], teardown: true, empty: {} }\n  \
             - { id: up, setup: true, needs: [gone], empty: {} }\n  - { id: work, needs: [up], empty: {} }\n  \
             - { id: other, needs: [up], empty: {} }\n  - { id: down, needs: [up, work, other], teardown: true, empty: {} }\n",
        )
        .await;
    let run_id = bench.trigger("d").await;
    let clearing = Clearing {
        task_ids: vec!["work".to_owned()],
        dry_run: true,
        ..Clearing::default()
    };
    let orchestrator = bench.orchestrator();
    let cleared = orchestrator.clear_tasks("d", &run_id, &clearing).await.unwrap();
    let mut cleared: Vec<&str> = cleared.iter().map(|instance| instance.task_id.as_str()).collect();
    cleared.sort_unstable();
    assert_eq!(cleared, ["down", "up", "work"]);
}

fragua_database::each_engine!(engines:
    a_clear_listed_tasks_in_another_order_than_their_file,
    work_is_cleared_with_what_it_is_set_up_by,
    cleared_tasks_start_over_with_what_comes_after,
    a_task_marked_by_hand_lets_the_run_go_on_from_there,
    a_run_marked_by_hand_ends_with_its_tasks,
    tasks_are_cleared_and_marked_in_earlier_and_later_runs,
);
